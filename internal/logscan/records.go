package logscan

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/logscan/export"
)

// Records reads an export to its end: each record tells its own facts, however
// it is laid out. Codes and secrets are found as in any other log; when the
// export breaks off, so are the failures of the rest.
func (s *Scan) Records(ctx context.Context, name string, r io.Reader, format export.Format) error {
	raw := &rawText{ctx: ctx, live: newStream(s, name, name)}
	raw.live.recordsTell = true
	var number int64
	done, err := export.Read(io.TeeReader(r, raw), format, func(record export.Record) {
		number++
		s.record1(name, number, record)
	})
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	if err != nil {
		raw.live.recordsTell, raw.live.owned = false, done
		if _, rest := io.Copy(raw, r); rest != nil {
			err = rest
		}
	}
	if ended := raw.live.end(); ended != nil {
		return ended
	}
	if err != nil {
		return fmt.Errorf("read %s after %d records: %w", name, number, err)
	}
	return nil
}

// rawText gives what was read to the scan for secrets.
type rawText struct {
	ctx  context.Context
	live *stream
}

func (w *rawText) Write(p []byte) (n int, err error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	for n < len(p) && err == nil {
		m := copy(w.live.room(), p[n:])
		err = w.live.feed(m)
		n += m
	}
	return n, err
}

// The members of the records that Entra, Graph, Log Analytics, Application
// Insights and the portals write, as package export names them. Those of the
// portals' CSV and of Application Insights are recalled, unverified.
var (
	recordCode  = []string{"resulttype", "properties.status.errorcode", "status.errorcode", "signinerrorcode", "errorcode"}
	recordApp   = []string{"properties.appid", "appid", "applicationid", "clientid"}
	recordTime  = []string{"timegenerated", "time", "createddatetime", "properties.createddatetime", "timestamp", "dateutc", "date", "ts", "activitydatetime"}
	recordTrace = []string{"properties.id", "id", "requestid", "originalrequestid"}
	recordCorr  = []string{"correlationid", "properties.correlationid"}
	recordKey   = []string{"properties.serviceprincipalcredentialkeyid", "serviceprincipalcredentialkeyid", "credentialkeyid"}
	recordName  = []string{"properties.serviceprincipalname", "serviceprincipalname", "properties.appdisplayname", "appdisplayname", "application"}
	recordHost  = []string{"cloudroleinstance", "approleinstance", "podname", "computer", "properties.ipaddress", "callerippaddress", "ipaddress", "calleripaddress"}
	recordRole  = []string{"cloudrolename", "approlename", "containername", "resource"}
)

// record1 counts the failures of one record, or the sign-in that succeeded.
func (s *Scan) record1(name string, number int64, record export.Record) {
	at, _ := timeIn([]byte("time="+record.Get(recordTime...)), s.now)
	s.reaches(at)
	where := place{file: name, host: masked(record.Get(recordHost...)), workload: masked(record.Get(recordRole...))}
	if isSignIn(record) {
		s.signIn(at, where, record)
		return
	}
	var text strings.Builder
	for _, f := range record.Fields {
		text.WriteString(f.Value)
		text.WriteString("\n")
	}
	cells := text.String()
	for f := range aadsts.FindString(cells) {
		if f.Code == 0 && !clientRefused(f.OAuthError) {
			continue
		}
		if f.AppID == "" {
			f.AppID = guidOf(record.Get(recordApp...))
		}
		when := f.Timestamp
		if when.IsZero() {
			when = at
		}
		if s.again(name, number, when, f) || !s.wants(f, when) {
			continue
		}
		s.count(event{at: when, place: where, failure: f, text: []byte(cells)})
	}
}

// isSignIn tells records of sign-ins from other text with a code.
func isSignIn(record export.Record) bool {
	code := record.Get(recordCode...)
	if _, err := strconv.Atoi(code); err != nil {
		return false
	}
	category := record.Get("category", "properties.category")
	return record.Get(recordApp...) != "" && (category == "" || strings.Contains(strings.ToLower(category), "signin"))
}

func (s *Scan) signIn(at time.Time, where place, record export.Record) {
	code, _ := strconv.Atoi(record.Get(recordCode...))
	f := aadsts.Failure{Code: code, AppID: guidOf(record.Get(recordApp...)), TraceID: guidOf(record.Get(recordTrace...)),
		CorrelationID: guidOf(record.Get(recordCorr...)), Tenant: guidOf(record.Get("tenantid", "aadtenantid")), Timestamp: at}
	if code == 0 {
		s.success(f.AppID, at, where, guidOf(record.Get(recordKey...)))
		return
	}
	f.Codes = []int{code}
	if s.again(where.file, -1, at, f) || !s.wants(f, at) {
		return
	}
	s.count(event{at: at, place: where, failure: f, name: record.Get(recordName...)})
}

// guidOf is the GUID that a text is, in lower case, or "".
func guidOf(text string) string {
	text = strings.ToLower(strings.TrimSpace(text))
	if m := guid().FindString(text); len(m) == len(text) {
		return m
	}
	return ""
}

// reaches notes that the logs reach to a time.
func (s *Scan) reaches(at time.Time) {
	if at.IsZero() {
		return
	}
	if s.begin.IsZero() || at.Before(s.begin) {
		s.begin = at
	}
	if at.After(s.end) {
		s.end = at
	}
}

// maxSuccesses apps have their good sign-ins noted.
const maxSuccesses = 2_000

// successes are the sign-ins of an app that were let in.
type successes struct {
	times  int64
	first  time.Time
	last   time.Time
	places map[place]int64
	keys   map[string]int64
	recent []int64 // Unix seconds of some of them, in order of reading
}

func (s *Scan) success(app string, at time.Time, where place, key string) {
	if app == "" || at.IsZero() || s.opts.Apps != nil && !slices.Contains(s.opts.Apps, app) {
		return
	}
	ok := s.successes[app]
	if ok == nil {
		if len(s.successes) >= maxSuccesses {
			return
		}
		ok = &successes{places: map[place]int64{}, keys: map[string]int64{}}
		s.successes[app] = ok
	}
	ok.times++
	if ok.first.IsZero() || at.Before(ok.first) {
		ok.first = at
	}
	if at.After(ok.last) {
		ok.last = at
	}
	if _, known := ok.places[where]; known || len(ok.places) < maxFiles {
		ok.places[where]++
	}
	if _, known := ok.keys[key]; key != "" && (known || len(ok.keys) < maxFiles) {
		ok.keys[key]++
	}
	const most = 4_096
	if len(ok.recent) < most {
		ok.recent = append(ok.recent, at.Unix())
	}
}
