package azuredevops_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/azuredevops"
	"github.com/credsmith/credsmith/internal/sink/sinktest"
	"github.com/credsmith/credsmith/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	pat        = "made-up-pat"
	value      = "aB38Q~azdevops-0123456789.abcdefghijk_lm"
	connection = "0f1e2d3c-0000-4000-8000-0000000000e1"
	clientID   = "0f1e2d3c-0000-4000-8000-0000000000c1"
)

var (
	group    = azuredevops.Config{Organization: "contoso", Project: "Billing Team", VariableGroup: 7, Variable: "AZURE_CLIENT_SECRET"}
	endpoint = azuredevops.Config{Organization: "contoso", Project: "Billing Team", ServiceConnection: connection}
)

// server is Azure DevOps over one variable group and one service connection. A
// write replaces all; a null keeps a secret, and what is left out is gone.
type server struct {
	t  testing.TB
	mu sync.Mutex

	group, endpoint map[string]any
	denied          bool // to write
	fail            func(route string) (status int, header map[string]string, body string)
	sent            []string
}

func parsed(text string) (m map[string]any) {
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		panic(err)
	}
	return m
}

func newServer(t testing.TB) *server {
	return &server{t: t,
		group: parsed(`{"id":7,"type":"Vsts","name":"billing-prod","description":"d","isShared":false,"future":{"a":[1,null]},
			"variables":{"URL":{"value":"https://x/?a=b&c=<d>"},"OTHER_SECRET":{"value":"held","isSecret":true},"ro":{"value":"1","isReadOnly":true}},
			"variableGroupProjectReferences":[{"name":"billing-prod","description":null,"projectReference":{"id":"p","name":"Billing Team"}}]}`),
		endpoint: parsed(`{"id":"` + connection + `","name":"azure-prod","type":"azurerm","url":"https://management.azure.com/","isReady":true,
			"data":{"subscriptionId":"s","creationMode":"Manual"},"serviceEndpointProjectReferences":[{"name":"azure-prod"}],
			"authorization":{"scheme":"ServicePrincipal","parameters":{"tenantid":"t","serviceprincipalid":"` + clientID + `","authenticationType":"spnKey","serviceprincipalkey":"old"}}}`),
	}
}

// secrets are the maps in which a secret's value stands, by its name in them.
func (s *server) secrets(whole map[string]any) (holders []map[string]any, names []string) {
	if variables, ok := whole["variables"].(map[string]any); ok {
		for _, v := range variables {
			if v, _ := v.(map[string]any); v["isSecret"] == true {
				holders, names = append(holders, v), append(names, "value")
			}
		}
		return holders, names
	}
	authorization, _ := whole["authorization"].(map[string]any)
	if parameters, ok := authorization["parameters"].(map[string]any); ok {
		holders, names = append(holders, parameters), append(names, "serviceprincipalkey")
	}
	return holders, names
}

