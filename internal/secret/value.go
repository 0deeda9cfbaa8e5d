// Package secret holds client secrets in memory without letting them out.
//
// A [Value] prints as "[redacted]" under every verb, refuses to be encoded,
// and gives nothing to printers that walk memory by reflection. The only way
// to the text is [Value.Reveal], which a test keeps to the adapters that must
// send it. What the rest of the program needs to know about a value (its
// [Shape], its corrected forms, whether two are the same, its keyed
// [Key.Fingerprint]) is answered here.
//
// A Go string cannot be wiped: the promise is "never printed, never written",
// not "never in memory".
package secret

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// ErrEncode is returned by every encoding method of [Value]. It is loud on
// purpose: a mark written into a vault or a state file would pass unseen.
var ErrEncode = errors.New("a secret value does not encode: reveal it in the adapter that must send it")

const redacted = "[redacted]"

// Value is the text of a client secret. The zero Value is empty.
//
// The text sits in a closure behind a pointer: fmt cannot call methods on
// unexported fields, so whatever prints the struct that holds a Value shows an
// address, and a printer that follows pointers finds a function, not a string.
type Value struct{ text *func() string }

// New wraps s.
func New(s string) Value {
	f := func() string { return s }
	return Value{&f}
}

// Reveal returns the text. Only adapters that must send the text may call it.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return (*v.text)()
}

// IsEmpty reports whether there is no text.
func (v Value) IsEmpty() bool { return v.Reveal() == "" }

// Equal reports whether both hold the same text, in time that does not depend
// on where they differ.
func (v Value) Equal(w Value) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(w.Reveal())) == 1
}

// HoldsID reports whether v is an id that was pasted in place of a value: the
// case of its letters, dashes, braces and invisible characters around it do not
// count.
func (v Value) HoldsID(id string) bool {
	bare := func(s string) string { return strings.ReplaceAll(strings.Trim(trim(s), "{}"), "-", "") }
	return id != "" && strings.EqualFold(bare(v.Reveal()), bare(id))
}

// Scrub returns foreign text with every occurrence of v taken out.
func (v Value) Scrub(text string) string {
	if v.IsEmpty() {
		return text
	}
	return strings.ReplaceAll(text, v.Reveal(), redacted)
}

// Format writes "[redacted]" whatever the verb.
func (Value) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// String returns "[redacted]".
func (Value) String() string { return redacted }

// GoString returns "[redacted]".
func (Value) GoString() string { return redacted }

// LogValue returns "[redacted]".
func (Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText always fails with [ErrEncode].
func (Value) MarshalText() ([]byte, error) { return nil, ErrEncode }

// MarshalJSON always fails with [ErrEncode].
func (Value) MarshalJSON() ([]byte, error) { return nil, ErrEncode }

// MarshalBinary always fails with [ErrEncode].
func (Value) MarshalBinary() ([]byte, error) { return nil, ErrEncode }

// MarshalYAML always fails with [ErrEncode].
func (Value) MarshalYAML() (any, error) { return nil, ErrEncode }

// GobEncode always fails with [ErrEncode].
func (Value) GobEncode() ([]byte, error) { return nil, ErrEncode }

// OneEditFrom reports whether one character inserted, left out or replaced
// makes w of v.
func (v Value) OneEditFrom(w Value) bool {
	a, b := []rune(v.Reveal()), []rune(w.Reveal())
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		return i < len(a) && slices.Equal(a[i+1:], b[i+1:])
	}
	return slices.Equal(a[i:], b[i+1:])
}
