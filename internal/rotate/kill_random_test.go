//go:build unix

package rotate_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/credsmith/credsmith/internal/rotate"
)

var manyKills = flag.Int("kills", 60, "how many processes TestRandomKills kills")

// killsEach is how often the processes of one rotation are killed.
const killsEach = 10

// TestRandomKills kills processes wherever they happen to be, up to ten times
// in one rotation, and lets another go on each time. It is judged as the matrix is.
func TestRandomKills(t *testing.T) {
	t.Parallel()
	var killed, rotations atomic.Int64
	var g errgroup.Group
	g.SetLimit(4)
	for seed := 0; killed.Load() < int64(*manyKills) && seed < 10+*manyKills; seed++ {
		g.Go(func() error {
			w, err := newWorld(t, uint64(seed+1))
			if err != nil {
				return err
			}
			defer w.close()
			n, err := w.killAnywhere(rand.New(rand.NewPCG(uint64(seed), 1)))
			killed.Add(int64(n))
			rotations.Add(1)
			if err != nil {
				t.Errorf("killed %d times (seed %d): %v", n, seed+1, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d processes killed anywhere in %d rotations", killed.Load(), rotations.Load())
	if killed.Load() < int64(*manyKills) {
		t.Errorf("%d processes were killed", killed.Load())
	}
}

// killAnywhere returns how many processes it killed. A rotation that is over
// cannot be cut off any more.
func (w *world) killAnywhere(random *rand.Rand) (killed int, err error) {
	job := w.job
	for n := range killsEach {
		job.Holder = fmt.Sprint("process ", n)
		// Most of its time a process works; some die while they begin.
		w.killAfter = time.Duration(1 + random.Int64N(int64(160*time.Millisecond)))
		_, err := w.run(job)
		w.killAfter = 0
		if err == nil {
			break
		}
		if !errors.Is(err, errKilled) {
			return killed, err
		}
		killed++
		w.lab.Advance(recoveries[random.IntN(len(recoveries))].after)
	}
	job.Holder = "last"
	var r *rotate.Rotation
	for range 4 {
		if r, err = w.run(job); err != nil {
			return killed, err
		}
		if r.State == rotate.Done {
			return killed, w.judge(killed)
		}
		job.Resume = true // it was cut off so often while minting that it asked for a person
	}
	return killed, fmt.Errorf("it did not end well: %s", told(r))
}
