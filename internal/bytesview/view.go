// Package bytesview shows a secret as it will be sent without showing it:
// bullets for what is well, and every sign that does not belong there by name
// and place. From the text as it stands in a file it also tells what each
// reader of that kind of file would make of it.
//
// The package does no I/O, and nothing it returns holds more of a value than
// the hint of [secret.Shape]: three characters of a value of 16 or more.
package bytesview

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/credsmith/credsmith/internal/secret"
)

// Kinds of sign.
const (
	Invisible   = "invisible"    // line feed, no-break space, byte order mark, …
	NotASCII    = "not-ascii"    // a visible character Entra never puts into a secret
	Quote       = "quote"        // one end of a layer of quotes
	Escape      = "escape"       // \n, %7E, &amp;, \u007e
	Base64      = "base64"       // the whole value is the base64 of readable text
	DoubleCoded = "double-coded" // decoded once, it is still percent-encoded
	Placeholder = "placeholder"  // the whole value stands for another
)

// View is what may be said of a value. Its JSON shape is a contract.
type View struct {
	Characters int       `json:"characters"`
	Bytes      int       `json:"bytes"`
	Masked     string    `json:"masked"` // a bullet a character, at most 200; signs as they are or as <U+000A>
	Signs      []Sign    `json:"signs"`  // in order of place, those of the whole value last
	Readings   []Reading `json:"readings,omitempty"`
}

// Sign is something that is wrong, or looks wrong.
type Sign struct {
	Kind      string `json:"kind"`
	Name      string `json:"name"`      // "line feed (U+000A)", "percent escape"
	Byte      int    `json:"byte"`      // from 1; 0 if it is the whole value
	Character int    `json:"character"` // from 1; 0 if it is the whole value
}

// String is the sign in words.
func (s Sign) String() string {
	if s.Byte == 0 {
		return s.Name
	}
	return fmt.Sprintf("%s at character %d (byte %d)", s.Name, s.Character, s.Byte)
}

const (
	bullet    = "•"
	maxMasked = 200 // no secret is as long; a pasted file is
	maxSigns  = 100
)

// Of returns the view of a value.
func Of(v secret.Value) View {
	text, shape := v.Reveal(), v.Shape()
	signs := append(invisible(text, shape), quotes(text)...)
	escapes, inside := escapes(text)
	signs = append(signs, escapes...)
	slices.SortStableFunc(signs, func(a, b Sign) int { return a.Byte - b.Byte })
	signs = append(signs[:min(len(signs), maxSigns)], whole(v, shape)...)
	return View{
		Characters: shape.Length, Bytes: len(text), Signs: signs,
		Masked: masked(text, shape.Hint, signs, inside),
	}
}

// invisible returns the characters that cannot be seen or are not ASCII.
func invisible(text string, shape secret.Shape) []Sign {
	signs := []Sign{}
	at := 0 // of shape.Invisible
	character := 0
	for offset, r := range text {
		character++
		switch {
		case at < len(shape.Invisible) && shape.Invisible[at].Position == character:
			found := shape.Invisible[at]
			at++
			name := fmt.Sprintf("%s (U+%04X)", found.Name, found.Rune)
			if _, size := utf8.DecodeRuneInString(text[offset:]); found.Rune == utf8.RuneError && size == 1 {
				name = fmt.Sprintf("%s (0x%02X)", found.Name, text[offset])
			}
			signs = append(signs, Sign{Invisible, name, offset + 1, character})
		case r > unicode.MaxASCII:
			signs = append(signs, Sign{NotASCII, fmt.Sprintf("character that is not ASCII (U+%04X)", r), offset + 1, character})
		}
		if len(signs) > maxSigns {
			break
		}
	}
	return signs
}

// quotePairs are the quotes people and formats put around a value. Entra makes
// no value with any of them.
var quotePairs = []struct{ open, close, name string }{
	{`\"`, `\"`, "escaped double quote"}, {`"`, `"`, "double quote"}, {"'", "'", "single quote"}, {"`", "`", "backtick"},
	{"“", "”", "curly double quote"}, {"‘", "’", "curly single quote"}, {"«", "»", "guillemet"},
}

