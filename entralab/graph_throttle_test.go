package entralab_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// throttled checks a 429 and returns the seconds it asks for.
func throttled(t *testing.T, r reply, scope, information string) string {
	t.Helper()
	code, message := graphErrorOf(t, r)
	if r.status != http.StatusTooManyRequests || code != "TooManyRequests" || !strings.HasPrefix(message, "Too many requests from Identifier:") || !strings.HasSuffix(message, ". Please try again later.") {
		t.Fatalf("%d %s %q", r.status, code, message)
	}
	if got := r.header.Get("X-Ms-Throttle-Scope"); got != scope {
		t.Errorf("scope %q, want %q", got, scope)
	}
	if got := r.header.Get("X-Ms-Throttle-Information"); got != information {
		t.Errorf("information %q, want %q", got, information)
	}
	return r.header.Get("Retry-After")
}

// TestReportsAreThrottled: five requests in ten seconds, by the lab's clock.
func TestReportsAreThrottled(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	operator := lab.Operator()
	token := graphToken(t, lab, operator)
	ask := func() reply { return graph(t, lab, token, "GET", "auditLogs/directoryAudits?$top=1", "") }
	for range 10 {
		if r := ask(); r.status != 200 || r.header.Get("X-Ms-Throttle-Limit-Percentage") != "" {
			t.Fatalf("a calm lab: %d %v", r.status, r.header)
		}
	}
	if r := control(t, lab, "throttle", `{"on":true}`); r.status != 200 || r.body != `{"on":true}` {
		t.Fatalf("%d %s", r.status, r.body)
	}
	scope := "Tenant_Application/ReadWrite/" + operator.ClientID + "/" + lab.TenantID()
	for i := range 5 {
		r := ask()
		want := ""
		if i == 4 { // above 0.8 only
			want = "1"
		}
		if got := r.header.Get("X-Ms-Throttle-Limit-Percentage"); r.status != 200 || got != want {
			t.Errorf("request %d: %d, %q of the limit, want %q", i, r.status, got, want)
		}
	}
	if got := throttled(t, ask(), scope, "ResourceUnitLimitExceeded"); got != "2" {
		t.Errorf("Retry-After %s, want 2", got)
	}
	lab.Advance(1999 * time.Millisecond)
	if got := throttled(t, ask(), scope, "ResourceUnitLimitExceeded"); got != "1" {
		t.Errorf("Retry-After %s, want 1", got)
	}
	lab.Advance(time.Millisecond)
	if r := ask(); r.status != 200 {
		t.Errorf("after the wait: %s", r.body)
	}
	lab.Advance(-time.Second)
	throttled(t, ask(), scope, "ResourceUnitLimitExceeded")
	// Others are not concerned: another app, another kind of request.
	other := addApp(t, lab, entralab.AppSpec{Permissions: []string{"AuditLog.Read.All"}})
	if r := graph(t, lab, graphToken(t, lab, other), "GET", "auditLogs/directoryAudits", ""); r.status != 200 {
		t.Errorf("another app: %s", r.body)
	}
	if r := graph(t, lab, token, "GET", "applications", ""); r.status != 200 {
		t.Errorf("applications: %s", r.body)
	}
	// Each request of a batch is throttled on its own.
	batch := graph(t, lab, token, "POST", "$batch", `{"requests":[{"id":"1","method":"GET","url":"/auditLogs/directoryAudits"},{"id":"2","method":"GET","url":"/organization"}]}`)
	if batch.status != 200 || !strings.Contains(batch.body, `{"id":"1","status":429,"headers":{"Cache-Control":"no-cache","X-Ms-Resource-Unit":"1","Retry-After":"`) || !strings.Contains(batch.body, `{"id":"2","status":200,"headers":{"Cache-Control":"no-cache","X-Ms-Resource-Unit":"1","Content-Type":`) {
		t.Errorf("%d %s", batch.status, batch.body)
	}
	if r := control(t, lab, "throttle", `{"on":false}`); r.status != 200 {
		t.Fatal(r.body)
	}
	if r := ask(); r.status != 200 {
		t.Errorf("calm again: %s", r.body)
	}
	for _, body := range []string{`{}`, `{"on":"yes"}`, `{"on":true,"x":1}`} {
		if r := control(t, lab, "throttle", body); r.status != 400 {
			t.Errorf("%s: %d", body, r.status)
		}
	}
}

