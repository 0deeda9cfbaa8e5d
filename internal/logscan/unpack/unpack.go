// Package unpack turns the bytes of a log file into its text: gzip and zstd are
// decompressed, UTF-16 becomes UTF-8. The form is known by the first bytes, never
// by a name.
package unpack

import (
	"bufio"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Form is how a text is packed.
type Form int

// The forms.
const (
	Plain Form = iota
	Gzip
	Zstd
	UTF16LE
	UTF16BE
)

// Enough is how many first bytes Sniff looks at.
const Enough = 64

// Sniff tells the form by the first bytes of a file.
func Sniff(head []byte) Form {
	switch {
	case len(head) >= 2 && head[0] == 0x1f && head[1] == 0x8b:
		return Gzip
	case len(head) >= 4 && string(head[:4]) == "\x28\xb5\x2f\xfd":
		return Zstd
	}
	return sniffUTF16(head[:min(len(head), Enough)])
}

// maxWindow is the most memory that a zstd frame may ask for, in bytes.
const maxWindow = 16 << 20

// Reader reads the text of r. Gzip members and zstd frames follow one another
// as often as they like. Close it to give its memory back; r stays open.
func Reader(r io.Reader) (io.ReadCloser, error) {
	const size = 64 << 10
	return reader(bufio.NewReaderSize(r, size), true)
}

func reader(buffered *bufio.Reader, packed bool) (io.ReadCloser, error) {
	head, err := buffered.Peek(Enough)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	form := Sniff(head)
	switch {
	case form == Gzip && packed:
		member, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, err
		}
		return inner(member, func() { _ = member.Close() })
	case form == Zstd && packed:
		frames, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return inner(frames, frames.Close)
	case form == UTF16LE || form == UTF16BE:
		return io.NopCloser(&utf16Reader{in: buffered, bigEndian: form == UTF16BE}), nil
	}
	return io.NopCloser(buffered), nil
}

type closing struct {
	io.Reader
	close func()
}

func (c closing) Close() error {
	c.close()
	return nil
}

// inner looks at decompressed text once more: it may be UTF-16. Its first bytes
// go by without the copy that a bufio.Reader makes of everything.
func inner(r io.Reader, done func()) (io.ReadCloser, error) {
	head := make([]byte, Enough)
	n, err := io.ReadFull(r, head)
	rest := io.Reader(&prefixed{head: head[:n], err: atEnd(err), in: r})
	if form := Sniff(head[:n]); form == UTF16LE || form == UTF16BE {
		rest = &utf16Reader{in: bufio.NewReader(rest), bigEndian: form == UTF16BE}
	}
	return closing{rest, done}, nil
}

func atEnd(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return nil // the reader below says so again, and knows whether it is true
	}
	return err
}

// prefixed reads head, then err or the rest of in.
type prefixed struct {
	head []byte
	err  error
	in   io.Reader
}

func (p *prefixed) Read(to []byte) (int, error) {
	if len(p.head) > 0 {
		n := copy(to, p.head)
		p.head = p.head[n:]
		return n, nil
	}
	if p.err != nil {
		return 0, p.err
	}
	return p.in.Read(to)
}
