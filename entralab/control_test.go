package entralab_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

func TestControlRefusesWebPages(t *testing.T) {
	t.Parallel()
	lab := start(t)
	before := lab.Now()
	for _, tc := range []struct {
		name, method, path, origin, contentType string
		want                                    int
	}{
		{"read by a page", "GET", "state", "https://evil.example", "", 403},
		{"read by a sandboxed page", "GET", "history", "null", "", 403},
		{"write by a page", "POST", "clock", "http://control.lab.test", "application/json", 403},
		{"write by a form", "POST", "clock", "", "application/x-www-form-urlencoded", 415},
		{"write by a plain form", "POST", "clock", "", "text/plain", 415},
		{"write of unknown type", "POST", "portal", "", "", 415},
		{"a fault by a form", "POST", "faults", "", "text/plain", 415},
		{"faults removed by a page", "DELETE", "faults", "https://evil.example", "", 403},
		{"invariants read by a page", "GET", "invariants", "https://evil.example", "", 403},
		{"wrong method", "PUT", "clock", "", "application/json", 404},
	} {
		r := newRequest(t, tc.method, lab.ControlURL()+"/control/"+tc.path, `{"advance":"48h"}`)
		if tc.origin != "" {
			r.Header.Set("Origin", tc.origin)
		}
		if tc.contentType != "" {
			r.Header.Set("Content-Type", tc.contentType)
		}
		got := do(t, lab, r)
		if got.status != tc.want || got.object(t)["error"] == "" || got.header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s: %d %s, want %d", tc.name, got.status, got.body, tc.want)
		}
	}
	if lab.Now().Sub(before) > time.Hour {
		t.Error("the clock moved")
	}
}

func TestForeignHosts(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]entralab.Config{"in process": {InProcess: true}, "sockets": {}} {
		lab := startWith(t, cfg)
		for _, origin := range []string{lab.AuthorityURL(), lab.GraphURL(), lab.VaultURL(), lab.ControlURL()} {
			for host, want := range map[string]int{
				"login.microsoftonline.com": 421, "graph.microsoft.com:443": 421, "login.microsoftonline.us": 421, "attacker.example": 421,
				"localhost:1234": 404, "127.0.0.1": 404, "[::1]:5": 404, "login.lab.test": 404,
			} {
				r := newRequest(t, "GET", origin+"/nothing", "")
				r.Host = host
				got := do(t, lab, r)
				if want == 404 && got.status == 401 { // Graph and Key Vault ask for a token first
					continue
				}
				if got.status != want {
					t.Errorf("%s: %s as %s: status %d, want %d", name, origin, host, got.status, want)
				}
				if want == 421 && got.object(t)["error"] == nil {
					t.Errorf("%s: body %s", name, got.body)
				}
			}
		}
	}
}

func TestControlClock(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	lab.Set(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC))
	for _, step := range []struct{ body, want string }{
		{`{"advance":"48h"}`, "2026-12-03T00:00:00Z"},
		{`{"advance":"-30d"}`, "2026-11-03T00:00:00Z"},
		{`{"advance":"8s"}`, "2026-11-03T00:00:08Z"},
		{`{"set":"2027-01-01T01:00:00+01:00"}`, "2027-01-01T00:00:00Z"},
		{`{"freeze":true}`, "2027-01-01T00:00:00Z"},
		{`{"set":"9999-01-01T00:00:00Z"}`, "2200-01-01T00:00:00Z"},
	} {
		if r := control(t, lab, "clock", step.body); r.status != 200 || r.body != `{"now":"`+step.want+`"}` {
			t.Errorf("%s: %d %s, want %s", step.body, r.status, r.body, step.want)
		}
	}
	for body, want := range map[string]string{
		`{"advanse":"48h"}`: `json: unknown field "advanse"`, `{}`: "send one of advance, set and freeze", `{"advance":"1h","freeze":true}`: "send one of advance, set and freeze",
		`{"advance":"1y"}`:        `advance: "1y" is not a duration such as "8s", "48h" or "-30d"`,
		`{"advance":"99999999d"}`: `advance: "99999999d" is not a number of days up to 36500`,
		`{"freeze":true} {}`:      "more than one JSON value",
	} {
		if r := control(t, lab, "clock", body); r.status != 400 || r.object(t)["error"] != want {
			t.Errorf("%s: %d %s, want %s", body, r.status, r.body, want)
		}
	}
	for _, body := range []string{``, `null`, `[]`, `{`, `{"set":"tomorrow"}`, `{"advance":3}`, `{"freeze":"yes"}`, `"` + strings.Repeat("x", 1<<20) + `"`} {
		if r := control(t, lab, "clock", body); r.status != 400 {
			t.Errorf("%.40s: status %d", body, r.status)
		}
	}
}

