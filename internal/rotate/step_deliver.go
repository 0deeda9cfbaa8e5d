package rotate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/credsmith/credsmith/internal/audit"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
)

// due returns the sink that a step has work with now, its place, and if there
// is none, when there will be: zero when all are through.
func (e *Engine) due(r *Rotation, open func(SinkProgress) bool) (index int, wake time.Time) {
	now := e.now()
	for i, k := range r.Sinks {
		if !open(k) {
			continue
		}
		if !now.Before(k.Wake) {
			return i, time.Time{}
		}
		if wake.IsZero() || k.Wake.Before(wake) {
			wake = k.Wake
		}
	}
	return -1, wake
}

// eachSink does a step's work with the next sink that is due. One sink's
// trouble does not hold the others up; with any of them in trouble the step
// does not end.
func (e *Engine) eachSink(ctx context.Context, r *Rotation, s Step, open func(SinkProgress) bool,
	work func(context.Context, *SinkProgress, sink.Sink, string) ([]audit.Entry, error), then Step) error {
	i, wake := e.due(r, open)
	if i < 0 && wake.IsZero() {
		if failed := firstFailed(r); failed != nil {
			return decide("%s", failed.Error)
		}
		e.to(r, then)
		return e.commit(ctx, r, "step", nil)
	}
	if i < 0 {
		e.wait(r, wake.Sub(e.now()), "try again: "+firstTrouble(r))
		return e.commit(ctx, r, "step", nil)
	}
	k := &r.Sinks[i]
	name := at(s, i)
	entries, err := work(ctx, k, e.sinks[k.Ref], name)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		e.sinkTrouble(k, err)
	} else {
		k.Error, k.Tries, k.Wake = "", 0, time.Time{}
		r.Trouble, r.Tries = "", 0
	}
	r.Wake, r.State = time.Time{}, Running
	if r.Step == s && !slices.ContainsFunc(r.Sinks, open) && firstFailed(r) == nil {
		e.to(r, then)
	}
	return e.commit(ctx, r, name, nil, entries...)
}

func firstFailed(r *Rotation) *SinkProgress {
	if i := slices.IndexFunc(r.Sinks, func(k SinkProgress) bool { return k.State == Failed }); i >= 0 {
		return &r.Sinks[i]
	}
	return nil
}

func firstTrouble(r *Rotation) string {
	for _, k := range r.Sinks {
		if k.Error != "" {
			return k.Error
		}
	}
	return "a sink is not ready"
}

// sinkTrouble notes an error at one sink: a later try, or a person.
func (e *Engine) sinkTrouble(k *SinkProgress, err error) {
	kind, after := judge(err)
	k.Error = err.Error()
	k.Tries++
	k.Wake = e.now().Add(pause(k.Tries, after))
	if kind == sink.Denied || kind == sink.Invalid || kind == sink.Changed && k.Tries >= sinkTries {
		k.State, k.Wake = Failed, time.Time{}
	}
}

func (e *Engine) sinkEntry(r *Rotation, k *SinkProgress, a audit.Action, o audit.Outcome, detail string) audit.Entry {
	entry := e.entry(r, a, o, detail)
	entry.Sink = k.Ref
	if r.New != nil {
		entry.KeyID = r.New.KeyID
	}
	return entry
}

// deliver writes the value to the next sink that has not got it.
func (e *Engine) deliver(ctx context.Context, r *Rotation) error {
	value, err := e.journal.Value(ctx, r, newValue)
	if err != nil {
		return fmt.Errorf("%w: %w", errJournal, err)
	}
	open := func(k SinkProgress) bool { return k.State == Pending }
	return e.eachSink(ctx, r, Deliver, open, func(ctx context.Context, k *SinkProgress, to sink.Sink, name string) ([]audit.Entry, error) {
		if k.Asked.IsZero() {
			k.Asked = e.now()
		}
		held, err := e.readable(ctx, k, to)
		if err != nil {
			return nil, err
		}
		if held != nil {
			if err := e.mayOverwrite(k, *held, value, r.Generation); err != nil {
				return nil, err
			}
			k.Version = held.Version
			if held.Exists && held.Value.Equal(value) {
				// An earlier write of ours whose answer was lost.
				k.State = Written
				return []audit.Entry{e.sinkEntry(r, k, audit.Deliver, audit.Done, "was there already")}, nil
			}
		}
		var version string
		err = e.call(ctx, name, func(ctx context.Context) (err error) {
			version, err = to.Write(ctx, e.delivery(r, k, value))
			return err
		})
		if err != nil {
			return []audit.Entry{e.sinkEntry(r, k, audit.Deliver, audit.Unknown, err.Error())}, err
		}
		k.State, k.Version = Written, version
		return []audit.Entry{e.sinkEntry(r, k, audit.Deliver, audit.Done, "")}, nil
	}, Verify)
}

func (e *Engine) delivery(r *Rotation, k *SinkProgress, value secret.Value) sink.Delivery {
	d := sink.Delivery{
		Value: value, ClientID: r.Plan.ClientID, Rotation: r.ID, Generation: r.Generation, Version: k.Version,
	}
	if r.New != nil {
		d.KeyID, d.Expires = r.New.KeyID, r.New.End
	}
	return d
}

// readable reads a sink that can be read back; nil for one that cannot.
func (e *Engine) readable(ctx context.Context, k *SinkProgress, from sink.Sink) (*sink.Held, error) {
	if !k.Abilities.ReadBack {
		return nil, nil
	}
	held, err := from.Read(ctx)
	if err != nil {
		return nil, err
	}
	return &held, nil
}

