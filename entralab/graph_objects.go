package entralab

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// property is one member of a Graph object.
type property[T any] struct {
	name string
	get  func(T) any
	// write appends the JSON of what get returns, without making it: for
	// properties of long lists. nil: get is as good.
	write func(b []byte, it T) []byte
	// named is what $select shows, nil for what get does.
	named func(T) any
	// hidden is shown only when $select names it.
	hidden bool
	// set takes a sent value, nil where nothing can be sent. It reports false
	// when the value is of the wrong kind. It works on a copy, so that a
	// request with one bad member changes nothing.
	set func(T, json.RawMessage) bool
}

// render makes the object a client sees, with the selected members only.
func render[T item](col *collection[T], it T, selected []string) object {
	shown := col.shown(selected)
	o := make(object, 0, len(shown))
	for _, p := range shown {
		o = append(o, member{p.name, p.get(it)})
	}
	return o
}

// shown are the properties of an answer, all or those that $select names.
func (col *collection[T]) shown(selected []string) []property[T] {
	properties := col.properties()
	shown := make([]property[T], 0, len(properties))
	for _, p := range properties {
		switch {
		case selected == nil && p.hidden, selected != nil && !slices.Contains(selected, p.name):
			continue
		case selected != nil && p.named != nil:
			p.get, p.write = p.named, nil
		}
		shown = append(shown, p)
	}
	return shown
}

// list is the items of a page, which are written one after the other without
// an object for each.
type list[T item] struct {
	col      *collection[T]
	items    []T
	selected []string
	expand   bool
}

func (l list[T]) appendJSON(b []byte) []byte {
	shown := l.col.shown(l.selected)
	names := make([]string, len(shown))
	for j, p := range shown {
		names[j] = `,"` + p.name + `":`
	}
	if len(names) > 0 {
		names[0] = names[0][1:]
	}
	b = append(b, '[')
	begin := len(b)
	for i, it := range l.items {
		if i == 1 { // the others take about as much as the first
			b = slices.Grow(b, min((len(b)-begin)*len(l.items)*9/8, maxKeptBuffer))
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		for j, p := range shown {
			b = append(b, names[j]...)
			if p.write != nil {
				b = p.write(b, it)
			} else {
				b = appendJSON(b, p.get(it))
			}
		}
		if l.expand {
			owners := ownersOf(it)
			if len(shown) > 0 {
				b = append(b, ',')
			}
			b = appendJSON(append(appendText(b, owners.name), ':'), owners.value)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// single answers a GET of one object.
func single[T item](c *graphCall, col *collection[T], it T) (any, *graphError) {
	if refused := c.refuseOptions(append(slices.Clone(col.options), "select")...); refused != nil {
		return nil, refused
	}
	expand, refused := c.expandOwners()
	if refused != nil {
		return nil, refused
	}
	selected, refused := parseSelect(c, col)
	if refused != nil {
		return nil, refused
	}
	of := col.name
	if selected != nil {
		of += "(" + strings.Join(selected, ",") + ")"
	}
	answer := append(object{c.context(of + "/$entity")}, render(col, it, selected)...)
	if expand {
		answer = append(answer, ownersOf(it))
	}
	return answer, nil
}

// assign gives an object the members of a request.
func assign[T item](col *collection[T], it T, fields map[string]json.RawMessage) *graphError {
	properties := col.properties()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		i := slices.IndexFunc(properties, func(p property[T]) bool { return p.name == name })
		switch {
		case name == "@odata.type" || name == "@odata.context":
		case i < 0: // recalled
			return badRequest("Request_BadRequest", "Invalid property '"+name+"'.")
		case properties[i].set == nil: // recalled
			return badRequest("Request_BadRequest", "Property '"+name+"' is read-only and cannot be set.")
		case !properties[i].set(it, fields[name]): // recalled
			return badRequest("Request_BadRequest", "Invalid value specified for property '"+name+"' of resource '"+col.kind+"'.")
		}
	}
	return nil
}

// keptProperty is a property that the lab only keeps: it reads back what was
// sent, and as the JSON in empty before that. A collection stays a collection
// and an object an object.
func keptProperty[T any](name, empty string, kept func(T) *map[string]json.RawMessage) property[T] {
	fallback := json.RawMessage(empty)
	return property[T]{
		name: name,
		get: func(it T) any {
			if sent, ok := (*kept(it))[name]; ok {
				return sent
			}
			return fallback
		},
		write: func(b []byte, it T) []byte {
			if sent, ok := (*kept(it))[name]; ok {
				return append(b, encodeJSON(sent)...)
			}
			return append(b, empty...)
		},
		set: func(it T, value json.RawMessage) bool {
			if (empty[0] == '[' || empty[0] == '{') && value[0] != empty[0] || !shallow(value) {
				return false
			}
			m := kept(it)
			*m = maps.Clone(*m)
			if *m == nil {
				*m = map[string]json.RawMessage{}
			}
			(*m)[name] = bytes.Clone(value)
			return true
		},
	}
}

// shallow reports whether a value leaves room for the objects around it below
// the depth at which encoding/json gives up.
func shallow(value json.RawMessage) bool {
	return json.Valid(slices.Concat(bytes.Repeat([]byte("["), 32), value, bytes.Repeat([]byte("]"), 32)))
}

// decode reads a value of one type; null is none.
func decode[V any](value json.RawMessage, into *V) bool {
	return string(value) != "null" && json.Unmarshal(value, into) == nil
}

func guidTexts(ids []guid) []string {
	texts := make([]string, 0, len(ids))
	for _, id := range ids {
		texts = append(texts, id.String())
	}
	return texts
}
