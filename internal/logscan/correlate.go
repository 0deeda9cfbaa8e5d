package logscan

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/credsmith/credsmith/aadsts"
)

// freshFor is how long after a secret was added a mix of good and refused
// sign-ins speaks for propagation.
const freshFor = 30 * time.Minute

// cacheTime bounds how long tokens in caches hide that a secret was removed.
const cacheTime = 90 * time.Minute

// Explain gives each incident the changes before it: those that touch it and
// that can break a sign-in first, then by time. Order is not cause, and the
// incident says so.
func (r *Result) Explain(changes []Change) {
	for i := range r.Incidents {
		if in := &r.Incidents[i]; in.Started != nil {
			in.explain(changes)
		}
	}
}

func (in *Incident) explain(changes []Change) {
	var before []Change
	for _, c := range changes {
		ago := in.Started.Sub(c.At)
		if ago < -changeSlack || ago > changeReach {
			continue
		}
		c.Before, c.Touches = ago.Seconds(), in.touched(c)
		c.SameApp = slices.Contains(c.Touches, "app")
		before = append(before, c)
	}
	slices.SortStableFunc(before, func(a, b Change) int {
		return cmp.Or(cmp.Compare(in.weight(b), in.weight(a)), b.At.Compare(a.At))
	})
	if len(before) == 0 {
		return
	}
	in.Changes = before[:min(len(before), changesShown)]
	in.Evidence = append(in.Evidence, "changes came before it; that is an order and no proof of the cause")
	in.conclude()
}

// touched says what of the incident a change names.
func (in *Incident) touched(c Change) []string {
	touches := []string{}
	if in.AppID != "" && slices.Contains(c.ids, in.AppID) {
		touches = append(touches, "app")
	}
	if in.Succeeded != nil && slices.ContainsFunc(in.Succeeded.KeyIDs, func(key string) bool { return slices.Contains(c.ids, key) }) {
		touches = append(touches, "key")
	}
	what := strings.ToLower(c.What)
	names := func(name string) bool {
		const shortest = 4 // letters: less is found anywhere
		return len(name) >= shortest && strings.Contains(what, strings.ToLower(name))
	}
	if names(in.Name) {
		touches = append(touches, "name")
	}
	if slices.ContainsFunc(in.Places, func(p Place) bool {
		where := place{p.File, p.Environment, p.Host, p.Workload, p.Pod, p.Container}
		return names(where.name()) || names(where.family())
	}) {
		touches = append(touches, "place")
	}
	return touches
}

// weight orders changes: what a change touches, whether its kind can break a
// sign-in, and how near it is. Ten times the distance counts one less.
func (in *Incident) weight(c Change) float64 {
	weight := 0.0
	switch {
	case slices.Contains(c.Touches, "app"), slices.Contains(c.Touches, "key"):
		weight += 4
	case len(c.Touches) > 0:
		weight += 2
	}
	switch c.Kind {
	case "credential", "vault", "app":
		// One that names others, and not this, is of those.
		if len(c.Touches) > 0 || len(c.ids) == 0 {
			weight += 2
		}
	case "deployment", "policy", "consent":
		weight++
	}
	hidden := max(in.StartedWithin, 0)
	if in.Pattern == Hourly {
		hidden = max(hidden, cacheTime.Seconds())
	}
	return weight - math.Log10(max((c.Before-hidden)/60, 0)+1)
}

// conclude says what a change of the app's own secrets makes likelier.
func (in *Incident) conclude() {
	if in.Class != string(aadsts.SecretInvalid) {
		return
	}
	for _, c := range in.Changes {
		ago := time.Duration(c.Before * float64(time.Second))
		if !c.SameApp && !slices.Contains(c.Touches, "key") || ago > 24*time.Hour {
			continue
		}
		switch {
		case c.added && ago <= freshFor && in.Pattern == Intermittent:
			in.Meaning = "propagation: a fresh secret has not reached every server; it ends by itself within minutes"
			in.Evidence = append(in.Evidence, fmt.Sprintf("a secret of the app was added %s before it", rounded(ago)))
			in.first("secret-propagating")
			return
		case c.gone:
			in.Evidence = append(in.Evidence, fmt.Sprintf("a secret of the app was removed %s before it", rounded(ago)))
			if in.Pattern == Steady || in.Pattern == Hourly {
				in.first("secret-deleted")
			}
			return
		}
	}
}

// first puts a cause before the others.
func (in *Incident) first(cause string) {
	in.Likely = slices.DeleteFunc(slices.Clone(in.Likely), func(other string) bool { return other == cause })
	in.Likely = slices.Insert(in.Likely, 0, cause)
}
