package entralab

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"
)

// userGrant is what a token for a user has beyond an app's own.
type userGrant struct {
	delegation
	name, userName string
	info           bool   // client_info=1: MSAL's account id
	refresh        string // "" for none
}

// authenticateOn checks the client's credential as the platform of the redirect
// URI wants it.
func (c *tokenCall) authenticateOn(p platform) (clientAuth, *refusal) {
	switch {
	case p == platformSPA && !c.req.crossOrigin:
		return "", errOnlySPA.with()
	case p != platformSPA && c.req.crossOrigin:
		return "", errNotSPA.with()
	case p == platformWeb:
		return c.authenticate(errCredentialMissing.with())
	case c.req.form["client_secret"] != "" || c.req.form["client_assertion"] != "":
		return "", errPublicClient.with()
	}
	return authPublic, nil
}

// authorizationCode redeems a code. The order of the checks is unverified.
func (c *tokenCall) authorizationCode() (*grantedToken, *refusal) {
	text := c.req.form["code"]
	if text == "" {
		return nil, errMissing.with("name", "code")
	}
	var method clientAuth
	code, refused := c.lab.delegations.redeem(text, func(code authCode) (refused *refusal) {
		switch {
		case code.clientID != c.app.clientID:
			return errGrantInvalid.with()
		case c.req.form["redirect_uri"] == "":
			return errMissing.with("name", "redirect_uri")
		case c.req.form["redirect_uri"] != code.redirectURI:
			return errRedirectDiffers.with("a", c.req.form["redirect_uri"], "b", code.redirectURI)
		}
		if method, refused = c.authenticateOn(code.platform); refused != nil {
			return refused
		}
		switch {
		case code.redeemed:
			return errCodeRedeemed.with()
		case c.now.Sub(code.signedIn) >= codeLifetime:
			return errCodeExpired.with()
		}
		if refused := code.checkVerifier(c.req.form["code_verifier"]); refused != nil {
			return refused
		}
		return c.checkEnabled()
	})
	if refused != nil {
		return nil, refused
	}
	d := code.delegation
	if refused := c.rescope(&d); refused != nil {
		return nil, refused
	}
	return c.delegated(method, d)
}

// rescope takes the scopes of the token request. MSAL Go asks for the OpenID
// scopes only here, not in the browser (seen on the wire).
func (c *tokenCall) rescope(d *delegation) *refusal {
	scope := c.req.form["scope"]
	if scope == "" || c.req.endpoint == v1 {
		return nil
	}
	target, names, openID, refused := splitScopes(scope)
	if refused != nil {
		return refused
	}
	if len(names) > 0 {
		d.target, d.scopes = target, names
	}
	d.openID = slices.Clone(d.openID)
	for _, s := range openID {
		if !slices.Contains(d.openID, s) {
			d.openID = append(d.openID, s)
		}
	}
	return nil
}

// checkVerifier is PKCE (RFC 7636). A verifier without a challenge is passed
// over (unverified).
func (code authCode) checkVerifier(verifier string) *refusal {
	if code.challenge == "" {
		if code.platform == platformSPA {
			return errNoPKCE.with()
		}
		return nil
	}
	if verifier == "" {
		return errMissing.with("name", "code_verifier")
	}
	if code.method == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		verifier = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if subtle.ConstantTimeCompare([]byte(verifier), []byte(code.challenge)) != 1 {
		return errVerifier.with()
	}
	return nil
}

// refresh trades a refresh token for new tokens. The old one stays good, as at
// the real service (Microsoft documentation).
func (c *tokenCall) refresh() (*grantedToken, *refusal) {
	text := c.req.form["refresh_token"]
	if text == "" {
		return nil, errMissing.with("name", "refresh_token")
	}
	r, ok := c.lab.delegations.refreshToken(text)
	switch {
	case !ok:
		return nil, errGrantDamaged.with()
	case r.clientID != c.app.clientID || r.tenant != c.tenant.id:
		return nil, errGrantInvalid.with()
	}
	method, refused := c.authenticateOn(r.platform)
	if refused != nil {
		return nil, refused
	}
	if refused := c.checkEnabled(); refused != nil {
		return nil, refused
	}
	issued := r.issued.Format("2006-01-02T15:04:05.0000000Z")
	switch {
	case r.platform == platformSPA && c.now.Sub(r.signedIn) >= refreshLifetimeSPA:
		return nil, errRefreshSPA.with("issueDate", issued, "time", "1.00:00:00")
	case c.now.Sub(r.issued) >= refreshLifetime:
		return nil, errRefreshInactive.with("issueDate", issued, "time", "90.00:00:00")
	}
	d := r.delegation
	d.nonce = ""
	if refused := c.rescope(&d); refused != nil {
		return nil, refused
	}
	if resource := c.req.form["resource"]; resource != "" && c.req.endpoint == v1 {
		d.target = resource
	}
	return c.delegated(method, d)
}

// delegated makes the token of a delegation that stands.
func (c *tokenCall) delegated(method clientAuth, d delegation) (*grantedToken, *refusal) {
	u := c.tenant.userWithID(d.user)
	if u == nil {
		return nil, errUserUnknown.with("user", d.user.String(), "tenant", c.tenant.displayName)
	}
	if refused := c.lab.checkScopes(c.tenant, c.app, d.target, d.scopes); refused != nil {
		return nil, refused
	}
	target, refused := c.lab.usableResource(c.tenant, d.target)
	if refused != nil {
		return nil, refused
	}
	if refused := c.ruledOut(target, d.signedIn, true); refused != nil {
		return nil, refused
	}
	if p := target.principal; p != nil && p.app != nil {
		target.scopes = p.app.exposedScopes() // copied: signing holds no lock
	}
	token := c.token(method, target)
	token.user = &userGrant{delegation: d, name: u.displayName, userName: u.name, info: c.req.form["client_info"] == "1"}
	if slices.Contains(d.openID, "offline_access") || c.req.endpoint == v1 {
		token.user.refresh = c.lab.delegations.addRefresh(refreshToken{d, c.now})
	}
	return token, nil
}

