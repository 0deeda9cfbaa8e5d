package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/audit"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// Names of sealed values.
const newValue = "new"

func priorValue(ref string) string { return "prior " + ref }

// check makes the plan once more and keeps what the sinks hold, so that it can
// be put back.
func (e *Engine) check(ctx context.Context, r *Rotation) error {
	var p *Plan
	var s *survey
	err := e.call(ctx, "check", func(ctx context.Context) (err error) {
		p, s, err = e.plan(ctx, r.Options)
		return err
	})
	if err != nil {
		return err
	}
	if p.Hash != r.Plan.Hash {
		r.Trouble = ErrReplan.Error() + ": " + r.Plan.differs(p)
		if !e.absent(r) { // one reading may lack what is there
			e.wait(r, absentOver/absentReadings+time.Minute, "look again: the directory may show something old")
			return e.commit(ctx, r, "check", nil)
		}
		// Nothing was done yet: there is nothing to undo.
		r.Step, r.State, r.Next = Close, RolledBack, "make a new plan"
		return e.commit(ctx, r, "check", nil, e.entry(r, audit.Close, audit.Refused, r.Trouble))
	}
	values := map[string]secret.Value{}
	for i := range r.Sinks {
		k := &r.Sinks[i]
		if v, ok := s.values[k.Ref]; ok {
			values[priorValue(k.Ref)] = v
		}
		k.Version = s.held[k.Ref].Version
	}
	r.Attempt = Attempt{Number: 1, Nonce: random(10)}
	e.to(r, Mint)
	return e.commit(ctx, r, "check", values)
}

// mint adds the secret. Once the request may have been sent, only a reading of
// the directory tells whether there is a secret: nothing is asked for twice.
func (e *Engine) mint(ctx context.Context, r *Rotation) error {
	if !r.Attempt.Asked.IsZero() {
		return e.findMinted(ctx, r)
	}
	if len(r.Strays) > 0 {
		return e.removeStray(ctx, r)
	}
	if i := slices.IndexFunc(r.Plan.Free, func(s Secret) bool { return !slices.Contains(r.Removed, s.KeyID) }); i >= 0 {
		return e.remove(ctx, r, r.Plan.Free[i].On, r.Plan.Free[i].OnID, r.Plan.Free[i].KeyID, "expired, in the plan")
	}
	r.Attempt.Asked = e.now()
	r.Attempt.End = r.Attempt.Asked.Add(r.Plan.lifetime()).UTC().Truncate(time.Second)
	name := e.mark(r).String()
	if err := e.commit(ctx, r, "ask", nil, e.entry(r, audit.Mint, audit.Intent, name)); err != nil {
		return err
	}
	var made entra.Credential
	var value secret.Value
	err := e.call(ctx, "mint", func(ctx context.Context) (err error) {
		made, value, err = e.directory.Mint(ctx, r.Plan.Holder, r.Plan.HolderID, name, r.Attempt.End)
		return err
	})
	// From here on giving up would leave a secret that nobody knows.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sealFor)
	defer cancel()
	if err != nil {
		return e.notMinted(ctx, r, err)
	}
	return e.seal(ctx, r, made, value)
}

func (e *Engine) mark(r *Rotation) mark { return mark{r.ID, r.Attempt.Nonce, r.Generation} }

// notMinted writes down what an error of the request means: a refusal is
// final, anything else leaves it open whether there is a secret now.
func (e *Engine) notMinted(ctx context.Context, r *Rotation, err error) error {
	if entra.RefusedAs(err) == "" {
		r.Trouble = "the answer to the request for a new secret was lost: " + err.Error()
		e.wait(r, 5*time.Second, "look whether there is a secret")
		return e.commit(ctx, r, "mint", nil, e.entry(r, audit.Mint, audit.Unknown, err.Error()))
	}
	r.Attempt.Asked = time.Time{}
	entry := e.entry(r, audit.Mint, audit.Refused, err.Error())
	if saveErr := e.commit(ctx, r, "mint", nil, entry); saveErr != nil {
		return saveErr
	}
	return err
}

// seal writes the new value down before anything uses it.
func (e *Engine) seal(ctx context.Context, r *Rotation, made entra.Credential, value secret.Value) error {
	end := made.End
	if end.IsZero() {
		end = r.Attempt.End
	}
	now := e.now()
	entry := e.entry(r, audit.Mint, audit.Done, e.mark(r).String())
	entry.KeyID = keyID(made.KeyID)
	if e.tooShort(r, end) {
		r.Strays = append(r.Strays, entry.KeyID)
		return e.again(ctx, r, entry)
	}
	r.New = &Minted{KeyID: entry.KeyID, Hint: made.Hint, On: r.Plan.Holder, End: end, At: now, Fingerprint: e.key.Fingerprint(value)}
	e.to(r, Accept)
	err := e.commit(ctx, r, "mint", map[string]secret.Value{newValue: value}, entry)
	if err == nil {
		return nil
	}
	// It cannot be kept, so it must not stay. Should this fail too, the next
	// run finds it by its name.
	undo := e.directory.Remove(ctx, r.Plan.Holder, r.Plan.HolderID, made.KeyID)
	return errors.Join(err, undo)
}

