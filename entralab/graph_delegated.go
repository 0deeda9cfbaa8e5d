package entralab

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
)

// grantRoutes are delegated permissions as the directory stores them.
var grantRoutes = []graphRoute{
	{"POST", "oauth2PermissionGrants", writesGrants, 201, (*graphCall).addPermissionGrant},
	{"GET", "oauth2PermissionGrants/{}", readsGrants, 200, (*graphCall).getPermissionGrant},
	{"PATCH", "oauth2PermissionGrants/{}", writesGrants, 204, (*graphCall).patchPermissionGrant},
	{"DELETE", "oauth2PermissionGrants/{}", writesGrants, 204, (*graphCall).removePermissionGrant},
	{"GET", "servicePrincipals/{}/oauth2PermissionGrants", readsGrants, 200, (*graphCall).listGrantsOfPrincipal},
}

var (
	readsGrants  = []string{roleDirectoryRead, roleGrantsWrite}
	writesGrants = []string{roleGrantsWrite}
)

// permissionGrant is a delegated permission: client may use resource in the
// name of everybody, or of one user. Signing in asks for none: the lab's users
// consent to everything.
type permissionGrant struct {
	ordinal          int
	id               string
	client, resource *servicePrincipal
	user             *user // nil for all
	scope            string
	gone             bool
}

func (g *permissionGrant) ord() int   { return g.ordinal }
func (g *permissionGrant) live() bool { return !g.gone && g.client.live() && g.resource.live() }

func (g *permissionGrant) consentType() string {
	if g.user == nil {
		return "AllPrincipals"
	}
	return "Principal"
}

func (g *permissionGrant) principalID() any {
	if g.user == nil {
		return nil
	}
	return g.user.id.String()
}

var permissionGrants = &collection[*permissionGrant]{
	name: "oauth2PermissionGrants",
	kind: "OAuth2PermissionGrant",
	properties: sync.OnceValue(func() []property[*permissionGrant] {
		return []property[*permissionGrant]{
			{name: "clientId", get: func(g *permissionGrant) any { return g.client.id.String() }},
			{name: "consentType", get: func(g *permissionGrant) any { return g.consentType() }},
			{name: "id", get: func(g *permissionGrant) any { return g.id }},
			{name: "principalId", get: func(g *permissionGrant) any { return g.principalID() }},
			{name: "resourceId", get: func(g *permissionGrant) any { return g.resource.id.String() }},
			{name: "scope", get: func(g *permissionGrant) any { return g.scope }},
		}
	}),
	filters: []filter[*permissionGrant]{
		{name: "clientId", text: func(g *permissionGrant) []string { return []string{g.client.id.String()} }},
		{name: "consentType", text: func(g *permissionGrant) []string { return []string{g.consentType()} }},
		{name: "principalId", text: func(g *permissionGrant) []string {
			if g.user == nil {
				return nil
			}
			return []string{g.user.id.String()}
		}},
		{name: "resourceId", text: func(g *permissionGrant) []string { return []string{g.resource.id.String()} }},
	},
	pageSize: 100,
	maxTop:   999,
}

func (c *graphCall) listPermissionGrants() (any, *graphError) {
	q, refused := parseList(c, permissionGrants)
	if refused != nil {
		return nil, refused
	}
	return page(c, permissionGrants, q, c.tenant.permissionGrants), nil
}

func (c *graphCall) listGrantsOfPrincipal() (any, *graphError) {
	p, refused := c.principal()
	if refused != nil {
		return nil, refused
	}
	q, refused := parseList(c, permissionGrants)
	if refused != nil {
		return nil, refused
	}
	q.listed = func(g *permissionGrant) bool { return g.live() && g.client == p }
	return page(c, permissionGrants, q, c.tenant.permissionGrants), nil
}

// permissionGrant finds the grant a path names.
func (c *graphCall) permissionGrant() (*permissionGrant, *graphError) {
	for _, g := range c.tenant.permissionGrants {
		if g.id == c.keys[0] && g.live() {
			return g, nil
		}
	}
	return nil, notFound(c.keys[0])
}

func (c *graphCall) getPermissionGrant() (any, *graphError) {
	g, refused := c.permissionGrant()
	if refused != nil {
		return nil, refused
	}
	return single(c, permissionGrants, g)
}

// addPermissionGrant makes a grant. Client and resource are service principals.
func (c *graphCall) addPermissionGrant() (any, *graphError) {
	var body struct {
		ClientID    string  `json:"clientId"`
		ConsentType string  `json:"consentType"`
		PrincipalID *string `json:"principalId"`
		ResourceID  string  `json:"resourceId"`
		Scope       string  `json:"scope"`
		StartTime   any     `json:"startTime"` // ignored (Microsoft documentation)
		ExpiryTime  any     `json:"expiryTime"`
	}
	if refused := c.read(&body); refused != nil {
		return nil, refused
	}
	g := &permissionGrant{ordinal: len(c.tenant.permissionGrants), scope: strings.Join(strings.Fields(body.Scope), " ")}
	for _, part := range []struct {
		id   string
		into **servicePrincipal
	}{{body.ClientID, &g.client}, {body.ResourceID, &g.resource}} {
		id, _ := parseGUID(part.id)
		if *part.into = c.tenant.principal(id); *part.into == nil {
			return nil, notFound(part.id)
		}
	}
	switch {
	case body.ConsentType == "AllPrincipals" && body.PrincipalID == nil:
	case body.ConsentType == "Principal" && body.PrincipalID != nil:
		id, _ := parseGUID(*body.PrincipalID)
		if g.user = c.tenant.userWithID(id); g.user == nil {
			return nil, notFound(*body.PrincipalID)
		}
	default: // recalled
		return nil, badRequest("Request_BadRequest", "Invalid value specified for property 'consentType' of resource 'OAuth2PermissionGrant'.")
	}
	if slices.ContainsFunc(c.tenant.permissionGrants, func(other *permissionGrant) bool {
		return other.live() && other.client == g.client && other.resource == g.resource && other.user == g.user
	}) { // text recalled
		return nil, badRequest("Request_BadRequest", "Permission entry already exists.")
	}
	whole := append(append([]byte{}, g.client.id[:]...), g.resource.id[:]...)
	if g.user != nil {
		whole = append(whole, g.user.id[:]...)
	}
	sum := sha256.Sum256(whole)
	g.id = base64.RawURLEncoding.EncodeToString(sum[:])
	c.tenant.permissionGrants = append(c.tenant.permissionGrants, g)
	c.wrote("grant", "")
	return append(object{c.context("oauth2PermissionGrants/$entity")}, render(permissionGrants, g, nil)...), nil
}

// patchPermissionGrant changes the scope, which is all that can change
// (Microsoft documentation).
func (c *graphCall) patchPermissionGrant() (any, *graphError) {
	g, refused := c.permissionGrant()
	if refused != nil {
		return nil, refused
	}
	var body struct {
		Scope *string `json:"scope"`
	}
	if refused := c.read(&body); refused != nil {
		return nil, refused
	}
	if body.Scope == nil { // recalled
		return nil, badRequest("Request_BadRequest", "A value is required for property 'scope' of resource 'OAuth2PermissionGrant'.")
	}
	g.scope = strings.Join(strings.Fields(*body.Scope), " ")
	c.wrote("grant", "")
	return nil, nil
}

func (c *graphCall) removePermissionGrant() (any, *graphError) {
	g, refused := c.permissionGrant()
	if refused != nil {
		return nil, refused
	}
	g.gone = true
	c.wrote("revoke", "")
	return nil, nil
}
