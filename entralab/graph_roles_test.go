package entralab_test

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

const (
	taskReader = "3f1c0d5e-0000-4000-8000-000000000001"
	taskWriter = "3f1c0d5e-0000-4000-8000-000000000002"
	taskRoles  = `{"appRoles":[{"allowedMemberTypes":["Application"],"description":"reads","displayName":"Readers","id":"` + taskReader + `","isEnabled":true,"value":"Task.Read"},` +
		`{"allowedMemberTypes":["User","Application"],"description":null,"displayName":"Writers","id":"` + taskWriter + `","isEnabled":true,"value":"Task.Write"}]}`
)

// TestRolesOfAnAPI: an application defines roles, another is given them, and
// tokens for the API hold them.
func TestRolesOfAnAPI(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	api, client := addApp(t, lab, entralab.AppSpec{DisplayName: "tasks"}), addApp(t, lab, entralab.AppSpec{DisplayName: "worker"})
	admin := addApp(t, lab, entralab.AppSpec{Permissions: []string{"Application.ReadWrite.All", "AppRoleAssignment.ReadWrite.All"}})
	token := graphToken(t, lab, admin)
	call := func(method, path, body string, want int) reply {
		t.Helper()
		r := graph(t, lab, token, method, path, body)
		if r.status != want {
			t.Fatalf("%s %s: %d, want %d: %s", method, path, r.status, want, r.body)
		}
		return r
	}
	app, sp, holder := "applications/"+api.ObjectID, "servicePrincipals/"+api.ServicePrincipalID, "servicePrincipals/"+client.ServicePrincipalID
	// roles asks for a token for the API; the code is 0 for success.
	roles := func() (values []any, code int) {
		t.Helper()
		form := credentialsForm(client.ClientID, value(client))
		form.Set("scope", "api://"+api.ClientID+"/.default")
		o := askToken(t, lab, lab.TenantID(), form).object(t)
		if o["access_token"] == nil {
			return nil, int(o["error_codes"].([]any)[0].(float64))
		}
		values, _ = claimsOf(t, o["access_token"].(string))["roles"].([]any)
		return values, 0
	}
	body := func(role string) string {
		return `{"principalId":"` + client.ServicePrincipalID + `","resourceId":"` + api.ServicePrincipalID + `","appRoleId":"` + role + `"}`
	}

	call("PATCH", sp, `{"appRoleAssignmentRequired":true}`, 204)
	if _, code := roles(); code != 501051 {
		t.Errorf("without a role: %d", code)
	}
	// An API without roles has one that has no name.
	unnamed := call("POST", holder+"/appRoleAssignments", body("00000000-0000-0000-0000-000000000000"), 201).object(t)["id"].(string)
	if got, code := roles(); code != 0 || got != nil {
		t.Errorf("the unnamed role: %v, %d", got, code)
	}
	call("DELETE", holder+"/appRoleAssignments/"+unnamed, "", 204)
	call("PATCH", app, taskRoles, 204)
	call("POST", holder+"/appRoleAssignments", body("00000000-0000-0000-0000-000000000000"), 400)
	var shown struct{ AppRoles []map[string]any }
	if err := json.Unmarshal([]byte(call("GET", sp+"?$select=appRoles", "", 200).body), &shown); err != nil || len(shown.AppRoles) != 2 || shown.AppRoles[0]["value"] != "Task.Read" || shown.AppRoles[0]["origin"] != "Application" {
		t.Errorf("roles of the service principal: %v, %v", shown.AppRoles, err)
	}
	made := call("POST", holder+"/appRoleAssignments", body(taskReader), 201).object(t)
	want := map[string]any{
		"@odata.context": lab.GraphURL() + "/v1.0/$metadata#appRoleAssignments/$entity", "id": made["id"], "deletedDateTime": nil, "appRoleId": taskReader, "createdDateTime": made["createdDateTime"],
		"principalDisplayName": "worker", "principalId": client.ServicePrincipalID, "principalType": "ServicePrincipal", "resourceDisplayName": "tasks", "resourceId": api.ServicePrincipalID,
	}
	if !reflect.DeepEqual(made, want) {
		t.Errorf("%v, want %v", made, want)
	}
	if got, _ := roles(); !reflect.DeepEqual(got, []any{"Task.Read"}) {
		t.Errorf("one role: %v", got)
	}
	call("POST", holder+"/appRoleAssignments", body(taskReader), 400)
	second := call("POST", sp+"/appRoleAssignedTo", body(taskWriter), 201).object(t)["id"].(string)
	if got, _ := roles(); !reflect.DeepEqual(got, []any{"Task.Read", "Task.Write"}) {
		t.Errorf("two roles: %v", got)
	}
	for _, path := range []string{holder + "/appRoleAssignments", sp + "/appRoleAssignedTo"} {
		if list := call("GET", path, "", 200).object(t)["value"].([]any); len(list) != 2 || list[1].(map[string]any)["id"] != second {
			t.Errorf("%s: %v", path, list)
		}
	}
	// Tokens for Graph do not hold them.
	if got := claimsOf(t, graphToken(t, lab, client))["roles"]; got != nil {
		t.Errorf("roles in a token for Graph: %v", got)
	}
	if list := call("GET", "servicePrincipals(appId='00000003-0000-0000-c000-000000000000')/appRoleAssignedTo", "", 200).object(t)["value"].([]any); len(list) < 6 {
		t.Errorf("assigned by Graph: %d", len(list))
	}

	// A role goes only when it is disabled, and a disabled one is not in tokens.
	r := call("PATCH", app, `{"appRoles":[]}`, 400)
	if code, message := graphErrorOf(t, r); code != "CannotDeleteOrUpdateEnabledEntitlement" || message != "Permission (scope or role) cannot be deleted or updated unless disabled first." {
		t.Errorf("%s %q", code, message)
	}
	call("PATCH", app, strings.ReplaceAll(taskRoles, `"isEnabled":true,"value":"Task.Read"`, `"isEnabled":false,"value":"Task.Read"`), 204)
	if got, _ := roles(); !reflect.DeepEqual(got, []any{"Task.Write"}) {
		t.Errorf("a disabled role: %v", got)
	}
	call("PATCH", app, strings.ReplaceAll(taskRoles, `Task.Write`, `Task.Change`), 204)
	if got, _ := roles(); !reflect.DeepEqual(got, []any{"Task.Read", "Task.Change"}) {
		t.Errorf("a renamed role: %v", got)
	}
	call("DELETE", sp+"/appRoleAssignedTo/"+second, "", 204)
	call("DELETE", holder+"/appRoleAssignments/"+made["id"].(string), "", 204)
	call("DELETE", sp+"/appRoleAssignedTo/"+second, "", 404)
	if _, code := roles(); code != 501051 {
		t.Errorf("after all: %d", code)
	}
	for _, bad := range []string{
		`{"appRoles":{}}`, `{"appRoles":[{"id":"x"}]}`, strings.Replace(taskRoles, taskReader, taskWriter, 1), strings.Replace(taskRoles, "Task.Write", "Task.Read", 1),
		strings.Replace(taskRoles, `"Application"]`, `"Robot"]`, 1), strings.Replace(taskRoles, "Task.Read", "Task Read", 1), strings.Replace(taskRoles, `["Application"]`, `[]`, 1),
	} {
		call("PATCH", app, bad, 400)
	}
	call("POST", sp+"/appRoleAssignedTo", strings.Replace(body(taskReader), api.ServicePrincipalID, client.ServicePrincipalID, 1), 400)
	call("POST", sp+"/appRoleAssignedTo", `{"principalId":"11111111-2222-4333-8444-555555555555","resourceId":"`+api.ServicePrincipalID+`","appRoleId":"`+taskReader+`"}`, 404)
	call("POST", holder+"/appRoleAssignments", body("x"), 400)
}

// claimsOf reads a token's payload.
func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}
