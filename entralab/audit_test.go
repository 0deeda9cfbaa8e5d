package entralab_test

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// auditsOf reads the audit log with a filter.
func auditsOf(t *testing.T, lab *entralab.Lab, token, filter string) []map[string]any {
	t.Helper()
	r := graph(t, lab, token, "GET", "auditLogs/directoryAudits?$filter="+url.QueryEscape(filter), "")
	if r.status != 200 {
		t.Fatalf("%s: %s", filter, r.body)
	}
	var list []map[string]any
	for _, v := range r.object(t)["value"].([]any) {
		list = append(list, v.(map[string]any))
	}
	return list
}

const secretsActivity = "Update application – Certificates and secrets management "

func TestAuditOfSecrets(t *testing.T) {
	t.Parallel()
	lab := start(t)
	operator := lab.Operator()
	token := graphToken(t, lab, operator)
	app := addApp(t, lab, entralab.AppSpec{DisplayName: "worker", Secrets: []entralab.SecretSpec{{DisplayName: "old"}}})
	lab.Freeze(true)
	lab.Advance(10 * time.Minute)
	made := graph(t, lab, token, "POST", "applications/"+app.ObjectID+"/addPassword", `{"passwordCredential":{"displayName":"new \"x\""}}`, "User-Agent", "rotator/1").object(t)
	lab.Advance(time.Minute)
	if err := lab.RemoveSecret(app.ObjectID, app.Secrets[0].KeyID); err != nil {
		t.Fatal(err)
	}

	list := auditsOf(t, lab, token, "targetResources/any(t:t/id eq '"+app.ObjectID+"') and activityDisplayName eq '"+secretsActivity+"'")
	if len(list) != 3 {
		t.Fatalf("%d entries, want one for each of three changes", len(list))
	}
	removed, added := list[0], list[1] // newest first
	oldKey := "[KeyIdentifier=" + app.Secrets[0].KeyID + ",KeyType=Password,KeyUsage=Verify,DisplayName=old]"
	newKey := "[KeyIdentifier=" + made["keyId"].(string) + `,KeyType=Password,KeyUsage=Verify,DisplayName=new \"x\"]`
	want := map[string]any{
		"id": added["id"], "category": "ApplicationManagement", "correlationId": added["correlationId"], "result": "success", "resultReason": "",
		"activityDisplayName": secretsActivity, "activityDateTime": lab.Now().Add(-time.Minute).Format("2006-01-02T15:04:05.9999999Z"),
		"loggedByService": "Core Directory", "operationType": "Update",
		"initiatedBy": map[string]any{"user": nil, "app": map[string]any{
			"appId": nil, "displayName": operator.DisplayName, "servicePrincipalId": operator.ServicePrincipalID, "servicePrincipalName": nil,
		}},
		"targetResources": []any{map[string]any{
			"id": app.ObjectID, "displayName": "worker", "type": "Application", "userPrincipalName": nil, "groupType": nil,
			"modifiedProperties": []any{
				map[string]any{"displayName": "KeyDescription", "oldValue": `["` + oldKey + `"]`, "newValue": `["` + oldKey + `","` + newKey + `"]`},
				map[string]any{"displayName": "Included Updated Properties", "oldValue": nil, "newValue": `"KeyDescription"`},
			},
		}},
		"additionalDetails": []any{
			map[string]any{"key": "User-Agent", "value": "rotator/1"}, map[string]any{"key": "AppId", "value": app.ClientID},
		},
	}
	if !reflect.DeepEqual(added, want) {
		t.Errorf("entry\n%v\nwant\n%v", added, want)
	}
	user := removed["initiatedBy"].(map[string]any)["user"].(map[string]any)
	if user["userPrincipalName"] != "lab-admin@contoso.lab.test" || removed["initiatedBy"].(map[string]any)["app"] != nil {
		t.Errorf("initiated by %v", removed["initiatedBy"])
	}
	changed := removed["targetResources"].([]any)[0].(map[string]any)["modifiedProperties"].([]any)[0].(map[string]any)
	if changed["newValue"] != `["`+newKey+`"]` {
		t.Errorf("after the removal: %v", changed["newValue"])
	}

	// The real log has two stubs beside each, of one correlation id.
	stubs := 0
	for _, e := range auditsOf(t, lab, token, "category eq 'ApplicationManagement'") {
		if e["correlationId"] == added["correlationId"] && e["id"] != added["id"] {
			stubs++
		}
	}
	if stubs != 2 {
		t.Errorf("%d stubs, want Update application and Update service principal", stubs)
	}
}

