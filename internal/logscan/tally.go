package logscan

import (
	"hash/maphash"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/secret"
)

// Options say what is counted.
type Options struct {
	Since, Until time.Time // failures outside are left out; zero is no bound
	Apps         []string  // only these client ids, in lower case; nil is all
	Codes        []int     // only these codes; nil is all
	Key          secret.Key
	Now          time.Time // for dates without a year

	blockSize int // for tests
}

// Scan counts the failures of any number of logs. It is not safe for use by
// several goroutines.
type Scan struct {
	opts        Options
	now         time.Time
	seed        maphash.Seed
	blockSize   int
	seen        recent
	bytes       int64
	lines       int64
	failures    int64
	occurrences int64
	codes       map[int]*CodeCount
	apps        map[string]*appCount
	incidents   map[incidentKey][]*incident
	room        room
	successes   map[string]*successes
	sightings   map[place]struct{} // where lines near failures come from
	looked      int                // groups that were looked at for them
	skewed      map[time.Duration]int64
	secrets     map[string]*Secret
	more        int64 // secrets that are not listed
	sources     []string
	begin, end  time.Time // of all logs
	known       []named   // places, while incidents are described
	overflow    bool
}

// What is kept in memory is bounded; the rest is counted under one heading.
const (
	maxCodes     = 2_000
	maxApps      = 10_000
	maxIncidents = 2_000
	maxSecrets   = 1_000
)

// CodeCount counts one code.
type CodeCount struct {
	Code        int   `json:"code"` // 0: the text lost it
	Failures    int64 `json:"failures"`
	Occurrences int64 `json:"occurrences"`
}

// AppCount counts one app.
type AppCount struct {
	AppID    string           `json:"app_id"` // "" when the text does not name it
	Failures int64            `json:"failures"`
	Codes    map[string]int64 `json:"codes"`
}

type appCount struct {
	failures int64
	codes    map[int]int64
}

// Secret is a client secret that a log prints. It holds no part of it.
type Secret struct {
	File        string `json:"file"`
	Offset      int64  `json:"offset"` // of its first byte, in the decompressed text
	Length      int    `json:"length"`
	Fingerprint string `json:"fingerprint"`
	Times       int64  `json:"times"` // in all logs; the position is that of the first
	Kind        string `json:"kind"`
}

// What a secret is known by.
const (
	SecretValue     = "value"     // its form is the one that Entra gives
	SecretParameter = "parameter" // it is the client_secret of a form body or of JSON
)

// New returns a scan that has read nothing.
func New(opts Options) *Scan {
	s := &Scan{opts: opts, now: opts.Now, seed: maphash.MakeSeed(), blockSize: opts.blockSize,
		codes: map[int]*CodeCount{}, apps: map[string]*appCount{}, incidents: map[incidentKey][]*incident{},
		successes: map[string]*successes{}, sightings: map[place]struct{}{}, skewed: map[time.Duration]int64{}, secrets: map[string]*Secret{}}
	if s.blockSize == 0 {
		s.blockSize = blockSize
	}
	return s
}

// Source names a log that is read, so that the result can say which logs have
// no failures.
func (s *Scan) Source(name string) { s.sources = append(s.sources, name) }

// Failures returns how many were counted so far.
func (s *Scan) Failures() int64 { return s.failures }

func (s *Scan) code(code int) *CodeCount {
	c := s.codes[code]
	if c == nil {
		if len(s.codes) >= maxCodes {
			code, s.overflow = -1, true
			if c = s.codes[code]; c != nil {
				return c
			}
		}
		c = &CodeCount{Code: code}
		s.codes[code] = c
	}
	return c
}

func (s *Scan) wants(f aadsts.Failure, at time.Time) bool {
	switch {
	case s.opts.Codes != nil && !slices.Contains(s.opts.Codes, f.Code),
		s.opts.Apps != nil && !slices.Contains(s.opts.Apps, f.AppID),
		!s.opts.Since.IsZero() && at.Before(s.opts.Since),
		!s.opts.Until.IsZero() && !at.Before(s.opts.Until):
		return false
	}
	return true
}

