package rotate

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/credsmith/credsmith/internal/audit"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
)

// What a rotation takes for granted.
const (
	// CallTimeout bounds one request to the outside.
	CallTimeout = 30 * time.Second
	// Hold is how long a process is the holder of a rotation without a sign of
	// life. Another one takes over no sooner than Grace after that, when a
	// request of the first can no longer be under way.
	Hold  = 45 * time.Second
	Grace = CallTimeout + skew
	skew  = 5 * time.Second // between the clocks of two machines

	// sealFor is how long we try to write a new value down when all else has
	// been called off: giving up would leave a secret that nobody knows.
	sealFor = 20 * time.Second

	acceptTimes = 3                // in a row at least, before a value is delivered
	acceptEvery = 2 * time.Second  // between them
	acceptFor   = 30 * time.Minute // until a refusal is no longer propagation
	maxAttempts = 3                // at minting

	// A thing is gone when so many readings over so long agree: replicas of
	// the directory lag behind.
	absentReadings = 3
	absentOver     = 15 * time.Minute

	maxOffset     = 5 * time.Minute // between our clock and the directory's
	lifetimeSlack = time.Hour       // below a policy's limit, for its clock
	logLag        = time.Hour       // entries of the sign-in log arrive out of order within it
	logLate       = 24 * time.Hour  // and hardly any come later than that
	logKept       = 90 * 24 * time.Hour
	pollOverlap   = time.Hour
	recheckGood   = time.Minute // how old the last look may be when the old secret is removed
	reloadFor     = 30 * time.Minute
	maxWait       = time.Hour // on a server that asks for more, we ask again
	sinkTries     = 8         // before a person is asked
)

// Config is what an Engine is made of.
type Config struct {
	Binding   Binding
	Directory Directory
	Tokens    Tokens
	Journal   Journal
	Key       secret.Key // of fingerprints
	Actor     string     // in the audit record: "cli:ada@build-7"
	Authority string     // origin of the token endpoint
	// AsOperator returns the directory as the operator sees it who has just
	// signed in with a secret; for the rotation of the operator's own.
	AsOperator func(clientID string, v secret.Value) (Directory, error)
	// MayRetire bounds how many old secrets may go in an hour over all apps;
	// beyond it a person must say so. 0 for the default of 5.
	MayRetire int
	// Now is the clock, time.Now unless set.
	Now func() time.Time
	// At is called at each point where a process may die; nil but in tests.
	At func(Point)
}

// Engine rotates the secrets of one binding. It is safe for use by several
// goroutines, each on a rotation of its own.
type Engine struct {
	binding   Binding
	directory Directory
	tokens    Tokens
	journal   Journal
	key       secret.Key
	actor     string
	authority string
	mayRetire int
	now       func() time.Time
	at        func(Point)
	sinks     map[string]sink.Sink

	asOperator func(string, secret.Value) (Directory, error)
}

