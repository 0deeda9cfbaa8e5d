// Package entra is the domain: the tenant, app, credential and setting that
// everything else speaks of, and the questions and answers of a sign-in.
// Plain types and pure functions; no I/O, no clock.
package entra

import (
	"time"

	"github.com/credsmith/credsmith/internal/secret"
)

// Setting is what one consumer holds to sign in.
type Setting struct {
	TenantID  string // a GUID or a verified domain, as the consumer has it
	ClientID  string
	Value     secret.Value
	Authority string // origin of the token service, such as https://login.microsoftonline.com
	Origin    string // where it was read: "environment", ".env:3:21"
}

// Holder is the kind of directory object that holds a credential. Both work
// for the same client id; the portal shows only those of the application.
type Holder string

// The holders.
const (
	OnApplication      Holder = "application"
	OnServicePrincipal Holder = "servicePrincipal"
)

// Credential is the record of a client secret; the value is never part of it.
type Credential struct {
	KeyID       string // "Secret ID" in the portal
	Hint        string // first three characters of the value; empty for some old ones
	DisplayName string
	Start, End  time.Time
	On          Holder
}

// App is an app registration as the directory knows it.
type App struct {
	TenantID         string
	ObjectID         string
	ClientID         string
	DisplayName      string
	Created          time.Time
	DeletedAt        time.Time // zero while it lives
	Disabled         bool      // of the application itself
	Audience         string    // signInAudience: AzureADMyOrg, PersonalMicrosoftAccount, …; "" when not read
	ServicePrincipal *ServicePrincipal
	Credentials      []Credential // of the application and of its service principal
}

// ServicePrincipal is the app's presence in the tenant.
type ServicePrincipal struct {
	ObjectID string
	Enabled  bool
}

// ByHint returns the credentials whose hint is hint; none for an empty hint.
func (a App) ByHint(hint string) []Credential {
	var found []Credential
	for _, c := range a.Credentials {
		if hint != "" && c.Hint == hint {
			found = append(found, c)
		}
	}
	return found
}

// ByKeyID returns the credential with that key id.
func (a App) ByKeyID(keyID string) (Credential, bool) {
	for _, c := range a.Credentials {
		if SameGUID(c.KeyID, keyID) {
			return c, true
		}
	}
	return Credential{}, false
}

// Change is one change of an app's credentials as the audit log has it.
type Change struct {
	At      time.Time
	Added   []KeyRef
	Removed []KeyRef
	By      string // display name or principal name of who did it; may be empty
}

// KeyRef names a credential in a [Change]. The audit log holds no hint.
type KeyRef struct{ KeyID, DisplayName string }

// Record is what credsmith once saw: the value with this fingerprint was
// accepted, and was the value of this credential.
type Record struct {
	Fingerprint string    `json:"fingerprint"`
	TenantID    string    `json:"tenant_id"`
	ClientID    string    `json:"client_id"`
	KeyID       string    `json:"key_id"`
	Hint        string    `json:"hint"`
	Seen        time.Time `json:"seen"`
	// Story is what a rotation of credsmith did with it, "" for none; Removed
	// is when it removed the credential, zero if it did not.
	Story   string    `json:"-"`
	Minted  bool      `json:"-"` // Seen is when a rotation made it
	Removed time.Time `json:"-"`
	// Instead are the places where the value stands that replaced it.
	Instead []string `json:"-"`
}
