package entralab

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// apiRole is an app role that an application defines.
type apiRole struct {
	AllowedMemberTypes []string `json:"allowedMemberTypes"`
	Description        *string  `json:"description"`
	DisplayName        *string  `json:"displayName"`
	ID                 string   `json:"id"`
	IsEnabled          bool     `json:"isEnabled"`
	Origin             string   `json:"origin"`
	Value              *string  `json:"value"`
}

// apiGrant is an app role of an application that a service principal holds.
// The role is found by its id, so that a changed value reaches the next token.
type apiGrant struct {
	id, role guid // the role is zero for the default of an API without roles
	resource *servicePrincipal
	created  time.Time
}

const appRolesName = "appRoles"

// apiRoles are the roles that an application defines.
func (a *application) apiRoles() []apiRole {
	kept, ok := a.kept[appRolesName]
	if !ok {
		return nil
	}
	var roles []apiRole
	json.Unmarshal(kept, &roles) // our own JSON
	return roles
}

// appRolesProperty refuses roles without an id, members or value of their own.
func appRolesProperty() property[*application] {
	p := keptByApp(appRolesName, "[]")
	keep := p.set
	p.set = func(a *application, v json.RawMessage) bool {
		var roles []apiRole
		if !decode(v, &roles) {
			return false
		}
		seen := map[string]bool{}
		for i := range roles {
			r := &roles[i]
			id, ok := parseGUID(r.ID)
			r.ID, r.Origin = id.String(), "Application"
			if !ok || id == (guid{}) || seen[r.ID] || len(r.AllowedMemberTypes) == 0 || r.DisplayName == nil || *r.DisplayName == "" {
				return false
			}
			seen[r.ID] = true
			for _, kind := range r.AllowedMemberTypes {
				if kind != "Application" && kind != "User" {
					return false
				}
			}
			if r.Value == nil || *r.Value == "" {
				continue
			}
			if seen["="+*r.Value] || len(*r.Value) > 250 || strings.ContainsAny(*r.Value, " \"\\") || (*r.Value)[0] == '.' { // Microsoft documentation
				return false
			}
			seen["="+*r.Value] = true
		}
		return keep(a, encodeJSON(roles))
	}
	return p
}

// checkRoles refuses to drop a role that is enabled (text recalled; widely
// seen).
func (a *application) checkRoles(draft *application) *graphError {
	after := draft.apiRoles()
	for _, r := range a.apiRoles() {
		if r.IsEnabled && !slices.ContainsFunc(after, func(other apiRole) bool { return other.ID == r.ID }) {
			return badRequest("CannotDeleteOrUpdateEnabledEntitlement", "Permission (scope or role) cannot be deleted or updated unless disabled first.")
		}
	}
	return nil
}

// rolesOfAPI are the values of the roles that p holds for an API. assigned
// reports whether it holds any, with a value or not.
func (p *servicePrincipal) rolesOfAPI(resource *servicePrincipal) (values []string, assigned bool) {
	if resource == nil || resource.app == nil {
		return nil, false
	}
	roles := resource.app.apiRoles()
	for _, g := range p.apiGrants {
		if g.resource != resource {
			continue
		}
		assigned = true
		for _, r := range roles {
			if r.ID == g.role.String() && r.IsEnabled && r.Value != nil && *r.Value != "" {
				values = append(values, *r.Value)
			}
		}
	}
	return values, assigned
}

// grantable reports whether a role may be given to a service principal. An API
// that defines none has one without a name, whose id is zero (Microsoft
// documentation).
func (p *servicePrincipal) grantable(role guid) bool {
	if p.app == nil {
		return false
	}
	roles := p.app.apiRoles()
	if role == (guid{}) {
		return len(roles) == 0
	}
	return slices.ContainsFunc(roles, func(r apiRole) bool {
		return r.ID == role.String() && r.IsEnabled && slices.Contains(r.AllowedMemberTypes, "Application")
	})
}

// roleRoutes are assignments as the API that grants them sees them.
var roleRoutes = []graphRoute{
	{"GET", "servicePrincipals/{}/appRoleAssignedTo", readsApplications, 200, (*graphCall).listAssignedTo},
	{"POST", "servicePrincipals/{}/appRoleAssignedTo", writesAssignments, 201, (*graphCall).addAssignedTo},
	{"DELETE", "servicePrincipals/{}/appRoleAssignedTo/{}", writesAssignments, 204, (*graphCall).removeAssignedTo},
}

// apiAssignment is an apiGrant as Graph shows it.
func (p *servicePrincipal) apiAssignment(g apiGrant) object {
	return assignmentObject(g.id, g.role, g.created, p, g.resource)
}

