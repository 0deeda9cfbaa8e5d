package entralab

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// AppSpec is an application to add. The zero AppSpec is an app of the home
// tenant with a service principal, no permissions and no secrets.
type AppSpec struct {
	TenantID           string // id or domain; default: the home tenant
	ObjectID, ClientID string // default: random; must be new
	DisplayName        string // default "app"
	SignInAudience     string // default AzureADMyOrg
	// At is when the directory and its audit log say the app and its secrets
	// were added. Default: now. The log keeps 30 days.
	At                 time.Time
	Permissions        []string // app roles of Microsoft Graph and Exchange by name, such as "User.Read.All" and "SMTP.SendAsApp"
	NoServicePrincipal bool
	Secrets            []SecretSpec
	// Certificates may sign client assertions. They become keyCredentials,
	// valid as long as the certificate is.
	Certificates         []*x509.Certificate
	FederatedCredentials []FederatedCredentialSpec
	RedirectURIs         []string // of the web platform
	// PublicClient allows flows without a credential, such as the device code.
	PublicClient bool
	Disabled     bool // nobody signs in to it
}

// SecretSpec is a secret to add.
type SecretSpec struct {
	DisplayName string
	KeyID       string // default: random; must be new
	// Start and End bound the secret's validity. Default: At, and two years
	// after Start. Both may lie in the past.
	Start, End time.Time
	// At is when the directory and its audit log say it was added. Default:
	// the app's, or now. A secret added longer ago than the delay is accepted at once.
	At time.Time
	// Value replaces the generated one. Only tests want it, for instance for
	// the characters of older values such as + and %.
	Value string
}

// seedAge is how long ago the seeded apps and secrets were made: long enough
// that nobody takes a secret for a young one, and the audit log still tells.
const seedAge = auditRetention - 24*time.Hour

// seed fills the two tenants. Call with l.mu held.
func (l *Lab) seed() {
	l.setDelay(Delay{})
	at := l.clock.now().Add(-seedAge)
	l.home = l.addTenant("Contoso (lab)", "contoso.lab.test", at)
	l.other = l.addTenant("Fabrikam (lab)", "fabrikam.lab.test", at)

	secret := SecretSpec{DisplayName: "seeded", At: at}
	add := func(t *tenant, spec AppSpec) App {
		app, err := l.addApp(t, spec, at)
		if err != nil {
			panic("entralab: seed: " + err.Error())
		}
		return app
	}
	secret.Value = generatePlainValue()
	l.healthy = add(l.home, AppSpec{DisplayName: "billing-api", Permissions: []string{"User.Read.All"}, Secrets: []SecretSpec{secret}})
	secret.Value = generatePlainValue()
	l.operator = add(l.home, AppSpec{
		DisplayName: "credsmith-operator",
		Permissions: []string{"Application.ReadWrite.All", "AuditLog.Read.All", "Directory.Read.All", "Policy.Read.All"},
		Secrets:     []SecretSpec{secret},
	})
	add(l.other, AppSpec{DisplayName: "fabrikam-reports"})
	l.seedVault()
}

// generatePlainValue returns a value that starts with a letter or digit: a
// leading '-' or '~' is a trap of shells, and not one for everybody who uses
// the seeded apps.
func generatePlainValue() string {
	for {
		v := generateValue()
		if v[0] != '-' && v[0] != '~' && v[0] != '_' && v[0] != '.' {
			return v
		}
	}
}

// Healthy is the seeded app whose one secret works. It may read users.
func (l *Lab) Healthy() App {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.healthy.clone()
}

// Operator is the seeded app for a tool that manages the others:
// Application.ReadWrite.All, AuditLog.Read.All, Directory.Read.All and
// Policy.Read.All.
func (l *Lab) Operator() App {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.operator.clone()
}

func (a App) clone() App {
	a.Secrets = slices.Clone(a.Secrets)
	return a
}

// AddApp registers an application as a person in the portal would. The secrets
// it returns hold their values, which can be had nowhere else.
func (l *Lab) AddApp(spec AppSpec) (App, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.now()
	app, err := l.addSpec(spec, now)
	if err != nil {
		return App{}, fmt.Errorf("entralab: add app: %w", err)
	}
	l.history.add(now, portalEvent(app.ClientID, app.ObjectID, "create-app", ""))
	for _, secret := range app.Secrets {
		l.history.add(now, portalEvent(app.ClientID, app.ObjectID, "mint", secret.KeyID))
	}
	return app, l.save()
}

// AddApps registers n applications at once, for tenants of a million. spec is
// called for each, from 0, and must not use the lab, which stands still
// meanwhile. Generated values are forgotten: only a secret whose spec has a
// Value can sign in. The history gets one event with the number of apps. After
// an error the apps before the bad one stay.
func (l *Lab) AddApps(n int, spec func(i int) AppSpec) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.now()
	added := 0
	var failed error
	for ; added < n; added++ {
		if _, err := l.addSpec(spec(added), now); err != nil {
			failed = fmt.Errorf("entralab: add app %d of %d: %w", added, n, err)
			break
		}
		if len(l.changed) > addChunk { // bounds what one save takes
			if failed = l.save(); failed != nil {
				break
			}
		}
	}
	event := portalEvent("", "", "create-apps", "")
	event.Write.Count = added
	l.history.add(now, event)
	return errors.Join(failed, l.save())
}

