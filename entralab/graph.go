package entralab

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// graphRoute is one operation of Microsoft Graph.
type graphRoute struct {
	method  string
	pattern string   // "{}" stands for a key
	roles   []string // nil: the handler checks
	status  int      // of success
	handle  func(*graphCall) (any, *graphError)
}

// The permissions of Microsoft's permissions reference. What OwnedBy may touch
// is checked with the object at hand.
var (
	readsApplications = []string{roleApplicationRead, roleApplicationWrite, roleApplicationOwned, roleDirectoryRead}
	writesApplication = []string{roleApplicationWrite, roleApplicationOwned}
	writesAssignments = []string{roleAssignmentsWrite}
	readsPolicies     = []string{rolePolicyRead, rolePolicyWrite}
	writesPolicies    = []string{rolePolicyWrite}
	readsAudits       = []string{roleAuditRead}
	readsUsers        = []string{roleUserRead, roleDirectoryRead}
	readsOrganization = []string{roleOrganizationRead, roleDirectoryRead}
)

var graphRoutes = slices.Concat(countRoutes, deltaRoutes, activityRoutes, roleRoutes, keyRoutes, grantRoutes, peopleRoutes, []graphRoute{
	{"GET", "applications", readsApplications, 200, (*graphCall).listApplications},
	{"POST", "applications", writesApplication, 201, (*graphCall).createApplication},
	{"GET", "applications/{}", readsApplications, 200, (*graphCall).getApplication},
	{"PATCH", "applications/{}", writesApplication, 204, (*graphCall).patchApplication},
	{"DELETE", "applications/{}", writesApplication, 204, (*graphCall).deleteApplication},
	{"POST", "applications/{}/addPassword", writesApplication, 200, (*graphCall).addPassword},
	{"POST", "applications/{}/removePassword", writesApplication, 204, (*graphCall).removePassword},
	{"GET", "servicePrincipals", readsApplications, 200, (*graphCall).listPrincipals},
	{"POST", "servicePrincipals", writesApplication, 201, (*graphCall).createServicePrincipal},
	{"GET", "servicePrincipals/{}", readsApplications, 200, (*graphCall).getPrincipal},
	{"PATCH", "servicePrincipals/{}", writesApplication, 204, (*graphCall).patchPrincipal},
	{"DELETE", "servicePrincipals/{}", writesApplication, 204, (*graphCall).deletePrincipal},
	{"POST", "servicePrincipals/{}/addPassword", writesApplication, 200, (*graphCall).addPrincipalPassword},
	{"POST", "servicePrincipals/{}/removePassword", writesApplication, 204, (*graphCall).removePrincipalPassword},
	{"GET", "directory/deletedItems/microsoft.graph.application", readsApplications, 200, (*graphCall).listDeletedApplications},
	{"GET", "directory/deletedItems/microsoft.graph.servicePrincipal", readsApplications, 200, (*graphCall).listDeletedPrincipals},
	{"GET", "directory/deletedItems/{}", readsApplications, 200, (*graphCall).getDeletedItem},
	{"DELETE", "directory/deletedItems/{}", writesApplication, 204, (*graphCall).purgeDeletedItem},
	{"POST", "directory/deletedItems/{}/restore", writesApplication, 200, (*graphCall).restoreDeletedItem},
	{"GET", "servicePrincipals/{}/appRoleAssignments", readsApplications, 200, (*graphCall).listAssignments},
	{"POST", "servicePrincipals/{}/appRoleAssignments", writesAssignments, 201, (*graphCall).addAssignment},
	{"DELETE", "servicePrincipals/{}/appRoleAssignments/{}", writesAssignments, 204, (*graphCall).removeAssignment},
	{"GET", "oauth2PermissionGrants", readsGrants, 200, (*graphCall).listPermissionGrants},
	{"GET", "applications/{}/owners", readsApplications, 200, (*graphCall).listApplicationOwners},
	{"POST", "applications/{}/owners/$ref", writesApplication, 204, (*graphCall).addApplicationOwner},
	{"DELETE", "applications/{}/owners/{}/$ref", writesApplication, 204, (*graphCall).removeApplicationOwner},
	{"GET", "servicePrincipals/{}/owners", readsApplications, 200, (*graphCall).listPrincipalOwners},
	{"POST", "servicePrincipals/{}/owners/$ref", writesApplication, 204, (*graphCall).addPrincipalOwner},
	{"DELETE", "servicePrincipals/{}/owners/{}/$ref", writesApplication, 204, (*graphCall).removePrincipalOwner},
	{"GET", "applications/{}/federatedIdentityCredentials", readsApplications, 200, (*graphCall).listFederated},
	{"POST", "applications/{}/federatedIdentityCredentials", writesApplication, 201, (*graphCall).addFederated},
	{"GET", "applications/{}/federatedIdentityCredentials/{}", readsApplications, 200, (*graphCall).getFederated},
	{"PATCH", "applications/{}/federatedIdentityCredentials/{}", writesApplication, 204, (*graphCall).patchFederated},
	{"DELETE", "applications/{}/federatedIdentityCredentials/{}", writesApplication, 204, (*graphCall).deleteFederated},
	{"GET", "policies/defaultAppManagementPolicy", readsPolicies, 200, (*graphCall).getDefaultPolicy},
	{"PATCH", "policies/defaultAppManagementPolicy", writesPolicies, 204, (*graphCall).patchDefaultPolicy},
	{"GET", "policies/appManagementPolicies", readsPolicies, 200, (*graphCall).listPolicies},
	{"POST", "policies/appManagementPolicies", writesPolicies, 201, (*graphCall).addPolicy},
	{"GET", "policies/appManagementPolicies/{}", readsPolicies, 200, (*graphCall).getPolicy},
	{"PATCH", "policies/appManagementPolicies/{}", writesPolicies, 204, (*graphCall).patchPolicy},
	{"DELETE", "policies/appManagementPolicies/{}", writesPolicies, 204, (*graphCall).deletePolicy},
	{"GET", "applications/{}/appManagementPolicies", readsPolicies, 200, (*graphCall).listAssignedPolicies},
	{"POST", "applications/{}/appManagementPolicies/$ref", writesPolicies, 204, (*graphCall).assignPolicy},
	{"DELETE", "applications/{}/appManagementPolicies/{}/$ref", writesPolicies, 204, (*graphCall).unassignPolicy},
	{"GET", "auditLogs/directoryAudits", readsAudits, 200, (*graphCall).listAudits},
	{"GET", "auditLogs/signIns", readsAudits, 200, (*graphCall).listSignIns},
	{"GET", "organization", readsOrganization, 200, (*graphCall).listOrganization},
	{"GET", "users", readsUsers, 200, (*graphCall).listUsers},
})

