package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/canary"
)

// machine is a lab, and a directory in which the real program rotates.
type machine struct {
	*testing.T
	lab     *entralab.Lab
	dir     string
	program string
	env     []string
	under   string // a shell command line before the program's own: "ulimit -n 64;"
	values  map[string]string
}

var buildProgram = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "credsmith-test-") // t.TempDir would go with the first test
	if err != nil {
		return "", err
	}
	afterAll = append(afterAll, func() error { return os.RemoveAll(dir) })
	program := filepath.Join(dir, "credsmith")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return program, nil
})

func newMachine(t *testing.T) *machine {
	t.Helper()
	program, err := buildProgram()
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{T: t, lab: entralab.New(t), dir: t.TempDir(), program: program, values: map[string]string{}}
	given := map[string]string{}
	for _, line := range m.lab.Env() {
		name, value, _ := strings.Cut(line, "=")
		given[name] = value
	}
	m.values["old"], m.values["operator's"] = given["AZURE_CLIENT_SECRET"], given["CREDSMITH_OPERATOR_CLIENT_SECRET"]
	m.write("ca.pem", string(m.lab.CAPEM()))
	m.write("places/app.env", "AZURE_CLIENT_SECRET="+m.values["old"]+"\n")
	m.write("places/operator", m.values["operator's"])
	m.write("tmp/none", "")
	m.write("credsmith.yaml", fmt.Sprintf(`tenants:
  lab:
    tenant_id: %s
    cloud: {authority: %q, graph: %q}
    identity: {client_id: %s, secret: "${file:places/operator}"}
store: sqlite:./store/credsmith.db
bindings:
  billing-api:
    app: %s
    lifetime: 90d
    retire: manual
    sinks:
      - dotenv: {file: %q, key: AZURE_CLIENT_SECRET}
    prove: {times: 2, over: 1s}
`, m.lab.TenantID(), given["AZURE_AUTHORITY_HOST"], given["CREDSMITH_GRAPH_URL"], given["CREDSMITH_OPERATOR_CLIENT_ID"], given["AZURE_CLIENT_ID"], m.path("places/app.env")))
	m.env = []string{"HOME=" + m.dir, "TMPDIR=" + m.path("tmp"), "CREDSMITH_STATE_DIR=" + m.path("state"), "SSL_CERT_FILE=" + m.path("ca.pem"), "NO_PROXY=*", "PATH=" + os.Getenv("PATH")}
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) write(name, text string) {
	m.Helper()
	if err := os.MkdirAll(filepath.Dir(m.path(name)), 0o700); err != nil {
		m.Fatal(err)
	}
	if err := os.WriteFile(m.path(name), []byte(text), 0o600); err != nil {
		m.Fatal(err)
	}
}

// held is what the place holds.
func (m *machine) held() string {
	m.Helper()
	text, err := os.ReadFile(m.path("places/app.env"))
	if err != nil {
		m.Fatal(err)
	}
	return strings.TrimSpace(strings.TrimPrefix(string(text), "AZURE_CLIENT_SECRET="))
}

// ran is how a process ended.
type ran struct {
	code           int // -1 for a signal
	signal         syscall.Signal
	stdout, stderr string
}

// run runs the program. at is called with each line of its stderr, while it lives.
func (m *machine) run(at func(line string, pid int), args ...string) ran {
	m.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"-c", m.under + ` exec "$0" "$@"`, m.program}, args...)...)
	cmd.Dir, cmd.Env = m.dir, m.env
	var out, errs bytes.Buffer
	cmd.Stdout = &out
	pipe, err := cmd.StderrPipe()
	if err != nil {
		m.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.Fatal(err)
	}
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		fmt.Fprintln(&errs, lines.Text())
		if at != nil {
			at(lines.Text(), cmd.Process.Pid)
		}
	}
	cmd.Wait()
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	r := ran{code: cmd.ProcessState.ExitCode(), stdout: out.String(), stderr: errs.String()}
	if status.Signaled() {
		r.signal = status.Signal()
	}
	return r
}

// secrets returns how many secrets rotations have added, and removed.
func (m *machine) secrets() (minted, removed int) {
	for _, e := range m.lab.History(0) {
		switch {
		case e.Write == nil || e.Surface != "graph":
		case e.Write.Kind == "mint":
			minted++
		case e.Write.Kind == "remove":
			removed++
		}
	}
	return minted, removed
}