// addChunk is how many objects AddApps saves at a time.
const addChunk = 2000

// portalEvent is what the history says of a change made by a person.
func portalEvent(clientID, objectID, kind, keyID string) Event {
	return Event{
		Surface: surfaceControl, AppID: clientID, ObjectID: objectID, KeyID: keyID,
		Outcome: outcomeOK, Write: &Write{Kind: kind, KeyID: keyID},
	}
}

// addSpec finds the tenant. Call with l.mu held.
func (l *Lab) addSpec(spec AppSpec, at time.Time) (App, error) {
	t := l.home
	if spec.TenantID != "" {
		if t = l.tenantNamed(spec.TenantID); t == nil {
			return App{}, fmt.Errorf("no tenant %q", spec.TenantID)
		}
	}
	return l.addApp(t, spec, at)
}

// addApp checks the whole spec before it writes anything. Call with l.mu held.
func (l *Lab) addApp(t *tenant, spec AppSpec, at time.Time) (App, error) {
	if spec.DisplayName == "" {
		spec.DisplayName = "app"
	}
	if spec.SignInAudience == "" {
		spec.SignInAudience = audienceTenant
	}
	if !validAudience(spec.SignInAudience) {
		return App{}, fmt.Errorf("unknown audience %q", spec.SignInAudience)
	}
	if spec.NoServicePrincipal && len(spec.Permissions) > 0 {
		return App{}, errors.New("permissions need a service principal")
	}
	roles := make([]*appRole, len(spec.Permissions))
	for i, name := range spec.Permissions {
		if roles[i] = roleNamed(name); roles[i] == nil {
			return App{}, fmt.Errorf("unknown permission %q", name)
		}
	}
	if len(spec.Secrets) > secretLimit(spec.SignInAudience) {
		return App{}, errSecretLimit
	}
	for _, federated := range spec.FederatedCredentials {
		if err := federated.check(); err != nil {
			return App{}, err
		}
	}
	ids, err := l.fixedIDs(spec)
	if err != nil {
		return App{}, err
	}
	now := l.clock.now()
	if spec.At.After(now) || !spec.At.IsZero() && spec.At.Before(earliest) {
		return App{}, errors.New("an app must be added between 1970 and now")
	}
	if !spec.At.IsZero() {
		at = spec.At
	}
	secrets := make([]SecretSpec, len(spec.Secrets))
	for i, secret := range spec.Secrets {
		if secret.At.IsZero() {
			secret.At = at
		}
		secrets[i] = secret.withDefaults(now)
		if err := secrets[i].check(now); err != nil {
			return App{}, err
		}
	}

	by := t.portal()
	a := l.createAppAs(ids, t, by, at, spec.DisplayName, spec.SignInAudience)
	a.disabled = spec.Disabled
	app := App{TenantID: t.id.String(), ObjectID: a.id.String(), ClientID: a.clientID.String(), DisplayName: a.displayName}
	if !spec.NoServicePrincipal {
		p := l.createPrincipal(a, by, at)
		app.ServicePrincipalID = p.id.String()
		for _, role := range roles {
			l.grantRole(p, by, at, role)
		}
	}
	l.addCertificates(a, spec.Certificates)
	a.addRedirects(spec.RedirectURIs)
	if spec.PublicClient {
		a.allowPublicClient()
	}
	for _, federated := range spec.FederatedCredentials {
		a.federated = append(a.federated, federated.credential(l.random.guid()))
	}
	for _, secret := range secrets {
		app.Secrets = append(app.Secrets, l.mint(a, by, secret))
	}
	return app, nil
}

// AddSecret adds a secret to an application by its object id, as a person in
// the portal would.
func (l *Lab) AddSecret(objectID string, spec SecretSpec) (Secret, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.findApp(objectID)
	if a == nil {
		return Secret{}, fmt.Errorf("entralab: add secret: no app with object id %q", objectID)
	}
	secret, err := l.addSecret(a, spec)
	if err != nil {
		return Secret{}, fmt.Errorf("entralab: add secret to %q: %w", a.displayName, err)
	}
	l.history.add(l.clock.now(), portalEvent(a.clientID.String(), a.id.String(), "mint", secret.KeyID))
	return secret, l.save()
}

// addSecret checks and mints for the person in the portal. Call with l.mu held.
func (l *Lab) addSecret(a *application, spec SecretSpec) (Secret, error) {
	now := l.clock.now()
	spec = spec.withDefaults(now)
	if err := spec.check(now); err != nil {
		return Secret{}, err
	}
	if len(a.secrets) >= secretLimit(a.audience) {
		return Secret{}, errSecretLimit
	}
	return l.mint(a, a.tenant.portal(), spec), nil
}

// RemoveSecret removes a secret as a person in the portal would.
func (l *Lab) RemoveSecret(objectID, keyID string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.findApp(objectID)
	if a == nil {
		return fmt.Errorf("entralab: remove secret: no app with object id %q", objectID)
	}
	id, ok := parseGUID(keyID)
	if !ok || !l.removeSecret(a, a.tenant.portal(), id, l.delay.removal()) {
		return fmt.Errorf("entralab: remove secret: app %q has no secret %q", a.displayName, keyID)
	}
	l.history.add(l.clock.now(), portalEvent(a.clientID.String(), a.id.String(), "remove", id.String()))
	return l.save()
}
