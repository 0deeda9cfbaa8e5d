package entralab_test

import (
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

// TestExemptActors: a policy that refuses secrets does not refuse them to who
// has the attribute it exempts.
func TestExemptActors(t *testing.T) {
	t.Parallel()
	lab := start(t)
	writer := []string{"Application.ReadWrite.All", "Policy.ReadWrite.ApplicationConfiguration"}
	rotator, human := addApp(t, lab, entralab.AppSpec{Permissions: writer}), addApp(t, lab, entralab.AppSpec{Permissions: writer})
	assigner := graphToken(t, lab, addApp(t, lab, entralab.AppSpec{Permissions: []string{"Application.ReadWrite.All", "CustomSecAttributeAssignment.ReadWrite.All"}}))
	app := addApp(t, lab, entralab.AppSpec{})
	token := graphToken(t, lab, human)
	policy := func(excluded string) string {
		return `{"isEnabled":true,"applicationRestrictions":{"passwordCredentials":[{"restrictionType":"passwordAddition","state":"enabled","excludeActors":` + excluded + `}]}}`
	}
	attribute := `{"@odata.type":"#microsoft.graph.customSecurityAttributeStringValueExemption","id":"Engineering_Role","operator":"equals","value":"rotator"}`
	if r := graph(t, lab, token, "PATCH", "policies/defaultAppManagementPolicy", policy(`{"customSecurityAttributes":[`+attribute+`]}`)); r.status != 204 {
		t.Fatal(r.body)
	}
	add := func(by entralab.App) int {
		return graph(t, lab, graphToken(t, lab, by), "POST", "applications/"+app.ObjectID+"/addPassword", "").status
	}
	set := func(attributes string) {
		t.Helper()
		path := "servicePrincipals/" + rotator.ServicePrincipalID
		if r := graph(t, lab, token, "PATCH", path, `{"customSecurityAttributes":`+attributes+`}`); r.status != 403 {
			t.Errorf("without the permission: %d", r.status)
		}
		if r := graph(t, lab, assigner, "PATCH", path, `{"customSecurityAttributes":`+attributes+`}`); r.status != 204 {
			t.Fatal(r.body)
		}
	}
	if add(rotator) != 400 || add(human) != 400 {
		t.Error("the policy refuses nobody")
	}
	for attributes, want := range map[string]int{
		`{"Engineering":{"@odata.type":"#Microsoft.DirectoryServices.CustomSecurityAttributeValue","Role":"rotator"}}`: 200,
		`{"Engineering":{"Role@odata.type":"#Collection(String)","Role":["x","rotator"]}}`:                             200,
		`{"Engineering":{"Role":"Rotator"}}`: 400, `{"Other":{"Role":"rotator"}}`: 400, `{"Engineering":{"Rank":"rotator"}}`: 400, `{"Engineering":{"Role":7}}`: 400, `null`: 400,
	} {
		set(attributes)
		if got := add(rotator); got != want {
			t.Errorf("%s: %d, want %d", attributes, got, want)
		}
		if got := add(human); got != 400 {
			t.Errorf("%s: without the attribute: %d", attributes, got)
		}
	}
	o := graph(t, lab, token, "GET", "servicePrincipals/"+rotator.ServicePrincipalID, "").object(t)
	if _, shown := o["customSecurityAttributes"]; shown {
		t.Error("the attributes are shown to who did not select them")
	}
	if r := graph(t, lab, token, "GET", "servicePrincipals/"+rotator.ServicePrincipalID+"?$select=customSecurityAttributes", ""); r.status != 200 || len(r.object(t)) != 2 {
		t.Errorf("selected: %s", r.body)
	}
	for _, bad := range []string{
		`[]`, `{"customSecurityAttributes":[{"id":"x","operator":"startsWith","value":"y"}]}`, `{"customSecurityAttributes":[{"operator":"equals","value":"y"}]}`,
		`{"customSecurityAttributes":[` + attribute + `,` + attribute + `,` + attribute + `,` + attribute + `,` + attribute + `,` + attribute + `]}`,
	} {
		if r := graph(t, lab, token, "PATCH", "policies/defaultAppManagementPolicy", policy(bad)); r.status != 400 {
			t.Errorf("%s: %d", bad, r.status)
		}
	}
}
