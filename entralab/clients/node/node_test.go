// Package node runs the clients that Microsoft and others publish for Node.js
// against the lab, unchanged. Their versions are pinned in package-lock.json.
package node

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

const redirectURI = "http://localhost/back"

// TestClients runs each script of this folder, which fails by itself where an
// answer is not what its client needs.
func TestClients(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("*.mjs")
	if err != nil || len(scripts) < 2 {
		t.Fatalf("found %d scripts: %v", len(scripts), err)
	}
	node := nodeCommand(t)
	for _, script := range scripts {
		if script == "env.mjs" {
			continue
		}
		t.Run(strings.TrimSuffix(script, ".mjs"), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, node, script)
			cmd.Env = append(environment(t), "PATH="+os.Getenv("PATH"))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", script, err, out)
			}
		})
	}
}

// nodeCommand is the Node.js that package.json pins, else the one on PATH.
func nodeCommand(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("node_modules"); err != nil {
		t.Fatal("the clients are not installed: run ./test, or `npm ci` in entralab/clients/node")
	}
	if pinned, err := filepath.Abs("node_modules/.bin/node"); err == nil {
		if _, err := os.Stat(pinned); err == nil {
			return pinned
		}
	}
	return "node"
}

// environment starts a lab and returns what its clients need to know.
func environment(t *testing.T) []string {
	t.Helper()
	lab, err := entralab.Start(t.Context(), entralab.Config{AutoSignIn: "ada-example@contoso.lab.test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lab.Close() })
	app, err := lab.AddApp(entralab.AppSpec{
		DisplayName: "a web application", RedirectURIs: []string{redirectURI}, Secrets: []entralab.SecretSpec{{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, lab.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return append(lab.Env(), "NODE_EXTRA_CA_CERTS="+ca, "LAB_REDIRECT_URI="+redirectURI,
		"AZURE_CLIENT_ID="+app.ClientID, "AZURE_CLIENT_SECRET="+app.Secrets[0].Value.Reveal(), "CREDSMITH_LAB_SECRET_ID="+app.Secrets[0].KeyID)
}
