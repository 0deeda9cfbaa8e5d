package aadsts

import (
	"strconv"
	"strings"
)

const maxMessage = 1 << 10

// code reads AADSTS<digits> at i, n bytes long, and the message after it.
func (sc *scanner) code(i, n int) int {
	code, _ := strconv.Atoi(sc.s[i+len("aadsts") : i+n])
	f := fact{kind: codeFact, start: i, end: i + n, codes: []int{code}}
	if start := sc.messageStart(i + n); start > 0 {
		m := messageScan{sc: sc, start: start, quoted: sc.quote}
		m.encoded = m.isEncoded(i + n)
		m.plus = m.encoded && sc.s[start-1] == '+'
		if end := m.end(); end > start {
			f.message = sc.clean(start, end, maxMessage, m.plus)
			f.end = end
		}
	}
	sc.add(f)
	sc.quote = 0
	return f.end
}

// messageStart returns where the message of the code that ends at i starts, or
// 0 when the code stands alone: a message follows a colon or a dash.
func (sc *scanner) messageStart(i int) int {
	spaced := false
	for k := 0; k < 4 && i < len(sc.s); k++ {
		ch := sc.at(i)
		i += ch.n
		switch ch.r {
		case ':':
			return sc.skipBlank(i)
		case '-', '–':
			if next := sc.skipBlank(i); spaced && next > i {
				return next
			}
			return 0
		case ' ', '+':
			spaced = true
		case '*', '`', ')', ']':
		default:
			return 0
		}
	}
	return 0
}

// A messageScan looks for the end of a message. Nothing marks it for sure: it
// ends with the quotes it stands in, with its line, or where the ids begin,
// and line breaks may have been put in anywhere.
type messageScan struct {
	sc      *scanner
	start   int
	quoted  rune // the quote before the code, or 0
	encoded bool // a value in a URL: '&' is the end
	plus    bool // '+' is a space

	inner   rune // the open quote inside the message
	outer   int  // what ink was before that quote
	prev    rune // the character before
	ink     int  // the end of the last character that is no space
	lineEnd int  // where the message ends unless the ids follow; 0 if not known yet
}

// isEncoded tells a percent-encoded message from a plain one by what follows
// the code that ends at i.
func (m *messageScan) isEncoded(i int) bool {
	if m.sc.at(i).pct {
		return true
	}
	i++
	return i < len(m.sc.s) && (m.sc.s[i] == '+' || m.sc.at(i).pct)
}

// end returns where the message ends.
func (m *messageScan) end() int {
	const maxScan, maxToLabel = 4 << 10, 1 << 10
	sc := m.sc
	i := m.start
	m.prev, m.ink = ' ', i
	for i < len(sc.s) && i-m.start < maxScan && (m.lineEnd == 0 || i-m.lineEnd < maxToLabel) {
		if isWord(sc.s[i]) {
			if codeLen(sc.s, i) > 0 {
				break
			}
			end := sc.wordEnd(i)
			if m.isLabel(i, end) {
				return m.ink
			}
			if isMember(sc.s[i:end]) {
				if m.inner != 0 {
					m.ink = m.outer // the quote before the key
				}
				break
			}
			m.prev = rune(sc.s[end-1])
			i, m.ink = end, end
			continue
		}
		ch := sc.at(i)
		if m.stops(i, ch) {
			break
		}
		i += ch.n
		if m.prev = ch.r; m.plus && ch.r == '+' && !ch.esc {
			m.prev = ' '
		}
		if m.prev != ' ' && m.prev != '\n' {
			m.ink = i
		}
	}
	if m.lineEnd > 0 {
		return m.lineEnd
	}
	return m.ink
}

// isLabel tells whether the word s[i:end] starts the trailer of ids.
func (m *messageScan) isLabel(i, end int) bool {
	sc := m.sc
	w := sc.s[i:end]
	switch {
	case equalFold(w, "timestamp") && m.lineEnd == 0:
	case equalFold(w, "trace"), equalFold(w, "correlation"), equalFold(w, "request"):
		end = sc.skipBlank(end)
		if !hasPrefixFold(sc.s[end:], "id") {
			return false
		}
		end += len("id")
	default:
		return false
	}
	v, _ := sc.value(end)
	return v > 0
}

// isMember tells whether a word is a key of the body, which no message holds.
func isMember(word string) bool {
	for _, key := range [...]string{"error_codes", "error_description", "error_uri", "trace_id", "correlation_id"} {
		if equalFold(word, key) {
			return true
		}
	}
	return false
}

// stops tells whether the message ends before the character ch at i.
func (m *messageScan) stops(i int, ch char) bool {
	switch {
	case ch.r == '\n' && ch.esc:
		m.endLine()
	case ch.r == '\n':
		if m.sc.lineStart(i+ch.n) != noBoundary {
			return true
		}
		if m.quoted == 0 && m.lineEnd == 0 && !m.goesOn(i+ch.n) {
			m.endLine()
		}
	case ch.r == '"' || ch.r == '\'':
		return m.closes(i, ch)
	case m.encoded:
		return !ch.esc && (ch.r == ' ' || ch.r == '&' || ch.r == '#')
	}
	return false
}

// endLine notes that the message ends with this line, unless the ids follow.
func (m *messageScan) endLine() {
	if m.lineEnd == 0 {
		m.lineEnd = m.ink
	}
}

// goesOn tells whether the line at i goes on with the sentence of the line
// before: that one stops in the middle, and this one starts in the middle.
func (m *messageScan) goesOn(i int) bool {
	sc := m.sc
	if last := sc.s[m.ink-1]; !isWord(last) && last != ',' && last != '-' {
		return false
	}
	for limit := i + 64; i < len(sc.s) && i < limit && sc.s[i] != '\n'; {
		ch := sc.at(i)
		if ch.r == ' ' || ch.r == '|' || ch.r == '>' {
			i += ch.n
			continue
		}
		return ch.r == '\'' || 'a' <= ch.r && ch.r <= 'z'
	}
	return false
}

// closes tells whether the quote ch at i is the one around the message. Messages
// hold quotes of their own, which open after a space or bracket, and
// apostrophes.
func (m *messageScan) closes(i int, ch char) bool {
	next := '\n'
	if end := i + ch.n; end < len(m.sc.s) {
		next = m.sc.at(end).r
	}
	isText := next > ' ' && !strings.ContainsRune(`,;)]}"'`, next)
	switch {
	case m.inner == ch.r:
		m.inner = 0
		return false
	case strings.ContainsRune(" ([:=", m.prev) && isText:
		m.inner, m.outer = ch.r, m.ink
		return false
	case ch.r == '"':
		return true
	}
	return !isText && (m.quoted == '\'' || next != ' ')
}
