package try

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/wire"
)

const fuzzToken = "header.claims.signature"

// handled calls a handler without a network.
type handled struct{ http.HandlerFunc }

func (h handled) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = r
	return resp, r.Context().Err()
}

// FuzzAnswer reads whatever a resource says. No text of it may be long, hold a
// line break, or the token.
func FuzzAnswer(f *testing.F) {
	f.Add("graph", 403, "", `{"error":{"code":"Authorization_RequestDenied","message":"no"}}`)
	f.Add("keyvault", 403, `Bearer authorization="https://login.microsoftonline.com/aaaaaaaa-0000-4000-8000-000000000001", resource="x"`, `{"error":{"code":"Forbidden","message":"Action: 'a'\r\nResource: 'b'","innererror":{"code":"ForbiddenByRbac"}}}`)
	f.Add("arm", 401, `authorization="`, `{"error":{"code":"InvalidAuthenticationTokenTenant","message":"must match the tenant 'https://sts.windows.net/aaaaaaaa-0000-4000-8000-000000000001/'"}}`)
	f.Add("arm", 200, "", `{"value":[]}`)
	f.Add("arm", 403, "", `{"error":{"code":"`+fuzzToken+`","message":"perform action '`+fuzzToken+`' over scope '`+fuzzToken+`'"}}`)
	f.Add("arm", 403, "", `{"error":{"code":"x","message":"header.\u0000claims.signature"}}`)
	f.Fuzz(func(t *testing.T, service string, status int, challenge, body string) {
		target, err := Parse(entra.Service(service), "https://127.0.0.1/subscriptions", Place{Authority: "https://127.0.0.1:1"})
		if err != nil || status < 200 || status > 599 {
			t.Skip()
		}
		used := 0
		answer := func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				used++
			} else {
				w.Header().Set("WWW-Authenticate", challenge)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
		resource := Resource{Target: target, HTTP: wire.Wrap(handled{answer})}
		token := entra.Token{Access: secret.New(fuzzToken), Audience: target.audiences()[0], TenantID: "aaaaaaaa-0000-4000-8000-000000000001"}
		access, _ := resource.Use(t.Context(), token)
		for _, text := range []string{access.Code, access.Inner, access.Message, access.Action, access.Scope, access.TenantID} {
			if len(text) > maxText+len("…") || strings.ContainsAny(text, "\r\n") || strings.Contains(text, fuzzToken) {
				t.Errorf("%q is shown", text)
			}
		}
		if used > 1 {
			t.Errorf("the token went out %d times", used)
		}
	})
}

// FuzzIMAP speaks to a server that says anything. The conversation ends.
func FuzzIMAP(f *testing.F) {
	f.Add("+ \r\n+ eyJzdGF0dXMiOiI0MDAifQ==\r\na1 NO AUTHENTICATE failed.\r\n")
	f.Add("a1 OK\r\n")
	f.Add("* BYE\r\n+")
	f.Add(strings.Repeat("+\r\n", 200))
	f.Fuzz(func(t *testing.T, said string) {
		c := &imapConn{Conn: mute{}, in: bufio.NewReaderSize(strings.NewReader(said), maxIMAPLine)}
		answer, lines, err := c.command("a1", "AUTHENTICATE XOAUTH2", []byte("x"))
		if err == nil && !strings.Contains(said, "a1 "+answer) || len(lines) > maxIMAPLines {
			t.Errorf("%q, %d lines, %v", answer, len(lines), err)
		}
		withChallenge(answer, c.challenge)
	})
}

// mute takes all that is written.
type mute struct{ net.Conn }

func (mute) Write(b []byte) (int, error) { return len(b), nil }

// TestTLSIsNotShared: the settings handed in stay as they are.
func TestTLSIsNotShared(t *testing.T) {
	t.Parallel()
	u, _ := url.Parse("smtp://a@b.c@127.0.0.1:1")
	shared := &tls.Config{MinVersion: tls.VersionTLS12}
	r := Resource{Target: Target{url: u}, TLS: shared}
	if got := r.tlsConfig(); got.ServerName != "127.0.0.1" || shared.ServerName != "" {
		t.Errorf("server name %q, shared %q", got.ServerName, shared.ServerName)
	}
}
