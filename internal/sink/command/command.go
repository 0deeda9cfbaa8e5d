// Package command runs one program that an operator named: to reload what
// reads a file, or as a sink of its own.
//
// There is no shell. The program gets a clean environment and its input on
// stdin; its time and output are bounded, and no text that it wrote gets out
// with a value in it.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/credsmith/credsmith/internal/canary"
	"github.com/credsmith/credsmith/internal/secret"
)

const (
	// DefaultTimeout is how long a program may take.
	DefaultTimeout = time.Minute
	maxTimeout     = time.Hour
	// maxOutput bounds stdout and stderr, each, in bytes.
	maxOutput = 64 << 10
	// maxShown bounds what an error quotes, in bytes.
	maxShown = 300
	// defaultGrace is the time between SIGTERM and SIGKILL, and the time that
	// children may keep the output of an ended program open.
	defaultGrace = 2 * time.Second
)

// Errors of a program that was stopped.
var (
	ErrTimeout = errors.New("it took too long and was killed")
	ErrOutput  = fmt.Errorf("it wrote more than %d KiB and was killed", maxOutput>>10)
)

// Command is a program with its arguments.
type Command struct {
	argv    []string
	timeout time.Duration
	grace   time.Duration
}

// New returns a command; 0 stands for [DefaultTimeout]. Its errors name the
// field.
func New(argv []string, timeout time.Duration) (*Command, error) {
	switch {
	case len(argv) == 0:
		return nil, errors.New("command: is missing: the absolute path of a program and its arguments")
	case !filepath.IsAbs(argv[0]):
		return nil, fmt.Errorf("command: %q is not an absolute path", argv[0])
	case slices.ContainsFunc(argv, func(arg string) bool { return strings.ContainsRune(arg, 0) }):
		return nil, errors.New("command: holds a zero byte")
	case timeout < 0 || timeout > maxTimeout:
		return nil, fmt.Errorf("timeout: %v is not between 0 and %v", timeout, maxTimeout)
	case timeout == 0:
		timeout = DefaultTimeout
	}
	return &Command{slices.Clone(argv), timeout, defaultGrace}, nil
}

// String returns the program's path.
func (c *Command) String() string { return c.argv[0] }

// Argv returns the program and its arguments.
func (c *Command) Argv() []string { return slices.Clone(c.argv) }

// Check tells whether the program may be run: it is there, and nobody but its
// owner, who is root or us, can write it.
func (c *Command) Check() error { return safe(c.argv[0]) }

// Unsafe is a program that must not be run as it is.
type Unsafe struct{ Says, Next string }

func (u *Unsafe) Error() string { return u.Says }

// Result is what a program left.
type Result struct {
	Exit   int // its exit code; -1 when a signal ended it
	Stdout []byte
	stderr string
}

// Shown returns what a program wrote, short and quoted, for an error: "" for
// nothing. Text that holds a part of one of the values, in any form, is left
// out whole.
func Shown(text string, values ...secret.Value) string {
	text = strings.TrimSpace(text)
	for _, v := range values {
		if held := v.Reveal(); held != "" && (strings.Contains(text, held) || len(held) >= 4 && len(canary.Find([]byte(text), held)) > 0) {
			return "(its text holds a secret and is not shown)"
		}
	}
	if text == "" {
		return ""
	}
	if len(text) > maxShown {
		text = text[:maxShown] + "..."
	}
	return fmt.Sprintf("%q", text)
}

// Failure says how a program ended, for an error.
func (r Result) Failure(values ...secret.Value) error {
	how := fmt.Sprintf("it ended with exit code %d", r.Exit)
	if r.Exit < 0 {
		how = "a signal ended it"
	}
	if shown := Shown(r.stderr, values...); shown != "" {
		how += " and wrote " + shown
	}
	return errors.New(how)
}

// Run runs the program once, with env and no more than PATH, HOME and LANG of
// our own. A program that ends with any exit code is no error; one that could
// not be started, was stopped, or was given up is.
func (c *Command) Run(ctx context.Context, env []string, stdin []byte) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if err := c.Check(); err != nil {
		return Result{}, err
	}
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limited, stop := context.WithTimeoutCause(limited, c.timeout, ErrTimeout)
	defer stop()
	stdout, stderr := &capped{full: cancel}, &capped{full: cancel}
	cmd := exec.CommandContext(limited, c.argv[0], c.argv[1:]...)
	cmd.Env = append(inherited(), env...)
	cmd.Dir = filepath.VolumeName(c.argv[0]) + string(filepath.Separator)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), stdout, stderr
	cmd.WaitDelay = c.grace
	group(cmd)
	if err := cmd.Start(); err != nil {
		return Result{}, err
	}
	err := cmd.Wait()
	if limited.Err() != nil || errors.Is(err, exec.ErrWaitDelay) {
		killGroup(cmd) // children that outlived it
	}
	result := Result{Exit: cmd.ProcessState.ExitCode(), Stdout: stdout.data(), stderr: string(stderr.data())}
	if limited.Err() != nil {
		return result, context.Cause(limited)
	}
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited && !errors.Is(err, exec.ErrWaitDelay) {
		return result, err
	}
	return result, nil
}

// inherited returns what a program gets of our own environment.
func inherited() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "LANG", "SYSTEMROOT"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// capped keeps the beginning of an output and ends the program that writes
// more. A child may still write after the program was given up.
type capped struct {
	mu   sync.Mutex
	buf  []byte
	full context.CancelCauseFunc
}

func (c *capped) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.buf)+len(p) > maxOutput {
		c.buf = append(c.buf, p[:maxOutput-len(c.buf)]...)
		c.full(ErrOutput)
		return 0, ErrOutput
	}
	c.buf = append(c.buf, p...)
	return len(p), nil
}

func (c *capped) data() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf
}
