package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/canary"
	"github.com/credsmith/credsmith/internal/cli"
)

// TestNothingLeaks runs whole commands with a known secret and searches all
// that comes out of them, stays on disk, or reaches the lab's history.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	home := t.TempDir()
	ca := filepath.Join(home, "ca.pem")
	if err := os.WriteFile(ca, lab.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"HOME": home, "CREDSMITH_STATE_DIR": filepath.Join(home, "state"), "SSL_CERT_FILE": ca}
	for _, line := range lab.Env() {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	value := env["AZURE_CLIENT_SECRET"]
	basic := base64.StdEncoding.EncodeToString([]byte(env["AZURE_CLIENT_ID"] + ":" + url.QueryEscape(value)))
	form := "grant_type=client_credentials&client_id=" + env["AZURE_CLIENT_ID"] + "&scope=x&client_secret=" + value
	post := "POST /contoso.com/oauth2/v2.0/token HTTP/1.1\nHost: login.microsoftonline.com\n"
	bad := htmlServer(t)
	files := settingsWith(t, env, value)
	config := bindingOver(t, env, filepath.Join(files, ".env"))
	tests := []struct {
		name  string
		args  []string
		stdin string
		env   map[string]string
	}{
		{name: "doctor", args: []string{"doctor"}},
		{name: "doctor json", args: []string{"doctor", "-o", "json", "-v"}},
		{name: "newline", args: []string{"doctor", "--fast"}, env: map[string]string{"AZURE_CLIENT_SECRET": value + "\n"}},
		{name: "quotes", args: []string{"doctor", "--fast", "-o", "json"}, env: map[string]string{"AZURE_CLIENT_SECRET": `"` + value + `"`}},
		{name: "base64", args: []string{"doctor", "--fast", "-v"}, env: map[string]string{"AZURE_CLIENT_SECRET": base64.StdEncoding.EncodeToString([]byte(value))}},
		{name: "typo", args: []string{"doctor", "--fast"}, env: map[string]string{"AZURE_CLIENT_SECRET": value[:39]}},
		{name: "no tenant", args: []string{"doctor", "--fast", "--graph=false", "-o", "json"}, env: map[string]string{"AZURE_TENANT_ID": "nonsense"}},
		{name: "secret as client id", args: []string{"doctor", "--fast", "-v"}, env: map[string]string{"AZURE_CLIENT_ID": value}},
		{name: "secret as client id, json", args: []string{"doctor", "--fast", "-o", "json", "-v"}, env: map[string]string{"AZURE_CLIENT_ID": value}},
		{name: "part of a secret as client id", args: []string{"doctor", "--fast", "-v"}, env: map[string]string{"AZURE_CLIENT_ID": value[:30]}},
		{name: "client id and secret swapped", args: []string{"doctor", "--fast", "-v"}, env: map[string]string{"AZURE_CLIENT_ID": value, "AZURE_CLIENT_SECRET": env["AZURE_CLIENT_ID"]}},
		{name: "client id and secret swapped, json", args: []string{"doctor", "--fast", "-o", "json"}, env: map[string]string{"AZURE_CLIENT_ID": value, "AZURE_CLIENT_SECRET": env["AZURE_CLIENT_ID"]}},
		{name: "secret as tenant", args: []string{"doctor", "--fast", "-v"}, env: map[string]string{"AZURE_TENANT_ID": value}},
		{name: "secret as tenant, json", args: []string{"doctor", "--fast", "-o", "json"}, env: map[string]string{"AZURE_TENANT_ID": value}},
		{name: "references followed", args: []string{"doctor", "--from", files, "--follow", "--fast", "-v", "-o", "json"}, env: map[string]string{"S": value}},
		{name: "stores", args: []string{"doctor", "--config", config, "--from", files, "--stores", "--fast", "-v"}},
		{name: "stores, json", args: []string{"doctor", "--config", config, "--stores", "--fast", "-o", "json"}},
		{name: "drift of stores", args: []string{"drift", "--config", config, files, "--stores", "-o", "json"}},
		{name: "from stdin", args: []string{"doctor", "--secret-stdin", "--fast"}, stdin: value},
		{name: "try", args: []string{"doctor", "--try", "graph", "-o", "json"}},
		{name: "try a vault", args: []string{"doctor", "--try", "keyvault", env["CREDSMITH_VAULT_URL"] + "/secrets/x", "-v"}},
		{name: "try a mailbox", args: []string{"doctor", "--try", "smtp", "smtp://" + value + "@contoso.com@127.0.0.1:1"}, env: map[string]string{"AZURE_CLIENT_SECRET": "x"}},
		{name: "try a password", args: []string{"doctor", "--try", "smtp", "smtp://app@contoso.com:" + value + "@127.0.0.1:1"}},
		{name: "offline", args: []string{"doctor", "--no-network", "-o", "json"}},
		{name: "from files", args: []string{"doctor", "--from", files, "--fast", "-v"}},
		{name: "from files, json", args: []string{"doctor", "--from", files, "--fast", "-o", "json"}},
		{name: "drift", args: []string{"drift", files}},
		{name: "drift, json", args: []string{"drift", files, "-o", "json", "-v"}},
		{name: "no such host", args: []string{"doctor", "--authority", "https://127.0.0.1:1", "-v"}},
		{name: "page in place of Entra", args: []string{"doctor", "--authority", bad, "-o", "json"}},
		{name: "operator refused", args: []string{"doctor", "--fast"}, env: map[string]string{"AZURE_CLIENT_SECRET": "x", "CREDSMITH_OPERATOR_CLIENT_SECRET": value}},
		{name: "request form", args: []string{"request", "-"}, stdin: post + "Content-Type: application/x-www-form-urlencoded\n\n" + form},
		{name: "request raw", args: []string{"request", "-"}, stdin: post + "\n" + form + "+%&" + value},
		{name: "request basic", args: []string{"request", "-", "-o", "json"}, stdin: post + "Authorization: Basic " + basic + "\n\ngrant_type=client_credentials"},
		{name: "request json", args: []string{"request", "-"}, stdin: post + "Content-Type: application/json\n\n{\"client_secret\":\"" + value + "\"}"},
		{name: "request curl", args: []string{"request", "-", "-o", "json"}, stdin: "curl -u 'x:" + value + "' https://login.microsoftonline.com/common/oauth2/token -d 'client_secret=" + value + "'"},
		{name: "request powershell", args: []string{"request", "-"}, stdin: "$s = '" + value + "'\nirm https://login.microsoftonline.com/" + value + "/oauth2/token -Method Post -Body @{client_secret=$s; resource=$s}"},
		{name: "request cmd", args: []string{"request", "-", "-o", "json"}, stdin: "curl ^\"https://login.microsoftonline.com/common/oauth2/token^\" ^\n -d \"client_secret=" + value + "\""},
		{name: "request postman", args: []string{"request", "-", "-o", "json"}, stdin: `{"item":[{"request":{"method":"POST","url":"https://login.microsoftonline.com/common/oauth2/token","body":{"mode":"urlencoded","urlencoded":[{"key":"client_secret","value":"` + value + `"}]}}},{"` + value},
		{name: "request log", args: []string{"request", "-"}, stdin: "send: b'POST /common/oauth2/token HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'\nsend: b'client_secret=" + value + "&scope=" + value + "'\n"},
		{name: "request broken", args: []string{"request", "-"}, stdin: value},
		{name: "explain", args: []string{"explain", "-"}, stdin: "POST client_secret=" + value + " => AADSTS7000215: Invalid client secret provided."},
		{name: "explain broken", args: []string{"explain", "-o", "json"}, stdin: `{"error":"invalid_client","error_description":"AADSTS7000215: ` + value + `","client_secret":"` + value + `"}`},
	}
	for _, tt := range tests {
		given := maps.Clone(env)
		maps.Copy(given, tt.env)
		var stdout, stderr bytes.Buffer
		cli.Run(t.Context(), tt.args, cli.Env{
			LookupEnv: func(name string) (string, bool) { v, ok := given[name]; return v, ok },
			Stdin:     strings.NewReader(tt.stdin), Stdout: &stdout, Stderr: &stderr,
		})
		if stdout.Len()+stderr.Len() == 0 {
			t.Errorf("%s: no output, so nothing was searched", tt.name)
		}
		if found := canary.Find(stdout.Bytes(), value); len(found) > 0 {
			t.Errorf("%s: stdout holds the secret (%v): %s", tt.name, found, stdout.String())
		}
		if found := canary.Find(stderr.Bytes(), value); len(found) > 0 {
			t.Errorf("%s: stderr holds the secret (%v): %s", tt.name, found, stderr.String())
		}
	}
	searchFiles(t, home, value)
	searchControl(t, lab, value)
}

