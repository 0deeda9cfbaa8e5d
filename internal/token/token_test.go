package token_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/token"
	"github.com/credsmith/credsmith/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const value = "aB38Q~0123456789abcdefghijklmnopqrs-._~Z"

func newLab(t *testing.T) *entralab.Lab {
	t.Helper()
	lab, err := entralab.Start(t.Context(), entralab.Config{InProcess: true, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lab.Close() })
	return lab
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	client := token.New(lab.AuthorityURL(), wire.Wrap(lab.Transport()))
	for tenant, code := range map[string]int{lab.TenantID(): 0, "11111111-2222-4333-8444-555555555555": 90002, "no tenant": 900023} {
		answer, err := client.Discover(t.Context(), tenant)
		if err != nil {
			t.Fatalf("Discover(%q): %v", tenant, err)
		}
		if code == 0 && (answer.TenantID != lab.TenantID() || answer.Failure != nil || answer.Date.IsZero()) {
			t.Errorf("Discover(%q) = %+v", tenant, answer)
		}
		if code != 0 && (answer.Failure == nil || answer.Failure.Code != code || answer.TenantID != "") {
			t.Errorf("Discover(%q) = %+v, want AADSTS%d", tenant, answer, code)
		}
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	client := token.New(lab.AuthorityURL(), wire.Wrap(lab.Transport()))
	app := lab.Healthy()
	ask := entra.TokenRequest{TenantID: app.TenantID, ClientID: app.ClientID, Value: secret.New(app.Secrets[0].Value.Reveal()), Scope: "https://graph.microsoft.com/.default"}
	answer, err := client.Token(t.Context(), ask)
	if err != nil || answer.Token == nil {
		t.Fatalf("Token = %+v, %v", answer, err)
	}
	got := answer.Token
	if got.AppID != app.ClientID || got.TenantID != app.TenantID || got.ObjectID != app.ServicePrincipalID || got.Expires.Before(lab.Now()) || got.Access.IsEmpty() {
		t.Errorf("token says %+v", got)
	}
	ask.Value = secret.New(value)
	answer, err = client.Token(t.Context(), ask)
	if err != nil || answer.Token != nil || answer.Failure == nil || answer.Failure.Code != 7000215 || answer.Status != 401 {
		t.Errorf("Token with a wrong value = %+v, %v", answer, err)
	}
}

// labBehind answers for a Microsoft host with a lab.
type labBehind struct{ lab *entralab.Lab }

func (l labBehind) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host, r.Host = strings.TrimPrefix(l.lab.AuthorityURL(), "https://"), ""
	return l.lab.Transport().RoundTrip(r)
}

// TestLabTokenRefused: who stands where Microsoft should and hands out a
// lab's tokens is not believed.
func TestLabTokenRefused(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	app := lab.Healthy()
	answer, err := token.New(entra.DefaultAuthority, wire.Wrap(labBehind{lab})).Token(t.Context(), entra.TokenRequest{
		TenantID: app.TenantID, ClientID: app.ClientID, Value: secret.New(app.Secrets[0].Value.Reveal()), Scope: "https://graph.microsoft.com/.default",
	})
	if u, ok := errors.AsType[*entra.Unreachable](err); !ok || u.Obstacle != entra.NotEntra || !strings.Contains(err.Error(), "from a lab") {
		t.Errorf("Token = %+v, %v", answer, err)
	}
}

// TestUnanswered: what is not Entra's answer is an error that names the
// address and the obstacle, in one line, without the secret.
func TestUnanswered(t *testing.T) {
	t.Parallel()
	page := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	tests := []struct {
		name     string
		handler  http.HandlerFunc
		obstacle entra.Obstacle
	}{
		{"page", page(200, "text/html", "<html>"), entra.NotEntra},
		{"page that refuses", page(403, "text/html", "<html>"), entra.NotEntra},
		{"broken JSON", page(200, "application/json", `{"access_token":"x`), entra.NotEntra},
		{"broken error", page(401, "application/json", `{"error":"inval`), entra.NotEntra},
		{"empty", page(200, "application/json", ""), entra.NotEntra},
		{"no token", page(200, "application/json", `{}`), entra.NotEntra},
		{"echo", page(400, "application/json", `{"x":"`+value+`"}`), entra.NotEntra},
		{"endless", page(200, "application/json", strings.Repeat(" ", 10<<20)), entra.NotEntra},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+value+"/", http.StatusTemporaryRedirect) // it may echo what was sent
		}, entra.Redirected},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		}, entra.Interrupted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewTLSServer(tt.handler)
			defer server.Close()
			answer, err := token.New(server.URL, wire.Wrap(server.Client().Transport)).Token(t.Context(), entra.TokenRequest{TenantID: "t", ClientID: "c", Value: secret.New(value), Scope: "s"})
			u, ok := errors.AsType[*entra.Unreachable](err)
			if !ok || u.Obstacle != tt.obstacle || u.Hint == "" {
				t.Fatalf("Token = %+v, %v; want obstacle %s", answer, err, tt.obstacle)
			}
			if text := err.Error(); strings.Contains(text, value[:8]) || strings.Contains(text, "\n") || !strings.HasPrefix(text, server.URL) {
				t.Errorf("error %q", text)
			}
		})
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "17")
		http.Error(w, "busy", http.StatusTooManyRequests)
	}))
	defer server.Close()
	answer, err := token.New(server.URL, wire.Wrap(server.Client().Transport)).Token(t.Context(), entra.TokenRequest{})
	if err != nil || answer.Status != 429 || answer.RetryAfter != 17*time.Second {
		t.Errorf("Token = %+v, %v", answer, err)
	}
}

// TestOneRequest: the secret is sent once, whatever happens to the answer.
func TestOneRequest(t *testing.T) {
	t.Parallel()
	requests := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		_, _ = io.ReadAll(r.Body)
		panic(http.ErrAbortHandler)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	_, err := token.New(server.URL, wire.Wrap(server.Client().Transport)).Token(t.Context(), entra.TokenRequest{Value: secret.New(value)})
	server.Close()
	if _, ok := errors.AsType[*entra.Unreachable](err); !ok || requests != 1 {
		t.Errorf("%d requests, error %v", requests, err)
	}
}

// TestCertificates: the secret is not sent to a host that cannot prove itself.
func TestCertificates(t *testing.T) {
	t.Parallel()
	reached := false
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	trusting := server.Client().Transport.(*http.Transport).Clone()
	trusting.TLSClientConfig.ServerName = "elsewhere.invalid"
	for name, transport := range map[string]*http.Transport{
		"unknown CA": {TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool()}},
		"other host": trusting,
	} {
		defer transport.CloseIdleConnections()
		_, err := token.New(server.URL, wire.Wrap(transport)).Token(t.Context(), entra.TokenRequest{Value: secret.New(value)})
		if u, ok := errors.AsType[*entra.Unreachable](err); !ok || u.Obstacle != entra.BadTLS {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if reached {
		t.Error("a request reached a host that is not trusted")
	}
}
