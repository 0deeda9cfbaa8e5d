package cli_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/canary"
	"github.com/credsmith/credsmith/internal/cli"
	"github.com/credsmith/credsmith/internal/store"
)

// rotateRig is a lab with one binding and its file.
type rotateRig struct {
	*testing.T
	lab  *entralab.Lab
	dir  string
	env  map[string]string
	yaml string
}

func newRotateRig(t *testing.T) *rotateRig {
	t.Helper()
	r := &rotateRig{T: t, lab: entralab.New(t), dir: t.TempDir(), env: map[string]string{}}
	r.write("ca.pem", string(r.lab.CAPEM()))
	for _, line := range r.lab.Env() {
		name, value, _ := strings.Cut(line, "=")
		r.env[name] = value
	}
	r.env["SSL_CERT_FILE"], r.env["CREDSMITH_STATE_DIR"] = r.path("ca.pem"), r.path("state")
	r.write("app.env", "AZURE_CLIENT_SECRET="+r.env["AZURE_CLIENT_SECRET"]+"\n")
	r.yaml = fmt.Sprintf(`tenants:
  lab:
    tenant_id: %s
    cloud: {authority: %q, graph: %q}
    identity: {client_id: %s, secret: "${env:CREDSMITH_OPERATOR_CLIENT_SECRET}"}
store: sqlite:./credsmith.db
bindings:
  billing-api:
    app: %s
    lifetime: 90d
    retire: manual
    sinks:
      - dotenv: {file: %q, key: AZURE_CLIENT_SECRET}
    prove: {times: 1, over: 1s}
`, r.lab.TenantID(), r.env["AZURE_AUTHORITY_HOST"], r.env["CREDSMITH_GRAPH_URL"], r.env["CREDSMITH_OPERATOR_CLIENT_ID"], r.env["AZURE_CLIENT_ID"], filepath.ToSlash(r.path("app.env")))
	return r
}