// settingsWith returns a directory of files that hold the value in every state:
// right, wrong, as a reference, and where it does not belong. It lies outside
// of what is searched afterwards.
func settingsWith(t *testing.T, env map[string]string, value string) string {
	t.Helper()
	dir := t.TempDir()
	ids := "AZURE_TENANT_ID=" + env["AZURE_TENANT_ID"] + "\nAZURE_CLIENT_ID=" + env["AZURE_CLIENT_ID"] + "\n"
	for name, text := range map[string]string{
		".env":                  ids + "AZURE_CLIENT_SECRET=" + value + "\n",
		"staging/cut.env":       ids + "AZURE_CLIENT_SECRET=" + value[:39] + "\n",
		"prod/.env":             ids + "AZURE_CLIENT_SECRET=\"" + value + "\n",
		"a/.env":                ids + "AZURE_CLIENT_SECRET=$(printf %s " + value + ")\n",
		"b/.env":                ids + "AZURE_CLIENT_SECRET=${S:-" + value + "}\n",
		"c/.env":                ids + "AZURE_CLIENT_SECRET=${" + value + "}\n",
		"d/.env":                "AZURE_TENANT_ID=" + env["AZURE_TENANT_ID"] + "\nAZURE_CLIENT_ID=" + env["AZURE_CLIENT_ID"] + "\nAZURE_CLIENT_SECRET=$__file{" + value + "}\n",
		"e/app.yaml":            "azure: {tenantId: x, clientId: ${{ " + value + " }}, clientSecret: '" + value + "'\n",
		"f/main.tf":             "provider \"azurerm\" {\n  client_id = \"" + env["AZURE_CLIENT_ID"] + "\"\n  client_secret = var." + value + "\n}\n",
		"g/appsettings.json":    `{"AzureAd": {"ClientId": "` + env["AZURE_CLIENT_ID"] + `", "ClientSecret": "@Microsoft.KeyVault(SecretUri=https://v/secrets/` + value + `/` + value + `)", ` + value + `}`,
		"h/local.settings.json": `{"Values": {"AzureAd__ClientId": "` + env["AZURE_CLIENT_ID"] + `", "AzureAd__ClientSecret": "@Microsoft.KeyVault(SecretUri=https://v/secrets/` + value + `/` + value + `)"}}`,
		"i/ci.yml":              "jobs: {a: {env: {AZURE_CLIENT_ID: '${{ secrets." + value + " }}', AZURE_CLIENT_SECRET: '{{ " + value + " }}'}}}\n",
		"k/.env":                "AZURE_TENANT_ID=" + value + "\nAZURE_CLIENT_ID=" + value + "\nAZURE_CLIENT_SECRET=" + env["AZURE_CLIENT_ID"] + "\n",
		"l/.env":                "AZURE_TENANT_ID=" + env["AZURE_TENANT_ID"] + "\nAZURE_CLIENT_ID=" + value + "\nAZURE_CLIENT_SECRET=" + env["AZURE_CLIENT_ID"] + "\n",
		"m/.env":                "AZURE_TENANT_ID=" + env["AZURE_TENANT_ID"] + "\nAZURE_CLIENT_ID=" + value[:35] + "\nAZURE_CLIENT_SECRET=" + value + "\n",
		"j/pod.yaml":            "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: c, env: [{name: AZURE_CLIENT_ID, value: x}, {name: AZURE_CLIENT_SECRET, valueFrom: {secretKeyRef: {name: '" + value + "', key: '" + value + "'}}}]}]}\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// bindingOver is a configuration with a binding whose place is a file. Its
// store does not exist yet.
func bindingOver(t *testing.T, env map[string]string, file string) string {
	t.Helper()
	text := fmt.Sprintf("tenants:\n  lab:\n    tenant_id: %s\n    cloud: {authority: %q, graph: %q}\nstore: sqlite:./credsmith.db\nbindings:\n  billing-api:\n    app: %s\n    lifetime: 90d\n    sinks:\n      - dotenv: {file: %s, key: AZURE_CLIENT_SECRET}\n",
		env["AZURE_TENANT_ID"], env["AZURE_AUTHORITY_HOST"], env["CREDSMITH_GRAPH_URL"], env["AZURE_CLIENT_ID"], file)
	path := filepath.Join(t.TempDir(), "credsmith.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func searchFiles(t *testing.T, dir, value string) {
	t.Helper()
	searched := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		searched++
		if found := canary.Find(data, value); len(found) > 0 {
			t.Errorf("%s holds the secret (%v)", path, found)
		}
		return err
	})
	if err != nil || searched < 3 { // the CA, the key, the records
		t.Errorf("%d files were searched, %v", searched, err)
	}
}

func searchControl(t *testing.T, lab *entralab.Lab, value string) {
	t.Helper()
	for _, path := range []string{"/control/history?after=0", "/control/state"} {
		resp, err := http.Get(lab.ControlURL() + path)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(resp.Body)
		resp.Body.Close()
		if err != nil || body.Len() < 100 {
			t.Errorf("%s: %d bytes, %v", path, body.Len(), err)
		}
		if found := canary.Find(body.Bytes(), value); len(found) > 0 {
			t.Errorf("the lab's %s holds the secret (%v)", path, found)
		}
	}
}

// TestLeakIsCaught is the positive control: output that leaks on purpose.
func TestLeakIsCaught(t *testing.T) {
	t.Parallel()
	value := "Can8Q~0123456789abcdefghijklmnopqrs-._~Z"
	for name, leak := range map[string]string{
		"an error with the value":  fmt.Sprintf("sign-in with %q failed", value),
		"a header dump":            "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("id:"+value)),
		"a form dump":              url.Values{"client_secret": {strings.ReplaceAll(value, "~", "+")}, "x": {value}}.Encode(),
		"half of the value logged": value[:20],
	} {
		if len(canary.Find([]byte(leak), value)) == 0 {
			t.Errorf("%s goes unseen: %s", name, leak)
		}
	}
}

func htmlServer(t *testing.T) string {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	t.Cleanup(server.Close)
	return server.URL
}
