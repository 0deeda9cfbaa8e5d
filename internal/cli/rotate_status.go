package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/credsmith/credsmith/internal/rotate"
)

func (p *program) rotateStatus() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status [BINDING]",
		Short: "Show how far the newest rotation of a binding is",
		Long: `Shows the newest rotation of a binding from the record; of every binding where
none is named. It asks no server and may run beside a rotation.

With --watch it goes on until the rotation ends or needs a person: with bars on a
terminal, else one line for each change (-o json: one object a line).

Exits 0 when the rotation is done, or the new secret is proven and in every
place; 1 when it needs a person or was rolled back; 3 when it is not that far yet.

` + exitCodes,
		Example: `credsmith rotate status
credsmith rotate status billing-api -o json
credsmith rotate status billing-api --watch`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.runRotateStatus(cmd.Context(), watch, args) },
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "go on until it ends or needs a person")
	return cmd
}

func (p *program) rotateHistory() *cobra.Command {
	return &cobra.Command{
		Use:   "history [BINDING]",
		Short: "List rotations, newest first",
		Long: `Lists the rotations of a binding, newest first; of all bindings where none is
named. It asks no server.

` + exitCodes,
		Example: "credsmith rotate history billing-api\ncredsmith rotate history -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := p.records(cmd.Context())
			if err != nil {
				return err
			}
			defer r.close()
			all, err := r.history(cmd.Context(), args)
			if err != nil {
				return err
			}
			if p.json {
				views := make([]rotationView, len(all))
				for i, one := range all {
					views[i] = viewOf(one)
				}
				return p.writeJSON(views)
			}
			if len(all) == 0 {
				p.page().line("no rotations yet")
			}
			for _, one := range all {
				p.page().line("%s", clean(fmt.Sprintf("%s  %s  %-12s  %-8s  %s  %s", one.Started.UTC().Format(time.RFC3339), one.ID, one.State, one.Step, one.Binding, says(one))))
			}
			return nil
		},
	}
}

// rotationView is a rotation in JSON. The shape is stable.
type rotationView struct {
	Rotation string     `json:"rotation"`
	Binding  string     `json:"binding"`
	State    string     `json:"state"`
	Step     string     `json:"step"`
	Old      *string    `json:"old_key_id"` // the first; all are in old_key_ids
	New      *string    `json:"new_key_id"`
	Sinks    []sinkView `json:"sinks"`
	Next     string     `json:"next"`
	At       time.Time  `json:"at"`

	Trouble   *string    `json:"trouble"`
	Wake      *time.Time `json:"wake"`
	OldAll    []string   `json:"old_key_ids"`
	Started   time.Time  `json:"started"`
	Plan      string     `json:"plan"`
	Emergency bool       `json:"emergency"`
	Back      bool       `json:"rolling_back"`
}

type sinkView struct {
	Sink  string  `json:"sink"`
	State string  `json:"state"`
	Error *string `json:"error"`
}

