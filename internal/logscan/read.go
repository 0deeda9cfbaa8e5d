package logscan

import (
	"bytes"
	"hash/maphash"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/logscan/kernel"
)

// read parses one piece of a source. p starts at position base; events that
// start outside [from, to) belong to another piece.
func (s *Scan) read(src *source, p []byte, base int64, hits []kernel.Hit, from, to int64) {
	s.occurrencesIn(p, base, hits)
	s.secretsIn(src.name, p, base, hits)
	s.parameters(src.name, p, base, from, to)
	if src.recordsTell {
		return
	}
	s.sighted(src, p)
	var spans []span
	for f := range aadsts.Find(p) {
		spans = append(spans, span{f.Start, f.End})
		at := base + int64(f.Start)
		if at < from || at >= to || f.Code == 0 && !clientRefused(f.OAuthError) {
			continue
		}
		s.add(src, p, base, f)
	}
	for _, h := range hits {
		i := int(h.Pos - base)
		if i >= len(p) || h.Kind != kernel.BareCode && h.Kind != kernel.NoBody || inSpan(spans, i) {
			continue
		}
		if f, ok := lone(p, i, h.Kind, spans); ok {
			s.add(src, p, base, f)
		}
	}
}

// span is a stretch of text that an event was read from.
type span struct{ start, end int }

func inSpan(spans []span, i int) bool {
	for _, sp := range spans {
		if sp.start <= i && i < sp.end {
			return true
		}
	}
	return false
}

// clientRefused tells the OAuth errors that count without a code beside them:
// the others have many reasons that are none of the client's.
func clientRefused(oauthError string) bool {
	return oauthError == "invalid_client" || oauthError == "unauthorized_client"
}

func (s *Scan) occurrencesIn(p []byte, base int64, hits []kernel.Hit) {
	for _, h := range hits {
		i := int(h.Pos-base) + len("aadsts")
		if h.Kind != kernel.Code || i >= len(p) {
			continue
		}
		const most = 9 // digits: more are no code
		n := i
		for n < len(p) && n < i+most && isDigit(p[n]) {
			n++
		}
		code, err := strconv.Atoi(string(p[i:n]))
		if err != nil {
			continue
		}
		s.occurrences++
		s.code(code).Occurrences++
	}
}

// loneCode is a code behind a key that says so, as Entra's own exports have it.
var (
	loneCode = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)(?:code|resulttype|error|status)s?\\?["']?\s*[:=,]?\s*\\?["'\[(]?\s*$`)
	})
	tokenURL = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)login\.(microsoftonline|windows)|oauth2|token|access_token`)
	})
	appKey = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)(?:app_?id|client_?id)\\?["']?\s*[:=]\s*\\?["']?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})`)
	})
	correlationKey = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)correlation_?id\\?["']?\s*[:=]\s*\\?["']?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})`)
	})
)

// lone reads a failure that aadsts.Find does not know: a code without its
// prefix behind a key that says code, or a 401 of a token URL without a body.
func lone(p []byte, i int, kind kernel.Kind, spans []span) (aadsts.Failure, bool) {
	start, end := lineAround(p, i)
	for _, sp := range spans {
		if sp.start < end && sp.end > start {
			return aadsts.Failure{}, false // the line has told its failure
		}
	}
	line := p[start:end]
	f := aadsts.Failure{Start: i, End: i + 7}
	if kind == kernel.NoBody {
		if !bytes.Contains(line, []byte("401")) || !tokenURL().Match(line) {
			return f, false
		}
		f.OAuthError = "invalid_client"
	} else {
		if !loneCode().Match(p[max(start, i-32):i]) {
			return f, false
		}
		f.Code, _ = strconv.Atoi(string(p[i : i+7]))
		f.Codes = []int{f.Code}
	}
	f.AppID = nearest(appKey(), line, i-start)
	f.CorrelationID = nearest(correlationKey(), line, i-start)
	return f, true
}

// nearest returns the first match behind i, else the last before it.
func nearest(key *regexp.Regexp, line []byte, i int) string {
	if m := key.FindSubmatch(line[i:]); m != nil {
		return string(bytes.ToLower(m[1]))
	}
	if all := key.FindAllSubmatch(line[:i], -1); len(all) > 0 {
		return string(bytes.ToLower(all[len(all)-1][1]))
	}
	return ""
}

func lineAround(p []byte, i int) (start, end int) {
	start = bytes.LastIndexByte(p[:i], '\n') + 1
	end = len(p)
	if n := bytes.IndexByte(p[i:], '\n'); n >= 0 {
		end = i + n
	}
	return start, end
}

// record returns when the record with p[i] was written and where it starts: the
// line itself, or, for lines of a stack trace, the last line above with a time.
func (s *Scan) record(p []byte, i int) (at time.Time, start int) {
	const maxLines = 64
	lo, hi := lineAround(p, i)
	start = -1
	if !continues(p[lo:hi]) {
		start = lo
	}
	for range maxLines {
		if at, ok := timeIn(p[lo:hi], s.now); ok {
			return at, max(start, lo)
		}
		if lo == 0 {
			break
		}
		hi = lo - 1
		lo = bytes.LastIndexByte(p[:hi], '\n') + 1
	}
	return time.Time{}, start
}

// continues reports whether a line goes on with the record above it.
func continues(line []byte) bool {
	for _, start := range []string{" ", "\t", "Caused by", "--->", "Original exception", "Inner exception"} {
		if bytes.HasPrefix(line, []byte(start)) {
			return true
		}
	}
	return false
}

