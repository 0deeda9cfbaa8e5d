package entralab_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

// TestPermissions tries every operation with every permission.
func TestPermissions(t *testing.T) {
	t.Parallel()
	lab := start(t)
	spec := func(permission string) entralab.AppSpec {
		s := entralab.AppSpec{}
		if permission != "" {
			s.Permissions = []string{permission}
		}
		return s
	}
	foreign := addApp(t, lab, entralab.AppSpec{})
	// An OwnedBy caller may do to what it owns what it may not do to others.
	const reads, writes, owned, audits, users, organization, assigns, directory, policies = "reads", "writes", "owned", "audits", "users", "organization", "assigns", "directory", "policies"
	may := map[string][]string{
		"":                              nil,
		"Application.Read.All":          {reads},
		"Application.ReadWrite.All":     {reads, writes, owned},
		"Application.ReadWrite.OwnedBy": {reads, owned},
		"Directory.Read.All":            {reads, users, organization, directory},
		"AuditLog.Read.All":             {audits},
		"User.Read.All":                 {users},
		"Organization.Read.All":         {organization},
		"Policy.Read.All":               {policies},

		"AppRoleAssignment.ReadWrite.All": {assigns},
	}
	for permission, granted := range may {
		caller := addApp(t, lab, spec(permission))
		token := graphToken(t, lab, caller)
		mine := addApp(t, lab, entralab.AppSpec{NoServicePrincipal: true})
		if r := control(t, lab, "portal", `{"action":"add-owner","app":"`+mine.ObjectID+`","owner":"`+caller.ServicePrincipalID+`"}`); r.status != 204 {
			t.Fatal(r.body)
		}
		their, own := "applications/"+foreign.ObjectID, "applications/"+mine.ObjectID
		for _, tc := range []struct {
			kind, method, path, body string
			status                   int
		}{
			{reads, "GET", "applications", "", 200},
			{reads, "GET", their, "", 200},
			{reads, "GET", "servicePrincipals", "", 200},
			{reads, "GET", "servicePrincipals/" + foreign.ServicePrincipalID, "", 200},
			{reads, "GET", "servicePrincipals/" + foreign.ServicePrincipalID + "/appRoleAssignments", "", 200},
			{writes, "PATCH", their, `{"notes":"x"}`, 204},
			{writes, "POST", their + "/addPassword", "", 200},
			{writes, "POST", their + "/removePassword", `{"keyId":"11111111-2222-4333-8444-555555555555"}`, 400},
			{writes, "PATCH", "servicePrincipals/" + foreign.ServicePrincipalID, `{"notes":"x"}`, 204},
			{owned, "POST", "applications", `{"displayName":"new"}`, 201},
			{owned, "PATCH", own, `{"notes":"x"}`, 204},
			{owned, "POST", own + "/addPassword", "", 200},
			{owned, "POST", own + "/removePassword", `{"keyId":"` + mine.Secrets[0].KeyID + `"}`, 204},
			{owned, "POST", "servicePrincipals", `{"appId":"` + mine.ClientID + `"}`, 201},
			{owned, "PATCH", "servicePrincipals(appId='" + mine.ClientID + "')", `{"notes":"x"}`, 204},
			{reads, "GET", their + "/owners", "", 200},
			{reads, "GET", "servicePrincipals/" + foreign.ServicePrincipalID + "/owners", "", 200},
			{reads, "GET", their + "/federatedIdentityCredentials", "", 200},
			{reads, "GET", "directory/deletedItems/microsoft.graph.application", "", 200},
			{writes, "POST", their + "/owners/$ref", "{}", 400},
			{writes, "DELETE", their + "/owners/x/$ref", "", 404},
			{writes, "POST", "servicePrincipals/" + foreign.ServicePrincipalID + "/addPassword", "", 200},
			{writes, "POST", their + "/federatedIdentityCredentials", "{}", 400},
			{assigns, "POST", "servicePrincipals/" + foreign.ServicePrincipalID + "/appRoleAssignments", "{}", 400},
			{assigns, "DELETE", "servicePrincipals/" + foreign.ServicePrincipalID + "/appRoleAssignments/x", "", 404},
			{policies, "GET", "policies/defaultAppManagementPolicy", "", 200},
			{policies, "GET", "policies/appManagementPolicies", "", 200},
			{directory, "GET", "oauth2PermissionGrants", "", 200},
			{owned, "DELETE", "servicePrincipals(appId='" + mine.ClientID + "')", "", 204},
			{owned, "DELETE", own, "", 204},
			{owned, "POST", "directory/deletedItems/" + mine.ObjectID + "/restore", "", 200},
			{owned, "DELETE", own, "", 204},
			{owned, "DELETE", "directory/deletedItems/" + mine.ObjectID, "", 204},
			{audits, "GET", "auditLogs/directoryAudits", "", 200},
			{audits, "GET", "auditLogs/signIns", "", 200},
			{users, "GET", "users", "", 200},
			{organization, "GET", "organization", "", 200},
		} {
			allowed := false
			for _, kind := range granted {
				allowed = allowed || kind == tc.kind
			}
			r := graph(t, lab, token, tc.method, tc.path, tc.body)
			if allowed && r.status != tc.status {
				t.Errorf("%q: %s %s: status %d, want %d: %s", permission, tc.method, tc.path, r.status, tc.status, r.body)
			}
			// Without the application there is no service principal either.
			missing := strings.Contains(tc.path, "appId=") && r.status == http.StatusNotFound
			if !allowed && !missing {
				if code, message := graphErrorOf(t, r); r.status != 403 || code != "Authorization_RequestDenied" || message != "Insufficient privileges to complete the operation." {
					t.Errorf("%q: %s %s: %d %s %q, want 403", permission, tc.method, tc.path, r.status, code, message)
				}
			}
		}
	}
}

