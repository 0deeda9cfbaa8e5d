package diagnose

import (
	"errors"
	"slices"
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// Young is the age under which a refused secret may still be spreading over
// the sign-in servers. Reports range from seconds to some minutes.
const Young = 15 * time.Minute

// youngWatch is how long a young secret is watched if the case does not say.
const youngWatch = 30 * time.Second

// DefaultMaxTries is how many token requests a case may cost: failed sign-ins
// can raise the tenant's own alarms.
const DefaultMaxTries = 12

// Case is a question put to the doctor.
type Case struct {
	Setting     entra.Setting
	Fingerprint string // of the setting's value
	// AuthorityPath is what stands behind the host in the authority as it is
	// configured, without slashes at its ends; sign-ins here go to the host.
	AuthorityPath string
	Scope         string          // such as https://graph.microsoft.com/.default
	Seen          *aadsts.Failure // the error that the user saw; nil if none was given
	Clue          *Clue           // what a text without code or OAuth error says; nil if none was given
	Alone         bool            // there is no setting: Seen or Clue is all
	Captured      *Captured       // the request that failed; nil if none was given
	KnownTenants  []string        // other tenants the app may live in
	Binding       string          // the configured binding of the app; "" for none
	Rotation      *Rotation       // of the app, that has not ended; nil for none
	Known         []entra.Setting // other settings of the same run; those of another authority are never sent
	Try           entra.Service   // where to use the token; "" for nowhere
	Watch         time.Duration   // how long to watch a value that may be spreading; 0 for the default
	MaxTries      int             // token requests at most; 0 for DefaultMaxTries
	Fast          bool            // no pause before the first repetition
	Offline       bool            // ask nobody
}

// Clue is the reading of an error text that lost code and OAuth error.
type Clue struct{ Says, Do string }

// Captured is a request that failed, and what a linter says of it.
type Captured struct {
	Request entra.RawRequest
	Faults  []Fault
}

// Fault is one thing wrong with a captured request.
type Fault struct {
	Cause Cause
	Says  string
}

// Purpose is why a token request is sent.
type Purpose string

// The purposes.
const (
	AsIs          Purpose = "as-is"
	Again         Purpose = "again"              // the same once more: answers that change mean propagation
	Corrected     Purpose = "corrected"          // the value with slips undone
	CleanedID     Purpose = "cleaned-id"         // tenant or client id without blanks and quotes
	OtherTenant   Purpose = "other-tenant"       // the same app at another known tenant
	OtherClientID Purpose = "other-client"       // the value with another app's client id
	TrueClientID  Purpose = "true-client"        // the client id that belongs to the object id given
	OtherCopy     Purpose = "other-copy"         // another copy of the setting, with its own value
	ValueAbroad   Purpose = "other-tenant-value" // a refused value at another tenant that may have the app
	Reshaped      Purpose = "reshaped"           // a captured request's parameters, sent as they should be
	Swapped       Purpose = "swapped"            // client id and value exchanged
	Rescoped      Purpose = "rescoped"           // with the scope that may have been meant
)

// Attempt is a token request and what came of it. One of Answer and Err is set.
type Attempt struct {
	Purpose Purpose
	Request entra.TokenRequest
	Slips   []secret.Slip // for Corrected: what was undone
	App     entra.App     // for OtherClientID and TrueClientID
	After   time.Duration // how long to wait before it is sent
	Repeats int           // how often it was sent before to a service too busy to answer
	Answer  *entra.Answer
	Err     error
}

func (a Attempt) accepted() bool { return a.Answer != nil && a.Answer.Token != nil }

// code is the AADSTS code of a refusal; 0 when accepted or unanswered.
func (a Attempt) code() int {
	if a.Answer == nil || a.Answer.Failure == nil {
		return 0
	}
	return a.Answer.Failure.Code
}

// Discovery is a look at a tenant's public metadata; it costs no sign-in and
// sends no secret.
type Discovery struct {
	Tenant string
	Answer *entra.Answer
	Err    error
}

// busy reports whether what came back says nothing of the tenant.
func (d Discovery) busy() bool { return unheard(d.Answer, d.Err) }

func (a Attempt) busy() bool { return unheard(a.Answer, a.Err) }

// unheard reports whether a question was not looked at: the service was busy or
// in trouble, the connection broke, or what came back is no answer. To ask again
// costs little.
func unheard(a *entra.Answer, err error) bool {
	if u, ok := errors.AsType[*entra.Unreachable](err); ok {
		return u.Obstacle == entra.OtherTrouble || u.Obstacle == entra.NotEntra
	}
	return a != nil && a.Token == nil && (a.Status == 429 || a.Status >= 500 || a.Failure != nil && transient(a.Failure.Code))
}

// Directory is what the operator's identity may see.
type Directory struct {
	TenantID   string
	App        *entra.App // with the setting's client id
	ByObjectID *entra.App // whose object id the setting has as client id
	Deleted    *entra.App // with the setting's client id, deleted and restorable
	DeletedErr error      // nil when deleted apps could be read
	Changes    []entra.Change
	ChangesErr error       // nil when the audit log could be read
	Searched   bool        // all apps were searched for the value's hint
	Holders    []entra.App // other apps that have a credential with the value's hint
	SearchErr  error
	Activity   *Activity // nil until it was asked for
}

// Observations is all that is known of a case at some point.
type Observations struct {
	Case         Case
	Discoveries  []Discovery
	Attempts     []Attempt
	Directory    *Directory // nil: nobody could be asked
	DirectoryErr error      // why the directory could not be asked; nil also when there is no operator
	Access       *entra.Access
	AccessErr    error
	Record       *entra.Record
}

// first returns the first attempt for a purpose.
func (o *Observations) first(p Purpose) (Attempt, bool) {
	i := slices.IndexFunc(o.Attempts, func(a Attempt) bool { return a.Purpose == p })
	if i < 0 {
		return Attempt{}, false
	}
	return o.Attempts[i], true
}

// success returns the first accepted attempt for a purpose.
func (o *Observations) success(p Purpose) (Attempt, bool) {
	i := slices.IndexFunc(o.Attempts, func(a Attempt) bool { return a.Purpose == p && a.accepted() })
	if i < 0 {
		return Attempt{}, false
	}
	return o.Attempts[i], true
}

func (o *Observations) count(p Purpose) int {
	n := 0
	for _, a := range o.Attempts {
		if a.Purpose == p {
			n++
		}
	}
	return n
}

// triesLeft is how many more token requests the case may cost.
func (o *Observations) triesLeft() int {
	limit := o.Case.MaxTries
	if limit == 0 {
		limit = DefaultMaxTries
	}
	return limit - o.requests()
}

// requests is how many token requests the case has cost.
func (o *Observations) requests() int {
	n := len(o.Attempts)
	for _, a := range o.Attempts {
		n += a.Repeats
	}
	return n
}

// accepted reports whether any attempt was.
func (o *Observations) accepted() bool { return slices.ContainsFunc(o.Attempts, Attempt.accepted) }

// refusal is what the case is about: the answer to the setting as it is, or
// else the error the user saw; nil when there is neither.
func (o *Observations) refusal() *aadsts.Failure {
	if a, ok := o.first(AsIs); ok && a.Answer != nil {
		return a.Answer.Failure
	}
	for _, d := range o.Discoveries {
		if d.Answer != nil && d.Answer.Failure != nil {
			return d.Answer.Failure
		}
	}
	if len(o.Attempts) == 0 {
		return o.Case.Seen
	}
	return nil
}

// now is the directory's time: the last Date the authority sent. It is zero
// when nobody was asked.
func (o *Observations) now() time.Time {
	for _, a := range slices.Backward(o.Attempts) {
		if a.Answer != nil && !a.Answer.Date.IsZero() {
			return a.Answer.Date
		}
	}
	for _, d := range slices.Backward(o.Discoveries) {
		if d.Answer != nil && !d.Answer.Date.IsZero() {
			return d.Answer.Date
		}
	}
	return time.Time{}
}

// tenant returns the GUID of the setting's tenant if discovery told it.
func (o *Observations) tenant() string {
	for _, d := range o.Discoveries {
		if d.Answer != nil && d.Answer.TenantID != "" {
			return d.Answer.TenantID
		}
	}
	return ""
}

// home reports whether the directory that was asked is that of the setting's
// tenant: only then its silence says anything about the app.
func (o *Observations) home() bool {
	return o.Directory != nil && entra.SameGUID(o.tenant(), o.Directory.TenantID)
}

// hinted returns the app's credentials whose hint is that of the value.
func (o *Observations) hinted() []entra.Credential {
	if !o.home() || o.Directory.App == nil {
		return nil
	}
	return o.Directory.App.ByHint(o.Case.Setting.Value.Shape().Hint)
}

// startSlack is how far ahead a start may lie and still count as now: the Date
// header has whole seconds only, and servers' clocks differ a little.
const startSlack = time.Minute

// ahead reports whether a credential's start lies in the future.
func (o *Observations) ahead(c entra.Credential) bool { return c.Start.Sub(o.now()) > startSlack }

// past reports whether a credential has ended.
func (o *Observations) past(c entra.Credential) bool { return !o.now().Before(c.End) }

// hintedLive is the live one among them.
func (o *Observations) hintedLive() (entra.Credential, bool) {
	for _, c := range o.hinted() {
		if !o.ahead(c) && !o.past(c) {
			return c, true
		}
	}
	return entra.Credential{}, false
}

func (o *Observations) isYoung(c entra.Credential) bool {
	return !o.now().IsZero() && o.now().Sub(c.Start) < Young
}
