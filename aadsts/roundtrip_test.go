package aadsts

import (
	"encoding/json"
	"fmt"
	"html"
	"math/rand"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sample is one error of the service, to be printed in many ways.
type sample struct {
	code                    int
	oauth                   string
	message                 string
	app, trace, correlation string
	at                      time.Time
}

func (s sample) stamp() string { return s.at.Format("2006-01-02 15:04:05Z") }

// description joins the parts as the service did before (CRLF) and since 2023.
func (s sample) description(sep string) string {
	return strings.Join([]string{
		fmt.Sprintf("AADSTS%d: %s", s.code, s.message), "Trace ID: " + s.trace, "Correlation ID: " + s.correlation, "Timestamp: " + s.stamp(),
	}, sep)
}

func (s sample) body(sep string) string {
	return toLine(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Codes       []int  `json:"error_codes"`
		Timestamp   string `json:"timestamp"`
		Trace       string `json:"trace_id"`
		Correlation string `json:"correlation_id"`
		URI         string `json:"error_uri"`
	}{s.oauth, s.description(sep), []int{s.code}, s.stamp(), s.trace, s.correlation, "https://login.microsoftonline.com/error?code=" + strconv.Itoa(s.code)})
}

func toLine(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func indent(body string, sorted bool) string {
	var v any = json.RawMessage(body)
	if sorted {
		v = map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			panic(err)
		}
	}
	b, err := json.MarshalIndent(v, "  ", "  ")
	if err != nil {
		panic(err)
	}
	return string(b)
}

// wrapText breaks lines at spaces, as a terminal with a box around it does.
func wrapText(text string, width int, before string) string {
	var b strings.Builder
	n := 0
	for word := range strings.FieldsSeq(text) {
		if n+len(word) > width {
			b.WriteString("\n" + before)
			n = 0
		}
		b.WriteString(word + " ")
		n += len(word) + 1
	}
	return before + b.String()
}

// renderings print a sample. Each stands for a program or a way that text
// takes; hasOAuth tells which print the OAuth error.
var renderings = []struct {
	name     string
	hasOAuth bool
	render   func(sample) string
}{
	{"body", true, func(s sample) string { return s.body(" ") }},
	{"body with CRLF", true, func(s sample) string { return s.body("\r\n") }},
	{"indented body", true, func(s sample) string { return "RESPONSE 401\n--------\n  " + indent(s.body(" "), false) }},
	{"sorted body", true, func(s sample) string { return "{\n \"cause\": " + indent(s.body("\r\n"), true) + "}" }},
	{"flat text", false, func(s sample) string { return "ERROR token: " + s.description(" ") + "\nnext line" }},
	{"lines", false, func(s sample) string {
		return "Caused by: com.microsoft.aad.msal4j.MsalServiceException: " + s.description("\r\n") + "\r\n\tat java.lang.Thread.run"
	}},
	{"JSON in JSON", true, func(s sample) string { return `{"level":"error","msg":` + toLine("response: "+s.body("\r\n")) + `}` }},
	{"JSON in JSON in JSON", true, func(s sample) string {
		return toLine(map[string]string{"log": toLine(map[string]string{"msg": s.body("\r\n")}) + "\n", "stream": "stderr"})
	}},
	{"logfmt", false, func(s sample) string {
		return "time=2026-01-02T03:04:05Z err=" + strconv.Quote(s.description(" ")) + " n=1"
	}},
	{"query", true, func(s sample) string {
		return "GET /cb?error=" + s.oauth + "&error_description=" + url.QueryEscape(s.description("\r\n")) + "&state=x HTTP/1.1"
	}},
	{"fragment", true, func(s sample) string {
		return "https://app.example/cb#error=" + s.oauth + "&error_description=" + url.PathEscape(s.description("\r\n")) + "&state=x"
	}},
	{"query in a query", true, func(s sample) string {
		return "/login?next=" + url.QueryEscape("/cb?error="+s.oauth+"&error_description="+url.PathEscape(s.description(" "))+"&x=1") + "&y=2"
	}},
	{"HTML", false, func(s sample) string {
		return "<p>" + strings.ReplaceAll(html.EscapeString(s.description("\n")), "\n", "<br>") + "</p>"
	}},
	{"body in HTML", true, func(s sample) string { return "<pre>" + html.EscapeString(s.body(" ")) + "</pre>" }},
	{"browser page", false, func(s sample) string {
		return fmt.Sprintf("Request Id: %s\nCorrelation Id: %s\nTimestamp: %s\nMessage: AADSTS%d: %s\n", s.trace, s.correlation, s.at.Format(time.RFC3339), s.code, s.message)
	}},
	{"box", true, func(s sample) string { return wrapText("Error: "+s.body(" "), 80, "│ ") }},
	{"MSAL for JavaScript", true, func(s sample) string {
		return fmt.Sprintf("errorCode: '%s',\nerrorMessage: %q,\nsubError: ''", s.oauth, fmt.Sprintf("%d - [%s]: %s", s.code, s.stamp(), s.description("\r\n")))
	}},
	{"azure-identity", true, func(s sample) string {
		return "Azure Active Directory error '(" + s.oauth + ") " + s.description("\r\n") + "'\nContent: x"
	}},
}

