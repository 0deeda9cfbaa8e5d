package request

import (
	"strconv"
	"strings"
	"unicode"
)

// mask stands for a secret in all output.
const mask = "***"

// veil keeps text that shares a part with a secret of the request out of the
// output. Most text of a fault is fixed; whatever comes from the request goes
// through [veil.shows] first, because secrets turn up where nobody looks for
// them: in the client id, in the path, behind an & in the name of a parameter.
type veil struct{ hidden []string }

// partSize is the length from which a common part counts as a leak. With less
// ordinary words would be hidden.
const partSize = 6

// newVeil hides every credential of a request, in each form it has there.
func newVeil(r reading) veil {
	var v veil
	for _, s := range r.secrets() {
		v.hide(s.meant)
	}
	if r.basic != nil {
		v.hide(r.basic.payload)
		v.hide(r.basic.secret)
		v.hide(formDecode(r.basic.secret))
	}
	for _, f := range r.fields {
		if secretNames[f.meant] {
			v.hide(f.raw)
			v.hide(f.value)
			v.hide(f.tail)
		}
	}
	return v
}

func (v *veil) hide(text string) {
	if text != "" {
		v.hidden = append(v.hidden, text)
	}
}

// shows reports whether text may be printed: it is short, visible and shares
// no part with a secret.
func (v veil) shows(text string) bool {
	if len(text) > 200 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return false
	}
	for _, secret := range v.hidden {
		if text == secret {
			return false
		}
		for i := range max(0, len(text)-partSize+1) {
			if strings.Contains(secret, text[i:i+partSize]) {
				return false
			}
		}
		if short := len(secret) < partSize && len(secret) > 2; short && strings.Contains(text, secret) {
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
	return strconv.Quote(text)
}
