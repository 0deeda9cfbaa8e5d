package entralab_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

const outlookScope = "https://outlook.office365.com/.default"

// TestCheckToken: what a service beside the lab learns from a token.
func TestCheckToken(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	app := addApp(t, lab, entralab.AppSpec{Permissions: []string{"User.Read.All", "SMTP.SendAsApp", "imap.accessasapp"}})
	token := accessToken(t, lab, app, outlookScope)
	for _, audience := range []string{
		"https://outlook.office365.com", "https://Outlook.Office365.com/", "00000002-0000-0ff1-ce00-000000000000",
	} {
		info, err := lab.CheckToken(token, audience)
		if err != nil {
			t.Fatal(err)
		}
		if info.TenantID != lab.TenantID() || info.ClientID != app.ClientID || info.PrincipalID != app.ServicePrincipalID ||
			strings.Join(info.Roles, " ") != "SMTP.SendAsApp IMAP.AccessAsApp" || !info.Expires.Equal(lab.Now().Add(3599*time.Second).Truncate(time.Second)) {
			t.Errorf("%s: %+v", audience, info)
		}
	}
	refuse := func(token, audience, want string) {
		t.Helper()
		info, err := lab.CheckToken(token, audience)
		if err == nil || err.Error() != "entralab: check token: "+want || info.ClientID != "" {
			t.Errorf("%+v, %v; want %s", info, err, want)
		}
	}
	refuse(token, "https://graph.microsoft.com", `it is for "https://outlook.office365.com", not for "https://graph.microsoft.com"`)
	refuse(token, "", `it is for "https://outlook.office365.com", not for ""`)
	refuse(accessToken(t, lab, app, graphScope), "https://outlook.office365.com", `it is for "https://graph.microsoft.com", not for "https://outlook.office365.com"`)
	refuse("nonsense", "https://outlook.office365.com", "it is not a token of this lab")
	refuse(token[:len(token)-4]+"AAAA", "https://outlook.office365.com", "it is not a token of this lab")

	// An API of the tenant has tokens of version 2.
	api := addApp(t, lab, entralab.AppSpec{})
	info, err := lab.CheckToken(accessToken(t, lab, app, "api://"+api.ClientID+"/.default"), api.ClientID)
	if err != nil || info.ClientID != app.ClientID || info.Roles != nil {
		t.Errorf("%+v, %v", info, err)
	}
	lab.Advance(time.Hour)
	refuse(token, "https://outlook.office365.com", "it has expired")
}

func accessToken(t *testing.T, lab *entralab.Lab, app entralab.App, scope string) string {
	t.Helper()
	form := credentialsForm(app.ClientID, value(app))
	form.Set("scope", scope)
	r := askToken(t, lab, app.TenantID, form)
	if r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	return r.object(t)["access_token"].(string)
}

func TestRecord(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := addApp(t, lab, entralab.AppSpec{})
	before := len(lab.History(0))
	lab.Record(entralab.Event{Seq: 77, Surface: "smtp", Method: "AUTH", Path: strings.Repeat("p", 300), AppID: app.ClientID, Outcome: "accepted", Status: 235})
	lab.Record(entralab.Event{Surface: "imap", AppID: "no-guid", Outcome: "refused"})
	events := lab.History(before)
	if len(events) != 2 {
		t.Fatalf("%d events", len(events))
	}
	e := events[0]
	if e.Seq != before+1 || e.At.IsZero() || e.Surface != "smtp" || e.ObjectID != app.ObjectID || len(e.Path) != 200 {
		t.Errorf("%+v", e)
	}
	if events[1].ObjectID != "" {
		t.Errorf("%+v", events[1])
	}
}

// TestExchangeRoles: Graph shows and assigns the roles of Exchange, and tokens
// hold those of their audience only.
func TestExchangeRoles(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := addApp(t, lab, entralab.AppSpec{Permissions: []string{"User.Read.All"}})
	if err := lab.Grant(app.ObjectID, "SMTP.SendAsApp"); err != nil {
		t.Fatal(err)
	}
	if err := lab.Grant(app.ObjectID, "SMTP.SendAsApp"); err != nil {
		t.Errorf("a second time: %v", err)
	}
	grants := 0
	for _, e := range lab.History(0) {
		if e.Write != nil && e.Write.Kind == "grant" && e.AppID == app.ClientID {
			grants++
		}
	}
	if grants != 1 {
		t.Errorf("%d grants in the history, want 1", grants)
	}
	for scope, want := range map[string]string{outlookScope: "SMTP.SendAsApp", graphScope: "User.Read.All"} {
		info, err := lab.CheckToken(accessToken(t, lab, app, scope), strings.TrimSuffix(scope, "/.default"))
		if err != nil || strings.Join(info.Roles, " ") != want {
			t.Errorf("%s: %v, %v", scope, info.Roles, err)
		}
	}
	admin := callAs(t, lab, addApp(t, lab, entralab.AppSpec{Permissions: []string{"AppRoleAssignment.ReadWrite.All", "Application.Read.All"}}))
	exchange := admin.do("GET", "servicePrincipals(appId='00000002-0000-0ff1-ce00-000000000000')", "", http.StatusOK).object(t)
	roles := map[string]string{}
	for _, role := range exchange["appRoles"].([]any) {
		roles[role.(map[string]any)["value"].(string)] = role.(map[string]any)["id"].(string)
	}
	if exchange["displayName"] != "Office 365 Exchange Online" || len(roles) != 3 || roles["IMAP.AccessAsApp"] != "5e5addcd-3e8d-4e90-baf5-964efab2b20a" {
		t.Errorf("%v with roles %v", exchange["displayName"], roles)
	}
	path := "servicePrincipals/" + app.ServicePrincipalID + "/appRoleAssignments"
	body := func(role string) string {
		return fmt.Sprintf(`{"principalId":%q,"resourceId":%q,"appRoleId":%q}`, app.ServicePrincipalID, exchange["id"], role)
	}
	made := admin.do("POST", path, body(roles["IMAP.AccessAsApp"]), http.StatusCreated).object(t)
	if made["resourceDisplayName"] != "Office 365 Exchange Online" || made["resourceId"] != exchange["id"] {
		t.Errorf("assignment %v", made)
	}
	const readUsers = "df021288-bdef-4463-88db-98f22de89214" // a role of Graph
	admin.refused("POST", path, body(readUsers), http.StatusBadRequest, "Request_BadRequest", "Permission being assigned was not found on application '00000002-0000-0ff1-ce00-000000000000'.")
	bare, err := lab.AddApp(entralab.AppSpec{NoServicePrincipal: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ app, permission, want string }{
		{"x", "SMTP.SendAsApp", `entralab: grant: no app with object id "x"`},
		{app.ObjectID, "x", `entralab: grant: unknown permission "x"`},
		{bare.ObjectID, "SMTP.SendAsApp", `entralab: grant: app "app" has no service principal`},
	} {
		if err := lab.Grant(test.app, test.permission); err == nil || err.Error() != test.want {
			t.Errorf("%v, want %s", err, test.want)
		}
	}
}
