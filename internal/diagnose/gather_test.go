package diagnose_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/labtest"
	"github.com/credsmith/credsmith/internal/secret"
)

// says reports whether a report has evidence of a kind with a text.
func says(r diagnose.Report, kind diagnose.EvidenceKind, text string) bool {
	return slices.ContainsFunc(r.Evidence, func(e diagnose.Evidence) bool { return e.Kind == kind && strings.Contains(e.Says, text) })
}

func (b *bench) wants(r diagnose.Report, kind diagnose.EvidenceKind, texts ...string) {
	b.Helper()
	for _, text := range texts {
		if !says(r, kind, text) {
			b.Errorf("no %s evidence says %q: %+v", kind, text, r.Evidence)
		}
	}
}

// ended gives the bench an app whose one secret is over.
func (b *bench) ended() {
	b.Helper()
	app, err := b.lab.AddApp(entralab.AppSpec{DisplayName: "ended", Secrets: []entralab.SecretSpec{{DisplayName: "prod", At: b.lab.Now().AddDate(0, -3, 0), End: b.lab.Now().AddDate(0, 0, -1)}}})
	if err != nil {
		b.Fatal(err)
	}
	b.app = app
}

// TestSecretsForbidden: no secret is valid, and a policy lets none be added.
func TestSecretsForbidden(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind, members, want string
		also                diagnose.Cause
		change              func(b *bench, c *diagnose.Case)
	}{
		"expired":            {kind: "passwordAddition", want: "broken secret-use-blocked confirmed", also: "secret-expired"},
		"expired and wrong":  {kind: "passwordAddition", want: "broken secret-use-blocked confirmed", also: "secret-typo", change: func(b *bench, c *diagnose.Case) { c.Setting.Value = secret.New(typo(b.value())) }},
		"some are exempt":    {kind: "passwordAddition", members: `,"excludeActors":{"customSecurityAttributes":[]}`, want: "broken secret-use-blocked likely", also: "secret-expired"},
		"for new apps only":  {kind: "passwordAddition", members: `,"restrictForAppsCreatedAfterDateTime":"2999-01-01T00:00:00Z"`, want: "broken secret-expired confirmed"},
		"only so long":       {kind: "passwordLifetime", members: `,"maxLifetime":"P90D"`, want: "broken secret-expired confirmed"},
		"another is valid":   {kind: "passwordAddition", want: "broken secret-expired confirmed", change: func(b *bench, _ *diagnose.Case) { b.addSecret() }},
		"deleted, none left": {kind: "passwordAddition", want: "broken secret-use-blocked confirmed", also: "secret-deleted", change: func(b *bench, _ *diagnose.Case) { b.remove() }},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(b *bench) {
				b.ended()
				if name == "another is valid" {
					c.change(b, nil) // before the policy forbids it
				}
				labtest.Restrict(b, b.lab, b.app, c.kind, c.members)
				r := b.run(b.ask(func(k *diagnose.Case) {
					if c.change != nil && name != "another is valid" {
						c.change(b, k)
					}
				}), true)
				b.expect(r, c.want)
				if c.also != "" {
					if len(r.Also) == 0 || r.Also[0].Cause != c.also {
						b.Errorf("also %+v, want %s", r.Also, c.also)
					}
					b.wants(r, diagnose.FromGraph, "the app management policy 'no secrets' (", "no secret of the app is valid now")
					for _, step := range r.Fix {
						if strings.Contains(step.Az, "credential reset") {
							b.Errorf("a forbidden step: %+v", step)
						}
					}
				}
				if c.kind == "passwordLifetime" {
					b.wants(r, diagnose.FromGraph, "lets new client secrets live for 90 days at most")
				}
			})
		})
	}
}

func (b *bench) addSecret() {
	b.Helper()
	if _, err := b.lab.AddSecret(b.app.ObjectID, entralab.SecretSpec{DisplayName: "live"}); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) remove() {
	b.Helper()
	if err := b.lab.RemoveSecret(b.app.ObjectID, b.app.Secrets[0].KeyID); err != nil {
		b.Fatal(err)
	}
}

// TestSignInEvidence: who still signs in with what, and from where.
func TestSignInEvidence(t *testing.T) {
	inLab(t, func(b *bench) {
		labtest.SignIn(b, b.lab, b.app, b.value())
		time.Sleep(time.Hour)
		labtest.SignIn(b, b.lab, b.app, "wrong")
		time.Sleep(time.Hour)
		r := b.run(b.ask(func(c *diagnose.Case) { c.Setting.Value = secret.New(typo(b.value())) }), true)
		b.expect(r, "broken secret-typo confirmed")
		b.wants(r, diagnose.FromSignIn, "secret 'prod' ("+b.app.Secrets[0].KeyID+") last signed in on ", "one sign-in of the app failed with AADSTS7000215 at address 127.0.0.1, on ", "a failure names no secret")
		if says(r, diagnose.FromSignIn, "2 sign-ins") {
			b.Error("the diagnosis takes its own request for evidence")
		}
		// A removed secret that was in use until then.
		b.remove()
		r = b.run(b.ask(nil), true)
		b.expect(r, "broken secret-deleted likely")
		b.wants(r, diagnose.FromSignIn, b.app.Secrets[0].KeyID+") last signed in on ")
	})
}

