package entralab

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// tenant is one directory. Lookups by either id are maps; the slices keep the
// order of creation, which is the order of lists.
type tenant struct {
	id          guid
	displayName string
	domain      string
	graph       *servicePrincipal // Microsoft Graph itself
	users       []*user           // users[0] is the person in the portal

	apps          []*application // deleted ones stay, for restore-app
	appByID       map[guid]*application
	appByClientID map[guid]*application
	appByURI      map[string]*application

	principals          []*servicePrincipal
	principalByID       map[guid]*servicePrincipal
	principalByClientID map[guid]*servicePrincipal

	audits      []*audit
	auditsSaved int                 // by the store
	policy      *managementPolicy   // the tenant's default, nil until it is set
	policies    []*managementPolicy // those that can be assigned
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
	created        time.Time
	deleted        time.Time // zero while it lives
	purged         bool      // gone from the deleted items too
	createdBy      guid      // client id of the creating app, zero for a person
	disabled       bool
	tokenVersion   int // api.requestedAccessTokenVersion, 0 for null
	identifierURIs []string
	owners         []guid
	credentialSet
	federated []federatedCredential
	policy    *managementPolicy // nil: the tenant\'s
	principal *servicePrincipal
	kept      map[string]json.RawMessage // properties that only read back
}

// servicePrincipal is an application's presence in a tenant.
type servicePrincipal struct {
	tenant             *tenant
	ordinal            int // place in tenant.principals
	id, clientID       guid
	created            time.Time
	deleted            time.Time // on its own; see live
	purged             bool
	enabled            bool
	assignmentRequired bool
	owners             []guid
	grants             []grant
	credentialSet
	app  *application // nil for Microsoft Graph
	kept map[string]json.RawMessage
}

// grant is an app role of Microsoft Graph that a service principal holds.
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

func (a *application) live() bool { return a.deleted.IsZero() && !a.purged }

// live reports whether p can be found: deleting an application in its home
// tenant takes the service principal along (Microsoft documentation).
func (p *servicePrincipal) live() bool {
	return p.deleted.IsZero() && !p.purged && (p.app == nil || p.app.live())
}

// displayName follows the application's.
func (p *servicePrincipal) displayName() string {
	if p.app == nil {
		return "Microsoft Graph"
	}
	return p.app.displayName
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

func (t *tenant) app(id guid) *application {
	if a := t.appByID[id]; a != nil && a.live() {
		return a
	}
	return nil
}

func (t *tenant) appWithClientID(id guid) *application {
	if a := t.appByClientID[id]; a != nil && a.live() {
		return a
	}
	return nil
}

func (t *tenant) principal(id guid) *servicePrincipal {
	if p := t.principalByID[id]; p != nil && p.live() {
		return p
	}
	return nil
}

func (t *tenant) principalWithClientID(id guid) *servicePrincipal {
	if p := t.principalByClientID[id]; p != nil && p.live() {
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

// addTenant makes an empty directory that holds Microsoft Graph and a person.
func (l *Lab) addTenant(displayName, domain string, at time.Time) *tenant {
	t := newTenant(l.random.guid(), displayName, domain)
	for i, name := range []string{"Lab Admin", "Ada Example"} {
		mail := strings.ToLower(strings.ReplaceAll(name, " ", "-")) + "@" + domain
		t.users = append(t.users, &user{i, l.random.guid(), name, mail})
	}
	t.graph = t.insertPrincipal(&servicePrincipal{
		id: l.random.guid(), clientID: graphAppID, created: at.UTC().Truncate(tick), enabled: true,
	})
	l.tenants = append(l.tenants, t)
	l.touchAll(t)
	return t
}

func (t *tenant) insertPrincipal(p *servicePrincipal) *servicePrincipal {
	p.tenant, p.ordinal = t, len(t.principals)
	t.principals = append(t.principals, p)
	t.principalByID[p.id] = p
	t.principalByClientID[p.clientID] = p
	return p
}

// createApp registers an application without a service principal, as Graph
// does. Call with l.mu held.
func (l *Lab) createApp(t *tenant, by actor, at time.Time, displayName, audience string) *application {
	a := &application{
		tenant: t, ordinal: len(t.apps), id: l.random.guid(), clientID: l.random.guid(),
		displayName: displayName, audience: audience, created: at.UTC().Truncate(tick), createdBy: by.clientID,
	}
	t.apps = append(t.apps, a)
	t.appByID[a.id] = a
	t.appByClientID[a.clientID] = a
	l.auditApp(a, by, at, auditAddApp, nil)
	return a
}

// createPrincipal gives an application its service principal. Call with l.mu
// held.
func (l *Lab) createPrincipal(a *application, by actor, at time.Time) *servicePrincipal {
	p := a.tenant.insertPrincipal(&servicePrincipal{
		id: l.random.guid(), clientID: a.clientID, created: at.UTC().Truncate(tick), enabled: true, app: a,
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

// grantRole gives a service principal an app role of Microsoft Graph. It
// reports false when it holds it already. Call with l.mu held.
func (l *Lab) grantRole(p *servicePrincipal, by actor, at time.Time, role *appRole) bool {
	for _, g := range p.grants {
		if g.role == role {
			return false
		}
	}
	p.grants = append(p.grants, grant{id: l.random.guid(), role: role, created: at})
	l.touch(p)
	l.auditPrincipal(p.tenant.graph, by, at, auditGrant, []change{
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
			l.auditPrincipal(p.tenant.graph, by, at, auditRevoke, []change{
				{"AppRole.Value", strconv.Quote(role.name), ""}, {"ServicePrincipal.ObjectID", strconv.Quote(p.id.String()), ""},
			})
			return true
		}
	}
	return false
}
