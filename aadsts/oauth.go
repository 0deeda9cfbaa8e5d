package aadsts

import "strings"

// signInErrors are the OAuth errors of the token endpoint that tell of a failure
// without a code beside them.
var signInErrors = [...]string{
	"invalid_client", "unauthorized_client", "invalid_grant", "invalid_resource", "invalid_scope",
	"unsupported_grant_type", "interaction_required", "invalid_tenant", "invalid_request",
}

// otherErrors are those that other servers answer just as often, or that are
// no failures by themselves.
var otherErrors = [...]string{
	"access_denied", "authorization_declined", "authorization_pending", "bad_verification_code",
	"consent_required", "expired_token", "invalid_instance", "login_required", "server_error",
	"slow_down", "temporarily_unavailable", "unsupported_response_type",
}

// oauthError returns the OAuth error that a word names, in its usual spelling,
// and whether it is one of signInErrors.
func oauthError(word string) (name string, signIn bool) {
	var buf [32]byte
	w := lower(buf[:0], word)
	for _, name := range signInErrors {
		if string(w) == name {
			return name, true
		}
	}
	for _, name := range otherErrors {
		if string(w) == name {
			return name, false
		}
	}
	return "", false
}

// oauthWord takes the name of an OAuth error by itself. Names that are common in
// prose or with other servers count only beside a code.
func (sc *scanner) oauthWord(i, end int) int {
	if strings.IndexByte(sc.s[i:end], '_') < 0 {
		return 0
	}
	name, anchor := oauthError(sc.s[i:end])
	anchor = anchor && name != "invalid_request"
	if name == "" || !anchor && !sc.inBrackets(i, end) && !sc.beforeCode(end) {
		return 0
	}
	sc.add(fact{kind: oauthFact, start: i, end: end, text: name, anchor: anchor})
	return end
}

// inBrackets tells whether the word reads like "(invalid_request)".
func (sc *scanner) inBrackets(i, end int) bool {
	return i > 0 && end < len(sc.s) && (sc.s[i-1] == '(' && sc.s[end] == ')' || sc.s[i-1] == '[' && sc.s[end] == ']')
}

// beforeCode tells whether a code follows next: "invalid_request (AADSTS90002".
func (sc *scanner) beforeCode(i int) bool {
	for k := 0; k < 3 && i < len(sc.s) && !isWord(sc.s[i]); k++ {
		i += sc.at(i).n
	}
	return i < len(sc.s) && codeLen(sc.s, i) > 0
}

// oauthValue reads the name behind `error`, `errorCode`: `"error":"invalid_client"`.
func (sc *scanner) oauthValue(i, keyEnd int) int {
	v, quoted := sc.value(keyEnd)
	if v == 0 {
		return 0
	}
	end := v
	for end < len(sc.s) && isWord(sc.s[end]) && end-v < 32 {
		end++
	}
	name, anchor := oauthError(sc.s[v:end])
	if name == "" {
		return 0
	}
	f := fact{kind: oauthFact, start: i, end: end, text: name, anchor: anchor}
	if keyEnd-i == len("error") {
		f.form = member
	}
	if quoted && f.form == bare {
		f.form = label // MSAL for JavaScript: errorCode: 'invalid_client'
	}
	sc.add(f)
	return end
}

// subError reads the name behind `suberror`.
func (sc *scanner) subError(i, keyEnd int) int {
	const maxName = 64
	v, quoted := sc.value(keyEnd)
	if v == 0 {
		return 0
	}
	end := v
	for end < len(sc.s) && isWord(sc.s[end]) && end-v < maxName {
		end++
	}
	if end == v || !quoted && sc.s[keyEnd] != '=' {
		return 0 // "subError:" with nothing behind it, and the next line
	}
	sc.add(fact{kind: subErrorFact, start: i, end: end, text: strings.Clone(sc.s[v:end])})
	return end
}
