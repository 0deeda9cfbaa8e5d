package graph_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/graph"
	"github.com/credsmith/credsmith/internal/labtest"
)

// found is the app as the directory has it.
func (r *rig) found(app entralab.App) entra.App {
	r.Helper()
	found, _, err := r.client.Find(r.Context(), app.ClientID)
	if err != nil || found == nil {
		r.Fatalf("find %s: %+v, %v", app.DisplayName, found, err)
	}
	return *found
}

func TestSignIns(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.lab.Freeze(true)
	app, other := r.app("billing"), r.app("other")
	key := strings.ToLower(app.Secrets[0].KeyID)
	start := r.lab.Now()
	labtest.SignIn(t, r.lab, app, app.Secrets[0].Value.Reveal())
	r.lab.Advance(time.Hour)
	labtest.SignIn(t, r.lab, app, "wrong")
	r.lab.Advance(time.Hour)
	labtest.SignIn(t, r.lab, app, "wrong")
	labtest.SignIn(t, r.lab, app, app.Secrets[0].Value.Reveal())
	last := r.lab.Now()
	r.lab.Advance(time.Hour)
	labtest.SignIn(t, r.lab, other, "wrong")
	labtest.SignIn(t, r.lab, app, "of the diagnosis itself")

	got, err := r.client.SignIns(t.Context(), r.found(app), start.Add(-time.Hour), r.lab.Now().Truncate(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	same := func(a, b time.Time) bool { return a.Truncate(time.Second).Equal(b.Truncate(time.Second)) }
	if len(got.Accepted) != 1 || !same(got.Accepted[key], last) || !same(got.Newest, r.lab.Now()) {
		t.Errorf("accepted %v, newest %v", got.Accepted, got.Newest)
	}
	if len(got.Refused) != 1 || got.Refused[0].Count != 2 || got.Refused[0].Code != 7000215 || got.Refused[0].Address != "127.0.0.1" ||
		!same(got.Refused[0].First, start.Add(time.Hour)) || !same(got.Refused[0].Last, last) {
		t.Errorf("refused %+v", got.Refused)
	}
	// A shorter stretch leaves the early ones out.
	if got, err = r.client.SignIns(t.Context(), r.found(app), last, r.lab.Now().Truncate(time.Second)); err != nil || len(got.Refused) != 1 || got.Refused[0].Count != 1 {
		t.Errorf("since %s: %+v, %v", last, got, err)
	}
	uses, err := r.client.LastUses(t.Context(), r.found(app))
	if err != nil || len(uses) != 1 || !same(uses[key], last) {
		t.Errorf("last uses %v, %v", uses, err)
	}
	// A log that lags shows up to where it has come.
	labtest.Control(t, r.lab, "delay", `{"signin_lag":"90m"}`)
	if got, err = r.client.SignIns(t.Context(), r.found(app), start.Add(-time.Hour), r.lab.Now().Truncate(time.Second)); err != nil || !same(got.Newest, start.Add(time.Hour)) || !same(got.Accepted[key], start) {
		t.Errorf("a log that lags: %+v, %v", got, err)
	}
	labtest.Control(t, r.lab, "delay", `{"signin_lag":"24h"}`)
	if got, err = r.client.SignIns(t.Context(), r.found(app), start.Add(-time.Hour), r.lab.Now().Truncate(time.Second)); err != nil || !got.Newest.IsZero() || len(got.Accepted)+len(got.Refused) != 0 {
		t.Errorf("an empty log: %+v, %v", got, err)
	}
}

// TestSignInsBounded: a long log is read so far, and says how far.
func TestSignInsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	pages := 0
	r.intercept = func(req *http.Request) *http.Response {
		if req.URL.Path != "/beta/auditLogs/signIns" {
			return nil
		}
		var entries []string
		for range 1000 {
			at = at.Add(-time.Second)
			entries = append(entries, `{"createdDateTime":"`+at.Format(time.RFC3339)+`","status":{"errorCode":0},"servicePrincipalCredentialKeyId":null}`)
		}
		pages++
		return reply(200, fmt.Sprintf(`{"value":[%s],"@odata.nextLink":"%s/beta/auditLogs/signIns?page=%d"}`, strings.Join(entries, ","), r.lab.GraphURL(), pages))
	}
	got, err := r.client.SignIns(t.Context(), entra.App{ClientID: "x"}, at.AddDate(0, 0, -7), at)
	if err != nil || len(got.Accepted) != 0 || pages != 7 || !got.Since.After(at.AddDate(0, 0, -7)) {
		t.Errorf("%d pages, %+v, %v", pages, got, err)
	}
}

// TestUnseen: what cannot be read is never taken for empty.
func TestUnseen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	app := r.found(r.app("billing"))
	weak, err := r.lab.AddApp(entralab.AppSpec{DisplayName: "weak", Permissions: []string{"Application.Read.All"}, Secrets: []entralab.SecretSpec{{}}})
	if err != nil {
		t.Fatal(err)
	}
	calls := func() map[string]error {
		_, logErr := r.client.SignIns(t.Context(), app, time.Now().Add(-time.Hour), time.Now())
		_, usesErr := r.client.LastUses(t.Context(), app)
		_, policyErr := r.client.SecretPolicy(t.Context(), app)
		_, changesErr := r.client.Changes(t.Context(), app)
		_, consentErr := r.client.Consents(t.Context(), app)
		return map[string]error{"log": logErr, "uses": usesErr, "policy": policyErr, "changes": changesErr, "consents": consentErr}
	}
	check := func(want map[string]string) {
		t.Helper()
		for name, err := range calls() {
			u, ok := errors.AsType[*entra.Unseen](err)
			if want[name] == "" && err != nil || want[name] != "" && (!ok || u.Error() != want[name]) {
				t.Errorf("%s: %v, want %q", name, err, want[name])
			}
		}
	}
	check(map[string]string{})
	labtest.Control(t, r.lab, "licence", `{"premium":false}`)
	const licence = " cannot be seen: the tenant has no premium licence, or is a B2C tenant; it needs Microsoft Entra ID P1"
	check(map[string]string{"log": "the sign-in log" + licence, "uses": "the report of credential use" + licence})
	labtest.Control(t, r.lab, "licence", `{"premium":true}`)
	r.client = r.as(weak)
	const denied = " cannot be seen: the operator may not read it (Authorization_RequestDenied); it needs "
	check(map[string]string{
		"log": "the sign-in log" + denied + "AuditLog.Read.All", "uses": "the report of credential use" + denied + "AuditLog.Read.All",
		"policy": "the app management policies" + denied + "Policy.Read.All", "changes": "the audit log" + denied + "AuditLog.Read.All",
		"consents": "the app's delegated permissions" + denied + "Directory.Read.All",
	})
	// Trouble of another kind names no permission.
	r.intercept = func(req *http.Request) *http.Response {
		if strings.HasPrefix(req.URL.Path, "/beta/") {
			return reply(404, `{"error":{"code":"UnknownError","message":"not in this cloud\nat all"}}`)
		}
		return nil
	}
	if got := calls()["log"].Error(); got != "the sign-in log cannot be seen: GET /beta/auditLogs/signIns: HTTP 404 UnknownError: not in this cloud at all" {
		t.Error(got)
	}
}

