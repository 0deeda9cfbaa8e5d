package entralab

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// vaultCall is one request to Key Vault on its way through the lab.
type vaultCall struct {
	lab      *Lab
	vault    *vault
	base     string // the origin that the client called, for ids
	resource string // what a challenge names
	caller   bearer
	path     []string
	query    url.Values
	request  *http.Request
	body     []byte
	now      time.Time
	event    Event
}

// serveVault answers a request to Key Vault's data plane. Which vault is meant
// follows from the host; the origin itself is the default vault's.
func (l *Lab) serveVault(w http.ResponseWriter, r *http.Request) {
	c := &vaultCall{lab: l, request: r, now: l.clock.now(), base: "https://" + r.Host, resource: vaultResource}
	name := DefaultVault
	if host, ok := parseVaultHost(r.Host); ok {
		name, c.resource = host.name, host.resource()
	}
	l.mu.RLock()
	c.vault = l.vaults[name]
	l.mu.RUnlock()
	if c.vault == nil { // in the world there would be no such host
		writeProblem(w, http.StatusMisdirectedRequest, "there is no vault "+name+" in this lab")
		return
	}
	c.event = Event{Surface: surfaceVault, Method: r.Method, Path: r.URL.Path, Vault: name, Outcome: outcomeOK}
	body, refused := readVaultBody(r)
	c.body = body
	status, out := c.answer(refused)

	h := w.Header()
	id := l.random.guid().String()
	clientID := r.Header.Get("X-Ms-Client-Request-Id")
	if clientID == "" || len(clientID) > 128 {
		clientID = id
	}
	h.Set("X-Ms-Request-Id", id)
	h.Set("X-Ms-Client-Request-Id", clientID)
	h.Set("X-Ms-Keyvault-Region", vaultRegion)
	h.Set("X-Ms-Keyvault-Service-Version", "1.9.0.1")
	h.Set("X-Ms-Keyvault-Network-Info", "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Strict-Transport-Security", "max-age=31536000;includeSubDomains")
	h.Set("Cache-Control", "no-cache")
	h.Set("Date", c.now.Format(http.TimeFormat))
	if out != nil {
		h.Set("Content-Type", "application/json; charset=utf-8")
	}
	if status == http.StatusUnauthorized { // SDKs split this at every blank
		h.Set("WWW-Authenticate", `Bearer authorization="`+l.authorityURL+"/"+c.vault.tenant.id.String()+`", resource="`+c.resource+`"`)
	}
	w.WriteHeader(status)
	w.Write(out)
}

const vaultRegion = "westeurope"

// answer runs the call and writes it into the history, as for Graph: reads run
// side by side, a write has the lab to itself, and the answer is encoded under
// the lock.
func (c *vaultCall) answer(unread *vaultError) (status int, out []byte) {
	l := c.lab
	if c.request.Method == http.MethodGet {
		l.mu.RLock()
		defer l.mu.RUnlock()
	} else {
		l.mu.Lock()
		defer l.mu.Unlock()
	}
	status, answer, refused := c.run(unread)
	if refused != nil {
		status, answer = refused.status, refused.body()
		c.event.Outcome, c.event.Write, c.event.Digest = outcomeRefused, nil, ""
	}
	c.event.Status = status
	l.note(c.request, c.now, c.event)
	if c.request.Method != http.MethodGet {
		l.touch(c.vault)
		if l.save() != nil {
			status, answer = http.StatusServiceUnavailable, object{{"error", errStopped.Error()}}
		}
	}
	if answer != nil {
		out = encodeJSON(answer)
	}
	return status, out
}

// run authenticates, routes, authorizes and handles. The token comes before
// everything else: an SDK's first request has neither token nor body, and goes
// on after a 401 only. The order of the other checks is unverified. Call with
// l.mu held, for writing unless the method is GET.
func (c *vaultCall) run(unread *vaultError) (int, any, *vaultError) {
	if refused := c.authenticate(); refused != nil {
		return 0, nil, refused
	}
	if refused := c.firewall(); refused != nil {
		return 0, nil, refused
	}
	if refused := c.parse(); refused != nil {
		return 0, nil, refused
	}
	if unread != nil {
		return 0, nil, unread
	}
	route, keys, refused := c.route()
	if refused != nil {
		return 0, nil, refused
	}
	var name, version string
	if len(keys) > 0 {
		name = keys[0]
		if !validSecretName(name) {
			return 0, nil, badParameter("The request URI contains an invalid name: " + name) // recalled
		}
	}
	if len(keys) > 1 {
		version = keys[1]
	}
	c.event.Secret = name
	if refused := c.authorize(route.action, name); refused != nil {
		return 0, nil, refused
	}
	answer, refused := route.handle(c, name, version)
	return route.status, answer, refused
}

