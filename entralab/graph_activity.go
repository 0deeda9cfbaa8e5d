package entralab

import (
	"encoding/base64"
	"strings"
	"sync"
	"time"
)

// signInDetail is what the logs tell of a token request beyond the event.
type signInDetail struct {
	trace, correlation guid
	credential         string // clientSecret, certificate or federatedIdentityCredential
	resourceID         guid   // client id, zero for an unknown resource
	resource           *servicePrincipal
}

// The kinds of credential in Graph's schema of sign-ins.
const (
	kindSecret      = "clientSecret"
	kindCertificate = "certificate"
	kindFederated   = "federatedIdentityCredential"
)

// note keeps what a token is, or would have been, for.
func (d *signInDetail) note(target resource) {
	if d.resource = target.principal; d.resource != nil {
		d.resourceID = d.resource.clientID
		return
	}
	d.resourceID = wellKnownResources[strings.ToLower(strings.TrimSuffix(target.asked, "/"))]
}

// noteResource tells the log what a request that failed early asked for: the
// records seen of failures name it.
func (c *tokenCall) noteResource() {
	if c.event.signIn.resourceID != (guid{}) {
		return
	}
	if target, refused := c.lab.target(c.tenant, c.req); refused == nil {
		c.event.signIn.note(target)
	}
}

// resourceName is the display name of a resource; those of services without a
// service principal here are recalled.
func (d *signInDetail) resourceName() any {
	switch {
	case d.resource != nil:
		return d.resource.displayName()
	case d.resourceID == vaultAppID:
		return "Azure Key Vault"
	case d.resourceID == armAppID:
		return "Windows Azure Service Management API"
	case d.resourceID == outlookAppID:
		return "Office 365 Exchange Online"
	}
	return nil
}

// resourcePrincipal is null for services without a service principal here.
func (d *signInDetail) resourcePrincipal() any {
	if d.resource == nil {
		return nil
	}
	return d.resource.id.String()
}

func (d *signInDetail) resourceIDText() any {
	if d.resourceID == (guid{}) {
		return nil
	}
	return d.resourceID.String()
}

// activityRoutes are reports, which only beta has.
var activityRoutes = []graphRoute{
	{"GET", "reports/appCredentialSignInActivities", readsAudits, 200, (*graphCall).listActivities},
	{"GET", "reports/appCredentialSignInActivities/{}", readsAudits, 200, (*graphCall).getActivity},
}

// activity is the last sign-in with one credential.
type credentialActivity struct {
	ordinal  int // sequence number of the first event seen
	app      *application
	last     Event
	onApp    bool // the application holds it, not the service principal
	created  any
	expires  any
	expiring time.Time
	kind     string
}

func (u *credentialActivity) ord() int { return u.ordinal }
func (*credentialActivity) live() bool { return true }

func (u *credentialActivity) origin() string {
	if u.onApp {
		return "application"
	}
	return "servicePrincipal"
}

// id has the form of those in Microsoft's documentation.
func (u *credentialActivity) id() string {
	return base64.StdEncoding.EncodeToString([]byte(u.last.KeyID + "|" + u.origin()))
}

// usage: documentation shows sign beside a secret, and verify beside a
// certificate.
func (u *credentialActivity) usage() string {
	if u.kind == kindSecret {
		return "sign"
	}
	return "verify"
}

