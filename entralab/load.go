package entralab

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// modelReader puts stored forms together to tenants, and refuses what does not
// fit: a document may come from anywhere.
type modelReader struct {
	byID       map[guid]*tenant
	apps       map[guid]*application // purged ones too, which the tenants forget
	principals map[guid]*servicePrincipal
	used       map[guid]bool // object ids
}

func newModelReader() *modelReader {
	return &modelReader{map[guid]*tenant{}, map[guid]*application{}, map[guid]*servicePrincipal{}, map[guid]bool{}}
}

func newTenant(id guid, displayName, domain string) *tenant {
	return &tenant{id: id, displayName: displayName, domain: domain, appByURI: map[string]*application{}}
}

// claim makes sure that no two objects share an id.
func (m *modelReader) claim(id guid) error {
	if id == (guid{}) || m.used[id] {
		return fmt.Errorf("the id %s is missing or taken", id)
	}
	m.used[id] = true
	return nil
}

func (m *modelReader) tenant(s storedTenant) (*tenant, error) {
	t := newTenant(s.ID, s.DisplayName, s.Domain)
	if len(s.Salt) != len(t.salt) {
		return nil, fmt.Errorf("tenant %s: its salt has the wrong length", s.ID)
	}
	t.salt = salt(s.Salt)
	if err := m.claim(s.ID); err != nil {
		return nil, err
	}
	if !domainShaped(s.Domain) {
		return nil, fmt.Errorf("tenant %s: %q is not a domain", s.ID, clip(s.Domain))
	}
	if err := checkCloud(s.Cloud); err != nil {
		return nil, fmt.Errorf("tenant %s: %w", s.ID, err)
	}
	t.cloud = s.Cloud
	for _, other := range m.byID {
		if other.domain == s.Domain {
			return nil, fmt.Errorf("two tenants have the domain %s", s.Domain)
		}
	}
	if len(s.Users) == 0 {
		return nil, fmt.Errorf("tenant %s has no user", s.ID)
	}
	for i, u := range s.Users {
		if err := m.claim(u.ID); err != nil {
			return nil, err
		}
		t.users = append(t.users, &user{i, u.ID, u.DisplayName, u.Name})
	}
	var err error
	if s.Policy != nil {
		if t.policy, err = s.Policy.policy(); err != nil {
			return nil, err
		}
	}
	for _, p := range s.Policies {
		if err := m.claim(p.ID); err != nil {
			return nil, err
		}
		policy, err := p.policy()
		if err != nil {
			return nil, err
		}
		t.policies = append(t.policies, policy)
	}
	m.byID[t.id] = t
	return t, nil
}

func (s storedPolicy) policy() (*managementPolicy, error) {
	p := &managementPolicy{id: s.ID, displayName: s.DisplayName, description: s.Description, enabled: s.Enabled}
	if !p.application.parse(s.Application) || !p.principal.parse(s.Principal) {
		return nil, fmt.Errorf("policy %s: its restrictions are malformed", s.ID)
	}
	return p, nil
}

// app reads an application. Call it for all of a tenant, by ordinal.
func (m *modelReader) app(s storedApp) error {
	t := m.byID[s.Tenant]
	if t == nil || s.Ordinal != len(t.apps) {
		return fmt.Errorf("app %s: its tenant or its place in it is missing", s.ID)
	}
	if err := m.claim(s.ID); err != nil {
		return fmt.Errorf("app: %w", err)
	}
	if s.ClientID == (guid{}) || find(&t.appsByClientID, t.apps, (*application).appID, s.ClientID) != nil {
		return fmt.Errorf("app %s: its client id is missing or taken", s.ID)
	}
	if !validAudience(s.Audience) {
		return fmt.Errorf("app %s: unknown audience %q", s.ID, clip(s.Audience))
	}
	secrets, err := s.storedSecrets.set()
	if err != nil {
		return fmt.Errorf("app %s: %w", s.ID, err)
	}
	a := &application{
		tenant: t, ordinal: s.Ordinal, id: s.ID, clientID: s.ClientID, displayName: s.DisplayName, audience: s.Audience,
		created: stampOf(s.Created), deleted: stampOf(s.Deleted), purged: s.Purged, createdBy: s.CreatedBy, disabled: s.Disabled,
		tokenVersion: s.TokenVersion, identifierURIs: s.IdentifierURIs, owners: s.Owners, kept: s.Kept, credentialSet: secrets,
	}
	for _, f := range s.Federated {
		a.federated = append(a.federated, federatedCredential{f.ID, f.Name, f.Issuer, f.Subject, f.Audiences, f.Description})
	}
	if s.Policy != (guid{}) {
		i := slices.IndexFunc(t.policies, func(p *managementPolicy) bool { return p.id == s.Policy })
		if i < 0 {
			return fmt.Errorf("app %s: its policy %s is missing", s.ID, s.Policy)
		}
		a.policy = t.policies[i]
	}
	t.apps = append(t.apps, a)
	indexLast(&t.appsByID, t.apps, (*application).objectID)
	indexLast(&t.appsByClientID, t.apps, (*application).appID)
	m.apps[a.id] = a
	if a.purged {
		return nil
	}
	for _, uri := range a.identifierURIs {
		if other := t.appByURI[uri]; other == nil || a.live() { // the name of a deleted app may be another's by now
			t.appByURI[uri] = a
		}
	}
	return nil
}

