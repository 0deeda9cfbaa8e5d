package entralab

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// storedVault is a vault with its values: it goes into a [Store] only, which
// seals it, never into a document.
type storedVault struct {
	Tenant          guid                `json:"tenant"`
	Name            string              `json:"name"`
	Retention       time.Duration       `json:"retention_ns"`
	PurgeProtection bool                `json:"purge_protection,omitzero"`
	AccessPolicies  bool                `json:"access_policies,omitzero"`
	Firewall        VaultFirewall       `json:"firewall,omitzero"`
	Webhook         *storedWebhook      `json:"webhook,omitzero"`
	Grants          []storedVaultGrant  `json:"grants"`
	Secrets         []storedVaultSecret `json:"secrets"`
}

type storedWebhook struct {
	URL       string       `json:"url"`
	State     webhookState `json:"state"`
	Delivered int          `json:"delivered"`
	Failed    int          `json:"failed"`
}

type storedVaultGrant struct {
	Principal guid      `json:"principal"`
	Secret    string    `json:"secret,omitzero"`
	Role      string    `json:"role"`
	From      time.Time `json:"from"`
	Until     time.Time `json:"until,omitzero"`
}

type storedVaultSecret struct {
	Name     string          `json:"name"`
	Versions []storedVersion `json:"versions"`
	State    secretState     `json:"state"`
	Settled  time.Time       `json:"settled"`
	Deleted  time.Time       `json:"deleted"`
	Purge    time.Time       `json:"purge"`
}

type storedVersion struct {
	ID          string            `json:"id"`
	Value       string            `json:"value"`
	ContentType *string           `json:"content_type"`
	Enabled     bool              `json:"enabled"`
	NotBefore   *int64            `json:"not_before"`
	Expires     *int64            `json:"expires"`
	Created     time.Time         `json:"created"`
	Updated     time.Time         `json:"updated"`
	Tags        map[string]string `json:"tags"`
	Digest      string            `json:"digest"`
	Watched     bool              `json:"watched,omitzero"`
	SaidNear    bool              `json:"said_near,omitzero"`
	SaidOver    bool              `json:"said_over,omitzero"`
}

func (v *vault) stored() Record {
	s := storedVault{
		Tenant: v.tenant.id, Name: v.name, Retention: v.retention, PurgeProtection: v.purgeProtection,
		AccessPolicies: v.accessPolicies, Firewall: v.firewall,
	}
	if w := v.webhook; w != nil {
		s.Webhook = &storedWebhook{w.url, w.state, w.delivered, w.failed}
	}
	for _, g := range v.grants {
		s.Grants = append(s.Grants, storedVaultGrant{g.principal, g.secret, g.role, g.from, g.until})
	}
	for _, name := range slices.Sorted(maps.Keys(v.secrets)) {
		secret := v.secrets[name]
		out := storedVaultSecret{Name: secret.name, State: secret.state, Settled: secret.settled, Deleted: secret.deleted, Purge: secret.purge}
		for _, version := range secret.versions {
			out.Versions = append(out.Versions, storeVersion(version))
		}
		s.Secrets = append(s.Secrets, out)
	}
	return Record{kindVault, v.name, encodeJSON(s)}
}

func storeVersion(v *secretVersion) storedVersion {
	return storedVersion{
		v.id, v.value.Reveal(), v.contentType, v.enabled, v.notBefore, v.expires, v.created, v.updated, v.tags, v.digest,
		v.watched, v.saidNear, v.saidOver,
	}
}

// kindNotice is an event on its way to a webhook, by ordinal.
const kindNotice = "notice"

type storedNotice struct {
	Vault string `json:"vault"`
	URL   string `json:"url"` // of the webhook
	Kind  string `json:"kind"`
	Body  []byte `json:"body"`
}

func (n notice) record() string { return strconv.Itoa(n.ordinal) }

func (s *saver) noteNotice(n notice) {
	if s != nil {
		s.note(kindNotice, n.record(), encodeJSON(storedNotice{n.vault.name, n.hook.url, n.kind, n.body}))
	}
}

func (r *restored) readNotices(ctx context.Context, store Store) error {
	r.notices = map[int]storedNotice{}
	return each(ctx, store, kindNotice, func(id string, s storedNotice) error {
		n, err := strconv.Atoi(id)
		r.notices[n] = s
		return err
	})
}

// takeNotices puts events back into the queue, behind handshakes. Call with
// l.mu held.
func (l *Lab) takeNotices(notices map[int]storedNotice) {
	for _, ordinal := range slices.Sorted(maps.Keys(notices)) {
		s := notices[ordinal]
		v := l.vaults[s.Vault]
		if v == nil || v.webhook == nil || v.webhook.url != s.URL {
			l.saver.note(kindNotice, strconv.Itoa(ordinal), nil)
			continue
		}
		l.events.queue = append(l.events.queue, notice{ordinal: ordinal, vault: v, hook: v.webhook, kind: s.Kind, body: s.Body})
		l.events.last = max(l.events.last, ordinal)
	}
	l.events.wake()
}

