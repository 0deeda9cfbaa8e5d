package setting

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/credsmith/credsmith/internal/text"
)

// Error is what could not be read, and where. Line and Column are 0 when the
// whole file is meant. It never holds a value.
type Error struct {
	File         string
	Line, Column int
	Err          error
}

func (e *Error) Error() string {
	switch {
	case e.Line == 0:
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	case e.Column == 0:
		return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
	}
	return fmt.Sprintf("%s: %v", At(e.File, e.Line, e.Column), e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// source is the text of one file, as UTF-8.
type source struct {
	name       string
	text       string
	lines      []int // offset of each line's start
	transcoded bool  // the file is UTF-16: offsets are of the UTF-8 text
}

// newSource decodes a file. Bytes that are no UTF-8 are an error with their
// line: a guess at the code page could change a secret unseen.
func newSource(name string, data []byte) (*source, error) {
	decoded := text.UTF8(data)
	s := &source{name: name, text: string(decoded), transcoded: len(decoded) != len(data)}
	s.lines = []int{0}
	for i := range len(s.text) {
		if s.text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	if half := strings.IndexRune(s.text, utf8.RuneError); s.transcoded && (half >= 0 || len(data)%2 > 0) {
		if half < 0 {
			half = len(s.text)
		}
		return nil, s.errorAt(half, errors.New("holds half a character of UTF-16: the file is cut or damaged; save it as UTF-8"))
	}
	if i := strings.IndexByte(s.text, 0); i >= 0 {
		return nil, s.errorAt(i, errors.New("holds a zero byte: not a text file, or UTF-16 without a byte order mark; save it as UTF-8"))
	}
	if !utf8.ValidString(s.text) {
		i := 0
		for i < len(s.text) {
			r, size := utf8.DecodeRuneInString(s.text[i:])
			if r == utf8.RuneError && size == 1 {
				break
			}
			i += size
		}
		return nil, s.errorAt(i, errors.New("is not UTF-8 (perhaps Latin-1 or Windows-1252): save it as UTF-8"))
	}
	return s, nil
}

// place returns line and column (in bytes) of an offset, from 1.
func (s *source) place(offset int) (line, column int) {
	line = sort.SearchInts(s.lines, offset+1)
	return line, offset - s.lines[line-1] + 1
}

func (s *source) errorAt(offset int, err error) *Error {
	line, column := s.place(offset)
	return &Error{File: s.name, Line: line, Column: column, Err: err}
}

// mark is the byte order mark of UTF-8.
const mark = "\ufeff"

type nodeKind int

const (
	scalar nodeKind = iota
	null
	mapping
	list
)

// node is a parsed value of any format, with its place.
type node struct {
	kind       nodeKind
	key        string
	text       string // as the consumer sees it
	unresolved string // the reference that stands in place of a text
	note       string
	pinned     bool   // a Key Vault reference with a version
	vault      string // address of the secret that a Key Vault reference names
	src        *source
	start, end int // of the value as written, with quotes; equal when unknown
	items      []*node
}

// get returns the last child with that key, as readers of duplicates do.
func (n *node) get(keys ...string) *node {
	for _, key := range keys {
		if n == nil {
			return nil
		}
		var found *node
		for _, item := range n.items {
			if n.kind == mapping && item.key == key {
				found = item
			}
		}
		n = found
	}
	return n
}

func (n *node) str(keys ...string) string {
	if found := n.get(keys...); found != nil {
		return found.text
	}
	return ""
}

func (n *node) children() []*node {
	if n == nil {
		return nil
	}
	return n.items
}
