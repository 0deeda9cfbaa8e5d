package entralab

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// item is an element of a collection, numbered in the order of creation.
type item interface {
	ord() int
	live() bool
}

func (a *application) ord() int      { return a.ordinal }
func (p *servicePrincipal) ord() int { return p.ordinal }
func (e *audit) ord() int            { return e.ordinal }
func (u *user) ord() int             { return u.ordinal }

func (*audit) live() bool { return true }
func (*user) live() bool  { return true }

// collection describes what can be asked of one kind of object.
type collection[T item] struct {
	name       string               // in @odata.context
	kind       string               // in messages
	properties func() []property[T] // made on first use: the program starts without
	filters    []filter[T]
	orders     []order[T]
	order      func(a, b T) int // without $orderby; nil: as created
	pageSize   int              // without $top
	maxTop     int
	options    []string // query options that few collections have

	directory bool // has advanced queries, see [graphCall.advanced]
	search    []searched[T]
}

// order is a value of $orderby.
type order[T item] struct {
	name    string
	compare func(a, b T) int
}

// searched is a property that $search reads.
type searched[T item] struct {
	name string
	get  func(T) string
}

// parseQuery reads the query with option names as they are known here: without
// the '$', which Graph does not insist on (Microsoft documentation).
func parseQuery(raw string) (url.Values, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, err
	}
	query := url.Values{}
	for name, v := range values {
		query[strings.TrimPrefix(name, "$")] = v
	}
	return query, nil
}

// refuseOptions refuses what would otherwise be silently ignored.
func (c *graphCall) refuseOptions(supported ...string) *graphError {
	for _, option := range []string{"apply", "count", "expand", "filter", "format", "orderby", "search", "select", "skip", "skiptoken", "top"} {
		if c.query.Has(option) && !slices.Contains(supported, option) {
			return unsupportedQuery("Query option '$" + option + "' is not supported here.")
		}
	}
	return nil
}

// listQuery is the query of a list, understood.
type listQuery[T item] struct {
	listed   func(T) bool // what belongs to the list at all
	filters  []func(T) bool
	order    func(a, b T) int // nil: as created
	selected []string         // nil: all
	top      int
	count    bool
	expand   bool // owners
	after    int  // ordinal of the last item already sent, -1 at the start
	// keyed holds the values of "id eq" and "appId eq", for which there is a
	// lookup.
	keyed map[string]string
}

func parseList[T item](c *graphCall, col *collection[T]) (q listQuery[T], refused *graphError) {
	if refused = c.refuseOptions(append(slices.Clone(col.options), "count", "filter", "orderby", "select", "skiptoken", "top")...); refused != nil {
		return q, refused
	}
	q = listQuery[T]{listed: T.live, order: col.order, top: c.lab.shapes.page(col.pageSize), count: c.query.Get("count") == "true", after: -1, keyed: map[string]string{}}
	if q.order == nil {
		q.order = listOrder[T](c.lab.shapes)
	}
	if col.directory { // without the header the count is left out (Microsoft documentation)
		q.count = c.advanced()
	}
	if refused = q.readFilters(c, col); refused != nil {
		return q, refused
	}
	if c.query.Has("orderby") {
		name, direction, _ := strings.Cut(strings.TrimSpace(c.query.Get("orderby")), " ")
		i := slices.IndexFunc(col.orders, func(o order[T]) bool { return o.name == name })
		if i < 0 || direction != "" && direction != "asc" && direction != "desc" {
			return q, unsupportedQuery("Sorting not supported for current query.")
		}
		// Sorted applications and service principals are an advanced query
		// (Microsoft documentation; text recorded 2026).
		if col.directory && !c.advanced() {
			return q, unsupportedQuery("Sorting not supported for current query.")
		}
		compare := col.orders[i].compare
		q.order = compare
		if direction == "desc" {
			q.order = func(a, b T) int { return compare(b, a) }
		}
	}
	if c.query.Has("top") {
		top, err := strconv.Atoi(c.query.Get("top"))
		if err != nil || top < 1 || top > col.maxTop { // text recorded
			return q, unsupportedQuery(fmt.Sprintf("Invalid page size specified: '%s'. Must be between 1 and %d inclusive.", c.query.Get("top"), col.maxTop))
		}
		q.top = top
	}
	if c.query.Has("skiptoken") {
		if q.after, refused = parseSkipToken(c.query.Get("skiptoken")); refused != nil {
			return q, refused
		}
	}
	if q.expand, refused = c.expandOwners(); refused != nil {
		return q, refused
	}
	if q.expand && col.directory && c.advanced() { // Microsoft documentation; text recalled
		return q, unsupportedQuery("Expand is not supported with advanced queries.")
	}
	q.selected, refused = parseSelect(c, col)
	return q, refused
}

