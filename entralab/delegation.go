package entralab

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// delegation is what a user let an app do.
type delegation struct {
	tenant, clientID guid
	user             guid
	target           string   // the resource as asked
	scopes           []string // of the resource, as asked
	openID           []string
	nonce            string
	platform         platform
	signedIn         time.Time
}

// authCode is a code on its way from the browser to the app.
type authCode struct {
	delegation
	redirectURI       string
	challenge, method string // of PKCE
	redeemed          bool
}

// refreshToken stands for a delegation until it is not used for 90 days.
type refreshToken struct {
	delegation
	issued time.Time
}

const (
	codeLifetime       = 10 * time.Minute    // Microsoft documentation, as the next two
	refreshLifetime    = 90 * 24 * time.Hour // without use
	refreshLifetimeSPA = 24 * time.Hour      // from the sign-in
)

// delegations are the codes and refresh tokens in force, by the hash of their
// text: the text itself leaves with the answer. The lock is taken with l.mu
// held, never the other way round.
type delegations struct {
	mu      sync.Mutex
	codes   map[hash]authCode
	refresh map[hash]refreshToken
	swept   int // entries left by the last sweep
	saver   *saver
}

// opaque returns a text that nobody can guess, with the beginning that the real
// service's have.
func opaque(prefix string) string {
	b := make([]byte, 96)
	rand.Read(b) // never fails; not by the seed, which is public
	return prefix + base64.RawURLEncoding.EncodeToString(b)
}

func (d *delegations) addCode(c authCode) string {
	text := opaque("1.A")
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweep(c.signedIn)
	key := sha256.Sum256([]byte(text))
	d.codes[key] = c
	d.saver.noteCode(key, c)
	return text
}

func (d *delegations) addRefresh(r refreshToken) string {
	text := opaque("1.A")
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweep(r.issued)
	key := sha256.Sum256([]byte(text))
	d.refresh[key] = r
	d.saver.noteRefresh(key, r)
	return text
}

// sweep forgets what was over long ago, each time the store has doubled.
func (d *delegations) sweep(now time.Time) {
	if d.codes == nil {
		d.codes, d.refresh = map[hash]authCode{}, map[hash]refreshToken{}
	}
	if len(d.codes)+len(d.refresh) < 2*d.swept+1000 {
		return
	}
	sweep(d.saver, kindCode, d.codes, func(c authCode) bool { return now.Sub(c.signedIn) > 24*time.Hour })
	sweep(d.saver, kindRefresh, d.refresh, func(r refreshToken) bool { return now.Sub(r.issued) > 2*refreshLifetime })
	d.swept = len(d.codes) + len(d.refresh)
}

// redeem finds a code, runs the checks on it and marks it redeemed when all
// pass, so that of two requests with one code only one gets a token.
func (d *delegations) redeem(text string, check func(authCode) *refusal) (authCode, *refusal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := sha256.Sum256([]byte(text))
	code, ok := d.codes[key]
	if !ok {
		return authCode{}, errGrantDamaged.with()
	}
	if refused := check(code); refused != nil {
		return authCode{}, refused
	}
	code.redeemed = true
	d.codes[key] = code
	d.saver.noteCode(key, code)
	return code, nil
}

func (d *delegations) refreshToken(text string) (refreshToken, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.refresh[sha256.Sum256([]byte(text))]
	return r, ok
}

// platform is where a redirect URI is registered; it decides how a code is
// redeemed.
type platform string

const (
	platformWeb    platform = "web"
	platformSPA    platform = "spa"
	platformPublic platform = "publicClient"
)

// redirects are the redirect URIs that Graph keeps for a platform.
func (a *application) redirects(p platform) []string {
	var kept struct {
		RedirectURIs []string `json:"redirectUris"`
	}
	json.Unmarshal(a.kept[string(p)], &kept) // nothing kept is no URI
	return kept.RedirectURIs
}

// platformOf finds the platform of a redirect URI. It must match letter by
// letter; the port of http://localhost is free (Microsoft documentation).
func (a *application) platformOf(uri string) (platform, bool) {
	for _, p := range []platform{platformWeb, platformSPA, platformPublic} {
		for _, registered := range a.redirects(p) {
			if registered == uri || withoutPort(registered) == withoutPort(uri) {
				return p, true
			}
		}
	}
	return "", false
}

// withoutPort takes the port from a URI of http://localhost.
func withoutPort(uri string) string {
	const local = "http://localhost:"
	rest, ok := strings.CutPrefix(uri, local)
	if !ok {
		return uri
	}
	return strings.TrimSuffix(local, ":") + strings.TrimLeft(rest, "0123456789")
}

// addRedirects registers redirect URIs on the web platform. Call with l.mu
// held.
func (a *application) addRedirects(uris []string) {
	if len(uris) == 0 {
		return
	}
	a.kept = maps.Clone(a.kept)
	if a.kept == nil {
		a.kept = map[string]json.RawMessage{}
	}
	a.kept[string(platformWeb)] = encodeJSON(object{{"redirectUris", uris}})
}

var openIDScopes = []string{"openid", "profile", "email", "offline_access"}

// splitScopes takes a user's scope parameter apart: OpenID scopes, and scopes
// of one resource. A scope without a resource is Graph's (Microsoft
// documentation).
func splitScopes(scope string) (target string, names, openID []string, refused *refusal) {
	target = graphResource
	for _, s := range strings.Fields(scope) {
		if slices.Contains(openIDScopes, s) {
			openID = append(openID, s)
			continue
		}
		of, name := graphResource, s
		if i := strings.LastIndexByte(s, '/'); i >= 0 {
			of, name = s[:i], s[i+1:]
		}
		if of == "" || name == "" {
			return "", nil, nil, errScopeMalformed.with("scope", scope)
		}
		if len(names) > 0 && of != target {
			return "", nil, nil, errScopesOfMany.with()
		}
		target, names = of, append(names, s)
	}
	if len(names) == 0 && len(openID) == 0 {
		return "", nil, nil, errMissing.with("name", "scope")
	}
	return target, names, openID, nil
}

// bareScope is a scope without its resource.
func bareScope(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// checkScopes checks that an app of the tenant exposes what is asked. Scopes of
// Microsoft's services are taken as they come. Call with l.mu held.
func (l *Lab) checkScopes(t *tenant, by *application, target string, names []string) *refusal {
	found, refused := l.usableResource(t, target)
	if refused != nil || found.principal == nil || found.principal.app == nil {
		return refused
	}
	exposed := found.principal.app.exposedScopes()
	for _, name := range names {
		name = bareScope(name)
		if name != ".default" && !slices.Contains(exposed, name) {
			return errScopeUnknown.with("appName", by.displayName, "scope", name, "resource", target)
		}
	}
	return nil
}

// exposedScopes are the delegated permissions that the application defines.
func (a *application) exposedScopes() []string {
	var api struct {
		Scopes []struct {
			Value string `json:"value"`
		} `json:"oauth2PermissionScopes"`
	}
	json.Unmarshal(a.kept["api"], &api) // nothing kept is no scope
	var names []string
	for _, s := range api.Scopes {
		names = append(names, s.Value)
	}
	return names
}
