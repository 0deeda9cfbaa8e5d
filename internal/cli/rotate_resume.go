package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/credsmith/credsmith/internal/rotate"
)

// goFlags is the command line of the commands that go on with a rotation.
type goFlags struct {
	yes      bool
	all      bool
	patience time.Duration
}

func (f *goFlags) define(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	cmd.Flags().DurationVar(&f.patience, "wait", defaultPatience, patienceHelp)
}

func (p *program) rotateResume() *cobra.Command {
	var f goFlags
	cmd := &cobra.Command{
		Use:   "resume [BINDING]",
		Short: "Go on with a rotation that was cut off, waits, or needed a person",
		Long: `Goes on with the rotation of a binding from where it stands: after a crash, when
a wait is over, or when what it needed a person for is mended. It does nothing
before its time, and may be run as often as you like: from cron, or a pipeline.

With --all it goes on with every rotation that has not ended, several at a time.

Exits 0 when they are done, or their new secrets are proven and in every place;
1 when one failed or needs a person; 3 when one is not that far yet.

` + exitCodes,
		Example: `credsmith rotate resume billing-api

# every hour, from cron
credsmith rotate resume --all --yes`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.runRotateResume(cmd.Context(), f, args) },
	}
	f.define(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "go on with every rotation that has not ended")
	return cmd
}

func (p *program) runRotateResume(ctx context.Context, f goFlags, args []string) error {
	if f.all && len(args) > 0 {
		return usage("leave one of them out", "--all and %s name different things", args[0])
	}
	if !f.all {
		return p.onOpen(ctx, f, args, "Go on with rotation %s of %s?", rotate.Done, func(ctx context.Context, e *rotate.Engine, id string) (*rotate.Rotation, error) {
			return e.Resume(ctx, id)
		})
	}
	r, err := p.writing(ctx, f)
	if err != nil {
		return err
	}
	defer r.close()
	open, err := r.store.Open(ctx)
	if err != nil {
		return outcome(err, "")
	}
	if err := p.confirm(f.yes, fmt.Sprintf("Go on with %d rotations?", len(open))); err != nil {
		return err
	}
	return r.resumeAll(ctx, open, f.patience)
}

// atOnce is how many rotations resume --all goes on with at a time. Each spends
// nearly all of it waiting.
const atOnce = 8

// resumed is what came of one rotation.
type resumed struct {
	last *rotate.Rotation
	err  error
}

// resumeAll goes on with all of them, several at a time. One that fails does
// not keep the others from it.
func (r *rotations) resumeAll(ctx context.Context, open []*rotate.Rotation, patience time.Duration) error {
	ends := make([]resumed, len(open))
	engines := make([]*rotate.Engine, len(open))
	for i, one := range open {
		engines[i], ends[i].err = r.engineOf(ctx, one.Binding)
	}
	w := &oneAtATime{w: r.Stderr}
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i, one := range open {
		if engines[i] == nil {
			continue
		}
		show := r.follower()
		if len(open) > 1 { // one bar cannot show them
			show = &follower{w: w}
		}
		g.Go(func() error {
			defer show.end()
			if ends[i].last, ends[i].err = engines[i].Resume(ctx, one.ID); ends[i].err == nil {
				ends[i].last, ends[i].err = engines[i].Drive(ctx, one.ID, patience, show.see)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.showResumed(open, ends)
}

func (r *rotations) showResumed(open []*rotate.Rotation, ends []resumed) error {
	views, code := []rotationView{}, exitFine
	note := func(c int) {
		if c == exitProblem || code == exitFine {
			code = c
		}
	}
	for i, one := range open {
		last, err := ends[i].last, ends[i].err
		if err != nil {
			f, _ := errors.AsType[*failure](outcome(err, one.Binding))
			fmt.Fprintf(r.Stderr, "%s: %s\n", clean(one.Binding), oneLine(err.Error()))
			note(f.code)
		} else {
			note(codeOf(last, rotate.Done))
		}
		if last == nil {
			last = one
		}
		views = append(views, viewOf(last))
		if !r.json {
			r.page().rotation(last)
		}
	}
	switch {
	case r.json:
		if err := r.writeJSON(views); err != nil {
			return err
		}
	case len(open) == 0:
		r.page().line("no rotation is open")
	}
	if code != exitFine {
		return found{code}
	}
	return nil
}

func (r *rotations) engineOf(ctx context.Context, binding string) (*rotate.Engine, error) {
	b, err := r.binding([]string{binding})
	if err != nil {
		return nil, err
	}
	return r.engine(ctx, b)
}

// oneAtATime keeps the lines of several rotations apart.
type oneAtATime struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *oneAtATime) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(b)
}

// writing opens the store for going on with rotations.
func (p *program) writing(ctx context.Context, f goFlags) (*rotations, error) {
	if f.patience < 0 {
		return nil, usage("give a time such as 10m", "--wait %s is negative", f.patience)
	}
	r, err := p.rotations(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.openStore(ctx, false); err != nil {
		return nil, err
	}
	return r, nil
}

// onOpen does something with the open rotation of a binding, once confirmed,
// and drives it on.
func (p *program) onOpen(ctx context.Context, f goFlags, args []string, question string, want rotate.State,
	do func(context.Context, *rotate.Engine, string) (*rotate.Rotation, error)) error {
	r, err := p.writing(ctx, f)
	if err != nil {
		return err
	}
	defer r.close()
	b, err := r.binding(args)
	if err != nil {
		return err
	}
	open, err := r.openRotation(ctx, b.Name)
	if err != nil {
		return err
	}
	engine, err := r.engine(ctx, b)
	if err != nil {
		return err
	}
	if err := p.confirm(f.yes, fmt.Sprintf(question, open.ID, b.Name)); err != nil {
		return err
	}
	now, err := do(ctx, engine, open.ID)
	if err != nil {
		return outcome(err, b.Name)
	}
	return r.drive(ctx, engine, now, f.patience, want)
}

// openRotation finds the rotation of a binding that has not ended.
func (r *rotations) openRotation(ctx context.Context, binding string) (*rotate.Rotation, error) {
	all, err := r.store.History(ctx, binding)
	if err != nil {
		return nil, outcome(err, binding)
	}
	for _, one := range all {
		if !one.State.Ended() {
			return one, nil
		}
	}
	if len(all) == 0 {
		return nil, &failure{exitProblem, fmt.Errorf("%s was never rotated", binding), "begin with credsmith rotate plan " + binding}
	}
	return nil, &failure{exitProblem, fmt.Errorf("%s has no rotation that is open: the last one, %s, is %s", binding, all[0].ID, all[0].State), "begin another with credsmith rotate plan " + binding}
}
