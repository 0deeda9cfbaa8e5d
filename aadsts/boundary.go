package aadsts

import "strings"

// A boundary parts what one event can have printed from what another has.
type boundary uint8

const (
	noBoundary  boundary = iota
	objectStart          // a line starts a JSON object, or one follows another
	recordStart          // a line starts like a log record
)

// newline notes what kind of line starts after the line break at i.
func (sc *scanner) newline(i int) {
	b := sc.lineStart(i + 1)
	sc.boundary = max(sc.boundary, b)
	if b == recordStart {
		sc.authority = authority{}
	}
	if sc.ev.onlyParameters() {
		// trace_id=… on a line of its own is the business of that line.
		sc.ev = event{}
	}
}

// lineStart tells what kind of line starts at i.
func (sc *scanner) lineStart(i int) boundary {
	const maxIndent = 64
	for limit := i + maxIndent; i < len(sc.s) && i < limit && sc.s[i] != '\n'; {
		ch := sc.at(i)
		if ch.r == '{' {
			return objectStart
		}
		if ch.r != ' ' && ch.r != '|' && ch.r != '>' {
			break
		}
		i += ch.n
	}
	if startsRecord(sc.s[min(i, len(sc.s)):]) {
		return recordStart
	}
	return noBoundary
}

// startsRecord tells whether a line reads like the start of a log record: a
// date, a time, an address, the first key of logfmt.
func startsRecord(line string) bool {
	if line == "" {
		return false
	}
	for _, key := range [...]string{"time=", "ts=", "timestamp=", "level="} {
		if hasPrefixFold(line, key) {
			return true
		}
	}
	switch line[0] {
	case '[', '(', '"':
		return looksLike(line[1:], "0000-00-00") || looksLike(line[1:], "0000/00/00") || looksLike(line[1:], "00:00:00")
	case '<':
		n := digits(line, 1)
		return n > 0 && n <= 3 && strings.HasPrefix(line[1+n:], ">") // syslog
	case 'I', 'W', 'E', 'F':
		if looksLike(line[1:], "0000 ") {
			return true // klog
		}
	}
	for _, pattern := range [...]string{
		"0000-00-00", "0000/00/00", "00/00/0000", "00:00:00", "0000000000", // dates, times, Unix time
		"Aaa  0 00:", "Aaa 00 00:", // syslog
	} {
		if looksLike(line, pattern) {
			return true
		}
	}
	return startsAddress(line)
}

// startsAddress tells whether a line starts with an IPv4 address, as access
// logs do.
func startsAddress(line string) bool {
	for range 3 {
		n := digits(line, 0)
		if n < 1 || n > 3 || !strings.HasPrefix(line[n:], ".") {
			return false
		}
		line = line[n+1:]
	}
	return digits(line, 0) > 0
}

// looksLike compares the start of a line with a pattern in which 0 stands for
// any digit, A for an upper-case and a for a lower-case letter.
func looksLike(line, pattern string) bool {
	if len(line) < len(pattern) {
		return false
	}
	for i, p := range []byte(pattern) {
		c := line[i]
		switch {
		case p == '0' && isDigit(c), p == 'A' && 'A' <= c && c <= 'Z', p == 'a' && 'a' <= c && c <= 'z', p == c:
		default:
			return false
		}
	}
	return true
}
