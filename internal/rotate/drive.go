package rotate

import (
	"context"
	"errors"
	"time"
)

// Drive advances a rotation until it ends, needs a person, or would wait for
// longer than patience; seen is told of it after each action. While another
// process holds it, Drive waits for that one.
func (e *Engine) Drive(ctx context.Context, id string, patience time.Duration, seen func(*Rotation)) (*Rotation, error) {
	for {
		r, err := e.Advance(ctx, id)
		wait := heldPoll
		switch {
		case errors.Is(err, ErrHeld), errors.Is(err, ErrStale):
			if patience < wait {
				return r, err
			}
		case err != nil:
			return r, err
		default:
			seen(r)
			if r.State.Ended() || r.State == NeedsPerson {
				return r, nil
			}
			if wait = r.Wake.Sub(e.now()); wait > patience {
				return r, nil
			}
		}
		if err := sleep(ctx, wait); err != nil {
			return r, err
		}
	}
}

// heldPoll is how often to look whether another process has let go.
const heldPoll = 5 * time.Second

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
