package entralab_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

func TestPermissionGrants(t *testing.T) {
	t.Parallel()
	lab := start(t)
	client := addApp(t, lab, entralab.AppSpec{})
	token := graphToken(t, lab, addApp(t, lab, entralab.AppSpec{Permissions: []string{"DelegatedPermissionGrant.ReadWrite.All", "Application.Read.All", "User.Read.All"}}))
	call := func(method, path, body string, want int) reply {
		t.Helper()
		r := graph(t, lab, token, method, path, body)
		if r.status != want {
			t.Fatalf("%s %s: %d, want %d: %s", method, path, r.status, want, r.body)
		}
		return r
	}
	graphID := call("GET", "servicePrincipals(appId='00000003-0000-0000-c000-000000000000')", "", 200).object(t)["id"].(string)
	ada := call("GET", "users", "", 200).object(t)["value"].([]any)[1].(map[string]any)["id"].(string)
	body := func(kind, principal, scope string) string {
		return `{"clientId":"` + client.ServicePrincipalID + `","consentType":"` + kind + `","principalId":` + principal + `,"resourceId":"` + graphID + `","scope":"` + scope + `"}`
	}
	r := call("POST", "oauth2PermissionGrants", body("AllPrincipals", "null", " User.Read  Mail.Read "), 201)
	id := fmt.Sprint(r.object(t)["id"])
	object := func(scope string) string {
		return `"clientId":"` + client.ServicePrincipalID + `","consentType":"AllPrincipals","id":"` + id + `","principalId":null,"resourceId":"` + graphID + `","scope":"` + scope + `"}`
	}
	if want := `{"@odata.context":"https://graph.lab.test/v1.0/$metadata#oauth2PermissionGrants/$entity",` + object("User.Read Mail.Read"); r.body != want {
		t.Errorf("%s\nwant %s", r.body, want)
	}
	if len(id) != 43 {
		t.Errorf("id %q", id)
	}
	call("POST", "oauth2PermissionGrants", body("AllPrincipals", "null", "x"), 400)
	own := call("POST", "oauth2PermissionGrants", body("Principal", `"`+ada+`"`, "Mail.Send"), 201).object(t)["id"].(string)
	call("PATCH", "oauth2PermissionGrants/"+id, `{"scope":"User.Read"}`, 204)
	if r := call("GET", "oauth2PermissionGrants/"+id, "", 200); r.body != `{"@odata.context":"https://graph.lab.test/v1.0/$metadata#oauth2PermissionGrants/$entity",`+object("User.Read") {
		t.Error(r.body)
	}
	for path, want := range map[string]int{
		"oauth2PermissionGrants": 2, "servicePrincipals/" + client.ServicePrincipalID + "/oauth2PermissionGrants": 2, "servicePrincipals/" + graphID + "/oauth2PermissionGrants": 0,
		"oauth2PermissionGrants?$filter=" + url.QueryEscape("clientId eq '"+client.ServicePrincipalID+"' and consentType eq 'Principal'"): 1,
		"oauth2PermissionGrants?$filter=" + url.QueryEscape("principalId eq '"+ada+"'"):                                                   1,
	} {
		if list := call("GET", path, "", 200).object(t)["value"].([]any); len(list) != want {
			t.Errorf("%s: %v", path, list)
		}
	}
	call("DELETE", "oauth2PermissionGrants/"+own, "", 204)
	call("DELETE", "oauth2PermissionGrants/"+own, "", 404)
	call("PATCH", "oauth2PermissionGrants/"+id, `{"resourceId":"x"}`, 400)
	call("PATCH", "oauth2PermissionGrants/"+id, `{}`, 400)
	for _, bad := range []string{body("Principal", "null", "x"), body("AllPrincipals", `"`+ada+`"`, "x"), body("Nobody", "null", "x"), `[]`} {
		call("POST", "oauth2PermissionGrants", bad, 400)
	}
	call("POST", "oauth2PermissionGrants", `{"clientId":"x"}`, 404)
	call("POST", "oauth2PermissionGrants", body("Principal", `"`+graphID+`"`, "x"), 404)
	reader := graphToken(t, lab, lab.Operator())
	if r := graph(t, lab, reader, "DELETE", "oauth2PermissionGrants/"+id, ""); r.status != 403 {
		t.Errorf("Directory.Read.All may not write: %d", r.status)
	}
	if r := graph(t, lab, reader, "GET", "oauth2PermissionGrants/"+id, ""); r.status != 200 {
		t.Errorf("Directory.Read.All may read: %d", r.status)
	}
}

// TestTwoWaysToStopAnApp: the portal's two switches are two properties.
func TestTwoWaysToStopAnApp(t *testing.T) {
	t.Parallel()
	lab := start(t)
	token := graphToken(t, lab, lab.Operator())
	app := addApp(t, lab, entralab.AppSpec{})
	for _, tc := range []struct {
		action            string
		disabled, enabled bool
		code              int
	}{
		{"disable-app", false, false, 7000112}, {"enable-app", false, true, 0}, {"deactivate-app", true, true, 7000112}, {"activate-app", false, true, 0},
	} {
		if r := control(t, lab, "portal", `{"action":"`+tc.action+`","app":"`+app.ObjectID+`"}`); r.status != 204 {
			t.Fatalf("%s: %s", tc.action, r.body)
		}
		disabled := graph(t, lab, token, "GET", "applications/"+app.ObjectID, "").object(t)["isDisabled"]
		enabled := graph(t, lab, token, "GET", "servicePrincipals/"+app.ServicePrincipalID, "").object(t)["accountEnabled"]
		if got := code(t, lab, app.ClientID, value(app)); disabled != tc.disabled || enabled != tc.enabled || got != tc.code {
			t.Errorf("%s: isDisabled %v, accountEnabled %v, %d", tc.action, disabled, enabled, got)
		}
	}
	bare := addApp(t, lab, entralab.AppSpec{NoServicePrincipal: true})
	if r := control(t, lab, "portal", `{"action":"disable-app","app":"`+bare.ObjectID+`"}`); r.status != 409 {
		t.Errorf("without a service principal: %d", r.status)
	}
}
