package entralab

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
)

var principals = &collection[*servicePrincipal]{
	name:       "servicePrincipals",
	kind:       "ServicePrincipal",
	properties: principalProperties,
	filters:    principalFilters,
	orders: []order[*servicePrincipal]{
		{"displayName", func(a, b *servicePrincipal) int {
			return strings.Compare(strings.ToLower(a.displayName()), strings.ToLower(b.displayName()))
		}},
		{"createdDateTime", func(a, b *servicePrincipal) int { return cmp.Compare(a.created, b.created) }},
		{"deletedDateTime", func(a, b *servicePrincipal) int { return cmp.Compare(a.deleted, b.deleted) }},
	},
	directory: true,
	search: []searched[*servicePrincipal]{
		{"displayName", (*servicePrincipal).displayName},
		{"description", func(p *servicePrincipal) string { return keptText(p.kept, "description") }},
	},
	pageSize: 100,
	maxTop:   999,
	options:  []string{"expand", "search"},
}

func keptByPrincipal(name, empty string) property[*servicePrincipal] {
	return keptProperty(name, empty, func(p *servicePrincipal) *map[string]json.RawMessage { return &p.kept })
}

// principalProperties are those of Graph's schema (2026-08).
var principalProperties = sync.OnceValue(func() []property[*servicePrincipal] {
	return []property[*servicePrincipal]{
		{name: "id",
			get:   func(p *servicePrincipal) any { return p.id.String() },
			write: func(b []byte, p *servicePrincipal) []byte { return p.id.appendJSON(b) }},
		{name: "deletedDateTime", get: func(p *servicePrincipal) any { return deletedDate(p.deleted) }},
		{name: "accountEnabled",
			get: func(p *servicePrincipal) any { return p.enabled },
			set: func(p *servicePrincipal, v json.RawMessage) bool { return decode(v, &p.enabled) }},
		keptByPrincipal("alternativeNames", "[]"),
		{name: "appDisplayName",
			get:   func(p *servicePrincipal) any { return p.displayName() },
			write: func(b []byte, p *servicePrincipal) []byte { return appendText(b, p.displayName()) }},
		{name: "appId",
			get:   func(p *servicePrincipal) any { return p.clientID.String() },
			write: func(b []byte, p *servicePrincipal) []byte { return p.clientID.appendJSON(b) }},
		{name: "applicationTemplateId", get: func(*servicePrincipal) any { return nil }},
		{name: "appOwnerOrganizationId",
			get:   func(p *servicePrincipal) any { return p.ownerTenant() },
			write: func(b []byte, p *servicePrincipal) []byte { return appendOwnerTenant(b, p) }},
		{name: "appRoleAssignmentRequired",
			get: func(p *servicePrincipal) any { return p.assignmentRequired },
			set: func(p *servicePrincipal, v json.RawMessage) bool { return decode(v, &p.assignmentRequired) }},
		{name: "createdDateTime",
			get:   func(p *servicePrincipal) any { return p.created.seconds().String() },
			write: func(b []byte, p *servicePrincipal) []byte { return p.created.seconds().appendJSON(b) }},
		keptByPrincipal("description", "null"),
		{name: "disabledByMicrosoftStatus", get: func(*servicePrincipal) any { return nil }},
		{name: "displayName",
			get:   func(p *servicePrincipal) any { return p.displayName() },
			write: func(b []byte, p *servicePrincipal) []byte { return appendText(b, p.displayName()) }},
		keptByPrincipal("homepage", "null"),
		keptByPrincipal("loginUrl", "null"),
		keptByPrincipal("logoutUrl", "null"),
		keptByPrincipal("notes", "null"),
		keptByPrincipal("notificationEmailAddresses", "[]"),
		keptByPrincipal("preferredSingleSignOnMode", "null"),
		keptByPrincipal("preferredTokenSigningKeyThumbprint", "null"),
		keptByPrincipal("replyUrls", "[]"),
		{name: "servicePrincipalNames", get: func(p *servicePrincipal) any { return p.names() }, write: appendPrincipalNames},
		{name: "servicePrincipalType", get: func(*servicePrincipal) any { return "Application" }},
		{name: "signInAudience", get: func(p *servicePrincipal) any {
			if p.app == nil {
				return audienceAny
			}
			return p.app.audience
		}},
		keptByPrincipal("tags", "[]"),
		keptByPrincipal("tokenEncryptionKeyId", "null"),
		keptByPrincipal("samlSingleSignOnSettings", "null"),
		keptByPrincipal("addIns", "[]"),
		{name: "appRoles", get: func(p *servicePrincipal) any { return p.roles() }, write: func(b []byte, p *servicePrincipal) []byte {
			if p.app != nil && len(p.app.apiRoles()) == 0 {
				return append(b, "[]"...)
			}
			return appendJSON(b, p.roles())
		}},
		keptByPrincipal("info", `{"logoUrl":null,"marketingUrl":null,"privacyStatementUrl":null,"supportUrl":null,"termsOfServiceUrl":null}`),
		keysProperty(func(p *servicePrincipal) *map[string]json.RawMessage { return &p.kept }),
		{name: "oauth2PermissionScopes", get: func(*servicePrincipal) any { return []object{} },
			write: func(b []byte, _ *servicePrincipal) []byte { return append(b, "[]"...) }},
		{name: "passwordCredentials",
			get:   func(p *servicePrincipal) any { return passwordCredentials(p) },
			write: func(b []byte, p *servicePrincipal) []byte { return appendPasswords(b, p.secrets) }},
		attributesProperty(),
		keptByPrincipal("resourceSpecificApplicationPermissions", "[]"),
		keptByPrincipal("verifiedPublisher", `{"addedDateTime":null,"displayName":null,"verifiedPublisherId":null}`),
	}
})

