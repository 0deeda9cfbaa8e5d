package entralab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// FaultRule says which requests go wrong, how and how often. docs/lab.md lists
// the faults, F1 to F55, with their parameters.
//
// A request is served with at most one fault that answers or breaks it, the
// first in the order of the rules that fires, and with any number of those
// that change how the lab behaves (F1 to F4, F16, F21, F24, F25, F49).
type FaultRule struct {
	Match FaultMatch
	Fault string // "F8"
	// Rate is the chance that a matching request is hit: above 0 and at most
	// 1. 0 stands for 1.
	Rate float64
	// Nth hits the n-th matching request only, counted from 1; with Times k,
	// that one and the k-1 after it.
	Nth   int
	Times int       // hits until the rule is spent, 0 for no bound
	Until time.Time // lab time from which on it rests, zero for never
	// Params holds strings, numbers and booleans, durations as "30s".
	Params map[string]any
}

// FaultMatch chooses requests. An empty member matches all.
type FaultMatch struct {
	// Surface is token, graph, vault, smtp or imap. Without one a rule is about
	// the first three.
	Surface string `json:"surface,omitempty"`
	Method  string `json:"method,omitempty"` // of HTTP, or a command such as AUTH
	// Path is compared without query and case; "*" stands for any letters,
	// slashes included. Of mail it is the mailbox.
	Path string `json:"path,omitempty"`
	// App is a client id or an object id: of the app that signs in, that calls
	// Graph or the vault, or that the path is about.
	App string `json:"app,omitempty"`
}

// faultRule is a FaultRule at work. What counts is guarded by faults.mu.
type faultRule struct {
	FaultRule
	id      string
	kind    *faultKind
	params  faultParams
	keep    bool // in a store
	matched int
	drawn   int // hits decided on; those that came to something are in fired
	fired   int
	writes  map[string]time.Time // of F5: the last to each app, by object id
}

// faults are the rules in force. They draw from a generator of their own, so
// that ids are the same with and without them.
type faults struct {
	// active is nil when there is no rule, which is all a request pays then.
	active atomic.Pointer[[]*faultRule]
	closed chan struct{} // ends what waits

	mu     sync.Mutex
	random *rand.Rand
	last   int // number of the newest id

	saver   *saver
	changed map[*faultRule]bool // since the last save
}

func newFaults(seed, run uint64, s *saver) *faults {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	copy(key[8:], "faults")
	binary.LittleEndian.PutUint64(key[16:], run)
	return &faults{closed: make(chan struct{}), random: rand.New(rand.NewChaCha8(key)), saver: s, changed: map[*faultRule]bool{}}
}

// maxFaultRules bounds what one request has to be compared with.
const maxFaultRules = 1000

// AddFault puts a rule in force and returns its id. An error names the member
// that is wrong and what it may be.
func (l *Lab) AddFault(rule FaultRule) (id string, err error) {
	if id, err = l.addFault(rule); err != nil {
		return "", fmt.Errorf("entralab: add fault: %w", err)
	}
	return id, l.flush()
}

func (l *Lab) addFault(rule FaultRule) (id string, err error) {
	if id, err = l.faults.add(rule, l.network != nil, true); err != nil {
		return "", err
	}
	if l.network != nil { // a connection that is open already would go by F37 and F38
		l.network.CloseIdleConnections()
	}
	return id, nil
}

// RemoveFault ends a rule. It reports whether there was one with this id.
func (l *Lab) RemoveFault(id string) bool {
	removed := l.faults.remove(func(r *faultRule) bool { return r.id == id }) > 0
	_ = l.flush() // reported by Wait
	return removed
}

// RemoveFaults ends all rules, those of the profile included.
func (l *Lab) RemoveFaults() {
	l.faults.remove(func(*faultRule) bool { return true })
	_ = l.flush() // reported by Wait
}

