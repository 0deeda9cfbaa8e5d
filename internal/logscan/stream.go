package logscan

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/credsmith/credsmith/internal/logscan/kernel"
)

// Reader reads a stream to its end in one pass.
func (s *Scan) Reader(ctx context.Context, name string, r io.Reader) error {
	st := newStream(s, name, name)
	st.buf = make([]byte, 0, 2*(maxGroup+gap)+2*st.block)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(st.room())
		if fed := st.feed(n); fed != nil {
			return fed
		}
		if err != nil {
			if ended := st.end(); ended != nil || errors.Is(err, io.EOF) {
				return ended
			}
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
}

// stream keeps the end of what was read: what a pending event may need.
type stream struct {
	source
	block   int
	buf     []byte // what is kept
	base    int64  // position of buf[0]
	scanned int64  // anchors before this are known
	head    bool   // the first lines were asked for their times
}

func newStream(s *Scan, name, id string) *stream {
	st := &stream{source: source{scan: s, name: name, id: id, place: placeOfFile(name)}, block: s.blockSize}
	st.text = func(from, to int64) ([]byte, error) {
		from = max(from, st.base)
		return st.buf[from-st.base : max(min(to-st.base, int64(len(st.buf))), from-st.base)], nil
	}
	return st
}

// room returns where the next bytes are to be read into.
func (st *stream) room() []byte {
	if cap(st.buf)-len(st.buf) < st.block {
		keep := st.needed()
		st.buf = st.buf[:copy(st.buf, st.buf[keep-st.base:])]
		st.base = keep
		st.buf = slices.Grow(st.buf, st.block)
	}
	return st.buf[len(st.buf) : len(st.buf)+st.block]
}

// needed returns where the text starts that may be asked for again.
func (st *stream) needed() int64 {
	keep := max(st.scanned-before-kernel.Margin, st.base)
	if len(st.hits) > 0 {
		keep = min(keep, max(st.hits[0].Pos-before, st.base))
	}
	return keep
}

// feed takes n bytes that were read into room.
func (st *stream) feed(n int) error {
	fresh := st.buf[len(st.buf) : len(st.buf)+n]
	st.buf = st.buf[:len(st.buf)+n]
	st.scan.bytes += int64(n)
	st.scan.lines += int64(bytes.Count(fresh, newline))
	if !st.head && len(st.buf) >= before {
		st.head = true
		st.scan.span(st.buf)
	}
	st.find(st.base + int64(len(st.buf)) - kernel.Margin)
	return st.parse(st.scanned, false)
}

func (st *stream) find(to int64) {
	if to <= st.scanned {
		return
	}
	st.hits = kernel.Append(st.hits, st.buf, int(st.scanned-st.base), int(to-st.base), st.base)
	st.scanned = to
}

// end says that nothing follows.
func (st *stream) end() error {
	st.find(st.base + int64(len(st.buf)))
	st.scan.span(st.buf[max(0, len(st.buf)-before):])
	return st.parse(st.scanned, true)
}

// Live is one log that grows. It counts what is written to it.
type Live struct{ st *stream }

// liveBlock is how much of a growing log is taken at a time.
const liveBlock = 64 << 10

// Live returns a log to write to. The name is shown; the id tells it from
// other logs of the name, such as the one before a rotation. Text before start
// was read already.
func (s *Scan) Live(name, id string, start int64) *Live {
	st := newStream(s, name, id)
	st.block = min(st.block, liveBlock)
	st.base, st.scanned, st.owned = start, start, start
	st.head = start > 0
	return &Live{st}
}

// Write counts p as the next text of the log.
func (l *Live) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		m := copy(l.st.room(), p[n:])
		err = l.st.feed(m)
		n += m
	}
	return n, err
}

// Settle counts the failures of the lines that are complete, though more may
// follow, and gives back the memory that a quiet log does not need.
func (l *Live) Settle() error {
	st := l.st
	line := st.base + int64(bytes.LastIndexByte(st.buf, '\n')) + 1
	if line > st.base {
		st.find(line)
		n, _ := slices.BinarySearchFunc(st.hits, line, func(h kernel.Hit, at int64) int { return cmp.Compare(h.Pos, at) })
		later := slices.Clone(st.hits[n:])
		st.hits, st.limit = st.hits[:n], line
		err := st.parse(line, true)
		st.hits, st.limit = append(st.hits, later...), 0
		if err != nil {
			return err
		}
	}
	keep := st.needed()
	st.buf = slices.Clone(st.buf[keep-st.base:])
	st.base = keep
	st.scan.span(st.buf[max(0, len(st.buf)-before):])
	return nil
}

// End says that nothing follows.
func (l *Live) End() error { return l.st.end() }
