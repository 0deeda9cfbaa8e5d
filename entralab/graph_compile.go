package entralab

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// filter says how one property can be filtered. One of text, date, flag and
// number is set.
type filter[T item] struct {
	name   string
	text   func(T) []string // what is equal to one of them is equal
	date   func(T) time.Time
	flag   func(T) bool
	number func(T) int

	list     bool     // a collection, which "any" reads
	more     []string // operators of a text beyond eq, ne, not and in
	nullable bool     // a text that may be compared with null
}

// operators are what a filter takes.
func (f filter[T]) operators() []string {
	switch {
	case f.text != nil && f.list: // "not" goes before the lambda
		return append([]string{"eq"}, f.more...)
	case f.text != nil:
		return append([]string{"eq", "ne", "in"}, f.more...)
	case f.date != nil: // gt and lt recalled
		return []string{"eq", "ne", "ge", "le", "gt", "lt", "in"}
	case f.flag != nil:
		return []string{"eq", "ne", "in"}
	case f.number != nil:
		return []string{"eq", "ne"}
	}
	return nil
}

// eventual reports whether the call asked for an answer from the index. Graph
// reads the header's name and value in any case (recalled).
func (c *graphCall) eventual() bool {
	return strings.EqualFold(c.request.Header.Get("ConsistencyLevel"), "eventual")
}

// advanced reports whether the call brought both of the advanced query
// parameters. Only directory objects have such queries.
func (c *graphCall) advanced() bool {
	return c.eventual() && (c.query.Get("count") == "true" || c.counting)
}

// needsAdvanced is Graph's answer to a query that it can only answer from its
// index (Microsoft documentation, 2023-07). Which name of an operator it quotes
// is documented for endsWith and seen for ne; the others are recalled.
func needsAdvanced(operator string) *graphError {
	return unsupportedQuery("Operator '" + operator + "' is not supported because the required parameters might be missing. " +
		"Try adding $count=true query parameter and ConsistencyLevel:eventual header. Refer to https://aka.ms/graph-docs/advanced-queries for more information")
}

// compile turns a filter into a predicate.
func compile[T item](c *graphCall, col *collection[T], e expression) (func(T) bool, *graphError) {
	switch e.operator {
	case "and", "or", "not":
	default:
		return compileTerm(c, col, e)
	}
	if e.operator == "not" && !col.directory {
		return nil, unsupportedQuery("Filter operator 'Not' is not supported.") // recalled
	}
	if e.operator == "not" && !c.advanced() {
		return nil, needsAdvanced("Not")
	}
	var parts []func(T) bool
	for _, operand := range e.operands {
		part, refused := compile(c, col, operand)
		if refused != nil {
			return nil, refused
		}
		parts = append(parts, part)
	}
	switch e.operator {
	case "not":
		return func(it T) bool { return !parts[0](it) }, nil
	case "or":
		return func(it T) bool {
			return slices.ContainsFunc(parts, func(p func(T) bool) bool { return p(it) })
		}, nil
	}
	return func(it T) bool {
		return !slices.ContainsFunc(parts, func(p func(T) bool) bool { return !p(it) })
	}, nil
}

func compileTerm[T item](c *graphCall, col *collection[T], e expression) (func(T) bool, *graphError) {
	i := slices.IndexFunc(col.filters, func(f filter[T]) bool { return f.name == e.property })
	if i < 0 {
		return nil, unsupportedFilter(e.property, col.kind)
	}
	f := col.filters[i]
	if f.list != e.inAny || !slices.Contains(f.operators(), e.operator) {
		return nil, unsupportedFilter(e.property, col.kind)
	}
	if e.operator == "ne" && !col.directory {
		return nil, unsupportedQuery("Filter operator 'NotEqualsMatch' is not supported.") // seen 2023-07
	}
	null := len(e.values) == 1 && e.values[0] == filterValue{text: "null"}
	var wants string
	switch {
	case e.operator == "ne":
		wants = "NotEqualsMatch"
	case e.operator == "endswith":
		wants = "endsWith"
	case e.operator == "in" && f.date != nil:
		wants = "In"
	case f.number != nil:
		wants = "$count"
	case null && f.text != nil:
		wants = "NullMatch"
	}
	if wants != "" && col.directory && !c.advanced() {
		return nil, needsAdvanced(wants)
	}
	match, ok := f.compile(e, null)
	if !ok {
		return nil, unsupportedFilter(e.property, col.kind)
	}
	if e.operator == "ne" {
		return func(it T) bool { return !match(it) }, nil
	}
	return match, nil
}

func unsupportedFilter(property, kind string) *graphError {
	return unsupportedQuery("Unsupported or invalid query filter clause specified for property '" + property + "' of resource '" + kind + "'.")
}

// compile makes the predicate of one comparison; ne is turned round by the
// caller. It reports false when a value is of the wrong kind.
func (f filter[T]) compile(e expression, null bool) (func(T) bool, bool) {
	switch {
	case null && f.nullable:
		return func(it T) bool { return len(f.text(it)) == 0 }, true
	case null && f.date != nil && e.operator != "in":
		return func(it T) bool { return f.date(it).IsZero() }, e.operator == "eq" || e.operator == "ne"
	case f.text != nil:
		return f.compileText(e)
	case f.date != nil:
		return f.compileDate(e)
	case f.flag != nil:
		return f.compileFlag(e)
	}
	n, err := strconv.Atoi(e.values[0].text)
	if err != nil || e.values[0].quoted || n < 0 || n > 1 { // what is documented
		return nil, false
	}
	return func(it T) bool { return f.number(it) == n }, true
}

