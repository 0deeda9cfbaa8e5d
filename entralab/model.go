package entralab

import (
	"crypto/rand"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// tenant is one directory. The slices keep the order of creation, which is the
// order of lists; the indexes find an object by its ids.
type tenant struct {
	id          guid
	displayName string
	domain      string
	cloud       string // "" for the public one
	salt        salt
	graph       *servicePrincipal // Microsoft Graph itself
	exchange    *servicePrincipal // Office 365 Exchange Online
	users       []*user           // users[0] is the person in the portal

	apps           []*application // deleted ones stay, for restore-app
	appsByID       index
	appsByClientID index
	appByURI       map[string]*application

	principals     []*servicePrincipal
	principalsByID index

	audits      []*audit
	auditsSaved int                 // by the store
	policy      *managementPolicy   // the tenant's default, nil until it is set
	policies    []*managementPolicy // those that can be assigned

	permissionGrants []*permissionGrant // deleted ones stay, for page tokens
}

type user struct {
	ordinal           int // place in tenant.users
	id                guid
	displayName, name string // name is the userPrincipalName
}

// application is an app registration.
type application struct {
	tenant         *tenant
	ordinal        int // place in tenant.apps
	id, clientID   guid
	displayName    string
	audience       string
	created        stamp
	deleted        stamp // zero while it lives
	purged         bool  // gone from the deleted items too
	createdBy      guid  // client id of the creating app, zero for a person
	disabled       bool
	tokenVersion   int // api.requestedAccessTokenVersion, 0 for null
	identifierURIs []string
	owners         []guid
	credentialSet
	federated []federatedCredential
	policy    *managementPolicy // nil: the tenant's
	principal *servicePrincipal
	kept      map[string]json.RawMessage // properties that only read back
}

// servicePrincipal is an application's presence in a tenant.
type servicePrincipal struct {
	tenant             *tenant
	ordinal            int // place in tenant.principals
	id, clientID       guid
	created            stamp
	deleted            stamp // on its own; see live
	purged             bool
	enabled            bool
	assignmentRequired bool
	owners             []guid
	grants             []grant
	apiGrants          []apiGrant
	credentialSet
	app  *application // nil for Microsoft Graph and Exchange
	kept map[string]json.RawMessage
}

// grant is an app role that a service principal holds.
type grant struct {
	id      guid
	role    *appRole
	created time.Time
}

// The audiences that Graph knows (Microsoft documentation).
const (
	audienceTenant   = "AzureADMyOrg"
	audienceAny      = "AzureADMultipleOrgs"
	audiencePersonal = "AzureADandPersonalMicrosoftAccount"
	audienceOnlyMSA  = "PersonalMicrosoftAccount"
)

func validAudience(s string) bool {
	switch s {
	case audienceTenant, audienceAny, audiencePersonal, audienceOnlyMSA:
		return true
	}
	return false
}

// secretLimit is two where personal accounts may sign in and about a thousand
// elsewhere (Microsoft documentation).
func secretLimit(audience string) int {
	if audience == audiencePersonal || audience == audienceOnlyMSA {
		return 2
	}
	return 1000
}

func (a *application) home() *tenant      { return a.tenant }
func (p *servicePrincipal) home() *tenant { return p.tenant }

func (a *application) live() bool { return a.deleted.isZero() && !a.purged }

// live reports whether p can be found: deleting an application in its home
// tenant takes the service principal along (Microsoft documentation).
func (p *servicePrincipal) live() bool {
	return p.deleted.isZero() && !p.purged && (p.app == nil || p.app.live())
}

// displayName follows the application's.
func (p *servicePrincipal) displayName() string {
	switch {
	case p.app != nil:
		return p.app.displayName
	case p.clientID == outlookAppID:
		return "Office 365 Exchange Online"
	}
	return "Microsoft Graph"
}

// ownerTenant is where the application is registered.
func (p *servicePrincipal) ownerTenant() string {
	if p.app == nil {
		return microsoftTenant
	}
	return p.tenant.id.String()
}

func (p *servicePrincipal) roleNames() []string {
	names := make([]string, 0, len(p.grants))
	for _, g := range p.grants {
		names = append(names, g.role.name)
	}
	return names
}

// rolesFor are the names of the roles of one API that p holds.
func (p *servicePrincipal) rolesFor(api guid) []string {
	var names []string
	for _, g := range p.grants {
		if g.role.api() == api {
			names = append(names, g.role.name)
		}
	}
	return names
}

func (a *application) objectID() guid      { return a.id }
func (a *application) appID() guid         { return a.clientID }
func (p *servicePrincipal) objectID() guid { return p.id }

// appByID finds an application that is not gone for good.
func (t *tenant) appByID(id guid) *application {
	if a := find(&t.appsByID, t.apps, (*application).objectID, id); a != nil && !a.purged {
		return a
	}
	return nil
}

// appByClientID finds an application that is not gone for good.
func (t *tenant) appByClientID(id guid) *application {
	if a := find(&t.appsByClientID, t.apps, (*application).appID, id); a != nil && !a.purged {
		return a
	}
	return nil
}

// principalByID finds a service principal that is not gone for good.
func (t *tenant) principalByID(id guid) *servicePrincipal {
	if p := find(&t.principalsByID, t.principals, (*servicePrincipal).objectID, id); p != nil && !p.purged {
		return p
	}
	return nil
}

// principalByClientID finds the service principal that an application has now.
func (t *tenant) principalByClientID(id guid) *servicePrincipal {
	switch id {
	case t.graph.clientID:
		return t.graph
	case t.exchange.clientID:
		return t.exchange
	}
	if a := t.appByClientID(id); a != nil {
		return a.principal
	}
	return nil
}

func (t *tenant) app(id guid) *application {
	if a := t.appByID(id); a != nil && a.live() {
		return a
	}
	return nil
}

func (t *tenant) appWithClientID(id guid) *application {
	if a := t.appByClientID(id); a != nil && a.live() {
		return a
	}
	return nil
}

func (t *tenant) principal(id guid) *servicePrincipal {
	if p := t.principalByID(id); p != nil && p.live() {
		return p
	}
	return nil
}

func (t *tenant) principalWithClientID(id guid) *servicePrincipal {
	if p := t.principalByClientID(id); p != nil && p.live() {
		return p
	}
	return nil
}

func (t *tenant) userWithID(id guid) *user {
	for _, u := range t.users {
		if u.id == id {
			return u
		}
	}
	return nil
}

// tenantNamed finds a tenant by id or verified domain. Call with l.mu held.
func (l *Lab) tenantNamed(segment string) *tenant {
	id, isID := parseGUID(segment)
	for _, t := range l.tenants {
		if isID && t.id == id || strings.EqualFold(t.domain, segment) {
			return t
		}
	}
	return nil
}

// findApp finds a living application of any tenant. Call with l.mu held.
func (l *Lab) findApp(objectID string) *application {
	id, _ := parseGUID(objectID)
	for _, t := range l.tenants {
		if a := t.app(id); a != nil {
			return a
		}
	}
	return nil
}

// addTenant makes an empty directory that holds Microsoft Graph, Exchange and
// two people.
func (l *Lab) addTenant(displayName, domain string, at time.Time) *tenant {
	t := newTenant(l.random.guid(), displayName, domain)
	for i, name := range []string{"Lab Admin", "Ada Example"} {
		mail := strings.ToLower(strings.ReplaceAll(name, " ", "-")) + "@" + domain
		t.users = append(t.users, &user{i, l.random.guid(), name, mail})
	}
	t.graph = t.insertPrincipal(&servicePrincipal{
		id: l.random.guid(), clientID: graphAppID, created: stampOf(at), enabled: true,
	})
	t.exchange = t.insertPrincipal(&servicePrincipal{
		id: l.random.guid(), clientID: outlookAppID, created: stampOf(at), enabled: true,
	})
	rand.Read(t.salt[:]) // never fails
	l.tenants = append(l.tenants, t)
	l.touchAll(t)
	return t
}

func (t *tenant) insertPrincipal(p *servicePrincipal) *servicePrincipal {
	p.tenant, p.ordinal = t, len(t.principals)
	t.principals = append(t.principals, p)
	indexLast(&t.principalsByID, t.principals, (*servicePrincipal).objectID)
	return p
}

// createApp registers an application without a service principal, as Graph
// does. Call with l.mu held.
func (l *Lab) createApp(t *tenant, by actor, at time.Time, displayName, audience string) *application {
	return l.createAppAs(fixedIDs{}, t, by, at, displayName, audience)
}

// createAppAs is createApp with ids that the caller decides.
func (l *Lab) createAppAs(ids fixedIDs, t *tenant, by actor, at time.Time, displayName, audience string) *application {
	id, clientID := l.random.guid(), l.random.guid()
	if ids.object != (guid{}) {
		id = ids.object
	}
	if ids.client != (guid{}) {
		clientID = ids.client
	}
	a := &application{
		tenant: t, ordinal: len(t.apps), id: id, clientID: clientID,
		displayName: displayName, audience: audience, created: stampOf(at), createdBy: by.clientID,
	}
	t.apps = append(t.apps, a)
	indexLast(&t.appsByID, t.apps, (*application).objectID)
	indexLast(&t.appsByClientID, t.apps, (*application).appID)
	l.auditApp(a, by, at, auditAddApp, nil)
	return a
}

// createPrincipal gives an application its service principal. Call with l.mu
// held.
func (l *Lab) createPrincipal(a *application, by actor, at time.Time) *servicePrincipal {
	p := a.tenant.insertPrincipal(&servicePrincipal{
		id: l.random.guid(), clientID: a.clientID, created: stampOf(at), enabled: true, app: a,
	})
	a.principal = p
	l.auditPrincipal(p, by, at, auditAddPrincipal, nil)
	return p
}

// setURIs gives an application its identifier URIs, which name it as the
// resource of a token request. None may belong to another application.
func (a *application) setURIs(uris []string) {
	for _, uri := range a.identifierURIs {
		if a.tenant.appByURI[uri] == a {
			delete(a.tenant.appByURI, uri)
		}
	}
	for _, uri := range uris {
		a.tenant.appByURI[uri] = a
	}
	a.identifierURIs = uris
}

// grantRole gives a service principal an app role. It reports false when it holds it already. Call with l.mu held.
func (l *Lab) grantRole(p *servicePrincipal, by actor, at time.Time, role *appRole) bool {
	for _, g := range p.grants {
		if g.role == role {
			return false
		}
	}
	p.grants = append(p.grants, grant{id: l.random.guid(), role: role, created: at})
	l.touch(p)
	l.auditPrincipal(p.tenant.principalWithClientID(role.api()), by, at, auditGrant, []change{
		{"AppRole.Value", "", strconv.Quote(role.name)}, {"ServicePrincipal.ObjectID", "", strconv.Quote(p.id.String())},
	})
	return true
}

// revokeRole takes an app role away. It reports false when p does not hold it.
// Call with l.mu held.
func (l *Lab) revokeRole(p *servicePrincipal, by actor, at time.Time, role *appRole) bool {
	for i, g := range p.grants {
		if g.role == role {
			p.grants = append(p.grants[:i:i], p.grants[i+1:]...)
			l.touch(p)
			l.auditPrincipal(p.tenant.principalWithClientID(role.api()), by, at, auditRevoke, []change{
				{"AppRole.Value", strconv.Quote(role.name), ""}, {"ServicePrincipal.ObjectID", strconv.Quote(p.id.String()), ""},
			})
			return true
		}
	}
	return false
}
