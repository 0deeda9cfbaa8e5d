package request

import (
	"fmt"
	"strings"
)

// Causes, as the product names them everywhere.
const (
	bodyNotForm       = "body-not-form"
	parameterMissing  = "parameter-missing"
	grantTypeWrong    = "grant-type-wrong"
	scopeMalformed    = "scope-malformed"
	resourceUnknown   = "resource-unknown"
	secretNotEncoded  = "secret-not-encoded"
	endpointWrong     = "endpoint-wrong"
	secretMissing     = "secret-missing"
	credentialWrong   = "credential-kind-wrong"
	secretEncoded     = "secret-encoded"
	secretWhitespace  = "secret-whitespace"
	secretQuoted      = "secret-quoted"
	secretPlaceholder = "secret-placeholder"
	secretIDUsed      = "secret-id-used"
	tenantPlaceholder = "tenant-placeholder"
	tenantMalformed   = "tenant-malformed"
	authorityCommon   = "authority-common"
	clientIDMalformed = "client-id-malformed"
	cloudWrong        = "cloud-wrong"
)

// Values the protocol knows.
const (
	formType           = "application/x-www-form-urlencoded"
	clientCredentials  = "client_credentials"
	authorizationCode  = "authorization_code"
	refreshToken       = "refresh_token"
	passwordGrant      = "password"
	onBehalfOf         = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	deviceCode         = "urn:ietf:params:oauth:grant-type:device_code"
	jwtBearerAssertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// Lint finds everything that is wrong with c and writes the request as it
// should have been. Both hold no secret.
func Lint(c Captured) Report {
	l := newLinter(c)
	l.checkEndpoint()
	l.checkTenant()
	l.checkBody()
	l.checkGrant()
	l.checkClientID()
	l.checkScope()
	l.checkCredential()
	for i := range l.faults {
		f := &l.faults[i]
		f.Line, f.Column = l.locate(f.At)
	}
	r := Report{Faults: l.faults, Corrected: l.corrected()}
	if c.noBody {
		r.Note = "The capture leaves the body out, so only method, URL and headers were looked at: the body and the secret in it were not."
	}
	return r
}

// linter collects the faults of one request.
type linter struct {
	reading
	veil
	sent    []sent // the secrets of the request
	grant   string // the grant that was meant
	version string // of the endpoint that was meant
	partial bool   // some parameters cannot be read, so none can be called missing
	faults  []Fault
}

// newLinter settles what the rules have in common: the grant and the version
// of the endpoint that were meant, the secrets, and what must not be shown.
func newLinter(c Captured) *linter {
	r := read(c)
	l := &linter{reading: r, veil: newVeil(r), sent: r.secrets(), faults: []Fault{}}
	l.grant = l.meantGrant()
	l.version = r.target.likelyVersion()
	if l.version == v1 && r.value(scope) != "" && r.value(resource) == "" {
		l.version = v2 // only the path is v1's
	}
	l.partial = !r.body.readable() || c.noBody
	for _, f := range r.fields {
		l.partial = l.partial || r.isLive(f.name) || r.isLive(f.tail)
	}
	return l
}

func (l *linter) fault(cause, at, format string, args ...any) {
	l.faults = append(l.faults, Fault{Cause: cause, Says: fmt.Sprintf(format, args...), At: at})
}

// missing reports that the request lacks a parameter, or has it under another
// name only, or empty.
func (l *linter) missing(cause, name, next string) {
	f, found := l.find(name)
	switch {
	case found && f.raw != "":
		l.fault(cause, "parameter "+name, "%s is missing: the request has %s instead; did you mean %s?", name, l.quote(f.name), name)
	case l.partial:
	case found:
		l.fault(cause, "parameter "+name, "%s is empty, which counts as missing: %s.", name, next)
	default:
		l.fault(cause, "parameter "+name, "%s is missing: %s.", name, next)
	}
}

// require reports a parameter that is missing under its own name. It reports
// whether there is a value to look at.
func (l *linter) require(cause, name, next string) bool {
	f, filled := l.filled(name)
	if !filled || f.name != name {
		l.missing(cause, name, next)
	}
	return filled
}

// bodyAt is the place of the body.
func (l *linter) bodyAt() string {
	if l.BodyLine > 0 {
		return fmt.Sprintf("line %d", l.BodyLine)
	}
	return "body"
}

// bodySays tells what is wrong with a body that is no form.
var bodySays = map[bodyKind]string{
	bodyJSON:      "The body is JSON, and the token endpoint reads only a form: send name=value pairs joined with &, and Content-Type " + formType + ".",
	bodyBadJSON:   "The body starts like JSON and cannot be decoded; the token endpoint reads only a form: send name=value pairs joined with &, and Content-Type " + formType + ".",
	bodyMultipart: "The body is multipart/form-data, and the token endpoint reads only a URL-encoded form: with curl use --data-urlencode in place of -F.",
	bodyXML:       "The body is XML or HTML, and the token endpoint reads only a form: send name=value pairs joined with &.",
	bodyText:      "The body holds no name=value pair, and the token endpoint reads only a form: send grant_type=…&client_id=… and so on.",
	bodyQuoted:    "The whole body stands in quotes, which become part of the first name and the last value: send the form without them (no JSON.stringify).",
	bodyEscaped:   "The body is percent-encoded as a whole, its = and & too: encode each name and each value, then join them with = and &.",
	bodyBase64:    "The body is base64: send the form as it is.",
	bodyLines:     "The body has one parameter a line and no & between them, so the server reads a single one: join the parameters with &.",
	bodyHTML:      "The parameters are joined with &amp; in place of &: the HTML escape must be undone before sending.",
	bodyQuestion:  "The body starts with a ?, which becomes part of the first name: a ? belongs in URLs only.",
}

// checkBody looks at the form as a whole, and at parameters outside it.
func (l *linter) checkBody() {
	if l.cutLine > 0 {
		l.fault(bodyNotForm, fmt.Sprintf("line %d", l.cutLine),
			"An & outside quotes ends the command in a shell, so nothing behind it is sent: put the body, or the URL, in quotes.")
	}
	if l.bom {
		l.fault(bodyNotForm, l.bodyAt(), "A byte order mark stands in front of the body and becomes part of the first name: write the body as UTF-8 without BOM.")
	}
	if says, ok := bodySays[l.body]; ok {
		l.fault(bodyNotForm, l.bodyAt(), "%s", says)
	} else if l.body == bodyForm {
		l.checkContentType()
	}
	l.checkMisplaced()
	l.checkDuplicates()
}

func (l *linter) checkContentType() {
	switch sent := l.contentType(); {
	case sent == formType:
	case sent == "":
		l.fault(bodyNotForm, "header Content-Type", "No Content-Type says that the body is a form: send Content-Type: %s.", formType)
	default:
		l.fault(bodyNotForm, "header Content-Type", "Content-Type says %s although the body is a form: send Content-Type: %s.", l.quote(sent), formType)
	}
}

// checkMisplaced reports parameters in the URL or in headers.
func (l *linter) checkMisplaced() {
	var query []string
	for _, f := range l.fields {
		switch f.meant {
		case grantType, clientID, clientSecret, scope, resource, assertion, assertionType:
		default:
			continue
		}
		switch best, _ := l.find(f.meant); {
		case f.in == inQuery:
			query = append(query, f.meant)
		case f.in == inHeader && best.in == inHeader:
			l.fault(bodyNotForm, "header "+f.meant, "%s stands in a header, which the token endpoint does not read: send it in the body.", f.meant)
		}
	}
	if len(query) == 0 {
		return
	}
	leak := ""
	for _, name := range query {
		if name == clientSecret {
			leak = " URLs end up in logs: replace this secret."
		}
	}
	l.fault(bodyNotForm, "url", "The query of the URL holds %s, and the token endpoint reads only the body: move all parameters there.%s", strings.Join(query, ", "), leak)
}

func (l *linter) checkDuplicates() {
	seen := map[string]int{}
	for _, f := range l.fields {
		if f.in != inBody || !knownNames[f.name] {
			continue
		}
		if seen[f.name]++; seen[f.name] == 2 {
			l.fault(bodyNotForm, "parameter "+f.name, "%s is in the body more than once, which the token endpoint refuses: send it once.", f.name)
		}
	}
}
