// Package sinktest holds the suite that every adapter of a sink passes. It
// serves tests only.
//
// An adapter's test writes a function that makes one place with a [Fixture]
// over it and hands it to [Run]; what the adapter's [sink.Abilities] promise
// decides what is asked of it.
package sinktest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/canary"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
)

// Fixture is one place of its own, with nothing in it yet, and the hands of a
// test on it. Hooks that are nil leave out what needs them, unless the suite
// says so.
type Fixture struct {
	// Open opens the place as a process of its own would.
	Open func(t *testing.T) sink.Sink
	// Holds returns what a consumer reads from the place; exists is false when
	// nothing is in it. Needed where the sink cannot read back.
	Holds func(t *testing.T) (value string, exists bool)
	// Change is somebody else who writes value. Needed where the sink compares.
	Change func(t *testing.T, value string)
	// Deny takes the permission to write away.
	Deny func(t *testing.T)
	// Blind says that Check cannot find out about the permission to write.
	Blind bool
	// Lose makes the place unreachable.
	Lose func(t *testing.T)
	// Hang lets the place take requests and answer none. It ends with t.
	Hang func(t *testing.T)
	// Cut opens the place for a process that dies before its n-th step to the
	// outside (a system call, a request; from 1): that step and all after it do
	// nothing, or a part of what they should, and fail. reached reports whether
	// there was an n-th.
	Cut func(t *testing.T, n int) (s sink.Sink, reached func() bool)
	// Tidy fails the test when a value is left anywhere but in the place. It is
	// called after the write that follows a crash.
	Tidy func(t *testing.T)
	// Slow says that each request costs a process: values are sampled.
	Slow bool
	// Reloads counts how often consumers were made to take a value up. Needed
	// where the sink reloads.
	Reloads func() int
}

// maxSteps bounds the steps of one write that [Fixture.Cut] is asked for.
const maxSteps = 200

// Run runs the suite in parallel subtests; open makes a place for each.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	for name, test := range map[string]func(*testing.T, *place){
		"ref":           testRef,
		"absent":        testAbsent,
		"plain values":  testPlain,
		"hostile":       testHostile,
		"write again":   testAgain,
		"changed":       testChanged,
		"appeared":      testAppeared,
		"labels":        testLabels,
		"check":         testCheck,
		"denied":        testDenied,
		"unreachable":   testUnreachable,
		"cancelled":     testCancelled,
		"deadline":      testDeadline,
		"hanging":       testHanging,
		"two writers":   testWriters,
		"crash":         testCrash,
		"crash, absent": testCrashAbsent,
		"reload":        testReload,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newPlace(t, open(t)))
		})
	}
}

// place is a fixture with the sink of one process, and the values that were
// last meant for it: no error may hold one.
type place struct {
	Fixture
	s    sink.Sink
	able sink.Abilities

	mu     sync.Mutex
	values []string
}

func newPlace(t *testing.T, f Fixture) *place {
	p := &place{Fixture: f, s: f.Open(t)}
	p.able = p.s.Abilities()
	if p.Holds == nil && p.able.ReadBack {
		p.Holds = func(t *testing.T) (string, bool) {
			held := p.read(t)
			return held.Value.Reveal(), held.Exists
		}
	}
	if p.Change == nil && p.able.Compare {
		t.Fatal("the sink compares: the fixture needs Change")
	}
	return p
}

// deliver makes a delivery of a value.
func (p *place) deliver(value, version string) sink.Delivery {
	if value != "" {
		p.mu.Lock()
		p.values = append(p.values[max(0, len(p.values)-4):], value)
		p.mu.Unlock()
	}
	return sink.Delivery{
		Value: secret.New(value), Version: version, Generation: 7, Rotation: "rot-7",
		ClientID: "0f1e2d3c-0000-4000-8000-0000000000c1", KeyID: "0f1e2d3c-0000-4000-8000-0000000000d1",
		Expires: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC),
	}
}

func (p *place) read(t *testing.T) sink.Held {
	t.Helper()
	held, err := p.s.Read(t.Context())
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return held
}

// write puts a value in as a rotation does: read, then write.
func (p *place) write(t *testing.T, value string) string {
	t.Helper()
	version, err := p.s.Write(t.Context(), p.deliver(value, p.read(t).Version))
	if err != nil {
		t.Fatalf("Write: %v", err)
	}
	return version
}

