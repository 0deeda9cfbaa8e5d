// Package tail follows logs as they grow and are rotated: by rename, with or
// without a new file, by copy and truncation, and with compression of what was
// rotated away. It asks for the state of files again and again and needs no events
// of the operating system, so that it works on network and container file systems
// too.
//
// A log is known by its first bytes and not by its name or inode number: both
// are used again. What has the first bytes of a log that was read is that log, moved
// or copied, and is read from where the reading ended.
package tail

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/credsmith/credsmith/internal/logscan"
	"github.com/credsmith/credsmith/internal/logscan/unpack"
)

const (
	headSize  = 1 << 10         // first bytes that a log is known by
	readSize  = 256 << 10       // of one read
	maxTurn   = 64 << 20        // bytes of one log before the others have their turn
	maxLogs   = 4096            // that are remembered
	settle    = 4               // polls after which a busy log is settled
	idle      = 2400            // quiet polls after which a log is closed
	idleGone  = 400             // the same when another log has taken its place
	young     = 2 * time.Second // an archive that was written so lately may be half done
	lookAfter = 4000            // polls after a rotation in which its files are looked for
)

// Follower follows logs. It is not safe for use by several goroutines.
type Follower struct {
	scan    *logscan.Scan
	targets []*target
	logs    []*log
	passed  map[string]fs.FileInfo // looked at, with nothing to read
	failed  map[string]error
	buf     []byte
	serial  int
	closing bool // there is no next look
}

// target is a name that was given.
type target struct {
	name   string
	dir    bool
	chosen func(file string) bool
	look   int // polls for which files beside it are looked at
}

// log is one generation of a log.
type log struct {
	name    string // to show
	path    string // where it was opened
	root    string // where the first log of its kind was
	of      *target
	f       *os.File // nil while it is closed
	offset  int64    // read so far
	head    []byte
	live    *logscan.Live // nil for a log that is not ours to read
	state   fs.FileInfo   // when it was read last
	quiet   int           // polls without news
	pending int           // polls with news that are not settled
	gone    bool          // another log is at its path
}

// New returns a follower that counts into scan.
func New(scan *logscan.Scan) *Follower {
	return &Follower{scan: scan, passed: map[string]fs.FileInfo{}, failed: map[string]error{}, buf: make([]byte, readSize)}
}

// Add follows a file, or the files of a directory for which chosen is true. A
// file need not exist yet. What was rotated away before is not read.
func (f *Follower) Add(name string, chosen func(file string) bool) {
	t := &target{name: name, chosen: chosen}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		t.dir = true
		f.walk(t, func(file string) { f.open(t, file, file, true) })
	} else {
		for _, file := range f.beside(t) {
			f.know(t, file)
		}
		f.open(t, t.path(), name, true)
	}
	f.targets = append(f.targets, t)
}

// Errors are the logs that cannot be read, and why.
func (f *Follower) Errors() []logscan.Error {
	list := []logscan.Error{}
	for name, err := range f.failed {
		if path, ok := errors.AsType[*fs.PathError](err); ok {
			err = fmt.Errorf("%s: %w", path.Op, path.Err)
		}
		list = append(list, logscan.Error{File: name, Error: err.Error()})
	}
	slices.SortFunc(list, func(a, b logscan.Error) int { return strings.Compare(a.File, b.File) })
	return list
}

// Poll reads what is new in all logs.
func (f *Follower) Poll() {
	for _, l := range slices.Clone(f.logs) {
		if l.f != nil {
			f.read(l)
		}
	}
	for _, t := range f.targets {
		f.look(t)
	}
	for _, l := range f.logs {
		f.rest(l)
	}
	for len(f.logs) > maxLogs {
		f.drop(f.logs[0])
		f.logs = f.logs[1:]
	}
}

// Close reads what is there to the end, and ends all logs.
func (f *Follower) Close() {
	for _, t := range f.targets {
		t.look = max(t.look, 1)
	}
	f.closing = true
	f.Poll()
	for _, l := range f.logs {
		f.drop(l)
	}
	f.logs = nil
}

func (f *Follower) drop(l *log) {
	if l.live != nil {
		f.note(l.name, l.live.End())
	}
	f.close(l)
}

func (f *Follower) close(l *log) {
	if l.f != nil {
		_ = l.f.Close() // only read from
		l.f = nil
	}
}

func (f *Follower) note(name string, err error) {
	if err != nil {
		f.failed[name] = err
	}
}

// read reads an open log to its end.
func (f *Follower) read(l *log) {
	l.quiet++
	for turn := 0; turn < maxTurn; {
		n, err := l.f.ReadAt(f.buf, l.offset)
		if n > 0 && !l.isItself() {
			f.cut(l)
			return
		}
		if n > 0 {
			f.take(l, f.buf[:n])
			turn += n
		}
		if err != nil && !errors.Is(err, io.EOF) {
			f.note(l.name, err)
			return
		}
		if n == 0 {
			break
		}
	}
	info, err := l.f.Stat()
	if err != nil {
		f.note(l.name, err)
		return
	}
	changed := l.state == nil || !info.ModTime().Equal(l.state.ModTime())
	if info.Size() < l.offset || changed && !l.isItself() {
		f.cut(l)
		return
	}
	l.state = info
}

