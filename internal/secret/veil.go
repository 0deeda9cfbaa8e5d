package secret

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
)

// hidden stands for a secret in text.
const hidden = "***"

// Mistaken reports whether an identifier has the form of a client secret: one
// was put where an id belongs.
func Mistaken(id string) bool {
	core := trim(id)
	switch kindOf(core) {
	case EntraQ:
		return true
	case Legacy: // names may have these lengths too
		has := func(class func(rune) bool) bool { return strings.ContainsFunc(core, class) }
		return has(unicode.IsUpper) && has(unicode.IsLower) && has(unicode.IsDigit)
	}
	return false
}

// Shown is an identifier as it may be printed.
func Shown(id string) string {
	if Mistaken(id) {
		return hidden
	}
	return id
}

// Whatever the case: ids are compared, and printed, in lower case.
var wholePattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)[a-z0-9_~.-]{3}[0-9]Q~[a-z0-9_~.-]{31,34}`)
})

// Veil hides whole client secrets of today's form in a text, wherever they
// come from: they turn up in the place of ids, and in what servers echo.
func Veil(text string) string {
	if !strings.Contains(text, "Q~") && !strings.Contains(text, "q~") {
		return text
	}
	return wholePattern().ReplaceAllString(text, hidden)
}

// GUID returns a value that is a GUID, as an id is written. Such a value is
// most often an id that was put in place of a secret.
func (v Value) GUID() (string, bool) {
	core := trim(v.Reveal())
	return strings.Trim(core, "{}"), guidPattern().MatchString(core)
}