// New returns the engine of a binding.
func New(c Config) *Engine {
	e := &Engine{
		binding: c.Binding, directory: c.Directory, tokens: c.Tokens, journal: c.Journal, key: c.Key,
		actor: c.Actor, authority: c.Authority, mayRetire: c.MayRetire, now: c.Now, at: c.At,
		asOperator: c.AsOperator,
		sinks:      map[string]sink.Sink{},
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.at == nil {
		e.at = func(Point) {}
	}
	if e.mayRetire == 0 {
		e.mayRetire = 5
	}
	for _, k := range c.Binding.Sinks {
		e.sinks[k.Ref()] = k
	}
	return e
}

// Blocked is returned for a plan that cannot be run.
type Blocked struct{ Plan *Plan }

func (b *Blocked) Error() string {
	return "the rotation of " + b.Plan.Binding + " cannot be run: " + strings.Join(b.Plan.Blockers, "; ")
}

// ErrReplan means that the world is no longer as the plan found it.
var ErrReplan = errors.New("the app or a sink has changed since the plan was made: make a new plan")

// Start makes the plan again, refuses if it is not the approved one, and
// begins its rotation. approved is the plan's hash; "" approves whatever it is.
func (e *Engine) Start(ctx context.Context, o Options, approved string) (*Rotation, error) {
	if err := e.notPaused(ctx); err != nil {
		return nil, err
	}
	p, s, err := e.plan(ctx, o)
	if err != nil {
		return nil, err
	}
	if approved != "" && approved != p.Hash {
		return nil, fmt.Errorf("plan %s was approved, and it would be %s now: %w", approved, p.Hash, ErrReplan)
	}
	if len(p.Blockers) > 0 {
		return nil, &Blocked{p}
	}
	if err := e.known(ctx, s); err != nil {
		return nil, err
	}
	now := e.now()
	r := &Rotation{ID: "r-" + random(10), Binding: p.Binding, Plan: *p, Options: o, State: Running, Step: Check, Started: now, Updated: now, Next: says[Check]}
	for _, k := range p.Sinks {
		r.Sinks = append(r.Sinks, SinkProgress{
			Ref: k.Ref, State: Pending, Abilities: k.Abilities, Prior: k.Prior, HadPrior: k.Prior != "", Reloads: k.Reloads,
		})
	}
	e.at(before("intent"))
	err = e.journal.Begin(ctx, r, e.entry(r, audit.Start, audit.Done, "plan "+p.Hash))
	if err != nil {
		return nil, fmt.Errorf("begin the rotation of %s: %w", p.Binding, err)
	}
	e.at(after("intent"))
	return r, nil
}

// known refuses to work from a journal that is older than the world: an app
// that has a secret of a later generation than the journal's.
func (e *Engine) known(ctx context.Context, s *survey) error {
	last, err := e.journal.Generation(ctx, e.binding.TenantID, e.binding.ClientID)
	if err != nil {
		return err
	}
	for _, c := range s.snapshot.App.Credentials {
		if m, ok := parseMark(c.DisplayName); ok && m.generation > last {
			return &Older{fmt.Sprintf("secret %s (%s) of the app", c.KeyID, c.DisplayName), last}
		}
	}
	for ref, h := range s.held {
		if h.Generation > last {
			return &Older{"the value in " + ref, last}
		}
	}
	return nil
}

// Older means that the journal was restored from an old copy, or is not the
// one that this app was rotated with.
type Older struct {
	What string
	Last int64
}

func (o *Older) Error() string {
	return fmt.Sprintf("%s was written by a later rotation than any this database knows (its last is number %d): the database is an old copy, or another one is in use; nothing is changed until the right one is restored", o.What, o.Last)
}

// Advance takes a rotation one action further and returns it as it is then.
// It does nothing before the rotation's Wake. An error other than the
// journal's or the context's is written into the rotation, not returned.
func (e *Engine) Advance(ctx context.Context, id string) (*Rotation, error) {
	r, err := e.take(ctx, id)
	if err != nil {
		return nil, err
	}
	if r.State.Ended() || r.State == NeedsPerson || e.now().Before(r.Wake) {
		return r, e.journal.Release(ctx, r)
	}
	if r.Binding != e.binding.Name {
		return r, fmt.Errorf("rotation %s is of binding %s, not of %s", id, r.Binding, e.binding.Name)
	}
	if err := e.notPaused(ctx); err != nil {
		return r, err
	}
	for _, k := range r.Sinks {
		if e.sinks[k.Ref] == nil {
			return e.stop(ctx, r, fmt.Errorf("sink %s is no longer in the configuration of %s: put it back, or roll back", k.Ref, r.Binding))
		}
	}
	// No call outlives our hold on the rotation: whoever takes it over later
	// finds nothing of ours under way.
	short, cancel := context.WithTimeoutCause(ctx, Hold-skew, errors.New("this step took too long"))
	defer cancel()
	err = e.step(short, r)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return r, context.Cause(ctx)
	case errors.Is(err, ErrStale), errors.Is(err, errJournal):
		return r, err
	default:
		if err := e.trouble(ctx, r, err); err != nil {
			return r, err
		}
	}
	if r.State.Ended() || r.State == NeedsPerson || r.Wake.Sub(e.now()) > Hold/2 {
		return r, e.journal.Release(ctx, r)
	}
	return r, nil
}

