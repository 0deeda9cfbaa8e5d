// Package drift compares settings that several places hold: where one app's
// secret, tenant or environment has come apart. It sees fingerprints, never
// values, and asks nobody.
package drift

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/credsmith/credsmith/internal/entra"
)

// Kind is a way in which places have come apart. The names are stable.
type Kind string

// The kinds.
const (
	OnePlaceMissed Kind = "one-place-missed" // one app, comparable places, different values
	TenantDiffers  Kind = "tenant-differs"   // one app, different tenants
	SharedValue    Kind = "shared-value"     // one value for two apps, or for production and another environment
	PinnedVersion  Kind = "pinned-version"   // a Key Vault reference that no rotation reaches
)

// Place is one setting in one place.
type Place struct {
	Origin      string // file:line:column
	Environment string // prod, staging, ... (one name each) or "" when unknown
	TenantID    string // as written; "" when missing or a reference
	ClientID    string
	Fingerprint string // of the value; "" when there is none to compare
	Pinned      bool   // the secret is a Key Vault reference with a version
}

// Change is a rotation of an app's secret.
type Change struct {
	Rotation, Binding string
	ClientID          string
	New               string   // fingerprint of the value that it made
	Replaced          []string // fingerprints of the values that it found in its places
	At                time.Time
	Open              string // the step at which it stands; "" when it has ended, or waits with all written
}

// App is one app and all places that hold a setting of it. Its JSON shape is a
// contract: fields are added, never renamed.
type App struct {
	ClientID string    `json:"client_id"` // "" for places that name no client id
	Places   []PlaceIn `json:"places"`
	Drift    []Finding `json:"drift"`
	Notes    []string  `json:"notes"` // what is no drift, and good to know before a rotation
}

// PlaceIn is a place in JSON.
type PlaceIn struct {
	Origin      string `json:"origin"`
	Environment string `json:"environment"`
	Fingerprint string `json:"fingerprint"`
	TenantID    string `json:"tenant_id"`
}

// Finding is one drift of an app.
type Finding struct {
	Kind Kind   `json:"kind"`
	Says string `json:"says"`
}

// Compare groups places by app, in the order in which apps come first, and
// says what has come apart. changes are the rotations that are known; they
// prove what comparing can only suggest.
func Compare(places []Place, changes []Change) []App {
	byApp, holders := map[string][]Place{}, map[string][]holder{}
	var order []string
	for _, p := range places {
		id := strings.ToLower(entra.CleanIdentifier(p.ClientID))
		if byApp[id] == nil {
			order = append(order, id)
		}
		byApp[id] = append(byApp[id], p)
	}
	for _, id := range order {
		for _, places := range split(byApp[id], func(p Place) string { return p.Fingerprint }) {
			if print := places[0].Fingerprint; print != "" && id != "" {
				holders[print] = append(holders[print], holder{id, environments(places)})
			}
		}
	}
	apps := make([]App, 0, len(order))
	for _, id := range order {
		own := byApp[id]
		app := App{ClientID: id, Drift: []Finding{}, Notes: []string{}}
		for _, p := range own {
			app.Places = append(app.Places, PlaceIn{p.Origin, p.Environment, p.Fingerprint, p.TenantID})
		}
		if id != "" {
			stale, rest := replaced(id, own, changes)
			app.Drift = append(app.Drift, slices.Concat(stale, missed(rest), tenants(own), shared(id, own, holders))...)
			app.Notes = append(app.Notes, together(own)...)
		}
		app.Drift = append(app.Drift, pinned(own)...)
		apps = append(apps, app)
	}
	return apps
}

// Found reports whether any app has drift.
func Found(apps []App) bool {
	return slices.ContainsFunc(apps, func(a App) bool { return len(a.Drift) > 0 })
}

