package entralab

import (
	"slices"
	"strings"
)

// assignment is a grant as Graph shows it.
func (t *tenant) assignment(p *servicePrincipal, g grant) object {
	return assignmentObject(g.id, g.role.id, g.created, p, t.principalWithClientID(g.role.api()))
}

// listAssignments answers with the app roles that a service principal holds.
// They are few: there are no pages.
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
	values = append(values, p.apiAssignments()...)
	return object{c.context("appRoleAssignments"), {"value", values}}, nil
}

// assignmentBody is an assignment as sent.
type assignmentBody struct {
	Type        string `json:"@odata.type"`
	PrincipalID string
	ResourceID  string
	AppRoleID   string
}

func (c *graphCall) readAssignment() (body assignmentBody, refused *graphError) {
	refused = c.read(&body)
	return body, refused
}

// addAssignment grants an app role of Microsoft Graph, of Exchange or of an
// API of the tenant. The next token holds it.
func (c *graphCall) addAssignment() (any, *graphError) {
	p, refused := c.principal()
	if refused != nil {
		return nil, refused
	}
	body, refused := c.readAssignment()
	if refused != nil {
		return nil, refused
	}
	if !strings.EqualFold(body.PrincipalID, p.id.String()) { // recalled
		return nil, badRequest("Request_BadRequest", "Invalid value specified for property 'principalId' of resource 'AppRoleAssignment'.")
	}
	id, _ := parseGUID(body.ResourceID)
	resource := c.tenant.principal(id)
	if resource == nil {
		return nil, notFound(body.ResourceID)
	}
	return c.assign(p, resource, body.AppRoleID)
}

func (c *graphCall) assign(p, resource *servicePrincipal, role string) (any, *graphError) {
	roleID, ok := parseGUID(role)
	if resource.app != nil && ok {
		return c.addAPIAssignment(p, resource, roleID)
	}
	roles := rolesOf(resource.clientID)
	i := slices.IndexFunc(roles, func(r appRole) bool { return r.id == roleID })
	if i < 0 { // text recalled
		return nil, badRequest("Request_BadRequest", "Permission being assigned was not found on application '"+resource.clientID.String()+"'.")
	}
	if !c.lab.grantRole(p, c.actor(), c.now, &roles[i]) { // text recalled
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
	if !c.revokeAssignment(p, id) && !c.removeAPIAssignment(p, id) {
		return nil, notFound(c.keys[1])
	}
	return nil, nil
}

// revokeAssignment takes a role of Microsoft Graph away. It reports whether p
// had it.
func (c *graphCall) revokeAssignment(p *servicePrincipal, id guid) bool {
	i := slices.IndexFunc(p.grants, func(g grant) bool { return g.id == id })
	if i < 0 {
		return false
	}
	c.lab.revokeRole(p, c.actor(), c.now, p.grants[i].role)
	c.wrote("revoke", "")
	return true
}
