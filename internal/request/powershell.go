package request

import (
	"encoding/json"
	"net/url"
	"strings"
)

// psValue is a value of a PowerShell script, as far as it can be told without
// running it.
type psValue struct {
	text  string // of a string; of anything else as it is written
	table []psPair
	isSet bool     // it is a hashtable, maybe an empty one
	live  []string // parts of text that only running the script would tell
	line  int
}

// psPair is a member of a hashtable.
type psPair struct {
	key   string
	value psValue
}

// get returns the member of that name; names have no case.
func (v psValue) get(key string) (psValue, bool) {
	for _, p := range v.table {
		if strings.EqualFold(p.key, key) {
			return p.value, true
		}
	}
	return psValue{}, false
}

// lives returns what is not known of the value or its members.
func (v psValue) lives() []string {
	live := v.live
	for _, p := range v.table {
		live = append(live, p.value.lives()...)
	}
	return live
}

// json writes the value as ConvertTo-Json does, but for white space.
func (v psValue) json() string {
	object := map[string]string{}
	for _, p := range v.table {
		object[p.key] = p.value.text
	}
	text, _ := json.Marshal(object) // strings always encode
	return string(text)
}

// psScanner reads the values and words of a PowerShell script.
type psScanner struct {
	src    string
	pos    int
	line   int
	vars   map[string]psValue // by lower-case name
	depth  int
	openAt int // offset behind the first quote or bracket that is never closed
	cut    int // line of the first & outside quotes that looks like a form's
}

// maxDepth bounds brackets in brackets.
const maxDepth = 50

var (
	psVariable = pattern(`^\$(?:\{([^{}\n]+)\}|((?:(?i:env|global|script|local|private|using):)?\w+))`)
	psMember   = pattern(`^(?:\.[A-Za-z_]\w*(?:\([^()\n]*\))?|\[[^\[\]\n]*\])+`)
	psStatic   = pattern(`^\[([\w.]+)\]::(\w+)\(`)
	psCast     = pattern(`^\[[\w.]+(?:\[\])?\][ \t]*`)
	psToJSON   = pattern(`(?i)^[ \t\r\n]*\|[ \t\r\n]*ConvertTo-Json\b[^)\r\n;|]*`)
	psName     = pattern(`^(?:[A-Za-z_][\w-]*|'[^'\n]*'|"[^"\n]*")[ \t]*=`)
)

func (s *psScanner) rest() string { return s.src[s.pos:] }

func (s *psScanner) advance(n int) {
	s.line += strings.Count(s.src[s.pos:s.pos+n], "\n")
	s.pos += n
}

// blank skips white space and comments; lines too if asked to. A backtick
// continues a line.
func (s *psScanner) blank(lines bool) {
	for s.pos < len(s.src) {
		rest := s.rest()
		switch c := rest[0]; {
		case c == ' ', c == '\t', c == '\r', c == '\n' && lines:
			s.advance(1)
		case c == '`' && brokenLine().MatchString(rest):
			s.advance(len(brokenLine().FindString(rest)))
		case c == '#':
			line, _ := cutBefore(rest, '\n')
			s.advance(len(line))
		case strings.HasPrefix(rest, "<#"):
			if _, _, ok := strings.Cut(rest, "#>"); !ok {
				s.advance(len(rest))
				return
			}
			s.advance(strings.Index(rest, "#>") + 2)
		default:
			return
		}
	}
}

// unclosed notes the first construct that has no end and reads to the end.
func (s *psScanner) unclosed(at int) {
	if s.openAt == 0 {
		s.openAt = at + 1
	}
	s.advance(len(s.src) - s.pos)
}

// expression reads a value and what is added to it or made of it.
func (s *psScanner) expression() psValue {
	s.blank(false)
	v := s.primary()
	for s.pos < len(s.src) {
		s.blank(false)
		rest := s.rest()
		if m := psToJSON().FindString(rest); m != "" && v.isSet {
			s.advance(len(m))
			v = psValue{text: v.json(), live: v.lives(), line: v.line}
			continue
		}
		if !strings.HasPrefix(rest, "+") || strings.HasPrefix(rest, "++") || v.isSet {
			break
		}
		s.advance(1)
		s.blank(true)
		w := s.primary()
		v.text, v.live = v.text+w.text, append(v.live, w.lives()...)
	}
	// What follows an operator that is not read makes another value of it.
	if rest := strings.ToLower(s.src[s.pos:min(len(s.src), s.pos+10)]); strings.HasPrefix(rest, "-f ") || strings.HasPrefix(rest, "-join") || strings.HasPrefix(rest, "-replace") {
		v = psValue{text: v.text, live: []string{v.text}, line: v.line}
	}
	return v
}

