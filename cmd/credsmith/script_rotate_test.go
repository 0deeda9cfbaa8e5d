package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/credsmith/credsmith/entralab"
)

// marks holds the history's length at each script's last mark.
var marks sync.Map

// cmdMark notes how much has happened in the lab so far.
func cmdMark(ts *testscript.TestScript, _ bool, _ []string) {
	marks.Store(ts, len(labOf(ts).History(0)))
}

// sinceMark are the requests since the mark.
func sinceMark(ts *testscript.TestScript) []entralab.Event {
	n, ok := marks.Load(ts)
	if !ok {
		ts.Fatalf("set a mark first: mark")
	}
	events := slices.DeleteFunc(labOf(ts).History(n.(int)), func(e entralab.Event) bool { return e.Method == "" || e.Surface == "control" })
	if len(events) == 0 {
		ts.Fatalf("nothing was asked since the mark")
	}
	return events
}

// cmdOnlyReads sees that since the mark nothing but GET went out, besides the
// operator's own sign-in.
func cmdOnlyReads(ts *testscript.TestScript, _ bool, _ []string) {
	operator := labOf(ts).Operator().ClientID
	for _, e := range sinceMark(ts) {
		if e.Write != nil || e.Method != "GET" && (e.Surface != "token" || e.AppID != operator) {
			ts.Fatalf("%s %s %s of app %s is more than reading (%+v)", e.Surface, e.Method, e.Path, e.AppID, e.Write)
		}
	}
}

// cmdWrites sees how many secrets were minted and removed since the mark.
//
//	writes mint 1 remove 0
func cmdWrites(ts *testscript.TestScript, _ bool, args []string) {
	have := map[string]int{}
	for _, e := range sinceMark(ts) {
		if e.Write != nil {
			have[string(e.Write.Kind)]++
		}
	}
	for pair := range slices.Chunk(args, 2) {
		var want int
		ts.Check(json.Unmarshal([]byte(pair[1]), &want))
		if have[pair[0]] != want {
			ts.Fatalf("%s: %d, want %s (%v)", pair[0], have[pair[0]], pair[1], have)
		}
	}
}

// cmdSound sees that no secret was lost, minted twice or removed while used.
func cmdSound(ts *testscript.TestScript, _ bool, _ []string) {
	i := labOf(ts).Invariants(entralab.InvariantOptions{})
	if len(i.Orphans)+len(i.DoubleMints)+i.RefusedAfterRemoval > 0 {
		ts.Fatalf("%+v", i)
	}
}

// cmdKillAt runs credsmith and kills it, as kill -9 does, when a line of its
// standard error holds a text.
//
//	killat 'running deliver' rotate run billing-api --yes
//	killat -INT 'running deliver' rotate run billing-api --yes      as Ctrl+C does, and must end with 130
func cmdKillAt(ts *testscript.TestScript, _ bool, args []string) {
	signal := os.Kill
	if args[0] == "-INT" {
		signal, args = os.Interrupt, args[1:]
	}
	program, err := exec.LookPath(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "credsmith"))
	ts.Check(err)
	cmd := exec.Command(program, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range append(scriptEnv, "PATH") {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	out, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	seen, text := false, ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		ts.Logf("%s", lines.Text())
		text += lines.Text() + "\n"
		if !seen && strings.Contains(lines.Text(), args[0]) {
			seen = true
			ts.Check(cmd.Process.Signal(signal))
		}
	}
	err = cmd.Wait()
	if !seen {
		ts.Fatalf("no line with %q before its end (%v)", args[0], err)
	}
	if signal == os.Interrupt && (cmd.ProcessState.ExitCode() != 130 || !strings.Contains(text, "; go on with: credsmith rotate resume billing-api\ncredsmith: interrupted\n")) {
		ts.Fatalf("it ends with %d:\n%s", cmd.ProcessState.ExitCode(), text)
	}
}

// scriptEnv are the variables that a rotation needs of a script's environment.
var scriptEnv = []string{"HOME", "CREDSMITH_STATE_DIR", "NO_PROXY", "SSL_CERT_FILE", "CREDSMITH_OPERATOR_TENANT_ID", "CREDSMITH_OPERATOR_CLIENT_ID",
	"CREDSMITH_OPERATOR_CLIENT_SECRET", "CREDSMITH_OPERATOR_AUTHORITY_HOST", "CREDSMITH_GRAPH_URL", "SystemRoot"}