func TestSecretPolicy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	check := func(app entralab.App, want entra.SecretPolicy) {
		t.Helper()
		got, err := r.client.SecretPolicy(t.Context(), r.found(app))
		if err != nil || got != want {
			t.Errorf("policy %+v, %v, want %+v", got, err, want)
		}
	}
	const zero = "00000000-0000-0000-0000-000000000000"
	check(r.app("free"), entra.SecretPolicy{ID: zero, OfTenant: true})
	for _, c := range []struct {
		kind, members string
		want          entra.SecretPolicy
	}{
		{"passwordAddition", "", entra.SecretPolicy{ForbidsNew: true}},
		{"passwordAddition", `,"excludeActors":{"customSecurityAttributes":[]}`, entra.SecretPolicy{ForbidsNew: true, Exempts: true}},
		{"passwordAddition", `,"restrictForAppsCreatedAfterDateTime":"2020-01-01T00:00:00Z"`, entra.SecretPolicy{ForbidsNew: true}},
		{"passwordAddition", `,"restrictForAppsCreatedAfterDateTime":"2999-01-01T00:00:00Z"`, entra.SecretPolicy{}},
		{"passwordLifetime", `,"maxLifetime":"P90D"`, entra.SecretPolicy{MaxLifetime: "P90D"}},
		{"customPasswordAddition", "", entra.SecretPolicy{}},
	} {
		app := r.app(c.kind)
		c.want.ID, c.want.Name = labtest.Restrict(t, r.lab, app, c.kind, c.members), "no secrets"
		check(app, c.want)
	}
	// The lab refuses what the policy is said to forbid.
	app := r.app("forbidden")
	labtest.Restrict(t, r.lab, app, "passwordAddition", "")
	_, _, err := r.client.Mint(t.Context(), entra.OnApplication, app.ObjectID, "x", r.lab.Now().AddDate(0, 1, 0))
	if e, ok := errors.AsType[*graph.Error](err); !ok || e.Code != "CredentialTypeNotAllowedAsPerAppPolicy" {
		t.Errorf("mint: %v", err)
	}
}

