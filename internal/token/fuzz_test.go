package token_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/token"
	"github.com/credsmith/credsmith/internal/wire"
)

// answers gives every request the same answer.
type answers struct {
	status     int
	kind, body string
}

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: a.status, Header: http.Header{"Content-Type": {a.kind}, "Retry-After": {a.kind}, "Date": {a.body}, "Location": {a.body}},
		Body: io.NopCloser(strings.NewReader(a.body)), Request: r,
	}, nil
}

// FuzzAnswer: whatever comes back is a token, a refusal, a busy service or one
// line that shows nothing of the answer.
func FuzzAnswer(f *testing.F) {
	f.Add(200, "application/json", `{"access_token":"a.eyJyb2xlcyI6WyJ4Il19.c","expires_in":"3599"}`)
	f.Add(200, "application/json", `{"access_token":"a.b.c","expires_in":1e400}`)
	f.Add(401, "application/json; charset=utf-8", `{"error":"invalid_client","error_codes":[7000215]}`)
	f.Add(302, "text/html", "https://elsewhere.example/")
	f.Add(429, "17", "busy")
	f.Add(200, "application/json", `{"issuer":"https://h/7f1c0d3e-8a52-4d0b-9a53-1c1f3f3f2b11/v2.0","token_endpoint":"x"}`)
	f.Fuzz(func(t *testing.T, status int, kind, body string) {
		if status < 200 || status > 599 {
			t.Skip("no status of an answer")
		}
		client := token.New("https://login.lab.test", wire.Wrap(answers{status, kind, body + value}))
		answer, err := client.Token(t.Context(), entra.TokenRequest{TenantID: "t", Value: secret.New(value)})
		check(t, answer, err)
		// Discovery is asked before the secret goes out: nobody can echo it.
		client = token.New("https://login.lab.test", wire.Wrap(answers{status, kind, body}))
		answer, err = client.Discover(t.Context(), "t")
		check(t, answer, err)
	})
}

func check(t *testing.T, answer entra.Answer, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if _, ok := errors.AsType[*entra.Unreachable](err); !ok || strings.ContainsAny(err.Error(), "\n\r") || strings.Contains(err.Error(), value) {
		t.Errorf("answer %+v, error %q", answer, err)
	}
}
