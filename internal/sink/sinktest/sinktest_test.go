package sinktest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is a place in memory, shared by the processes that open it.
type store struct {
	mu         sync.Mutex
	value      string
	version    string
	generation int64
	draft      string // left behind by a process that died
	denied     bool
	lost       bool
	hangs      bool
	reloads    int
	reloaded   map[string]bool
}

// memory is one process's sink over a store. bug breaks one promise, so that a
// test can see the suite find it.
type memory struct {
	*store
	bug   string
	steps int // before the process dies; -1 never
	cut   bool
}

var errDied = errors.New("the process died")

func (m *memory) Ref() string {
	if m.bug == "ref" {
		return "memory:" + m.value
	}
	return "memory:place"
}

func (m *memory) Abilities() sink.Abilities {
	return sink.Abilities{ReadBack: true, Compare: true, Labels: true}
}

// step is one step to the outside; m.mu is held.
func (m *memory) step() error {
	if m.steps == 0 {
		m.cut = true
		return errDied
	}
	m.steps--
	return nil
}

func (m *memory) reach(ctx context.Context, op string) error {
	if m.hangs && ctx.Err() == nil {
		if m.bug == "kind" {
			return errors.New("no answer")
		}
		<-ctx.Done()
	}
	err := ctx.Err()
	if m.bug == "context" {
		err = nil
	}
	if m.lost {
		err = errors.New("no route to the store")
	}
	if err != nil {
		return &sink.Error{Op: op, Kind: sink.Unreachable, Err: err}
	}
	return nil
}

func (m *memory) Check(ctx context.Context) error {
	if err := m.reach(ctx, "check"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bug == "check writes" {
		m.value, m.version = "x", rand.Text()
	}
	if m.denied && m.bug != "check" {
		return &sink.Error{Op: "check", Kind: sink.Denied, Next: "grant it", Err: errors.New("no permission")}
	}
	return nil
}

func (m *memory) Read(ctx context.Context) (sink.Held, error) {
	if err := m.reach(ctx, "read"); err != nil {
		return sink.Held{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	held := sink.Held{Exists: m.value != "", Value: secret.New(m.value), Version: m.version, Generation: m.generation}
	if m.bug == "labels" {
		held.Generation = 0
	}
	return held, nil
}

func (m *memory) Write(ctx context.Context, d sink.Delivery) (string, error) {
	const op = "write"
	if err := m.reach(ctx, op); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	text := d.Value.Reveal()
	refuse := func(kind sink.Kind, next, says string) (string, error) {
		return "", &sink.Error{Op: op, Kind: kind, Next: next, Err: errors.New(says)}
	}
	switch {
	case m.bug == "error" && strings.Contains(text, "\n"):
		return refuse(sink.Invalid, "make another", fmt.Sprintf("cannot hold %q", text))
	case strings.ContainsAny(text, "\x00") || text == "":
		return refuse(sink.Invalid, "make another secret", "the store cannot hold this value")
	case m.denied:
		return refuse(sink.Denied, "grant the permission", "no permission")
	case m.value == text && m.bug != "again":
		return m.version, nil
	case m.version != d.Version && m.bug != "changed":
		return refuse(sink.Changed, "", "somebody wrote it")
	}
	if m.bug == "trim" {
		text = strings.TrimSpace(text)
	}
	return m.commit(text, d.Generation)
}

func (m *memory) commit(text string, generation int64) (string, error) {
	const op = "write"
	version := rand.Text()
	if m.bug == "torn" {
		if err := m.step(); err != nil {
			return "", &sink.Error{Op: op, Kind: sink.Unreachable, Err: err}
		}
		m.value = text[:len(text)/2]
	}
	if m.bug == "litter" {
		m.draft = text
	}
	if err := m.step(); err != nil {
		if m.bug == "acknowledged" {
			return version, nil
		}
		return "", &sink.Error{Op: op, Kind: sink.Unreachable, Err: err}
	}
	m.value, m.version, m.generation = text, version, generation
	if err := m.step(); err != nil {
		return "", &sink.Error{Op: op, Kind: sink.Unreachable, Err: err}
	}
	return version, nil
}

func (m *memory) Reload(ctx context.Context, rotation string) error {
	if err := m.reach(ctx, "reload"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.reloaded[rotation] || m.bug == "reload" {
		m.reloads++
	}
	m.reloaded[rotation] = true
	return nil
}

func (m *memory) Reloaded(_ context.Context, rotation string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reloaded[rotation], nil
}

// bugEnv names the promise that the memory sink breaks.
const bugEnv = "SINKTEST_BUG"

func TestMemory(t *testing.T) {
	t.Parallel()
	bug := os.Getenv(bugEnv)
	sinktest.Run(t, func(*testing.T) sinktest.Fixture {
		st := &store{reloaded: map[string]bool{}}
		set := func(b *bool) func(*testing.T) { return func(*testing.T) { *b = true } }
		return sinktest.Fixture{
			Open:   func(*testing.T) sink.Sink { return &memory{store: st, bug: bug, steps: -1} },
			Change: func(_ *testing.T, value string) { st.value, st.version, st.generation = value, rand.Text(), 0 },
			Deny:   set(&st.denied), Lose: set(&st.lost), Hang: set(&st.hangs),
			Cut: func(_ *testing.T, n int) (sink.Sink, func() bool) {
				m := &memory{store: st, bug: bug, steps: n - 1}
				return m, func() bool { return m.cut }
			},
			Tidy: func(t *testing.T) {
				if st.draft != "" {
					t.Error("a draft is left")
				}
			},
			Reloads: func() int { return st.reloads },
		}
	})
}

// TestSuiteFinds runs the suite over a sink that breaks one promise at a time:
// a suite that passes it would be worth nothing.
func TestSuiteFinds(t *testing.T) {
	t.Parallel()
	for bug, caught := range map[string]string{
		"ref": "ref", "trim": "hostile", "error": "hostile", "again": "write_again", "changed": "changed", "labels": "labels",
		"check": "denied", "check writes": "check", "context": "cancelled", "kind": "hanging", "torn": "crash", "litter": "crash",
		"acknowledged": "crash", "reload": "reload",
	} {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMemory$")
			cmd.Env = append(os.Environ(), bugEnv+"="+bug)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestMemory/"+caught+" ") {
				t.Errorf("the suite did not find %q in %q: %v\n%s", bug, caught, err, out)
			}
		})
	}
}
