package sinktest

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
)

// Line is the way to a place behind HTTP, which a test can break. Processes
// that share a place share its Trouble.
type Line struct {
	To http.RoundTripper
	*Trouble

	// at is the step that fails, and with it all after it: 2n-1 is the n-th
	// request, 2n its answer; 0 none.
	at   int64
	step atomic.Int64
}

// Trouble is what befalls all requests to a place.
type Trouble struct {
	mu         sync.Mutex
	lost, hang bool
}

// Lose and Hang serve a [Fixture].
func (t *Trouble) Lose() { t.mu.Lock(); defer t.mu.Unlock(); t.lost = true }

// Hang lets requests wait until they are given up.
func (t *Trouble) Hang() { t.mu.Lock(); defer t.mu.Unlock(); t.hang = true }

// Cut is a line of its own to the same place that fails from its n-th step on.
func (l *Line) Cut(n int) (cut *Line, reached func() bool) {
	cut = &Line{To: l.To, Trouble: l.Trouble, at: int64(n)}
	return cut, func() bool { return cut.step.Load() >= cut.at }
}

// RoundTrip sends a request, as far as the line goes.
func (l *Line) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	lost, hang := l.lost, l.hang
	l.mu.Unlock()
	switch {
	case r.Context().Err() != nil:
		return nil, r.Context().Err()
	case lost:
		return nil, errors.New("the line is cut")
	case hang:
		<-r.Context().Done()
		return nil, r.Context().Err()
	case !l.goesOn():
		return nil, errors.New("the process died before it sent the request")
	}
	resp, err := l.To.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if !l.goesOn() {
		resp.Body.Close()
		return nil, errors.New("the process died before it read the answer")
	}
	return resp, nil
}

func (l *Line) goesOn() bool {
	step := l.step.Add(1)
	return l.at == 0 || step < l.at
}

// Handler serves requests without a socket.
type Handler struct{ http.Handler }

// RoundTrip calls the handler.
func (h Handler) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer r.Body.Close()
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	in.Host = r.URL.Host
	in.Body = io.NopCloser(r.Body)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, in)
	return w.Result(), nil
}

// Answer gives the same answer to all requests of one method.
type Answer struct {
	Else   http.RoundTripper // for the others
	Method string
	Status int
	Header http.Header
	Body   string
}

// RoundTrip answers.
func (a *Answer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != a.Method {
		return a.Else.RoundTrip(r)
	}
	return &http.Response{StatusCode: a.Status, Header: a.Header, Body: io.NopCloser(strings.NewReader(a.Body)), Request: r}, nil
}
