package secret

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Kind says what a value looks like.
type Kind string

// The kinds of value. A value is of the first kind of this list that fits.
const (
	Empty          Kind = "empty"
	EntraQ         Kind = "entra-q"         // what Entra makes today: three characters, a digit, Q~, the rest
	Placeholder    Kind = "placeholder"     // ${VAR}, <secret>, changeme, ***
	Quoted         Kind = "quoted"          // quotes are part of the value
	GUID           Kind = "guid"            // most often the Secret ID; some old secrets look so too
	PercentEncoded Kind = "percent-encoded" // holds %7E and the like
	Base64         Kind = "base64"          // base64 of readable text
	Legacy         Kind = "legacy"          // shapes Entra made before 2021
	Unknown        Kind = "unknown"
)

// Alphabet is the smallest class of characters that holds the whole value.
type Alphabet string

// The alphabets, smallest first.
const (
	Alphanumeric Alphabet = "alphanumeric" // A-Z a-z 0-9
	Unreserved   Alphabet = "unreserved"   // and - . _ ~ : what Entra uses today, safe in forms and URLs
	ASCII        Alphabet = "ascii"        // any visible ASCII
	Other        Alphabet = "other"        // spaces, controls, or beyond ASCII
)

// hintFrom is the length from which a hint is given away: of a short value
// three characters would be too much.
const hintFrom = 16

// Shape is what may be said of a value. It holds no part of the value but the
// hint, which Entra shows to every reader of the directory anyway.
//
// Kind, Whole and Hint are those of the core: the value without invisible
// characters around it.
type Shape struct {
	Length    int         // characters of the value as it is
	Kind      Kind        // of the core
	Alphabet  Alphabet    // of the value as it is
	Whole     bool        // for EntraQ: the length is one Entra makes (37 or 40)
	Hint      string      // first three characters of the core; empty under 16 characters
	Invisible []Invisible // in order of position
}

// Invisible is a character of the value that cannot be seen.
type Invisible struct {
	Position int    // 1 is the first character
	Rune     rune   // utf8.RuneError for a byte that is not UTF-8
	Name     string // "line feed", "no-break space", ...
}

func (i Invisible) String() string {
	return fmt.Sprintf("%s (U+%04X) at character %d", i.Name, i.Rune, i.Position)
}

var (
	guidPattern = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)^\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?$`)
	})
	entraQPattern = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]*$`)
	})
	percentPattern = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	})
	placeholderPattern = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)^(` + strings.Join([]string{
			`\$\{.*\}`, `\$\(.*\)`, `\$[A-Z_][A-Z0-9_]*`, `%[A-Z_][A-Z0-9_]*%`, // shells, pipelines, cmd.exe
			`\{\{.*\}\}`, `<[^<>]*>`, `\[[^\[\]]*\]`, `#\{.*\}#?`, `__.*__`, `@@.*@@`, // templates
			`@Microsoft\.KeyVault\(.*\)`, `@Microsoft\.AppConfiguration\(.*\)`, // references App Service could not resolve
			`\*+`, `x{3,}`, `\.{3}`, `…`, `\[?redacted\]?`, `null|none|nil|undefined|todo|tbd|n/a`,
			`(please[-_ ]?)?(change|replace)[-_ ]?(me|this|it)?`, `(your|my|the|enter|insert|put|paste)[-_ ].*`, `(client[-_ ]?)?secret([-_ ]?(here|value))?`, `password|placeholder|dummy|example`,
		}, "|") + `)$`)
	})
)

// Shape returns what may be said of v.
func (v Value) Shape() Shape {
	text := v.Reveal()
	core := trim(text)
	s := Shape{
		Length:    utf8.RuneCountInString(text),
		Kind:      kindOf(core),
		Alphabet:  alphabetOf(text),
		Hint:      hintOf(core),
		Invisible: invisibles(text),
	}
	s.Whole = s.Kind == EntraQ && wholeEntraQ(core)
	return s
}

// wholeEntraQ knows the two lengths seen: 40 with the digit 8, 37 with 7.
func wholeEntraQ(core string) bool {
	switch core[3] {
	case '7':
		return len(core) == 37
	case '8':
		return len(core) == 40
	}
	return len(core) == 37 || len(core) == 40
}

func kindOf(core string) Kind {
	switch {
	case core == "":
		return Empty
	case entraQPattern().MatchString(core):
		return EntraQ
	case placeholderPattern().MatchString(core):
		return Placeholder
	case unquote(core) != core:
		return Quoted
	case guidPattern().MatchString(core):
		return GUID
	case percentPattern().MatchString(core) && percentDecode(core) != core:
		return PercentEncoded
	case base64Decode(core) != core:
		return Base64
	case legacy(core):
		return Legacy
	}
	return Unknown
}

// legacy knows the shapes Entra made before the Q~ form: 44 characters of
// base64 (portal until 2019), 32 with punctuation, 34 of the unreserved set.
func legacy(core string) bool {
	switch len(core) {
	case 44:
		b, err := base64.StdEncoding.DecodeString(core)
		return err == nil && len(b) == 32
	case 32:
		return strings.ContainsAny(core, `:/?[]@*+=.-_`) && alphabetOf(core) != Other
	case 34:
		return strings.ContainsAny(core, `~._-`) && alphabetOf(core) == Unreserved
	}
	return false
}

func hintOf(core string) string {
	if utf8.RuneCountInString(core) < hintFrom {
		return ""
	}
	return string([]rune(core)[:3])
}

func alphabetOf(text string) Alphabet {
	class := Alphanumeric
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9', r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z':
		case r <= ' ', r >= unicode.MaxASCII:
			return Other
		case strings.ContainsRune("-._~", r):
			if class == Alphanumeric {
				class = Unreserved
			}
		default:
			class = ASCII
		}
	}
	return class
}

func invisibles(text string) []Invisible {
	var found []Invisible
	position := 0
	for i, r := range text {
		position++
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				found = append(found, Invisible{position, r, "byte that is not UTF-8"})
			}
			continue
		}
		if name := invisibleName(r); name != "" {
			found = append(found, Invisible{position, r, name})
		}
	}
	return found
}

// invisibleName returns the name of a character that shows nothing, "" for all others.
func invisibleName(r rune) string {
	switch r {
	case ' ':
		return "space"
	case '\t':
		return "tab"
	case '\n':
		return "line feed"
	case '\r':
		return "carriage return"
	case 0:
		return "NUL"
	case '\u00a0':
		return "no-break space"
	case '\u00ad':
		return "soft hyphen"
	case '\u200b':
		return "zero-width space"
	case '\u200c':
		return "zero-width non-joiner"
	case '\u200d':
		return "zero-width joiner"
	case '\u2060':
		return "word joiner"
	case '\ufeff':
		return "byte order mark"
	case '\u200e', '\u200f', '\u202a', '\u202b', '\u202c', '\u202d', '\u202e', '\u2066', '\u2067', '\u2068', '\u2069':
		return "direction mark"
	}
	switch {
	case unicode.IsSpace(r):
		return "space of another width"
	case unicode.IsControl(r):
		return "control character"
	case unicode.Is(unicode.Cf, r):
		return "format character"
	}
	return ""
}

func isInvisible(r rune) bool { return invisibleName(r) != "" }

// trim removes what cannot be seen from both ends.
func trim(text string) string { return strings.TrimFunc(text, isInvisible) }