// mayOverwrite refuses to write over what neither the plan nor we have put
// there: somebody changed it meanwhile.
func (e *Engine) mayOverwrite(k *SinkProgress, held sink.Held, value secret.Value, generation int64) error {
	switch {
	case held.Generation > generation:
		return &sink.Error{Op: "write to " + k.Ref, Kind: sink.Invalid, Err: fmt.Errorf("it holds the value of a later rotation (%d, this one is %d)", held.Generation, generation)}
	case !held.Exists, held.Value.Equal(value):
		return nil
	case e.key.Fingerprint(held.Value) != k.Prior:
		return &sink.Error{Op: "write to " + k.Ref, Kind: sink.Invalid, Err: fmt.Errorf("somebody has changed its value since the plan was made"), Next: "roll back, and make a new plan"}
	}
	return nil
}

// verify reads the value back from the next sink that can be read.
func (e *Engine) verify(ctx context.Context, r *Rotation) error {
	value, err := e.journal.Value(ctx, r, newValue)
	if err != nil {
		return fmt.Errorf("%w: %w", errJournal, err)
	}
	open := func(k SinkProgress) bool { return k.State == Written && k.Abilities.ReadBack }
	return e.eachSink(ctx, r, Verify, open, func(ctx context.Context, k *SinkProgress, from sink.Sink, name string) ([]audit.Entry, error) {
		var held sink.Held
		err := e.call(ctx, name, func(ctx context.Context) (err error) {
			held, err = from.Read(ctx)
			return err
		})
		if err != nil {
			return nil, err
		}
		if held.Value.Equal(value) {
			k.State, k.Version = Verified, held.Version
			return nil, nil
		}
		if k.Tries < sinkTries-1 {
			// A replica that lags behind, or a write that was dropped: the
			// same value is written again, which does no harm.
			if k.Tries >= 2 {
				k.State, k.Version = Pending, held.Version
				r.Step = Deliver
			}
			return nil, fmt.Errorf("%s took the value and does not hold it", k.Ref)
		}
		return nil, &sink.Error{Op: "read back " + k.Ref, Kind: sink.Invalid, Err: fmt.Errorf("it takes the value and does not hold it")}
	}, Prove)
}

// prove asks the token endpoint again after the last write, over time.
func (e *Engine) prove(ctx context.Context, r *Rotation) error {
	taken, err := e.ask(ctx, r, "prove")
	if err != nil {
		return err
	}
	now := e.now()
	r.Tries = 0
	if r.Proof.Since.IsZero() {
		r.Proof.Since = now
	}
	r.Proof.Asked++
	if !taken {
		r.New.Refusals++
		r.Proof.InARow = 0
		if now.Sub(r.Proof.Since) > acceptFor {
			return e.diverged(ctx, r, fmt.Sprintf("the token endpoint took the new value and has refused it since %s", r.Proof.Since.UTC().Format(time.RFC3339)))
		}
		e.wait(r, acceptEvery<<min(r.Proof.Asked, 3), "prove again: a replica does not know the new secret yet")
		return e.commit(ctx, r, "prove", nil)
	}
	if r.Proof.InARow == 0 {
		r.Proof.First = now
	}
	r.Proof.InARow++
	if r.Proof.InARow < r.Plan.Times || now.Sub(r.Proof.First) < r.Plan.over() {
		e.wait(r, max(r.Plan.over()/time.Duration(max(r.Plan.Times-1, 1)), time.Second), "")
		return e.commit(ctx, r, "prove", nil)
	}
	e.to(r, Reload)
	return e.commit(ctx, r, "prove", nil)
}

// reload makes the consumers of the next sink take the value up, and waits
// until they have.
func (e *Engine) reload(ctx context.Context, r *Rotation) error {
	open := func(k SinkProgress) bool { return k.Reloads && !k.Reloaded }
	then := Adopt
	switch {
	case len(r.Plan.Old) == 0 && len(r.Strays) == 0:
		then = Shred
	case r.Plan.Emergency:
		then = Recheck
	}
	return e.eachSink(ctx, r, Reload, open, func(ctx context.Context, k *SinkProgress, to sink.Sink, name string) ([]audit.Entry, error) {
		reloader, can := to.(sink.Reloader)
		if !can {
			k.Reloaded = true
			return nil, nil
		}
		var done bool
		err := e.call(ctx, name, func(ctx context.Context) error {
			err := reloader.Reload(ctx, r.ID)
			if err == nil {
				done, err = reloader.Reloaded(ctx, r.ID)
			}
			return err
		})
		if err != nil {
			return []audit.Entry{e.sinkEntry(r, k, audit.Reload, audit.Unknown, err.Error())}, err
		}
		if done {
			k.Reloaded = true
			return []audit.Entry{e.sinkEntry(r, k, audit.Reload, audit.Done, "")}, nil
		}
		if e.now().Sub(r.Proof.First) > reloadFor {
			return nil, &sink.Error{Op: "reload the consumers of " + k.Ref, Kind: sink.Invalid, Err: fmt.Errorf("they have not taken up the value within %s", reloadFor), Next: "see why the roll-out does not finish, then resume"}
		}
		return nil, fmt.Errorf("the consumers of %s have not all taken up the value yet", k.Ref)
	}, then)
}
