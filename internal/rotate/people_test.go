package rotate_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/rotate"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/store"
)

// until advances a rotation to a step.
func (r *rig) until(id string, step rotate.Step) *rotate.Rotation {
	r.Helper()
	for range 5000 {
		rot, err := r.engine().Advance(r.Context(), id)
		if err != nil {
			r.Fatal(err)
		}
		if rot.Step == step {
			return rot
		}
		if rot.State.Ended() || rot.State == rotate.NeedsPerson {
			r.Fatalf("it never came to %s: %s", step, told(rot))
		}
		time.Sleep(max(time.Until(rot.Wake), 0))
	}
	r.Fatalf("it never came to %s", step)
	return nil
}

func (r *rig) rollback(id string) *rotate.Rotation {
	r.Helper()
	if _, err := r.engine().Rollback(r.Context(), id, "the test says so"); err != nil {
		r.Fatal(err)
	}
	return r.drive(id)
}

// A value that somebody put into a sink meanwhile is theirs: it is neither
// overwritten nor rolled back.
func TestSinkChangedMeanwhile(t *testing.T) {
	inBubble(t, entralab.Config{Profile: entralab.ProfileRude, RandomSeed: 3}, func(r *rig) {
		id := r.start(rotate.Options{}).ID
		r.until(id, rotate.Deliver)
		r.boxes[1].set("put here by hand")
		rot := r.drive(id)
		if rot.State != rotate.NeedsPerson || !strings.Contains(rot.Trouble, "box:2") || !strings.Contains(rot.Trouble, "somebody has changed its value") {
			r.Fatal(told(rot))
		}
		if rot = r.rollback(id); rot.State != rotate.RolledBack {
			r.Fatal(told(rot))
		}
		old := r.old.Value.Reveal()
		if r.boxes[0].get() != old || r.boxes[1].get() != "put here by hand" || r.boxes[2].get() != old {
			r.Error("not the right values are in the sinks")
		}
		if r.ours() != 0 || !r.has(r.old.KeyID) {
			r.Error("the new secret is left, or the old one is gone")
		}
	})
}

// Until the old secret is retired, everything can be put back.
func TestRollbackFromEachStep(t *testing.T) {
	for i, step := range []rotate.Step{rotate.Accept, rotate.Deliver, rotate.Verify, rotate.Prove, rotate.Reload, rotate.Adopt, rotate.Overlap, rotate.Recheck} {
		t.Run(string(step), func(t *testing.T) {
			inBubble(t, entralab.Config{Profile: entralab.ProfileRude, RandomSeed: uint64(i + 1)}, func(r *rig) {
				id := r.start(rotate.Options{}).ID
				r.until(id, step)
				if rot := r.rollback(id); rot.State != rotate.RolledBack {
					r.Fatal(told(rot))
				}
				for _, b := range r.boxes {
					if b.get() != r.old.Value.Reveal() {
						r.Errorf("%s does not hold the old value", b.name)
					}
				}
				if r.ours() != 0 || !r.has(r.old.KeyID) || !r.has(r.app.Secrets[1].KeyID) {
					r.Error("not the right secrets are left")
				}
			})
		})
	}
}

// Once the old secret may be gone, nobody can go back.
func TestNoRollbackAfterRetire(t *testing.T) {
	inBubble(t, entralab.Config{Profile: entralab.ProfileRude, RandomSeed: 5}, func(r *rig) {
		id := r.start(rotate.Options{}).ID
		r.until(id, rotate.Gone)
		if _, err := r.engine().Rollback(r.Context(), id, "x"); err == nil || !strings.Contains(err.Error(), "cannot be undone") {
			r.Error(err)
		}
		if rot := r.drive(id); rot.State != rotate.Done {
			r.Error(told(rot))
		}
	})
}

// Somebody removes the new secret while the old one still works: the old
// values go back, and the old secret stays.
func TestNewSecretRemovedByHand(t *testing.T) {
	inBubble(t, entralab.Config{RandomSeed: 6}, func(r *rig) {
		id := r.start(rotate.Options{}).ID
		rot := r.until(id, rotate.Overlap)
		if err := r.config.Directory.Remove(r.Context(), entra.OnApplication, r.app.ObjectID, rot.New.KeyID); err != nil {
			r.Fatal(err)
		}
		if rot = r.drive(id); rot.State != rotate.RolledBack || !strings.Contains(rot.Why, "somebody has removed the new secret") {
			r.Fatal(told(rot))
		}
		for _, b := range r.boxes {
			if b.get() != r.old.Value.Reveal() {
				r.Errorf("%s does not hold the old value", b.name)
			}
		}
		if !r.has(r.old.KeyID) {
			r.Error("the old secret is gone")
		}
	})
}

