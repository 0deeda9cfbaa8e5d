package request

import (
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// grants are the grant types of the token endpoint, with the parameters each
// needs besides client_id, scope and a credential.
var grants = map[string][]string{
	clientCredentials: nil,
	authorizationCode: {"code", "redirect_uri"},
	refreshToken:      {"refresh_token"},
	passwordGrant:     {"username", "password"},
	onBehalfOf:        {"assertion", "requested_token_use"},
	deviceCode:        {"device_code"},
	"device_code":     nil, // of the v1 endpoint
	"urn:ietf:params:oauth:grant-type:saml2-bearer":   {"assertion"},
	"urn:ietf:params:oauth:grant-type:saml1_1-bearer": {"assertion"},
	"urn:ietf:params:oauth:grant-type:token-exchange": nil,
}

// grantSlips are wrong spellings no distance would find, without punctuation.
var grantSlips = map[string]string{
	"clientsecret": clientCredentials, "client": clientCredentials, "credentials": clientCredentials, "appcredentials": clientCredentials,
	"code": authorizationCode, "authcode": authorizationCode, "refresh": refreshToken,
	"urnietfparamsoauthclientassertiontypejwtbearer": clientCredentials,
	"jwtbearer": onBehalfOf, "onbehalfof": onBehalfOf, "obo": onBehalfOf, "devicecode": deviceCode,
}

// nearGrant returns the grant type that value is a slip of, or "".
func nearGrant(value string) string {
	flat := flatten(value)
	if near, ok := grantSlips[flat]; ok {
		return near
	}
	if len(flat) > 64 {
		return ""
	}
	for _, known := range []string{clientCredentials, authorizationCode, refreshToken, passwordGrant, onBehalfOf, deviceCode} {
		if isNear(flat, flatten(known), min(3, len(flat)/3)) {
			return known
		}
	}
	return ""
}

// meantGrant is the grant the sender meant: the one named, the one named with
// a slip, or the one the other parameters belong to.
func (l *linter) meantGrant() string {
	value := l.value(grantType)
	if _, ok := grants[value]; ok && !(value == passwordGrant && l.serviceWithPassword()) {
		return value
	}
	if near := nearGrant(value); value != passwordGrant && near != "" {
		return near
	}
	for _, hint := range []struct{ name, grant string }{
		{"refresh_token", refreshToken}, {"device_code", deviceCode}, {"username", passwordGrant},
		{"code", authorizationCode}, {"assertion", onBehalfOf},
	} {
		if l.value(hint.name) != "" {
			return hint.grant
		}
	}
	return clientCredentials
}

// serviceWithPassword reports whether the password grant names no user.
func (l *linter) serviceWithPassword() bool { return l.value("username") == "" }

// checkGrant looks at the grant type and at the parameters of that grant.
func (l *linter) checkGrant() {
	if !l.require(parameterMissing, grantType, "send grant_type="+l.grant) {
		return
	}
	f, _ := l.find(grantType)
	_, known := grants[f.value]
	switch at := "parameter " + grantType; {
	case l.isLive(f.value):
	case f.value == passwordGrant && l.serviceWithPassword():
		l.fault(grantTypeWrong, at, "grant_type password signs in a user, and no username is there: a service sends grant_type=client_credentials.")
		return
	case !known && nearGrant(f.value) != "":
		l.fault(grantTypeWrong, at, "grant_type is %s, and the token endpoint knows only the exact name: send grant_type=%s.", l.quote(f.value), l.grant)
	case !known:
		l.fault(grantTypeWrong, at, "grant_type holds no grant type that the token endpoint knows: send grant_type=%s.", l.grant)
	}
	for _, name := range grants[l.grant] {
		l.require(parameterMissing, name, "the grant "+l.grant+" needs it")
	}
}

// checkClientID looks at the client id, in the body or in HTTP Basic.
func (l *linter) checkClientID() {
	const at = "parameter " + clientID
	f, filled := l.filled(clientID)
	id := f.value
	if !filled && l.basic != nil && l.basic.id != "" {
		if l.basic.broken {
			return // reported as such
		}
		id = formDecode(l.basic.id)
	} else if !l.require(parameterMissing, clientID, "send the Application (client) ID of the app registration") {
		return
	}
	if isID(id) || l.isLive(id) {
		return
	}
	shape := secret.New(id).Shape()
	switch trimmed := entra.CleanIdentifier(id); {
	case isZero(id):
		l.fault(clientIDMalformed, at, "client_id is the zero GUID: send the Application (client) ID of the app registration.")
	case isID(trimmed) && len(shape.Invisible) > 0:
		l.fault(clientIDMalformed, at, "client_id has a %s around the GUID: remove it.", shape.Invisible[0].Name)
	case isID(trimmed):
		l.fault(clientIDMalformed, at, "client_id has quotes or braces around the GUID: remove them.")
	case isTemplate(id):
		l.fault(clientIDMalformed, at, "client_id still holds a placeholder: put the Application (client) ID of the app registration there.")
	case shape.Kind == secret.EntraQ:
		l.fault(clientIDMalformed, at, "client_id looks like a client secret: put the Application (client) ID there and the secret into client_secret.")
	default:
		l.fault(clientIDMalformed, at, "client_id is not a GUID (it has %d characters): send the Application (client) ID, not a name or URI.", shape.Length)
	}
}