func (r *rotateRig) path(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

func (r *rotateRig) write(name, text string) {
	r.Helper()
	if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o700); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(r.path(name), []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
}

// run writes the configuration and runs a command line on it.
func (r *rotateRig) run(env map[string]string, args ...string) (code int, stdout, stderr string) {
	r.Helper()
	given := maps.Clone(r.env)
	maps.Copy(given, env)
	if len(args) > 0 && !strings.Contains(strings.Join(args, " "), "--config") {
		r.write("credsmith.yaml", r.yaml)
		args = append(args, "--config", r.path("credsmith.yaml"))
	}
	var out, errs bytes.Buffer
	code = cli.Run(r.Context(), args, cli.Env{
		LookupEnv: func(name string) (string, bool) { v, ok := given[name]; return v, ok && v != "" },
		Stdin:     strings.NewReader("yes\n"), Stdout: &out, Stderr: &errs,
	})
	return code, out.String(), errs.String()
}

// TestRotateBadInput: each is refused with a message that names the fault and
// the documented code, before anything is changed.
func TestRotateBadInput(t *testing.T) {
	t.Parallel()
	plan := []string{"rotate", "plan"}
	run := []string{"rotate", "run", "--yes", "--wait", "1s"}
	tests := []struct {
		name  string
		args  []string
		setup func(*rotateRig)
		yaml  [2]string // replaced by
		env   map[string]string
		code  int
		want  string
	}{
		{name: "no configuration", args: []string{"rotate", "plan", "--config", "nowhere/credsmith.yaml"}, code: 2, want: "read the configuration nowhere/credsmith.yaml: "},
		{name: "directory", args: []string{"rotate", "plan", "--config", "."}, code: 2, want: "it is a directory"},
		{name: "empty", args: plan, setup: func(r *rotateRig) { r.yaml = "" }, code: 2, want: "credsmith.yaml:1:1: the file is empty"},
		{name: "unknown key", args: plan, yaml: [2]string{"lifetime:", "life_time:"}, code: 2, want: `credsmith.yaml:10:5: unknown key "life_time": did you mean "lifetime"?`},
		{name: "key twice", args: plan, yaml: [2]string{"    retire: manual", "    lifetime: 90d"}, code: 2, want: "credsmith.yaml:11:5"},
		{name: "tab", args: plan, yaml: [2]string{"    lifetime", "\tlifetime"}, code: 2, want: "credsmith.yaml:10:1: a tab indents this line"},
		{name: "no unit", args: plan, yaml: [2]string{"lifetime: 90d", "lifetime: 90"}, code: 2, want: "credsmith.yaml:10:15: 90 has no unit"},
		{name: "overlap too long", args: plan, yaml: [2]string{"retire: manual", "overlap: 90d"}, code: 2, want: "overlap (90d) is not shorter than lifetime (90d)"},
		{name: "unknown binding", args: []string{"rotate", "plan", "billing-app"}, code: 2, want: `unknown binding "billing-app": did you mean "billing-api"?`},
		{name: "unknown binding of status", args: []string{"rotate", "status", "x"}, code: 2, want: `unknown binding "x": `},
		{name: "unknown sink", args: plan, yaml: [2]string{"dotenv:", "dotnev:"}, code: 2, want: `credsmith.yaml:13:9: unknown sink "dotnev": did you mean "dotenv"?`},
		{name: "unknown key of a sink", args: plan, yaml: [2]string{"key: AZURE", "kye: AZURE"}, code: 2, want: `unknown key "kye": did you mean "key"?`},
		{name: "no key", args: plan, yaml: [2]string{", key: AZURE_CLIENT_SECRET", ""}, code: 2, want: "credsmith.yaml:13:9: the sink dotenv: key: is missing"},
		{name: "relative file", args: plan, yaml: [2]string{`file: "/`, `file: "./`}, code: 2, want: "is not an absolute path"},
		{name: "bad name of a key", args: plan, yaml: [2]string{"key: AZURE_CLIENT_SECRET", "key: 'A=B'"}, code: 2, want: `key: "A=B" is no name of a variable`},
		{name: "no store", args: run, yaml: [2]string{"store: sqlite:./credsmith.db\n", ""}, code: 2, want: "names no store"},
		{name: "no file in the store", args: run, yaml: [2]string{"sqlite:./credsmith.db", "'sqlite:'"}, code: 2, want: "the store names no file"},
		{name: "unknown store", args: run, yaml: [2]string{"sqlite:./credsmith.db", "mysql://x"}, code: 2, want: "neither sqlite:FILE nor postgres://"},
		{name: "store in a file", args: run, yaml: [2]string{"./credsmith.db", "./app.env/credsmith.db"}, code: 2, want: "the store"},
		{name: "store variable", args: run, yaml: [2]string{"sqlite:./credsmith.db", "${env:NO_SUCH}"}, code: 2, want: "credsmith.yaml:6:8: the variable NO_SUCH is not set"},
		{name: "postgres without a key", args: run, yaml: [2]string{"sqlite:./credsmith.db", "postgres://u@127.0.0.1:1/x"}, code: 2, want: "name the file of its key"},
		{name: "key is gone", args: run, setup: (*rotateRig).begun, code: 2, want: "the key file"},
		{name: "damaged store", args: run, setup: func(r *rotateRig) { r.write("credsmith.db", strings.Repeat("no database ", 1000)) }, code: 2, want: "not a database"},
		{name: "no home", args: plan, env: map[string]string{"CREDSMITH_STATE_DIR": ""}, code: 2, want: "neither HOME nor CREDSMITH_STATE_DIR is set"},
		{name: "state is a file", args: plan, setup: func(r *rotateRig) { r.env["CREDSMITH_STATE_DIR"] = r.path("app.env") }, code: 2, want: "make the state directory"},
		{name: "bad certificates", args: plan, setup: func(r *rotateRig) { r.env["SSL_CERT_FILE"] = r.path("app.env") }, code: 2, want: "app.env"},
		{name: "operator's variable", args: plan, env: map[string]string{"CREDSMITH_OPERATOR_CLIENT_SECRET": ""}, code: 2, want: "the variable CREDSMITH_OPERATOR_CLIENT_SECRET is not set"},
		{name: "operator is refused", args: plan, env: map[string]string{"CREDSMITH_OPERATOR_CLIENT_SECRET": "wrong"}, code: 3, want: "AADSTS7000215"},
		{name: "tenant without an operator", args: plan, setup: func(r *rotateRig) {
			r.yaml = strings.Replace(r.yaml, "store:", "  other: {tenant_id: 7f1c0000-0000-4000-8000-00000000000a}\nstore:", 1)
			r.yaml = strings.Replace(r.yaml, "    app:", "    tenant: other\n    app:", 1)
		}, code: 2, want: "there is no operator identity for tenant other (7f1c0000-0000-4000-8000-00000000000a)"},
		{name: "graph is away", args: plan, setup: func(r *rotateRig) {
			r.yaml = strings.ReplaceAll(r.yaml, r.env["CREDSMITH_GRAPH_URL"], "https://127.0.0.1:1")
		}, code: 3, want: "127.0.0.1:1"},
		{name: "login host is away", args: plan, setup: func(r *rotateRig) {
			r.yaml = strings.ReplaceAll(r.yaml, r.env["AZURE_AUTHORITY_HOST"], "https://127.0.0.1:1")
		}, code: 3, want: "cannot be reached (connection refused"},
		{name: "no such app", args: run, setup: func(r *rotateRig) {
			r.yaml = strings.ReplaceAll(r.yaml, "app: "+r.env["AZURE_CLIENT_ID"], "app: 1b7e0000-0000-4000-8000-00000000000b")
		}, code: 1, want: "has no app with client id 1b7e0000-0000-4000-8000-00000000000b: correct `app` of binding billing-api"},
		{name: "the operator itself", args: run, setup: func(r *rotateRig) {
			r.yaml = strings.ReplaceAll(r.yaml, "app: "+r.env["AZURE_CLIENT_ID"], "app: "+r.env["CREDSMITH_OPERATOR_CLIENT_ID"])
		}, code: 1, want: "is the identity that credsmith itself signs in with"},
		{name: "the file is gone", args: run, yaml: [2]string{"app.env", "gone.env"}, code: 1, want: "gone.env"},
		{name: "the file is a directory", args: run, yaml: [2]string{"/app.env", "/state"}, setup: func(r *rotateRig) { r.write("state/x", "") }, code: 1, want: "state"},
		{name: "not a plan", args: append([]string{"--plan", "@app.env"}, run...), code: 2, want: "it is not a plan in JSON"},
		{name: "plan is gone", args: append([]string{"--plan", "@gone.json"}, run...), code: 2, want: "read the plan"},
		{name: "plan of another binding", args: append([]string{"--plan", "@plan.json"}, run...), setup: func(r *rotateRig) { r.planFile(`"binding": "billing-api"`, `"binding": "other"`) }, code: 2, want: "was changed after it was made"},
		{name: "plan with less in it", args: append([]string{"--plan", "@plan.json"}, run...), setup: func(r *rotateRig) { r.planFile(`"lifetime_seconds": 7776000`, `"lifetime_seconds": 777600000`) }, code: 2, want: "was changed after it was made"},
		{name: "plan cut off", args: append([]string{"--plan", "@plan.json"}, run...), setup: func(r *rotateRig) { r.planFile("}\n]", "") }, code: 2, want: ""},
		{name: "plan with a key more", args: append([]string{"--plan", "@plan.json"}, run...), setup: func(r *rotateRig) { r.planFile(`"binding":`, `"x": 1, "binding":`) }, code: 2, want: "it is not a plan in JSON"},
		{name: "plan is a directory", args: append([]string{"--plan", "@."}, run...), code: 2, want: "read the plan"},
		{name: "too much of a plan", args: append([]string{"--plan", "@plan.json"}, run...), setup: func(r *rotateRig) { r.write("plan.json", strings.Repeat(" ", 5<<20)) }, code: 2, want: "larger than 4194304 bytes"},
		{name: "negative wait", args: []string{"rotate", "run", "--yes", "--wait", "-1s"}, code: 2, want: "--wait -1s is negative"},
		{name: "no time", args: []string{"rotate", "resume", "--wait", "soon"}, code: 2, want: "invalid argument"},
		{name: "unknown key id", args: append([]string{"--retire", "nonsense"}, run...), code: 1, want: "has no secret with key id nonsense"},
		{name: "nothing to resume", args: []string{"rotate", "resume", "--yes"}, code: 1, want: "billing-api was never rotated"},
		{name: "nothing to roll back", args: []string{"rotate", "rollback", "--yes"}, code: 1, want: "billing-api was never rotated"},
		{name: "nothing to retire", args: []string{"rotate", "retire", "--yes"}, code: 1, want: "billing-api was never rotated"},
		{name: "all and one", args: []string{"rotate", "resume", "--all", "billing-api"}, code: 2, want: "--all and billing-api name different things"},
		{name: "entry 0", args: []string{"audit", "show", "--from", "0"}, code: 2, want: "entries are counted from 1"},
		{name: "two names", args: []string{"rotate", "plan", "a", "b"}, code: 2, want: "accepts at most 1 arg"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRotateRig(t)
			if tt.yaml[0] != "" && !strings.Contains(r.yaml, tt.yaml[0]) {
				t.Fatalf("the configuration holds no %q", tt.yaml[0])
			}
			r.yaml = strings.ReplaceAll(r.yaml, tt.yaml[0], tt.yaml[1])
			if tt.setup != nil {
				tt.setup(r)
			}
			before, err := os.ReadFile(r.path("app.env"))
			if err != nil {
				t.Fatal(err)
			}
			args := make([]string, len(tt.args))
			for i, arg := range tt.args {
				if args[i] = arg; strings.HasPrefix(arg, "@") {
					args[i] = r.path(arg[1:])
				}
			}
			// Flags go behind the command.
			if strings.HasPrefix(args[0], "--") {
				args = append(args[2:], args[0], args[1])
			}
			minted := len(r.writes())
			code, stdout, stderr := r.run(tt.env, args...)
			if code != tt.code || !strings.Contains(stderr, tt.want) || !strings.Contains("\n"+stderr, "\ncredsmith: ") {
				t.Errorf("exit %d, want %d with %q:\n%s%s", code, tt.code, tt.want, stdout, stderr)
			}
			if strings.Contains(stdout+stderr, r.env["AZURE_CLIENT_SECRET"]) || strings.Contains(stderr, "goroutine") {
				t.Errorf("it shows what it must not:\n%s%s", stdout, stderr)
			}
			if got := r.writes(); len(got) != minted {
				t.Errorf("the tenant was changed: %+v", got)
			}
			if after, err := os.ReadFile(r.path("app.env")); err != nil || !bytes.Equal(before, after) {
				t.Errorf("app.env was changed, %v", err)
			}
		})
	}
}

