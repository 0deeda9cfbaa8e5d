package diagnose

import (
	"fmt"
	"slices"

	"github.com/credsmith/credsmith/internal/secret"
)

// exclusion is a cause and the test that rules it out: it returns the reason,
// or "" when the cause stays possible.
type exclusion struct {
	cause   Cause
	because func(*Observations) string
}

// exclusions lists what the observations rule out, most expected first. What
// the finding names, also as possible, is never among them.
func exclusions(o *Observations, f finding) []Exclusion {
	found := []Exclusion{}
	if o.Case.Alone {
		return found
	}
	if f.verdict == Inconclusive && len(o.Attempts) == 0 && !o.Case.Offline {
		return found
	}
	for _, e := range tests {
		named := e.cause == f.cause || slices.ContainsFunc(f.also, func(a Also) bool { return a.Cause == e.cause }) ||
			slices.ContainsFunc(f.unknown, func(u Unknown) bool { return u.Cause == e.cause })
		if named {
			continue
		}
		if because := e.because(o); because != "" {
			found = append(found, Exclusion{e.cause, because})
		}
	}
	return found
}

var tests = []exclusion{
	{"secret-expired", func(o *Observations) string {
		a, _ := o.first(AsIs)
		switch {
		case a.accepted():
			return "a token was issued"
		case a.code() == 7000215:
			return "an expired secret is answered with AADSTS7000222"
		}
		return unlessAccepted(o, "")
	}},
	{"secret-deleted", func(o *Observations) string {
		if c, live := o.hintedLive(); live {
			return name(c) + " has the value's hint and is still there"
		}
		return unlessAccepted(o, "")
	}},
	{"secret-id-used", func(o *Observations) string {
		return ifRefused(o, o.Case.Setting.Value.Shape().Kind != secret.GUID, "the value does not have the form of a Secret ID")
	}},
	{"secret-whitespace", func(o *Observations) string {
		return ifRefused(o, len(o.Case.Setting.Value.Shape().Invisible) == 0, "the value holds no invisible character")
	}},
	{"secret-quoted", func(o *Observations) string {
		return ifRefused(o, !hasSlip(o, "secret-quoted"), "the value has no quote at either end")
	}},
	{"secret-encoded", func(o *Observations) string {
		return ifRefused(o, !hasSlip(o, "secret-encoded"), "the value has no layer of encoding to take off")
	}},
	{"secret-truncated", func(o *Observations) string {
		return ifRefused(o, o.Case.Setting.Value.Shape().Whole, fmt.Sprintf("%d characters are a whole value", o.Case.Setting.Value.Shape().Length))
	}},
	{"secret-placeholder", func(o *Observations) string {
		return ifRefused(o, o.Case.Setting.Value.Shape().Kind != secret.Placeholder, "the value is no placeholder")
	}},
	{"secret-typo", func(o *Observations) string {
		known := o.home() && o.Directory.App != nil && o.Case.Setting.Value.Shape().Hint != ""
		return ifRefused(o, known && len(o.hinted()) == 0, "no secret of the app begins like the value")
	}},
	{"secret-propagating", func(o *Observations) string {
		if !o.home() || o.Directory.App == nil {
			return ""
		}
		young := slices.ContainsFunc(o.Directory.App.Credentials, o.isYoung)
		return ifRefused(o, !young, "no secret of the app is younger than "+inMinutes(Young))
	}},
	{"secret-of-other-app", func(o *Observations) string {
		clean := o.home() && o.Directory.Searched && o.Directory.SearchErr == nil && len(o.Directory.Holders) == 0
		return ifRefused(o, clean, "no other app of the tenant has a secret with the value's hint")
	}},
	{"client-id-unknown", func(o *Observations) string {
		a, _ := o.first(AsIs)
		switch {
		case a.accepted():
			return "a token was issued"
		case pastLookup(a.code()):
			return fmt.Sprintf("AADSTS%d is answered only once the app has been found", a.code())
		}
		return ""
	}},
	{"tenant-unknown", func(o *Observations) string {
		if o.tenantKnown() {
			return "the authority knows the tenant"
		}
		return ""
	}},
	{"app-disabled", func(o *Observations) string {
		if a := o.home() && o.Directory.App != nil; !a {
			return unlessAccepted(o, "")
		}
		app := o.Directory.App
		if app.Disabled || app.ServicePrincipal == nil || !app.ServicePrincipal.Enabled {
			return ""
		}
		return "application and service principal are enabled"
	}},
	{"clock-skew", func(o *Observations) string {
		if skew, known := o.skew(); known && skew.Abs() < maxSkew {
			return fmt.Sprintf("this machine's clock is within %s of the authority's", max(round(skew.Abs()), 1e9))
		}
		return ""
	}},
	{"network-refused", func(o *Observations) string {
		if o.reachable() {
			return "the authority answers as Entra does"
		}
		return ""
	}},
	{"secret-missing", func(o *Observations) string {
		if o.Case.Captured != nil {
			return ""
		}
		return "a secret is set"
	}},
}

// ifRefused gives a reason that only matters for a value that was refused.
func ifRefused(o *Observations, holds bool, because string) string {
	if holds && (o.valueRefused() || o.Case.Offline) {
		return because
	}
	return unlessAccepted(o, "")
}

func unlessAccepted(o *Observations, otherwise string) string {
	if _, ok := o.success(AsIs); ok {
		return "a token was issued"
	}
	if a, ok := o.success(Rescoped); ok {
		return "a token was issued for " + a.Request.Scope
	}
	if a, _ := o.first(AsIs); secretTaken(a.code()) {
		return fmt.Sprintf("AADSTS%d is answered only once the secret has been accepted", a.code())
	}
	return otherwise
}

// hasSlip reports whether undoing slips of one kind changes the value.
func hasSlip(o *Observations, c Cause) bool {
	for _, correction := range o.Case.Setting.Value.Corrections() {
		if causeOfSlip(correction.Slips[0]) == c {
			return true
		}
	}
	return false
}
