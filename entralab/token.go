package entralab

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds every request body, decompressed.
const maxBody = 1 << 20

// tokenLifetime is what clients see in expires_in; the real service draws 60
// to 90 minutes and 3599 is its common answer to client credentials.
const tokenLifetime = 3599 * time.Second

// tokenRequest is what a client sent, with nothing judged yet.
type tokenRequest struct {
	segment  string // the tenant as named in the path
	endpoint version
	method   string
	form     map[string]string
	tooLarge bool
}

// grantedToken is a token about to be signed.
type grantedToken struct {
	tenant      guid
	clientID    guid
	displayName string
	principal   guid
	roles       []string
	resource    resource
}

func (l *Lab) serveToken(w http.ResponseWriter, r *http.Request, segment string, endpoint version) {
	req := readTokenRequest(r, segment, endpoint)
	x := l.newExchange(r, req.form)
	token, refused := l.authorize(r, req, x.now)
	if refused != nil {
		x.refuse(w, r.Host, refused)
		return
	}
	// Signing is nearly all the work of a request: it needs no lock.
	x.write(w, http.StatusOK, l.tokenBody(token, endpoint, x.now))
}

// authorize decides and writes the decision into the history.
func (l *Lab) authorize(r *http.Request, req tokenRequest, now time.Time) (*grantedToken, *refusal) {
	event := Event{Surface: surfaceToken, Method: r.Method, Path: r.URL.Path, Status: http.StatusOK, Outcome: outcomeAccepted}
	l.mu.RLock()
	defer l.mu.RUnlock()
	token, refused := l.decide(req, now, &event)
	if refused != nil {
		event.Outcome, event.Code, event.Status = outcomeRefused, refused.code, refused.status
	}
	l.history.add(now, event)
	return token, refused
}

// readTokenRequest reads the form and the Basic header. What is not a form in
// a POST body reads as an empty form, which is what the real service says of
// JSON bodies and of parameters in the query (seen).
func readTokenRequest(r *http.Request, segment string, endpoint version) tokenRequest {
	req := tokenRequest{segment: segment, endpoint: endpoint, method: r.Method, form: map[string]string{}}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return req
	}
	if len(body) > maxBody {
		req.tooLarge = true
		return req
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return req
	}
	req.form = parseForm(string(body))
	id, secret, ok := basicCredentials(r.Header.Get("Authorization"))
	if ok {
		// What the service does when both are sent is not known; the body wins.
		for name, value := range map[string]string{"client_id": id, "client_secret": secret} {
			if req.form[name] == "" {
				req.form[name] = value
			}
		}
	}
	return req
}

// parseForm decodes as the real service's framework does: it never fails, and
// an escape that is none stays as it is. The first of a repeated field counts.
func parseForm(body string) map[string]string {
	form := map[string]string{}
	for pair := range strings.SplitSeq(body, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name = formDecode(name)
		if _, repeated := form[name]; name != "" && !repeated {
			form[name] = formDecode(value)
		}
	}
	return form
}

func formDecode(s string) string {
	if !strings.ContainsAny(s, "+%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b = append(b, ' ')
		case s[i] == '%' && i+2 < len(s):
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				b = append(b, '%')
				continue
			}
			b = append(b, byte(n))
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

// basicCredentials reads the header of RFC 6749 2.3.1, where both halves are
// form-encoded before they are joined.
func basicCredentials(header string) (id, secret string, ok bool) {
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false
	}
	id, secret, ok = strings.Cut(string(plain), ":")
	return formDecode(id), formDecode(secret), ok
}

// decide walks the checks in the order that the answers of the real service
// imply: tenant, verb, form, grant, app, credential, state of the service
// principal, scope. It fills in what the history says of the request. Call
// with l.mu held.
func (l *Lab) decide(req tokenRequest, now time.Time, event *Event) (*grantedToken, *refusal) {
	var t *tenant
	if !shared(req.segment) {
		var refused *refusal
		if t, refused = l.resolveTenant(req.segment); refused != nil {
			return nil, refused
		}
	}
	if refused := req.checkForm(); refused != nil {
		return nil, refused
	}
	if t == nil {
		return nil, errNoTenant.with()
	}
	clientID := req.form["client_id"]
	if clientID == "" {
		return nil, errMissing.with("name", "client_id")
	}
	id, ok := parseGUID(clientID)
	if ok { // what is no id may be a secret in the wrong field: keep it out of the history
		event.AppID = id.String()
	}
	a := t.appWithClientID(id)
	if a == nil {
		return nil, errAppUnknown.with("appId", clientID, "tenantName", t.displayName)
	}
	event.ObjectID = a.id.String()
	if a.principal == nil {
		return nil, errNoPrincipal.with("appId", clientID, "tenantId", t.id.String())
	}
	if refused := l.authenticate(a, req.form["client_secret"], now, event); refused != nil {
		return nil, refused
	}
	if a.disabled || !a.principal.enabled {
		return nil, errAppDisabled.with("appId", clientID, "appName", a.displayName)
	}
	target, refused := l.target(t, req)
	if refused != nil {
		return nil, refused
	}
	token := &grantedToken{
		tenant: t.id, clientID: a.clientID, displayName: a.displayName, principal: a.principal.id, resource: target,
	}
	if target.graph {
		token.roles = a.principal.roleNames()
	}
	return token, nil
}

