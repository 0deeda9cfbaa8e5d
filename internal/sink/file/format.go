package file

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/credsmith/credsmith/internal/text"
)

// Format is a kind of file. Its name is the sink's in the configuration.
type Format string

// The formats.
const (
	Dotenv     Format = "dotenv"
	JSON       Format = "json" // with comments and trailing commas, as .NET and VS Code take it
	YAML       Format = "yaml"
	Properties Format = "properties"
	INI        Format = "ini"
)

// Formats returns all formats.
func Formats() []Format { return []Format{Dotenv, JSON, YAML, Properties, INI} }

// parser returns what reads a format; nil for a format that is none.
func (f Format) parser() func(text, key string) (*document, error) {
	switch f {
	case Dotenv:
		return parseDotenv
	case JSON:
		return parseJSON
	case YAML:
		return parseYAML
	case Properties:
		return parseProperties
	case INI:
		return parseINI
	}
	return nil
}

// refusal is a file, or a value, that is beyond what can be written safely.
type refusal struct{ says, next string }

func (r *refusal) Error() string { return r.says }

// document is the text of a file with every place of one value in it.
type document struct {
	slots []slot // all are written; the last one counts for readers
	// add returns what puts a missing value in.
	add func(value string) ([]edit, error)
}

// slot is one place of the value. start and end span it as written, with its
// quotes.
type slot struct {
	start, end int
	text       string                             // as readers see it
	write      func(value string) (string, error) // in this place's quotes if they can hold it
}

// edit puts text in place of the bytes from start to end.
type edit struct {
	start, end int
	text       string
}

// content is the bytes of a file taken apart.
type content struct {
	mark  string           // byte order mark, as it stands in the file
	order binary.ByteOrder // of UTF-16; nil for UTF-8
	text  string           // without the mark
}

// decode takes a file apart. What could not be put together again, byte for
// byte, is refused.
func decode(data []byte) (content, error) {
	c := content{text: string(data)}
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		c.mark, c.order = "\xff\xfe", binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		c.mark, c.order = "\xfe\xff", binary.BigEndian
	case bytes.HasPrefix(data, []byte("\ufeff")):
		c.mark, c.text = "\ufeff", string(data[3:])
	}
	if c.order != nil {
		c.text = string(text.UTF8(data))
		if !bytes.Equal(c.encode(c.text), data) {
			return c, &refusal{"the file is damaged UTF-16", "save it as UTF-8"}
		}
	}
	if at := strings.IndexByte(c.text, 0); at >= 0 {
		return c, &refusal{fmt.Sprintf("line %d holds a zero byte: not a text file, or UTF-16 without a byte order mark", lineOf(c.text, at)), "save it as UTF-8"}
	}
	return c, nil
}

func (c content) encode(text string) []byte {
	out := []byte(c.mark)
	if c.order == nil {
		return append(out, text...)
	}
	for _, unit := range utf16.Encode([]rune(text)) {
		out = append(out, 0, 0)
		c.order.PutUint16(out[len(out)-2:], unit)
	}
	return out
}

// lookup returns what a file holds under a key.
func (f Format) lookup(data []byte, key string) (value string, exists bool, err error) {
	c, err := decode(data)
	if err != nil {
		return "", false, err
	}
	doc, err := f.parser()(c.text, key)
	if err != nil || len(doc.slots) == 0 {
		return "", false, err
	}
	return doc.slots[len(doc.slots)-1].text, true, nil
}

// patch returns the file with value under a key. No other byte changes.
func (f Format) patch(data []byte, key, value string) ([]byte, error) {
	if err := holdable(value); err != nil {
		return nil, err
	}
	c, err := decode(data)
	if err != nil {
		return nil, err
	}
	if !utf8.ValidString(c.text) && !ascii(value) {
		return nil, &refusal{"the file is not UTF-8, and the value goes beyond ASCII", "save the file as UTF-8"}
	}
	doc, err := f.parser()(c.text, key)
	if err != nil {
		return nil, err
	}
	edits, err := doc.edits(value)
	if err != nil {
		return nil, err
	}
	out := apply(c.text, edits)
	// Readers must find the value again: nothing is written on trust.
	again, err := f.parser()(out, key)
	if err != nil || len(again.slots) != max(1, len(doc.slots)) {
		return nil, errUnreadable
	}
	for _, s := range again.slots {
		if s.text != value {
			return nil, errUnreadable
		}
	}
	return c.encode(out), nil
}