// replaced finds places that hold a value which a rotation has replaced. rest
// are the others.
func replaced(id string, own []Place, changes []Change) (found []Finding, rest []Place) {
	by := map[string]Change{}
	for _, c := range changes {
		if c.New == "" || strings.ToLower(c.ClientID) != id {
			continue
		}
		for _, print := range c.Replaced {
			if before, ok := by[print]; print != c.New && (!ok || before.At.Before(c.At)) {
				by[print] = c
			}
		}
	}
	for _, c := range changes { // a value that came back by a later rotation is in force
		if before, ok := by[c.New]; ok && strings.ToLower(c.ClientID) == id && before.At.Before(c.At) {
			delete(by, c.New)
		}
	}
	for _, places := range split(own, func(p Place) string { return p.Fingerprint }) {
		c, stale := by[places[0].Fingerprint]
		if !stale || places[0].Fingerprint == "" {
			rest = append(rest, places...)
			continue
		}
		if c.Open != "" {
			found = append(found, Finding{OnePlaceMissed, fmt.Sprintf("%s %s %s, which rotation %s of binding %s is replacing by %s and stands at %s: it goes on with credsmith rotate resume %s, and writes to the sinks of its binding only",
				origins(places), plural(places, "holds", "hold"), short(places[0]), c.Rotation, c.Binding, short(Place{Fingerprint: c.New}), c.Open, c.Binding)})
			continue
		}
		found = append(found, Finding{OnePlaceMissed, fmt.Sprintf("%s %s %s, which rotation %s of binding %s replaced by %s on %s: it did not reach %s, or somebody put the old value back",
			origins(places), plural(places, "holds", "hold"), short(places[0]), c.Rotation, c.Binding, short(Place{Fingerprint: c.New}), c.At.UTC().Format(time.DateOnly),
			plural(places, "this place", "these places"))})
	}
	return found, rest
}

// missed compares the values of one app in one tenant. Environments may have
// secrets of their own, so places of two named environments are compared only
// when one value stands in both of two such already. A place of unknown
// environment is compared with all.
func missed(all []Place) []Finding {
	var found []Finding
	for _, own := range split(all, func(p Place) string { return strings.ToLower(p.TenantID) }) {
		own = slices.DeleteFunc(slices.Clone(own), func(p Place) bool { return p.Fingerprint == "" })
		across := crossing(own)
		values := split(own, func(p Place) string { return p.Fingerprint })
		// The value that most places hold counts as the current one.
		slices.SortStableFunc(values, func(a, b []Place) int { return len(b) - len(a) })
		for _, odd := range values[min(1, len(values)):] {
			current := values[0]
			if !across && !alike(current, odd) {
				continue
			}
			says := fmt.Sprintf("%s %s %s while %s %s %s: if one rotation was to reach all, it missed a place",
				origins(odd), plural(odd, "holds", "hold"), short(odd[0]), origins(current), plural(current, "holds", "hold"), short(current[0]))
			found = append(found, Finding{OnePlaceMissed, says})
		}
	}
	return found
}

// crossing reports whether one value stands in two named environments: the app
// then has one secret for all of them.
func crossing(places []Place) bool {
	seen := map[string]string{}
	for _, p := range places {
		if p.Environment == "" {
			continue
		}
		if before, ok := seen[p.Fingerprint]; ok && before != p.Environment {
			return true
		}
		seen[p.Fingerprint] = p.Environment
	}
	return false
}

func alike(a, b []Place) bool {
	for _, p := range a {
		for _, q := range b {
			if p.Environment == "" || q.Environment == "" || p.Environment == q.Environment {
				return true
			}
		}
	}
	return false
}

// tenants compares the tenants of one app. A domain and a GUID may name the
// same tenant, which files do not tell: only like forms are compared.
func tenants(all []Place) []Finding {
	var found []Finding
	for _, form := range []entra.TenantForm{entra.TenantGUID, entra.TenantDomain, entra.TenantShared} {
		own := slices.DeleteFunc(slices.Clone(all), func(p Place) bool { return entra.FormOfTenant(entra.CleanIdentifier(p.TenantID)) != form })
		by := split(own, func(p Place) string { return strings.ToLower(entra.CleanIdentifier(p.TenantID)) })
		if len(by) < 2 {
			continue
		}
		var says []string
		for _, places := range by {
			says = append(says, fmt.Sprintf("%s in %s", entra.CleanIdentifier(places[0].TenantID), origins(places)))
		}
		found = append(found, Finding{TenantDiffers, "one app, different tenants: " + strings.Join(says, "; ")})
	}
	return found
}

