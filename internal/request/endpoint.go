package request

import (
	"fmt"
	"slices"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
)

const wantPath = "the path is /<tenant>/oauth2/v2.0/token"

// product is what the request talks to if that is not Entra, else "".
func (r reading) product() string {
	if r.home() != "" {
		return ""
	}
	if name, ok := below(products, r.target.hostname()); ok {
		return name
	}
	switch {
	case r.target.has("adfs"):
		return "AD FS"
	case r.target.has("openid-connect") && r.target.has("realms"):
		return "Keycloak"
	}
	return ""
}

// checkEndpoint looks at method, host, scheme and path. Of another product's
// URL it says only that.
func (l *linter) checkEndpoint() {
	if l.Method != "POST" {
		at := "url"
		if l.Line > 0 {
			at = fmt.Sprintf("line %d", l.Line)
		}
		l.fault(endpointWrong, at, "The method is %s, and the token endpoint answers only POST: send the parameters in the body of a POST.", l.showsMethod())
	}
	host := l.target.hostname()
	switch {
	case l.isLive(l.target.host), l.target.host == "" && l.isLive(l.URL):
		return
	case l.product() != "":
		l.fault(endpointWrong, "url", "The URL is one of %s, not of the token endpoint of Entra: send the request to https://%s/<tenant>/oauth2/v2.0/token.", l.product(), publicAuthority)
		return
	case host == "":
		l.fault(endpointWrong, "url", "The request names no host: send it to https://%s/<tenant>/oauth2/v2.0/token.", publicAuthority)
	case isSlip(host):
		l.fault(endpointWrong, "url", "The host is %s; did you mean %s?", l.quote(host), publicAuthority)
	}
	if l.target.scheme == "http" && !isLoopback(host) {
		l.fault(endpointWrong, "url", "The URL starts with http://, which sends the secret in the clear (curl assumes it when the URL names no scheme): use https://.")
	}
	if authorityCloud(host) == germany {
		l.fault(cloudWrong, "url", "The German cloud was closed in 2021: send the request to %s.", publicAuthority)
	}
	l.checkPath()
	l.checkVersions()
}

// showsMethod is the method, if it is one.
func (l *linter) showsMethod() string {
	if l.Method != "" && showMethod(l.Method) == l.Method {
		return l.Method
	}
	return "another one"
}

// isSlip reports whether host is almost the name of the public authority.
func isSlip(host string) bool {
	return authorityCloud(host) == "" && isNear(flatten(host), flatten(publicAuthority), 3)
}

// checkPath says how the path differs from that of the token endpoint.
func (l *linter) checkPath() {
	t := l.target
	behind := t.segments // the tenant
	if len(behind) > 1 {
		behind = behind[1:]
	}
	if t.isToken() || slices.ContainsFunc(behind, l.isLive) {
		return
	}
	last := ""
	if len(t.segments) > 0 {
		last = strings.ToLower(t.segments[len(t.segments)-1])
	}
	says := wantPath
	switch {
	case last == "authorize":
		says = "/authorize is where browsers sign users in, tokens come from /token: " + wantPath
	case t.version() != "" && t.oddPath != "":
		says = "the path has " + t.oddPath + ": remove it"
	case t.version() != "":
		says = "no tenant stands in front of /oauth2: " + wantPath
	case last == "token" && !t.has("oauth2"):
		says = "/oauth2 is missing from the path: " + wantPath
	case last != "token" && strings.HasPrefix(last, "token"):
		says = "something is attached to /token: " + wantPath
	case last != "token" && t.has("token"):
		says = "something follows /token: " + wantPath
	case last == "oauth2" || last == "v2.0":
		says = "/token is missing from the path: " + wantPath
	case t.has("v2"), t.has("v1"), t.has("v1.0"):
		says = "the version in the path is v2.0, or none at all for v1: " + wantPath
	default:
		says = "this is not the path of the token endpoint: " + wantPath
	}
	l.fault(endpointWrong, "url", "%s.", strings.ToUpper(says[:1])+says[1:])
}

// checkVersions reports v1 and v2 mixed up. Where path and parameters
// disagree, both places are named: either may be the one to change.
func (l *linter) checkVersions() {
	_, apiVersion := l.find("api-version")
	hasScope, hasResource := l.value(scope) != "", l.value(resource) != ""
	switch version := l.target.version(); {
	case version == v1 && hasScope && !hasResource:
		l.fault(endpointWrong, "url", "The path is that of v1, the parameters are those of v2.0 (scope, no resource): send them to /oauth2/v2.0/token.")
	case version == v2 && hasResource && !hasScope:
		l.fault(endpointWrong, "url", "The path is that of v2.0, the parameters are those of v1 (resource, no scope): v2.0 needs scope in place of resource.")
	case version == v2 && apiVersion:
		l.fault(endpointWrong, "url", "api-version belongs to v1, the path to v2.0: remove api-version.")
	}
}

// checkTenant looks at the segment of the path that names the tenant.
func (l *linter) checkTenant() {
	tenant := l.target.tenant()
	if tenant == "" || l.isLive(tenant) || l.product() != "" {
		return
	}
	switch form := entra.FormOfTenant(tenant); {
	case isZero(tenant):
		l.fault(tenantMalformed, "url", "The tenant in the path is the zero GUID: put the tenant's GUID or a domain of it there.")
	case form == entra.TenantGUID:
	case form == entra.TenantShared && l.grant != clientCredentials:
	case form == entra.TenantShared:
		l.fault(authorityCommon, "url", "The tenant is %s, and client_credentials needs the one tenant to sign in to: put its GUID or a domain of it there.", l.quote(strings.ToLower(tenant)))
	case isID(entra.CleanIdentifier(tenant)):
		l.fault(tenantMalformed, "url", "The tenant in the path has spaces, quotes or braces around the GUID: remove them.")
	case isTemplate(tenant):
		l.fault(tenantPlaceholder, "url", "The tenant in the path is still a placeholder: put the tenant's GUID or a domain of it there.")
	case form != entra.TenantDomain:
		l.fault(tenantMalformed, "url", "The tenant in the path, %s, is neither a GUID nor a domain: put one of them there.", l.quote(tenant))
	}
}