// holds fails unless the place holds one of the values; "" stands for nothing.
// A place that nobody can look into holds what it should.
func (p *place) holds(t *testing.T, any ...string) {
	t.Helper()
	if p.Holds == nil {
		return
	}
	got, exists := p.Holds(t)
	for _, want := range any {
		if got == want && exists == (want != "") {
			return
		}
	}
	t.Fatalf("the place holds %q (exists %v), want one of %q", got, exists, any)
}

// fails checks that err is a refusal of one of these kinds that a person can
// use and that gives nothing away.
func (p *place) fails(t *testing.T, what string, err error, kinds ...sink.Kind) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s passed, want an error of kind %v", what, kinds)
	}
	p.clean(t, err)
	e, ok := errors.AsType[*sink.Error](err)
	if !ok {
		t.Fatalf("%s: %v (%T) is no *sink.Error", what, err, err)
	}
	known := false
	for _, kind := range kinds {
		known = known || e.Kind == kind
	}
	if !known {
		t.Fatalf("%s: kind %s (%v), want %v", what, e.Kind, err, kinds)
	}
	if e.Op == "" || e.Err == nil {
		t.Errorf("%s: %#v says not what was tried and why it failed", what, e)
	}
	if e.Next == "" && (e.Kind == sink.Denied || e.Kind == sink.Invalid) {
		t.Errorf("%s: %v does not say what a person can do", what, err)
	}
}

// clean fails when an error holds a part of a value in any form.
func (p *place) clean(t *testing.T, err error) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	texts := fmt.Sprintf("%v\n%+v\n%#v", err, err, err)
	for e := errors.Unwrap(err); e != nil; e = errors.Unwrap(e) {
		texts += fmt.Sprintf("\n%v\n%#v", e, e)
	}
	for _, value := range p.values {
		if found := canary.Find([]byte(texts), value); found != nil {
			t.Fatalf("an error holds a value (%v): %s", found, texts)
		}
	}
}

func testRef(t *testing.T, p *place) {
	before := p.s.Ref()
	if before == "" || before != p.Open(t).Ref() {
		t.Fatalf("Ref() = %q, then %q", before, p.Open(t).Ref())
	}
	p.write(t, first)
	if after := p.s.Ref(); after != before || len(canary.Find([]byte(after), first)) > 0 {
		t.Errorf("Ref() after a write = %q, want %q", after, before)
	}
}

func testAbsent(t *testing.T, p *place) {
	held := p.read(t)
	if !p.able.ReadBack {
		if !held.Value.IsEmpty() {
			t.Error("a place that cannot be read back gave a value")
		}
		return
	}
	if held.Exists || !held.Value.IsEmpty() || held.Version != "" || held.Generation != 0 || held.ManagedBy != "" {
		t.Errorf("Read of an absent value = %+v, want nothing", held)
	}
}

func testPlain(t *testing.T, p *place) {
	for _, value := range p.some(plain()) {
		version := p.write(t, value)
		p.holds(t, value)
		if !p.able.ReadBack {
			continue
		}
		held := p.read(t)
		if !held.Exists || held.Value.Reveal() != value || held.Version != version {
			t.Fatalf("Read = %+v with %q, want version %q and %q", held, held.Value.Reveal(), version, value)
		}
	}
}

// some is all of the values, or one in eight of them.
func (p *place) some(values []string) []string {
	if !p.Slow {
		return values
	}
	var kept []string
	for i := 0; i < len(values); i += 8 {
		kept = append(kept, values[i])
	}
	return kept
}

// testHostile writes what no tenant makes today but a place may meet: it is
// held to the letter, or refused as Invalid.
func testHostile(t *testing.T, p *place) {
	p.write(t, first)
	before, refused := first, 0
	for _, value := range p.some(hostile()) {
		_, err := p.s.Write(t.Context(), p.deliver(value, p.read(t).Version))
		if err != nil {
			p.fails(t, fmt.Sprintf("Write(%q)", value), err, sink.Invalid)
			p.holds(t, before)
			refused++
			continue
		}
		p.holds(t, value)
		before = value
		if held := p.read(t); p.able.ReadBack && held.Value.Reveal() != value {
			t.Fatalf("wrote %q, read %q", value, held.Value.Reveal())
		}
	}
	t.Logf("%d of %d hostile values refused", refused, len(p.some(hostile())))
	_, err := p.s.Write(t.Context(), p.deliver("", p.read(t).Version))
	p.fails(t, "Write of an empty value", err, sink.Invalid)
	p.holds(t, before)
}

