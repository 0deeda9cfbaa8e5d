package entralab

import (
	"errors"
	"fmt"
)

// Seed is what a new lab holds beside its own two tenants.
type Seed struct {
	Tenants []TenantSpec
	Apps    []AppSpec
	Vaults  []VaultSeed
	Delay   Delay // for secrets written later; the seed's own are accepted at once
}

// TenantSpec is a tenant to add. It gets the lab's two users.
type TenantSpec struct {
	ID          string // default: random; must be new
	DisplayName string // default: the domain
	Domain      string
	Cloud       string // [CloudUSGov], [CloudChina], or "" for the public one
}

// VaultSeed is a key vault to add with what it holds. The default vault's name
// adds to that one.
type VaultSeed struct {
	VaultSpec
	Secrets []VaultSecret
	Grants  []VaultGrant
}

// VaultSecret is a secret in a vault.
type VaultSecret struct{ Name, Value string }

// VaultGrant lets an app, by its client id, use a vault or one secret in it;
// see [Lab.GrantVault] for the role.
type VaultGrant struct{ ClientID, Role, Secret string }

// SeedError says which part of a [Seed] is wrong.
type SeedError struct {
	Part  string // "tenants", "apps" or "vaults"
	Index int
	Err   error
}

func (e *SeedError) Error() string { return fmt.Sprintf("seed: %s[%d]: %v", e.Part, e.Index, e.Err) }

// Unwrap returns the reason.
func (e *SeedError) Unwrap() error { return e.Err }

// addSeed adds the seed. Call with l.mu held.
func (l *Lab) addSeed(s Seed) error {
	now := l.clock.now()
	for i, spec := range s.Tenants {
		if err := l.addSeedTenant(spec); err != nil {
			return &SeedError{"tenants", i, err}
		}
	}
	for i, spec := range s.Apps {
		t := l.home
		if spec.TenantID != "" {
			t = l.tenantNamed(spec.TenantID)
		}
		if t == nil {
			return &SeedError{"apps", i, fmt.Errorf("no tenant %q", spec.TenantID)}
		}
		if _, err := l.addApp(t, spec, now); err != nil {
			return &SeedError{"apps", i, err}
		}
	}
	for i, seed := range s.Vaults {
		if err := l.addSeedVault(seed); err != nil {
			return &SeedError{"vaults", i, err}
		}
	}
	l.setDelay(s.Delay)
	return nil
}

func (l *Lab) addSeedVault(seed VaultSeed) error {
	if seed.Name != DefaultVault {
		if _, err := l.addVault(seed.VaultSpec); err != nil {
			return err
		}
	}
	for _, s := range seed.Secrets {
		if _, _, err := l.setSecretByHand(seed.Name, s.Name, s.Value); err != nil {
			return err
		}
	}
	for _, g := range seed.Grants {
		principal := ""
		id, _ := parseGUID(g.ClientID)
		for _, t := range l.tenants {
			if p := t.principalWithClientID(id); p != nil && p.app != nil {
				principal = p.id.String()
			}
		}
		if principal == "" {
			return fmt.Errorf("no app with a service principal has the client id %q", clip(g.ClientID))
		}
		if _, err := l.changeGrant("grant-vault", seed.Name, g.Secret, principal, g.Role); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) addSeedTenant(spec TenantSpec) error {
	if !domainShaped(spec.Domain) {
		return fmt.Errorf("a tenant needs a domain such as contoso.test, not %q", clip(spec.Domain))
	}
	id, ok := parseGUID(spec.ID)
	switch {
	case spec.ID != "" && !ok:
		return fmt.Errorf("the tenant id %q is not a GUID", clip(spec.ID))
	case l.tenantNamed(spec.Domain) != nil || ok && l.tenantNamed(spec.ID) != nil:
		return errors.New("another tenant has this id or domain")
	}
	if err := checkCloud(spec.Cloud); err != nil {
		return err
	}
	name := spec.DisplayName
	if name == "" {
		name = spec.Domain
	}
	t := l.addTenant(name, spec.Domain, l.clock.now().Add(-seedAge))
	t.cloud = spec.Cloud
	if ok {
		t.id = id
	}
	return nil
}

// fixedIDs are the ids that a spec decides, zero for the others.
type fixedIDs struct{ object, client guid }

// fixedIDs checks the ids of a spec. Call with l.mu held.
func (l *Lab) fixedIDs(spec AppSpec) (ids fixedIDs, err error) {
	seen := map[guid]bool{}
	for _, fixed := range []struct {
		name, text string
		into       *guid
	}{{"object id", spec.ObjectID, &ids.object}, {"client id", spec.ClientID, &ids.client}} {
		if fixed.text == "" {
			continue
		}
		id, ok := parseGUID(fixed.text)
		if !ok || id == (guid{}) {
			return ids, fmt.Errorf("the %s %q is not a GUID", fixed.name, clip(fixed.text))
		}
		for _, t := range l.tenants {
			if seen[id] || find(&t.appsByID, t.apps, (*application).objectID, id) != nil || find(&t.appsByClientID, t.apps, (*application).appID, id) != nil || t.principalByID(id) != nil || t.principalByClientID(id) != nil {
				return ids, fmt.Errorf("the %s %s is taken", fixed.name, id)
			}
		}
		seen[id] = true
		*fixed.into = id
	}
	for _, secret := range spec.Secrets {
		if secret.KeyID == "" {
			continue
		}
		id, ok := parseGUID(secret.KeyID)
		if !ok || seen[id] {
			return ids, fmt.Errorf("the key id %q of a secret is not a GUID, or not new", clip(secret.KeyID))
		}
		seen[id] = true
	}
	return ids, nil
}
