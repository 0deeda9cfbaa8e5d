// Package labtest does to a lab, for tests, what the people of a tenant do.
package labtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/credsmith/credsmith/entralab"
)

// TB is the part of a test that is needed.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// SignIn sends a token request of an app for Graph, with any value, and returns
// the token; "" for a refusal.
func SignIn(t TB, lab *entralab.Lab, app entralab.App, value string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {app.ClientID}, "client_secret": {value}, "scope": {lab.GraphURL() + "/.default"}}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, lab.AuthorityURL()+"/"+app.TenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatalf("%v", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_, body := send(t, lab, req)
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("%v", err)
	}
	return got.AccessToken
}

// Control sends a command to the lab's control origin.
func Control(t TB, lab *entralab.Lab, path, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, lab.ControlURL()+"/control/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatalf("%v", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if status, answer := send(t, lab, req); status > 299 {
		t.Fatalf("control %s: HTTP %d %s", path, status, answer)
	}
}

// Restrict gives an app a management policy of its own with one restriction on
// secrets: its type, and further members of its JSON such as
// `,"maxLifetime":"P7D"`.
func Restrict(t TB, lab *entralab.Lab, app entralab.App, kind, members string) (policy string) {
	t.Helper()
	admin, err := lab.AddApp(entralab.AppSpec{
		DisplayName: "policy-admin", Permissions: []string{"Application.ReadWrite.All", "Policy.Read.All", "Policy.ReadWrite.ApplicationConfiguration"},
		Secrets: []entralab.SecretSpec{{}},
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	token := SignIn(t, lab, admin, admin.Secrets[0].Value.Reveal())
	call := func(path, body string) []byte {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, lab.GraphURL()+"/v1.0/"+path, strings.NewReader(body))
		if err != nil {
			t.Fatalf("%v", err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		status, answer := send(t, lab, req)
		if status > 299 {
			t.Fatalf("%s: HTTP %d %s", path, status, answer)
		}
		return answer
	}
	made := call("policies/appManagementPolicies", fmt.Sprintf(`{"displayName":"no secrets","restrictions":{"passwordCredentials":[{"restrictionType":%q,"state":"enabled"%s}],"keyCredentials":[]}}`, kind, members))
	var got struct{ ID string }
	if err := json.Unmarshal(made, &got); err != nil {
		t.Fatalf("%v", err)
	}
	call("applications/"+app.ObjectID+"/appManagementPolicies/$ref", `{"@odata.id":"https://graph.microsoft.com/v1.0/policies/appManagementPolicies/`+got.ID+`"}`)
	return got.ID
}

func send(t TB, lab *entralab.Lab, req *http.Request) (int, []byte) {
	t.Helper()
	resp, err := lab.Client().Do(req)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return resp.StatusCode, body
}
