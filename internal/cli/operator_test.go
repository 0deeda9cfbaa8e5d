package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/cli"
)

// cancelOn ends a run as soon as a text is written.
type cancelOn struct {
	bytes.Buffer
	text   string
	cancel context.CancelFunc
}

func (c *cancelOn) Write(p []byte) (int, error) {
	n, err := c.Buffer.Write(p)
	if strings.Contains(c.String(), c.text) {
		c.cancel()
	}
	return n, err
}

// TestDeviceCodePrompt: the prompt goes to standard error, for the app that the
// operator's variables name, and nothing of the setting is sent before.
func TestDeviceCodePrompt(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	app, err := lab.AddApp(entralab.AppSpec{DisplayName: "credsmith", PublicClient: true})
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, lab.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SSL_CERT_FILE": ca, "CREDSMITH_STATE_DIR": t.TempDir()}
	for _, line := range lab.Env() {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	env["CREDSMITH_OPERATOR_CLIENT_ID"] = app.ClientID
	// The person goes before the identity of the configuration, which is the
	// place that they sign in at.
	file := filepath.Join(t.TempDir(), "c.yaml")
	text := fmt.Sprintf("tenants:\n  lab:\n    tenant_id: %s\n    cloud: {authority: %q, graph: %q}\n    identity: {client_id: %s, secret: \"${env:NOT_SET}\"}\n", lab.TenantID(), lab.AuthorityURL(), lab.GraphURL(), app.ClientID)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	delete(env, "CREDSMITH_OPERATOR_AUTHORITY_HOST")
	delete(env, "CREDSMITH_OPERATOR_TENANT_ID")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout, stderr := new(bytes.Buffer), &cancelOn{text: "enter the code", cancel: cancel}
	code := cli.Run(ctx, []string{"doctor", "--device-code", "--config", file}, cli.Env{
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Stdin:     strings.NewReader(""), Stdout: stdout, Stderr: stderr,
	})
	if code != 130 || stdout.Len() > 0 || !strings.Contains(stderr.String(), "To sign in, use a web browser to open the page "+lab.AuthorityURL()+"/common/oauth2/deviceauth and enter the code") || strings.Contains(stderr.String(), "token requests") {
		t.Errorf("code %d\n%s\n%s", code, stdout, stderr)
	}
	for _, e := range lab.History(0) {
		if e.AppID == env["AZURE_CLIENT_ID"] {
			t.Errorf("the setting's app was used: %+v", e)
		}
	}
}
