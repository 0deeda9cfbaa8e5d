package rotate

import (
	"context"
	"errors"
	"fmt"

	"github.com/credsmith/credsmith/internal/audit"
)

// shred destroys the sealed values of this rotation.
func (e *Engine) shred(ctx context.Context, r *Rotation) error {
	e.to(r, Close)
	r.Updated = e.now()
	e.at(before("shred"))
	if err := e.journal.Shred(ctx, r, e.entry(r, audit.Shred, audit.Done, "")); err != nil {
		if errors.Is(err, ErrStale) {
			return err
		}
		return fmt.Errorf("%w: %w", errJournal, err)
	}
	e.at(after("shred"))
	return nil
}

// close ends the rotation.
func (e *Engine) close(ctx context.Context, r *Rotation) error {
	r.State, r.Next = Done, ""
	if r.Back {
		r.State = RolledBack
	}
	return e.commit(ctx, r, "close", nil, e.entry(r, audit.Close, audit.Done, string(r.State)))
}
