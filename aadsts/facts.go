package aadsts

import (
	"strconv"
	"time"
)

// A fact is one thing that a text tells of an event.
type fact struct {
	kind       factKind
	start, end int

	codes   []int     // of codeFact, listFact, uriFact
	message string    // of codeFact
	guid    string    // of traceFact, correlationFact
	at      time.Time // of timeFact
	text    string    // of oauthFact, subErrorFact, claimsFact

	form   form
	anchor bool // of oauthFact: enough to tell of a failure by itself
}

type factKind uint8

const (
	codeFact        factKind = iota // AADSTS7000215: …
	listFact                        // "error_codes":[7000215]
	uriFact                         // https://login.microsoftonline.com/error?code=7000215
	oauthFact                       // "error":"invalid_client"
	subErrorFact                    // "suberror":"basic_action"
	claimsFact                      // "claims":"{…}"
	traceFact                       // "trace_id":"…", Trace ID: …, Request Id: …
	correlationFact                 // "correlation_id":"…", Correlation ID: …
	timeFact                        // "timestamp":"…", Timestamp: …
)

// form is how a fact is printed, which tells what it may belong to.
type form uint8

const (
	bare      form = iota // a word by itself, or a parameter without quotes
	member                // a member of a body: its key is in quotes, or is `error`
	label                 // a label of the trailer: Trace ID:
	pageLabel             // the Request Id: that starts the facts of a browser page
	prefix                // the time that MSAL puts before the code
)

func (f *fact) isCode() bool { return f.kind <= uriFact }

// word reads the word at i, with its value if it is a key, and returns where
// the scanner goes on.
func (sc *scanner) word(i int) int {
	if sc.s[i]|0x20 == 'a' {
		if n := codeLen(sc.s, i); n > 0 {
			return sc.code(i, n)
		}
	}
	end := sc.wordEnd(i)
	if isDigit(sc.s[i]) {
		if next := sc.msalPrefix(i, end); next > 0 {
			return next // the quote before it is the quote before the code
		}
		sc.quote = 0
		return end // no key and no name starts with a digit
	}
	next := sc.keyword(i, end)
	sc.quote = 0
	return max(next, end)
}

// wordEnd returns the end of the word at i. A code ends the word before it:
// text that lost its line breaks reads "…signing you in.nAADSTS50011".
func (sc *scanner) wordEnd(i int) int {
	j := i + 1
	for j < len(sc.s) && isWord(sc.s[j]) {
		if sc.s[j]|0x20 == 'a' && j+1 < len(sc.s) && sc.s[j+1]|0x20 == 'a' && codeLen(sc.s, j) > 0 {
			break
		}
		j++
	}
	sc.steps += j - i
	return j
}

// keyword reads what the key or name s[i:end] starts. It returns where that
// ends, or 0 when it is nothing of interest.
func (sc *scanner) keyword(i, end int) int {
	var buf [32]byte
	switch w := lower(buf[:0], sc.s[i:end]); string(w) {
	case "trace", "request":
		return sc.twoWordID(i, end, traceFact, w[0] == 'r')
	case "correlation":
		return sc.twoWordID(i, end, correlationFact, false)
	case "trace_id", "traceid":
		return sc.id(i, end, traceFact, sc.memberForm())
	case "correlation_id", "correlationid":
		return sc.id(i, end, correlationFact, sc.memberForm())
	case "timestamp":
		return sc.timestamp(i, end)
	case "error_codes", "errorcodes":
		return sc.codeList(i, end)
	case "error":
		if next := sc.helpPage(i, end); next > 0 {
			return next
		}
		return sc.oauthValue(i, end)
	case "errorcode", "error_code":
		return sc.oauthValue(i, end)
	case "suberror", "sub_error":
		return sc.subError(i, end)
	case "claims":
		return sc.claims(i, end)
	case "client_id", "clientid", "app_id", "appid", "app", "application_id", "applicationid":
		return sc.clientID(end)
	case "http", "https":
		return sc.tenantURL(end)
	}
	return sc.oauthWord(i, end)
}

// lower appends the word in lower case, or nothing when it is too long to be a
// key.
func lower(b []byte, word string) []byte {
	if len(word) > cap(b) {
		return b
	}
	for _, c := range []byte(word) {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		b = append(b, c)
	}
	return b
}

// memberForm tells a key in quotes from a parameter.
func (sc *scanner) memberForm() form {
	if sc.quote != 0 {
		return member
	}
	return bare
}

// value returns where the value of the key that ends at i starts, and whether
// it is in quotes; 0 if no value follows. It reads `": "`, `=`, `%3a+`, `"=>"`,
// and `:</b> `.
func (sc *scanner) value(i int) (start int, quoted bool) {
	i = sc.skipDecoration(sc.skipBlank(i))
	if i >= len(sc.s) {
		return 0, false
	}
	ch := sc.at(i)
	if ch.r != ':' && ch.r != '=' {
		return 0, false
	}
	i += ch.n
	if i < len(sc.s) && ch.r == '=' && sc.s[i] == '>' {
		i++
	}
	i = sc.skipBlank(i)
	for i < len(sc.s) && sc.s[i] == '*' {
		i++ // Markdown: **Trace ID:** …
	}
	i = sc.skipBlank(i)
	start = sc.skipQuote(i)
	quoted = start > i
	if start = sc.skipBlank(start); start >= len(sc.s) {
		return 0, false
	}
	return start, quoted
}

