package entralab_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// addFault puts a rule in force.
func addFault(t testing.TB, lab *entralab.Lab, rule entralab.FaultRule) string {
	t.Helper()
	id, err := lab.AddFault(rule)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

type params = map[string]any

// faulty is one fault and what a client sees of it.
type faulty struct {
	fault  string
	params params
	call   string // "token", "keys", "mint", "patch", or a path of Graph to read
	check  func(t *testing.T, r reply, err error)
}

func wants(status int, parts ...string) func(*testing.T, reply, error) {
	return func(t *testing.T, r reply, err error) {
		t.Helper()
		if err != nil || r.status != status {
			t.Fatalf("status %d, error %v, want %d\n%s", r.status, err, status, r.body)
		}
		all := r.body + fmt.Sprint(r.header)
		for _, part := range parts {
			if !strings.Contains(all, part) {
				t.Errorf("no %q in\n%s", part, all)
			}
		}
	}
}

func broken(t *testing.T, r reply, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("status %d, want a broken connection\n%s", r.status, r.body)
	}
}

func unreadable(t *testing.T, r reply, err error) {
	t.Helper()
	if err != nil || json.Valid([]byte(r.body)) {
		t.Errorf("error %v, want a body that is not JSON: %q", err, r.body)
	}
}

const lists = "applications?$top=1"

