package entralab

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

const grantOnBehalfOf = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// onBehalfOf trades the token a user's client sent to an API for one to the
// next API. The order of the checks is unverified, and consent is taken as
// given.
func (c *tokenCall) onBehalfOf() (*grantedToken, *refusal) {
	if c.req.crossOrigin {
		return nil, errNotSPA.with()
	}
	for _, name := range []string{"assertion", "requested_token_use"} {
		if c.req.form[name] == "" {
			return nil, errMissing.with("name", name)
		}
	}
	if c.req.form["requested_token_use"] != "on_behalf_of" {
		return nil, errBadRequest.with()
	}
	method, refused := c.authenticate(errCredentialFor.with("grantType", grantOnBehalfOf))
	if refused != nil {
		return nil, refused
	}
	if refused := c.checkEnabled(); refused != nil {
		return nil, refused
	}
	d := delegation{tenant: c.tenant.id, clientID: c.app.clientID, platform: platformWeb, signedIn: c.now}
	if d.user, refused = c.userOf(c.req.form["assertion"]); refused != nil {
		return nil, refused
	}
	if c.req.endpoint == v1 {
		d.target, d.scopes = c.req.form["resource"], []string{".default"}
	} else if d.target, d.scopes, d.openID, refused = splitScopes(c.req.form["scope"]); refused != nil {
		return nil, refused
	}
	return c.delegated(method, d)
}

// userOf reads the user from an access token that was issued for this app.
func (c *tokenCall) userOf(text string) (guid, *refusal) {
	a, ok := parseAssertion(text)
	if !ok {
		return guid{}, errUserJWT.with()
	}
	key := c.lab.key
	<-key.done
	if a.header.KeyID != key.thumbprint || !a.signedBy(&key.private.PublicKey) {
		return guid{}, errUserSignature.with()
	}
	var claims struct {
		User   string `json:"oid"`
		Scopes string `json:"scp"`
		V1App  string `json:"appid"`
		V2App  string `json:"azp"`
	}
	raw, _ := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1]) // parsed just now
	if json.Unmarshal(raw, &claims) != nil {
		return guid{}, errUserJWT.with()
	}
	appID := c.app.clientID.String()
	names := append([]string{appID, "api://" + appID}, c.app.identifierURIs...)
	const layout = "2006-01-02T15:04:05.0000000Z"
	expires := a.claims.Expires.at()
	switch {
	case claims.V1App == "" && claims.V2App == "":
		return guid{}, errAssertionIDToken.with()
	case claims.Scopes == "":
		return guid{}, errAssertionAppOnly.with("appId", appID)
	case !slices.ContainsFunc(a.claims.Audience, func(s string) bool { return slices.Contains(names, s) }):
		return guid{}, errUserAudience.with("aud", a.claims.Audience.String(), "expected", appID)
	case !c.now.Before(expires) || c.now.Add(time.Second).Before(a.claims.NotBefore.at()):
		return guid{}, errUserTime.with("curTime", c.now.Format(layout), "expTime", expires.Format(layout))
	}
	id, _ := parseGUID(claims.User)
	return id, nil
}
