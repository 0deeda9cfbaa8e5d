package entralab

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxBody bounds every request body, decompressed.
const maxBody = 1 << 20

// tokenLifetime is what clients see in expires_in: the real service draws 60
// to 90 minutes (recalled), and 3599 is its common answer to client
// credentials. [Config.RandomLifetimes] draws as the service does.
const tokenLifetime = 3599 * time.Second

// tokenRequest is what a client sent, with nothing judged yet.
type tokenRequest struct {
	segment  string // the tenant as named in the path
	endpoint version
	method   string
	form     map[string]string
	tooLarge bool

	secondClientID string // of the Basic header, when it differs from the form's
	crossOrigin    bool   // sent by a web page
}

// grantedToken is a token about to be signed.
type grantedToken struct {
	tenant      guid
	clientID    guid
	displayName string
	principal   guid
	roles       []string
	resource    resource
	method      clientAuth
	lifetime    time.Duration
	user        *userGrant // nil for the app itself
}

func (l *Lab) serveToken(w http.ResponseWriter, r *http.Request, segment string, endpoint version) {
	if isPreflight(r) {
		servePreflight(w, r)
		return
	}
	allowPage(w, r)
	req := readTokenRequest(r, segment, endpoint)
	x := l.newExchange(r, req.form)
	token, refused := l.authorize(r, req, x)
	if l.flush() != nil {
		writeStopped(w)
		return
	}
	if refused != nil {
		x.refuse(w, r.Host, refused)
		return
	}
	// Signing is nearly all the work of a request: it needs no lock.
	x.write(w, http.StatusOK, l.tokenBody(token, endpoint, x.now))
}

// authorize decides and writes the decision into the history.
func (l *Lab) authorize(r *http.Request, req tokenRequest, x exchange) (*grantedToken, *refusal) {
	now := x.now
	event := Event{Surface: surfaceToken, Method: r.Method, Path: r.URL.Path, Status: http.StatusOK, Outcome: outcomeAccepted}
	event.signIn = &signInDetail{trace: x.trace, correlation: x.correlation}
	l.mu.RLock()
	defer l.mu.RUnlock()
	token, refused := l.decide(r, req, now, &event)
	if refused != nil {
		event.Outcome, event.Code, event.Status = outcomeRefused, refused.code, refused.status
	} else {
		event.signIn.note(token.resource)
	}
	l.note(r, now, event)
	return token, refused
}

// tokenCall is one request to the token endpoint on its way through the
// checks.
type tokenCall struct {
	lab     *Lab
	request *http.Request
	req     tokenRequest
	now     time.Time
	event   *Event // what the history will say
	tenant  *tenant
	app     *application
}

// grantTypes are those the lab knows, by their name on the wire.
var grantTypes = map[string]func(*tokenCall) (*grantedToken, *refusal){
	grantClientCredentials: (*tokenCall).clientCredentials,
	"authorization_code":   (*tokenCall).authorizationCode,
	"refresh_token":        (*tokenCall).refresh,
	grantOnBehalfOf:        (*tokenCall).onBehalfOf,
	grantDeviceCode:        (*tokenCall).deviceCode,
	grantDeviceCodeV1:      (*tokenCall).deviceCode,
}

const grantClientCredentials = "client_credentials"

// decide walks the checks in the order that the answers of the real service
// imply: tenant, verb, form, grant, app, credential, state of the service
// principal, scope. It fills in what the history says of the request. Call
// with l.mu held.
func (l *Lab) decide(r *http.Request, req tokenRequest, now time.Time, event *Event) (*grantedToken, *refusal) {
	c := &tokenCall{lab: l, request: r, req: req, now: now, event: event}
	if !shared(req.segment) {
		var refused *refusal
		if c.tenant, refused = l.resolveTenant(req.segment); refused != nil {
			return nil, refused
		}
	}
	if refused := req.checkForm(); refused != nil {
		return nil, refused
	}
	grantType := req.form["grant_type"]
	if c.tenant == nil && grantType == grantClientCredentials {
		return nil, errNoTenant.with()
	}
	if refused := c.findApp(); refused != nil {
		return nil, refused
	}
	if req.endpoint == v2 && req.form["resource"] != "" { // when it is told is unverified
		return nil, errResourceParameter.with()
	}
	if refused := c.ruledEarly(); refused != nil {
		return nil, refused
	}
	if refused := c.crossesClouds(); refused != nil {
		return nil, refused
	}
	return grantTypes[grantType](c)
}

func (req tokenRequest) checkPost() *refusal {
	if req.method != http.MethodPost {
		return errVerb.with("accepted", http.MethodPost, "method", req.method)
	}
	if req.tooLarge {
		return errTooLarge.with()
	}
	return nil
}

