package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/credsmith/credsmith/internal/canary"
)

const badSecret = "aB38Q~0123456789abcdefghijklmnopqrs-._~X"

// badFiles are files that cannot be read, and what is said of each.
func badFiles() map[string][2]string {
	env := "AZURE_TENANT_ID=" + homeTenant + "\nAZURE_CLIENT_ID=" + clientID(1) + "\nAZURE_CLIENT_SECRET=" + badSecret
	return map[string][2]string{
		"binary/.env":            {"\x7fELF\x02\x01\x01\x00" + env, ":1:8: holds a zero byte"},
		"latin1/.env":            {env + "\nOWNER=Ren\xe9\n", ":4:10: is not UTF-8 (perhaps Latin-1 or Windows-1252): save it as UTF-8"},
		"utf16/.env":             {inUTF16(env), ":1:2: holds a zero byte"},
		"utf16cut/.env":          {"\xff\xfe" + inUTF16(env) + "x", "holds half a character of UTF-16"},
		"yaml/application.yml":   {"azure:\n  client-id: " + clientID(1) + "\n  client-secret: \"" + badSecret + "\n", ":3:18: malformed YAML"},
		"yaml/values.yaml":       {"azure:\n\tclientSecret: " + badSecret + "\n", ":2:1: malformed YAML"},
		"json/appsettings.json":  {"{\"AzureAd\": {\n  \"ClientSecret\": \"" + badSecret + "\",\n  oops\n}}", ":3:3: malformed JSON"},
		"json/cut.json":          {"{\"clientSecret\": \"" + badSecret + "\",\n", ":2:1: malformed JSON"},
		"xml/web.config":         {"<a>\n<add key='ida:ClientSecret' value='" + badSecret + "'></b>", ":2:"},
		"hcl/main.tf":            {"provider \"azurerm\" {\n  client_secret = \"" + badSecret + "\n}\n", ":2:19: malformed HCL: a string has no end on its line"},
		"extends/compose.yaml":   {"services:\n  a: {extends: b, environment: [AZURE_CLIENT_ID=x]}\n  b: {extends: a}\n", ":2:16: extends goes round in a circle"},
		"gone/compose.yaml":      {"services:\n  a:\n    env_file: gone.env\n", ":3:15: env_file cannot be read"},
		"import/application.yml": {"spring.config.import: file:gone.yml\nazure.client-secret: " + badSecret + "\n", ":1:23: spring.config.import cannot be read"},
		"base64/secret.yaml":     {"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  client-secret: " + badSecret + "\n", ":5:18: data of a Secret is not base64"},
		"alias/application.yml":  {"azure: &a\n  client-id: *a\n", ":2:14: malformed YAML: an alias stands inside its own anchor"},
		"section/grafana.ini":    {"[auth.azuread\nclient_secret = " + badSecret + "\n", ":1:1: malformed line: the section has no ]"},
	}
}

func inUTF16(text string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(text)) {
		b.WriteByte(byte(u))
		b.WriteByte(byte(u >> 8))
	}
	return b.String()
}

// TestBadInput: among 10,000 good settings every bad file is named with its
// place, in one line, without a value; all good ones are diagnosed.
func TestBadInput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"huge/.env": ": is larger than 10 MiB and was not read", "sparse/values.yaml": ": is larger than 10 MiB and was not read"}
	for name, bad := range badFiles() {
		write(name, bad[0], 0o600)
		want[name] = bad[1]
	}
	for name := range want {
		if strings.HasPrefix(name, "huge") || strings.HasPrefix(name, "sparse") {
			write(name, "", 0o600)
			if err := os.Truncate(filepath.Join(dir, name), 1<<30); err != nil {
				t.Fatal(err)
			}
		}
	}
	if os.Geteuid() != 0 { // root reads everything
		write("closed/.env", "AZURE_CLIENT_SECRET="+badSecret, 0o000)
		want["closed/.env"] = ": open: permission denied"
	}
	const files, each = 20, 500
	for i := range files {
		var b strings.Builder
		for j := range each {
			fmt.Fprintf(&b, "app%d: {tenantId: %s, clientId: %s, clientSecret: '%s'}\n", j, homeTenant, clientID(each*i+j), badSecret)
		}
		write(fmt.Sprintf("good/%02d/values.yaml", i), b.String(), 0o600)
	}

	code, stdout, stderr := runProgram(t, "doctor", "--from", dir, "--no-network", "-o", "json")
	var reports []placed
	if err := json.Unmarshal([]byte(stdout), &reports); err != nil || code != exitCannotTell {
		t.Fatalf("exit %d, %v: %.500s", code, err, stderr)
	}
	good := map[string]bool{}
	for _, r := range reports {
		if r.Setting.Value.Length == len(badSecret) && strings.HasPrefix(r.Setting.Origin, dir+"/good/") {
			good[r.Setting.ClientID] = true
		}
	}
	if len(good) != files*each {
		t.Errorf("%d good settings are diagnosed, want %d", len(good), files*each)
	}
	checkUnread(t, dir, stderr, want)
	if found := canary.Find([]byte(stderr), badSecret); len(found) > 0 || strings.Contains(stdout, badSecret[3:]) {
		t.Errorf("the output holds the value: %v", found)
	}

	code, stdout, stderr = runProgram(t, "drift", dir, "-o", "json")
	if code != exitProblem || strings.Count(stdout, `"client_id"`) < files*each {
		t.Errorf("drift: exit %d, %d apps", code, strings.Count(stdout, `"client_id"`))
	}
	checkUnread(t, dir, stderr, want)
}

func checkUnread(t *testing.T, dir, stderr string, want map[string]string) {
	t.Helper()
	lines := slices.Collect(strings.Lines(stderr))
	for name, says := range want {
		file := filepath.Join(dir, filepath.FromSlash(name))
		at := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "credsmith: "+file+":") })
		if at < 0 || !strings.Contains(lines[at], says) {
			t.Errorf("%s: want %q in\n%s", name, says, stderr)
			continue
		}
		lines = slices.Delete(lines, at, at+1)
	}
	if len(lines) > 0 {
		t.Errorf("nobody asked for: %s", lines)
	}
}
