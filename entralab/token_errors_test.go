package entralab_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// refusedRequest is a request and the refusal it must get.
type refusedRequest struct {
	name   string
	path   string // default: the home tenant's v2 token endpoint
	method string // default: POST
	form   url.Values
	raw    string // a body instead of form
	header []string

	status int
	oauth  string
	code   int
	text   string
	uri    bool
}

// Texts with a hole for what they quote.
const (
	wrongSecret = "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'."
	noApp       = "Application with identifier '%s' was not found in the directory 'Contoso (lab)'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant."
	noTenant    = "Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant."
	noResource  = "The resource principal named %s was not found in the tenant named Contoso (lab). This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant."
	missing     = "The request body must contain the following parameter: '%s'."
	namedScope  = "The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."
	badScope    = "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope %s is not valid."
	badTenant   = "Specified tenant identifier '%s' is neither a valid DNS name, nor a valid external domain."
	unknownGUID = "11111111-2222-4333-8444-555555555555"
	zeroGUID    = "00000000-0000-0000-0000-000000000000"
	twoScopes   = "https://graph.microsoft.com/.default https://vault.azure.net/.default"
)

// with returns the form with a field set, without it when the text is empty.
func with(form url.Values, name, text string) url.Values {
	form = maps.Clone(form)
	form.Set(name, text)
	if text == "" {
		form.Del(name)
	}
	return form
}

