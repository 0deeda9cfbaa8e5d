// Package canary searches output for a secret in every form in which it could
// have leaked. It serves tests, and errors that quote a program's output.
package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"
)

// window is the shortest part of a secret that counts as a leak, in bytes. The
// hint of three characters is public; eight in a row are not.
const window = 8

// Find returns the names of the forms in which value, or a part of it, stands
// in text; none is good.
func Find(text []byte, value string) []string {
	var found []string
	for _, f := range forms(value) {
		for _, part := range f.parts {
			if bytes.Contains(text, []byte(part)) {
				found = append(found, f.name)
				break
			}
		}
	}
	return found
}

type form struct {
	name  string
	parts []string
}

func forms(value string) []form {
	reversed := []byte(value)
	slices.Reverse(reversed)
	return []form{
		{"raw", windows(value, window)},
		{"reversed", windows(string(reversed), window)},
		{"base64", base64Forms(value)},
		{"hex", append(windows(hex.EncodeToString([]byte(value)), 2*window), windows(strings.ToUpper(hex.EncodeToString([]byte(value))), 2*window)...)},
		{"percent", []string{each(value, "%%%02X"), each(value, "%%%02x"), differing(url.QueryEscape(value), value), differing(strings.ReplaceAll(value, "~", "%7E"), value), differing(strings.ReplaceAll(value, "~", "%7e"), value)}},
		{"json", []string{each(value, `\u%04x`), each(value, `\u%04X`), differing(strings.ReplaceAll(value, "~", `\u007e`), value)}},
		{"html", []string{each(value, "&#%d;"), each(value, "&#x%x;"), differing(html.EscapeString(value), value), differing(strings.ReplaceAll(value, "~", "&#126;"), value)}},
		{"utf-16", []string{utf16le(value)}},
	}
}

// windows returns all parts of that length.
func windows(value string, length int) []string {
	parts := []string{}
	for i := 0; i+length <= len(value); i++ {
		parts = append(parts, value[i:i+length])
	}
	return parts
}

// base64Forms encodes at the three offsets that a value can have in a longer
// text, without the characters at the ends that depend on its neighbours.
func base64Forms(value string) []string {
	var parts []string
	for offset := range 3 {
		padded := append(make([]byte, offset), value...)
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			encoded := encoding.EncodeToString(padded)
			parts = append(parts, encoded[(offset*8+5)/6+1:len(encoded)-2])
		}
	}
	return parts
}

// each encodes every byte with a format.
func each(value, format string) string {
	var b strings.Builder
	for i := range len(value) {
		fmt.Fprintf(&b, format, value[i])
	}
	return b.String()
}

// differing returns encoded only if it is not the plain text, which has a form
// of its own; a text that never occurs otherwise.
func differing(encoded, plain string) string {
	if encoded == plain {
		return "\x00\xff\x00\xff never"
	}
	return encoded
}

func utf16le(value string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(value)) {
		b.WriteByte(byte(unit))
		b.WriteByte(byte(unit >> 8))
	}
	return b.String()
}
