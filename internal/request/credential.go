package request

import (
	"strings"

	"github.com/credsmith/credsmith/internal/secret"
)

// checkCredential looks at what is to prove that the app is itself.
func (l *linter) checkCredential() {
	l.checkAssertion()
	if l.basic != nil && l.basic.broken {
		l.fault(secretNotEncoded, "header Authorization", "What follows Basic is not base64: send the base64 of client_id:client_secret, each form-encoded first.")
	}
	if len(l.sent) == 0 {
		l.checkNoSecret()
		return
	}
	if len(l.sent) > 1 {
		l.fault(credentialWrong, "header Authorization", "The secret is sent twice, as a parameter and with HTTP Basic: send it once, in the body.")
	}
	for _, s := range l.sent {
		if s.name != clientSecret {
			l.missing(secretMissing, clientSecret, "")
		}
		if !(s.in == inBasic && l.basic.broken) {
			l.checkSecret(s)
		}
	}
}

// checkNoSecret reports a missing credential, if the grant needs one.
func (l *linter) checkNoSecret() {
	_, hasAssertion := l.filled(assertion)
	needed := l.grant == clientCredentials || l.grant == onBehalfOf
	if !needed || hasAssertion || l.basic != nil && l.basic.broken {
		return
	}
	if l.basic != nil {
		l.fault(secretMissing, "header Authorization", "HTTP Basic holds a client id and no secret behind the colon: put the secret there.")
		return
	}
	l.missing(secretMissing, clientSecret, "send client_secret (or a client_assertion signed with a certificate)")
}

// checkAssertion looks at the credential that stands in for a secret.
func (l *linter) checkAssertion() {
	_, hasAssertion := l.filled(assertion)
	t, hasType := l.filled(assertionType)
	if hasAssertion && len(l.sent) > 0 {
		l.fault(credentialWrong, "parameter "+assertion, "Both client_assertion and a client secret are sent: send the one credential the app is to sign in with.")
	}
	switch at := "parameter " + assertionType; {
	case hasAssertion && !hasType:
		l.fault(credentialWrong, at, "client_assertion needs client_assertion_type beside it: send client_assertion_type=%s.", jwtBearerAssertion)
	case hasType && !hasAssertion && !l.partial:
		l.fault(credentialWrong, at, "client_assertion_type announces a client_assertion, and none is there: send the assertion, or remove the type.")
	case hasType && t.value != jwtBearerAssertion && !l.isLive(t.value):
		l.fault(credentialWrong, at, "client_assertion_type is not the one Entra knows: send client_assertion_type=%s.", jwtBearerAssertion)
	}
}

// checkSecret looks at one secret as it was sent. Several faults can meet in
// one value; a placeholder is none of the rest.
func (l *linter) checkSecret(s sent) {
	if l.isLive(s.meant) {
		return // the shell puts the value in
	}
	meant := secret.New(s.meant).Shape()
	if meant.Kind == secret.Placeholder {
		l.fault(secretPlaceholder, s.at, "client_secret holds a placeholder or a mask, not a secret: replace it with the value (or ignore this if you masked the value for the capture).")
		return
	}
	encoded := l.checkEncoding(s)
	l.checkWhitespace(s)
	switch meant.Kind {
	case secret.Quoted:
		l.fault(secretQuoted, s.at, "client_secret has quotes around it, which are sent as part of the value: remove them.")
	case secret.GUID:
		l.fault(secretIDUsed, s.at, "client_secret is a GUID, so it is possible that the Secret ID was copied in place of the Value: compare it with the column Secret ID in the portal.")
	case secret.PercentEncoded:
		if encoded {
			l.fault(secretEncoded, s.at, "client_secret is still percent-encoded after decoding, so it was encoded twice: encode it once.")
		}
	case secret.Base64:
		l.fault(secretEncoded, s.at, "client_secret is the base64 of readable text, so it was possibly taken from a Kubernetes Secret without decoding: decode it.")
	}
}

// checkEncoding reports signs that had to be form-encoded. It returns false if
// there are any.
func (l *linter) checkEncoding(s sent) bool {
	var signs []string
	for _, sign := range []struct {
		raw  bool
		text string
	}{
		{s.plus, "a + is read as a space (send %2B)"},
		{s.percent, "a % starts an escape (send %25)"},
		{s.cut && !l.isLive(s.meant), "an & ends the value, and what follows it belongs to no parameter (send %26)"},
		{s.space && s.in != inBasic, "a space stands there as it is (send %20)"},
	} {
		if sign.raw {
			signs = append(signs, sign.text)
		}
	}
	if len(signs) == 0 {
		return true
	}
	how := "form-encode the value, for example with curl --data-urlencode"
	if s.in == inBasic {
		how = "form-encode client id and secret each, before joining them with a colon and base64"
	}
	l.fault(secretNotEncoded, s.at, "client_secret is not form-encoded: %s; %s.", strings.Join(signs, ", "), how)
	return false
}

// checkWhitespace reports characters that cannot be seen, first at the ends of
// the value, then inside. Spaces inside come from a raw + and are reported as
// such.
func (l *linter) checkWhitespace(s sent) {
	shape := secret.New(s.meant).Shape()
	var starts, ends, inside string
	for i, c := range shape.Invisible {
		left := len(shape.Invisible) - i
		switch {
		case c.Position == i+1:
			starts = c.Name
		case c.Position == shape.Length-left+1:
			if ends == "" {
				ends = c.Name
			}
		case inside == "" && c.Name != "space":
			inside = c.Name
		}
	}
	for _, found := range []struct{ name, where string }{{starts, "starts with"}, {ends, "ends with"}, {inside, "holds"}} {
		hint := ""
		switch found.name {
		case "":
			continue
		case "line feed", "carriage return":
			hint = " (echo adds a line end, printf %s does not)"
		}
		l.fault(secretWhitespace, s.at, "client_secret %s a %s, which is sent as part of the value: remove it%s.", found.where, found.name, hint)
	}
}
