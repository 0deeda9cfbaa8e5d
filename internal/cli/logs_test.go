package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/credsmith/credsmith/internal/logscan"
)

const logLine = "2026-01-02T03:04:05Z ERROR AADSTS7000222: The provided client secret keys for app '03146f14-24fa-4cde-8455-537c6ff06a55' are expired. Trace ID: "

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstded(t *testing.T, text string) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll([]byte(text), nil)
}

func runLogs(t *testing.T, stdin []byte, args ...string) (logscan.Result, int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := Run(t.Context(), append([]string{"logs", "-o", "json"}, args...), Env{
		LookupEnv: func(string) (string, bool) { return "", false }, Stdin: bytes.NewReader(stdin), Stdout: &stdout, Stderr: &stderr})
	var r logscan.Result
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("%v in %q, standard error %q", err, stdout.String(), stderr.String())
	}
	return r, code
}

func TestLogsCompressed(t *testing.T) {
	t.Parallel()
	one := logLine + "4d2d9295-f94e-430b-95a6-030b76c95900\n"
	two := strings.Repeat("filler\n", 5000) + logLine + "5d2d9295-f94e-430b-95a6-030b76c95900\n"
	damaged := gzipped(t, one+strings.Repeat("filler that does not shrink away\n", 5000))
	for _, test := range []struct {
		name     string
		data     []byte
		failures int64
		bytes    int
		broken   string
		code     int
	}{
		{"gzip", gzipped(t, one+two), 2, len(one + two), "", exitProblem},
		{"two members", append(gzipped(t, one), gzipped(t, two)...), 2, len(one + two), "", exitProblem},
		{"zstd", zstded(t, one+two), 2, len(one + two), "", exitProblem},
		{"two frames", append(zstded(t, one), zstded(t, two)...), 2, len(one + two), "", exitProblem},
		{"cut gzip", damaged[:len(damaged)-4], 1, len(one) + 5000*33, "unexpected EOF", exitProblem},
		{"gzip with nothing in it", gzipped(t, "")[:5], 0, 0, "unexpected EOF", exitCannotTell},
		{"plain", []byte(one), 1, len(one), "", exitProblem},
		{"nothing", nil, 0, 0, "", exitFine},
		{"three bytes", []byte("\x28\xb5\x2f"), 0, 3, "", exitFine},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "app.log") // the name says nothing
			if err := os.WriteFile(file, test.data, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, source := range []string{file, "-"} {
				r, code := runLogs(t, test.data, source)
				if r.Failures != test.failures || r.Bytes != int64(test.bytes) || code != test.code {
					t.Errorf("%s: %d failures in %d bytes, exit %d; want %d, %d, %d", source, r.Failures, r.Bytes, code, test.failures, test.bytes, test.code)
				}
				if (test.broken == "") != (len(r.Errors) == 0) || test.broken != "" && !strings.Contains(r.Errors[0].Error, test.broken) {
					t.Errorf("%s: errors %v, want %q", source, r.Errors, test.broken)
				}
			}
		})
	}
}

func TestLogsDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"a/app.log", "a/b/app.log", "a/b/old.txt", "skip/app.log"} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(logLine+"4d2d9295-f94e-430b-95a6-030b76c9590"+string('0'+byte(len(name)%10))+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		args  []string
		lines int64
	}{
		{nil, 4}, {[]string{"--include", "*.log"}, 3}, {[]string{"--exclude", "skip/*"}, 3}, {[]string{"--include", "*.log", "--exclude", "a/b/*"}, 2},
	} {
		if r, _ := runLogs(t, nil, append(test.args, dir)...); r.Lines != test.lines {
			t.Errorf("%v: %d lines, want %d", test.args, r.Lines, test.lines)
		}
	}
}

