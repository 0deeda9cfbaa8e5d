// Package exec hands a secret to a program of the operator, which puts it
// where consumers read it. docs/sinks.md describes the protocol: one JSON
// request on stdin, one JSON answer on stdout, one process for each.
package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/command"
)

// Config is the configuration of the sink.
type Config struct {
	// Command is the absolute path of a program, and its arguments.
	Command []string `yaml:"command"`
	// ReadBack says that the program answers the request "read".
	ReadBack bool `yaml:"read_back"`
	// Reload says that the program answers "reload" and "reloaded".
	Reload bool `yaml:"reload"`
	// Timeout bounds one request; a minute if it is 0.
	Timeout time.Duration `yaml:"timeout"`
}

// Sink is a program that stores a value.
type Sink struct {
	command  *command.Command
	readBack bool
}

// New returns the sink of a configuration; with Reload it is a
// [sink.Reloader] too. Its errors name the field.
func New(c Config) (sink.Sink, error) {
	cmd, err := command.New(c.Command, c.Timeout)
	if err != nil {
		return nil, err
	}
	s := &Sink{cmd, c.ReadBack}
	if c.Reload {
		return &reloading{Sink: s, started: map[string]bool{}}, nil
	}
	return s, nil
}

// Request is what the program reads from stdin.
type Request struct {
	Op         string     `json:"op"`
	Rotation   string     `json:"rotation,omitempty"`
	Generation int64      `json:"generation,omitempty"`
	ClientID   string     `json:"client_id,omitempty"`
	KeyID      string     `json:"key_id,omitempty"`
	Expires    *time.Time `json:"expires,omitempty"`
	Version    string     `json:"version,omitempty"`
	Value      string     `json:"value,omitempty"`
}

// Answer is what the program writes to stdout.
type Answer struct {
	Value   string   `json:"value"`
	Version string   `json:"version"`
	Exists  *bool    `json:"exists"`
	Done    bool     `json:"done"`
	Error   *Refusal `json:"error"`
}

// Refusal is an error in an [Answer].
type Refusal struct {
	Kind       sink.Kind `json:"kind"`
	Message    string    `json:"message"`
	RetryAfter int64     `json:"retry_after_seconds"`
}

// tempFail is the exit code that asks to try again: EX_TEMPFAIL of sysexits.
const tempFail = 75

// Ref returns "exec:" and the command line.
func (s *Sink) Ref() string { return "exec:" + strings.Join(s.command.Argv(), " ") }

// Abilities depend on what the operator says that the program can do.
func (s *Sink) Abilities() sink.Abilities { return sink.Abilities{ReadBack: s.readBack} }

// Check asks the program whether it could store a value.
func (s *Sink) Check(ctx context.Context) error {
	_, err := s.ask(ctx, Request{Op: "check"})
	return err
}

// Read asks the program what is stored, if it can tell.
func (s *Sink) Read(ctx context.Context) (sink.Held, error) {
	if !s.readBack {
		return sink.Held{}, nil
	}
	a, err := s.ask(ctx, Request{Op: "read"})
	if err != nil {
		return sink.Held{}, err
	}
	switch {
	case a.Exists == nil:
		return sink.Held{}, s.stop("read", `its answer to "read" has no "exists"`, "let it answer true or false there")
	case !*a.Exists:
		return sink.Held{}, nil
	}
	return sink.Held{Exists: true, Value: secret.New(a.Value), Version: a.Version}, nil
}

// Write hands the value over. The program answers when it is stored, and may
// be asked again for the same.
func (s *Sink) Write(ctx context.Context, d sink.Delivery) (string, error) {
	value := d.Value.Reveal()
	if value == "" || !utf8.ValidString(value) { // JSON would change it
		return "", s.stop("write", "the value is empty or not UTF-8", "make another secret")
	}
	r := Request{
		Op: "write", Value: value, Version: d.Version,
		Rotation: d.Rotation, Generation: d.Generation, ClientID: d.ClientID, KeyID: d.KeyID,
	}
	if !d.Expires.IsZero() {
		utc := d.Expires.UTC()
		r.Expires = &utc
	}
	a, err := s.ask(ctx, r)
	if err != nil {
		return "", err
	}
	if !a.Done {
		return "", s.stop("write", "it ended well but did not say that the value is stored", `let it answer {"done":true} when it is`)
	}
	return a.Version, nil
}

