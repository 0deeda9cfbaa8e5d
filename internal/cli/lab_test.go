package cli_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/smtp"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/internal/cli"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lookup answers from a map, as os.LookupEnv does from the environment.
func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}

// TestLab runs the lab as a user does: started in one shell, used from
// another through its env file, stopped with Ctrl-C.
func TestLab(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "lab.env")
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	var stderr bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- cli.Run(ctx, []string{"lab", "--env-file", file, "-o", "json"}, cli.Env{LookupEnv: lookup(nil), Stdin: strings.NewReader(""), Stdout: in, Stderr: &stderr})
		in.Close()
	}()
	var says struct {
		Authority string
		CAFile    string `json:"ca_file"`
	}
	if err := json.NewDecoder(out).Decode(&says); err != nil {
		t.Fatalf("the lab does not say where it is: %v; %s", err, stderr.String())
	}
	env := readEnvFile(t, file)
	for _, name := range []string{
		"AZURE_AUTHORITY_HOST", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "CREDSMITH_LAB_SECRET_ID", "CREDSMITH_GRAPH_URL", "CREDSMITH_VAULT_URL",
		"CREDSMITH_LAB_CONTROL", "CREDSMITH_OPERATOR_CLIENT_ID", "CREDSMITH_OPERATOR_CLIENT_SECRET", "CREDSMITH_OPERATOR_SECRET_ID",
		"CREDSMITH_OPERATOR_TENANT_ID", "CREDSMITH_OPERATOR_AUTHORITY_HOST", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS",
	} {
		if env[name] == "" {
			t.Errorf("%s is not in the env file", name)
		}
	}
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("env file: %v, %v; want mode 0600", info.Mode(), err)
	}
	if env["AZURE_AUTHORITY_HOST"] != says.Authority || env["SSL_CERT_FILE"] != says.CAFile {
		t.Errorf("the env file and the output disagree: %v", says)
	}
	stop()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d after Ctrl-C, want 0; %s", got, stderr.String())
	}
	for _, left := range []string{file, says.CAFile} {
		if _, err := os.Stat(left); !os.IsNotExist(err) {
			t.Errorf("%s is left behind (%v)", left, err)
		}
	}
}

// TestLabStrict: --strict reaches the answers, and the seed decides them.
func TestLabStrict(t *testing.T) {
	t.Parallel()
	shape := func(args ...string) string {
		ctx, stop := context.WithCancel(t.Context())
		out, in := io.Pipe()
		var stderr bytes.Buffer
		code := make(chan int, 1)
		go func() {
			code <- cli.Run(ctx, append([]string{"lab", "-o", "json", "--random-seed", "5"}, args...), cli.Env{LookupEnv: lookup(nil), Stdin: strings.NewReader(""), Stdout: in, Stderr: &stderr})
			in.Close()
		}()
		var says struct {
			Authority string
			TenantID  string `json:"tenant_id"`
			CAFile    string `json:"ca_file"`
		}
		if err := json.NewDecoder(out).Decode(&says); err != nil {
			t.Fatalf("the lab does not say where it is: %v; %s", err, stderr.String())
		}
		trust := x509.NewCertPool()
		ca, err := os.ReadFile(says.CAFile)
		if err != nil || !trust.AppendCertsFromPEM(ca) {
			t.Fatalf("CA: %v", err)
		}
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}}
		resp, err := (&http.Client{Transport: transport}).Get(says.Authority + "/" + says.TenantID + "/discovery/v2.0/keys")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		transport.CloseIdleConnections()
		stop()
		if got := <-code; got != 0 || err != nil {
			t.Errorf("exit code %d, %v; %s", got, err, stderr.String())
		}
		return regexp.MustCompile(`labProperty\w+`).FindString(string(body))
	}
	if got := shape(); got != "" {
		t.Errorf("without --strict: %s", got)
	}
	first := shape("--strict")
	if again := shape("--strict"); first == "" || again != first {
		t.Errorf("with --strict: %q, then %q", first, again)
	}
}

// TestLabMail: --mail names two more addresses, and they answer.
func TestLabMail(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "lab.env")
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	var stderr bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- cli.Run(ctx, []string{"lab", "--mail", "--env-file", file, "-o", "json"}, cli.Env{LookupEnv: lookup(nil), Stdin: strings.NewReader(""), Stdout: in, Stderr: &stderr})
		in.Close()
	}()
	var says struct{ SMTP, IMAP, Mailbox string }
	if err := json.NewDecoder(out).Decode(&says); err != nil {
		t.Fatalf("the lab does not say where it is: %v; %s", err, stderr.String())
	}
	env := readEnvFile(t, file)
	if says.SMTP == "" || env["CREDSMITH_LAB_SMTP"] != says.SMTP || env["CREDSMITH_LAB_IMAP"] != says.IMAP || says.Mailbox != "lab-mail@contoso.lab.test" {
		t.Errorf("the env file and the output disagree: %v, %v", says, env)
	}
	trust := x509.NewCertPool()
	ca, err := os.ReadFile(env["SSL_CERT_FILE"])
	if err != nil || !trust.AppendCertsFromPEM(ca) {
		t.Fatalf("CA: %v", err)
	}
	token := labToken(t, env, trust)

	client, err := smtp.Dial(says.SMTP)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.StartTLS(&tls.Config{RootCAs: trust, ServerName: "127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	message := base64.StdEncoding.EncodeToString([]byte("user=" + says.Mailbox + "\x01auth=Bearer " + token + "\x01\x01"))
	if _, err := client.Text.Cmd("AUTH XOAUTH2 %s", message); err != nil {
		t.Fatal(err)
	}
	if _, text, err := client.Text.ReadResponse(235); err != nil {
		t.Errorf("SMTP: %s, %v", text, err)
	}
	conn, err := tls.Dial("tcp", says.IMAP, &tls.Config{RootCAs: trust, ServerName: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	text := textproto.NewConn(conn)
	text.ReadLine() // the greeting
	text.PrintfLine("A AUTHENTICATE XOAUTH2 %s", message)
	text.PrintfLine("B EXAMINE INBOX")
	answer := ""
	for !strings.HasPrefix(answer, "B ") {
		if answer, err = text.ReadLine(); err != nil {
			t.Fatal(err)
		}
	}
	if answer != "B OK [READ-ONLY] EXAMINE completed" {
		t.Errorf("IMAP: %s", answer)
	}
	stop()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d after Ctrl-C, want 0; %s", got, stderr.String())
	}
}

// labToken asks the lab for a token for mail, as the app of the env file.
func labToken(t *testing.T, env map[string]string, trust *x509.CertPool) string {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	resp, err := client.PostForm(env["AZURE_AUTHORITY_HOST"]+"/"+env["AZURE_TENANT_ID"]+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "scope": {"https://outlook.office365.com/.default"},
		"client_id": {env["AZURE_CLIENT_ID"]}, "client_secret": {env["AZURE_CLIENT_SECRET"]},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatalf("no token: %s, %v", resp.Status, err)
	}
	return answer.Token
}

func readEnvFile(t *testing.T, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok || strings.ContainsAny(value, "\"' ") {
			t.Errorf("line %q is not an unquoted KEY=VALUE", name)
		}
		env[name] = value
	}
	return env
}