// quotes returns both ends of each layer of quotes, outermost first. A quote
// at one end only counts too.
func quotes(text string) []Sign {
	var signs []Sign
	from, to := 0, len(text)
	for layer := true; layer && from < to; {
		inner := strings.TrimFunc(text[from:to], unicode.IsSpace)
		from += strings.Index(text[from:to], inner)
		to = from + len(inner)
		layer = false
		for _, pair := range quotePairs {
			rest, left := strings.CutPrefix(inner, pair.open)
			_, right := strings.CutSuffix(rest, pair.close)
			if left {
				signs = append(signs, Sign{Quote, pair.name, from + 1, 1 + utf8.RuneCountInString(text[:from])})
				from += len(pair.open)
			}
			if right {
				to -= len(pair.close)
				signs = append(signs, Sign{Quote, pair.name, to + 1, 1 + utf8.RuneCountInString(text[:to])})
			}
			if layer = left || right; layer {
				break
			}
		}
	}
	return signs
}

// escapes returns the escapes of a value, and the bytes of their bodies, which
// stay masked: a value that was encoded as a whole consists of them.
func escapes(text string) (signs []Sign, marks map[int]bool) {
	marks = map[int]bool{}
	for i := 0; i < len(text) && len(signs) <= maxSigns; i++ {
		name := ""
		switch rest := text[i:]; {
		case percentEscape().MatchString(rest):
			name = "percent escape"
		case htmlEscape().MatchString(rest):
			name = "HTML escape"
			marks[i+len(htmlEscape().FindString(rest))-1] = true
		case unicodeEscape().MatchString(rest):
			name = "JSON escape (\\u)"
		case shortEscape().MatchString(rest) && rest[1] != '"': // \" is a quote
			name = "backslash escape"
		}
		if name == "" {
			continue
		}
		marks[i] = true
		signs = append(signs, Sign{Escape, name, i + 1, 1 + utf8.RuneCountInString(text[:i])})
		if name == "backslash escape" {
			i++ // \\ is one
		}
	}
	return signs, marks
}

// whole returns what is wrong with the value as a whole.
func whole(v secret.Value, shape secret.Shape) []Sign {
	var signs []Sign
	if shape.Kind == secret.Placeholder {
		return append(signs, Sign{Kind: Placeholder, Name: "a placeholder that nothing has replaced"})
	}
	for _, c := range v.Corrections() {
		percent := 0
		for _, slip := range c.Slips {
			if slip == secret.PercentEscaped {
				percent++
			}
		}
		known := func(kind string) bool {
			return slices.ContainsFunc(signs, func(s Sign) bool { return s.Kind == kind })
		}
		if slices.Contains(c.Slips, secret.Base64Encoded) && !known(Base64) {
			signs = append(signs, Sign{Kind: Base64, Name: "the base64 of readable text"})
		}
		if percent > 1 && !known(DoubleCoded) {
			signs = append(signs, Sign{Kind: DoubleCoded, Name: "percent-encoded more than once"})
		}
	}
	return signs
}

// masked writes a bullet for each character, the hint as it is, and what is
// wrong as a sign of its own.
func masked(text, hint string, signs []Sign, marks map[int]bool) string {
	shown := map[int]string{}
	hintAt := strings.Index(text, hint)
	for _, s := range signs {
		switch s.Kind {
		case Invisible, NotASCII:
			_, code, _ := strings.Cut(s.Name, "(")
			shown[s.Byte-1] = "<" + strings.TrimSuffix(code, ")") + ">"
		case Quote:
			r, _ := utf8.DecodeRuneInString(text[s.Byte-1:])
			shown[s.Byte-1] = string(r)
			if s.Name == "escaped double quote" {
				shown[s.Byte] = `"`
			}
		}
	}
	var b strings.Builder
	n := 0
	for offset := range text {
		if n++; n > maxMasked {
			b.WriteString("…")
			break
		}
		sign, known := shown[offset]
		switch {
		case known:
			b.WriteString(sign)
		case marks[offset]:
			b.WriteByte(text[offset])
		case hint != "" && offset >= hintAt && offset < hintAt+len(hint):
			b.WriteByte(text[offset])
		default:
			b.WriteString(bullet)
		}
	}
	return b.String()
}
