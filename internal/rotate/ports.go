package rotate

import (
	"context"
	"errors"
	"time"

	"github.com/credsmith/credsmith/internal/audit"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// Directory is the tenant as the operator sees it. A write is sent once. Its
// error is an *entra.Refusal if the directory said no; after any other it is
// open whether the write was done.
type Directory interface {
	// Snapshot reads an app, from the application and the service principal.
	Snapshot(ctx context.Context, clientID string) (entra.Snapshot, error)
	// Mint adds a secret to the object that holds credentials for the app.
	Mint(ctx context.Context, holder entra.Holder, objectID, displayName string, end time.Time) (entra.Credential, secret.Value, error)
	// Remove removes a secret. One that is not there is no error.
	Remove(ctx context.Context, holder entra.Holder, objectID, keyID string) error
	// Rules returns what applies to new secrets of an app.
	Rules(ctx context.Context, app entra.App) (entra.Rules, error)
	// SecretUse returns the use of an app's secrets since a time. A tenant
	// without the licence is an *entra.Refusal of kind RefusedLicence.
	SecretUse(ctx context.Context, clientID string, since time.Time) (entra.SecretUse, error)
	// Operator returns what is known of the identity itself.
	Operator(ctx context.Context) (entra.Operator, error)
	// Owns reports whether the operator is an owner of the application.
	Owns(ctx context.Context, app entra.App) (bool, error)
}

// Tokens is the token endpoint. Each question goes over a connection of its own.
type Tokens interface {
	Token(ctx context.Context, r entra.TokenRequest) (entra.Answer, error)
}

// Journal keeps rotations. Each method is one durable transaction; entries go
// into the audit record in the same one.
type Journal interface {
	// Begin writes a new rotation and gives it its generation, the next of its
	// app. ErrBusy if the app has one that has not ended.
	Begin(ctx context.Context, r *Rotation, entries ...audit.Entry) error
	// Take reads a rotation and makes this process its holder for a time; a
	// holder takes again to go on holding. ErrHeld while another one lives.
	Take(ctx context.Context, id string, hold time.Duration) (*Rotation, error)
	// Release gives it up.
	Release(ctx context.Context, r *Rotation) error
	// Save writes a rotation together with values to be sealed, by name. It
	// fails with ErrStale when the row has changed, or has another holder.
	Save(ctx context.Context, r *Rotation, values map[string]secret.Value, entries ...audit.Entry) error
	// Rotation reads a rotation without holding it; ErrNone if there is none.
	Rotation(ctx context.Context, id string) (*Rotation, error)
	// Record writes entries into the audit record alone.
	Record(ctx context.Context, entries ...audit.Entry) error
	// Value opens a sealed value; an empty one when none has that name.
	Value(ctx context.Context, r *Rotation, name string) (secret.Value, error)
	// Shred destroys the sealed values of a rotation and saves it.
	Shred(ctx context.Context, r *Rotation, entries ...audit.Entry) error
	// Retired counts the secrets that were retired since a time, in all apps.
	Retired(ctx context.Context, since time.Time) (int, error)
	// Generation returns the last one begun for an app.
	Generation(ctx context.Context, tenantID, clientID string) (int64, error)
	// Paused returns why all writes are stopped; "" when they are not.
	Paused(ctx context.Context) (string, error)
}

// Errors of a Journal.
var (
	ErrBusy  = errors.New("the app has a rotation that has not ended")
	ErrHeld  = errors.New("another credsmith is working on it")
	ErrStale = errors.New("another credsmith has gone on with it")
	ErrNone  = errors.New("there is no such rotation")
)