// appendOwnerTenant writes appOwnerOrganizationId.
func appendOwnerTenant(b []byte, p *servicePrincipal) []byte {
	if p.app == nil {
		return appendText(b, microsoftTenant)
	}
	return p.tenant.id.appendJSON(b)
}

// uris name the resource that p stands for, besides its client id.
func (p *servicePrincipal) uris() []string {
	switch {
	case p.app != nil:
		return p.app.identifierURIs
	case p.clientID == outlookAppID:
		return []string{outlookResource}
	}
	return []string{graphResource}
}

// roles are the app roles that p offers.
func (p *servicePrincipal) roles() any {
	if p.app != nil {
		return append([]apiRole{}, p.app.apiRoles()...)
	}
	roles := []object{}
	for _, role := range rolesOf(p.clientID) {
		roles = append(roles, object{
			{"allowedMemberTypes", []string{"Application"}}, {"description", role.displayName}, {"displayName", role.displayName},
			{"id", role.id.String()}, {"isEnabled", true}, {"origin", "Application"}, {"value", role.name},
		})
	}
	return roles
}

// names are what a token request can call p.
func (p *servicePrincipal) names() []string {
	return append([]string{p.clientID.String()}, p.uris()...)
}

// appendPrincipalNames writes servicePrincipalNames.
func appendPrincipalNames(b []byte, p *servicePrincipal) []byte {
	b = p.clientID.appendJSON(append(b, '['))
	for _, uri := range p.uris() {
		b = appendText(append(b, ','), uri)
	}
	return append(b, ']')
}

func (c *graphCall) listPrincipals() (any, *graphError) {
	q, refused := parseList(c, principals)
	if refused != nil {
		return nil, refused
	}
	return page(c, principals, q, narrow(q, c.tenant.principals, c.tenant.principalByID, c.tenant.principalByClientID)), nil
}

// principal finds the service principal a path names.
func (c *graphCall) principal() (*servicePrincipal, *graphError) {
	key, byClientID := strings.CutPrefix(c.keys[0], alternateKey)
	id, ok := parseGUID(key)
	if !ok { // recalled
		return nil, badRequest("Request_BadRequest", "Invalid object identifier '"+key+"'.")
	}
	p := c.tenant.principal(id)
	if byClientID {
		p = c.tenant.principalWithClientID(id)
	}
	if p == nil {
		return nil, notFound(key)
	}
	if p.app != nil {
		c.about(p.app)
	}
	p, ok = asRead(c, p)
	if !ok {
		return nil, notFound(key)
	}
	return p, nil
}

func (c *graphCall) getPrincipal() (any, *graphError) {
	p, refused := c.principal()
	if refused != nil {
		return nil, refused
	}
	return single(c, principals, p)
}

// createServicePrincipal takes the client id of an application of the tenant.
func (c *graphCall) createServicePrincipal() (any, *graphError) {
	var fields map[string]json.RawMessage
	if refused := c.read(&fields); refused != nil {
		return nil, refused
	}
	var appID string
	if !decode(fields["appId"], &appID) {
		return nil, badRequest("Request_BadRequest", "A value is required for property 'appId' of resource 'ServicePrincipal'.") // recalled
	}
	delete(fields, "appId")
	if refused := c.mayAssign(fields); refused != nil {
		return nil, refused
	}
	draft := &servicePrincipal{enabled: true}
	if refused := assign(principals, draft, fields); refused != nil {
		return nil, refused
	}
	id, _ := parseGUID(appID)
	if c.tenant.principalWithClientID(id) != nil {
		return nil, keyTaken("servicePrincipalNames")
	}
	a := c.tenant.appWithClientID(id)
	if a == nil { // text recorded
		return nil, badRequest("Request_BadRequest", "The appId '"+appID+"' of the service principal does not reference a valid application object.")
	}
	c.about(a)
	if !c.mayWrite(a.owners) {
		return nil, errDenied
	}
	p := c.lab.createPrincipal(a, c.actor(), c.now)
	p.owners = c.newOwners()
	p.enabled, p.assignmentRequired, p.kept = draft.enabled, draft.assignmentRequired, draft.kept
	c.lab.nameKeys(&p.kept)
	c.wrote("create-service-principal", "")
	return append(object{c.context("servicePrincipals/$entity")}, render(principals, p, nil)...), nil
}

// ownPrincipal finds a service principal that the caller may change. One that
// Microsoft owns is nobody's.
func (c *graphCall) ownPrincipal() (*servicePrincipal, *graphError) {
	p, refused := c.principal()
	if refused == nil && (p.app == nil || !c.mayWrite(p.owners)) {
		return nil, errDenied
	}
	return p, refused
}

func (c *graphCall) deletePrincipal() (any, *graphError) {
	p, refused := c.ownPrincipal()
	if refused != nil {
		return nil, refused
	}
	c.lab.deletePrincipal(p, c.actor(), c.now)
	c.wrote("delete-service-principal", "")
	return nil, nil
}

func (c *graphCall) patchPrincipal() (any, *graphError) {
	p, refused := c.ownPrincipal()
	if refused != nil {
		return nil, refused
	}
	var fields map[string]json.RawMessage
	if refused := c.read(&fields); refused != nil {
		return nil, refused
	}
	if refused := c.mayAssign(fields); refused != nil {
		return nil, refused
	}
	draft := *p
	if refused := assign(principals, &draft, fields); refused != nil {
		return nil, refused
	}
	*p = draft
	c.lab.nameKeys(&p.kept)
	c.lab.auditPrincipal(p, c.actor(), c.now, auditUpdatePrincipal, []change{includes(slices.Sorted(maps.Keys(fields))...)})
	c.wrote("update-service-principal", "")
	return nil, nil
}