// testAgain repeats a write whose reply was lost, with the version from before.
func testAgain(t *testing.T, p *place) {
	p.write(t, first)
	d := p.deliver(second, p.read(t).Version)
	for i := range 3 {
		version, err := p.Open(t).Write(t.Context(), d)
		if err != nil {
			t.Fatalf("Write number %d of the same: %v", i+1, err)
		}
		p.holds(t, second)
		if held := p.read(t); p.able.ReadBack && held.Version != version {
			t.Errorf("Write gave version %q, Read %q", version, held.Version)
		}
	}
}

func testChanged(t *testing.T, p *place) {
	if !p.able.Compare {
		t.Skip("the place does not compare")
	}
	p.write(t, first)
	before := p.read(t).Version
	p.Change(t, second)
	_, err := p.s.Write(t.Context(), p.deliver(third, before))
	p.fails(t, "Write after a change", err, sink.Changed)
	p.holds(t, second)
	if after := p.read(t).Version; after == before {
		t.Errorf("the version did not move with the change: %q", after)
	}
	p.write(t, third)
	p.holds(t, third)
}

// testAppeared writes to a place that was empty when it was read.
func testAppeared(t *testing.T, p *place) {
	if !p.able.Compare {
		t.Skip("the place does not compare")
	}
	before := p.read(t).Version
	p.Change(t, second)
	_, err := p.s.Write(t.Context(), p.deliver(third, before))
	p.fails(t, "Write of what was absent and now is there", err, sink.Changed)
	p.holds(t, second)
}

func testLabels(t *testing.T, p *place) {
	for _, generation := range []int64{7, 8} {
		d := p.deliver(fmt.Sprintf("%s-%d", first, generation), p.read(t).Version)
		d.Generation = generation
		if _, err := p.s.Write(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		want := generation
		if !p.able.Labels {
			want = 0
		}
		if got := p.read(t).Generation; got != want {
			t.Errorf("Generation = %d, want %d", got, want)
		}
	}
}

func testCheck(t *testing.T, p *place) {
	if err := p.s.Check(t.Context()); err != nil {
		t.Fatalf("Check of an empty place: %v", err)
	}
	p.holds(t, "")
	p.write(t, first)
	before := p.read(t)
	if err := p.s.Check(t.Context()); err != nil {
		t.Fatalf("Check: %v", err)
	}
	p.holds(t, first)
	if after := p.read(t); after.Version != before.Version {
		t.Errorf("Check moved the version from %q to %q", before.Version, after.Version)
	}
}

func testDenied(t *testing.T, p *place) {
	if p.Deny == nil {
		t.Skip("no Deny")
	}
	p.write(t, first)
	d := p.deliver(second, p.read(t).Version)
	p.Deny(t)
	if err := p.s.Check(t.Context()); err != nil || !p.Blind {
		p.fails(t, "Check without the permission", err, sink.Denied)
	}
	_, err := p.s.Write(t.Context(), d)
	p.fails(t, "Write without the permission", err, sink.Denied)
	p.holds(t, first)
}

func testUnreachable(t *testing.T, p *place) {
	if p.Lose == nil {
		t.Skip("no Lose")
	}
	p.write(t, first)
	d := p.deliver(second, p.read(t).Version)
	p.Lose(t)
	p.fails(t, "Check of an unreachable place", p.s.Check(t.Context()), sink.Unreachable)
	_, err := p.s.Read(t.Context())
	if p.able.ReadBack || err != nil {
		p.fails(t, "Read of an unreachable place", err, sink.Unreachable)
	}
	_, err = p.s.Write(t.Context(), d)
	p.fails(t, "Write to an unreachable place", err, sink.Unreachable)
}

func testCancelled(t *testing.T, p *place) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	testEnded(t, p, ctx, context.Canceled)
}

func testDeadline(t *testing.T, p *place) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	testEnded(t, p, ctx, context.DeadlineExceeded)
}

// testEnded calls with a context that is over: nothing happens.
func testEnded(t *testing.T, p *place, ctx context.Context, want error) {
	p.write(t, first)
	d := p.deliver(second, p.read(t).Version)
	_, readErr := p.s.Read(ctx)
	_, writeErr := p.s.Write(ctx, d)
	errs := map[string]error{"Check": p.s.Check(ctx), "Read": readErr, "Write": writeErr}
	if r, ok := p.s.(sink.Reloader); ok {
		errs["Reload"] = r.Reload(ctx, "rot-7")
	}
	for what, err := range errs {
		if err == nil && !p.able.ReadBack && what == "Read" {
			continue // there was nothing to ask
		}
		p.fails(t, what+" when it is over", err, sink.Unreachable)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v does not wrap %v", what, err, want)
		}
	}
	p.holds(t, first)
}

