package diagnose_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/graph"
	"github.com/credsmith/credsmith/internal/operator"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/token"
	"github.com/credsmith/credsmith/internal/try"
	"github.com/credsmith/credsmith/internal/wire"
)

// bench is a lab with an app to break, in virtual time.
type bench struct {
	*testing.T
	lab     *entralab.Lab
	app     entralab.App
	records *memory
	tokens  int    // token requests that reached the lab
	address string // to try the token on; "" for the service's own
}

// inLab runs a test in a synctest bubble with a lab of its own.
func inLab(t *testing.T, test func(b *bench)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lab, err := entralab.Start(t.Context(), entralab.Config{InProcess: true, RandomSeed: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer lab.Close()
		b := &bench{T: t, lab: lab, records: &memory{}}
		b.app = b.register("billing-api", old)
		test(b)
	})
}

const old = -30 * 24 * time.Hour

func (b *bench) register(name string, age time.Duration) entralab.App {
	b.Helper()
	app, err := b.lab.AddApp(entralab.AppSpec{DisplayName: name, Secrets: []entralab.SecretSpec{{DisplayName: "prod", At: b.lab.Now().Add(age)}}})
	if err != nil {
		b.Fatal(err)
	}
	return app
}

func (b *bench) value() string { return b.app.Secrets[0].Value.Reveal() }

// ask is the case of the app's setting; change makes it wrong.
func (b *bench) ask(change func(c *diagnose.Case)) diagnose.Case {
	c := diagnose.Case{
		Setting: entra.Setting{
			TenantID: b.app.TenantID, ClientID: b.app.ClientID, Value: secret.New(b.value()),
			Authority: b.lab.AuthorityURL(), Origin: "test",
		},
		Scope: "https://graph.microsoft.com/.default", Fingerprint: "fp",
	}
	if change != nil {
		change(&c)
	}
	return c
}

// RoundTrip counts token requests and hands on.
func (b *bench) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/token") && r.URL.Host == strings.TrimPrefix(b.lab.AuthorityURL(), "https://") {
		b.tokens++
	}
	return b.lab.Transport().RoundTrip(r)
}

func (b *bench) run(c diagnose.Case, withDirectory bool) diagnose.Report {
	b.Helper()
	client := wire.Wrap(b)
	m := diagnose.Means{SignIn: token.New(c.Setting.Authority, client), Records: b.records, Pace: time.Second}
	if c.Fast {
		m.Pace = 0
	}
	if c.Try != "" {
		target, err := try.Parse(c.Try, b.address, try.Place{Authority: c.Setting.Authority, Graph: b.lab.GraphURL()})
		if err != nil {
			b.Fatal(err)
		}
		m.Resource = try.Resource{Target: target, HTTP: client}
	}
	if withDirectory {
		op := b.lab.Operator()
		plain := wire.Wrap(b.lab.Transport())
		identity, err := operator.Place{TenantID: op.TenantID, Authority: b.lab.AuthorityURL(), Graph: b.lab.GraphURL(), HTTP: plain}.Secret(op.ClientID, secret.New(op.Secrets[0].Value.Reveal()))
		if err != nil {
			b.Fatal(err)
		}
		m.Reader = graph.New(b.lab.GraphURL(), identity.TenantID, identity.Credential, plain)
	}
	b.tokens = 0
	r, err := diagnose.Run(b.Context(), c, m)
	if err != nil {
		b.Fatal(err)
	}
	if b.tokens > diagnose.DefaultMaxTries {
		b.Errorf("%d token requests were sent, more than %d", b.tokens, diagnose.DefaultMaxTries)
	}
	return r
}

type memory struct{ records []entra.Record }

func (m *memory) Known(fingerprint string) (*entra.Record, error) {
	for _, r := range m.records {
		if r.Fingerprint == fingerprint {
			return &r, nil
		}
	}
	return nil, nil
}

func (m *memory) Remember(r entra.Record) error { m.records = append(m.records, r); return nil }

