package entralab

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// faultKind is one fault of the table.
type faultKind struct {
	id, name string
	surfaces []string
	params   []faultParam
	only     func(*faultRequest) bool // further bounds what it can hit
	// when bounds it by the rule's parameters and the requests before; called
	// for every request that matches, with faults.mu held.
	when func(*faultRule, *faultRequest) bool

	// A fault does one of these.
	condition  bool                                // handlers ask for it, see conditionOf
	connection bool                                // strikes before there is a request
	instead    func(*faultCall) *faultAnswer       // answers; nil lets the request pass
	before     func(*faultCall) bool               // changes the request or the tenant
	after      func(*faultCall, *faultAnswer) bool // changes the answer; reports whether it did
}

// faultParam is one parameter. The fallback tells its type.
type faultParam struct {
	name     string
	fallback any      // string, int or time.Duration
	choices  []string // of a string; none for free text
	min, max int      // of an int
}

// rotate shows every kind in turn.
const rotate = "rotate"

// kinds is the parameter that chooses between variants.
func kinds(names ...string) faultParam {
	return faultParam{name: "kind", fallback: rotate, choices: append([]string{rotate}, names...)}
}

func number(name string, fallback, least, most int) faultParam {
	return faultParam{name: name, fallback: fallback, min: least, max: most}
}

func span(least, most time.Duration) []faultParam {
	return []faultParam{{name: "min", fallback: least}, {name: "max", fallback: most}}
}

// choices are the kinds of a fault.
func (k *faultKind) choices() []string {
	i := slices.IndexFunc(k.params, func(p faultParam) bool { return p.name == "kind" })
	return k.params[i].choices[1:]
}

// faultParams are the parameters of a rule, complete.
type faultParams map[string]any

func (p faultParams) text(name string) string            { return p[name].(string) }
func (p faultParams) number(name string) int             { return p[name].(int) }
func (p faultParams) duration(name string) time.Duration { return p[name].(time.Duration) }

// longestFault bounds durations, so that none overflows.
const longestFault = 10 * 365 * 24 * time.Hour

// read completes the parameters of a rule by the fallbacks.
func (k *faultKind) read(sent map[string]any) (faultParams, error) {
	params := faultParams{}
	for _, p := range k.params {
		params[p.name] = p.fallback
	}
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		i := slices.IndexFunc(k.params, func(p faultParam) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("params.%.40s is unknown; %s takes %s", name, k.id, k.paramNames())
		}
		value, err := k.params[i].read(sent[name])
		if err != nil {
			return nil, fmt.Errorf("params.%s is %.60s; it must be %w", name, encodeJSON(sent[name]), err)
		}
		params[name] = value
	}
	if low, ok := params["min"].(time.Duration); ok && low > params.duration("max") {
		return nil, fmt.Errorf("params.min is above params.max")
	}
	return params, nil
}

func (k *faultKind) paramNames() string {
	if len(k.params) == 0 {
		return "none"
	}
	names := make([]string, 0, len(k.params))
	for _, p := range k.params {
		names = append(names, p.name)
	}
	return strings.Join(names, ", ")
}

// read takes what JSON or a Go program gives. The error says what is allowed.
func (p faultParam) read(sent any) (any, error) {
	switch p.fallback.(type) {
	case time.Duration:
		text, ok := sent.(string)
		d, err := parseDuration(text)
		if !ok || err != nil || d < -longestFault || d > longestFault {
			return nil, fmt.Errorf(`a duration such as "30s" or "2d", of ten years at most`)
		}
		return d, nil
	case int:
		var n float64
		switch v := sent.(type) {
		case int:
			n = float64(v)
		case float64:
			n = v
		default:
			n = math.NaN()
		}
		if n != math.Trunc(n) || n < float64(p.min) || n > float64(p.max) { // NaN differs from itself
			return nil, fmt.Errorf("a whole number from %d to %d", p.min, p.max)
		}
		return int(n), nil
	}
	text, ok := sent.(string)
	if !ok || len(text) > 500 || p.choices != nil && !slices.Contains(p.choices, text) {
		if p.choices == nil {
			return nil, fmt.Errorf("a string of at most 500 bytes")
		}
		return nil, fmt.Errorf("one of %s", strings.Join(p.choices, ", "))
	}
	return text, nil
}
