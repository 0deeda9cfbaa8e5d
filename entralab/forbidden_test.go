package entralab_test

import (
	"net/url"
	"testing"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/labtest"
)

// TestForbiddenSecretsSignIn: a policy against secrets shows in no answer of
// the token endpoint.
func TestForbiddenSecretsSignIn(t *testing.T) {
	t.Parallel()
	lab := start(t)
	now := lab.Now()
	live := addApp(t, lab, entralab.AppSpec{DisplayName: "live", Secrets: []entralab.SecretSpec{{}}})
	ended := addApp(t, lab, entralab.AppSpec{DisplayName: "ended", Secrets: []entralab.SecretSpec{{At: now.AddDate(0, -2, 0), End: now.AddDate(0, 0, -1)}}})
	for _, app := range []entralab.App{live, ended} {
		labtest.Restrict(t, lab, app, "passwordAddition", "")
	}
	ask := func(app entralab.App, text string) reply {
		return askForm(t, lab, "/"+app.TenantID+"/oauth2/v2.0/token", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {app.ClientID}, "client_secret": {text}, "scope": {"https://graph.microsoft.com/.default"},
		})
	}
	if r := ask(live, value(live)); r.status != 200 {
		t.Errorf("a secret that exists: %d %s", r.status, r.body)
	}
	for text, want := range map[string]int{value(ended): 7000222, "wrong": 7000215} {
		if name, code := errorOf(t, ask(ended, text)); name != "invalid_client" || code != want {
			t.Errorf("%s %d, want %d", name, code, want)
		}
	}
}
