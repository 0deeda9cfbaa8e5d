package entralab_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// vaultSteps are every data action, with one request that needs it.
var vaultSteps = []struct{ action, method, path, body string }{
	{"setSecret/action", "PUT", "secrets/s", `{"value":"x"}`},
	{"getSecret/action", "GET", "secrets/s", ""},
	{"update/action", "PATCH", "secrets/s", `{}`},
	{"backup/action", "POST", "secrets/s/backup", ""},
	{"readMetadata/action", "GET", "secrets/s/versions", ""},
	{"delete", "DELETE", "secrets/s", ""},
	{"recover/action", "POST", "deletedsecrets/s/recover", ""},
	{"purge/action", "DELETE", "deletedsecrets/s", ""},
}

// TestVaultRoles: a role lets through what it names and nothing else.
func TestVaultRoles(t *testing.T) {
	t.Parallel()
	lab := start(t)
	operator := vaultToken(t, lab, lab.Operator())
	vaults := 0
	for role, want := range map[string]string{
		"":                              "",
		entralab.RoleVaultAdministrator: "setSecret/action getSecret/action update/action backup/action readMetadata/action delete recover/action purge/action",
		entralab.RoleSecretsOfficer:     "setSecret/action getSecret/action update/action backup/action readMetadata/action delete recover/action purge/action",
		entralab.RoleSecretsUser:        "getSecret/action readMetadata/action",
		entralab.RoleVaultReader:        "readMetadata/action",
		entralab.RolePurgeOperator:      "",
		"Microsoft.KeyVault/vaults/secrets/setSecret/action": "setSecret/action",
	} {
		for _, scope := range []string{"", "S", "other"} {
			vaults++
			vault := addVault(t, lab, entralab.VaultSpec{Name: fmt.Sprintf("kv-%d", vaults)})
			app := addApp(t, lab, entralab.AppSpec{})
			if role != "" {
				if err := lab.GrantVault(vault.Name, scope, app.ServicePrincipalID, role); err != nil {
					t.Fatal(err)
				}
			}
			token := vaultToken(t, lab, app)
			as := func(token, method, path, body string) reply {
				return do(t, lab, newRequest(t, method, vault.URL+"/"+path+"?api-version=7.6", body, "Authorization", "Bearer "+token, "Content-Type", "application/json"))
			}
			as(operator, "PUT", "secrets/s", `{"value":"x"}`)
			var allowed []string
			for _, step := range vaultSteps {
				r := as(token, step.method, step.path, step.body)
				if r.status != 403 {
					allowed = append(allowed, step.action)
				} else if !strings.Contains(r.body, "Action: 'Microsoft.KeyVault/vaults/secrets/"+step.action+"'") {
					t.Errorf("%s: %s", step.action, r.body)
				}
			}
			expect := want
			if scope == "other" {
				expect = ""
			}
			if got := strings.Join(allowed, " "); got != expect {
				t.Errorf("%q on %q: %s, want %s", role, scope, got, expect)
			}
			// The list is the vault's: a role on one secret does not show it.
			r := as(token, "GET", "secrets", "")
			if listed := r.status == 200; listed != (scope == "" && strings.Contains(want, "readMetadata")) {
				t.Errorf("%q on %q lists: %d", role, scope, r.status)
			}
		}
	}
}

