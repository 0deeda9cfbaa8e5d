package entralab

import (
	"slices"
	"strings"
	"unicode"
)

// parseSearch reads a $search of directory objects: clauses "property:text" in
// double quotes, joined by AND and OR, with parentheses (Microsoft
// documentation). AND binds tighter. It reports false for everything else.
func parseSearch(s string) (expression, bool) {
	f := filterText{rest: s}
	e, ok := f.searchOr(0)
	f.blanks()
	return e, ok && f.rest == ""
}

func (f *filterText) searchOr(depth int) (expression, bool) {
	return f.joined("or", depth, (*filterText).searchAnd)
}

func (f *filterText) searchAnd(depth int) (expression, bool) {
	return f.joined("and", depth, (*filterText).clause)
}

// clause reads one clause. A backslash keeps the sign after it.
func (f *filterText) clause(depth int) (expression, bool) {
	if f.terms++; f.terms > maxFilterTerms || depth > maxFilterDepth {
		return expression{}, false
	}
	if f.take("(") {
		e, ok := f.searchOr(depth + 1)
		return e, ok && f.take(")")
	}
	if !f.take(`"`) {
		return expression{}, false
	}
	var text strings.Builder
	for i := 0; i < len(f.rest); i++ {
		switch b := f.rest[i]; {
		case b == '\\' && i+1 < len(f.rest):
			i++
			text.WriteByte(f.rest[i])
		case b == '"':
			f.rest = f.rest[i+1:]
			property, value, ok := strings.Cut(text.String(), ":")
			return expression{operator: "search", property: property, values: []filterValue{{value, true}}}, ok && value != ""
		default:
			text.WriteByte(b)
		}
	}
	return expression{}, false
}

// compileSearch turns a search into a predicate.
func compileSearch[T item](col *collection[T], e expression) (func(T) bool, *graphError) {
	if e.operator != "search" {
		var parts []func(T) bool
		for _, operand := range e.operands {
			part, refused := compileSearch(col, operand)
			if refused != nil {
				return nil, refused
			}
			parts = append(parts, part)
		}
		all := e.operator == "and"
		return func(it T) bool {
			return all != slices.ContainsFunc(parts, func(p func(T) bool) bool { return p(it) != all })
		}, nil
	}
	i := slices.IndexFunc(col.search, func(s searched[T]) bool { return s.name == e.property })
	if i < 0 { // recalled
		return nil, unsupportedQuery("Unsupported or invalid search clause specified for property '" + e.property + "' of resource '" + col.kind + "'.")
	}
	get, wanted := col.search[i].get, searchTokens(e.values[0].text)
	return func(it T) bool { return len(wanted) > 0 && containsTokens(searchTokens(get(it)), wanted) }, nil
}

// containsTokens reports whether each wanted token starts one of a text's.
// Microsoft's documentation shows this for the start of a text; that a search
// for "25" finds no "125" follows from it.
func containsTokens(tokens, wanted []string) bool {
	for _, w := range wanted {
		if !slices.ContainsFunc(tokens, func(t string) bool { return strings.HasPrefix(t, w) }) {
			return false
		}
	}
	return true
}

// searchTokens takes a text apart at blanks, signs, numbers and changes from
// small to capital letters (Microsoft documentation).
func searchTokens(s string) []string {
	var tokens []string
	var token []rune
	flush := func() {
		if len(token) > 0 {
			tokens = append(tokens, strings.ToLower(string(token)))
			token = token[:0]
		}
	}
	var last rune
	for _, r := range s {
		letter, digit := unicode.IsLetter(r), unicode.IsDigit(r)
		if !letter && !digit || digit != unicode.IsDigit(last) || unicode.IsUpper(r) && unicode.IsLower(last) {
			flush()
		}
		if letter || digit {
			token = append(token, r)
		}
		last = r
	}
	flush()
	return tokens
}

// readSearch reads $search. Directory objects need the header, and no $count
// (Microsoft documentation, with this text).
func readSearch[T item](c *graphCall, col *collection[T]) (func(T) bool, *graphError) {
	if !c.eventual() {
		return nil, unsupportedQuery("Request with $search query parameter only works through MSGraph with a special request header: 'ConsistencyLevel: eventual'")
	}
	e, ok := parseSearch(c.query.Get("search"))
	if !ok { // recalled
		return nil, badRequest("BadRequest", "Syntax error in the $search query option: '"+c.query.Get("search")+"'.")
	}
	return compileSearch(col, e)
}
