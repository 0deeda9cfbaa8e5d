package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/sinktest"
	"github.com/credsmith/credsmith/internal/sink/vault"
	"github.com/credsmith/credsmith/internal/wire"
)

// TestRealServer runs the suite over HashiCorp Vault: `make test-vault` builds
// a server and names it in VAULT_SERVER.
func TestRealServer(t *testing.T) {
	program := os.Getenv("VAULT_SERVER")
	if program == "" {
		t.Skip("VAULT_SERVER names no server: make test-vault")
	}
	server := startServer(t, program)
	var count atomic.Int64
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		path := fmt.Sprintf("billing/entra-%d", count.Add(1))
		token := &atomic.Value{}
		token.Store(server.Token)
		give := func(context.Context) (secret.Value, error) { return secret.New(token.Load().(string)), nil }
		line := &sinktest.Line{To: server.transport, Trouble: &sinktest.Trouble{}}
		open := func(t *testing.T, line http.RoundTripper) *vault.Sink {
			c := vault.Config{Address: server.Address, Mount: "secret", Path: path, Key: "client_secret"}
			s, err := vault.New(c, give, wire.Wrap(line))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		return sinktest.Fixture{
			Open: func(t *testing.T) sink.Sink { return open(t, line) },
			Change: func(t *testing.T, value string) {
				server.call(t, "POST", "secret/data/"+path, map[string]any{"data": map[string]string{"client_secret": value}})
			},
			Deny: func(t *testing.T) { token.Store(server.reader(t)) },
			Lose: func(*testing.T) { line.Lose() },
			Hang: func(*testing.T) { line.Hang() },
			Cut: func(t *testing.T, n int) (sink.Sink, func() bool) {
				cut, reached := line.Cut(n)
				return open(t, cut), reached
			},
		}
	})
}

// realServer is a running Vault.
type realServer struct {
	Address, Token string
	transport      *http.Transport
}

// startServer runs a Vault until the test ends.
func startServer(t *testing.T, program string) *realServer {
	cmd := exec.Command(program)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s := &realServer{transport: &http.Transport{}}
	t.Cleanup(s.transport.CloseIdleConnections)
	if err := json.NewDecoder(out).Decode(s); err != nil {
		t.Fatalf("%s said nothing of where it is: %v", program, err)
	}
	return s
}

// reader returns the token of somebody who may read and not write.
func (s *realServer) reader(t *testing.T) string {
	s.call(t, "POST", "sys/policies/acl/reader", map[string]any{"policy": `path "secret/*" { capabilities = ["read", "list"] }`})
	var made struct {
		Auth struct {
			ClientToken string `json:"client_token"`
		}
	}
	if err := json.Unmarshal(s.call(t, "POST", "auth/token/create", map[string]any{"policies": []string{"reader"}}), &made); err != nil {
		t.Fatal(err)
	}
	return made.Auth.ClientToken
}

func (s *realServer) call(t *testing.T, method, path string, body any) []byte {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.Address+"/v1/"+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", s.Token)
	resp, err := s.transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode > 299 {
		t.Fatalf("%s %s: HTTP %d %s, %v", method, path, resp.StatusCode, answer, err)
	}
	return answer
}
