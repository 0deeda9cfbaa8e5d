package entralab_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// claims decodes a part of a JWT: 0 is the header, 1 the payload.
func part(t *testing.T, token any, n int) map[string]any {
	t.Helper()
	parts := strings.Split(token.(string), ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[n])
	if err != nil || len(parts) != 3 {
		t.Fatalf("not a JWT: %v", token)
	}
	var o map[string]any
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTokenV2Endpoint(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	app := addApp(t, lab, entralab.AppSpec{DisplayName: `quoted "é" name`, Permissions: []string{"User.Read.All", "Mail.Send"}})
	r := askToken(t, lab, strings.ToUpper(lab.TenantID()), credentialsForm(strings.ToUpper(app.ClientID), value(app)))
	if r.status != 200 || !strings.HasPrefix(r.body, `{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"ey`) {
		t.Fatalf("status %d, body %s", r.status, r.body)
	}
	checkAuthorityHeaders(t, lab, r, r.header.Get("X-Ms-Request-Id"))
	token := r.object(t)["access_token"]
	got := part(t, token, 1)
	now := float64(lab.Now().Unix())
	for _, random := range []string{"aio", "rh", "uti"} {
		if s, _ := got[random].(string); s == "" {
			t.Errorf("no %s", random)
		}
		delete(got, random)
	}
	want := map[string]any{
		"aud": "https://graph.microsoft.com", "iss": "https://sts.windows.net/" + lab.TenantID() + "/", "idp": "https://sts.windows.net/" + lab.TenantID() + "/",
		"iat": now, "nbf": now, "exp": now + 3599, "app_displayname": `quoted "é" name`, "appid": app.ClientID, "appidacr": "1", "idtyp": "app",
		"oid": app.ServicePrincipalID, "sub": app.ServicePrincipalID, "tid": lab.TenantID(), "ver": "1.0", "xms_lab": true,
		"roles": []any{"User.Read.All", "Mail.Send"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("claims %v\nwant %v", got, want)
	}
	if header := part(t, token, 0); header["alg"] != "RS256" || header["typ"] != "JWT" || header["kid"] == "" || header["x5t"] != header["kid"] {
		t.Errorf("header %v", header)
	}
	again := askToken(t, lab, lab.TenantID(), credentialsForm(app.ClientID, value(app))).object(t)["access_token"]
	if part(t, again, 1)["uti"] == part(t, token, 1)["uti"] {
		t.Error("two tokens with one uti")
	}
}

func TestTokenV2Format(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := lab.Healthy()
	form := credentialsForm(app.ClientID, value(app))
	form.Set("scope", app.ClientID+"/.default openid")
	token := askToken(t, lab, lab.TenantID(), form).object(t)["access_token"]
	got := part(t, token, 1)
	for name, want := range map[string]any{
		"aud": app.ClientID, "iss": lab.AuthorityURL() + "/" + lab.TenantID() + "/v2.0", "azp": app.ClientID, "azpacr": "1",
		"ver": "2.0", "appid": nil, "roles": nil, "app_displayname": nil, "scp": nil, "oid": app.ServicePrincipalID,
	} {
		if got[name] != want {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
	if header := part(t, token, 0); header["x5t"] != nil {
		t.Errorf("header %v, want no x5t", header)
	}
}

func TestTokenV1Endpoint(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	app := lab.Healthy()
	form := credentialsForm(app.ClientID, value(app))
	form.Set("resource", "https://graph.microsoft.com/")
	r := do(t, lab, newRequest(t, "POST", lab.AuthorityURL()+"/contoso.LAB.test/oauth2/token?api-version=1.0", form.Encode(),
		"Content-Type", "application/x-www-form-urlencoded"))
	now := lab.Now().Unix()
	want := fmt.Sprintf(`{"token_type":"Bearer","expires_in":"3599","ext_expires_in":"3599","expires_on":"%d","not_before":"%d","resource":"https://graph.microsoft.com/","access_token":"`, now+3599, now)
	if r.status != 200 || !strings.HasPrefix(r.body, want) {
		t.Fatalf("status %d, body %s, want %s", r.status, r.body, want)
	}
	if aud := part(t, r.object(t)["access_token"], 1)["aud"]; aud != "https://graph.microsoft.com/" {
		t.Errorf("aud %v, want it as asked", aud)
	}
}

func TestResources(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app, operator := lab.Healthy(), graphToken(t, lab, lab.Operator())
	api := addApp(t, lab, entralab.AppSpec{})
	old := addApp(t, lab, entralab.AppSpec{})
	for _, patch := range [][2]string{
		{api.ObjectID, `{"identifierUris":["https://api.contoso.lab.test/x","https://gone.example"]}`},
		{api.ObjectID, `{"identifierUris":["https://api.contoso.lab.test/x"]}`},
		{old.ObjectID, `{"api":{"requestedAccessTokenVersion":1}}`},
	} {
		if r := graph(t, lab, operator, "PATCH", "applications/"+patch[0], patch[1]); r.status != 204 {
			t.Fatal(r.body)
		}
	}
	form := credentialsForm(app.ClientID, value(app))
	form.Set("scope", "https://gone.example/.default")
	if r := askToken(t, lab, lab.TenantID(), form); r.status != 400 {
		t.Errorf("a former identifier URI: %d", r.status)
	}
	for scope, want := range map[string][2]string{
		"https://graph.microsoft.com/.default openid offline_access profile": {"https://graph.microsoft.com", "1.0"},
		"https://GRAPH.microsoft.com//.default":                              {"https://GRAPH.microsoft.com/", "1.0"},
		"00000003-0000-0000-c000-000000000000/.default":                      {"00000003-0000-0000-c000-000000000000", "1.0"},
		lab.GraphURL() + "/.default":                                         {"https://graph.microsoft.com", "1.0"},
		lab.GraphURL() + "//.default":                                        {"https://graph.microsoft.com", "1.0"},
		"https://vault.azure.net/.default":                                   {"https://vault.azure.net", "1.0"},
		"https://vault.azure.net//.default":                                  {"https://vault.azure.net/", "1.0"},
		"https://management.azure.com/.default":                              {"https://management.azure.com", "1.0"},
		"https://outlook.office365.com/.default":                             {"https://outlook.office365.com", "1.0"},
		"api://" + api.ClientID + "/.default":                                {api.ClientID, "2.0"},
		strings.ToUpper(api.ClientID) + "/.default":                          {api.ClientID, "2.0"},
		"https://api.contoso.lab.test/x/.default":                            {api.ClientID, "2.0"},
		"api://" + old.ClientID + "/.default":                                {"api://" + old.ClientID, "1.0"},
	} {
		form.Set("scope", scope)
		r := askToken(t, lab, lab.TenantID(), form)
		if r.status != 200 {
			t.Errorf("%s: %s", scope, r.body)
			continue
		}
		got := part(t, r.object(t)["access_token"], 1)
		if got["aud"] != want[0] || got["ver"] != want[1] {
			t.Errorf("%s: aud %v, ver %v, want %v", scope, got["aud"], got["ver"], want)
		}
		if isGraph := strings.Contains(strings.ToLower(scope), "graph") || strings.HasPrefix(scope, "0000"); isGraph != (got["roles"] != nil) {
			t.Errorf("%s: roles %v", scope, got["roles"])
		}
	}
}

// TestFormEncoding sends a value of every awkward character as text that a
// client may really produce.
func TestFormEncoding(t *testing.T) {
	t.Parallel()
	lab := start(t)
	const secret = "a+b%c d~&=é"
	app := addApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{{Value: secret}}})
	rest := "&grant_type=client_credentials&scope=" + url.QueryEscape(graphScope) + "&client_id=" + app.ClientID
	for sent, want := range map[string]int{
		"a%2Bb%25c+d~%26%3D%C3%A9":               200,
		"a%2bb%25c%20d%7E%26=é":                  200, // only what must be is encoded
		"a%2Bb%c+d~%26%3D%C3%A9":                 200, // %c+ is no escape and stays
		"a+b%25c+d~%26%3D%C3%A9":                 401, // a raw plus is a blank
		"a%2Bb%25c+d~&=%C3%A9":                   401, // a raw ampersand ends the value
		url.QueryEscape(url.QueryEscape(secret)): 401,
		"a%2Bb%25c+d~%26%3D%C3%A9%0A":            401,
	} {
		r := do(t, lab, newRequest(t, "POST", tokenURL(lab, lab.TenantID()), "client_secret="+sent+rest, "Content-Type", "application/x-www-form-urlencoded"))
		if r.status != want {
			t.Errorf("%s: status %d, want %d", sent, r.status, want)
		}
	}
}

func TestBasicAuthentication(t *testing.T) {
	t.Parallel()
	lab := start(t)
	const secret = "x%2By~z:w"
	app := addApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{{Value: secret}}})
	body := "grant_type=client_credentials&scope=" + url.QueryEscape(graphScope)
	encode := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, tc := range []struct {
		name, header, body string
		want               int
	}{
		{"encoded", encode(app.ClientID + ":" + url.QueryEscape(secret)), body, 200},
		{"other case", strings.Replace(encode(app.ClientID+":"+url.QueryEscape(secret)), "Basic", "basic", 1), body, 200},
		{"not encoded", encode(app.ClientID + ":" + secret), body, 401},
		{"empty half", encode(app.ClientID + ":"), body, 401},
		{"no colon", encode(app.ClientID), body, 400},
		{"no base64", "Basic !", body, 400},
		{"body wins", encode(app.ClientID + ":x"), body + "&client_secret=" + url.QueryEscape(secret), 200},
	} {
		r := do(t, lab, newRequest(t, "POST", tokenURL(lab, lab.TenantID()), tc.body,
			"Content-Type", "application/x-www-form-urlencoded", "Authorization", tc.header))
		if r.status != tc.want {
			t.Errorf("%s: status %d, want %d: %s", tc.name, r.status, tc.want, r.body)
		}
	}
}

