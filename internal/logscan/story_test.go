package logscan

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// story writes logs of something that happened at a known time.
type story struct {
	rnd   *rand.Rand
	begin time.Time
	end   time.Time
	logs  map[string][]string // lines, each with its time first
	n     int
}

const storyApp = "03146f14-24fa-4cde-8455-537c6ff06a55"

func newStory(seed uint64) *story {
	begin := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	s := &story{rnd: rand.New(rand.NewPCG(seed, 7)), begin: begin, end: begin.Add(9 * time.Hour), logs: map[string][]string{}}
	return s
}

func (s *story) line(file string, at time.Time, format string, args ...any) {
	s.logs[file] = append(s.logs[file], at.Format("2006-01-02T15:04:05.000Z07:00")+" "+fmt.Sprintf(format, args...))
}

func (s *story) fail(file, prefix string, at time.Time) {
	s.n++
	s.line(file, at, "%sERROR AADSTS7000215: Invalid client secret provided, for a secret added to app '%s'. Trace ID: %08d-0000-4000-8000-000000000000", prefix, storyApp, s.n)
}

// tries gives the times that a program signs in at: on average so often, by
// chance, or as a clock does.
func (s *story) tries(from, to time.Time, every time.Duration, chance bool) (at []time.Time) {
	for when := from; ; {
		step := every
		if chance {
			step = time.Duration(s.rnd.ExpFloat64() * float64(every))
		}
		when = when.Add(step)
		if !when.Before(to) {
			return at
		}
		at = append(at, when)
	}
}

func (s *story) scan(t *testing.T) Result {
	t.Helper()
	scan := New(Options{Now: testNow, Key: testKey})
	var names []string
	for name := range s.logs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		s.line(name, s.begin, "INFO started")
		s.line(name, s.end, "INFO still here")
		slices.Sort(s.logs[name])
		readAny(t, scan, name, strings.Join(s.logs[name], "\n")+"\n")
	}
	return scan.Result()
}

func oneIncident(t *testing.T, r Result) Incident {
	t.Helper()
	if len(r.Incidents) != 1 {
		t.Fatalf("%d incidents: %+v", len(r.Incidents), r.Incidents)
	}
	return r.Incidents[0]
}

// covers counts how often the error bar holds the truth.
func covers(in Incident, truth time.Time) bool {
	ago := in.Started.Sub(truth).Seconds()
	return ago >= 0 && (in.StartedWithin < 0 || ago <= in.StartedWithin)
}

// TestSteadyFromT: the start is found within its error bar, also behind a
// background of single failures.
func TestSteadyFromT(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		every      time.Duration
		chance     bool
		background time.Duration
	}{
		{"a clock", 5 * time.Minute, false, 0}, {"by chance, seldom", 4 * time.Minute, true, 0}, {"by chance, often", 20 * time.Second, true, 0}, {"after single failures", 40 * time.Second, true, 100 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			const seeds = 15
			covered := 0
			for seed := range uint64(seeds) {
				s := newStory(seed)
				truth := s.begin.Add(5*time.Hour + time.Duration(s.rnd.IntN(3600))*time.Second)
				for _, at := range s.tries(truth, s.end, test.every, test.chance) {
					s.fail("app.log", "", at)
				}
				if test.background > 0 {
					for _, at := range s.tries(s.begin.Add(10*time.Minute), truth, test.background, true) {
						s.fail("app.log", "", at)
					}
				}
				in := oneIncident(t, s.scan(t))
				if in.Pattern != Steady || in.Likely[0] != "secret-deleted" || !in.Ongoing || !strings.Contains(in.Meaning, "at the start") {
					t.Errorf("seed %d: %s, likely %v, %q", seed, in.Pattern, in.Likely, in.Evidence)
				}
				if covers(in, truth) {
					covered++
				}
			}
			if covered < seeds*80/100 {
				t.Errorf("the error bar holds the truth in %d of %d", covered, seeds)
			}
		})
	}
}

