package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/nacl/box"
)

// ci is GitHub's API over one secret of contoso/billing, which it opens, and
// GitLab's over one variable of the same name. The wire itself is checked by
// the tests of the sinks.
type ci struct {
	mu              sync.Mutex
	public, private *[32]byte
	github, gitlab  string
	writes          int
	scopes          string // of a classic token; "" for a fine-grained one
}

const ciToken = "made-up-ci-token-0123456789"

// cis holds the server of each script.
var cis sync.Map

// cmdCI starts the server, sets CI to its address and CI_TOKEN to its token;
// or changes or checks what it holds.
//
//	ci start
//	ci scopes repo        the scopes of the token at GitHub
//	ci holds app.env      both hold the value in the file
//	ci writes 2           so many were taken so far
func cmdCI(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == "start" {
		c := &ci{}
		var err error
		c.public, c.private, err = box.GenerateKey(rand.Reader)
		ts.Check(err)
		server := httptest.NewServer(c)
		ts.Defer(server.Close)
		ts.Setenv("CI", server.URL)
		ts.Setenv("CI_TOKEN", ciToken)
		cis.Store(ts, c)
		return
	}
	found, started := cis.Load(ts)
	if !started {
		ts.Fatalf("start it first: ci start")
	}
	c := found.(*ci)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch args[0] {
	case "scopes":
		c.scopes = args[1]
	case "holds":
		_, value, _ := strings.Cut(ts.ReadFile(args[1]), "AZURE_CLIENT_SECRET=")
		value, _, _ = strings.Cut(value, "\n")
		if value = strings.Trim(value, `'"`); value == "" || c.github != value || c.gitlab != value {
			ts.Fatalf("GitHub holds %q, GitLab %q, the file %q", c.github, c.gitlab, value)
		}
	case "writes":
		var want int
		ts.Check(json.Unmarshal([]byte(args[1]), &want))
		if c.writes != want {
			ts.Fatalf("%d writes, want %d", c.writes, want)
		}
	default:
		ts.Fatalf("ci does not know %s", args[0])
	}
}

func (c *ci) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer := func(status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		if c.scopes != "" {
			w.Header().Set("X-OAuth-Scopes", c.scopes)
		}
		w.WriteHeader(status)
		if status != http.StatusNoContent {
			_ = json.NewEncoder(w).Encode(body)
		}
	}
	if r.Header.Get("Authorization") != "Bearer "+ciToken && r.Header.Get("PRIVATE-TOKEN") != ciToken {
		answer(401, map[string]string{"message": "Bad credentials"})
		return
	}
	var sent map[string]any
	_ = json.NewDecoder(r.Body).Decode(&sent)
	text := func(name string) string { s, _ := sent[name].(string); return s }
	const secrets = "/api/v3/repos/contoso/billing/actions/secrets"
	const variables = "/api/v4/projects/contoso%2Fbilling/variables"
	shown := map[string]any{"key": "AZURE_CLIENT_SECRET", "value": c.gitlab, "environment_scope": "*"}
	switch r.Method + " " + r.URL.EscapedPath() {
	case "GET " + secrets + "/public-key":
		answer(200, map[string]string{"key_id": "1", "key": base64.StdEncoding.EncodeToString(c.public[:])})
	case "GET " + secrets + "/AZURE_CLIENT_SECRET":
		answer(200, map[string]string{"name": "AZURE_CLIENT_SECRET", "updated_at": "2026-01-01T00:00:00Z"})
	case "PUT " + secrets + "/AZURE_CLIENT_SECRET":
		sealed, err := base64.StdEncoding.DecodeString(text("encrypted_value"))
		value, ok := box.OpenAnonymous(nil, sealed, c.public, c.private)
		if err != nil || !ok {
			answer(422, map[string]string{"message": "not sealed to the key"})
			return
		}
		c.github = string(value)
		c.writes++
		answer(204, nil)
	case "GET " + variables + "/AZURE_CLIENT_SECRET":
		if c.gitlab == "" {
			answer(404, map[string]string{"message": "404 Variable Not Found"})
			return
		}
		answer(200, shown)
	case "GET " + variables:
		answer(200, []any{})
	case "POST " + variables, "PUT " + variables + "/AZURE_CLIENT_SECRET":
		c.gitlab = text("value")
		c.writes++
		shown["value"] = c.gitlab
		answer(map[string]int{"POST": 201, "PUT": 200}[r.Method], shown)
	default:
		answer(404, map[string]string{"message": "Not Found"})
	}
}
