package entralab

import (
	"strings"
	"time"
)

// condition is one term of a $filter. "targetResources/any(t:t/id eq '…')"
// has the property "targetResources/id", "signInEventTypes/any(t: t eq '…')"
// has "signInEventTypes".
type condition struct {
	property string
	operator string // eq, ge, le, startswith
	value    string
	quoted   bool
}

// parseFilter reads the part of OData's filter language that the lab knows:
// terms joined by "and". It reports false for everything else, so that a
// filter is never silently wider than it was meant.
func parseFilter(s string) ([]condition, bool) {
	f := filterText{s}
	var conditions []condition
	for {
		c, ok := f.term()
		if !ok {
			return nil, false
		}
		conditions = append(conditions, c)
		f.blanks()
		if f.rest == "" {
			return conditions, true
		}
		if f.word() != "and" || !strings.HasPrefix(f.rest, " ") {
			return nil, false
		}
	}
}

// filterText is what is left to read.
type filterText struct{ rest string }

func (f *filterText) blanks() { f.rest = strings.TrimLeft(f.rest, " ") }

// take reads a fixed text, after blanks.
func (f *filterText) take(s string) bool {
	f.blanks()
	rest, ok := strings.CutPrefix(f.rest, s)
	if ok {
		f.rest = rest
	}
	return ok
}

// word reads letters and slashes, after blanks.
func (f *filterText) word() string {
	f.blanks()
	n := 0
	for n < len(f.rest) && (f.rest[n]|0x20 >= 'a' && f.rest[n]|0x20 <= 'z' || f.rest[n] == '/') {
		n++
	}
	word := f.rest[:n]
	f.rest = f.rest[n:]
	return word
}

// literal reads a text in quotes, with a doubled quote for one inside, or a bare value.
func (f *filterText) literal() (value string, quoted, ok bool) {
	f.blanks()
	if !strings.HasPrefix(f.rest, "'") {
		n := strings.IndexAny(f.rest+" ", " ()',")
		value, f.rest = f.rest[:n], f.rest[n:]
		return value, false, value != ""
	}
	var b strings.Builder
	s := f.rest[1:]
	for {
		i := strings.IndexByte(s, '\'')
		if i < 0 {
			return "", false, false
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		if !strings.HasPrefix(s, "'") {
			f.rest = s
			return b.String(), true, true
		}
		b.WriteByte('\'')
		s = s[1:]
	}
}

func (f *filterText) term() (condition, bool) {
	c := condition{property: f.word()}
	closing := false
	var ok bool
	switch collection, isAny := strings.CutSuffix(c.property, "/any"); {
	case c.property == "startswith":
		if !f.take("(") {
			return c, false
		}
		c.property, c.operator = f.word(), "startswith"
		if !f.take(",") {
			return c, false
		}
		closing = true
	case isAny:
		if !f.take("(") {
			return c, false
		}
		variable := f.word()
		if variable == "" || !f.take(":") {
			return c, false
		}
		element := f.word()
		member, of := strings.CutPrefix(element, variable+"/")
		switch {
		case of:
			c.property = collection + "/" + member
		case element == variable && collection != "": // a list of plain values
			c.property = collection
		default:
			return c, false
		}
		c.operator = f.word()
		closing = true
	default:
		c.operator = f.word()
	}
	c.value, c.quoted, ok = f.literal()
	if closing && !f.take(")") {
		return c, false
	}
	return c, ok && c.property != ""
}

// filter says how one property can be filtered: by its text or by its date.
type filter[T item] struct {
	text   func(T) []string // eq holds when one of the texts is equal
	prefix bool             // startswith works too
	date   func(T) time.Time
}

// compile turns a condition into a predicate. It reports false when the
// property cannot be filtered like this.
func (f filter[T]) compile(c condition) (func(T) bool, bool) {
	switch {
	case f.text != nil && c.quoted && c.operator == "eq":
		return f.any(func(s string) bool { return strings.EqualFold(s, c.value) }), true
	case f.text != nil && c.quoted && c.operator == "startswith" && f.prefix:
		start := strings.ToLower(c.value)
		return f.any(func(s string) bool { return strings.HasPrefix(strings.ToLower(s), start) }), true
	case f.date != nil && !c.quoted:
		at, err := time.Parse(time.RFC3339, c.value)
		if err != nil {
			return nil, false
		}
		switch c.operator {
		case "ge":
			return func(it T) bool { return !f.date(it).Before(at) }, true
		case "le":
			return func(it T) bool { return !f.date(it).After(at) }, true
		}
	}
	return nil, false
}

func (f filter[T]) any(match func(string) bool) func(T) bool {
	return func(it T) bool {
		for _, s := range f.text(it) {
			if match(s) {
				return true
			}
		}
		return false
	}
}
