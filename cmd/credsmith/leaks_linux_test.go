package main

import (
	"compress/gzip"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/audit"
	"github.com/credsmith/credsmith/internal/rotate"
	"github.com/credsmith/credsmith/internal/store"
)

func init() { leakOnPurpose = runLeak }

// leaky is a place for one deliberate leak.
type leaky struct {
	*testing.T
	dir, value string
	evidence
}

func (l leaky) path(name string) string { return filepath.Join(l.dir, name) }

func (l leaky) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l leaky) write(name, text string) { l.must(os.WriteFile(l.path(name), []byte(text), 0o600)) }

// child runs this test binary as a process that leaks, and waits for its end.
func (l leaky) child(how string, args ...string) {
	l.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"-c", `ulimit -c unlimited 2>/dev/null; exec "$0" "$@"`, os.Args[0]}, args...)...)
	cmd.Dir = l.dir
	cmd.Env = append(os.Environ(), leakChild+"="+how, "GOTRACEBACK=crash")
	input, err := cmd.StdinPipe()
	l.must(err)
	var errs strings.Builder
	cmd.Stderr = &errs
	l.must(cmd.Start())
	fmt.Fprintln(input, l.value)
	cmd.Wait()
	l.evidence["stderr"] = []byte(errs.String())
}

// runLeak is what such a process does.
func runLeak(how string) {
	var value string
	fmt.Scanln(&value)
	switch how {
	case "panic":
		panic("the token endpoint refused " + value)
	case "core":
		noted = []byte(value)
		syscall.Kill(syscall.Getpid(), syscall.SIGABRT)
		time.Sleep(time.Minute)
	}
}

var noted []byte

// database runs statements on a database that is left as they leave it.
func (l leaky) database(statements ...string) *sql.DB {
	l.Helper()
	db, err := sql.Open("sqlite", l.path("credsmith.db"))
	l.must(err)
	db.SetMaxOpenConns(1)
	for _, s := range append([]string{"PRAGMA journal_mode=WAL", "PRAGMA secure_delete=OFF", "CREATE TABLE t (v TEXT)"}, statements...) {
		_, err := db.Exec(s, l.valueFor(s)...)
		l.must(err)
	}
	return db
}

func (l leaky) valueFor(statement string) []any {
	if strings.Contains(statement, "?") {
		return []any{l.value}
	}
	return nil
}

func (l leaky) json(v any) []byte {
	text, err := json.Marshal(v)
	l.must(err)
	return text
}

// request dumps a request as a server or a proxy would log it.
func (l leaky) request(change func(*http.Request)) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		dump, err := httputil.DumpRequest(r, false)
		l.must(err)
		l.evidence["requests"] = dump
	}))
	defer server.Close()
	req, err := http.NewRequestWithContext(l.Context(), http.MethodGet, server.URL+"/", nil)
	l.must(err)
	change(req)
	resp, err := server.Client().Do(req)
	l.must(err)
	l.must(resp.Body.Close())
}

// waiting looks at a process of cat, which waits for input, and ends it.
func (l leaky) waiting(cmd *exec.Cmd) {
	input, err := cmd.StdinPipe()
	l.must(err)
	output, err := cmd.StdoutPipe()
	l.must(err)
	l.must(cmd.Start())
	// Start returns amid exec, when the kernel does not show the environment yet.
	_, err = io.WriteString(input, "up\n")
	l.must(err)
	_, err = io.ReadFull(output, make([]byte, 3))
	l.must(err)
	l.evidence.process(cmd.Process.Pid)
	l.must(errors.Join(input.Close(), cmd.Process.Kill()))
	cmd.Wait()
}

