package diagnose_test

import (
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// TestRemovedByRotation: what credsmith removed itself needs no directory to
// be proven, but the authority must refuse it, and for the value.
func TestRemovedByRotation(t *testing.T) {
	inLab(t, func(b *bench) {
		record := entra.Record{Fingerprint: "fp", ClientID: b.app.ClientID, KeyID: b.app.Secrets[0].KeyID, Story: "rotation r-1 replaced it", Instead: []string{"dotenv:/srv/app.env#SECRET"}}
		know := func(change func(*entra.Record)) {
			r := record
			r.Removed = b.lab.Now().Add(-time.Hour)
			if change != nil {
				change(&r)
			}
			b.records.records = []entra.Record{r}
		}
		know(nil)
		b.expect(b.run(b.ask(nil), false), "working - confirmed")
		b.remove()
		r := b.run(b.ask(nil), false)
		b.expect(r, "broken secret-deleted confirmed")
		b.wants(r, diagnose.FromFile, "rotation r-1 replaced it")
		if len(r.Fix) != 2 || !strings.Contains(r.Fix[0].Do, "dotenv:/srv/app.env#SECRET") {
			b.Errorf("fix: %+v", r.Fix)
		}
		b.expect(b.run(b.ask(nil), true), "broken secret-deleted confirmed")

		for name, change := range map[string]func(*entra.Record){
			"not removed":   func(r *entra.Record) { r.Removed = time.Time{} },
			"another app's": func(r *entra.Record) { r.ClientID = "11111111-1111-4111-8111-111111111111" },
		} {
			know(change)
			if r := b.run(b.ask(nil), false); r.Confidence == diagnose.Confirmed {
				b.Errorf("%s: %s is confirmed", name, *r.Cause)
			}
		}
		know(nil)
		b.portal(`{"action":"delete-app","app":"` + b.app.ObjectID + `"}`)
		if r := b.run(b.ask(nil), false); r.Cause != nil && *r.Cause == "secret-deleted" {
			b.Errorf("the app is gone, and its secret is blamed: %s", r.Summary)
		}
	})
}

// TestRecordedWithoutDirectory: a value that was once a secret of the app is no
// unknown one, but only the directory or a removal of our own proves more.
func TestRecordedWithoutDirectory(t *testing.T) {
	inLab(t, func(b *bench) {
		tenant := b.ask(nil).Setting.TenantID
		know := func(change func(*entra.Record)) {
			r := entra.Record{Fingerprint: "fp", TenantID: tenant, ClientID: b.app.ClientID, KeyID: b.app.Secrets[0].KeyID, Seen: b.lab.Now().Add(-24 * time.Hour)}
			if change != nil {
				change(&r)
			}
			b.records.records = []entra.Record{r}
		}
		b.remove()
		know(nil)
		b.expect(b.run(b.ask(nil), false), "broken secret-deleted likely")
		know(func(r *entra.Record) { r.Minted, r.Seen = true, b.lab.Now().Add(-time.Minute) })
		b.expect(b.run(b.ask(nil), false), "broken secret-propagating likely")
		know(func(r *entra.Record) { r.Minted = true })
		b.expect(b.run(b.ask(nil), false), "broken secret-deleted likely")
		for name, change := range map[string]func(*entra.Record){
			"another app's":    func(r *entra.Record) { r.ClientID = "11111111-1111-4111-8111-111111111111" },
			"another tenant's": func(r *entra.Record) { r.TenantID = "11111111-1111-4111-8111-111111111111" },
		} {
			know(change)
			if r := b.run(b.ask(nil), false); *r.Cause != "secret-unknown" {
				b.Errorf("%s: %s", name, *r.Cause)
			}
		}
	})
}

// TestNewerCopy: where a rotation has just made this value, a copy that works
// holds the old one.
func TestNewerCopy(t *testing.T) {
	inLab(t, func(b *bench) {
		good := secret.New(b.value())
		c := b.ask(func(c *diagnose.Case) {
			c.Setting.Value = secret.New("Zzz8Q~" + strings.Repeat("z", 34))
			copyOf(c, "prod.env:3:1", func(s *entra.Setting) { s.Value = good })
		})
		b.records.records = []entra.Record{{Fingerprint: "fp", TenantID: c.Setting.TenantID, ClientID: b.app.ClientID, KeyID: "22222222-2222-4222-8222-222222222222", Minted: true, Seen: b.lab.Now().Add(-time.Minute)}}
		b.expect(b.run(c, false), "broken secret-propagating likely")
		b.records.records[0].Minted = false
		r := b.run(c, false)
		b.expect(r, "broken secret-superseded likely")
		if len(r.Fix) != 2 || r.Fix[0].Do != "Bring this place to the value of prod.env:3:1." {
			b.Errorf("fix: %+v", r.Fix)
		}
	})
}

// TestReplacedButWorking: a value that a rotation has replaced works until it
// is retired, and that is said.
func TestReplacedButWorking(t *testing.T) {
	inLab(t, func(b *bench) {
		b.records.records = []entra.Record{{Fingerprint: "fp", ClientID: b.app.ClientID, KeyID: b.app.Secrets[0].KeyID, Story: "rotation r-1 replaced it", Instead: []string{"dotenv:/srv/app.env#SECRET"}}}
		r := b.run(b.ask(nil), false)
		b.expect(r, "working - confirmed")
		b.wants(r, diagnose.FromFile, "rotation r-1 replaced it")
		if !strings.Contains(r.Summary, "it stops once its secret is retired") || len(r.Fix) != 2 {
			b.Errorf("summary %q, fix %+v", r.Summary, r.Fix)
		}
		b.records.records[0].ClientID = "11111111-1111-4111-8111-111111111111"
		if r := b.run(b.ask(nil), false); len(r.Fix) != 0 {
			b.Errorf("another app's record: %+v", r.Fix)
		}
	})
}

// TestRotationUnderWay: nobody is told to add one more secret while a rotation
// has one on its way.
func TestRotationUnderWay(t *testing.T) {
	inLab(t, func(b *bench) {
		b.remove()
		run := func(binding string, rotation *diagnose.Rotation) diagnose.Report {
			return b.run(b.ask(func(c *diagnose.Case) { c.Binding, c.Rotation = binding, rotation }), true)
		}
		for _, tt := range []struct {
			name, binding, want string
			rotation            *diagnose.Rotation
		}{
			{"no binding", "", "credsmith rotate run <binding>", nil},
			{"a binding", "billing-api", "credsmith rotate run billing-api", nil},
			{"not written yet", "billing-api", "credsmith rotate resume billing-api", &diagnose.Rotation{ID: "r-1", Binding: "billing-api", Step: "deliver", Next: "try again"}},
			{"written", "billing-api", "", &diagnose.Rotation{ID: "r-1", Binding: "billing-api", Step: "overlap", Written: []string{"dotenv:/srv/app.env#SECRET"}}},
		} {
			r := run(tt.binding, tt.rotation)
			b.expect(r, "broken secret-deleted likely")
			if got := r.Fix[0].Run; got != tt.want {
				b.Errorf("%s: the first step runs %q, want %q", tt.name, got, tt.want)
			}
			if tt.rotation == nil {
				continue
			}
			b.wants(r, diagnose.FromFile, "rotation r-1 of binding billing-api has not ended: it stands at "+tt.rotation.Step)
			for _, f := range r.Fix {
				if f.Az != "" || strings.Contains(f.Run, "rotate run") {
					b.Errorf("%s: one more secret: %+v", tt.name, f)
				}
			}
		}
	})
}
