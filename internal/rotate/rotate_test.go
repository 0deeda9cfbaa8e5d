package rotate_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/rotate"
)

var manySeeds = flag.Uint64("seeds", 2, "so many seeds of each profile in TestRotationWhereThingsGoWrong")

func TestRotation(t *testing.T) {
	inBubble(t, entralab.Config{}, func(r *rig) {
		begun := r.lab.Now()
		rot := r.drive(r.start(rotate.Options{}).ID)
		if rot.State != rotate.Done {
			r.Fatal(told(rot))
		}
		if r.has(r.old.KeyID) {
			r.Error("the old secret is still there")
		}
		if !r.has(rot.New.KeyID) || !r.has(r.app.Secrets[1].KeyID) {
			r.Error("the new secret, or somebody else's, is gone")
		}
		if d := r.lab.Now().Sub(begun); d < 7*day || d > 8*day {
			r.Errorf("it took %s", d)
		}
		for _, b := range r.boxes {
			if b.get() == r.old.Value.Reveal() || b.get() != r.boxes[0].get() {
				r.Errorf("%s does not hold the new value", b.name)
			}
		}
	})
}

// The bad days of a real tenant are the default here: TestRotation alone
// proves nothing.
func TestRotationWhereThingsGoWrong(t *testing.T) {
	for _, profile := range []string{entralab.ProfileRude, entralab.ProfileHostile} {
		for seed := uint64(1); seed <= *manySeeds; seed++ {
			t.Run(fmt.Sprintf("%s/%d", profile, seed), func(t *testing.T) {
				inBubble(t, entralab.Config{Profile: profile, RandomSeed: seed}, func(r *rig) {
					rot := r.drive(r.start(rotate.Options{}).ID)
					if rot.State != rotate.Done {
						r.Fatal(told(rot))
					}
					if r.has(r.old.KeyID) || !r.has(rot.New.KeyID) || !r.has(r.app.Secrets[1].KeyID) {
						r.Error("not the right secrets are left")
					}
					if n := r.ours(); n != 1 {
						r.Errorf("%d secrets of ours are left", n)
					}
				})
			})
		}
	}
}
