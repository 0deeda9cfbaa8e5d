package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/credsmith/credsmith/internal/audit"
	"github.com/credsmith/credsmith/internal/sink"
)

// cannotRestore returns the sinks that hold the new value and have no old one
// to put back.
func (e *Engine) cannotRestore(r *Rotation) []string {
	var refs []string
	for _, k := range r.Sinks {
		if touched(k) && !k.Abilities.ReadBack {
			refs = append(refs, k.Ref)
		}
	}
	return refs
}

// touched reports whether a sink may hold the new value.
func touched(k SinkProgress) bool { return k.State != Pending || !k.Asked.IsZero() }

// Refused is the answer to a person who asked for what cannot be done now.
type Refused struct{ text string }

func (r *Refused) Error() string { return r.text }

// refuse gives a rotation up again, as it was.
func (e *Engine) refuse(ctx context.Context, r *Rotation, format string, args ...any) (*Rotation, error) {
	return r, errors.Join(&Refused{fmt.Sprintf(format, args...)}, e.journal.Release(ctx, r))
}

// Rollback turns a rotation around. It is refused once the old secret may be
// gone, and where an old value cannot be put back.
func (e *Engine) Rollback(ctx context.Context, id, why string) (*Rotation, error) {
	r, err := e.take(ctx, id)
	if err != nil {
		return nil, err
	}
	switch r.Step {
	case Retire, Gone, Shred, Close:
		return e.refuse(ctx, r, "rotation %s cannot be undone: it is at step %s, and the old secret is retired or about to be", r.ID, r.Step)
	case Restore, Restored, Unmint, Unminted:
		return e.refuse(ctx, r, "rotation %s is being undone already", r.ID)
	}
	if refs := e.cannotRestore(r); len(refs) > 0 {
		return e.refuse(ctx, r, "rotation %s cannot be undone: %v keeps no earlier value, and holds the new one", r.ID, refs)
	}
	e.turn(r, why)
	return r, e.commit(ctx, r, "rollback", nil, e.entry(r, audit.Rollback, audit.Intent, why))
}

func (e *Engine) turn(r *Rotation, why string) {
	e.to(r, Restore)
	r.Back, r.Why = true, why
	for i := range r.Sinks {
		k := &r.Sinks[i]
		if k.Error, k.Tries, k.Wake = "", 0, (time.Time{}); k.State == Failed {
			k.State = Written
		}
	}
}

// Resume sends a stopped rotation on: what failed is tried again.
func (e *Engine) Resume(ctx context.Context, id string) (*Rotation, error) {
	r, err := e.take(ctx, id)
	if err != nil {
		return nil, err
	}
	if r.State.Ended() {
		return r, e.journal.Release(ctx, r)
	}
	if r.State != NeedsPerson {
		r.Wake = time.Time{}
		return r, e.commit(ctx, r, "resume", nil)
	}
	r.State, r.Tries, r.Trouble, r.Wake = Running, 0, "", time.Time{}
	again := r.Step == Recheck
	for i := range r.Sinks {
		k := &r.Sinks[i]
		if k.State == Failed || again && k.Error != "" {
			k.State = Pending
			if r.Step != Restore && r.Step != Restored {
				r.Step = Deliver
			}
		}
		k.Error, k.Tries, k.Wake = "", 0, time.Time{}
	}
	r.Proof, r.Next = Proof{}, says[r.Step]
	return r, e.commit(ctx, r, "resume", nil, e.entry(r, audit.Resume, audit.Done, ""))
}

// Approve lets the old secret go on a person's word, without the evidence of
// the sign-in log. Everything else is still checked.
func (e *Engine) Approve(ctx context.Context, id, by string) (*Rotation, error) {
	r, err := e.take(ctx, id)
	if err != nil {
		return nil, err
	}
	if r.Step != Overlap && r.Step != Recheck {
		return e.refuse(ctx, r, "rotation %s is at step %s: the old secret can be retired by hand once the new one is proven and delivered", r.ID, r.Step)
	}
	r.Approved = by
	e.to(r, Recheck)
	return r, e.commit(ctx, r, "approve", nil, e.entry(r, audit.Approve, audit.Done, by))
}

