package entralab_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

func TestSignIns(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	expired := entralab.SecretSpec{Start: lab.Now().AddDate(0, -2, 0), End: lab.Now().AddDate(0, -1, 0), At: lab.Now().AddDate(0, -2, 0)}
	app := addApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{{}, expired}})
	c := callAs(t, lab, lab.Operator())
	code(t, lab, app.ClientID, value(app))
	code(t, lab, app.ClientID, "wrong")
	code(t, lab, app.ClientID, app.Secrets[1].Value.Reveal())
	// What a user does through the app is in no log of service principals.
	resp, err := lab.Client().PostForm(lab.AuthorityURL()+"/"+lab.TenantID()+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"refresh_token"}, "client_id": {app.ClientID}, "client_secret": {value(app)}, "refresh_token": {"none"},
	})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	list := func(version, filter string) []any {
		t.Helper()
		r := do(t, lab, newRequest(t, "GET", lab.GraphURL()+"/"+version+"/auditLogs/signIns?$filter="+url.QueryEscape(filter), "", "Authorization", "Bearer "+c.token))
		if r.status != 200 {
			t.Fatalf("%s: %s", filter, r.body)
		}
		return r.object(t)["value"].([]any)
	}
	mine := "appId eq '" + app.ClientID + "'"
	asked := mine + " and signInEventTypes/any(t: t eq 'servicePrincipal')"
	got := list("beta", asked+" and createdDateTime ge "+lab.Now().Add(-time.Hour).Format(time.RFC3339))
	if len(got) != 3 {
		t.Fatalf("%d sign-ins, want 3: %v", len(got), got)
	}
	for i, want := range []struct {
		code float64
		key  any
	}{{7000222, nil}, {7000215, nil}, {0, app.Secrets[0].KeyID}} { // newest first
		entry := got[i].(map[string]any)
		if entry["status"].(map[string]any)["errorCode"] != want.code || entry["servicePrincipalCredentialKeyId"] != want.key || entry["servicePrincipalId"] != app.ServicePrincipalID {
			t.Errorf("entry %d: %v", i, entry)
		}
	}
	for version, filter := range map[string]string{"v1.0": asked, "beta": mine} {
		if got := list(version, filter); len(got) != 0 {
			t.Errorf("%s %s: %v", version, filter, got)
		}
	}
	if got := list("beta", mine+" and signInEventTypes/any(t: t eq 'managedIdentity')"); len(got) != 0 {
		t.Errorf("managed identities: %v", got)
	}

	if r := control(t, lab, "delay", `{"signin_lag":"5m","audit_lag":"2m"}`); r.status != 200 || r.body != `{"accept":"0s","remove":"0s","replicas":1,"signin_lag":"5m0s","audit_lag":"2m0s"}` {
		t.Fatalf("%d %s", r.status, r.body)
	}
	entries := func() int {
		return len(auditsOf(t, lab, c.token, "targetResources/any(t:t/id eq '"+app.ObjectID+"') and activityDisplayName eq 'Add application'"))
	}
	if n, m := len(list("beta", asked)), entries(); n != 0 || m != 0 {
		t.Errorf("%d sign-ins and %d audit entries at once", n, m)
	}
	lab.Advance(2 * time.Minute)
	if n, m := len(list("beta", asked)), entries(); n != 0 || m == 0 {
		t.Errorf("%d sign-ins and %d audit entries after two minutes", n, m)
	}
	lab.Advance(3 * time.Minute)
	if n := len(list("beta", asked)); n != 3 {
		t.Errorf("%d sign-ins after five minutes", n)
	}
	if r := control(t, lab, "delay", `{"signin_lag":"-5m"}`); r.status != 400 {
		t.Errorf("a negative lag: %d", r.status)
	}
}
