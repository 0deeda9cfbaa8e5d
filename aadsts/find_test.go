package aadsts

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	app   = "03146f14-24fa-4cde-8455-537c6ff06a55"
	trace = "4d2d9295-f94e-430b-95a6-030b76c95900"
	corr  = "1fb1be83-8f31-4946-976d-28fc8ae4e69f"
	other = "0f8fad5b-d9cb-469f-a165-70867728950e"
)

var stamp = time.Date(2025, 1, 9, 8, 26, 10, 0, time.UTC)

func find(text string) []wanted {
	var found []wanted
	for f := range FindString(text) {
		found = append(found, want(f))
	}
	return found
}

// coded is a Failure of nothing but one code.
func coded(code int) wanted { return wanted{Code: code, Codes: []int{code}} }

const trailer = " Trace ID: " + trace + " Correlation ID: " + corr + " Timestamp: 2025-01-09 08:26:10Z"

var full = wanted{Code: 7000215, Codes: []int{7000215}, Message: "Bad secret.", TraceID: trace, CorrelationID: corr, Timestamp: stamp}
var lost = wanted{OAuthError: "invalid_client"}

// findTest is a text and what Find makes of it.
type findTest struct {
	name, text string
	want       []wanted
}

func testFind(t *testing.T, tests []findTest) {
	t.Parallel()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := find(test.text); !reflect.DeepEqual(got, test.want) {
				t.Errorf("Find(%q):\ngot  %+v\nwant %+v", test.text, got, test.want)
			}
			checkInvariants(t, test.text)
		})
	}
}