// errJournal marks an error of the journal: there is nowhere to write it.
var errJournal = errors.New("write the journal")

// Paused is returned while all writes are stopped.
type Paused struct{ Why string }

func (p *Paused) Error() string {
	return "rotations are paused (" + p.Why + ")"
}

func (e *Engine) notPaused(ctx context.Context) error {
	why, err := e.journal.Paused(ctx)
	if err != nil {
		return err
	}
	if why != "" {
		return &Paused{why}
	}
	return nil
}

// take makes us the holder.
func (e *Engine) take(ctx context.Context, id string) (*Rotation, error) {
	e.at(before("lease"))
	r, err := e.journal.Take(ctx, id, Hold)
	if err != nil {
		return nil, fmt.Errorf("take up rotation %s: %w", id, err)
	}
	e.at(after("lease"))
	return r, nil
}

// step does the one action that is due.
func (e *Engine) step(ctx context.Context, r *Rotation) error {
	switch r.Step {
	case Check:
		return e.check(ctx, r)
	case Mint:
		return e.mint(ctx, r)
	case Accept:
		return e.accept(ctx, r)
	case Deliver:
		return e.deliver(ctx, r)
	case Verify:
		return e.verify(ctx, r)
	case Prove:
		return e.prove(ctx, r)
	case Reload:
		return e.reload(ctx, r)
	case Adopt:
		return e.adopt(ctx, r)
	case Overlap:
		return e.overlap(ctx, r)
	case Recheck:
		return e.recheck(ctx, r)
	case Retire:
		return e.retire(ctx, r)
	case Gone:
		return e.gone(ctx, r)
	case Restore:
		return e.restore(ctx, r)
	case Restored:
		return e.restored(ctx, r)
	case Unmint:
		return e.unmint(ctx, r)
	case Unminted:
		return e.unminted(ctx, r)
	case Shred:
		return e.shred(ctx, r)
	case Close:
		return e.close(ctx, r)
	}
	return fmt.Errorf("rotation %s is at step %q, which this version does not know: use the version that wrote it, or a newer one", r.ID, r.Step)
}

// call makes one request to the outside. The name is that of its kill points.
func (e *Engine) call(ctx context.Context, name string, do func(context.Context) error) error {
	e.at(beforeCall(name))
	ctx, cancel := context.WithTimeoutCause(withCall(ctx, name), CallTimeout, fmt.Errorf("no answer within %s", CallTimeout))
	defer cancel()
	// A process that was stopped and let on again may come here long after its
	// time, before the context has noticed.
	if until, ok := ctx.Deadline(); ok && !time.Now().Before(until) {
		return context.DeadlineExceeded
	}
	err := do(ctx)
	e.at(afterCall(name))
	return err
}

// commit writes a rotation down.
func (e *Engine) commit(ctx context.Context, r *Rotation, name string, values map[string]secret.Value, entries ...audit.Entry) error {
	r.Updated = e.now()
	e.at(before(name))
	if err := e.journal.Save(ctx, r, values, entries...); err != nil {
		if errors.Is(err, ErrStale) {
			return err
		}
		return fmt.Errorf("%w: %w", errJournal, err)
	}
	e.at(after(name))
	return nil
}

// to moves a rotation on to its next step.
func (e *Engine) to(r *Rotation, s Step) {
	r.Step, r.State, r.Next = s, Running, says[s]
	r.Trouble, r.Tries, r.Wake = "", 0, time.Time{}
	r.Absence = Absence{}
}

// wait keeps a rotation where it is until later.
func (e *Engine) wait(r *Rotation, d time.Duration, next string) {
	r.Wake = e.now().Add(d)
	if next != "" {
		r.Next = next
	}
	r.State = Running
	if d > time.Minute {
		r.State = Waiting
	}
}

