package secret

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Slip is one way a value gets damaged between the portal and the request.
type Slip string

// The slips that can be undone without knowing the right value.
const (
	Padded         Slip = "padded"          // invisible characters at an end
	Broken         Slip = "broken"          // invisible characters inside
	InQuotes       Slip = "in-quotes"       // quotes taken as part of the value
	PercentEscaped Slip = "percent-escaped" // %7E for ~
	HTMLEscaped    Slip = "html-escaped"    // &amp; for &
	JSONEscaped    Slip = "json-escaped"    // \u007e for ~, or a backslash before a sign
	Base64Encoded  Slip = "base64-encoded"  // the base64 of the value
)

// Correction is a value with slips undone.
type Correction struct {
	Slips []Slip // in the order they were undone, outermost first
	Value Value
}

// maxSlips bounds how many slips one value is thought to have suffered.
const maxSlips = 3

var repairs = []struct {
	slip Slip
	undo func(string) string
}{
	{Padded, trim},
	{InQuotes, unquote},
	{PercentEscaped, percentDecode},
	{JSONEscaped, jsonUnescape},
	{HTMLEscaped, html.UnescapeString},
	{Base64Encoded, base64Decode},
	{Broken, removeInvisible},
}

// Corrections returns what v may have been before slips, fewest slips first.
// A value that shows no sign of a slip has none.
func (v Value) Corrections() []Correction {
	type candidate struct {
		text  string
		slips []Slip
	}
	queue := []candidate{{text: v.Reveal()}}
	seen := map[string]bool{queue[0].text: true}
	var found []Correction
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if len(at.slips) == maxSlips {
			continue
		}
		for _, repair := range repairs {
			text := repair.undo(at.text)
			if text == "" || seen[text] {
				continue
			}
			seen[text] = true
			slips := append(slices.Clone(at.slips), repair.slip)
			found = append(found, Correction{slips, New(text)})
			queue = append(queue, candidate{text, slips})
		}
	}
	return found
}

// unquote removes one layer of quotes; a quote at one end only counts as well,
// since Entra never makes a value that holds one.
func unquote(text string) string {
	for _, pair := range [][2]string{{`\"`, `\"`}, {`"`, `"`}, {`'`, `'`}, {"`", "`"}, {"“", "”"}, {"‘", "’"}, {"«", "»"}} {
		inner, left := strings.CutPrefix(text, pair[0])
		inner, right := strings.CutSuffix(inner, pair[1])
		if left || right {
			return inner
		}
	}
	return text
}

func percentDecode(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	// PathUnescape: a + stays a +, as it was in the value before encoding.
	decoded, err := url.PathUnescape(text)
	if err != nil || !utf8.ValidString(decoded) {
		return text
	}
	return decoded
}

func jsonUnescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var decoded string
	if err := json.Unmarshal([]byte(`"`+strings.ReplaceAll(text, `"`, `\u0022`)+`"`), &decoded); err == nil {
		return decoded
	}
	// A shell's or YAML's backslash before a sign that needs none in JSON.
	var b strings.Builder
	escaped := false
	for _, r := range text {
		if r == '\\' && !escaped {
			escaped = true
			continue
		}
		escaped = false
		b.WriteRune(r)
	}
	return b.String()
}

// base64Decode decodes only to readable text: an old secret may itself be the
// base64 of random bytes.
func base64Decode(text string) string {
	compact := removeInvisible(text) // `base64` wraps lines
	if len(compact) < 16 {
		return text
	}
	compact = strings.TrimRight(compact, "=")
	compact = strings.NewReplacer("-", "+", "_", "/").Replace(compact)
	decoded, err := base64.RawStdEncoding.DecodeString(compact)
	if err != nil || !readable(decoded) {
		return text
	}
	return string(decoded)
}

func readable(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	for _, r := range string(b) {
		if r > unicode.MaxASCII || (r < ' ' && r != '\n' && r != '\r' && r != '\t') || r == 0x7f {
			return false
		}
	}
	return len(b) > 0
}

func removeInvisible(text string) string {
	return strings.Map(func(r rune) rune {
		if isInvisible(r) {
			return -1
		}
		return r
	}, text)
}