func TestFindCodes(t *testing.T) {
	testFind(t, []findTest{
		{"empty", "", nil},
		{"nothing", "see the reference for AADSTS codes", nil},
		{"list", "AADSTS7000215 AADSTS700016, AADSTS90002", []wanted{coded(7000215), coded(700016), coded(90002)}},
		{"list with umbrella", "AADSTS70002, AADSTS50012", []wanted{coded(70002), coded(50012)}},
		{"any case", "aadsts7000215 AadSts700016", []wanted{coded(7000215), coded(700016)}},
		{"digits", "AADSTS123 AADSTS1234 AADSTS12345678 AADSTS123456789 AADSTS0001234", []wanted{coded(1234), coded(12345678)}},
		{"glued", "in.nAADSTS50011", []wanted{coded(50011)}},
		{"in prose", "got AADSTS7000215 when calling", []wanted{coded(7000215)}},
		{"separators lost", "AADSTS7000215: Bad secret.Trace ID: " + trace + "Correlation ID: " + corr, []wanted{{Code: 7000215, Codes: []int{7000215}, Message: "Bad secret.", CorrelationID: ""}}},
		{"CRLF", "AADSTS7000215: Bad secret.\r\nTrace ID: " + trace + "\r\nCorrelation ID: " + corr + "\r\nTimestamp: 2025-01-09 08:26:10Z", []wanted{full}},
		{"upper-case ids", strings.ToUpper("aadsts7000215: ") + "Bad secret." + strings.ReplaceAll(trailer, trace, strings.ToUpper(trace)), []wanted{full}},
		{"same trace twice", "AADSTS7000215: Bad secret." + trailer + "\n" + strings.Repeat("\tat java.lang.Thread.run\n", 100) + "AADSTS7000215: Bad secret." + trailer, []wanted{full}},
		{"same trace far apart", "AADSTS7000215: Bad secret." + trailer + "\n" + strings.Repeat("\tat java.lang.Thread.run\n", 1000) + "AADSTS7000215: Bad secret." + trailer, []wanted{full, full}},
		{"two lines", "a: AADSTS7000215: x.\nb: AADSTS7000215: x.\n", []wanted{{Code: 7000215, Codes: []int{7000215}, Message: "x."}, {Code: 7000215, Codes: []int{7000215}, Message: "x."}}},
		{"named, then told", `{"aadsts":"AADSTS7000215","err":"AADSTS7000215: Bad secret.` + trailer + `"}`, []wanted{full}},
		{"told, then named", "AADSTS7000215: Bad secret." + trailer + " (code AADSTS7000215)", []wanted{full}},
		{"dash", "AADSTS7000215 - Bad secret." + trailer, []wanted{full}},
		{"file name", "error-code-aadsts50011-redirect-uri-mismatch", []wanted{coded(50011)}},
		{"umbrella", "AADSTS70002: Error validating credentials. AADSTS50012: Bad secret." + trailer, []wanted{{Code: 50012, Codes: []int{70002, 50012}, Message: "Bad secret.", TraceID: trace, CorrelationID: corr, Timestamp: stamp}}},
		{"umbrella alone", "AADSTS70002: Error validating credentials.", []wanted{{Code: 70002, Codes: []int{70002}, Message: "Error validating credentials."}}},
		{"several codes", `"error_codes":[50013,500133],"error_description":"AADSTS50013: x"`, []wanted{{Code: 500133, Codes: []int{50013, 500133}, Message: "x"}}},
		{"umbrella last", `"error_codes":[50012,70002]`, []wanted{{Code: 50012, Codes: []int{50012, 70002}}}},
		{"other code in the list", `AADSTS50011: x "error_codes":[7000215]`, []wanted{{Code: 50011, Codes: []int{50011}, Message: "x"}, coded(7000215)}},
		{"codes only", `error_codes":[7000215]`, []wanted{coded(7000215)}},
		{"codes on lines", "\"error_codes\": [\n 7000215\n ]", []wanted{coded(7000215)}},
		{"codes escaped", `\"error_codes\":[\"7000215\"]`, []wanted{coded(7000215)}},
		{"codes encoded", "error_codes%22%3a%5b7000215%5d", []wanted{coded(7000215)}},
		{"objects in a list", `[{"error_codes":[7000215]}, {"trace_id":"` + trace + `","error_codes":[90002]}]`, []wanted{coded(7000215), {Code: 90002, Codes: []int{90002}, TraceID: trace}}},
		{"objects on lines", `{"error_codes":[7000215]}` + "\n" + `  {"trace_id":"` + trace + `","error_codes":[90002]}`, []wanted{coded(7000215), {Code: 90002, Codes: []int{90002}, TraceID: trace}}},
		{"list says more", `AADSTS50012: x","error_codes":[70002,50012]`, []wanted{{Code: 50012, Codes: []int{70002, 50012}, Message: "x"}}},
		{"other code in the address", "AADSTS50011: x. error_uri: https://login.microsoftonline.com/error?code=7000215", []wanted{{Code: 50011, Codes: []int{50011}, Message: "x."}, coded(7000215)}},
		{"codes cut", `"error_codes":[`, nil},
		{"help page only", `error_uri":"https://login.microsoftonline.com/error?code=7000215"`, []wanted{coded(7000215)}},
		{"help page encoded", "error_uri=https%3a%2f%2flogin.microsoftonline.com%2ferror%3fcode%3d7000215&x", []wanted{coded(7000215)}},
		{"MSAL prefix", "7000215 - [2025-01-09 08:26:10Z]: AADSTS7000215: Bad secret.", []wanted{{Code: 7000215, Codes: []int{7000215}, Message: "Bad secret.", Timestamp: stamp}}},
		{"MSAL prefix twice", "7000215 - [2025-01-09 08:26:10Z]: AADSTS7000215: x\n90002 - [2025-01-09 08:26:10Z]: AADSTS90002: x", []wanted{
			{Code: 7000215, Codes: []int{7000215}, Message: "x", Timestamp: stamp}, {Code: 90002, Codes: []int{90002}, Message: "x", Timestamp: stamp}}},
	})
}