// skipQuote skips the quote at i, if there is one.
func (sc *scanner) skipQuote(i int) int {
	if i >= len(sc.s) {
		return i
	}
	if ch := sc.at(i); ch.r == '"' || ch.r == '\'' || ch.r == '`' {
		return i + ch.n
	}
	return i
}

// skipDecoration skips the quotes and marks behind a key, and around the numbers
// in a list.
func (sc *scanner) skipDecoration(i int) int {
	for k := 0; k < 4 && i < len(sc.s); k++ {
		ch := sc.at(i)
		switch ch.r {
		case '"', '\'', '`', '*', ']':
			i += ch.n
			continue
		}
		break
	}
	return i
}

// twoWordID reads "Trace ID: …", also where a line break parts the words.
func (sc *scanner) twoWordID(i, end int, kind factKind, page bool) int {
	j := sc.skipBlank(end)
	if j == end || !hasPrefixFold(sc.s[j:], "id") || j+2 < len(sc.s) && isWord(sc.s[j+2]) {
		return 0
	}
	f := label
	if page {
		f = pageLabel
	}
	return sc.id(i, j+2, kind, f)
}

// id reads the GUID that belongs to a key.
func (sc *scanner) id(i, keyEnd int, kind factKind, form form) int {
	v, _ := sc.value(keyEnd)
	if v == 0 {
		return 0
	}
	guid, end := sc.guid(v)
	if end == 0 {
		return 0
	}
	sc.add(fact{kind: kind, start: i, end: end, guid: guid, form: form})
	return end
}

// timestamp reads the time of the service. Logs have times of their own under
// this name: only `Timestamp:` as a label may have the T of ISO 8601.
func (sc *scanner) timestamp(i, keyEnd int) int {
	form := sc.memberForm()
	v, _ := sc.value(keyEnd)
	if v == 0 {
		return 0
	}
	isLabel := sc.s[i] == 'T' && form == bare
	if isLabel {
		form = label
	}
	at, end := sc.time(v, isLabel)
	if end == 0 {
		return 0
	}
	sc.add(fact{kind: timeFact, start: i, end: end, at: at, form: form})
	return end
}

// msalPrefix reads `7000215 - [2023-03-05 22:32:01Z]: ` before a code. It
// returns where the code starts, or 0.
func (sc *scanner) msalPrefix(i, end int) int {
	if n := end - i; n < 4 || n > 8 || digits(sc.s, i) != n {
		return 0
	}
	j := sc.skipBlank(end)
	if j >= len(sc.s) || sc.s[j] != '-' {
		return 0
	}
	j = sc.skipBlank(j + 1)
	if j >= len(sc.s) || sc.s[j] != '[' {
		return 0
	}
	at, j := sc.time(j+1, false)
	if j == 0 || !hasPrefixFold(sc.s[j:], "]:") {
		return 0
	}
	j = sc.skipBlank(j + 2)
	if j >= len(sc.s) || codeLen(sc.s, j) == 0 {
		return 0
	}
	sc.add(fact{kind: timeFact, start: i, end: j, at: at, form: prefix})
	return j
}

// codeList reads the value of error_codes: `[7000215]`, over several lines and
// with quotes if need be, or one number without brackets.
func (sc *scanner) codeList(i, keyEnd int) int {
	const maxCodes = 16
	form := sc.memberForm()
	v, _ := sc.value(keyEnd)
	if v == 0 {
		return 0
	}
	if sc.s[v] == '[' {
		v++
	} else if ch := sc.at(v); ch.pct && ch.r == '[' {
		v += ch.n
	}
	var codes []int
	end := 0
	for len(codes) < maxCodes {
		v = sc.skipDecoration(sc.skipBlank(v))
		code, next := sc.number(v)
		if next == 0 {
			break
		}
		codes, end = append(codes, code), next
		v = sc.skipBlank(sc.skipDecoration(next))
		if v >= len(sc.s) {
			break
		}
		ch := sc.at(v)
		if ch.r != ',' {
			break
		}
		v += ch.n
	}
	if end == 0 {
		return 0
	}
	sc.add(fact{kind: listFact, start: i, end: end, codes: codes, form: form})
	return end
}

// number reads a code without letters; next is 0 when there is none.
func (sc *scanner) number(i int) (code, next int) {
	n := digits(sc.s, i)
	if n < 4 || n > 8 || sc.s[i] == '0' {
		return 0, 0
	}
	code, _ = strconv.Atoi(sc.s[i : i+n])
	return code, i + n
}

// helpPage reads "?code=7000215" behind the word "error".
func (sc *scanner) helpPage(i, end int) int {
	for _, want := range "?code=" {
		if end >= len(sc.s) {
			return 0
		}
		ch := sc.at(end)
		if ch.r|0x20 != want|0x20 {
			return 0
		}
		end += ch.n
	}
	code, next := sc.number(end)
	if next == 0 {
		return 0
	}
	sc.add(fact{kind: uriFact, start: i, end: next, codes: []int{code}})
	return next
}
