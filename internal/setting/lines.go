package setting

import (
	"errors"
	"strconv"
	"strings"
)

// each calls line with the text of every line, without its end, and its
// offset; a byte order mark is left out.
func (s *source) each(line func(text string, at int)) {
	for i, start := range s.lines {
		end := len(s.text)
		if i+1 < len(s.lines) {
			end = s.lines[i+1]
		}
		text := strings.TrimRight(s.text[start:end], "\r\n")
		if i == 0 && strings.HasPrefix(text, mark) {
			text, start = text[len(mark):], start+len(mark)
		}
		line(text, start)
	}
}

// parseINI reads sections with KEY = VALUE lines. Grafana's parser takes quotes
// of one kind around a whole value off, and so do those of TOML; both read
// ; and # at the start of a line as a comment.
func parseINI(s *source) (*node, error) {
	root := &node{kind: mapping, src: s}
	section := root
	var malformed error
	s.each(func(line string, at int) {
		body := strings.TrimSpace(line)
		if malformed == nil && openSection().MatchString(body) {
			malformed = s.errorAt(at+strings.IndexByte(line, '['), errors.New("malformed line: the section has no ]"))
		}
		if body == "" || body[0] == '#' || body[0] == ';' {
			return
		}
		if body[0] == '[' && strings.HasSuffix(body, "]") {
			section = &node{kind: mapping, key: strings.Trim(body, "[] "), src: s}
			root.items = append(root.items, section)
			return
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return
		}
		start := at + len(key) + 1 + len(value) - len(strings.TrimLeft(value, " \t"))
		n := &node{key: strings.TrimSpace(key), text: strings.TrimSpace(value), src: s, start: start}
		n.end = start + len(n.text)
		if q := n.text; len(q) > 1 && strings.ContainsRune("\"'`", rune(q[0])) && q[len(q)-1] == q[0] {
			n.text = q[1 : len(q)-1]
		}
		reference(n)
		section.items = append(section.items, n)
	})
	return root, malformed
}

// openSection is the head of a section that lost its bracket; a list of TOML
// that goes on over lines begins otherwise.
var openSection = lazy(`^\[[A-Za-z][\w.-]*$`)

// parseProperties reads Java properties: separators = : and blank, escapes,
// lines continued with a backslash. Documents are split at #---.
func parseProperties(s *source) ([]*node, error) {
	doc := &node{kind: mapping, src: s}
	docs := []*node{doc}
	var open *property
	s.each(func(line string, at int) {
		body := strings.TrimLeft(line, " \t\f")
		at += len(line) - len(body)
		if open != nil {
			open = open.add(body, at)
			return
		}
		if body == "#---" || body == "!---" {
			doc = &node{kind: mapping, src: s}
			docs = append(docs, doc)
			return
		}
		if body == "" || body[0] == '#' || body[0] == '!' {
			return
		}
		end := 0
		for end < len(body) && !strings.ContainsRune("=: \t\f", rune(body[end])) {
			if body[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(body))
		rest := strings.TrimLeft(body[end:], " \t\f")
		if rest != "" && (rest[0] == '=' || rest[0] == ':') {
			rest = strings.TrimLeft(rest[1:], " \t\f")
		}
		start := at + len(body) - len(rest)
		n := &node{key: unescapeProperty(body[:end]), src: s, start: start, end: start}
		doc.items = append(doc.items, n)
		open = (&property{n: n}).add(rest, start)
	})
	for _, d := range docs {
		for _, n := range d.items {
			if i := badUnicode(s.text[n.start:n.end]); i >= 0 {
				return nil, s.errorAt(n.start+i, errors.New(`malformed properties: a \u without four hexadecimal digits`))
			}
			reference(n)
		}
	}
	return docs, nil
}

// property is a value that may go on over lines.
type property struct {
	n    *node
	text strings.Builder
}

// add adds a line, and returns p while more are to follow.
func (p *property) add(body string, at int) *property {
	trimmed := strings.TrimRight(body, `\`)
	more := (len(body)-len(trimmed))%2 == 1
	p.n.end = at + len(body)
	if more {
		body = body[:len(body)-1]
	}
	p.text.WriteString(unescapeProperty(body))
	p.n.text = p.text.String() // no copy
	if more {
		return p
	}
	return nil
}

// badUnicode finds a \u that Java refuses; -1 when there is none.
func badUnicode(raw string) int {
	for i := 0; i+1 < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if raw[i+1] == 'u' {
			if _, err := strconv.ParseUint(raw[min(i+2, len(raw)):min(i+6, len(raw))], 16, 32); err != nil || len(raw) < i+6 {
				return i
			}
		}
		i++
	}
	return -1
}

func unescapeProperty(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			if i+4 < len(s) {
				if code, err := strconv.ParseUint(s[i+1:i+5], 16, 16); err == nil {
					b.WriteRune(rune(code))
					i += 4
					continue
				}
			}
			b.WriteByte('u')
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
