package request

import (
	"net/url"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
)

// kept are parameters a corrected request takes over beside those of its
// grant, if they are there.
var kept = []string{"claims", "client_info", "fmi_path"}

// corrected writes the request as it should have been. A secret is masked, and
// what cannot be told from the capture stands as <name>.
func (l *linter) corrected() string {
	p := l.params()
	path := "/oauth2/v2.0/token"
	if l.version == v1 {
		path = "/oauth2/token"
	}
	tenant := "<tenant-id>"
	switch form := entra.FormOfTenant(p.Tenant); {
	case !l.shows(p.Tenant), l.product() != "", isZero(p.Tenant), isTemplate(p.Tenant):
	case form == entra.TenantGUID, form == entra.TenantDomain, form == entra.TenantShared && l.grant != clientCredentials:
		tenant = p.Tenant
	}
	return "POST /" + tenant + l.policy() + path + " HTTP/1.1\n" +
		"Host: " + l.correctHost() + "\n" +
		"Content-Type: " + formType + "\n\n" +
		strings.Join(l.correctPairs(p), "&") + "\n"
}

// policy is the user flow in a path of B2C, with its slash.
func (l *linter) policy() string {
	if s := l.target.segments; l.target.prefix() == 2 && len(s) > 1 && !endpointWords[strings.ToLower(s[1])] && showWord(s[1]) == s[1] && l.shows(s[1]) {
		return "/" + s[1]
	}
	return ""
}

// correctHost is the host of the request, if it can be that of a token endpoint.
func (l *linter) correctHost() string {
	host := l.target.host
	plain := showWord(host) == host && host != "" && !l.isLive(host)
	if c := l.home(); !plain || l.product() != "" || isSlip(l.target.hostname()) || c == germany || !l.shows(host) {
		return publicAuthority
	}
	return host
}

// correctPairs returns the encoded parameters.
func (l *linter) correctPairs(p Params) []string {
	id := "<client-id>"
	if isID(p.ClientID) && l.shows(p.ClientID) {
		id = p.ClientID
	}
	pairs := []string{clientID + "=" + id}
	if p.Assertion && p.SecretIn == "" {
		pairs = append(pairs, assertionType+"="+url.QueryEscape(jwtBearerAssertion), assertion+"="+mask)
	} else if l.grant == clientCredentials || l.grant == onBehalfOf || p.SecretIn != "" {
		pairs = append(pairs, clientSecret+"="+mask)
	}
	pairs = append(pairs, grantType+"="+url.QueryEscape(l.grant))
	switch {
	case l.version == v1 && (p.Resource != "" || l.grant == clientCredentials):
		pairs = append(pairs, resource+"="+l.safe(p.Resource, "<resource>"))
	case p.Scope != "":
		pairs = append(pairs, scope+"="+l.safe(p.Scope, "<resource>/.default"))
	case l.grant == clientCredentials:
		pairs = append(pairs, scope+"=<resource>/.default")
	}
	for _, name := range grants[l.grant] {
		switch value := l.value(name); {
		case secretNames[name]:
			pairs = append(pairs, name+"="+mask)
		default:
			pairs = append(pairs, name+"="+l.safe(value, "<"+strings.ReplaceAll(name, "_", "-")+">"))
		}
	}
	for _, name := range kept {
		if value := l.value(name); value != "" {
			pairs = append(pairs, name+"="+l.safe(value, "<"+name+">"))
		}
	}
	return pairs
}

// safe returns value form-encoded, or placeholder if it is empty, one itself,
// or must not be shown.
func (l *linter) safe(value, placeholder string) string {
	if value == "" || strings.ContainsAny(value, "<>") || !l.shows(value) || l.isLive(value) {
		return placeholder
	}
	return url.QueryEscape(value)
}