var faultCases = []faulty{
	{"F3", params{"min": "1h", "max": "1h"}, "app", wants(404, "Request_ResourceNotFound")},
	{"F4", nil, "app", wants(404, "Request_ResourceNotFound")},
	{"F5", nil, "patch", wants(409, "Directory_ConcurrencyViolation")},
	{"F6", params{"kind": "seconds", "seconds": 7}, "applications", wants(429, "TooManyRequests", "Retry-After:[7]", "X-Ms-Throttle-Scope")},
	{"F6", params{"kind": "garbage"}, "token", wants(429, "AADSTS50196", "Retry-After:[soon]")},
	{"F6", params{"kind": "negative"}, "token", wants(429, "Retry-After:[-5]")},
	{"F6", params{"kind": "zero"}, "token", wants(429, "Retry-After:[0]")},
	{"F6", params{"kind": "day"}, "token", wants(429, "Retry-After:[86400]")},
	{"F6", params{"kind": "date"}, "token", wants(429, "GMT]")},
	{"F7", params{"kind": "503"}, "token", wants(503, "AADSTS90033")},
	{"F7", params{"kind": "500"}, "applications", wants(500, "InternalServerError")},
	{"F7", params{"kind": "502"}, "applications", wants(502, "<h1>502")},
	{"F7", params{"kind": "504"}, "applications", wants(504, "UnknownError")},
	{"F8", nil, "mint", broken},
	{"F9", nil, "mint", wants(500, "InternalServerError")},
	{"F10", nil, "mint", wants(200, "secretText")},
	{"F11", nil, "mint", wants(200, "secretText")},
	{"F12", params{"min": "2s", "max": "2s"}, "applications", wants(200)},
	{"F13", params{"bytes_per_second": 1000}, "applications", wants(200)},
	{"F14", params{"at": 20, "kind": "promised"}, "applications", broken},
	{"F14", params{"at": 20, "kind": "fitting"}, "applications", unreadable},
	{"F15", params{"kind": "not-json"}, "token", unreadable},
	{"F15", params{"kind": "wrong-type"}, "mint", wants(200, `"secretText":{"unexpected":[1]}`)},
	{"F15", params{"kind": "null"}, "mint", wants(200, `"secretText":null`)},
	{"F15", params{"kind": "empty"}, "mint", wants(200, `"secretText":""`)},
	{"F15", params{"kind": "duplicate"}, "mint", wants(200, `,"secretText":"second"}`)},
	{"F15", params{"kind": "missing", "member": "token_type"}, "token", func(t *testing.T, r reply, err error) {
		if err != nil || r.object(t)["token_type"] != nil || r.object(t)["access_token"] == nil {
			t.Errorf("%v %s", err, r.body)
		}
	}},
	{"F16", params{"kind": "leading-dash", "length": 16}, "mint", wants(200, `"secretText":"-`)},
	{"F17", params{"kind": "braces"}, "mint", wants(200, `"keyId":"{`)},
	{"F18", params{"kind": "empty-page"}, lists, wants(200, `"value":[]`, "applications?$top=1")},
	{"F18", params{"kind": "loop"}, lists, wants(200, `nextLink":"https://graph.lab.test/v1.0/applications?$top=1"`)},
	{"F18", params{"kind": "missing"}, lists, wants(200, `"value":[]`)},
	{"F18", params{"kind": "repeated"}, lists, func(t *testing.T, r reply, err error) {
		if got := r.object(t)["value"].([]any); err != nil || len(got) != 2 || fmt.Sprint(got[0]) != fmt.Sprint(got[1]) {
			t.Errorf("%v %s", err, r.body)
		}
	}},
	{"F18", params{"kind": "expired"}, lists + "&$skiptoken=bGFiLXBhZ2U6MA", wants(400, "Directory_ExpiredPageToken")},
	{"F18", params{"kind": "error"}, lists + "&$skiptoken=bGFiLXBhZ2U6MA", wants(500)},
	{"F19", nil, "applications?$skiptoken=bGFiLXBhZ2U6MA&$top=50", wants(200)},
	{"F20", params{"code": 7000222}, "token", wants(401, "AADSTS7000222", "are expired")},
	{"F20", params{"code": 53003}, "token", wants(400, "AADSTS53003")},
	{"F21", params{"min": "5s", "max": "5s"}, "token", wants(200, `"expires_in":5,`)},
	{"F22", nil, "applications", wants(401, "insufficient_claims", "claims=")},
	{"F23", nil, "applications", wants(403, "Authorization_RequestDenied")},
	{"F24", params{"kind": "refuse"}, "mint", wants(400, "CredentialTypeNotAllowedAsPerAppPolicy")},
	{"F24", params{"kind": "shorten", "lifetime": "1h"}, "mint", wants(200, "endDateTime")},
	{"F25", params{"limit": 1}, "mint", wants(400, "Directory_ResourceSizeExceeded")},
	{"F27", params{"kind": "quota"}, "auditLogs/directoryAudits", wants(429, "Retry-After:[10]")},
	{"F27", params{"kind": "forbidden"}, "auditLogs/directoryAudits", wants(403, "NonPremium")},
	{"F27", params{"kind": "missing"}, "auditLogs/directoryAudits", wants(404, "UnknownError")},
	{"F27", params{"kind": "empty"}, "auditLogs/directoryAudits", wants(200, `"value":[]`)},
	{"F28", params{"kind": "duplicate"}, "auditLogs/signIns", wants(200, `"value":`)},
	{"F29", params{"kind": "hyphen"}, "auditLogs/directoryAudits", wants(200, "application - Certificates")},
	{"F32", params{"min": "1h", "max": "1h"}, "applications", wants(200)},
	{"F33", params{"kind": "far"}, "mint", wants(200, `"endDateTime":"9999-12-31T23:59:59Z"`)},
	{"F33", params{"kind": "absent"}, "mint", wants(200, `"endDateTime":null`)},
	{"F34", params{"kind": "307"}, "applications", wants(307, "Location:[https://elsewhere.lab.test/]")},
	{"F35", params{"kind": "gzip-bomb", "bytes": 1 << 20}, "applications", func(t *testing.T, r reply, err error) {
		if err != nil || r.header.Get("Content-Encoding") != "gzip" || len(r.body) > 2000 {
			t.Errorf("%v, %d bytes, %v", err, len(r.body), r.header)
		}
	}},
	{"F35", params{"kind": "wrong-encoding"}, "applications", wants(200, "Content-Encoding:[gzip]")},
	{"F35", params{"kind": "bom"}, "applications", wants(200, "\xef\xbb\xbf{")},
	{"F35", params{"kind": "utf-16"}, "applications", wants(200, "\xff\xfe{\x00")},
	{"F36", params{"kind": "huge", "bytes": 1000}, "token", wants(200, strings.Repeat("x", 1000))},
	{"F36", params{"kind": "many", "count": 100}, "token", wants(200, "X-Lab-99")},
	{"F36", params{"kind": "reset"}, "token", broken},
	{"F36", params{"kind": "midway"}, "token", broken},
	{"F36", params{"kind": "goaway"}, "token", wants(200, "Connection:[close]", "access_token")},
	{"F48", params{"kind": "issuer"}, "token", claim("iss", "elsewhere")},
	{"F48", params{"kind": "audience"}, "token", wants(200, "access_token")},
	{"F48", params{"kind": "keys-down"}, "keys", wants(503)},
	{"F48", params{"kind": "rollover"}, "keys", wants(200, `-next"`)},
	{"F49", params{"kind": "throttled"}, "batch", wants(200, `"status":429`)},
	{"F49", params{"kind": "partial"}, "batch", wants(200, `"status":503`)},
	{"F49", params{"kind": "order"}, "batch", wants(200, `{"responses":[{"id":"2"`)},
	{"F50", nil, "applications/delta", wants(410, "resyncRequired")},
	{"F51", nil, "beta", wants(404, "UnknownError")},
	{"F55", params{"kind": "same"}, "applications", wants(200, "Request-Id:[00000000-1ab0-4000-8000-000000000055]")},
	{"F55", params{"kind": "missing"}, "applications", func(t *testing.T, r reply, err error) {
		if err != nil || r.header.Get("Request-Id") != "" {
			t.Errorf("%v %v", err, r.header)
		}
	}},
}

