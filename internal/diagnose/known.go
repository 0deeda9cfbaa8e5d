package diagnose

import (
	"fmt"
	"slices"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// Limits of the experiments with other settings of the same run.
const (
	maxCopies = 2
	maxAbroad = 2
)

// others are the known settings that may be tried: a value goes to no
// authority but the case's own.
func (o *Observations) others() []entra.Setting {
	var found []entra.Setting
	for _, s := range o.Case.Known {
		if s.Authority == o.Case.Setting.Authority && s.Origin != o.Case.Setting.Origin && !s.Value.IsEmpty() {
			found = append(found, s)
		}
	}
	return found
}

// tenants are the other tenants the app may live in.
func (o *Observations) tenants() []string {
	found := slices.Clone(o.Case.KnownTenants)
	for _, s := range o.others() {
		if !slices.Contains(found, s.TenantID) && !secret.Mistaken(s.TenantID) {
			found = append(found, s.TenantID)
		}
	}
	return found
}

// copies are other settings of the same app with another value.
func (o *Observations) copies() []entra.Setting {
	var found []entra.Setting
	for _, s := range o.others() {
		if entra.SameGUID(s.ClientID, o.Case.Setting.ClientID) && s.TenantID == o.Case.Setting.TenantID && !s.Value.Equal(o.Case.Setting.Value) {
			found = append(found, s)
		}
	}
	return found
}

// abroad reports a refused value at the tenant where the app really lives.
func (o *Observations) abroad() (Attempt, bool) {
	a, ok := o.appElsewhere()
	return a, ok && aboutValue(a.code())
}

func aboutValue(code int) bool { return code == 7000215 || code == 7000222 || code == 50012 }

// slipsOpen reports whether a slip in the value may still explain a refusal.
func (o *Observations) slipsOpen() bool {
	_, abroad := o.abroad()
	return !o.slipFound() && (abroad && !o.accepted() || !o.settled())
}

// slipFound reports whether undoing a slip led to an answer only a right
// value gets: a token, "expired" where the value as it is was "invalid", or a
// refusal that comes after the value was looked at.
func (o *Observations) slipFound() bool {
	_, found := o.slipOf()
	return found
}

func (o *Observations) slipOf() (Attempt, bool) {
	before := o.refusedCode()
	for _, a := range o.Attempts {
		later := a.code() == 7000222 && before == 7000215 || secretTaken(a.code()) || aboutValue(before) && scopeRefused(a.code())
		if a.Purpose == Corrected && (a.accepted() || later) {
			return a, true
		}
	}
	return Attempt{}, false
}

// refusedCode is the code that the value as it is got, wherever its app lives.
func (o *Observations) refusedCode() int {
	if a, ok := o.abroad(); ok {
		return a.code()
	}
	a, _ := o.first(AsIs)
	return a.code()
}

// askCopies sends another copy of the setting: does the app take that one?
func askCopies(o *Observations) (Experiment, bool) {
	if o.settled() || o.slipFound() || o.count(OtherCopy) >= maxCopies {
		return Experiment{}, false
	}
	for _, s := range o.copies() {
		if o.sent(s) {
			continue
		}
		return send(attempt(OtherCopy, s, o.Case.Scope)), true
	}
	return Experiment{}, false
}

// askAbroad sends a refused value to the same app at other known tenants.
func askAbroad(o *Observations) (Experiment, bool) {
	if o.settled() || o.slipFound() || o.looksLikeID() || o.count(ValueAbroad) >= maxAbroad {
		return Experiment{}, false
	}
	for _, tenant := range o.tenants() {
		s := o.Case.Setting
		s.TenantID = tenant
		if entra.SameGUID(tenant, o.tenant()) || o.sent(s) {
			continue
		}
		return send(attempt(ValueAbroad, s, o.Case.Scope)), true
	}
	return Experiment{}, false
}

// sent reports whether a setting has been sent already.
func (o *Observations) sent(s entra.Setting) bool {
	return slices.ContainsFunc(o.Attempts, func(a Attempt) bool {
		return a.Request.TenantID == s.TenantID && entra.SameGUID(a.Request.ClientID, s.ClientID) && a.Request.Value.Equal(s.Value)
	})
}

// holders are the apps whose secret the value may be: other settings of the
// run cost no search, so they come first.
func (o *Observations) holders() []entra.App {
	var found []entra.App
	for _, s := range o.others() {
		if s.TenantID == o.Case.Setting.TenantID && entra.IsGUID(s.ClientID) && !entra.SameGUID(s.ClientID, o.Case.Setting.ClientID) {
			found = append(found, entra.App{TenantID: s.TenantID, ClientID: s.ClientID, DisplayName: "the app of " + s.Origin})
		}
	}
	if o.Directory != nil {
		found = append(found, o.Directory.Holders...)
	}
	return found
}

// pairing returns the other setting that holds this value with that client id.
func (o *Observations) pairing(clientID string) (entra.Setting, bool) {
	for _, s := range o.others() {
		if entra.SameGUID(s.ClientID, clientID) && s.Value.Equal(o.Case.Setting.Value) {
			return s, true
		}
	}
	return entra.Setting{}, false
}

// ruleAbroad: the same app takes the value in another tenant.
func ruleAbroad(o *Observations) (finding, bool) {
	a, ok := o.success(ValueAbroad)
	if !ok {
		return finding{}, false
	}
	return finding{
		cause: "secret-of-other-tenant", confidence: Confirmed, evidence: append(asIs(o), probed(a)),
		summary: fmt.Sprintf("The value belongs to the same app in tenant %s.", a.Request.TenantID),
	}, true
}

// ruleCopy: another copy of the setting works, this one does not.
func ruleCopy(o *Observations) (finding, bool) {
	a, ok := o.success(OtherCopy)
	if !ok {
		return finding{}, false
	}
	origin := "another copy"
	for _, s := range o.copies() {
		if s.Value.Equal(a.Request.Value) {
			origin = s.Origin
		}
	}
	f := finding{evidence: []Evidence{probed(a), {FromFile, "the copy at " + origin + " holds another value, which signs in", origin}}}
	f.steps, f.stepsAlone = []Fix{{Do: "Bring this place to the value of " + origin + ".", Run: "credsmith drift ."}, prove}, true
	_, live := o.hintedLive()
	shape := o.Case.Setting.Value.Shape()
	switch {
	case o.Case.Setting.Value.OneEditFrom(a.Request.Value):
		f.cause, f.confidence = "secret-typo", Confirmed
		f.summary = "The value differs by one edit from the copy at " + origin + ", which works."
		return f, true
	case live || o.looksLikeID() || shape.Kind == secret.Placeholder || shape.Kind == secret.EntraQ && !shape.Whole:
		return finding{}, false // the value itself says more
	}
	f.cause, f.confidence = "secret-superseded", Likely
	f.also = []Also{{"secret-of-other-app", Possible}}
	if known, ok := ruleKnownRemoved(o); ok {
		if known.cause != "secret-deleted" {
			return known, true // this is the newer value of the two
		}
		f.confidence, f.key, f.also, f.unknown = known.confidence, known.key, nil, known.unknown
		f.evidence = append(f.evidence, known.evidence...)
		return f, true
	}
	f.unknown = []Unknown{{"secret-superseded", "credsmith never saw this value accepted, so it may never have been this app's", "compare when the two places were last written"}}
	return f, true
}

// ruleClock: an answer about time is about the clock if the clock is off.
func ruleClock(o *Observations) (finding, bool) {
	refused := o.refusal()
	if refused == nil || refused.Code != 700024 && refused.Code != 50013 {
		return finding{}, false
	}
	f := finding{cause: "clock-skew", confidence: Likely, evidence: asIs(o)}
	skew, known := o.skew()
	switch {
	case known && skew.Abs() >= maxSkew:
		f.confidence = Confirmed
	case known:
		f.confidence = Possible
		f.unknown = []Unknown{{"clock-skew", "this machine's clock is right; that of the machine that failed is not known", "run doctor on the machine that fails"}}
	}
	return f, true
}