func (r *restored) readVaults(ctx context.Context, store Store) error {
	return each(ctx, store, kindVault, func(name string, s storedVault) error {
		t := r.model.byID[s.Tenant]
		if t == nil {
			return fmt.Errorf("vault %s: its tenant is missing", clip(name))
		}
		v := &vault{
			tenant: t, name: s.Name, retention: s.Retention, purgeProtection: s.PurgeProtection,
			accessPolicies: s.AccessPolicies, firewall: s.Firewall, secrets: map[string]*vaultSecret{},
		}
		if w := s.Webhook; w != nil {
			v.webhook = &webhook{w.URL, w.State, w.Delivered, w.Failed}
		}
		for _, g := range s.Grants {
			v.grants = append(v.grants, &vaultGrant{g.Principal, g.Secret, g.Role, g.From, g.Until})
		}
		for _, secret := range s.Secrets {
			if len(secret.Versions) == 0 {
				return fmt.Errorf("vault %s: the secret %s has no version", clip(name), clip(secret.Name))
			}
			in := &vaultSecret{name: secret.Name, state: secret.State, settled: secret.Settled, deleted: secret.Deleted, purge: secret.Purge}
			for _, x := range secret.Versions {
				in.versions = append(in.versions, &secretVersion{
					id: x.ID, value: newSecretText(x.Value), contentType: x.ContentType, enabled: x.Enabled, notBefore: x.NotBefore,
					expires: x.Expires, created: x.Created, updated: x.Updated, tags: x.Tags, digest: x.Digest,
					watched: x.Watched, saidNear: x.SaidNear, saidOver: x.SaidOver,
				})
			}
			v.secrets[strings.ToLower(secret.Name)] = in
		}
		r.vaults = append(r.vaults, v)
		return nil
	})
}

// takeVaults makes restored vaults those of the lab. A handshake that was under
// way starts again. Call with l.mu held.
func (l *Lab) takeVaults(vaults []*vault) {
	for _, v := range vaults {
		l.vaults[v.name] = v
		v.url = l.urlOf(v.name)
		if v.name == DefaultVault {
			v.url = l.vaultURL
		}
		if v.webhook == nil {
			continue
		}
		if v.webhook.state == webhookPending {
			_ = l.setWebhook(v, v.webhook.url) // it was valid before
		}
		l.events.once.Do(func() { l.running.Go(l.deliverEvents) })
	}
}

// rehome ties the vaults to imported tenants. Those of a tenant that is gone
// go, too: a document carries no vault. Call with l.mu held.
func (l *Lab) rehome() {
	l.operatorID, _ = parseGUID(l.operator.ServicePrincipalID)
	maps.DeleteFunc(l.vaults, func(_ string, v *vault) bool {
		v.tenant = l.tenantNamed(v.tenant.id.String())
		return v.tenant == nil
	})
	l.touchVaults()
}

// touchVault notes that the vault of a name has changed. Call with l.mu held.
func (l *Lab) touchVault(name string) {
	if v, err := l.vaultNamed(name); err == nil {
		l.touch(v)
	}
}

// touchVaults notes that any vault may have changed. Call with l.mu held.
func (l *Lab) touchVaults() {
	for _, v := range l.vaults {
		l.touch(v)
	}
}

// apiGrants reads what ties service principals to each other, after all of them.
func (m *modelReader) apiGrants(s storedPrincipal) error {
	p := m.principals[s.ID]
	for _, g := range s.APIGrants {
		resource := m.principals[g.Resource]
		if resource == nil {
			return fmt.Errorf("service principal %s: the resource of its grant %s is missing", s.ID, g.ID)
		}
		p.apiGrants = append(p.apiGrants, apiGrant{g.ID, g.Role, resource, g.Created})
	}
	return nil
}

func (m *modelReader) permissionGrants(s storedTenant) error {
	t := m.byID[s.ID]
	for i, g := range s.PermissionGrants {
		client, resource := m.principals[g.Client], m.principals[g.Resource]
		if client == nil || resource == nil {
			return fmt.Errorf("permission grant %s: its service principals are missing", clip(g.ID))
		}
		t.permissionGrants = append(t.permissionGrants, &permissionGrant{i, g.ID, client, resource, t.userWithID(g.User), g.Scope, g.Gone})
	}
	return nil
}

func (c storedCredential) credential() credential {
	out := credential{
		keyID: c.KeyID, hint: hintOf(c.Hint), displayName: c.DisplayName,
		start: stampOf(c.Start), end: stampOf(c.End), made: stampOf(c.Made), hash: [32]byte(c.Hash),
	}
	if c.Spread {
		out.spread = &spread{
			lag{c.Accept.Total, c.Accept.Replicas}, stampOf(c.Removed), lag{c.Remove.Total, c.Remove.Replicas}, c.MintedBy,
		}
	}
	return out
}
