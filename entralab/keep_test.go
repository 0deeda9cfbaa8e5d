package entralab_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

// TestAnswersAreKept asks the lab, and then the one its store brings back,
// what clients would ask.
func TestAnswersAreKept(t *testing.T) {
	t.Parallel()
	store := &memory{records: map[[2]string]entralab.Record{}}
	lab := startWith(t, entralab.Config{InProcess: true, Store: store})
	lab.Freeze(true)
	api, client := addApp(t, lab, entralab.AppSpec{DisplayName: "tasks"}), addApp(t, lab, entralab.AppSpec{DisplayName: "worker"})
	admin := addApp(t, lab, entralab.AppSpec{DisplayName: "admin", Permissions: []string{
		"Application.ReadWrite.All", "AppRoleAssignment.ReadWrite.All", "DelegatedPermissionGrant.ReadWrite.All", "CustomSecAttributeAssignment.ReadWrite.All", "Directory.Read.All", "AuditLog.Read.All",
	}})
	token := graphToken(t, lab, admin)
	call := func(method, path, body string, want int) reply {
		t.Helper()
		r := graph(t, lab, token, method, path, body)
		if r.status != want {
			t.Fatalf("%s %s: %d, want %d: %s", method, path, r.status, want, r.body)
		}
		return r
	}
	holder := "servicePrincipals/" + client.ServicePrincipalID
	graphID := call("GET", "servicePrincipals(appId='00000003-0000-0000-c000-000000000000')", "", 200).object(t)["id"].(string)
	call("PATCH", "applications/"+api.ObjectID, taskRoles, 204)
	call("POST", holder+"/appRoleAssignments", `{"principalId":"`+client.ServicePrincipalID+`","resourceId":"`+api.ServicePrincipalID+`","appRoleId":"`+taskReader+`"}`, 201)
	call("POST", "oauth2PermissionGrants", `{"clientId":"`+client.ServicePrincipalID+`","consentType":"AllPrincipals","principalId":null,"resourceId":"`+graphID+`","scope":"User.Read"}`, 201)
	call("PATCH", holder, `{"customSecurityAttributes":{"Engineering":{"@odata.type":"#Microsoft.DirectoryServices.CustomSecurityAttributeValue","Project":"x"}}}`, 204)
	if err := lab.Grant(client.ObjectID, "IMAP.AccessAsApp"); err != nil {
		t.Fatal(err)
	}
	if _, err := lab.SetVaultSecret("kv-lab", "kept", "a value in a vault"); err != nil {
		t.Fatal(err)
	}
	for command, body := range map[string]string{
		"licence": `{"premium":false}`, "throttle": `{"on":true}`, "delay": `{"accept":"1s","activity_lag":"5m","vault":"2s"}`,
		"refusals": `{"app":"` + api.ObjectID + `","code":53003}`,
	} {
		r := do(t, lab, newRequest(t, "POST", lab.ControlURL()+"/control/"+command, body, "Content-Type", "application/json"))
		if r.status/100 != 2 {
			t.Fatalf("%s: %d %s", command, r.status, r.body)
		}
	}
	added := postForm(t, lab, "/portal/apps/"+client.ObjectID+"/add-secret", url.Values{"display_name": {"by form"}, "end": {"2190-01-01"}})
	if added.status != http.StatusOK {
		t.Fatal(added.body)
	}

	ask := func(lab *entralab.Lab) map[string]string {
		got := map[string]string{}
		token := graphToken(t, lab, admin)
		for _, path := range []string{
			"applications/" + api.ObjectID, "applications/" + client.ObjectID, holder + "?$select=id,customSecurityAttributes", holder + "/appRoleAssignments",
			"oauth2PermissionGrants", "auditLogs/directoryAudits", "servicePrincipals",
		} {
			got[path] = graph(t, lab, token, "GET", path, "").body
		}
		form := credentialsForm(client.ClientID, value(client))
		for _, scope := range []string{"api://" + api.ClientID + "/.default", "https://outlook.office365.com/.default"} {
			form.Set("scope", scope)
			r := askToken(t, lab, lab.TenantID(), form)
			if r.status != http.StatusOK {
				t.Fatalf("%s: %s", scope, r.body)
			}
			for _, role := range claimsOf(t, r.object(t)["access_token"].(string))["roles"].([]any) {
				got["roles "+scope] += role.(string) + " "
			}
		}
		got["refused"] = askToken(t, lab, lab.TenantID(), credentialsForm(api.ClientID, value(api))).object(t)["error"].(string)
		r := do(t, lab, newRequest(t, "GET", lab.VaultURL()+"/secrets/kept?api-version=7.6", "", "Authorization", "Bearer "+vaultToken(t, lab, lab.Operator())))
		got["vault"] = r.body
		got["state"] = stateOf(t, lab)
		got["sign-ins"] = http.StatusText(do(t, lab, newRequest(t, "GET", lab.GraphURL()+"/beta/auditLogs/signIns?$filter="+url.QueryEscape("signInEventTypes/any(t:t eq 'servicePrincipal')"), "", "Authorization", "Bearer "+token)).status)
		return got
	}
	before := ask(lab)
	if before["refused"] == "" || before["sign-ins"] != "Forbidden" {
		t.Errorf("refused %q, sign-ins %q: the switches do not work", before["refused"], before["sign-ins"])
	}
	again := startWith(t, entralab.Config{InProcess: true, Store: store})
	for question, answer := range ask(again) {
		if answer != before[question] {
			t.Errorf("%s: before\n%s\nafter\n%s", question, before[question], answer)
		}
	}
}

// TestSeedIsKept: what a lab begins with is there again, without a write.
func TestSeedIsKept(t *testing.T) {
	t.Parallel()
	store := &memory{records: map[[2]string]entralab.Record{}}
	lab := startWith(t, entralab.Config{InProcess: true, Store: store, Seed: entralab.Seed{
		Tenants: []entralab.TenantSpec{{Domain: "tailspin.lab.test"}},
		Apps:    []entralab.AppSpec{{DisplayName: "seeded", TenantID: "tailspin.lab.test", Secrets: []entralab.SecretSpec{{}}}},
		Vaults:  []entralab.VaultSeed{{VaultSpec: entralab.VaultSpec{Name: "kv-seeded"}, Secrets: []entralab.VaultSecret{{Name: "s", Value: "x"}}}},
	}})
	lab.Freeze(true)
	before := stateOf(t, lab)
	again := startWith(t, entralab.Config{InProcess: true, Store: store})
	if after := stateOf(t, again); before != after {
		t.Errorf("before the restart\n%s\nafter\n%s", before, after)
	}
}
