package appservice_test

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/sinktest"
)

// FuzzAnswer lets any answer come to the list of settings, to a write, or to
// the question about a reference. Every error is a refusal that holds no value
// and no wait that never ends; other settings of the app stay.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"properties":{"AZURE_CLIENT_SECRET":"old"}}`, `{"properties":{"azure_client_secret":1}}`, `{"properties":{"AZURE_CLIENT_SECRET":"` + reference + `"}}`,
		`{"properties":{"AZURE_CLIENT_SECRET":"@Microsoft.KeyVault(SecretUri=%zz"}}`, `{"properties":{"status":"Resolved"}}`, `{"properties":{}}`,
		`{"error":{"code":"Conflict"}}`, "null", "[]", "<html>", "", value,
	} {
		for _, status := range []uint16{200, 202, 302, 401, 404, 409, 429} {
			f.Add(status, "9223372036854775807", body, byte(0))
			f.Add(status, "-1", body, byte(1))
			f.Add(status, "17", body, byte(2))
		}
	}
	f.Fuzz(func(t *testing.T, status uint16, wait, body string, which byte) {
		method := []string{http.MethodPost, http.MethodPut, http.MethodGet}[which%3]
		srv := newServer(t)
		before := maps.Clone(srv.settings)
		a := &sinktest.Answer{Else: sinktest.Handler{Handler: srv}, Method: method, Status: int(status), Body: body, Header: http.Header{"Retry-After": {wait}, "Content-Type": {"application/json"}}}
		err := write(t, open(t, config, a))
		if err == nil && status != http.StatusOK && method != http.MethodGet {
			t.Fatalf("HTTP %d to %s: the write passed", status, method)
		}
		if method != http.MethodPost {
			for name, was := range before {
				if srv.settings[name] != was {
					t.Fatalf("%s is %v, and was %v", name, srv.settings[name], was)
				}
			}
		}
		c := config
		c.Reference = true
		s := open(t, c, a).(interface {
			sink.Sink
			sink.Reloader
		})
		_, reloaded := s.Reloaded(t.Context(), "rot-7")
		for _, err := range []error{err, s.Check(t.Context()), s.Reload(t.Context(), "rot-7"), reloaded} {
			if err == nil {
				continue
			}
			e, ok := errors.AsType[*sink.Error](err)
			if !ok || e.After < 0 || e.After > 24*time.Hour {
				t.Fatalf("%T %v after %v", err, err, e.After)
			}
			if strings.Contains(err.Error(), value) {
				t.Fatalf("it gives away: %v", err)
			}
		}
	})
}