// restore puts the old value back into the next sink.
func (e *Engine) restore(ctx context.Context, r *Rotation) error {
	if err := e.worthGoingBack(ctx, r); err != nil {
		return err
	}
	open := func(k SinkProgress) bool { return touched(k) && k.State != PutBack }
	return e.eachSink(ctx, r, Restore, open, func(ctx context.Context, k *SinkProgress, to sink.Sink, name string) ([]audit.Entry, error) {
		prior, err := e.journal.Value(ctx, r, priorValue(k.Ref))
		if err != nil {
			return nil, err
		}
		fresh, err := e.journal.Value(ctx, r, newValue)
		if err != nil {
			return nil, err
		}
		held, err := e.readable(ctx, k, to)
		if err != nil {
			return nil, err
		}
		if held == nil || !held.Value.Equal(fresh) || !k.HadPrior {
			// It never got the value, somebody has put another one in since,
			// or there was nothing before: it is left as it is.
			k.State = PutBack
			return []audit.Entry{e.sinkEntry(r, k, audit.Restore, audit.Refused, "does not hold our value, or held none before: left alone")}, nil
		}
		d := e.delivery(r, k, prior)
		d.Version = held.Version
		d.KeyID, d.Expires = "", time.Time{}
		for _, old := range r.Plan.Old {
			d.KeyID, d.Expires = old.KeyID, old.End
		}
		err = e.call(ctx, name, func(ctx context.Context) (err error) {
			k.Version, err = to.Write(ctx, d)
			return err
		})
		if err != nil {
			return []audit.Entry{e.sinkEntry(r, k, audit.Restore, audit.Unknown, err.Error())}, err
		}
		k.State = PutBack
		return []audit.Entry{e.sinkEntry(r, k, audit.Restore, audit.Done, "")}, nil
	}, Restored)
}

// worthGoingBack refuses to put values back of which none is taken any more.
func (e *Engine) worthGoingBack(ctx context.Context, r *Rotation) error {
	asked := false
	for _, k := range r.Sinks {
		if !touched(k) || !k.HadPrior || k.State == PutBack {
			continue
		}
		prior, err := e.journal.Value(ctx, r, priorValue(k.Ref))
		if err != nil {
			return fmt.Errorf("%w: %w", errJournal, err)
		}
		taken, err := e.askWith(ctx, r, "restore-token", prior)
		if err != nil || taken {
			return err
		}
		asked = true
	}
	if asked {
		return decide("the token endpoint takes none of the old values any more: nothing is put back; keep the new secret, or rotate again")
	}
	return nil
}

// restored reads the old values back before the new secret goes.
func (e *Engine) restored(ctx context.Context, r *Rotation) error {
	fresh, err := e.journal.Value(ctx, r, newValue)
	if err != nil {
		return err
	}
	for i := range r.Sinks {
		k := &r.Sinks[i]
		if !touched(*k) || !k.HadPrior || fresh.IsEmpty() {
			continue
		}
		held, err := e.readable(ctx, k, e.sinks[k.Ref])
		if err != nil {
			return err
		}
		if held != nil && held.Value.Equal(fresh) {
			k.State = Written
			e.to(r, Restore)
			return e.commit(ctx, r, "restored", nil)
		}
	}
	e.to(r, Unmint)
	return e.commit(ctx, r, "restored", nil)
}

// unmint removes what this rotation has added to the app: the new secret, and
// those of attempts whose answer was lost.
func (e *Engine) unmint(ctx context.Context, r *Rotation) error {
	if r.New != nil && !slices.Contains(r.Removed, r.New.KeyID) && !slices.Contains(r.Strays, r.New.KeyID) {
		r.Strays = append(r.Strays, r.New.KeyID)
	}
	if len(r.Strays) > 0 {
		return e.removeStray(ctx, r)
	}
	e.to(r, Unminted)
	return e.commit(ctx, r, "unmint", nil)
}

// unminted sees that none of ours is left, also none that shows up late.
func (e *Engine) unminted(ctx context.Context, r *Rotation) error {
	s, err := e.look(ctx, r, "unminted")
	if err != nil {
		return err
	}
	if s.App != nil {
		r.New = nil
		if e.collectStrays(r, s) {
			e.to(r, Unmint)
			return e.commit(ctx, r, "unminted", nil)
		}
		for _, id := range r.Removed {
			if _, there := s.App.ByKeyID(id); there {
				e.wait(r, time.Minute, "look again: the new secret is still listed")
				return e.commit(ctx, r, "unminted", nil)
			}
		}
	}
	if !r.Attempt.Asked.IsZero() && !e.absent(r) {
		e.wait(r, absentOver/absentReadings+time.Minute, "see once more that no new secret is left")
		return e.commit(ctx, r, "unminted", nil)
	}
	e.to(r, Shred)
	return e.commit(ctx, r, "unminted", nil)
}