// holder is an app that holds a value, and in which environments.
type holder struct{ id, environments string }

// String names the app, and where it holds the value if that is known.
func (h holder) String() string {
	if h.environments == "" {
		return h.id
	}
	return h.id + " (" + h.environments + ")"
}

func environments(places []Place) string {
	var all []string
	for _, p := range places {
		if p.Environment != "" && !slices.Contains(all, p.Environment) {
			all = append(all, p.Environment)
		}
	}
	return list(all)
}

// shared finds values that other apps hold too, and values of production that
// another environment has.
func shared(id string, own []Place, holders map[string][]holder) []Finding {
	var found []Finding
	for _, places := range split(own, func(p Place) string { return p.Fingerprint }) {
		print := places[0].Fingerprint
		if print == "" {
			continue
		}
		if all := holders[print]; len(all) > 1 {
			found = append(found, Finding{SharedValue, fmt.Sprintf("%s %s the value that stands with app %s too: a secret belongs to one app, so the others cannot sign in with it", origins(places), plural(places, "holds", "hold"), others(all, id))})
		}
		production := slices.ContainsFunc(places, func(p Place) bool { return p.Environment == "prod" })
		outside := slices.DeleteFunc(slices.Clone(places), func(p Place) bool { return p.Environment == "prod" || p.Environment == "" })
		if production && len(outside) > 0 {
			found = append(found, Finding{SharedValue, fmt.Sprintf("prod's value stands in %s (%s) too: give each environment a secret of its own", origins(outside), environments(outside))})
		}
	}
	return found
}

func pinned(own []Place) []Finding {
	own = slices.DeleteFunc(slices.Clone(own), func(p Place) bool { return !p.Pinned })
	if len(own) == 0 {
		return nil
	}
	return []Finding{{PinnedVersion, fmt.Sprintf("%s %s one version of a Key Vault secret: a new version does not reach it; leave the version out", origins(own), plural(own, "names", "name"))}}
}

// split groups places by a key, in the order of first appearance.
func split(all []Place, key func(Place) string) [][]Place {
	at := map[string]int{}
	var groups [][]Place
	for _, p := range all {
		i, ok := at[key(p)]
		if !ok {
			i = len(groups)
			at[key(p)], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], p)
	}
	return groups
}

// together tells which places hold one value: they change as one.
func together(own []Place) []string {
	var notes []string
	for _, places := range split(own, func(p Place) string { return p.Fingerprint }) {
		if len(places) > 1 && places[0].Fingerprint != "" {
			notes = append(notes, fmt.Sprintf("%s hold %s: a rotation must reach each of them", origins(places), short(places[0])))
		}
	}
	return notes
}

// others names the apps but one, however many hold the value.
func others(all []holder, id string) string {
	var names []string
	for _, h := range all {
		if h.id != id {
			names = append(names, h.String())
		}
		if len(names) == shownPlaces {
			break
		}
	}
	if extra := len(all) - 1 - len(names); extra > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names, ", "), extra)
	}
	return strings.Join(names, ", ")
}

// shownPlaces is how many places a sentence names.
const shownPlaces = 4

func origins(places []Place) string {
	var names []string
	for _, p := range places {
		names = append(names, p.Origin)
	}
	return list(names)
}

func list(names []string) string {
	if extra := len(names) - shownPlaces; extra > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shownPlaces], ", "), extra)
	}
	return strings.Join(names, ", ")
}

func plural(places []Place, one, many string) string {
	return map[bool]string{true: one, false: many}[len(places) == 1]
}

// short is the fingerprint as people compare it.
func short(p Place) string { return "value " + p.Fingerprint[:min(8, len(p.Fingerprint))] }
