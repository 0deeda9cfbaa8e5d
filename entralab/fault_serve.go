package entralab

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// firingKey finds the firing in a request's context.
type firingKey struct{}

// firingOf is what goes wrong with a request, nil for nothing.
func firingOf(r *http.Request) *firing {
	f, _ := r.Context().Value(firingKey{}).(*firing)
	return f
}

// conditionOf is a fault that a handler itself has to show, nil when it need
// not. The handler calls use when it did.
func conditionOf(r *http.Request, id string) *faultCall {
	f := firingOf(r)
	if f == nil {
		return nil
	}
	for _, c := range f.conditions {
		if c.rule.Fault == id {
			return c
		}
	}
	return nil
}

// note writes an event about a request into the history, so that the faults of
// the request are named there. Callers hold the lab's lock, see history.add.
func (l *Lab) note(r *http.Request, at time.Time, e Event) {
	seq := l.history.add(at, e)
	if f := firingOf(r); f != nil {
		f.events = append(f.events, seq)
	}
}

// withFaults puts the faults of a surface in front of its handler. Handlers
// write the history by [Lab.note].
func (l *Lab) withFaults(surface string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rules := l.faults.active.Load()
		if rules == nil {
			next(w, r)
			return
		}
		body, rest := readAhead(r)
		q := l.faultRequest(surface, r, body)
		chosen := l.faults.choose(*rules, q)
		if chosen == nil {
			r.Body = rest()
			next(w, r)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), firingKey{}, chosen))
		r.Body = rest()
		for _, c := range append(chosen.conditions, chosen.main) {
			if c != nil {
				c.lab, c.request, c.body, c.q = l, r, body, q
			}
		}
		answer := chosen.serve(next, r, rest)
		chosen.record(l, q, answer)
		answer.deliver(l, w, r)
	}
}

// readAhead reads the body, so that rules can look into it and a request can
// be served twice. What is above the bound stays unread behind it.
func readAhead(r *http.Request) (body []byte, rest func() io.ReadCloser) {
	original := r.Body
	body, err := io.ReadAll(io.LimitReader(original, maxBody+1))
	return body, func() io.ReadCloser {
		tail := io.Reader(original)
		if err != nil {
			tail = failedReader{err}
		}
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(body), tail), original}
	}
}

// failedReader repeats the error of a body that could not be read.
type failedReader struct{ err error }

func (f failedReader) Read([]byte) (int, error) { return 0, f.err }

// serve runs the request with its faults.
func (f *firing) serve(next http.HandlerFunc, r *http.Request, rest func() io.ReadCloser) *faultAnswer {
	c := f.main
	if c == nil {
		return record(next, r)
	}
	kind := c.rule.kind
	if kind.instead != nil {
		if answer := kind.instead(c); answer != nil {
			c.use()
			return answer
		}
	}
	if kind.before != nil && kind.before(c) {
		c.use()
		r.Body = io.NopCloser(bytes.NewReader(c.body))
	}
	answer := record(next, r)
	if kind.id == "F11" {
		r.Body = rest()
		record(next, r)
	}
	if kind.after != nil && kind.after(c, answer) {
		c.use()
	}
	return answer
}

// record keeps what a handler answers.
func record(next http.HandlerFunc, r *http.Request) *faultAnswer {
	out := &recorder{header: http.Header{}, status: http.StatusOK}
	next(out, r)
	return &faultAnswer{status: out.status, header: out.header, body: out.body.Bytes(), cut: -1}
}

// record names the faults in the history: at the events the handler wrote, or
// in one of their own when the handler wrote none.
func (f *firing) record(l *Lab, q *faultRequest, answer *faultAnswer) {
	if len(f.ids) == 0 {
		return
	}
	ids := strings.Join(f.ids, ",")
	if len(f.events) > 0 {
		l.history.blame(f.events, ids)
		return
	}
	event := q.event
	event.Outcome, event.Fault, event.Status = outcomeFault, ids, answer.status
	l.mu.RLock()
	defer l.mu.RUnlock()
	l.history.add(q.now, event)
}

