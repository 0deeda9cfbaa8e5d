package entralab_test

import (
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// caller calls Graph as one app and insists on a status.
type caller struct {
	t     *testing.T
	lab   *entralab.Lab
	token string
}

func callAs(t *testing.T, lab *entralab.Lab, app entralab.App) caller {
	t.Helper()
	return caller{t, lab, graphToken(t, lab, app)}
}

func (c caller) do(method, path, body string, want int) reply {
	c.t.Helper()
	r := graph(c.t, c.lab, c.token, method, path, body)
	if r.status != want {
		c.t.Fatalf("%s %s %s: status %d, want %d: %s", method, path, body, r.status, want, r.body)
	}
	if (want == 204) != (r.body == "") {
		c.t.Fatalf("%s %s: body %q", method, path, r.body)
	}
	if want >= 400 {
		graphErrorOf(c.t, r)
	}
	return r
}

// refused insists on a whole error.
func (c caller) refused(method, path, body string, status int, code, message string) {
	c.t.Helper()
	r := c.do(method, path, body, status)
	if gotCode, gotMessage := graphErrorOf(c.t, r); gotCode != code || gotMessage != message {
		c.t.Errorf("%s %s %s: %s %q, want %s %q", method, path, body, gotCode, gotMessage, code, message)
	}
}

// members lists one member of the elements of a list.
func (c caller) members(path, name string) []string {
	c.t.Helper()
	list := []string{}
	for _, v := range c.do("GET", path, "", 200).object(c.t)["value"].([]any) {
		s, _ := v.(map[string]any)[name].(string)
		list = append(list, s)
	}
	return list
}

func TestPrincipalPasswords(t *testing.T) {
	t.Parallel()
	lab := start(t)
	operator := callAs(t, lab, lab.Operator())
	app := addApp(t, lab, entralab.AppSpec{DisplayName: "worker"})
	for _, path := range []string{"servicePrincipals/" + app.ServicePrincipalID, "servicePrincipals(appId='" + app.ClientID + "')"} {
		made := operator.do("POST", path+"/addPassword", `{"passwordCredential":{"displayName":"sp"}}`, 200).object(t)
		text, keyID := made["secretText"].(string), made["keyId"].(string)
		if got := code(t, lab, app.ClientID, text); got != 0 {
			t.Errorf("a value of the service principal: %d", got)
		}
		if got := code(t, lab, app.ClientID, value(app)); got != 0 {
			t.Errorf("a value of the application beside it: %d", got)
		}
		if got := code(t, lab, lab.Healthy().ClientID, text); got != 7000215 {
			t.Errorf("the value with another app: %d", got)
		}
		list := operator.do("GET", path, "", 200)
		if credentials := list.object(t)["passwordCredentials"].([]any); len(credentials) != 1 || credentials[0].(map[string]any)["keyId"] != keyID || strings.Contains(list.body, text) {
			t.Errorf("read back as %s", list.body)
		}
		if n := len(operator.do("GET", "applications/"+app.ObjectID, "", 200).object(t)["passwordCredentials"].([]any)); n != 1 {
			t.Errorf("the application has %d secrets, want its own", n)
		}
		operator.refused("POST", "applications/"+app.ObjectID+"/removePassword", `{"keyId":"`+keyID+`"}`, 400, "Request_BadRequest", "No password credential found with keyId '"+keyID+"'.")
		operator.do("POST", path+"/removePassword", `{"keyId":"`+keyID+`"}`, 204)
		if got := code(t, lab, app.ClientID, text); got != 7000215 {
			t.Errorf("the removed value: %d", got)
		}
	}
	var names []string
	for _, e := range auditsOf(t, lab, operator.token, "targetResources/any(t:t/id eq '"+app.ServicePrincipalID+"')") {
		names = append(names, e["activityDisplayName"].(string))
	}
	want := "Remove service principal credentials,Add service principal credentials,Remove service principal credentials,Add service principal credentials,Update service principal,Add service principal"
	if got := strings.Join(names, ","); got != want {
		t.Errorf("audit log %s\nwant %s", got, want)
	}
	operator.do("POST", "servicePrincipals(appId='00000003-0000-0000-c000-000000000000')/addPassword", "", 403)
}

// TestDeletedApplications: thirty days to bring one back, and an end for good.
func TestDeletedApplications(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	app := addApp(t, lab, entralab.AppSpec{DisplayName: "worker"})
	c := callAs(t, lab, lab.Operator())
	object, item := "applications/"+app.ObjectID, "directory/deletedItems/"+app.ObjectID
	const list = "directory/deletedItems/microsoft.graph.application?$select=id,deletedDateTime"

	c.do("GET", item, "", 404)
	c.do("POST", item+"/restore", "", 404)
	c.do("DELETE", item, "", 404)
	if got := c.members(list, "id"); len(got) != 0 {
		t.Errorf("deleted items %v", got)
	}
	c.do("DELETE", object, "", 204)
	if got := c.members(list, "id"); len(got) != 1 || got[0] != app.ObjectID {
		t.Errorf("deleted items %v", got)
	}
	deleted := c.do("GET", item, "", 200).object(t)
	if deleted["@odata.type"] != "#microsoft.graph.application" || deleted["displayName"] != "worker" || deleted["deletedDateTime"] != lab.Now().Truncate(time.Second).Format(time.RFC3339) {
		t.Errorf("deleted item %v", deleted)
	}
	if got := code(t, lab, app.ClientID, value(app)); got != 700016 {
		t.Errorf("sign-in while deleted: %d", got)
	}
	restored := c.do("POST", item+"/restore", "", 200).object(t)
	if restored["id"] != app.ObjectID || restored["deletedDateTime"] != nil {
		t.Errorf("restored %v", restored)
	}
	if got := code(t, lab, app.ClientID, value(app)); got != 0 {
		t.Errorf("sign-in after restore: %d", got)
	}

	c.do("DELETE", object, "", 204)
	lab.Advance(30*24*time.Hour - time.Second)
	c = callAs(t, lab, lab.Operator())
	c.do("GET", item, "", 200)
	lab.Advance(time.Second)
	c.do("GET", item, "", 404)
	c.do("POST", item+"/restore", "", 404)
	if got := c.members(list, "id"); len(got) != 0 {
		t.Errorf("deleted items after thirty days %v", got)
	}
	if r := control(t, lab, "portal", `{"action":"restore-app","app":"`+app.ObjectID+`"}`); r.status != 404 {
		t.Errorf("the portal restores after thirty days: %d", r.status)
	}

	second := addApp(t, lab, entralab.AppSpec{DisplayName: "second"})
	c.do("PATCH", "applications/"+second.ObjectID, `{"identifierUris":["api://second"]}`, 204)
	c.do("DELETE", "applications/"+second.ObjectID, "", 204)
	c.do("POST", "applications", `{"displayName":"x","identifierUris":["api://second"]}`, 409)
	c.do("DELETE", "directory/deletedItems/"+second.ObjectID, "", 204)
	c.do("GET", "directory/deletedItems/"+second.ObjectID, "", 404)
	c.do("POST", "applications", `{"displayName":"x","identifierUris":["api://second"]}`, 201)
	if strings.Contains(do(t, lab, newRequest(t, "GET", lab.ControlURL()+"/control/state", "")).body, second.ObjectID) {
		t.Error("the state shows an app that is gone for good")
	}
	if got := auditsOf(t, lab, c.token, "activityDisplayName eq 'Hard Delete application'"); len(got) != 1 {
		t.Errorf("audit log %v", got)
	}
}

func TestDeletedPrincipals(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := addApp(t, lab, entralab.AppSpec{DisplayName: "worker", Permissions: []string{"User.Read.All"}})
	c := callAs(t, lab, lab.Operator())
	object, item := "servicePrincipals/"+app.ServicePrincipalID, "directory/deletedItems/"+app.ServicePrincipalID
	c.do("DELETE", object, "", 204)
	c.do("GET", object, "", 404)
	c.do("GET", "applications/"+app.ObjectID, "", 200)
	if got := code(t, lab, app.ClientID, value(app)); got != 7000229 {
		t.Errorf("sign-in without a service principal: %d", got)
	}
	if got := c.members("directory/deletedItems/microsoft.graph.servicePrincipal", "id"); len(got) != 1 || got[0] != app.ServicePrincipalID {
		t.Errorf("deleted items %v", got)
	}
	if got := c.do("POST", item+"/restore", "", 200).object(t); got["@odata.type"] != "#microsoft.graph.servicePrincipal" {
		t.Errorf("restored %v", got)
	}
	if got := code(t, lab, app.ClientID, value(app)); got != 0 {
		t.Errorf("sign-in after restore: %d", got)
	}
	c.do("DELETE", object, "", 204)
	made := c.do("POST", "servicePrincipals", `{"appId":"`+app.ClientID+`"}`, 201).object(t)
	if made["id"] == app.ServicePrincipalID {
		t.Error("the new service principal has the old id")
	}
	c.do("POST", item+"/restore", "", 400)
	c.do("DELETE", item, "", 204)
	c.do("GET", item, "", 404)
	if got := code(t, lab, app.ClientID, value(app)); got != 0 {
		t.Errorf("sign-in with the new service principal: %d", got)
	}
	c.do("DELETE", "servicePrincipals(appId='00000003-0000-0000-c000-000000000000')", "", 403)
}