// readFilters reads $filter and $search, which both have to hold.
func (q *listQuery[T]) readFilters(c *graphCall, col *collection[T]) *graphError {
	if c.query.Has("filter") {
		e, ok := parseFilter(c.query.Get("filter"))
		if !ok {
			return unsupportedQuery("Invalid filter clause: '" + c.query.Get("filter") + "'.")
		}
		match, refused := compile(c, col, e)
		if refused != nil {
			return refused
		}
		q.filters = append(q.filters, match)
		e.keys(q.keyed)
	}
	if c.query.Has("search") {
		match, refused := readSearch(c, col)
		if refused != nil {
			return refused
		}
		q.filters = append(q.filters, match)
	}
	return nil
}

// holds reports whether an item belongs into the answer.
func (q *listQuery[T]) holds(it T) bool {
	return q.listed(it) && !slices.ContainsFunc(q.filters, func(match func(T) bool) bool { return !match(it) })
}

func parseSelect[T item](c *graphCall, col *collection[T]) ([]string, *graphError) {
	if !c.query.Has("select") {
		return nil, nil
	}
	properties := col.properties()
	var selected []string
	for name := range strings.SplitSeq(c.query.Get("select"), ",") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(properties, func(p property[T]) bool { return strings.EqualFold(p.name, name) })
		if i < 0 {
			return nil, badRequest("BadRequest", "Could not find a property named '"+name+"' on type 'Microsoft.DirectoryServices."+col.kind+"'.")
		}
		selected = append(selected, properties[i].name)
	}
	return selected, nil
}

// page answers a list with the items of one page and the link to the next.
func page[T item](c *graphCall, col *collection[T], q listQuery[T], items []T) object {
	// Items are in the order of creation. Without a count or another order
	// the page can start where the last one ended and stop when it is full.
	whole := q.count || q.order != nil
	rest := items
	if !whole {
		rest = items[sort.Search(len(items), func(i int) bool { return items[i].ord() > q.after }):]
	}
	var found []T
	count := 0
	for _, it := range rest {
		it, there := asRead(c, it)
		if !there || !q.holds(it) {
			continue
		}
		count++
		if q.order != nil || it.ord() > q.after && len(found) <= q.top {
			found = append(found, it)
		}
		if !whole && len(found) > q.top {
			break
		}
	}
	if q.order != nil {
		found = afterLast(found, items, q)
	}

	of := col.name
	if q.selected != nil {
		of += "(" + strings.Join(q.selected, ",") + ")"
	}
	answer := object{c.context(of)}
	if q.count {
		answer = append(answer, member{"@odata.count", count})
	}
	if len(found) > q.top {
		found = found[:q.top]
		answer = append(answer, member{"@odata.nextLink", c.nextLink(found[q.top-1].ord())})
	}
	return append(answer, member{"value", list[T]{col, found, q.selected, q.expand}})
}

// afterLast sorts and drops what earlier pages held. An item that was deleted
// in between still tells where to go on.
func afterLast[T item](found, items []T, q listQuery[T]) []T {
	order := func(a, b T) int {
		if q.order != nil {
			if n := q.order(a, b); n != 0 {
				return n
			}
		}
		return cmp.Compare(a.ord(), b.ord())
	}
	slices.SortFunc(found, order)
	i := sort.Search(len(items), func(i int) bool { return items[i].ord() >= q.after })
	if i == len(items) || items[i].ord() != q.after {
		return found
	}
	last := items[i]
	return slices.DeleteFunc(found, func(it T) bool { return order(it, last) <= 0 })
}

// nextLink repeats the request with another page token.
func (c *graphCall) nextLink(last int) string {
	var pairs []string
	for pair := range strings.SplitSeq(c.request.URL.RawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); pair != "" && err == nil && strings.TrimPrefix(decoded, "$") != "skiptoken" {
			pairs = append(pairs, pair)
		}
	}
	token := base64.RawURLEncoding.EncodeToString([]byte(skipTokenPrefix + strconv.Itoa(last)))
	pairs = append(pairs, "$skiptoken="+token)
	return c.lab.graphURL + c.request.URL.EscapedPath() + "?" + strings.Join(pairs, "&")
}

// skipTokenPrefix makes tokens look like what they are: nobody's business.
const skipTokenPrefix = "lab-page:"

func parseSkipToken(token string) (int, *graphError) {
	plain, err := base64.RawURLEncoding.DecodeString(token)
	number, ours := strings.CutPrefix(string(plain), skipTokenPrefix)
	last, err2 := strconv.Atoi(number)
	if err != nil || err2 != nil || !ours || last < 0 {
		return 0, errPageToken
	}
	return last, nil
}
