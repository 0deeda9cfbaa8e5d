package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/credsmith/credsmith/internal/logscan"
	"github.com/credsmith/credsmith/internal/logscan/export"
	"github.com/credsmith/credsmith/internal/logscan/unpack"
)

// logReader reads logs into a scan. A log that cannot be read is noted, and
// the next one is read.
type logReader struct {
	scan             *logscan.Scan
	include, exclude []string
	stdin            io.Reader
	errors           []logscan.Error
}

func (r *logReader) failed(name string, err error) {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = fmt.Errorf("%s: %w", path.Op, path.Err)
	}
	r.errors = append(r.errors, logscan.Error{File: name, Error: err.Error()})
}

// read reads what a name stands for: a file, a directory, or - for standard input.
func (r *logReader) read(ctx context.Context, name string) error {
	if name == "-" {
		widen(r.stdin)
		r.note(ctx, name, r.stream(ctx, "stdin", r.stdin))
		return ctx.Err()
	}
	info, err := os.Stat(name)
	if err != nil {
		r.failed(name, err)
		return nil
	}
	if !info.IsDir() {
		r.note(ctx, name, r.file(ctx, name))
		return ctx.Err()
	}
	return filepath.WalkDir(name, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			r.failed(file, err)
			if entry != nil && entry.IsDir() {
				return fs.SkipDir
			}
		case entry.Type().IsRegular() && r.chosen(name, file):
			r.note(ctx, file, r.file(ctx, file))
		}
		return nil
	})
}

func (r *logReader) note(ctx context.Context, name string, err error) {
	if err != nil && ctx.Err() == nil {
		r.failed(name, err)
	}
}

// chosen applies --include and --exclude to a file's name and to its path in
// the directory.
func (r *logReader) chosen(dir, file string) bool {
	matches := func(patterns []string) bool {
		inside, err := filepath.Rel(dir, file)
		for _, pattern := range patterns {
			byName, _ := path.Match(pattern, filepath.Base(file))
			byPath, _ := path.Match(pattern, filepath.ToSlash(inside))
			if byName || err == nil && byPath {
				return true
			}
		}
		return false
	}
	return (len(r.include) == 0 || matches(r.include)) && !matches(r.exclude)
}

func (r *logReader) file(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return r.stream(ctx, name, f)
	}
	var head [max(unpack.Enough, export.Enough)]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if unpack.Sniff(head[:n]) != unpack.Plain || export.Sniff(head[:n]) != export.None {
		return r.stream(ctx, name, f)
	}
	r.scan.Source(name)
	return r.scan.File(ctx, name, f, info.Size())
}

func (r *logReader) stream(ctx context.Context, name string, in io.Reader) error {
	r.scan.Source(name)
	text, err := unpack.Reader(in)
	if err != nil {
		return err
	}
	defer text.Close()
	// What the peek meets is met again by the read.
	in = bufio.NewReaderSize(text, export.Enough)
	head, _ := in.(*bufio.Reader).Peek(export.Enough)
	if format := export.Sniff(head); format != export.None {
		return r.scan.Records(ctx, name, in, format)
	}
	return r.scan.Reader(ctx, name, in)
}

// changes reads the files of --changes.
func (r *logReader) changes(ctx context.Context, names []string, now time.Time) []logscan.Change {
	var all []logscan.Change
	for _, name := range names {
		// The error says why the walk ended early: the context, which the
		// caller looks at.
		_ = filepath.WalkDir(name, func(file string, entry fs.DirEntry, err error) error {
			if err != nil {
				r.failed(file, err)
				return nil
			}
			if entry.IsDir() {
				return ctx.Err()
			}
			found, err := readChanges(file, now)
			r.note(ctx, file, err)
			all = append(all, found...)
			return ctx.Err()
		})
	}
	return all
}

func readChanges(file string, now time.Time) ([]logscan.Change, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return logscan.ReadChanges(file, f, now)
}
