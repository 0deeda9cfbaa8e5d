package entralab

import "testing"

// TestIndexFindsAllAndNoOthers goes through several growths, with ids that
// begin alike.
func TestIndexFindsAllAndNoOthers(t *testing.T) {
	same := func(g guid) guid { return g }
	random := newRandom(1, 0)
	var x index
	var all []guid
	for i := range 1000 {
		id := random.guid()
		if i%2 == 0 {
			clear(id[:8])
		}
		if got := find(&x, all, same, id); got != (guid{}) {
			t.Fatalf("found %v before it was added", got)
		}
		all = append(all, id)
		indexLast(&x, all, same)
	}
	for _, id := range all {
		if find(&x, all, same, id) != id {
			t.Fatalf("%v is lost", id)
		}
	}
	if len(x.slots) != 2048 {
		t.Errorf("%d slots for %d ids", len(x.slots), len(all))
	}
}
