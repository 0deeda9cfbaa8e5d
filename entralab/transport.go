package entralab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// inProcess calls the lab's handlers without a socket. Its goroutine does all
// the work, which is what testing/synctest needs: waiting for a socket would
// not count as blocked there.
type inProcess struct {
	handlers map[string]http.Handler // by origin
	vaults   http.Handler            // for the hosts of vaults
}

// RoundTrip serves requests to the lab's origins and refuses all others.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	body := r.Body
	if body == nil {
		body = http.NoBody
	}
	defer body.Close()
	handler := t.handlers[r.URL.Scheme+"://"+strings.ToLower(r.URL.Host)]
	if _, ok := parseVaultHost(r.URL.Host); ok && handler == nil && r.URL.Scheme == "https" {
		handler = t.vaults
	}
	if handler == nil {
		return nil, fmt.Errorf("entralab: %s://%s is not an origin of this lab", r.URL.Scheme, r.URL.Host)
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	in.Body = body
	in.RequestURI = r.URL.RequestURI()
	in.RemoteAddr = "127.0.0.1:1"
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/1.1", 1, 1
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Header == nil {
		in.Header = http.Header{}
	}
	out := &recorder{header: http.Header{}, status: http.StatusOK}
	aborted := serveAborting(handler, out, in)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if aborted && !out.wrote {
		return nil, errors.New("entralab: the connection was reset before an answer came, by a fault")
	}
	length := int64(out.body.Len())
	var sent io.Reader = &out.body
	if aborted {
		sent, length = io.MultiReader(sent, failedReader{io.ErrUnexpectedEOF}), -1
	}
	return &http.Response{
		Status:        strconv.Itoa(out.status) + " " + http.StatusText(out.status),
		StatusCode:    out.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        out.header,
		Body:          io.NopCloser(sent),
		ContentLength: length,
		Request:       r,
	}, nil
}

// recorder is the http.ResponseWriter of a call in process.
type recorder struct {
	header http.Header
	status int
	wrote  bool // headers have gone out
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) { w.status, w.wrote = status, true }

func (w *recorder) Write(b []byte) (int, error) {
	w.wrote = true
	return w.body.Write(b)
}

// serveAborting reports whether the handler broke the connection off.
func serveAborting(handler http.Handler, w http.ResponseWriter, r *http.Request) (aborted bool) {
	defer func() {
		if reason := recover(); reason == http.ErrAbortHandler {
			aborted = true
		} else if reason != nil {
			panic(reason)
		}
	}()
	handler.ServeHTTP(w, r)
	return false
}