// graphCall is one request to Graph on its way through the lab.
type graphCall struct {
	lab     *Lab
	tenant  *tenant
	caller  bearer
	version string   // v1.0 or beta
	path    []string // without the version
	keys    []string // what the pattern's {} stood for
	query   url.Values
	request *http.Request
	body    []byte
	now     time.Time
	stale   time.Time // what a stale read shows, zero until it is drawn (F3)
	event   Event

	requestID string
	inBatch   bool
	counting  bool     // a /$count segment, which stands for $count=true
	extra     []member // headers beyond the usual ones
}

// serveGraph answers a request to Graph.
func (l *Lab) serveGraph(w http.ResponseWriter, r *http.Request) {
	if isMetadata(r) {
		l.serveMetadata(w, r)
		return
	}
	c := &graphCall{lab: l, request: r, now: l.clock.now(), requestID: l.random.guid().String()}
	c.event = Event{Surface: surfaceGraph, Method: r.Method, Path: r.URL.Path, Outcome: outcomeOK}
	body, refused := readGraphBody(r)
	c.body = body
	status, out, kind := c.answer(refused)
	c.write(w, status, out, kind)
	l.answers.put(out)
}

// graphJSON is as in a sample of Microsoft's documentation.
const graphJSON = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"

// write sends an answer with Graph's headers.
func (c *graphCall) write(w http.ResponseWriter, status int, out []byte, kind string) {
	h := w.Header()
	h.Set("Request-Id", c.requestID)
	h.Set("Client-Request-Id", c.clientRequestID())
	h.Set("Date", c.now.Format(http.TimeFormat))
	h.Set("Cache-Control", "no-cache")
	h.Set("Strict-Transport-Security", "max-age=31536000")
	for _, m := range c.extra {
		h.Set(m.name, m.value.(string))
	}
	switch {
	case status >= 400:
		h.Set("Content-Type", "application/json")
	case out != nil:
		h.Set("Content-Type", kind)
		h.Set("OData-Version", "4.0")
	}
	if status == http.StatusUnauthorized { // form recalled, unverified
		h.Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="", authorization_uri="%s/common/oauth2/authorize", client_id="%s"`, c.lab.authorityURL, graphAppID))
	}
	w.WriteHeader(status)
	w.Write(out)
}

// answerBuffers are used again, since a page of a long list takes megabytes.
type answerBuffers struct{ pool sync.Pool }

// Buffers of common answers are not worth keeping; a page of a thousand common
// apps has room in the largest that are kept.
const (
	minKeptBuffer = 64 << 10
	maxKeptBuffer = 8 << 20
)

func (p *answerBuffers) get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}

func (p *answerBuffers) put(b []byte) {
	if cap(b) >= minKeptBuffer && cap(b) <= maxKeptBuffer {
		p.pool.Put(&b)
	}
}

// answer runs the call and writes it into the history. Reads run side by side;
// a write has the lab to itself from the first check to the last change. The
// answer is encoded under the lock, because it points into the model.
func (c *graphCall) answer(refused *graphError) (status int, out []byte, kind string) {
	l := c.lab
	if c.request.Method == http.MethodGet {
		l.mu.RLock()
		defer l.mu.RUnlock()
	} else {
		l.mu.Lock()
		defer l.mu.Unlock()
	}
	var answer any
	if refused == nil {
		status, answer, refused = c.run()
	}
	if refused != nil {
		status, answer = refused.status, refused.body(c.now, c.requestID, c.clientRequestID())
		c.event.Outcome, c.event.Write = outcomeRefused, nil
	}
	c.event.Status = status
	l.note(c.request, c.now, c.event)
	if c.request.Method != http.MethodGet {
		if c.tenant != nil {
			l.touch(c.tenant)
		}
		if l.save() != nil {
			status, answer = http.StatusServiceUnavailable, object{{"error", errStopped.Error()}}
		}
	}
	switch answer := answer.(type) {
	case nil:
	case plainText:
		out, kind = []byte(answer), "text/plain"
	default:
		out, kind = appendJSON(l.answers.get(), answer), graphJSON
	}
	return status, out, kind
}

// clientRequestID echoes what the client sent, or repeats the request id.
func (c *graphCall) clientRequestID() string {
	if sent := c.request.Header.Get("Client-Request-Id"); sent != "" && len(sent) <= 128 {
		return sent
	}
	return c.requestID
}

// run authenticates, routes, authorizes and handles. Call with l.mu held, for
// writing unless the method is GET.
func (c *graphCall) run() (int, any, *graphError) {
	if refused := c.authenticate(); refused != nil {
		return 0, nil, refused
	}
	if refused := c.parse(); refused != nil {
		return 0, nil, refused
	}
	if c.isBatch() {
		answer, refused := c.batch()
		return http.StatusOK, answer, refused
	}
	route, refused := c.route()
	if refused != nil {
		return 0, nil, refused
	}
	if refused := c.throttle(route.pattern); refused != nil {
		return 0, nil, refused
	}
	if route.roles != nil && !slices.ContainsFunc(c.caller.Roles, func(role string) bool { return slices.Contains(route.roles, role) }) {
		return 0, nil, errDenied
	}
	answer, refused := route.handle(c)
	return route.status, answer, refused
}

func (c *graphCall) authenticate() *graphError {
	scheme, token, _ := strings.Cut(c.request.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return unauthorized("Access token is empty.")
	}
	var refused *graphError
	if c.caller, refused = c.lab.verify(strings.TrimSpace(token), c.now); refused != nil {
		return refused
	}
	if c.tenant = c.lab.tenantNamed(c.caller.Tenant); c.tenant == nil { // an import took it away
		return unauthorized("Access token validation failure.")
	}
	return nil
}

// parse splits path and query. A key in parentheses, applications(appId='…')
// or applications('…'), becomes a segment of its own.
func (c *graphCall) parse() *graphError {
	version, rest, _ := strings.Cut(strings.TrimPrefix(c.request.URL.Path, "/"), "/")
	if version != "v1.0" && version != "beta" {
		return badRequest("BadRequest", "Invalid version: "+version)
	}
	c.version = version
	for segment := range strings.SplitSeq(strings.TrimSuffix(rest, "/"), "/") {
		name, key, keyed := strings.Cut(strings.TrimSuffix(segment, "()"), "(") // delta() is called like delta
		c.path = append(c.path, name)
		if !keyed {
			continue
		}
		key, closed := strings.CutSuffix(key, ")")
		if property, quoted, ok := strings.Cut(key, "="); ok && strings.EqualFold(property, "appId") {
			key = alternateKey + quoted
		}
		if !closed || !strings.HasSuffix(key, "'") || !strings.HasPrefix(strings.TrimPrefix(key, alternateKey), "'") {
			return badRequest("BadRequest", "Invalid key in segment '"+segment+"'.")
		}
		c.path = append(c.path, strings.ReplaceAll(key, "'", ""))
	}
	var err error
	if c.query, err = parseQuery(c.request.URL.RawQuery); err != nil {
		return badRequest("BadRequest", "The query is not well formed.")
	}
	return nil
}

// alternateKey marks a key that is a client id instead of an object id.
const alternateKey = "appId="

// route finds the operation. Names of segments ignore case (recalled).
func (c *graphCall) route() (graphRoute, *graphError) {
	known := false
	for _, route := range graphRoutes {
		keys, ok := matchPath(strings.Split(route.pattern, "/"), c.path)
		if ok && route.method == c.request.Method {
			c.keys = keys
			return route, nil
		}
		known = known || ok
	}
	if known {
		return graphRoute{}, &graphError{http.StatusMethodNotAllowed, "Request_BadRequest", "Specified HTTP method is not allowed for the request target."} // recalled
	}
	return graphRoute{}, badRequest("BadRequest", "Resource not found for the segment '"+c.path[len(c.path)-1]+"'.") // seen with status 400
}

func matchPath(pattern, path []string) (keys []string, ok bool) {
	if len(pattern) != len(path) {
		return nil, false
	}
	for i, segment := range pattern {
		switch {
		case segment == "{}":
			keys = append(keys, path[i])
		case !strings.EqualFold(segment, path[i]):
			return nil, false
		}
	}
	return keys, true
}

// readGraphBody reads a body of at most maxBody bytes. The Graph SDKs built on
// kiota compress theirs (seen).
func readGraphBody(r *http.Request) ([]byte, *graphError) {
	reader := io.Reader(r.Body)
	switch encoding := r.Header.Get("Content-Encoding"); strings.ToLower(encoding) {
	case "", "identity":
	case "gzip":
		unzipped, err := gzip.NewReader(io.LimitReader(r.Body, maxBody))
		if err != nil {
			return nil, badRequest("BadRequest", "The request body is not gzip.")
		}
		reader = unzipped
	default:
		return nil, &graphError{http.StatusUnsupportedMediaType, "UnsupportedMediaType", "Content encoding '" + encoding + "' is not supported."}
	}
	body, err := io.ReadAll(io.LimitReader(reader, maxBody+1))
	if err != nil {
		return nil, badRequest("BadRequest", "The request body cannot be read.")
	}
	if len(body) > maxBody {
		return nil, &graphError{http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "The request body is larger than 1 MiB."}
	}
	return body, nil
}

// read decodes the body, which may be empty, into a struct or a map.
func (c *graphCall) read(into any) *graphError {
	if len(c.body) == 0 {
		return nil
	}
	if c.request.Header.Get("Content-Type") == "" { // text recorded 2018 and 2022
		return badRequest("BadRequest", "Write requests (excluding DELETE) must contain the Content-Type header declaration.")
	}
	if err := decodeStrictly(c.body, into); err != nil {
		return badRequest("Request_BadRequest", "Unable to read the JSON request payload: "+err.Error())
	}
	return nil
}

// actor is the calling app as the audit log names it.
func (c *graphCall) actor() actor {
	clientID, _ := parseGUID(c.caller.ClientID)
	principal, _ := parseGUID(c.caller.Principal)
	return actor{clientID: clientID, principalID: principal, name: c.caller.DisplayName, userAgent: c.request.UserAgent()}
}

// mayWrite reports whether the caller may change an object with these owners:
// with OwnedBy alone only its own.
func (c *graphCall) mayWrite(owners []guid) bool {
	if slices.Contains(c.caller.Roles, roleApplicationWrite) {
		return true
	}
	principal, _ := parseGUID(c.caller.Principal)
	return slices.Contains(owners, principal)
}

// newOwners is who owns an object the caller makes. The creator becomes an
// owner when that is what lets it manage the object.
func (c *graphCall) newOwners() []guid {
	if slices.Contains(c.caller.Roles, roleApplicationWrite) {
		return nil
	}
	principal, _ := parseGUID(c.caller.Principal)
	return []guid{principal}
}

// context is the @odata.context of an answer.
func (c *graphCall) context(of string) member {
	return member{"@odata.context", c.lab.graphURL + "/" + c.version + "/$metadata#" + of}
}

// extraHeader adds a header to the answer, of a batch as well.
func (c *graphCall) extraHeader(name, value string) {
	c.extra = append(c.extra, member{name, value})
}

// about notes in the history which app a request is about.
func (c *graphCall) about(a *application) {
	c.event.AppID, c.event.ObjectID = a.clientID.String(), a.id.String()
}

// wrote notes in the history what a request changed.
func (c *graphCall) wrote(kind, keyID string) {
	c.event.KeyID, c.event.Write = keyID, &Write{Kind: kind, KeyID: keyID}
}