func (f *faults) add(rule FaultRule, sockets, keep bool) (string, error) {
	r := &faultRule{FaultRule: rule, keep: keep}
	if err := r.check(); err != nil {
		return "", err
	}
	if r.kind.connection && !sockets {
		return "", errors.New("fault " + r.Fault + " breaks connections, and a lab in process has none")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	rules := f.rules()
	if len(rules) >= maxFaultRules {
		return "", fmt.Errorf("there are %d rules already; remove some with DELETE /control/faults", maxFaultRules)
	}
	f.last++
	r.id = faultIDPrefix + strconv.Itoa(f.last)
	if keep && f.saver != nil {
		record := r.stored()
		f.saver.note(record.Kind, record.ID, record.Data)
	}
	rules = append(slices.Clip(rules), r)
	f.active.Store(&rules)
	return r.id, nil
}

func (f *faults) remove(which func(*faultRule) bool) (removed int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.rules()
	rules := slices.DeleteFunc(slices.Clone(old), func(r *faultRule) bool {
		gone := which(r)
		if gone && r.keep {
			f.saver.note(kindFault, r.id, nil)
		}
		return gone
	})
	f.active.Store(&rules)
	if len(rules) == 0 {
		f.active.Store(nil)
	}
	return len(old) - len(rules)
}

func (f *faults) rules() []*faultRule {
	if rules := f.active.Load(); rules != nil {
		return *rules
	}
	return nil
}

// check completes a rule, or says which member is wrong.
func (r *faultRule) check() error {
	if faultNamed(r.Fault, "") == nil {
		return faultMissing(r.Fault)
	}
	r.kind = faultNamed(r.Fault, r.Match.Surface)
	switch m := r.Match; {
	case m.Surface != "" && (r.kind == nil || !slices.Contains(r.kind.surfaces, m.Surface)):
		return fmt.Errorf("match.surface is %q; %s lives on %s", m.Surface, r.Fault, strings.Join(surfacesOf(r.Fault), ", "))
	case r.kind.connection && (m.Method != "" || m.Path != "" || m.App != ""):
		return fmt.Errorf("match: %s strikes before there is a request; only surface can be given", r.Fault)
	case len(m.Method) > 20 || len(m.Path) > maxEventPath || len(m.App) > 64:
		return errors.New("match: method, path or app is longer than any request's")
	case r.Rate < 0 || r.Rate > 1 || r.Rate != r.Rate:
		return fmt.Errorf("rate is %v; it must be above 0 and at most 1", r.Rate)
	case r.Nth < 0 || r.Times < 0:
		return errors.New("nth and times must be 1 or more")
	case r.Nth > 0 && r.Rate > 0:
		return errors.New("rate and nth exclude each other")
	}
	if r.Rate == 0 {
		r.Rate = 1
	}
	var err error
	if r.params, err = r.kind.read(r.Params); err == nil && r.Fault == "F20" && refusalByCode(r.params.number("code")) == nil {
		return fmt.Errorf("params.code is %d; F20 knows %s", r.params.number("code"), scriptedCodes())
	}
	return err
}

// faultRequest is what a rule is compared with.
type faultRequest struct {
	surface, method, path string
	apps                  []string // all ids that name an app here
	event                 Event    // what the history can say without the handler
	now                   time.Time
}

func (m FaultMatch) matches(q *faultRequest) bool {
	return (m.Surface == "" || m.Surface == q.surface) &&
		(m.Method == "" || strings.EqualFold(m.Method, q.method)) &&
		(m.Path == "" || wildcard(strings.ToLower(m.Path), strings.ToLower(q.path))) &&
		(m.App == "" || slices.ContainsFunc(q.apps, func(id string) bool { return strings.EqualFold(id, m.App) }))
}

// wildcard compares text with a pattern in which "*" stands for anything.
func wildcard(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok || len(parts) == 1 {
		return ok && text == ""
	}
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		_, rest, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = rest
	}
	return strings.HasSuffix(text, last)
}