// TestLaggingLog: a log that does not show a sign-in says up to when, and
// never that there was none.
func TestLaggingLog(t *testing.T) {
	inLab(t, func(b *bench) {
		labtest.SignIn(b, b.lab, b.lab.Healthy(), b.lab.Healthy().Secrets[0].Value.Reveal())
		newest := b.lab.Now().UTC().Format("2006-01-02 15:04Z")
		time.Sleep(time.Hour)
		labtest.SignIn(b, b.lab, b.app, b.value())
		wrong := b.ask(func(c *diagnose.Case) { c.Setting.Value = secret.New(typo(b.value())) })
		for lag, want := range map[string]string{
			"30m":  "up to " + newest + ", the newest entry that the log shows",
			"240h": "the sign-in log shows no entry of any app yet: it tells nothing of secret 'prod'",
		} {
			labtest.Control(b, b.lab, "delay", `{"signin_lag":"`+lag+`","activity_lag":"`+lag+`"}`)
			r := b.run(wrong, true)
			b.expect(r, "broken secret-typo confirmed")
			b.wants(r, diagnose.FromSignIn, want)
			for _, e := range r.Evidence {
				if strings.Contains(e.Says, "unused") || strings.Contains(e.Says, "never") || strings.Contains(e.Says, "not used") {
					b.Errorf("lag %s: %s", lag, e.Says)
				}
			}
		}
	})
}

// TestWithoutLicence: what may not be read is said to be unseen.
func TestWithoutLicence(t *testing.T) {
	inLab(t, func(b *bench) {
		labtest.SignIn(b, b.lab, b.app, "wrong")
		labtest.Control(b, b.lab, "licence", `{"premium":false}`)
		r := b.run(b.ask(func(c *diagnose.Case) { c.Setting.Value = secret.New(typo(b.value())) }), true)
		b.expect(r, "broken secret-typo confirmed")
		b.wants(r, diagnose.FromGraph, "the sign-in log cannot be seen: the tenant has no premium licence", "the report of credential use cannot be seen: the tenant has no premium licence")
		for _, e := range r.Evidence {
			if e.Kind == diagnose.FromSignIn {
				b.Errorf("evidence from a log that cannot be seen: %s", e.Says)
			}
		}
	})
}

// TestPolicyUnseen: an operator that may not read policies leaves it open.
func TestPolicyUnseen(t *testing.T) {
	t.Parallel()
	why := &entra.Unseen{What: "the app management policies", Because: "the operator may not read it", Needs: "Policy.Read.All"}
	r := diagnose.Decide(observed(as(7000222), directory("abc", before, noon.AddDate(0, 0, -1)), func(s seen) {
		s.Directory.Activity = &diagnose.Activity{PolicyErr: why}
	}))
	unknown := slices.ContainsFunc(r.CannotTell, func(u diagnose.Unknown) bool {
		return u.Cause == "secret-use-blocked" && u.ToFindOut == "give the operator Policy.Read.All" && strings.Contains(u.Because, "cannot be seen")
	})
	if *r.Cause != "secret-expired" || !unknown || !says(r, diagnose.FromGraph, why.Error()) {
		t.Errorf("%s: %+v %+v", *r.Cause, r.CannotTell, r.Evidence)
	}
}

// TestGrantEvidence: what the app was allowed, beside what its token carries.
func TestGrantEvidence(t *testing.T) {
	inLab(t, func(b *bench) {
		ask := func() diagnose.Report {
			return b.run(b.ask(func(c *diagnose.Case) { c.Try = entra.ServiceGraph }), true)
		}
		r := ask()
		b.expect(r, "broken permission-missing confirmed")
		b.wants(r, diagnose.FromGraph, "no application permission was consented to")
		if err := b.lab.Grant(b.app.ObjectID, "Mail.Send"); err != nil {
			b.Fatal(err)
		}
		r = ask()
		b.expect(r, "broken permission-missing confirmed")
		b.wants(r, diagnose.FromGraph, "application permissions consented to: Microsoft Graph: Mail.Send")
	})
}

// TestStaleConsumerAddresses: where processes that hold the old value run.
func TestStaleConsumerAddresses(t *testing.T) {
	t.Parallel()
	refusals := []entra.Refusals{{Code: 700016, Address: "192.0.2.9", Count: 1, Last: noon}}
	for i := range 7 {
		refusals = append(refusals, entra.Refusals{Code: 7000215, Address: "192.0.2." + string(rune('1'+i)), Count: 3, First: noon.Add(-time.Hour), Last: noon})
	}
	r := diagnose.Decide(observed(as(0), fits, said(7000215, appA, noon.Add(-time.Hour)), func(s seen) {
		s.Directory.Activity = &diagnose.Activity{SignIns: &entra.SignIns{Newest: noon, Refused: refusals}}
	}))
	if *r.Cause != "stale-consumer" || !says(r, diagnose.FromSignIn, "3 sign-ins of the app failed with AADSTS7000215 at address 192.0.2.1, from 2026-06-01 11:00Z to 2026-06-01 12:00Z") ||
		!says(r, diagnose.FromSignIn, "failures at 2 more addresses") || says(r, diagnose.FromSignIn, "192.0.2.9") || says(r, diagnose.FromSignIn, "192.0.2.6") {
		t.Errorf("%s: %+v", *r.Cause, r.Evidence)
	}
}

// TestConsentEvidence: delegated permissions are read when consent is the
// matter, and what cannot be read is not taken for none.
func TestConsentEvidence(t *testing.T) {
	t.Parallel()
	unseen := &entra.Unseen{What: "the app's permissions", Because: "HTTP 500"}
	r := diagnose.Decide(observed(as(65001), fits, func(s seen) {
		s.Directory.Activity = &diagnose.Activity{GrantsErr: unseen, Consents: []entra.Grant{{Resource: "g", Permission: "User.Read"}}}
	}))
	if *r.Cause != "consent-missing" || !says(r, diagnose.FromGraph, "delegated permissions consented to: g: User.Read") || !says(r, diagnose.FromGraph, unseen.Error()) || says(r, diagnose.FromGraph, "no application permission") {
		t.Errorf("%s: %+v", *r.Cause, r.Evidence)
	}
}
