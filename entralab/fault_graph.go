package entralab

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// graphAnswer is an answer of Graph that no handler gave.
func (c *faultCall) graphAnswer(e *graphError) *faultAnswer {
	g := &graphCall{lab: c.lab, request: c.request, now: c.q.now, requestID: c.guid().String()}
	return record(func(w http.ResponseWriter, _ *http.Request) {
		g.write(w, e.status, encodeJSON(e.body(g.now, g.requestID, g.clientRequestID())), "")
	}, c.request)
}

// vaultAnswer is an error of Key Vault; inner may be empty.
func (c *faultCall) vaultAnswer(status int, code, inner, message string) *faultAnswer {
	body := object{{"code", code}, {"message", message}}
	if inner != "" {
		body = append(body, member{"innererror", object{{"code", inner}}})
	}
	a := newAnswer(status, "application/json; charset=utf-8", string(encodeJSON(object{{"error", body}})))
	a.header.Set("Date", c.q.now.Format(http.TimeFormat))
	a.header.Set("X-Ms-Request-Id", c.guid().String())
	return a
}

// refuse answers in the manner of the surface.
func (c *faultCall) refuse(token refusal, graph *graphError, vaultCode, vaultInner, vaultMessage string) *faultAnswer {
	switch c.q.surface {
	case surfaceToken:
		return c.tokenAnswer(&token)
	case surfaceGraph:
		return c.graphAnswer(graph)
	}
	return c.vaultAnswer(graph.status, vaultCode, vaultInner, vaultMessage)
}

func faultConcurrency(c *faultCall) *faultAnswer {
	return c.graphAnswer(&graphError{http.StatusConflict, "Directory_ConcurrencyViolation", "Error due to concurrent requests being made to the tenant. Please wait briefly and retry."})
}

// maxCrowd bounds how many apps F5 remembers before it forgets the old ones.
const maxCrowd = 1000

// crowded reports whether a write comes within the rule's time of another to
// the same app, be that answered or refused. Without such a time every write
// counts.
func crowded(r *faultRule, q *faultRequest) bool {
	within := r.params.duration("within")
	if within <= 0 {
		return true
	}
	app := q.event.ObjectID
	if app == "" {
		return false
	}
	last, written := r.writes[app]
	soon := func(at time.Time) bool { return q.now.Sub(at).Abs() < within }
	if len(r.writes) >= maxCrowd {
		maps.DeleteFunc(r.writes, func(_ string, at time.Time) bool { return !soon(at) })
	}
	if r.writes == nil {
		r.writes = map[string]time.Time{}
	}
	r.writes[app] = q.now
	return written && soon(last)
}

// throttled is Graph's 429 (Microsoft documentation; the code varies).
var throttled = &graphError{http.StatusTooManyRequests, "TooManyRequests", "Too many requests. Please wait and retry."}

func faultThrottled(c *faultCall) *faultAnswer {
	a := c.refuse(errLoop, throttled, "Throttled", "", "Request was not processed because too many requests were received.")
	seconds := c.rule.params.number("seconds")
	switch c.kind() {
	case "seconds":
		a.header.Set("Retry-After", strconv.Itoa(seconds))
	case "date":
		a.header.Set("Retry-After", c.q.now.Add(time.Duration(seconds)*time.Second).Format(http.TimeFormat))
	case "zero":
		a.header.Set("Retry-After", "0")
	case "negative":
		a.header.Set("Retry-After", "-5")
	case "day":
		a.header.Set("Retry-After", "86400")
	case "garbage":
		a.header.Set("Retry-After", "soon")
	}
	if c.q.surface == surfaceGraph {
		a.header.Set("X-Ms-Throttle-Scope", "Tenant_Application/ReadWrite/"+callerOf(c.request)+"/"+c.lab.TenantID())
		a.header.Set("X-Ms-Throttle-Information", "ResourceUnitLimitExceeded")
	}
	return a
}

func faultServerError(c *faultCall) *faultAnswer { return c.serverError(c.kind()) }

// serverError is 500, 502, 503 or 504. Between a client and the service stand
// gateways, whose 502 is a page.
func (c *faultCall) serverError(status string) *faultAnswer {
	code, text := "serviceNotAvailable", "The service is temporarily unavailable. Please retry."
	switch status {
	case "500":
		code, text = "InternalServerError", "An internal server error occurred."
	case "502":
		return newAnswer(http.StatusBadGateway, "text/html", "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n")
	case "504":
		code, text = "UnknownError", "The request timed out at the gateway."
	}
	n, _ := strconv.Atoi(status)
	token := errTransient
	token.status = n
	return c.refuse(token, &graphError{n, code, text}, code, "", text)
}

