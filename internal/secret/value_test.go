package secret_test

import (
	"bytes"
	"encoding"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/credsmith/credsmith/internal/secret"
)

const canary = "Can8Q~aryaryaryaryaryaryaryaryaryaryarya"

type holder struct {
	Exported secret.Value
	hidden   secret.Value
	list     []secret.Value
	byName   map[string]secret.Value
	pointer  *secret.Value
	any      any
}

type field struct{ V secret.Value }

func newHolder() holder {
	v := secret.New(canary)
	return holder{v, v, []secret.Value{v}, map[string]secret.Value{"k": v}, &v, v}
}

func TestPrintsRedacted(t *testing.T) {
	t.Parallel()
	v := secret.New(canary)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v", "%p", "%10s", "%w"} {
		for _, what := range []any{v, &v, newHolder(), new(newHolder()), []secret.Value{v}, map[secret.Value]secret.Value{v: v}} {
			got := fmt.Sprintf(verb, what, what)
			if leaks(got) {
				t.Errorf("Sprintf(%q, %T) leaks: %s", verb, what, got)
			}
		}
	}
	if got := fmt.Sprint(v); got != "[redacted]" {
		t.Errorf("Sprint = %q, want [redacted]", got)
	}
	if got := fmt.Sprintf("%s", fmt.Errorf("wrapped: %v", v)); got != "wrapped: [redacted]" {
		t.Errorf("in an error: %q", got)
	}
}

func TestSlog(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&buf, nil), slog.NewJSONHandler(&buf, nil)} {
		log := slog.New(h)
		log.Info("m", "v", secret.New(canary), "holder", newHolder(), "group", slog.GroupValue(slog.Any("v", secret.New(canary))))
	}
	if leaks(buf.String()) {
		t.Errorf("slog leaks: %s", buf.String())
	}
	if !strings.Contains(buf.String(), "[redacted]") {
		t.Errorf("slog does not mark the value: %s", buf.String())
	}
}

func TestRefusesEncoding(t *testing.T) {
	t.Parallel()
	v := secret.New(canary)
	encoders := map[string]func() ([]byte, error){
		"json":        func() ([]byte, error) { return json.Marshal(v) },
		"json field":  func() ([]byte, error) { return json.Marshal(struct{ V secret.Value }{v}) },
		"json mapkey": func() ([]byte, error) { return json.Marshal(map[secret.Value]int{v: 1}) },
		"xml":         func() ([]byte, error) { return xml.Marshal(field{v}) },
		"text":        v.MarshalText,
		"binary":      v.MarshalBinary,
		"gob": func() ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(v)
			return b.Bytes(), err
		},
		"gob field": func() ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(struct{ V secret.Value }{v})
			return b.Bytes(), err
		},
		"yaml": func() ([]byte, error) { _, err := v.MarshalYAML(); return nil, err },
	}
	for name, encode := range encoders {
		out, err := encode()
		if err == nil || !strings.Contains(err.Error(), secret.ErrEncode.Error()) {
			t.Errorf("%s: error %v, want ErrEncode", name, err)
		}
		if leaks(string(out)) {
			t.Errorf("%s: leaks %q", name, out)
		}
	}
	var _ encoding.TextMarshaler = v
	if _, err := v.MarshalJSON(); !errors.Is(err, secret.ErrEncode) {
		t.Errorf("MarshalJSON error %v", err)
	}
}

// TestReflectionFindsNothing walks everything reachable from a value the way
// printers that ignore methods and export rules do (spew, litter, debuggers).
func TestReflectionFindsNothing(t *testing.T) {
	t.Parallel()
	h := newHolder()
	var out strings.Builder
	walk(reflect.ValueOf(&h).Elem(), &out, map[uintptr]bool{})
	if leaks(out.String()) {
		t.Errorf("a walk by reflection finds the value: %s", out.String())
	}

	// The walker is worth something only if it finds a plain pointer's text.
	text := canary
	plain := struct{ p *string }{&text}
	out.Reset()
	walk(reflect.ValueOf(&plain).Elem(), &out, map[uintptr]bool{})
	if !leaks(out.String()) {
		t.Error("the walker does not find a *string: the test above shows nothing")
	}
}

