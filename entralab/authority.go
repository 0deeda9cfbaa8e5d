package entralab

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// serveAuthority is the token service: discovery, keys and tokens. The first
// segment of every path names the tenant.
func (l *Lab) serveAuthority(w http.ResponseWriter, r *http.Request) {
	segment, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch rest {
	case "oauth2/v2.0/token":
		l.serveToken(w, r, segment, v2)
	case "oauth2/token":
		l.serveToken(w, r, segment, v1)
	case "oauth2/v2.0/authorize":
		l.serveAuthorize(w, r, segment, v2)
	case "oauth2/authorize":
		l.serveAuthorize(w, r, segment, v1)
	case "oauth2/v2.0/devicecode":
		l.serveDeviceCode(w, r, segment, v2)
	case "oauth2/devicecode":
		l.serveDeviceCode(w, r, segment, v1)
	case "oauth2/deviceauth":
		l.serveDevicePage(w, r)
	case "oauth2/v2.0/logout", "oauth2/logout":
		l.serveLogout(w, r, segment)
	case "v2.0/.well-known/openid-configuration":
		l.serveDiscovery(w, r, segment, v2)
	case ".well-known/openid-configuration":
		l.serveDiscovery(w, r, segment, v1)
	case "discovery/v2.0/keys", "discovery/keys":
		l.serveKeys(w, r, segment)
	case "discovery/instance":
		l.serveInstance(w, r)
	default:
		// The real service answers with a page for people.
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		w.Write([]byte("<!DOCTYPE html><title>404</title><p>The resource you are looking for has been removed or does not exist.</p>\n"))
	}
}

// version of an endpoint or of a token's format.
type version int

const (
	v1 version = 1
	v2 version = 2
)

// shared reports whether a segment stands for no tenant in particular.
func shared(segment string) bool {
	return slices.Contains([]string{"common", "organizations", "consumers"}, strings.ToLower(segment))
}

// resolveTenant finds the tenant a path names. A single word, like a GUID that
// lost a digit, is 900023 and not 90002 (recorded 2022 to 2026: 'authorize',
// 'undefined', 'asdf'). Call with l.mu held.
func (l *Lab) resolveTenant(segment string) (*tenant, *refusal) {
	if t := l.tenantNamed(segment); t != nil {
		return t, nil
	}
	id, isID := parseGUID(segment)
	switch {
	case isID && id == guid{}:
		return nil, errTenantZero.with("tenant", segment)
	case isID || domainShaped(segment):
		return nil, errTenantUnknown.with("tenant", segment)
	}
	return nil, errTenantName.with("tenant", segment)
}

func domainShaped(s string) bool {
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '-' && c != '.' {
			return false
		}
	}
	return strings.Contains(strings.Trim(s, "."), ".")
}

// tenantForDiscovery resolves a path outside the token endpoint, where an
// unknown tenant is invalid_tenant and not invalid_request (seen).
func (l *Lab) tenantForDiscovery(segment string) (*tenant, *refusal) {
	if shared(segment) {
		return nil, nil
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	t, refused := l.resolveTenant(segment)
	if refused != nil {
		refused.oauth = "invalid_tenant"
	}
	return t, refused
}

func (l *Lab) serveDiscovery(w http.ResponseWriter, r *http.Request, segment string, v version) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	x := l.newExchange(r, nil)
	t, refused := l.tenantForDiscovery(segment)
	if refused != nil {
		x.refuse(w, r.Host, refused)
		return
	}
	// The document names the tenant by its GUID however it was asked for; for
	// common and the like the issuer has a hole (Microsoft documentation).
	name, issued := segment, "{tenantid}"
	if t != nil {
		name = t.id.String()
		issued = name
	}
	endpoint := func(path string) string { return l.authorityURL + "/" + name + path }
	issuer, oauth, keys := l.authorityURL+"/"+issued+"/v2.0", "/oauth2/v2.0", "/discovery/v2.0/keys"
	if v == v1 {
		issuer, oauth, keys = "https://sts.windows.net/"+issued+"/", "/oauth2", "/discovery/keys"
	}
	cloud, instance := clouds[""], hostOf(l.authorityURL)
	if t != nil && t.cloud != "" {
		cloud = clouds[t.cloud]
		instance = cloud.host
	}
	doc := object{
		{"token_endpoint", endpoint(oauth + "/token")},
		{"token_endpoint_auth_methods_supported", []string{"client_secret_post", "private_key_jwt", "client_secret_basic"}},
		{"jwks_uri", endpoint(keys)},
		{"response_modes_supported", []string{"query", "fragment", "form_post"}},
		{"subject_types_supported", []string{"pairwise"}},
		{"id_token_signing_alg_values_supported", []string{"RS256"}},
		{"response_types_supported", []string{"code", "id_token", "code id_token", "id_token token"}},
		{"scopes_supported", []string{"openid", "profile", "email", "offline_access"}},
		{"issuer", issuer},
		{"request_uri_parameter_supported", false},
		{"userinfo_endpoint", l.graphURL + "/oidc/userinfo"},
		{"authorization_endpoint", endpoint(oauth + "/authorize")},
		{"device_authorization_endpoint", endpoint(oauth + "/devicecode")},
		{"http_logout_supported", true},
		{"frontchannel_logout_supported", true},
		{"end_session_endpoint", endpoint(oauth + "/logout")},
		{"claims_supported", []string{
			"sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name", "msgraph_host",
			"aud", "exp", "iat", "auth_time", "acr", "nonce", "preferred_username", "name", "tid", "ver", "at_hash", "c_hash", "email",
		}},
		{"tenant_region_scope", cloud.region},
		{"cloud_instance_name", instance},
		{"cloud_graph_host_name", hostOf(l.graphURL)},
		{"msgraph_host", hostOf(l.graphURL)},
		{"rbac_url", "https://pas.windows.net"},
	}
	x.write(w, http.StatusOK, encodeJSON(doc))
}

func (l *Lab) serveKeys(w http.ResponseWriter, r *http.Request, segment string) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	x := l.newExchange(r, nil)
	if _, refused := l.tenantForDiscovery(segment); refused != nil {
		x.refuse(w, r.Host, refused)
		return
	}
	x.write(w, http.StatusOK, encodeJSON(object{{"keys", []object{l.key.jwk()}}}))
}

// serveInstance tells whether a host is a known authority (recalled,
// unverified). Clients ask their own host only when they already trust it.
func (l *Lab) serveInstance(w http.ResponseWriter, r *http.Request) {
	x := l.newExchange(r, nil)
	asked, err := url.Parse(r.URL.Query().Get("authorization_endpoint"))
	own := hostOf(l.authorityURL)
	if err != nil || asked.Scheme != "https" || !strings.EqualFold(asked.Host, own) {
		x.refuse(w, r.Host, errInstance.with())
		return
	}
	segment, _, _ := strings.Cut(strings.TrimPrefix(asked.Path, "/"), "/")
	x.write(w, http.StatusOK, encodeJSON(object{
		{"tenant_discovery_endpoint", l.authorityURL + "/" + segment + "/v2.0/.well-known/openid-configuration"},
		{"api-version", "1.1"},
		{"metadata", []object{{{"preferred_network", own}, {"preferred_cache", own}, {"aliases", []string{own}}}}},
	}))
}

func hostOf(origin string) string {
	_, host, _ := strings.Cut(origin, "://")
	return host
}
