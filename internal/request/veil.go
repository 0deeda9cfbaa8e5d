package request

import (
	"strings"
	"unicode"
)

// mask stands for a secret in all output.
const mask = "***"

// veil keeps text that shares a part with a secret of the request out of the
// output. Most text of a fault is fixed; whatever comes from the request goes
// through [veil.shows] first, because secrets turn up where nobody looks for
// them: in the client id, in the path, behind an & in the name of a parameter.
type veil struct {
	parts map[string]bool // every run of partSize bytes of a secret
	short []string        // secrets not longer than that
}

// partSize is the length from which a common part counts as a leak. With less
// ordinary words would be hidden.
const partSize = 6

func newVeil(r reading) veil {
	v := veil{parts: map[string]bool{}}
	for _, s := range r.secrets() {
		v.hide(s.server)
		v.hide(s.meant)
	}
	for _, f := range r.fields {
		if secretNames[f.meant] {
			v.hide(f.raw)
			v.hide(f.value)
			v.hide(f.tail)
		}
	}
	for _, h := range r.Header {
		if strings.EqualFold(h.Name, "Authorization") {
			v.hide(h.Value)
		}
	}
	return v
}

func (v *veil) hide(text string) {
	if len(text) < partSize {
		if len(text) > 2 {
			v.short = append(v.short, text)
		}
		return
	}
	for i := range len(text) - partSize + 1 {
		v.parts[text[i:i+partSize]] = true
	}
}

// shows reports whether text may be printed: it is short, visible and shares
// no part with a secret.
func (v veil) shows(text string) bool {
	if len(text) > 200 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return false
	}
	for i := range max(0, len(text)-partSize+1) {
		if v.parts[text[i:i+partSize]] {
			return false
		}
	}
	for _, s := range v.short {
		if strings.Contains(text, s) {
			return false
		}
	}
	return true
}

// quote returns text in quotes, or a mask.
func (v veil) quote(text string) string {
	if !v.shows(text) {
		return mask
	}
	return `"` + text + `"`
}
