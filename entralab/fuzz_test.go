package entralab_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// The fuzz targets go through the front door: whatever is sent, the answer is
// one of the lab's, and it is never a server error.

func FuzzToken(f *testing.F) {
	lab := start(f)
	app := lab.Healthy()
	good := credentialsForm(app.ClientID, value(app)).Encode()
	for _, seed := range []struct{ path, contentType, authorization, body string }{
		{"/" + lab.TenantID() + "/oauth2/v2.0/token", "application/x-www-form-urlencoded", "", good},
		{"/contoso.lab.test/oauth2/token", "application/x-www-form-urlencoded; charset=utf-8", "", good + "&resource=https://graph.microsoft.com"},
		{"/common/oauth2/v2.0/token?client-request-id=x", "application/json", "Basic YTpi", "{}"},
		{"/{{tenant}}/oauth2/v2.0/token", "", "Basic !", "grant_type=%zz&=&&%"},
		{"/x.y/v2.0/.well-known/openid-configuration", "", "", ""},
		{"/common/discovery/instance?authorization_endpoint=https://login.lab.test/x", "", "", ""},
	} {
		f.Add(seed.path, seed.contentType, seed.authorization, seed.body)
	}
	f.Fuzz(func(t *testing.T, path, contentType, authorization, body string) {
		for _, method := range []string{"POST", "GET"} {
			r, err := http.NewRequest(method, lab.AuthorityURL()+"/"+strings.TrimPrefix(path, "/"), strings.NewReader(body))
			if err != nil {
				t.Skip("not a request")
			}
			r.Header["Content-Type"] = []string{contentType}
			r.Header["Authorization"] = []string{authorization}
			got := do(t, lab, r)
			checkFuzzed(t, got)
			if got.status != 404 && got.status >= 400 {
				o := got.object(t)
				for _, name := range []string{"error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id"} {
					if o[name] == nil {
						t.Errorf("%s %s: no %s in %s", method, path, name, got.body)
					}
				}
			}
		}
	})
}

func FuzzGraph(f *testing.F) {
	lab := start(f)
	token := graphToken(f, lab, lab.Operator())
	app := lab.Healthy()
	for _, seed := range []struct{ method, path, body string }{
		{"GET", "v1.0/applications?$filter=appId eq '" + app.ClientID + "'&$select=id,displayName&$top=5", ""},
		{"GET", "beta/applications?%24filter=startswith(displayName,'x') and displayName eq 'it''s'&$orderby=displayName desc&$count=true", ""},
		{"GET", "v1.0/auditLogs/directoryAudits?$filter=targetResources/any(t:t/id eq 'x') and activityDateTime ge 2026-01-01T00:00:00Z", ""},
		{"GET", "v1.0/applications(appId='" + app.ClientID + "')", ""},
		{"GET", "v1.0/applications?$skiptoken=bGFiLXBhZ2U6MA", ""},
		{"PATCH", "v1.0/applications/" + app.ObjectID, `{"notes":"x","web":{},"tags":[],"api":{"requestedAccessTokenVersion":2}}`},
		{"POST", "v1.0/applications/" + app.ObjectID + "/removePassword", `{"keyId":"x"}`},
		{"POST", "v1.0/$batch", `{"requests":[{"id":"1","method":"GET","url":"/applications","dependsOn":["2"]},{"id":"2","method":"PATCH","url":"/applications/` + app.ObjectID + `","headers":{"Content-Type":"application/json"},"body":{"notes":"x"}}]}`},
		{"PATCH", "v1.0/policies/appManagementPolicies/x", `{"restrictions":{"passwordCredentials":[{"restrictionType":"passwordLifetime","maxLifetime":"P1Y2M3DT4H5M6S"}]}}`},
		{"POST", "v1.0/servicePrincipals", `{"appId":"` + app.ClientID + `"}`},
	} {
		f.Add(seed.method, seed.path, seed.body)
	}
	f.Fuzz(func(t *testing.T, method, path, body string) {
		r, err := http.NewRequest(method, lab.GraphURL()+"/"+path, strings.NewReader(body))
		if err != nil || strings.HasSuffix(r.URL.Path, "addPassword") {
			t.Skip("not a request, or one that fills the lab")
		}
		r.Header["Authorization"] = []string{"Bearer " + token}
		r.Header["Content-Type"] = []string{"application/json"}
		got := do(t, lab, r)
		checkFuzzed(t, got)
		if got.status >= 400 && got.object(t)["error"] == nil {
			t.Errorf("%s %s: %s", method, path, got.body)
		}
	})
}

