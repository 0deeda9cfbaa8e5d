package entralab_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// graphErrorOf returns code and message of an error, having checked the whole
// object.
func graphErrorOf(t *testing.T, r reply) (code, message string) {
	t.Helper()
	var body struct {
		Error struct {
			Code, Message string
			InnerError    map[string]string `json:"innerError"`
		}
	}
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || body.Error.Code == "" || body.Error.Message == "" {
		t.Fatalf("status %d, not Graph's error object: %s", r.status, r.body)
	}
	inner := body.Error.InnerError
	if _, err := time.Parse("2006-01-02T15:04:05", inner["date"]); err != nil || inner["request-id"] != r.header.Get("Request-Id") || inner["client-request-id"] != r.header.Get("Client-Request-Id") {
		t.Errorf("innerError %v does not fit headers %v", inner, r.header)
	}
	if !strings.Contains(r.body, `{"error":{"code":`) || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: %s", r.header.Get("Content-Type"), r.body)
	}
	return body.Error.Code, body.Error.Message
}

func TestGraphAuthentication(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	app := lab.Operator()
	token := graphToken(t, lab, app)
	form := credentialsForm(app.ClientID, value(app))
	form.Set("scope", "https://vault.azure.net/.default")
	forVault := askToken(t, lab, lab.TenantID(), form).object(t)["access_token"].(string)
	form.Set("scope", "00000003-0000-0000-c000-000000000000/.default")
	byAppID := askToken(t, lab, lab.TenantID(), form).object(t)["access_token"].(string)
	forged := token[:len(token)-4] + "AAAA"

	for _, tc := range []struct{ name, authorization, message string }{
		{"none", "", "Access token is empty."},
		{"basic", "Basic " + token, "Access token is empty."},
		{"empty", "Bearer ", "Access token is empty."},
		{"not a token", "Bearer x", "IDX14100: JWT is not well formed, there are no dots (.)."},
		{"forged", "Bearer " + forged, "Access token validation failure. Invalid signature."},
		{"of the vault", "Bearer " + forVault, "Access token validation failure. Invalid audience."},
	} {
		r := do(t, lab, newRequest(t, "GET", lab.GraphURL()+"/v1.0/applications", "", "Authorization", tc.authorization))
		code, message := graphErrorOf(t, r)
		if r.status != 401 || code != "InvalidAuthenticationToken" || message != tc.message {
			t.Errorf("%s: %d %s %q, want %q", tc.name, r.status, code, message, tc.message)
		}
		if !strings.HasPrefix(r.header.Get("Www-Authenticate"), `Bearer realm="", authorization_uri="`+lab.AuthorityURL()) {
			t.Errorf("%s: WWW-Authenticate %q", tc.name, r.header.Get("Www-Authenticate"))
		}
	}
	for _, good := range []string{token, byAppID} {
		if r := graph(t, lab, good, "GET", "applications", ""); r.status != 200 {
			t.Errorf("status %d: %s", r.status, r.body)
		}
	}
	lab.Advance(3598 * time.Second)
	if r := graph(t, lab, token, "GET", "applications", ""); r.status != 200 {
		t.Errorf("before the end: %s", r.body)
	}
	lab.Advance(2 * time.Second)
	if _, message := graphErrorOf(t, graph(t, lab, token, "GET", "applications", "")); message != "Lifetime validation failed, the token is expired." {
		t.Errorf("after the end: %q", message)
	}
}

func TestGraphHeaders(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Set(time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC))
	token := graphToken(t, lab, lab.Operator())
	r := graph(t, lab, token, "GET", "applications", "", "client-request-id", "my-id")
	for name, want := range map[string]string{
		"Content-Type":      "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
		"Odata-Version":     "4.0",
		"Client-Request-Id": "my-id",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if !strings.HasPrefix(r.header.Get("Date"), "Sat, 02 Jan 2027 03:04:") || len(r.header.Get("Request-Id")) != 36 {
		t.Errorf("Date %q, request-id %q", r.header.Get("Date"), r.header.Get("Request-Id"))
	}
}

