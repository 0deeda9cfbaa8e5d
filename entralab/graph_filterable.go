package entralab

import (
	"encoding/json"
	"time"
)

// What can be filtered, as the pages of the two resources list it (Microsoft
// documentation). endsWith and contains are for none of these; secrets and
// their dates cannot be filtered at all.
var applicationFilters = []filter[*application]{
	{name: "id", text: func(a *application) []string { return []string{a.id.String()} }},
	{name: "appId", text: func(a *application) []string { return []string{a.clientID.String()} }},
	{name: "displayName", text: func(a *application) []string { return []string{a.displayName} }, more: []string{"ge", "le", "startswith"}, nullable: true},
	{name: "createdDateTime", date: func(a *application) time.Time { return a.created.seconds().time() }},
	{name: "deletedDateTime", date: func(a *application) time.Time { return a.deleted.seconds().time() }},
	{name: "signInAudience", text: func(a *application) []string { return []string{a.audience} }},
	{name: "publisherDomain", text: func(a *application) []string { return []string{a.tenant.domain} }, more: []string{"ge", "le", "startswith"}},
	{name: "description", text: func(a *application) []string { return keptTexts(a.kept, "description") }, more: []string{"ge", "le", "startswith"}, nullable: true},
	{name: "uniqueName", text: func(a *application) []string { return keptTexts(a.kept, "uniqueName") }},
	{name: "identifierUris", text: func(a *application) []string { return a.identifierURIs }, list: true, more: []string{"ge", "le", "startswith"}},
	{name: "tags", text: func(a *application) []string { return keptList(a.kept, "tags") }, list: true, more: []string{"ge", "le", "startswith"}},
	{name: "owners/$count", number: func(a *application) int { return a.tenant.countOwners(a.owners) }},
	{name: "federatedIdentityCredentials/$count", number: func(a *application) int { return len(a.federated) }},
}

var principalFilters = []filter[*servicePrincipal]{
	{name: "id", text: func(p *servicePrincipal) []string { return []string{p.id.String()} }},
	{name: "appId", text: func(p *servicePrincipal) []string { return []string{p.clientID.String()} }, more: []string{"startswith"}},
	{name: "displayName", text: func(p *servicePrincipal) []string { return []string{p.displayName()} }, more: []string{"ge", "le", "startswith"}, nullable: true},
	{name: "createdDateTime", date: func(p *servicePrincipal) time.Time { return p.created.seconds().time() }},
	{name: "deletedDateTime", date: func(p *servicePrincipal) time.Time { return p.deleted.seconds().time() }},
	{name: "accountEnabled", flag: func(p *servicePrincipal) bool { return p.enabled }},
	{name: "servicePrincipalType", text: func(*servicePrincipal) []string { return []string{"Application"} }, more: []string{"ge", "le"}},
	{name: "appOwnerOrganizationId", text: func(p *servicePrincipal) []string { return []string{p.ownerTenant()} }, more: []string{"ge", "le"}},
	{name: "servicePrincipalNames", text: (*servicePrincipal).names, list: true, more: []string{"ge", "le", "startswith"}},
	{name: "tags", text: func(p *servicePrincipal) []string { return keptList(p.kept, "tags") }, list: true, more: []string{"ge", "le", "startswith"}},
	{name: "owners/$count", number: func(p *servicePrincipal) int { return p.tenant.countOwners(p.owners) }},
}

// keptText is a text that an object only keeps, "" for none.
func keptText(kept map[string]json.RawMessage, name string) string {
	var s string
	json.Unmarshal(kept[name], &s) // nothing kept is no text
	return s
}

// keptTexts is keptText for a filter: no text is null.
func keptTexts(kept map[string]json.RawMessage, name string) []string {
	var s *string
	if json.Unmarshal(kept[name], &s) != nil || s == nil {
		return nil
	}
	return []string{*s}
}

func keptList(kept map[string]json.RawMessage, name string) []string {
	var list []string
	json.Unmarshal(kept[name], &list)
	return list
}
