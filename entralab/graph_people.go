package entralab

import "sync"

import "strings"

// peopleRoutes are single users and the organization.
var peopleRoutes = []graphRoute{
	{"GET", "users/{}", readsUsers, 200, (*graphCall).getUser},
	{"GET", "organization/{}", readsOrganization, 200, (*graphCall).getOrganization},
}

// getUser finds a user by id or user name.
func (c *graphCall) getUser() (any, *graphError) {
	key := c.keys[0]
	id, isID := parseGUID(key)
	for _, u := range c.tenant.users {
		if isID && u.id == id || strings.EqualFold(u.name, key) {
			return single(c, users, u)
		}
	}
	return nil, notFound(key)
}

// organization is a tenant as an object of Graph: the only one of its list.
type organization struct{ *tenant }

func (organization) ord() int   { return 0 }
func (organization) live() bool { return true }

var organizations = &collection[organization]{
	name: "organization",
	kind: "Organization",
	properties: sync.OnceValue(func() []property[organization] {
		return []property[organization]{
			{name: "id", get: func(o organization) any { return o.id.String() }},
			{name: "displayName", get: func(o organization) any { return o.displayName }},
			{name: "verifiedDomains", get: func(o organization) any {
				return []object{{
					{"capabilities", "Email, OfficeCommunicationsOnline"}, {"isDefault", true}, {"isInitial", true},
					{"name", o.domain}, {"type", "Managed"},
				}}
			}},
		}
	}),
}

func (c *graphCall) listOrganization() (any, *graphError) {
	if refused := c.refuseOptions("select"); refused != nil {
		return nil, refused
	}
	selected, refused := parseSelect(c, organizations)
	if refused != nil {
		return nil, refused
	}
	of := "organization"
	if selected != nil {
		of += "(" + strings.Join(selected, ",") + ")"
	}
	return object{c.context(of), {"value", []object{render(organizations, organization{c.tenant}, selected)}}}, nil
}

func (c *graphCall) getOrganization() (any, *graphError) {
	if id, _ := parseGUID(c.keys[0]); id != c.tenant.id {
		return nil, notFound(c.keys[0])
	}
	return single(c, organizations, organization{c.tenant})
}