// principal reads a service principal, after the applications.
func (m *modelReader) principal(s storedPrincipal) error {
	t, a := m.byID[s.Tenant], m.apps[s.App]
	isGraph, isExchange := s.ClientID == graphAppID, s.ClientID == outlookAppID
	isMicrosoft := isGraph || isExchange
	switch {
	case t == nil || s.Ordinal != len(t.principals):
		return fmt.Errorf("service principal %s: its tenant or its place in it is missing", s.ID)
	case isMicrosoft != (s.App == guid{}) || isGraph && t.graph != nil || isExchange && t.exchange != nil || !isMicrosoft && (a == nil || a.tenant != t || a.clientID != s.ClientID):
		return fmt.Errorf("service principal %s: its app is missing, or another's", s.ID)
	}
	if err := m.claim(s.ID); err != nil {
		return fmt.Errorf("service principal: %w", err)
	}
	secrets, err := s.storedSecrets.set()
	if err != nil {
		return fmt.Errorf("service principal %s: %w", s.ID, err)
	}
	p := &servicePrincipal{
		tenant: t, ordinal: s.Ordinal, id: s.ID, clientID: s.ClientID, created: stampOf(s.Created), deleted: stampOf(s.Deleted), purged: s.Purged,
		enabled: s.Enabled, assignmentRequired: s.AssignmentRequired, owners: s.Owners, kept: s.Kept, credentialSet: secrets, app: a,
	}
	for _, g := range s.Grants {
		role := roleNamed(g.Role)
		if role == nil {
			return fmt.Errorf("service principal %s: unknown permission %q", s.ID, clip(g.Role))
		}
		p.grants = append(p.grants, grant{g.ID, role, g.Created})
	}
	t.principals = append(t.principals, p)
	indexLast(&t.principalsByID, t.principals, (*servicePrincipal).objectID)
	m.principals[p.id] = p
	current := p.deleted.isZero() && !p.purged
	switch {
	case isGraph:
		t.graph = p
	case isExchange:
		t.exchange = p
	case current && a.principal != nil:
		return fmt.Errorf("service principal %s: its app has another one", s.ID)
	case current:
		a.principal = p
	}
	return nil
}

func (s storedSecrets) set() (credentialSet, error) {
	var set credentialSet
	if s.Log != nil || s.Removed != nil {
		set.past = &past{}
	}
	for i, c := range slices.Concat(s.Secrets, s.Removed) {
		if !validHash(c) {
			return set, fmt.Errorf("secret %s: its hash has the wrong length", c.KeyID)
		}
		if i < len(s.Secrets) {
			set.secrets = append(set.secrets, c.credential())
		} else {
			c.Spread = true // which holds the date
			set.past.removed = append(set.past.removed, c.credential())
		}
	}
	for _, c := range s.Log {
		set.past.log = append(set.past.log, keyChange{c.KeyID, c.DisplayName, c.Added})
	}
	return set, nil
}

// audit reads an entry of a tenant's log, after the service principals.
func (m *modelReader) audit(t *tenant, s storedAudit) error {
	e := &audit{
		ordinal: len(t.audits), id: s.ID, correlation: s.Correlation, at: s.At, activity: activity{s.Activity, s.Operation},
		by:       actor{t.userWithID(s.User), s.ClientID, s.Principal, s.Name, s.UserAgent},
		targetID: s.TargetID, targetName: s.TargetName, targetType: s.TargetType, clientID: s.TargetApp,
	}
	if e.by.user == nil && s.User != (guid{}) {
		return fmt.Errorf("audit entry %s: its user is missing", clip(s.ID))
	}
	for _, c := range s.Changes {
		e.changes = append(e.changes, change{c[0], c[1], c[2]})
	}
	if s.Secrets != 0 {
		e.keys.n = s.Secrets
		if a := m.apps[s.TargetID]; a != nil {
			e.keys.of = a.set()
		} else if p := m.principals[s.TargetID]; p != nil {
			e.keys.of = p.set()
		}
		if e.keys.of == nil || s.Secrets < 0 || e.keys.of.past == nil || s.Secrets > len(e.keys.of.past.log) {
			return fmt.Errorf("audit entry %s: the secrets it tells of are missing", clip(s.ID))
		}
	}
	t.audits = append(t.audits, e)
	return nil
}

// finish checks what only the whole can tell.
func (m *modelReader) finish(tenants []*tenant) error {
	if len(tenants) == 0 {
		return errors.New("there is no tenant")
	}
	for _, t := range tenants {
		if t.graph == nil || t.exchange == nil {
			return fmt.Errorf("tenant %s has no Microsoft Graph or no Exchange", t.id)
		}
	}
	return nil
}

