package cli

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/credsmith/credsmith/internal/rotate"
)

// watchEvery is how often the record is looked at.
const watchEvery = time.Second

// watch shows the newest rotations until all have ended or need a person.
func (r *rotations) watch(ctx context.Context, args []string) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	screen := &screen{program: r.program, on: !r.json && isTerminal(r.Stdout)}
	for {
		all, err := r.history(ctx, args)
		if err != nil {
			return err
		}
		all = r.newest(all)
		if err := screen.show(all); err != nil {
			return err
		}
		if settled(all) {
			return worst(all)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func settled(all []*rotate.Rotation) bool {
	for _, r := range all {
		if !r.State.Ended() && r.State != rotate.NeedsPerson {
			return false
		}
	}
	return true
}

// screen shows rotations again and again: in place on a terminal, else what
// has changed, a line each.
type screen struct {
	*program
	on    bool
	lines int // drawn last time
	seen  map[string]rotationView
}

func (s *screen) show(all []*rotate.Rotation) error {
	if s.on {
		return s.draw(all)
	}
	if s.seen == nil {
		s.seen = map[string]rotationView{}
	}
	for _, r := range all {
		v := viewOf(r)
		if reflect.DeepEqual(s.seen[v.Rotation], v) {
			continue
		}
		s.seen[v.Rotation] = v
		if s.json {
			if err := s.writeJSONLine(v); err != nil {
				return err
			}
			continue
		}
		done, of := stepsOf(r)
		_, err := fmt.Fprintf(s.Stdout, "%s %s %s %d/%d %s%s%s\n", v.At.Format(time.RFC3339), clean(v.Binding), v.State, done, of, v.Step, detail(r), oneLine(after(": ", says(r))))
		if err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
	}
	return nil
}

// draw paints over what it has drawn before.
func (s *screen) draw(all []*rotate.Rotation) error {
	painted := &lineCounter{}
	g := page{painted, s.colour(s.Stdout)}
	for _, r := range all {
		g.rotation(r)
	}
	if len(all) == 0 {
		g.line("no rotations yet")
	}
	up := ""
	if s.lines > 0 {
		up = fmt.Sprintf("\033[%dA\033[J", s.lines)
	}
	s.lines = painted.lines
	if _, err := fmt.Fprint(s.Stdout, up+string(painted.text)); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

type lineCounter struct {
	text  []byte
	lines int
}

func (c *lineCounter) Write(b []byte) (int, error) {
	c.text = append(c.text, b...)
	for _, one := range b {
		if one == '\n' {
			c.lines++
		}
	}
	return len(b), nil
}