// faultPhantom promises a write that is not made.
func faultPhantom(c *faultCall) *faultAnswer {
	g := &graphCall{lab: c.lab, request: c.request, now: c.q.now, requestID: c.guid().String(), version: "v1.0", body: c.body}
	status, out := http.StatusNoContent, []byte(nil)
	if pathHas("/addpassword")(c.q) {
		spec, refused := g.passwordSpec()
		if refused != nil {
			return nil
		}
		made := credential{keyID: c.guid(), hint: hintOf(spec.Value), displayName: spec.DisplayName, start: stampOf(spec.Start), end: stampOf(spec.End)}
		answer := append(object{g.context("microsoft.graph.passwordCredential")}, passwordCredential(made, spec.Value)...)
		status, out = http.StatusOK, encodeJSON(answer)
	} else if c.q.method == http.MethodPost && !pathHas("/removepassword", "/$ref")(c.q) {
		return nil // what a creation would answer depends on the tenant
	}
	return record(func(w http.ResponseWriter, _ *http.Request) { g.write(w, status, out, graphJSON) }, c.request)
}

func faultClaims(c *faultCall) *faultAnswer {
	nbf := strconv.FormatInt(c.q.now.Unix(), 10)
	claims := base64.StdEncoding.EncodeToString([]byte(`{"access_token":{"nbf":{"essential":true,"value":"` + nbf + `"}}}`))
	e := unauthorized("Continuous access evaluation resulted in challenge with result: InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp")
	a := c.refuse(refusal{}, e, "Unauthorized", "", "[TokenExpired] Error validating token: IDX10223") // vault's recalled
	a.header.Set("WWW-Authenticate", `Bearer realm="", authorization_uri="`+c.lab.authorityURL+`/common/oauth2/authorize", client_id="`+graphAppID.String()+`", error="insufficient_claims", claims="`+claims+`"`)
	return a
}

func faultDenied(c *faultCall) *faultAnswer {
	return c.refuse(refusal{}, errDenied, "Forbidden", "ForbiddenByRbac", vaultDenied)
}

