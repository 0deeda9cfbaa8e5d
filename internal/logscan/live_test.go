package logscan

import (
	"math/rand/v2"
	"testing"
)

// A log that grows by odd pieces and is settled at any time gives the truth.
func TestLive(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		c := build(100+seed, 120)
		rnd := rand.New(rand.NewPCG(seed, 9))
		s := New(Options{Now: testNow, Key: testKey, blockSize: 1 + rnd.IntN(5000)})
		s.Source("log")
		live := s.Live("log", "log#1", 0)
		for text := c.Bytes(); len(text) > 0; {
			n := min(1+rnd.IntN(3000), len(text))
			if _, err := live.Write(text[:n]); err != nil {
				t.Fatal(err)
			}
			text = text[n:]
			if rnd.IntN(3) == 0 {
				if err := live.Settle(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := live.End(); err != nil {
			t.Fatal(err)
		}
		c.check(t, s.Result())
	}
}

// A settled log keeps little in memory, and one failure at its end is counted
// before more is written.
func TestSettle(t *testing.T) {
	t.Parallel()
	s := New(Options{Now: testNow, Key: testKey})
	live := s.Live("log", "log#1", 0)
	line := "2026-01-02T03:04:05Z ERROR AADSTS7000215: Bad secret.\n"
	for want, text := range []string{"2026-01-02T03:04:05Z ERROR AADSTS70002", line[len("2026-01-02T03:04:05Z ERROR AADSTS70002"):], line[:20], line[20:]} {
		if _, err := live.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := live.Settle(); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.Result(); got.Failures != int64(want+1)/2 || got.Occurrences != got.Failures {
			t.Errorf("after part %d: %d failures, %d occurrences", want, got.Failures, got.Occurrences)
		}
	}
	if _, err := live.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := live.Settle(); err != nil || cap(live.st.buf) > 16<<10 {
		t.Errorf("%v, %d bytes are kept", err, cap(live.st.buf))
	}
}