func (d document) model() ([]*tenant, error) {
	m := newModelReader()
	var tenants []*tenant
	for _, s := range d.Tenants {
		t, err := m.tenant(s.storedTenant)
		if err != nil {
			return nil, err
		}
		tenants = append(tenants, t)
		for _, a := range s.Apps {
			if err := m.app(a); err != nil {
				return nil, err
			}
		}
		for _, p := range s.Principals {
			if err := m.principal(p); err != nil {
				return nil, err
			}
		}
		for _, p := range s.Principals {
			if err := m.apiGrants(p); err != nil {
				return nil, err
			}
		}
		if err := m.permissionGrants(s.storedTenant); err != nil {
			return nil, err
		}
		for _, e := range s.Audits {
			if err := m.audit(t, e); err != nil {
				return nil, err
			}
		}
	}
	return tenants, m.finish(tenants)
}

// use makes the settings those of the lab. Call with l.mu held.
func (l *Lab) use(s settings) {
	l.clock.place(s.Offset, s.Frozen)
	l.setDelay(Delay{Accept: s.Accept, Remove: s.Remove, Replicas: s.Replicas})
	l.logLag = logLag{signIn: max(s.SignInLag, 0), audit: max(s.AuditLag, 0), activity: max(s.ActivityLag, 0)}
	l.vaultDelay = VaultDelay{max(s.VaultDelete, 0), max(s.VaultAccess, 0)}
	l.unlicensed = s.Unlicensed
	l.buckets.set(s.Throttling)
	l.ruled = maps.Clone(s.Refusals)
	if s.Subscription != (guid{}) {
		l.subscription = s.Subscription
	}
	l.autoSignIn = s.AutoSignIn
	l.revoked = map[string]bool{}
	for _, sum := range s.Revoked {
		l.revoked[sum] = true
	}
}

// position is what brings a clock back.
func (c *clock) position() (offset time.Duration, frozen time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset, c.frozen
}

// place puts a clock where position said, within its bounds.
func (c *clock) place(offset time.Duration, frozen time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset, c.frozen = offset, frozen
	if now := c.read(); now.Before(earliest) || now.After(latest) {
		c.jump(now)
	}
}

// Import replaces all tenants, the clock and the delay by what [Lab.Export]
// wrote, or changes nothing. Secrets go on working with their values, tokens of
// the same tenants stay good while the lab has signed them itself, and codes
// and refresh tokens end. [Lab.Env] names the seeded apps of the document, but
// can tell their values only if the lab knew them before.
func (l *Lab) Import(doc []byte) error {
	d, tenants, err := readDocument(doc)
	if err != nil {
		return fmt.Errorf("entralab: import: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replace(d, tenants)
	l.history.add(l.clock.now(), Event{Surface: surfaceControl, Outcome: outcomeOK, Write: &Write{Kind: "import"}})
	return l.save()
}

func readDocument(doc []byte) (document, []*tenant, error) {
	var d document
	if err := decodeStrictly(doc, &d); err != nil {
		return d, nil, err
	}
	if d.Format != documentFormat {
		return d, nil, fmt.Errorf("the format is %q, not %q: export it with this version of credsmith", clip(d.Format), documentFormat)
	}
	tenants, err := d.model()
	return d, tenants, err
}

// replace swaps the tenants. Call with l.mu held.
func (l *Lab) replace(d document, tenants []*tenant) {
	l.tenants, l.home, l.other = tenants, tenants[0], nil
	if len(tenants) > 1 {
		l.other = tenants[1]
	}
	l.use(d.Settings)
	l.healthy = l.seeded(d.Settings.Healthy, l.healthy)
	l.operator = l.seeded(d.Settings.Operator, l.operator)
	l.forgetGrants()
	clear(l.changed)
	l.rehome()
	if l.saver == nil {
		return
	}
	l.cleared = true
	l.touch(l, (*seededValues)(l))
	for _, t := range tenants {
		l.touchAll(t)
	}
}

// seeded finds one of the two seeded apps in new tenants. What it had as values
// is kept where it still works. Call with l.mu held.
func (l *Lab) seeded(clientID guid, before App) App {
	for _, t := range l.tenants {
		a := t.appByClientID(clientID)
		if a == nil {
			continue
		}
		app := a.handedOut()
		if i := slices.IndexFunc(before.Secrets, func(s Secret) bool {
			return slices.ContainsFunc(a.secrets, func(c credential) bool { return c.keyID.String() == s.KeyID && c.matches(t.salt, s.Value.Reveal()) })
		}); i >= 0 {
			app.Secrets = []Secret{before.Secrets[i]}
		}
		return app
	}
	return App{}
}

// handedOut is an application without values.
func (a *application) handedOut() App {
	app := App{TenantID: a.tenant.id.String(), ObjectID: a.id.String(), ClientID: a.clientID.String(), DisplayName: a.displayName}
	if a.principal != nil {
		app.ServicePrincipalID = a.principal.id.String()
	}
	return app
}

func (l *Lab) touchAll(t *tenant) {
	l.touch(t)
	for _, a := range t.apps {
		l.touch(a)
	}
	for _, p := range t.principals {
		l.touch(p)
	}
}