// evidence is everything in which a value could have been left.
type evidence map[string][]byte

// files takes every file of a directory but the places, where values belong.
func (e evidence) files(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Dir(path) == filepath.Join(dir, "places") && (d.Name() == "app.env" || d.Name() == "operator") {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		text, err := os.ReadFile(path)
		e["file "+name] = append(e["file "+name], text...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// process takes what other users of the machine see of a process.
func (e evidence) process(pid int) {
	for _, what := range []string{"cmdline", "environ"} {
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, what)); err == nil {
			e[what] = append(e[what], text...)
		}
	}
}

// history takes what servers and proxies on the way may write down.
func (e evidence) history(t *testing.T, lab *entralab.Lab) {
	t.Helper()
	text, err := json.Marshal(lab.History(0))
	if err != nil {
		t.Fatal(err)
	}
	e["requests"] = append(e["requests"], text...)
}

func (e evidence) output(r ran) {
	e["stdout"] = append(e["stdout"], r.stdout...)
	e["stderr"] = append(e["stderr"], r.stderr...)
}

// hits searches for values, and returns where they are.
func (e evidence) hits(values map[string]string) []string {
	var all []string
	for where, text := range e {
		if packed, err := gzip.NewReader(bytes.NewReader(text)); err == nil {
			plain, _ := io.ReadAll(packed) // as far as it goes
			text = append(text, plain...)
		}
		for name, value := range values {
			if forms := canary.Find(text, value); len(forms) > 0 {
				all = append(all, fmt.Sprintf("%s: the %s value (%s)", where, name, strings.Join(forms, ", ")))
			}
		}
	}
	return all
}

// TestCrashLeavesNothing lets processes crash in the middle of a rotation, with
// a trace and a core file where the machine would give one, and searches all
// that is left: database and its log, temporary files, output, traces, command
// lines, environments, requests.
func TestCrashLeavesNothing(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.under = "ulimit -c unlimited 2>/dev/null;"
	m.env = append(m.env, "GOTRACEBACK=crash")
	e := evidence{}
	crashAt := func(step string, signal syscall.Signal, args ...string) {
		t.Helper()
		sent := false
		r := m.run(func(line string, pid int) {
			if !sent && strings.Contains(line, step) {
				sent = true
				syscall.Kill(pid, syscall.SIGSTOP)
				e.process(pid)
				e.files(t, m.dir) // the write-ahead log while it is in use
				syscall.Kill(pid, signal)
				syscall.Kill(pid, syscall.SIGCONT)
			}
		}, args...)
		if !sent || r.code == 0 || signal != syscall.SIGKILL && !strings.Contains(r.stderr, "goroutine ") {
			t.Fatalf("%s: it did not crash: %+v", step, r)
		}
		e.output(r)
		e.files(t, m.dir)
	}
	crashAt("running accept", syscall.SIGABRT, "rotate", "run", "billing-api", "--yes", "-v")
	crashAt("running deliver", syscall.SIGQUIT, "rotate", "resume", "billing-api", "--yes", "-v")
	crashAt("running prove", syscall.SIGSEGV, "rotate", "resume", "billing-api", "--yes")
	for _, args := range [][]string{
		{"rotate", "resume", "billing-api", "--yes", "--wait", "5s"}, {"rotate", "status", "-o", "json"}, {"rotate", "history", "-o", "json"},
		{"rotate", "history"}, {"audit", "show", "-o", "json"}, {"rotate", "rollback", "--yes", "--wait", "5s"},
	} {
		if args[1] == "rollback" {
			m.values["new"] = m.held()
		}
		r := m.run(nil, args...)
		if r.code != 0 {
			t.Fatalf("%v: %+v", args, r)
		}
		e.output(r)
	}
	if minted, removed := m.secrets(); minted != 1 || removed != 1 || m.held() != m.values["old"] || m.values["new"] == m.values["old"] {
		t.Errorf("%d secrets were added and %d removed", minted, removed)
	}
	e.files(t, m.dir)
	e.history(t, m.lab)
	for _, hit := range e.hits(m.values) {
		t.Error(hit)
	}
	for where := range e {
		if strings.Contains(where, "core") {
			t.Errorf("%s is left", where)
		}
	}
	if len(e) < 10 || len(e["stderr"]) < 3000 || len(e["environ"]) == 0 || len(e["file store/credsmith.db-wal"]) == 0 {
		t.Errorf("little was searched: %d things", len(e))
	}
}