// TestFreshSecretMixes: refused sign-ins among good ones after a secret was
// added are propagation, and the export's good ones say so.
func TestFreshSecretMixes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		s := newStory(seed)
		const key = "0f1e2d3c-0000-4000-8000-0000000000c2"
		added := s.begin.Add(6 * time.Hour)
		var lines []string
		for _, at := range s.tries(added.Add(10*time.Second), added.Add(40*time.Minute), 5*time.Second, true) {
			code, used := 0, key
			if ago := at.Sub(added); s.rnd.Float64() < 0.6*(1-ago.Minutes()/6) {
				code, used = 7000215, ""
			}
			s.n++
			lines = append(lines, fmt.Sprintf(`{"time":"%s","category":"ServicePrincipalSignInLogs","resultType":"%d","properties":{"id":"%08d-0000-4000-8000-000000000000","appId":"%s","ipAddress":"203.0.113.7","servicePrincipalName":"billing-worker","servicePrincipalCredentialKeyId":"%s"}}`,
				at.Format(time.RFC3339Nano), code, s.n, storyApp, used))
		}
		scan := New(Options{Now: testNow, Key: testKey})
		readAny(t, scan, "PT1H.json", strings.Join(lines, "\n"))
		r := scan.Result()
		changes, err := ReadChanges("audit.json", strings.NewReader(auditOf(added, "[]", "["+key+"]")), testNow)
		if err != nil {
			t.Fatal(err)
		}
		r.Explain(changes)
		in := oneIncident(t, r)
		if in.Pattern != Intermittent || in.Likely[0] != "secret-propagating" || !strings.HasPrefix(in.Meaning, "propagation") {
			t.Errorf("seed %d: %s, %s, likely %v, %q", seed, in.Pattern, in.Meaning, in.Likely, in.Evidence)
		}
		if in.Succeeded.During == 0 || len(in.Succeeded.KeyIDs) != 1 || len(in.Changes) != 1 || strings.Join(in.Changes[0].Touches, " ") != "app key name" {
			t.Errorf("succeeded %+v, changes %+v", in.Succeeded, in.Changes)
		}
	}
}

// auditOf is the record of a changed set of secrets, as Graph gives it.
func auditOf(at time.Time, before, after string) string {
	list := func(keys string) string {
		var set []string
		for key := range strings.FieldsFuncSeq(keys, func(r rune) bool { return r == '[' || r == ']' || r == ',' }) {
			set = append(set, "[KeyIdentifier="+key+",KeyType=Password,KeyUsage=Verify,DisplayName=prod]")
		}
		if set == nil {
			set = []string{}
		}
		inner, _ := json.Marshal(set)
		text, _ := json.Marshal(string(inner))
		return string(text)
	}
	return fmt.Sprintf(`{"value":[{"activityDisplayName":"Update application – Certificates and secrets management ","activityDateTime":"%s","initiatedBy":{"user":null,"app":{"displayName":"rotator"}},"targetResources":[{"id":"5b1d0000-0000-4000-8000-000000000001","displayName":"billing-worker","type":"Application","modifiedProperties":[{"displayName":"KeyDescription","oldValue":%s,"newValue":%s}]}],"additionalDetails":[{"key":"AppId","value":"%s"}]}]}`,
		at.Format(time.RFC3339), list(before), list(after), storyApp)
}

// TestOneEnvironmentFails: by the path, or by a field of merged lines.
func TestOneEnvironmentFails(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		byPath, byField := newStory(seed), newStory(seed)
		for _, at := range byPath.tries(byPath.begin, byPath.end, time.Minute, true) {
			byPath.line("logs/staging/app.log", at, "INFO token refreshed")
			byField.line("all.log", at, "env=staging INFO token refreshed")
			if at.Sub(byPath.begin) > 3*time.Hour {
				byPath.fail("logs/prod/app.log", "", at.Add(time.Second))
				byField.fail("all.log", "env=prod ", at.Add(time.Second))
			}
		}
		for _, s := range []*story{byPath, byField} {
			in := oneIncident(t, s.scan(t))
			if in.Pattern != OneEnvironment || in.Likely[0] != "environment-drift" || !strings.HasPrefix(in.Meaning, "drift") || strings.Join(in.Environments.Failing, " ") != "prod" || strings.Join(in.Environments.Quiet, " ") != "staging" {
				t.Errorf("seed %d: %s, %+v, %q", seed, in.Pattern, in.Environments, in.Evidence)
			}
		}
	}
}

