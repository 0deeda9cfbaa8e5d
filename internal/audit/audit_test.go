package audit_test

import (
	"errors"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/audit"
)

var key = []byte("0123456789abcdef0123456789abcdef")

func chain(n int) ([]audit.Entry, audit.Head) {
	c := audit.NewChain(key)
	var all []audit.Entry
	var head audit.Head
	for i := range n {
		var e audit.Entry
		e, head = c.Link(head, audit.Entry{At: time.Unix(int64(i), 0), Actor: "cli:ada", Action: audit.Mint, Outcome: audit.Intent, KeyID: string(rune('a' + i))})
		all = append(all, e)
	}
	return all, head
}

func each(all []audit.Entry) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func TestWholeChainHolds(t *testing.T) {
	t.Parallel()
	all, head := chain(5)
	c := audit.NewChain(key)
	for _, known := range []audit.Head{{}, {Seq: 3, Hash: all[2].Hash}, head} {
		if got, err := c.Verify(each(all), known); err != nil || got != head {
			t.Errorf("knowing %+v: %+v, %v", known, got, err)
		}
	}
}

func TestEveryBreakIsFound(t *testing.T) {
	t.Parallel()
	_, head := chain(5)
	for name, breaks := range map[string]struct {
		do  func([]audit.Entry) []audit.Entry
		seq int64
	}{
		"changed":       {func(a []audit.Entry) []audit.Entry { a[2].Detail = "nothing to see"; return a }, 3},
		"time changed":  {func(a []audit.Entry) []audit.Entry { a[2].At = a[2].At.Add(time.Nanosecond); return a }, 3},
		"taken out":     {func(a []audit.Entry) []audit.Entry { return slices.Delete(a, 2, 3) }, 3},
		"swapped":       {func(a []audit.Entry) []audit.Entry { a[1], a[2] = a[2], a[1]; return a }, 2},
		"put in":        {func(a []audit.Entry) []audit.Entry { return slices.Insert(a, 2, a[1]) }, 3},
		"first cut off": {func(a []audit.Entry) []audit.Entry { return a[1:] }, 1},
		"end cut off":   {func(a []audit.Entry) []audit.Entry { return a[:3] }, 4},
		"all gone":      {func([]audit.Entry) []audit.Entry { return nil }, 1},
		"made anew": {func(a []audit.Entry) []audit.Entry {
			forger := audit.NewChain([]byte("another key"))
			var h audit.Head
			for i := range a {
				a[i], h = forger.Link(h, a[i])
			}
			return a
		}, 1},
	} {
		all, _ := chain(5)
		_, err := audit.NewChain(key).Verify(each(breaks.do(all)), head)
		broken, ok := errors.AsType[*audit.Broken](err)
		if !ok || broken.Seq != breaks.seq {
			t.Errorf("%s: %v, want a break at %d", name, err, breaks.seq)
		}
	}
}

// A chain that was rewritten from the middle on with the right key differs
// from what was written down.
func TestRewrittenWithTheKey(t *testing.T) {
	t.Parallel()
	all, head := chain(5)
	c := audit.NewChain(key)
	h := audit.Head{Seq: 2, Hash: all[1].Hash}
	for i := 2; i < 5; i++ {
		all[i].Detail = "other"
		all[i], h = c.Link(h, all[i])
	}
	if _, err := c.Verify(each(all), head); err == nil {
		t.Error("not found")
	}
	if _, err := c.Verify(each(all), audit.Head{}); err != nil {
		t.Errorf("only the head written down can tell: %v", err)
	}
}
