package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// BenchmarkHelp measures what starting costs: the CPU time of
// `credsmith --help` beside that of an empty Go program, medians of one run.
// The bar is twice the empty program plus 10 ms.
func BenchmarkHelp(b *testing.B) {
	dir := b.TempDir()
	empty := filepath.Join(dir, "empty.go")
	if err := os.WriteFile(empty, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	build := func(name, source string) string {
		program := filepath.Join(dir, name)
		if out, err := exec.Command("go", "build", "-o", program, source).CombinedOutput(); err != nil {
			b.Fatalf("build %s: %v\n%s", source, err, out)
		}
		return program
	}
	programs := [][]string{{build("credsmith", ".")}, {build("empty", empty)}}
	programs[0] = append(programs[0], "--help")
	var times [2][]time.Duration
	for b.Loop() {
		for i, argv := range programs {
			cmd := exec.Command(argv[0], argv[1:]...)
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
			times[i] = append(times[i], cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
		}
	}
	median := func(t []time.Duration) float64 {
		slices.Sort(t)
		return float64(t[len(t)/2].Microseconds()) / 1000
	}
	help, floor := median(times[0]), median(times[1])
	b.ReportMetric(help, "help-cpu-ms")
	b.ReportMetric(floor, "empty-cpu-ms")
	b.ReportMetric(help/(2*floor+10), "of-the-bar")
}
