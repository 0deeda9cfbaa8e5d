package entralab_test

import (
	"testing"
)

// TestCrossOrigin is the token service as a browser's page sees it.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := lab.Healthy()
	const origin = "https://spa.example"
	token := tokenURL(lab, lab.TenantID())
	r := do(t, lab, newRequest(t, "OPTIONS", token, "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-client-sku"))
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Methods": "POST, OPTIONS", "Access-Control-Allow-Headers": "x-client-sku", "Vary": "Origin",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if r.status != 200 || r.body != "" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if _, number := errorOf(t, do(t, lab, newRequest(t, "OPTIONS", token, ""))); number != 900561 {
		t.Errorf("OPTIONS that is no preflight: %d, want 900561", number)
	}
	r = askToken(t, lab, lab.TenantID(), credentialsForm(app.ClientID, value(app)), "Origin", origin)
	if _, number := errorOf(t, r); number != 9002326 || r.header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("%d %v", number, r.header)
	}
	if r := askToken(t, lab, lab.TenantID(), credentialsForm(app.ClientID, value(app))); r.header.Get("Access-Control-Allow-Origin") != "" || r.header.Get("Vary") != "" {
		t.Errorf("without an origin: %v", r.header)
	}
	for _, path := range []string{"/v2.0/.well-known/openid-configuration", "/discovery/v2.0/keys"} {
		if r := do(t, lab, newRequest(t, "GET", lab.AuthorityURL()+"/"+lab.TenantID()+path, "", "Origin", origin)); r.status != 200 || r.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %v", path, r.header)
		}
	}
}
