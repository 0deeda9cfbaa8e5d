package entralab

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
)

var applications = &collection[*application]{
	name:       "applications",
	kind:       "Application",
	properties: applicationProperties,
	filters:    applicationFilters,
	orders: []order[*application]{
		{"displayName", func(a, b *application) int {
			return strings.Compare(strings.ToLower(a.displayName), strings.ToLower(b.displayName))
		}},
		{"createdDateTime", func(a, b *application) int { return cmp.Compare(a.created, b.created) }},
		{"deletedDateTime", func(a, b *application) int { return cmp.Compare(a.deleted, b.deleted) }},
	},
	directory: true,
	search: []searched[*application]{
		{"displayName", func(a *application) string { return a.displayName }},
		{"description", func(a *application) string { return keptText(a.kept, "description") }},
	},
	pageSize: 100,
	maxTop:   999,
	options:  []string{"expand", "search"},
}

// maxName bounds display names (Microsoft documentation).
const maxName = 256

func keptByApp(name, empty string) property[*application] {
	return keptProperty(name, empty, func(a *application) *map[string]json.RawMessage { return &a.kept })
}

// applicationProperties are those of Graph's schema (2026-08).
var applicationProperties = sync.OnceValue(func() []property[*application] {
	return []property[*application]{
		{name: "id",
			get:   func(a *application) any { return a.id.String() },
			write: func(b []byte, a *application) []byte { return a.id.appendJSON(b) }},
		{name: "deletedDateTime", get: func(a *application) any { return deletedDate(a.deleted) }},
		{name: "appId",
			get:   func(a *application) any { return a.clientID.String() },
			write: func(b []byte, a *application) []byte { return a.clientID.appendJSON(b) }},
		{name: "applicationTemplateId", get: func(*application) any { return nil }},
		{name: "disabledByMicrosoftStatus", get: func(*application) any { return nil }},
		{name: "createdByAppId", get: func(a *application) any {
			if a.createdBy == (guid{}) {
				return nil
			}
			return a.createdBy.String()
		}},
		{name: "createdDateTime",
			get:   func(a *application) any { return a.created.seconds().String() },
			write: func(b []byte, a *application) []byte { return a.created.seconds().appendJSON(b) }},
		{name: "displayName",
			get:   func(a *application) any { return a.displayName },
			write: func(b []byte, a *application) []byte { return appendText(b, a.displayName) },
			set: func(a *application, v json.RawMessage) bool {
				return decode(v, &a.displayName) && a.displayName != "" && len(a.displayName) <= maxName
			}},
		keptByApp("description", "null"),
		keptByApp("groupMembershipClaims", "null"),
		{name: "identifierUris",
			get:   func(a *application) any { return append([]string{}, a.identifierURIs...) },
			write: func(b []byte, a *application) []byte { return appendTexts(b, a.identifierURIs...) },
			set: func(a *application, v json.RawMessage) bool {
				a.identifierURIs = nil
				return decode(v, &a.identifierURIs)
			}},
		keptByApp("isDeviceOnlyAuthSupported", "null"),
		{name: "isDisabled",
			get: func(a *application) any { return a.disabled },
			set: func(a *application, v json.RawMessage) bool { return decode(v, &a.disabled) }},
		keptByApp("isFallbackPublicClient", "null"),
		keptByApp("managerApplications", "[]"),
		keptByApp("nativeAuthenticationApisEnabled", "null"),
		keptByApp("notes", "null"),
		keptByApp("oauth2RequirePostResponse", "false"),
		keptByApp("optionalClaims", "null"),
		{name: "publisherDomain",
			get:   func(a *application) any { return a.tenant.domain },
			write: func(b []byte, a *application) []byte { return appendText(b, a.tenant.domain) }},
		keptByApp("samlMetadataUrl", "null"),
		keptByApp("serviceManagementReference", "null"),
		{name: "signInAudience",
			get:   func(a *application) any { return a.audience },
			write: func(b []byte, a *application) []byte { return appendText(b, a.audience) },
			set: func(a *application, v json.RawMessage) bool {
				return decode(v, &a.audience) && validAudience(a.audience)
			}},
		keptByApp("tags", "[]"),
		keptByApp("tokenEncryptionKeyId", "null"),
		keptByApp("uniqueName", "null"),
		keptByApp("defaultRedirectUri", "null"),
		keptByApp("authenticationBehaviors", "null"),
		keptByApp("certification", "null"),
		keptByApp("servicePrincipalLockConfiguration", "null"),
		keptByApp("requestSignatureVerification", "null"),
		keptByApp("addIns", "[]"),
		apiProperty(),
		appRolesProperty(),
		keptByApp("info", `{"logoUrl":null,"marketingUrl":null,"privacyStatementUrl":null,"supportUrl":null,"termsOfServiceUrl":null}`),
		keysProperty(func(a *application) *map[string]json.RawMessage { return &a.kept }),
		keptByApp("parentalControlSettings", `{"countriesBlockedForMinors":[],"legalAgeGroupRule":"Allow"}`),
		{name: "passwordCredentials",
			get:   func(a *application) any { return passwordCredentials(a) },
			write: func(b []byte, a *application) []byte { return appendPasswords(b, a.secrets) }},
		keptByApp("publicClient", `{"redirectUris":[]}`),
		keptByApp("requiredResourceAccess", "[]"),
		keptByApp("verifiedPublisher", `{"addedDateTime":null,"displayName":null,"verifiedPublisherId":null}`),
		keptByApp("web", `{"homePageUrl":null,"logoutUrl":null,"redirectUris":[],"implicitGrantSettings":{"enableAccessTokenIssuance":false,"enableIdTokenIssuance":false},"redirectUriSettings":[]}`),
		keptByApp("spa", `{"redirectUris":[]}`),
	}
})

