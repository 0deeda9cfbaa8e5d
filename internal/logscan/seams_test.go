package logscan

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
)

// shortReader returns odd pieces, as a pipe does.
type shortReader struct {
	in  io.Reader
	rnd *rand.Rand
}

func (r shortReader) Read(p []byte) (int, error) {
	return r.in.Read(p[:min(len(p), 1+r.rnd.IntN(2*maxGroup))])
}

// TestAnyBlockGivesTheTruth: counts per code and app are those of the generator
// (retries across lines, nested exceptions, failures without a code) for odd
// blocks and odd reads, dense and sparse.
func TestAnyBlockGivesTheTruth(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7, 7))
	for seed := range uint64(12) {
		c := newCorpus(1000 + seed)
		apps := []string{c.guid(), c.guid(), c.guid(), c.guid()}
		for range 40 {
			c.filler(rnd.IntN(1 + int(seed%4)*20))
			c.event(apps)
		}
		for range 6 {
			block := 1 + rnd.IntN(1<<rnd.IntN(17))
			if block < 64 && seed > 2 {
				block += 64 // the smallest are slow
			}
			c.check(t, scanWith(t, block, func(s *Scan) error {
				return s.File(t.Context(), "log", bytes.NewReader(c.Bytes()), int64(c.Len()))
			}))
			c.check(t, scanWith(t, block, func(s *Scan) error {
				return s.Reader(t.Context(), "log", shortReader{bytes.NewReader(c.Bytes()), rnd})
			}))
			if t.Failed() {
				t.Fatalf("seed %d, blocks of %d", seed, block)
			}
		}
	}
}

// shrinkingFile cuts the file below when it is first read behind the cut.
type shrinkingFile struct {
	*os.File
	cut  int64
	once *sync.Once
}

func (f shrinkingFile) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > f.cut {
		f.once.Do(func() { _ = os.Truncate(f.Name(), f.cut) })
	}
	return f.File.ReadAt(p, at)
}

// A log that is truncated while it is read is an error and no signal, and what
// is left of it counts.
func TestTruncatedUnderneath(t *testing.T) {
	t.Parallel()
	c := build(77, 400)
	for _, block := range []int{512, 4 << 10, 0} {
		file := filepath.Join(t.TempDir(), "app.log")
		if err := os.WriteFile(file, c.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cut := c.Len() * 2 / 3
		s := New(Options{Now: testNow, Key: testKey, blockSize: block})
		err = s.File(t.Context(), "log", shrinkingFile{f, int64(cut), new(sync.Once)}, int64(c.Len()))
		if !errors.Is(err, ErrShrank) {
			t.Errorf("blocks of %d: error %v", block, err)
		}
		got := s.Result()
		want := scanWith(t, 0, func(s *Scan) error {
			return s.Reader(context.Background(), "log", bytes.NewReader(c.Bytes()[:cut]))
		})
		if got.Bytes != want.Bytes || got.Lines != want.Lines || !reflect.DeepEqual(got.Apps, want.Apps) || !reflect.DeepEqual(got.Codes, want.Codes) || len(got.Secrets) != len(want.Secrets) {
			t.Errorf("blocks of %d: %d bytes, %d lines, %+v, want %d, %d, %+v", block, got.Bytes, got.Lines, got.Codes, want.Bytes, want.Lines, want.Codes)
		}
	}
}
