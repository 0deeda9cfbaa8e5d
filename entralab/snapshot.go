package entralab

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// What follows is the stored form of the model: the records of a [Store] and
// the document of [Lab.Export]. It stands apart from the model, so that either
// can change without the other.

// MarshalText writes a GUID into stored forms.
func (g guid) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText reads one.
func (g *guid) UnmarshalText(text []byte) error {
	id, ok := parseGUID(string(text))
	if !ok {
		return fmt.Errorf("%q is not a GUID", clip(string(text)))
	}
	*g = id
	return nil
}

// storedLab is what belongs to no tenant.
type storedLab struct {
	Format     int      `json:"format"`
	Settings   settings `json:"settings"`
	Tenants    []guid   `json:"tenants"` // in order
	RandomSeed uint64   `json:"random_seed"`
	Runs       uint64   `json:"runs"` // how often the lab was started
}

// storedFormat is raised when a lab of before could not read the records.
const storedFormat = 1

// settings are those that clients can change.
type settings struct {
	Offset     time.Duration `json:"clock_offset_ns"`
	Frozen     time.Time     `json:"clock_frozen,omitzero"`
	Accept     time.Duration `json:"delay_accept_ns"`
	Remove     time.Duration `json:"delay_remove_ns"`
	Replicas   int           `json:"delay_replicas"`
	SignInLag  time.Duration `json:"signin_lag_ns"`
	AuditLag   time.Duration `json:"audit_lag_ns"`
	AutoSignIn string        `json:"auto_sign_in"`
	Revoked    []string      `json:"revoked_certificates"` // by SHA-256 in hex
	Healthy    guid          `json:"healthy_app"`          // client id
	Operator   guid          `json:"operator_app"`

	ActivityLag  time.Duration `json:"activity_lag_ns,omitzero"`
	VaultDelete  time.Duration `json:"vault_delete_ns,omitzero"`
	VaultAccess  time.Duration `json:"vault_access_ns,omitzero"`
	Unlicensed   bool          `json:"unlicensed,omitzero"`
	Throttling   bool          `json:"throttling,omitzero"`
	Refusals     map[guid]int  `json:"refusals,omitzero"` // codes, by app
	Subscription guid          `json:"subscription,omitzero"`
}

type storedTenant struct {
	ID          guid           `json:"id"`
	DisplayName string         `json:"display_name"`
	Domain      string         `json:"domain"`
	Cloud       string         `json:"cloud,omitempty"`
	Users       []storedUser   `json:"users"`
	Policy      *storedPolicy  `json:"policy"`
	Policies    []storedPolicy `json:"policies"`
	Salt        []byte         `json:"salt"` // of all hashes of secrets

	PermissionGrants []storedPermission `json:"permission_grants,omitzero"`
}

type storedPermission struct {
	ID       string `json:"id"`
	Client   guid   `json:"client"` // object ids of service principals
	Resource guid   `json:"resource"`
	User     guid   `json:"user,omitzero"`
	Scope    string `json:"scope"`
	Gone     bool   `json:"gone,omitzero"`
}

type storedUser struct {
	ID          guid   `json:"id"`
	DisplayName string `json:"display_name"`
	Name        string `json:"user_principal_name"`
}

type storedPolicy struct {
	ID          guid            `json:"id"`
	DisplayName string          `json:"display_name"`
	Description string          `json:"description"`
	Enabled     bool            `json:"enabled"`
	Application json.RawMessage `json:"application"`
	Principal   json.RawMessage `json:"service_principal"`
}

type storedApp struct {
	Tenant         guid                       `json:"tenant"`
	Ordinal        int                        `json:"ordinal"`
	ID             guid                       `json:"id"`
	ClientID       guid                       `json:"client_id"`
	DisplayName    string                     `json:"display_name"`
	Audience       string                     `json:"audience"`
	Created        time.Time                  `json:"created"`
	Deleted        time.Time                  `json:"deleted,omitzero"`
	Purged         bool                       `json:"purged,omitzero"`
	CreatedBy      guid                       `json:"created_by,omitzero"`
	Disabled       bool                       `json:"disabled,omitzero"`
	TokenVersion   int                        `json:"token_version,omitzero"`
	IdentifierURIs []string                   `json:"identifier_uris,omitzero"`
	Owners         []guid                     `json:"owners,omitzero"`
	Federated      []storedFederated          `json:"federated,omitzero"`
	Policy         guid                       `json:"policy,omitzero"`
	Kept           map[string]json.RawMessage `json:"properties,omitzero"`
	storedSecrets
}

