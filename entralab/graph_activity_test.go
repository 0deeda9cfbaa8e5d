package entralab_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// beta calls Graph's beta.
func beta(t testing.TB, lab *entralab.Lab, token, path string) reply {
	t.Helper()
	return do(t, lab, newRequest(t, "GET", lab.GraphURL()+"/beta/"+path, "", "Authorization", "Bearer "+token))
}

// TestSignInEntry compares whole entries: of a success, and of a failure, which
// names the resource but no credential.
func TestSignInEntry(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Set(time.Date(2027, 5, 6, 7, 8, 9, 0, time.UTC))
	lab.Freeze(true)
	app := addApp(t, lab, entralab.AppSpec{DisplayName: "reporter"})
	token := graphToken(t, lab, lab.Operator())
	graphID := graph(t, lab, token, "GET", "servicePrincipals(appId='00000003-0000-0000-c000-000000000000')", "").object(t)["id"].(string)
	const correlation = "11111111-2222-4333-8444-555555555555"
	entry := func(scope, secret, resource, key, kind string, code int) {
		t.Helper()
		form := credentialsForm(app.ClientID, secret)
		form.Set("scope", scope)
		trace := askToken(t, lab, lab.TenantID(), form, "client-request-id", correlation).header.Get("X-Ms-Request-Id")
		r := beta(t, lab, token, "auditLogs/signIns?$top=1&$filter="+url.QueryEscape("signInEventTypes/any(t: t eq 'servicePrincipal') and appId eq '"+app.ClientID+"'"))
		next := `"@odata.nextLink":"` + fmt.Sprint(r.object(t)["@odata.nextLink"]) + `",`
		if r.object(t)["@odata.nextLink"] == nil {
			next = ""
		}
		want := `{"@odata.context":"https://graph.lab.test/beta/$metadata#auditLogs/signIns",` + next + `"value":[{"id":"` + trace + `","createdDateTime":"2027-05-06T07:08:09Z","appId":"` + app.ClientID +
			`","appDisplayName":"reporter","ipAddress":"127.0.0.1","servicePrincipalId":"` + app.ServicePrincipalID + `","servicePrincipalName":"reporter","servicePrincipalCredentialKeyId":` + key +
			`,"servicePrincipalCredentialThumbprint":null,"federatedCredentialId":null,"clientCredentialType":"` + kind + `","correlationId":"` + correlation + `",` + resource +
			`,"signInEventTypes":["servicePrincipal"],"status":{"errorCode":` + fmt.Sprint(code) + `,"failureReason":null,"additionalDetails":null}}]}`
		if r.body != want {
			t.Errorf("%s\nwant %s", r.body, want)
		}
	}
	microsoftGraph := `"resourceDisplayName":"Microsoft Graph","resourceId":"00000003-0000-0000-c000-000000000000","resourceServicePrincipalId":"` + graphID + `"`
	entry(graphScope, value(app), microsoftGraph, `"`+app.Secrets[0].KeyID+`"`, "clientSecret", 0)
	entry(graphScope, "wrong", microsoftGraph, "null", "none", 7000215)
	entry("https://vault.azure.net/.default", value(app), `"resourceDisplayName":"Azure Key Vault","resourceId":"cfa8b339-82a2-471a-a3c9-0fc0be7a4093","resourceServicePrincipalId":null`, `"`+app.Secrets[0].KeyID+`"`, "clientSecret", 0)
	entry("https://nothing.lab.test/.default", value(app), `"resourceDisplayName":null,"resourceId":null,"resourceServicePrincipalId":null`, "null", "none", 500011)
}