// expect is a verdict in short: "broken secret-expired confirmed".
func (b *bench) expect(r diagnose.Report, want string) {
	b.Helper()
	cause := "-"
	if r.Cause != nil {
		cause = string(*r.Cause)
		if _, known := diagnose.Lookup(*r.Cause); !known {
			b.Errorf("cause %s is not in the table", cause)
		}
		if r.Verdict == diagnose.Broken && len(r.Fix) == 0 {
			b.Errorf("%s comes without a fix", cause)
		}
	}
	if got := strings.Join([]string{string(r.Verdict), cause, string(r.Confidence)}, " "); got != want {
		b.Errorf("verdict %q, want %q\nsummary: %s\nevidence: %+v\nalso: %+v", got, want, r.Summary, r.Evidence, r.Also)
	}
	if r.Verdict != diagnose.Inconclusive && (len(r.Evidence) == 0 || len(r.RuledOut) == 0) {
		b.Errorf("evidence %v, ruled out %v: neither may be empty", r.Evidence, r.RuledOut)
	}
	for _, e := range r.RuledOut {
		if e.Because == "" || string(e.Cause) == cause {
			b.Errorf("ruled out %+v", e)
		}
	}
	if r.Verdict == diagnose.Working != (r.Cause == nil) && r.Verdict != diagnose.Inconclusive {
		b.Errorf("verdict %s with cause %s", r.Verdict, cause)
	}
}