// due counts a matching request and decides whether it is hit. Call with
// faults.mu held.
func (r *faultRule) due(f *faults, now time.Time) bool {
	r.matched++
	f.counted(r)
	times := r.Times
	if r.Nth > 0 {
		times = max(times, 1)
		if r.matched < r.Nth || r.matched >= r.Nth+times {
			return false
		}
	}
	hit := r.Rate == 1 || f.random.Float64() < r.Rate
	return hit && (times == 0 || r.drawn < times) && (r.Until.IsZero() || now.Before(r.Until))
}

// choose decides what goes wrong with a request; nil for nothing.
func (f *faults) choose(rules []*faultRule, q *faultRequest) *firing {
	f.mu.Lock()
	defer f.mu.Unlock()
	var chosen *firing
	for _, r := range rules {
		if r.kind.connection || !slices.Contains(r.kind.surfaces, q.surface) || r.kind.only != nil && !r.kind.only(q) || !r.Match.matches(q) || r.kind.when != nil && !r.kind.when(r, q) || !r.due(f, q.now) {
			continue
		}
		if chosen == nil {
			chosen = &firing{faults: f}
		}
		call := &faultCall{rule: r, turn: r.drawn, random: rand.New(rand.NewPCG(f.random.Uint64(), 0))}
		switch {
		case r.kind.condition:
			call.firing = chosen
			chosen.conditions = append(chosen.conditions, call)
		case chosen.main == nil:
			call.firing = chosen
			chosen.main = call
		default:
			continue
		}
		r.drawn++
	}
	return chosen
}

// strike decides about a connection, which has no request yet.
func (f *faults) strike(surface, id string, now time.Time) *faultCall {
	for _, r := range f.rules() {
		if r.Fault != id || r.Match.Surface != "" && r.Match.Surface != surface {
			continue
		}
		f.mu.Lock()
		hit := r.due(f, now)
		call := &faultCall{rule: r, turn: r.drawn, random: rand.New(rand.NewPCG(f.random.Uint64(), 0))}
		if hit {
			r.drawn++
			r.fired++
		}
		f.mu.Unlock()
		if hit {
			return call
		}
	}
	return nil
}

// firing is what goes wrong with one request.
type firing struct {
	faults     *faults
	main       *faultCall
	conditions []*faultCall
	ids        []string // faults that came to something
	events     []int    // history's entries about the request
}

// faultCall is one fault on its way through one request.
type faultCall struct {
	rule   *faultRule
	firing *firing
	turn   int        // how often the rule hit before
	random *rand.Rand // seeded by the lab's faults

	lab     *Lab
	request *http.Request
	body    []byte // of the request
	q       *faultRequest
}

// use notes that the fault came to something.
func (c *faultCall) use() {
	if !slices.Contains(c.firing.ids, c.rule.Fault) {
		c.firing.ids = append(c.firing.ids, c.rule.Fault)
	}
	c.firing.faults.mu.Lock()
	defer c.firing.faults.mu.Unlock()
	c.rule.fired++
	c.firing.faults.counted(c.rule)
}

// kind is the variant to show: the one asked for, or the next in turn.
func (c *faultCall) kind() string {
	kind := c.rule.params.text("kind")
	if kind != rotate {
		return kind
	}
	choices := c.rule.kind.choices()
	return choices[c.turn%len(choices)]
}

// between draws a duration from the parameters min and max.
func (c *faultCall) between() time.Duration {
	low, high := c.rule.params.duration("min"), c.rule.params.duration("max")
	return low + time.Duration(c.random.Float64()*float64(high-low))
}

func (c *faultCall) guid() guid {
	var g guid
	binary.LittleEndian.PutUint64(g[:8], c.random.Uint64())
	binary.LittleEndian.PutUint64(g[8:], c.random.Uint64())
	g[6] = g[6]&0x0f | 0x40
	g[8] = g[8]&0x3f | 0x80
	return g
}
