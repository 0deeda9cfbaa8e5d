package logscan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/consumer"
	"github.com/credsmith/credsmith/internal/diagnose"
)

// Incident is the failures of one app with one class of cause in one stretch
// of time: three days without one end it.
type Incident struct {
	ID       string     `json:"id"`
	AppID    string     `json:"app_id"`
	Name     string     `json:"name,omitempty"` // of the service principal
	Tenants  []string   `json:"tenants"`
	Codes    []int      `json:"codes"`
	Class    string     `json:"class"`
	Pattern  string     `json:"pattern"`
	Meaning  string     `json:"meaning"` // what the pattern speaks for
	Failures int64      `json:"failures"`
	First    *time.Time `json:"first"` // null when no failure tells its time
	Last     *time.Time `json:"last"`
	Ongoing  bool       `json:"ongoing"` // it fails to the end of the logs
	Started  *time.Time `json:"started"`
	// StartedWithin is the error bar of Started, in seconds before it: 95 % of
	// the times between two tries are shorter. -1: the logs begin in the
	// incident.
	StartedWithin float64          `json:"started_within"`
	Rate          []uint32         `json:"rate"` // failures in equal parts of First to Last
	Files         map[string]int64 `json:"files"`
	Environments  Split            `json:"environments"`
	Places        []Place          `json:"places"`       // the most failures first
	QuietPlaces   []string         `json:"quiet_places"` // like those, and without a failure
	Clients       []Client         `json:"clients"`
	Succeeded     *Succeeded       `json:"succeeded"` // sign-ins of the app that were let in; null when the logs tell of none
	Examples      []Example        `json:"examples"`
	Likely        []string         `json:"likely"`
	Evidence      []string         `json:"evidence"`
	Changes       []Change         `json:"changes"`
	Next          string           `json:"next"`
	Run           []string         `json:"run"` // commands that prove it
}

// Split says which fail and which do not.
type Split struct {
	Failing []string `json:"failing"`
	Quiet   []string `json:"quiet"`
}

// Place is where failures come from, as far as the logs say.
type Place struct {
	File        string     `json:"file"`
	Environment string     `json:"environment,omitempty"`
	Host        string     `json:"host,omitempty"`
	Workload    string     `json:"workload,omitempty"` // namespace, unit, role or program
	Pod         string     `json:"pod,omitempty"`
	Container   string     `json:"container,omitempty"`
	Failures    int64      `json:"failures"` // 0: those of another place, printed again
	First       *time.Time `json:"first"`
	Last        *time.Time `json:"last"`
}

// Client is a library or product that signs in, told from the text of some of
// the failures.
type Client struct {
	ID   string `json:"id"` // as `credsmith explain` has it
	Name string `json:"name"`
	Seen int    `json:"seen"` // in so many of the failures that were looked at
}

// Succeeded are the sign-ins of an app that an export tells of.
type Succeeded struct {
	Times  int64     `json:"times"`
	During int64     `json:"during"` // between the first and last failure, of those kept
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	KeyIDs []string  `json:"key_ids"`
}

// Example is one failure in full.
type Example struct {
	At            *time.Time `json:"at"`
	Code          int        `json:"code"`
	OAuthError    string     `json:"oauth_error,omitempty"`
	TenantID      string     `json:"tenant_id,omitempty"`
	TraceID       string     `json:"trace_id,omitempty"`
	CorrelationID string     `json:"correlation_id,omitempty"`
	File          string     `json:"file"`
	Offset        int64      `json:"offset"` // in the decompressed text; 0 for exports
	Place         string     `json:"place,omitempty"`
	Client        string     `json:"client,omitempty"`
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
	name        string
	codes       map[int]int64
	tenants     map[string]struct{}
	failures    int64
	first, last time.Time
	files       map[string]int64
	places      map[place]*seenAt
	clients     map[string]*Client
	looked      int // failures that clients were looked for in
	examples    []Example
	sample      aadsts.Failure
	width       int64 // seconds of a bucket
	buckets     map[int64]bucket
	room        *room
}

// room is what all incidents together may hold beyond their counts.
type room struct {
	incidents int
	places    int // taken
	looks     int // for clients
}