// tooShort reports, and notes, that a new secret would end before the old one
// could be retired.
func (e *Engine) tooShort(r *Rotation, end time.Time) bool {
	if r.Plan.Emergency || end.IsZero() || end.After(e.now().Add(r.Plan.overlap()+24*time.Hour)) {
		return false
	}
	r.Trouble = fmt.Sprintf("the tenant gave the new secret a life until %s only, less than the overlap needs", end.UTC().Format(time.RFC3339))
	return true
}

// keyID is a key id in the one form that is stored and compared.
func keyID(s string) string { return strings.ToLower(entra.CleanIdentifier(s)) }

// findMinted looks for the secret of an attempt whose answer is not known.
func (e *Engine) findMinted(ctx context.Context, r *Rotation) error {
	var s entra.Snapshot
	err := e.call(ctx, "mint", func(ctx context.Context) (err error) {
		s, err = e.directory.Snapshot(ctx, r.Plan.ClientID)
		return err
	})
	if err != nil {
		return err
	}
	r.Tries = 0
	if e.collectStrays(r, s) {
		r.Trouble = "the value of a new secret was lost with its answer: that secret is removed, and another one made"
		return e.again(ctx, r, e.entry(r, audit.Mint, audit.Unknown, "found, its value lost"))
	}
	if s.App == nil || !e.absent(r) {
		e.wait(r, absentOver/absentReadings+time.Minute, "look again whether there is a secret: the directory may lag behind")
		return e.commit(ctx, r, "mint", nil)
	}
	return e.again(ctx, r, e.entry(r, audit.Mint, audit.Refused, "not done: no secret of that name appeared"))
}

// again begins another attempt at minting.
func (e *Engine) again(ctx context.Context, r *Rotation, entry audit.Entry) error {
	trouble := r.Trouble
	if r.Attempt.Number >= maxAttempts {
		r.Attempt = Attempt{Number: 1, Nonce: random(10)} // of a person's resume
		r.New = nil
		if err := e.commit(ctx, r, "mint", nil, entry); err != nil {
			return err
		}
		return decide("%d attempts at adding a secret to app %s came to nothing (last: %s): look at the tenant's health, then resume", maxAttempts, r.Plan.ClientID, trouble)
	}
	r.Attempt = Attempt{Number: r.Attempt.Number + 1, Nonce: random(10)}
	r.New = nil
	e.to(r, Mint)
	r.Trouble = trouble
	return e.commit(ctx, r, "mint", nil, entry)
}

// collectStrays notes the secrets of this rotation that are not the one whose
// value we hold, and reports whether there are any.
func (e *Engine) collectStrays(r *Rotation, s entra.Snapshot) bool {
	if s.App == nil {
		return false
	}
	for _, c := range s.App.Credentials {
		m, ours := parseMark(c.DisplayName)
		id := keyID(c.KeyID)
		if !ours || m.rotation != r.ID || m.generation != r.Generation || r.New != nil && id == r.New.KeyID {
			continue
		}
		if !slices.Contains(r.Strays, id) && !slices.Contains(r.Removed, id) {
			r.Strays = append(r.Strays, id)
		}
	}
	return len(r.Strays) > 0
}

// removeStray removes one secret of ours whose value nobody has.
func (e *Engine) removeStray(ctx context.Context, r *Rotation) error {
	id := r.Strays[0]
	r.Strays = r.Strays[1:]
	return e.remove(ctx, r, r.Plan.Holder, r.Plan.HolderID, id, "ours, its value lost")
}

// remove removes one secret and writes it down.
func (e *Engine) remove(ctx context.Context, r *Rotation, on entra.Holder, onID, id, why string) error {
	intent := e.entry(r, audit.Remove, audit.Intent, why)
	intent.KeyID = id
	strays := r.Strays
	r.Strays = append(slices.Clone(strays), id) // until it is done
	if err := e.commit(ctx, r, "remove-stray", nil, intent); err != nil {
		return err
	}
	if err := e.call(ctx, "remove-stray", func(ctx context.Context) error { return e.directory.Remove(ctx, on, onID, id) }); err != nil {
		return err
	}
	r.Strays = slices.DeleteFunc(r.Strays, func(s string) bool { return s == id })
	r.Removed = append(r.Removed, id)
	done := intent
	done.Outcome, done.At = audit.Done, e.now()
	return e.commit(ctx, r, "remove-stray", nil, done)
}