func testHanging(t *testing.T, p *place) {
	if p.Hang == nil {
		t.Skip("no Hang")
	}
	p.write(t, first)
	d := p.deliver(second, p.read(t).Version)
	p.Hang(t)
	for what, call := range map[string]func(context.Context) error{
		"Check": p.s.Check,
		"Read":  func(ctx context.Context) error { _, err := p.s.Read(ctx); return err },
		"Write": func(ctx context.Context) error { _, err := p.s.Write(ctx, d); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		begin := time.Now()
		err := call(ctx)
		cancel()
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("%s came back %v after it began, with 100ms to go", what, took)
		}
		if err == nil && what == "Read" && !p.able.ReadBack {
			continue
		}
		p.fails(t, what+" of a hanging place", err, sink.Unreachable)
	}
}

// testWriters lets two processes write at once. One of the values stands at
// the end, whole; where the place compares, the other writer knows that it lost.
func testWriters(t *testing.T, p *place) {
	p.write(t, first)
	for round := range 10 {
		version := p.read(t).Version
		values := [2]string{fmt.Sprintf("%s-a%02d", first, round), fmt.Sprintf("%s-b%02d", second, round)}
		var errs [2]error
		var both sync.WaitGroup
		for i, value := range values {
			s, d := p.Open(t), p.deliver(value, version)
			both.Go(func() { _, errs[i] = s.Write(t.Context(), d) })
		}
		both.Wait()
		p.holds(t, values[:]...)
		lost := 0
		for i, err := range errs {
			if err != nil {
				p.fails(t, "Write of one of two", err, sink.Changed, sink.Unreachable, sink.Throttled)
				p.holds(t, values[1-i])
				lost++
			}
		}
		if lost == 2 || p.able.Compare && lost != 1 {
			t.Fatalf("round %d: %d of two writers lost: %v", round, lost, errs)
		}
	}
}

func testCrash(t *testing.T, p *place) {
	if p.Cut == nil {
		t.Skip("no Cut")
	}
	p.write(t, "old-"+first)
	crash(t, p, "old-"+first)
}

func testCrashAbsent(t *testing.T, p *place) {
	if p.Cut == nil {
		t.Skip("no Cut")
	}
	crash(t, p, "")
}

// crash dies before each step of a write in turn; what is left is the old
// value or the new one, and the next process can write.
func crash(t *testing.T, p *place, old string) {
	for n := 1; n <= maxSteps; n++ {
		next := fmt.Sprintf("%s-%03d", second, n)
		d := p.deliver(next, p.read(t).Version)
		s, reached := p.Cut(t, n)
		_, err := s.Write(t.Context(), d)
		switch {
		case err == nil:
			p.holds(t, next) // what is acknowledged is there
		default:
			p.clean(t, err)
			p.holds(t, old, next)
		}
		if !reached() {
			if err != nil {
				t.Fatalf("a write that was not cut: %v", err)
			}
			if n == 1 {
				t.Fatal("not one step was counted: Cut does nothing")
			}
			t.Logf("%d steps", n-1)
			return
		}
		// The next process does the same write again, as a resumed rotation does.
		if _, err := p.Open(t).Write(t.Context(), d); err != nil {
			t.Fatalf("Write again after a cut at step %d: %v", n, err)
		}
		p.holds(t, next)
		if p.Tidy != nil {
			p.Tidy(t)
		}
		old = next
	}
	t.Fatalf("a write takes more than %d steps", maxSteps)
}

func testReload(t *testing.T, p *place) {
	r, ok := p.s.(sink.Reloader)
	if !ok || p.Reloads == nil {
		t.Skip("the sink does not reload, or the fixture does not count")
	}
	p.write(t, first)
	before := p.Reloads()
	for i, rotation := range []string{"rot-7", "rot-7", "rot-8"} {
		if err := r.Reload(t.Context(), rotation); err != nil {
			t.Fatalf("Reload: %v", err)
		}
		want := before + []int{1, 1, 2}[i]
		if got := p.Reloads(); got != want {
			t.Fatalf("after Reload number %d there were %d reloads, want %d", i+1, got, want)
		}
	}
	if done, err := r.Reloaded(t.Context(), "rot-8"); err != nil || !done {
		t.Errorf("Reloaded = %v, %v; want true", done, err)
	}
}
