package entralab_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

// leaks looks for a secret in a text, plain and in the encodings it may take
// on the way.
func leaks(s, secret string) bool {
	forms := []string{secret, url.QueryEscape(secret), hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret))}
	for offset := range 3 { // the same inside a longer base64 text
		padded := base64.StdEncoding.EncodeToString(append(make([]byte, offset), secret...))
		forms = append(forms, padded[4:len(padded)-4])
	}
	for _, form := range forms {
		if strings.Contains(s, form) || strings.Contains(strings.ToLower(s), form) && form == forms[2] {
			return true
		}
	}
	return false
}

// watched keeps every response of a lab.
type watched struct {
	lab       http.RoundTripper
	responses map[string][]string // by method and path
}

func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.lab.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	name := r.Method + " " + r.URL.Path
	w.responses[name] = append(w.responses[name], fmt.Sprint(resp.Header)+string(body))
	return resp, err
}

// TestNoSecretLeaves drives every operation and searches all answers, the
// history and the state for the values in play.
func TestNoSecretLeaves(t *testing.T) {
	t.Parallel()
	lab := start(t)
	seen := &watched{lab.Transport(), map[string][]string{}}
	client := &http.Client{Transport: seen}
	send := func(r *http.Request) map[string]any {
		t.Helper()
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var o map[string]any
		json.NewDecoder(resp.Body).Decode(&o)
		return o
	}
	app := lab.Healthy()
	secrets := []string{value(app), value(lab.Operator())}
	ask := func(clientID, secret string) map[string]any {
		return send(newRequest(t, "POST", tokenURL(lab, lab.TenantID()), credentialsForm(clientID, secret).Encode(), "Content-Type", "application/x-www-form-urlencoded"))
	}
	token := ask(lab.Operator().ClientID, value(lab.Operator()))["access_token"].(string)
	call := func(method, path, body string) map[string]any {
		t.Helper()
		return send(newRequest(t, method, lab.GraphURL()+"/v1.0/"+path, body, "Authorization", "Bearer "+token, "Content-Type", "application/json"))
	}
	portal := func(body string) map[string]any {
		t.Helper()
		return send(newRequest(t, "POST", lab.ControlURL()+"/control/portal", body, "Content-Type", "application/json"))
	}
	path := "applications/" + app.ObjectID
	minted := call("POST", path+"/addPassword", `{"passwordCredential":{"displayName":"one"}}`)
	principal := "servicePrincipals/" + app.ServicePrincipalID
	onPrincipal := call("POST", principal+"/addPassword", "")
	added := portal(`{"action":"add-secret","app":"` + app.ObjectID + `"}`)
	secrets = append(secrets, minted["secretText"].(string), onPrincipal["secretText"].(string), added["secretText"].(string), mint(t, lab, app, entralab.SecretSpec{}).Value.Reveal())
	for _, secret := range secrets {
		ask(app.ClientID, secret)
		ask(app.ClientID, secret+"x")
		ask(lab.Operator().ClientID, secret)
	}
	call("GET", path, "")
	call("GET", "applications", "")
	call("PATCH", path, `{"notes":"n"}`)
	call("POST", path+"/removePassword", `{"keyId":"`+minted["keyId"].(string)+`"}`)
	call("POST", "$batch", `{"requests":[{"id":"1","method":"GET","url":"/`+principal+`"}]}`)
	call("GET", "servicePrincipals", "")
	call("GET", path+"?$expand=owners", "")
	call("GET", "auditLogs/signIns?$filter=signInEventTypes/any(t:t%20eq%20'servicePrincipal')", "")
	call("POST", principal+"/removePassword", `{"keyId":"`+onPrincipal["keyId"].(string)+`"}`)
	call("DELETE", principal, "")
	call("GET", "directory/deletedItems/"+app.ServicePrincipalID, "")
	call("GET", "auditLogs/directoryAudits", "")
	portal(`{"action":"delete-secret","app":"` + app.ObjectID + `","key_id":"` + added["keyId"].(string) + `"}`)
	vaultForm := credentialsForm(lab.Operator().ClientID, value(lab.Operator()))
	vaultForm.Set("scope", "https://vault.azure.net/.default")
	vaultToken := send(newRequest(t, "POST", tokenURL(lab, lab.TenantID()), vaultForm.Encode(), "Content-Type", "application/x-www-form-urlencoded"))["access_token"].(string)
	inVault := "vault-canary-8Q~value-of-a-secret"
	secrets = append(secrets, inVault)
	for _, step := range [][3]string{
		{"PUT", "secrets/s", `{"value":"` + inVault + `"}`}, {"PUT", "secrets/s", `{"value":"` + inVault + `","kid":1}`}, {"PUT", "secrets/s", `{"value":["` + inVault + `"]}`},
		{"PATCH", "secrets/s", `{"tags":{}}`}, {"GET", "secrets", ""}, {"GET", "secrets/s/versions", ""}, {"POST", "secrets/s/backup", ""}, {"DELETE", "secrets/s", ""},
		{"GET", "deletedsecrets/s", ""}, {"GET", "deletedsecrets", ""}, {"POST", "deletedsecrets/s/recover", ""},
	} {
		send(newRequest(t, step[0], lab.VaultURL()+"/"+step[1]+"?api-version=7.6", step[2], "Authorization", "Bearer "+vaultToken, "Content-Type", "application/json"))
	}
	for _, page := range []string{"state", "history"} {
		send(newRequest(t, "GET", lab.ControlURL()+"/control/"+page, ""))
	}

	events, err := json.Marshal(lab.History(0))
	if err != nil {
		t.Fatal(err)
	}
	seen.responses["History"] = []string{string(events)}
	shown := 0
	for name, responses := range seen.responses {
		for _, response := range responses {
			for _, secret := range secrets {
				if !leaks(response, secret) {
					continue
				}
				shown++
				if !strings.HasSuffix(name, "/addPassword") && name != "PUT /secrets/s" && !strings.HasSuffix(name, "/control/portal") {
					t.Errorf("%s shows a secret", name)
				}
			}
		}
	}
	if shown != 4 {
		t.Errorf("%d answers show a secret, want two of addPassword, add-secret's and the vault's", shown)
	}
}

// TestCanaryIsSeen checks the search itself.
func TestCanaryIsSeen(t *testing.T) {
	const secret = "abc8Q~0123456789.0123456789_0123456789-x"
	for _, s := range []string{
		"x" + secret + "y", url.QueryEscape("a=" + secret), hex.EncodeToString([]byte("x" + secret)),
		base64.StdEncoding.EncodeToString([]byte("id:" + secret)), base64.StdEncoding.EncodeToString([]byte("x" + secret + "yz")),
	} {
		if !leaks(s, secret) {
			t.Errorf("not seen in %s", s)
		}
	}
	if leaks("nothing here", secret) {
		t.Error("seen where it is not")
	}
}
