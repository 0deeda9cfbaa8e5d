package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/credsmith/credsmith/internal/logscan"
)

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLogsFollow(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "app.log")
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var stdout, stderr bytes.Buffer
				ended := make(chan int)
				go func() {
					ended <- Run(ctx, []string{"logs", "--follow", "-o", format, file}, Env{
						LookupEnv: func(string) (string, bool) { return "", false }, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr})
				}()
				time.Sleep(2 * time.Second)
				appendTo(t, file, logLine+"4d2d9295-f94e-430b-95a6-030b76c95900\n")
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if n := strings.Count(stdout.String(), "secret_expired"); n != 1 {
					t.Errorf("one failure is shown %d times: %s", n, stdout.String())
				}
				if err := os.Rename(file, file+".1"); err != nil {
					t.Fatal(err)
				}
				appendTo(t, file, logLine+"5d2d9295-f94e-430b-95a6-030b76c95900\n")
				time.Sleep(2 * time.Second)
				cancel()
				if code := <-ended; code != exitProblem {
					t.Errorf("exit %d, stderr %s", code, stderr.String())
				}
				if format == "text" {
					for _, want := range []string{"secret_expired: 2 failures, steady, last 2026-01-02 03:04:05Z", "2 failures in 2 lines"} {
						if !strings.Contains(stdout.String(), want) {
							t.Errorf("%s lacks %q", stdout.String(), want)
						}
					}
					return
				}
				var events []string
				var last struct {
					Event    string
					Incident logscan.Incident
					Result   logscan.Result
				}
				for decoder := json.NewDecoder(&stdout); decoder.More(); {
					if err := decoder.Decode(&last); err != nil {
						t.Fatal(err)
					}
					events = append(events, last.Event)
				}
				if strings.Join(events, " ") != "incident incident summary" || last.Result.Failures != 2 || last.Incident.Failures != 2 || len(last.Result.Errors) != 0 {
					t.Errorf("events %v, last %+v", events, last)
				}
			})
		})
	}
}
