// Package web is what the sinks behind HTTP share: one bounded request, and
// what its answer means to a rotation.
package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/wire"
)

// Do sends one request, once, and reads the answer whole; op says for people
// what it is for. Its errors are *sink.Error.
func Do(client *http.Client, req *http.Request, op string) (wire.Response, error) {
	resp, err := wire.Do(client, req)
	if err != nil {
		return wire.Response{}, Failed(req.Context(), op, err)
	}
	return resp, nil
}

// Failed is a request that got no answer.
func Failed(ctx context.Context, op string, err error) *sink.Error {
	e := &sink.Error{Op: op, Kind: sink.Unreachable, Err: err}
	if cause := context.Cause(ctx); cause != nil {
		e.Err = cause
		return e
	}
	u, ok := errors.AsType[*entra.Unreachable](err)
	if !ok {
		u = wire.Unreachable("", err)
	}
	// Only what tells obstacles apart: a proxy's or a server's own text may
	// repeat what was sent.
	e.Err = errors.New(u.Because)
	switch u.Obstacle {
	case entra.BadTLS:
		e.Next = "check the address, and name the certificate of a private CA in SSL_CERT_FILE"
	case entra.Redirected:
		e.Next = "check the address and the names in it: what was renamed or moved goes by its new name"
	}
	return e
}

// Refused is an answer that is not a success; message says what the server
// says. The kinds are those that mean the same everywhere: a conflict, or an
// absence, is for the sink to know.
func Refused(op string, status int, header http.Header, message error) *sink.Error {
	e := &sink.Error{Op: op, Kind: sink.Unreachable, Err: message}
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && wire.RetryAfter(header) > 0:
		e.Kind, e.After = sink.Throttled, wire.RetryAfter(header)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		e.Kind = sink.Denied
	case status >= 400 && status < 500 && status != http.StatusRequestTimeout:
		e.Kind = sink.Invalid
	}
	return e
}