func TestCorrelation(t *testing.T) {
	t.Parallel()
	lab := start(t)
	const id = "0A1B2C3D-0000-4000-8000-0000000000AA"
	lower := strings.ToLower(id)
	app := lab.Healthy()
	bad := func() url.Values { return credentialsForm(app.ClientID, "x") }
	post := func(query string, form url.Values, headers ...string) reply {
		headers = append(headers, "Content-Type", "application/x-www-form-urlencoded")
		return do(t, lab, newRequest(t, "POST", tokenURL(lab, lab.TenantID())+query, form.Encode(), headers...))
	}
	field := bad()
	field.Set("client-request-id", id)
	for name, r := range map[string]reply{
		"header": post("", bad(), "client-request-id", id),
		"field":  post("", field),
		"query":  post("?client-request-id="+id, bad()),
	} {
		if got := r.object(t)["correlation_id"]; got != lower {
			t.Errorf("%s: correlation id %v, want %s", name, got, lower)
		}
		if echo := r.header.Get("Client-Request-Id"); echo != "" {
			t.Errorf("%s: echoed %q unasked", name, echo)
		}
	}
	if r := post("", bad(), "client-request-id", id, "return-client-request-id", "true"); r.header.Get("Client-Request-Id") != lower {
		t.Errorf("echo %q, want %s", r.header.Get("Client-Request-Id"), lower)
	}
	if r := post("", bad(), "client-request-id", "not-a-guid"); len(r.object(t)["correlation_id"].(string)) != 36 {
		t.Errorf("correlation id %v, want a random one", r.object(t)["correlation_id"])
	}
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	lab := start(t)
	get := func(path string) map[string]any {
		r := do(t, lab, newRequest(t, "GET", lab.AuthorityURL()+path, ""))
		if r.status != 200 {
			t.Fatalf("%s: %s", path, r.body)
		}
		return r.object(t)
	}
	own := lab.AuthorityURL() + "/" + lab.TenantID()
	byID := get("/" + lab.TenantID() + "/v2.0/.well-known/openid-configuration?")
	for name, want := range map[string]any{
		"issuer": own + "/v2.0", "token_endpoint": own + "/oauth2/v2.0/token", "jwks_uri": own + "/discovery/v2.0/keys",
		"authorization_endpoint":                own + "/oauth2/v2.0/authorize",
		"token_endpoint_auth_methods_supported": []any{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		"subject_types_supported":               []any{"pairwise"},
		"id_token_signing_alg_values_supported": []any{"RS256"},
	} {
		if !reflect.DeepEqual(byID[name], want) {
			t.Errorf("%s: %v, want %v", name, byID[name], want)
		}
	}
	if byDomain := get("/Contoso.lab.test/v2.0/.well-known/openid-configuration"); !reflect.DeepEqual(byDomain, byID) {
		t.Error("the document by domain differs from the one by id")
	}
	v1 := get("/" + lab.TenantID() + "/.well-known/openid-configuration")
	if v1["issuer"] != "https://sts.windows.net/"+lab.TenantID()+"/" || v1["token_endpoint"] != own+"/oauth2/token" || v1["jwks_uri"] != own+"/discovery/keys" {
		t.Errorf("v1: %v", v1)
	}
	common := get("/common/v2.0/.well-known/openid-configuration")
	if common["issuer"] != lab.AuthorityURL()+"/{tenantid}/v2.0" || common["token_endpoint"] != lab.AuthorityURL()+"/common/oauth2/v2.0/token" {
		t.Errorf("common: %v", common)
	}
	for _, path := range []string{"/common/discovery/keys", "/" + lab.TenantID() + "/discovery/v2.0/keys"} {
		key := get(path)["keys"].([]any)[0].(map[string]any)
		for _, name := range []string{"kty", "use", "kid", "x5t", "n", "e", "x5c"} {
			if key[name] == nil {
				t.Errorf("%s: no %s in %v", path, name, slices.Sorted(maps.Keys(key)))
			}
		}
	}
	instance := get("/common/discovery/instance?api-version=1.1&authorization_endpoint=" + url.QueryEscape(own+"/oauth2/v2.0/authorize"))
	if instance["tenant_discovery_endpoint"] != own+"/v2.0/.well-known/openid-configuration" {
		t.Errorf("instance: %v", instance)
	}
	if aliases := instance["metadata"].([]any)[0].(map[string]any)["aliases"]; !reflect.DeepEqual(aliases, []any{"login.lab.test"}) {
		t.Errorf("aliases: %v", aliases)
	}
	if r := do(t, lab, newRequest(t, "GET", own+"/oauth2/v2.0", "")); r.status != 404 {
		t.Errorf("unknown path: status %d", r.status)
	}
}

func TestSecretEnds(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	end := lab.Now().Add(time.Hour)
	app := addApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{{End: end}}})
	lab.Set(end.Add(-100 * time.Nanosecond))
	if got := code(t, lab, app.ClientID, value(app)); got != 0 {
		t.Errorf("just before its end: %d", got)
	}
	lab.Set(end)
	if got := code(t, lab, app.ClientID, value(app)); got != 7000222 {
		t.Errorf("at its end: %d, want 7000222", got)
	}
}