// TestFaults shows each fault on the wire and in the history, and that the
// next request is served as if nothing had been.
func TestFaults(t *testing.T) {
	t.Parallel()
	for i, tc := range faultCases {
		t.Run(fmt.Sprintf("%d/%s/%v", i, tc.fault, tc.params["kind"]), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lab := startWith(t, entralab.Config{InProcess: true, RandomSeed: 7})
				app := addApp(t, lab, entralab.AppSpec{})
				token := graphToken(t, lab, lab.Operator())
				before := lab.History(0)
				addFault(t, lab, entralab.FaultRule{Fault: tc.fault, Params: tc.params, Times: 1})
				r, err := faultCall(t, lab, token, app, tc.call)
				tc.check(t, r, err)

				var fired []entralab.Event
				for _, e := range lab.History(len(before)) {
					if e.Fault != "" {
						fired = append(fired, e)
					}
				}
				if len(fired) == 0 || fired[0].Fault != tc.fault {
					t.Errorf("the history names %+v", fired)
				}
				lab.RemoveFaults()
				if r, err := faultCall(t, lab, token, app, tc.call); err != nil || r.status >= 500 {
					t.Errorf("without the rule: %v, status %d: %s", err, r.status, r.body)
				}
			})
		})
	}
}

// TestEveryFaultIsShown: no fault of the table goes without a test.
func TestEveryFaultIsShown(t *testing.T) {
	t.Parallel()
	shown := []string{"F1", "F2", "F37", "F38", "F39", "F40", "F41"} // elsewhere in the tests
	for _, tc := range faultCases {
		shown = append(shown, tc.fault)
	}
	_, err := start(t).AddFault(entralab.FaultRule{Fault: "F0"})
	if err == nil {
		t.Fatal("F0 is accepted")
	}
	_, all, _ := strings.Cut(err.Error(), "one of ")
	for id := range strings.SplitSeq(all, ", ") {
		if !slices.Contains(shown, id) {
			t.Errorf("no test shows %s", id)
		}
	}
}

func claim(name, part string) func(*testing.T, reply, error) {
	return func(t *testing.T, r reply, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(r.object(t)["access_token"].(string), ".")[1])
		var claims map[string]any
		if err != nil || json.Unmarshal(raw, &claims) != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		if got := fmt.Sprint(claims[name]); !strings.Contains(got, part) {
			t.Errorf("%s is %s", name, got)
		}
	}
}