func TestVaultRefusals(t *testing.T) {
	t.Parallel()
	lab := startAt(t, "2026-12-01T00:00:00Z")
	app := addApp(t, lab, entralab.AppSpec{})
	addVault(t, lab, entralab.VaultSpec{Name: "kv-policies", AccessPolicies: true})
	addVault(t, lab, entralab.VaultSpec{Name: "kv-closed", Firewall: entralab.FirewallDeny})
	addVault(t, lab, entralab.VaultSpec{Name: "kv-private", Firewall: entralab.FirewallPrivate})
	by := "appid=" + app.ClientID + ";oid=" + app.ServicePrincipalID + ";iss=https://sts.windows.net/" + lab.TenantID() + "/"
	at := func(name string) vaultCaller { return vaultCaller{lab, app, "https://" + name + ".vault.azure.net"} }

	r := at("kv-lab").call(t, "PUT", "secrets/S", `not looked at`)
	head, rest, _ := strings.Cut(r.body, "/subscriptions/")
	_, tail, _ := strings.Cut(rest, "/")
	if got := head + "/subscriptions/ID/" + tail; r.status != 403 || got != `{"error":{"code":"Forbidden","message":"Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were changed recently, please observe propagation time.\r\nCaller: `+by+
		`\r\nAction: 'Microsoft.KeyVault/vaults/secrets/setSecret/action'\r\nResource: '/subscriptions/ID/resourcegroups/lab/providers/microsoft.keyvault/vaults/kv-lab/secrets/s'\r\nAssignment: (not found)\r\nVault: kv-lab;location=westeurope","innererror":{"code":"ForbiddenByRbac"}}}` {
		t.Errorf("%d %s", r.status, got)
	}
	at("kv-policies").want(t, "GET", "secrets", "", 403, `{"error":{"code":"Forbidden","message":"The user, group or application '`+by+
		`' does not have secrets list permission on key vault 'kv-policies;location=westeurope'. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125287","innererror":{"code":"AccessDenied"}}}`)
	at("kv-closed").want(t, "GET", "secrets", "", 403, `{"error":{"code":"Forbidden","message":"Client address is not authorized and caller is not a trusted service.\r\nClient address: 127.0.0.1\r\nCaller: `+by+
		`\r\nVault: kv-closed;location=westeurope","innererror":{"code":"ForbiddenByFirewall"}}}`)
	at("kv-private").want(t, "GET", "secrets", "", 403, `{"error":{"code":"Forbidden","message":"Public network access is disabled and request is not from a trusted service nor via an approved private link.\r\nCaller: `+by+
		`\r\nVault: kv-private;location=westeurope","innererror":{"code":"ForbiddenByConnection"}}}`)
	if err := lab.SetVaultFirewall("kv-closed", entralab.FirewallOpen); err != nil {
		t.Fatal(err)
	}
	if r := (vaultCaller{lab, lab.Operator(), "https://kv-closed.vault.azure.net"}).call(t, "GET", "secrets", ""); r.status != 200 {
		t.Errorf("through the open firewall: %s", r.body)
	}
}

// TestVaultTokens: a token that is not for the vault gets the challenge again.
func TestVaultTokens(t *testing.T) {
	t.Parallel()
	lab := startAt(t, "2026-12-01T00:00:00Z")
	foreign := addApp(t, lab, entralab.AppSpec{TenantID: lab.OtherTenantID()})
	old := vaultToken(t, lab, lab.Operator())
	lab.Advance(time.Hour)
	valid := vaultToken(t, lab, lab.Operator())
	if valid == old {
		t.Fatal("one token")
	}
	sts := "https://sts.windows.net/"
	for name, step := range map[string]struct{ authorization, message string }{
		"none":      {"", "AKV10000: Request is missing a Bearer or PoP token."},
		"basic":     {"Basic eA==", "AKV10000: Request is missing a Bearer or PoP token."},
		"malformed": {"Bearer x", "[BearerReadAccessTokenFailed] Error validating token: 'S2S12005'."},
		"forged":    {"Bearer " + valid[:len(valid)-10] + "AAAAAAAAAA", "[BearerReadAccessTokenFailed] Error validating token: 'S2S12005'."},
		"for Graph": {"Bearer " + graphToken(t, lab, lab.Operator()), "AKV10022: Invalid audience. Expected https://vault.azure.net or cfa8b339-82a2-471a-a3c9-0fc0be7a4093, found: https://graph.microsoft.com."},
		"expired":   {"Bearer " + old, "[TokenExpired] Error validating token: 'S2S12086'."},
		"foreign":   {"Bearer " + vaultToken(t, lab, foreign), "AKV10032: Invalid issuer. Expected one of " + sts + lab.TenantID() + "/, found " + sts + lab.OtherTenantID() + "/."},
	} {
		r := newRequest(t, "PUT", lab.VaultURL()+"/secrets/a_b", "no JSON")
		if step.authorization != "" {
			r.Header.Set("Authorization", step.authorization)
		}
		got := do(t, lab, r)
		if got.status != 401 || got.body != `{"error":{"code":"Unauthorized","message":"`+step.message+`"}}` || got.header.Get("WWW-Authenticate") != `Bearer authorization="`+lab.AuthorityURL()+"/"+lab.TenantID()+`", resource="https://vault.azure.net"` {
			t.Errorf("%s: %d %s %s", name, got.status, got.header.Get("WWW-Authenticate"), got.body)
		}
	}
	// And Graph refuses a vault's.
	if r := graph(t, lab, valid, "GET", "applications", ""); r.status != 401 {
		t.Errorf("Graph takes a token for the vault: %d", r.status)
	}
}

