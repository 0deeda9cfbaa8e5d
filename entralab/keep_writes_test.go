package entralab_test

import (
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

// write is a row of the table below: {x} stands for what an earlier row kept.
type write struct{ surface, method, path, body, keep, member string }

// route is the row's name in [entralab.WriteRoutes].
func (w write) route() string {
	if w.surface == "portal" || w.surface == "vault command" {
		return w.surface + " " + w.method
	}
	path := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(w.path, "{}")
	if w.surface == "control" {
		path = strings.TrimSuffix(path, "{}")
	}
	return w.surface + " " + w.method + " " + path
}

// writes change a lab in every way there is.
func writes() []write {
	const grant = `"principal":"{healthysp}","role":"Key Vault Secrets User"`
	return []write{
		{"graph", "POST", "applications", `{"displayName":"<&>","identifierUris":["api://x"],"web":{"redirectUris":["https://x.test/"]}}`, "app", "id"},
		{"graph", "PATCH", "applications/{app}", `{"displayName":"renamed","api":{"requestedAccessTokenVersion":2}}`, "", ""},
		{"graph", "PATCH", "applications/{app}", taskRoles, "", ""},
		{"graph", "POST", "applications/{app}/addPassword", `{}`, "key", "keyId"},
		{"graph", "POST", "applications/{app}/removePassword", `{"keyId":"{key}"}`, "", ""},
		{"graph", "POST", "applications/{app}/federatedIdentityCredentials", `{"name":"n","issuer":"https://i.test","subject":"s","audiences":["a"]}`, "federated", "id"},
		{"graph", "PATCH", "applications/{app}/federatedIdentityCredentials/{federated}", `{"subject":"other"}`, "", ""},
		{"graph", "DELETE", "applications/{app}/federatedIdentityCredentials/{federated}", ``, "", ""},
		{"graph", "GET", "applications/{app}", ``, "client", "appId"},
		{"graph", "POST", "servicePrincipals", `{"appId":"{client}"}`, "sp", "id"},
		{"graph", "PATCH", "servicePrincipals/{sp}", `{"tags":["x"]}`, "", ""},
		{"graph", "POST", "servicePrincipals/{sp}/addPassword", `{}`, "spkey", "keyId"},
		{"graph", "POST", "servicePrincipals/{sp}/removePassword", `{"keyId":"{spkey}"}`, "", ""},
		{"graph", "POST", "applications/{app}/owners/$ref", `{"@odata.id":"{graph}/directoryObjects/{sp}"}`, "", ""},
		{"graph", "DELETE", "applications/{app}/owners/{sp}/$ref", ``, "", ""},
		{"graph", "POST", "servicePrincipals/{sp}/owners/$ref", `{"@odata.id":"{graph}/directoryObjects/{healthysp}"}`, "", ""},
		{"graph", "DELETE", "servicePrincipals/{sp}/owners/{healthysp}/$ref", ``, "", ""},
		{"graph", "POST", "servicePrincipals/{healthysp}/appRoleAssignments", `{"principalId":"{healthysp}","resourceId":"{sp}","appRoleId":"` + taskReader + `"}`, "assigned", "id"},
		{"graph", "DELETE", "servicePrincipals/{healthysp}/appRoleAssignments/{assigned}", ``, "", ""},
		{"graph", "POST", "servicePrincipals/{sp}/appRoleAssignedTo", `{"principalId":"{healthysp}","resourceId":"{sp}","appRoleId":"` + taskReader + `"}`, "assigned", "id"},
		{"graph", "DELETE", "servicePrincipals/{sp}/appRoleAssignedTo/{assigned}", ``, "", ""},
		{"graph", "POST", "oauth2PermissionGrants", `{"clientId":"{healthysp}","consentType":"AllPrincipals","principalId":null,"resourceId":"{graphsp}","scope":"User.Read"}`, "consent", "id"},
		{"graph", "PATCH", "oauth2PermissionGrants/{consent}", `{"scope":"User.Read Mail.Read"}`, "", ""},
		{"graph", "DELETE", "oauth2PermissionGrants/{consent}", ``, "", ""},
		{"graph", "PATCH", "policies/defaultAppManagementPolicy", `{"isEnabled":true,"applicationRestrictions":{"passwordCredentials":[{"restrictionType":"passwordLifetime","maxLifetime":"P4000D"}]}}`, "", ""},
		{"graph", "POST", "policies/appManagementPolicies", `{"displayName":"p","restrictions":{"passwordCredentials":[]}}`, "policy", "id"},
		{"graph", "PATCH", "policies/appManagementPolicies/{policy}", `{"description":"d"}`, "", ""},
		{"graph", "POST", "applications/{app}/appManagementPolicies/$ref", `{"@odata.id":"{graph}/policies/appManagementPolicies/{policy}"}`, "", ""},
		{"graph", "DELETE", "applications/{app}/appManagementPolicies/{policy}/$ref", ``, "", ""},
		{"graph", "POST", "applications/{app}/appManagementPolicies/$ref", `{"@odata.id":"{graph}/policies/appManagementPolicies/{policy}"}`, "", ""},
		{"graph", "DELETE", "policies/appManagementPolicies/{policy}", ``, "", ""},
		{"graph", "PATCH", "servicePrincipals/{sp}", `{"accountEnabled":false}`, "", ""},
		{"graph", "DELETE", "servicePrincipals/{sp}", ``, "", ""},
		{"graph", "POST", "directory/deletedItems/{sp}/restore", `{}`, "", ""},
		{"graph", "DELETE", "applications/{app}", ``, "", ""},
		{"graph", "POST", "directory/deletedItems/{app}/restore", `{}`, "", ""},
		{"graph", "DELETE", "applications/{app}", ``, "", ""},
		{"graph", "DELETE", "directory/deletedItems/{app}", ``, "", ""},

		{"vault command", "add", "", `"retention_days":7,"purge_protection":true`, "", ""},
		{"vault command", "grant", "", grant, "", ""},
		{"vault command", "revoke", "", grant, "", ""},
		{"vault command", "firewall", "", `"firewall":"deny"`, "", ""},
		{"vault command", "webhook", "", `"webhook":"http://127.0.0.1:1/"`, "", ""},
		{"vault command", "webhook", "", `"webhook":""`, "", ""},
		{"vault command", "set-secret", "", `"secret":"by-hand","value":"x"`, "", ""},
		{"vault", "PUT", "secrets/{name}", `{"value":"one","tags":{"a":"b"},"attributes":{"exp":9999999999}}`, "", ""},
		{"vault", "PUT", "secrets/{name}", `{"value":"two"}`, "version", "id"},
		{"vault", "PATCH", "secrets/{name}", `{"contentType":"text/plain"}`, "", ""},
		{"vault", "PATCH", "secrets/{name}/{version}", `{"attributes":{"enabled":false}}`, "", ""},
		{"vault", "POST", "secrets/{name}/backup", ``, "backup", "value"},
		{"vault", "DELETE", "secrets/{name}", ``, "", ""},
		{"vault", "POST", "deletedsecrets/{name}/recover", ``, "", ""},
		{"vault", "DELETE", "secrets/{name}", ``, "", ""},
		{"vault", "DELETE", "deletedsecrets/{name}", ``, "", ""},
		{"vault", "POST", "secrets/restore", `{"value":"{backup}"}`, "", ""},

		{"portal", "add-secret", "", `"at":"-3d"`, "byhand", "keyId"},
		{"portal", "delete-secret", "", `"key_id":"{byhand}"`, "", ""},
		{"portal", "disable-app", "", ``, "", ""},
		{"portal", "enable-app", "", ``, "", ""},
		{"portal", "deactivate-app", "", ``, "", ""},
		{"portal", "activate-app", "", ``, "", ""},
		{"portal", "rename", "", `"display_name":"x"`, "", ""},
		{"portal", "grant", "", `"permission":"Directory.Read.All"`, "", ""},
		{"portal", "revoke", "", `"permission":"Directory.Read.All"`, "", ""},
		{"portal", "add-owner", "", `"owner":"{graphsp}"`, "", ""},
		{"portal", "remove-owner", "", `"owner":"{graphsp}"`, "", ""},
		{"portal", "delete-app", "", ``, "", ""},
		{"portal", "restore-app", "", ``, "", ""},
		{"control", "POST", "/control/delay", `{"accept":"8s","remove":"30s","replicas":3,"signin_lag":"5m","audit_lag":"1m","activity_lag":"2m","vault":"1s","vault_access":"4s"}`, "", ""},
		{"portal", "add-secret", "", ``, "", ""},
		{"control", "POST", "/control/clock", `{"advance":"48h"}`, "", ""},
		{"control", "POST", "/control/sign-in", `{"user":"login_hint"}`, "", ""},
		{"control", "POST", "/control/refusals", `{"app":"{healthy}","code":53003}`, "", ""},
		{"control", "POST", "/control/licence", `{"premium":false}`, "", ""},
		{"control", "POST", "/control/throttle", `{"on":true}`, "", ""},
		{"control", "POST", "/control/faults", `{"fault":"F20","match":{"surface":"token","path":"/nowhere"},"nth":3,"params":{"code":50196}}`, "fault", "id"},
		{"control", "POST", "/control/faults", `{"fault":"F8","rate":0.25,"until":"2100-01-01T00:00:00Z","match":{"path":"/nowhere"}}`, "", ""},
		{"control", "DELETE", "/control/faults/{fault}", ``, "", ""},
		{"control", "DELETE", "/control/faults", ``, "", ""},
		{"control", "POST", "/control/import", `{document}`, "", ""},
	}
}

// TestEveryWriteIsKept makes each kind of write and compares the lab with the
// one its store brings back, after each.
func TestEveryWriteIsKept(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	missing := entralab.WriteRoutes()
	for _, row := range append(k.keyWrites(), writes()...) {
		missing = slices.DeleteFunc(missing, func(route string) bool { return route == row.route() })
		k.send(row)
	}
	if len(missing) > 0 {
		t.Errorf("no row for %s", strings.Join(missing, ", "))
	}
}

// keeper sends writes to a lab and looks what its store holds.
type keeper struct {
	t                     *testing.T
	lab                   *entralab.Lab
	store                 *memory
	operator, certified   entralab.App
	bearer, vault, itself string // tokens
	values                map[string]string
}

func newKeeper(t *testing.T) *keeper {
	store := &memory{records: map[[2]string]entralab.Record{}}
	lab := startWith(t, entralab.Config{InProcess: true, Store: store})
	lab.Freeze(true)
	k := &keeper{t: t, lab: lab, store: store}
	k.operator = addApp(t, lab, entralab.AppSpec{Permissions: []string{
		"Application.ReadWrite.All", "AppRoleAssignment.ReadWrite.All", "DelegatedPermissionGrant.ReadWrite.All", "Policy.ReadWrite.ApplicationConfiguration", "Directory.Read.All",
	}})
	k.certified = addApp(t, lab, entralab.AppSpec{Certificates: []*x509.Certificate{appPair().certificate}})
	k.bearer, k.vault, k.itself = graphToken(t, lab, k.operator), vaultToken(t, lab, lab.Operator()), graphToken(t, lab, k.certified)
	graphID := graph(t, lab, k.bearer, "GET", "servicePrincipals(appId='00000003-0000-0000-c000-000000000000')", "").object(t)["id"].(string)
	k.values = map[string]string{
		"healthy": lab.Healthy().ObjectID, "healthysp": lab.Healthy().ServicePrincipalID, "graphsp": graphID,
		"certified": k.certified.ObjectID, "certifiedsp": k.certified.ServicePrincipalID, "name": "kept", "graph": lab.GraphURL() + "/v1.0",
	}
	return k
}

// keyWrites roll keys, whose proofs depend on the app.
func (k *keeper) keyWrites() []write {
	var rows []write
	for _, on := range [][2]string{{"applications/{certified}", k.certified.ObjectID}, {"servicePrincipals/{certifiedsp}", k.certified.ServicePrincipalID}} {
		proof := appPair().proof(k.t, k.lab, on[1])
		rows = append(rows,
			write{"graph", "POST", on[0] + "/addKey", otherPair().addKey(proof), "rolled", "keyId"},
			write{"graph", "POST", on[0] + "/removeKey", `{"keyId":"{rolled}","proof":"` + proof + `"}`, "", ""})
	}
	return rows
}

func (k *keeper) fill(s string) string {
	if s == "{document}" {
		return string(k.lab.Export())
	}
	for name, value := range k.values {
		s = strings.ReplaceAll(s, "{"+name+"}", value)
	}
	return s
}

func (k *keeper) request(row write) *http.Request {
	method, path, body := row.method, k.fill(row.path), k.fill(row.body)
	command := func(to, target string) *http.Request {
		text := `{"action":"` + method + `",` + target
		if body != "" {
			text += "," + body
		}
		return newRequest(k.t, "POST", k.lab.ControlURL()+to, text+"}", "Content-Type", "application/json")
	}
	switch row.surface {
	case "graph":
		token := k.bearer
		if strings.HasSuffix(path, "Key") {
			token = k.itself
		}
		return newRequest(k.t, method, k.lab.GraphURL()+"/v1.0/"+path, body, "Content-Type", "application/json", "Authorization", "Bearer "+token)
	case "vault":
		return newRequest(k.t, method, k.lab.VaultURL()+"/"+path+"?api-version=7.6", body, "Content-Type", "application/json", "Authorization", "Bearer "+k.vault)
	case "portal":
		return command("/control/portal", `"app":"`+k.values["healthy"]+`"`)
	case "vault command":
		return command("/control/vault", `"vault":"kv-two"`)
	}
	return newRequest(k.t, method, k.lab.ControlURL()+path, body, "Content-Type", "application/json")
}

// send makes a write and compares the lab with its store.
func (k *keeper) send(row write) {
	k.t.Helper()
	resp, err := k.lab.Client().Do(k.request(row))
	if err != nil {
		k.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode/100 != 2 {
		k.t.Fatalf("%s: %d %s, %v", row.route(), resp.StatusCode, body, err)
	}
	if row.member != "" {
		var answer map[string]any
		if err := json.Unmarshal(body, &answer); err != nil {
			k.t.Fatal(err)
		}
		text := answer[row.member].(string)
		k.values[row.keep] = text[strings.LastIndex(text, "/")+1:] // the id of a version is a URL
	}
	again := startWith(k.t, entralab.Config{InProcess: true, Store: k.store.copied()})
	defer again.Close()
	export := func(lab *entralab.Lab) string { return string(lab.Export()) }
	faults := func(lab *entralab.Lab) string {
		return do(k.t, lab, newRequest(k.t, "GET", lab.ControlURL()+"/control/faults", "")).body
	}
	for _, view := range []func(*entralab.Lab) string{export, func(lab *entralab.Lab) string { return stateOf(k.t, lab) }, faults} {
		if want, got := view(k.lab), view(again); want != got {
			at := 0
			for at < min(len(want), len(got)) && want[at] == got[at] {
				at++
			}
			at = max(0, at-300)
			k.t.Fatalf("after %s the store holds\n…%.600s\nand the lab shows\n…%.600s", row.route(), got[at:], want[at:])
		}
	}
}