// faultCall makes one request, which may fail.
func faultCall(t *testing.T, lab *entralab.Lab, token string, app entralab.App, call string) (reply, error) {
	t.Helper()
	return faultCallWithin(t.Context(), t, lab, token, app, call)
}

func faultCallWithin(ctx context.Context, t *testing.T, lab *entralab.Lab, token string, app entralab.App, call string) (reply, error) {
	t.Helper()
	method, url, body, kind := "GET", lab.GraphURL()+"/v1.0/"+call, "", "application/json"
	switch call {
	case "token":
		method, url, body, kind = "POST", tokenURL(lab, lab.TenantID()), credentialsForm(app.ClientID, value(app)).Encode(), "application/x-www-form-urlencoded"
	case "keys":
		url = lab.AuthorityURL() + "/" + lab.TenantID() + "/discovery/v2.0/keys"
	case "app":
		url = lab.GraphURL() + "/v1.0/applications/" + app.ObjectID
	case "patch":
		method, url, body = "PATCH", lab.GraphURL()+"/v1.0/applications/"+app.ObjectID, `{"notes":"x"}`
	case "mint":
		method, url, body = "POST", lab.GraphURL()+"/v1.0/applications/"+app.ObjectID+"/addPassword", `{"passwordCredential":{"displayName":"x"}}`
	case "batch":
		method, url, body = "POST", lab.GraphURL()+"/v1.0/$batch", `{"requests":[{"id":"1","method":"GET","url":"/users"},{"id":"2","method":"GET","url":"/organization"}]}`
	case "beta":
		url = lab.GraphURL() + "/beta/applications"
	}
	r := newRequest(t, method, url, body, "Content-Type", kind)
	if call != "token" && call != "keys" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return try(lab, r.WithContext(ctx))
}

// TestLostAnswers: what F8, F9 and F11 let through is in the model and in the
// history, and what F10 promises is in neither.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]int{"F8": 1, "F9": 1, "F10": 0, "F11": 2} {
		lab := start(t)
		app := addApp(t, lab, entralab.AppSpec{})
		token := graphToken(t, lab, lab.Operator())
		addFault(t, lab, entralab.FaultRule{Match: entralab.FaultMatch{App: app.ObjectID, Path: "*addPassword"}, Fault: fault, Times: 1})
		after := len(lab.History(0))
		faultCall(t, lab, token, app, "mint")
		mints := 0
		for _, e := range lab.History(after) {
			if e.Fault != fault {
				t.Errorf("%s: event %+v", fault, e)
			}
			if e.Write != nil && e.Write.Kind == "mint" && e.Outcome == "ok" {
				mints++
			}
			if fault == "F10" && (e.Outcome != "fault" || e.ObjectID != app.ObjectID || e.Status != 200) {
				t.Errorf("phantom: %+v", e)
			}
		}
		held := len(graph(t, lab, token, "GET", "applications/"+app.ObjectID, "").object(t)["passwordCredentials"].([]any))
		if mints != want || held != 1+want {
			t.Errorf("%s: %d mints in the history and %d secrets, want %d more than one", fault, mints, held, want)
		}
	}
}

// TestLagByFault: F1 and F2 bind to the secret that is written.
func TestLagByFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lab := start(t)
		app := addApp(t, lab, entralab.AppSpec{})
		token := graphToken(t, lab, lab.Operator())
		addFault(t, lab, entralab.FaultRule{Fault: "F1", Params: params{"min": "8s", "max": "8s", "replicas": 1}})
		addFault(t, lab, entralab.FaultRule{Fault: "F2", Params: params{"min": "30s", "max": "30s", "replicas": 1}})
		r, err := faultCall(t, lab, token, app, "mint")
		if err != nil {
			t.Fatal(err)
		}
		secret, keyID := r.object(t)["secretText"].(string), r.object(t)["keyId"].(string)
		time.Sleep(8*time.Second - time.Millisecond)
		if got := code(t, lab, app.ClientID, secret); got != 7000215 {
			t.Errorf("before acceptance: %d", got)
		}
		time.Sleep(time.Millisecond)
		if got := code(t, lab, app.ClientID, secret); got != 0 {
			t.Errorf("at acceptance: %d", got)
		}
		after := len(lab.History(0))
		graph(t, lab, token, "POST", "applications/"+app.ObjectID+"/removePassword", `{"keyId":"`+keyID+`"}`)
		if e := lab.History(after)[0]; e.Fault != "F2" || e.Write == nil {
			t.Errorf("removal: %+v", e)
		}
		time.Sleep(30*time.Second - time.Millisecond)
		if got := code(t, lab, app.ClientID, secret); got != 0 {
			t.Errorf("before refusal: %d", got)
		}
		time.Sleep(time.Millisecond)
		if got := code(t, lab, app.ClientID, secret); got != 7000215 {
			t.Errorf("at refusal: %d", got)
		}
		if events := lab.History(0); events[len(events)-1].KeyID != keyID || events[len(events)-1].Outcome != "refused" {
			t.Errorf("the refusal names %+v, want %s", events[len(events)-1], keyID)
		}
	})
}

