package entralab_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// graphScope is what a client of Graph asks for.
const graphScope = "https://graph.microsoft.com/.default"

// start starts a lab without sockets.
func start(t testing.TB) *entralab.Lab {
	t.Helper()
	return startWith(t, entralab.Config{InProcess: true})
}

func startWith(t testing.TB, cfg entralab.Config) *entralab.Lab {
	t.Helper()
	lab, err := entralab.Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	return lab
}

// addApp adds an app of the home tenant with one secret.
func addApp(t testing.TB, lab *entralab.Lab, spec entralab.AppSpec) entralab.App {
	t.Helper()
	if spec.Secrets == nil {
		spec.Secrets = []entralab.SecretSpec{{}}
	}
	app, err := lab.AddApp(spec)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

func value(app entralab.App) string { return app.Secrets[0].Value.Reveal() }

// reply is a response with its body read.
type reply struct {
	status int
	header http.Header
	body   string
}

func do(t testing.TB, lab *entralab.Lab, r *http.Request) reply {
	t.Helper()
	resp, err := lab.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(body)}
}

// object decodes a JSON object.
func (r reply) object(t testing.TB) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(r.body), &o); err != nil {
		t.Fatalf("status %d, not a JSON object: %v\n%s", r.status, err, r.body)
	}
	return o
}

// newRequest makes a request; headers are pairs of name and value.
func newRequest(t testing.TB, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, url, reader)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// credentialsForm is a client_credentials request for Graph.
func credentialsForm(clientID, value string) url.Values {
	return url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {value}, "scope": {graphScope},
	}
}

func tokenURL(lab *entralab.Lab, tenant string) string {
	return lab.AuthorityURL() + "/" + tenant + "/oauth2/v2.0/token"
}

// askToken posts a form to the token endpoint of a tenant.
func askToken(t testing.TB, lab *entralab.Lab, tenant string, form url.Values, headers ...string) reply {
	t.Helper()
	headers = append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)
	return do(t, lab, newRequest(t, "POST", tokenURL(lab, tenant), form.Encode(), headers...))
}

// code asks for a token and returns the AADSTS code, 0 for a token.
func code(t testing.TB, lab *entralab.Lab, clientID, value string) int {
	t.Helper()
	r := askToken(t, lab, lab.TenantID(), credentialsForm(clientID, value))
	if r.status == http.StatusOK {
		return 0
	}
	return int(r.object(t)["error_codes"].([]any)[0].(float64))
}

// graphToken returns an access token for Graph.
func graphToken(t testing.TB, lab *entralab.Lab, app entralab.App) string {
	t.Helper()
	r := askToken(t, lab, app.TenantID, credentialsForm(app.ClientID, value(app)))
	if r.status != http.StatusOK {
		t.Fatalf("no token: %s", r.body)
	}
	return r.object(t)["access_token"].(string)
}

// graph calls Graph's v1.0 with a token.
func graph(t testing.TB, lab *entralab.Lab, token, method, path, body string, headers ...string) reply {
	t.Helper()
	headers = append([]string{"Authorization", "Bearer " + token}, headers...)
	if body != "" {
		headers = append([]string{"Content-Type", "application/json"}, headers...)
	}
	return do(t, lab, newRequest(t, method, lab.GraphURL()+"/v1.0/"+path, body, headers...))
}

// control posts a command.
func control(t testing.TB, lab *entralab.Lab, path, body string) reply {
	t.Helper()
	return do(t, lab, newRequest(t, "POST", lab.ControlURL()+"/control/"+path, body, "Content-Type", "application/json"))
}