type storedPrincipal struct {
	Tenant             guid                       `json:"tenant"`
	Ordinal            int                        `json:"ordinal"`
	ID                 guid                       `json:"id"`
	ClientID           guid                       `json:"client_id"`
	App                guid                       `json:"app,omitzero"` // object id, none for Microsoft Graph
	Created            time.Time                  `json:"created"`
	Deleted            time.Time                  `json:"deleted,omitzero"`
	Purged             bool                       `json:"purged,omitzero"`
	Enabled            bool                       `json:"enabled"`
	AssignmentRequired bool                       `json:"assignment_required,omitzero"`
	Owners             []guid                     `json:"owners,omitzero"`
	Grants             []storedGrant              `json:"grants,omitzero"`
	APIGrants          []storedAPIGrant           `json:"api_grants,omitzero"`
	Kept               map[string]json.RawMessage `json:"properties,omitzero"`
	storedSecrets
}

type storedGrant struct {
	ID      guid      `json:"id"`
	Role    string    `json:"role"`
	Created time.Time `json:"created"`
}

type storedAPIGrant struct {
	ID       guid      `json:"id"`
	Role     guid      `json:"role"`
	Resource guid      `json:"resource"` // object id of a service principal
	Created  time.Time `json:"created"`
}

type storedFederated struct {
	ID          guid     `json:"id"`
	Name        string   `json:"name"`
	Issuer      string   `json:"issuer"`
	Subject     string   `json:"subject"`
	Audiences   []string `json:"audiences"`
	Description string   `json:"description"`
}

// storedSecrets are those of one holder: salted hashes, no values.
type storedSecrets struct {
	Secrets []storedCredential `json:"secrets,omitzero"`
	Removed []storedCredential `json:"removed_secrets,omitzero"`
	Log     []storedChange     `json:"secrets_log,omitzero"`
}

type storedCredential struct {
	KeyID       guid      `json:"key_id"`
	Hint        string    `json:"hint"`
	DisplayName string    `json:"display_name"`
	Start       time.Time `json:"start"`
	End         time.Time `json:"end"`
	Made        time.Time `json:"made"`
	Removed     time.Time `json:"removed,omitzero"`
	Accept      storedLag `json:"accept"`
	Remove      storedLag `json:"remove,omitzero"`
	MintedBy    guid      `json:"minted_by,omitzero"`
	Spread      bool      `json:"spread,omitzero"`
	Hash        []byte    `json:"hash"`
}

type storedLag struct {
	Total    time.Duration `json:"total_ns"`
	Replicas int           `json:"replicas"`
}

type storedChange struct {
	KeyID       guid   `json:"key_id"`
	DisplayName string `json:"display_name"`
	Added       bool   `json:"added"`
}

type storedAudit struct {
	ID          string      `json:"id"`
	Correlation guid        `json:"correlation"`
	At          time.Time   `json:"at"`
	Activity    string      `json:"activity"`
	Operation   string      `json:"operation"`
	User        guid        `json:"user,omitzero"`
	ClientID    guid        `json:"by_client_id,omitzero"`
	Principal   guid        `json:"by_principal,omitzero"`
	Name        string      `json:"by_name,omitzero"`
	UserAgent   string      `json:"by_user_agent,omitzero"`
	TargetID    guid        `json:"target"`
	TargetName  string      `json:"target_name"`
	TargetType  string      `json:"target_type"`
	TargetApp   guid        `json:"target_client_id"`
	Changes     [][3]string `json:"changes,omitzero"` // property, old, new
	Secrets     int         `json:"secrets,omitzero"` // entries of the target's secrets log, up to and with this one
}

// storedEvent is an [Event] with what its JSON does not show.
type storedEvent struct {
	Event
	AppOnly bool          `json:"app_only,omitempty"`
	SignIn  *storedSignIn `json:"sign_in,omitempty"`
}

type storedSignIn struct {
	Trace       guid   `json:"trace"`
	Correlation guid   `json:"correlation"`
	Credential  string `json:"credential"`
	ResourceID  guid   `json:"resource_id,omitzero"`
	Resource    guid   `json:"resource,omitzero"` // object id
}

