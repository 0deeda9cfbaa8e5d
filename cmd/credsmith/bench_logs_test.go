//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

var logsMiB = flag.Int("logs-mib", 1024, "size of the log in BenchmarkLogs, in MiB")

// BenchmarkLogs measures `credsmith logs` on 1 GiB of mixed text against its
// peers, in turn: CPU and wall time of the whole pipeline, medians of 5, as
// ratios (below 1 is better than the peer). The bars: the job against ripgrep's
// search for the same things 1.1 of its CPU and 0.7 of its time; standard input
// 1.0 of its CPU; JSON lines 1/50 of jq; gzip and zstd 1.05 of one pass of the
// decoder and bytes.Index. The floor of standard input reads the pipe and does
// nothing else.
func BenchmarkLogs(b *testing.B) {
	for _, peer := range []string{"rg", "jq"} {
		if _, err := exec.LookPath(peer); err != nil {
			b.Skip(peer + " is not installed: make bench-logs does it")
		}
	}
	dir := b.TempDir()
	program, log := filepath.Join(dir, "credsmith"), filepath.Join(dir, "mixed.log")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	writeMixedLog(b, log, *logsMiB<<20)
	pack(b, log)
	if out, err := exec.Command("sh", "-c", `head -c 1G "$0" | grep '^{' | head -c 134217728 | sed '$d' > "$0.jsonl"`, log).CombinedOutput(); err != nil {
		b.Fatalf("JSON lines: %v\n%s", err, out)
	}
	jobs := []logsJob{
		{name: "rg-same", command: `rg -oiN -e 'aadsts[0-9]+' -e invalid_client -e error_codes -e 'Q~' "$LOG" | sort | uniq -c`},
		{name: "file", command: `"$PROGRAM" logs -o json "$LOG" || true`},
		{name: "rg-codes", command: `rg -oN 'AADSTS[0-9]+' "$LOG" | sort | uniq -c`},
		{name: "rg-stdin", command: `cat "$LOG" | rg -c -F AADSTS`},
		{name: "stdin", command: `cat "$LOG" | "$PROGRAM" logs -o json || true`},
		{name: "pipe-floor", floor: func() error { return readPipe(log) }},
		{name: "jq", command: `jq -c 'select(.msg | test("AADSTS"))' "$LOG.jsonl"`},
		{name: "jsonl", command: `"$PROGRAM" logs -o json "$LOG.jsonl" || true`},
		{name: "gzip-floor", floor: func() error { return decodeOnce(log + ".gz") }},
		{name: "gzip", command: `"$PROGRAM" logs -o json "$LOG.gz" || true`},
		{name: "zstd-floor", floor: func() error { return decodeOnce(log + ".zst") }},
		{name: "zstd", command: `"$PROGRAM" logs -o json "$LOG.zst" || true`},
	}
	env := append(os.Environ(), "LOG="+log, "PROGRAM="+program, "HOME="+dir, "XDG_STATE_HOME="+dir)
	cpu, wall := map[string]float64{}, map[string]float64{}
	for b.Loop() {
		cpus, walls := map[string][]float64{}, map[string][]float64{}
		for range 5 {
			for _, job := range jobs {
				start, before := time.Now(), cpuSeconds(b)
				if err := job.run(env); err != nil {
					b.Fatalf("%s: %v", job.name, err)
				}
				walls[job.name] = append(walls[job.name], time.Since(start).Seconds())
				cpus[job.name] = append(cpus[job.name], cpuSeconds(b)-before)
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
	b.ReportMetric(wall["file"]/wall["rg-same"], "file/rg-same-wall")
	for _, pair := range [][2]string{{"file", "rg-same"}, {"file", "rg-codes"}, {"stdin", "rg-stdin"}, {"pipe-floor", "rg-stdin"}, {"jsonl", "jq"}, {"gzip", "gzip-floor"}, {"zstd", "zstd-floor"}} {
		b.ReportMetric(cpu[pair[0]]/cpu[pair[1]], pair[0]+"/"+pair[1]+"-cpu")
	}
}

// logsJob is a shell command, or a floor that this process does.
type logsJob struct {
	name, command string
	floor         func() error
}

func (j logsJob) run(env []string) error {
	if j.floor != nil {
		return j.floor()
	}
	cmd := exec.Command("sh", "-c", j.command)
	cmd.Env = env
	return cmd.Run()
}

// cpuSeconds is the time of this process and of those that it waited for.
func cpuSeconds(b *testing.B) float64 {
	var sum float64
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var used unix.Rusage
		if err := unix.Getrusage(who, &used); err != nil {
			b.Fatal(err)
		}
		sum += float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
	}
	return sum
}

// readPipe reads what cat writes and does nothing with it.
func readPipe(file string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command("cat", file)
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		return err
	}
	w.Close()
	const block = 256 << 10
	if _, err := unix.FcntlInt(r.Fd(), unix.F_SETPIPE_SZ, 1<<20); err != nil {
		return err
	}
	for buf := make([]byte, block); err == nil; {
		_, err = r.Read(buf)
	}
	return cmd.Wait()
}

// decodeOnce is one pass of the decoder and of bytes.Index.
func decodeOnce(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	var text io.Reader
	if strings.HasSuffix(file, ".gz") {
		text, err = gzip.NewReader(f)
	} else {
		var frames *zstd.Decoder
		if frames, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1)); err == nil {
			defer frames.Close()
		}
		text = frames
	}
	if err != nil {
		return err
	}
	for buf := make([]byte, 1<<20); ; {
		n, err := io.ReadFull(text, buf)
		for p := buf[:n]; ; {
			at := bytes.Index(p, []byte("AADSTS"))
			if at < 0 {
				break
			}
			p = p[at+1:]
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// pack writes FILE.gz and FILE.zst.
func pack(b *testing.B, file string) {
	for ending, open := range map[string]func(io.Writer) (io.WriteCloser, error){
		".gz":  func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
		".zst": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
	} {
		if err := packWith(file, ending, open); err != nil {
			b.Fatal(err)
		}
	}
}

func packWith(file, ending string, open func(io.Writer) (io.WriteCloser, error)) error {
	from, err := os.Open(file)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(file + ending)
	if err != nil {
		return err
	}
	defer to.Close()
	w, err := open(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, from); err != nil {
		return err
	}
	return w.Close()
}

// writeMixedLog writes size bytes of log lines, a failure of one of 200 apps in about 2,000 of
// them.
func writeMixedLog(b *testing.B, file string, size int) {
	f, err := os.Create(file)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	rnd := rand.New(rand.NewPCG(1, 2))
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var apps [200]string
	guid := func() string {
		return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", rnd.Uint32(), rnd.IntN(1<<16), rnd.IntN(1<<12), rnd.IntN(1<<12), rnd.Int64N(1<<48))
	}
	for i := range apps {
		apps[i] = guid()
	}
	for written := 0; written < size; {
		at = at.Add(time.Duration(rnd.IntN(9)) * time.Millisecond)
		stamp := at.Format("2006-01-02T15:04:05.000Z")
		var n int
		switch k := rnd.IntN(2000); {
		case k == 0:
			n, _ = fmt.Fprintf(w, "%s ERROR AADSTS7000215: Invalid client secret provided, for a secret added to app '%s'. Trace ID: %s Correlation ID: %s\n", stamp, apps[rnd.IntN(len(apps))], guid(), guid())
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