// TestSettings breaks the setting itself, each in one way. The two verdicts
// are those without and with the directory.
func TestSettings(t *testing.T) {
	t.Parallel()
	value := func(edit func(string) string) func(*bench, *diagnose.Case) {
		return func(b *bench, c *diagnose.Case) { c.Setting.Value = secret.New(edit(b.value())) }
	}
	tests := []struct {
		name               string
		change             func(*bench, *diagnose.Case)
		blind, withReading string
	}{
		{"nothing wrong", nil, "working - confirmed", "working - confirmed"},
		{"newline", value(func(v string) string { return v + "\n" }), "broken secret-whitespace confirmed", "broken secret-whitespace confirmed"},
		{"byte order mark", value(func(v string) string { return "\ufeff" + v }), "broken secret-whitespace confirmed", "broken secret-whitespace confirmed"},
		{"zero-width space inside", value(func(v string) string { return v[:9] + "\u200b" + v[9:] }), "broken secret-whitespace confirmed", "broken secret-whitespace confirmed"},
		{"quotes", value(func(v string) string { return `"` + v + `"` }), "broken secret-quoted confirmed", "broken secret-quoted confirmed"},
		{"percent", value(func(v string) string { return strings.ReplaceAll(v, "~", "%7E") }), "broken secret-encoded confirmed", "broken secret-encoded confirmed"},
		{"percent twice", value(func(v string) string { return url.QueryEscape(strings.ReplaceAll(v, "~", "%7E")) }), "broken secret-encoded confirmed", "broken secret-encoded confirmed"},
		{"base64", value(func(v string) string { return base64.StdEncoding.EncodeToString([]byte(v + "\n")) }), "broken secret-encoded confirmed", "broken secret-encoded confirmed"},
		{"Secret ID", func(b *bench, c *diagnose.Case) {
			c.Setting.Value = secret.New(strings.ToUpper(b.app.Secrets[0].KeyID))
		}, "broken secret-id-used likely", "broken secret-id-used confirmed"},
		{"Secret ID in quotes", func(b *bench, c *diagnose.Case) {
			c.Setting.Value = secret.New(`"` + b.app.Secrets[0].KeyID + `"`)
		}, "broken secret-id-used likely", "broken secret-id-used confirmed"},
		{"client id for the value", func(b *bench, c *diagnose.Case) { c.Setting.Value = secret.New(b.app.ClientID) },
			"broken secret-unknown likely", "broken secret-unknown likely"},
		{"GUID of nothing", value(func(string) string { return "11111111-2222-4333-8444-555555555555" }), "broken secret-id-used likely", "broken secret-id-used possible"},
		{"typo", value(typo), "broken secret-unknown likely", "broken secret-typo confirmed"},
		{"cut", value(func(v string) string { return v[:31] }), "broken secret-truncated likely", "broken secret-truncated confirmed"},
		{"placeholder", value(func(string) string { return "${CLIENT_SECRET}" }), "broken secret-placeholder confirmed", "broken secret-placeholder confirmed"},
		{"empty", value(func(string) string { return "" }), "broken secret-empty confirmed", "broken secret-empty confirmed"},
		{"something else", value(func(string) string { return "Zzz8Q~" + strings.Repeat("z", 34) }), "broken secret-unknown likely", "broken secret-unknown likely"},
		{"another app's", func(b *bench, c *diagnose.Case) {
			c.Setting.Value = secret.New(b.register("other", old).Secrets[0].Value.Reveal())
		}, "broken secret-unknown likely", "broken secret-of-other-app confirmed"},
		{"unknown client id", func(_ *bench, c *diagnose.Case) { c.Setting.ClientID = "11111111-2222-4333-8444-555555555555" },
			"broken client-id-unknown likely", "broken client-id-unknown confirmed"},
		{"object id", func(b *bench, c *diagnose.Case) { c.Setting.ClientID = b.app.ObjectID },
			"broken client-id-unknown likely", "broken client-id-is-object-id confirmed"},
		{"service principal's object id", func(b *bench, c *diagnose.Case) { c.Setting.ClientID = b.app.ServicePrincipalID },
			"broken client-id-unknown likely", "broken client-id-is-object-id confirmed"},
		{"display name for client id", func(_ *bench, c *diagnose.Case) { c.Setting.ClientID = "billing-api" },
			"broken client-id-malformed confirmed", "broken client-id-malformed confirmed"},
		{"client id with a blank", func(_ *bench, c *diagnose.Case) { c.Setting.ClientID += " " },
			"broken client-id-malformed confirmed", "broken client-id-malformed confirmed"},
		{"unknown tenant", func(_ *bench, c *diagnose.Case) { c.Setting.TenantID = "11111111-2222-4333-8444-555555555555" },
			"broken tenant-unknown confirmed", "broken tenant-unknown confirmed"},
		{"tenant of no form", func(_ *bench, c *diagnose.Case) { c.Setting.TenantID = "contoso" },
			"broken tenant-malformed confirmed", "broken tenant-malformed confirmed"},
		{"tenant in quotes", func(_ *bench, c *diagnose.Case) { c.Setting.TenantID = `"` + c.Setting.TenantID + `"` },
			"broken tenant-malformed confirmed", "broken tenant-malformed confirmed"},
		{"tenant placeholder", func(_ *bench, c *diagnose.Case) { c.Setting.TenantID = "<your-tenant-id>" },
			"broken tenant-placeholder confirmed", "broken tenant-placeholder confirmed"},
		{"common", func(_ *bench, c *diagnose.Case) { c.Setting.TenantID = "common" },
			"broken authority-common confirmed", "broken authority-common confirmed"},
		{"other tenant", func(b *bench, c *diagnose.Case) {
			c.Setting.TenantID, c.KnownTenants = b.lab.OtherTenantID(), []string{b.app.TenantID}
		}, "broken tenant-wrong confirmed", "broken tenant-wrong confirmed"},
		{"named scope", func(_ *bench, c *diagnose.Case) { c.Scope = "https://graph.microsoft.com/User.Read" },
			"broken scope-malformed confirmed", "broken scope-malformed confirmed"},
		{"unknown resource", func(_ *bench, c *diagnose.Case) { c.Scope = "https://nowhere.example/.default" },
			"broken resource-unknown confirmed", "broken resource-unknown confirmed"},
	}
	for _, tt := range tests {
		for _, reading := range []bool{false, true} {
			want, name := tt.blind, tt.name+", blind"
			if reading {
				want, name = tt.withReading, tt.name+", with the directory"
			}
			t.Run(name, func(t *testing.T) {
				inLab(t, func(b *bench) {
					c := b.ask(func(c *diagnose.Case) {
						if tt.change != nil {
							tt.change(b, c)
						}
					})
					b.expect(b.run(c, reading), want)
				})
			})
		}
	}
}