func TestLogsReportEscapesAndAsksNobody(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := logscan.Result{Incidents: []logscan.Incident{{ID: "incident-1", First: &at, Last: &at, Started: &at, Rate: []uint32{0, 3}, Files: map[string]int64{},
		Changes: []logscan.Change{{At: at.Add(-time.Hour), What: `<script>alert(1)</script>`, Source: `"><img src=x>`}}}}}
	var page bytes.Buffer
	if err := writeLogsReport(&page, r); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	for _, bad := range []string{"<script", "<img", "http://", "https://", "url("} {
		if strings.Contains(text, bad) {
			t.Errorf("the report holds %q", bad)
		}
	}
	for _, want := range []string{`<rect class="failures" x="788`, `<line class="change" x1="201`, "&lt;script&gt;alert(1)&lt;/script&gt;", "2026-01-02 03:04:05Z", "<title>3 failures</title>", "default-src &#39;none&#39;"} {
		if !strings.Contains(text, want) && !strings.Contains(text, strings.ReplaceAll(want, "&#39;", "'")) {
			t.Errorf("the report lacks %q", want)
		}
	}
}

// TestLogsExports: an export is known by its beginning, packed or not.
func TestLogsExports(t *testing.T) {
	t.Parallel()
	const secretText = "abc8Q~0123456789012345678901234567890123"
	export := `{"tables":[{"name":"PrimaryResult","columns":[{"name":"TimeGenerated","type":"datetime"},{"name":"AppId","type":"string"},{"name":"ResultType","type":"string"},{"name":"IPAddress"},{"name":"ServicePrincipalName"}],"rows":[
["2026-01-02T03:04:05Z","03146f14-24fa-4cde-8455-537c6ff06a55","700016","203.0.113.7","billing ` + secretText + `"],
["2026-01-02T03:05:05Z","03146f14-24fa-4cde-8455-537c6ff06a55","0","203.0.113.8","billing"]]}]}`
	for name, data := range map[string][]byte{"plain": []byte(export), "gzip": gzipped(t, export), "zstd": zstded(t, export)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file, report := filepath.Join(dir, "query.json"), filepath.Join(dir, "report.html")
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, source := range []string{file, "-"} {
				r, code := runLogs(t, data, source, "--report", report)
				if code != exitProblem || r.Failures != 1 || r.Bytes != int64(len(export)) || len(r.Incidents) != 1 || len(r.Errors) != 0 {
					t.Fatalf("%s: exit %d, %+v", source, code, r)
				}
				in := r.Incidents[0]
				if in.Codes[0] != 700016 || in.Class != "app_not_found" || in.Places[0].Host != "203.0.113.7" || strings.Join(in.QuietPlaces, " ") != "203.0.113.8" || in.Name != "billing [secret]" || in.Succeeded.Times != 1 {
					t.Errorf("%s: %+v", source, in)
				}
				if len(r.Secrets) != 1 || export[r.Secrets[0].Offset:][:40] != secretText {
					t.Errorf("%s: secrets %+v", source, r.Secrets)
				}
				page, err := os.ReadFile(report)
				if err != nil || strings.Contains(string(page), "8Q~") || !strings.Contains(string(page), "billing [secret]") {
					t.Errorf("%s: the report: %v", source, err)
				}
			}
		})
	}
}

// TestLogsPageFitsAScreen: many incidents are a table and a few in full.
func TestLogsPageFitsAScreen(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 40 {
		app := strings.Repeat(string('a'+rune(i%6)), 8) + "-24fa-4cde-8455-5" + strings.Repeat(string('0'+rune(i/6)), 11)
		for j := range 50 - i {
			fmt.Fprintf(&log, "%s ERROR AADSTS7000222: The provided client secret keys for app '%s' are expired. Trace ID: %08d-%04d-430b-95a6-030b76c95900\n", at.Add(time.Duration(j)*time.Minute).Format(time.RFC3339), app, i, j)
		}
	}
	var stdout bytes.Buffer
	code := Run(t.Context(), []string{"logs"}, Env{LookupEnv: func(string) (string, bool) { return "", false }, Stdin: strings.NewReader(log.String()), Stdout: &stdout, Stderr: &stdout})
	const screen = 50
	if lines := strings.Count(stdout.String(), "\n"); code != exitProblem || lines > screen {
		t.Errorf("exit %d, %d lines:\n%s", code, lines, stdout.String())
	}
	for _, want := range []string{" 1  aaaaaaaa-24fa", "    and 30 more", "38 incidents are not in full", "to prove it credsmith doctor --tenant TENANT_ID --client-id aaaaaaaa", "times that name no zone were taken as UTC"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%s\nlacks %q", stdout.String(), want)
		}
	}
}
