package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// TestComposeRecipe takes the recipe of the documentation and runs the lab's
// command line as written there, but for directories and ports.
func TestComposeRecipe(t *testing.T) {
	t.Parallel()
	page := read(t, filepath.Join("..", "..", "docs", "lab.md"))
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(page)
	if block == nil {
		t.Fatal("docs/lab.md shows no recipe")
	}
	var recipe struct {
		Services map[string]struct {
			Command     string
			Volumes     []string
			Healthcheck struct{ Test []string }
		}
		Volumes map[string]any
	}
	if err := yaml.Unmarshal([]byte(block[1]), &recipe); err != nil || len(recipe.Services) != 2 || len(recipe.Volumes) != 2 {
		t.Fatalf("%+v, %v", recipe, err)
	}
	dir := t.TempDir()
	share := filepath.Join(dir, "share")
	if err := os.Mkdir(share, 0o700); err != nil {
		t.Fatal(err)
	}
	line := strings.NewReplacer("/data", filepath.Join(dir, "data"), "/share", share, "--port-base 8443", "--port-base 0").Replace(recipe.Services["lab"].Command)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	credsmith := filepath.Join(dir, "credsmith") // testscript runs main under this name
	if err := os.Symlink(program, credsmith); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(credsmith, strings.Fields(line)[1:]...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	warning := make([]byte, len("WARNING: this lab listens on 0.0.0.0"))
	if _, err := io.ReadFull(stderr, warning); err != nil || string(warning) != "WARNING: this lab listens on 0.0.0.0" {
		t.Fatalf("the lab says %q, %v", warning, err)
	}
	lines := bufio.NewScanner(stdout) // the addresses follow when all of them answer
	for lines.Scan() && lines.Text() != "stop with Ctrl-C" {
	}
	env := read(t, filepath.Join(share, "lab.env"))
	values := map[string]string{}
	for line := range strings.Lines(env) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[name] = value
	}
	authority := values["AZURE_AUTHORITY_HOST"]
	if !strings.HasPrefix(authority, "https://lab:") || !strings.HasPrefix(values["CREDSMITH_LAB_CONTROL"], "http://127.0.0.1:") {
		t.Fatalf("authority %q, control %q", authority, values["CREDSMITH_LAB_CONTROL"])
	}
	ca, err := os.ReadFile(values["SSL_CERT_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(authority, "https://"))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "lab"}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequest(http.MethodGet, "https://127.0.0.1:"+port+"/common/v2.0/.well-known/openid-configuration", nil)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{"lab:" + port: 200, "login.microsoftonline.com": 421} {
		request.Host = host
		resp, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s is answered %d, want %d", host, resp.StatusCode, want)
		}
	}
	control, err := http.NewRequest(http.MethodGet, values["CREDSMITH_LAB_CONTROL"]+"/control/state", nil)
	if err != nil {
		t.Fatal(err)
	}
	control.Host = "lab"
	resp, err := transport.RoundTrip(control)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("control answers for the name lab with %d", resp.StatusCode)
	}
}
