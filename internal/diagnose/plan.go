package diagnose

import (
	"slices"
	"time"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// Kind is the kind of an experiment.
type Kind string

// The kinds.
const (
	Discover Kind = "discover" // look at Tenant's public metadata
	Send     Kind = "send"     // send Attempt
	Look     Kind = "look"     // ask the directory for the app and its changes
	Search   Kind = "search"   // search the directory for apps with the value's Hint
	Use      Kind = "use"      // use Token on the case's resource
	Gather   Kind = "gather"   // ask the logs and policies about the app
)

// Experiment is the next thing to find out.
type Experiment struct {
	Kind    Kind
	Tenant  string
	After   time.Duration // before a look at metadata that could not be had
	Attempt *Attempt      // without answer
	Hint    string
	Token   *entra.Token
}

func send(a *Attempt) Experiment { return Experiment{Kind: Send, Attempt: a} }

// Limits of one kind of experiment, so that no kind eats the whole budget.
const (
	maxCorrections = 6
	maxTenants     = 3
	maxHolders     = 3
	maxRepeats     = 2 // of one question to a busy service
)

// Pauses before a question is repeated, and the most that a service may ask for.
const (
	busyPause    = time.Second
	maxBusyPause = 10 * time.Second
)

// Next returns the experiment that tells most at the lowest price, and false
// when nothing is left to find out. It is pure: the same observations give the
// same experiment.
func Next(o *Observations) (Experiment, bool) {
	if o.Case.Offline || o.Case.Alone || o.secretAsTenant() {
		return Experiment{}, false
	}
	for _, question := range []func(*Observations) (Experiment, bool){
		askBusy, askTenant, askCleanTenant, askSwapped, askAsIs, askReshaped, askRescoped, askDirectory, askCleanIDs, askTrueClientID,
		askOtherTenants, askCorrections, askCopies, askAgain, askSearch, askHolders, askAbroad, askResource, askUse,
	} {
		e, ok := question(o)
		if !ok || e.Kind == Send && o.triesLeft() <= 0 {
			continue
		}
		return e, true
	}
	return Experiment{}, false
}

func attempt(p Purpose, s entra.Setting, scope string) *Attempt {
	return &Attempt{Purpose: p, Request: entra.TokenRequest{TenantID: s.TenantID, ClientID: s.ClientID, Value: s.Value, Scope: scope}}
}

// discovery is the authority's word on the setting's tenant: the first answer
// that is one, or else the last that is none.
func (o *Observations) discovery() (Discovery, bool) {
	var last Discovery
	asked := false
	for _, d := range o.Discoveries {
		if d.Tenant != o.Case.Setting.TenantID {
			continue
		}
		if last, asked = d, true; !d.busy() {
			break
		}
	}
	return last, asked
}

// reachable reports whether the authority answers as Entra does.
func (o *Observations) reachable() bool {
	d, asked := o.discovery()
	return asked && d.Err == nil && !d.busy()
}

// tenantKnown reports whether the setting's tenant exists.
func (o *Observations) tenantKnown() bool {
	d, _ := o.discovery()
	return o.reachable() && d.Answer.TenantID != ""
}

// askBusy repeats the last token request when nobody looked at it.
func askBusy(o *Observations) (Experiment, bool) {
	if len(o.Attempts) == 0 {
		return Experiment{}, false
	}
	a := o.Attempts[len(o.Attempts)-1]
	if !a.busy() || a.Repeats >= maxRepeats || a.code() == requestLoop {
		return Experiment{}, false
	}
	a.After = pauseFor(a.Answer, a.Repeats)
	a.Repeats++
	a.Answer, a.Err = nil, nil
	return send(&a), true
}

// requestLoop is the answer to a client that asks too often: asking again would
// prolong it.
const requestLoop = 50196

// pauseFor is what the service asks for, within reason, or else grows.
func pauseFor(a *entra.Answer, repeats int) time.Duration {
	if a != nil && a.RetryAfter > 0 {
		return min(a.RetryAfter, maxBusyPause)
	}
	return busyPause << repeats
}

// askTenant looks at public metadata first: before a secret goes to a host,
// the host has to show that it speaks Entra's language.
func askTenant(o *Observations) (Experiment, bool) {
	e := Experiment{Kind: Discover, Tenant: o.Case.Setting.TenantID}
	d, asked := o.discovery()
	if asked {
		e.After = pauseFor(d.Answer, len(o.Discoveries)-1)
	}
	return e, (!asked || d.busy() && len(o.Discoveries) <= maxRepeats) && !o.Case.Setting.Value.IsEmpty()
}

func askCleanTenant(o *Observations) (Experiment, bool) {
	clean := entra.CleanIdentifier(o.Case.Setting.TenantID)
	asked := slices.ContainsFunc(o.Discoveries, func(d Discovery) bool { return d.Tenant == clean })
	return Experiment{Kind: Discover, Tenant: clean}, !asked && o.reachable() && !o.tenantKnown() &&
		entra.FormOfTenant(clean) != entra.TenantMalformed
}

func askAsIs(o *Observations) (Experiment, bool) {
	if !o.reachable() || len(o.Attempts) > 0 {
		return Experiment{}, false
	}
	// A tenant that discovery refuses is refused at the token endpoint too; a
	// shared one is not, and its answer is worth having.
	if !o.tenantKnown() && entra.FormOfTenant(o.Case.Setting.TenantID) != entra.TenantShared {
		return Experiment{}, false
	}
	a := attempt(AsIs, o.Case.Setting, o.Case.Scope)
	if o.Case.Captured != nil {
		a.Request.Raw = &o.Case.Captured.Request
	}
	return send(a), true
}

func askReshaped(o *Observations) (Experiment, bool) {
	a, sent := o.first(AsIs)
	ok := o.Case.Captured != nil && sent && !a.accepted() && len(o.Case.Captured.Faults) > 0 && o.count(Reshaped) == 0
	return send(attempt(Reshaped, o.Case.Setting, o.Case.Scope)), ok
}

// askDirectory comes once the setting was refused, or when the user saw an
// error that the setting does not show, or to remember which secret it is.
func askDirectory(o *Observations) (Experiment, bool) {
	return Experiment{Kind: Look}, o.Directory == nil && o.DirectoryErr == nil && o.reachable() &&
		(len(o.Attempts) > 0 || !o.tenantKnown())
}

// askCleanIDs sends tenant and client id without what copying left around them.
func askCleanIDs(o *Observations) (Experiment, bool) {
	s := o.Case.Setting
	s.TenantID, s.ClientID = entra.CleanIdentifier(s.TenantID), entra.CleanIdentifier(s.ClientID)
	changed := s.TenantID != o.Case.Setting.TenantID || s.ClientID != o.Case.Setting.ClientID
	known := slices.ContainsFunc(o.Discoveries, func(d Discovery) bool { return d.Tenant == s.TenantID && d.Answer != nil && d.Answer.TenantID != "" })
	return send(attempt(CleanedID, s, o.Case.Scope)), changed && known && !o.accepted() && o.count(CleanedID) == 0
}

func askTrueClientID(o *Observations) (Experiment, bool) {
	if !o.home() || o.Directory.ByObjectID == nil || o.count(TrueClientID) > 0 {
		return Experiment{}, false
	}
	s := o.Case.Setting
	s.ClientID = o.Directory.ByObjectID.ClientID
	a := attempt(TrueClientID, s, o.Case.Scope)
	a.App = *o.Directory.ByObjectID
	return send(a), true
}

// askOtherTenants comes when the tenant, or the app in it, is not there. Any
// answer that gets past the look-up of the app shows that it lives there.
func askOtherTenants(o *Observations) (Experiment, bool) {
	a, sent := o.first(AsIs)
	elsewhere := o.reachable() && (!sent && !o.tenantKnown() || sent && (appUnknown(a.code()) || a.code() == 50059))
	if !elsewhere || o.count(OtherTenant) >= maxTenants {
		return Experiment{}, false
	}
	if _, found := o.appElsewhere(); found {
		return Experiment{}, false
	}
	s := o.Case.Setting
	for _, tenant := range o.tenants() {
		tried := slices.ContainsFunc(o.Attempts, func(a Attempt) bool { return entra.SameGUID(a.Request.TenantID, tenant) })
		if tried || entra.SameGUID(tenant, o.tenant()) {
			continue
		}
		s.TenantID = tenant
		return send(attempt(OtherTenant, s, o.Case.Scope)), true
	}
	return Experiment{}, false
}

// appElsewhere returns an attempt that another tenant answered as one does
// that knows the app.
func (o *Observations) appElsewhere() (Attempt, bool) {
	for _, a := range o.Attempts {
		if a.Purpose == OtherTenant && a.Answer != nil && (a.accepted() || pastLookup(a.code())) {
			return a, true
		}
	}
	return Attempt{}, false
}

func appUnknown(code int) bool { return code == 700016 || code == 70001 || code == 7000229 }

// pastLookup knows the codes that come only after the app has been found.
func pastLookup(code int) bool {
	switch code {
	case 7000215, 7000222, 7000112, 500011, 50012:
		return true
	}
	return secretTaken(code)
}

// secretTaken knows the codes that come only after the secret was accepted:
// those of roles, consent and policies.
func secretTaken(code int) bool {
	switch code {
	case 53003, 53000, 530032, 501051, 50105, 65001:
		return true
	}
	return false
}

// valueRefused reports whether the setting as it is was refused for its value.
func (o *Observations) valueRefused() bool {
	a, sent := o.first(AsIs)
	return sent && (a.code() == 7000215 || a.code() == 7000222 || a.code() == 50012)
}

// settled reports whether nothing more needs to be learnt of a refused value.
func (o *Observations) settled() bool {
	if o.accepted() || !o.valueRefused() {
		return true
	}
	_, isSecretID := o.secretID()
	return isSecretID
}

// secretID returns the credential whose key id the value is, once quotes and
// the like are off.
func (o *Observations) secretID() (entra.Credential, bool) {
	if !o.home() || o.Directory.App == nil {
		return entra.Credential{}, false
	}
	for _, c := range o.Directory.App.Credentials {
		if holdsID(o.Case.Setting.Value, c.KeyID) {
			return c, true
		}
	}
	return entra.Credential{}, false
}

func holdsID(v secret.Value, id string) bool {
	return v.HoldsID(id) || slices.ContainsFunc(v.Corrections(), func(c secret.Correction) bool { return c.Value.HoldsID(id) })
}

// looksLikeID reports whether the value is a GUID, once quotes and the like are off.
func (o *Observations) looksLikeID() bool {
	v := o.Case.Setting.Value
	return v.Shape().Kind == secret.GUID ||
		slices.ContainsFunc(v.Corrections(), func(c secret.Correction) bool { return c.Value.Shape().Kind == secret.GUID })
}

func askCorrections(o *Observations) (Experiment, bool) {
	if !o.slipsOpen() || o.count(Corrected) >= maxCorrections {
		return Experiment{}, false
	}
	for _, c := range o.Case.Setting.Value.Corrections() {
		tried := slices.ContainsFunc(o.Attempts, func(a Attempt) bool { return a.Request.Value.Equal(c.Value) })
		if tried || c.Value.Shape().Kind == secret.GUID {
			continue
		}
		s := o.Case.Setting
		s.Value = c.Value
		if a, ok := o.abroad(); ok {
			s.TenantID = a.Request.TenantID
		}
		a := attempt(Corrected, s, o.Case.Scope)
		a.Slips = c.Slips
		return send(a), true
	}
	return Experiment{}, false
}

// askAgain repeats the request as it is. One refusal proves nothing: servers
// learn of a secret one by one.
func askAgain(o *Observations) (Experiment, bool) {
	if o.settled() || o.slipFound() || !o.mayBeSpreading() {
		return Experiment{}, false
	}
	a := attempt(Again, o.Case.Setting, o.Case.Scope)
	a.After = o.againAfter()
	return send(a), o.count(Again) == 0 || o.watched()+a.After <= o.watch()
}

// mayBeSpreading reports whether the value looks whole and nothing known of
// the directory speaks against a new secret.
func (o *Observations) mayBeSpreading() bool {
	shape := o.Case.Setting.Value.Shape()
	if shape.Kind != secret.EntraQ && shape.Kind != secret.Legacy && shape.Kind != secret.Unknown || len(shape.Invisible) > 0 {
		return false
	}
	if !o.home() {
		return shape.Kind != secret.EntraQ || shape.Whole
	}
	_, live := o.hintedLive()
	return live
}

// watch is how long the value is watched: as asked, else only if a young
// secret is known to have its hint.
func (o *Observations) watch() time.Duration {
	if o.Case.Watch > 0 {
		return o.Case.Watch
	}
	if c, live := o.hintedLive(); live && o.isYoung(c) {
		return youngWatch
	}
	return 0
}

// watched is the waiting done so far.
func (o *Observations) watched() time.Duration {
	var sum time.Duration
	for _, a := range o.Attempts {
		sum += a.After
	}
	return sum
}

// againAfter spaces repetitions: close together in the seconds in which most
// secrets spread, then doubling, so that the tries left cover the whole watch.
func (o *Observations) againAfter() time.Duration {
	n := o.count(Again)
	if o.Case.Fast && n == 0 {
		return 0
	}
	after := []time.Duration{1, 1, 2, 3}[min(n, 3)] * time.Second
	left := o.watch() - o.watched()
	return max(after, left/(1<<max(o.triesLeft(), 1)-1)).Truncate(time.Millisecond)
}

// askSearch looks for the app the value belongs to.
func askSearch(o *Observations) (Experiment, bool) {
	hint := o.Case.Setting.Value.Shape().Hint
	a, sent := o.first(AsIs)
	unplaced := !o.settled() && len(o.hinted()) == 0 || sent && appUnknown(a.code()) && !o.accepted()
	return Experiment{Kind: Search, Hint: hint}, o.home() && unplaced && !o.Directory.Searched && hint != "" && !o.looksLikeID()
}

func askHolders(o *Observations) (Experiment, bool) {
	first, ok := o.first(AsIs)
	open := ok && !o.slipFound() && (aboutValue(first.code()) || appUnknown(first.code()))
	if o.accepted() || !open || o.looksLikeID() || o.count(OtherClientID) >= maxHolders {
		return Experiment{}, false
	}
	for _, app := range o.holders() {
		if slices.ContainsFunc(o.Attempts, func(a Attempt) bool { return entra.SameGUID(a.Request.ClientID, app.ClientID) }) {
			continue
		}
		s := o.Case.Setting
		s.ClientID = app.ClientID
		a := attempt(OtherClientID, s, o.Case.Scope)
		a.App = app
		return send(a), true
	}
	return Experiment{}, false
}

func askResource(o *Observations) (Experiment, bool) {
	a, ok := o.success(AsIs)
	if !ok || o.Case.Try == "" || o.Access != nil || o.AccessErr != nil {
		return Experiment{}, false
	}
	return Experiment{Kind: Use, Token: a.Answer.Token}, true
}
