package entralab

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// deltaRoutes follow changes.
var deltaRoutes = []graphRoute{
	{"GET", "applications/delta", readsApplications, 200, (*graphCall).deltaApplications},
	{"GET", "applications/microsoft.graph.delta", readsApplications, 200, (*graphCall).deltaApplications},
	{"GET", "servicePrincipals/delta", readsApplications, 200, (*graphCall).deltaPrincipals},
	{"GET", "servicePrincipals/microsoft.graph.delta", readsApplications, 200, (*graphCall).deltaPrincipals},
}

const (
	// keepDelta is how long a token of directory objects lasts (Microsoft
	// documentation).
	keepDelta = 7 * 24 * time.Hour
	// deltaPage is the lab's: $top is not for delta queries of the directory.
	deltaPage = 100
)

// deltaState is what a token says. A round tells what happened after From and
// up to To, both of which count entries of the tenant's audit log: every
// change of an object writes one. The first round lists what there is.
type deltaState struct {
	Of     string    `json:"o"` // "applications" or "servicePrincipals"
	Tenant string    `json:"t"`
	At     time.Time `json:"a"` // of the token
	Since  time.Time `json:"s"` // of the token that the round began with, zero for none
	From   int       `json:"f"` // -1 in the first round
	To     int       `json:"u"`
	After  int       `json:"n"`           // ordinal of the last object sent, -1 at the start
	Select []string  `json:"p,omitempty"` // properties, nil for all
	IDs    []string  `json:"i,omitempty"` // of the only objects to follow, nil for all
	Skip   bool      `json:"k,omitempty"` // a $skiptoken
}

func (c *graphCall) deltaApplications() (any, *graphError) {
	return delta(c, applications, c.tenant.apps, c.tenant.changedApps)
}

func (c *graphCall) deltaPrincipals() (any, *graphError) {
	return delta(c, principals, c.tenant.principals, c.tenant.changedPrincipals)
}

// followed is an object of a delta query.
type followed interface {
	item
	key() guid
	gone() time.Time // when it was deleted, zero while it lives
}

func (a *application) key() guid      { return a.id }
func (p *servicePrincipal) key() guid { return p.id }

func (a *application) gone() time.Time { return a.deleted.time() }

// gone is the application's date too: its deletion takes p along.
func (p *servicePrincipal) gone() time.Time {
	if p.deleted.isZero() && p.app != nil {
		return p.app.deleted.time()
	}
	return p.deleted.time()
}

// delta answers one page of one round.
func delta[T followed](c *graphCall, col *collection[T], all []T, changed func(deltaState) map[guid]bool) (any, *graphError) {
	state, latest, refused := readDelta(c, col)
	if refused != nil {
		return nil, refused
	}
	var found []T
	if !latest {
		var touched map[guid]bool
		if state.From >= 0 {
			touched = changed(state)
		}
		for _, it := range all {
			if it.ord() > state.After && state.tells(it, touched, c.now) {
				found = append(found, it)
			}
		}
	}
	answer := object{c.context(col.name + state.selection())}
	if size := c.lab.shapes.page(deltaPage); len(found) > size {
		found = found[:size]
		state.After, state.Skip = found[size-1].ord(), true
		answer = append(answer, member{"@odata.nextLink", c.deltaLink(state, "$skiptoken")})
	} else {
		state = deltaState{Of: state.Of, Tenant: state.Tenant, Since: c.now, From: state.To, After: -1, Select: state.Select, IDs: state.IDs}
		answer = append(answer, member{"@odata.deltaLink", c.deltaLink(state, "$deltatoken")})
	}
	values := make([]object, 0, len(found))
	for _, it := range found {
		if it.live() {
			values = append(values, render(col, it, state.Select))
			continue
		}
		reason := "deleted"
		if c.now.Before(it.gone().Add(keepDeleted)) && !isPurged(it) {
			reason = "changed" // it can be restored
		}
		values = append(values, object{{"id", it.key().String()}, {"@removed", object{{"reason", reason}}}})
	}
	return append(answer, member{"value", values}), nil
}

func isPurged(it any) bool {
	switch it := it.(type) {
	case *application:
		return it.purged
	case *servicePrincipal:
		return it.purged || it.app != nil && it.app.purged
	}
	return false
}