// add counts a failure, unless it was counted before.
func (s *Scan) add(src *source, p []byte, base int64, f aadsts.Failure) {
	written, start := s.record(p, f.Start)
	record := int64(-1)
	if start >= 0 {
		record = base + int64(start)
	}
	at := f.Timestamp
	if at.IsZero() {
		at = written
	}
	lo, hi := lineAround(p, f.Start)
	if start >= 0 {
		lo = start
	}
	where := src.place.in(block(p, lo, hi))
	if s.again(src.id, record, at, f) {
		s.repeated(where, f, at)
		return
	}
	if !s.wants(f, at) {
		return
	}
	s.skew(written, f.Timestamp)
	s.count(event{at: at, place: where, offset: base + int64(f.Start), failure: f, text: p[lo:min(f.End+maxContext, len(p))]})
}

// maxContext is how much behind a failure may tell what signed in.
const maxContext = 1 << 10

// again reports whether a failure was told before: with the same trace id, else
// the same correlation id and time, else by the same record of the same log.
func (s *Scan) again(log string, record int64, at time.Time, f aadsts.Failure) bool {
	seen := false
	code := strconv.Itoa(f.Code)
	if f.CorrelationID != "" {
		// Exports of one sign-in may lack the trace id: those are known by the
		// correlation id and second of one that had it, and the other way round.
		second := strconv.FormatInt(at.Unix(), 10)
		any := s.key("correlation", f.CorrelationID, code, second)
		traceless := s.key("traceless", f.CorrelationID, code, second)
		if f.TraceID == "" {
			seen = s.seen.add(any)
			s.seen.add(traceless)
		} else {
			s.seen.add(any)
			seen = s.seen.has(traceless)
		}
	}
	if f.TraceID != "" {
		seen = s.seen.add(s.key("trace", f.TraceID, code)) || seen
	}
	if record < 0 {
		return seen
	}
	where := strconv.FormatInt(record, 10)
	same := s.seen.add(s.key("record", log, where, code, f.AppID))
	any := s.seen.add(s.key("record", log, where))
	if f.TraceID == "" && f.CorrelationID == "" {
		return same || f.Code == 0 && any
	}
	return seen
}

func (s *Scan) key(parts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	for _, part := range parts {
		h.WriteString(part)
		h.WriteByte(0)
	}
	return h.Sum64()
}

// recent remembers keys: at least the last maxRecent, in bounded memory. forgot
// says that there were more.
type recent struct {
	young, old keySet
	forgot     bool
}

const maxRecent = 3 << 16 // fills the slots to three quarters

func (r *recent) has(key uint64) bool { return r.young.has(key) || r.old.has(key) }

// add reports whether the key is remembered, and remembers it.
func (r *recent) add(key uint64) bool {
	if r.young.has(key) {
		return true
	}
	known := r.old.has(key)
	if r.young.n >= maxRecent {
		r.forgot = r.forgot || r.old.n > 0
		r.old, r.young = r.young, r.old
		clear(r.young.slots)
		r.young.n = 0
	}
	r.young.add(key)
	return known
}

// keySet is a set of hashes, 8 bytes and a little each: a map takes twice that
// and has to be collected.
type keySet struct {
	slots []uint64 // 0 is free
	n     int
}

func (k *keySet) slot(key uint64) int {
	i := int(key) & (len(k.slots) - 1)
	for k.slots[i] != 0 && k.slots[i] != key {
		i = (i + 1) & (len(k.slots) - 1)
	}
	return i
}

func (k *keySet) has(key uint64) bool {
	return k.n > 0 && k.slots[k.slot(max(key, 1))] != 0
}

// add adds a key that is not there.
func (k *keySet) add(key uint64) {
	const few = 1 << 8
	if 4*k.n >= 3*len(k.slots) {
		narrow := k.slots
		k.slots = make([]uint64, max(few, 2*len(narrow)))
		for _, known := range narrow {
			if known != 0 {
				k.slots[k.slot(known)] = known
			}
		}
	}
	key = max(key, 1) // 0 is free
	k.slots[k.slot(key)] = key
	k.n++
}

// secretsIn reports values of the form that Entra gives: three characters, a
// digit, Q~, and 31 or 34 more.
func (s *Scan) secretsIn(name string, p []byte, base int64, hits []kernel.Hit) {
	const lead, least, most = 4, 34, 44
	for _, h := range hits {
		i := int(h.Pos - base)
		if h.Kind != kernel.Secret || i < lead || i >= len(p) {
			continue
		}
		value, ok := secretAt(p[i-lead:])
		if !ok || len(value) < least || len(value) > most {
			continue
		}
		s.secret(name, h.Pos-lead, SecretValue, value)
	}
}

// secretAt reads a run of the characters that secrets are made of; %7E is ~.
func secretAt(p []byte) ([]byte, bool) {
	const most = 64
	var value []byte
	for i := 0; i < len(p) && len(value) < most; i++ {
		c := p[i]
		switch {
		case c == '%' && i+2 < len(p) && p[i+1] == '7' && p[i+2]|0x20 == 'e':
			c = '~'
			i += 2
		case isDigit(c), 'a' <= c|0x20 && c|0x20 <= 'z', c == '-', c == '.', c == '_', c == '~':
		default:
			return value, len(value) > 5
		}
		value = append(value, c)
	}
	return value, len(value) > 5
}
