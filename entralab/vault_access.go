package entralab

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Roles of Azure RBAC that [Lab.GrantVault] knows, with their data actions on
// secrets (Microsoft documentation). Key Vault Purge Operator purges whole
// vaults, and holds nothing on secrets.
const (
	RoleVaultAdministrator = "Key Vault Administrator"
	RoleSecretsOfficer     = "Key Vault Secrets Officer"
	RoleSecretsUser        = "Key Vault Secrets User"
	RoleVaultReader        = "Key Vault Reader"
	RolePurgeOperator      = "Key Vault Purge Operator"
)

// vaultAction is a data action, without what all of them begin with.
type vaultAction string

const vaultActionPrefix = "Microsoft.KeyVault/vaults/secrets/"

// The data actions. The first three are in public reports, the others
// recalled.
const (
	actionGet      vaultAction = "getSecret/action"
	actionSet      vaultAction = "setSecret/action"
	actionMetadata vaultAction = "readMetadata/action"
	actionUpdate   vaultAction = "update/action"
	actionDelete   vaultAction = "delete"
	actionRecover  vaultAction = "recover/action"
	actionPurge    vaultAction = "purge/action"
	actionBackup   vaultAction = "backup/action"
	actionRestore  vaultAction = "restore/action"
)

var vaultActions = []vaultAction{
	actionGet, actionSet, actionMetadata, actionUpdate, actionDelete, actionRecover, actionPurge, actionBackup, actionRestore,
}

// actionsOf reads a role, or a single data action in full.
func actionsOf(role string) (actions []vaultAction, ok bool) {
	switch role {
	case RoleVaultAdministrator, RoleSecretsOfficer:
		return vaultActions, true
	case RoleSecretsUser:
		return []vaultAction{actionGet, actionMetadata}, true
	case RoleVaultReader:
		return []vaultAction{actionMetadata}, true
	case RolePurgeOperator:
		return nil, true
	}
	action, ok := strings.CutPrefix(role, vaultActionPrefix)
	return []vaultAction{vaultAction(action)}, ok && slices.Contains(vaultActions, vaultAction(action))
}

// vaultGrant is a role assignment on a vault or on one secret in it.
type vaultGrant struct {
	principal guid
	secret    string // in lower case; empty for the vault
	role      string
	from      time.Time // when the vault learns of it
	until     time.Time // zero while it stands
}

// covers reports whether the grant lets its holder do an action now. An empty
// name is the vault itself.
func (g *vaultGrant) covers(action vaultAction, name string, now time.Time) bool {
	if now.Before(g.from) || !g.until.IsZero() && !now.Before(g.until) || g.secret != "" && g.secret != strings.ToLower(name) {
		return false
	}
	actions, _ := actionsOf(g.role)
	return slices.Contains(actions, action)
}

// GrantVault assigns a role to a service principal or a user, by object id, on
// a vault or, if secret is not empty, on that secret alone. The role is one of
// the Role constants, or a data action such as
// "Microsoft.KeyVault/vaults/secrets/setSecret/action". It counts after
// [VaultDelay.Access].
func (l *Lab) GrantVault(vault, secret, principal, role string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.noted(l.changeGrant("grant-vault", vault, secret, principal, role))
}

// RevokeVault takes back what [Lab.GrantVault] gave, after the same delay.
func (l *Lab) RevokeVault(vault, secret, principal, role string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.noted(l.changeGrant("revoke-vault", vault, secret, principal, role))
}

// noted writes the event of a change that a person made, unless it failed.
// Call with l.mu held.
func (l *Lab) noted(e Event, err error) error {
	if err != nil {
		return fmt.Errorf("entralab: %w", err)
	}
	l.history.add(l.clock.now(), e)
	l.touch(l)
	l.touchVault(e.Vault)
	return l.save()
}

// changeGrant grants or revokes. Call with l.mu held.
func (l *Lab) changeGrant(kind, vaultName, secret, principal, role string) (Event, error) {
	v, err := l.vaultNamed(vaultName)
	if err != nil {
		return Event{}, fmt.Errorf("%s: %w", kind, err)
	}
	id, _ := parseGUID(principal)
	if v.tenant.principal(id) == nil && v.tenant.userWithID(id) == nil {
		return Event{}, fmt.Errorf("%s: no user or service principal of the vault's tenant has the object id %q", kind, principal)
	}
	if _, ok := actionsOf(role); !ok {
		return Event{}, fmt.Errorf("%s: unknown role or data action %q", kind, role)
	}
	if secret != "" && !validSecretName(secret) {
		return Event{}, fmt.Errorf("%s: %q is not a secret's name", kind, secret)
	}
	secret = strings.ToLower(secret)
	effective := l.clock.now().Add(l.vaultDelay.Access)
	standing := slices.IndexFunc(v.grants, func(g *vaultGrant) bool {
		return g.principal == id && g.secret == secret && g.role == role && g.until.IsZero()
	})
	switch {
	case kind == "grant-vault" && standing >= 0:
		return Event{}, fmt.Errorf("%s: %s holds %q already", kind, principal, role)
	case kind == "grant-vault":
		v.grants = append(v.grants, &vaultGrant{principal: id, secret: secret, role: role, from: effective})
	case standing < 0:
		return Event{}, fmt.Errorf("%s: %s does not hold %q", kind, principal, role)
	default:
		v.grants[standing].until = effective
	}
	e := vaultEvent(v, kind)
	e.Secret = secret
	if p := v.tenant.principal(id); p != nil {
		e.AppID = p.clientID.String()
	}
	return e, nil
}