// trouble writes an error into the rotation: wait and try again, or ask a
// person, by what kind of error it is.
func (e *Engine) trouble(ctx context.Context, r *Rotation, err error) error {
	kind, after := judge(err)
	r.Trouble = err.Error()
	r.Tries++
	if kind == sink.Denied || kind == sink.Invalid {
		_, err := e.stop(ctx, r, err)
		return err
	}
	e.wait(r, pause(r.Tries, after), "try again")
	return e.commit(ctx, r, "trouble", nil)
}

// stop asks for a person.
func (e *Engine) stop(ctx context.Context, r *Rotation, why error) (*Rotation, error) {
	r.State, r.Trouble = NeedsPerson, why.Error()
	r.Next = "mend what is named, then: credsmith rotate resume " + r.Binding
	r.Wake = time.Time{}
	return r, e.commit(ctx, r, "trouble", nil)
}

// judge sorts errors of all ports into the kinds of a sink.
func judge(err error) (sink.Kind, time.Duration) {
	if s, ok := errors.AsType[*sink.Error](err); ok {
		return s.Kind, s.After
	}
	if d, ok := errors.AsType[*entra.Refusal](err); ok {
		switch d.Kind {
		case entra.RefusedPermission, entra.RefusedPolicy, entra.RefusedLimit, entra.RefusedLicence, entra.RefusedOther:
			return sink.Denied, 0
		}
		return sink.Throttled, d.After
	}
	if _, ok := errors.AsType[*decision](err); ok {
		return sink.Denied, 0
	}
	return sink.Unreachable, 0
}

// decision is an error that only a person can decide.
type decision struct{ text string }

func (d *decision) Error() string { return d.text }

func decide(format string, args ...any) error { return &decision{fmt.Sprintf(format, args...)} }

// pause is how long to wait before the n-th try: what the server asked for,
// within reason, else longer each time, and never the same for two.
func pause(n int, asked time.Duration) time.Duration {
	d := min(5*time.Second<<min(n-1, 6), 5*time.Minute)
	if asked > 0 {
		d = min(asked, maxWait)
	}
	jitter, err := rand.Int(rand.Reader, big.NewInt(int64(d)/4+1))
	if err != nil {
		panic("rotate: no randomness: " + err.Error())
	}
	return d + time.Duration(jitter.Int64())
}

// absent counts one more reading that something is not there, and reports
// whether they are enough.
func (e *Engine) absent(r *Rotation) bool {
	now := e.now()
	if r.Absence.Readings == 0 {
		r.Absence.First = now
	}
	r.Absence.Readings++
	return r.Absence.Readings >= absentReadings && now.Sub(r.Absence.First) >= absentOver
}

func (e *Engine) entry(r *Rotation, a audit.Action, o audit.Outcome, detail string) audit.Entry {
	return audit.Entry{
		At: e.now(), Actor: e.actor, Action: a, Outcome: o, TenantID: r.Plan.TenantID, ClientID: r.Plan.ClientID,
		Rotation: r.ID, Detail: detail,
	}
}

// random returns n characters of 5 bits each.
func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))[:n]
}

// OldSecret is the detail of audit entries about retiring, which the brake counts.
const OldSecret = "old secret"

// says is what each step is about to do, for a person.
var says = map[Step]string{
	Check: "read the app, its policy and every sink", Mint: "add a new secret", Accept: "wait until the new value is taken",
	Deliver: "write the new value to the sinks", Verify: "read it back", Prove: "prove the new value",
	Reload: "make consumers take it up", Adopt: "see who signs in with which secret", Overlap: "wait until nobody uses the old secret",
	Recheck: "look once more at everything", Retire: "remove the old secret", Gone: "see that it is gone",
	Restore: "put the old values back", Restored: "read them back", Unmint: "remove the new secret", Unminted: "see that it is gone",
	Shred: "destroy the sealed values", Close: "close the rotation",
}
