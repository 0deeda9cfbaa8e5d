package diagnose

import (
	"context"
	"errors"
	"time"

	"github.com/credsmith/credsmith/internal/entra"
)

// SignIn is the token service of one authority.
type SignIn interface {
	// Discover reads a tenant's public metadata. It sends no secret.
	Discover(ctx context.Context, tenant string) (entra.Answer, error)
	// Token sends one token request, once. An answer that Entra gives, refusal
	// included, is no error; errors are *entra.Unreachable or the context's.
	Token(ctx context.Context, r entra.TokenRequest) (entra.Answer, error)
}

// Reader reads the directory with the operator's identity.
type Reader interface {
	TenantID() string
	// Find returns the app with that client id, and the app whose application
	// or service principal has it as object id. Neither found is no error.
	Find(ctx context.Context, id string) (app, byObjectID *entra.App, err error)
	// Deleted returns the deleted app with that client id, nil if there is none.
	Deleted(ctx context.Context, clientID string) (*entra.App, error)
	// Changes returns the changes of an app's credentials, newest first.
	Changes(ctx context.Context, app entra.App) ([]entra.Change, error)
	// WithHint returns the apps that have a credential with that hint.
	WithHint(ctx context.Context, hint string) ([]entra.App, error)
	// SignIns returns what the log shows of an app's own sign-ins.
	SignIns(ctx context.Context, app entra.App, since, until time.Time) (entra.SignIns, error)
	// LastUses returns the last sign-in with each credential, by key id in lower
	// case, as far as the report has it.
	LastUses(ctx context.Context, app entra.App) (map[string]time.Time, error)
	// SecretPolicy returns what restricts new secrets of an app.
	SecretPolicy(ctx context.Context, app entra.App) (entra.SecretPolicy, error)
	// Grants returns the application permissions that were consented to for an
	// app, Consents the delegated ones.
	Grants(ctx context.Context, app entra.App) ([]entra.Grant, error)
	Consents(ctx context.Context, app entra.App) ([]entra.Grant, error)
}

// Resource is what a token is tried on.
type Resource interface {
	// Use sends the token in one request at most, and only to a host that the
	// token is for. What the resource answers is no error; errors are
	// *entra.Unreachable or the context's.
	Use(ctx context.Context, token entra.Token) (entra.Access, error)
}

// Records is credsmith's memory of values it saw accepted.
type Records interface {
	// Known returns the record of a fingerprint, nil if there is none.
	Known(fingerprint string) (*entra.Record, error)
	Remember(entra.Record) error
}

// Means is what a diagnosis may use. SignIn is needed unless the case is
// offline; the others may be nil.
type Means struct {
	SignIn   SignIn
	Reader   Reader
	Resource Resource
	Records  Records
	// Pace is the least time between two token requests for the case's app.
	Pace time.Duration
	// Progress is told of each experiment before it runs; may be nil.
	Progress func(Experiment)
}

// Run observes until nothing is left to find out, and decides. The only errors
// are the context's: what cannot be reached is part of the report.
func Run(ctx context.Context, c Case, m Means) (Report, error) {
	o := &Observations{Case: c}
	recall(o, m.Records)
	var last time.Time
	for {
		e, more := Next(o)
		if !more {
			break
		}
		if m.Progress != nil {
			m.Progress(e)
		}
		if e.Kind == Discover {
			if err := pause(ctx, e.After, false); err != nil {
				return Report{}, err
			}
		}
		if e.Kind == Send {
			if err := pause(ctx, max(e.Attempt.After, m.Pace-time.Since(last)), last.IsZero()); err != nil {
				return Report{}, err
			}
			last = time.Now()
		}
		if err := o.observe(ctx, e, m); err != nil {
			return Report{}, err
		}
	}
	remember(o, m.Records)
	return Decide(o), nil
}