// TestCredentialActivity: the report tells the last sign-in of each credential,
// and tells it late.
func TestCredentialActivity(t *testing.T) {
	t.Parallel()
	lab := start(t)
	began := time.Date(2027, 5, 6, 7, 8, 9, 0, time.UTC)
	lab.Freeze(true)
	lab.Set(began)
	app := addApp(t, lab, entralab.AppSpec{DisplayName: "reporter", Secrets: []entralab.SecretSpec{{}, {}}})
	operator := func() string { return graphToken(t, lab, lab.Operator()) }
	list := func(query string) []any {
		t.Helper()
		r := beta(t, lab, operator(), "reports/appCredentialSignInActivities?"+query)
		if r.status != 200 {
			t.Fatalf("%s: %s", query, r.body)
		}
		return r.object(t)["value"].([]any)
	}
	mine := "$filter=" + url.QueryEscape("appId eq '"+app.ClientID+"'")
	if got := list(mine); len(got) != 0 {
		t.Errorf("before any sign-in: %v", got)
	}
	code(t, lab, app.ClientID, "wrong")
	code(t, lab, app.ClientID, value(app))
	lab.Advance(time.Hour)
	trace := askToken(t, lab, lab.TenantID(), credentialsForm(app.ClientID, value(app))).header.Get("X-Ms-Request-Id")
	id := base64.StdEncoding.EncodeToString([]byte(app.Secrets[0].KeyID + "|application"))
	r := beta(t, lab, operator(), "reports/appCredentialSignInActivities?"+mine)
	object := `"id":"` + id + `","keyId":"` + app.Secrets[0].KeyID + `","keyType":"clientSecret","keyUsage":"sign","appId":"` + app.ClientID + `","appObjectId":"` + app.ObjectID +
		`","servicePrincipalObjectId":"` + app.ServicePrincipalID + `","resourceId":"00000003-0000-0000-c000-000000000000","credentialOrigin":"application","createdDateTime":"2027-05-06T07:08:09Z","expirationDateTime":"2029-05-06T07:08:09Z",` +
		`"signInActivity":{"lastSignInDateTime":"2027-05-06T08:08:09Z","lastSignInRequestId":"` + trace + `"}}`
	if want := `{"@odata.context":"https://graph.lab.test/beta/$metadata#reports/appCredentialSignInActivities","value":[{` + object + `]}`; r.body != want {
		t.Errorf("%s\nwant %s", r.body, want)
	}
	r = beta(t, lab, operator(), "reports/appCredentialSignInActivities/"+id)
	if want := `{"@odata.context":"https://graph.lab.test/beta/$metadata#reports/appCredentialSignInActivities/$entity",` + object; r.body != want {
		t.Errorf("%s\nwant %s", r.body, want)
	}
	// A secret of the service principal has the other origin.
	made := graph(t, lab, operator(), "POST", "servicePrincipals/"+app.ServicePrincipalID+"/addPassword", "").object(t)
	lab.Advance(time.Minute)
	code(t, lab, app.ClientID, made["secretText"].(string))
	byKey := list("$filter=" + url.QueryEscape("keyId eq '"+made["keyId"].(string)+"'"))
	if len(byKey) != 1 || byKey[0].(map[string]any)["credentialOrigin"] != "servicePrincipal" {
		t.Errorf("of the service principal: %v", byKey)
	}
	newest := list(mine + "&$top=1&$orderby=" + url.QueryEscape("signInActivity/lastSignInDateTime desc"))
	if len(newest) != 1 || newest[0].(map[string]any)["keyId"] != made["keyId"] {
		t.Errorf("newest first: %v", newest)
	}

	if r := control(t, lab, "delay", `{"activity_lag":"24h"}`); r.status != 200 || r.body != `{"accept":"0s","remove":"0s","replicas":1,"activity_lag":"24h0m0s"}` {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if got := list(mine); len(got) != 0 {
		t.Errorf("within the lag: %v", got)
	}
	lab.Advance(23 * time.Hour)
	got := list(mine)
	if len(got) != 1 || got[0].(map[string]any)["signInActivity"].(map[string]any)["lastSignInDateTime"] != began.Format(time.RFC3339) {
		t.Errorf("a day after the first sign-in: %v", got)
	}

	token := operator()
	if r := graph(t, lab, token, "GET", "reports/appCredentialSignInActivities", ""); r.status != 400 {
		t.Errorf("v1.0: %d", r.status)
	}
	if r := beta(t, lab, token, "reports/appCredentialSignInActivities/x"); r.status != 404 {
		t.Errorf("an unknown id: %d", r.status)
	}
	reader := addApp(t, lab, entralab.AppSpec{Permissions: []string{"Application.Read.All"}})
	if r := beta(t, lab, graphToken(t, lab, reader), "reports/appCredentialSignInActivities"); r.status != 403 {
		t.Errorf("without a permission: %d", r.status)
	}
	if r := control(t, lab, "licence", `{"premium":false}`); r.status != 200 {
		t.Fatal(r.body)
	}
	if code, _ := graphErrorOf(t, beta(t, lab, token, "reports/appCredentialSignInActivities")); code != "Authentication_RequestFromNonPremiumTenantOrB2CTenant" {
		t.Errorf("without a licence: %s", code)
	}
}