func TestFindLostCodes(t *testing.T) {
	testFind(t, []findTest{
		{"lost: body", `{"error":"invalid_client"}`, []wanted{lost}},
		{"lost: two bodies", "{\"error\":\"invalid_client\"}\n{\"error\":\"invalid_client\"}", []wanted{lost, lost}},
		{"lost: parameter", "error=invalid_client", []wanted{lost}},
		{"lost: brackets", "[invalid_client] (invalid_client)", []wanted{lost}},
		{"lost: two lines", "a (invalid_client)\nb (invalid_client)", []wanted{lost, lost}},
		{"lost: prose", "the request was an invalid_request", nil},
		{"lost: invalid_request", `"error":"invalid_request"`, []wanted{{OAuthError: "invalid_request"}}},
		{"lost: part of a word", "my_invalid_client_id invalid_clients", nil},
		{"lost: other servers' errors", "error=access_denied", nil},
		{"lost: with ids", `{"error":"invalid_grant","trace_id":"` + trace + `","correlation_id":"` + corr + `","timestamp":"2025-01-09 08:26:10Z"}`,
			[]wanted{{OAuthError: "invalid_grant", TraceID: trace, CorrelationID: corr, Timestamp: stamp}}},
		{"record after a code", "2025-01-01 AADSTS7000215: x.\n2025-01-01 error=invalid_client\n", []wanted{{Code: 7000215, Codes: []int{7000215}, Message: "x."}, lost}},
		{"record before a code", "2025-01-01 error=invalid_client\n2025-01-01 AADSTS7000215: x.\n", []wanted{lost, {Code: 7000215, Codes: []int{7000215}, Message: "x."}}},
		{"line before a code", "ERROR invalid_client for A\nERROR AADSTS7000215: x.\n", []wanted{lost, {Code: 7000215, Codes: []int{7000215}, Message: "x."}}},
		{"OAuth error above", "invalid_client\nAADSTS7000215: x", []wanted{{Code: 7000215, Codes: []int{7000215}, OAuthError: "invalid_client", Message: "x"}}},
		{"OAuth error in brackets", "'(invalid_grant) AADSTS700082: x'", []wanted{{Code: 700082, Codes: []int{700082}, OAuthError: "invalid_grant", Message: "x"}}},
		{"other OAuth error in brackets", "AADSTS53003 (access_denied) and (invalid_request)", []wanted{{Code: 53003, Codes: []int{53003}, OAuthError: "access_denied"}}},
		{"OAuth error before a code", "invalid_request (AADSTS900144: x)", []wanted{{Code: 900144, Codes: []int{900144}, OAuthError: "invalid_request", Message: "x)"}}},
		{"OAuth error with a code", `"error":"access_denied","error_description":"AADSTS65004: x"`, []wanted{{Code: 65004, Codes: []int{65004}, OAuthError: "access_denied", Message: "x"}}},
	})
}

func TestFindContext(t *testing.T) {
	testFind(t, []findTest{
		{"OAuth error of another line", "(invalid_client) AADSTS7000215: x.\nerror=invalid_grant", []wanted{{Code: 7000215, Codes: []int{7000215}, OAuthError: "invalid_client", Message: "x."}, {OAuthError: "invalid_grant"}}},
		{"label of the log", "Timestamp: 2024-05-05 05:05:05Z Level: Error Message: AADSTS7000215: Bad secret." + trailer, []wanted{full}},
		{"ids of the log", "trace_id=" + other + " correlation_id=" + other + " AADSTS7000215: Bad secret." + trailer, []wanted{full}},
		{"ids of another line", "trace_id=" + other + "\nAADSTS7000215: x", []wanted{{Code: 7000215, Codes: []int{7000215}, Message: "x"}}},
		{"ids of the next line", "AADSTS7000215: x.\ntrace_id=" + other, []wanted{{Code: 7000215, Codes: []int{7000215}, Message: "x."}}},
		{"time of the log", `{"timestamp":"2026-01-02T03:04:05Z","msg":"AADSTS7000215: x"}`, []wanted{{Code: 7000215, Codes: []int{7000215}, Message: "x"}}},
		{"trace id of the log", `{"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","msg":"AADSTS7000215: x"}`, []wanted{{Code: 7000215, Codes: []int{7000215}, Message: "x"}}},
		{"redacted", "AADSTS7000215: Bad secret. Trace ID: REDACTED Correlation ID: XXX Timestamp: yesterday", []wanted{{Code: 7000215, Codes: []int{7000215}, Message: "Bad secret."}}},
		{"GUID too long", "AADSTS7000215: Bad secret. Trace ID: " + trace + "0", []wanted{{Code: 7000215, Codes: []int{7000215}, Message: "Bad secret."}}},
		{"bold labels", "AADSTS7000215: Bad secret. <b>Trace ID:</b> " + trace + " <b>Correlation ID:</b> " + corr + " <b>Timestamp:</b> 2025-01-09 08:26:10Z", []wanted{full}},
		{"client id beside", "client_id=" + app + " AADSTS7000218: x", []wanted{{Code: 7000218, Codes: []int{7000218}, AppID: app, Message: "x"}}},
		{"client id behind", `{"msg":"AADSTS7000218: x","client_id":"` + app + `"}`, []wanted{{Code: 7000218, Codes: []int{7000218}, AppID: app, Message: "x"}}},
		{"client id and another app", "client_id=" + other + " AADSTS7000215: bad for app '" + app + "'.", []wanted{{Code: 7000215, Codes: []int{7000215}, AppID: app, Message: "bad for app '" + app + "'."}}},
		{"client id and a resource", "client_id=" + app + " AADSTS500011: no api://" + other, []wanted{{Code: 500011, Codes: []int{500011}, AppID: app, Message: "no api://" + other}}},
		{"client id on another line", "client_id=" + app + "\nAADSTS7000218: x", []wanted{{Code: 7000218, Codes: []int{7000218}, Message: "x"}}},
		{"no claims", `"error":"invalid_grant","claims":"{\"access_token\":{`, []wanted{{OAuthError: "invalid_grant"}}},
		{"claims as object", `{"error":"invalid_grant","claims":{"access_token":{"x":null}}}`, []wanted{{OAuthError: "invalid_grant", Claims: `{"access_token":{"x":null}}`}}},
		{"empty values", `"error":"","trace_id":"","x":"` + other + `",error=invalid_client`, []wanted{lost}},
		{"no suberror", "errorCode: 'invalid_grant', subError: ''", []wanted{{OAuthError: "invalid_grant"}}},
	})
}