func pause(ctx context.Context, d time.Duration, first bool) error {
	if first || d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// observe runs one experiment and adds what it shows.
func (o *Observations) observe(ctx context.Context, e Experiment, m Means) error {
	switch e.Kind {
	case Discover:
		answer, err := m.SignIn.Discover(ctx, e.Tenant)
		o.Discoveries = append(o.Discoveries, Discovery{e.Tenant, answerOf(answer, err), err})
	case Send:
		answer, err := m.SignIn.Token(ctx, e.Attempt.Request)
		e.Attempt.Answer, e.Attempt.Err = answerOf(answer, err), err
		if e.Attempt.Repeats > 0 { // in place of the one that nobody looked at
			o.Attempts = o.Attempts[:len(o.Attempts)-1]
		}
		o.Attempts = append(o.Attempts, *e.Attempt)
	case Look:
		o.look(ctx, m.Reader)
	case Search:
		o.search(ctx, e.Hint, m.Reader)
	case Gather:
		o.gather(ctx, m.Reader)
	case Use:
		return o.use(ctx, e, m.Resource)
	}
	return context.Cause(ctx)
}

func answerOf(a entra.Answer, err error) *entra.Answer {
	if err != nil {
		return nil
	}
	return &a
}

var errNoOperator = errors.New("no operator identity is given")

// use asks the resource once, also when it is busy.
func (o *Observations) use(ctx context.Context, e Experiment, r Resource) error {
	access, err := r.Use(ctx, *e.Token)
	if o.AccessErr = err; err == nil {
		o.Access = &access
	}
	return context.Cause(ctx)
}

// absenceLooks is how often a directory has to say that something is not there
// before it is believed: one answer may come from a replica that lags behind,
// or miss an item.
const absenceLooks = 3

func (o *Observations) look(ctx context.Context, r Reader) {
	if r == nil {
		o.DirectoryErr = errNoOperator
		return
	}
	for range absenceLooks {
		if o.lookOnce(ctx, r); o.DirectoryErr != nil || o.Directory.App != nil || o.Directory.ByObjectID != nil || o.Directory.Deleted != nil {
			return
		}
	}
}

func (o *Observations) lookOnce(ctx context.Context, r Reader) {
	app, byObjectID, err := r.Find(ctx, entra.CleanIdentifier(o.Case.Setting.ClientID))
	if err != nil {
		o.DirectoryErr = err
		return
	}
	o.Directory = &Directory{TenantID: r.TenantID(), App: app, ByObjectID: byObjectID}
	switch {
	case app != nil:
		o.Directory.Changes, o.Directory.ChangesErr = r.Changes(ctx, *app)
	case byObjectID == nil:
		o.Directory.Deleted, o.Directory.DeletedErr = r.Deleted(ctx, entra.CleanIdentifier(o.Case.Setting.ClientID))
	}
}

func (o *Observations) search(ctx context.Context, hint string, r Reader) {
	o.Directory.Searched = true
	apps, err := r.WithHint(ctx, hint)
	o.Directory.SearchErr = err
	for _, app := range apps {
		if !entra.SameGUID(app.ClientID, o.Case.Setting.ClientID) {
			o.Directory.Holders = append(o.Directory.Holders, app)
		}
	}
}

// recall and remember leave errors aside: the memory helps, nothing hangs on it.
func recall(o *Observations, r Records) {
	if r != nil && o.Case.Fingerprint != "" {
		o.Record, _ = r.Known(o.Case.Fingerprint)
	}
}

// remember keeps which credential a working value is, so that its removal can
// be proven one day.
func remember(o *Observations, r Records) {
	a, ok := o.success(AsIs)
	if r == nil || !ok || o.Case.Fingerprint == "" {
		return
	}
	if live := o.hinted(); len(live) == 1 {
		_ = r.Remember(entra.Record{
			Fingerprint: o.Case.Fingerprint, TenantID: o.tenant(), ClientID: a.Request.ClientID,
			KeyID: live[0].KeyID, Hint: live[0].Hint, Seen: o.now(),
		})
	}
}