func TestTokenErrorsOfRequests(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app, tenant := lab.Healthy(), lab.TenantID()
	good := credentialsForm(app.ClientID, value(app))
	text := func(format, hole string) string { return fmt.Sprintf(format, hole) }
	v2 := func(tenant string) string { return "/" + tenant + "/oauth2/v2.0/token" }
	for _, tc := range []refusedRequest{
		{name: "unknown tenant", path: v2(unknownGUID), form: good, status: 400, oauth: "invalid_request", code: 90002, text: text(noTenant, unknownGUID), uri: true},
		{name: "unknown domain", path: v2("nobody.example"), form: good, status: 400, oauth: "invalid_request", code: 90002, text: text(noTenant, "nobody.example"), uri: true},
		{name: "a word as tenant", path: v2("undefined"), form: good, status: 400, oauth: "invalid_request", code: 900023, text: text(badTenant, "undefined"), uri: true},
		{name: "placeholder as tenant", path: v2("%7B%7Btenantid%7D%7D"), form: good, status: 400, oauth: "invalid_request", code: 900023, text: text(badTenant, "{{tenantid}}"), uri: true},
		{name: "truncated tenant", path: v2(tenant[:30]), form: good, status: 400, oauth: "invalid_request", code: 900023, text: text(badTenant, tenant[:30]), uri: true},
		{name: "zero tenant", path: v2(zeroGUID), form: good, status: 400, oauth: "invalid_request", code: 900021, text: "Requested tenant identifier '" + zeroGUID + "' is not valid. Tenant identifiers may not be an empty GUID."},
		{name: "common", path: v2("common"), form: good, status: 400, oauth: "invalid_request", code: 50059, text: "No tenant-identifying information found in either the request or implied by any provided credentials."},
		{name: "organizations", path: v2("organizations"), form: good, status: 400, oauth: "invalid_request", code: 50059, text: "No tenant-identifying information found in either the request or implied by any provided credentials."},
		{name: "GET", method: "GET", status: 400, oauth: "invalid_request", code: 900561, text: "The endpoint only accepts POST requests. Received a GET request."},
		{name: "JSON body", raw: `{"grant_type":"client_credentials"}`, header: []string{"Content-Type", "application/json"}, status: 400, oauth: "invalid_request", code: 900144, text: text(missing, "grant_type"), uri: true},
		{name: "form without its type", raw: good.Encode(), header: []string{"Content-Type", "text/plain"}, status: 400, oauth: "invalid_request", code: 900144, text: text(missing, "grant_type"), uri: true},
		{name: "parameters in the query", path: v2(tenant) + "?" + good.Encode(), status: 400, oauth: "invalid_request", code: 900144, text: text(missing, "grant_type"), uri: true},
		{name: "huge body", raw: "a=" + strings.Repeat("x", 1<<20), status: 400, oauth: "invalid_request", code: 9002313, text: "Invalid request. Request is malformed or invalid."},
		{name: "no grant type", form: with(good, "grant_type", ""), status: 400, oauth: "invalid_request", code: 900144, text: text(missing, "grant_type"), uri: true},
		{name: "other grant type", form: with(good, "grant_type", "pass<word>"), status: 400, oauth: "unsupported_grant_type", code: 70003, text: "The app requested an unsupported grant type 'pass<word>'."},
		{name: "no client id", form: with(good, "client_id", ""), status: 400, oauth: "invalid_request", code: 900144, text: text(missing, "client_id"), uri: true},
		{name: "unknown client id", form: with(good, "client_id", unknownGUID), status: 400, oauth: "unauthorized_client", code: 700016, text: text(noApp, unknownGUID), uri: true},
		{name: "malformed client id", form: with(good, "client_id", "billing \"api\""), status: 400, oauth: "unauthorized_client", code: 700016, text: text(noApp, "billing \"api\""), uri: true},
		{name: "object id as client id", form: with(good, "client_id", app.ObjectID), status: 400, oauth: "unauthorized_client", code: 700016, text: text(noApp, app.ObjectID), uri: true},
		{name: "no secret", form: with(good, "client_secret", ""), status: 401, oauth: "invalid_client", code: 7000216, text: "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.", uri: true},
		{name: "empty secret", form: url.Values{"grant_type": good["grant_type"], "client_id": good["client_id"], "client_secret": {""}}, status: 401, oauth: "invalid_client", code: 7000216, text: "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.", uri: true},
		{name: "secret id", form: with(good, "client_secret", app.Secrets[0].KeyID), status: 401, oauth: "invalid_client", code: 7000215, text: text(wrongSecret, app.ClientID), uri: true},
		{name: "secret with a newline", form: with(good, "client_secret", value(app)+"\n"), status: 401, oauth: "invalid_client", code: 7000215, text: text(wrongSecret, app.ClientID), uri: true},
		{name: "another app's secret", form: with(good, "client_secret", value(lab.Operator())), status: 401, oauth: "invalid_client", code: 7000215, text: text(wrongSecret, app.ClientID), uri: true},
		{name: "no scope", form: with(good, "scope", ""), status: 400, oauth: "invalid_request", code: 900144, text: text(missing, "scope"), uri: true},
		{name: "named scope", form: with(good, "scope", "User.Read"), status: 400, oauth: "invalid_scope", code: 1002012, text: text(namedScope, "User.Read")},
		{name: "only OpenID scopes", form: with(good, "scope", "openid profile"), status: 400, oauth: "invalid_scope", code: 1002012, text: text(namedScope, "openid profile")},
		{name: "default of nothing", form: with(good, "scope", ".default"), status: 400, oauth: "invalid_scope", code: 70011, text: text(badScope, ".default")},
		{name: "two resources", form: with(good, "scope", twoScopes), status: 400, oauth: "invalid_request", code: 28000, text: "Provided value for the input parameter scope is not valid because it contains more than one resource. Scope " + twoScopes + " is not valid."},
		{name: "unknown resource", form: with(good, "scope", "https://api.example/.default"), status: 400, oauth: "invalid_resource", code: 500011, text: text(noResource, "https://api.example"), uri: true},
		{name: "v1 without resource", path: "/" + tenant + "/oauth2/token", form: good, status: 400, oauth: "invalid_request", code: 900144, text: text(missing, "resource"), uri: true},
		{name: "v1 with a scope as resource", path: "/" + tenant + "/oauth2/token", form: with(good, "resource", graphScope), status: 400, oauth: "invalid_resource", code: 500011, text: text(noResource, graphScope), uri: true},
		{name: "discovery of an unknown tenant", method: "GET", path: "/" + unknownGUID + "/v2.0/.well-known/openid-configuration", status: 400, oauth: "invalid_tenant", code: 90002, text: text(noTenant, unknownGUID), uri: true},
		{name: "keys of a malformed tenant", method: "GET", path: "/x/discovery/v2.0/keys", status: 400, oauth: "invalid_tenant", code: 900023, text: text(badTenant, "x"), uri: true},
		{name: "unknown instance", method: "GET", path: "/common/discovery/instance?api-version=1.1&authorization_endpoint=https://login.example/common/oauth2/v2.0/authorize", status: 400, oauth: "invalid_instance", code: 50049, text: "Unknown or invalid instance."},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.check(t, lab) })
	}
}