const (
	manyIncidents = 200
	maxPlaces     = 5_000
	maxLooks      = 4_000
)

// buckets is how many an incident may have: fewer where there are many.
func (r *room) buckets() int {
	if r.incidents > manyIncidents {
		return maxBuckets / 8
	}
	return maxBuckets
}

type seenAt struct {
	times       int64
	first, last time.Time
}

// bucket counts the failures of a stretch of time.
type bucket struct {
	n     uint32
	first int64 // Unix nanoseconds
}

const (
	maxFiles    = 64
	maxBuckets  = 256
	firstWidth  = 60 // seconds
	maxExamples = 5
	maxTenants  = 16
	stretchGap  = 72 * time.Hour // without a failure: what follows is another incident
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

// incident returns the incident that a failure at a time is of.
func (s *Scan) incident(app string, f aadsts.Failure, at time.Time) *incident {
	key := incidentKey{app, class(f)}
	var home *incident
	for _, in := range slices.Clone(s.incidents[key]) {
		if !in.reaches(at) {
			continue
		}
		if home == nil {
			home = in
			continue
		}
		home.take(in) // the failure lies between the two
		s.incidents[key] = slices.DeleteFunc(s.incidents[key], func(other *incident) bool { return other == in })
		s.room.incidents--
	}
	if home != nil {
		return home
	}
	if s.room.incidents >= maxIncidents {
		s.overflow = true
		if list := s.incidents[key]; len(list) > 0 {
			return list[len(list)-1]
		}
		key.app = ""
		if list := s.incidents[key]; len(list) > 0 {
			return list[len(list)-1]
		}
	}
	in := newIncident(key, &s.room)
	in.sample = aadsts.Failure{Code: f.Code, OAuthError: f.OAuthError}
	s.incidents[key] = append(s.incidents[key], in)
	s.room.incidents++
	return in
}

func newIncident(key incidentKey, shared *room) *incident {
	return &incident{key: key, codes: map[int]int64{}, tenants: map[string]struct{}{}, files: map[string]int64{}, places: map[place]*seenAt{},
		clients: map[string]*Client{}, width: firstWidth, buckets: map[int64]bucket{}, room: shared}
}

// reaches reports whether a failure at a time belongs to the incident.
func (in *incident) reaches(at time.Time) bool {
	return at.IsZero() || in.first.IsZero() || !at.Before(in.first.Add(-stretchGap)) && !at.After(in.last.Add(stretchGap))
}

func (in *incident) add(e event) {
	f := e.failure
	in.failures++
	in.codes[f.Code]++
	if e.name != "" {
		in.name = masked(e.name)
	}
	if f.Tenant != "" && len(in.tenants) < maxTenants {
		in.tenants[masked(f.Tenant)] = struct{}{}
	}
	name := e.place.file
	if _, ok := in.files[name]; !ok && len(in.files) >= maxFiles {
		name = "others"
	}
	in.files[name]++
	client := in.client(e)
	in.seen(e.place, 1, e.at, e.at)
	in.example(e, client)
	if e.at.IsZero() {
		return
	}
	if in.first.IsZero() || e.at.Before(in.first) {
		in.first = e.at
	}
	if e.at.After(in.last) {
		in.last = e.at
	}
	in.bucket(e.at.Unix()/in.width, bucket{1, e.at.UnixNano()})
}

func (in *incident) bucket(at int64, add bucket) {
	b, known := in.buckets[at]
	if !known || add.first < b.first {
		b.first = add.first
	}
	b.n += add.n
	in.buckets[at] = b
	for len(in.buckets) > in.room.buckets() {
		in.widen()
	}
}

func (in *incident) widen() {
	in.width *= 2
	narrow := in.buckets
	in.buckets = map[int64]bucket{}
	for at, b := range narrow {
		in.bucket(at>>1, b)
	}
}

func (in *incident) seen(where place, times int64, first, last time.Time) {
	at := in.places[where]
	if at == nil {
		if len(in.places) >= maxFiles || in.room.places >= maxPlaces {
			where = place{file: "others"}
		}
		if at = in.places[where]; at == nil {
			at = &seenAt{}
			in.room.places++
			in.places[where] = at
		}
	}
	at.times += times
	if at.first.IsZero() || !first.IsZero() && first.Before(at.first) {
		at.first = first
	}
	if last.After(at.last) {
		at.last = last
	}
}

// client tells what signed in from the text of the first failures, and of the
// first of each place: the rest is the same text again.
func (in *incident) client(e event) string {
	const most, mostText = 16, 4 << 10
	_, known := in.places[e.place]
	if len(e.text) == 0 || in.looked >= most && known || in.looked >= most+maxFiles || in.room.looks >= maxLooks {
		return ""
	}
	in.looked++
	in.room.looks++
	matches := consumer.Recognize(string(e.text[:min(len(e.text), mostText)]))
	if len(matches) == 0 {
		return ""
	}
	id := matches[0].ID
	if in.clients[id] == nil {
		in.clients[id] = &Client{ID: id, Name: matches[0].Name}
	}
	in.clients[id].Seen++
	return id
}

// repeated notes that a failure that was counted is printed in another place,
// which is no quiet one then.
func (s *Scan) repeated(where place, f aadsts.Failure, at time.Time) {
	for _, in := range s.incidents[incidentKey{f.AppID, class(f)}] {
		if in.reaches(at) && in.places[where] == nil {
			in.seen(where, 0, at, at)
		}
	}
}

// example keeps the first failures that were read.
func (in *incident) example(e event, client string) {
	if len(in.examples) >= maxExamples || len(in.examples) > 0 && in.room.incidents > manyIncidents {
		return
	}
	f := e.failure
	x := Example{Code: f.Code, OAuthError: f.OAuthError, TenantID: masked(f.Tenant), TraceID: f.TraceID, CorrelationID: f.CorrelationID,
		File: e.place.file, Offset: e.offset, Place: e.place.name(), Client: client}
	if !e.at.IsZero() {
		x.At = &e.at
	}
	in.examples = append(in.examples, x)
}

// take adds what another stretch of the same failures has.
func (in *incident) take(other *incident) {
	in.failures += other.failures
	in.name = cmp.Or(in.name, other.name)
	for code, n := range other.codes {
		in.codes[code] += n
	}
	for tenant := range other.tenants {
		in.tenants[tenant] = struct{}{}
	}
	for name, n := range other.files {
		in.files[name] += n
	}
	for where, at := range other.places {
		in.seen(where, at.times, at.first, at.last)
	}
	for id, c := range other.clients {
		if in.clients[id] == nil {
			in.clients[id] = &Client{ID: c.ID, Name: c.Name}
		}
		in.clients[id].Seen += c.Seen
	}
	in.examples = append(in.examples, other.examples...)
	in.examples = in.examples[:min(len(in.examples), maxExamples)]
	if in.first.IsZero() || !other.first.IsZero() && other.first.Before(in.first) {
		in.first = other.first
	}
	if other.last.After(in.last) {
		in.last = other.last
	}
	for in.width < other.width {
		in.widen()
	}
	for at, b := range other.buckets {
		in.bucket(at*other.width/in.width, b)
	}
}

// results are the incidents, the most failures first.
func (s *Scan) results() []Incident {
	list := []Incident{}
	s.known = s.everywhere()
	for _, stretches := range s.incidents {
		for _, in := range stretches {
			list = append(list, s.result(in))
		}
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		switch {
		case a.Failures != b.Failures:
			return a.Failures > b.Failures
		case a.AppID != b.AppID:
			return a.AppID < b.AppID
		case a.Class != b.Class:
			return a.Class < b.Class
		}
		return a.First != nil && b.First != nil && a.First.Before(*b.First)
	})
	for i := range list {
		list[i].ID = fmt.Sprintf("incident-%d", i+1)
	}
	return list
}

