package diagnose_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/internal/canary"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/secret"
)

// TestSwapped: client id and secret in each other's place are told so, and the
// secret is neither printed nor sent as an id.
func TestSwapped(t *testing.T) {
	inLab(t, func(b *bench) {
		value := b.value()
		swap := func(id, value string) diagnose.Case {
			return b.ask(func(c *diagnose.Case) { c.Setting.ClientID, c.Setting.Value = value, secret.New(id) })
		}
		quiet := func(r diagnose.Report, value string) {
			b.Helper()
			text, err := json.Marshal(r)
			if err != nil {
				b.Fatal(err)
			}
			if found := canary.Find(text, value); len(found) > 0 {
				b.Errorf("the report shows the secret: %v\n%s", found, text)
			}
		}
		b.tokens = 0
		r := b.run(swap(b.app.ClientID, value), true)
		b.expect(r, "broken client-id-malformed confirmed")
		if r.Summary != "Client id and secret are swapped." || r.Setting.ClientID != "***" || r.Fix[0].Do != "Exchange client id and secret." || b.tokens != 1 {
			b.Errorf("%q, client id %q, fix %+v, %d requests", r.Summary, r.Setting.ClientID, r.Fix, b.tokens)
		}
		quiet(r, value)

		wrong := "Zz98Q~" + strings.Repeat("z", 34)
		r = b.run(swap(b.app.ClientID, wrong), true)
		b.expect(r, "broken client-id-malformed confirmed")
		if !strings.Contains(r.Summary, "the next fault shows (AADSTS7000215)") || len(r.Also) == 0 {
			b.Errorf("%q, also %v", r.Summary, r.Also)
		}
		b.expect(b.run(swap("11111111-1111-4111-8111-111111111111", value), true), "broken client-id-malformed likely")

		c := b.ask(func(c *diagnose.Case) { c.Setting.TenantID = value })
		b.tokens = 0
		r = b.run(c, true)
		b.expect(r, "broken tenant-malformed confirmed")
		if r.Setting.TenantID != "***" || b.tokens != 0 {
			b.Errorf("tenant %q, %d requests", r.Setting.TenantID, b.tokens)
		}
		quiet(r, value)
	})
}
