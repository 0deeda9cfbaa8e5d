package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// maxInitAllocs is enough for a package's tables, and far too little for a
// pattern compiled or data parsed before main: those wait until they are used.
const maxInitAllocs = 200

// TestNoWorkAtInit reads the runtime's own account of what each package of the
// program allocates before main.
func TestNoWorkAtInit(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "credsmith.exe")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	cmd := exec.Command(program, "version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("run: %v\n%s", err, out)
	}
	line := regexp.MustCompile(`^init (github\.com/credsmith/\S+) .* (\d+) allocs$`)
	seen := 0
	for text := range strings.Lines(string(out)) {
		m := line.FindStringSubmatch(strings.TrimSpace(text))
		if m == nil {
			continue
		}
		seen++
		if allocs, _ := strconv.Atoi(m[2]); allocs > maxInitAllocs {
			t.Errorf("%s makes %d allocations before main, more than %d", m[1], allocs, maxInitAllocs)
		}
	}
	if seen == 0 {
		t.Errorf("no package of the project in the trace:\n%s", out)
	}
}