func (f filter[T]) compileText(e expression) (func(T) bool, bool) {
	for _, v := range e.values {
		if _, isID := parseGUID(v.text); !v.quoted && !isID { // ids go without quotes too
			return nil, false
		}
	}
	value := e.values[0].text
	lower := strings.ToLower(value)
	var match func(string) bool
	switch e.operator {
	case "eq", "ne":
		match = func(s string) bool { return strings.EqualFold(s, value) }
	case "in":
		match = func(s string) bool {
			return slices.ContainsFunc(e.values, func(v filterValue) bool { return strings.EqualFold(s, v.text) })
		}
	case "startswith":
		match = func(s string) bool { return strings.HasPrefix(strings.ToLower(s), lower) }
	case "endswith":
		match = func(s string) bool { return strings.HasSuffix(strings.ToLower(s), lower) }
	case "ge":
		match = func(s string) bool { return strings.ToLower(s) >= lower }
	case "le":
		match = func(s string) bool { return strings.ToLower(s) <= lower }
	default:
		return nil, false
	}
	return func(it T) bool { return slices.ContainsFunc(f.text(it), match) }, true
}

// compileDate compares whole dates: an object without the date matches none.
func (f filter[T]) compileDate(e expression) (func(T) bool, bool) {
	var dates []time.Time
	for _, v := range e.values {
		at, err := time.Parse(time.RFC3339, v.text)
		if err != nil || v.quoted {
			return nil, false
		}
		dates = append(dates, at)
	}
	at := dates[0]
	var match func(time.Time) bool
	switch e.operator {
	case "ge":
		match = func(t time.Time) bool { return !t.Before(at) }
	case "le":
		match = func(t time.Time) bool { return !t.After(at) }
	case "gt":
		match = func(t time.Time) bool { return t.After(at) }
	case "lt":
		match = func(t time.Time) bool { return t.Before(at) }
	default: // eq, ne, in
		match = func(t time.Time) bool { return slices.ContainsFunc(dates, t.Equal) }
	}
	return func(it T) bool {
		t := f.date(it)
		return !t.IsZero() && match(t)
	}, true
}

func (f filter[T]) compileFlag(e expression) (func(T) bool, bool) {
	var wanted []bool
	for _, v := range e.values {
		if v.quoted || v.text != "true" && v.text != "false" {
			return nil, false
		}
		wanted = append(wanted, v.text == "true")
	}
	return func(it T) bool { return slices.Contains(wanted, f.flag(it)) }, true
}

// keys are the values of "id eq" and the like that every match must have, for
// which there is a lookup.
func (e expression) keys(into map[string]string) {
	switch {
	case e.operator == "and":
		for _, operand := range e.operands {
			operand.keys(into)
		}
	case e.operator == "eq" && e.values[0].quoted:
		into[e.property] = e.values[0].text
	}
}

// plainText is an answer that is no JSON.
type plainText string

// countRoutes count collections.
var countRoutes = []graphRoute{
	{"GET", "applications/$count", readsApplications, 200, (*graphCall).countApplications},
	{"GET", "servicePrincipals/$count", readsApplications, 200, (*graphCall).countPrincipals},
	{"GET", "applications/{}/owners/$count", readsApplications, 200, (*graphCall).countApplicationOwners},
	{"GET", "servicePrincipals/{}/owners/$count", readsApplications, 200, (*graphCall).countPrincipalOwners},
	{"GET", "users/$count", readsUsers, 200, (*graphCall).countUsers},
}

// counted answers a /$count segment, which only the index can (Microsoft
// documentation).
func counted[T item](c *graphCall, col *collection[T], items []T) (any, *graphError) {
	if refused := c.mayCount(); refused != nil {
		return nil, refused
	}
	q, refused := parseList(c, col)
	if refused != nil {
		return nil, refused
	}
	n := 0
	for _, it := range items {
		if q.holds(it) {
			n++
		}
	}
	return plainText(strconv.Itoa(n)), nil
}

func (c *graphCall) mayCount() *graphError {
	if !c.eventual() {
		return &graphError{http.StatusBadRequest, "Request_BadRequest", "$count is not currently supported."}
	}
	c.counting = true
	return c.refuseOptions("filter", "search")
}

func (c *graphCall) countApplications() (any, *graphError) {
	return counted(c, applications, c.tenant.apps)
}

func (c *graphCall) countPrincipals() (any, *graphError) {
	return counted(c, principals, c.tenant.principals)
}

func (c *graphCall) countUsers() (any, *graphError) { return counted(c, users, c.tenant.users) }

func (c *graphCall) countApplicationOwners() (any, *graphError) {
	a, refused := c.application()
	if refused != nil {
		return nil, refused
	}
	return c.countOwners(a.owners)
}

func (c *graphCall) countPrincipalOwners() (any, *graphError) {
	p, refused := c.principal()
	if refused != nil {
		return nil, refused
	}
	return c.countOwners(p.owners)
}

func (c *graphCall) countOwners(owners []guid) (any, *graphError) {
	if refused := c.mayCount(); refused != nil {
		return nil, refused
	}
	if c.query.Has("filter") || c.query.Has("search") {
		return nil, unsupportedQuery("Owners cannot be filtered here.")
	}
	return plainText(strconv.Itoa(c.tenant.countOwners(owners))), nil
}

// countOwners counts the owners that can still be found.
func (t *tenant) countOwners(owners []guid) int {
	n := 0
	for _, id := range owners {
		if t.userWithID(id) != nil || t.principal(id) != nil {
			n++
		}
	}
	return n
}