func TestControlDelay(t *testing.T) {
	t.Parallel()
	lab := start(t)
	for body, want := range map[string]string{
		`{"accept":"8s","remove":"30s","replicas":3}`: `{"accept":"8s","remove":"30s","replicas":3}`,
		`{"accept":"1d"}`: `{"accept":"24h0m0s","remove":"0s","replicas":1}`,
		`{}`:              `{"accept":"0s","remove":"0s","replicas":1}`,
	} {
		if r := control(t, lab, "delay", body); r.status != 200 || r.body != want {
			t.Errorf("%s: %d %s, want %s", body, r.status, r.body, want)
		}
	}
	for _, body := range []string{`{"accept":"-1s"}`, `{"remove":"soon"}`, `{"replicas":-1}`, `{"replicas":1.5}`, `{"acept":"1s"}`} {
		if r := control(t, lab, "delay", body); r.status != 400 {
			t.Errorf("%s: status %d: %s", body, r.status, r.body)
		}
	}
	if r := control(t, lab, "delay", `{"accept":"1m"}`); r.status != 200 {
		t.Fatal(r.body)
	}
	secret := mint(t, lab, lab.Healthy(), entralab.SecretSpec{})
	if got := code(t, lab, lab.Healthy().ClientID, secret.Value.Reveal()); got != 7000215 {
		t.Errorf("the delay is not in force: %d", got)
	}
}

func TestPortalSecrets(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	now := lab.Now()
	app := lab.Healthy()
	lab.SetDelay(entralab.Delay{Accept: time.Hour})
	old := control(t, lab, "portal", `{"action":"add-secret","app":"`+app.ObjectID+`","display_name":"by hand","end":"`+now.AddDate(1, 0, 0).Format(time.RFC3339)+`","at":"-30d"}`)
	secret := old.object(t)
	if old.status != 200 || secret["displayName"] != "by hand" || secret["startDateTime"] != now.AddDate(0, 0, -30).Format("2006-01-02T15:04:05.9999999Z") {
		t.Fatalf("%d %s", old.status, old.body)
	}
	if !strings.HasPrefix(old.body, `{"@odata.context":"`+lab.GraphURL()+`/v1.0/$metadata#microsoft.graph.passwordCredential","customKeyIdentifier":null,`) {
		t.Errorf("not as addPassword answers: %s", old.body)
	}
	if got := code(t, lab, app.ClientID, secret["secretText"].(string)); got != 0 {
		t.Errorf("a secret of 30 days ago: %d", got)
	}
	expired := control(t, lab, "portal", `{"action":"add-secret","app":"`+app.ObjectID+`","start":"2020-01-01T00:00:00Z","end":"2021-01-01T00:00:00Z","at":"-30d"}`).object(t)
	if got := code(t, lab, app.ClientID, expired["secretText"].(string)); got != 7000222 {
		t.Errorf("a secret that ended in 2021: %d, want 7000222", got)
	}
	if r := control(t, lab, "portal", `{"action":"delete-secret","app":"`+app.ObjectID+`","key_id":"`+secret["keyId"].(string)+`"}`); r.status != 204 || r.body != "" {
		t.Errorf("delete-secret: %d %s", r.status, r.body)
	}
	if got := code(t, lab, app.ClientID, secret["secretText"].(string)); got != 7000215 {
		t.Errorf("the deleted secret: %d, want 7000215", got)
	}
	personal := addApp(t, lab, entralab.AppSpec{SignInAudience: "PersonalMicrosoftAccount", Secrets: []entralab.SecretSpec{{}, {}}})
	if r := control(t, lab, "portal", `{"action":"add-secret","app":"`+personal.ObjectID+`"}`); r.status != 409 {
		t.Errorf("a third secret: %d", r.status)
	}
}

