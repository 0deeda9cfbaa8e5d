//go:build unix

package rotate_test

import (
	"errors"
	"fmt"
	"time"
)

// judgeBack reads off the lab's history and the sinks' own that nothing is left
// of a rotation that was undone, and that the new secret went last.
func (w *world) judgeBack(kills int) error {
	old := w.app.Secrets[0]
	minted, removed := map[string]bool{}, map[string]time.Time{}
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, e := range w.lab.History(0) {
		if e.Write == nil || e.ObjectID != w.app.ObjectID || e.Surface != "graph" {
			continue
		}
		switch e.Write.Kind {
		case "mint":
			minted[e.Write.KeyID] = true
		case "remove":
			removed[e.Write.KeyID] = e.At
			if !minted[e.Write.KeyID] {
				fail("secret %s was removed, which is nobody's business", e.Write.KeyID)
			}
		}
	}
	if len(minted) == 0 || len(minted) > 2+kills {
		fail("%d secrets were added", len(minted))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var last time.Time
	for _, write := range w.writes {
		if write.at.After(last) {
			last = write.at
		}
	}
	gone := time.Time{}
	for id := range minted {
		at, is := removed[id]
		if !is {
			fail("secret %s is left", id)
		}
		if at.After(gone) {
			gone = at
		}
	}
	if last.After(gone) {
		fail("a sink was written %s after the new secret had gone", last.Sub(gone))
	}
	for i, p := range w.places {
		if p.Value != old.Value.Reveal() {
			fail("sink %d does not hold the old value", i+1)
		}
	}
	if len(w.writes) < 2*len(w.places) {
		fail("%d writes for three sinks, forth and back", len(w.writes))
	}
	return errors.Join(errs...)
}