// TestStaleSecrets: a stale read shows a removed secret and hides a new one.
func TestStaleSecrets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lab := start(t)
		app := addApp(t, lab, entralab.AppSpec{})
		token := graphToken(t, lab, lab.Operator())
		time.Sleep(time.Minute)
		addFault(t, lab, entralab.FaultRule{Fault: "F3", Params: params{"min": "20s", "max": "20s"}})
		minted := mint(t, lab, app, entralab.SecretSpec{})
		if err := lab.RemoveSecret(app.ObjectID, app.Secrets[0].KeyID); err != nil {
			t.Fatal(err)
		}
		sees := func() string {
			r := graph(t, lab, token, "GET", "applications?$filter=appId eq '"+app.ClientID+"'", "")
			held := r.object(t)["value"].([]any)[0].(map[string]any)["passwordCredentials"].([]any)
			if len(held) != 1 {
				t.Fatalf("%d secrets: %s", len(held), r.body)
			}
			return held[0].(map[string]any)["keyId"].(string)
		}
		if got := sees(); got != app.Secrets[0].KeyID {
			t.Errorf("at once: %s, want the old one", got)
		}
		time.Sleep(20 * time.Second)
		if got := sees(); got != minted.KeyID {
			t.Errorf("after the lag: %s, want the new one", got)
		}
	})
}

func TestFaultCounts(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	app := addApp(t, lab, entralab.AppSpec{})
	token := graphToken(t, lab, lab.Operator())
	statuses := func(n int) (got []int) {
		for range n {
			r, _ := faultCall(t, lab, token, app, "applications")
			got = append(got, r.status)
		}
		return got
	}
	refused := params{"kind": "503"}
	for _, tc := range []struct {
		rule entralab.FaultRule
		want []int
	}{
		{entralab.FaultRule{Nth: 3}, []int{200, 200, 503, 200, 200}},
		{entralab.FaultRule{Nth: 2, Times: 2}, []int{200, 503, 503, 200, 200}},
		{entralab.FaultRule{Times: 2}, []int{503, 503, 200, 200, 200}},
		{entralab.FaultRule{Until: lab.Now()}, []int{200, 200, 200, 200, 200}},
		{entralab.FaultRule{Until: lab.Now().Add(1)}, []int{503, 503, 503, 503, 503}},
		{entralab.FaultRule{Match: entralab.FaultMatch{Surface: "token"}}, []int{200, 200, 200, 200, 200}},
		{entralab.FaultRule{Match: entralab.FaultMatch{Method: "POST"}}, []int{200, 200, 200, 200, 200}},
		{entralab.FaultRule{Match: entralab.FaultMatch{Path: "/v1.0/app*ions"}}, []int{503, 503, 503, 503, 503}},
		{entralab.FaultRule{Match: entralab.FaultMatch{Path: "*app"}}, []int{200, 200, 200, 200, 200}},
		{entralab.FaultRule{Match: entralab.FaultMatch{App: lab.Operator().ClientID}}, []int{503, 503, 503, 503, 503}},
		{entralab.FaultRule{Match: entralab.FaultMatch{App: app.ClientID}}, []int{200, 200, 200, 200, 200}},
	} {
		tc.rule.Fault, tc.rule.Params = "F7", refused
		id := addFault(t, lab, tc.rule)
		if got := statuses(5); !slices.Equal(got, tc.want) {
			t.Errorf("%+v: %v, want %v", tc.rule, got, tc.want)
		}
		if !lab.RemoveFault(id) || lab.RemoveFault(id) {
			t.Error("a rule is removed once")
		}
	}
}