// typo changes one character well inside the value.
func typo(v string) string {
	b := []byte(v)
	if b[20] == 'x' {
		b[20] = 'y'
	} else {
		b[20] = 'x'
	}
	return string(b)
}

func TestExpired(t *testing.T) {
	inLab(t, func(b *bench) {
		now := b.lab.Now()
		app, err := b.lab.AddApp(entralab.AppSpec{DisplayName: "ended", Secrets: []entralab.SecretSpec{{DisplayName: "prod", At: now.AddDate(0, 0, -92), Start: now.AddDate(0, 0, -92), End: now.AddDate(0, 0, -2)}}})
		if err != nil {
			b.Fatal(err)
		}
		b.app = app
		b.expect(b.run(b.ask(nil), false), "broken secret-expired likely")
		r := b.run(b.ask(nil), true)
		b.expect(r, "broken secret-expired confirmed")
		if !strings.Contains(r.Summary, "'prod'") {
			b.Errorf("the summary does not name the secret: %s", r.Summary)
		}
	})
}

func TestDeleted(t *testing.T) {
	inLab(t, func(b *bench) {
		remove := func() {
			if err := b.lab.RemoveSecret(b.app.ObjectID, b.app.Secrets[0].KeyID); err != nil {
				b.Fatal(err)
			}
		}
		remove()
		r := b.run(b.ask(nil), true)
		b.expect(r, "broken secret-deleted likely")
		if !slices.ContainsFunc(r.Evidence, func(e diagnose.Evidence) bool { return e.Kind == diagnose.FromAudit }) {
			b.Errorf("no evidence from the audit log: %+v", r.Evidence)
		}

		// Once credsmith has seen the value work, its removal is proven.
		b.app = b.register("seen-before", old)
		b.expect(b.run(b.ask(nil), true), "working - confirmed")
		remove()
		b.expect(b.run(b.ask(nil), true), "broken secret-deleted confirmed")
	})
}

// TestRecordOfLivingSecret: a record alone proves no removal.
func TestRecordOfLivingSecret(t *testing.T) {
	inLab(t, func(b *bench) {
		b.records.records = []entra.Record{{Fingerprint: "fp", ClientID: b.app.ClientID, KeyID: b.app.Secrets[0].KeyID}}
		b.expect(b.run(b.ask(func(c *diagnose.Case) { c.Setting.Value = secret.New(typo(b.value())) }), true), "broken secret-typo confirmed")
	})
}

// TestForeignDirectory: what an operator sees in another tenant says nothing
// of this one.
func TestForeignDirectory(t *testing.T) {
	inLab(t, func(b *bench) {
		app, err := b.lab.AddApp(entralab.AppSpec{TenantID: b.lab.OtherTenantID(), DisplayName: "foreign", Secrets: []entralab.SecretSpec{{At: b.lab.Now().Add(old)}}})
		if err != nil {
			b.Fatal(err)
		}
		b.app = app
		b.expect(b.run(b.ask(nil), true), "working - confirmed")
		b.expect(b.run(b.ask(func(c *diagnose.Case) { c.Setting.Value = secret.New(typo(b.value())) }), true), "broken secret-unknown likely")
		b.expect(b.run(b.ask(func(c *diagnose.Case) { c.Setting.ClientID = "11111111-2222-4333-8444-555555555555" }), true), "broken client-id-unknown likely")
	})
}

func TestNotYetValid(t *testing.T) {
	inLab(t, func(b *bench) {
		start := b.lab.Now().Add(48 * time.Hour)
		app, err := b.lab.AddApp(entralab.AppSpec{DisplayName: "early", Secrets: []entralab.SecretSpec{{Start: start, End: start.AddDate(1, 0, 0)}}})
		if err != nil {
			b.Fatal(err)
		}
		b.app = app
		b.expect(b.run(b.ask(nil), true), "broken secret-not-yet-valid confirmed")
	})
}

