package setting

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// Dotenv is a parsed .env file. It keeps every byte, so that a change of one
// value changes nothing else.
type Dotenv struct {
	data    []byte
	entries []entry
}

// entry is one assignment; start and end span the value as written, with its
// quotes.
type entry struct {
	key          string
	value        string
	line, column int // of the value, from 1
	start, end   int
	quote        byte // 0, ' or "
}

// ParseDotenv reads KEY=VALUE lines with comments, `export`, quotes and CRLF.
// Lines of no such form are left as they are.
func ParseDotenv(data []byte) *Dotenv {
	d := &Dotenv{data: data}
	offset, number := 0, 0
	for line := range bytes.Lines(data) {
		number++
		if e, ok := parseLine(string(line)); ok {
			e.line, e.column = number, e.start+1
			e.start, e.end = offset+e.start, offset+e.end
			d.entries = append(d.entries, e)
		}
		offset += len(line)
	}
	return d
}

func parseLine(line string) (entry, bool) {
	text := strings.TrimRight(line, "\r\n")
	body := strings.TrimLeft(strings.TrimPrefix(text, "\ufeff"), " \t")
	if after, ok := strings.CutPrefix(body, "export "); ok {
		body = strings.TrimLeft(after, " \t")
	}
	key, _, ok := strings.Cut(body, "=")
	key = strings.TrimRight(key, " \t")
	if !ok || key == "" || strings.ContainsAny(key, "# \t'\"") {
		return entry{}, false
	}
	start := len(text) - len(body) + strings.IndexByte(body, '=') + 1
	for start < len(text) && (text[start] == ' ' || text[start] == '\t') {
		start++
	}
	e := entry{key: key, start: start, end: len(text)}
	rest := text[start:]
	if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
		if end := strings.IndexByte(rest[1:], rest[0]); end >= 0 {
			e.quote, e.value, e.end = rest[0], rest[1:1+end], start+end+2
			return e, true
		}
	}
	if comment := strings.Index(rest, " #"); comment >= 0 {
		rest = rest[:comment]
	}
	e.value = strings.TrimRight(rest, " \t")
	e.end = start + len(e.value)
	return e, true
}

// lookup returns the last assignment of a key: it is the one that counts.
func (d *Dotenv) lookup(key string) (entry, bool) {
	for i := len(d.entries) - 1; i >= 0; i-- {
		if d.entries[i].key == key {
			return d.entries[i], true
		}
	}
	return entry{}, false
}

// Setting reads the setting of a .env file; name is the file's for the origin.
// The authority is empty when the file sets none.
func (d *Dotenv) Setting(name string) (entra.Setting, error) {
	s, err := Environment(func(key string) (string, bool) {
		e, ok := d.lookup(key)
		return e.value, ok
	})
	s.Origin = name
	for _, key := range []string{"AZURE_CLIENT_SECRET", "ARM_CLIENT_SECRET"} {
		if e, ok := d.lookup(key); ok {
			s.Origin = At(name, e.line, e.column)
			break
		}
	}
	if e, ok := d.lookup("AZURE_AUTHORITY_HOST"); ok {
		s.Authority = e.value
	}
	return s, err
}

// With returns the file with one key's value replaced. Every other byte stays;
// the value is quoted where it was quoted before, or where it needs to be.
func (d *Dotenv) With(key string, value secret.Value) ([]byte, error) {
	e, ok := d.lookup(key)
	if !ok {
		return nil, fmt.Errorf("%s is not set in the file", key)
	}
	text := value.Reveal()
	written, err := quoteDotenv(text, e.quote)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", key, err)
	}
	return bytes.Join([][]byte{d.data[:e.start], []byte(written), d.data[e.end:]}, nil), nil
}

// quoteDotenv writes a value so that every dialect reads it back the same.
// What dialects disagree on (escapes, expansion) it refuses.
func quoteDotenv(text string, quote byte) (string, error) {
	if text == "" {
		return "", errors.New("the value is empty, which is never a secret")
	}
	if strings.ContainsAny(text, "\r\n'\"\\$`") {
		return "", fmt.Errorf("the value holds a line break, quote, backslash, $ or backtick, which readers of .env files do not agree on")
	}
	if quote == 0 && strings.ContainsAny(text, " \t#") {
		quote = '\''
	}
	if quote == 0 {
		return text, nil
	}
	return string(quote) + text + string(quote), nil
}
