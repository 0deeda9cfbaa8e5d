package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/credsmith/credsmith/internal/rotate"
)

func (p *program) rotateSweep() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "sweep [BINDING]",
		Short: "Find secrets that a rotation made and nobody has, and remove them",
		Args:  cobra.MaximumNArgs(1),
		Long: `Lists the secrets of a binding's app whose name says that a rotation made them and
that no rotation accounts for: such as one whose request the directory did twice.

Removed, once confirmed, are those alone of which this database knows the
rotation, that is over and made another secret, or none; which nobody has signed
in with, by the sign-in log; and which no place holds. All others are told of and
left alone: they may be of another database, or forged.

Exits 0 when none is left, 1 when some are.

` + exitCodes,
		Example: `credsmith rotate sweep billing-api
credsmith rotate sweep billing-api --yes -o json`,
		RunE: func(cmd *cobra.Command, args []string) error { return p.runRotateSweep(cmd.Context(), yes, args) },
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (p *program) runRotateSweep(ctx context.Context, yes bool, args []string) error {
	r, err := p.writing(ctx, goFlags{})
	if err != nil {
		return err
	}
	defer r.close()
	b, err := r.binding(args)
	if err != nil {
		return err
	}
	engine, err := r.engine(ctx, b)
	if err != nil {
		return err
	}
	orphans, err := engine.Orphans(ctx)
	if err != nil {
		return outcome(err, b.Name)
	}
	removable := 0
	for _, o := range orphans {
		if o.Removable {
			removable++
		}
	}
	if removable > 0 {
		page{p.Stderr, p.colour(p.Stderr)}.orphans(orphans)
		if err := p.confirm(yes, fmt.Sprintf("Remove %d of them?", removable)); err != nil {
			return err
		}
		if orphans, err = engine.Sweep(ctx); err != nil {
			return outcome(err, b.Name)
		}
	}
	if p.json {
		if err := p.writeJSON(orphans); err != nil {
			return err
		}
	} else {
		p.page().orphans(orphans)
	}
	if slices.ContainsFunc(orphans, func(o rotate.Orphan) bool { return !o.Removed }) {
		return found{exitProblem}
	}
	return nil
}

func (g page) orphans(all []rotate.Orphan) {
	if len(all) == 0 {
		g.line("no secret is without its rotation")
	}
	for _, o := range all {
		done := "left"
		if o.Removed {
			done = "removed"
		}
		g.line("%s", clean(fmt.Sprintf("%-8s secret %s (%s): %s", done, o.KeyID, o.Name, o.Says)))
	}
}
