package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/credsmith/credsmith/internal/config"
	"github.com/credsmith/credsmith/internal/rotate"
)

// defaultPatience is longer than any wait but the overlap's.
const defaultPatience = 10 * time.Minute

const patienceHelp = "how long to wait in one place; longer waits are left to rotate resume"

// runFlags is the command line of run.
type runFlags struct {
	planFlags
	approved string
	confirm  string
	yes      bool
	patience time.Duration
}

func (p *program) rotateRun() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [BINDING]",
		Short: "Rotate the secret of a binding",
		Long: `Makes the plan, has it confirmed, and does it. With --plan HASH or the file that
rotate plan -o json wrote, exactly that plan is run without a question, or none
if the app, a place or the configuration has changed since.

It returns once the rotation has ended, needs a person, or would wait for longer
than --wait. Then the new secret is in use everywhere and the old one still
works: rotate resume goes on, now and then, until the old one is retired. A run
that was cut off at any moment is gone on with in the same way.

--emergency is for an old secret that others know: no overlap, so consumers that
still hold it fail. It asks for the binding's name, or takes it from --confirm.

Exits 0 when the rotation is done, or the new secret is proven and in every
place; 1 when it failed or needs a person; 3 when it is not that far yet, as
something could not be reached.

` + exitCodes,
		Example: `credsmith rotate run billing-api

# in a pipeline
credsmith rotate run billing-api --yes -o json
credsmith rotate run billing-api --plan 3f9a1c07b2d4e586

# the old secret has leaked
credsmith rotate run billing-api --emergency
credsmith rotate run billing-api --emergency --confirm billing-api`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.runRotateRun(cmd.Context(), f, args) },
	}
	f.define(cmd.Flags())
	cmd.Flags().StringVar(&f.approved, "plan", "", "run this plan and no other: its hash, or the file that rotate plan -o json wrote")
	cmd.Flags().StringVar(&f.confirm, "confirm", "", "with --emergency: the binding's name, instead of typing it")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	cmd.Flags().DurationVar(&f.patience, "wait", defaultPatience, patienceHelp)
	return cmd
}

func (p *program) runRotateRun(ctx context.Context, f runFlags, args []string) error {
	if f.patience < 0 {
		return usage("give a time such as 10m", "--wait %s is negative", f.patience)
	}
	if f.confirm != "" && !f.emergency {
		return usage("leave it out, or add --emergency", "--confirm is for --emergency")
	}
	r, err := p.rotations(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	b, err := r.binding(args)
	if err != nil {
		return err
	}
	approved, err := p.approved(f.approved, b.Name)
	if err != nil {
		return err
	}
	if err := r.openStore(ctx, false); err != nil {
		return err
	}
	engine, err := r.engine(ctx, b)
	if err != nil {
		return err
	}
	if approved == "" {
		if approved, err = p.approve(ctx, engine, f, b); err != nil {
			return err
		}
	} else if err := p.confirmEmergency(f, b.Name); err != nil {
		return err
	}
	rotation, err := engine.Start(ctx, f.options(), approved)
	if err != nil {
		return outcome(err, b.Name)
	}
	fmt.Fprintf(p.Stderr, "rotation %s of %s has begun\n", rotation.ID, b.Name)
	return r.drive(ctx, engine, rotation, f.patience, rotate.Done)
}

// approve shows the plan and has it confirmed; it returns the hash.
func (p *program) approve(ctx context.Context, engine *rotate.Engine, f runFlags, b config.Binding) (string, error) {
	plan, err := engine.Plan(ctx, f.options())
	if err != nil {
		return "", outcome(err, b.Name)
	}
	if !p.json || len(plan.Blockers) == 0 && !f.yes {
		page{p.Stderr, p.colour(p.Stderr)}.plan(plan)
	}
	if len(plan.Blockers) > 0 {
		return "", outcome(&rotate.Blocked{Plan: plan}, b.Name)
	}
	if f.emergency {
		return plan.Hash, p.confirmEmergency(f, b.Name)
	}
	return plan.Hash, p.confirm(f.yes, "Rotate the secret of "+b.Name+"?")
}

// confirmEmergency has the binding's name typed: --yes alone is not enough to
// cut consumers off.
func (p *program) confirmEmergency(f runFlags, name string) error {
	switch {
	case !f.emergency, f.confirm == name:
		return nil
	case f.confirm != "":
		return usage("give --confirm "+name, "--confirm names %q, and the binding is %q", f.confirm, name)
	case !isTerminal(p.Stdin):
		return usage("add --confirm "+name+" where nobody can be asked", "an emergency cuts off every consumer that still holds the old secret of %s", name)
	}
	return p.ask("This removes the old secret of "+name+" at once: whatever still holds it fails.", name)
}

// readPlan reads the file of a plan.
func readPlan(name string) (*rotate.Plan, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the plan %s: %w", name, reasonOf(err))
	}
	defer f.Close()
	const most = 4 << 20
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("read the plan %s: %w", name, reasonOf(err))
	}
	if len(data) > most {
		return nil, fmt.Errorf("read the plan %s: %w: it is larger than %d bytes", name, errNoPlan, most)
	}
	plan := &rotate.Plan{}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(plan); err != nil || decoder.More() || plan.Hash == "" {
		return nil, fmt.Errorf("read the plan %s: %w", name, errNoPlan)
	}
	return plan, nil
}

// drive goes on with a rotation, shows it on the way, and ends the command.
// want is the end that the command is for.
func (r *rotations) drive(ctx context.Context, engine *rotate.Engine, rotation *rotate.Rotation, patience time.Duration, want rotate.State) error {
	show := r.follower()
	id, binding := rotation.ID, rotation.Binding
	show.see(rotation)
	last, err := engine.Drive(ctx, id, patience, show.see)
	show.end()
	if last != nil {
		rotation = last
	}
	if err != nil {
		if ctx.Err() != nil {
			fmt.Fprintf(r.Stderr, "rotation %s of %s stands at step %s; go on with: credsmith rotate resume %s\n", id, binding, rotation.Step, binding)
			return err
		}
		if errors.Is(err, rotate.ErrNone) {
			return &failure{exitProblem, err, ""}
		}
		return outcome(err, binding)
	}
	if err := r.showRotation(rotation); err != nil {
		return err
	}
	if code := codeOf(rotation, want); code != exitFine {
		return found{code}
	}
	return nil
}

// codeOf is the exit code that a rotation stands for. want is the end that was
// asked for: on the way there all is well once the value that is to stay is in
// every place and works.
func codeOf(r *rotate.Rotation, want rotate.State) int {
	safe := rotate.Adopt
	if want == rotate.RolledBack {
		safe = rotate.Unmint
	}
	switch {
	case r.State == rotate.NeedsPerson, r.State.Ended() && r.State != want, !r.State.Ended() && r.Back != (want == rotate.RolledBack):
		return exitProblem
	case !r.State.Ended() && slices.Index(rotate.Steps(r.Back), r.Step) < slices.Index(rotate.Steps(r.Back), safe):
		return exitCannotTell
	}
	return exitFine
}