func TestFaultRules(t *testing.T) {
	t.Parallel()
	lab := start(t)
	for body, want := range map[string]string{
		`{"fault":"F99"}`:                            `fault is \"F99\"; it must be one of F1, F2`,
		`{"fault":"F45"}`:                            "files belong to the program under test",
		`{"fault":"F7","rate":1.5}`:                  "rate is 1.5; it must be above 0 and at most 1",
		`{"fault":"F7","rate":0}`:                    "rate is 0; it must be above 0 and at most 1",
		`{"fault":"F7","nth":0}`:                     "nth must be 1 or more",
		`{"fault":"F7","times":-1}`:                  "times must be 1 or more",
		`{"fault":"F7","nth":1,"rate":0.5}`:          "rate and nth exclude each other",
		`{"fault":"F7","params":{"kind":"418"}}`:     `params.kind is \"418\"; it must be one of rotate, 503, 500, 502, 504`,
		`{"fault":"F7","params":{"size":1}}`:         "params.size is unknown; F7 takes kind",
		`{"fault":"F8","params":{"size":1}}`:         "F8 takes none",
		`{"fault":"F12","params":{"min":"x"}}`:       "params.min is \\\"x\\\"; it must be a duration",
		`{"fault":"F12","params":{"min":"9s"}}`:      "params.min is above params.max",
		`{"fault":"F14","params":{"at":1.5}}`:        "must be a whole number from -1 to 1048576",
		`{"fault":"F20","params":{"code":1}}`:        "params.code is 1; F20 knows 50059",
		`{"fault":"F5","match":{"surface":"token"}}`: `match.surface is \"token\"; F5 lives on graph`,
		`{"fault":"F37"}`:                            "breaks connections",
		`{"fault":"F38","match":{"path":"x"}}`:       "only surface can be given",
		`{"fault":"F7","match":{"host":"x"}}`:        "unknown field",
		`[]`:                                         "cannot unmarshal",
	} {
		r := control(t, lab, "faults", body)
		if r.status != 400 || !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s, want %s", body, r.status, r.body, want)
		}
	}
	r := control(t, lab, "faults", `{"match":{"surface":"graph"},"fault":"F12","rate":0.5,"times":3,"params":{"max":"2s"}}`)
	if r.status != 200 || r.body != `{"id":"fault-1"}` {
		t.Fatalf("%d %s", r.status, r.body)
	}
	list := func(method, path string) reply { return do(t, lab, newRequest(t, method, lab.ControlURL()+path, "")) }
	const want = `[{"id":"fault-1","match":{"surface":"graph"},"fault":"F12","rate":0.5,"times":3,"params":{"max":"2s","min":"0s"},"matched":0,"fired":0}]`
	if got := list("GET", "/control/faults"); got.body != want {
		t.Errorf("%s", got.body)
	}
	if got := list("DELETE", "/control/faults/fault-9"); got.status != 404 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := list("DELETE", "/control/faults/fault-1"); got.status != 204 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := list("GET", "/control/faults"); got.body != "[]" {
		t.Errorf("%s", got.body)
	}
}

