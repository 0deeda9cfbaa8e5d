package cli

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestDirectoryOfTenant: each setting is looked up in its own tenant, with the
// identity for it.
func TestDirectoryOfTenant(t *testing.T) {
	t.Parallel()
	const first, second, plain = "7f1c0000-0000-4000-8000-0000000000a1", "7f1c0000-0000-4000-8000-0000000000a2", "7f1c0000-0000-4000-8000-0000000000a3"
	file := filepath.Join(t.TempDir(), "c.yaml")
	text := "tenants:\n" +
		"  plain: {tenant_id: " + plain + "}\n" +
		"  first: {tenant_id: " + first + ", identity: {managed_identity: true}}\n" +
		"  second: {tenant_id: " + second + ", cloud: usgov, identity: {client_id: " + clientID(1) + ", secret: \"${env:S}\"}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"S": "x"}
	p := &program{config: configFlag{file}, Env: Env{LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}}
	open := func(f doctorFlags) *directory {
		t.Helper()
		d, err := p.directory(t.Context(), f, http.DefaultClient)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	expect := func(d *directory, wants map[string]string) {
		t.Helper()
		for tenant, want := range wants {
			r, err := d.reader(t.Context(), tenant)
			if err != nil || r == nil || r.TenantID() != want {
				t.Errorf("tenant %s is read in %+v, %v, want %s", tenant, r, err, want)
			}
		}
	}
	d := open(doctorFlags{})
	expect(d, map[string]string{second: second, first: first, "contoso.com": first, plain: first})
	if got := d.tenants(); !slices.Equal(got, []string{first, second}) {
		t.Errorf("tenants %v", got)
	}
	// A tenant without an identity of its own takes that of the environment,
	// if it is the same tenant at the same login host.
	env["CREDSMITH_OPERATOR_CLIENT_ID"], env["CREDSMITH_OPERATOR_CLIENT_SECRET"], env["CREDSMITH_OPERATOR_TENANT_ID"] = clientID(2), "y", plain
	expect(open(doctorFlags{}), map[string]string{plain: plain, "contoso.com": plain, first: first})
	env["CREDSMITH_OPERATOR_AUTHORITY_HOST"] = "https://login.microsoftonline.us"
	expect(open(doctorFlags{}), map[string]string{plain: first})
	env["CREDSMITH_OPERATOR_AUTHORITY_HOST"], env["CREDSMITH_OPERATOR_TENANT_ID"] = "", first
	expect(open(doctorFlags{}), map[string]string{plain: first})
	for _, f := range []doctorFlags{{offline: true}, {graphSet: true}} {
		if r, err := open(f).reader(t.Context(), first); r != nil || err != nil {
			t.Errorf("%+v: %v, %v", f, r, err)
		}
	}
}
