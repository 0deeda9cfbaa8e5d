package logscan

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/diagnose"
)

// The patterns that the failures of an incident make.
const (
	Steady         = "steady"          // failing without a break
	Intermittent   = "intermittent"    // with long breaks between
	OneEnvironment = "one-environment" // the logs of other environments have none
	OneReplica     = "one-replica"     // the logs beside it have none
	Hourly         = "hourly"          // in bursts about an hour apart
)

// Incident is the failures of one app with one class of cause.
type Incident struct {
	ID       string     `json:"id"`
	AppID    string     `json:"app_id"`
	Codes    []int      `json:"codes"`
	Class    string     `json:"class"`
	Pattern  string     `json:"pattern"`
	Failures int64      `json:"failures"`
	First    *time.Time `json:"first"` // null when no failure tells its time
	Last     *time.Time `json:"last"`
	Started  *time.Time `json:"started"`
	// StartedWithin is the error bar of Started, in seconds before it: the
	// usual time between two failures. -1: the logs begin in the incident.
	StartedWithin float64          `json:"started_within"`
	Rate          []uint32         `json:"rate"` // failures in equal parts of First to Last
	Files         map[string]int64 `json:"files"`
	Likely        []string         `json:"likely"`
	Evidence      []string         `json:"evidence"`
	Changes       []Change         `json:"changes"`
	Next          string           `json:"next"`
}

// LastSeen is the time of the last failure as text, or "unknown".
func (in Incident) LastSeen() string {
	if in.Last == nil {
		return "unknown"
	}
	return in.Last.Format(time.DateTime + "Z")
}

type incidentKey struct{ app, class string }

type incident struct {
	key         incidentKey
	codes       map[int]int64
	failures    int64
	first, last time.Time
	files       map[string]int64
	sample      aadsts.Failure
	width       int64 // seconds of a bucket
	buckets     map[int64]uint32
}

const (
	maxFiles   = 64
	maxBuckets = 256
	firstWidth = 60 // seconds
)

// class of a failure: what part of the sign-in it complains about.
func class(f aadsts.Failure) string {
	if entry, ok := aadsts.Lookup(f.Code); ok {
		return string(entry.Category)
	}
	if f.Code == 0 && f.OAuthError == "invalid_client" {
		return string(aadsts.SecretInvalid)
	}
	return string(aadsts.Other)
}

func (s *Scan) incident(app string, f aadsts.Failure) *incident {
	key := incidentKey{app, class(f)}
	in := s.incidents[key]
	if in == nil {
		if len(s.incidents) >= maxIncidents {
			key.app, s.overflow = "", true
			if in = s.incidents[key]; in != nil {
				return in
			}
		}
		in = &incident{key: key, codes: map[int]int64{}, files: map[string]int64{}, width: firstWidth, buckets: map[int64]uint32{},
			sample: aadsts.Failure{Code: f.Code, OAuthError: f.OAuthError}}
		s.incidents[key] = in
	}
	return in
}

func (in *incident) add(name string, at time.Time, code int) {
	in.failures++
	in.codes[code]++
	if _, ok := in.files[name]; !ok && len(in.files) >= maxFiles {
		name = "others"
	}
	in.files[name]++
	if at.IsZero() {
		return
	}
	if in.first.IsZero() || at.Before(in.first) {
		in.first = at
	}
	if at.After(in.last) {
		in.last = at
	}
	in.buckets[at.Unix()/in.width]++
	for len(in.buckets) > maxBuckets {
		in.width *= 2
		wider := map[int64]uint32{}
		for b, n := range in.buckets {
			wider[b/2] += n
		}
		in.buckets = wider
	}
}

// results are the incidents, the most failures first.
func (s *Scan) results() []Incident {
	list := []Incident{}
	for _, in := range s.incidents {
		list = append(list, s.result(in))
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		return a.Failures > b.Failures || a.Failures == b.Failures && (a.AppID < b.AppID || a.AppID == b.AppID && a.Class < b.Class)
	})
	for i := range list {
		list[i].ID = fmt.Sprintf("incident-%d", i+1)
	}
	return list
}

func (s *Scan) result(in *incident) Incident {
	r := Incident{AppID: in.key.app, Class: in.key.class, Failures: in.failures, Files: maps.Clone(in.files),
		Codes: slices.Sorted(maps.Keys(in.codes)), Rate: in.rate(), Evidence: []string{}, Changes: []Change{}, Likely: []string{},
		Next: "credsmith doctor, with the setting of this app, names the one cause and proves it"}
	if !in.first.IsZero() {
		first, last, started := in.first, in.last, in.first
		r.First, r.Last, r.Started = &first, &last, &started
		r.StartedWithin = s.startedWithin(in)
	}
	r.Pattern, r.Evidence = s.pattern(in)
	if r.StartedWithin < 0 {
		r.Evidence = append(r.Evidence, "the logs begin when it was failing already, so the start lies before them")
	}
	r.Likely = likely(in, r.Pattern)
	return r
}

func (s *Scan) startedWithin(in *incident) float64 {
	usual := in.last.Sub(in.first).Seconds() / max(float64(in.failures-1), 1)
	if s.begin.IsZero() || in.first.Sub(s.begin).Seconds() <= usual {
		return -1
	}
	return usual
}

// rate are the failures in equal parts of the time from first to last.
func (in *incident) rate() []uint32 {
	const parts = 40
	rate := make([]uint32, parts)
	if in.first.IsZero() {
		return []uint32{}
	}
	from := in.first.Unix() / in.width
	buckets := in.last.Unix()/in.width - from + 1
	for b, n := range in.buckets {
		rate[(b-from)*parts/buckets] += n
	}
	return rate
}