// faultsOf makes n requests and tells which faults the history names.
func faultsOf(t *testing.T, profile string, seed uint64, n int, calm bool) (sequence []string, hits int) {
	synctest.Test(t, func(t *testing.T) {
		lab := startWith(t, entralab.Config{InProcess: true, RandomSeed: seed, Profile: profile})
		app := lab.Healthy()
		if calm {
			lab.RemoveFaults()
		}
		for i := range n {
			before := len(lab.History(0))
			call := "token"
			token := "none"
			if i%2 == 1 {
				call = "applications"
			}
			r, err := faultCall(t, lab, token, app, call)
			if err != nil || r.status != 200 && r.status != 401 {
				hits++
			}
			for _, e := range lab.History(before) {
				sequence = append(sequence, e.Fault)
			}
		}
	})
	return sequence, hits
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	if _, hits := faultsOf(t, "", 5, 2000, false); hits != 0 {
		t.Errorf("calm breaks %d requests", hits)
	}
	rude, hits := faultsOf(t, entralab.ProfileRude, 5, 2000, false)
	if hits < 60 || hits > 160 {
		t.Errorf("rude breaks %d of 2000 requests", hits)
	}
	if _, hits := faultsOf(t, entralab.ProfileHostile, 5, 500, false); hits < 75 || hits > 225 {
		t.Errorf("hostile breaks %d of 500 requests", hits)
	}
	if _, hits := faultsOf(t, entralab.ProfileHostile, 5, 200, true); hits != 0 {
		t.Errorf("hostile without its rules breaks %d requests", hits)
	}
	again, _ := faultsOf(t, entralab.ProfileRude, 5, 2000, false)
	if !slices.Equal(rude, again) {
		t.Error("the same seed gives another sequence")
	}
	if other, _ := faultsOf(t, entralab.ProfileRude, 6, 2000, false); slices.Equal(rude, other) {
		t.Error("another seed gives the same sequence")
	}
	if _, err := entralab.Start(t.Context(), entralab.Config{InProcess: true, Profile: "mad"}); err == nil || !strings.Contains(err.Error(), "calm, rude, hostile") {
		t.Errorf("%v", err)
	}
}

// FuzzFaults: whatever rule is sent, the answer is the lab's; a rule that is
// taken neither crashes nor holds up the requests it hits, whose client leaves
// soon, and without it they are served again.
func FuzzFaults(f *testing.F) {
	lab := start(f)
	app := addApp(f, lab, entralab.AppSpec{})
	token := graphToken(f, lab, lab.Operator())
	for _, seed := range []string{
		`{"match":{"surface":"graph","method":"POST","path":"*addPassword","app":"x"},"fault":"F8","rate":0.1,"times":1,"params":{}}`,
		`{"fault":"F12","until":"2027-01-01T00:00:00Z","params":{"min":"1s","max":"2s"}}`,
		`{"fault":"F14","nth":2,"params":{"at":3,"kind":"fitting"}}`, `{"fault":"F20","params":{"code":7000215}}`, `{"fault":1e999}`,
		`{"fault":"F5","params":{"within":"5s"}}`, `{"match":{"surface":"smtp"},"fault":"F7","params":{"kind":"454"}}`, `{"fault":"F35","params":{"kind":"gzip-bomb","bytes":1000}}`,
	} {
		f.Add(seed)
	}
	for i := range 56 {
		f.Add(fmt.Sprintf(`{"fault":"F%d"}`, i))
	}
	f.Fuzz(func(t *testing.T, body string) {
		got := control(t, lab, "faults", body)
		checkFuzzed(t, got)
		if got.status >= 400 && got.object(t)["error"] == nil || got.status == http.StatusOK && got.object(t)["id"] == nil {
			t.Errorf("%s: %s", body, got.body)
		}
		if got.status != http.StatusOK {
			return
		}
		calls := []string{"token", "keys", "mint", "patch", "batch", "applications?$top=1", "app"}
		for _, call := range calls {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			begin := time.Now()
			faultCallWithin(ctx, t, lab, token, app, call)
			cancel()
			// A gigabyte of zeros takes some seconds to compress.
			if took := time.Since(begin); took > 30*time.Second {
				t.Errorf("%s: %s took %v", body, call, took)
			}
		}
		lab.RemoveFaults()
		for _, call := range calls {
			if r, err := faultCall(t, lab, token, app, call); err != nil || r.status >= 500 || r.status == http.StatusUnauthorized {
				t.Errorf("after %s: %s: %v, %d %s", body, call, err, r.status, r.body)
			}
		}
	})
}
