package logscan

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/credsmith/credsmith/aadsts"
)

// The patterns that the failures of an incident make.
const (
	Steady         = "steady"          // failing without a break
	Intermittent   = "intermittent"    // with long breaks, or with good sign-ins between
	OneEnvironment = "one-environment" // the logs of other environments have none
	OneReplica     = "one-replica"     // the logs beside it have none
	Hourly         = "hourly"          // in bursts or steps over an hour
)

// meanings say what a pattern speaks for, when the secret is what fails.
var meanings = map[string]string{
	Steady:         "the secret was deleted, replaced or expired, or a wrong one was deployed, at the start",
	Intermittent:   "some senders hold an old secret and others the new one, or a fresh secret has not reached every server (propagation)",
	OneEnvironment: "drift: this environment holds another secret than those that work",
	OneReplica:     "a stale process: it still holds a secret that the others have replaced; restart it",
	Hourly:         "tokens in caches run out one after the other: the secret was removed up to 90 minutes before the first failure",
}

// pattern sets the pattern, its meaning and the evidence for it. The buckets
// are those from the start on.
func (s *Scan) pattern(in *incident, r *Incident, buckets []int64) {
	r.Pattern = Steady
	if r.Evidence == nil {
		r.Evidence = []string{}
	}
	says := func(pattern, format string, args ...any) {
		r.Pattern = pattern
		r.Evidence = append(r.Evidence, fmt.Sprintf(format, args...))
	}
	env := r.Environments
	bursts, apart := in.bursts(buckets)
	stale, others := s.oneReplica(in, r)
	switch {
	case len(env.Failing) == 1 && len(env.Quiet) > 0 && s.allIn(in, env.Failing[0]):
		says(OneEnvironment, "only the logs of %s have it; those of %s do not", env.Failing[0], strings.Join(env.Quiet, ", "))
	case stale != "":
		says(OneReplica, "only %s has it; %s like it have none", stale, counted(others, "place", "places"))
	case bursts >= 3 && apart >= 50*time.Minute && apart <= 90*time.Minute:
		says(Hourly, "%d bursts about %d minutes apart: tokens in a cache run out one after the other", bursts, int(apart.Minutes()))
	case in.steps() >= 3:
		says(Hourly, "%d places began one after the other within 90 minutes and go on failing: their tokens ran out in turn", in.steps())
	case r.Succeeded != nil && r.Succeeded.During > 0 && float64(r.Succeeded.During) >= 0.05*float64(in.failures):
		says(Intermittent, "%s of the app succeeded between the first and the last failure", counted(int(r.Succeeded.During), "sign-in", "sign-ins"))
	case in.failures > 1 && in.longestQuiet(buckets) > 0.34:
		says(Intermittent, "it comes and goes: the longest quiet stretch is %.0f %% of the whole", 100*in.longestQuiet(buckets))
	}
	r.Meaning = meaningOf(in.key.class, r.Pattern)
}