func (s *Scan) result(in *incident) Incident {
	r := Incident{AppID: in.key.app, Name: in.name, Class: in.key.class, Failures: in.failures, Files: maps.Clone(in.files),
		Tenants: sorted(in.tenants), Codes: slices.Sorted(maps.Keys(in.codes)), Rate: in.rate(), Examples: slices.Clone(in.examples),
		Places: in.placeList(), QuietPlaces: s.quietPlaces(in), Environments: s.environments(in), Clients: in.clientList(),
		Succeeded: s.succeeded(in), Changes: []Change{}, Likely: []string{}}
	var buckets []int64
	if !in.first.IsZero() {
		var started time.Time
		var within float64
		var before int64
		started, within, before, buckets = s.started(in)
		r.First, r.Last, r.Started, r.StartedWithin = new(in.first), new(in.last), &started, within
		r.Ongoing = s.end.Sub(in.last) <= max(time.Hour, 3*time.Duration(max(within, 0)*float64(time.Second)))
		if before > 0 {
			r.Evidence = append(r.Evidence, fmt.Sprintf("%s came before %s, far apart: from then on it fails much more often", counted(int(before), "failure", "failures"), started.Format(time.DateTime+"Z")))
		}
	}
	s.pattern(in, &r, buckets)
	if r.StartedWithin < 0 {
		r.Evidence = append(r.Evidence, "the logs begin when it was failing already, so the start lies before them")
	}
	if r.First != nil && !r.Ongoing {
		r.Evidence = append(r.Evidence, fmt.Sprintf("none in the %s from the last to the end of the logs", rounded(s.end.Sub(in.last))))
	}
	r.Likely = likely(in, r.Pattern)
	r.hook()
	if s.room.incidents > manyIncidents {
		const few = 4
		r.Places, r.QuietPlaces = r.Places[:min(len(r.Places), few)], r.QuietPlaces[:min(len(r.QuietPlaces), few)]
	}
	return r
}