// As long as anybody signs in with the old secret it stays.
func TestOldSecretInUse(t *testing.T) {
	inBubble(t, entralab.Config{Profile: entralab.ProfileRude, RandomSeed: 7}, func(r *rig) {
		id := r.start(rotate.Options{}).ID
		r.until(id, rotate.Overlap)
		stop := r.lab.Now().Add(10 * day) // the overlap is of 7, and the old secret lives for 20
		used := r.lab.Now()
		for r.lab.Now().Before(stop) {
			answer, err := r.config.Tokens.Token(r.Context(), entra.TokenRequest{
				TenantID: r.app.TenantID, ClientID: r.app.ClientID, Value: secret.New(r.old.Value.Reveal()), Scope: "https://graph.microsoft.com/.default",
			})
			if err == nil && answer.Token != nil {
				used = r.lab.Now()
			}
			rot, err := r.engine().Advance(r.Context(), id)
			if err != nil {
				r.Fatal(err)
			}
			if rot.Step != rotate.Overlap && rot.Step != rotate.Recheck {
				r.Fatalf("the old secret was in use: %s", told(rot))
			}
			time.Sleep(30 * time.Minute)
		}
		if !r.has(r.old.KeyID) {
			r.Fatal("the old secret went while it was used")
		}
		rot := r.drive(id)
		if rot.State != rotate.Done || r.has(r.old.KeyID) {
			r.Fatal(told(rot))
		}
		if d := r.lab.Now().Sub(used); d < 7*day {
			r.Errorf("it was retired %s after its last use", d)
		}
	})
}

// What another tool writes would undo our write.
func TestManagedSinkBlocks(t *testing.T) {
	inBubble(t, entralab.Config{}, func(r *rig) {
		r.boxes[0].managed = "External Secrets ExternalSecret/billing"
		_, err := r.engine().Start(r.Context(), rotate.Options{}, "")
		if _, blocked := errors.AsType[*rotate.Blocked](err); !blocked || !strings.Contains(err.Error(), "External Secrets ExternalSecret/billing") {
			r.Error(err)
		}
		if r.ours() != 0 {
			r.Error("a secret was added")
		}
	})
}

// A secret of Terraform's is kept, as its next run would make it anew, until a
// person names it.
func TestSecretOfTerraform(t *testing.T) {
	inBubble(t, entralab.Config{}, func(r *rig) {
		app, err := r.lab.AddApp(entralab.AppSpec{DisplayName: "by code", Secrets: []entralab.SecretSpec{{DisplayName: "managed by terraform"}}})
		if err != nil {
			r.Fatal(err)
		}
		r.binding.ClientID, r.app = app.ClientID, app
		for _, b := range r.boxes {
			b.set(app.Secrets[0].Value.Reveal())
		}
		id := app.Secrets[0].KeyID
		p, err := r.engine().Plan(r.Context(), rotate.Options{})
		if err != nil || len(p.Blockers) > 0 || len(p.Old) != 0 || len(p.Kept) != 1 || p.Kept[0].Because != "its name says that Terraform manages it" ||
			!strings.Contains(strings.Join(p.Warnings, "\n"), "--retire "+id) {
			r.Fatalf("%+v, %v", p, err)
		}
		if rot := r.drive(r.start(rotate.Options{}).ID); rot.State != rotate.Done || !r.has(id) || r.ours() != 1 {
			r.Error(told(rot))
		}
		p, err = r.engine().Plan(r.Context(), rotate.Options{Retire: []string{id}})
		if err != nil || len(p.Old) != 1 || p.Old[0].KeyID != id || p.Old[0].Because != "named by hand" {
			r.Errorf("%+v, %v", p, err)
		}
	})
}

// A pause stops what runs, and what would begin.
func TestPause(t *testing.T) {
	inBubble(t, entralab.Config{}, func(r *rig) {
		id := r.start(rotate.Options{}).ID
		if err := r.store.Pause(r.Context(), "release week", "ada", time.Now()); err != nil {
			r.Fatal(err)
		}
		_, begun := r.engine().Start(r.Context(), rotate.Options{}, "")
		_, advanced := r.engine().Advance(r.Context(), id)
		for _, err := range []error{begun, advanced} {
			if p, ok := errors.AsType[*rotate.Paused](err); !ok || p.Why != "release week" {
				r.Error(err)
			}
		}
		if r.ours() != 0 {
			r.Error("a secret was added")
		}
	})
}

// A journal that knows less than the world shows is an old copy.
func TestOlderJournal(t *testing.T) {
	inBubble(t, entralab.Config{}, func(r *rig) {
		if rot := r.drive(r.start(rotate.Options{}).ID); rot.State != rotate.Done {
			r.Fatal(told(rot))
		}
		empty, err := store.Open(r.Context(), "sqlite:"+filepath.Join(r.TempDir(), "other.db"), store.Options{Holder: "other", Now: time.Now})
		if err != nil {
			r.Fatal(err)
		}
		defer empty.Close()
		c := r.config
		c.Binding, c.Journal = r.binding, empty
		_, err = rotate.New(c).Start(r.Context(), rotate.Options{}, "")
		if _, older := errors.AsType[*rotate.Older](err); !older {
			r.Error(err)
		}
		if r.ours() != 1 {
			r.Error("the world was changed from an old journal")
		}
	})
}

// Only the approved plan is run.
func TestOnlyTheApprovedPlan(t *testing.T) {
	inBubble(t, entralab.Config{}, func(r *rig) {
		p, err := r.engine().Plan(r.Context(), rotate.Options{})
		if err != nil {
			r.Fatal(err)
		}
		r.boxes[2].set("another value")
		if _, err := r.engine().Start(r.Context(), rotate.Options{}, p.Hash); !errors.Is(err, rotate.ErrReplan) {
			r.Error(err)
		}
		if r.ours() != 0 {
			r.Error("a secret was added")
		}
		for _, e := range r.lab.History(0) {
			if e.Surface == "graph" && e.Write != nil && e.ObjectID == r.app.ObjectID {
				r.Errorf("the plan wrote: %+v", e)
			}
		}
	})
}
