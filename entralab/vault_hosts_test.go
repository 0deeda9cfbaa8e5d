package entralab_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

// TestVaultHosts: a vault answers under its own hosts, with a challenge that
// SDKs accept there, and no other origin does.
func TestVaultHosts(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]entralab.Config{"in process": {InProcess: true}, "sockets": {}} {
		lab := startWith(t, cfg)
		vault, err := lab.AddVault(entralab.VaultSpec{Name: "KV-Billing"})
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(vault.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, parent, _ := strings.Cut(u.Host, ".")
		for origin, resource := range map[string]string{
			lab.VaultURL():                    "https://vault.azure.net",
			vault.URL:                         "https://" + parent,
			vault.AzureURL:                    "https://vault.azure.net",
			"https://kv-lab." + parent:        "https://" + parent,
			"https://KV-lab.vault.azure.net":  "https://vault.azure.net",
			"https://kv-lab.vault.localhost":  "https://vault.localhost",
			"https://kv-lab.vault.lab.test:9": "https://vault.lab.test:9",
		} {
			r := do(t, lab, newRequest(t, "PUT", origin+"/secrets/x?api-version=7.6", ""))
			want := `Bearer authorization="` + lab.AuthorityURL() + "/" + lab.TenantID() + `", resource="` + resource + `"`
			if got := r.header.Get("WWW-Authenticate"); r.status != 401 || got != want {
				t.Errorf("%s: %s: %d %s, want %s", name, origin, r.status, got, want)
			}
			if r.body != `{"error":{"code":"Unauthorized","message":"AKV10000: Request is missing a Bearer or PoP token."}}` {
				t.Errorf("%s: %s: %s", name, origin, r.body)
			}
			form := credentialsForm(lab.Healthy().ClientID, value(lab.Healthy()))
			form.Set("scope", resource+"/.default")
			token := askToken(t, lab, lab.TenantID(), form)
			if token.status != http.StatusOK {
				t.Errorf("%s: no token for %s: %s", name, resource, token.body)
			} else if aud := part(t, token.object(t)["access_token"], 1)["aud"]; aud != "https://vault.azure.net" {
				t.Errorf("%s: %s: audience %v", name, resource, aud)
			}
		}
		for _, host := range []string{"nobody.vault.azure.net", "nobody.vault.azure.net.", "a.b.vault.azure.net", "vault.azure.net", "graph.microsoft.com", "kv-lab.vault.azure.cn"} {
			r := newRequest(t, "GET", lab.VaultURL()+"/secrets?api-version=7.6", "")
			r.Host = host
			if got := do(t, lab, r); got.status != 421 || got.object(t)["error"] == nil {
				t.Errorf("%s: as %s: %d %s", name, host, got.status, got.body)
			}
		}
		for _, origin := range []string{lab.AuthorityURL(), lab.GraphURL(), lab.ControlURL()} {
			r := newRequest(t, "GET", origin+"/control/state", "")
			r.Host = "kv-lab.vault.azure.net"
			if got := do(t, lab, r); got.status != 421 {
				t.Errorf("%s: %s answers for a vault: %d", name, origin, got.status)
			}
		}
	}
}
