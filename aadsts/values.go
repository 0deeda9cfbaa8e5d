package aadsts

import (
	"encoding/json"
	"time"
)

const guidLen = len("00000000-0000-0000-0000-000000000000")

// guidAsPrinted reads the GUID at i, across at most two line breaks. It returns
// where the GUID ends, or 0.
func (sc *scanner) guidAsPrinted(i int) (id [guidLen]byte, end int) {
	breaks := 0
	for k := 0; k < guidLen; {
		if i >= len(sc.s) {
			return id, 0
		}
		c := sc.s[i]
		if isDash := k == 8 || k == 13 || k == 18 || k == 23; isDash && c == '-' || !isDash && isHex(c) {
			id[k] = c
			i++
			k++
			continue
		}
		next := 0
		if k > 0 && breaks < 2 {
			next = sc.lineBreak(i)
		}
		if next == 0 {
			return id, 0
		}
		breaks++
		i = next
	}
	sc.steps += guidLen
	if i < len(sc.s) && (isWord(sc.s[i]) || sc.s[i] == '-') {
		return id, 0
	}
	return id, i
}

// guid is guidAsPrinted in lower case.
func (sc *scanner) guid(i int) (string, int) {
	id, end := sc.guidAsPrinted(i)
	if end == 0 {
		return "", 0
	}
	for k, c := range id {
		if 'A' <= c && c <= 'F' {
			id[k] = c | 0x20
		}
	}
	return string(id[:]), end
}

// lineBreak skips blanks at i that hold a line break; 0 if they hold none.
func (sc *scanner) lineBreak(i int) int {
	end := sc.skipBlank(i)
	for j := i; j < end; {
		ch := decode(sc.s, j)
		if ch.r == '\n' {
			return end
		}
		j += ch.n
	}
	return 0
}

// time reads a time as the service prints it, 2025-01-09 08:26:10Z, or with the
// T of ISO 8601. It returns where the time ends, or 0.
func (sc *scanner) time(i int, iso bool) (time.Time, int) {
	const layout = "2006-01-02 15:04:05"
	var b [len(layout)]byte
	for k, want := range []byte(layout) {
		if i >= len(sc.s) {
			return time.Time{}, 0
		}
		c := sc.s[i]
		switch {
		case isDigit(want) && isDigit(c), want == '-' && c == '-':
			i++
		case want == ' ' && iso && c == 'T':
			i++
			c = ' '
		case want == ' ':
			next := sc.skipBlank(i)
			if next == i {
				return time.Time{}, 0
			}
			i, c = next, ' '
		case want == ':':
			ch := sc.at(i)
			if ch.r != ':' {
				return time.Time{}, 0
			}
			i, c = i+ch.n, ':'
		default:
			return time.Time{}, 0
		}
		b[k] = c
	}
	at, err := time.Parse(layout, string(b[:]))
	if err != nil {
		return time.Time{}, 0
	}
	if i < len(sc.s) && sc.s[i] == 'Z' {
		i++
	}
	return at, i
}

// claims reads the value of `claims`: a JSON object, or a string that holds
// one. A value that was cut is of no use to anybody and left out.
func (sc *scanner) claims(i, keyEnd int) int {
	const maxClaims = 4 << 10
	v, _ := sc.value(keyEnd)
	if v == 0 || i < sc.noClaims || sc.at(v).r != '{' {
		return 0
	}
	depth := 0
	for j := v; j < len(sc.s) && j-v < maxClaims; {
		ch := sc.at(j)
		j += ch.n
		switch ch.r {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth > 0 {
			continue
		}
		if text := sc.clean(v, j, maxClaims, false); json.Valid([]byte(text)) {
			sc.add(fact{kind: claimsFact, start: i, end: j, text: text})
			return j
		}
		break
	}
	sc.noClaims = v + maxClaims // else "claims:{" times a million would be read a million times
	return 0
}

// clientID remembers the application that a line speaks of beside the message.
func (sc *scanner) clientID(keyEnd int) int {
	v, _ := sc.value(keyEnd)
	if v == 0 {
		return 0
	}
	guid, end := sc.guid(v)
	if end == 0 {
		return 0
	}
	ev := &sc.ev
	if ev.used && ev.hint == "" && v-ev.End < quiet && sc.sameLine(ev.End, v) {
		ev.hint = guid
	} else {
		sc.hint = guid
	}
	return end
}

// An authority is the tenant that a request was sent to.
type authority struct {
	tenant string
	end    int
}

// tenantURL remembers the tenant in https://HOST/TENANT/oauth2/v2.0/token, in
// the address of the discovery document and in an issuer. It returns where the
// tenant ends, or 0.
func (sc *scanner) tenantURL(i int) int {
	const maxHost, maxTenant = 128, 64
	for range "://" {
		if i >= len(sc.s) {
			return 0
		}
		ch := sc.at(i)
		if ch.r != ':' && ch.r != '/' {
			return 0
		}
		i += ch.n
	}
	host := i
	for i < len(sc.s) && i-host < maxHost && (isWord(sc.s[i]) || sc.s[i] == '.' || sc.s[i] == '-' || sc.s[i] == ':') {
		i++
	}
	sc.steps += i - host
	isLogin := hasPrefixFold(sc.s[host:], "login.") || hasPrefixFold(sc.s[host:], "sts.")
	tenant := sc.slash(i)
	end := tenant
	for end < len(sc.s) && end-tenant < maxTenant {
		ch := sc.at(end)
		if ch.r == '/' || ch.r <= ' ' || ch.r == '"' || ch.r == '?' {
			break
		}
		end += ch.n
	}
	next := sc.slash(end)
	if tenant == 0 || end == tenant || next == 0 {
		return 0
	}
	rest := sc.s[next:]
	if !hasPrefixFold(rest, "oauth2") && !(hasPrefixFold(rest, "v2.0") && (isLogin || hasPrefixFold(rest, "v2.0/.well-known"))) {
		return 0
	}
	sc.authority = authority{sc.clean(tenant, end, maxTenant, false), end}
	return end
}

// slash returns where the slash at i ends, or 0.
func (sc *scanner) slash(i int) int {
	if i >= len(sc.s) {
		return 0
	}
	if ch := sc.at(i); ch.r == '/' {
		return i + ch.n
	}
	return 0
}
