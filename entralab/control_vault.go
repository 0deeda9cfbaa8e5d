package entralab

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// vaultCommand is what a person does to a vault. Which members count depends
// on the action; the others must be absent.
type vaultCommand struct {
	Action          string         `json:"action"`
	Vault           string         `json:"vault"`
	Secret          *string        `json:"secret"`
	Value           *string        `json:"value"`
	Principal       *string        `json:"principal"` // object id
	Role            *string        `json:"role"`
	Firewall        *VaultFirewall `json:"firewall"`
	Webhook         *string        `json:"webhook"`
	Tenant          *string        `json:"tenant"`
	RetentionDays   *int           `json:"retention_days"`
	PurgeProtection *bool          `json:"purge_protection"`
	AccessPolicies  *bool          `json:"access_policies"`
}

// vaultAct is one thing a person can do to a vault.
type vaultAct struct {
	name          string
	needs, allows []string
	handle        func(*Lab, vaultCommand) (any, Event, error)
}

var vaultCommands = []vaultAct{
	{name: "add", allows: []string{"tenant", "retention_days", "purge_protection", "access_policies", "firewall", "webhook"}, handle: commandAddVault},
	{name: "grant", needs: []string{"principal", "role"}, allows: []string{"secret"}, handle: commandGrant},
	{name: "revoke", needs: []string{"principal", "role"}, allows: []string{"secret"}, handle: commandRevoke},
	{name: "firewall", needs: []string{"firewall"}, handle: commandFirewall},
	{name: "webhook", needs: []string{"webhook"}, handle: commandWebhook},
	{name: "set-secret", needs: []string{"secret", "value"}, handle: commandSetSecret},
}

// vault runs a command on a vault.
func (c *controlCall) vault() (any, *problem) {
	var sent vaultCommand
	if refused := c.read(&sent); refused != nil {
		return nil, refused
	}
	i := slices.IndexFunc(vaultCommands, func(c vaultAct) bool { return c.name == sent.Action })
	if i < 0 {
		return nil, badCommand("unknown action " + strconv.Quote(sent.Action))
	}
	action := vaultCommands[i]
	for _, member := range []struct {
		name string
		sent bool
	}{
		{"secret", sent.Secret != nil}, {"value", sent.Value != nil}, {"principal", sent.Principal != nil}, {"role", sent.Role != nil},
		{"firewall", sent.Firewall != nil}, {"webhook", sent.Webhook != nil}, {"tenant", sent.Tenant != nil},
		{"retention_days", sent.RetentionDays != nil}, {"purge_protection", sent.PurgeProtection != nil}, {"access_policies", sent.AccessPolicies != nil},
	} {
		needed := slices.Contains(action.needs, member.name)
		switch {
		case needed && !member.sent:
			return nil, badCommand(sent.Action + " needs " + member.name)
		case member.sent && !needed && !slices.Contains(action.allows, member.name):
			return nil, badCommand(sent.Action + " does not take " + member.name)
		}
	}
	if _, err := c.lab.vaultNamed(sent.Vault); err != nil && sent.Action != "add" {
		return nil, &problem{http.StatusNotFound, err.Error()}
	}
	answer, event, err := action.handle(c.lab, sent)
	if err != nil {
		return nil, badCommand(err.Error())
	}
	c.lab.touchVault(sent.Vault)
	event.Method, event.Path = c.event.Method, c.event.Path
	c.event = event
	return answer, nil
}

func commandAddVault(l *Lab, sent vaultCommand) (any, Event, error) {
	v, err := l.addVault(VaultSpec{
		Name: sent.Vault, TenantID: valueOf(sent.Tenant), RetentionDays: valueOf(sent.RetentionDays), PurgeProtection: valueOf(sent.PurgeProtection),
		AccessPolicies: valueOf(sent.AccessPolicies), Firewall: valueOf(sent.Firewall), Webhook: valueOf(sent.Webhook),
	})
	if err != nil {
		return nil, Event{}, err
	}
	h := v.handed()
	return object{{"name", h.Name}, {"url", h.URL}, {"azure_url", h.AzureURL}}, vaultEvent(v, "create-vault"), nil
}

// valueOf is what p points at, or the zero value.
func valueOf[T any](p *T) T {
	var v T
	if p != nil {
		v = *p
	}
	return v
}

func commandGrant(l *Lab, sent vaultCommand) (any, Event, error) {
	e, err := l.changeGrant("grant-vault", sent.Vault, valueOf(sent.Secret), *sent.Principal, *sent.Role)
	return nil, e, err
}