// accept asks the token endpoint until it takes the new value many times in a
// row. Nothing gets the value before that.
func (e *Engine) accept(ctx context.Context, r *Rotation) error {
	taken, err := e.ask(ctx, r, "accept")
	if err != nil {
		return err
	}
	now := e.now()
	r.Tries = 0
	if !taken {
		r.New.Refusals++
		r.New.Refused = now
		r.Proof.InARow = 0
		if now.Sub(r.New.At) > acceptFor {
			return e.neverAccepted(ctx, r)
		}
		e.wait(r, min(acceptEvery<<min(r.New.Refusals-1, 3), 15*time.Second), "ask again: a new secret takes a while to spread")
		return e.commit(ctx, r, "accept", nil)
	}
	if r.New.Accepted.IsZero() {
		r.New.Accepted = now
	}
	if r.Proof.InARow == 0 {
		r.Proof.First = now
	}
	r.Proof.InARow++
	times, over := r.acceptance()
	if r.Proof.InARow < times || now.Sub(r.Proof.First) < over {
		e.wait(r, max(r.Plan.over()/time.Duration(times-1), acceptEvery), "")
		return e.commit(ctx, r, "accept", nil)
	}
	// What the answer said of the new secret, the directory may see otherwise.
	s, err := e.look(ctx, r, "accept-look")
	if err != nil {
		return err
	}
	e.collectStrays(r, s)
	if s.App != nil {
		if made, there := s.App.ByKeyID(r.New.KeyID); there && !made.End.IsZero() {
			r.New.End = made.End
		}
	}
	r.Proof = Proof{}
	if e.tooShort(r, r.New.End) {
		entry := e.entry(r, audit.Mint, audit.Refused, r.Trouble)
		entry.KeyID = r.New.KeyID
		r.Strays = append(r.Strays, r.New.KeyID)
		return e.again(ctx, r, entry)
	}
	e.to(r, Deliver)
	return e.commit(ctx, r, "accept", nil)
}

// acceptance is how often in a row, and over how long, the token endpoint must
// have taken the new value before a consumer may see it: as long as the proof
// after it, for a replica that has not heard of the secret answers only some
// of the requests. Where some were slow to hear of it, others are given
// longer.
func (r *Rotation) acceptance() (times int, over time.Duration) {
	if r.Plan.Emergency {
		return acceptTimes, 0
	}
	return max(r.Plan.Times, acceptTimes), max(r.Plan.over(), r.New.Refused.Sub(r.New.At)/2)
}

// neverAccepted looks whether the secret exists at all: an answer that said so
// may have been wrong.
func (e *Engine) neverAccepted(ctx context.Context, r *Rotation) error {
	s, err := e.directory.Snapshot(ctx, r.Plan.ClientID)
	if err != nil {
		return err
	}
	if s.App != nil {
		if _, there := s.App.ByKeyID(r.New.KeyID); there {
			return decide("secret %s of app %s exists, and the token endpoint has refused its value for %s: look at the tenant's health, then resume, or roll back", r.New.KeyID, r.Plan.ClientID, acceptFor)
		}
	}
	if !e.absent(r) {
		e.wait(r, absentOver/absentReadings+time.Minute, "look again whether the new secret exists")
		return e.commit(ctx, r, "accept", nil)
	}
	r.Trouble = "the directory said that it made secret " + r.New.KeyID + ", and it does not exist"
	return e.again(ctx, r, e.entry(r, audit.Mint, audit.Refused, r.Trouble))
}

// ask sends the new value to the token endpoint once. It reports whether it
// was taken; an answer that says nothing about the value is an error.
func (e *Engine) ask(ctx context.Context, r *Rotation, name string) (taken bool, err error) {
	value, err := e.journal.Value(ctx, r, newValue)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errJournal, err)
	}
	return e.askWith(ctx, r, name, value)
}

func (e *Engine) askWith(ctx context.Context, r *Rotation, name string, value secret.Value) (taken bool, err error) {
	if value.IsEmpty() {
		return false, decide("the sealed value of rotation %s is gone: roll back", r.ID)
	}
	var a entra.Answer
	err = e.call(ctx, name, func(ctx context.Context) (err error) {
		a, err = e.tokens.Token(ctx, entra.TokenRequest{TenantID: r.Plan.TenantID, ClientID: r.Plan.ClientID, Value: value, Scope: r.Plan.Scope})
		return err
	})
	switch {
	case err != nil:
		return false, err
	case a.Token != nil:
		return true, nil
	case a.Failure == nil:
		return false, &entra.Refusal{Kind: entra.RefusedThrottled, After: a.RetryAfter, Err: fmt.Errorf("the token endpoint is busy (HTTP %d)", a.Status)}
	}
	entry, known := aadsts.Lookup(a.Failure.Code)
	switch {
	case known && (entry.Category == aadsts.SecretInvalid || entry.Category == aadsts.SecretExpired):
		return false, nil
	case known && entry.Transient:
		return false, &entra.Refusal{Kind: entra.RefusedThrottled, After: a.RetryAfter, Err: errors.New(refused(a.Failure))}
	}
	return false, decide("the token endpoint refuses app %s for another reason than its secret: %s", r.Plan.ClientID, refused(a.Failure))
}

func refused(f *aadsts.Failure) string {
	return fmt.Sprintf("AADSTS%d: %s (trace %s)", f.Code, f.Message, f.TraceID)
}
