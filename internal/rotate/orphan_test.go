package rotate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/rotate"
	"github.com/credsmith/credsmith/internal/secret"
)

// TestSweep: of all the secrets that bear our name, the only one to go is that
// of a rotation which is over, made another, and never gave this one away.
func TestSweep(t *testing.T) {
	inBubble(t, entralab.Config{}, func(r *rig) {
		done := r.drive(r.start(rotate.Options{}).ID)
		if done.State != rotate.Done {
			r.Fatal(told(done))
		}
		mint := func(name string) (entra.Credential, secret.Value) {
			r.Helper()
			c, v, err := r.config.Directory.Mint(r.Context(), entra.OnApplication, r.app.ObjectID, name, r.lab.Now().Add(90*day))
			if err != nil {
				r.Fatal(err)
			}
			return c, v
		}
		late, _ := mint("credsmith " + done.ID + " abcdefghij g1") // its request was applied twice
		used, value := mint("credsmith " + done.ID + " bcdefghijk g1")
		forged, _ := mint("credsmith r-nobodyknow abcdefghij g1")
		copied, _ := mint("credsmith " + done.ID + " abcdefghij g7")
		other, _ := mint("credsmith is a nice name")
		young, err := r.engine().Orphans(r.Context())
		if err != nil || len(young) != 4 {
			r.Fatal(young, err)
		}
		for _, o := range young {
			if o.Removable {
				r.Errorf("%+v", o)
			}
		}
		if _, err := r.config.Tokens.Token(r.Context(), entra.TokenRequest{TenantID: r.app.TenantID, ClientID: r.app.ClientID, Value: value, Scope: "https://graph.microsoft.com/.default"}); err != nil {
			r.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		if err := r.store.Pause(r.Context(), "release week", "ada", time.Now()); err != nil {
			r.Fatal(err)
		}
		if _, err := r.engine().Sweep(r.Context()); err == nil || !r.has(late.KeyID) {
			r.Error("swept in a pause", err)
		}
		if err := r.store.Pause(r.Context(), "", "ada", time.Now()); err != nil {
			r.Fatal(err)
		}
		found, err := r.engine().Sweep(r.Context())
		if err != nil || len(found) != 4 {
			r.Fatal(found, err)
		}
		want := map[string]string{late.KeyID: "nobody has its value", used.KeyID: "somebody signed in with it", forged.KeyID: "knows no such rotation", copied.KeyID: "the name is a copy"}
		for _, o := range found {
			if !strings.Contains(o.Says, want[o.KeyID]) || o.Removed != (o.KeyID == late.KeyID) {
				r.Errorf("%+v", o)
			}
		}
		if r.has(late.KeyID) {
			r.Error("the orphan is still there")
		}
		for _, id := range []string{done.New.KeyID, used.KeyID, forged.KeyID, copied.KeyID, other.KeyID, r.app.Secrets[1].KeyID} {
			if !r.has(id) {
				r.Errorf("secret %s is gone", id)
			}
		}
		if _, err := r.store.VerifyAudit(r.Context()); err != nil {
			r.Error(err)
		}
	})
}

// While a rotation is under way, its secrets are its own.
func TestSweepLeavesWhatIsUnderWay(t *testing.T) {
	inBubble(t, entralab.Config{}, func(r *rig) {
		id := r.start(rotate.Options{}).ID
		r.until(id, rotate.Prove)
		time.Sleep(time.Hour)
		if found, err := r.engine().Sweep(r.Context()); err != nil || len(found) != 0 {
			r.Error(found, err)
		}
	})
}
