package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/cli"
)

// TestRenderings gives doctor --error what clients print, as public threads
// show it: alone, and beside a setting that works.
func TestRenderings(t *testing.T) {
	t.Parallel()
	type verdicts struct{ alone, working string }
	// A refusal of the secret, whose text does not tell which of its causes it
	// has; with a setting that works, the process used another.
	refused := verdicts{"inconclusive - possible 7000215", "broken stale-consumer likely 7000215"}
	lost := verdicts{"inconclusive - possible 0", "broken stale-consumer likely 0"} // the code, not the OAuth error
	before2019 := verdicts{"inconclusive - possible 50012", "broken stale-consumer likely 50012"}
	ofOtherApp := verdicts{refused.alone, "broken environment-drift confirmed 7000215"} // it names its app
	expired := verdicts{"broken secret-expired likely 7000222", "broken stale-consumer likely 7000222"}
	unsent := verdicts{"broken secret-missing likely 7000218", "broken secret-missing likely 7000218"}
	tests := map[string]verdicts{
		"aks-guard-log": before2019, "terraform-2018": before2019,
		"asp-net-core-oauth-handler": refused, "az-cli-adal": refused, "azure-identity-msal-net": refused,
		"go-autorest-adal-velero": refused, "golang-org-x-oauth2-before-0-8-databricks": refused, "guzzle-nextcloud-mail-cut-at-120": refused,
		"logic-app-telemetry": refused, "msal-net-4-7-misleading-prefix": refused, "msal-node-1-x": refused, "plain-crlf-lost": refused,
		"terraform-provider-redacted": refused,
		"azidentity-go":               ofOtherApp, "keycloak-broker": ofOtherApp,
		"auth-js-code-lost": lost, "go-autorest-adal-body-dropped-aks": lost, "openid-client-6-librechat": lost, "spring-security-body-lost": lost,
		"msal-java": expired, "msal-python-web-app": expired,
		"msal-java-0-x": unsent, "nextauth-4-openid-client-5": unsent,
		"az-cli-msal": {"broken conditional-access likely 53003", "broken conditional-access likely 53003"},
		"azure-login": {"broken credential-kind-wrong likely 7002138", "broken credential-kind-wrong likely 7002138"},
		// Of users or assertions: no secret is to blame.
		"azure-identity-python":           {"inconclusive - possible 700082", "working - confirmed 0"},
		"error-field-only-suberror-kusto": {"inconclusive - possible 50079", "working - confirmed 0"},
		"net-federated":                   {"inconclusive - possible 700024", "working - confirmed 0"},
		// The tenant is named, or blackened.
		"msal-python-discovery":                 {"inconclusive - possible 90002", "broken environment-drift likely 90002"},
		"msal-go-discovery-external-dns-logrus": {"inconclusive - possible 90002", "working - confirmed 0"},
		// No request was sent at all.
		"az-cli-argument-trap-no-aadsts-at-all": {"inconclusive - possible 0", "working - confirmed 0"},
	}
	lab := entralab.New(t)
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, lab.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"HOME": dir, "CREDSMITH_STATE_DIR": filepath.Join(dir, "state"), "SSL_CERT_FILE": ca}
	for _, line := range lab.Env() {
		if name, value, _ := strings.Cut(line, "="); strings.HasPrefix(name, "AZURE_") {
			env[name] = value
		}
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "aadsts", "testdata", "renderings", "*.txtar"))
	if err != nil || len(files) != 31 {
		t.Fatalf("%d renderings, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		_, text, _ := strings.Cut(read(t, file), "-- text --\n")
		text, _, _ = strings.Cut(text, "-- want.json --\n")
		alone, working := seenBy(t, text, map[string]string{"HOME": dir}), seenBy(t, text, env)
		want := tests[name]
		if alone != want.alone || working != want.working {
			t.Errorf("%s:\n alone   %s, want %s\n working %s, want %s", name, alone, want.alone, working, want.working)
		}
	}
}

// seenBy is the verdict on a text in short, with the code that was read.
func seenBy(t *testing.T, text string, env map[string]string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cli.Run(t.Context(), []string{"doctor", "--error", "-", "--fast", "-o", "json"}, cli.Env{
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Stdin:     strings.NewReader(text), Stdout: &stdout, Stderr: &stderr,
	})
	var r struct {
		Verdict, Cause, Confidence string
		Error                      struct{ Code int }
	}
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		return fmt.Sprintf("%v %s", err, stderr.String())
	}
	if r.Cause == "" {
		r.Cause = "-"
	}
	return fmt.Sprintf("%s %s %s %d", r.Verdict, r.Cause, r.Confidence, r.Error.Code)
}
