package entralab

import "strings"

// Ids of Microsoft's own services, the same in every tenant.
var (
	graphAppID   = mustGUID("00000003-0000-0000-c000-000000000000")
	vaultAppID   = mustGUID("cfa8b339-82a2-471a-a3c9-0fc0be7a4093")
	armAppID     = mustGUID("797f4846-ba00-4fd7-ba43-dac1f8f63013")
	outlookAppID = mustGUID("00000002-0000-0ff1-ce00-000000000000")
)

// microsoftTenant is where Microsoft registers its services.
const microsoftTenant = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"

const (
	graphResource   = "https://graph.microsoft.com"
	outlookResource = "https://outlook.office365.com"
	vaultResource   = "https://vault.azure.net"
)

// wellKnownResources are the services that every tenant knows, by URI without
// the slash at the end and by app id.
var wellKnownResources = map[string]guid{
	graphResource:                         graphAppID,
	graphAppID.String():                   graphAppID,
	vaultResource:                         vaultAppID,
	vaultAppID.String():                   vaultAppID,
	"https://management.azure.com":        armAppID,
	"https://management.core.windows.net": armAppID,
	armAppID.String():                     armAppID,
	outlookResource:                       outlookAppID,
	outlookAppID.String():                 outlookAppID,
}

// resource is what a token is for.
type resource struct {
	asked    string // as the client wrote it
	audience string // the aud claim
	graph    bool
	api      guid    // app id, zero for an API of the tenant
	version  version // format of the token

	principal *servicePrincipal // nil for Microsoft's services other than Graph
	scopes    []string          // the delegated ones that an API of the tenant exposes
}

// findResource resolves a resource as a tenant knows it. A slash at its end is
// kept in the audience: "https://vault.azure.net//.default" exists because
// some services want it there. Call with l.mu held.
func (l *Lab) findResource(t *tenant, asked string) (resource, bool) {
	name := strings.ToLower(strings.TrimSuffix(asked, "/"))
	if name == strings.ToLower(l.graphURL) {
		// HashiCorp's providers build the scope from Graph's endpoint (seen).
		return resource{asked: asked, audience: graphResource, graph: true, api: graphAppID, version: v1, principal: t.graph}, true
	}
	if name == strings.ToLower(l.vaultURL) || isVaultParent(name) {
		// The resource of a challenge, where it cannot be Microsoft's.
		return resource{asked: asked, audience: vaultResource, version: v1}, true
	}
	if appID, ok := wellKnownResources[name]; ok {
		found := resource{asked: asked, audience: asked, graph: appID == graphAppID, api: appID, version: v1}
		if found.graph {
			found.principal = t.graph
		}
		return found, true
	}
	a := t.appByURI[asked]
	if id, ok := parseGUID(strings.TrimPrefix(name, "api://")); ok && a == nil {
		a = t.appByClientID(id)
	}
	if a == nil || !a.live() || a.principal == nil {
		return resource{}, false
	}
	// The API decides the format. Null means version 1 at the real service;
	// here it means 2, so that OpenID Connect libraries can check a token of
	// any app against the discovery document.
	if a.tokenVersion == 1 {
		return resource{asked: asked, audience: asked, version: v1, principal: a.principal}, true
	}
	return resource{asked: asked, audience: a.clientID.String(), version: v2, principal: a.principal}, true
}