// TestTenantPolicy: the tenant's default counts for apps without one of their
// own, and has rules of its own for service principals.
func TestTenantPolicy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const rule = `{"passwordCredentials":[{"restrictionType":"passwordAddition","state":"%s"}]}`
	r.intercept = func(req *http.Request) *http.Response {
		if req.URL.Path != "/v1.0/policies/defaultAppManagementPolicy" {
			return nil
		}
		return reply(200, `{"id":"z","isEnabled":true,"applicationRestrictions":`+fmt.Sprintf(rule, "enabled")+`,"servicePrincipalRestrictions":`+fmt.Sprintf(rule, "disabled")+`}`)
	}
	app := r.found(r.app("billing"))
	for _, objectID := range []string{app.ObjectID, ""} {
		app.ObjectID = objectID
		got, err := r.client.SecretPolicy(t.Context(), app)
		if want := (entra.SecretPolicy{ID: "z", OfTenant: true, ForbidsNew: objectID != ""}); err != nil || got != want {
			t.Errorf("policy %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestGrants(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	app, err := r.lab.AddApp(entralab.AppSpec{DisplayName: "mailer", Permissions: []string{"Mail.Send", "User.Read.All", "IMAP.AccessAsApp"}, Secrets: []entralab.SecretSpec{{}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.client.Grants(t.Context(), r.found(app))
	want := []entra.Grant{{Resource: "Microsoft Graph", Permission: "Mail.Send"}, {Resource: "Microsoft Graph", Permission: "User.Read.All"}, {Resource: "Office 365 Exchange Online", Permission: "IMAP.AccessAsApp"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("grants %+v, %v", got, err)
	}
	// Where names cannot be read, ids stand for them.
	r.intercept = func(req *http.Request) *http.Response {
		if req.URL.Query().Get("$select") == "id,appRoles" {
			return reply(403, "{}")
		}
		return nil
	}
	if got, err = r.client.Grants(t.Context(), r.found(app)); err != nil || len(got) != 3 || !entra.IsGUID(got[0].Permission) {
		t.Errorf("grants without names %+v, %v", got, err)
	}
	r.intercept = func(req *http.Request) *http.Response {
		if strings.HasSuffix(req.URL.Path, "/oauth2PermissionGrants") {
			return reply(200, `{"value":[{"scope":" User.Read  Mail.Read","resourceId":"g"}]}`)
		}
		return nil
	}
	if got, err = r.client.Consents(t.Context(), r.found(app)); err != nil || !slices.Equal(got, []entra.Grant{{Resource: "g", Permission: "Mail.Read"}, {Resource: "g", Permission: "User.Read"}}) {
		t.Errorf("consents %+v, %v", got, err)
	}
	none := r.found(r.app("none"))
	if got, err = r.client.Grants(t.Context(), none); err != nil || len(got) != 0 {
		t.Errorf("no grants: %+v, %v", got, err)
	}
	none.ServicePrincipal = nil
	if got, err = r.client.Grants(t.Context(), none); err != nil || got != nil {
		t.Errorf("no service principal: %+v, %v", got, err)
	}
}