func TestTokenErrorsOfApps(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app, tenant, now := lab.Healthy(), lab.TenantID(), lab.Now()
	absent := addApp(t, lab, entralab.AppSpec{NoServicePrincipal: true})
	disabled := addApp(t, lab, entralab.AppSpec{DisplayName: "old-job"})
	deleted := addApp(t, lab, entralab.AppSpec{})
	for app, action := range map[string]string{disabled.ObjectID: "disable-app", deleted.ObjectID: "delete-app"} {
		if r := control(t, lab, "portal", `{"action":"`+action+`","app":"`+app+`"}`); r.status != 204 {
			t.Fatal(r.body)
		}
	}
	expired := addApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{{Start: now.AddDate(-2, 0, 0), End: now}}})
	future := addApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{{Start: now.Add(time.Hour)}}})
	good := credentialsForm(app.ClientID, value(app))
	text := func(format, hole string) string { return fmt.Sprintf(format, hole) }
	for _, tc := range []refusedRequest{
		{name: "deleted app", form: credentialsForm(deleted.ClientID, value(deleted)), status: 400, oauth: "unauthorized_client", code: 700016, text: text(noApp, deleted.ClientID), uri: true},
		{name: "no service principal", form: credentialsForm(absent.ClientID, value(absent)), status: 401, oauth: "invalid_client", code: 7000229,
			text: "The client application " + absent.ClientID + " is missing service principal in the tenant " + tenant + ". See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119"},
		{name: "secret of the future", form: credentialsForm(future.ClientID, value(future)), status: 401, oauth: "invalid_client", code: 7000215, text: text(wrongSecret, future.ClientID), uri: true},
		{name: "expired secret", form: credentialsForm(expired.ClientID, value(expired)), status: 401, oauth: "invalid_client", code: 7000222, uri: true,
			text: "The provided client secret keys for app '" + expired.ClientID + "' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds."},
		{name: "wrong secret beside an expired one", form: credentialsForm(expired.ClientID, "x"), status: 401, oauth: "invalid_client", code: 7000215, text: text(wrongSecret, expired.ClientID), uri: true},
		{name: "disabled app", form: credentialsForm(disabled.ClientID, value(disabled)), status: 400, oauth: "unauthorized_client", code: 7000112, text: "Application '" + disabled.ClientID + "'(old-job) is disabled.", uri: true},
		{name: "disabled app, wrong secret", form: credentialsForm(disabled.ClientID, "x"), status: 401, oauth: "invalid_client", code: 7000215, text: text(wrongSecret, disabled.ClientID), uri: true},
		{name: "resource without service principal", form: with(good, "scope", absent.ClientID+"/.default"), status: 400, oauth: "invalid_resource", code: 500011, text: text(noResource, absent.ClientID), uri: true},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.check(t, lab) })
	}
}

