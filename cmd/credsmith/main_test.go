package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// leakChild makes this binary a process that leaks, where that is tested.
const leakChild = "CREDSMITH_LEAK_CHILD"

var leakOnPurpose = func(string) {}

func TestMain(m *testing.M) {
	if how := os.Getenv(leakChild); how != "" {
		leakOnPurpose(how)
		return
	}
	testscript.Main(leakChecked{m}, map[string]func(){"credsmith": main})
}

// afterAll tidies up what several tests have shared.
var afterAll []func() error

// leakChecked fails a run that leaves goroutines behind.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	code := m.M.Run()
	for _, tidy := range afterAll {
		if err := tidy(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestScripts runs the whole program. The scripts read as documentation; each
// command that README or docs/commands.md shows is run in one of them.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("CREDSMITH_STATE_DIR", filepath.Join(env.WorkDir, "state"))
			env.Setenv("NO_PROXY", "*")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"lab": cmdLab, "app": cmdApp, "portal": cmdControl("/control/portal"), "clock": cmdControl("/control/clock"),
			"delay": cmdControl("/control/delay"), "badserver": cmdBadServer, "json": cmdJSON,
			"fill": cmdFill, "certificate": cmdCertificate, "aztoken": cmdAzToken, "person": cmdPerson, "forbid": cmdForbid,
			"mark": cmdMark, "onlyreads": cmdOnlyReads, "writes": cmdWrites, "sound": cmdSound, "killat": cmdKillAt, "ci": cmdCI,
		},
	})
}