func assignmentObject(id, role guid, created time.Time, p, resource *servicePrincipal) object {
	return object{
		{"id", id.String()},
		{"deletedDateTime", nil},
		{"appRoleId", role.String()},
		{"createdDateTime", graphTime(created)},
		{"principalDisplayName", p.displayName()},
		{"principalId", p.id.String()},
		{"principalType", "ServicePrincipal"},
		{"resourceDisplayName", resource.displayName()},
		{"resourceId", resource.id.String()},
	}
}

// apiAssignments are those of p to APIs that live.
func (p *servicePrincipal) apiAssignments() []object {
	var shown []object
	for _, g := range p.apiGrants {
		if g.resource.live() {
			shown = append(shown, p.apiAssignment(g))
		}
	}
	return shown
}

// addAPIAssignment gives p a role of an API.
func (c *graphCall) addAPIAssignment(p, resource *servicePrincipal, role guid) (any, *graphError) {
	if !resource.grantable(role) { // text recalled
		return nil, badRequest("Request_BadRequest", "Permission being assigned was not found on application '"+resource.clientID.String()+"'.")
	}
	if slices.ContainsFunc(p.apiGrants, func(g apiGrant) bool { return g.resource == resource && g.role == role }) { // text recalled
		return nil, badRequest("Request_BadRequest", "Permission being assigned already exists on the object.")
	}
	g := apiGrant{id: c.lab.random.guid(), role: role, resource: resource, created: c.now}
	p.apiGrants = append(slices.Clip(p.apiGrants), g)
	c.auditRole(p, g, auditGrant)
	c.wrote("grant", "")
	return append(object{c.context("appRoleAssignments/$entity")}, p.apiAssignment(g)...), nil
}

func (c *graphCall) auditRole(p *servicePrincipal, g apiGrant, what activity) {
	name := ""
	for _, r := range g.resource.app.apiRoles() {
		if r.ID == g.role.String() && r.Value != nil {
			name = *r.Value
		}
	}
	changes := []change{{"AppRole.Value", "", strconv.Quote(name)}, {"ServicePrincipal.ObjectID", "", strconv.Quote(p.id.String())}}
	if what == auditRevoke {
		for i := range changes {
			changes[i].old, changes[i].new = changes[i].new, ""
		}
	}
	c.lab.touch(p) // the audit entry is about the resource
	c.lab.auditPrincipal(g.resource, c.actor(), c.now, what, changes)
}

// removeAPIAssignment takes the role away that an assignment's id names. It
// reports whether p had it.
func (c *graphCall) removeAPIAssignment(p *servicePrincipal, id guid) bool {
	i := slices.IndexFunc(p.apiGrants, func(g apiGrant) bool { return g.id == id })
	if i < 0 {
		return false
	}
	g := p.apiGrants[i]
	p.apiGrants = slices.Delete(slices.Clone(p.apiGrants), i, i+1)
	c.auditRole(p, g, auditRevoke)
	c.wrote("revoke", "")
	return true
}

func (c *graphCall) listAssignedTo() (any, *graphError) {
	resource, refused := c.principal()
	if refused != nil {
		return nil, refused
	}
	if refused := c.refuseOptions("top"); refused != nil {
		return nil, refused
	}
	values := []object{}
	for _, p := range c.tenant.principals {
		if !p.live() {
			continue
		}
		if resource == c.tenant.graph {
			for _, g := range p.grants {
				values = append(values, c.tenant.assignment(p, g))
			}
		}
		for _, g := range p.apiGrants {
			if g.resource == resource {
				values = append(values, p.apiAssignment(g))
			}
		}
	}
	return object{c.context("appRoleAssignments"), {"value", values}}, nil
}

// addAssignedTo is addAssignment from the other end.
func (c *graphCall) addAssignedTo() (any, *graphError) {
	resource, refused := c.principal()
	if refused != nil {
		return nil, refused
	}
	body, refused := c.readAssignment()
	if refused != nil {
		return nil, refused
	}
	if !strings.EqualFold(body.ResourceID, resource.id.String()) { // recalled
		return nil, badRequest("Request_BadRequest", "Invalid value specified for property 'resourceId' of resource 'AppRoleAssignment'.")
	}
	id, _ := parseGUID(body.PrincipalID)
	p := c.tenant.principal(id)
	if p == nil {
		return nil, notFound(body.PrincipalID)
	}
	return c.assign(p, resource, body.AppRoleID)
}

func (c *graphCall) removeAssignedTo() (any, *graphError) {
	resource, refused := c.principal()
	if refused != nil {
		return nil, refused
	}
	id, _ := parseGUID(c.keys[1])
	for _, p := range c.tenant.principals {
		for _, g := range p.apiGrants {
			if g.id == id && g.resource == resource && c.removeAPIAssignment(p, id) {
				return nil, nil
			}
		}
		if resource == c.tenant.graph && c.revokeAssignment(p, id) {
			return nil, nil
		}
	}
	return nil, notFound(c.keys[1])
}