var holes = regexp.MustCompile(`\{(\w+)\}`)

// TestRoundTrip prints every message of the catalogue in every way, and reads
// it back.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewSource(1))
	for e := range All() {
		if e.Message == "" {
			continue
		}
		s := sample{code: e.Code, oauth: e.OAuthError, trace: randomGUID(rnd), correlation: randomGUID(rnd),
			at: time.Date(2026, 1, 2, rnd.Intn(24), rnd.Intn(60), rnd.Intn(60), 0, time.UTC)}
		if s.oauth == "" {
			s.oauth = "invalid_request"
		}
		fills := map[string]string{}
		for _, hole := range holes.FindAllStringSubmatch(e.Message, -1) {
			switch hole[1] {
			case "appId", "appIdentifier", "applicationId":
				s.app = randomGUID(rnd)
				fills[hole[1]] = s.app
			default:
				fills[hole[1]] = hole[1] + "-" + strconv.Itoa(rnd.Intn(1000))
			}
		}
		s.message = e.Format(fills)
		for _, r := range renderings {
			t.Run(fmt.Sprintf("%d %s", e.Code, r.name), func(t *testing.T) {
				checkSample(t, s, r.render(s), r.hasOAuth)
			})
		}
	}
}

// TestNeighbours prints two errors in every pair of ways, one after the other:
// none may take the facts of the other.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewSource(2))
	newSample := func(code int, oauth string) sample {
		e, _ := Lookup(code)
		s := sample{code: code, oauth: oauth, app: randomGUID(rnd), trace: randomGUID(rnd), correlation: randomGUID(rnd), at: time.Date(2026, 1, 2, 3, 4, rnd.Intn(60), 0, time.UTC)}
		s.message = e.Format(map[string]string{"appId": s.app, "tenantName": "Contoso"})
		return s
	}
	a, b, again := newSample(7000222, "invalid_client"), newSample(700016, "unauthorized_client"), newSample(7000222, "invalid_client")
	for _, first := range renderings {
		for _, second := range renderings {
			for name, s := range map[string]sample{"another code": b, "the same code": again} {
				t.Run(first.name+", "+second.name+", "+name, func(t *testing.T) {
					text := first.render(a) + "\n" + second.render(s)
					got := find(text)
					if len(got) != 2 || fmt.Sprint(got[:1]) != fmt.Sprint(find(first.render(a))) || fmt.Sprint(got[1:]) != fmt.Sprint(find(second.render(s))) {
						t.Errorf("Find(%s):\ngot  %+v", text, got)
					}
				})
			}
		}
	}
}

func checkSample(t *testing.T, s sample, text string, hasOAuth bool) {
	t.Helper()
	want := []wanted{{Code: s.code, Codes: []int{s.code}, AppID: s.app, TraceID: s.trace, CorrelationID: s.correlation, Timestamp: s.at, Message: s.message}}
	if hasOAuth {
		want[0].OAuthError = s.oauth
	}
	got := find(text)
	if len(got) == 1 {
		want[0].Tenant = got[0].Tenant // TestAppAndTenant's business
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Find(%s):\ngot  %+v\nwant %+v", text, got, want)
	}
	checkInvariants(t, text)
}

func randomGUID(rnd *rand.Rand) string {
	var b [16]byte
	rnd.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
