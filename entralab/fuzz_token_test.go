package entralab_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

// FuzzTokenForm sends each part of a token request by itself, so that the
// parsers behind the form are reached: grant, scope, claims, assertions, codes.
func FuzzTokenForm(f *testing.F) {
	lab := start(f)
	app := addApp(f, lab, entralab.AppSpec{PublicClient: true})
	f.Add("client_credentials", "scope", graphScope)
	f.Add("client_credentials", "scope", "openid a//.default  /.default\x00\xff")
	f.Add("client_credentials", "claims", `{"access_token":{"xms_cc":{"values":["cp1"]}}}`)
	f.Add(grantOnBehalfOf, "assertion", "e30.e30.AAAA")
	f.Add("authorization_code", "code", "1.AAAA")
	f.Add("refresh_token", "refresh_token", "1.AAAA")
	f.Add(deviceGrant, "device_code", "1.AAAA")
	f.Add("device_code", "code", "%zz")
	f.Fuzz(func(t *testing.T, grant, name, text string) {
		form := with(credentialsForm(app.ClientID, value(app)), "grant_type", grant)
		form.Set("requested_token_use", "on_behalf_of")
		form.Set("redirect_uri", redirect)
		form.Set(name, text)
		for _, path := range []string{"/oauth2/v2.0/token", "/oauth2/token"} {
			r := askForm(t, lab, "/"+lab.TenantID()+path, form)
			checkFuzzed(t, r)
			if r.status >= 400 && r.object(t)["error_codes"] == nil {
				t.Errorf("%d %s", r.status, r.body)
			}
		}
	})
}

// FuzzBasic sends anything as the credentials of the header.
func FuzzBasic(f *testing.F) {
	lab := start(f)
	app := lab.Healthy()
	form := with(with(credentialsForm(app.ClientID, ""), "client_id", ""), "client_secret", "")
	f.Add("Basic YTpi")
	f.Add("basic  " + strings.Repeat("A", 100))
	f.Add("Basic JTo6JQ==")
	f.Fuzz(func(t *testing.T, header string) {
		r := newRequest(t, "POST", tokenURL(lab, lab.TenantID()), form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
		r.Header["Authorization"] = []string{header}
		got := do(t, lab, r)
		checkFuzzed(t, got)
		if got.status < 400 {
			t.Errorf("a token for %q", header)
		}
	})
}

// FuzzDevice sends anything to the device endpoints and to the page.
func FuzzDevice(f *testing.F) {
	lab, app := deviceLab(f)
	f.Add("/oauth2/v2.0/devicecode", "client_id="+app.ClientID+"&scope=User.Read")
	f.Add("/oauth2/devicecode", "client_id="+app.ClientID+"&resource=https://graph.microsoft.com")
	f.Add("/oauth2/deviceauth", "otc=ABCDEFGHJ&lab_user="+adaExample)
	f.Add("/oauth2/deviceauth", "otc=%20&lab_answer=cancel")
	f.Fuzz(func(t *testing.T, path, body string) {
		for _, method := range []string{"POST", "GET"} {
			r, err := http.NewRequest(method, lab.AuthorityURL()+"/common/oauth2/deviceauth?"+body, strings.NewReader(body))
			if err != nil {
				t.Skip("not a request")
			}
			if strings.HasSuffix(path, "devicecode") {
				r.URL.Path = "/" + lab.TenantID() + path
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			got := do(t, lab, r)
			checkFuzzed(t, got)
			if strings.Contains(got.body, "<script") {
				t.Errorf("%s", got.body)
			}
		}
	})
}