func TestPropagating(t *testing.T) {
	inLab(t, func(b *bench) {
		b.lab.SetDelay(entralab.Delay{Accept: 8 * time.Second})
		b.app = b.register("young", 0)
		began := time.Now()
		b.expect(b.run(b.ask(nil), true), "broken secret-propagating confirmed")
		if waited := time.Since(began); waited < 8*time.Second || waited > 20*time.Second {
			b.Errorf("watched %s for a secret accepted after 8s", waited)
		}

		// One that does not come through in time stays likely.
		b.lab.SetDelay(entralab.Delay{Accept: 10 * time.Minute})
		b.app = b.register("slow", 0)
		r := b.run(b.ask(nil), true)
		b.expect(r, "broken secret-propagating likely")
		if len(r.Also) == 0 || r.Also[0].Cause != "secret-typo" {
			b.Errorf("also = %+v, want secret-typo", r.Also)
		}
		// Without the directory it is watched when asked to.
		r = b.run(b.ask(func(c *diagnose.Case) { c.Watch = time.Hour; c.MaxTries = 12 }), false)
		b.expect(r, "broken secret-propagating confirmed")
	})
}

func TestSeenError(t *testing.T) {
	inLab(t, func(b *bench) {
		seen := func(code int, app string, at time.Time) func(*diagnose.Case) {
			return func(c *diagnose.Case) {
				c.Seen = &aadsts.Failure{Code: code, Codes: []int{code}, OAuthError: "invalid_client", AppID: app, Timestamp: at}
			}
		}
		now := b.lab.Now()
		b.expect(b.run(b.ask(seen(7000215, b.app.ClientID, now.Add(-time.Hour))), true), "broken stale-consumer confirmed")
		b.expect(b.run(b.ask(seen(7000215, "", now.Add(-time.Hour))), false), "broken stale-consumer likely")
		b.expect(b.run(b.ask(seen(7000222, b.app.ClientID, now.Add(2*old))), true), "working - confirmed")
		b.expect(b.run(b.ask(seen(7000215, b.app.ClientID, now.Add(old+time.Minute))), true), "broken secret-propagating likely")
		b.expect(b.run(b.ask(seen(7000215, "11111111-2222-4333-8444-555555555555", now)), true), "broken environment-drift confirmed")
		b.expect(b.run(b.ask(seen(500011, b.app.ClientID, now)), true), "broken resource-unknown likely")
		b.expect(b.run(b.ask(seen(65001, b.app.ClientID, now)), true), "broken consent-missing likely")
		b.expect(b.run(b.ask(seen(50105, "", now)), true), "broken assignment-required likely")
		b.expect(b.run(b.ask(seen(53003, "", now)), false), "broken conditional-access likely")
		b.expect(b.run(b.ask(seen(700016, b.app.ClientID, now)), true), "working - confirmed")
		b.expect(b.run(b.ask(seen(90033, b.app.ClientID, now)), true), "working - confirmed")
	})
}

func TestPermission(t *testing.T) {
	inLab(t, func(b *bench) {
		try := func(c *diagnose.Case) { c.Try = entra.ServiceGraph }
		b.expect(b.run(b.ask(try), false), "broken permission-missing confirmed")
		reader, err := b.lab.AddApp(entralab.AppSpec{DisplayName: "reader", Permissions: []string{"Application.Read.All"}, Secrets: []entralab.SecretSpec{{}}})
		if err != nil {
			b.Fatal(err)
		}
		b.app = reader
		b.expect(b.run(b.ask(try), false), "working - confirmed")
	})
}

func TestDisabledAndMissing(t *testing.T) {
	inLab(t, func(b *bench) {
		b.portal(`{"action":"disable-app","app":"` + b.app.ObjectID + `"}`)
		b.expect(b.run(b.ask(nil), true), "broken app-disabled confirmed")
		app, err := b.lab.AddApp(entralab.AppSpec{DisplayName: "absent", NoServicePrincipal: true, Secrets: []entralab.SecretSpec{{}}})
		if err != nil {
			b.Fatal(err)
		}
		b.app = app
		b.expect(b.run(b.ask(nil), false), "broken service-principal-missing confirmed")
	})
}

func TestDeletedApp(t *testing.T) {
	inLab(t, func(b *bench) {
		b.portal(`{"action":"delete-app","app":"` + b.app.ObjectID + `"}`)
		b.expect(b.run(b.ask(nil), true), "broken app-deleted confirmed")
	})
}

