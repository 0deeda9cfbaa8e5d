package aadsts

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"unsafe"
)

// The scanner works at two speeds. It looks for anchors (a code, the name of an
// OAuth error) as fast as it can, since most of a log holds none. Around an
// anchor it reads every word: the facts of one event lie close together, before
// the anchor as well as behind it.
const (
	lookBehind = 1 << 10 // how far before an anchor the reading starts
	lookAhead  = 1 << 7  // how far it goes on when the anchor tells nothing yet
	quiet      = 1 << 10 // an event ends when so many bytes tell nothing of it
)

type scanner struct {
	s       string
	yield   func(Failure) bool
	stopped bool // yield asked for no more

	steps int // characters looked at, so that tests can see that work is linear

	next [3]int // the next anchor of each kind, valid from the position asked for last

	// What the reader remembers of the words just read.
	quote     rune     // the last thing was this quote; 0 if it was something else
	closed    bool     // the last thing was a '}'
	boundary  boundary // the strongest since the last fact
	hint      string   // a client id on this line
	authority authority
	noClaims  int // no claims start before this position

	ev      event // the event being put together
	held    Failure
	holding bool // held waits for a second report of itself
}

// run yields every failure of the text.
func (sc *scanner) run() {
	for i := range sc.next {
		sc.next[i] = -1
	}
	i := 0
	for !sc.stopped {
		anchor := sc.anchor(i)
		if anchor < 0 {
			break
		}
		if from := anchor - lookBehind; from > i {
			i = from
			sc.quote, sc.closed, sc.hint = 0, false, ""
		}
		for i <= max(anchor+lookAhead, sc.ev.until()) && i < len(sc.s) && !sc.stopped {
			i = sc.step(i)
		}
		sc.close() // it is quiet now
	}
	sc.close()
	sc.release()
}

// step reads the word or character at i and returns where it ends.
func (sc *scanner) step(i int) int {
	c := sc.s[i]
	if isWord(c) {
		sc.closed = false
		return sc.word(i)
	}
	if c == ' ' {
		sc.steps++
		return i + 1
	}
	if c == '\n' {
		sc.hint = ""
		sc.newline(i)
		return i + 1
	}
	ch := sc.at(i)
	switch ch.r {
	case ' ', '\n':
		return i + ch.n
	case '"', '\'', '`':
		sc.quote = ch.r
	case '{':
		if sc.closed { // the next body in a list
			sc.boundary = max(sc.boundary, objectStart)
		}
		sc.quote = 0
	case '+':
		// JavaScript prints long strings in pieces: "…" + '…'.
	default:
		sc.quote = 0
	}
	sc.closed = ch.r == '}' || sc.closed && ch.r == ','
	return i + ch.n
}

// at decodes one character.
func (sc *scanner) at(i int) char {
	sc.steps++
	return decode(sc.s, i)
}

// skipBlank skips white space and line breaks, but never a long stretch: what
// is far apart does not belong together.
func (sc *scanner) skipBlank(i int) int {
	const maxBlank = 128
	for k := 0; k < maxBlank && i < len(sc.s); k++ {
		ch := sc.at(i)
		if ch.r != ' ' && ch.r != '\n' && ch.r != '+' {
			break
		}
		i += ch.n
	}
	return i
}

// anchor returns where the next anchor at or after i starts, or -1.
func (sc *scanner) anchor(i int) int {
	first := -1
	for kind, find := range [...]func(string, int) int{indexCode, indexName, indexErrorURI} {
		next := &sc.next[kind]
		if *next < i && *next != len(sc.s) {
			*next = find(sc.s, i)
			if *next < 0 {
				*next = len(sc.s)
			}
			sc.steps += *next - i
		}
		if *next < len(sc.s) && (first < 0 || *next < first) {
			first = *next
		}
	}
	return first
}

// indexCode returns the first AADSTS code at or after i, or -1. Eight places at
// a time it asks for a 'd' as third and a 't' as fifth letter, of either case:
// that pair is rare in a log, so what is left to check costs nothing.
func indexCode(s string, i int) int {
	const (
		lowerCase = 0x2020202020202020
		allD      = 0x6464646464646464
		allT      = 0x7474747474747474
		places    = 8
	)
	text := unsafe.Slice(unsafe.StringData(s), len(s))
	for ; i+places+4 <= len(text); i += places {
		third := binary.LittleEndian.Uint64(text[i+2:]) | lowerCase
		fifth := binary.LittleEndian.Uint64(text[i+4:]) | lowerCase
		for hits := zeroBytes(third^allD) & zeroBytes(fifth^allT); hits != 0; hits &= hits - 1 {
			if at := i + bits.TrailingZeros64(hits)/8; codeLen(s, at) > 0 {
				return at
			}
		}
	}
	for ; i < len(s); i++ {
		if codeLen(s, i) > 0 {
			return i
		}
	}
	return -1
}

// zeroBytes has the high bit set in every byte of v that is zero, and perhaps
// in some above one.
func zeroBytes(v uint64) uint64 { return (v - 0x0101010101010101) & ^v & 0x8080808080808080 }

// codeLen returns the length of the AADSTS code at s[i], letters and digits;
// 0 when there is none. A cut text leaves at least four digits of a code that
// are of use, and no code has more than eight.
func codeLen(s string, i int) int {
	const letters, least, most = len("aadsts"), 4, 8
	if !hasPrefixFold(s[i:], "aadsts") {
		return 0
	}
	n := digits(s, i+letters)
	if n < least || n > most || s[i+letters] == '0' {
		return 0
	}
	return letters + n
}

// digits counts the digits at s[i], up to a few more than any code has.
func digits(s string, i int) int {
	n := 0
	for n < 20 && i+n < len(s) && isDigit(s[i+n]) {
		n++
	}
	return n
}

// anchorNames are the words that may tell of an event without a code. All
// have an underscore in this place, which is rare enough to look for.
var anchorNames = [...]struct{ before, after string }{
	{"invalid", "_client"}, {"invalid", "_grant"}, {"invalid", "_resource"}, {"invalid", "_scope"},
	{"invalid", "_tenant"}, {"invalid", "_request"}, {"unauthorized", "_client"},
	{"unsupported", "_grant_type"}, {"interaction", "_required"},
	{"error", "_codes"}, {"error", "_uri"},
}

// indexName returns the first of anchorNames at or after i, or -1.
func indexName(s string, i int) int {
	for at := i; ; at++ {
		n := strings.IndexByte(s[at:], '_')
		if n < 0 {
			return -1
		}
		at += n
		if at == i || !strings.ContainsRune("drnDRN", rune(s[at-1])) {
			continue // no name of ours, as nearly always
		}
		for _, name := range anchorNames {
			start := at - len(name.before)
			if start >= i && hasPrefixFold(s[at:], name.after) && equalFold(s[start:at], name.before) {
				return start
			}
		}
	}
}

// indexErrorURI returns the first address of a help page, "error?code=", at or
// after i, or -1.
func indexErrorURI(s string, i int) int {
	const word, rest = "error", "?code=" // the rest starts with a byte that is rare
	for at := i; ; at++ {
		n := strings.Index(s[at:], rest)
		if n < 0 {
			return -1
		}
		at += n
		if start := at - len(word); start >= i && s[start:at] == word {
			return start
		}
	}
}