func TestPortalActions(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := lab.Healthy()
	bare := addApp(t, lab, entralab.AppSpec{NoServicePrincipal: true})
	ask := func() int { return code(t, lab, app.ClientID, value(app)) }
	roles := func() any {
		r := askToken(t, lab, lab.TenantID(), credentialsForm(app.ClientID, value(app)))
		return part(t, r.object(t)["access_token"], 1)["roles"]
	}
	operator := lab.Operator().ServicePrincipalID
	for _, step := range []struct {
		action, rest string
		status       int
		check        func() bool
	}{
		{"disable-app", ``, 204, func() bool { return ask() == 7000112 }},
		{"enable-app", ``, 204, func() bool { return ask() == 0 }},
		{"restore-app", ``, 404, nil},
		{"delete-app", ``, 204, func() bool { return ask() == 700016 }},
		{"delete-app", ``, 404, nil},
		{"rename", `,"display_name":"x"`, 404, nil},
		{"restore-app", ``, 204, func() bool { return ask() == 0 }},
		{"rename", `,"display_name":" new name "`, 204, func() bool { return strings.Contains(stateOf(t, lab), `"new name"`) }},
		{"rename", `,"display_name":" "`, 400, nil},
		{"add-owner", `,"owner":"` + operator + `"`, 204, func() bool { return strings.Contains(stateOf(t, lab), `"owners":["`+operator+`"]`) }},
		{"add-owner", `,"owner":"` + operator + `"`, 409, nil},
		{"add-owner", `,"owner":"` + app.ObjectID + `"`, 404, nil},
		{"remove-owner", `,"owner":"` + operator + `"`, 204, func() bool { return !strings.Contains(stateOf(t, lab), `"owners":["`) }},
		{"remove-owner", `,"owner":"` + operator + `"`, 404, nil},
		{"grant", `,"permission":"mail.send"`, 204, func() bool { return reflect.DeepEqual(roles(), []any{"User.Read.All", "Mail.Send"}) }},
		{"grant", `,"permission":"Mail.Send"`, 409, nil},
		{"grant", `,"permission":"Everything.Do"`, 400, nil},
		{"revoke", `,"permission":"User.Read.All"`, 204, func() bool { return reflect.DeepEqual(roles(), []any{"Mail.Send"}) }},
		{"revoke", `,"permission":"User.Read.All"`, 404, nil},
		{"delete-secret", `,"key_id":"x"`, 404, nil},
		{"delete-secret", ``, 400, nil},
		{"delete-app", `,"key_id":"x"`, 400, nil},
		{"add-secret", `,"at":"1h"`, 400, nil},
		{"add-secret", `,"at":"yesterday"`, 400, nil},
		{"add-secret", `,"end":"2001-01-01T00:00:00Z"`, 400, nil},
		{"explode", ``, 400, nil},
		{"rename", `,"name":"x"`, 400, nil},
	} {
		r := control(t, lab, "portal", `{"action":"`+step.action+`","app":"`+app.ObjectID+`"`+step.rest+`}`)
		if r.status != step.status {
			t.Errorf("%s %s: %d %s, want %d", step.action, step.rest, r.status, r.body, step.status)
		}
		if step.check != nil && !step.check() {
			t.Errorf("%s %s had no effect", step.action, step.rest)
		}
	}
	if r := control(t, lab, "portal", `{"action":"grant","app":"`+bare.ObjectID+`","permission":"Mail.Send"}`); r.status != 409 {
		t.Errorf("grant without service principal: %d", r.status)
	}
	// The object id is meant, not the client id.
	if r := control(t, lab, "portal", `{"action":"disable-app","app":"`+app.ClientID+`"}`); r.status != 404 {
		t.Errorf("by client id: %d", r.status)
	}
	if r := control(t, lab, "portal", `{"action":"rename","app":"`+app.ObjectID+`","name":"x"}`); r.object(t)["error"] != `json: unknown field "name"` {
		t.Errorf("unknown field: %s", r.body)
	}
}