func (c *vaultCall) authenticate() *vaultError {
	scheme, token, _ := strings.Cut(c.request.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return noToken("AKV10000: Request is missing a Bearer or PoP token.")
	}
	caller, fault := c.lab.readToken(strings.TrimSpace(token), c.now)
	switch {
	case fault == tokenMalformed, fault == tokenForged: // recalled
		return noToken("[BearerReadAccessTokenFailed] Error validating token: 'S2S12005'.")
	case !caller.isFor(vaultAppID): // reported 2024-03
		return noToken("AKV10022: Invalid audience. Expected " + vaultResource + " or " + vaultAppID.String() + ", found: " + caller.Audience + ".")
	case fault == tokenNotInForce: // recalled
		return noToken("[TokenExpired] Error validating token: 'S2S12086'.")
	case caller.Tenant != c.vault.tenant.id.String(): // the real one lists more issuers
		return noToken("AKV10032: Invalid issuer. Expected one of " + c.lab.issuer(v1, c.vault.tenant.id.String()) + ", found " + caller.Issuer + ".")
	}
	c.caller, c.event.AppID = caller, caller.ClientID
	return nil
}

// validSecretName is Microsoft's documentation: 1 to 127 letters, digits and
// dashes.
func validSecretName(s string) bool {
	foreign := func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	return s != "" && len(s) <= 127 && !strings.ContainsFunc(s, foreign)
}

// knownVaultAPI takes every version of 7 and every date.
func knownVaultAPI(version string) bool {
	version, _, _ = strings.Cut(version, "-preview")
	if minor, ok := strings.CutPrefix(version, "7."); ok {
		_, err := strconv.ParseUint(minor, 10, 8)
		return err == nil
	}
	_, err := time.Parse(time.DateOnly, version)
	return err == nil
}

// newestVaultAPI is what azsecrets 1.5.1 asks for.
const newestVaultAPI = "2026-04-01"

// parse splits path and query. "Latest" is asked for with a slash at the end
// by most SDKs.
func (c *vaultCall) parse() *vaultError {
	escaped := strings.TrimSuffix(strings.TrimPrefix(c.request.URL.EscapedPath(), "/"), "/")
	for segment := range strings.SplitSeq(escaped, "/") {
		text, err := url.PathUnescape(segment)
		if err != nil {
			return badParameter("The path is not well formed.")
		}
		c.path = append(c.path, text)
	}
	var err error
	if c.query, err = url.ParseQuery(c.request.URL.RawQuery); err != nil {
		return badParameter("The query is not well formed.")
	}
	switch version := c.query.Get("api-version"); {
	case version == "": // that it is an error is documented, the text is not
		return badParameter("The api-version query parameter is missing. Consider using the latest supported version (" + newestVaultAPI + ").")
	case !knownVaultAPI(version): // reported 2023-02
		return badParameter("The specified version (" + version + ") is not recognized. Consider using the latest supported version (" + newestVaultAPI + ").")
	}
	return nil
}

// vaultRoute is one operation of the data plane.
type vaultRoute struct {
	method  string
	pattern string // "{}" stands for a secret's name, then a version
	action  vaultAction
	status  int // of success
	handle  func(c *vaultCall, name, version string) (any, *vaultError)
}

var vaultRoutes = []vaultRoute{
	{"GET", "secrets", actionMetadata, 200, (*vaultCall).listSecrets},
	{"PUT", "secrets/{}", actionSet, 200, (*vaultCall).setSecret},
	{"GET", "secrets/{}", actionGet, 200, (*vaultCall).getSecret},
	{"PATCH", "secrets/{}", actionUpdate, 200, (*vaultCall).updateSecret},
	{"DELETE", "secrets/{}", actionDelete, 200, (*vaultCall).deleteSecret},
	{"GET", "secrets/{}/versions", actionMetadata, 200, (*vaultCall).listVersions},
	{"POST", "secrets/{}/backup", actionBackup, 200, (*vaultCall).backupSecret},
	{"GET", "secrets/{}/{}", actionGet, 200, (*vaultCall).getSecret},
	{"PATCH", "secrets/{}/{}", actionUpdate, 200, (*vaultCall).updateSecret},
	{"POST", "secrets/restore", actionRestore, 200, (*vaultCall).restoreSecret},
	{"GET", "deletedsecrets", actionMetadata, 200, (*vaultCall).listDeleted},
	{"GET", "deletedsecrets/{}", actionMetadata, 200, (*vaultCall).getDeleted},
	{"POST", "deletedsecrets/{}/recover", actionRecover, 200, (*vaultCall).recoverSecret},
	{"DELETE", "deletedsecrets/{}", actionPurge, 204, (*vaultCall).purgeSecret},
}

// route finds the operation.
func (c *vaultCall) route() (vaultRoute, []string, *vaultError) {
	known := false
	for _, route := range vaultRoutes {
		keys, ok := matchPath(strings.Split(route.pattern, "/"), c.path)
		if ok && route.method == c.request.Method {
			return route, keys, nil
		}
		known = known || ok
	}
	if known {
		return vaultRoute{}, nil, &vaultError{status: http.StatusMethodNotAllowed, code: "MethodNotAllowed", message: "The HTTP method is not allowed for this resource."} // unverified
	}
	return vaultRoute{}, nil, &vaultError{status: http.StatusNotFound, code: "NotFound", message: "There is no such resource."} // unverified
}

// readVaultBody reads a body of at most maxBody bytes.
func readVaultBody(r *http.Request) ([]byte, *vaultError) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, badParameter("The request body cannot be read.")
	}
	if len(body) > maxBody {
		return nil, &vaultError{status: http.StatusRequestEntityTooLarge, code: "RequestEntityTooLarge", message: "The request body is larger than 1 MiB."} // unverified
	}
	return body, nil
}