// primary reads one value.
func (s *psScanner) primary() psValue {
	if s.depth++; s.depth > maxDepth {
		s.unclosed(s.pos)
	}
	defer func() { s.depth-- }()
	rest, line := s.rest(), s.line
	switch {
	case rest == "":
		return psValue{line: line}
	case rest[0] == '\'':
		return psValue{text: s.single(), line: line}
	case rest[0] == '"':
		return s.double()
	case strings.HasPrefix(rest, "@'"), strings.HasPrefix(rest, `@"`):
		return s.here()
	case strings.HasPrefix(rest, "@{"):
		return s.hashtable()
	case rest[0] == '(':
		s.advance(1)
		v := s.expression()
		s.close()
		return s.member(v)
	case psStatic().MatchString(rest):
		return s.static()
	case psCast().MatchString(rest):
		s.advance(len(psCast().FindString(rest)))
		return s.primary()
	case rest[0] == '$':
		return s.variable()
	}
	return s.bare()
}

// close reads up to the bracket that closes the current one.
func (s *psScanner) close() {
	start, depth := s.pos, 1
	for s.pos < len(s.src) {
		switch s.src[s.pos] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				s.advance(1)
				return
			}
		case '\'':
			s.single()
			continue
		case '"':
			s.double()
			continue
		}
		s.advance(1)
	}
	s.unclosed(start)
}

// member reads .Name or [0] behind a value, which is not known then.
func (s *psScanner) member(v psValue) psValue {
	if m := psMember().FindString(s.rest()); m != "" {
		s.advance(len(m))
		v = psValue{text: v.text + m, live: []string{v.text + m}, line: v.line}
	}
	return v
}

// static reads [Type]::Method(value): the ones that encode for a form are
// done, all others are not known.
func (s *psScanner) static() psValue {
	start, line := s.pos, s.line
	m := psStatic().FindStringSubmatch(s.rest())
	s.advance(len(m[0]))
	v := s.expression()
	s.close()
	switch strings.ToLower(m[2]) {
	case "escapedatastring", "urlencode":
		live := v.lives()
		for _, l := range v.lives() {
			live = append(live, url.QueryEscape(l), escape(l))
		}
		return psValue{text: escape(v.text), live: live, line: line}
	}
	text := s.src[start:s.pos]
	return psValue{text: text, live: []string{text}, line: line}
}

// variable reads $name, which is its value if the script sets one.
func (s *psScanner) variable() psValue {
	rest, line := s.rest(), s.line
	if strings.HasPrefix(rest, "$(") {
		start := s.pos
		s.advance(2)
		s.close()
		text := s.src[start:s.pos]
		return psValue{text: text, live: []string{text}, line: line}
	}
	m := psVariable().FindStringSubmatch(rest)
	if m == nil {
		s.advance(1)
		return psValue{text: "$", line: line}
	}
	s.advance(len(m[0]))
	if v, known := s.vars[strings.ToLower(m[1]+m[2])]; known {
		if member := psMember().FindString(s.rest()); v.isSet && strings.HasPrefix(member, ".") {
			if inner, ok := v.get(strings.TrimPrefix(member, ".")); ok {
				s.advance(len(member))
				return inner
			}
		}
		return s.member(v)
	}
	return s.member(psValue{text: m[0], live: []string{m[0]}, line: line})
}

// single reads '…', where ” is a quote and all else stands for itself.
func (s *psScanner) single() string {
	var b strings.Builder
	start := s.pos
	s.advance(1)
	for s.pos < len(s.src) {
		rest := s.rest()
		switch {
		case strings.HasPrefix(rest, "''"):
			b.WriteByte('\'')
			s.advance(2)
		case rest[0] == '\'':
			s.advance(1)
			return b.String()
		default:
			b.WriteByte(rest[0])
			s.advance(1)
		}
	}
	s.unclosed(start)
	return b.String()
}

var psEscapes = map[byte]string{'n': "\n", 'r': "\r", 't': "\t", '0': "\x00", 'a': "\a", 'b': "\b", 'f': "\f", 'v': "\v", 'e': "\x1b"}

// double reads "…", where "" is a quote, a backtick escapes and variables are
// filled in.
func (s *psScanner) double() psValue {
	v, start := psValue{line: s.line}, s.pos
	var b strings.Builder
	s.advance(1)
	for s.pos < len(s.src) {
		rest := s.rest()
		switch {
		case strings.HasPrefix(rest, `""`):
			b.WriteByte('"')
			s.advance(2)
		case rest[0] == '"':
			s.advance(1)
			v.text = b.String()
			return v
		default:
			s.piece(&b, &v)
		}
	}
	s.unclosed(start)
	v.text = b.String()
	return v
}