func (req tokenRequest) checkForm() *refusal {
	if refused := req.checkPost(); refused != nil {
		return refused
	}
	grantType := req.form["grant_type"]
	if grantType == "" { // an empty value counts as missing (recalled)
		return errMissing.with("name", "grant_type")
	}
	if grantTypes[grantType] == nil {
		return errGrantType.with("grantType", grantType)
	}
	return nil
}

// findApp finds the client in the tenant.
func (c *tokenCall) findApp() *refusal {
	clientID := c.req.form["client_id"]
	if clientID == "" {
		return errMissing.with("name", "client_id")
	}
	if c.req.secondClientID != "" {
		return errAmbiguous.with("appId1", clientID, "appId2", c.req.secondClientID)
	}
	id, ok := parseGUID(clientID)
	if ok { // what is no id may be a secret in the wrong field: keep it out of the history
		c.event.AppID = id.String()
	}
	if c.tenant == nil {
		var refused *refusal
		if c.tenant, refused = c.lab.homeOf(id, clientID, c.req.segment); refused != nil {
			return refused
		}
	}
	c.app = c.tenant.appWithClientID(id)
	if c.app == nil {
		return errAppUnknown.with("appId", clientID, "tenantName", c.tenant.displayName)
	}
	c.event.ObjectID = c.app.id.String()
	if c.app.principal == nil {
		return errNoPrincipal.with("appId", clientID, "tenantId", c.tenant.id.String())
	}
	return nil
}

// clientCredentials grants a token to the app itself.
func (c *tokenCall) clientCredentials() (*grantedToken, *refusal) {
	c.event.appOnly = true
	if c.req.crossOrigin {
		return nil, errNotSPA.with()
	}
	method, refused := c.authenticate(errSecretMissing.with())
	if refused != nil {
		c.noteResource()
		return nil, refused
	}
	if refused := c.checkEnabled(); refused != nil {
		c.noteResource()
		return nil, refused
	}
	target, refused := c.lab.target(c.tenant, c.req)
	if refused != nil {
		return nil, refused
	}
	c.event.signIn.note(target)
	token := c.token(method, target)
	token.roles = c.app.principal.rolesFor(target.api)
	values, assigned := c.app.principal.rolesOfAPI(target.principal)
	token.roles = append(token.roles, values...)
	if p := target.principal; p != nil && p.assignmentRequired && p != c.app.principal && len(token.roles) == 0 && !assigned {
		return nil, errNotAssigned.with("appId", c.app.clientID.String(), "appName", c.app.displayName,
			"resourceId", p.clientID.String(), "resourceName", p.displayName())
	}
	if refused := c.ruledOut(target, c.now, false); refused != nil {
		return nil, refused
	}
	return token, nil
}

func (c *tokenCall) token(method clientAuth, target resource) *grantedToken {
	return &grantedToken{
		tenant: c.tenant.id, clientID: c.app.clientID, displayName: c.app.displayName, principal: c.app.principal.id,
		resource: target, method: method, lifetime: c.lifetime(),
	}
}

func (c *tokenCall) checkEnabled() *refusal {
	if c.app.disabled || !c.app.principal.enabled {
		return errAppDisabled.with("appId", c.app.clientID.String(), "appName", c.app.displayName)
	}
	return nil
}

// lifetime is the lab's, or the one of a fault.
func (c *tokenCall) lifetime() time.Duration {
	if f := conditionOf(c.request, "F21"); f != nil {
		f.use()
		return max(f.between(), time.Second)
	}
	return c.lab.drawLifetime()
}

// drawLifetime is 3599 seconds, or what [Config.RandomLifetimes] asks for.
func (l *Lab) drawLifetime() time.Duration {
	if !l.randomLifetimes {
		return tokenLifetime
	}
	return time.Duration(60*60+int(l.random.fraction()*30*60)) * time.Second
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
	return l.usableResource(t, asked)
}

// usableResource finds a resource and checks that tokens may be issued for it.
// Call with l.mu held.
func (l *Lab) usableResource(t *tenant, asked string) (resource, *refusal) {
	found, ok := l.findResource(t, asked)
	if !ok {
		return resource{}, errResource.with("resource", asked, "tenantName", t.displayName)
	}
	if p := found.principal; p != nil && (!p.enabled || p.app != nil && p.app.disabled) {
		return resource{}, errResourceDisabled.with("resource", asked)
	}
	return found, nil
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
	if g.user != nil {
		return l.userTokenBody(g, endpoint, now)
	}
	token := l.sign(g, now)
	seconds := int(g.lifetime / time.Second)
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
	}{"Bearer", seconds, seconds, now.Add(g.lifetime).Unix(), now.Unix(), g.resource.asked, token})
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
