package entralab

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// VaultSpec is a key vault to add. The zero VaultSpec but for its name is a
// vault of the home tenant that keeps deleted secrets for 90 days and that
// nobody but the operator app may use.
type VaultSpec struct {
	// Name has 3 to 24 letters, digits and single dashes; it starts with a
	// letter and does not end with a dash (Microsoft documentation).
	Name     string
	TenantID string // default: the home tenant
	// RetentionDays is how long a deleted secret can be recovered: 7 to 90,
	// default 90.
	RetentionDays int
	// PurgeProtection forbids purging within that time.
	PurgeProtection bool
	// AccessPolicies makes refusals read as those of a vault with access
	// policies instead of roles. What is granted stays the same.
	AccessPolicies bool
	Firewall       VaultFirewall
	// Webhook receives events in Event Grid's schema, see [Lab.SetVaultWebhook].
	Webhook string
}

// Vault is a key vault as the lab hands it out.
type Vault struct {
	Name     string
	TenantID string
	// URL is the vault's address on this machine: [Lab.VaultURL] for the
	// default vault, else https://NAME.vault.localhost:PORT, or
	// https://NAME.vault.lab.test in process.
	URL string
	// AzureURL is https://NAME.vault.azure.net. Only [Lab.Client] and
	// [Lab.Transport] lead it to the lab; with any other client it is an
	// address in the world.
	AzureURL string
}

// DefaultVault is the name of the seeded vault.
const DefaultVault = "kv-lab"

// vault is a key vault.
type vault struct {
	tenant          *tenant
	name            string // in lower case
	url             string // of ids outside of any request
	retention       time.Duration
	purgeProtection bool
	accessPolicies  bool
	firewall        VaultFirewall
	grants          []*vaultGrant
	secrets         map[string]*vaultSecret // by name in lower case
	webhook         *webhook                // nil for none
}

const (
	minRetentionDays = 7
	maxRetentionDays = 90
)

// AddVault makes a key vault.
func (l *Lab) AddVault(spec VaultSpec) (Vault, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, err := l.addVault(spec)
	if err != nil {
		return Vault{}, fmt.Errorf("entralab: add vault: %w", err)
	}
	return v.handed(), l.noted(vaultEvent(v, "create-vault"), nil)
}

// addVault checks the whole spec before it writes anything. Call with l.mu
// held.
func (l *Lab) addVault(spec VaultSpec) (*vault, error) {
	name := strings.ToLower(spec.Name)
	if len(name) < 3 || len(name) > 24 || !validSecretName(name) || name[0] < 'a' || name[len(name)-1] == '-' || strings.Contains(name, "--") {
		return nil, fmt.Errorf("name %q: must be 3 to 24 letters, digits and single dashes, with a letter first", spec.Name)
	}
	if l.vaults[name] != nil {
		return nil, fmt.Errorf("there is a vault %q already", name)
	}
	t := l.home
	if spec.TenantID != "" {
		if t = l.tenantNamed(spec.TenantID); t == nil {
			return nil, fmt.Errorf("no tenant %q", spec.TenantID)
		}
	}
	days := spec.RetentionDays
	if days == 0 {
		days = maxRetentionDays
	}
	if days < minRetentionDays || days > maxRetentionDays {
		return nil, errors.New("retention of " + strconv.Itoa(days) + " days: must be 7 to 90")
	}
	if !spec.Firewall.valid() {
		return nil, errors.New("unknown firewall " + strconv.Quote(string(spec.Firewall)))
	}
	v := &vault{
		tenant: t, name: name, url: l.urlOf(name), retention: time.Duration(days) * 24 * time.Hour,
		purgeProtection: spec.PurgeProtection, accessPolicies: spec.AccessPolicies, firewall: spec.Firewall,
		secrets: map[string]*vaultSecret{},
	}
	if err := l.setWebhook(v, spec.Webhook); err != nil {
		return nil, err
	}
	if t == l.home {
		v.grants = []*vaultGrant{{principal: l.operatorID, role: RoleSecretsOfficer}}
	}
	l.vaults[name] = v
	l.touch(v)
	return v, nil
}

