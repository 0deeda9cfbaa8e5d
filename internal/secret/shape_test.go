package secret_test

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/credsmith/credsmith/internal/secret"
)

const (
	whole40 = "aB38Q~0123456789abcdefghijklmnopqrs-._~Z"
	whole37 = "aB37Q~0123456789abcdefghijklmnopqrs-~"
	guid    = "0f1e2d3c-0000-4000-8000-0000000000c2"
)

func TestShape(t *testing.T) {
	t.Parallel()
	legacy44 := base64.StdEncoding.EncodeToString([]byte("\x01\xffrandom bytes that are no text\xfe\x00"))[:43] + "="
	tests := []struct {
		name, text string
		kind       secret.Kind
		whole      bool
		hint       string
		invisible  []string
	}{
		{"today's form", whole40, secret.EntraQ, true, "aB3", nil},
		{"today's form, 37", whole37, secret.EntraQ, true, "aB3", nil},
		{"cut", whole40[:39], secret.EntraQ, false, "aB3", nil},
		{"8 with 37 characters", whole40[:37], secret.EntraQ, false, "aB3", nil},
		{"trailing newline", whole40 + "\n", secret.EntraQ, true, "aB3", []string{"line feed (U+000A) at character 41"}},
		{"byte order mark", "\ufeff" + whole40, secret.EntraQ, true, "aB3", []string{"byte order mark (U+FEFF) at character 1"}},
		{"inside", whole40[:5] + "\u200b" + whole40[5:], secret.Unknown, false, "aB3", []string{"zero-width space (U+200B) at character 6"}},
		{"Secret ID", guid, secret.GUID, false, "0f1", nil},
		{"Secret ID in braces", "{" + strings.ToUpper(guid) + "}", secret.GUID, false, "{0F", nil},
		{"quoted", `"` + whole40 + `"`, secret.Quoted, false, `"aB`, nil},
		{"percent", url.QueryEscape(whole40) + "%7E", secret.PercentEncoded, false, "aB3", nil},
		{"base64 of text", base64.StdEncoding.EncodeToString([]byte(whole40)), secret.Base64, false, "YUI", nil},
		{"legacy 44", legacy44, secret.Legacy, false, legacy44[:3], nil},
		{"legacy 34", "0123456789abcdefghijklmnopqrs.~-_Z", secret.Legacy, false, "012", nil},
		{"empty", "", secret.Empty, false, "", nil},
		{"only a newline", "\n", secret.Empty, false, "", []string{"line feed (U+000A) at character 1"}},
		{"short", "abc", secret.Unknown, false, "", nil},
		{"invalid UTF-8", "abcdefghijklmnopq\xff", secret.Unknown, false, "abc", []string{"byte that is not UTF-8 (U+FFFD) at character 18"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := secret.New(tt.text).Shape()
			var names []string
			for _, i := range s.Invisible {
				names = append(names, i.String())
			}
			if s.Kind != tt.kind || s.Whole != tt.whole || s.Hint != tt.hint || !slices.Equal(names, tt.invisible) {
				t.Errorf("Shape() = %+v, want kind %s whole %v hint %q invisible %v", s, tt.kind, tt.whole, tt.hint, tt.invisible)
			}
			if s.Length != utf8.RuneCountInString(tt.text) {
				t.Errorf("Length = %d", s.Length)
			}
		})
	}
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"${AZURE_CLIENT_SECRET}", "$(clientSecret)", "$SECRET", "%CLIENT_SECRET%", "{{ .Values.secret }}", "<your-secret>", "<client secret>",
		"changeme", "change-me", "REPLACE_ME", "your-client-secret", "YOUR_SECRET_HERE", "***", "********", "xxxx", "...", "[redacted]", "TODO", "null",
		"@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s/)", "#{secret}#", "__SECRET__", "secret", "client-secret", "placeholder",
	} {
		if got := secret.New(text).Shape().Kind; got != secret.Placeholder {
			t.Errorf("Shape(%q).Kind = %s, want placeholder", text, got)
		}
	}
	for _, text := range []string{whole40, "my-8Q~" + whole40[6:], "hunter2hunter2hunter2", guid} {
		if got := secret.New(text).Shape().Kind; got == secret.Placeholder {
			t.Errorf("Shape(%q).Kind = placeholder", text)
		}
	}
}