func storeEvents(events []Event) []byte {
	stored := make([]storedEvent, len(events))
	for i, e := range events {
		stored[i] = storedEvent{Event: e, AppOnly: e.appOnly}
		if d := e.signIn; d != nil {
			stored[i].SignIn = &storedSignIn{Trace: d.trace, Correlation: d.correlation, Credential: d.credential, ResourceID: d.resourceID}
			if d.resource != nil {
				stored[i].SignIn.Resource = d.resource.id
			}
		}
	}
	return encodeJSON(stored)
}

func (l *Lab) settings() settings {
	offset, frozen := l.clock.position()
	return settings{
		Offset: offset, Frozen: frozen,
		Accept: l.delay.Accept, Remove: l.delay.Remove, Replicas: l.delay.Replicas,
		SignInLag: l.logLag.signIn, AuditLag: l.logLag.audit,
		AutoSignIn: l.autoSignIn, Revoked: slices.AppendSeq([]string{}, maps.Keys(l.revoked)),
		Healthy: l.healthy.clientID(), Operator: l.operator.clientID(),
		ActivityLag: l.logLag.activity, VaultDelete: l.vaultDelay.Delete, VaultAccess: l.vaultDelay.Access,
		Unlicensed: l.unlicensed, Throttling: l.buckets.isOn(), Refusals: l.ruled, Subscription: l.subscription,
	}.sorted()
}

func (s settings) sorted() settings {
	slices.Sort(s.Revoked)
	return s
}

func (a App) clientID() guid {
	id, _ := parseGUID(a.ClientID)
	return id
}

// stored is the record of the settings.
func (l *Lab) stored() Record {
	s := storedLab{Format: storedFormat, Settings: l.settings(), RandomSeed: l.random.seed, Runs: l.random.run}
	for _, t := range l.tenants {
		s.Tenants = append(s.Tenants, t.id)
	}
	return Record{kindLab, "lab", encodeJSON(s)}
}

func (t *tenant) stored() Record { return Record{kindTenant, t.id.String(), encodeJSON(t.snapshot())} }

func (t *tenant) snapshot() storedTenant {
	s := storedTenant{ID: t.id, DisplayName: t.displayName, Domain: t.domain, Cloud: t.cloud, Users: []storedUser{}, Policies: []storedPolicy{}, Salt: t.salt[:]}
	for _, u := range t.users {
		s.Users = append(s.Users, storedUser{u.id, u.displayName, u.name})
	}
	if t.policy != nil {
		s.Policy = new(t.policy.snapshot())
	}
	for _, p := range t.policies {
		s.Policies = append(s.Policies, p.snapshot())
	}
	for _, g := range t.permissionGrants {
		p := storedPermission{ID: g.id, Client: g.client.id, Resource: g.resource.id, Scope: g.scope, Gone: g.gone}
		if g.user != nil {
			p.User = g.user.id
		}
		s.PermissionGrants = append(s.PermissionGrants, p)
	}
	return s
}

func (p *managementPolicy) snapshot() storedPolicy {
	return storedPolicy{p.id, p.displayName, p.description, p.enabled, p.application.sent, p.principal.sent}
}

func (a *application) stored() Record {
	return Record{kindApp, a.id.String(), encodeJSON(a.snapshot())}
}

func (a *application) snapshot() storedApp {
	s := storedApp{
		Tenant: a.tenant.id, Ordinal: a.ordinal, ID: a.id, ClientID: a.clientID, DisplayName: a.displayName, Audience: a.audience,
		Created: a.created.time(), Deleted: a.deleted.time(), Purged: a.purged, CreatedBy: a.createdBy, Disabled: a.disabled,
		TokenVersion: a.tokenVersion, IdentifierURIs: a.identifierURIs, Owners: a.owners, Kept: a.kept, storedSecrets: a.credentialSet.snapshot(),
	}
	for _, f := range a.federated {
		s.Federated = append(s.Federated, storedFederated{f.id, f.name, f.issuer, f.subject, f.audiences, f.description})
	}
	if a.policy != nil {
		s.Policy = a.policy.id
	}
	return s
}

func (p *servicePrincipal) stored() Record {
	return Record{kindPrincipal, p.id.String(), encodeJSON(p.snapshot())}
}

func (p *servicePrincipal) snapshot() storedPrincipal {
	s := storedPrincipal{
		Tenant: p.tenant.id, Ordinal: p.ordinal, ID: p.id, ClientID: p.clientID, Created: p.created.time(), Deleted: p.deleted.time(), Purged: p.purged,
		Enabled: p.enabled, AssignmentRequired: p.assignmentRequired, Owners: p.owners, Kept: p.kept, storedSecrets: p.credentialSet.snapshot(),
	}
	if p.app != nil {
		s.App = p.app.id
	}
	for _, g := range p.grants {
		s.Grants = append(s.Grants, storedGrant{g.id, g.role.name, g.created})
	}
	for _, g := range p.apiGrants {
		s.APIGrants = append(s.APIGrants, storedAPIGrant{g.id, g.role, g.resource.id, g.created})
	}
	return s
}

