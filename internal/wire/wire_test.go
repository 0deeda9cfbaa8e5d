package wire_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// failing is a transport that cannot connect.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func get(t *testing.T, client *http.Client, address string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = wire.Do(client, req)
	return err
}

// TestObstacles: each obstacle has a name, one line and a hint.
func TestObstacles(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "https://" + closed.Addr().String()
	closed.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	real, err := wire.NewClient("")
	if err != nil {
		t.Fatal(err)
	}
	defer real.CloseIdleConnections()
	for name, tt := range map[string]struct {
		client   *http.Client
		address  string
		obstacle entra.Obstacle
	}{
		"refused":        {real, refused, entra.Refused},
		"no TLS":         {real, "https" + strings.TrimPrefix(plain.URL, "http"), entra.BadTLS},
		"name":           {wire.Wrap(failing{&net.DNSError{Err: "no such host", Name: "x"}}), "https://x.invalid", entra.NoName},
		"timeout":        {wire.Wrap(failing{os.ErrDeadlineExceeded}), "https://x.invalid", entra.TimedOut},
		"proxy":          {wire.Wrap(failing{&net.OpError{Op: "proxyconnect", Err: errors.New("Proxy Authentication Required")}}), "https://x.invalid", entra.BadProxy},
		"old TLS":        {wire.Wrap(failing{tls.AlertError(70)}), "https://x.invalid", entra.BadTLS},
		"something else": {wire.Wrap(failing{errors.New("a: b:\n c")}), "https://x.invalid", entra.OtherTrouble},
	} {
		err := get(t, tt.client, tt.address+"/path?secret=1")
		u, ok := errors.AsType[*entra.Unreachable](err)
		if !ok || u.Obstacle != tt.obstacle || u.Hint == "" {
			t.Errorf("%s: %v (%+v), want obstacle %s", name, err, u, tt.obstacle)
			continue
		}
		if text := err.Error(); strings.ContainsAny(text, "\n?") || !strings.HasPrefix(text, tt.address+"/path: ") {
			t.Errorf("%s: error %q", name, text)
		}
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("shutting down")
	cancel(why)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://x.invalid", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wire.Do(wire.Wrap(failing{io.EOF}), req); !errors.Is(err, why) {
		t.Errorf("error %v, want the cause of the cancellation", err)
	}
}

func TestCAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.pem")
	if err := os.WriteFile(bad, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{bad, filepath.Join(dir, "missing.pem")} {
		if _, err := wire.NewClient(file); err == nil || !strings.Contains(err.Error(), "SSL_CERT_FILE") {
			t.Errorf("NewClient(%s): %v", filepath.Base(file), err)
		}
	}
}

func TestResponse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind, body string
		json       bool
	}{
		{"application/json", `{}`, true}, {"application/json; charset=utf-8", " [1]", true}, {"", `{}`, true}, {"application/problem+json", `{}`, true},
		{"application/json", "\ufeff{}", true}, {"text/html", `{}`, false}, {"application/json", "<html>", false}, {"application/json", "", false},
	} {
		r := wire.Response{Header: http.Header{"Content-Type": {tt.kind}}, Body: []byte(tt.body)}
		if got := r.IsJSON(); got != tt.json {
			t.Errorf("IsJSON of %q %q = %v", tt.kind, tt.body, got)
		}
	}
	r := wire.Response{Header: http.Header{"Date": {"Mon, 23 Nov 2026 01:02:03 GMT"}}}
	if got := r.Date(); !got.Equal(time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)) {
		t.Errorf("Date = %v", got)
	}
	r.Header.Set("Date", "yesterday")
	if !r.Date().IsZero() {
		t.Error("a bad Date is not zero")
	}
}