func (b *bench) portal(body string) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, b.lab.ControlURL()+"/control/portal", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := b.lab.Transport().RoundTrip(req)
	if err != nil || resp.StatusCode > 299 {
		b.Fatalf("portal: %v %+v", err, resp)
	}
}

func TestCaptured(t *testing.T) {
	inLab(t, func(b *bench) {
		captured := func(c *diagnose.Case) {
			c.Captured = &diagnose.Captured{
				Request: entra.RawRequest{Method: "POST", Path: "/" + c.Setting.TenantID + "/oauth2/v2.0/token", Header: []entra.Header{{Name: "Content-Type", Value: "application/json"}}, Body: secret.New(`{"grant_type":"client_credentials"}`)},
				Faults:  []diagnose.Fault{{Cause: "body-not-form", Says: "the body is JSON"}},
			}
		}
		b.expect(b.run(b.ask(captured), false), "broken body-not-form confirmed")
	})
}

func TestOffline(t *testing.T) {
	inLab(t, func(b *bench) {
		offline := func(value string) diagnose.Case {
			return b.ask(func(c *diagnose.Case) { c.Offline, c.Setting.Value = true, secret.New(value) })
		}
		b.expect(b.run(offline(b.value()), false), "inconclusive - possible")
		b.expect(b.run(offline(b.value()+"\n"), false), "broken secret-whitespace likely")
		b.expect(b.run(offline(b.app.Secrets[0].KeyID), false), "broken secret-id-used likely")
		if b.tokens != 0 {
			b.Errorf("%d requests were sent offline", b.tokens)
		}
	})
}

// TestPace keeps the promise of one token request a second at most.
func TestPace(t *testing.T) {
	inLab(t, func(b *bench) {
		began := time.Now()
		b.run(b.ask(func(c *diagnose.Case) { c.Setting.Value = secret.New(`"` + typo(b.value()) + "\"\n") }), false)
		if took := time.Since(began); took < time.Duration(b.tokens-1)*time.Second {
			b.Errorf("%d token requests within %s", b.tokens, took)
		}
	})
}

func TestInterrupted(t *testing.T) {
	inLab(t, func(b *bench) {
		ctx, cancel := context.WithCancel(b.Context())
		cancel()
		_, err := diagnose.Run(ctx, b.ask(nil), diagnose.Means{SignIn: token.New(b.lab.AuthorityURL(), wire.Wrap(b.lab.Transport()))})
		if err == nil {
			b.Error("Run with a cancelled context returns no error")
		}
	})
}

// TestCauses keeps the table whole.
func TestCauses(t *testing.T) {
	t.Parallel()
	seen := map[diagnose.Cause]bool{}
	for _, info := range diagnose.Causes() {
		if seen[info.Cause] {
			t.Errorf("%s stands twice", info.Cause)
		}
		seen[info.Cause] = true
		if info.Says == "" || info.Tell == "" || info.Family == "" || len(info.Fix) == 0 {
			t.Errorf("%s lacks something: %+v", info.Cause, info)
		}
		for _, code := range info.Codes {
			if _, known := aadsts.Lookup(code); !known {
				t.Errorf("%s names AADSTS%d, which is not in the catalogue", info.Cause, code)
			}
		}
		for _, fix := range info.Fix {
			if strings.Contains(fix.Az, "credential reset") && !strings.Contains(fix.Az, "--append") {
				t.Errorf("%s: az without --append removes every other secret: %s", info.Cause, fix.Az)
			}
		}
	}
	if len(seen) != 52 {
		t.Logf("%d causes", len(seen))
	}
}

// TestDateHasWholeSeconds: a secret made in this second is young, not one
// whose start lies ahead.
func TestDateHasWholeSeconds(t *testing.T) {
	inLab(t, func(b *bench) {
		time.Sleep(700 * time.Millisecond) // virtual
		b.lab.SetDelay(entralab.Delay{Accept: time.Second})
		b.app = b.register("now", 0)
		b.expect(b.run(b.ask(nil), true), "broken secret-propagating confirmed")
	})
}
