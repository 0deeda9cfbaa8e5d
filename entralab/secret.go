package entralab

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"
	"unicode/utf8"
)

// App is an application registration as the lab hands it out.
type App struct {
	TenantID           string
	ObjectID           string // Graph's id of the application object
	ClientID           string // what signs in: appId, "Application (client) ID"
	ServicePrincipalID string // object id in the tenant; empty when there is none
	DisplayName        string
	Secrets            []Secret
}

// Secret is one client secret. Printing it shows all but the value; encoding
// it as JSON fails, so that a value is never written by accident.
type Secret struct {
	KeyID       string // the portal's "Secret ID"
	Value       SecretText
	Hint        string // first three characters of the value
	DisplayName string
	Start, End  time.Time
}

// SecretText is the value of a client secret. It prints as "[redacted]" and
// does not encode; [SecretText.Reveal] is the only way to the text.
//
// The text sits behind a pointer to a function: fmt calls no methods on
// unexported fields, so whatever prints a struct that holds a SecretText shows
// an address.
type SecretText struct{ text *func() string }

func newSecretText(s string) SecretText {
	f := func() string { return s }
	return SecretText{&f}
}

// Reveal returns the text, "" for the zero SecretText.
func (s SecretText) Reveal() string {
	if s.text == nil {
		return ""
	}
	return (*s.text)()
}

const redacted = "[redacted]"

var errEncode = errors.New("entralab: a secret value does not encode; call Reveal where it must be sent")

// Format writes "[redacted]" whatever the verb.
func (SecretText) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// String returns "[redacted]".
func (SecretText) String() string { return redacted }

// GoString returns "[redacted]".
func (SecretText) GoString() string { return redacted }

// LogValue returns "[redacted]".
func (SecretText) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON always fails.
func (SecretText) MarshalJSON() ([]byte, error) { return nil, errEncode }

// MarshalText always fails.
func (SecretText) MarshalText() ([]byte, error) { return nil, errEncode }

// valueAlphabet has 66 letters; every one of them is safe in a form, a URL
// and an unquoted env-file line.
const valueAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_~.-"

// generateValue returns a value of today's shape, 40 characters with "8Q~"
// after the first three (seen in public samples, 2026-11). It is drawn from
// crypto/rand, never from the seed, because the seed is public.
func generateValue() string {
	var value [40]byte
	drawLetters(value[:])
	copy(value[3:], "8Q~")
	return string(value[:])
}

// drawLetters fills b with letters of the alphabet, each as likely.
func drawLetters(b []byte) {
	const n = len(valueAlphabet)
	var block [64]byte // one read seldom has too few for a value
	for size := 0; size < len(b); {
		rand.Read(block[:]) // never fails
		for _, drawn := range block {
			if size < len(b) && int(drawn) < 256/n*n {
				b[size] = valueAlphabet[int(drawn)%n]
				size++
			}
		}
	}
}

// hintOf returns what Graph shows of a value: its first three characters.
func hintOf(value string) hint {
	var h hint
	letters := 0
	for _, letter := range value { // what is not UTF-8 counts as U+FFFD
		if letters == 3 {
			break
		}
		h.size += uint8(utf8.EncodeRune(h.text[h.size:], letter))
		letters++
	}
	return h
}

// hint has room for any three letters. It is no string, which would take as
// much and the text besides.
type hint struct {
	size uint8
	text [3 * utf8.UTFMax]byte
}

func (h hint) String() string { return string(h.text[:h.size]) }

// unusualValue returns a value of 16 to 64 characters with letters that
// careless code mishandles (F16). Length 0 draws one. Like every value it does
// not depend on the seed.
func unusualValue(kind string, length int) string {
	const symbols = `~._-[]@+'"\$% `
	if length < 16 {
		var b [1]byte
		rand.Read(b[:]) // never fails
		length = 16 + int(b[0])%49
	}
	value := make([]byte, length)
	drawLetters(value)
	switch kind {
	case "symbols":
		copy(value[1:], symbols[:len(symbols)-1]) // a blank has its own kind
	case "leading-dash":
		value[0] = '-'
	case "newline":
		value[length-1] = '\n'
	case "space":
		value[length/2] = ' '
	}
	return string(value)
}