func TestPersonalWritesAreThrottled(t *testing.T) {
	t.Parallel()
	lab := startWith(t, entralab.Config{InProcess: true, Throttling: true})
	lab.Freeze(true)
	operator := lab.Operator()
	token := graphToken(t, lab, operator)
	personal := addApp(t, lab, entralab.AppSpec{SignInAudience: "AzureADandPersonalMicrosoftAccount"})
	write := func(path string) reply { return graph(t, lab, token, "PATCH", path, `{"notes":"x"}`) }
	for i := range 60 {
		if r := write("applications(appId='" + personal.ClientID + "')"); r.status != 204 || r.header.Get("X-Ms-Resource-Unit") != "1" {
			t.Fatalf("write %d: %d %s", i, r.status, r.body)
		}
	}
	if got := throttled(t, write("applications/"+personal.ObjectID), "Tenant_Application/ReadWrite/"+operator.ClientID+"/"+lab.TenantID(), "WriteLimitExceeded"); got != "1" {
		t.Errorf("Retry-After %s, want 1", got)
	}
	if r := write("applications/" + lab.Healthy().ObjectID); r.status != 204 {
		t.Errorf("an app of the organization: %s", r.body)
	}
	lab.Advance(time.Second)
	if r := write("applications/" + personal.ObjectID); r.status != 204 {
		t.Errorf("a second later: %s", r.body)
	}
}

// TestUnitsAreThrottled spends the 3,500 units of a small tenant.
func TestUnitsAreThrottled(t *testing.T) {
	t.Parallel()
	lab := startWith(t, entralab.Config{InProcess: true, Throttling: true})
	lab.Freeze(true)
	operator := lab.Operator()
	token := graphToken(t, lab, operator)
	for i := range 1750 {
		r := graph(t, lab, token, "GET", "applications?$filter=id+eq+'x'", "")
		if share := r.header.Get("X-Ms-Throttle-Limit-Percentage"); r.status != 200 || (share != "") != (i >= 1400) {
			t.Fatalf("request %d: %d, share %q: %s", i, r.status, share, r.body)
		}
	}
	if got := throttled(t, graph(t, lab, token, "GET", "organization", ""), "Tenant_Application/ReadWrite/"+operator.ClientID+"/"+lab.TenantID(), "ResourceUnitLimitExceeded"); got != "1" {
		t.Errorf("Retry-After %s, want 1", got)
	}
	lab.Advance(10 * time.Second)
	for i := range 150 {
		if r := graph(t, lab, token, "GET", "applications?$select=keyCredentials,id&$top=1", ""); r.status != 200 {
			t.Fatalf("request %d: %s", i, r.body)
		}
	}
	throttled(t, graph(t, lab, token, "GET", "applications?$select=id,keyCredentials", ""), "Tenant/Read/"+lab.TenantID(), "ResourceUnitLimitExceeded")
	if r := graph(t, lab, token, "GET", "applications?$select=passwordCredentials", ""); r.status != 200 {
		t.Errorf("secrets are not limited like this: %s", r.body)
	}
}

func TestCosts(t *testing.T) {
	t.Parallel()
	lab := start(t)
	token := graphToken(t, lab, lab.Operator())
	sp := lab.Operator().ServicePrincipalID
	for path, want := range map[string]int{
		"applications": 2, "applications?$select=id": 1, "applications?$top=19": 1, "applications?$top=20": 2, "applications?$expand=owners": 3, "applications?$select=id&$top=5": 1,
		"applications?$select=id&$expand=owners": 2, "servicePrincipals/" + sp + "/appRoleAssignments": 2, "oauth2PermissionGrants": 2, "servicePrincipals": 1, "organization": 1,
		"applications/" + lab.Healthy().ObjectID: 1, "applications/nothing": 1,
	} {
		if got := graph(t, lab, token, "GET", path, "").header.Get("X-Ms-Resource-Unit"); got != fmt.Sprint(want) {
			t.Errorf("%s: %q units, want %d", path, got, want)
		}
	}
	if got := graph(t, lab, token, "POST", "applications", `{"displayName":"x"}`).header.Get("X-Ms-Resource-Unit"); got != "1" {
		t.Errorf("a write: %q units", got)
	}
}

// TestProfilesThrottle: rude and hostile hold callers to the documented limits,
// beside the rules of the profile and until they are told not to.
func TestProfilesThrottle(t *testing.T) {
	t.Parallel()
	for profile, throttles := range map[string]bool{"": false, entralab.ProfileCalm: false, entralab.ProfileRude: true, entralab.ProfileHostile: true} {
		lab := startWith(t, entralab.Config{InProcess: true, Profile: profile})
		lab.RemoveFaults()
		lab.Freeze(true)
		operator := lab.Operator()
		token := graphToken(t, lab, operator)
		ask := func() reply { return graph(t, lab, token, "GET", "auditLogs/directoryAudits?$top=1", "") }
		for i := range 5 {
			if r := ask(); r.status != 200 {
				t.Errorf("%q, request %d: %d", profile, i, r.status)
			}
		}
		if r := ask(); !throttles && r.status != 200 {
			t.Errorf("%q throttles: %d", profile, r.status)
		} else if throttles && throttled(t, r, "Tenant_Application/ReadWrite/"+operator.ClientID+"/"+lab.TenantID(), "ResourceUnitLimitExceeded") != "2" {
			t.Errorf("%q: Retry-After %s, want 2", profile, r.header.Get("Retry-After"))
		}
		control(t, lab, "throttle", `{"on":false}`)
		if r := ask(); r.status != 200 {
			t.Errorf("%q, turned off: %d", profile, r.status)
		}
	}
}
