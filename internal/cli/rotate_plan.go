package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/credsmith/credsmith/internal/rotate"
)

// planFlags are what a person chooses for one rotation.
type planFlags struct {
	emergency bool
	retire    []string
	self      bool
}

func (f *planFlags) define(flags *pflag.FlagSet) {
	flags.BoolVar(&f.emergency, "emergency", false, "the old secret is known to others: it goes as soon as the new one is proven, without an overlap")
	flags.StringArrayVar(&f.retire, "retire", nil, "retire the secret with this key id instead of those the sinks hold; may be given again")
	flags.BoolVar(&f.self, "self", false, "the app is what credsmith itself signs in with: the new secret must do all that the old one could, and removes it")
}

func (f planFlags) options() rotate.Options {
	return rotate.Options{Emergency: f.emergency, Retire: f.retire, Self: f.self}
}

func (p *program) rotatePlan() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan [BINDING]",
		Short: "Show every call and write of a rotation, and change nothing",
		Long: `Shows what a rotation would do, call by call, with a hash over all of it. It
reads the app, the tenant's policy and every place; besides the operator's own
sign-in it sends nothing but GET. A binding need not be named where there is one.

The hash approves a plan: rotate run --plan HASH does this and nothing else, and
refuses when the app, a place or the configuration has changed since.

Exits 1 when something forbids the rotation.

` + exitCodes,
		Example: `credsmith rotate plan billing-api

# for a second pair of eyes, or the next job of a pipeline
credsmith rotate plan billing-api -o json > plan.json
credsmith rotate run billing-api --plan plan.json

# the old secret has leaked
credsmith rotate plan billing-api --emergency`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.runRotatePlan(cmd.Context(), f, args) },
	}
	f.define(cmd.Flags())
	return cmd
}

func (p *program) runRotatePlan(ctx context.Context, f planFlags, args []string) error {
	r, err := p.rotations(ctx)
	if err != nil {
		return err
	}
	b, err := r.binding(args)
	if err != nil {
		return err
	}
	engine, err := r.engine(ctx, b)
	if err != nil {
		return err
	}
	plan, err := engine.Plan(ctx, f.options())
	if err != nil {
		return outcome(err, b.Name)
	}
	if p.json {
		err = p.writeJSON(plan)
	} else {
		p.page().plan(plan)
	}
	if err == nil && len(plan.Blockers) > 0 {
		return found{exitProblem}
	}
	return err
}

// plan prints a plan for people.
func (g page) plan(plan *rotate.Plan) {
	g.line("%s  %s", g.bold(clean(plan.Binding)), clean(plan.AppName))
	g.row("app", "%s in tenant %s", plan.ClientID, plan.TenantID)
	g.row("new secret", "on the %s, for %s", plan.Holder, period(plan.Lifetime))
	for _, s := range plan.Old {
		g.row("retires", "%s", g.secret(s))
	}
	for _, s := range plan.Free {
		g.row("removes", "%s", g.secret(s))
	}
	for _, s := range plan.Kept {
		g.row("keeps", "%s", g.secret(s))
	}
	for _, k := range plan.Sinks {
		g.row("sink", "%s: holds %s%s", k.Ref, k.Holds, limits(k))
	}
	g.line("")
	for i, c := range plan.Calls {
		mark := "  "
		if c.Writes {
			mark = g.bold("W ")
		}
		g.line("%3d %s%-8s %s: %s", i+1, mark, c.Step, clean(c.Target), clean(c.Does))
	}
	g.line("")
	for _, text := range plan.Warnings {
		g.row("warning", "%s", text)
	}
	for _, text := range plan.Blockers {
		g.row("blocked", "%s", text)
	}
	g.row("plan", "%s (W marks what changes something)", plan.Hash)
	if len(plan.Blockers) == 0 {
		flags := ""
		if plan.Emergency {
			flags = " --emergency"
		}
		g.row("run it", "credsmith rotate run %s --plan %s%s", plan.Binding, plan.Hash, flags)
	}
}

func (g page) secret(s rotate.Secret) string {
	text := s.KeyID
	if s.DisplayName != "" {
		text += fmt.Sprintf(" %q", s.DisplayName)
	}
	if !s.End.IsZero() {
		text += ", ends " + s.End.UTC().Format(time.DateOnly)
	}
	return text + ": " + s.Because
}

// limits says what a place cannot do.
func limits(k rotate.PlanSink) string {
	var cannot []string
	if !k.Abilities.ReadBack {
		cannot = append(cannot, "read back or rolled back")
	}
	if !k.Abilities.Compare {
		cannot = append(cannot, "guarded against a write at the same moment")
	}
	if len(cannot) == 0 {
		return ""
	}
	return "; cannot be " + strings.Join(cannot, ", nor ")
}

// period writes seconds the way the configuration does.
func period(seconds int64) string {
	const day = 24 * 60 * 60
	if seconds >= day && seconds%day == 0 {
		return fmt.Sprintf("%dd", seconds/day)
	}
	return (time.Duration(seconds) * time.Second).String()
}

// approved reads what --plan gives: the hash of a plan, or the file of one.
func (p *program) approved(text string, b string) (hash string, err error) {
	if text == "" || isHash(text) {
		return text, nil
	}
	plan, err := readPlan(text)
	if err != nil {
		return "", usage("make it with: credsmith rotate plan "+b+" -o json > plan.json", "%w", err)
	}
	switch {
	case !plan.Intact():
		return "", usage("make it again with: credsmith rotate plan "+b+" -o json > plan.json", "the plan in %s was changed after it was made: its hash does not fit", text)
	case plan.Binding != b:
		return "", usage("name that binding, or make a plan for this one", "the plan in %s is for binding %s, not for %s", text, plan.Binding, b)
	}
	return plan.Hash, nil
}

func isHash(text string) bool {
	return len(text) == 16 && strings.Trim(text, "0123456789abcdef") == ""
}

var errNoPlan = errors.New("it is not a plan in JSON")