func TestAuditFilters(t *testing.T) {
	t.Parallel()
	lab := start(t)
	token := graphToken(t, lab, lab.Operator())
	app := addApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{}})
	base := lab.Now()
	for day := range 3 {
		if _, err := lab.AddSecret(app.ObjectID, entralab.SecretSpec{DisplayName: fmt.Sprint(day), At: base.AddDate(0, 0, -day-1)}); err != nil {
			t.Fatal(err)
		}
	}
	mine := "targetResources/any(x:x/id eq '" + app.ObjectID + "') and activityDisplayName eq '" + strings.TrimSpace(secretsActivity) + "'"
	date := func(days int) string { return base.AddDate(0, 0, days).Format(time.RFC3339Nano) }
	for filter, want := range map[string]int{
		mine: 3,
		mine + " and activityDateTime ge " + date(-2):                                          2,
		mine + " and activityDateTime le " + date(-2):                                          2,
		mine + " and activityDateTime ge " + date(-2) + " and activityDateTime le " + date(-2): 1,
		mine + " and category eq 'UserManagement'":                                             0,
		"activityDisplayName eq 'Delete application'":                                          0,
	} {
		list := auditsOf(t, lab, token, filter)
		if len(list) != want {
			t.Errorf("%s: %d entries, want %d", filter, len(list), want)
		}
		for i := 1; i < len(list); i++ {
			if list[i]["activityDateTime"].(string) > list[i-1]["activityDateTime"].(string) {
				t.Errorf("%s: not newest first", filter)
			}
		}
	}
	for _, filter := range []string{"activityDateTime ge 'yesterday'", "activityDateTime ge yesterday", "activityDateTime ne " + date(0), "result eq 'success'", "category ge 'x'"} {
		if r := graph(t, lab, token, "GET", "auditLogs/directoryAudits?$filter="+url.QueryEscape(filter), ""); r.status != 400 {
			t.Errorf("%s: status %d", filter, r.status)
		}
	}
}

func TestAuditPaging(t *testing.T) {
	t.Parallel()
	lab := start(t)
	token := graphToken(t, lab, lab.Operator())
	next, seen, last := lab.GraphURL()+"/beta/auditLogs/directoryAudits?$top=4", map[any]bool{}, ""
	for next != "" {
		page := do(t, lab, newRequest(t, "GET", next, "", "Authorization", "Bearer "+token)).object(t)
		for _, v := range page["value"].([]any) {
			e := v.(map[string]any)
			if at := e["activityDateTime"].(string); last != "" && at > last {
				t.Errorf("%s after %s", at, last)
			} else {
				last = at
			}
			if seen[e["id"]] {
				t.Errorf("%v came twice", e["id"])
			}
			seen[e["id"]] = true
		}
		next, _ = page["@odata.nextLink"].(string)
	}
	if all := auditsOf(t, lab, token, "category eq 'ApplicationManagement'"); len(all) != len(seen) || len(all) < 10 {
		t.Errorf("%d entries on pages, %d in one list", len(seen), len(all))
	}
}

// TestAuditOfEverythingElse: each change leaves the entry that a defender
// looks for.
func TestAuditOfEverythingElse(t *testing.T) {
	t.Parallel()
	lab := start(t)
	token := graphToken(t, lab, lab.Operator())
	made := graph(t, lab, token, "POST", "applications", `{"displayName":"x"}`).object(t)
	id := made["id"].(string)
	graph(t, lab, token, "POST", "servicePrincipals", `{"appId":"`+made["appId"].(string)+`"}`)
	graph(t, lab, token, "PATCH", "applications/"+id, `{"notes":"n","displayName":"y"}`)
	for _, action := range []string{
		`"add-owner","owner":"` + lab.Operator().ServicePrincipalID + `"`, `"remove-owner","owner":"` + lab.Operator().ServicePrincipalID + `"`,
		`"grant","permission":"Mail.Send"`, `"revoke","permission":"Mail.Send"`, `"disable-app"`, `"delete-app"`, `"restore-app"`,
	} {
		if r := control(t, lab, "portal", `{"app":"`+id+`","action":`+action+`}`); r.status != 204 {
			t.Fatalf("%s: %s", action, r.body)
		}
	}
	got := map[string]int{}
	for _, e := range auditsOf(t, lab, token, "activityDateTime ge "+lab.Now().Add(-time.Hour).Format(time.RFC3339)) {
		got[e["activityDisplayName"].(string)]++
	}
	for _, want := range []string{
		"Add application", "Add service principal", "Update application", "Add owner to application", "Remove owner from application",
		"Add app role assignment to service principal", "Remove app role assignment from service principal", "Update service principal",
		"Delete application", "Restore application",
	} {
		if got[want] == 0 {
			t.Errorf("no %q in %v", want, got)
		}
	}
}
