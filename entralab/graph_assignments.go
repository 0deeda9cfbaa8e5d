package entralab

import (
	"slices"
	"strings"
)

// assignment is a grant as Graph shows it.
func (t *tenant) assignment(p *servicePrincipal, g grant) object {
	return object{
		{"id", g.id.String()},
		{"deletedDateTime", nil},
		{"appRoleId", g.role.id.String()},
		{"createdDateTime", graphTime(g.created)},
		{"principalDisplayName", p.displayName()},
		{"principalId", p.id.String()},
		{"principalType", "ServicePrincipal"},
		{"resourceDisplayName", t.graph.displayName()},
		{"resourceId", t.graph.id.String()},
	}
}

// listAssignments answers with the app roles of Graph that a service principal
// holds. They are few: there are no pages.
func (c *graphCall) listAssignments() (any, *graphError) {
	p, refused := c.principal()
	if refused != nil {
		return nil, refused
	}
	if refused := c.refuseOptions("top"); refused != nil {
		return nil, refused
	}
	values := make([]object, 0, len(p.grants))
	for _, g := range p.grants {
		values = append(values, c.tenant.assignment(p, g))
	}
	return object{c.context("appRoleAssignments"), {"value", values}}, nil
}

// addAssignment grants an app role of Microsoft Graph, the only resource whose
// roles the lab knows. The next token holds it.
func (c *graphCall) addAssignment() (any, *graphError) {
	p, refused := c.principal()
	if refused != nil {
		return nil, refused
	}
	var body struct {
		Type        string `json:"@odata.type"`
		PrincipalID string
		ResourceID  string
		AppRoleID   string
	}
	if refused := c.read(&body); refused != nil {
		return nil, refused
	}
	if !strings.EqualFold(body.PrincipalID, p.id.String()) { // recalled
		return nil, badRequest("Request_BadRequest", "Invalid value specified for property 'principalId' of resource 'AppRoleAssignment'.")
	}
	resource, _ := parseGUID(body.ResourceID)
	if c.tenant.principal(resource) == nil {
		return nil, notFound(body.ResourceID)
	}
	roleID, _ := parseGUID(body.AppRoleID)
	i := slices.IndexFunc(appRoles, func(r appRole) bool { return r.id == roleID })
	if i < 0 || resource != c.tenant.graph.id { // text recalled
		return nil, badRequest("Request_BadRequest", "Permission being assigned was not found on application '"+body.ResourceID+"'.")
	}
	if !c.lab.grantRole(p, c.actor(), c.now, &appRoles[i]) { // text recalled
		return nil, badRequest("Request_BadRequest", "Permission being assigned already exists on the object.")
	}
	c.wrote("grant", "")
	made := c.tenant.assignment(p, p.grants[len(p.grants)-1])
	return append(object{c.context("appRoleAssignments/$entity")}, made...), nil
}

func (c *graphCall) removeAssignment() (any, *graphError) {
	p, refused := c.principal()
	if refused != nil {
		return nil, refused
	}
	id, _ := parseGUID(c.keys[1])
	i := slices.IndexFunc(p.grants, func(g grant) bool { return g.id == id })
	if i < 0 {
		return nil, notFound(c.keys[1])
	}
	c.lab.revokeRole(p, c.actor(), c.now, p.grants[i].role)
	c.wrote("revoke", "")
	return nil, nil
}

// permissionGrant is a delegated permission. The lab signs no users in, so
// that no tenant has any; the list is there for what reads it.
type permissionGrant struct{}

func (*permissionGrant) ord() int   { return 0 }
func (*permissionGrant) live() bool { return true }

func noText(*permissionGrant) []string { return nil }

var permissionGrants = &collection[*permissionGrant]{
	name: "oauth2PermissionGrants",
	kind: "OAuth2PermissionGrant",
	properties: []property[*permissionGrant]{
		{name: "id"}, {name: "clientId"}, {name: "consentType"}, {name: "principalId"}, {name: "resourceId"}, {name: "scope"},
	},
	filters: []filter[*permissionGrant]{
		{name: "clientId", text: noText}, {name: "consentType", text: noText}, {name: "principalId", text: noText}, {name: "resourceId", text: noText},
	},
	pageSize: 100,
	maxTop:   999,
}

func (c *graphCall) listPermissionGrants() (any, *graphError) {
	q, refused := parseList(c, permissionGrants)
	if refused != nil {
		return nil, refused
	}
	return page(c, permissionGrants, q, nil), nil
}