func meaningOf(class, pattern string) string {
	switch {
	case class == string(aadsts.SecretExpired) && (pattern == Steady || pattern == Hourly):
		return "the secret expired at the start"
	case class == string(aadsts.SecretExpired), class == string(aadsts.SecretInvalid):
		return meanings[pattern]
	case pattern == OneEnvironment:
		return "drift: this environment is configured otherwise than those that work"
	case pattern == OneReplica:
		return "a process with an old setting: restart it"
	case pattern == Intermittent:
		return "it comes and goes: some senders are set up otherwise than others, or the service refuses at times"
	}
	return "a change at the start: of the app, of its setting, or of a policy"
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// environments are those that have the incident, and the others that the logs
// name.
func (s *Scan) environments(in *incident) Split {
	failing, all := map[string]struct{}{}, map[string]struct{}{}
	for where := range in.places {
		failing[where.environment] = struct{}{}
	}
	for _, known := range s.known {
		all[known.environment] = struct{}{}
	}
	maps.DeleteFunc(all, func(env string, _ struct{}) bool { _, fails := failing[env]; return fails || env == "" })
	delete(failing, "")
	return Split{sorted(failing), sorted(all)}
}

// allIn reports whether every failure tells that environment.
func (s *Scan) allIn(in *incident, env string) bool {
	for where := range in.places {
		if where.environment != env {
			return false
		}
	}
	return true
}

// named is a place that the logs or their names tell of.
type named struct{ name, family, environment string }

// everywhere lists those places once.
func (s *Scan) everywhere() []named {
	all := map[named]struct{}{}
	note := func(where place) { all[named{where.name(), where.family(), where.environment}] = struct{}{} }
	for where := range s.sightings {
		note(where)
	}
	for _, name := range s.sources {
		note(placeOfFile(name))
	}
	return slices.Collect(maps.Keys(all))
}

// quietPlaces are the pods, hosts or logs that are like the failing ones and
// have no failure: by the lines near failures, by good sign-ins, by file name.
func (s *Scan) quietPlaces(in *incident) []string {
	failing, families, quiet := map[string]struct{}{}, map[string]struct{}{}, map[string]struct{}{}
	for where := range in.places {
		failing[where.name()] = struct{}{}
		families[where.family()] = struct{}{}
	}
	delete(families, "")
	for _, known := range s.known {
		_, fails := failing[known.name]
		_, alike := families[known.family]
		if known.name != "" && !fails && alike {
			quiet[known.name] = struct{}{}
		}
	}
	if ok := s.successes[in.key.app]; ok != nil {
		for where := range ok.places {
			if _, fails := failing[where.name()]; !fails && where.name() != "" {
				quiet[where.name()] = struct{}{}
			}
		}
	}
	if len(in.files) == 1 && len(quiet) == 0 {
		s.quietFiles(in, quiet)
	}
	list := sorted(quiet)
	return list[:min(len(list), maxFiles)]
}

// quietFiles adds the logs beside the only failing one that have its kind of
// name.
func (s *Scan) quietFiles(in *incident, quiet map[string]struct{}) {
	file := slices.Collect(maps.Keys(in.files))[0]
	for _, name := range s.sources {
		if name != file && path.Dir(name) == path.Dir(file) && family(name) == family(file) {
			quiet[name] = struct{}{}
		}
	}
}

// oneReplica returns the one place that fails while others like it do not.
func (s *Scan) oneReplica(in *incident, r *Incident) (string, int) {
	const least = 3 // failures: fewer are chance
	if in.failures < least || len(r.QuietPlaces) == 0 {
		return "", 0
	}
	names := map[string]struct{}{}
	for where, at := range in.places {
		if at.times > 0 {
			names[cmp.Or(where.name(), where.file)] = struct{}{}
		}
	}
	if len(names) != 1 {
		return "", 0
	}
	return sorted(names)[0], len(r.QuietPlaces)
}

// steps counts the places that began to fail one after the other, spread over
// 15 to 90 minutes, and that all go on to the end.
func (in *incident) steps() int {
	const shortest, longest = 15 * time.Minute, 90 * time.Minute
	byName := map[string]*seenAt{}
	for where, at := range in.places {
		if where.name() == "" || at.first.IsZero() {
			continue
		}
		if byName[where.name()] == nil {
			byName[where.name()] = &seenAt{first: at.first}
		}
		same := byName[where.name()]
		same.times += at.times
		if at.first.Before(same.first) {
			same.first = at.first
		}
		if at.last.After(same.last) {
			same.last = at.last
		}
	}
	var begins []time.Time
	for _, at := range byName {
		if at.times < 3 || in.last.Sub(at.last) > in.last.Sub(in.first)/4 {
			return 0
		}
		begins = append(begins, at.first)
	}
	if len(begins) < 3 {
		return 0
	}
	slices.SortFunc(begins, time.Time.Compare)
	spread := begins[len(begins)-1].Sub(begins[0])
	for i := 1; i < len(begins); i++ {
		if begins[i].Sub(begins[i-1]) < time.Minute {
			return 0 // together, and not one after the other
		}
	}
	if spread < shortest || spread > longest {
		return 0
	}
	return len(begins)
}

// started returns when the incident began, how long before that it may have,
// in seconds, and how many failures came before it. It is the first failure,
// unless the rate rises at least fivefold later and stays. The buckets are those
// from then on.
func (s *Scan) started(in *incident) (at time.Time, within float64, before int64, buckets []int64) {
	occupied := slices.Sorted(maps.Keys(in.buckets))
	k, before := in.changePoint(occupied)
	at = in.first
	if k > 0 {
		at = time.Unix(0, in.buckets[occupied[k]].first).UTC()
	}
	within = in.usual(occupied[k:], in.failures-before, at)
	if ok := s.successes[in.key.app]; ok != nil {
		for _, good := range ok.recent {
			if ago := float64(at.Unix() - good); ago >= 0 {
				within = min(within, ago)
			}
		}
	} else if s.begin.IsZero() || at.Sub(s.begin).Seconds() <= within && k == 0 {
		within = -1
	}
	return at, within, before, occupied[k:]
}

// changePoint is where two rates explain the failures best, as an index of
// occupied, and the number of failures before it; 0 when one rate will do.
func (in *incident) changePoint(occupied []int64) (k int, before int64) {
	const gain, times, part = 10, 5, 0.8
	whole := float64(occupied[len(occupied)-1] - occupied[0] + 1)
	total, left, best := float64(in.failures), 0.0, float64(gain)
	for i := 1; i < len(occupied); i++ {
		left += float64(in.buckets[occupied[i-1]].n)
		lasted := float64(occupied[i] - occupied[0])
		right, rest := total-left, whole-lasted
		if right < part*total || right/rest < times*left/lasted {
			continue
		}
		if likelier := left*math.Log(left/lasted) + right*math.Log(right/rest) - total*math.Log(total/whole); likelier > best {
			best, k, before = likelier, i, int64(left)
		}
	}
	return k, before
}

// usual is the time that 95 % of the waits for the next failure are shorter
// than, in seconds.
func (in *incident) usual(occupied []int64, failures int64, from time.Time) float64 {
	mean := in.last.Sub(from).Seconds() / max(float64(failures-1), 1)
	if len(occupied) < 2 {
		return 3 * mean
	}
	var apart []float64
	for i := 1; i < len(occupied); i++ {
		apart = append(apart, float64(in.buckets[occupied[i]].first-in.buckets[occupied[i-1]].first)/1e9)
	}
	slices.Sort(apart)
	most := apart[(len(apart)*95+99)/100-1]
	filled := float64(len(occupied)) / float64(occupied[len(occupied)-1]-occupied[0]+1)
	if filled > 0.9 { // many failures in each part: as if by chance
		return min(most, 3*mean)
	}
	return most
}

// bursts counts short stretches of failures with 20 quiet minutes before them,
// and returns the median time between their starts; 0 when they are long or
// far from even. The buckets are those from the start on.
func (in *incident) bursts(buckets []int64) (int, time.Duration) {
	const quiet, longest = 20 * 60, 20 * 60
	if in.width > quiet {
		return 0, 0 // seen from too far away
	}
	var starts, apart, lasted []int64
	for i, b := range buckets {
		at := b * in.width
		if i == 0 || at-buckets[i-1]*in.width > quiet {
			starts, lasted = append(starts, at), append(lasted, 0)
		}
		lasted[len(lasted)-1] = at - starts[len(starts)-1]
	}
	for i := 1; i < len(starts); i++ {
		apart = append(apart, starts[i]-starts[i-1])
	}
	if len(apart) == 0 || slices.Max(lasted) > longest {
		return 0, 0
	}
	slices.Sort(apart)
	median := apart[len(apart)/2]
	even := 0
	for _, a := range apart {
		if 4*a > 3*median && 4*a < 5*median {
			even++
		}
	}
	if 3*even < 2*len(apart) {
		return 0, 0
	}
	return len(starts), time.Duration(median) * time.Second
}

// longestQuiet is the longest time without failures, as a part of the whole.
func (in *incident) longestQuiet(buckets []int64) float64 {
	if len(buckets) == 0 {
		return 0
	}
	whole := buckets[len(buckets)-1] - buckets[0]
	if whole < 3 {
		return 0
	}
	var longest int64
	for i := 1; i < len(buckets); i++ {
		longest = max(longest, buckets[i]-buckets[i-1]-1)
	}
	return float64(longest) / float64(whole)
}

// hook says how to prove what the incident speaks for.
func (r *Incident) hook() {
	r.Next = "to prove the cause, run credsmith doctor with the setting that this app signs in with"
	tenant := "TENANT_ID"
	if len(r.Tenants) == 1 && guidOf(r.Tenants[0]) != "" {
		tenant = r.Tenants[0]
	}
	client := r.AppID
	if client == "" {
		client = "CLIENT_ID"
	}
	wait := ""
	if r.Pattern == Intermittent {
		wait = " --wait 5m" // watches a fresh secret
	}
	r.Run = []string{fmt.Sprintf("credsmith doctor --tenant %s --client-id %s --secret-file FILE --graph%s", tenant, client, wait)}
	if r.Pattern == OneEnvironment {
		r.Run = append(r.Run, "credsmith drift DIRECTORY_WITH_THE_SETTINGS_OF_ALL_ENVIRONMENTS")
	}
	for _, code := range r.Codes {
		if code > 0 {
			r.Run = append(r.Run, fmt.Sprintf("credsmith explain %d", code))
			break
		}
	}
}
