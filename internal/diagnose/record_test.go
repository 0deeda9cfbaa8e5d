package diagnose_test

import (
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
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
