package rotate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/credsmith/credsmith/internal/audit"
	"github.com/credsmith/credsmith/internal/entra"
)

// look reads the app, as one call.
func (e *Engine) look(ctx context.Context, r *Rotation, name string) (s entra.Snapshot, err error) {
	from, err := e.directoryFor(ctx, r)
	if err != nil {
		return s, err
	}
	err = e.call(ctx, name, func(ctx context.Context) (err error) {
		s, err = from.Snapshot(ctx, r.Plan.ClientID)
		return err
	})
	if err != nil {
		return s, err
	}
	if d := s.Offset(e.now()).Abs(); d > maxOffset {
		return s, &entra.Refusal{Kind: entra.RefusedThrottled, After: 5 * time.Minute, Err: fmt.Errorf("this machine's clock and the directory's differ by %s: nothing is removed until they agree within %s", d.Round(time.Second), maxOffset)}
	}
	return s, nil
}

// adopt takes the first look into the sign-in log and opens the overlap.
func (e *Engine) adopt(ctx context.Context, r *Rotation) error {
	s, err := e.look(ctx, r, "adopt")
	if err != nil {
		return err
	}
	if diverged, err := e.interfered(ctx, r, s); diverged || err != nil {
		return err
	}
	e.collectStrays(r, s)
	r.Overlap = OverlapState{From: s.Server, Window: r.Plan.overlap()}
	if err := e.readLog(ctx, r, s); err != nil {
		return err
	}
	e.to(r, Overlap)
	if len(r.Plan.Old) == 0 {
		// Nothing is retired: what remains is to tidy up.
		e.to(r, Recheck)
	}
	return e.commit(ctx, r, "adopt", nil)
}