func TestMessage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{`"AADSTS650052: a service (\"Graph\") that" x`, `a service ("Graph") that`},
		{`msg="AADSTS50034: The user's account isn't there." next=1`, "The user's account isn't there."},
		{`'AADSTS50034: gone', 'error_codes'`, "gone"},
		{"AADSTS900144: The request body must contain the following parameter: 'grant_type'.\n  at x", "The request body must contain the following parameter: 'grant_type'."},
		{"AADSTS7000215: cut in the", "cut in the"},
		{"AADSTS7000215: cut in the\n2025-01-01 next record", "cut in the"},
		{"AADSTS7000215: cut in the\nNext line", "cut in the"},
		{"AADSTS7000215: goes\n   on here.\nNext line", "goes on here."},
		{"\"AADSTS7000215: ask\nMicrosoft now.\"", "ask Microsoft now."},
		{"AADSTS7000215:   much \t space ", "much space"},
		{"AADSTS7000215: caf%C3%A9 %2", "caf\u00e9 %2"},
		{"AADSTS7000215: caf\\u00e9 \\u0027x\\u0027", "caf\u00e9 'x'"},
		{"AADSTS7000215: bad \xff byte", "bad \uFFFD byte"},
		{`%22error_description%22%3a%22AADSTS650052%3a+a+%5c%22b%5c%22+c%5cr%5cnTrace+ID%3a+x`, `a "b" c`},
		{"x=AADSTS7000215:%20SN+I&y", "SN+I"},
		{"AADSTS7000215: a <tenant> b", "a <tenant> b"},
		{"error_description=AADSTS7000215:+a+b&state=x", "a b"},
		{"error_description=AADSTS7000215%3a%20a%2bb HTTP/1.1", "a+b"},
		{"AADSTS7000215: " + strings.Repeat("\u00e9", 600), strings.Repeat("\u00e9", 512)},
		{"AADSTS7000215: x" + strings.Repeat("\u00e9", 600), "x" + strings.Repeat("\u00e9", 511)},
		{"AADSTS7000215", ""},
		{"AADSTS7000215:", ""},
		{"AADSTS7000215: ", ""},
		{"(AADSTS7000215)", ""},
	} {
		found := find(test.text)
		if len(found) != 1 || found[0].Message != test.want {
			t.Errorf("Find(%q) = %+v, want the message %q", test.text, found, test.want)
		}
	}
}

func TestAppAndTenant(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ message, app, tenant string }{
		{"for a secret added to app '" + app + "'.", app, ""},
		{`added to app \"` + app + `\".`, app, ""},
		{"Application '" + app + "'(payments) is disabled.", app, ""},
		{"Application with identifier '" + app + "' was not found in the directory 'Contoso Ltd'.", app, "Contoso Ltd"},
		{"Application with identifier " + app + " was not found in the directory.", app, ""},
		{"The client application " + app + " is missing service principal in the tenant " + other + ". See", app, other},
		{"to use the application with ID '" + app + "' named 'payments'.", app, ""},
		{"The client '" + app + "'(x) has no configured federated identity credentials.", app, ""},
		{"Client app ID: " + app + "(x). Resource value from request: r. Resource app ID: " + other, app, ""},
		{"Application '" + app + "'(a) is not assigned to a role for the application '" + other + "'(b).", app, ""},
		{"The resource principal named api://" + app + " was not found in the tenant named Contoso Ltd. This can", app, "Contoso Ltd"},
		{"was not found in the tenant named contoso.com. This can", "", "contoso.com"},
		{"secret added to app 'REDACTED'", "", ""},
		{"Assertion Subject: '" + app + "'.", "", ""},
		{"Tenant 'secrets' not found.", "", "secrets"},
		{"Specified tenant identifier '{{tenantid}}' is neither", "", "{{tenantid}}"},
		{"does not exist in tenant 'Contoso' and cannot access the application '" + app + "'(x) in that tenant.", app, "Contoso"},
		{"Access to 'contoso.com' tenant is denied.", "", "contoso.com"},
		{"Tenant 'cut sho", "", ""},
		{"Use the tenant of the app.", "", ""},
	} {
		found := find("AADSTS700016: " + test.message)
		if len(found) != 1 || found[0].AppID != test.app || found[0].Tenant != test.tenant {
			t.Errorf("Find(%q) = %+v, want app %q and tenant %q", test.message, found, test.app, test.tenant)
		}
	}
}

func TestTenantOfURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"POST https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token: error=invalid_client", "contoso.com"},
		{"https%3a%2f%2flogin.microsoftonline.com%2f" + other + "%2foauth2%2ftoken AADSTS7000215", other},
		{`https:\/\/login.microsoftonline.us\/common\/oauth2\/token AADSTS7000215`, "common"},
		{"https://localhost:8443/" + other + "/oauth2/v2.0/token AADSTS7000215", other},
		{"https://login.microsoftonline.com/{tenantid}/v2.0/.well-known/openid-configuration AADSTS7000215", "{tenantid}"},
		{"iss https://sts.windows.net/" + other + "/v2.0 AADSTS7000215", other},
		{"https://example.com/api/v2.0/things AADSTS7000215", ""},
		{"https://docs.microsoft.com/azure/active-directory AADSTS7000215", ""},
		{"https://login.microsoftonline.com/contoso.com/oauth2/token\n2025-01-01 AADSTS7000215", ""},
		{"https://login.microsoftonline.com/contoso.com/oauth2/token" + strings.Repeat(" .", 600) + " AADSTS7000215", ""},
		{"AADSTS7000215 https://login.microsoftonline.com/contoso.com/oauth2/token", ""},
		{"https:// AADSTS7000215 https://", ""},
		{"error_codes https://login.microsoftonline.com/contoso.com/oauth2/token" + strings.Repeat(" .", 600) + " AADSTS7000215", ""},
	} {
		found := find(test.text)
		if len(found) != 1 || found[0].Tenant != test.want {
			t.Errorf("Find(%q) = %+v, want the tenant %q", test.text, found, test.want)
		}
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	const text = `2025-01-01 body {"error":"invalid_client","error_description":"AADSTS7000215: x. Trace ID: ` + trace + `","error_codes":[7000215]} and AADSTS90002: y. ` + "\r\n"
	var got []string
	for f := range FindString(text) {
		got = append(got, text[f.Start:f.End])
	}
	want := []string{`error":"invalid_client","error_description":"AADSTS7000215: x. Trace ID: ` + trace + `","error_codes":[7000215`, "AADSTS90002: y."}
	if !slices.Equal(got, want) {
		t.Errorf("spans\n%q, want\n%q", got, want)
	}
}

// A message without an end must not make the event of the whole log.
func TestSpanIsBounded(t *testing.T) {
	t.Parallel()
	for f := range FindString(`"AADSTS7000215: ` + strings.Repeat("word ", 10000)) {
		if n := f.End - f.Start; n > 5<<10 {
			t.Errorf("span of %d bytes", n)
		}
	}
}

func TestFindStops(t *testing.T) {
	t.Parallel()
	n := 0
	for range FindString(strings.Repeat("AADSTS7000215\n", 100)) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("yielded %d times after break, want 3", n)
	}
}

// The failures must not refer to a text that the caller may change.
func TestFindKeepsNothing(t *testing.T) {
	t.Parallel()
	text := []byte(hitLine + `"suberror":"basic_action"`)
	var got []Failure
	for f := range Find(text) {
		got = append(got, f)
	}
	for i := range text {
		text[i] = '#'
	}
	want := slices.Collect(FindString(hitLine + `"suberror":"basic_action"`))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("after the text changed:\n%+v, want\n%+v", got, want)
	}
}

// A text may be cut anywhere: what is left of it is read, and no code comes out
// that is not the start of the true one.
func TestCutAnywhere(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("testdata/*/*.txtar")
	for _, file := range files {
		archive, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(string(archive), "-- text --\n")
		text, _, _ = strings.Cut(text, "-- want.json --\n")
		step := 1 + len(text)/100
		for i := 0; i < len(text); i += step {
			checkInvariants(t, text[:i])
			checkInvariants(t, text[i:])
			for f := range FindString(text[:i]) {
				if f.Code != 0 && !strings.Contains(text, strconv.Itoa(f.Code)) {
					t.Fatalf("%s cut at %d: code %d", file, i, f.Code)
				}
			}
		}
	}
}
