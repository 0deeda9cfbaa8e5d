package entralab_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

func TestOwners(t *testing.T) {
	t.Parallel()
	lab := start(t)
	c := callAs(t, lab, lab.Operator())
	app := addApp(t, lab, entralab.AppSpec{})
	user := c.members("users", "id")[1]
	principal := lab.Healthy().ServicePrincipalID
	for _, object := range []string{"applications/" + app.ObjectID, "applications(appId='" + app.ClientID + "')", "servicePrincipals/" + app.ServicePrincipalID} {
		if got := c.members(object+"/owners", "id"); len(got) != 0 {
			t.Errorf("%s: owners %v", object, got)
		}
		// The reference names the public host, this one, or none.
		c.do("POST", object+"/owners/$ref", `{"@odata.id":"https://graph.microsoft.com/v1.0/directoryObjects/`+user+`"}`, 204)
		c.do("POST", object+"/owners/$ref", `{"@odata.id":"directoryObjects('`+principal+`')"}`, 204)
		c.refused("POST", object+"/owners/$ref", `{"@odata.id":"`+lab.GraphURL()+`/beta/users/`+user+`"}`, 400, "Request_BadRequest",
			"One or more added object references already exist for the following modified properties: 'owners'.")
		c.do("POST", object+"/owners/$ref", `{"@odata.id":"https://graph.microsoft.com/v1.0/directoryObjects/11111111-2222-4333-8444-555555555555"}`, 404)
		for _, body := range []string{"", "{}", `{"@odata.id":"x"}`, `{"@odata.id":1}`, `{"id":"x"}`} {
			c.do("POST", object+"/owners/$ref", body, 400)
		}
		if got := c.members(object+"/owners", "@odata.type"); !reflect.DeepEqual(got, []string{"#microsoft.graph.user", "#microsoft.graph.servicePrincipal"}) {
			t.Errorf("%s: owners %v", object, got)
		}
		expanded := c.do("GET", object+"?$expand=owners&$select=id", "", 200).object(t)
		if owners := expanded["owners"].([]any); len(expanded) != 3 || owners[0].(map[string]any)["id"] != user || owners[1].(map[string]any)["id"] != principal {
			t.Errorf("%s: expanded %v", object, expanded)
		}
		c.do("DELETE", object+"/owners/"+user+"/$ref", "", 204)
		c.do("DELETE", object+"/owners/"+user+"/$ref", "", 404)
		c.do("DELETE", object+"/owners/"+principal+"/$ref", "", 204)
	}
	for _, name := range []string{"Add owner to application", "Remove owner from application", "Add owner to service principal", "Remove owner from service principal"} {
		if len(auditsOf(t, lab, c.token, "activityDisplayName eq '"+name+"'")) == 0 {
			t.Errorf("no audit entry %q", name)
		}
	}
}

// TestExpandedOwnersAreTwenty: the rest must be asked for.
func TestExpandedOwnersAreTwenty(t *testing.T) {
	t.Parallel()
	lab := start(t)
	c := callAs(t, lab, lab.Operator())
	for range 21 {
		owner := addApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{}})
		c.do("POST", "applications/"+lab.Healthy().ObjectID+"/owners/$ref", `{"@odata.id":"x/`+owner.ServicePrincipalID+`"}`, 204)
	}
	list := c.do("GET", "applications?$expand=owners&$filter=id%20eq%20'"+lab.Healthy().ObjectID+"'", "", 200).object(t)["value"].([]any)
	if n := len(list[0].(map[string]any)["owners"].([]any)); n != 20 {
		t.Errorf("%d owners in the list, want 20", n)
	}
	if n := len(c.members("applications/"+lab.Healthy().ObjectID+"/owners", "id")); n != 21 {
		t.Errorf("%d owners, want 21", n)
	}
}

func TestAssignmentsReachTokens(t *testing.T) {
	t.Parallel()
	lab := start(t)
	admin := addApp(t, lab, entralab.AppSpec{Permissions: []string{"AppRoleAssignment.ReadWrite.All", "Application.Read.All"}})
	app := addApp(t, lab, entralab.AppSpec{})
	c := callAs(t, lab, admin)
	resource := c.do("GET", "servicePrincipals(appId='00000003-0000-0000-c000-000000000000')", "", 200).object(t)["id"].(string)
	path := "servicePrincipals/" + app.ServicePrincipalID + "/appRoleAssignments"
	const readUsers = "df021288-bdef-4463-88db-98f22de89214"
	body := func(principal, resource, role string) string {
		return fmt.Sprintf(`{"principalId":%q,"resourceId":%q,"appRoleId":%q}`, principal, resource, role)
	}
	callAs(t, lab, app).do("GET", "users", "", 403)
	made := c.do("POST", path, body(app.ServicePrincipalID, resource, readUsers), 201).object(t)
	if made["appRoleId"] != readUsers || made["principalId"] != app.ServicePrincipalID || made["principalType"] != "ServicePrincipal" || made["resourceDisplayName"] != "Microsoft Graph" {
		t.Errorf("assignment %v", made)
	}
	callAs(t, lab, app).do("GET", "users", "", 200)
	c.refused("POST", path, body(app.ServicePrincipalID, resource, readUsers), 400, "Request_BadRequest", "Permission being assigned already exists on the object.")
	c.do("POST", path, body(admin.ServicePrincipalID, resource, readUsers), 400)
	c.do("POST", path, body(app.ServicePrincipalID, resource, app.ClientID), 400)
	c.do("POST", path, body(app.ServicePrincipalID, app.ClientID, readUsers), 404)
	c.do("POST", path, body(app.ServicePrincipalID, admin.ServicePrincipalID, readUsers), 400)
	id := made["id"].(string)
	if got := c.members(path, "id"); !reflect.DeepEqual(got, []string{id}) {
		t.Errorf("assignments %v", got)
	}
	c.do("DELETE", path+"/"+id, "", 204)
	c.do("DELETE", path+"/"+id, "", 404)
	callAs(t, lab, app).do("GET", "users", "", 403)

	reader := callAs(t, lab, lab.Operator())
	if got := reader.members("oauth2PermissionGrants?$filter=clientId%20eq%20'"+app.ServicePrincipalID+"'", "id"); len(got) != 0 {
		t.Errorf("delegated permissions %v", got)
	}
	reader.do("GET", "oauth2PermissionGrants?$filter=scope%20eq%20'x'", "", 400)
}

