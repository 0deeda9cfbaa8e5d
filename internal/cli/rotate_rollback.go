package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/credsmith/credsmith/internal/rotate"
)

func (p *program) rotateRollback() *cobra.Command {
	var f goFlags
	var reason string
	cmd := &cobra.Command{
		Use:   "rollback [BINDING]",
		Short: "Undo a rotation: the old values again, the new secret gone",
		Long: `Puts the old value back into every place that got the new one, and removes the
new secret. A place that somebody has written since is left alone. It is refused
once the old secret may be retired, and where a place keeps no old value.

Exits 0 when it is rolled back or well on its way, 1 when it cannot be.

` + exitCodes,
		Example: `credsmith rotate rollback billing-api
credsmith rotate rollback billing-api --yes --reason "consumers refuse the new value"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			why := oneLine(reason)
			if why == "" {
				why = "rolled back by " + p.actor()
			}
			return p.onOpen(cmd.Context(), f, args, "Undo rotation %s of %s?", rotate.RolledBack, func(ctx context.Context, e *rotate.Engine, id string) (*rotate.Rotation, error) {
				return e.Rollback(ctx, id, why)
			})
		},
	}
	f.define(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit record")
	return cmd
}

func (p *program) rotateRetire() *cobra.Command {
	var f goFlags
	cmd := &cobra.Command{
		Use:   "retire [BINDING]",
		Short: "Let the old secret go now, on your word",
		Long: `Removes the old secret of a rotation that waits for it to fall out of use. You
answer for nobody needing it: the sign-in log is not waited for. All else is
looked at once more: the new value must be taken, and every place must hold it.

` + exitCodes,
		Example: "credsmith rotate retire billing-api\ncredsmith rotate retire billing-api --yes",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.onOpen(cmd.Context(), f, args, "Remove the old secret in rotation %s of %s? Whatever still uses it fails.", rotate.Done, func(ctx context.Context, e *rotate.Engine, id string) (*rotate.Rotation, error) {
				return e.Approve(ctx, id, p.actor())
			})
		},
	}
	f.define(cmd)
	return cmd
}

func (p *program) rotatePause() *cobra.Command {
	var off bool
	var reason string
	cmd := &cobra.Command{
		Use:   "pause",
		Short: "Stop all rotations, of all processes, or let them on",
		Args:  cobra.NoArgs,
		Long: `Stops every rotation before its next step, also those of other processes that
share the store, and lets no other begin. Nothing is undone: values that were
delivered stay. With --off they may go on; rotate resume does it.

` + exitCodes,
		Example: `credsmith rotate pause --reason "change freeze until Monday"
credsmith rotate pause --off`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.runRotatePause(cmd.Context(), off, oneLine(reason))
		},
	}
	cmd.Flags().BoolVar(&off, "off", false, "let them on again")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever meets it")
	cmd.MarkFlagsMutuallyExclusive("off", "reason")
	return cmd
}

func (p *program) runRotatePause(ctx context.Context, off bool, reason string) error {
	r, err := p.rotations(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.openStore(ctx, false); err != nil {
		return err
	}
	if reason == "" {
		reason = "by " + p.actor()
	}
	if off {
		reason = ""
	}
	if err := r.store.Pause(ctx, reason, p.actor(), time.Now()); err != nil {
		return outcome(err, "")
	}
	if p.json {
		return p.writeJSON(map[string]any{"paused": !off, "reason": optional(reason)})
	}
	if off {
		p.page().line("rotations may go on: credsmith rotate resume --all")
		return nil
	}
	p.page().line("%s", clean(fmt.Sprintf("rotations are paused (%s)", reason)))
	return nil
}