func TestApplicationLifecycle(t *testing.T) {
	t.Parallel()
	lab := start(t)
	token := graphToken(t, lab, lab.Operator())
	call := func(method, path, body string, want int) reply {
		t.Helper()
		r := graph(t, lab, token, method, path, body)
		if r.status != want {
			t.Fatalf("%s %s: status %d, want %d: %s", method, path, r.status, want, r.body)
		}
		if (want == 204) != (r.body == "") {
			t.Fatalf("%s %s: body %q", method, path, r.body)
		}
		return r
	}
	created := call("POST", "applications", `{"displayName":"worker","web":{"redirectUris":["https://a.example"]},"tags":["x"],"notes":"n","@odata.type":"#microsoft.graph.application"}`, 201).object(t)
	id, appID := created["id"].(string), created["appId"].(string)
	if want := lab.GraphURL() + "/v1.0/$metadata#applications/$entity"; created["@odata.context"] != want {
		t.Errorf("context %v, want %s", created["@odata.context"], want)
	}
	for name, want := range map[string]any{
		"displayName": "worker", "signInAudience": "AzureADMyOrg", "notes": "n", "tags": []any{"x"}, "passwordCredentials": []any{}, "keyCredentials": []any{},
		"identifierUris": []any{}, "requiredResourceAccess": []any{}, "web": map[string]any{"redirectUris": []any{"https://a.example"}},
		"deletedDateTime": nil, "isDisabled": false, "createdByAppId": lab.Operator().ClientID,
	} {
		if got, ok := created[name]; !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`).MatchString(created["createdDateTime"].(string)) {
		t.Errorf("createdDateTime %v", created["createdDateTime"])
	}

	for _, path := range []string{"applications/" + id, "applications(appId='" + appID + "')", "applications(appId=%27" + appID + "%27)", "applications('" + id + "')", "Applications/" + strings.ToUpper(id)} {
		if got := call("GET", path, "", 200).object(t)["id"]; got != id {
			t.Errorf("%s: id %v", path, got)
		}
	}
	call("GET", "applications/"+appID, "", 404)
	call("PATCH", "applications(appId='"+appID+"')", `{"displayName":"worker 2","signInAudience":"AzureADMultipleOrgs","identifierUris":["api://w"],"isDisabled":true}`, 204)
	got := call("GET", "applications/"+id+"?$select=displayName,signInAudience,identifierUris,isDisabled", "", 200).object(t)
	delete(got, "@odata.context")
	if want := (map[string]any{"displayName": "worker 2", "signInAudience": "AzureADMultipleOrgs", "identifierUris": []any{"api://w"}, "isDisabled": true}); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}

	// No service principal comes by itself: a second client would trip over it.
	list := call("GET", "servicePrincipals?$filter=appId+eq+'"+appID+"'", "", 200).object(t)["value"]
	if !reflect.DeepEqual(list, []any{}) {
		t.Errorf("service principals %v, want none", list)
	}
	principal := call("POST", "servicePrincipals", `{"appId":"`+appID+`"}`, 201).object(t)
	if principal["appId"] != appID || principal["displayName"] != "worker 2" || principal["accountEnabled"] != true || principal["appOwnerOrganizationId"] != lab.TenantID() {
		t.Errorf("service principal %v", principal)
	}
	code, _ := graphErrorOf(t, call("POST", "servicePrincipals", `{"appId":"`+appID+`"}`, 409))
	if code != "Request_MultipleObjectsWithSameKeyValue" {
		t.Errorf("code %s", code)
	}
	call("PATCH", "servicePrincipals/"+principal["id"].(string), `{"accountEnabled":false,"appRoleAssignmentRequired":true}`, 204)
	again := call("GET", "servicePrincipals(appId='"+appID+"')", "", 200).object(t)
	if again["id"] != principal["id"] || again["accountEnabled"] != false || again["appRoleAssignmentRequired"] != true {
		t.Errorf("service principal %v", again)
	}

	call("DELETE", "applications/"+id, "", 204)
	call("GET", "applications/"+id, "", 404)
	call("GET", "applications(appId='"+appID+"')", "", 404)
	call("GET", "servicePrincipals(appId='"+appID+"')", "", 404)
	if r := control(t, lab, "portal", `{"action":"restore-app","app":"`+id+`"}`); r.status != 204 {
		t.Fatal(r.body)
	}
	if name := call("GET", "applications/"+id, "", 200).object(t)["displayName"]; name != "worker 2" {
		t.Errorf("restored as %v", name)
	}
	call("GET", "servicePrincipals(appId='"+appID+"')", "", 200)
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	lab := start(t)
	token := graphToken(t, lab, lab.Operator())
	app := addApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{}})
	path := "applications/" + app.ObjectID
	lab.Freeze(true)
	now := lab.Now()

	made := graph(t, lab, token, "POST", path+"/addPassword", `{"passwordCredential":{"displayName":"ci"}}`)
	secret := made.object(t)
	text, _ := secret["secretText"].(string)
	if made.status != 200 || !regexp.MustCompile(`^[A-Za-z0-9_~.-]{3}8Q~[A-Za-z0-9_~.-]{34}$`).MatchString(text) || secret["hint"] != text[:3] {
		t.Fatalf("status %d: %s", made.status, made.body)
	}
	if !strings.HasPrefix(made.body, `{"@odata.context":"`+lab.GraphURL()+`/v1.0/$metadata#microsoft.graph.passwordCredential","customKeyIdentifier":null,"displayName":"ci","endDateTime":`) {
		t.Errorf("body %s", made.body)
	}
	if start, end := secret["startDateTime"], secret["endDateTime"]; start != now.Format("2006-01-02T15:04:05.9999999Z") || end != now.AddDate(2, 0, 0).Format("2006-01-02T15:04:05.9999999Z") {
		t.Errorf("from %v to %v, want two years from %v", start, end, now)
	}
	if got := code(t, lab, app.ClientID, text); got != 0 {
		t.Errorf("the new value is refused with %d", got)
	}
	// With an empty body, and with dates.
	if r := graph(t, lab, token, "POST", path+"/addPassword", ""); r.status != 200 || r.object(t)["displayName"] != nil {
		t.Errorf("empty body: %d %s", r.status, r.body)
	}
	dated := graph(t, lab, token, "POST", "applications(appId='"+app.ClientID+"')/addPassword",
		`{"passwordCredential":{"startDateTime":"2027-01-01T00:00:00Z","endDateTime":"2028-02-03T04:05:06+01:00","secretText":null}}`).object(t)
	if dated["startDateTime"] != "2027-01-01T00:00:00Z" || dated["endDateTime"] != "2028-02-03T03:05:06Z" {
		t.Errorf("dates %v", dated)
	}

	read := graph(t, lab, token, "GET", path, "")
	list := read.object(t)["passwordCredentials"].([]any)
	if len(list) != 3 || strings.Contains(read.body, text) {
		t.Fatalf("%d credentials: %s", len(list), read.body)
	}
	first := list[0].(map[string]any)
	if first["secretText"] != nil || first["hint"] != text[:3] || first["keyId"] != secret["keyId"] {
		t.Errorf("credential %v", first)
	}

	keyID := secret["keyId"].(string)
	if r := graph(t, lab, token, "POST", path+"/removePassword", `{"keyId":"`+keyID+`"}`); r.status != 204 || r.body != "" {
		t.Errorf("removePassword: %d %s", r.status, r.body)
	}
	if got := code(t, lab, app.ClientID, text); got != 7000215 {
		t.Errorf("the removed value: %d, want 7000215", got)
	}
	again := graph(t, lab, token, "POST", path+"/removePassword", `{"keyId":"`+keyID+`"}`)
	if _, message := graphErrorOf(t, again); again.status != 400 || message != "No password credential found with keyId '"+keyID+"'." {
		t.Errorf("removed twice: %d %s", again.status, message)
	}
	for _, body := range []string{
		`{"passwordCredential":{"secretText":"my own"}}`, `{"passwordCredential":{"keyId":"x"}}`, `{"passwordCredential":{"endDateTime":"2001-01-01T00:00:00Z"}}`,
		`{"passwordCredential":{"endDateTime":"2027-01-01T00:00:00Z","startDateTime":"2028-01-01T00:00:00Z"}}`, `{"passwordCredential":{"endDateTime":"soon"}}`,
		`{"passwordCredential":{"endDateTime":"9999-12-31T23:59:59-10:00"}}`, `{"passwordCredential":[]}`, `{"displayName":"x"}`, `{`, `[]`, `{} {}`,
	} {
		if r := graph(t, lab, token, "POST", path+"/addPassword", body); r.status != 400 {
			t.Errorf("%s: status %d: %s", body, r.status, r.body)
		} else {
			graphErrorOf(t, r)
		}
	}
	if n := len(graph(t, lab, token, "GET", path, "").object(t)["passwordCredentials"].([]any)); n != 2 {
		t.Errorf("%d credentials, want 2", n)
	}
}

func TestPersonalAccountsHaveTwoSecrets(t *testing.T) {
	t.Parallel()
	lab := start(t)
	token := graphToken(t, lab, lab.Operator())
	for _, audience := range []string{"AzureADandPersonalMicrosoftAccount", "PersonalMicrosoftAccount", "AzureADMultipleOrgs"} {
		app := addApp(t, lab, entralab.AppSpec{SignInAudience: audience, Secrets: []entralab.SecretSpec{{}, {}}})
		r := graph(t, lab, token, "POST", "applications/"+app.ObjectID+"/addPassword", "")
		_, err := lab.AddSecret(app.ObjectID, entralab.SecretSpec{})
		if audience == "AzureADMultipleOrgs" {
			if r.status != 200 || err != nil {
				t.Errorf("%s: third secret: %d, %v", audience, r.status, err)
			}
			continue
		}
		if _, message := graphErrorOf(t, r); r.status != 400 || !strings.HasPrefix(message, "The size of the object has exceeded its limit.") || err == nil {
			t.Errorf("%s: third secret: %d %s, %v", audience, r.status, message, err)
		}
	}
}

func TestGraphRefusals(t *testing.T) {
	t.Parallel()
	lab := start(t)
	token := graphToken(t, lab, lab.Operator())
	other := addApp(t, lab, entralab.AppSpec{})
	graph(t, lab, token, "PATCH", "applications/"+other.ObjectID, `{"identifierUris":["api://taken"]}`)
	app := "applications/" + lab.Healthy().ObjectID
	graph(t, lab, token, "PATCH", app, `{"notes":"before"}`)
	principal := "servicePrincipals/" + lab.Healthy().ServicePrincipalID
	const nobody = "11111111-2222-4333-8444-555555555555"
	for _, tc := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "applications/" + nobody, "", 404, "Request_ResourceNotFound"},
		{"GET", "applications(appId='" + nobody + "')", "", 404, "Request_ResourceNotFound"},
		{"GET", "servicePrincipals/" + nobody, "", 404, "Request_ResourceNotFound"},
		{"GET", "applications/x", "", 400, "Request_BadRequest"},
		{"GET", "applications(displayName='x')", "", 400, "BadRequest"},
		{"GET", "applications(appId='x", "", 400, "BadRequest"},
		{"GET", "nothing", "", 400, "BadRequest"},
		{"GET", "", "", 400, "BadRequest"},
		{"GET", app + "/nothing", "", 400, "BadRequest"},
		{"PUT", app, "{}", 405, "Request_BadRequest"},
		{"DELETE", "organization", "", 405, "Request_BadRequest"},
		{"GET", app + "?$select=nothing", "", 400, "BadRequest"},
		{"GET", app + "?$expand=extensionProperties", "", 400, "Request_UnsupportedQuery"},
		{"GET", app + "?a=%zz", "", 400, "BadRequest"},
		{"POST", "applications", `{}`, 400, "Request_BadRequest"},
		{"POST", "applications", `{"displayName":""}`, 400, "Request_BadRequest"},
		{"POST", "applications", `{"displayName":"x","nothing":1}`, 400, "Request_BadRequest"},
		{"POST", "applications", `{"displayName":"x","id":"` + nobody + `"}`, 400, "Request_BadRequest"},
		{"POST", "applications", `{"displayName":"x","tags":null}`, 400, "Request_BadRequest"},
		{"POST", "applications", `{"displayName":"x","web":[]}`, 400, "Request_BadRequest"},
		{"POST", "applications", `{"displayName":"x","signInAudience":"Everyone"}`, 400, "Request_BadRequest"},
		{"POST", "applications", `{"displayName":"x","api":{"requestedAccessTokenVersion":3}}`, 400, "Request_BadRequest"},
		{"POST", "applications", `{"displayName":"x","passwordCredentials":[]}`, 400, "Request_BadRequest"},
		{"POST", "applications", `{"displayName":"x","identifierUris":["api://taken"]}`, 409, "Request_MultipleObjectsWithSameKeyValue"},
		{"POST", "applications", `[]`, 400, "Request_BadRequest"},
		{"PATCH", app, `{"passwordCredentials":[]}`, 400, "Request_BadRequest"},
		{"PATCH", app, `{"displayName":"renamed","appId":"` + nobody + `"}`, 400, "Request_BadRequest"},
		{"PATCH", app, `{"displayName":"renamed","isDisabled":"yes"}`, 400, "Request_BadRequest"},
		{"PATCH", app, `{"notes":"after","zzz":1}`, 400, "Request_BadRequest"},
		{"PATCH", principal, `{"displayName":"renamed"}`, 400, "Request_BadRequest"},
		{"POST", app + "/removePassword", `{"keyId":"x"}`, 400, "Request_BadRequest"},
		{"POST", app + "/removePassword", `{}`, 400, "Request_BadRequest"},
		{"POST", "servicePrincipals", `{}`, 400, "Request_BadRequest"},
		{"POST", "servicePrincipals", `{"appId":"` + nobody + `"}`, 400, "Request_BadRequest"},
		{"POST", "servicePrincipals", `{"appId":"` + other.ClientID + `","accountEnabled":3}`, 400, "Request_BadRequest"},
	} {
		r := graph(t, lab, token, tc.method, tc.path, tc.body)
		if code, _ := graphErrorOf(t, r); r.status != tc.status || code != tc.code {
			t.Errorf("%s %s %s: %d %s, want %d %s", tc.method, tc.path, tc.body, r.status, code, tc.status, tc.code)
		}
	}
	if r := do(t, lab, newRequest(t, "GET", lab.GraphURL()+"/v3/applications", "", "Authorization", "Bearer "+token)); r.status != 400 {
		t.Errorf("unknown version: %d", r.status)
	}
	if o := graph(t, lab, token, "GET", app, "").object(t); o["displayName"] != "billing-api" || o["notes"] != "before" {
		t.Errorf("a refused PATCH changed the name to %v, the notes to %v", o["displayName"], o["notes"])
	}
	r := do(t, lab, newRequest(t, "PATCH", lab.GraphURL()+"/v1.0/"+app, "{}", "Authorization", "Bearer "+token))
	if _, message := graphErrorOf(t, r); !strings.HasPrefix(message, "Write requests (excluding DELETE) must contain the Content-Type header") {
		t.Errorf("no content type: %s", message)
	}
}

func TestGraphBodies(t *testing.T) {
	t.Parallel()
	lab := start(t)
	token := graphToken(t, lab, lab.Operator())
	// Nested so deep that the objects around it would be too much to encode.
	deep := `{"displayName":"deep","notes":` + strings.Repeat("[", 9990) + strings.Repeat("]", 9990) + `}`
	if r := graph(t, lab, token, "POST", "applications", deep); r.status != 400 {
		t.Errorf("deep nesting: status %d", r.status)
	}
	zip := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write([]byte(s))
		w.Close()
		return b.String()
	}
	huge := `{"displayName":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, tc := range []struct {
		name, encoding, body string
		want                 int
	}{
		{"gzip", "gzip", zip(`{"displayName":"zipped"}`), 201},
		{"bomb", "gzip", zip(huge), 413},
		{"not gzip", "gzip", `{"displayName":"x"}`, 400},
		{"torn gzip", "gzip", zip(`{"displayName":"zipped"}`)[:20], 400},
		{"plain", "", huge, 413},
		{"unknown", "br", `{"displayName":"x"}`, 415},
	} {
		r := graph(t, lab, token, "POST", "applications", tc.body, "Content-Encoding", tc.encoding)
		if r.status != tc.want {
			t.Errorf("%s: status %d, want %d", tc.name, r.status, tc.want)
		}
		if r.status >= 400 {
			graphErrorOf(t, r)
		}
	}
}

func TestAssignmentsAndDirectory(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := addApp(t, lab, entralab.AppSpec{Permissions: []string{"Application.Read.All", "User.Read.All", "Organization.Read.All"}})
	token := graphToken(t, lab, app)
	get := func(path string) map[string]any {
		t.Helper()
		r := graph(t, lab, token, "GET", path, "")
		if r.status != 200 {
			t.Fatalf("%s: %s", path, r.body)
		}
		return r.object(t)
	}
	own := get("servicePrincipals/" + app.ServicePrincipalID + "/appRoleAssignments")["value"].([]any)
	microsoftGraph := get("servicePrincipals(appId='00000003-0000-0000-c000-000000000000')")
	names := map[any]any{}
	for _, role := range microsoftGraph["appRoles"].([]any) {
		names[role.(map[string]any)["id"]] = role.(map[string]any)["value"]
	}
	var got []any
	for _, a := range own {
		assignment := a.(map[string]any)
		got = append(got, names[assignment["appRoleId"]])
		if assignment["resourceId"] != microsoftGraph["id"] || assignment["principalId"] != app.ServicePrincipalID || assignment["resourceDisplayName"] != "Microsoft Graph" {
			t.Errorf("assignment %v", assignment)
		}
	}
	if want := []any{"Application.Read.All", "User.Read.All", "Organization.Read.All"}; !reflect.DeepEqual(got, want) {
		t.Errorf("roles %v, want %v", got, want)
	}
	organization := get("organization")["value"].([]any)[0].(map[string]any)
	if organization["id"] != lab.TenantID() || organization["displayName"] != "Contoso (lab)" || organization["verifiedDomains"].([]any)[0].(map[string]any)["name"] != "contoso.lab.test" {
		t.Errorf("organization %v", organization)
	}
	users := get("users?$top=1&$select=userPrincipalName")
	if !reflect.DeepEqual(users["value"], []any{map[string]any{"userPrincipalName": "lab-admin@contoso.lab.test"}}) || users["@odata.nextLink"] == nil {
		t.Errorf("users %v", users)
	}
}