func sorted(set map[string]struct{}) []string {
	list := slices.Sorted(maps.Keys(set))
	if list == nil {
		list = []string{}
	}
	return list
}

func rounded(d time.Duration) time.Duration {
	if d > time.Hour {
		return d.Round(time.Minute)
	}
	return d.Round(time.Second)
}

func (in *incident) placeList() []Place {
	list := []Place{}
	for where, at := range in.places {
		p := Place{File: where.file, Environment: where.environment, Host: where.host, Workload: where.workload, Pod: where.pod, Container: where.container, Failures: at.times}
		if !at.first.IsZero() {
			p.First, p.Last = new(at.first), new(at.last)
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Place) int {
		return cmp.Or(cmp.Compare(b.Failures, a.Failures), cmp.Compare(a.File, b.File), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Container, b.Container),
			cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.Workload, b.Workload))
	})
	return list
}

func (in *incident) clientList() []Client {
	list := []Client{}
	for _, c := range in.clients {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b Client) int { return cmp.Or(b.Seen-a.Seen, cmp.Compare(a.ID, b.ID)) })
	return list
}

func (s *Scan) succeeded(in *incident) *Succeeded {
	ok := s.successes[in.key.app]
	if ok == nil {
		return nil
	}
	r := &Succeeded{Times: ok.times, First: ok.first, Last: ok.last, KeyIDs: []string{}}
	for _, at := range ok.recent {
		if at >= in.first.Unix() && at <= in.last.Unix() {
			r.During++
		}
	}
	r.KeyIDs = append(r.KeyIDs, slices.Sorted(maps.Keys(ok.keys))...)
	return r
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
	for at, b := range in.buckets {
		rate[(at-from)*parts/buckets] += b.n
	}
	return rate
}

// propagates bounds how long a fresh secret is refused by some servers:
// minutes as a rule.
const propagates = time.Hour

// likely puts the cause that the pattern speaks for before the others that
// the code may have.
func likely(in *incident, pattern string) []string {
	causes := []string{}
	if in.key.class == string(aadsts.SecretInvalid) {
		first := map[string][]string{
			Steady: {"secret-deleted", "secret-superseded"}, Intermittent: {"stale-consumer"},
			OneEnvironment: {"environment-drift"}, OneReplica: {"stale-consumer"}, Hourly: {"secret-deleted"},
		}
		causes = first[pattern]
		if pattern == Intermittent && in.last.Sub(in.first) < propagates {
			causes = []string{"secret-propagating", "stale-consumer"}
		}
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