func walk(v reflect.Value, out *strings.Builder, seen map[uintptr]bool) {
	if v.CanAddr() && !v.CanInterface() {
		v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() || (v.Kind() == reflect.Pointer && seen[v.Pointer()]) {
			return
		}
		if v.Kind() == reflect.Pointer {
			seen[v.Pointer()] = true
		}
		walk(v.Elem(), out, seen)
	case reflect.Struct:
		for i := range v.NumField() {
			walk(v.Field(i), out, seen)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			walk(v.Index(i), out, seen)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			walk(k, out, seen)
			walk(v.MapIndex(k), out, seen)
		}
	case reflect.String:
		fmt.Fprintln(out, v.String())
	default:
		fmt.Fprintln(out, v.Kind())
	}
}

func TestEqualAndZero(t *testing.T) {
	t.Parallel()
	var zero secret.Value
	if !zero.IsEmpty() || !secret.New("").IsEmpty() || secret.New("x").IsEmpty() {
		t.Error("IsEmpty is wrong")
	}
	if zero.Reveal() != "" || secret.New(canary).Reveal() != canary {
		t.Error("Reveal is wrong")
	}
	if !zero.Equal(secret.New("")) || !secret.New("a").Equal(secret.New("a")) || secret.New("a").Equal(secret.New("b")) || secret.New("a").Equal(zero) {
		t.Error("Equal is wrong")
	}
}

func TestHoldsID(t *testing.T) {
	t.Parallel()
	id := "0f1e2d3c-0000-4000-8000-0000000000c2"
	for text, want := range map[string]bool{id: true, strings.ToUpper(id): true, "{" + id + "}\n": true, id + "x": false, "": false} {
		if got := secret.New(text).HoldsID(id); got != want {
			t.Errorf("HoldsID of %q = %v", text, got)
		}
	}
	if (secret.Value{}).HoldsID("") {
		t.Error("nothing holds an empty id")
	}
}

func TestScrub(t *testing.T) {
	t.Parallel()
	if got := secret.New(canary).Scrub("a " + canary + " b " + canary); got != "a [redacted] b [redacted]" {
		t.Errorf("Scrub = %q", got)
	}
	if got := (secret.Value{}).Scrub("text"); got != "text" {
		t.Errorf("Scrub of the empty value = %q", got)
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	key, other := secret.NewKey(), secret.NewKey()
	v := secret.New(canary)
	f := key.Fingerprint(v)
	if len(f) != 26 || leaks(f) {
		t.Errorf("Fingerprint = %q, want 26 characters", f)
	}
	if f != key.Fingerprint(secret.New(canary)) {
		t.Error("equal values have different fingerprints")
	}
	if f == key.Fingerprint(secret.New(canary+" ")) || f == other.Fingerprint(v) {
		t.Error("another value or key gives the same fingerprint")
	}
	if key.Fingerprint(secret.Value{}) != "" {
		t.Error("the empty value has a fingerprint")
	}
	again, ok := secret.KeyFrom(key.Bytes())
	if !ok || again.Fingerprint(v) != f {
		t.Error("a stored key does not give the same fingerprint")
	}
	if _, ok := secret.KeyFrom([]byte("short")); ok {
		t.Error("KeyFrom takes a short key")
	}
	if got := fmt.Sprintf("%+v %#v", key, key); strings.Contains(got, string(key.Bytes())) {
		t.Error("a key prints")
	}
}

// leaks reports whether any eight characters of the canary stand in text,
// plain or as hex.
func leaks(text string) bool {
	for i := range len(canary) - 8 {
		part := canary[i : i+8]
		if strings.Contains(text, part) || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", part)) {
			return true
		}
	}
	return false
}

func TestOneEditFrom(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b string
		want bool
	}{
		{"abc", "abc", false}, {"abc", "abd", true}, {"abc", "ab", true}, {"ab", "abc", true}, {"abc", "bc", true},
		{"abc", "a", false}, {"abc", "acb", false}, {"", "a", true}, {"", "", false}, {"aéc", "aec", true},
	}
	for _, tt := range tests {
		if got := secret.New(tt.a).OneEditFrom(secret.New(tt.b)); got != tt.want {
			t.Errorf("OneEditFrom(%q, %q) = %t", tt.a, tt.b, got)
		}
	}
}