func copied(m map[string]any) map[string]any {
	text, _ := json.Marshal(m)
	return parsed(string(text))
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	route := r.Method + " " + r.URL.EscapedPath()
	s.sent = append(s.sent, route)
	if _, password, _ := r.BasicAuth(); r.Host != "dev.azure.com" || r.URL.RawQuery != "api-version=7.1" || password != pat || r.Header.Get("Accept") != "application/json" ||
		(len(body) > 0) != (r.Header.Get("Content-Type") == "application/json") {
		s.t.Errorf("%s at %s?%s: headers %v", route, r.Host, r.URL.RawQuery, r.Header)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8; api-version=7.1")
	if s.fail != nil {
		if status, header, text := s.fail(r.Method); status != 0 {
			for name, value := range header {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			io.WriteString(w, text)
			return
		}
	}
	held := &s.group
	if strings.Contains(route, "/endpoints/") {
		held = &s.endpoint
	}
	switch route {
	case "GET /contoso/Billing%20Team/_apis/distributedtask/variablegroups/7", "GET /contoso/Billing%20Team/_apis/serviceendpoint/endpoints/" + connection:
	case "PUT /contoso/_apis/distributedtask/variablegroups/7", "PUT /contoso/_apis/serviceendpoint/endpoints/" + connection:
		if s.denied {
			w.WriteHeader(403)
			io.WriteString(w, `{"$id":"1","message":"You do not have permissions"}`)
			return
		}
		*held = s.merged(*held, parsed(string(body)))
	default:
		s.t.Errorf("%s is no request of Azure DevOps", route)
		w.WriteHeader(404)
		return
	}
	shown := copied(*held)
	holders, names := s.secrets(shown)
	for i, h := range holders {
		h[names[i]] = nil
	}
	text, _ := json.Marshal(shown)
	w.Write(text)
}

// merged keeps the secrets that come back as null.
func (s *server) merged(was, sent map[string]any) map[string]any {
	if variables, ok := sent["variables"].(map[string]any); ok {
		for name, v := range variables {
			if v, _ := v.(map[string]any); v["isSecret"] == true && v["value"] == nil {
				before, _ := was["variables"].(map[string]any)[name].(map[string]any)
				v["value"] = before["value"]
			}
		}
		if refs, _ := sent["variableGroupProjectReferences"].([]any); len(refs) == 0 {
			s.t.Error("without variableGroupProjectReferences the answer is 401")
		}
	}
	return sent
}

func give(token string) func(context.Context) (secret.Value, error) {
	return func(context.Context) (secret.Value, error) { return secret.New(token), nil }
}

func open(t testing.TB, c azuredevops.Config, line http.RoundTripper) *azuredevops.Sink {
	t.Helper()
	s, err := azuredevops.New(c, azuredevops.AsPerson(give(pat)), wire.Wrap(line))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		srv := newServer(t)
		line := &sinktest.Line{To: sinktest.Handler{Handler: srv}, Trouble: &sinktest.Trouble{}}
		return sinktest.Fixture{
			Open: func(t *testing.T) sink.Sink { return open(t, group, line) },
			Holds: func(*testing.T) (string, bool) {
				srv.mu.Lock()
				defer srv.mu.Unlock()
				v, exists := srv.group["variables"].(map[string]any)["AZURE_CLIENT_SECRET"].(map[string]any)
				text, _ := v["value"].(string)
				return text, exists
			},
			Deny: func(*testing.T) { srv.denied = true }, Blind: true,
			Lose: func(*testing.T) { line.Lose() },
			Hang: func(*testing.T) { line.Hang() },
			Cut: func(t *testing.T, n int) (sink.Sink, func() bool) {
				cut, reached := line.Cut(n)
				return open(t, group, cut), reached
			},
		}
	})
}

func write(t testing.TB, s sink.Sink) error {
	_, err := s.Write(t.Context(), sink.Delivery{Value: secret.New(value), ClientID: clientID})
	return err
}

// TestReplaceAll: all but the one value goes back as it came.
func TestReplaceAll(t *testing.T) {
	t.Parallel()
	t.Run("group", func(t *testing.T) {
		t.Parallel()
		srv := newServer(t)
		srv.group["variables"].(map[string]any)["azure_client_secret"] = map[string]any{"value": "plain", "isReadOnly": true}
		want := copied(srv.group)
		want["variables"].(map[string]any)["azure_client_secret"] = map[string]any{"value": value, "isSecret": true, "isReadOnly": true}
		s := open(t, group, sinktest.Handler{Handler: srv})
		if err := write(t, s); err != nil || !reflect.DeepEqual(srv.group, want) {
			t.Errorf("%v\n%v, want\n%v", err, srv.group, want)
		}
		if held, err := s.Read(t.Context()); err != nil || !held.Exists || held.Value.Reveal() != "" {
			t.Errorf("Read = %+v, %v", held, err)
		}
		if s.Ref() != "azuredevops:contoso/billing team/variablegroups/7#AZURE_CLIENT_SECRET" {
			t.Error(s.Ref())
		}
	})
	t.Run("group without references", func(t *testing.T) {
		t.Parallel()
		srv := newServer(t)
		delete(srv.group, "variableGroupProjectReferences")
		if err := write(t, open(t, group, sinktest.Handler{Handler: srv})); err != nil {
			t.Error(err)
		}
	})
	t.Run("connection", func(t *testing.T) {
		t.Parallel()
		srv := newServer(t)
		want := copied(srv.endpoint)
		want["authorization"].(map[string]any)["parameters"].(map[string]any)["serviceprincipalkey"] = value
		s := open(t, endpoint, sinktest.Handler{Handler: srv})
		if err := write(t, s); err != nil || !reflect.DeepEqual(srv.endpoint, want) {
			t.Errorf("%v\n%v, want\n%v", err, srv.endpoint, want)
		}
		if held, err := s.Read(t.Context()); err != nil || !held.Exists || s.Check(t.Context()) != nil {
			t.Errorf("Read = %+v, %v", held, err)
		}
		if s.Ref() != "azuredevops:contoso/billing team/endpoints/"+connection {
			t.Error(s.Ref())
		}
	})
}

