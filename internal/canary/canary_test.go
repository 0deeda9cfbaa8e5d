package canary_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/internal/canary"
)

const value = "Can8Q~0123456789abcdefghijklmnopqrs-._~Z"

func TestFindsEveryForm(t *testing.T) {
	t.Parallel()
	b64 := func(before string) string {
		return base64.StdEncoding.EncodeToString([]byte(before + value + "after"))
	}
	var entities, escapes strings.Builder
	for _, r := range value {
		fmt.Fprintf(&entities, "&#%d;", r)
		fmt.Fprintf(&escapes, `\u%04x`, r)
	}
	for name, tt := range map[string]struct{ text, form string }{
		"raw":             {"x" + value + "y", "raw"},
		"a part":          {value[10:18], "raw"},
		"base64 offset 0": {b64(""), "base64"},
		"base64 offset 1": {b64("a"), "base64"},
		"base64 offset 2": {b64("ab"), "base64"},
		"base64 in Basic": {base64.StdEncoding.EncodeToString([]byte("client-id:" + value)), "base64"},
		"base64 url":      {base64.RawURLEncoding.EncodeToString([]byte("a" + value)), "base64"},
		"hex":             {hex.EncodeToString([]byte(value)), "hex"},
		"percent":         {strings.ReplaceAll(url.QueryEscape(value), "~", "%7E"), "percent"},
		"json":            {escapes.String(), "json"},
		"html":            {entities.String(), "html"},
		"utf-16":          {"C\x00a\x00n\x008\x00Q\x00~\x00" + wide(value[6:]), "utf-16"},
	} {
		if got := canary.Find([]byte(tt.text), value); !slices.Contains(got, tt.form) {
			t.Errorf("%s: found %v, want %s", name, got, tt.form)
		}
	}
	if got := canary.Find([]byte("begins Can, 40 characters, "+strings.Repeat("lorem ipsum ", 1000)), value); len(got) != 0 {
		t.Errorf("found %v where nothing is", got)
	}
}

func wide(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteByte(s[i])
		b.WriteByte(0)
	}
	return b.String()
}