func FuzzVault(f *testing.F) {
	lab := start(f)
	token := vaultToken(f, lab, lab.Operator())
	sealed := func() string {
		c := operatorOf(lab)
		c.call(f, "PUT", "secrets/seed", `{"value":"x"}`)
		return c.call(f, "POST", "secrets/seed/backup", "").object(f)["value"].(string)
	}()
	for _, seed := range []struct{ method, path, host, body string }{
		{"PUT", "secrets/s?api-version=2026-04-01", "", `{"value":"x","contentType":"t","attributes":{"enabled":true,"nbf":1,"exp":2},"tags":{"a":"b"}}`},
		{"GET", "secrets/seed/?api%2Dversion=7.6", "kv-lab.vault.azure.net", ""},
		{"PATCH", "secrets/seed/00000000000000000000000000000000?api-version=7.6", "", `{"attributes":{"exp":9223372036854775807}}`},
		{"GET", "secrets?api-version=7.6&maxresults=1&$skiptoken=bGFiLXZhdWx0LXBhZ2U6YQ", "", ""},
		{"GET", "secrets/seed/versions?api-version=7.5-preview.1", "kv-lab.vault.localhost:1", ""},
		{"DELETE", "secrets/seed?api-version=7.6", "", ""},
		{"POST", "deletedsecrets/seed/recover?api-version=7.6", "", ""},
		{"DELETE", "deletedsecrets/seed?api-version=7.6", "", ""},
		{"POST", "secrets/restore?api-version=7.6", "", `{"value":"` + sealed + `"}`},
		{"POST", "secrets/seed/backup?api-version=7.6", "nobody.vault.azure.net", ""},
	} {
		f.Add(seed.method, seed.path, seed.host, seed.body)
	}
	f.Fuzz(func(t *testing.T, method, path, host, body string) {
		for _, authorization := range []string{"", "Bearer " + token} {
			r, err := http.NewRequest(method, lab.VaultURL()+"/"+path, strings.NewReader(body))
			if err != nil {
				t.Skip("not a request")
			}
			r.Host = host
			r.Header["Authorization"] = []string{authorization}
			r.Header["Content-Type"] = []string{"application/json"}
			got := do(t, lab, r)
			checkFuzzed(t, got)
			if authorization == "" && got.status != 401 && got.status != 421 {
				t.Errorf("%s %s without a token: %d %s", method, path, got.status, got.body)
			}
			if got.status >= 400 && got.object(t)["error"] == nil {
				t.Errorf("%s %s: %s", method, path, got.body)
			}
		}
	})
}

func FuzzPortal(f *testing.F) {
	lab := start(f)
	id := `"app":"` + lab.Healthy().ObjectID + `"`
	for _, seed := range []struct{ path, body string }{
		{"portal", `{"action":"add-secret",` + id + `,"display_name":"x","start":"2020-01-01T00:00:00Z","end":"2021-01-01T00:00:00Z","at":"-30d"}`},
		{"portal", `{"action":"delete-secret",` + id + `,"key_id":"x"}`},
		{"portal", `{"action":"rename",` + id + `,"display_name":"x"}`},
		{"portal", `{"action":"grant",` + id + `,"permission":"Mail.Send"}`},
		{"portal", `{"action":"add-owner",` + id + `,"owner":"x"}`},
		{"vault", `{"action":"grant","vault":"kv-lab","principal":"x","role":"Key Vault Reader","secret":"s"}`},
		{"vault", `{"action":"set-secret","vault":"kv-lab","secret":"s","value":"x"}`},
		{"vault", `{"action":"firewall","vault":"kv-lab","firewall":"deny"}`},
		{"clock", `{"advance":"48h"}`},
		{"clock", `{"set":"2027-01-01T00:00:00Z"}`},
		{"delay", `{"accept":"8s","remove":"30s","replicas":3}`},
	} {
		f.Add(seed.path, seed.body)
	}
	f.Fuzz(func(t *testing.T, path, body string) {
		r, err := http.NewRequest("POST", lab.ControlURL()+"/control/"+path, strings.NewReader(body))
		if err != nil {
			t.Skip("not a request")
		}
		r.Header.Set("Content-Type", "application/json")
		got := do(t, lab, r)
		checkFuzzed(t, got)
		if got.status >= 400 && got.object(t)["error"] == nil {
			t.Errorf("%s %s: %s", path, body, got.body)
		}
	})
}

func checkFuzzed(t *testing.T, r reply) {
	t.Helper()
	if r.status >= 500 || r.status < 200 || r.status >= 300 && r.status < 400 || !utf8.ValidString(r.body) {
		t.Errorf("status %d: %q", r.status, r.body)
	}
}
