package gitlab_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/sinktest"
)

// FuzzAnswer lets any answer come to a read or a write. A write passes only if
// GitLab said so; every error is a refusal that holds no value and no wait that
// never ends.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"key":"AZURE_CLIENT_SECRET","value":"old","environment_scope":"*"}`, `{"key":"AZURE_CLIENT_SECRET","value":null,"hidden":true}`,
		`{"message":{"value":["is invalid"]}}`, `{"scopes":["read_api"]}`, "null", "[]", "<html>", "", value,
	} {
		for _, status := range []uint16{200, 201, 302, 400, 403, 404, 409, 429} {
			f.Add(status, "9223372036854775807", body, byte(0))
			f.Add(status, "-1", body, byte(1))
			f.Add(status, "17", body, byte(2))
		}
	}
	f.Fuzz(func(t *testing.T, status uint16, wait, body string, which byte) {
		method := []string{http.MethodGet, http.MethodPost, http.MethodPut}[which%3]
		srv := newServer(t, project)
		if method == http.MethodPut {
			srv.vars["*"] = map[string]any{"key": "AZURE_CLIENT_SECRET", "value": "old", "environment_scope": "*"}
		}
		a := &sinktest.Answer{Else: sinktest.Handler{Handler: srv}, Method: method, Status: int(status), Body: body, Header: http.Header{"Retry-After": {wait}, "Content-Type": {"application/json"}}}
		s := open(t, config, a)
		_, err := s.Write(t.Context(), sink.Delivery{Value: secret.New(value)})
		said := map[string]uint16{http.MethodPost: 201, http.MethodPut: 200}[method] == status
		if err == nil && !said && (srv.vars["*"] == nil || srv.vars["*"]["value"] != value) {
			t.Fatalf("HTTP %d to %s: the write passed", status, method)
		}
		_, readErr := s.Read(t.Context())
		for _, err := range []error{err, readErr, s.Check(t.Context())} {
			if err == nil {
				continue
			}
			e, ok := errors.AsType[*sink.Error](err)
			if !ok || e.After < 0 || e.After > 24*time.Hour {
				t.Fatalf("%T %v after %v", err, err, e.After)
			}
			if strings.Contains(err.Error(), value) || strings.Contains(err.Error(), token) {
				t.Fatalf("it gives away: %v", err)
			}
		}
	})
}