func faultReports(c *faultCall) *faultAnswer {
	switch c.kind() {
	case "quota":
		a := c.graphAnswer(throttled)
		a.header.Set("Retry-After", "10")
		return a
	case "forbidden": // recalled
		return c.graphAnswer(&graphError{http.StatusForbidden, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", "Neither tenant is B2C or tenant doesn't have premium license"})
	case "missing":
		return c.graphAnswer(&graphError{http.StatusNotFound, "UnknownError", ""})
	}
	g := &graphCall{lab: c.lab, request: c.request, now: c.q.now, requestID: c.guid().String(), version: "v1.0"}
	empty := encodeJSON(object{g.context("auditLogs"), {"value", []object{}}})
	return record(func(w http.ResponseWriter, _ *http.Request) { g.write(w, http.StatusOK, empty, graphJSON) }, c.request)
}

// faultResync is recalled.
func faultResync(c *faultCall) *faultAnswer {
	return c.graphAnswer(&graphError{http.StatusGone, "resyncRequired", "The delta token is no longer valid, and the app must reset the sync state."})
}

func faultBeta(c *faultCall) *faultAnswer {
	return c.graphAnswer(&graphError{http.StatusNotFound, "UnknownError", ""})
}

// faultRename renames one app while a client is between two pages.
func faultRename(c *faultCall) bool {
	if !strings.Contains(strings.ToLower(c.request.URL.RawQuery), "skiptoken") {
		return false
	}
	l := c.lab
	l.mu.Lock()
	defer l.mu.Unlock()
	live := slices.DeleteFunc(slices.Clone(l.home.apps), func(a *application) bool { return !a.live() })
	a := live[c.random.IntN(len(live))]
	name := strings.TrimSpace(a.displayName[:min(len(a.displayName), maxName-10)]) + " (renamed)"
	_, write, refused := portalRename(l, a, portalCommand{Action: "rename", DisplayName: &name})
	if refused != nil {
		return false
	}
	event := portalEvent(a.clientID.String(), a.id.String(), write.Kind, "")
	event.Fault = c.rule.Fault
	l.history.add(c.q.now, event)
	return l.save() == nil
}

// faultPageRefused answers the two kinds that lose a page.
func faultPageRefused(c *faultCall) *faultAnswer {
	if !strings.Contains(strings.ToLower(c.request.URL.RawQuery), "skiptoken") {
		return nil
	}
	switch c.kind() {
	case "expired":
		return c.refuse(refusal{}, errPageToken, "BadParameter", "", "The page token has expired.")
	case "error":
		return c.serverError("500")
	}
	return nil
}

// faultPaging changes a page of a list.
func faultPaging(c *faultCall, a *faultAnswer) bool {
	page, ok := listIn(a)
	if !ok {
		return false
	}
	own := c.lab.graphURL + c.request.URL.RequestURI()
	if c.q.surface != surfaceGraph {
		own = "https://" + c.request.Host + c.request.URL.RequestURI()
	}
	switch c.kind() {
	case "empty-page": // the items come when the client follows the link
		page.items, page.next = nil, own
	case "repeated":
		if len(page.items) == 0 {
			return false
		}
		page.items = append(page.items, page.items[0])
	case "missing":
		if len(page.items) == 0 {
			return false
		}
		page.items = page.items[:len(page.items)-1]
	case "loop":
		page.next = own
	default:
		return false
	}
	page.write(a)
	return true
}

// pageOf is the page of a list, taken apart.
type pageOf struct {
	members map[string]json.RawMessage
	link    string // name of the member with the next page's address
	next    string // "" leaves it as it is
	items   []json.RawMessage
}

// listIn reads an answer that is a page of a list.
func listIn(a *faultAnswer) (pageOf, bool) {
	l := pageOf{link: "@odata.nextLink"}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &l.members) != nil || json.Unmarshal(l.members["value"], &l.items) != nil {
		return l, false
	}
	if _, vault := l.members["nextLink"]; vault {
		l.link = "nextLink"
	}
	return l, true
}

func (l pageOf) write(a *faultAnswer) {
	if l.items == nil {
		l.items = []json.RawMessage{}
	}
	l.members["value"] = encodeJSON(l.items)
	if l.next != "" {
		l.members[l.link] = encodeJSON(l.next)
	}
	a.body = encodeJSON(l.members)
}

// dropYounger leaves out the entries that a late log does not show yet.
func (l *pageOf) dropYounger(than time.Time, property string) {
	l.items = slices.DeleteFunc(l.items, func(item json.RawMessage) bool {
		var entry map[string]any
		json.Unmarshal(item, &entry) // the lab's own
		text, _ := entry[property].(string)
		at, err := time.Parse(time.RFC3339, text)
		return err == nil && at.After(than)
	})
}

func faultSignInLog(c *faultCall, a *faultAnswer) bool {
	page, ok := listIn(a)
	if !ok {
		return false
	}
	switch c.kind() {
	case "late":
		page.dropYounger(c.q.now.Add(-c.between()), "createdDateTime")
	case "disorder":
		c.random.Shuffle(len(page.items), func(i, j int) { page.items[i], page.items[j] = page.items[j], page.items[i] })
	case "duplicate":
		page.items = append(page.items, page.items[:min(1, len(page.items))]...)
	case "no-key-id":
		for i, item := range page.items {
			var entry map[string]json.RawMessage
			json.Unmarshal(item, &entry) // the lab's own
			entry["servicePrincipalCredentialKeyId"] = json.RawMessage("null")
			page.items[i] = encodeJSON(entry)
		}
	}
	page.write(a)
	return true
}

func faultAuditLog(c *faultCall, a *faultAnswer) bool {
	page, ok := listIn(a)
	if !ok {
		return false
	}
	if c.kind() == "late" {
		page.dropYounger(c.q.now.Add(-c.between()), "activityDateTime")
		page.write(a)
		return true
	}
	plain := bytes.ReplaceAll(a.body, []byte("–"), []byte("-"))
	changed := !bytes.Equal(plain, a.body)
	a.body = plain
	return changed
}

// staleAt is the time that a read shows, and whether it is not now.
func (c *graphCall) staleAt() (time.Time, *faultCall) {
	f := conditionOf(c.request, "F3")
	if f == nil || f.rule.params.text("consistency") == "honoured" && !strings.EqualFold(c.request.Header.Get("ConsistencyLevel"), "eventual") {
		return time.Time{}, nil
	}
	if c.stale.IsZero() { // one replica serves a whole request
		n := f.rule.params.number("replicas")
		c.stale = c.now.Add(-time.Duration(float64(f.between()) * float64(1+f.random.IntN(n)) / float64(n)))
	}
	return c.stale, f
}

// asRead is an object as the request sees it: as it is, or as it was for a
// while (F3, F4). ok is false for one that is not there yet.
func asRead[T item](c *graphCall, it T) (seen T, ok bool) {
	if c.lab.faults.active.Load() == nil {
		return it, true
	}
	created := time.Time{}
	switch v := any(it).(type) {
	case *application:
		created = v.created.time()
	case *servicePrincipal:
		created = v.created.time()
	default:
		return it, true
	}
	if f := conditionOf(c.request, "F4"); f != nil && c.now.Sub(created) < f.rule.params.duration("within") {
		f.use()
		return it, false
	}
	at, f := c.staleAt()
	if f == nil || c.request.Method != http.MethodGet {
		return it, true
	}
	f.use()
	if created.After(at) {
		return it, false
	}
	switch v := any(it).(type) {
	case *application:
		old := *v
		old.credentialSet = v.credentialSet.asOf(at)
		if old.deleted > stampOf(at) {
			old.deleted = 0
		}
		return any(&old).(T), true
	case *servicePrincipal:
		old := *v
		old.credentialSet = v.credentialSet.asOf(at)
		return any(&old).(T), true
	}
	return it, true
}

// asOf is the set as it was.
func (s *credentialSet) asOf(at time.Time) credentialSet {
	var old credentialSet
	for _, list := range [2][]credential{s.secrets, s.removed()} {
		for _, c := range list {
			if gone := c.removed(); c.made <= stampOf(at) && (gone.isZero() || gone > stampOf(at)) {
				old.secrets = append(old.secrets, c)
			}
		}
	}
	slices.SortStableFunc(old.secrets, func(a, b credential) int { return cmp.Compare(a.made, b.made) })
	return old
}