// TestSideBySide: sinks of one process that write different variables of a
// group at once lose none of them.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	var all sync.WaitGroup
	for i := range 20 {
		c := group
		c.Variable = fmt.Sprintf("SECRET_%02d", i)
		s := open(t, c, sinktest.Handler{Handler: srv})
		all.Go(func() {
			if err := write(t, s); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := len(srv.group["variables"].(map[string]any)); got != 20+3 {
		t.Errorf("%d variables are left, want 23", got)
	}
}

// TestRefusals drives what Azure DevOps, or something in its place, may answer.
func TestRefusals(t *testing.T) {
	t.Parallel()
	on := func(method string, status int, header map[string]string, body string) func(*server) {
		return func(s *server) {
			s.fail = func(got string) (int, map[string]string, string) {
				if strings.HasPrefix(got, method) {
					return status, header, body
				}
				return 0, nil, ""
			}
		}
	}
	const says = `{"$id":"1","message":"cannot take ` + value + `"}`
	how := func(authorization string) func(*server) {
		return func(s *server) { s.endpoint["authorization"] = parsed(authorization) }
	}
	for title, c := range map[string]struct {
		config azuredevops.Config
		setUp  func(*server)
		kind   sink.Kind
		after  time.Duration
		text   string
	}{
		"no right":           {group, on("PUT", 403, nil, says), sink.Denied, 0, "Pipelines > Library > Security"},
		"no right, endpoint": {endpoint, on("PUT", 403, nil, says), sink.Denied, 0, "Project settings > Service connections"},
		"misleading 401":     {group, on("", 401, nil, says), sink.Denied, 0, "Administrator of the variable group"},
		"a page to sign in":  {group, on("", 203, map[string]string{"Content-Type": "text/html"}, "<html>"), sink.Denied, 0, "set AZURE_DEVOPS_EXT_PAT"},
		"expired token":      {group, on("", 401, map[string]string{"Content-Type": "text/html"}, "<html>"), sink.Denied, 0, "the token is wrong or has expired"},
		"a variable, a text": {group, func(s *server) { s.group["variables"].(map[string]any)["AZURE_CLIENT_SECRET"] = "x" }, sink.Unreachable, 0, "not one of Azure DevOps"},
		"not found":          {group, on("", 404, nil, says), sink.Invalid, 0, "check organization, project and number"},
		"null":               {group, on("", 200, nil, "null"), sink.Invalid, 0, "check organization, project and number"},
		"at the same time":   {endpoint, on("PUT", 409, nil, says), sink.Unreachable, 0, "HTTP 409"},
		"throttled":          {group, on("", 429, map[string]string{"Retry-After": "17"}, says), sink.Throttled, 17 * time.Second, "HTTP 429"},
		"down":               {group, on("PUT", 500, nil, says), sink.Unreachable, 0, "HTTP 500"},
		"a proxy's page":     {group, on("", 403, map[string]string{"Content-Type": "text/html"}, "<html>"), sink.Unreachable, 0, "HTTP 403"},
		"moved":              {group, on("", 302, map[string]string{"Location": "https://spsprodweu.vssps.visualstudio.com/_signin"}, ""), sink.Unreachable, 0, "redirects to"},
		"a page":             {group, on("", 200, nil, "<html>"), sink.Unreachable, 0, "not one of Azure DevOps"},
		"a strange answer":   {group, on("PUT", 200, nil, "{}"), sink.Unreachable, 0, "not one of Azure DevOps"},
		"linked to a vault":  {group, func(s *server) { s.group["type"] = "AzureKeyVault" }, sink.Invalid, 0, "bind that place instead"},
		"variables, a list":  {group, func(s *server) { s.group["variables"] = []any{} }, sink.Unreachable, 0, "not one of Azure DevOps"},
		"federated":          {endpoint, how(`{"scheme":"WorkloadIdentityFederation","parameters":{}}`), sink.Invalid, 0, "holds no client secret"},
		"certificate":        {endpoint, how(`{"scheme":"ServicePrincipal","parameters":{"authenticationType":"spnCertificate"}}`), sink.Invalid, 0, "holds no client secret"},
		"no parameters":      {endpoint, how(`{"scheme":"ServicePrincipal"}`), sink.Unreachable, 0, "not one of Azure DevOps"},
		"another app's":      {endpoint, how(`{"scheme":"ServicePrincipal","parameters":{"serviceprincipalid":"` + connection + `"}}`), sink.Invalid, 0, "another app than the binding's"},
		"old, without a kind": {endpoint, func(s *server) {
			how(`{"scheme":"ServicePrincipal","parameters":{"serviceprincipalid":"x"}}`)(s)
			s.denied = true
		}, sink.Invalid, 0, "another app"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t)
			c.setUp(srv)
			err := write(t, open(t, c.config, sinktest.Handler{Handler: srv}))
			e, ok := errors.AsType[*sink.Error](err)
			if !ok || e.Kind != c.kind || e.After != c.after || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), value) {
				t.Fatalf("Write = %v (%+v), want %s with %q", err, e, c.kind, c.text)
			}
		})
	}
}

