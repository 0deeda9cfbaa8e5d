package entralab_test

import (
	"strings"
	"testing"
)

// TestLicence: without a premium licence the sign-in log is refused, and the
// audit log is not.
func TestLicence(t *testing.T) {
	t.Parallel()
	lab := start(t)
	token := graphToken(t, lab, lab.Operator())
	if r := graph(t, lab, token, "GET", "auditLogs/signIns", ""); r.status != 200 {
		t.Fatal(r.body)
	}
	if r := control(t, lab, "licence", `{"premium":false}`); r.status != 200 || r.body != `{"premium":false}` {
		t.Fatalf("%d %s", r.status, r.body)
	}
	r := graph(t, lab, token, "GET", "auditLogs/signIns", "")
	code, message := graphErrorOf(t, r)
	if r.status != 403 || code != "Authentication_RequestFromNonPremiumTenantOrB2CTenant" || message != "Neither tenant is B2C or tenant doesn't have premium license" {
		t.Errorf("%d %s %q", r.status, code, message)
	}
	if r := graph(t, lab, token, "GET", "auditLogs/directoryAudits", ""); r.status != 200 {
		t.Errorf("audits: %s", r.body)
	}
	if r := control(t, lab, "licence", `{"premium":true}`); r.status != 200 {
		t.Fatal(r.body)
	}
	if r := graph(t, lab, token, "GET", "auditLogs/signIns", ""); r.status != 200 {
		t.Errorf("licensed again: %s", r.body)
	}
	for _, body := range []string{`{}`, `{"premium":1}`, `{"premium":true,"x":1}`, `[`} {
		if r := control(t, lab, "licence", body); r.status != 400 || !strings.Contains(r.body, `"error"`) {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
}
