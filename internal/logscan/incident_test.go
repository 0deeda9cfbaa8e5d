package logscan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/aadsts"
)

// failuresAt is a log with one failure at each time, between two quiet lines.
func failuresAt(begin, end time.Time, at ...time.Time) string {
	var log strings.Builder
	fmt.Fprintf(&log, "%s INFO begin\n", begin.Format(time.RFC3339))
	for i, when := range at {
		fmt.Fprintf(&log, "%s ERROR AADSTS7000215: bad, for a secret added to app '03146f14-24fa-4cde-8455-537c6ff06a55'. Trace ID: %08d-0000-4000-8000-000000000000\n", when.Format(time.RFC3339), i)
	}
	fmt.Fprintf(&log, "%s INFO end\n", end.Format(time.RFC3339))
	return log.String()
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	every := func(start time.Duration, n int, step time.Duration) (at []time.Time) {
		for i := range n {
			at = append(at, begin.Add(start+time.Duration(i)*step))
		}
		return at
	}
	end := begin.Add(12 * time.Hour)
	steady := failuresAt(begin, end, every(2*time.Hour, 50, 3*time.Minute)...)
	quiet := failuresAt(begin, end)
	for _, test := range []struct {
		name          string
		logs          map[string]string
		pattern       string
		likely        string
		startedWithin float64
	}{
		{"steady", map[string]string{"app.log": steady}, Steady, "secret-deleted", 180},
		{"from the first line on", map[string]string{"app.log": failuresAt(begin, end, every(0, 50, 3*time.Minute)...)}, Steady, "secret-deleted", -1},
		{"intermittent", map[string]string{"app.log": failuresAt(begin, end, append(every(3*time.Hour, 5, time.Minute), every(6*time.Hour, 5, time.Minute)...)...)}, Intermittent, "stale-consumer", 10560},
		{"intermittent for minutes", map[string]string{"app.log": failuresAt(begin, end, append(every(3*time.Hour, 5, 10*time.Second), every(190*time.Minute, 5, 10*time.Second)...)...)}, Intermittent, "secret-propagating", 600},
		{"hourly", map[string]string{"app.log": failuresAt(begin, end, every(2*time.Hour, 6, time.Hour)...)}, Hourly, "secret-deleted", 3600},
		{"one environment", map[string]string{"prod/a.log": steady, "staging/a.log": quiet}, OneEnvironment, "environment-drift", 180},
		{"both environments", map[string]string{"prod/a.log": steady, "staging/a.log": steady + failuresAt(begin, end, every(2*time.Hour, 60, time.Minute)...)}, Steady, "secret-deleted", -2},
		{"one replica", map[string]string{"pods/billing-a.log": quiet, "pods/billing-b.log": steady, "pods/billing-c.log": quiet}, OneReplica, "stale-consumer", 180},
		{"another app's log beside it", map[string]string{"pods/orders-a.log": quiet, "pods/billing-b.log": steady}, Steady, "secret-deleted", 180},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := New(Options{Now: testNow, Key: testKey})
			for name, log := range test.logs {
				s.Source(name)
				if err := s.Reader(t.Context(), name, strings.NewReader(log)); err != nil {
					t.Fatal(err)
				}
			}
			r := s.Result()
			if len(r.Incidents) != 1 {
				t.Fatalf("%d incidents", len(r.Incidents))
			}
			in := r.Incidents[0]
			if in.Pattern != test.pattern || in.Likely[0] != test.likely {
				t.Errorf("%s, likely %v, because %q; want %s, %s", in.Pattern, in.Likely, in.Evidence, test.pattern, test.likely)
			}
			if test.startedWithin != -2 && float64(int(in.StartedWithin)) != test.startedWithin {
				t.Errorf("started within %v s, want %v", in.StartedWithin, test.startedWithin)
			}
		})
	}
}

func TestWiderBucketsLoseNothing(t *testing.T) {
	t.Parallel()
	in := newIncident(incidentKey{}, &room{})
	begin := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for i := range 10_000 {
		in.add(event{at: begin.Add(time.Duration(i) * 17 * time.Minute), place: place{file: "log"}, failure: aadsts.Failure{Code: 7000215}})
	}
	var sum uint32
	for _, n := range in.rate() {
		sum += n
	}
	if sum != 10_000 || len(in.buckets) > maxBuckets {
		t.Errorf("%d failures in the rate, %d buckets", sum, len(in.buckets))
	}
}