// piece reads a sign, an escape or a variable inside double quotes, where a
// dot or bracket behind a variable belongs to the text.
func (s *psScanner) piece(b *strings.Builder, v *psValue) {
	rest := s.rest()
	switch {
	case rest[0] == '`' && len(rest) > 1:
		if plain, known := psEscapes[rest[1]]; known {
			b.WriteString(plain)
		} else {
			b.WriteByte(rest[1])
		}
		s.advance(2)
	case strings.HasPrefix(rest, "$("):
		w := s.subexpression()
		b.WriteString(w.text)
		v.live = append(v.live, w.live...)
	case rest[0] == '$' && psVariable().MatchString(rest):
		m := psVariable().FindStringSubmatch(rest)
		s.advance(len(m[0]))
		w, known := s.vars[strings.ToLower(m[1]+m[2])]
		if !known || w.isSet {
			w = psValue{text: m[0], live: []string{m[0]}}
		}
		if b.Len()+len(w.text) <= maxFilled {
			b.WriteString(w.text)
		}
		v.live = append(v.live, w.live...)
	default:
		b.WriteByte(rest[0])
		s.advance(1)
	}
}

// subexpression reads $(…) in a string: a variable in it is filled in.
func (s *psScanner) subexpression() psValue {
	start := s.pos
	s.advance(2)
	if s.depth > maxDepth {
		s.unclosed(s.pos)
		return psValue{}
	}
	s.depth++
	v := s.expression()
	s.depth--
	s.blank(true)
	if strings.HasPrefix(s.rest(), ")") && !v.isSet && v.text != "" {
		s.advance(1)
		return v
	}
	s.close()
	text := s.src[start:s.pos]
	return psValue{text: text, live: []string{text}}
}

// here reads a here-string, which ends with its quote at the start of a line.
func (s *psScanner) here() psValue {
	line, quote := s.line, s.src[s.pos+1]
	body := s.rest()
	first := strings.IndexByte(body, '\n')
	end := strings.Index(body, "\n"+string(quote)+"@")
	if first < 0 || end < 0 {
		s.unclosed(s.pos)
		return psValue{line: line}
	}
	inner := strings.TrimSuffix(body[min(first+1, end):end], "\r")
	s.advance(end + 3)
	v := psValue{text: inner, line: line + 1}
	if quote == '"' {
		// Quotes stand for themselves here, so only the pieces are filled in.
		in := psScanner{src: inner, vars: s.vars, line: line + 1, depth: s.depth}
		var b strings.Builder
		for in.pos < len(inner) {
			in.piece(&b, &v)
		}
		v.text = b.String()
	}
	return v
}

// hashtable reads @{…}.
func (s *psScanner) hashtable() psValue {
	v, start := psValue{isSet: true, line: s.line}, s.pos
	s.advance(2)
	for {
		s.blank(true)
		rest := s.rest()
		switch {
		case rest == "":
			s.unclosed(start)
			return v
		case rest[0] == '}':
			s.advance(1)
			return v
		case psName().MatchString(rest) && len(v.table) < maxFields:
			m := psName().FindString(rest)
			s.advance(len(m))
			s.blank(true)
			key := strings.Trim(strings.TrimSpace(strings.TrimSuffix(m, "=")), `'"`)
			v.table = append(v.table, psPair{key, s.expression()})
		default:
			s.skip()
		}
	}
}

// skip passes over one construct of no interest.
func (s *psScanner) skip() {
	switch s.src[s.pos] {
	case '\'':
		s.single()
	case '"':
		s.double()
	default:
		s.advance(1)
	}
}

// bare reads an argument without quotes; parts of it may have some.
func (s *psScanner) bare() psValue {
	v := psValue{line: s.line}
	var b strings.Builder
	for s.pos < len(s.src) {
		rest := s.rest()
		c := rest[0]
		switch {
		case strings.IndexByte(" \t\r\n;|(){},", c) >= 0, c == '`' && brokenLine().MatchString(rest):
			if s.pos == 0 || b.Len() == 0 {
				s.advance(1) // never stand still
			}
			v.text = b.String()
			return v
		case c == '&':
			if !formPart().MatchString(rest) {
				v.text = b.String()
				if b.Len() == 0 {
					s.advance(1)
				}
				return v
			}
			if s.cut == 0 {
				s.cut = s.line
			}
			b.WriteByte(c)
			s.advance(1)
		case c == '"':
			w := s.double()
			b.WriteString(w.text)
			v.live = append(v.live, w.live...)
		case c == '\'':
			b.WriteString(s.single())
		default:
			s.piece(&b, &v)
		}
	}
	v.text = b.String()
	return v
}