// TestDisabled: either switch stops the app.
func TestDisabled(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := lab.Healthy()
	token := graphToken(t, lab, lab.Operator())
	for path, property := range map[string]string{
		"applications/" + app.ObjectID: "isDisabled", "servicePrincipals/" + app.ServicePrincipalID: "accountEnabled",
	} {
		for _, on := range []bool{true, false} {
			if r := graph(t, lab, token, "PATCH", path, fmt.Sprintf(`{%q:%t}`, property, on)); r.status != 204 {
				t.Fatal(r.body)
			}
			want := 0
			if on == (property == "isDisabled") {
				want = 7000112
			}
			if got := code(t, lab, app.ClientID, value(app)); got != want {
				t.Errorf("%s %t: %d, want %d", property, on, got, want)
			}
		}
		graph(t, lab, token, "PATCH", path, fmt.Sprintf(`{%q:%t}`, property, property == "accountEnabled"))
	}
}

func TestTokenLifetimeFollowsTheClock(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := lab.Healthy()
	lab.Set(time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC))
	r := askToken(t, lab, lab.TenantID(), credentialsForm(app.ClientID, value(app)))
	if got := r.object(t)["error_codes"]; !reflect.DeepEqual(got, []any{7000222.0}) {
		t.Errorf("five years on: %s, want 7000222", r.body)
	}
	if date := r.header.Get("Date"); !strings.HasPrefix(date, "Tue, 06 May 2031 07:08:") {
		t.Errorf("Date %q", date)
	}
}