func TestAlphabet(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]secret.Alphabet{
		"abcXYZ019": secret.Alphanumeric, whole40: secret.Unreserved, "a+b/c=": secret.ASCII, "a b": secret.Other, "é": secret.Other, "": secret.Alphanumeric,
	} {
		if got := secret.New(text).Shape().Alphabet; got != want {
			t.Errorf("Alphabet of %q = %s, want %s", text, got, want)
		}
	}
}

func TestCorrections(t *testing.T) {
	t.Parallel()
	wrapped := base64.StdEncoding.EncodeToString([]byte(whole40 + "\n"))
	tests := []struct {
		name, text string
		slips      []secret.Slip
	}{
		{"newline", whole40 + "\r\n", []secret.Slip{secret.Padded}},
		{"no-break space", "\u00a0" + whole40, []secret.Slip{secret.Padded}},
		{"double quotes", `"` + whole40 + `"`, []secret.Slip{secret.InQuotes}},
		{"one quote", whole40 + `'`, []secret.Slip{secret.InQuotes}},
		{"smart quotes", "“" + whole40 + "”", []secret.Slip{secret.InQuotes}},
		{"percent", strings.ReplaceAll(whole40, "~", "%7E"), []secret.Slip{secret.PercentEscaped}},
		{"percent twice", strings.ReplaceAll(whole40, "~", "%257E"), []secret.Slip{secret.PercentEscaped, secret.PercentEscaped}},
		{"json", strings.ReplaceAll(whole40, "~", `\u007e`), []secret.Slip{secret.JSONEscaped}},
		{"backslash", strings.ReplaceAll(whole40, "~", `\~`), []secret.Slip{secret.JSONEscaped}},
		{"html", strings.ReplaceAll(whole40, "~", "&#126;"), []secret.Slip{secret.HTMLEscaped}},
		{"base64", base64.StdEncoding.EncodeToString([]byte(whole40)), []secret.Slip{secret.Base64Encoded}},
		{"base64 url without padding", base64.RawURLEncoding.EncodeToString([]byte(whole37)), []secret.Slip{secret.Base64Encoded}},
		{"echo | base64, wrapped", wrapped[:20] + "\n" + wrapped[20:], []secret.Slip{secret.Base64Encoded, secret.Padded}},
		{"quotes and newline", `"` + whole40 + "\"\n", []secret.Slip{secret.Padded, secret.InQuotes}},
		{"zero-width inside", whole40[:9] + "\u200b" + whole40[9:], []secret.Slip{secret.Broken}},
		{"line break inside", whole40[:20] + "\n" + whole40[20:], []secret.Slip{secret.Broken}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range secret.New(tt.text).Corrections() {
				if text := c.Value.Reveal(); text == whole40 || text == whole37 {
					if !slices.Equal(c.Slips, tt.slips) {
						t.Errorf("slips %v, want %v", c.Slips, tt.slips)
					}
					return
				}
			}
			t.Errorf("no correction gives the value back")
		})
	}
	for _, text := range []string{whole40, whole37, guid, "", "hunter2", "a+b/c=d:e?f[g]h@i*j.k-l_m0123456"} {
		if got := secret.New(text).Corrections(); len(got) != 0 {
			t.Errorf("Corrections(%q) = %d, want none", text, len(got))
		}
	}
}

func FuzzShape(f *testing.F) {
	for _, s := range []string{whole40, guid, "", "\xff\xfe", `"\"'`, "%7E%", "&#126;", `\u007`, "YUI4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := secret.New(text)
		s := v.Shape()
		if len([]rune(s.Hint)) > 3 {
			t.Errorf("hint %q is longer than three characters", s.Hint)
		}
		for _, i := range s.Invisible {
			if i.Position < 1 || i.Position > s.Length {
				t.Errorf("position %d of %d", i.Position, s.Length)
			}
		}
		for _, c := range v.Corrections() {
			if c.Value.IsEmpty() || c.Value.Equal(v) || len(c.Slips) == 0 {
				t.Errorf("a correction that corrects nothing: %v", c.Slips)
			}
		}
	})
}