// apiProperty is kept, but its requestedAccessTokenVersion decides the format
// of tokens for the app.
func apiProperty() property[*application] {
	p := keptByApp("api", `{"acceptMappedClaims":null,"knownClientApplications":[],"requestedAccessTokenVersion":null,"oauth2PermissionScopes":[],"preAuthorizedApplications":[]}`)
	keep := p.set
	p.set = func(a *application, v json.RawMessage) bool {
		var api struct {
			Version *int `json:"requestedAccessTokenVersion"`
		}
		if !decode(v, &api) || !keep(a, v) {
			return false
		}
		a.tokenVersion = 0
		if api.Version != nil {
			a.tokenVersion = *api.Version
		}
		return a.tokenVersion >= 0 && a.tokenVersion <= 2
	}
	return p
}

func (c *graphCall) listApplications() (any, *graphError) {
	q, refused := parseList(c, applications)
	if refused != nil {
		return nil, refused
	}
	return page(c, applications, q, narrow(q, c.tenant.apps, c.tenant.appByID, c.tenant.appByClientID)), nil
}

// narrow takes the one candidate of a filter by id from the indexes, so that the
// commonest query does not read a whole large tenant.
func narrow[T interface {
	item
	comparable
}](q listQuery[T], all []T, byID, byClientID func(guid) T) []T {
	var none T
	for property, lookup := range map[string]func(guid) T{"id": byID, "appId": byClientID} {
		value, ok := q.keyed[property]
		if !ok {
			continue
		}
		id, _ := parseGUID(value)
		if it := lookup(id); it != none {
			return []T{it}
		}
		return nil
	}
	return all
}

// application finds the application a path names, by object id or client id.
func (c *graphCall) application() (*application, *graphError) {
	key, byClientID := strings.CutPrefix(c.keys[0], alternateKey)
	id, ok := parseGUID(key)
	if !ok { // recalled
		return nil, badRequest("Request_BadRequest", "Invalid object identifier '"+key+"'.")
	}
	a := c.tenant.app(id)
	if byClientID {
		a = c.tenant.appWithClientID(id)
	}
	if a == nil {
		return nil, notFound(key)
	}
	c.about(a)
	a, ok = asRead(c, a)
	if !ok {
		return nil, notFound(key)
	}
	return a, nil
}

func (c *graphCall) ownApplication() (*application, *graphError) {
	a, refused := c.application()
	if refused == nil && !c.mayWrite(a.owners) {
		return nil, errDenied
	}
	return a, refused
}

func (c *graphCall) getApplication() (any, *graphError) {
	a, refused := c.application()
	if refused != nil {
		return nil, refused
	}
	return single(c, applications, a)
}

func (c *graphCall) createApplication() (any, *graphError) {
	var fields map[string]json.RawMessage
	if refused := c.read(&fields); refused != nil {
		return nil, refused
	}
	draft := &application{audience: audienceTenant}
	if refused := checkApplication(c, draft, fields); refused != nil {
		return nil, refused
	}
	if draft.displayName == "" { // recalled
		return nil, badRequest("Request_BadRequest", "A value is required for property 'displayName' of resource 'Application'.")
	}
	a := c.lab.createApp(c.tenant, c.actor(), c.now, draft.displayName, draft.audience)
	a.owners = c.newOwners()
	a.disabled, a.tokenVersion, a.kept = draft.disabled, draft.tokenVersion, draft.kept
	c.lab.nameKeys(&a.kept)
	a.setURIs(draft.identifierURIs)
	c.about(a)
	c.wrote("create-app", "")
	return append(object{c.context("applications/$entity")}, render(applications, a, nil)...), nil
}

// checkApplication assigns the fields to a draft.
func checkApplication(c *graphCall, draft *application, fields map[string]json.RawMessage) *graphError {
	if _, ok := fields["passwordCredentials"]; ok {
		return badRequest("Request_BadRequest", "Property 'passwordCredentials' cannot be set; use addPassword and removePassword.")
	}
	if refused := assign(applications, draft, fields); refused != nil {
		return refused
	}
	for _, uri := range draft.identifierURIs {
		if other := c.tenant.appByURI[uri]; other != nil && other.id != draft.id && (other.live() || other.restorable(c.now)) {
			return keyTaken("identifierUris")
		}
	}
	return nil
}

func (c *graphCall) patchApplication() (any, *graphError) {
	a, refused := c.ownApplication()
	if refused != nil {
		return nil, refused
	}
	var fields map[string]json.RawMessage
	if refused := c.read(&fields); refused != nil {
		return nil, refused
	}
	draft := *a
	if refused := checkApplication(c, &draft, fields); refused != nil {
		return nil, refused
	}
	if refused := a.checkRoles(&draft); refused != nil {
		return nil, refused
	}
	uris := draft.identifierURIs
	draft.identifierURIs = a.identifierURIs
	*a = draft
	c.lab.nameKeys(&a.kept)
	a.setURIs(uris)
	c.lab.auditApp(a, c.actor(), c.now, auditUpdateApp, []change{includes(slices.Sorted(maps.Keys(fields))...)})
	c.wrote("update-app", "")
	return nil, nil
}

// deleteApplication moves the application to the deleted items.
func (c *graphCall) deleteApplication() (any, *graphError) {
	a, refused := c.ownApplication()
	if refused != nil {
		return nil, refused
	}
	c.lab.deleteApp(a, c.actor(), c.now)
	c.wrote("delete-app", "")
	return nil, nil
}
