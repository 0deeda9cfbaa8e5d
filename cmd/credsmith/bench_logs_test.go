package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// BenchmarkLogs measures `credsmith logs` on 1 GiB of mixed text against
// ripgrep, in turn: CPU and wall time of the whole pipeline, medians of 5, as
// ratios (below 1 is better than ripgrep). The bars: the job against ripgrep's
// search for the same things 1.1 of its CPU and 0.7 of its time; standard input
// 1.0 of its CPU.
func BenchmarkLogs(b *testing.B) {
	if _, err := exec.LookPath("rg"); err != nil {
		b.Skip("ripgrep is not installed: make bench-logs does it")
	}
	dir := b.TempDir()
	program, log := filepath.Join(dir, "credsmith"), filepath.Join(dir, "mixed.log")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	writeMixedLog(b, log, 1<<30)
	jobs := []struct{ name, command string }{
		{"rg-same", `rg -oiN -e 'aadsts[0-9]+' -e invalid_client -e error_codes -e 'Q~' "$LOG" | sort | uniq -c`},
		{"file", `"$PROGRAM" logs -o json "$LOG" || true`},
		{"rg-codes", `rg -oN 'AADSTS[0-9]+' "$LOG" | sort | uniq -c`},
		{"rg-stdin", `cat "$LOG" | rg -c -F AADSTS`},
		{"stdin", `cat "$LOG" | "$PROGRAM" logs -o json || true`},
	}
	cpu, wall := map[string]float64{}, map[string]float64{}
	for b.Loop() {
		cpus, walls := map[string][]float64{}, map[string][]float64{}
		for range 5 {
			for _, job := range jobs {
				cmd := exec.Command("sh", "-c", job.command)
				cmd.Env = append(os.Environ(), "LOG="+log, "PROGRAM="+program, "HOME="+dir, "XDG_STATE_HOME="+dir)
				start := time.Now()
				if err := cmd.Run(); err != nil {
					b.Fatalf("%s: %v", job.name, err)
				}
				walls[job.name] = append(walls[job.name], time.Since(start).Seconds())
				cpus[job.name] = append(cpus[job.name], (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
			}
		}
		for name := range cpus {
			slices.Sort(cpus[name])
			slices.Sort(walls[name])
			cpu[name], wall[name] = cpus[name][2], walls[name][2]
		}
	}
	for _, job := range jobs {
		b.ReportMetric(cpu[job.name], job.name+"-cpu-s")
	}
	b.ReportMetric(cpu["file"]/cpu["rg-same"], "file/rg-same-cpu")
	b.ReportMetric(wall["file"]/wall["rg-same"], "file/rg-same-wall")
	b.ReportMetric(cpu["file"]/cpu["rg-codes"], "file/rg-codes-cpu")
	b.ReportMetric(cpu["stdin"]/cpu["rg-stdin"], "stdin/rg-stdin-cpu")
}

// writeMixedLog writes size bytes of log lines, a failure in about 2,000 of them.
func writeMixedLog(b *testing.B, file string, size int) {
	f, err := os.Create(file)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	rnd := rand.New(rand.NewPCG(1, 2))
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for written := 0; written < size; {
		at = at.Add(time.Duration(rnd.IntN(9)) * time.Millisecond)
		stamp := at.Format("2006-01-02T15:04:05.000Z")
		guid := func() string {
			return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", rnd.Uint32(), rnd.IntN(1<<16), rnd.IntN(1<<12), rnd.IntN(1<<12), rnd.Int64N(1<<48))
		}
		var n int
		switch k := rnd.IntN(2000); {
		case k == 0:
			n, _ = fmt.Fprintf(w, "%s ERROR AADSTS7000215: Invalid client secret provided, for a secret added to app '%s'. Trace ID: %s Correlation ID: %s\n", stamp, guid(), guid(), guid())
		case k < 700:
			n, _ = fmt.Fprintf(w, "10.0.0.%d - - [%s] \"GET /api/v1/orders?id=%d HTTP/1.1\" 200 %d \"-\" \"okhttp/4.12.0\"\n", rnd.IntN(256), stamp, rnd.IntN(1e6), rnd.IntN(9e4))
		case k < 1400:
			n, _ = fmt.Fprintf(w, `{"ts":"%s","level":"info","msg":"token refreshed for client","request_id":"%s","duration_ms":%d,"http":{"method":"POST","status":200}}`+"\n", stamp, guid(), rnd.IntN(5000))
		default:
			n, _ = fmt.Fprintf(w, "%s INFO [http-nio-8080-exec-%d] c.e.auth.TokenCache - cache miss for key session id=%s\n", stamp, rnd.IntN(200), guid())
		}
		written += n
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
}
