package aadsts

import (
	"strings"
	"unicode/utf8"
)

// A char is one character of a text as its author meant it, however often it
// was escaped on its way into the log.
type char struct {
	r   rune
	n   int  // bytes it takes in the input; never 0
	esc bool // the input spells it as an escape or as a tag
	pct bool // percent-encoded: r is one byte of UTF-8
}

// How deep escapes may nest: JSON in JSON four times needs 15 backslashes
// before a quote, a URL in a URL in a URL in a URL needs %2525253a for a colon.
const (
	maxBackslashes = 15
	maxPercents    = 3
)

// decode reads the character at s[i]. White space of any kind, and what draws
// a box or colours a line, comes back as ' ', line breaks (also <br> and other
// tags) as '\n'.
func decode(s string, i int) char {
	ch := decodeOne(s, i)
	if ch.r == '<' {
		if n := tagLen(s, i+ch.n); n > 0 {
			return char{r: '\n', n: ch.n + n, esc: true}
		}
	}
	return ch
}

func decodeOne(s string, i int) char {
	switch c := s[i]; {
	case c == '\\':
		return decodeBackslash(s, i)
	case c == '%':
		return decodePercent(s, i)
	case c == '&':
		return decodeEntity(s, i)
	case c == 0x1b:
		return char{r: ' ', n: colourLen(s, i)}
	case c < ' ' && c != '\n', c == 0x7f:
		return char{r: ' ', n: 1}
	case c < utf8.RuneSelf:
		return char{r: rune(c), n: 1}
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	return char{r: blank(r), n: n}
}

// blank turns what only looks like white space into a space: Terraform draws a
// box around its errors.
func blank(r rune) rune {
	switch r {
	case '│', '║', '╷', '╵', '\u00a0', '\ufeff':
		return ' '
	}
	return r
}

// decodeBackslash reads \n, \", \u0027, \x22 behind any number of backslashes,
// since each level of quoting doubles them. Backslash and quote may be
// percent-encoded or HTML-escaped in turn.
func decodeBackslash(s string, i int) char {
	end := i
	for k := 0; k < maxBackslashes; k++ {
		n := backslashLen(s, end)
		if n == 0 {
			break
		}
		end += n
	}
	n := end - i
	if end == len(s) {
		return char{r: '\\', n: n}
	}
	switch c := s[end]; c {
	case '"', '\'', '/', '`':
		return char{r: rune(c), n: n + 1, esc: true}
	case 'n':
		return char{r: '\n', n: n + 1, esc: true}
	case 'r', 't':
		return char{r: ' ', n: n + 1, esc: true}
	case 'u':
		if r, ok := hex(s, end+1, 4); ok {
			return escaped(r, n+5)
		}
	case 'x':
		if r, ok := hex(s, end+1, 2); ok {
			return escaped(r, n+3)
		}
	case '%':
		if r, m := percent(s, end); r == '"' || r == '\'' {
			return char{r: r, n: n + m, esc: true}
		}
	case '&':
		if e := decodeEntity(s, end); e.r == '"' || e.r == '\'' {
			return char{r: e.r, n: n + e.n, esc: true}
		}
	}
	return char{r: '\\', n: n}
}

// backslashLen returns the length of the backslash at s[i], 0 if it is none.
func backslashLen(s string, i int) int {
	if i < len(s) && s[i] == '\\' {
		return 1
	}
	if i < len(s) && s[i] == '%' {
		if r, n := percent(s, i); r == '\\' {
			return n
		}
	}
	return 0
}

// decodePercent reads %3a.
func decodePercent(s string, i int) char {
	r, n := percent(s, i)
	if n == 0 {
		return char{r: '%', n: 1}
	}
	if r == '\\' {
		return decodeBackslash(s, i)
	}
	ch := escaped(r, n)
	ch.pct = true
	return ch
}

// percent returns the byte that the percent-encoding at s[i] stands for, and its
// length; 0 if it is none. A URL in a URL is encoded twice: %253a.
func percent(s string, i int) (r rune, n int) {
	n = 1
	for k := 0; k < maxPercents && strings.HasPrefix(s[i+n:], "25"); k++ {
		if _, ok := hex(s, i+n+2, 2); !ok {
			break
		}
		n += 2
	}
	r, ok := hex(s, i+n, 2)
	if !ok {
		return 0, 0
	}
	return r, n + 2
}

// escaped is the character that an escape of n bytes stands for.
func escaped(r rune, n int) char {
	switch {
	case r == '\n':
		return char{r: '\n', n: n, esc: true}
	case r < ' ':
		r = ' '
	}
	return char{r: blank(r), n: n, esc: true}
}

// entities are the references that HTML escapers write. A page that was escaped
// twice has them behind "&amp;".
var entities = [...]struct {
	name string
	r    rune
}{
	{"#39;", '\''}, {"#039;", '\''}, {"#x27;", '\''}, {"apos;", '\''},
	{"#34;", '"'}, {"#x22;", '"'}, {"quot;", '"'},
	{"lt;", '<'}, {"gt;", '>'}, {"amp;", '&'}, {"nbsp;", ' '},
	{"#13;", ' '}, {"#xd;", ' '}, {"#10;", '\n'}, {"#xa;", '\n'}, {"#43;", '+'}, {"#x2b;", '+'},
}

func decodeEntity(s string, i int) char {
	n := 1
	for range 2 {
		for _, e := range entities {
			if !hasPrefixFold(s[i+n:], e.name) {
				continue
			}
			if e.r == '&' {
				n += len(e.name)
				break
			}
			return char{r: e.r, n: n + len(e.name), esc: true}
		}
	}
	return char{r: '&', n: n, esc: n > 1}
}

// tags are the HTML elements that error pages wrap their lines and ids in.
// Placeholders such as <tenant> are none of them.
var tags = [...]string{"br", "p", "div", "span", "b", "strong", "em", "i", "a", "li", "ul", "td", "tr", "pre", "code", "h1", "h2", "h3"}

// tagLen returns the length of the rest of a tag whose '<' ends before s[i]; 0
// when it is none.
func tagLen(s string, i int) int {
	const maxTag = 100
	j := i
	if j < len(s) {
		if ch := decodeOne(s, j); ch.r == '/' {
			j += ch.n
		}
	}
	name := j
	for j < len(s) && j-name <= len("strong") && isWord(s[j]) {
		j++
	}
	if !isTag(s[name:j]) {
		return 0
	}
	for j < len(s) && j-i < maxTag {
		ch := decodeOne(s, j)
		j += ch.n
		switch ch.r {
		case '>':
			return j - i
		case '<', '\n':
			return 0
		}
	}
	return 0
}

func isTag(name string) bool {
	for _, t := range tags {
		if strings.EqualFold(name, t) {
			return true
		}
	}
	return false
}

// colourLen returns the length of the terminal's escape sequence at s[i].
func colourLen(s string, i int) int {
	const maxSequence = 16
	if i+1 >= len(s) || s[i+1] != '[' {
		return 1
	}
	for j := i + 2; j < len(s) && j < i+maxSequence; j++ {
		if c := s[j]; c >= '@' && c <= '~' {
			return j + 1 - i
		}
	}
	return 1
}

// clean returns a stretch of input as plain text: unescaped, with single spaces,
// no longer than limit. GUIDs that a line break tore apart are whole again.
func (sc *scanner) clean(i, end, limit int, plusIsSpace bool) string {
	out := make([]byte, 0, min(end-i, limit))
	fresh := true // at the start of a word, where a GUID may begin
	for i < end && len(out) <= limit {
		if fresh && isHex(sc.s[i]) {
			if id, next := sc.guidAsPrinted(i); next > 0 && next <= end {
				out, i, fresh = append(out, id[:]...), next, false
				continue
			}
		}
		ch := sc.at(i)
		i += ch.n
		if plusIsSpace && ch.r == '+' && !ch.esc {
			ch.r = ' '
		}
		switch {
		case ch.r == ' ' || ch.r == '\n':
			if len(out) > 0 && out[len(out)-1] != ' ' {
				out = append(out, ' ')
			}
		case ch.pct:
			out = append(out, byte(ch.r))
		default:
			out = utf8.AppendRune(out, ch.r)
		}
		fresh = ch.n > 1 || !isWord(byte(ch.r))
	}
	return strings.TrimRight(cut(strings.ToValidUTF8(string(out), "\uFFFD"), limit), " ")
}

// cut cuts s to the limit, before the start of a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// hex reads the n hexadecimal digits at s[i].
func hex(s string, i, n int) (rune, bool) {
	if i+n > len(s) {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s[i : i+n]) {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case isHex(c):
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// isWord tells whether c belongs to a word: a key, a code, a plain word.
func isWord(c byte) bool { return c-'0' < 10 || c|0x20-'a' < 26 || c == '_' }

// hasPrefixFold is strings.HasPrefix for ASCII letters of either case; prefix
// is in lower case.
func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && equalFold(s[:len(prefix)], prefix)
}

// equalFold is strings.EqualFold for a lower-case ASCII word.
func equalFold(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
