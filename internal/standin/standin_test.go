package standin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/internal/canary"
	"github.com/credsmith/credsmith/internal/request"
	"github.com/credsmith/credsmith/internal/standin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tenant = "7f1c0d3e-8a52-4d0b-9a53-1c1f3f3f2b11"
	client = "03146f14-24fa-4cde-8455-537c6ff06a55"
	value  = "kZ48Q~vTn3bXw.LqPz_7RmYcD-sFgHj2KtW9eBaU"
)

// start runs a stand-in and returns its address, the reports it makes and
// what Serve returned, once the test has ended it.
func start(t *testing.T, count int) (base string, reports chan request.Report, stop context.CancelFunc, ended chan error) {
	t.Helper()
	server, err := standin.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	reports, ended = make(chan request.Report, 100), make(chan error, 1)
	go func() {
		ended <- server.Serve(ctx, count, func(r request.Report) error { reports <- r; return nil })
		close(ended)
	}()
	t.Cleanup(func() {
		stop()
		for range ended { //nolint:revive // until Serve has returned
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return server.URL(), reports, stop, ended
}

func form(grant string) string {
	return url.Values{"grant_type": {grant}, "client_id": {client}, "client_secret": {value}, "scope": {"https://graph.microsoft.com/.default"}}.Encode()
}

// post sends a body and returns status and answer.
func post(t *testing.T, address, contentType, body string) (int, map[string]any) {
	t.Helper()
	resp, err := http.Post(address, contentType, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

func read(t *testing.T, resp *http.Response) (int, map[string]any) {
	t.Helper()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if found := canary.Find(text, value); len(found) > 0 {
		t.Errorf("the answer holds the secret (%v): %s", found, text)
	}
	var body map[string]any
	if err := json.Unmarshal(text, &body); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return resp.StatusCode, body
}

const formType = "application/x-www-form-urlencoded"

func TestLintsWhatAnAppSends(t *testing.T) {
	t.Parallel()
	base, reports, _, ended := start(t, 4)
	for _, test := range []struct {
		path, contentType, body string
		causes, oauthError      string
	}{
		{"/" + tenant + "/oauth2/v2.0/token", formType, form("client_credentials"), "", "unauthorized_client"},
		{"/" + tenant + "/oauth2/v2.0/token", formType, form("client_credential"), "grant-type-wrong", "invalid_request"},
		{"/common/oauth2/token", "application/json", `{"client_secret":"` + value + `"}`, "authority-common body-not-form parameter-missing parameter-missing parameter-missing", "invalid_request"},
		{"/" + tenant + "/oauth2/v2.0/tokens?client_secret=" + url.QueryEscape(value), formType, form("client_credentials"), "endpoint-wrong body-not-form", "invalid_request"},
	} {
		status, body := post(t, base+test.path, test.contentType, test.body)
		report := <-reports
		var causes []string
		for _, f := range report.Faults {
			causes = append(causes, f.Cause)
			if f.Line != 0 {
				t.Errorf("%s: a fault has line %d, and there is no text", test.path, f.Line)
			}
		}
		if got := strings.Join(causes, " "); got != test.causes {
			t.Errorf("%s: faults %q, want %q", test.path, got, test.causes)
		}
		if status != 400 || body["error"] != test.oauthError {
			t.Errorf("%s: HTTP %d, error %v; want 400, %s", test.path, status, body["error"], test.oauthError)
		}
		says, _ := body["error_description"].(string)
		if !strings.HasPrefix(says, "credsmith request --listen, not Entra ID: ") || len(causes) > 0 && !strings.Contains(says, "["+causes[0]+", ") {
			t.Errorf("%s: error_description is %q", test.path, says)
		}
		if !strings.Contains(report.Corrected, "\nHost: login.microsoftonline.com\n") {
			t.Errorf("the corrected request goes elsewhere: %s", report.Corrected)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve = %v after four requests, want nil", err)
	}
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	base, _, _, _ := start(t, 0)
	for path, want := range map[string]string{
		"/" + tenant + "/v2.0/.well-known/openid-configuration":                                           `"token_endpoint":"` + base + "/" + tenant + `/oauth2/v2.0/token"`,
		"/contoso.com/.well-known/openid-configuration":                                                   `"issuer":"` + base + `/contoso.com/v2.0"`,
		"/common/discovery/instance?api-version=1.1&authorization_endpoint=" + url.QueryEscape(base+"/x"): `"tenant_discovery_endpoint":"` + base + "/common/v2.0/",
		"/" + tenant + "/discovery/v2.0/keys":                                                             `{"keys":[]}`,
	} {
		resp, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || !strings.Contains(string(text), want) {
			t.Errorf("%s: HTTP %d, %v: %s\nwant %s", path, resp.StatusCode, err, text, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	base, reports, _, _ := start(t, 0)
	send := func(method, path, host, body string) (int, map[string]any) {
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			req.Host = host
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return read(t, resp)
	}
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(base, "http://"))
	for _, test := range []struct {
		method, path, host, body string
		status                   int
	}{
		{"POST", "/x/oauth2/token", "login.microsoftonline.com", "a=b", 421},
		{"POST", "/x/oauth2/token", "evil.example:" + port, "a=b", 421},
		{"POST", "/x/oauth2/token", "127.0.0.1", "a=b", 421}, // another port
		{"POST", "/x/oauth2/token", "192.0.2.1:" + port, "a=b", 421},
		{"GET", "/x/v2.0/.well-known/openid-configuration", "evil.example", "", 421},
		{"POST", "/x/oauth2/token", "", strings.Repeat("a", 1<<20+1), 413},
		{"GET", "/favicon.ico", "", "", 404},
		{"OPTIONS", "/x", "", "", 404},
		{"GET", "/", "", "", 404},
	} {
		status, body := send(test.method, test.path, test.host, test.body)
		if status != test.status || body["error"] == nil {
			t.Errorf("%s %s to %q: HTTP %d %v, want %d", test.method, test.path, test.host, status, body, test.status)
		}
	}
	if len(reports) != 0 {
		t.Errorf("%d of the refused requests were linted", len(reports))
	}
	if status, _ := send("GET", "/x/oauth2/token", "localhost:"+port, ""); status != 400 || len(reports) != 1 {
		t.Errorf("GET of a token endpoint by localhost: HTTP %d, %d reports; want 400, 1", status, len(reports))
	}
	large := make(http.Header)
	large.Set("X-Large", strings.Repeat("x", 64<<10))
	req, _ := http.NewRequestWithContext(t.Context(), "POST", base+"/x/oauth2/token", nil)
	req.Header = large
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("64 KiB of headers: HTTP %d, want 431", resp.StatusCode)
	}
}

func TestListenOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:0", "127.0.0.1", "", "127.0.0.1.evil.example:0"} {
		if server, err := standin.Listen(t.Context(), address); err == nil {
			t.Errorf("Listen(%q) = %s, want an error", address, server.URL())
		}
	}
	taken, err := standin.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(taken.URL(), "http://")
	if _, err := standin.Listen(t.Context(), address); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("Listen on a port in use = %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := taken.Serve(ctx, 0, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Serve = %v when it was stopped, want context.Canceled", err)
	}
}

// TestStopsBesideASlowClient: a client that never ends its request does not
// keep the server from stopping.
func TestStopsBesideASlowClient(t *testing.T) {
	t.Parallel()
	base, _, stop, ended := start(t, 0)
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /x/oauth2/token HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n", strings.TrimPrefix(base, "http://"))
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("%q, %v", line, err)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Serve = %v, want context.Canceled", err)
	}
}

// TestSeenFails: what cannot be shown ends the run.
func TestSeenFails(t *testing.T) {
	t.Parallel()
	server, err := standin.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken pipe")
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(t.Context(), 0, func(request.Report) error { return broken }) }()
	post(t, server.URL()+"/x/oauth2/token", formType, form("x"))
	if err := <-ended; !errors.Is(err, broken) {
		t.Errorf("Serve = %v, want %v", err, broken)
	}
	http.DefaultClient.CloseIdleConnections()
}

// FuzzRequest sends any bytes in place of a request.
func FuzzRequest(f *testing.F) {
	f.Add("POST /x/oauth2/token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\na=b")
	f.Add("GET //%2f/.well-known/openid-configuration HTTP/1.1\r\nHost: localhost\r\n\r\n")
	f.Add("POST http://evil/ HTTP/1.0\r\n\r\n")
	f.Add("POST * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		standin.ServeOnce(t, req)
	})
}