func (s *Scan) pattern(in *incident) (string, []string) {
	evidence := []string{}
	if env, others := s.environments(in); env != "" {
		return OneEnvironment, append(evidence, fmt.Sprintf("only the logs of %s have it; those of %s do not", env, strings.Join(others, ", ")))
	}
	if file, silent := s.replicas(in); file != "" {
		return OneReplica, append(evidence, fmt.Sprintf("only %s has it; %d logs beside it do not", file, silent))
	}
	if bursts, apart := in.bursts(); bursts >= 3 && apart >= 50*time.Minute && apart <= 90*time.Minute {
		return Hourly, append(evidence, fmt.Sprintf("%d bursts about %d minutes apart: tokens in a cache run out one after the other", bursts, int(apart.Minutes())))
	}
	if quiet := in.longestQuiet(); in.failures > 1 && quiet > 0.34 {
		return Intermittent, append(evidence, fmt.Sprintf("it comes and goes: the longest quiet stretch is %.0f %% of the whole", 100*quiet))
	}
	if !in.last.IsZero() && s.end.Sub(in.last) > in.last.Sub(in.first) && s.end.Sub(in.last) > time.Hour {
		evidence = append(evidence, fmt.Sprintf("none in the %s after the last", s.end.Sub(in.last).Round(time.Minute)))
	}
	return Steady, evidence
}

// environments returns the one environment that has the incident, and the
// others that were read; "" when more than one has it, or none is known.
func (s *Scan) environments(in *incident) (string, []string) {
	all := map[string]bool{}
	for _, name := range s.sources {
		if env := environment(name); env != "" {
			all[env] = true
		}
	}
	failing := map[string]bool{}
	for name := range in.files {
		failing[environment(name)] = true
	}
	if len(failing) != 1 || len(all) < 2 || failing[""] {
		return "", nil
	}
	env := slices.Collect(maps.Keys(failing))[0]
	delete(all, env)
	return env, slices.Sorted(maps.Keys(all))
}

var environmentNames = []string{"production", "prod", "prd", "staging", "stage", "stg", "preprod", "uat", "qa", "test", "development", "dev", "sandbox"}

// environment is the environment that a path names in a part of its own.
func environment(name string) string {
	for part := range strings.FieldsFuncSeq(strings.ToLower(name), func(r rune) bool { return !('a' <= r && r <= 'z') }) {
		if slices.Contains(environmentNames, part) {
			return part
		}
	}
	return ""
}

// replicas returns the one log of a directory that has the incident.
func (s *Scan) replicas(in *incident) (string, int) {
	if len(in.files) != 1 || in.failures < 3 {
		return "", 0
	}
	file := slices.Collect(maps.Keys(in.files))[0]
	silent := 0
	for _, name := range s.sources {
		if name != file && path.Dir(name) == path.Dir(file) && family(name) == family(file) {
			silent++
		}
	}
	if silent == 0 {
		return "", 0
	}
	return file, silent
}

// family is a file name without the part that tells replicas apart.
func family(name string) string {
	base, _, _ := strings.Cut(path.Base(name), ".")
	if i := strings.LastIndexAny(base, "-_"); i > 0 {
		base = base[:i]
	}
	return base
}

// bursts counts stretches of failures with 20 quiet minutes before them, and
// returns the median time between their starts.
func (in *incident) bursts() (int, time.Duration) {
	const quiet = 20 * 60
	if in.width > quiet {
		return 0, 0 // seen from too far away
	}
	var starts, apart []int64
	lastSeen := int64(-1)
	for _, b := range slices.Sorted(maps.Keys(in.buckets)) {
		at := b * in.width
		if lastSeen < 0 || at-lastSeen > quiet {
			starts = append(starts, at)
		}
		lastSeen = at
	}
	for i := 1; i < len(starts); i++ {
		apart = append(apart, starts[i]-starts[i-1])
	}
	if len(apart) == 0 {
		return len(starts), 0
	}
	slices.Sort(apart)
	return len(starts), time.Duration(apart[len(apart)/2]) * time.Second
}

// longestQuiet is the longest time without failures, as a part of the whole.
func (in *incident) longestQuiet() float64 {
	whole := in.last.Unix()/in.width - in.first.Unix()/in.width
	if whole < 3 {
		return 0
	}
	var longest, lastSeen int64
	for i, b := range slices.Sorted(maps.Keys(in.buckets)) {
		if i > 0 {
			longest = max(longest, b-lastSeen-1)
		}
		lastSeen = b
	}
	return float64(longest) / float64(whole)
}

// likely puts the cause that the pattern speaks for before the others that
// the code may have.
func likely(in *incident, pattern string) []string {
	causes := []string{}
	if in.key.class == string(aadsts.SecretInvalid) {
		first := map[string][]string{
			Steady: {"secret-deleted", "secret-superseded"}, Intermittent: {"secret-propagating", "stale-consumer"},
			OneEnvironment: {"environment-drift"}, OneReplica: {"stale-consumer"}, Hourly: {"secret-deleted"},
		}
		causes = first[pattern]
	}
	if in.key.class == string(aadsts.SecretExpired) {
		causes = append(causes, "secret-expired")
	}
	const most = 5
	for _, info := range diagnose.CausesOf(in.sample) {
		if len(causes) < most && !slices.Contains(causes, string(info.Cause)) {
			causes = append(causes, string(info.Cause))
		}
	}
	return causes
}
