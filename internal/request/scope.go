package request

import (
	"slices"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// oidcScopes may stand beside the one scope of a resource; MSAL adds them to
// every request.
var oidcScopes = set("openid profile email offline_access")

// maxScopes is far above what a scope parameter has; what is beyond is not read.
const maxScopes = 100

const defaultScope = "/.default"

// scopes is a scope parameter taken apart.
type scopes struct {
	faults    []string
	resources []string // distinct, without /.default; "" for one that cannot be told
	oidc      []string
}

// resource is the one resource the scope is for, "" if there is not exactly one.
func (s scopes) resource() string {
	if len(s.resources) != 1 {
		return ""
	}
	return s.resources[0]
}

// readScope reads the scope of a client_credentials request.
func readScope(value string, home cloud) scopes {
	var s scopes
	say := func(text string) { s.faults = append(s.faults, text) }
	if once := formDecode(value); strings.Contains(value, "%") && once != value {
		say("scope is URL-encoded twice: encode it once.")
		value = once
	}
	if strings.ContainsAny(value, ",;") {
		say("scope has a comma or semicolon in it: a space separates scopes.")
		value = strings.NewReplacer(",", " ", ";", " ").Replace(value)
	}
	if strings.Trim(value, " ") != strings.TrimSpace(value) {
		say("scope has a line end or a tab around it: remove it.")
	}
	wanted := 0
	for token := range strings.FieldsSeq(value) {
		if oidcScopes[strings.ToLower(token)] {
			s.oidc = append(s.oidc, strings.ToLower(token))
			continue
		}
		if wanted++; wanted > maxScopes {
			break
		}
		resource, fault := readResource(token, home)
		if fault != "" && !slices.Contains(s.faults, fault) {
			say(fault)
		}
		if !slices.Contains(s.resources, resource) {
			s.resources = append(s.resources, resource)
		}
	}
	switch {
	case wanted == 0 && value != "":
		say("scope names no resource, only scopes of a user's sign-in: send <resource>/.default.")
	case len(s.resources) > 1:
		say("scope names more than one resource: ask for a token each.")
	case wanted > 1:
		say("scope names a resource more than once: send <resource>/.default once.")
	}
	return s
}

// withoutDefault removes /.default from the end, in any case.
func withoutDefault(text string) string {
	if at := len(text) - len(defaultScope); at >= 0 && strings.EqualFold(text[at:], defaultScope) {
		return text[:at]
	}
	return text
}

// permission is a delegated permission without its resource, which then is
// Microsoft Graph.
var permission = pattern(`^[A-Z][A-Za-z]+(\.[A-Za-z]+)+$`)

// readResource returns the resource a scope is for and what is wrong with the
// scope. A slash more in front of .default is right for resources that end in one.
func readResource(token string, home cloud) (resource, fault string) {
	token, quoted := strings.Trim(token, `"'`), strings.ContainsAny(token, `"'`)
	token, _, junk := strings.Cut(token, "?")
	lower := strings.ToLower(token)
	base := token
	switch {
	case secret.New(token).Shape().Kind == secret.Placeholder, strings.ContainsAny(token, "<>{}$"):
		return "", "scope still holds a placeholder: send <resource>/.default, such as https://graph.microsoft.com/.default."
	case strings.HasSuffix(strings.TrimRight(lower, "/"), defaultScope) && strings.HasSuffix(lower, "/"):
		fault = "scope ends in a slash: it ends in /.default."
		base = withoutDefault(strings.TrimRight(token, "/"))
	case strings.HasSuffix(lower, defaultScope) && base != defaultScope:
		base = withoutDefault(token)
		if strings.HasSuffix(base, "//") {
			fault = "scope has too many slashes in front of .default: one, or two if the resource ends in a slash."
			base = strings.TrimRight(base, "/")
		}
	default:
		fault = "scope does not end in /.default, which client_credentials needs: send <resource>/.default; the permissions themselves are granted to the app beforehand."
		base = guessResource(strings.TrimRight(token, "/"), home)
	}
	if host, path, ok := splitHost(base); ok && isService(host) && strings.Trim(path, "/") != "" {
		base = "https://" + host
		if fault == "" {
			fault = "scope has a path behind the resource's host: send https://" + host + "/.default."
		}
	}
	switch {
	case junk:
		fault = "scope has a query (api-version) attached, which belongs to calls of the API: send <resource>/.default."
	case quoted:
		fault = "scope has quotes in it: remove them."
	}
	return base, fault
}

// guessResource finds the resource of a scope that does not end in /.default.
func guessResource(token string, home cloud) string {
	token = strings.TrimSuffix(strings.TrimSuffix(token, "default"), ".")
	token = strings.TrimRight(token, "/")
	host, _, isURL := splitHost(token)
	switch {
	case token == "", permission().MatchString(token):
		graph, _ := inCloud("graph.microsoft.com", home)
		if graph == "" {
			graph = "graph.microsoft.com"
		}
		return "https://" + graph
	case isURL && isService(host):
		return "https://" + host
	case strings.HasPrefix(token, "api://"):
		name, _, _ := strings.Cut(strings.TrimPrefix(token, "api://"), "/")
		return "api://" + name
	case isURL, entra.IsGUID(token):
		return token
	}
	return ""
}

// splitHost takes an https or http URL apart.
func splitHost(text string) (host, path string, ok bool) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || scheme != "https" && scheme != "http" {
		return "", "", false
	}
	host, path = cutBefore(rest, '/')
	return strings.ToLower(host), path, true
}

