package rotate_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/graph"
	"github.com/credsmith/credsmith/internal/operator"
	"github.com/credsmith/credsmith/internal/rotate"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/wire"
)

// acting is a directory that remembers what it removed, and may have lost rights.
type acting struct {
	rotate.Directory
	mu      *sync.Mutex
	removed *[]string
	lost    *bool
}

func (a acting) Remove(ctx context.Context, on entra.Holder, objectID, keyID string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	*a.removed = append(*a.removed, keyID)
	return a.Directory.Remove(ctx, on, objectID, keyID)
}

func (a acting) Operator(ctx context.Context) (entra.Operator, error) {
	op, err := a.Directory.Operator(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	if *a.lost {
		op.Permissions = slices.DeleteFunc(op.Permissions, func(p string) bool { return p == "AuditLog.Read.All" })
	}
	return op, err
}

// selfRig turns a rig to the operator's own secret. It returns what each of the
// two sign-ins removed: the old secret's and the new one's.
func selfRig(r *rig) (byOld, byNew *[]string, lost *bool) {
	op := r.lab.Operator()
	r.old, r.app = op.Secrets[0], op
	r.binding.ClientID = op.ClientID
	for _, b := range r.boxes {
		b.set(r.old.Value.Reveal())
	}
	byOld, byNew, lost = &[]string{}, &[]string{}, new(bool)
	mu := &sync.Mutex{}
	r.config.Directory = acting{r.config.Directory, mu, byOld, new(bool)}
	client := wire.Wrap(r.lab.Transport())
	r.config.AsOperator = func(clientID string, v secret.Value) (rotate.Directory, error) {
		place := operator.Place{TenantID: op.TenantID, Authority: r.lab.AuthorityURL(), Graph: r.lab.GraphURL(), HTTP: client}
		identity, err := place.Secret(clientID, v)
		if err != nil {
			return nil, err
		}
		return acting{graph.New(r.lab.GraphURL(), identity.TenantID, identity.Credential, client), mu, byNew, lost}, nil
	}
	return byOld, byNew, lost
}

// TestSelf rotates what credsmith itself signs in with: the old secret is
// removed by a sign-in with the new one.
func TestSelf(t *testing.T) {
	for _, profile := range []string{entralab.ProfileCalm, entralab.ProfileRude} {
		t.Run(profile, func(t *testing.T) {
			inBubble(t, entralab.Config{Profile: profile, RandomSeed: 11}, func(r *rig) {
				byOld, byNew, _ := selfRig(r)
				rot := r.drive(r.start(rotate.Options{Self: true}).ID)
				if rot.State != rotate.Done {
					r.Fatal(told(rot))
				}
				if len(rot.Plan.Rights) == 0 || !slices.IsSorted(rot.Plan.Rights) {
					r.Error(rot.Plan.Rights)
				}
				if slices.Contains(*byOld, r.old.KeyID) || !slices.Contains(*byNew, r.old.KeyID) {
					r.Errorf("removed with the old secret: %v; with the new one: %v", *byOld, *byNew)
				}
				for _, b := range r.boxes {
					if b.get() == r.old.Value.Reveal() {
						r.Errorf("%s holds the old value", b.name)
					}
				}
			})
		})
	}
}

// A right that is gone with the new secret keeps the old one.
func TestSelfKeepsTheOldSecretWithoutItsRights(t *testing.T) {
	inBubble(t, entralab.Config{}, func(r *rig) {
		byOld, byNew, lost := selfRig(r)
		*lost = true
		rot := r.drive(r.start(rotate.Options{Self: true}).ID)
		if rot.State != rotate.NeedsPerson || rot.Step != rotate.Recheck || !strings.Contains(rot.Trouble, "the operator has lost AuditLog.Read.All: the old secret is kept") {
			r.Fatal(told(rot))
		}
		if len(*byOld)+len(*byNew) > 0 || !r.has(r.old.KeyID) {
			r.Error("something was removed")
		}
	})
}

// Neither path is taken by mistake.
func TestSelfIsSaid(t *testing.T) {
	inBubble(t, entralab.Config{}, func(r *rig) {
		blocked := func(o rotate.Options, want string) {
			r.Helper()
			_, err := r.engine().Start(r.Context(), o, "")
			if _, ok := errors.AsType[*rotate.Blocked](err); !ok || !strings.Contains(err.Error(), want) {
				r.Error(err)
			}
		}
		blocked(rotate.Options{Self: true}, "credsmith does not sign in as app "+r.app.ClientID)
		selfRig(r)
		r.binding.ClientID = strings.ToUpper(r.binding.ClientID)
		blocked(rotate.Options{}, "is the identity that credsmith itself signs in with: it is rotated only where that is said (--self)")
		r.config.AsOperator = nil
		blocked(rotate.Options{Self: true}, "is the identity that credsmith itself signs in with")
		if r.ours() != 0 {
			r.Error("a secret was added")
		}
	})
}