// granted are the names in scp. What .default stands for depends on consents,
// which the lab does not keep: Graph's least permission, or all that an API of
// the tenant exposes.
func (g *grantedToken) granted() []string {
	var names []string
	for _, name := range g.user.scopes {
		name = bareScope(name)
		if name == ".default" {
			name = "user_impersonation"
			if g.resource.graph {
				name = "User.Read"
			} else if g.resource.principal != nil {
				names = append(names, g.resource.scopes...)
				continue
			}
		}
		names = append(names, name)
	}
	if g.resource.graph { // as Graph's tokens show them (recalled)
		for _, s := range g.user.openID {
			if s != "offline_access" {
				names = append(names, s)
			}
		}
	}
	return names
}

// answered are the scopes in the answer, written as they were asked: MSAL Go
// takes another form for a refusal (seen).
func (g *grantedToken) answered() []string {
	var names []string
	for _, s := range g.user.openID {
		if s != "offline_access" {
			names = append(names, s)
		}
	}
	return append(names, g.user.scopes...)
}

// pairwise is the sub of a user: another one at every app that reads it.
func pairwise(tenant, reader, user guid) string {
	sum := sha256.Sum256(slices.Concat([]byte("sub"), tenant[:], reader[:], user[:]))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// userClaims are those of an access token for a user.
func (l *Lab) userClaims(g *grantedToken, now time.Time) []byte {
	u, client := g.user, g.clientID.String()
	c := l.commonClaims(g.resource.version, g.resource.audience, g.tenant, now, g.lifetime)
	reader := graphAppID
	if p := g.resource.principal; p != nil {
		reader = p.clientID
	}
	if g.resource.graph {
		c.text("app_displayname", g.displayName)
	}
	c.text("name", u.name)
	if g.resource.version == v1 {
		c.text("appid", client)
		c.text("appidacr", string(g.method))
		c.text("idtyp", "user")
		c.text("unique_name", u.userName)
		c.text("upn", u.userName)
	} else {
		c.text("azp", client)
		c.text("azpacr", string(g.method))
		c.text("preferred_username", u.userName)
	}
	c.text("oid", u.user.String())
	c.text("scp", strings.Join(g.granted(), " "))
	c.text("sub", pairwise(u.tenant, reader, u.user))
	return append(c, '}')
}

// idToken is always of the endpoint's version.
func (l *Lab) idToken(g *grantedToken, endpoint version, now time.Time) string {
	u := g.user
	c := l.commonClaims(endpoint, g.clientID.String(), g.tenant, now, time.Hour)
	profile := slices.Contains(u.openID, "profile") || endpoint == v1
	if slices.Contains(u.openID, "email") {
		c.text("email", u.userName)
	}
	if profile {
		c.text("name", u.name)
		c.text("oid", u.user.String())
	}
	if u.nonce != "" {
		c.text("nonce", u.nonce)
	}
	if profile && endpoint == v2 {
		c.text("preferred_username", u.userName)
	}
	if endpoint == v1 {
		c.text("unique_name", u.userName)
		c.text("upn", u.userName)
	}
	c.text("sub", pairwise(u.tenant, g.clientID, u.user))
	return l.key.jwt(l.key.header[v1], append(c, '}'))
}

// commonClaims are those of every token for a user.
func (l *Lab) commonClaims(v version, audience string, in guid, now time.Time, lifetime time.Duration) claimSet {
	tenant := in.String()
	c := make(claimSet, 0, 1024)
	c.text("aud", audience)
	c.text("iss", l.issuer(v, tenant))
	c.number("iat", now.Unix())
	c.number("nbf", now.Unix())
	c.number("exp", now.Add(lifetime).Unix())
	c.text("aio", l.random.text(30))
	c.text("rh", "1."+l.random.text(24)+".")
	c.text("tid", tenant)
	c.text("uti", l.random.text(16))
	c.text("ver", strconv.Itoa(int(v))+".0")
	c.name("xms_lab")
	return append(c, "true"...)
}

// userTokenBody wraps the tokens of a user as the endpoint does.
func (l *Lab) userTokenBody(g *grantedToken, endpoint version, now time.Time) []byte {
	u, seconds := g.user, int(g.lifetime/time.Second)
	body := object{{"token_type", "Bearer"}, {"scope", strings.Join(g.answered(), " ")}}
	if endpoint == v2 {
		body = append(body, member{"expires_in", seconds}, member{"ext_expires_in", seconds})
	} else {
		text := strconv.Itoa(seconds)
		body = append(body, member{"expires_in", text}, member{"ext_expires_in", text},
			member{"expires_on", strconv.FormatInt(now.Add(g.lifetime).Unix(), 10)},
			member{"not_before", strconv.FormatInt(now.Unix(), 10)}, member{"resource", g.resource.asked})
	}
	body = append(body, member{"access_token", l.sign(g, now)})
	if u.refresh != "" {
		body = append(body, member{"refresh_token", u.refresh})
	}
	if slices.Contains(u.openID, "openid") || endpoint == v1 {
		body = append(body, member{"id_token", l.idToken(g, endpoint, now)})
	}
	if u.info {
		info := `{"uid":"` + u.user.String() + `","utid":"` + u.tenant.String() + `"}`
		body = append(body, member{"client_info", string(base64url(info))})
	}
	return encodeJSON(body)
}
