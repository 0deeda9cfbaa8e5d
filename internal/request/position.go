package request

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// origin is the stretch of the input a request was read from.
type origin struct {
	text   string
	line   int  // of its first character, 0 if the request has no source text
	column int  // of its first character
	last   bool // a name counts where it stands last: a script sets before it sends
}

// cursor turns offsets of one text into positions. Offsets must not go back,
// which keeps the work linear however many requests the text holds.
type cursor struct {
	text   string
	offset int
	line   int
	start  int // offset of the line
}

// at returns line and column, in characters, of offset.
func (c *cursor) at(offset int) (line, column int) {
	offset = max(c.offset, min(offset, len(c.text)))
	passed := c.text[c.offset:offset]
	c.line += strings.Count(passed, "\n")
	if i := strings.LastIndexByte(passed, '\n'); i >= 0 {
		c.start = c.offset + i + 1
	}
	c.offset = offset
	return c.line + 1, 1 + utf8.RuneCountInString(c.text[c.start:offset])
}

// origin returns the stretch between two offsets.
func (c *cursor) origin(from, to int) origin {
	line, column := c.at(from)
	return origin{text: c.text[from:max(from, min(to, len(c.text)))], line: line, column: column}
}

// position returns line and column of an offset of text.
func position(text string, offset int) (line, column int) {
	c := cursor{text: text}
	return c.at(offset)
}

// positionOf is position as errors write it: 3:14.
func positionOf(text string, offset int) string {
	line, column := position(text, offset)
	return fmt.Sprintf("%d:%d", line, column)
}

// position returns line and column, in the input, of an offset of the stretch.
func (o origin) position(offset int) (line, column int) {
	line, column = position(o.text, offset)
	if line == 1 {
		column += o.column - 1
	}
	return o.line + line - 1, column
}

// find returns the offset of a word that stands by itself and, if there is
// such a one, in front of what a value follows; -1 if there is none.
func (o origin) find(word string) int {
	if word == "" {
		return -1
	}
	best, bestRank := -1, 0
	for from := 0; ; {
		i := indexFold(o.text[from:], word)
		if i < 0 {
			return best
		}
		at := from + i
		from = at + len(word)
		rank := o.rank(at, from)
		if rank > bestRank || o.last && rank > 0 && rank == bestRank {
			best, bestRank = at, rank
		}
	}
}

// rank says how much a stretch looks like the name of a value: 2 if one
// follows, 1 if it is a word by itself, 0 if it is a part of another.
func (o origin) rank(from, to int) int {
	if from > 0 && isNameByte(o.text[from-1]) && !escapedBefore(o.text[:from]) || to < len(o.text) && isNameByte(o.text[to]) {
		return 0
	}
	rest := strings.TrimLeft(o.text[to:min(len(o.text), to+8)], `"' `+"\t")
	if rest != "" && strings.IndexByte("=:,;", rest[0]) >= 0 || strings.HasPrefix(strings.ToLower(rest), "%3d") {
		return 2
	}
	return 1
}

// escapedBefore reports whether text ends with an escape, such as %26 or \n,
// whose last sign is no part of a name.
func escapedBefore(text string) bool {
	n := len(text)
	return n >= 3 && text[n-3] == '%' && isHex(text[n-2]) && isHex(text[n-1]) || n >= 2 && text[n-2] == '\\'
}

func isNameByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_' || c == '-'
}

// indexFold is strings.Index without regard to the case of ASCII letters.
func indexFold(text, word string) int {
	for i := 0; i+len(word) <= len(text); i++ {
		if (text[i]|0x20) == (word[0]|0x20) && strings.EqualFold(text[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}

// lineStart returns the offset of the first visible character of a line of
// the input, -1 if the line is not of the stretch.
func (o origin) lineStart(line int) int {
	offset := 0
	for n := o.line; n < line; n++ {
		i := strings.IndexByte(o.text[offset:], '\n')
		if i < 0 {
			return -1
		}
		offset += i + 1
	}
	if line < o.line || offset >= len(o.text) {
		return -1
	}
	rest := o.text[offset:]
	if seen := strings.TrimLeft(rest, " \t"); seen != "" {
		offset += len(rest) - len(seen)
	}
	return offset
}

// locate returns line and column of a place a fault names. What the request
// lacks stands where its body does; 0, 0 means that the request was never text.
func (l *linter) locate(at string) (line, column int) {
	o := l.source
	if o.line == 0 {
		return 0, 0
	}
	offset := -1
	kind, name, _ := strings.Cut(at, " ")
	switch kind {
	case "line":
		var n int
		if _, err := fmt.Sscan(name, &n); err == nil {
			offset = o.lineStart(n)
		}
	case "url":
		offset = l.urlOffset()
	case "header":
		offset = o.find(name)
	case "parameter":
		if f, found := l.reading.find(name); found {
			offset = o.find(f.name)
		}
	}
	if offset < 0 && kind != "url" && l.BodyLine > 0 {
		offset = o.lineStart(l.BodyLine)
	}
	return o.position(max(0, offset))
}

// urlOffset is where the URL stands, by its path if host and path stand apart.
func (l *linter) urlOffset() int {
	_, behind, _ := strings.Cut(l.URL, "://")
	_, path := cutBefore(behind, '/')
	path, _, _ = strings.Cut(path, "?")
	for _, part := range []string{l.URL, path, "/oauth2/", l.target.host} {
		if part == "" || part == "/" {
			continue
		}
		if i := strings.Index(l.source.text, part); i >= 0 {
			return i
		}
	}
	return -1
}