// faultRequest gathers what rules ask about.
func (l *Lab) faultRequest(surface string, r *http.Request, body []byte) *faultRequest {
	q := &faultRequest{surface: surface, method: r.Method, path: r.URL.Path, now: l.clock.now()}
	q.event = Event{Surface: surface, Method: r.Method, Path: r.URL.Path}
	var about guid
	if surface == surfaceToken {
		copied := r.Clone(r.Context())
		copied.Body = io.NopCloser(bytes.NewReader(body))
		if r.Method == http.MethodPost {
			about, _ = parseGUID(readTokenRequest(copied, "", v2).form["client_id"])
		}
	} else {
		q.apps = append(q.apps, callerOf(r))
		about = guidIn(r.URL)
	}
	if about == (guid{}) {
		return q
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, t := range l.tenants {
		a := t.appByID(about)
		if a == nil {
			a = t.appByClientID(about)
		}
		if p := t.principalByID(about); a == nil && p != nil {
			a = p.app
		}
		if a != nil {
			q.event.AppID, q.event.ObjectID = a.clientID.String(), a.id.String()
			q.apps = append(q.apps, q.event.AppID, q.event.ObjectID)
		}
	}
	return q
}

// callerOf is the client id in a bearer token. A token that is not the lab's
// names somebody all the same: it only chooses a fault.
func callerOf(r *http.Request) string {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	payload, ok := tokenPayload(token)
	if !ok {
		return ""
	}
	if appID, _ := payload["appid"].(string); appID != "" {
		return appID
	}
	azp, _ := payload["azp"].(string)
	return azp
}

// guidIn finds the first id in path or query.
func guidIn(u *url.URL) guid {
	text := u.Path
	if query, err := url.QueryUnescape(u.RawQuery); err == nil {
		text += "?" + query
	}
	for segment := range strings.FieldsFuncSeq(text, func(c rune) bool { return strings.ContainsRune("/()'?=& ", c) }) {
		if id, ok := parseGUID(segment); ok {
			return id
		}
	}
	return guid{}
}

// faultAnswer is an answer on its way out.
type faultAnswer struct {
	status    int
	header    http.Header
	body      []byte
	wait      time.Duration // in real time, before anything is sent
	perSecond int           // bytes of the body, 0 for all at once
	cut       int           // bytes after which the connection ends, -1 for none
	promised  bool          // Content-Length tells of the whole body although it is cut
	abort     bool          // the connection ends before anything is sent
}

func newAnswer(status int, contentType, body string) *faultAnswer {
	return &faultAnswer{status: status, header: http.Header{"Content-Type": {contentType}}, body: []byte(body), cut: -1}
}

// deliver sends the answer. It panics with http.ErrAbortHandler where the
// connection has to end; no lock is held here.
func (a *faultAnswer) deliver(l *Lab, w http.ResponseWriter, r *http.Request) {
	if a.wait > 0 || a.perSecond > 0 { // a lab in process has no deadline to lift
		http.NewResponseController(w).SetWriteDeadline(time.Time{})
	}
	if !l.faults.sleep(r.Context(), a.wait) || a.abort {
		panic(http.ErrAbortHandler)
	}
	header := w.Header()
	for name, values := range a.header {
		header[name] = values
	}
	body := a.body
	if a.promised {
		header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	if a.cut >= 0 {
		body = body[:min(a.cut, len(body))]
	}
	w.WriteHeader(a.status)
	if a.perSecond > 0 {
		flush := http.NewResponseController(w)
		if _, err := l.faults.drip(r.Context(), body, a.perSecond, func(b []byte) (int, error) {
			n, err := w.Write(b)
			flush.Flush()
			return n, err
		}); err != nil {
			panic(http.ErrAbortHandler)
		}
		return
	}
	w.Write(body)
	if a.cut >= 0 {
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// sleep waits in real time. It reports false when the client left or the lab
// closed.
func (f *faults) sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-f.closed:
	}
	return false
}
