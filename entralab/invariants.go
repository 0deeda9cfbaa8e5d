package entralab

import (
	"net/http"
	"slices"
	"time"
)

// Invariants are counts of what a rotation must never leave behind, taken from
// the model and the history alone. The ids are key ids.
type Invariants struct {
	// Orphans are secrets that an app minted through Graph, that are live and
	// older than [InvariantOptions.Older], and that the token endpoint has
	// never accepted and no vault holds as the latest version of a secret:
	// nobody is known to hold the value.
	Orphans []string `json:"orphans"`
	// DoubleMints are live secrets of one object beyond the first that the
	// same app minted under the same display name.
	DoubleMints []string `json:"double_mints"`
	// RemovedWhileUsed are secrets that were removed although the token
	// endpoint had accepted them within [InvariantOptions.Window] before.
	RemovedWhileUsed []string `json:"removed_while_used"`
	// RefusedAfterRemoval counts the sign-ins with them that were refused
	// afterwards.
	RefusedAfterRemoval int `json:"refused_after_removal"`
}

// InvariantOptions bound the counts, in lab time. Zero takes the default.
type InvariantOptions struct {
	Older  time.Duration // 15 minutes
	Window time.Duration // 1 hour
}

// Invariants takes the counts. It knows what the history remembers: the last
// 100,000 events.
func (l *Lab) Invariants(o InvariantOptions) Invariants {
	if o.Older == 0 {
		o.Older = 15 * time.Minute
	}
	if o.Window == 0 {
		o.Window = time.Hour
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	found := Invariants{Orphans: []string{}, DoubleMints: []string{}, RemovedWhileUsed: []string{}}
	accepted := map[string]time.Time{} // last, by key id
	removed := map[string]bool{}       // while used
	for _, e := range l.history.after(0) {
		if e.Surface == surfaceToken && e.KeyID != "" {
			switch {
			case e.Outcome == outcomeAccepted:
				accepted[e.KeyID] = e.At
			case removed[e.KeyID]:
				found.RefusedAfterRemoval++
			}
		}
		if e.Write != nil && e.Write.Kind == "remove" {
			last, used := accepted[e.Write.KeyID]
			if used && e.At.Sub(last) <= o.Window && !removed[e.Write.KeyID] {
				removed[e.Write.KeyID] = true
				found.RemovedWhileUsed = append(found.RemovedWhileUsed, e.Write.KeyID)
			}
		}
	}
	c := liveCount{&found, accepted, l.clock.now(), o.Older, l.vaultValues()}
	for _, t := range l.tenants {
		for _, a := range t.apps {
			if a.live() {
				c.add(t, a.secrets)
			}
		}
		for _, p := range t.principals {
			if p.live() {
				c.add(t, p.secrets)
			}
		}
	}
	return found
}

// liveCount counts among live secrets.
type liveCount struct {
	found    *Invariants
	accepted map[string]time.Time // last, by key id
	now      time.Time
	older    time.Duration
	kept     []string // values that vaults hold
}

// vaultValues are the latest versions of all secrets in vaults. Call with l.mu
// held.
func (l *Lab) vaultValues() []string {
	var values []string
	for _, v := range l.vaults {
		for _, s := range v.secrets {
			if n := len(s.versions); n > 0 && s.state == secretLives {
				values = append(values, s.versions[n-1].value.Reveal())
			}
		}
	}
	return values
}

// add counts the secrets of one object.
func (n liveCount) add(t *tenant, secrets []credential) {
	type minter struct {
		by   guid
		name string
	}
	seen := map[minter]bool{}
	for _, c := range secrets {
		if c.mintedBy() == (guid{}) || !n.now.Before(c.end.time()) { // a person's, or over
			continue
		}
		id := c.keyID.String()
		kept := func(value string) bool { return c.matches(t.salt, value) }
		if _, used := n.accepted[id]; !used && n.now.Sub(c.made.time()) > n.older && !slices.ContainsFunc(n.kept, kept) {
			n.found.Orphans = append(n.found.Orphans, id)
		}
		m := minter{c.mintedBy(), c.displayName}
		if seen[m] {
			n.found.DoubleMints = append(n.found.DoubleMints, id)
		}
		seen[m] = true
	}
}

func (l *Lab) serveInvariants(w http.ResponseWriter, r *http.Request) {
	var o InvariantOptions
	for name, into := range map[string]*time.Duration{"older": &o.Older, "window": &o.Window} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		d, err := parseDuration(text)
		if err != nil || d <= 0 {
			writeProblem(w, http.StatusBadRequest, name+" must be a duration above zero such as 15m or 2d")
			return
		}
		*into = d
	}
	i := l.Invariants(o)
	writeJSON(w, http.StatusOK, object{
		{"orphans", countOf(i.Orphans)}, {"double_mints", countOf(i.DoubleMints)},
		{"removed_while_used", countOf(i.RemovedWhileUsed)}, {"refused_after_removal", i.RefusedAfterRemoval},
	})
}

// countOf is a number with the ids behind it.
func countOf(ids []string) object { return object{{"count", len(ids)}, {"key_ids", ids}} }