func commandRevoke(l *Lab, sent vaultCommand) (any, Event, error) {
	e, err := l.changeGrant("revoke-vault", sent.Vault, valueOf(sent.Secret), *sent.Principal, *sent.Role)
	return nil, e, err
}

func commandFirewall(l *Lab, sent vaultCommand) (any, Event, error) {
	e, err := l.setFirewall(sent.Vault, *sent.Firewall)
	return nil, e, err
}

func commandWebhook(l *Lab, sent vaultCommand) (any, Event, error) {
	v, err := l.vaultNamed(sent.Vault)
	if err != nil {
		return nil, Event{}, err
	}
	return nil, vaultEvent(v, "webhook"), l.setWebhook(v, *sent.Webhook)
}

func commandSetSecret(l *Lab, sent vaultCommand) (any, Event, error) {
	version, e, err := l.setSecretByHand(sent.Vault, *sent.Secret, *sent.Value)
	return object{{"version", version}}, e, err
}

// vaultState is a vault in the answer of GET /control/state.
type vaultState struct {
	Name            string             `json:"name"`
	URL             string             `json:"url"`
	TenantID        string             `json:"tenant_id"`
	RetentionDays   int                `json:"retention_days"`
	PurgeProtection bool               `json:"purge_protection"`
	AccessPolicies  bool               `json:"access_policies"`
	Firewall        VaultFirewall      `json:"firewall"`
	Webhook         *webhookStatus     `json:"webhook,omitempty"`
	Grants          []vaultGrantState  `json:"grants"`
	Secrets         []vaultSecretState `json:"secrets"`
}

type webhookStatus struct {
	URL       string       `json:"url"`
	State     webhookState `json:"state"`
	Delivered int          `json:"delivered"`
	Failed    int          `json:"failed"`
}

type vaultGrantState struct {
	Principal string `json:"principal"`
	Secret    string `json:"secret,omitempty"`
	Role      string `json:"role"`
	From      string `json:"from,omitempty"`
	Until     string `json:"until,omitempty"`
}

type vaultSecretState struct {
	Name     string               `json:"name"`
	Deleted  string               `json:"deleted,omitempty"`
	Purge    string               `json:"scheduled_purge,omitempty"`
	Versions []secretVersionState `json:"versions"`
}

// secretVersionState has a digest instead of the value, see [Lab.Digest].
type secretVersionState struct {
	ID          string            `json:"id"`
	Digest      string            `json:"digest"`
	ContentType *string           `json:"content_type,omitempty"`
	Enabled     bool              `json:"enabled"`
	NotBefore   *int64            `json:"nbf,omitempty"`
	Expires     *int64            `json:"exp,omitempty"`
	Created     string            `json:"created"`
	Updated     string            `json:"updated"`
	Tags        map[string]string `json:"tags,omitempty"`
}

// vaultStates lists the vaults and what they hold, purged secrets left out.
// Call with l.mu held.
func (l *Lab) vaultStates(now time.Time) []vaultState {
	states := []vaultState{}
	for _, name := range slices.Sorted(maps.Keys(l.vaults)) {
		v := l.vaults[name]
		_, days := v.recovery()
		s := vaultState{
			Name: v.name, URL: v.url, TenantID: v.tenant.id.String(), RetentionDays: days, PurgeProtection: v.purgeProtection,
			AccessPolicies: v.accessPolicies, Firewall: v.firewall, Grants: []vaultGrantState{}, Secrets: []vaultSecretState{},
		}
		if h := v.webhook; h != nil {
			s.Webhook = &webhookStatus{h.url, h.state, h.delivered, h.failed}
		}
		for _, g := range v.grants {
			if g.until.IsZero() || now.Before(g.until) {
				s.Grants = append(s.Grants, vaultGrantState{g.principal.String(), g.secret, g.role, timeText(g.from), timeText(g.until)})
			}
		}
		for _, key := range slices.Sorted(maps.Keys(v.secrets)) {
			if secret := v.secrets[key]; secret.stateAt(now) != secretPurged {
				s.Secrets = append(s.Secrets, secret.report())
			}
		}
		states = append(states, s)
	}
	return states
}

func (s *vaultSecret) report() vaultSecretState {
	r := vaultSecretState{Name: s.name, Deleted: timeText(s.deleted), Purge: timeText(s.purge)}
	for _, v := range s.versions {
		r.Versions = append(r.Versions, secretVersionState{
			v.id, v.digest, v.contentType, v.enabled, v.notBefore, v.expires, graphTime(v.created), graphTime(v.updated), v.tags,
		})
	}
	return r
}

// timeText is "" for the zero time.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return graphTime(t)
}
