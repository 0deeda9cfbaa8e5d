// Package logscan reads logs of any size and says which sign-ins failed in
// them. A vector kernel finds the few places worth reading; only the text around
// those is parsed. What is found does not depend on how the input was cut
// into blocks. The package opens nothing: it is given readers.
package logscan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/credsmith/credsmith/internal/logscan/kernel"
)

// The text that is parsed around anchors. An event's facts lie within 1 KiB of
// each other; the line that tells its time may be a little further up.
const (
	before   = 2 << 10
	after    = 4 << 10
	gap      = before + after // anchors closer than this are parsed together
	maxGroup = 64 << 10       // but never more than this at a time
)

const (
	blockSize   = 256 << 10 // of one read: a quarter of the L2 cache
	chunkBlocks = 8         // blocks of one piece of work
)

// ErrShrank is returned when a file gets shorter while it is read.
var ErrShrank = errors.New("the file was truncated while it was read; what was left of it is counted")

// text returns the bytes [from, to) of a source; they are valid until the next
// call.
type text func(from, to int64) ([]byte, error)

// source is one log while it is read.
type source struct {
	scan  *Scan
	name  string
	id    string // tells it from other logs of that name
	text  text
	limit int64        // text from here on is not there yet; 0 is none
	hits  []kernel.Hit // not parsed yet
	owned int64        // events that start before this are counted
	place place        // what the name of the log tells
	// recordsTell says that the log is an export, whose records tell of their
	// failures themselves.
	recordsTell bool
}

// parse parses the groups of anchors that are complete, given that all anchors
// before horizon are known.
func (s *source) parse(horizon int64, end bool) error {
	done := 0
	for done < len(s.hits) {
		n, owns, ok := group(s.hits[done:], horizon, end)
		if !ok {
			break
		}
		if err := s.parseGroup(s.hits[done:done+n], owns); err != nil {
			return err
		}
		done += n
	}
	s.hits = s.hits[:copy(s.hits, s.hits[done:])]
	return nil
}

// group returns how many of the hits are parsed together and where the events
// of the next group start. It depends on the positions alone.
func group(hits []kernel.Hit, horizon int64, end bool) (n int, owns int64, ok bool) {
	for n = 1; n < len(hits); n++ {
		if hits[n].Pos-hits[n-1].Pos > gap {
			return n, hits[n-1].Pos + after, true
		}
		if hits[n].Pos-hits[0].Pos > maxGroup {
			return n, hits[n].Pos, true
		}
	}
	last := hits[n-1].Pos
	return n, last + after, end || horizon > last+gap
}

func (s *source) parseGroup(hits []kernel.Hit, owns int64) error {
	from := max(hits[0].Pos-before, 0)
	to := hits[len(hits)-1].Pos + after
	if s.limit > 0 {
		to, owns = min(to, s.limit), min(owns, s.limit)
	}
	p, err := s.text(from, to)
	if err != nil {
		return err
	}
	s.scan.read(s, p, from, hits, max(s.owned, from), owns)
	s.owned = owns
	return nil
}

var newline = []byte{'\n'}

// piece is what one worker found in one chunk.
type piece struct {
	index int64
	hits  []kernel.Hit
	lines int64
	bytes int64
	err   error
}

// File reads size bytes at random access, on every core. It never maps memory:
// a file that is truncated meanwhile is an error and no signal.
func (s *Scan) File(ctx context.Context, name string, r io.ReaderAt, size int64) error {
	chunk := int64(s.blockSize) * chunkBlocks
	chunks := (size + chunk - 1) / chunk
	workers := int(min(int64(runtime.GOMAXPROCS(0)), chunks))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var next atomic.Int64
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	// A worker takes a ticket before it takes a chunk, so that the chunk that
	// everybody waits for always has one.
	tickets := make(chan struct{}, 4*workers)
	pieces := make(chan piece, 4*workers)
	for range workers {
		wg.Go(func() {
			w := worker{r: r, block: int64(s.blockSize), size: size, buf: make([]byte, s.blockSize+2*kernel.Margin)}
			for {
				select {
				case tickets <- struct{}{}:
				case <-ctx.Done():
					return
				}
				index := next.Add(1) - 1
				if index >= chunks {
					return
				}
				pieces <- w.piece(index, index*chunk, min((index+1)*chunk, size))
			}
		})
	}
	return s.inOrder(ctx, name, r, size, chunk, chunks, pieces, tickets)
}

func (s *Scan) inOrder(ctx context.Context, name string, r io.ReaderAt, size, chunk, chunks int64, pieces <-chan piece, tickets <-chan struct{}) error {
	var scratch []byte
	src := source{scan: s, name: name, id: name, place: placeOfFile(name)}
	src.text = func(from, to int64) ([]byte, error) {
		to = min(to, size)
		if n := int(to - from); cap(scratch) < n {
			scratch = make([]byte, n)
		}
		p := scratch[:max(to-from, 0)]
		n, err := r.ReadAt(p, from)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		return p[:n], nil
	}
	if err := s.spanOf(src.text, size); err != nil {
		return err
	}
	waiting := map[int64]piece{}
	for index := int64(0); index < chunks; index++ {
		p, ok := waiting[index]
		for ; !ok; p, ok = waiting[index] {
			select {
			case got := <-pieces:
				waiting[got.index] = got
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		delete(waiting, index)
		<-tickets
		s.bytes += p.bytes
		s.lines += p.lines
		src.hits = append(src.hits, p.hits...)
		last := p.err != nil || index == chunks-1
		if err := src.parse((index+1)*chunk, last); err != nil {
			return err
		}
		if p.err != nil {
			return fmt.Errorf("read %s: %w", name, p.err)
		}
	}
	return nil
}

func (s *Scan) spanOf(read text, size int64) error {
	for _, from := range []int64{0, max(0, size-before)} {
		p, err := read(from, from+before)
		if err != nil {
			return err
		}
		s.span(p)
	}
	return nil
}

type worker struct {
	r           io.ReaderAt
	block, size int64
	buf         []byte
}

// piece reads and searches the bytes [from, to).
func (w *worker) piece(index, from, to int64) piece {
	p := piece{index: index}
	for ; from < to; from += w.block {
		start, end := max(from-kernel.Margin, 0), min(from+w.block, to)
		buf := w.buf[:min(end+kernel.Margin, w.size)-start]
		n, err := w.r.ReadAt(buf, start)
		if n < len(buf) {
			if err == nil || errors.Is(err, io.EOF) {
				err = ErrShrank
			}
			p.err = err
		}
		buf = buf[:n]
		lo, hi := min(int(from-start), n), min(int(end-start), n)
		p.hits = kernel.Append(p.hits, buf, lo, hi, start)
		p.lines += int64(bytes.Count(buf[lo:hi], newline))
		p.bytes += int64(hi - lo)
		if p.err != nil {
			break
		}
	}
	return p
}