// readLog brings what is known of the secrets' use up to date: the first time
// from all that the log keeps, then from what has come since.
func (e *Engine) readLog(ctx context.Context, r *Rotation, s entra.Snapshot) error {
	o := &r.Overlap
	since := s.Server.Add(-logKept)
	if from := o.Watermark.Add(-logLate); from.After(since) {
		since = from
	}
	by, err := e.directoryFor(ctx, r)
	if err != nil {
		return err
	}
	use, err := by.SecretUse(ctx, r.Plan.ClientID, since)
	switch kind := entra.RefusedAs(err); {
	case kind == entra.RefusedLicence, kind == entra.RefusedPermission:
		o.Blind = err.Error()
		return nil
	case err != nil:
		return err
	}
	o.Blind, o.Watermark = "", latest(o.Watermark, use.Watermark)
	before := o.LastOld
	for _, old := range r.Plan.Old {
		o.LastOld = latest(o.LastOld, use.Last[keyID(old.KeyID)])
	}
	o.LastOld = latest(o.LastOld, use.Last[""]) // it may have been the old one
	if !before.IsZero() {
		use.Longest = max(use.Longest, o.LastOld.Sub(before))
	}
	if o.LastOld.After(o.From) {
		o.From = o.LastOld
	}
	if last := use.Last[r.New.KeyID]; last.After(r.Proof.First.Add(r.Plan.over()).Add(maxOffset)) {
		o.LastNew = last
		for i := range r.Sinks {
			if len(r.Sinks) == 1 {
				r.Sinks[i].State = Adopted // with several it is not known whose consumer it was
			}
		}
	}
	o.Window = max(o.Window, r.Plan.overlap(), 2*use.Longest)
	return nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// interfered looks for what people did to the secrets meanwhile, and reports
// whether it changed the rotation's course.
func (e *Engine) interfered(ctx context.Context, r *Rotation, s entra.Snapshot) (bool, error) {
	if s.App == nil {
		if !e.absent(r) {
			e.wait(r, absentOver/absentReadings+time.Minute, "look again: the app was not found")
			return true, e.commit(ctx, r, "look", nil)
		}
		return true, decide("app %s is gone: restore it in Entra and resume, or roll back", r.Plan.ClientID)
	}
	if _, there := s.App.ByKeyID(r.New.KeyID); !there {
		if !e.absent(r) {
			e.wait(r, absentOver/absentReadings+time.Minute, "look again: the new secret was not found")
			return true, e.commit(ctx, r, "look", nil)
		}
		return true, e.diverged(ctx, r, fmt.Sprintf("somebody has removed the new secret %s", r.New.KeyID))
	}
	r.Absence = Absence{}
	return false, nil
}

// diverged goes back to the old values, if the new one can no longer be used.
func (e *Engine) diverged(ctx context.Context, r *Rotation, why string) error {
	if len(r.Removed) > 0 && slices.ContainsFunc(r.Plan.Old, func(s Secret) bool { return slices.Contains(r.Removed, keyID(s.KeyID)) }) {
		return decide("%s, and the old secret is retired: rotate again at once", why)
	}
	if refs := e.cannotRestore(r); len(refs) > 0 {
		return decide("%s, and the old value cannot be put back into %v: rotate again at once", why, refs)
	}
	e.turn(r, why)
	return e.commit(ctx, r, "diverged", nil, e.entry(r, audit.Rollback, audit.Intent, why))
}

// overlap waits until the old secret may go.
func (e *Engine) overlap(ctx context.Context, r *Rotation) error {
	s, err := e.look(ctx, r, "poll")
	if err != nil {
		return err
	}
	if diverged, err := e.interfered(ctx, r, s); diverged || err != nil {
		return err
	}
	if e.collectStrays(r, s) {
		return e.removeStray(ctx, r)
	}
	if err := e.readLog(ctx, r, s); err != nil {
		return err
	}
	ready, next := r.mayRetire(s)
	if !ready {
		r.Trouble, r.Tries = "", 0
		e.wait(r, min(pollOverlap, max(r.Overlap.Window/4, time.Minute)), next)
		return e.commit(ctx, r, "poll", nil)
	}
	e.to(r, Recheck)
	return e.commit(ctx, r, "overlap", nil)
}

// mayRetire decides on what is known whether the old secrets may go, and says
// what is waited for. All times are the directory's.
func (r *Rotation) mayRetire(s entra.Snapshot) (ready bool, next string) {
	o := r.Overlap
	left := slices.DeleteFunc(slices.Clone(r.Plan.Old), func(old Secret) bool {
		_, there := s.App.ByKeyID(old.KeyID)
		return !there || !old.End.IsZero() && s.Server.After(old.End.Add(maxOffset))
	})
	switch {
	case r.Approved != "":
		return true, ""
	case len(left) == 0:
		return true, "" // expired, or removed by somebody: nobody can be using it
	case r.Plan.Retire == ByHand:
		return false, "a person retires the old secret: credsmith rotate retire " + r.Binding
	case r.Plan.Retire == OnExpiry:
		return false, "the old secret expires on " + left[0].End.UTC().Format(time.DateOnly)
	case o.Blind != "":
		return false, "nobody can see whether the old secret is used (" + o.Blind + "): it expires on " + left[0].End.UTC().Format(time.DateOnly) + ", or retire it by hand: credsmith rotate retire " + r.Binding
	}
	until := o.From.Add(o.Window)
	if s.Server.Before(until) {
		if !o.LastOld.IsZero() && o.LastOld.Equal(o.From) {
			return false, fmt.Sprintf("the old secret was last used %s: retired when unused until %s", o.LastOld.UTC().Format(time.RFC3339), until.UTC().Format(time.RFC3339))
		}
		return false, "the old secret is retired when unused until " + until.UTC().Format(time.RFC3339)
	}
	if o.Watermark.Before(until.Add(logLag)) {
		return false, fmt.Sprintf("the sign-in log is complete up to %s only; it must reach %s", o.Watermark.UTC().Format(time.RFC3339), until.Add(logLag).UTC().Format(time.RFC3339))
	}
	return true, ""
}

// recheck looks at everything once more before the one thing that cannot be
// undone.
func (e *Engine) recheck(ctx context.Context, r *Rotation) error {
	s, err := e.look(ctx, r, "recheck")
	if err != nil {
		return err
	}
	if diverged, err := e.interfered(ctx, r, s); diverged || err != nil {
		return err
	}
	if e.collectStrays(r, s) {
		return e.removeStray(ctx, r)
	}
	if err := e.stillHolds(ctx, r, s); err != nil {
		return err
	}
	if r.Plan.Self {
		if err := e.sameRights(ctx, r); err != nil {
			return err
		}
	}
	if len(r.Plan.Old) == 0 {
		e.to(r, Shred)
		return e.commit(ctx, r, "recheck", nil)
	}
	now := e.now()
	retired, err := e.journal.Retired(ctx, now.Add(-time.Hour))
	if err != nil {
		return err
	}
	if retired >= e.mayRetire && r.Approved == "" {
		return decide("%d old secrets were retired within the last hour, more than the brake of %d lets through: if that is meant, credsmith rotate retire %s", retired, e.mayRetire, r.Binding)
	}
	e.to(r, Retire)
	r.Checked = now
	var entries []audit.Entry
	for _, old := range r.Plan.Old {
		entry := e.entry(r, audit.Remove, audit.Intent, OldSecret)
		entry.KeyID = old.KeyID
		entries = append(entries, entry)
	}
	return e.commit(ctx, r, "recheck", nil, entries...)
}

// stillHolds sees that the new secret carries the app without the old one.
func (e *Engine) stillHolds(ctx context.Context, r *Rotation, s entra.Snapshot) error {
	fresh, _ := s.App.ByKeyID(r.New.KeyID)
	if end := fresh.End; !end.IsZero() && end.Before(s.Server.Add(24*time.Hour)) {
		return decide("the new secret %s ends on %s: the old one is kept", r.New.KeyID, end.UTC().Format(time.RFC3339))
	}
	value, err := e.journal.Value(ctx, r, newValue)
	if err != nil {
		return fmt.Errorf("%w: %w", errJournal, err)
	}
	for i := range r.Sinks {
		k := &r.Sinks[i]
		held, err := e.readable(ctx, k, e.sinks[k.Ref])
		if err != nil {
			return err
		}
		if held != nil && !held.Value.Equal(value) {
			k.Error = "it no longer holds the new value"
			return decide("%s no longer holds the new value: somebody has changed it; the old secret is kept. Write the new value again with: credsmith rotate resume %s", k.Ref, r.Binding)
		}
	}
	taken, err := e.askWith(ctx, r, "recheck-token", value)
	if err != nil {
		return err
	}
	if !taken {
		return fmt.Errorf("the token endpoint refused the new value just now: the old secret is kept")
	}
	return nil
}

// retire removes the old secrets, one at a time, by key id.
func (e *Engine) retire(ctx context.Context, r *Rotation) error {
	if e.now().Sub(r.Checked) > recheckGood {
		e.to(r, Recheck)
		return e.commit(ctx, r, "stale-check", nil)
	}
	i := slices.IndexFunc(r.Plan.Old, func(s Secret) bool { return !slices.Contains(r.Removed, keyID(s.KeyID)) })
	if i < 0 {
		e.to(r, Gone)
		return e.commit(ctx, r, "step", nil)
	}
	old := r.Plan.Old[i]
	by, err := e.directoryFor(ctx, r)
	if err != nil {
		return err
	}
	err = e.call(ctx, "retire", func(ctx context.Context) error { return by.Remove(ctx, old.On, old.OnID, old.KeyID) })
	entry := e.entry(r, audit.Remove, audit.Done, OldSecret)
	entry.KeyID = old.KeyID
	if err != nil {
		entry.Outcome, entry.Detail = audit.Unknown, err.Error()
		if entra.RefusedAs(err) != "" {
			entry.Outcome = audit.Refused
		}
		if saveErr := e.commit(ctx, r, "retire", nil, entry); saveErr != nil {
			return saveErr
		}
		return err
	}
	r.Removed = append(r.Removed, keyID(old.KeyID))
	if i == len(r.Plan.Old)-1 {
		e.to(r, Gone)
	}
	return e.commit(ctx, r, "retire", nil, entry)
}

// gone sees that the old secrets are no longer there.
func (e *Engine) gone(ctx context.Context, r *Rotation) error {
	s, err := e.look(ctx, r, "gone")
	if err != nil {
		return err
	}
	if s.App == nil {
		return fmt.Errorf("app %s was not found", r.Plan.ClientID)
	}
	for _, old := range r.Plan.Old {
		if _, there := s.App.ByKeyID(old.KeyID); !there {
			continue
		}
		// A replica that lags, or a removal that was not done: both end by
		// removing it again.
		if r.Absence = (Absence{}); e.now().Sub(r.Checked) > absentOver {
			r.Removed = slices.DeleteFunc(r.Removed, func(id string) bool { return id == keyID(old.KeyID) })
			e.to(r, Recheck)
			return e.commit(ctx, r, "gone", nil)
		}
		e.wait(r, time.Minute, "look again: the old secret is still listed")
		return e.commit(ctx, r, "gone", nil)
	}
	if !e.absent(r) {
		e.wait(r, absentOver/absentReadings+time.Minute, "see once more that the old secret is gone")
		return e.commit(ctx, r, "gone", nil)
	}
	e.to(r, Shred)
	return e.commit(ctx, r, "gone", nil)
}
