package diagnose_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/token"
	"github.com/credsmith/credsmith/internal/wire"
)

// TestRescoped: a refused scope is put right, and the token proves it.
func TestRescoped(t *testing.T) {
	const graph = "https://graph.microsoft.com/.default"
	inLab(t, func(b *bench) {
		for scope, want := range map[string][2]string{
			"https://graph.microsoft.com":           {"scope-malformed", graph},
			"https://graph.microsoft.com/":          {"scope-malformed", graph},
			"https://graph.microsoft.com/User.Read": {"scope-malformed", graph},
			"https://graph.microsoft.com/User.Read.All https://graph.microsoft.com/Mail.Send": {"scope-malformed", graph},
			"User.Read":               {"scope-malformed", graph},
			".default":                {"scope-malformed", graph},
			"openid profile":          {"scope-malformed", graph},
			"https://vault.azure.net": {"scope-malformed", "https://vault.azure.net/.default"},
			"https://management.azure.com/user_impersonation":                       {"scope-malformed", "https://management.azure.com/.default"},
			"https://graph.microsoft.com/.default https://vault.azure.net/.default": {"scope-malformed", graph},
			"graph.microsoft.com/.default":                                          {"resource-unknown", graph},
			"http://graph.microsoft.com/.default":                                   {"resource-unknown", graph},
			"https://graph.microsoft.us/.default":                                   {"resource-unknown", graph},
			"https://graph.windows.net/.default":                                    {"resource-unknown", graph},
			"https://vault.usgovcloudapi.net/.default":                              {"resource-unknown", "https://vault.azure.net/.default"},
		} {
			r := b.run(b.ask(func(c *diagnose.Case) { c.Scope = scope }), false)
			b.expect(r, "broken "+want[0]+" confirmed")
			if b.tokens > 3 || !strings.Contains(r.Summary, want[1]+" gives a token") || r.Fix[0].Run != "credsmith doctor --scope "+want[1] {
				b.Errorf("%s: %d requests, summary %q, first step %+v", scope, b.tokens, r.Summary, r.Fix[0])
			}
			proof := diagnose.Evidence{Kind: diagnose.FromProbe, Says: "the same with the scope " + want[1] + ": accepted, a token was issued", Source: "token endpoint"}
			if !slices.Contains(r.Evidence, proof) {
				b.Errorf("%s: no proof in %+v", scope, r.Evidence)
			}
			for _, e := range r.RuledOut {
				if e.Cause == "secret-expired" && !strings.Contains(e.Because, "a token was issued for") {
					b.Errorf("%s: %+v", scope, e)
				}
			}
		}
	})
}

// TestOwnAPI: the id of an API by itself, with and without the portal's URI.
func TestOwnAPI(t *testing.T) {
	inLab(t, func(b *bench) {
		api := b.register("api", old)
		r := b.run(b.ask(func(c *diagnose.Case) { c.Scope = api.ClientID }), false)
		b.expect(r, "broken scope-malformed confirmed")
		if want := api.ClientID + "/.default gives a token"; !strings.Contains(r.Summary, want) {
			b.Errorf("summary %q, want %q", r.Summary, want)
		}

		// Nothing else fits: the service's word stands.
		r = b.run(b.ask(func(c *diagnose.Case) { c.Scope = "api://nobody/.default" }), false)
		b.expect(r, "broken resource-unknown confirmed")
		if b.tokens > 3 {
			b.Errorf("%d token requests", b.tokens)
		}

		// The API takes only apps with a role.
		b.patchPrincipal(api, `{"appRoleAssignmentRequired":true}`)
		r = b.run(b.ask(func(c *diagnose.Case) { c.Scope = api.ClientID + "/.default" }), true)
		b.expect(r, "broken assignment-required confirmed")
		taken := false
		for _, e := range r.RuledOut {
			taken = taken || e.Cause == "secret-expired" && strings.Contains(e.Because, "only once the secret has been accepted")
		}
		if !taken {
			b.Errorf("the secret is not ruled out: %+v", r.RuledOut)
		}

		// A named scope of that API: the next fault in the chain.
		r = b.run(b.ask(func(c *diagnose.Case) { c.Scope = "api://" + api.ClientID + "/access" }), false)
		b.expect(r, "broken scope-malformed confirmed")
		if len(r.Also) != 1 || r.Also[0] != (diagnose.Also{Cause: "assignment-required", Confidence: diagnose.Confirmed}) {
			b.Errorf("also %v: %s", r.Also, r.Summary)
		}

		// The same for a value with a slip.
		r = b.run(b.ask(func(c *diagnose.Case) {
			c.Scope, c.Setting.Value = api.ClientID+"/.default", secret.New(b.value()+"\n")
		}), false)
		b.expect(r, "broken secret-whitespace confirmed")
		next := func(want diagnose.Cause) {
			b.Helper()
			if len(r.Also) != 1 || r.Also[0] != (diagnose.Also{Cause: want, Confidence: diagnose.Confirmed}) {
				b.Errorf("also %v: %s", r.Also, r.Summary)
			}
		}
		next("assignment-required")
		r = b.run(b.ask(func(c *diagnose.Case) { c.Scope, c.Setting.Value = "User.Read", secret.New(b.value()+"\n") }), false)
		b.expect(r, "broken secret-whitespace confirmed")
		next("scope-malformed")
	})
}

// patchPrincipal changes an app's service principal as the operator. A lab that
// is rude may refuse a few times.
func (b *bench) patchPrincipal(app entralab.App, body string) {
	b.Helper()
	for range 20 {
		if b.tryPatch(app, body) {
			return
		}
	}
	b.Fatal("the service principal cannot be changed")
}

func (b *bench) tryPatch(app entralab.App, body string) bool {
	op := b.lab.Operator()
	signedIn, err := token.New(b.lab.AuthorityURL(), wire.Wrap(b.lab.Transport())).Token(b.Context(), entra.TokenRequest{
		TenantID: op.TenantID, ClientID: op.ClientID, Value: secret.New(op.Secrets[0].Value.Reveal()), Scope: "https://graph.microsoft.com/.default",
	})
	if err != nil || signedIn.Token == nil {
		return false
	}
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPatch, b.lab.GraphURL()+"/v1.0/servicePrincipals/"+app.ServicePrincipalID, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+signedIn.Token.Access.Reveal())
	resp, err := wire.Do(wire.Wrap(b.lab.Transport()), req)
	return err == nil && resp.Status == http.StatusNoContent
}

// TestScriptedRefusals: codes of permission and policy, as the service words
// them, have one cause each.
func TestScriptedRefusals(t *testing.T) {
	inLab(t, func(b *bench) {
		for code, want := range map[int]string{
			501051: "broken assignment-required confirmed", 53003: "broken conditional-access confirmed",
			500011: "broken resource-unknown confirmed", 7000112: "broken app-disabled confirmed",
		} {
			b.lab.RemoveFaults()
			_, err := b.lab.AddFault(entralab.FaultRule{Match: entralab.FaultMatch{Surface: "token", Method: "POST"}, Fault: "F20", Params: map[string]any{"code": code}})
			if err != nil {
				b.Fatal(err)
			}
			b.expect(b.run(b.ask(nil), false), want)
		}
	})
}
