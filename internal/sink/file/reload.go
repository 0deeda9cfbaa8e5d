package file

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/command"
)

// reloading is a file whose consumers a program makes read it again.
type reloading struct {
	*Sink
	command *command.Command
	mu      sync.Mutex
	done    map[string]bool // rotations
}

// Check looks at the file and at the program.
func (s *reloading) Check(ctx context.Context) error {
	if err := s.Sink.Check(ctx); err != nil {
		return err
	}
	return s.failed(s.command.Check())
}

// Reload runs the program and waits for it, once for each rotation of this
// process; a later process runs it again.
func (s *reloading) Reload(ctx context.Context, rotation string) error {
	if done, err := s.Reloaded(ctx, rotation); done || err != nil {
		return err
	}
	held, err := s.Read(ctx) // what the program must not print
	if err != nil {
		return err
	}
	env := []string{"CREDSMITH_OP=reload", "CREDSMITH_ROTATION=" + rotation, "CREDSMITH_FILE=" + s.file}
	result, err := s.command.Run(ctx, env, nil)
	if err != nil {
		return s.failed(err)
	}
	if result.Exit != 0 {
		return s.failed(result.Failure(held.Value))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done[rotation] = true
	return nil
}

// Reloaded reports whether Reload has ended well.
func (s *reloading) Reloaded(_ context.Context, rotation string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done[rotation], nil
}

// failed tells what to do about a program that did not do its work. The value
// is in its place, so to try again does no harm.
func (s *reloading) failed(err error) error {
	if err == nil {
		return nil
	}
	e := &sink.Error{Op: fmt.Sprintf("reload the consumers of %s with %s", s.file, s.command), Kind: sink.Unreachable, Err: err}
	if unsafe, ok := errors.AsType[*command.Unsafe](err); ok {
		e.Kind, e.Next = sink.Invalid, unsafe.Next
	}
	return e
}
