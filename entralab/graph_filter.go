package entralab

import (
	"slices"
	"strings"
)

// expression is a $filter, understood: "and", "or" and "not" have operands,
// everything else is one comparison. The property of
// "targetResources/any(t:t/id eq '…')" is "targetResources/id", that of
// "signInEventTypes/any(t:t eq '…')" "signInEventTypes", both with inAny set.
type expression struct {
	operator string // and, or, not, eq, ne, ge, le, gt, lt, in, startswith, endswith, contains
	operands []expression

	property string
	inAny    bool
	values   []filterValue // one, but for in
}

type filterValue struct {
	text   string
	quoted bool
}

// The bounds of a filter. Graph has some too; which is not known.
const (
	maxFilterTerms = 100
	maxFilterDepth = 20
)

var (
	comparisons = []string{"eq", "ne", "ge", "le", "gt", "lt", "in"}
	functions   = []string{"startswith", "endswith", "contains"}
)

// parseFilter reads the part of OData's filter language that Graph's documents
// show for directory objects and logs. It reports false for everything else, so
// that a filter is never silently wider than it was meant.
func parseFilter(s string) (expression, bool) {
	f := filterText{rest: s}
	e, ok := f.or(0)
	f.blanks()
	return e, ok && f.rest == ""
}

// filterText is what is left to read.
type filterText struct {
	rest  string
	terms int
}

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

// keyword reads a word in any case that a blank or parenthesis ends. Microsoft's
// examples have NOT and OR beside not and or.
func (f *filterText) keyword(s string) bool {
	f.blanks()
	if len(f.rest) <= len(s) || !strings.EqualFold(f.rest[:len(s)], s) || f.rest[len(s)] != ' ' && f.rest[len(s)] != '(' {
		return false
	}
	f.rest = f.rest[len(s):]
	return true
}

// word reads a name or a path, after blanks.
func (f *filterText) word() string {
	f.blanks()
	n := 0
	for n < len(f.rest) && (f.rest[n]|0x20 >= 'a' && f.rest[n]|0x20 <= 'z' || f.rest[n] == '/' || f.rest[n] == '$' || n > 0 && f.rest[n] >= '0' && f.rest[n] <= '9') {
		n++
	}
	word := f.rest[:n]
	f.rest = f.rest[n:]
	return word
}

// literal reads a text in quotes, with a doubled quote for one inside, or a bare value.
func (f *filterText) literal() (filterValue, bool) {
	f.blanks()
	if !strings.HasPrefix(f.rest, "'") {
		n := strings.IndexAny(f.rest+" ", " ()',")
		v := filterValue{text: f.rest[:n]}
		f.rest = f.rest[n:]
		return v, v.text != ""
	}
	var b strings.Builder
	s := f.rest[1:]
	for {
		i := strings.IndexByte(s, '\'')
		if i < 0 {
			return filterValue{}, false
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		if !strings.HasPrefix(s, "'") {
			f.rest = s
			return filterValue{b.String(), true}, true
		}
		b.WriteByte('\'')
		s = s[1:]
	}
}

func (f *filterText) or(depth int) (expression, bool) {
	return f.joined("or", depth, (*filterText).and)
}

func (f *filterText) and(depth int) (expression, bool) {
	return f.joined("and", depth, (*filterText).unary)
}

// joined reads operands with an operator between them.
func (f *filterText) joined(operator string, depth int, operand func(*filterText, int) (expression, bool)) (expression, bool) {
	first, ok := operand(f, depth)
	all := []expression{first}
	for ok && f.keyword(operator) {
		var next expression
		next, ok = operand(f, depth)
		all = append(all, next)
	}
	if len(all) == 1 {
		return first, ok
	}
	return expression{operator: operator, operands: all}, ok
}

func (f *filterText) unary(depth int) (expression, bool) {
	switch {
	case depth > maxFilterDepth:
		return expression{}, false
	case f.keyword("not"):
		e, ok := f.unary(depth + 1)
		return expression{operator: "not", operands: []expression{e}}, ok
	case f.take("("):
		e, ok := f.or(depth + 1)
		return e, ok && f.take(")")
	}
	return f.term()
}

// term reads one comparison. In a lambda only one is read.
func (f *filterText) term() (expression, bool) {
	if f.terms++; f.terms > maxFilterTerms {
		return expression{}, false
	}
	before := f.rest
	collection, isAny := strings.CutSuffix(f.word(), "/any")
	if !isAny {
		f.rest = before
		return f.comparison("")
	}
	if collection == "" || !f.take("(") {
		return expression{}, false
	}
	variable := f.word()
	if variable == "" || strings.Contains(variable, "/") || !f.take(":") {
		return expression{}, false
	}
	e, ok := f.comparison(variable)
	if !ok || !f.take(")") {
		return e, false
	}
	e.inAny = true
	e.property = collection + strings.TrimPrefix(e.property, variable)
	return e, true
}

// comparison reads "property operator value" or "function(property,value)". In
// a lambda, property is its variable or a member of it.
func (f *filterText) comparison(variable string) (expression, bool) {
	name := f.word()
	e := expression{property: name}
	function := strings.ToLower(name)
	called := slices.Contains(functions, function)
	if called {
		if !f.take("(") {
			return e, false
		}
		e.operator, e.property = function, f.word()
		if !f.take(",") {
			return e, false
		}
	}
	if e.property == "" || variable != "" && e.property != variable && !strings.HasPrefix(e.property, variable+"/") {
		return e, false
	}
	if !called {
		if e.operator = f.word(); !slices.Contains(comparisons, e.operator) {
			return e, false
		}
	}
	if e.operator == "in" {
		return e, f.list(&e)
	}
	value, ok := f.literal()
	e.values = []filterValue{value}
	return e, ok && (!called || f.take(")"))
}

// list reads the values of "in".
func (f *filterText) list(e *expression) bool {
	if !f.take("(") {
		return false
	}
	for {
		value, ok := f.literal()
		if !ok || len(e.values) >= maxFilterTerms {
			return false
		}
		e.values = append(e.values, value)
		if f.take(")") {
			return true
		}
		if !f.take(",") {
			return false
		}
	}
}