// tells reports whether a round has an object: in the first those that live,
// later those that changed, or whose thirty days in the deleted items ended.
func (s *deltaState) tells(it followed, touched map[guid]bool, now time.Time) bool {
	if s.IDs != nil && !slices.Contains(s.IDs, it.key().String()) {
		return false
	}
	if s.From < 0 {
		return it.live()
	}
	ended := it.gone().Add(keepDeleted)
	return touched[it.key()] || !it.gone().IsZero() && !isPurged(it) && ended.After(s.Since) && !ended.After(now)
}

// selection is the part of @odata.context in parentheses. The id, which always
// comes, is named where the client names it.
func (s *deltaState) selection() string {
	if s.Select == nil {
		return ""
	}
	return "(" + strings.Join(s.Select, ",") + ")"
}

// readDelta reads a request: the first of all rounds, or a token. latest asks
// for a token and no objects.
func readDelta[T item](c *graphCall, col *collection[T]) (state deltaState, latest bool, refused *graphError) {
	option := map[string]string{} // names in any case: documents have deltaToken and deltatoken
	for name, values := range c.query {
		option[strings.ToLower(name)] = values[0]
	}
	token, skip := option["deltatoken"], false
	if option["skiptoken"] != "" {
		token, skip = option["skiptoken"], true
	}
	if option["deltatoken"] != "" && option["skiptoken"] != "" {
		return state, false, errDeltaToken
	}
	for _, name := range []string{"apply", "count", "expand", "format", "orderby", "search", "skip", "top"} {
		if _, sent := option[name]; sent { // Microsoft documentation of users and groups; text recalled
			return state, false, unsupportedQuery("Query option '$" + name + "' is not supported for delta queries.")
		}
	}
	latest = token == "latest" && !skip
	if token != "" && !latest {
		if state, refused = c.openDelta(token, col.name, skip); refused != nil {
			return state, false, refused
		}
	} else {
		state = deltaState{Of: col.name, Tenant: c.tenant.id.String(), From: -1, After: -1}
	}
	_, filtered := option["filter"]
	_, selected := option["select"]
	if token != "" && !latest && (filtered || skip && selected) {
		return state, false, badRequest("Request_BadRequest", "Query options cannot be added to a state token.") // recalled
	}
	if filtered {
		if state.IDs, refused = deltaIDs(option["filter"]); refused != nil {
			return state, false, refused
		}
	}
	if selected {
		if state.Select, refused = parseSelect(c, col); refused != nil {
			return state, false, refused
		}
		if !slices.Contains(state.Select, "id") { // it is always returned (Microsoft documentation)
			state.Select = append([]string{"id"}, state.Select...)
		}
	}
	if !skip {
		state.To = len(c.tenant.audits)
	}
	return state, latest, nil
}

// deltaIDs reads the only filter there is: "id eq '…'", joined by or
// (Microsoft documentation).
func deltaIDs(filter string) ([]string, *graphError) {
	e, ok := parseFilter(filter)
	operands := []expression{e}
	if e.operator == "or" {
		operands = e.operands
	}
	var ids []string
	for _, operand := range operands {
		if !ok || operand.operator != "eq" || operand.property != "id" || operand.inAny {
			return nil, unsupportedQuery("Only filters by id are supported for delta queries.") // recalled
		}
		id, _ := parseGUID(operand.values[0].text)
		ids = append(ids, id.String())
	}
	return ids, nil
}

// changedApps are the applications with a change in a round. Owners, grants
// and other relations are not followed (Microsoft documentation).
func (t *tenant) changedApps(s deltaState) map[guid]bool {
	touched := map[guid]bool{}
	for _, e := range t.audits[s.From:max(s.From, s.To)] {
		if e.targetType == "Application" && s.follows(e) {
			touched[e.targetID] = true
		}
	}
	return touched
}

// changedPrincipals are the service principals with a change in a round: one of
// their own, or of their application when they show it.
func (t *tenant) changedPrincipals(s deltaState) map[guid]bool {
	touched := map[guid]bool{}
	apps := map[guid]bool{}
	for _, e := range t.audits[s.From:max(s.From, s.To)] {
		switch {
		case e.targetType == "ServicePrincipal" && s.follows(e):
			touched[e.targetID] = true
		case e.targetType == "Application" && (lifeEvent(e.activity) || s.followsAny(e, "displayName", "identifierUris", "signInAudience", "appRoles")):
			apps[e.targetID] = true
		}
	}
	for _, p := range t.principals {
		if p.app != nil && apps[p.app.id] {
			touched[p.id] = true
		}
	}
	return touched
}