// seedVault makes the default vault. Call with l.mu held.
func (l *Lab) seedVault() {
	l.subscription = l.random.guid()
	l.operatorID = mustGUID(l.operator.ServicePrincipalID)
	v, err := l.addVault(VaultSpec{Name: DefaultVault})
	if err != nil {
		panic("entralab: seed: " + err.Error())
	}
	v.url = l.vaultURL
	v.grants = append(v.grants, &vaultGrant{principal: mustGUID(l.healthy.ServicePrincipalID), role: RoleSecretsUser})
}

// Vault finds a vault by name.
func (l *Lab) Vault(name string) (Vault, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	v, err := l.vaultNamed(name)
	if err != nil {
		return Vault{}, fmt.Errorf("entralab: %w", err)
	}
	return v.handed(), nil
}

// vaultNamed finds a vault. Call with l.mu held.
func (l *Lab) vaultNamed(name string) (*vault, error) {
	if v := l.vaults[strings.ToLower(name)]; v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("no vault %q", name)
}

func (v *vault) handed() Vault {
	return Vault{Name: v.name, TenantID: v.tenant.id.String(), URL: v.url, AzureURL: "https://" + v.name + "." + vaultDomainAzure}
}

// resourceID is the vault in Azure's own terms.
func (v *vault) resourceID(l *Lab) string {
	return "/subscriptions/" + l.subscription.String() + "/resourceGroups/lab/providers/Microsoft.KeyVault/vaults/" + v.name
}

// recovery is what the attributes of every secret say.
func (v *vault) recovery() (level string, days int) {
	days = int(v.retention / (24 * time.Hour))
	level = "Recoverable"
	if days < maxRetentionDays {
		level = "CustomizedRecoverable"
	}
	if !v.purgeProtection {
		level += "+Purgeable"
	}
	return level, days
}

// vaultEvent is what the history says of a change made by a person.
func vaultEvent(v *vault, kind string) Event {
	return Event{Surface: surfaceControl, Vault: v.name, Outcome: outcomeOK, Write: &Write{Kind: kind}}
}

// vaultSecret is all versions of a secret, living or deleted.
//
// Deleting, recovering and purging take the vault's delay: until settled,
// neither side shows the secret and its name is taken. What the real service
// shows meanwhile on the other side is unverified.
type vaultSecret struct {
	name     string // as it was written first
	versions []*secretVersion
	state    secretState
	settled  time.Time
	deleted  time.Time // of the last deletion
	purge    time.Time // when the vault does it by itself
}

type secretState int

const (
	secretLives secretState = iota
	secretDeleted
	secretPurged
)

// is reports whether the secret has come to rest in a state.
func (s *vaultSecret) is(state secretState, now time.Time) bool {
	return s.stateAt(now) == state && !now.Before(s.settled)
}

// stateAt is the state that s is in, or is on its way to.
func (s *vaultSecret) stateAt(now time.Time) secretState {
	if s.state == secretDeleted && !now.Before(s.purge) {
		return secretPurged
	}
	return s.state
}

func (s *vaultSecret) latest() *secretVersion { return s.versions[len(s.versions)-1] }

func (s *vaultSecret) version(id string) *secretVersion {
	for _, v := range s.versions {
		if strings.EqualFold(v.id, id) {
			return v
		}
	}
	return nil
}

// secretVersion is one value of a secret.
type secretVersion struct {
	id               string
	value            SecretText
	contentType      *string
	enabled          bool
	notBefore        *int64 // Unix seconds, as on the wire
	expires          *int64
	created, updated time.Time
	tags             map[string]string
	digest           string // of the value

	watched            bool // made while there was a webhook
	saidNear, saidOver bool // its near-expiry and expiry have been announced
}
