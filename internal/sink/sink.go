// Package sink is what a rotation and the places it writes to say to each
// other. Plain types, no I/O: each place has an adapter of its own in a folder
// below, and internal/sink/sinktest holds the suite that every adapter passes.
package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/credsmith/credsmith/internal/secret"
)

// Sink is one place that holds the value for consumers to read. Its methods
// may be called again after a crash or a lost reply, and by two processes at
// once; they send nothing twice of their own accord.
type Sink interface {
	// Ref names the place, the same in every run and on every machine:
	// "dotenv:/srv/billing/.env#AZURE_CLIENT_SECRET". It holds no secret.
	Ref() string

	Abilities() Abilities

	// Check tells, without writing, whether a Write would be let in. What it
	// cannot find out it passes.
	Check(ctx context.Context) error

	// Read returns what the place holds now. A place that cannot be read back
	// returns Held without a value; one with nothing in it, Held with Exists
	// false. Neither is an error.
	Read(ctx context.Context) (Held, error)

	// Write puts a value in and returns the version it got. Writing what is
	// there already changes nothing, or makes one more version of the same.
	Write(ctx context.Context, d Delivery) (version string, err error)
}

// Reloader is a sink whose consumers can be made to take up a value. Both
// methods name the rotation, so that a second call finds the first one's work.
type Reloader interface {
	// Reload starts it. A rotation that was reloaded already is left alone.
	Reload(ctx context.Context, rotation string) error
	// Reloaded reports whether every consumer has taken the value up.
	Reloaded(ctx context.Context, rotation string) (bool, error)
}

// Abilities is what a place can do. A rotation promises no more than they allow.
type Abilities struct {
	ReadBack bool `json:"read_back"` // the value can be read again: verified, and put back in a rollback
	Compare  bool `json:"compare"`   // a write is refused when the place changed since it was read
	Labels   bool `json:"labels"`    // the generation is kept beside the value
}

// Held is what a place holds.
type Held struct {
	Exists     bool
	Value      secret.Value // empty where it cannot be read back
	Version    string       // opaque; changes with every write, "" where there is none
	Generation int64        // of the rotation that wrote it; 0 if credsmith did not, or the place has no labels
	// ManagedBy names another tool that writes this place ("External Secrets
	// ExternalSecret/billing"): it would undo our write. Empty if nobody.
	ManagedBy string
}

// Delivery is a value on its way into a place.
type Delivery struct {
	Value      secret.Value
	ClientID   string
	KeyID      string // the Secret ID that the value belongs to
	Rotation   string
	Generation int64
	Expires    time.Time
	// Version is the one last read: a sink that can compare answers Changed
	// when the place has moved on. Empty means: there was nothing.
	Version string
}

// Kind tells a rotation what to do about an error.
type Kind string

// The kinds.
const (
	Unreachable Kind = "unreachable" // try again later
	Throttled   Kind = "throttled"   // try again, no sooner than After
	Changed     Kind = "changed"     // somebody wrote it since it was read: look again
	Denied      Kind = "denied"      // a permission is missing: a person
	Invalid     Kind = "invalid"     // the place cannot take this value as it is described: a person
)

// Error is a place's refusal. Its text names the place and what was tried, and
// holds no part of a value.
type Error struct {
	Op    string // "write secret billing to https://kv.vault.azure.net"
	Kind  Kind
	After time.Duration // with Throttled: how long to wait; 0 if it did not say
	Next  string        // what a person can do; "" when waiting is all
	Err   error
}

func (e *Error) Error() string {
	if e.Next == "" {
		return fmt.Sprintf("%s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("%s: %v; %s", e.Op, e.Err, e.Next)
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of an error; Unreachable for one that says nothing,
// since trying again does no harm.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Unreachable
}