func (req tokenRequest) checkForm() *refusal {
	if req.method != http.MethodPost {
		return errVerb.with("accepted", http.MethodPost, "method", req.method)
	}
	if req.tooLarge {
		return errTooLarge.with()
	}
	switch grantType := req.form["grant_type"]; grantType {
	case "": // an empty value counts as missing (recalled)
		return errMissing.with("name", "grant_type")
	case "client_credentials":
		return nil
	default:
		return errGrantType.with("grantType", grantType)
	}
}

func (l *Lab) authenticate(a *application, value string, now time.Time, event *Event) *refusal {
	if value == "" {
		return errSecretMissing.with()
	}
	c, verdict := a.check(value, now, l.random.fraction())
	if c != nil {
		event.KeyID = c.keyID.String()
	}
	switch verdict {
	case valueAccepted:
		return nil
	case valueExpired:
		return errSecretExpired.with("appId", a.clientID.String())
	}
	return errSecretUnknown.with("appId", a.clientID.String())
}

// target finds the resource asked for: one "<resource>/.default" in scope, or
// the resource itself in the older endpoint's parameter. Call with l.mu held.
func (l *Lab) target(t *tenant, req tokenRequest) (resource, *refusal) {
	asked := req.form["resource"]
	if req.endpoint == v1 {
		if asked == "" {
			return resource{}, errMissing.with("name", "resource")
		}
	} else {
		var refused *refusal
		if asked, refused = resourceOfScope(req.form["scope"]); refused != nil {
			return resource{}, refused
		}
	}
	if found, ok := l.findResource(t, asked); ok {
		return found, nil
	}
	return resource{}, errResource.with("resource", asked, "tenantName", t.displayName)
}

// resourceOfScope takes the resource from a scope parameter. MSAL Go adds
// three OpenID scopes to every request (seen); they ask for nothing here.
func resourceOfScope(scope string) (string, *refusal) {
	if scope == "" {
		return "", errMissing.with("name", "scope")
	}
	var resources []string
	for _, s := range strings.Fields(scope) {
		if s == "openid" || s == "offline_access" || s == "profile" {
			continue
		}
		name, isDefault := strings.CutSuffix(s, "/.default")
		switch {
		case s == ".default" || isDefault && name == "":
			return "", errScopeMalformed.with("scope", scope)
		case !isDefault:
			return "", errScopeNamed.with("scope", scope)
		case !slices.Contains(resources, name):
			resources = append(resources, name)
		}
	}
	switch len(resources) {
	case 0:
		return "", errScopeNamed.with("scope", scope)
	case 1:
		return resources[0], nil
	}
	return "", errManyResources.with("scope", scope)
}

// tokenBody signs the token and wraps it as the endpoint does.
func (l *Lab) tokenBody(g *grantedToken, endpoint version, now time.Time) []byte {
	token := l.sign(g, now)
	seconds := int(tokenLifetime / time.Second)
	if endpoint == v2 {
		return encodeJSON(struct {
			TokenType    string `json:"token_type"`
			ExpiresIn    int    `json:"expires_in"`
			ExtExpiresIn int    `json:"ext_expires_in"`
			AccessToken  string `json:"access_token"`
		}{"Bearer", seconds, seconds, token})
	}
	return encodeJSON(struct {
		TokenType    string `json:"token_type"`
		ExpiresIn    int    `json:"expires_in,string"`
		ExtExpiresIn int    `json:"ext_expires_in,string"`
		ExpiresOn    int64  `json:"expires_on,string"`
		NotBefore    int64  `json:"not_before,string"`
		Resource     string `json:"resource"`
		AccessToken  string `json:"access_token"`
	}{"Bearer", seconds, seconds, now.Add(tokenLifetime).Unix(), now.Unix(), g.resource.asked, token})
}

// jsonString appends s as JSON.
func jsonString(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string always encodes
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
