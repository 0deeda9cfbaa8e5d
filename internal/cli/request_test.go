package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/internal/canary"
	"github.com/credsmith/credsmith/internal/cli"
)

// TestListen runs the stand-in as a user does: started in one shell, an
// application pointed at it, stopped by count or with Ctrl-C.
func TestListen(t *testing.T) {
	t.Parallel()
	const secret = "kZ48Q~vTn3bXw.LqPz_7RmYcD-sFgHj2KtW9eBaU"
	const form = "client_id=03146f14-24fa-4cde-8455-537c6ff06a55&client_secret=" + secret + "&scope=https://graph.microsoft.com/.default&grant_type="
	for _, test := range []struct {
		name   string
		args   []string
		grants []string
		stop   bool
		code   int
		stdout string
	}{
		{"faults", []string{"--count", "2", "-o", "json"}, []string{"client_credentials", "client_credential"}, false, 1, "grant-type-wrong"},
		{"none", []string{"--count", "1"}, []string{"client_credentials"}, false, 0, "request 1\nworking: the request is well formed\n"},
		{"text", []string{"--count", "1"}, []string{"x"}, false, 1, "request 1\ngrant-type-wrong (parameter grant_type): "},
		{"Ctrl-C", nil, []string{"client_credentials"}, true, 130, "request 1\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			says, stderr := io.Pipe()
			var stdout bytes.Buffer
			code := make(chan int, 1)
			go func() {
				args := append([]string{"request", "--listen", "127.0.0.1:0"}, test.args...)
				code <- cli.Run(ctx, args, cli.Env{LookupEnv: lookup(nil), Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: stderr})
				stderr.Close()
			}()
			lines := bufio.NewReader(says)
			line, err := lines.ReadString('\n')
			base, _, ok := strings.Cut(strings.TrimPrefix(line, "listening on "), " ")
			if err != nil || !ok || !strings.HasPrefix(base, "http://127.0.0.1:") {
				t.Fatalf("it says %q, %v", line, err)
			}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			for _, grant := range test.grants {
				resp, err := client.Post(base+"/7f1c0d3e-8a52-4d0b-9a53-1c1f3f3f2b11/oauth2/v2.0/token", "application/x-www-form-urlencoded", strings.NewReader(form+grant))
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			}
			if test.stop {
				stop()
			}
			rest, err := io.ReadAll(lines)
			if got := <-code; got != test.code || err != nil {
				t.Errorf("exit code %d, want %d; %v, %s", got, test.code, err, rest)
			}
			if !strings.Contains(stdout.String(), test.stdout) {
				t.Errorf("stdout is %q, want %q in it", stdout.String(), test.stdout)
			}
			if found := canary.Find(append(rest, stdout.Bytes()...), secret); len(found) > 0 {
				t.Errorf("the output holds the secret (%v): %s", found, stdout.String())
			}
			if len(test.args) == 4 { // JSON: one object a line
				for line := range strings.Lines(stdout.String()) {
					if !json.Valid([]byte(line)) {
						t.Errorf("not a JSON object: %s", line)
					}
				}
				if n := strings.Count(stdout.String(), "\n"); n != 2 {
					t.Errorf("%d lines, want 2", n)
				}
			}
		})
	}
}
