package cli

import (
	"bytes"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/rotate"
)

func sample(state rotate.State, step rotate.Step) *rotate.Rotation {
	return &rotate.Rotation{
		ID: "r-abcdefghij", Binding: "billing\x1b[2J", State: state, Step: step, Next: "see",
		Plan:    rotate.Plan{Old: []rotate.Secret{{KeyID: "old"}}},
		Sinks:   []rotate.SinkProgress{{Ref: "dotenv:/a#B", State: rotate.Written}, {Ref: "dotenv:/c#D", State: rotate.Failed, Error: "no\x1b]0;x"}},
		Updated: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func TestFollower(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	f := &follower{progress: progress{&out, true}, w: &out}
	f.see(sample(rotate.Running, rotate.Deliver))
	f.end()
	if got, want := out.String(), "\r\033[K████░░░░░░░░░░░░░░░░ 3/14 deliver (1 of 2 sinks): see\r\033[K"; got != want {
		t.Errorf("on a terminal %q, want %q", got, want)
	}
	out.Reset()
	f = &follower{w: &out}
	f.see(sample(rotate.Running, rotate.Deliver))
	f.see(sample(rotate.Running, rotate.Deliver))
	f.see(sample(rotate.Running, rotate.Verify))
	want := "2026-01-02T03:04:05Z billing[2J running deliver: see\n2026-01-02T03:04:05Z billing[2J running verify: see\n"
	if got := out.String(); got != want {
		t.Errorf("elsewhere %q, want %q", got, want)
	}
}

func TestScreen(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &screen{program: &program{Env: Env{Stdout: &out, LookupEnv: func(string) (string, bool) { return "", false }}}, on: true}
	for range 2 {
		if err := s.show([]*rotate.Rotation{sample(rotate.Running, rotate.Accept)}); err != nil {
			t.Fatal(err)
		}
	}
	page := `billing[2J  running  r-abcdefghij
step        ██░░░░░░░░░░░░░░░░░░ 2/14 accept (0 in a row)
old secret  old, still valid
sink        dotenv:/a#B: written
sink        dotenv:/c#D: failed: no]0;x
next        see
`
	if got, want := out.String(), page+"\033[6A\033[J"+page; got != want {
		t.Errorf("drawn\n%q, want\n%q", got, want)
	}
}

func TestCodeOf(t *testing.T) {
	t.Parallel()
	back := func(state rotate.State, step rotate.Step) *rotate.Rotation {
		r := sample(state, step)
		r.Back = true
		return r
	}
	for _, tt := range []struct {
		r    *rotate.Rotation
		want rotate.State
		code int
	}{
		{sample(rotate.Done, rotate.Close), rotate.Done, 0},
		{sample(rotate.Waiting, rotate.Overlap), rotate.Done, 0},
		{sample(rotate.Waiting, rotate.Gone), rotate.Done, 0},
		{sample(rotate.Waiting, rotate.Deliver), rotate.Done, 3},
		{sample(rotate.Running, rotate.Reload), rotate.Done, 3},
		{sample(rotate.Waiting, rotate.Mint), rotate.Done, 3},
		{sample(rotate.NeedsPerson, rotate.Recheck), rotate.Done, 1},
		{back(rotate.RolledBack, rotate.Close), rotate.Done, 1},
		{back(rotate.Running, rotate.Restore), rotate.Done, 1},
		{back(rotate.RolledBack, rotate.Close), rotate.RolledBack, 0},
		{back(rotate.Waiting, rotate.Restore), rotate.RolledBack, 3},
		{back(rotate.Waiting, rotate.Unminted), rotate.RolledBack, 0},
		{back(rotate.NeedsPerson, rotate.Restore), rotate.RolledBack, 1},
	} {
		if got := codeOf(tt.r, tt.want); got != tt.code {
			t.Errorf("%s at %s, wanted %s: exit %d, want %d", tt.r.State, tt.r.Step, tt.want, got, tt.code)
		}
	}
}