// leaks are the channels: each puts the value where it must not be.
var leaks = []struct {
	name  string
	where string
	leak  func(leaky)
}{
	{"argument of a program", "cmdline", func(l leaky) { l.waiting(exec.Command("/bin/cat", "-", l.value)) }},
	{"environment of a program", "environ", func(l leaky) {
		cmd := exec.Command("/bin/cat")
		cmd.Env = []string{"CLIENT_SECRET=" + l.value}
		l.waiting(cmd)
	}},
	{"log line", "stderr", func(l leaky) {
		var text strings.Builder
		slog.New(slog.NewTextHandler(&text, nil)).Info("delivered", "value", l.value)
		l.evidence["stderr"] = []byte(text.String())
	}},
	{"error text", "stderr", func(l leaky) {
		_, err := url.Parse("http://vault.test/%zz?value=" + l.value)
		l.evidence["stderr"] = []byte(err.Error())
	}},
	{"temporary file", "file left-", func(l leaky) {
		f, err := os.CreateTemp(l.dir, "left-")
		l.must(err)
		fmt.Fprint(f, l.value)
		l.must(f.Close())
	}},
	{"file of a write that was cut off", "file .app.env.", func(l leaky) {
		l.write(".app.env.1a2b.tmp", "AZURE_CLIENT_SECRET="+l.value[:20])
	}},
	{"column of the database", "file credsmith.db", func(l leaky) { l.must(l.database("INSERT INTO t VALUES (?)").Close()) }},
	{"write-ahead log", "file credsmith.db-wal", func(l leaky) {
		db := l.database("INSERT INTO t VALUES (?)", "DELETE FROM t")
		defer db.Close()
		l.files(l.T, l.dir)
	}},
	{"free page of the database", "file credsmith.db", func(l leaky) {
		l.must(l.database("INSERT INTO t VALUES (?)", "DELETE FROM t", "PRAGMA wal_checkpoint(TRUNCATE)").Close())
	}},
	{"job of the queue", "file credsmith.db", func(l leaky) {
		db := l.database("CREATE TABLE river_job (args TEXT)")
		_, err := db.Exec("INSERT INTO river_job VALUES (?)", l.json(map[string]string{"rotation": "r-1", "value": l.value}))
		l.must(errors.Join(err, db.Close()))
	}},
	{"audit record", "file credsmith.db", func(l leaky) {
		s, err := store.Open(l.Context(), "sqlite:"+l.path("credsmith.db"), store.Options{Holder: "x", Now: time.Now})
		l.must(err)
		l.must(s.Record(l.Context(), audit.Entry{At: time.Now(), Action: audit.Deliver, Outcome: audit.Unknown, Detail: "PUT {\"value\":\"" + l.value + "\"}: 500"}))
		l.must(s.Close())
	}},
	{"history as JSON", "stdout", func(l leaky) {
		l.evidence["stdout"] = l.json([]rotate.Rotation{{Trouble: "the token endpoint refused " + l.value}})
	}},
	{"plan as JSON", "stdout", func(l leaky) {
		l.evidence["stdout"] = l.json(rotate.Plan{Warnings: []string{"the sink holds " + l.value[:12] + "…"}})
	}},
	{"status, encoded", "stdout", func(l leaky) {
		l.evidence["stdout"] = []byte("holds " + base64.StdEncoding.EncodeToString([]byte("x"+l.value)))
	}},
	{"trace of a crash", "stderr", func(l leaky) { l.child("panic") }},
	{"core file", "file core", func(l leaky) { l.child("core") }},
	{"address of a request", "requests", func(l leaky) {
		l.request(func(r *http.Request) { r.URL.RawQuery = url.Values{"v": {l.value}}.Encode() })
	}},
	{"User-Agent", "requests", func(l leaky) { l.request(func(r *http.Request) { r.Header.Set("User-Agent", "credsmith/"+l.value) }) }},
	{"report for people", "file report.html", func(l leaky) { l.write("report.html", "<td>"+html.EscapeString("'"+l.value+"'")+"</td>") }},
	{"report, packed", "file report.gz", func(l leaky) {
		f, err := os.Create(l.path("report.gz"))
		l.must(err)
		w := gzip.NewWriter(f)
		_, err = w.Write([]byte(l.value))
		l.must(errors.Join(err, w.Close(), f.Close()))
	}},
}

// TestLeaksAreFound is the positive control of TestCrashLeavesNothing: for each
// channel one deliberate leak, which the same search must find there.
func TestLeaksAreFound(t *testing.T) {
	t.Parallel()
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range leaks {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.where == "file core" && strings.TrimSpace(string(pattern)) != "core" {
				t.Skip("this machine writes core files elsewhere: ", string(pattern))
			}
			l := leaky{t, t.TempDir(), "Can8Q~" + strings.Repeat("k3V.", 2) + "x0Tq_7wLm-92dRzYb5Hc8sJf", evidence{}}
			tt.leak(l)
			l.files(t, l.dir)
			hits := l.hits(map[string]string{"canary": l.value})
			found := false
			for _, hit := range hits {
				found = found || strings.HasPrefix(hit, tt.where)
			}
			if !found {
				t.Errorf("nobody saw it: %v", hits)
			}
		})
	}
}