// event is one failure with what its record tells of it.
type event struct {
	at      time.Time
	place   place
	offset  int64 // in the log, where it is text
	name    string
	failure aadsts.Failure
	text    []byte // that may tell what signed in
}

func (s *Scan) count(e event) {
	f := e.failure
	s.failures++
	s.code(f.Code).Failures++
	app := f.AppID
	if _, ok := s.apps[app]; !ok {
		if len(s.apps) >= maxApps {
			app, s.overflow = "", true
		}
		if s.apps[app] == nil {
			s.apps[app] = &appCount{codes: map[int]int64{}}
		}
	}
	s.apps[app].failures++
	s.apps[app].codes[f.Code]++
	s.incident(app, f, e.at).add(e)
}

func (s *Scan) secret(name string, offset int64, kind string, value []byte) {
	fingerprint := s.opts.Key.Fingerprint(secret.New(string(value)))
	found := s.secrets[fingerprint]
	switch {
	case found != nil:
		found.Times++
	case len(s.secrets) >= maxSecrets:
		s.more++
	default:
		s.secrets[fingerprint] = &Secret{name, offset, len(value), fingerprint, 1, kind}
	}
}

// span notes that the logs reach to the times of the first and last line of p.
func (s *Scan) span(p []byte) {
	p = p[:min(len(p), before)]
	for len(p) > 0 {
		line, rest := cutLine(p)
		p = rest
		at, ok := timeIn(line, s.now)
		if !ok {
			continue
		}
		s.reaches(at)
	}
}

func cutLine(p []byte) (line, rest []byte) {
	for i, c := range p {
		if c == '\n' {
			return p[:i], p[i+1:]
		}
	}
	return p, nil
}

// Result is what the logs tell. Its JSON shape is a contract.
type Result struct {
	Bytes       int64       `json:"bytes"` // after decompression
	Lines       int64       `json:"lines"`
	Failures    int64       `json:"failures"`
	Occurrences int64       `json:"occurrences"` // of AADSTS<digits>, filters or not
	Codes       []CodeCount `json:"codes"`
	Apps        []AppCount  `json:"apps"`
	Incidents   []Incident  `json:"incidents"`
	Secrets     []Secret    `json:"secrets"`
	Errors      []Error     `json:"errors"`
	// Notes say what was assumed.
	Notes []string `json:"notes"`
	// Overflow says that there were more codes, apps or incidents than are
	// told apart: the rest is counted under code -1 or app "".
	Overflow bool `json:"overflow,omitempty"`
	// MoreSecrets counts those that found no place in Secrets.
	MoreSecrets int64 `json:"more_secrets,omitempty"`
}

// Error is a log that could not be read to its end.
type Error struct {
	File  string `json:"file"`
	Error string `json:"error"`
}

// Result returns what was found so far.
func (s *Scan) Result() Result {
	r := Result{Bytes: s.bytes, Lines: s.lines, Failures: s.failures, Occurrences: s.occurrences, Overflow: s.overflow, MoreSecrets: s.more,
		Codes: []CodeCount{}, Apps: []AppCount{}, Incidents: []Incident{}, Secrets: []Secret{}, Errors: []Error{}, Notes: s.notes()}
	for _, c := range s.codes {
		r.Codes = append(r.Codes, *c)
	}
	sort.Slice(r.Codes, func(i, j int) bool {
		a, b := r.Codes[i], r.Codes[j]
		return a.Failures > b.Failures || a.Failures == b.Failures && a.Code < b.Code
	})
	for id, a := range s.apps {
		app := AppCount{id, a.failures, map[string]int64{}}
		for code, n := range a.codes {
			app.Codes[strconv.Itoa(code)] = n
		}
		r.Apps = append(r.Apps, app)
	}
	sort.Slice(r.Apps, func(i, j int) bool {
		a, b := r.Apps[i], r.Apps[j]
		return a.Failures > b.Failures || a.Failures == b.Failures && a.AppID < b.AppID
	})
	for _, v := range s.secrets {
		r.Secrets = append(r.Secrets, *v)
	}
	sort.Slice(r.Secrets, func(i, j int) bool {
		a, b := r.Secrets[i], r.Secrets[j]
		return a.File < b.File || a.File == b.File && a.Offset < b.Offset
	})
	r.Incidents = s.results()
	return r
}