// TestCreatorOwns: who may only manage its own apps owns those it makes.
func TestCreatorOwns(t *testing.T) {
	t.Parallel()
	lab := start(t)
	caller := addApp(t, lab, entralab.AppSpec{Permissions: []string{"Application.ReadWrite.OwnedBy"}})
	token := graphToken(t, lab, caller)
	made := graph(t, lab, token, "POST", "applications", `{"displayName":"mine"}`).object(t)
	path := "applications/" + made["id"].(string)
	if r := graph(t, lab, token, "POST", path+"/addPassword", ""); r.status != 200 {
		t.Errorf("addPassword on its own app: %s", r.body)
	}
	if r := graph(t, lab, token, "PATCH", "applications/"+lab.Healthy().ObjectID, `{"notes":"x"}`); r.status != 403 {
		t.Errorf("PATCH of another's app: %d", r.status)
	}
	if r := control(t, lab, "portal", `{"action":"remove-owner","app":"`+made["id"].(string)+`","owner":"`+caller.ServicePrincipalID+`"}`); r.status != 204 {
		t.Fatal(r.body)
	}
	if r := graph(t, lab, token, "POST", path+"/addPassword", ""); r.status != 403 {
		t.Errorf("addPassword after losing ownership: %d", r.status)
	}
}

// TestTenantsAreApart: a token of one tenant sees nothing of the other.
func TestTenantsAreApart(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := addApp(t, lab, entralab.AppSpec{TenantID: lab.OtherTenantID(), Permissions: []string{"Application.ReadWrite.All"}})
	if got := code(t, lab, app.ClientID, value(app)); got != 700016 {
		t.Errorf("the other tenant's app at home: %d, want 700016", got)
	}
	token := graphToken(t, lab, app)
	list := graph(t, lab, token, "GET", "applications?$select=displayName", "").object(t)["value"].([]any)
	if len(list) != 2 {
		t.Errorf("the other tenant has %v, want its own app and the new one", list)
	}
	if r := graph(t, lab, token, "GET", "applications/"+lab.Healthy().ObjectID, ""); r.status != 404 {
		t.Errorf("an app of the home tenant: %d", r.status)
	}
}