// writes are the changes of the tenant that came through its APIs.
func (r *rotateRig) writes() (all []entralab.Event) {
	for _, e := range r.lab.History(0) {
		if e.Write != nil && e.Method != "" {
			all = append(all, e)
		}
	}
	return all
}

// begun leaves a store whose key was lost.
func (r *rotateRig) begun() {
	if code, _, stderr := r.run(nil, "rotate", "pause"); code != 0 {
		r.Fatal(stderr)
	}
	if err := os.Remove(r.path("credsmith.db.key")); err != nil {
		r.Fatal(err)
	}
}

// planFile writes a plan with one text replaced.
func (r *rotateRig) planFile(old, text string) {
	code, stdout, stderr := r.run(nil, "rotate", "plan", "-o", "json")
	if code != 0 {
		r.Fatal(stderr)
	}
	changed := strings.Replace(stdout, old, text, 1)
	if changed == stdout {
		changed = stdout[:len(stdout)/2]
	}
	r.write("plan.json", changed)
}

// TestRotateHost: what the machine can do to a rotation.
func TestRotateHost(t *testing.T) {
	t.Parallel()
	r := newRotateRig(t)
	// Windows line ends and a byte order mark change nothing.
	r.yaml = "\ufeff" + strings.ReplaceAll(r.yaml, "\n", "\r\n")
	if code, _, stderr := r.run(nil, "rotate", "plan"); code != 0 {
		t.Errorf("CRLF and BOM: exit %d: %s", code, stderr)
	}
	if runtime.GOOS == "windows" {
		return
	}
	// A key that others can read is not used.
	if code, _, stderr := r.run(nil, "rotate", "pause"); code != 0 {
		t.Fatal(stderr)
	}
	if err := os.Chmod(r.path("credsmith.db.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := r.run(nil, "rotate", "run", "--yes")
	if code != 2 || !strings.Contains(stderr, "can be read by others (mode 0644): run chmod 600 on it") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// TestRotateLeaksNothing searches all output and all files of a rotation and
// its way back for the old value, the new one and the operator's.
func TestRotateLeaksNothing(t *testing.T) {
	t.Parallel()
	r := newRotateRig(t)
	values := map[string]string{"old": r.env["AZURE_CLIENT_SECRET"], "operator's": r.env["CREDSMITH_OPERATOR_CLIENT_SECRET"]}
	r.write("bad.yaml", "tenants: "+values["old"]+"\nstore: "+values["old"]+"\n")
	var all strings.Builder
	for _, args := range [][]string{
		{"rotate", "plan", "-v"}, {"rotate", "plan", "-o", "json"}, {"rotate", "run", "--yes", "-v", "--wait", "5s"},
		{"rotate", "status"}, {"rotate", "status", "-o", "json"}, {"rotate", "history"}, {"rotate", "plan", "--config", r.path("bad.yaml")},
	} {
		code, stdout, stderr := r.run(nil, args...)
		if args[1] == "run" && args[2] == "--yes" && code != 0 {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		all.WriteString(stdout + stderr)
	}
	held, err := os.ReadFile(r.path("app.env"))
	if err != nil {
		t.Fatal(err)
	}
	values["new"] = strings.TrimSpace(strings.TrimPrefix(string(held), "AZURE_CLIENT_SECRET="))
	if values["new"] == values["old"] || len(values["new"]) < 30 {
		t.Fatal("app.env was not rotated")
	}
	search := func(where string, data []byte) {
		for name, value := range values {
			if found := canary.Find(data, value); len(found) > 0 {
				t.Errorf("%s holds the %s value (%v)", where, name, found)
			}
		}
	}
	files := 0
	everything := func() {
		err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
			if name := filepath.Base(path); err != nil || d.IsDir() || name == "app.env" || name == "bad.yaml" {
				return err
			}
			files++
			data, err := os.ReadFile(path)
			search(path, data)
			return err
		})
		if err != nil || files < 5 {
			t.Errorf("%d files were searched, %v", files, err)
		}
	}
	everything()
	for _, args := range [][]string{{"rotate", "rollback", "--yes", "--wait", "5s", "-o", "json"}, {"audit", "show", "-o", "json"}, {"audit", "show"}, {"audit", "verify"}} {
		code, stdout, stderr := r.run(nil, args...)
		if code != 0 {
			t.Errorf("%v: exit %d: %s", args, code, stderr)
		}
		all.WriteString(stdout + stderr)
	}
	search("the output", []byte(all.String()))
	everything()
}

// TestRotateLocked: one process at a time writes to an SQLite store, and others
// may look.
func TestRotateLocked(t *testing.T) {
	t.Parallel()
	r := newRotateRig(t)
	other, err := store.Open(t.Context(), "sqlite:"+r.path("credsmith.db"), store.Options{Holder: "other"})
	if err != nil {
		t.Fatal(err)
	}
	code, _, stderr := r.run(nil, "rotate", "run", "--yes")
	if code != 3 || !strings.Contains(stderr, "another credsmith is writing to it") || !strings.Contains(stderr, "hint: wait for the other one") {
		t.Errorf("run: exit %d: %s", code, stderr)
	}
	if code, stdout, stderr := r.run(nil, "rotate", "status"); code != 0 || stdout != "no rotations yet\n" {
		t.Errorf("status: exit %d: %s%s", code, stdout, stderr)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAuditBroken: a record that was changed is told, with where.
func TestAuditBroken(t *testing.T) {
	t.Parallel()
	r := newRotateRig(t)
	if code, _, stderr := r.run(nil, "rotate", "pause", "--reason", "freeze"); code != 0 {
		t.Fatal(stderr)
	}
	db, err := sql.Open("sqlite", r.path("credsmith.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), `UPDATE audit SET entry = replace(entry, 'freeze', 'thaw')`)
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	code, stdout, _ := r.run(nil, "audit", "verify", "-o", "json")
	var v struct {
		Holds  bool
		Broken int64 `json:"broken_at"`
		Why    string
	}
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || code != 1 || v.Holds || v.Broken != 1 || v.Why != "entry 1 was changed after it was written" {
		t.Errorf("exit %d, %v: %s", code, err, stdout)
	}
	if code, stdout, _ := r.run(nil, "audit", "verify"); code != 1 || stdout != "the record is broken: entry 1 was changed after it was written\n" {
		t.Errorf("exit %d: %s", code, stdout)
	}
}
