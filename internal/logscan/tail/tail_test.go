package tail

import (
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/logscan"
)

var rotations = flag.Int("rotations", 1000, "rotations of each log in TestRotations")

// writer writes a log with a truth, and rotates it in every way.
type writer struct {
	t       *testing.T
	rnd     *rand.Rand
	path    string
	f       *os.File
	old     *os.File // a log that was renamed while the program goes on with it
	half    string   // of a line, to be written next
	lines   int
	bytes   int64
	rotated int
}

func newWriter(t *testing.T, seed uint64, path string) *writer {
	w := &writer{t: t, rnd: rand.New(rand.NewPCG(seed, 3)), path: path}
	w.f = w.create()
	return w
}

func (w *writer) must(err error) {
	if err != nil {
		w.t.Helper()
		w.t.Error(err)
	}
}

func (w *writer) create() *os.File {
	f, err := os.OpenFile(w.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	w.must(err)
	return f
}

func (w *writer) write() {
	to := w.f
	if w.old != nil {
		to = w.old
	}
	if w.half != "" {
		w.put(to, w.half)
		w.half = ""
		return
	}
	line := fmt.Sprintf("2026-01-02T03:04:05Z ERROR AADSTS7000222: expired for app '03146f14-24fa-4cde-8455-537c6ff06a55'. Trace ID: %016x-%x\n", w.rnd.Uint64(), w.lines)
	line = strings.Replace(line, "Trace ID: ", fmt.Sprintf("Trace ID: %08x-0000-4000-8000-%012x ", w.rnd.Uint32(), w.rnd.Int64N(1<<48)), 1)
	w.lines++
	if w.rnd.IntN(4) == 0 {
		cut := 1 + w.rnd.IntN(len(line)-1)
		line, w.half = line[:cut], line[cut:]
	}
	w.put(to, line)
}

func (w *writer) put(to *os.File, text string) {
	_, err := to.WriteString(text)
	w.must(err)
	w.bytes += int64(len(text))
}

// finish writes the rest of a line, and ends what goes on in an old file.
func (w *writer) finish() {
	if w.half != "" {
		w.write()
	}
	if w.old != nil {
		w.must(w.old.Close())
		w.old = nil
	}
}

func (w *writer) rotate() {
	w.finish()
	w.rotated++
	for i := 6; i > 0; i-- { // app.log.6 is dropped
		for _, end := range []string{"", ".gz"} {
			from, to := fmt.Sprintf("%s.%d%s", w.path, i, end), fmt.Sprintf("%s.%d%s", w.path, i+1, end)
			if i == 6 {
				_ = os.Remove(from)
			} else {
				_ = os.Rename(from, to)
			}
		}
	}
	first := w.path + ".1"
	switch w.rnd.IntN(4) {
	case 0: // copytruncate
		data, err := os.ReadFile(w.path)
		w.must(err)
		w.must(os.WriteFile(first, data, 0o600))
		w.must(os.Truncate(w.path, 0))
	case 1: // the program goes on with the old file for a while
		w.must(os.Rename(w.path, first))
		w.old, w.f = w.f, w.create()
		return
	default:
		w.must(os.Rename(w.path, first))
		w.must(w.f.Close())
		w.f = w.create()
	}
	if w.rnd.IntN(3) == 0 {
		w.zip(first)
	}
}

func (w *writer) zip(file string) {
	in, err := os.Open(file)
	w.must(err)
	out, err := os.Create(file + ".gz")
	w.must(err)
	z := gzip.NewWriter(out)
	_, err = io.Copy(z, in)
	w.must(err)
	w.must(z.Close())
	w.must(out.Close())
	w.must(in.Close())
	w.must(os.Remove(file))
}

func newScan() *logscan.Scan {
	return logscan.New(logscan.Options{Now: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)})
}

func (w *writer) check(t *testing.T, r logscan.Result, f *Follower) {
	t.Helper()
	if r.Bytes != w.bytes || r.Lines != int64(w.lines) || r.Failures != int64(w.lines) || r.Occurrences != int64(w.lines) {
		t.Errorf("%d bytes, %d lines, %d failures, %d occurrences were read; %d bytes, %d lines written, %d rotations", r.Bytes, r.Lines, r.Failures, r.Occurrences, w.bytes, w.lines, w.rotated)
	}
	if errs := f.Errors(); len(errs) > 0 {
		t.Errorf("errors %v", errs)
	}
}

// TestRotations: nothing is lost and nothing counts twice, whatever happens
// between two looks, for a file and for its directory.
func TestRotations(t *testing.T) {
	t.Parallel()
	for _, whole := range []bool{false, true} {
		t.Run(fmt.Sprintf("directory %v", whole), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := newWriter(t, 1, filepath.Join(dir, "app.log"))
			for range 5 {
				w.write()
			}
			scan := newScan()
			f := New(scan)
			if whole {
				f.Add(dir, func(string) bool { return true })
			} else {
				f.Add(w.path, nil)
			}
			for w.rotated < *rotations {
				for between := 0; between < 3 && w.rnd.IntN(3) > 0; between++ {
					w.write()
					w.rotate()
				}
				for range w.rnd.IntN(12) {
					w.write()
				}
				f.Poll()
			}
			w.finish()
			f.Close()
			w.check(t, scan.Result(), f)
		})
	}
}

// TestUnderLoad: the same with a program that writes and rotates while the
// follower reads.
func TestUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWriter(t, 2, filepath.Join(dir, "app.log"))
	scan := newScan()
	f := New(scan)
	f.Add(w.path, nil)
	polled, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for w.rotated < *rotations/4 {
			for range 200 {
				w.write()
			}
			w.rotate()
			<-polled // archives live for six rotations: one look at least in each
		}
		w.finish()
	}()
	for running := true; running; {
		f.Poll()
		select {
		case polled <- struct{}{}:
		case <-done:
			running = false
		default:
		}
	}
	f.Close()
	w.check(t, scan.Result(), f)
}