// stop is a refusal that a person must deal with.
func (s *Sink) stop(op, says, next string) error {
	return &sink.Error{Op: s.doing(op), Kind: sink.Invalid, Next: next, Err: errors.New(says)}
}

func (s *Sink) doing(op string) string { return fmt.Sprintf("%s with %s", op, s.command) }

// ask makes one request.
func (s *Sink) ask(ctx context.Context, r Request) (Answer, error) {
	var in bytes.Buffer
	encoder := json.NewEncoder(&in)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return Answer{}, fmt.Errorf("encode the request: %w", err)
	}
	result, err := s.command.Run(ctx, nil, in.Bytes())
	if err != nil {
		return Answer{}, s.failed(r.Op, err)
	}
	var a Answer
	decodeErr := json.Unmarshal(result.Stdout, &a)
	values := []secret.Value{secret.New(r.Value), secret.New(a.Value)}
	e := &sink.Error{Op: s.doing(r.Op), Kind: sink.Invalid, Err: result.Failure(values...), Next: "run it by hand, or see docs/sinks.md for what it must answer"}
	switch {
	case decodeErr == nil && a.Error != nil:
		return Answer{}, s.refused(e, *a.Error, result.Exit, values)
	case result.Exit == tempFail, result.Exit < 0: // killed with the service, or for want of memory: it may be asked again
		e.Kind, e.Next = sink.Unreachable, ""
		return Answer{}, e
	case result.Exit != 0:
		return Answer{}, e
	case decodeErr != nil: // its text may quote the answer
		e.Err = errors.New("its answer is no JSON object as the protocol has it")
		return Answer{}, e
	}
	return a, nil
}

// refused takes the program's own word for what went wrong.
func (s *Sink) refused(e *sink.Error, r Refusal, exit int, values []secret.Value) error {
	if shown := command.Shown(r.Message, values...); shown != "" {
		e.Err = fmt.Errorf("it says %s", shown)
	}
	switch r.Kind {
	case sink.Unreachable, sink.Changed:
		e.Kind, e.Next = r.Kind, ""
	case sink.Throttled:
		e.Kind, e.Next = r.Kind, ""
		if r.RetryAfter > 0 && r.RetryAfter <= 24*60*60 {
			e.After = time.Duration(r.RetryAfter) * time.Second
		}
	case sink.Denied:
		e.Kind, e.Next = r.Kind, "give the program the permission it names"
	case sink.Invalid:
	default:
		if exit == tempFail {
			e.Kind, e.Next = sink.Unreachable, ""
		}
	}
	return e
}

// failed tells what to do about a program that gave no answer.
func (s *Sink) failed(op string, err error) error {
	e := &sink.Error{Op: s.doing(op), Kind: sink.Unreachable, Err: err}
	unsafe, isUnsafe := errors.AsType[*command.Unsafe](err)
	switch {
	case isUnsafe:
		e.Kind, e.Next = sink.Invalid, unsafe.Next
	case errors.Is(err, fs.ErrPermission):
		e.Kind, e.Next = sink.Denied, "let credsmith's user run the program"
	case errors.Is(err, fs.ErrNotExist):
		e.Kind, e.Next = sink.Invalid, "install the program, or the interpreter that its first line names"
	case errors.Is(err, command.ErrOutput):
		e.Kind, e.Next = sink.Invalid, "let it write its answer and no more"
	}
	return e
}

// reloading is a sink whose program can make consumers take a value up.
type reloading struct {
	*Sink
	mu      sync.Mutex
	started map[string]bool // rotations
}

// Reload asks the program to begin, once for each rotation of this process; a
// later process asks again.
func (s *reloading) Reload(ctx context.Context, rotation string) error {
	s.mu.Lock()
	started := s.started[rotation]
	s.mu.Unlock()
	if started {
		return nil
	}
	if _, err := s.ask(ctx, Request{Op: "reload", Rotation: rotation}); err != nil {
		return err
	}
	s.mu.Lock()
	s.started[rotation] = true
	s.mu.Unlock()
	return nil
}

// Reloaded asks the program whether all consumers have taken the value up.
func (s *reloading) Reloaded(ctx context.Context, rotation string) (bool, error) {
	a, err := s.ask(ctx, Request{Op: "reloaded", Rotation: rotation})
	return a.Done, err
}