func (tc refusedRequest) check(t *testing.T, lab *entralab.Lab) {
	if tc.path == "" {
		tc.path = "/" + lab.TenantID() + "/oauth2/v2.0/token"
	}
	if tc.method == "" {
		tc.method = "POST"
	}
	body := tc.raw
	if body == "" {
		body = tc.form.Encode()
	}
	header := append([]string{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}, tc.header...)
	r := do(t, lab, newRequest(t, tc.method, lab.AuthorityURL()+tc.path, body, header...))

	o := r.object(t)
	trace, _ := o["trace_id"].(string)
	correlation, _ := o["correlation_id"].(string)
	stamp, _ := o["timestamp"].(string)
	uri := ""
	if tc.uri {
		uri = fmt.Sprintf(`,"error_uri":"https://login.lab.test/error?code=%d"`, tc.code)
	}
	description := fmt.Sprintf("AADSTS%d: %s Trace ID: %s Correlation ID: %s Timestamp: %s", tc.code, tc.text, trace, correlation, stamp)
	want := fmt.Sprintf(`{"error":%q,"error_description":%s,"error_codes":[%d],"timestamp":%q,"trace_id":%q,"correlation_id":%q%s}`,
		tc.oauth, quote(t, description), tc.code, stamp, trace, correlation, uri)
	if r.body != want {
		t.Errorf("body\n%s\nwant\n%s", r.body, want)
	}
	if r.status != tc.status {
		t.Errorf("status %d, want %d", r.status, tc.status)
	}
	if at, err := time.Parse("2006-01-02 15:04:05Z", stamp); err != nil || lab.Now().Sub(at).Abs() > time.Minute {
		t.Errorf("timestamp %q, want lab time", stamp)
	}
	if !strings.HasSuffix(trace, "00") || len(trace) != 36 || len(correlation) != 36 {
		t.Errorf("trace id %q, correlation id %q", trace, correlation)
	}
	checkAuthorityHeaders(t, lab, r, trace)
}

// quote encodes a text as the lab does: without escaping <, > and &.
func quote(t *testing.T, s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

func checkAuthorityHeaders(t *testing.T, lab *entralab.Lab, r reply, trace string) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type":              "application/json; charset=utf-8",
		"Cache-Control":             "no-store, no-cache",
		"Pragma":                    "no-cache",
		"Strict-Transport-Security": "max-age=31536000; includeSubDomains",
		"X-Content-Type-Options":    "nosniff",
		"P3p":                       `CP="DSP CUR OTPi IND OTRi ONL FIN"`,
		"X-Ms-Request-Id":           trace,
		"Www-Authenticate":          "",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if date, err := http.ParseTime(r.header.Get("Date")); err != nil || lab.Now().Sub(date).Abs() > time.Minute {
		t.Errorf("Date: %q, want lab time", r.header.Get("Date"))
	}
	if cookies := strings.Join(r.header.Values("Set-Cookie"), "\n"); !strings.Contains(cookies, "fpc=") || !strings.Contains(cookies, "x-ms-gateway-slice=estsfd") {
		t.Errorf("cookies: %q", cookies)
	}
	if r.header.Get("X-Ms-Ests-Server") == "" {
		t.Error("no x-ms-ests-server")
	}
}

// TestOrderOfChecks gives each request two faults and expects the earlier one
// to be told.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := lab.Healthy()
	form := func(pairs ...string) url.Values {
		f := credentialsForm(app.ClientID, value(app))
		for i := 0; i < len(pairs); i += 2 {
			f.Set(pairs[i], pairs[i+1])
		}
		return f
	}
	for _, tc := range []struct {
		name   string
		tenant string
		form   url.Values
		want   float64
	}{
		{"tenant before form", "nobody.example", form("grant_type", ""), 90002},
		{"grant before shared tenant", "common", form("grant_type", "password"), 70003},
		{"grant before client id", app.TenantID, form("grant_type", "password", "client_id", ""), 70003},
		{"app before credential", app.TenantID, form("client_id", app.ObjectID, "client_secret", ""), 700016},
		{"credential before scope", app.TenantID, form("client_secret", "x", "scope", ""), 7000215},
		{"secret missing before scope", app.TenantID, form("client_secret", "", "scope", ""), 7000216},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := askToken(t, lab, tc.tenant, tc.form).object(t)["error_codes"].([]any)[0]; got != tc.want {
				t.Errorf("code %v, want %v", got, tc.want)
			}
		})
	}
}