// isService reports whether host is a resource by itself, without a path.
func isService(host string) bool {
	_, ok := inCloud(host, public)
	return ok
}

// isVault reports whether host is that of one vault, which is no resource.
func isVault(host string) (service string, ok bool) {
	for _, vault := range vaults {
		if strings.HasSuffix(host, "."+vault) {
			return vault, true
		}
	}
	return "", false
}

// home is the cloud of the authority, "" if unknown.
func (r reading) home() cloud { return authorityCloud(r.target.hostname()) }

// checkScope looks at scope and resource: the one the endpoint's version
// takes, in the form a grant without a user needs.
func (l *linter) checkScope() {
	scopeField, hasScope := l.filled(scope)
	resourceField, hasResource := l.filled(resource)
	if l.isLive(scopeField.value) || l.isLive(resourceField.value) {
		return
	}
	switch version := l.target.version(); {
	case l.product() != "":
	case hasScope && version == v1:
		l.fault(scopeMalformed, "parameter scope", "The v1 endpoint does not read scope: send resource=<resource>, or scope to /oauth2/v2.0/token.")
	case hasResource && version == v2:
		l.fault(scopeMalformed, "parameter resource", "The v2.0 endpoint does not take resource: send scope=<resource>/.default in its place.")
	}
	switch {
	case l.grant != clientCredentials && !hasResource && !hasScope:
		return
	case !hasScope && !hasResource && l.target.version() == v1:
		l.require(parameterMissing, resource, "the v1 endpoint needs it, such as resource=https://graph.microsoft.com")
		return
	case !hasScope && !hasResource:
		l.require(parameterMissing, scope, "send scope=<resource>/.default, such as https://graph.microsoft.com/.default")
		return
	}
	if hasScope && scopeField.name != scope {
		l.missing(parameterMissing, scope, "")
	}
	if hasResource && resourceField.name != resource {
		l.missing(parameterMissing, resource, "")
	}
	if l.grant != clientCredentials {
		return // scopes of a user's sign-in follow other rules
	}
	if hasScope {
		s := readScope(scopeField.value, l.home())
		for _, says := range s.faults {
			l.fault(scopeMalformed, "parameter scope", "%s", says)
		}
		l.checkResource("parameter scope", s.resources)
	}
	if hasResource {
		value := resourceField.value
		if isTemplate(value) {
			l.fault(scopeMalformed, "parameter resource", "resource still holds a placeholder: send the resource, such as https://graph.microsoft.com.")
		}
		if withoutDefault(value) != value {
			l.fault(scopeMalformed, "parameter resource", "resource ends in /.default, which belongs to scopes: send the resource alone.")
		}
		l.checkResource("parameter resource", []string{value})
	}
}

// checkResource compares resources with the cloud of the authority.
func (l *linter) checkResource(at string, resources []string) {
	for _, resource := range resources {
		host, _, ok := splitHost(resource)
		if !ok {
			continue
		}
		if vault, one := isVault(host); one {
			l.fault(resourceUnknown, at, "The resource is the address of one vault: the resource of all vaults is https://%s.", vault)
		}
		if l.isAbroad(host) {
			c, _ := below(resourceHosts, host)
			l.fault(cloudWrong, at, "The resource belongs to the %s cloud, the authority to the %s cloud: a token is good for one cloud, so use names of the same.", c, l.home())
		}
	}
}

// wantedScope returns the scope (v2) or the resource (v1) of the corrected
// request, both empty if it cannot be told.
func (l *linter) wantedScope() (scopeValue, resourceValue string) {
	sentScope, sentResource := l.value(scope), strings.TrimSpace(l.value(resource))
	if l.isLive(sentScope) || l.isLive(sentResource) {
		return "", ""
	}
	if l.version == v1 {
		return "", l.atHome(withoutDefault(sentResource))
	}
	if l.grant != clientCredentials {
		return sentScope, ""
	}
	s := readScope(sentScope, l.home())
	wanted := s.resource()
	if wanted == "" && len(s.resources) == 0 {
		wanted = withoutDefault(sentResource)
	}
	if wanted = l.atHome(wanted); wanted == "" {
		return "", ""
	}
	return strings.Join(append([]string{wanted + defaultScope}, s.oidc...), " "), ""
}

// atHome returns resource under the name it has in the authority's cloud, ""
// if it has none there.
func (l *linter) atHome(resource string) string {
	host, path, ok := splitHost(resource)
	if !ok {
		return resource
	}
	vault, isOne := isVault(host)
	if isOne {
		host, path = vault, ""
	}
	if l.isAbroad(host) {
		if host, ok = inCloud(host, l.home()); !ok {
			return ""
		}
	} else if !isOne {
		return resource
	}
	return "https://" + host + path
}

// isAbroad reports whether a resource's host is in another cloud than the authority.
func (l *linter) isAbroad(host string) bool {
	home := l.home()
	c, known := below(resourceHosts, host)
	return known && home != "" && home != germany && c != home
}