func stateOf(t testing.TB, lab *entralab.Lab) string {
	t.Helper()
	r := do(t, lab, newRequest(t, "GET", lab.ControlURL()+"/control/state", ""))
	if r.status != 200 {
		t.Fatal(r.body)
	}
	return r.body
}

func TestState(t *testing.T) {
	t.Parallel()
	lab := startWith(t, entralab.Config{InProcess: true, RandomSeed: 9})
	lab.Freeze(true)
	lab.SetDelay(entralab.Delay{Remove: time.Minute})
	app := lab.Healthy()
	secret := mint(t, lab, app, entralab.SecretSpec{DisplayName: "gone"})
	if err := lab.RemoveSecret(app.ObjectID, secret.KeyID); err != nil {
		t.Fatal(err)
	}
	var state struct {
		Clock struct {
			Now    time.Time
			Frozen bool
		}
		Delay      map[string]any
		RandomSeed uint64 `json:"random_seed"`
		Tenants    []struct {
			ID   string
			Apps []struct {
				ObjectID    string `json:"object_id"`
				ClientID    string `json:"client_id"`
				DisplayName string `json:"display_name"`
				Credentials []struct {
					KeyID   string `json:"key_id"`
					Hint    string
					Start   time.Time
					End     time.Time
					Added   time.Time
					Removed *time.Time
				}
			}
			ServicePrincipals []struct {
				ID          string
				Permissions []string
			} `json:"service_principals"`
		}
	}
	if err := json.Unmarshal([]byte(stateOf(t, lab)), &state); err != nil {
		t.Fatal(err)
	}
	if !state.Clock.Now.Equal(lab.Now()) || !state.Clock.Frozen || state.RandomSeed != 9 || state.Delay["remove"] != "1m0s" {
		t.Errorf("clock %v, seed %d, delay %v", state.Clock, state.RandomSeed, state.Delay)
	}
	if len(state.Tenants) != 2 || state.Tenants[0].ID != lab.TenantID() || state.Tenants[1].ID != lab.OtherTenantID() || len(state.Tenants[1].Apps) != 1 {
		t.Fatalf("tenants %+v", state.Tenants)
	}
	got := state.Tenants[0].Apps[0]
	if got.ObjectID != app.ObjectID || got.ClientID != app.ClientID || got.DisplayName != app.DisplayName || len(got.Credentials) != 2 {
		t.Fatalf("app %+v", got)
	}
	seeded, removed := got.Credentials[0], got.Credentials[1]
	if seeded.KeyID != app.Secrets[0].KeyID || seeded.Hint != value(app)[:3] || seeded.Removed != nil || lab.Now().Sub(seeded.Added) < 29*24*time.Hour || !seeded.Start.Equal(seeded.Added) {
		t.Errorf("seeded credential %+v", seeded)
	}
	if removed.KeyID != secret.KeyID || removed.Removed == nil {
		t.Errorf("removed credential %+v", removed)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	app, operator := lab.Healthy(), lab.Operator()
	if events := lab.History(0); len(events) != 0 {
		t.Fatalf("a new lab has a history: %v", events)
	}
	code(t, lab, app.ClientID, value(app))
	code(t, lab, app.ClientID, "wrong")
	code(t, lab, "no id", "wrong")
	token := graphToken(t, lab, operator)
	made := graph(t, lab, token, "POST", "applications/"+app.ObjectID+"/addPassword?x=y", "").object(t)["keyId"].(string)
	graph(t, lab, token, "POST", "applications/"+app.ObjectID+"/removePassword", `{"keyId":"`+app.ObjectID+`"}`)
	graph(t, lab, token, "GET", "applications", "")
	control(t, lab, "portal", `{"action":"delete-secret","app":"`+app.ObjectID+`","key_id":"`+made+`"}`)
	control(t, lab, "clock", `{"advance":"soon"}`)
	do(t, lab, newRequest(t, "GET", lab.ControlURL()+"/control/state", ""))
	lab.SetDelay(entralab.Delay{})
	byHand := mint(t, lab, app, entralab.SecretSpec{})

	tokenPath := "/" + lab.TenantID() + "/oauth2/v2.0/token"
	base := "/v1.0/applications/" + app.ObjectID
	event := func(seq int, rest string) string {
		return fmt.Sprintf(`{"seq":%d,"at":%q,%s}`, seq, lab.Now().Format(time.RFC3339Nano), rest)
	}
	want := []string{
		event(1, `"surface":"token","method":"POST","path":"`+tokenPath+`","app_id":"`+app.ClientID+`","object_id":"`+app.ObjectID+`","key_id":"`+app.Secrets[0].KeyID+`","outcome":"accepted","status":200`),
		event(2, `"surface":"token","method":"POST","path":"`+tokenPath+`","app_id":"`+app.ClientID+`","object_id":"`+app.ObjectID+`","outcome":"refused","code":7000215,"status":401`),
		event(3, `"surface":"token","method":"POST","path":"`+tokenPath+`","outcome":"refused","code":700016,"status":400`),
		event(4, `"surface":"token","method":"POST","path":"`+tokenPath+`","app_id":"`+operator.ClientID+`","object_id":"`+operator.ObjectID+`","key_id":"`+operator.Secrets[0].KeyID+`","outcome":"accepted","status":200`),
		event(5, `"surface":"graph","method":"POST","path":"`+base+`/addPassword","app_id":"`+app.ClientID+`","object_id":"`+app.ObjectID+`","key_id":"`+made+`","outcome":"ok","status":200,"write":{"kind":"mint","key_id":"`+made+`"}`),
		event(6, `"surface":"graph","method":"POST","path":"`+base+`/removePassword","app_id":"`+app.ClientID+`","object_id":"`+app.ObjectID+`","outcome":"refused","status":400`),
		event(7, `"surface":"graph","method":"GET","path":"/v1.0/applications","outcome":"ok","status":200`),
		event(8, `"surface":"control","method":"POST","path":"/control/portal","app_id":"`+app.ClientID+`","object_id":"`+app.ObjectID+`","key_id":"`+made+`","outcome":"ok","status":204,"write":{"kind":"remove","key_id":"`+made+`"}`),
		event(9, `"surface":"control","method":"POST","path":"/control/clock","outcome":"refused","status":400`),
		event(10, `"surface":"control","app_id":"`+app.ClientID+`","object_id":"`+app.ObjectID+`","key_id":"`+byHand.KeyID+`","outcome":"ok","write":{"kind":"mint","key_id":"`+byHand.KeyID+`"}`),
	}
	all := do(t, lab, newRequest(t, "GET", lab.ControlURL()+"/control/history", ""))
	if got := "[" + strings.Join(want, ",") + "]"; all.body != got {
		t.Errorf("history\n%s\nwant\n%s", all.body, got)
	}
	tail := do(t, lab, newRequest(t, "GET", lab.ControlURL()+"/control/history?after=8", ""))
	if got := "[" + strings.Join(want[8:], ",") + "]"; tail.body != got {
		t.Errorf("after 8: %s", tail.body)
	}
	for _, after := range []int{10, 11, 1 << 40} {
		if events := lab.History(after); len(events) != 0 {
			t.Errorf("after %d: %v", after, events)
		}
	}
	if events := lab.History(-5); len(events) != 10 {
		t.Errorf("after -5: %d events", len(events))
	}
	if r := do(t, lab, newRequest(t, "GET", lab.ControlURL()+"/control/history?after=x", "")); r.status != http.StatusBadRequest {
		t.Errorf("after x: %d", r.status)
	}
}
