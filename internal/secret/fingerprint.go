package secret

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// KeySize is the length of a [Key] in bytes.
const KeySize = 32

// Key turns values into fingerprints. It stays on the machine: without it a
// fingerprint says nothing about the value, not even to someone who can guess.
type Key struct{ text Value }

// NewKey returns a key with fresh random bytes.
func NewKey() Key {
	b := make([]byte, KeySize)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return Key{New(string(b))}
}

// KeyFrom returns the key with the given bytes; ok is false unless there are
// exactly [KeySize] of them.
func KeyFrom(b []byte) (key Key, ok bool) {
	if len(b) != KeySize {
		return Key{}, false
	}
	return Key{New(string(b))}, true
}

// Bytes returns the key for storing.
func (k Key) Bytes() []byte { return []byte(k.text.Reveal()) }

// Fingerprint returns 26 lower-case letters and digits (128 bits of a keyed
// hash). Equal values have equal fingerprints under one key. The empty value
// has the empty fingerprint.
func (k Key) Fingerprint(v Value) string {
	if v.IsEmpty() {
		return ""
	}
	// A subkey, so that the stored key may serve other purposes too.
	sub, err := hkdf.Key(sha256.New, k.Bytes(), nil, "credsmith fingerprint v1", KeySize)
	if err != nil {
		panic(err) // only for impossible lengths
	}
	mac := hmac.New(sha256.New, sub)
	mac.Write([]byte(v.Reveal()))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)[:16]))
}