var credentialActivities = &collection[*credentialActivity]{
	name: "reports/appCredentialSignInActivities",
	kind: "AppCredentialSignInActivity",
	properties: sync.OnceValue(func() []property[*credentialActivity] {
		return []property[*credentialActivity]{
			{name: "id", get: func(u *credentialActivity) any { return u.id() }},
			{name: "keyId", get: func(u *credentialActivity) any { return u.last.KeyID }},
			{name: "keyType", get: func(u *credentialActivity) any { return u.kind }},
			{name: "keyUsage", get: func(u *credentialActivity) any { return u.usage() }},
			{name: "appId", get: func(u *credentialActivity) any { return u.app.clientID.String() }},
			{name: "appObjectId", get: func(u *credentialActivity) any { return u.app.id.String() }},
			{name: "servicePrincipalObjectId", get: func(u *credentialActivity) any {
				if u.app.principal == nil {
					return nil
				}
				return u.app.principal.id.String()
			}},
			{name: "resourceId", get: func(u *credentialActivity) any { return u.last.signIn.resourceIDText() }},
			{name: "credentialOrigin", get: func(u *credentialActivity) any { return u.origin() }},
			{name: "createdDateTime", get: func(u *credentialActivity) any { return u.created }},
			{name: "expirationDateTime", get: func(u *credentialActivity) any { return u.expires }},
			{name: "signInActivity", get: func(u *credentialActivity) any {
				return object{
					{"lastSignInDateTime", graphTime(u.last.At.Truncate(time.Second))},
					{"lastSignInRequestId", u.last.signIn.trace.String()},
				}
			}},
		}
	}),
	filters: []filter[*credentialActivity]{
		{name: "appId", text: func(u *credentialActivity) []string { return []string{u.app.clientID.String()} }},
		{name: "keyId", text: func(u *credentialActivity) []string { return []string{u.last.KeyID} }},
	},
	orders: []order[*credentialActivity]{ // documented without names
		{"signInActivity/lastSignInDateTime", func(a, b *credentialActivity) int { return a.last.At.Compare(b.last.At) }},
		{"expirationDateTime", func(a, b *credentialActivity) int { return a.expiring.Compare(b.expiring) }},
	},
	pageSize: 100,
	maxTop:   999,
}

// activities finds the last sign-in of each credential up to a time, in the
// order of their first ones. It reads the history, so that it tells what really
// happened, for as long as the history remembers.
func (t *tenant) activities(events []Event, until time.Time) []*credentialActivity {
	type holder struct {
		app   guid
		keyID string
	}
	byKey := map[holder]*credentialActivity{}
	var found []*credentialActivity
	for _, e := range events {
		if e.Surface != surfaceToken || e.Outcome != outcomeAccepted || e.signIn == nil || e.signIn.credential == "" || e.signIn.credential == kindFederated || e.At.After(until) {
			continue
		}
		id, _ := parseGUID(e.ObjectID)
		u := byKey[holder{id, e.KeyID}]
		if u == nil {
			a := t.appByID(id)
			if a == nil {
				continue
			}
			if u = a.activity(e); u == nil {
				continue
			}
			byKey[holder{id, e.KeyID}] = u
			found = append(found, u)
		}
		u.last = e
	}
	return found
}

// activity describes the credential of a sign-in, nil when nobody holds it any
// more.
func (a *application) activity(e Event) *credentialActivity {
	u := &credentialActivity{ordinal: e.Seq, app: a, kind: e.signIn.credential}
	keyID, _ := parseGUID(e.KeyID)
	for _, key := range a.certificates() {
		if key.keyID == keyID {
			u.onApp, u.expires, u.expiring = key.onApp, graphTime(key.end), key.end
			return u
		}
	}
	sets := []*credentialSet{a.set()}
	if a.principal != nil {
		sets = append(sets, a.principal.set())
	}
	for i, set := range sets {
		for _, list := range [][]credential{set.secrets, set.removed()} {
			for _, c := range list {
				if c.keyID == keyID {
					u.onApp, u.created, u.expires, u.expiring = i == 0, c.made.String(), c.end.String(), c.end.time()
					return u
				}
			}
		}
	}
	return nil
}

func (c *graphCall) listActivities() (any, *graphError) {
	if refused := c.mayReadReports(); refused != nil {
		return nil, refused
	}
	q, refused := parseList(c, credentialActivities)
	if refused != nil {
		return nil, refused
	}
	return page(c, credentialActivities, q, c.activities()), nil
}

func (c *graphCall) getActivity() (any, *graphError) {
	if refused := c.mayReadReports(); refused != nil {
		return nil, refused
	}
	for _, u := range c.activities() {
		if u.id() == c.keys[0] {
			return single(c, credentialActivities, u)
		}
	}
	return nil, notFound(c.keys[0])
}

func (c *graphCall) activities() []*credentialActivity {
	return c.tenant.activities(c.lab.History(0), c.now.Add(-c.lab.logLag.activity))
}

func (c *graphCall) mayReadReports() *graphError {
	if c.version != "beta" {
		return badRequest("BadRequest", "Resource not found for the segment 'appCredentialSignInActivities'.")
	}
	return c.checkLicence()
}