func (f *Follower) take(l *log, p []byte) {
	l.head = append(l.head, p[:min(len(p), headSize-len(l.head))]...)
	_, err := l.live.Write(p)
	f.note(l.name, err)
	l.offset += int64(len(p))
	l.quiet, l.pending = 0, max(l.pending, 1)
}

// isItself reports whether the file still begins as it did.
func (l *log) isItself() bool {
	if len(l.head) == 0 {
		return true
	}
	var now [headSize]byte
	n, _ := l.f.ReadAt(now[:len(l.head)], 0)
	return bytes.Equal(now[:n], l.head)
}

// cut ends a log that was truncated under us; its file goes on as a new one.
// What was not read of it is in the copy that was made before.
func (f *Follower) cut(l *log) {
	next := f.add(l.of, l.path, l.name, l.f)
	l.f = nil
	l.of.look = lookAfter
	f.read(next)
}

func (f *Follower) add(t *target, path, name string, file *os.File) *log {
	f.serial++
	l := &log{name: name, path: path, root: path, of: t, f: file, live: f.scan.Live(name, fmt.Sprintf("%s#%d", name, f.serial), 0)}
	if !t.dir {
		l.root = t.path()
	} else if i := slices.IndexFunc(f.logs, func(l *log) bool { return l.of == t && kin(l.root, path) }); i >= 0 {
		l.root = f.logs[i].root
	}
	f.logs = append(f.logs, l)
	return l
}

// rest settles what is quiet and closes what has long been.
func (f *Follower) rest(l *log) {
	if l.pending > 0 {
		if l.pending++; l.quiet > 0 || l.pending > settle {
			f.note(l.name, l.live.Settle())
			l.pending = 0
		}
	}
	if l.f != nil && (l.quiet > idle || l.gone && l.quiet > idleGone) {
		f.passed[l.path] = l.state
		f.close(l)
	}
}

// look looks for logs that are new at the target.
func (f *Follower) look(t *target) {
	if t.dir {
		f.walk(t, func(file string) { f.open(t, file, f.nameOf(t, file), false) })
		return
	}
	path := t.path()
	if f.open(t, path, t.name, false) {
		t.look = lookAfter
	} else if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		t.look = max(t.look, 1) // the program may go on with the log that was moved away
	}
	if t.look > 0 {
		t.look--
		for _, file := range f.beside(t) {
			f.open(t, file, t.name, false)
		}
	}
}

// nameOf gives what was rotated away the name of the log that it was.
func (f *Follower) nameOf(t *target, file string) string {
	for _, l := range f.logs {
		if l.of == t && l.root != file && kin(l.root, file) {
			return l.name
		}
	}
	return file
}

func (f *Follower) walk(t *target, each func(file string)) {
	// Files that come and go meanwhile are no error; others are noted.
	_ = filepath.WalkDir(t.name, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			f.note(file, err)
			if entry != nil && entry.IsDir() {
				return fs.SkipDir
			}
		case entry.Type().IsRegular() && t.chosen(file):
			each(file)
		}
		return nil
	})
}

// path is where the target is, behind symbolic links such as those of
// /var/log/containers.
func (t *target) path() string {
	if real, err := filepath.EvalSymlinks(t.name); err == nil {
		return real
	}
	return t.name
}

// beside lists the files beside a target that rotation may have made of it.
func (f *Follower) beside(t *target) []string {
	path := t.path()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil // the target's own error says more
	}
	var files []string
	for _, entry := range entries {
		file := filepath.Join(filepath.Dir(path), entry.Name())
		if file != path && entry.Type().IsRegular() && kin(path, file) {
			files = append(files, file)
		}
	}
	return files
}

// kin reports whether a file may be a rotated log: app.log.1, app.log-20260102.gz
// or app-2026-01-02.log for app.log.
func kin(log, file string) bool {
	if filepath.Dir(log) != filepath.Dir(file) {
		return false
	}
	base, name := filepath.Base(log), filepath.Base(file)
	if strings.HasPrefix(name, base) {
		return true
	}
	stem, _, _ := strings.Cut(base, ".")
	rest, ok := strings.CutPrefix(name, stem)
	return ok && stem != "" && len(rest) > 1 && strings.IndexByte("-._", rest[0]) >= 0 && '0' <= rest[1] && rest[1] <= '9'
}

// know remembers a log that was rotated away before we came: it is not read.
func (f *Follower) know(t *target, file string) {
	opened, err := os.Open(file)
	if err != nil {
		return
	}
	defer opened.Close()
	if head, _, err := headOf(opened); err == nil && len(head) > 0 {
		f.logs = append(f.logs, &log{name: t.name, path: file, root: t.path(), of: t, head: head, offset: math.MaxInt64})
	}
}