// identity signs in with what it was asked for, or fails.
type identity struct{ err error }

func (i identity) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "for " + strings.Join(o.Scopes, " ")}, i.err
}

func TestAsOperator(t *testing.T) {
	t.Parallel()
	r, _ := http.NewRequestWithContext(t.Context(), "GET", "https://dev.azure.com/", nil)
	if err := azuredevops.AsOperator(identity{})(r); err != nil || r.Header.Get("Authorization") != "Bearer for 499b84ac-1321-427f-aa17-267ca6975798/.default" {
		t.Error(err, r.Header)
	}
	s, err := azuredevops.New(group, azuredevops.AsOperator(identity{errors.New("secret words")}), wire.Wrap(sinktest.Handler{Handler: newServer(t)}))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); sink.KindOf(err) != sink.Unreachable || strings.Contains(err.Error(), "words") || !strings.Contains(err.Error(), "AZURE_DEVOPS_EXT_PAT") {
		t.Error(err)
	}
}

// TestAsPerson: a token that cannot be had is said, and nothing is sent.
func TestAsPerson(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	s, err := azuredevops.New(group, azuredevops.AsPerson(func(context.Context) (secret.Value, error) {
		return secret.Value{}, errors.New("/run/secrets/pat: no such file")
	}), wire.Wrap(sinktest.Handler{Handler: srv}))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); sink.KindOf(err) != sink.Denied || !strings.Contains(err.Error(), "/run/secrets/pat: no such file; put a personal access token") || len(srv.sent) != 0 {
		t.Errorf("%v, sent %q", err, srv.sent)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config azuredevops.Config
		want   string
	}{
		{azuredevops.Config{Project: "p", VariableGroup: 1, Variable: "v"}, "organization: \"\" is not a name"},
		{azuredevops.Config{Organization: "a/b", Project: "p", VariableGroup: 1, Variable: "v"}, "organization: \"a/b\" is not a name"},
		{azuredevops.Config{Organization: "a", VariableGroup: 1, Variable: "v"}, "project: \"\" is not the name"},
		{azuredevops.Config{Organization: "a", Project: "..", VariableGroup: 1, Variable: "v"}, "project: \"..\" is not the name"},
		{azuredevops.Config{Organization: "a", Project: "p"}, "variable_group: name either"},
		{azuredevops.Config{Organization: "a", Project: "p", VariableGroup: 1, ServiceConnection: connection}, "variable_group: name either"},
		{azuredevops.Config{Organization: "a", Project: "p", VariableGroup: 1}, "variable_group: name the number"},
		{azuredevops.Config{Organization: "a", Project: "p", VariableGroup: -1, Variable: "v"}, "variable_group: name the number"},
		{azuredevops.Config{Organization: "a", Project: "p", VariableGroup: 1, Variable: strings.Repeat("v", 401)}, "variable: is longer"},
		{azuredevops.Config{Organization: "a", Project: "p", ServiceConnection: "azure-prod"}, "service_connection: is not the id"},
	} {
		if _, err := azuredevops.New(c.config, nil, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%+v) = %v, want %q", c.config, err, c.want)
		}
	}
}