var errUnreadable = &refusal{"the value would not be read back the same from this place", "write the place in a plainer form, then try again"}

func (d *document) edits(value string) ([]edit, error) {
	if len(d.slots) == 0 {
		return d.add(value)
	}
	var edits []edit
	for _, s := range d.slots {
		written, err := s.write(value)
		if err != nil {
			return nil, err
		}
		edits = append(edits, edit{s.start, s.end, written})
	}
	return edits, nil
}

// apply makes edits, which are in order and do not overlap.
func apply(text string, edits []edit) string {
	var b strings.Builder
	at := 0
	for _, e := range edits {
		b.WriteString(text[at:e.start])
		b.WriteString(e.text)
		at = e.end
	}
	b.WriteString(text[at:])
	return b.String()
}

const anotherSecret = "make another secret"

// holdable refuses what no format holds.
func holdable(value string) error {
	switch {
	case value == "":
		return &refusal{"the value is empty, which is never a secret", anotherSecret}
	case !utf8.ValidString(value):
		return &refusal{"the value is not UTF-8", anotherSecret}
	case strings.ContainsRune(value, 0):
		return &refusal{"the value holds a zero byte", anotherSecret}
	}
	return nil
}

// unholdable refuses a value with one of these signs; nil if it has none.
func unholdable(format Format, value, signs string) error {
	if strings.ContainsAny(value, signs) {
		return &refusal{fmt.Sprintf("the value holds one of %s, which readers of %s files do not agree on", strings.Join(strings.Split(signs, ""), " "), format), anotherSecret}
	}
	if strings.ContainsFunc(value, unprintable) {
		return &refusal{fmt.Sprintf("the value holds a character that cannot be seen, which readers of %s files do not agree on", format), anotherSecret}
	}
	return nil
}

// unprintable tells line breaks, controls and what hides, but not the space.
func unprintable(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

func lineOf(text string, at int) int { return 1 + strings.Count(text[:at], "\n") }

// line is one line of a text, without its end.
type line struct {
	at     int
	text   string
	number int
	next   int // where the next one begins
}

// linesOf splits a text at line feeds, with or without a carriage return
// before. One that stands alone is refused: readers do not agree on it.
func linesOf(text string) ([]line, error) {
	var lines []line
	at := 0
	for l := range strings.Lines(text) {
		body := strings.TrimSuffix(strings.TrimSuffix(l, "\n"), "\r")
		if strings.Contains(body, "\r") {
			return nil, &refusal{fmt.Sprintf("line %d holds a carriage return that ends no line", len(lines)+1), "save the file with the line ends of Unix or Windows"}
		}
		lines = append(lines, line{at, body, len(lines) + 1, at + len(l)})
		at += len(l)
	}
	return lines, nil
}

// lineEnd returns how the lines of a text end.
func lineEnd(text string) string {
	if at := strings.IndexByte(text, '\n'); at > 0 && text[at-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// appended puts lines at the end of a text. A file whose last line has no end
// keeps it that way.
func appended(text string, lines ...string) []edit {
	eol := lineEnd(text)
	added := strings.Join(lines, eol)
	if text != "" && !strings.HasSuffix(text, "\n") {
		added = eol + added
	} else {
		added += eol
	}
	return []edit{{len(text), len(text), added}}
}

// path takes a key apart: a JSON pointer (/a/b), or names between dots.
func path(key string) ([]string, error) {
	if !strings.HasPrefix(key, "/") {
		steps := strings.Split(key, ".")
		if slices.Contains(steps, "") {
			return nil, errors.New("has an empty part; write names with dots in them as a JSON pointer, /like/this.one")
		}
		return steps, nil
	}
	steps := strings.Split(key[1:], "/")
	for i, step := range steps {
		if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(step), "~") {
			return nil, errors.New("has a ~ that is neither ~0 (a tilde) nor ~1 (a slash)")
		}
		steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
	}
	return steps, nil
}
