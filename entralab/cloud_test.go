package entralab_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

// TestOtherClouds asks the lab for tokens of tenants that live elsewhere.
func TestOtherClouds(t *testing.T) {
	t.Parallel()
	const text = "Confidential Client is not supported in Cross Cloud request."
	lab := startWith(t, entralab.Config{InProcess: true, Seed: entralab.Seed{
		Tenants: []entralab.TenantSpec{{Domain: "agency.test", Cloud: entralab.CloudUSGov}, {Domain: "shanghai.test", Cloud: entralab.CloudChina}},
		Apps: []entralab.AppSpec{
			{TenantID: "agency.test", ClientID: "11111111-1111-4111-8111-111111111111", Secrets: []entralab.SecretSpec{{Value: "Gov8Q~made-up"}}},
			{TenantID: "shanghai.test", ClientID: "22222222-2222-4222-8222-222222222222", Secrets: []entralab.SecretSpec{{Value: "Chi8Q~made-up"}}},
		},
	}})
	again := start(t)
	if err := again.Import(lab.Export()); err != nil {
		t.Fatal(err)
	}
	code := func(form url.Values) url.Values {
		return with(with(with(form, "grant_type", "authorization_code"), "code", "x"), "redirect_uri", "https://app.test/")
	}
	agency := credentialsForm("11111111-1111-4111-8111-111111111111", "Gov8Q~made-up")
	shanghai := credentialsForm("22222222-2222-4222-8222-222222222222", "Chi8Q~made-up")
	for title, c := range map[string]struct {
		tenant string
		form   url.Values
		want   string
	}{
		"government":             {"agency.test", agency, "AADSTS900439: USGClientNotSupportedOnPublicEndpoint"},
		"China":                  {"shanghai.test", shanghai, "AADSTS900382: " + text},
		"a wrong value":          {"shanghai.test", with(shanghai, "client_secret", "x"), "AADSTS900382: " + text},
		"a code":                 {"shanghai.test", code(shanghai), "AADSTS900432: " + text},
		"a public client's code": {"shanghai.test", code(with(shanghai, "client_secret", "")), "AADSTS9002313: "},
		"an app of nobody":       {"shanghai.test", agency, "AADSTS700016: "},
	} {
		for _, lab := range []*entralab.Lab{lab, again} {
			r := askToken(t, lab, c.tenant, c.form)
			if got, _ := r.object(t)["error_description"].(string); r.status != 400 || !strings.HasPrefix(got, c.want) {
				t.Errorf("%s: HTTP %d %q, want %q", title, r.status, got, c.want)
			}
		}
	}
	for tenant, want := range map[string]string{
		"agency.test": `"tenant_region_scope":"USGov","cloud_instance_name":"microsoftonline.us"`, "shanghai.test": `"tenant_region_scope":"CN","cloud_instance_name":"partner.microsoftonline.cn"`,
		lab.TenantID(): `"tenant_region_scope":"EU","cloud_instance_name":"login.lab.test"`,
	} {
		asked, _ := http.NewRequestWithContext(t.Context(), "GET", lab.AuthorityURL()+"/"+tenant+"/v2.0/.well-known/openid-configuration", nil)
		if r := do(t, lab, asked); !strings.Contains(r.body, want) {
			t.Errorf("%s: %s, want %s", tenant, r.body, want)
		}
	}
}