// headOf reads the first bytes of a file's text.
func headOf(f *os.File) (head []byte, form unpack.Form, err error) {
	var first [unpack.Enough]byte
	n, err := f.ReadAt(first[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	head = make([]byte, headSize)
	form = unpack.Sniff(first[:n])
	if form == unpack.Plain {
		n, err := f.ReadAt(head, 0)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return head[:n], form, err
	}
	text, err := unpack.Reader(io.NewSectionReader(f, 0, math.MaxInt64))
	if err != nil {
		return nil, form, err
	}
	defer text.Close()
	n, err = io.ReadFull(text, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && n > 0 {
		err = nil
	}
	return head[:n], form, err
}

// open looks at a file that may be new. It reports whether it is a log that was
// not followed yet. first is set for what is there when we come: all of it is read.
func (f *Follower) open(t *target, path, name string, first bool) bool {
	info, err := os.Stat(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) || first {
			f.note(name, err)
		}
		return false
	}
	if !info.Mode().IsRegular() || f.isOpen(path, info) || f.hasPassed(path, info) {
		return false
	}
	file, err := os.Open(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			f.note(name, err)
		}
		return false
	}
	if kept := f.meet(t, path, name, file, first); !kept {
		_ = file.Close() // only read from
		return false
	}
	return true
}

func (f *Follower) isOpen(path string, info fs.FileInfo) (open bool) {
	for _, l := range f.logs {
		if l.f == nil {
			continue
		}
		if l.state == nil {
			l.state, _ = l.f.Stat()
		}
		if os.SameFile(l.state, info) {
			open = true
		} else if l.path == path {
			l.gone = true
		}
	}
	return open
}

func (f *Follower) hasPassed(path string, info fs.FileInfo) bool {
	before := f.passed[path]
	return before != nil && os.SameFile(before, info) && before.Size() == info.Size() && before.ModTime().Equal(info.ModTime())
}

// meet decides what a file is: a log that is known, or a new one. It reports
// whether the file stays open.
func (f *Follower) meet(t *target, path, name string, file *os.File, first bool) bool {
	info, err := file.Stat()
	if err != nil {
		f.note(name, err)
		return false
	}
	if f.isOpen(path, info) {
		return false // it was moved here since the path was looked at
	}
	head, form, err := headOf(file)
	if err != nil {
		f.pass(path, info)
		f.broken(path, info, err)
		return false
	}
	if len(head) == 0 {
		return false
	}
	delete(f.failed, name)
	delete(f.failed, path)
	known, wait := f.known(path, head)
	switch {
	case first || known == nil && !wait:
		if first {
			f.scan.Source(name)
		}
		l := f.add(t, path, name, file)
		if form != unpack.Plain {
			f.readPacked(l, file, info)
			return false
		}
		f.read(l)
		return true
	case wait || known.f != nil:
		return false // look again: a copy that is being written, or of a log that may be truncated next
	case known.live == nil || form == unpack.Plain && info.Size() <= known.offset:
		f.pass(path, info)
		return false
	case form != unpack.Plain:
		f.readPacked(known, file, info)
		return false
	}
	known.f, known.path, known.state, known.gone, known.quiet = file, path, info, false, 0
	f.read(known)
	return true
}

// broken notes why an archive could not be read to its end, unless it may still
// be written.
func (f *Follower) broken(path string, info fs.FileInfo, err error) {
	switch {
	case errors.Is(err, io.EOF):
	case errors.Is(err, io.ErrUnexpectedEOF) && !f.closing && time.Since(info.ModTime()) < young:
		delete(f.passed, path) // look again
	default:
		f.note(path, err)
	}
}

func (f *Follower) pass(path string, info fs.FileInfo) {
	if len(f.passed) > maxLogs {
		clear(f.passed)
	}
	f.passed[path] = info
}

// known returns the log that a head belongs to. wait says that it is too short
// to tell.
func (f *Follower) known(path string, head []byte) (of *log, wait bool) {
	for _, l := range slices.Backward(f.logs) {
		switch {
		case len(l.head) == 0:
			// What was written to it since it was looked at may be copied by now.
			wait = wait || kin(l.root, path) && l.holds()
		case bytes.HasPrefix(head, l.head) && kin(l.root, path):
			return l, false
		case bytes.HasPrefix(l.head, head) && kin(l.root, path):
			wait = true
		}
	}
	return nil, wait
}

// holds reports whether an open log has text by now.
func (l *log) holds() bool {
	if l.f == nil {
		return false
	}
	info, err := l.f.Stat()
	return err == nil && info.Size() > 0
}

// readPacked reads what a compressed log holds beyond what was read of it.
func (f *Follower) readPacked(l *log, file *os.File, info fs.FileInfo) {
	l.f = nil
	f.pass(file.Name(), info)
	text, err := unpack.Reader(io.NewSectionReader(file, 0, math.MaxInt64))
	if err != nil {
		f.broken(file.Name(), info, err)
		return
	}
	defer text.Close()
	if _, err := io.CopyN(io.Discard, text, l.offset); err != nil {
		f.broken(file.Name(), info, err)
		return
	}
	for {
		n, err := text.Read(f.buf)
		f.take(l, f.buf[:n])
		if err != nil {
			f.broken(file.Name(), info, err)
			return
		}
	}
}