// TestOneReplicaFails: by the names of logs, or by the pods of merged lines.
func TestOneReplicaFails(t *testing.T) {
	t.Parallel()
	pods := []string{"billing-7f9c6d5b8d-aaaaa", "billing-7f9c6d5b8d-bbbbb", "billing-7f9c6d5b8d-ccccc"}
	for seed := range uint64(4) {
		merged, apart := newStory(seed), newStory(seed)
		for _, at := range merged.tries(merged.begin, merged.end, time.Minute, true) {
			for i, pod := range pods {
				apart.line("pods/"+pod+".log", at, "INFO order done")
				merged.line("all.log", at, "pod=%s INFO order done", pod)
				if i == int(seed)%3 && at.Sub(merged.begin) > 3*time.Hour {
					apart.fail("pods/"+pod+".log", "", at)
					merged.fail("all.log", "pod="+pod+" ", at)
				}
			}
		}
		for i, s := range []*story{merged, apart} {
			in := oneIncident(t, s.scan(t))
			want := pods[seed%3]
			if i == 1 {
				want = "pods/" + want + ".log"
			}
			if in.Pattern != OneReplica || in.Likely[0] != "stale-consumer" || len(in.QuietPlaces) != 2 || !strings.HasPrefix(in.Evidence[0], "only "+want+" has it; 2 places like it") || !strings.Contains(in.Meaning, "stale process") {
				t.Errorf("seed %d: %s, quiet %v, %q", seed, in.Pattern, in.QuietPlaces, in.Evidence)
			}
		}
	}
}

// TestCachesRunOut: a secret that was removed shows when tokens run out, in
// steps of processes or in bursts an hour apart.
func TestCachesRunOut(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		steps, bursts := newStory(seed), newStory(seed)
		removed := steps.begin.Add(4 * time.Hour)
		for i := range 4 {
			pod := fmt.Sprintf("pod=billing-7f9c6d5b8d-%05d ", i)
			began := removed.Add(time.Duration(i*15+steps.rnd.IntN(10)) * time.Minute)
			for _, at := range steps.tries(began, steps.end, time.Minute, true) {
				steps.fail("all.log", pod, at)
			}
			for hour := range 6 {
				bursts.fail("all.log", "", removed.Add(time.Duration(hour)*65*time.Minute+time.Duration(i)*time.Second))
			}
		}
		for _, s := range []*story{steps, bursts} {
			r := s.scan(t)
			changes, err := ReadChanges("audit.json", strings.NewReader(auditOf(removed, "[0f1e2d3c-0000-4000-8000-0000000000c2]", "[]")), testNow)
			if err != nil {
				t.Fatal(err)
			}
			r.Explain(changes)
			in := oneIncident(t, r)
			if in.Pattern != Hourly || in.Likely[0] != "secret-deleted" || !strings.HasPrefix(in.Meaning, "tokens in caches") || len(in.Changes) != 1 {
				t.Errorf("seed %d: %s, likely %v, %q", seed, in.Pattern, in.Likely, in.Evidence)
			}
			if last := in.Evidence[len(in.Evidence)-1]; !strings.HasPrefix(last, "a secret of the app was removed") || !strings.Contains(in.Changes[0].What, "secret removed, key id 0f1e2d3c") {
				t.Errorf("seed %d: %q, %q", seed, last, in.Changes[0].What)
			}
		}
	}
}

// TestStretches: three quiet days part two incidents, in any order of reading,
// and what lies between joins them.
func TestStretches(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	read := func(days ...int) Result {
		s := New(Options{Now: testNow, Key: testKey})
		for _, d := range days {
			at := begin.Add(time.Duration(d) * day)
			readAny(t, s, fmt.Sprintf("day-%d.log", d), failuresAtDay(at, d))
		}
		return s.Result()
	}
	if r := read(0, 10); len(r.Incidents) != 2 || r.Incidents[0].Failures != 3 || !r.Incidents[0].First.Equal(begin) || !r.Incidents[1].First.Equal(begin.Add(10*day)) {
		t.Errorf("%+v", r.Incidents)
	}
	for _, days := range [][]int{{0, 2, 4, 6}, {0, 6, 2, 4}, {6, 0, 4, 2}} {
		in := oneIncident(t, read(days...))
		sum := uint32(0)
		for _, n := range in.Rate {
			sum += n
		}
		if in.Failures != 12 || !in.First.Equal(begin) || in.Last.Sub(begin) < 6*day || sum != 12 || len(in.Files) != 4 || len(in.Places) != 4 || len(in.Examples) != maxExamples {
			t.Errorf("%v: %+v", days, in)
		}
	}
}

func failuresAtDay(at time.Time, day int) string {
	var log strings.Builder
	for i := range 3 {
		fmt.Fprintf(&log, "%s ERROR AADSTS7000215: for app '%s'. Trace ID: %04d%04d-0000-4000-8000-000000000000\n", at.Add(time.Duration(i)*time.Minute).Format(time.RFC3339), storyApp, day, i)
	}
	return log.String()
}
