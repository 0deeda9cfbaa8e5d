// Package kernel finds the few places of a log that are worth reading: codes,
// names of OAuth errors, client secrets. On amd64 with AVX2 it looks at 64
// places at a time; elsewhere plain Go does the same work.
package kernel

// Kind says what an anchor is.
type Kind byte

// The anchors, with the byte that a position points at.
const (
	None       Kind = iota
	Code            // the first letter of AADSTS<digits>, in any case
	OAuthError      // the underscore of invalid_client or unauthorized_client
	ErrorCodes      // the underscore of error_codes
	Secret          // the Q of Q~ or Q%7E behind an ASCII character and a digit
	NoBody          // the bracket of "401 ... [no body]"
	BareCode        // the first digit of a seven-digit code 7000xxx
)

// Margin is how many bytes before and behind a position At may look at.
const Margin = 32

// A Hit is an anchor and its position.
type Hit struct {
	Pos  int64
	Kind Kind
}

// Append appends the anchors of p[from:to] in order, their positions with base
// added. It looks up to Margin bytes beyond either end, so far as p has them.
func Append(hits []Hit, p []byte, from, to int, base int64) []Hit {
	hits, from = vector(hits, p, from, to, base)
	return plain(hits, p, from, to, base)
}

// plain is Append without vectors.
func plain(hits []Hit, p []byte, from, to int, base int64) []Hit {
	for i := from; i < to; i++ {
		if !first[p[i]] {
			continue
		}
		if kind := At(p, i); kind != None {
			hits = append(hits, Hit{base + int64(i), kind})
		}
	}
	return hits
}

// first holds the bytes that an anchor starts with.
var first = [256]bool{'a': true, 'A': true, '_': true, 'Q': true, '[': true, '7': true}

// At says which anchor is at p[i].
func At(p []byte, i int) Kind {
	rest := p[i:]
	switch rest[0] {
	case 'a', 'A':
		const word = "aadsts"
		if len(rest) > len(word) && fold(rest, word) && isDigit(rest[len(word)]) {
			return Code
		}
	case '_':
		switch {
		case fold(rest, "_client") && (endsFold(p[:i], "invalid") || endsFold(p[:i], "unauthorized")):
			return OAuthError
		case fold(rest, "_codes") && endsFold(p[:i], "error"):
			return ErrorCodes
		}
	case 'Q':
		if i > 1 && p[i-2] < 0x80 && isDigit(p[i-1]) && (fold(rest, "q~") || fold(rest, "q%7e")) {
			return Secret
		}
	case '[':
		if fold(rest, "[no body]") {
			return NoBody
		}
	case '7':
		const digits = 7
		if len(rest) < digits || !fold(rest, "7000") || i > 0 && isWord(p[i-1]) || len(rest) > digits && isWord(rest[digits]) {
			return None
		}
		if isDigit(rest[4]) && isDigit(rest[5]) && isDigit(rest[6]) {
			return BareCode
		}
	}
	return None
}

// fold reports whether p starts with the lower-case word in any case.
func fold(p []byte, word string) bool {
	if len(p) < len(word) {
		return false
	}
	for i := range len(word) {
		c := p[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

func endsFold(p []byte, word string) bool {
	return len(p) >= len(word) && fold(p[len(p)-len(word):], word)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWord(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' }
