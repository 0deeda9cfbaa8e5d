package setting

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
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

// parseINI reads sections with KEY = VALUE lines: of Grafana, of TOML and of
// what looks like them. Both read ; and # at the start of a line as a comment.
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
		n := &node{key: strings.TrimSpace(key), src: s, start: start}
		n.text, n.end = unquoteINI(strings.TrimRight(s.text[start:at+len(line)], " \t"), strings.HasSuffix(s.name, ".ini"))
		n.end += start
		reference(n)
		section.items = append(section.items, n)
	})
	return root, malformed
}

// unquoteINI reads a value and returns where it ends. In .ini files of Grafana
// three quotes keep everything, other quotes of one kind around all of it are
// taken off, and # and ; begin a comment anywhere. Elsewhere the rules are those
// of TOML: escapes in double quotes, none in single ones.
func unquoteINI(text string, grafana bool) (string, int) {
	if text == "" {
		return "", 0
	}
	q := text[:1]
	if !grafana && q == `"` {
		for end := 1; end < len(text); end++ {
			if text[end] == '\\' {
				end++
			} else if text[end] == '"' {
				return unescapeTOML(text[1:end]), end + 1
			}
		}
	}
	if triple := `"""`; grafana && strings.HasPrefix(text, triple) {
		if end := strings.Index(text[3:], triple); end >= 0 {
			return text[3 : 3+end], end + 6
		}
	}
	if end := strings.Index(text[1:], q); end >= 0 && (q == "`" || !grafana && q == "'") {
		return text[1 : 1+end], end + 2
	}
	signs := []string{" #", "\t#", " ;"}
	if grafana {
		signs = []string{"#", ";"}
	}
	for _, sign := range signs {
		text, _, _ = strings.Cut(text, sign)
	}
	text = strings.TrimSpace(text)
	if n := len(text); n > 1 && strings.Contains(`"'`, q) && text[n-1] == q[0] {
		return text[1 : n-1], n
	}
	return text, len(text)
}

// unescapeTOML reads the escapes of a basic string, which are those of JSON
// and \U; what is none stays.
func unescapeTOML(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		size := 0
		if text[i] == '\\' && i+1 < len(text) {
			if at := strings.IndexByte(`btnfr"\`, text[i+1]); at >= 0 {
				b.WriteByte("\b\t\n\f\r\"\\"[at])
				size = 2
			} else if digits := map[byte]int{'u': 4, 'U': 8}[text[i+1]]; digits > 0 {
				size = hexRune(text[i:], digits, &b)
			}
		}
		if size == 0 {
			b.WriteByte(text[i])
			continue
		}
		i += size - 1
	}
	return b.String()
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

// withLow joins the first half of a character of UTF-16 with the second, when
// its escape follows at i.
func withLow(high rune, s string, i *int) rune {
	if len(s) < *i+7 || s[*i+1:*i+3] != `\u` {
		return high
	}
	low, err := strconv.ParseUint(s[*i+3:*i+7], 16, 16)
	if pair := utf16.DecodeRune(high, rune(low)); err == nil && pair != utf8.RuneError {
		*i += 6
		return pair
	}
	return high
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
					i += 4
					b.WriteRune(withLow(rune(code), s, &i))
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
