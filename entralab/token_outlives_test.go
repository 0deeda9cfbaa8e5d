package entralab_test

import (
	"testing"
	"time"
)

// TestTokensOutliveSecrets: removing a secret ends no token.
func TestTokensOutliveSecrets(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := lab.Operator()
	token := graphToken(t, lab, app)
	if r := control(t, lab, "portal", `{"action":"delete-secret","app":"`+app.ObjectID+`","key_id":"`+app.Secrets[0].KeyID+`"}`); r.status != 204 {
		t.Fatal(r.body)
	}
	if got := code(t, lab, app.ClientID, value(app)); got != 7000215 {
		t.Errorf("the removed secret: code %d, want 7000215", got)
	}
	lab.Advance(3590 * time.Second)
	if r := graph(t, lab, token, "GET", "applications", ""); r.status != 200 {
		t.Errorf("the token: %s", r.body)
	}
	lab.Advance(10 * time.Minute)
	if r := graph(t, lab, token, "GET", "applications", ""); r.status != 401 {
		t.Errorf("the token after its end: status %d, want 401", r.status)
	}
}
