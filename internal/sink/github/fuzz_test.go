package github_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/github"
	"github.com/credsmith/credsmith/internal/sink/sinktest"
)

// FuzzAnswer lets any answer come to a read or a write. A write passes only if
// GitHub said so; every error is a refusal that holds no value and no wait that
// never ends.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"key_id":"1","key":"` + strings.Repeat("A", 43) + `="}`, `{"name":"AZURE_CLIENT_SECRET","visibility":"selected"}`, `{"total_count":1,"repositories":[{"id":1}]}`,
		`{"total_count":-1,"repositories":null}`, `{"message":"You have exceeded a secondary rate limit."}`, "null", "[]", "<html>", "", value,
	} {
		for _, status := range []uint16{200, 204, 301, 403, 404, 422, 429} {
			f.Add(status, "9223372036854775807", "Mon, 23 Nov 2026 12:00:00 GMT", body, false)
			f.Add(status, "-1", "", body, true)
		}
	}
	f.Fuzz(func(t *testing.T, status uint16, wait, date, body string, onWrite bool) {
		for _, c := range []github.Config{config, {Organization: "contoso", Secret: "AZURE_CLIENT_SECRET"}} {
			base := repo
			if c.Organization != "" {
				base = "/orgs/contoso/actions/secrets"
			}
			srv := newServer(t, base)
			srv.exists, srv.visibility = true, ""
			if c.Organization != "" {
				srv.visibility = "all"
			}
			a := &sinktest.Answer{Else: sinktest.Handler{Handler: srv}, Method: http.MethodGet, Status: int(status), Body: body,
				Header: http.Header{"Retry-After": {wait}, "X-Ratelimit-Reset": {wait}, "X-Ratelimit-Remaining": {"0"}, "X-Oauth-Scopes": {wait}, "Date": {date}}}
			if onWrite {
				a.Method = http.MethodPut
			}
			s := open(t, c, a)
			_, err := s.Write(t.Context(), delivery())
			if wrote := srv.value == value || onWrite && (status == 201 || status == 204); err == nil && !wrote {
				t.Fatalf("HTTP %d: the write passed", status)
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
				if strings.Contains(err.Error(), value) && (onWrite || !strings.Contains(body+wait, value)) || strings.Contains(err.Error(), token) {
					t.Fatalf("it gives away: %v", err)
				}
			}
		}
	})
}