func TestFederatedCredentials(t *testing.T) {
	t.Parallel()
	lab := start(t)
	c := callAs(t, lab, lab.Operator())
	path := "applications/" + lab.Healthy().ObjectID + "/federatedIdentityCredentials"
	body := func(name, issuer, subject string) string {
		return fmt.Sprintf(`{"name":%q,"issuer":%q,"subject":%q,"audiences":["api://AzureADTokenExchange"]}`, name, issuer, subject)
	}
	made := c.do("POST", path, body("main", "https://issuer.example", "repo:a"), 201).object(t)
	id := made["id"].(string)
	delete(made, "@odata.context")
	want := map[string]any{"id": id, "name": "main", "issuer": "https://issuer.example", "subject": "repo:a", "description": nil, "audiences": []any{"api://AzureADTokenExchange"}}
	if !reflect.DeepEqual(made, want) {
		t.Errorf("%v, want %v", made, want)
	}
	c.refused("POST", path, body("main", "https://issuer.example", "repo:b"), 409, "Request_MultipleObjectsWithSameKeyValue", "Another object with the same value for property name already exists.")
	c.refused("POST", path, body("other", "https://issuer.example", "repo:a"), 400, "Request_BadRequest", "FederatedIdentityCredential with issuer and subject already exists on application.")
	for _, bad := range []string{
		"{}", body("", "https://i", "s"), body("n", "", "s"), body("n", "https://i", ""), body(strings.Repeat("n", 121), "https://i", "s"),
		body("n", strings.Repeat("i", 601), "s"), `{"name":"n","issuer":"i","subject":"s","audiences":[]}`, `{"name":"n","issuer":"i","subject":"s","audiences":["a","b"]}`,
		`{"name":"n","issuer":"i","subject":"s","audiences":["a"],"nothing":1}`,
	} {
		c.do("POST", path, bad, 400)
	}
	c.do("PATCH", path+"/"+id, `{"name":"renamed"}`, 400)
	c.do("PATCH", path+"/"+id, `{"subject":"repo:c","description":"d"}`, 204)
	for _, key := range []string{id, "main"} {
		if got := c.do("GET", path+"/"+key, "", 200).object(t); got["subject"] != "repo:c" || got["description"] != "d" || got["issuer"] != "https://issuer.example" {
			t.Errorf("%s: %v", key, got)
		}
	}
	for i := range 19 {
		c.do("POST", path, body(strings.Repeat("n", 101+i), "https://issuer.example", fmt.Sprint(i)), 201)
	}
	c.refused("POST", path, body("last", "https://issuer.example", "last"), 400, "Directory_ResourceSizeExceeded",
		"The size of the object has exceeded its limit. Please reduce the number of values and retry your request.")
	c.do("DELETE", path+"/"+id, "", 204)
	c.do("GET", path+"/"+id, "", 404)
	if got := c.members(path, "name"); len(got) != 19 {
		t.Errorf("%d credentials, want 19", len(got))
	}
}

// TestOwnedByAddsOwners: managing one's own apps is not enough to name owners.
func TestOwnedByAddsOwners(t *testing.T) {
	t.Parallel()
	lab := start(t)
	for _, tc := range []struct {
		permissions []string
		want        int
	}{
		{[]string{"Application.ReadWrite.OwnedBy"}, 403},
		{[]string{"Application.ReadWrite.OwnedBy", "Directory.Read.All"}, 204},
	} {
		c := callAs(t, lab, addApp(t, lab, entralab.AppSpec{Permissions: tc.permissions}))
		id := c.do("POST", "applications", `{"displayName":"mine"}`, 201).object(t)["id"].(string)
		c.do("POST", "applications/"+id+"/owners/$ref", `{"@odata.id":"x/`+lab.Healthy().ServicePrincipalID+`"}`, tc.want)
	}
}
