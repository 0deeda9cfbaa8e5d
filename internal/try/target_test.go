package try_test

import (
	"strings"
	"testing"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/try"
)

const lab = "https://127.0.0.1:4001"

// TestWhereATokenGoes: an address is taken, or refused with a reason.
func TestWhereATokenGoes(t *testing.T) {
	t.Parallel()
	public, gov, china := entra.Clouds()[0].Authority, entra.Clouds()[1].Authority, entra.Clouds()[2].Authority
	tests := []struct {
		service            entra.Service
		authority, address string
		refused            string // part of the reason; "" for taken
	}{
		{"graph", public, "https://graph.microsoft.com/v1.0/users", ""},
		{"graph", public, "https://graph.microsoft.com:443/v1.0/users", ""},
		{"graph", public, "https://GRAPH.microsoft.com/v1.0/users", ""},
		{"graph", public, "", ""},
		{"graph", gov, "https://graph.microsoft.us/v1.0/users", ""},
		{"graph", gov, "https://graph.microsoft.com/v1.0/users", "not on https://graph.microsoft.us"},
		{"graph", "https://login.windows.net", "https://graph.microsoft.com/v1.0/users", ""},
		{"graph", public, "http://graph.microsoft.com/v1.0/users", "http"},
		{"graph", public, "https://graph.microsoft.com.evil.example/", "not on"},
		{"graph", public, "https://graph.microsoft.com:8443/", "not on"},
		{"graph", public, "https://me@graph.microsoft.com/", "user name"},
		{"graph", public, "https://graph.microsoft.com@evil.example/", "user name"},
		{"graph", public, "https://127.0.0.1:4002/v1.0/users", "not on"},
		{"graph", public, "https://grаph.microsoft.com/", "no host"}, // a Cyrillic a
		{"graph", public, "https://graph.microsoft.com/#x", "fragment"},
		{"graph", public, "ftp://graph.microsoft.com/", "https://"},
		{"graph", public, "users", "https://"},
		{"graph", public, "https://%zz/", "not a URL"},
		{"graph", lab, "https://127.0.0.1:4002/v1.0/users", ""},
		{"graph", lab, "https://[::1]:4002/v1.0/users", ""},
		{"graph", lab, "https://localhost:4002/v1.0/users", ""},
		{"graph", lab, "https://graph.microsoft.com/v1.0/users", "not on this machine"},
		{"graph", lab, "https://10.0.0.1/", "not on this machine"},
		{"graph", lab, "https://127.0.0.1.evil.example/", "not on this machine"},
		{"graph", lab, "https://localhost.evil.example/", "not on this machine"},
		{"graph", lab, "", "no Graph is known"},
		{"keyvault", public, "https://kv-billing.vault.azure.net/secrets/x", ""},
		{"keyvault", public, "https://vault.azure.net/secrets/x", "not on"},
		{"keyvault", public, "https://a.b.vault.azure.net/secrets/x", "not on"},
		{"keyvault", public, "https://kv.vault.azure.net.evil.example/", "not on"},
		{"keyvault", public, "https://kv.vault.azure.cn/secrets/x", "not on"},
		{"keyvault", china, "https://kv.vault.azure.cn/secrets/x", ""},
		{"keyvault", gov, "https://kv.vault.usgovcloudapi.net", ""},
		{"keyvault", lab, "https://kv.vault.localhost:4003/secrets/x", ""},
		{"keyvault", public, "", "needs an address"},
		{"arm", public, "", ""},
		{"arm", public, "https://management.azure.com/subscriptions", ""},
		{"arm", public, "https://management.usgovcloudapi.net/subscriptions", "not on"},
		{"arm", lab, "", "needs an address"},
		{"smtp", public, "smtp://app@contoso.com@smtp.office365.com:587", ""},
		{"smtp", public, "smtp://app%40contoso.com@smtp.office365.com", ""},
		{"smtp", public, "smtp://app@contoso.com@smtp.office365.com:465", "not on"},
		{"smtp", public, "smtps://app@contoso.com@smtp.office365.com:465", "smtp://"},
		{"smtp", public, "smtp://smtp.office365.com:587", "no mailbox"},
		{"smtp", public, "smtp://app@smtp.office365.com:587", "no mailbox"},
		{"smtp", public, "smtp://app@contoso.com:hunter2@smtp.office365.com:587", "password"},
		{"smtp", public, "smtp://app%01auth=x@contoso.com@smtp.office365.com:587", "no mailbox"},
		{"smtp", public, "smtp://app@contoso.com@mail.example:587", "not on"},
		{"smtp", lab, "smtp://app@contoso.com@127.0.0.1:4004", ""},
		{"smtp", lab, "smtp://app@contoso.com@smtp.office365.com:587", "not on this machine"},
		{"imap", public, "imaps://app@contoso.com@outlook.office365.com:993", ""},
		{"imap", public, "imaps://app@contoso.com@outlook.office365.com", ""},
		{"imap", public, "imap://app@contoso.com@outlook.office365.com:143", "imaps://"},
		{"imap", gov, "imaps://app@contoso.com@outlook.office365.com:993", "not on"},
		{"moon", public, "https://graph.microsoft.com", "no service"},
	}
	for _, test := range tests {
		_, err := try.Parse(test.service, test.address, try.Place{Authority: test.authority})
		switch {
		case err == nil && test.refused != "":
			t.Errorf("--try %s %q with %s is taken", test.service, test.address, test.authority)
		case err != nil && (test.refused == "" || !strings.Contains(err.Error(), test.refused)):
			t.Errorf("--try %s %q with %s: %v, want %q", test.service, test.address, test.authority, err, test.refused)
		}
	}
}

// TestOwnGraph: a private cloud's Graph may be elsewhere when it is configured,
// a public cloud's may not.
func TestOwnGraph(t *testing.T) {
	t.Parallel()
	at := try.Place{Authority: "https://login.lab.test", Graph: "https://graph.lab.test:8443"}
	if target, err := try.Parse("graph", "", at); err != nil || target.Scope() != "https://graph.microsoft.com/.default" {
		t.Errorf("%v, scope %s", err, target.Scope())
	}
	if _, err := try.Parse("graph", "https://graph.lab.test/v1.0/users", at); err == nil {
		t.Error("another port is another server")
	}
	at.Authority = entra.DefaultAuthority
	if _, err := try.Parse("graph", "https://graph.lab.test:8443/v1.0/users", at); err == nil {
		t.Error("a token of the public cloud may go to a private Graph")
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	for service, want := range map[entra.Service]string{
		"graph": "https://graph.microsoft.com/.default", "keyvault": "https://vault.azure.net/.default", "arm": "https://management.azure.com/.default",
		"smtp": "https://outlook.office365.com/.default", "imap": "https://outlook.office365.com/.default",
	} {
		target, err := try.Parse(service, try.Example(service), try.Place{Authority: entra.DefaultAuthority})
		if got := target.Scope(); err != nil || got != want {
			t.Errorf("%s: scope %s, %v", service, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range entra.Services() {
		f.Add(string(s), try.Example(s), entra.DefaultAuthority)
		f.Add(string(s), try.Example(s), lab)
	}
	f.Fuzz(func(t *testing.T, service, address, authority string) {
		target, err := try.Parse(entra.Service(service), address, try.Place{Authority: authority})
		if err == nil && target.Scope() == "" {
			t.Error("a target without scope")
		}
	})
}
