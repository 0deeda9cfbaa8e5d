package entralab

import (
	"encoding/json"
	"maps"
	"slices"
)

// defaultPolicy is the tenant's, whose id is all zeros (Microsoft
// documentation).
func (t *tenant) defaultPolicy() *managementPolicy {
	if t.policy == nil {
		return newPolicy()
	}
	return t.policy
}

// read assigns the members of a body. The default policy has other names for
// the parts than the policies of applications.
func (p *managementPolicy) read(c *graphCall, isDefault bool) *graphError {
	var fields map[string]json.RawMessage
	if refused := c.read(&fields); refused != nil {
		return refused
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		ok, v := false, fields[name]
		switch {
		case name == "@odata.type" || name == "@odata.context":
			ok = true
		case name == "isEnabled":
			ok = decode(v, &p.enabled)
		case name == "displayName":
			ok = decode(v, &p.displayName) && len(p.displayName) <= maxName
		case name == "description":
			ok = decode(v, &p.description)
		case name == "restrictions" && !isDefault:
			ok = p.application.parse(v)
		case name == "applicationRestrictions" && isDefault:
			ok = p.application.parse(v)
		case name == "servicePrincipalRestrictions" && isDefault:
			ok = p.principal.parse(v)
		default: // recalled
			return badRequest("Request_BadRequest", "Invalid property '"+name+"'.")
		}
		if !ok { // recalled
			return badRequest("Request_BadRequest", "Invalid value specified for property '"+name+"' of resource 'AppManagementPolicy'.")
		}
	}
	return nil
}

func (p *managementPolicy) shown(isDefault bool) object {
	o := object{{"id", p.id.String()}, {"displayName", p.displayName}, {"description", p.description}, {"isEnabled", p.enabled}}
	if isDefault {
		return append(o, member{"applicationRestrictions", p.application.sent}, member{"servicePrincipalRestrictions", p.principal.sent})
	}
	return append(o, member{"restrictions", p.application.sent})
}

func (c *graphCall) getDefaultPolicy() (any, *graphError) {
	return append(object{c.context("policies/defaultAppManagementPolicy/$entity")}, c.tenant.defaultPolicy().shown(true)...), nil
}

func (c *graphCall) patchDefaultPolicy() (any, *graphError) {
	draft := *c.tenant.defaultPolicy()
	if refused := draft.read(c, true); refused != nil {
		return nil, refused
	}
	c.tenant.policy = &draft
	c.lab.touch(c.tenant)
	c.wrote("update-policy", "")
	return nil, nil
}

func (c *graphCall) listPolicies() (any, *graphError) {
	if refused := c.refuseOptions("top"); refused != nil {
		return nil, refused
	}
	values := []object{}
	for _, p := range c.tenant.policies {
		values = append(values, p.shown(false))
	}
	return object{c.context("policies/appManagementPolicies"), {"value", values}}, nil
}

func (c *graphCall) addPolicy() (any, *graphError) {
	p := newPolicy()
	p.enabled = true
	if refused := p.read(c, false); refused != nil {
		return nil, refused
	}
	if p.displayName == "" { // recalled
		return nil, badRequest("Request_BadRequest", "A value is required for property 'displayName' of resource 'AppManagementPolicy'.")
	}
	p.id = c.lab.random.guid()
	c.tenant.policies = append(c.tenant.policies, p)
	c.lab.touch(c.tenant)
	c.wrote("create-policy", "")
	return append(object{c.context("policies/appManagementPolicies/$entity")}, p.shown(false)...), nil
}

// policyWithID finds a policy of applications.
func (c *graphCall) policyWithID(key string) (*managementPolicy, *graphError) {
	id, _ := parseGUID(key)
	for _, p := range c.tenant.policies {
		if p.id == id {
			return p, nil
		}
	}
	return nil, notFound(key)
}

func (c *graphCall) getPolicy() (any, *graphError) {
	p, refused := c.policyWithID(c.keys[0])
	if refused != nil {
		return nil, refused
	}
	return append(object{c.context("policies/appManagementPolicies/$entity")}, p.shown(false)...), nil
}

func (c *graphCall) patchPolicy() (any, *graphError) {
	p, refused := c.policyWithID(c.keys[0])
	if refused != nil {
		return nil, refused
	}
	draft := *p
	if refused := draft.read(c, false); refused != nil {
		return nil, refused
	}
	*p = draft
	c.lab.touch(c.tenant)
	c.wrote("update-policy", "")
	return nil, nil
}

// deletePolicy also takes it from the applications it was assigned to
// (recalled).
func (c *graphCall) deletePolicy() (any, *graphError) {
	p, refused := c.policyWithID(c.keys[0])
	if refused != nil {
		return nil, refused
	}
	for _, a := range c.tenant.apps {
		if a.policy == p {
			a.policy = nil
			c.lab.touch(a)
		}
	}
	c.tenant.policies = slices.DeleteFunc(c.tenant.policies, func(other *managementPolicy) bool { return other == p })
	c.lab.touch(c.tenant)
	c.wrote("delete-policy", "")
	return nil, nil
}

func (c *graphCall) listAssignedPolicies() (any, *graphError) {
	a, refused := c.application()
	if refused != nil {
		return nil, refused
	}
	values := []object{}
	if a.policy != nil {
		values = append(values, a.policy.shown(false))
	}
	return object{c.context("policies/appManagementPolicies"), {"value", values}}, nil
}

// assignPolicy gives an application its policy; it has at most one (Microsoft
// documentation; what the refusal says is recalled).
func (c *graphCall) assignPolicy() (any, *graphError) {
	a, refused := c.application()
	if refused != nil {
		return nil, refused
	}
	id, refused := c.reference()
	if refused != nil {
		return nil, refused
	}
	p, refused := c.policyWithID(id.String())
	if refused != nil {
		return nil, refused
	}
	if a.policy != nil {
		return nil, badRequest("Request_BadRequest", "One or more added object references already exist for the following modified properties: 'appManagementPolicies'.")
	}
	a.policy = p
	c.lab.touch(a)
	c.wrote("assign-policy", "")
	return nil, nil
}

func (c *graphCall) unassignPolicy() (any, *graphError) {
	a, refused := c.application()
	if refused != nil {
		return nil, refused
	}
	p, refused := c.policyWithID(c.keys[1])
	if refused != nil {
		return nil, refused
	}
	if a.policy != p {
		return nil, notFound(c.keys[1])
	}
	a.policy = nil
	c.lab.touch(a)
	c.wrote("unassign-policy", "")
	return nil, nil
}