// lifeEvent reports whether an object came or went, which is told whatever is selected.
func lifeEvent(what activity) bool {
	switch what {
	case auditAddApp, auditDeleteApp, auditRestoreApp, auditHardDeleteApp,
		auditAddPrincipal, auditDeletePrincipal, auditRestorePrincipal, auditHardDeletePrincipal:
		return true
	}
	return false
}

// follows reports whether an entry is about something the client selected.
func (s *deltaState) follows(e *audit) bool {
	return lifeEvent(e.activity) || s.followsAny(e)
}

// followsAny reports whether an entry names a selected property; with names,
// only these are looked at.
func (s *deltaState) followsAny(e *audit, names ...string) bool {
	for _, property := range updatedProperties(e) {
		shown := func(name string) bool { return strings.EqualFold(name, property) }
		if len(names) > 0 && !slices.ContainsFunc(names, shown) {
			continue
		}
		if s.Select == nil || slices.ContainsFunc(s.Select, shown) {
			return true
		}
	}
	return false
}

// updatedProperties are those an audit entry names, as Graph calls them.
func updatedProperties(e *audit) []string {
	var names []string
	for _, c := range e.changes {
		if c.property != "Included Updated Properties" {
			continue
		}
		for name := range strings.SplitSeq(strings.Trim(c.new, `"`), ", ") {
			switch name {
			case "":
			case "KeyDescription":
				names = append(names, "passwordCredentials", keyCredentialsName)
			default:
				names = append(names, name)
			}
		}
	}
	return names
}

// deltaLink seals a state into a link.
func (c *graphCall) deltaLink(s deltaState, name string) string {
	s.At = c.now
	return c.deltaURL() + "?" + name + "=" + c.lab.sealDelta(s)
}

func (c *graphCall) deltaURL() string {
	return c.lab.graphURL + c.request.URL.EscapedPath()
}

// The parts of a token: which lab sealed it, a checksum over all that follows,
// and the state.
const (
	deltaLabSize = 4
	deltaSumSize = 12
)

// deltaKey makes a changed token show. It is no secret: the seed is public.
func (l *Lab) deltaKey() []byte {
	key := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("lab-delta:"), l.random.seed))
	return key[:]
}

func (l *Lab) sealDelta(s deltaState) string {
	body := encodeJSON(s)
	key := l.deltaKey()
	return base64.RawURLEncoding.EncodeToString(slices.Concat(key[:deltaLabSize], deltaSum(key, body), body))
}

func deltaSum(key, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	return mac.Sum(nil)[:deltaSumSize]
}

// errDeltaToken is for what is no token of the collection (recalled).
var errDeltaToken = badRequest("Request_BadRequest", "Badly formed token.")

// openDelta reads a token. One that is too old, or of another lab, asks for a
// full synchronization.
func (c *graphCall) openDelta(token, of string, skip bool) (deltaState, *graphError) {
	var s deltaState
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) < deltaLabSize+deltaSumSize {
		return s, errDeltaToken
	}
	key := c.lab.deltaKey()
	lab, sum, body := raw[:deltaLabSize], raw[deltaLabSize:deltaLabSize+deltaSumSize], raw[deltaLabSize+deltaSumSize:]
	intact := hmac.Equal(sum, deltaSum(key, body))
	switch {
	case !hmac.Equal(lab, key[:deltaLabSize]) && json.Unmarshal(body, &s) == nil:
		return s, c.resync(s)
	case !intact || json.Unmarshal(body, &s) != nil:
		return s, errDeltaToken
	case s.Of != of || s.Tenant != c.tenant.id.String() || s.Skip != skip:
		return s, errDeltaToken
	case !c.now.Before(s.At.Add(keepDelta)) || max(s.From, s.To) > len(c.tenant.audits):
		return s, c.resync(s)
	}
	return s, nil
}

// resync is 410 with the link of a new first round, whose $deltatoken is empty.
// Status, code and header are documented, the text is not.
func (c *graphCall) resync(s deltaState) *graphError {
	query := ""
	if len(s.Select) > 0 {
		query = "&$select=" + url.QueryEscape(strings.Join(s.Select, ","))
	}
	c.extraHeader("Location", c.deltaURL()+"?$deltatoken="+query)
	return &graphError{http.StatusGone, "syncStateNotFound", "The sync state of the token is not known any more. Restart with a full synchronization."}
}