func (s *credentialSet) snapshot() storedSecrets {
	var out storedSecrets
	for _, c := range s.secrets {
		out.Secrets = append(out.Secrets, c.snapshot())
	}
	for _, c := range s.removed() {
		out.Removed = append(out.Removed, c.snapshot())
	}
	if s.past == nil {
		return out
	}
	out.Log = []storedChange{}
	for _, c := range s.past.log {
		out.Log = append(out.Log, storedChange{c.keyID, c.displayName, c.added})
	}
	return out
}

func (c credential) snapshot() storedCredential {
	s := storedCredential{
		KeyID: c.keyID, Hint: c.hint.String(), DisplayName: c.displayName,
		Start: c.start.time(), End: c.end.time(), Made: c.made.time(), Hash: c.hash[:],
	}
	if p := c.spread; p != nil {
		s.Spread, s.MintedBy, s.Removed = true, p.mintedBy, p.removed.time()
		s.Accept, s.Remove = storedLag{p.accept.total, p.accept.replicas}, storedLag{p.remove.total, p.remove.replicas}
	}
	return s
}

func (e *audit) snapshot() storedAudit {
	s := storedAudit{
		ID: e.id, Correlation: e.correlation, At: e.at, Activity: e.activity.name, Operation: e.activity.operation,
		ClientID: e.by.clientID, Principal: e.by.principalID, Name: e.by.name, UserAgent: e.by.userAgent,
		TargetID: e.targetID, TargetName: e.targetName, TargetType: e.targetType, TargetApp: e.clientID, Secrets: e.keys.n,
	}
	if e.by.user != nil {
		s.User = e.by.user.id
	}
	for _, c := range e.changes {
		s.Changes = append(s.Changes, [3]string{c.property, c.old, c.new})
	}
	return s
}

// auditPiece bounds one record of audit entries.
const auditPiece = 1000

// newAudits are the entries since the last call.
func (t *tenant) newAudits() []Record {
	var records []Record
	for first := t.auditsSaved; first < len(t.audits); first += auditPiece {
		part := []storedAudit{}
		for _, e := range t.audits[first:min(first+auditPiece, len(t.audits))] {
			part = append(part, e.snapshot())
		}
		records = append(records, Record{kindAudits, t.id.String() + "/" + strconv.Itoa(first), encodeJSON(part)})
	}
	t.auditsSaved = len(t.audits)
	return records
}

// document is what [Lab.Export] writes.
type document struct {
	Format   string           `json:"format"`
	Settings settings         `json:"settings"`
	Tenants  []documentTenant `json:"tenants"`
}

type documentTenant struct {
	storedTenant
	Apps       []storedApp       `json:"apps"`
	Principals []storedPrincipal `json:"service_principals"`
	Audits     []storedAudit     `json:"audits"`
}

// documentFormat names what the document is and its version.
const documentFormat = "credsmith-lab/1"

// Export returns the whole tenant as JSON: all tenants with their users, apps,
// service principals, policies and audit logs, the clock and the delay.
// Secrets are in it as salted hashes, so that they go on working after
// [Lab.Import]; values, private keys, codes, refresh tokens and the history
// are not.
func (l *Lab) Export() []byte {
	l.mu.RLock()
	defer l.mu.RUnlock()
	d := document{Format: documentFormat, Settings: l.settings(), Tenants: []documentTenant{}}
	for _, t := range l.tenants {
		dt := documentTenant{storedTenant: t.snapshot(), Apps: []storedApp{}, Principals: []storedPrincipal{}, Audits: []storedAudit{}}
		for _, a := range t.apps {
			dt.Apps = append(dt.Apps, a.snapshot())
		}
		for _, p := range t.principals {
			dt.Principals = append(dt.Principals, p.snapshot())
		}
		for _, e := range t.audits {
			dt.Audits = append(dt.Audits, e.snapshot())
		}
		d.Tenants = append(d.Tenants, dt)
	}
	return append(encodeJSON(d), '\n')
}

func validHash(c storedCredential) bool { return len(c.Hash) == sha256.Size }