// authorize checks the caller's roles. The text is in many public reports.
func (c *vaultCall) authorize(action vaultAction, name string) *vaultError {
	id, _ := parseGUID(c.caller.Principal)
	for _, g := range c.vault.grants {
		if g.principal == id && g.covers(action, name, c.now) {
			return nil
		}
	}
	if c.vault.accessPolicies {
		return forbidden("AccessDenied", "The user, group or application '"+c.callerText()+"' does not have secrets "+policyVerb(action)+
			" permission on key vault '"+c.vault.name+";location="+vaultRegion+"'. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125287")
	}
	resource := strings.ToLower(c.vault.resourceID(c.lab))
	if name != "" {
		resource += "/secrets/" + strings.ToLower(name)
	}
	return forbidden("ForbiddenByRbac", "Caller is not authorized to perform action on resource.\r\n"+
		"If role assignments, deny assignments or role definitions were changed recently, please observe propagation time.\r\n"+
		"Caller: "+c.callerText()+"\r\nAction: '"+vaultActionPrefix+string(action)+"'\r\nResource: '"+resource+"'\r\n"+
		"Assignment: (not found)\r\nVault: "+c.place())
}

func (c *vaultCall) callerText() string {
	return "appid=" + c.caller.ClientID + ";oid=" + c.caller.Principal + ";iss=" + c.caller.Issuer
}

func (c *vaultCall) place() string { return c.vault.name + ";location=" + vaultRegion }

// policyVerb is an action as an access policy calls it.
func policyVerb(action vaultAction) string {
	switch action {
	case actionMetadata:
		return "list"
	case actionUpdate:
		return "set"
	}
	verb, _, _ := strings.Cut(string(action), "/")
	return strings.TrimSuffix(verb, "Secret")
}

// VaultFirewall is whom a vault's network rules let in.
type VaultFirewall string

// The states of a firewall: everybody, nobody of this address, or private
// endpoints only.
const (
	FirewallOpen    VaultFirewall = ""
	FirewallDeny    VaultFirewall = "deny"
	FirewallPrivate VaultFirewall = "private"
)

func (f VaultFirewall) valid() bool {
	return f == FirewallOpen || f == FirewallDeny || f == FirewallPrivate
}

// SetVaultFirewall changes a vault's network rules.
func (l *Lab) SetVaultFirewall(vault string, firewall VaultFirewall) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.noted(l.setFirewall(vault, firewall))
}

// setFirewall is [Lab.SetVaultFirewall] with l.mu held.
func (l *Lab) setFirewall(vault string, firewall VaultFirewall) (Event, error) {
	v, err := l.vaultNamed(vault)
	if err != nil {
		return Event{}, fmt.Errorf("set firewall: %w", err)
	}
	if !firewall.valid() {
		return Event{}, fmt.Errorf("set firewall: %s is not %q, %q or empty", strconv.Quote(string(firewall)), FirewallDeny, FirewallPrivate)
	}
	v.firewall = firewall
	return vaultEvent(v, "firewall"), nil
}

// firewall applies the network rules. The texts are public reports'; the
// caller in them shows that the token is read first.
func (c *vaultCall) firewall() *vaultError {
	switch c.vault.firewall {
	case FirewallDeny:
		return forbidden("ForbiddenByFirewall", "Client address is not authorized and caller is not a trusted service.\r\n"+
			"Client address: 127.0.0.1\r\nCaller: "+c.callerText()+"\r\nVault: "+c.place())
	case FirewallPrivate:
		return forbidden("ForbiddenByConnection", "Public network access is disabled and request is not from a trusted service nor via an approved private link.\r\n"+
			"Caller: "+c.callerText()+"\r\nVault: "+c.place())
	}
	return nil
}

// VaultDelay is how long vaults take for what they do not do at once.
type VaultDelay struct {
	// Delete is how long a secret takes to be deleted, recovered or purged.
	Delete time.Duration
	// Access is how long a role takes to count, or to stop counting.
	Access time.Duration
}

// SetVaultDelay sets the delay for what is done from now on.
func (l *Lab) SetVaultDelay(d VaultDelay) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.vaultDelay = VaultDelay{max(d.Delete, 0), max(d.Access, 0)}
	l.touch(l)
	_ = l.save() // reported by Wait
}
