package rotate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
)

// What credsmith signs in with is rotated on a stricter path: before the old
// secret may go, credsmith signs in anew with the new one, and sees that it may
// do all that it could before. The old secret is removed by that sign-in, never
// by the one that the old secret gave: what cannot remove it cannot replace it.
// Once the new one is proven credsmith itself uses no other, else the sign-in
// log would show the old one in use for ever.

// directoryFor is the directory as seen by whoever is to act in this step.
func (e *Engine) directoryFor(ctx context.Context, r *Rotation) (Directory, error) {
	if !r.Plan.Self || !slices.Contains([]Step{Adopt, Overlap, Recheck, Retire, Gone}, r.Step) {
		return e.directory, nil
	}
	value, err := e.journal.Value(ctx, r, newValue)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errJournal, err)
	}
	if value.IsEmpty() {
		return nil, decide("the sealed value of rotation %s is gone: roll back", r.ID)
	}
	return e.asOperator(r.Plan.ClientID, value)
}

// sameRights signs in as the operator with its new secret, and refuses unless
// it is the same identity that may do the same.
func (e *Engine) sameRights(ctx context.Context, r *Rotation) error {
	fresh, err := e.directoryFor(ctx, r)
	if err != nil {
		return err
	}
	op, err := fresh.Operator(ctx)
	if err != nil {
		return fmt.Errorf("sign in with the new secret: %w", err)
	}
	if !entra.SameGUID(op.ClientID, r.Plan.ClientID) {
		return decide("a sign-in with the new secret is of app %s, not of %s: the old secret is kept", op.ClientID, r.Plan.ClientID)
	}
	lost := slices.DeleteFunc(slices.Clone(r.Plan.Rights), func(right string) bool { return slices.Contains(op.Permissions, right) })
	if len(lost) > 0 {
		return decide("signed in with the new secret, the operator has lost %s: the old secret is kept", strings.Join(lost, ", "))
	}
	s, err := fresh.Snapshot(ctx, r.Plan.ClientID)
	if err != nil || s.App == nil {
		return fmt.Errorf("read its own app with the new secret: %w", err)
	}
	if r.Overlap.Blind == "" && !r.Plan.Emergency {
		if _, err := fresh.SecretUse(ctx, r.Plan.ClientID, s.Server.Add(-logLag)); err != nil {
			return fmt.Errorf("read the sign-in log with the new secret: %w", err)
		}
	}
	if slices.Contains(r.Plan.Rights, "Application.ReadWrite.All") || slices.Contains(r.Plan.Rights, "Directory.ReadWrite.All") {
		return nil
	}
	owns, err := fresh.Owns(ctx, *s.App)
	if err != nil {
		return fmt.Errorf("look for the operator among the owners with the new secret: %w", err)
	}
	if !owns {
		return decide("signed in with the new secret, the operator no longer owns app %s: the old secret is kept", r.Plan.ClientID)
	}
	return nil
}
