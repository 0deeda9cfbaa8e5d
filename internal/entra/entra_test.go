package entra_test

import (
	"strings"
	"testing"

	"github.com/credsmith/credsmith/internal/entra"
)

func TestFormOfTenant(t *testing.T) {
	t.Parallel()
	for tenant, want := range map[string]entra.TenantForm{
		"7f1c0d3e-8a52-4d0b-9a53-1c1f3f3f2b11":  entra.TenantGUID,
		"7F1C0D3E-8A52-4D0B-9A53-1C1F3F3F2B11":  entra.TenantGUID,
		"contoso.com":                           entra.TenantDomain,
		"contoso.onmicrosoft.com":               entra.TenantDomain,
		"bücher.example":                        entra.TenantDomain,
		"common":                                entra.TenantShared,
		"Organizations":                         entra.TenantShared,
		"<your-tenant-id>":                      entra.TenantPlaceholder,
		"${AZURE_TENANT_ID}":                    entra.TenantPlaceholder,
		"your-tenant-id":                        entra.TenantPlaceholder,
		"{{tenant}}":                            entra.TenantPlaceholder,
		"contoso":                               entra.TenantMalformed,
		"7f1c0d3e-8a52-4d0b-9a53-1c1f3f3f2b1":   entra.TenantMalformed,
		" 7f1c0d3e-8a52-4d0b-9a53-1c1f3f3f2b11": entra.TenantMalformed,
		"":                                      entra.TenantMalformed,
		"a..b":                                  entra.TenantMalformed,
		"-a.b":                                  entra.TenantMalformed,
		strings.Repeat("a.", 200) + "b":         entra.TenantMalformed,
	} {
		if got := entra.FormOfTenant(tenant); got != want {
			t.Errorf("FormOfTenant(%q) = %s, want %s", tenant, got, want)
		}
	}
}

func TestGUIDs(t *testing.T) {
	t.Parallel()
	const id = "7f1c0d3e-8a52-4d0b-9a53-1c1f3f3f2b11"
	if !entra.SameGUID("{"+strings.ToUpper(id)+"}", id) || entra.SameGUID("", "") || entra.SameGUID(id, id[:35]+"2") {
		t.Error("SameGUID is wrong")
	}
	for _, wrapped := range []string{" " + id + "\r\n", `"` + id + `"`, "{" + id + "}", "\ufeff" + id, "“" + id + "”"} {
		if got := entra.CleanIdentifier(wrapped); got != id {
			t.Errorf("CleanIdentifier(%q) = %q", wrapped, got)
		}
	}
	if got := entra.CleanIdentifier("my app"); got != "my app" {
		t.Errorf("CleanIdentifier changes %q", got)
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://login.microsoftonline.com":                      "https://login.microsoftonline.com",
		"https://LOGIN.microsoftonline.com/contoso/oauth2/token": "https://login.microsoftonline.com",
		"login.microsoftonline.us":                               "https://login.microsoftonline.us",
		"https://127.0.0.1:8443/":                                "https://127.0.0.1:8443",
		" https://login.microsoftonline.com\n":                   "https://login.microsoftonline.com",
		"http://login.microsoftonline.com":                       "",
		"https://good@evil.example":                              "",
		"ftp://login.microsoftonline.com":                        "",
		"https://":                                               "",
		"":                                                       "",
		"https://a b":                                            "",
		"\u00a0#000":                                             "",
		"https://login.microsoftonl\u0456ne.com":                 "", // a Cyrillic letter
		"javascript:alert(1)":                                    "",
	} {
		got, err := entra.Origin(address)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("Origin(%q) = %q, %v; want %q", address, got, err, want)
		}
	}
}

func FuzzOrigin(f *testing.F) {
	f.Add("https://login.microsoftonline.com")
	f.Add("good@evil")
	f.Fuzz(func(t *testing.T, address string) {
		origin, err := entra.Origin(address)
		if err != nil {
			return
		}
		again, err := entra.Origin(origin)
		if err != nil || again != origin || !strings.HasPrefix(origin, "https://") {
			t.Errorf("Origin(%q) = %q, whose origin is %q, %v", address, origin, again, err)
		}
	})
}

func TestClouds(t *testing.T) {
	t.Parallel()
	for authority, want := range map[string]string{
		entra.DefaultAuthority: "public", "https://login.windows.net": "public", "https://login.microsoftonline.us": "usgov",
		"https://login.chinacloudapi.cn": "china", "https://127.0.0.1:8443": "",
	} {
		if cloud, ok := entra.CloudOf(authority); cloud.Name != want || ok != (want != "") {
			t.Errorf("CloudOf(%q) = %q, %v", authority, cloud.Name, ok)
		}
	}
}