func viewOf(r *rotate.Rotation) rotationView {
	v := rotationView{
		Rotation: r.ID, Binding: r.Binding, State: string(r.State), Step: string(r.Step), Next: r.Next, At: r.Updated.UTC(),
		Sinks: []sinkView{}, OldAll: []string{}, Trouble: optional(r.Trouble), Started: r.Started.UTC(),
		Plan: r.Plan.Hash, Emergency: r.Options.Emergency, Back: r.Back,
	}
	for _, s := range r.Plan.Old {
		v.OldAll = append(v.OldAll, s.KeyID)
	}
	if len(v.OldAll) > 0 {
		v.Old = &v.OldAll[0]
	}
	if r.New != nil {
		v.New = &r.New.KeyID
	}
	if !r.Wake.IsZero() && !r.State.Ended() {
		wake := r.Wake.UTC()
		v.Wake = &wake
	}
	for _, k := range r.Sinks {
		v.Sinks = append(v.Sinks, sinkView{k.Ref, string(k.State), optional(k.Error)})
	}
	return v
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// records opens the store for looking. Where there is none yet, r.store is nil.
func (p *program) records(ctx context.Context) (*rotations, error) {
	c, err := p.configuration()
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, noConfiguration()
	}
	r := &rotations{program: p, config: c}
	err = r.openStore(ctx, true)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil // no rotation was ever begun
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// history returns the rotations of the binding that is named, or all.
func (r *rotations) history(ctx context.Context, args []string) ([]*rotate.Rotation, error) {
	name := ""
	if len(args) > 0 {
		b, err := r.binding(args)
		if err != nil {
			return nil, err
		}
		name = b.Name
	}
	if r.store == nil {
		return nil, nil
	}
	all, err := r.store.History(ctx, name)
	return all, outcome(err, name)
}

// newest keeps the newest rotation of each binding, in the order of the file.
func (r *rotations) newest(all []*rotate.Rotation) []*rotate.Rotation {
	var kept []*rotate.Rotation
	for _, one := range all {
		if !slices.ContainsFunc(kept, func(k *rotate.Rotation) bool { return k.Binding == one.Binding }) {
			kept = append(kept, one)
		}
	}
	place := func(one *rotate.Rotation) int {
		for i, b := range r.config.Bindings {
			if b.Name == one.Binding {
				return i
			}
		}
		return len(r.config.Bindings)
	}
	slices.SortStableFunc(kept, func(a, b *rotate.Rotation) int { return cmp.Compare(place(a), place(b)) })
	return kept
}

func (p *program) runRotateStatus(ctx context.Context, watch bool, args []string) error {
	r, err := p.records(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	if watch {
		return r.watch(ctx, args)
	}
	all, err := r.history(ctx, args)
	if err != nil {
		return err
	}
	all = r.newest(all)
	if p.json {
		err = p.writeStatus(all, len(args) > 0)
	} else {
		g := p.page()
		if len(all) == 0 {
			g.line("no rotations yet")
		}
		for _, one := range all {
			g.rotation(one)
		}
	}
	if err != nil {
		return err
	}
	return worst(all)
}

// writeStatus writes one object for one binding (null when it was never
// rotated), else an array.
func (p *program) writeStatus(all []*rotate.Rotation, one bool) error {
	if one && len(all) == 0 {
		return p.writeJSON(nil)
	}
	if one {
		return p.writeJSON(viewOf(all[0]))
	}
	views := make([]rotationView, len(all))
	for i, r := range all {
		views[i] = viewOf(r)
	}
	return p.writeJSON(views)
}

// worst is the exit code of several rotations.
func worst(all []*rotate.Rotation) error {
	code := exitFine
	for _, r := range all {
		switch c := codeOf(r, rotate.Done); {
		case c == exitProblem, code == exitFine:
			code = c
		}
	}
	if code == exitFine {
		return nil
	}
	return found{code}
}

// showRotation writes where a rotation stands, as a command's result.
func (p *program) showRotation(r *rotate.Rotation) error {
	if p.json {
		return p.writeJSON(viewOf(r))
	}
	p.page().rotation(r)
	return nil
}

// rotation prints where a rotation stands, for people.
func (g page) rotation(r *rotate.Rotation) {
	g.line("%s  %s  %s", g.bold(clean(r.Binding)), g.state(r.State), r.ID)
	if !r.State.Ended() {
		done, all := stepsOf(r)
		g.row("step", "%s %d/%d %s%s", bar(done, all, 20), done, all, r.Step, detail(r))
	}
	if r.New != nil {
		g.row("new secret", "%s, ends %s", r.New.KeyID, r.New.End.UTC().Format(time.DateOnly))
	}
	for _, s := range r.Plan.Old {
		state := "still valid"
		if slices.Contains(r.Removed, s.KeyID) {
			state = "removed"
		}
		g.row("old secret", "%s, %s", s.KeyID, state)
	}
	for _, k := range r.Sinks {
		g.row("sink", "%s: %s%s", k.Ref, k.State, after(": ", k.Error))
	}
	if r.Trouble != "" {
		g.row("trouble", "%s", r.Trouble)
	}
	if r.Next != "" {
		g.row("next", "%s%s", r.Next, g.wake(r))
	}
}

func (g page) wake(r *rotate.Rotation) string {
	if r.Wake.IsZero() || r.State.Ended() {
		return ""
	}
	return ", at " + r.Wake.UTC().Format(time.RFC3339)
}

func (g page) state(s rotate.State) string {
	switch s {
	case rotate.Done:
		return g.coloured(string(s), "2")
	case rotate.NeedsPerson:
		return g.coloured(string(s), "1")
	}
	return g.coloured(string(s), "3")
}

// says is what a rotation has to tell: its trouble, else what it does next.
func says(r *rotate.Rotation) string { return cmp.Or(r.Trouble, r.Next) }

func after(sign, text string) string {
	if text == "" {
		return ""
	}
	return sign + text
}

// stepsOf counts the steps of a rotation and those that are behind it.
func stepsOf(r *rotate.Rotation) (done, all int) {
	order := rotate.Steps(r.Back)
	i := slices.Index(order, r.Step)
	if r.State.Ended() || i < 0 {
		return len(order), len(order)
	}
	return i, len(order)
}

// detail says how far a step is that takes long.
func detail(r *rotate.Rotation) string {
	switch r.Step {
	case rotate.Accept, rotate.Prove:
		return fmt.Sprintf(" (%d in a row)", r.Proof.InARow)
	case rotate.Deliver, rotate.Verify:
		n := 0
		for _, k := range r.Sinks {
			if k.State == rotate.Verified || r.Step == rotate.Deliver && k.State == rotate.Written {
				n++
			}
		}
		return fmt.Sprintf(" (%d of %d sinks)", n, len(r.Sinks))
	}
	return ""
}

func bar(done, all, width int) string {
	n := 0
	if all > 0 {
		n = min(width, done*width/all)
	}
	return strings.Repeat("█", n) + strings.Repeat("░", width-n)
}

// follower shows a rotation that goes on: a bar on a terminal, else a line
// whenever something has changed.
type follower struct {
	progress
	w    io.Writer
	last string
}

func (p *program) follower() *follower { return &follower{progress: p.progress(), w: p.Stderr} }

func (f *follower) see(r *rotate.Rotation) {
	done, all := stepsOf(r)
	if f.on {
		f.say("%s %d/%d %s%s%s", bar(done, all, 20), done, all, r.Step, detail(r), after(": ", says(r)))
		return
	}
	text := fmt.Sprintf("%s %s %s%s", r.Binding, r.State, r.Step, after(": ", says(r)))
	if text != f.last {
		fmt.Fprintf(f.w, "%s %s\n", r.Updated.UTC().Format(time.RFC3339), oneLine(text))
		f.last = text
	}
}