// TestVaultGrantsPropagate: a grant and its end count after the delay.
func TestVaultGrantsPropagate(t *testing.T) {
	t.Parallel()
	lab := startAt(t, "2026-12-01T00:00:00Z")
	app := addApp(t, lab, entralab.AppSpec{})
	c := vaultCaller{lab, app, lab.VaultURL()}
	lab.SetVaultDelay(entralab.VaultDelay{Access: 5 * time.Minute})
	var got []int
	note := func() { got = append(got, c.call(t, "GET", "secrets", "").status) }
	change := func(f func(vault, secret, principal, role string) error) {
		t.Helper()
		if err := f("KV-lab", "", app.ServicePrincipalID, entralab.RoleVaultReader); err != nil {
			t.Fatal(err)
		}
	}
	change(lab.GrantVault)
	note()
	lab.Advance(5 * time.Minute)
	note()
	change(lab.RevokeVault)
	note()
	lab.Advance(5*time.Minute - time.Nanosecond*100)
	note()
	lab.Advance(100 * time.Nanosecond)
	note()
	for i, want := range []int{403, 200, 200, 200, 403} {
		if got[i] != want {
			t.Fatalf("%v", got)
		}
	}
}

func TestVaultSpecRefusals(t *testing.T) {
	t.Parallel()
	lab := start(t)
	before := stateOf(t, lab)
	for name, spec := range map[string]entralab.VaultSpec{
		"no name": {}, "short": {Name: "kv"}, "long": {Name: strings.Repeat("a", 25)}, "digit": {Name: "1kv"}, "dash": {Name: "kv-"}, "dashes": {Name: "k--v"},
		"underscore": {Name: "kv_x"}, "taken": {Name: "KV-LAB"}, "tenant": {Name: "kv-x", TenantID: "nobody"}, "6 days": {Name: "kv-x", RetentionDays: 6},
		"91 days": {Name: "kv-x", RetentionDays: 91}, "firewall": {Name: "kv-x", Firewall: "half"}, "webhook": {Name: "kv-x", Webhook: "http://example.com"},
		"ftp": {Name: "kv-x", Webhook: "ftp://127.0.0.1"}, "metadata": {Name: "kv-x", Webhook: "http://169.254.169.254/"},
	} {
		if _, err := lab.AddVault(spec); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	principal := lab.Healthy().ServicePrincipalID
	for name, err := range map[string]error{
		"vault":      lab.GrantVault("kv-x", "", principal, entralab.RoleVaultReader),
		"principal":  lab.GrantVault("kv-lab", "", lab.Healthy().ClientID, entralab.RoleVaultReader),
		"role":       lab.GrantVault("kv-lab", "", principal, "Owner"),
		"secret":     lab.GrantVault("kv-lab", "a_b", principal, entralab.RoleVaultReader),
		"held":       lab.GrantVault("kv-lab", "", principal, entralab.RoleSecretsUser),
		"not held":   lab.RevokeVault("kv-lab", "", principal, entralab.RoleVaultReader),
		"firewall":   lab.SetVaultFirewall("kv-lab", "half"),
		"no webhook": lab.SetVaultWebhook("kv-x", ""),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "entralab: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := lab.SetVaultSecret("kv-lab", "a_b", "x"); err == nil {
		t.Error("a secret of a wrong name")
	}
	if _, err := lab.Vault("kv-x"); err == nil {
		t.Error("a vault that is not there")
	}
	vaults := func(s string) string { return s[strings.Index(s, `"vaults"`):] }
	if vaults(before) != vaults(stateOf(t, lab)) {
		t.Error("a refusal changed something")
	}
}

func TestControlVault(t *testing.T) {
	t.Parallel()
	lab := start(t)
	principal := `"principal":"` + lab.Healthy().ServicePrincipalID + `"`
	for _, step := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"action":"add","vault":"kv-x","retention_days":7,"purge_protection":true,"access_policies":true,"tenant":"` + lab.TenantID() + `","firewall":"deny"}`, 200, `{"name":"kv-x","url":"https://kv-x.vault.lab.test","azure_url":"https://kv-x.vault.azure.net"}`},
		{`{"action":"add","vault":"kv-x"}`, 400, `{"error":"there is a vault \"kv-x\" already"}`},
		{`{"action":"firewall","vault":"kv-x","firewall":""}`, 204, ``},
		{`{"action":"firewall","vault":"kv-x"}`, 400, `{"error":"firewall needs firewall"}`},
		{`{"action":"grant","vault":"kv-x","secret":"s",` + principal + `,"role":"Key Vault Reader"}`, 204, ``},
		{`{"action":"grant","vault":"kv-x","secret":"s",` + principal + `,"role":"Reader"}`, 400, `{"error":"grant-vault: unknown role or data action \"Reader\""}`},
		{`{"action":"revoke","vault":"kv-x","secret":"s",` + principal + `,"role":"Key Vault Reader"}`, 204, ``},
		{`{"action":"webhook","vault":"kv-x","webhook":""}`, 204, ``},
		{`{"action":"webhook","vault":"kv-x","webhook":"http://10.0.0.1/"}`, 400, `{"error":"webhook \"http://10.0.0.1/\": only loopback addresses (127.0.0.0/8, ::1, localhost) are allowed"}`},
		{`{"action":"set-secret","vault":"kv-x","secret":"s","value":"canary-by-hand"}`, 200, `{"version":"VERSION"}`},
		{`{"action":"set-secret","vault":"kv-y","secret":"s","value":"canary-by-hand"}`, 404, `{"error":"no vault \"kv-y\""}`},
		{`{"action":"set-secret","vault":"kv-x","secret":"s","value":"canary-by-hand","role":"x"}`, 400, `{"error":"set-secret does not take role"}`},
		{`{"action":"explode","vault":"kv-x"}`, 400, `{"error":"unknown action \"explode\""}`},
	} {
		r := control(t, lab, "vault", step.body)
		if got := versionID.ReplaceAllString(r.body, "VERSION"); r.status != step.status || got != step.want {
			t.Errorf("%s: %d %s", step.body, r.status, got)
		}
	}
	var kinds []string
	for _, e := range lab.History(0) {
		if e.Write != nil && e.Surface == "control" {
			kinds = append(kinds, e.Write.Kind)
		}
	}
	if got := strings.Join(kinds, " "); got != "create-vault firewall grant-vault revoke-vault webhook set-secret" {
		t.Errorf("history: %s", got)
	}
	if leaks(stateOf(t, lab), "canary-by-hand") {
		t.Error("the state shows a value")
	}
}
