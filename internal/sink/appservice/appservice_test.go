package appservice_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/appservice"
	"github.com/credsmith/credsmith/internal/sink/sinktest"
	"github.com/credsmith/credsmith/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	value     = "aB38Q~appsvc-0123456789.abcdefghijk_lmno"
	site      = "/subscriptions/0f1e2d3c-0000-4000-8000-0000000000a1/resourceGroups/rg-billing/providers/Microsoft.Web/sites/billing-api"
	reference = "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/billing)"
)

var config = appservice.Config{Site: site, Setting: "AZURE_CLIENT_SECRET"}

// operator signs in with what it was asked for, or fails.
type operator struct{ err error }

func (o operator) GetToken(_ context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "for " + strings.Join(opts.Scopes, " "), ExpiresOn: time.Now().Add(time.Hour)}, o.err
}

// server is Azure Resource Manager over one app: a write replaces all settings.
type server struct {
	t  testing.TB
	mu sync.Mutex

	settings  map[string]any
	denied    bool // to write
	refreshed int
	state     string // of the reference
	fail      func(route string) (status int, header map[string]string, body string)
	sent      []string
}

func newServer(t testing.TB) *server {
	return &server{t: t, state: "Resolved", settings: map[string]any{"OTHER": "a<b>&\u2028 c", "EMPTY": "", "WEBSITE_RUN_FROM_PACKAGE": "1"}}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	route := r.Method + " " + strings.TrimPrefix(r.URL.EscapedPath(), site)
	s.sent = append(s.sent, route)
	if r.URL.RawQuery != "api-version=2022-03-01" || r.Header.Get("Authorization") != "Bearer for https://"+r.Host+"/.default" || (len(body) > 0) != (r.Header.Get("Content-Type") == "application/json") {
		s.t.Errorf("%s?%s: headers %v", route, r.URL.RawQuery, r.Header)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if s.fail != nil {
		if status, header, text := s.fail(route); status != 0 {
			for name, value := range header {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			io.WriteString(w, text)
			return
		}
	}
	switch route {
	case "POST /config/appsettings/list":
		s.answer(w)
	case "PUT /config/appsettings":
		if s.denied {
			w.WriteHeader(403)
			io.WriteString(w, `{"error":{"code":"AuthorizationFailed","message":"The client does not have authorization to perform action"}}`)
			return
		}
		var sent struct{ Properties map[string]any }
		d := json.NewDecoder(strings.NewReader(string(body)))
		d.DisallowUnknownFields()
		if err := d.Decode(&sent); err != nil || sent.Properties == nil {
			s.t.Errorf("body %s: %v", body, err)
		}
		s.settings = sent.Properties
		s.answer(w)
	case "POST /config/configreferences/appsettings/refresh":
		s.refreshed++
	case "GET /config/configreferences/appsettings/AZURE_CLIENT_SECRET":
		fmt.Fprintf(w, `{"properties":{"reference":"x","status":%q,"details":"d"}}`, s.state)
	default:
		s.t.Errorf("%s is no request of Resource Manager's", route)
		w.WriteHeader(404)
	}
}

func (s *server) answer(w io.Writer) {
	text, _ := json.Marshal(map[string]any{"id": site + "/config/appsettings", "name": "appsettings", "location": "West Europe", "properties": s.settings})
	w.Write(text)
}

func open(t testing.TB, c appservice.Config, line http.RoundTripper) sink.Sink {
	t.Helper()
	s, err := appservice.New(c, operator{}, wire.Wrap(line))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		srv := newServer(t)
		others := maps.Clone(srv.settings)
		line := &sinktest.Line{To: sinktest.Handler{Handler: srv}, Trouble: &sinktest.Trouble{}}
		return sinktest.Fixture{
			Open: func(t *testing.T) sink.Sink { return open(t, config, line) },
			Holds: func(t *testing.T) (string, bool) {
				srv.mu.Lock()
				defer srv.mu.Unlock()
				for name, want := range others {
					if got := srv.settings[name]; got != want {
						t.Errorf("%s is %q, and was %q", name, got, want)
					}
				}
				held, exists := srv.settings["AZURE_CLIENT_SECRET"].(string)
				return held, exists
			},
			Deny: func(*testing.T) { srv.denied = true }, Blind: true,
			Lose: func(*testing.T) { line.Lose() },
			Hang: func(*testing.T) { line.Hang() },
			Cut: func(t *testing.T, n int) (sink.Sink, func() bool) {
				cut, reached := line.Cut(n)
				return open(t, config, cut), reached
			},
		}
	})
}

func write(t testing.TB, s sink.Sink) error {
	_, err := s.Write(t.Context(), sink.Delivery{Value: secret.New(value), Rotation: "rot-7"})
	return err
}

// TestReplaceAll: every other setting goes back as it came, whatever it is,
// and the name keeps the letters that it has.
func TestReplaceAll(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.settings["azure_client_secret"], srv.settings["odd"] = "old", nil
	want := maps.Clone(srv.settings)
	want["azure_client_secret"] = value
	c := config
	c.Site += "/slots/staging"
	s := open(t, config, sinktest.Handler{Handler: srv})
	if err := write(t, s); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(srv.settings, want) {
		t.Errorf("settings %q, want %q", srv.settings, want)
	}
	if err := write(t, s); err != nil || strings.Join(srv.sent, ", ") != "POST /config/appsettings/list, PUT /config/appsettings, POST /config/appsettings/list" {
		t.Errorf("%v; what is there already was written again: %q", err, srv.sent)
	}
	if ref := open(t, c, nil).Ref(); ref != "appservice:"+strings.ToLower(c.Site)+"#AZURE_CLIENT_SECRET" {
		t.Error(ref)
	}
}

// TestLetterCase: of two settings that differ in letter case alone it is that
// of the name, every time.
func TestLetterCase(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	for _, name := range []string{"azure_client_secret", "Azure_Client_Secret", "AZURE_CLIENT_SECRET", "AZURE_client_SECRET"} {
		srv.settings[name] = name
	}
	want := maps.Clone(srv.settings)
	c := config
	c.Setting = "Azure_Client_Secret"
	want[c.Setting] = value
	s := open(t, c, sinktest.Handler{Handler: srv})
	if held, err := s.Read(t.Context()); err != nil || held.Value.Reveal() != c.Setting {
		t.Errorf("Read = %q, %v", held.Value.Reveal(), err)
	}
	if err := write(t, s); err != nil || !maps.Equal(srv.settings, want) {
		t.Errorf("%v, settings %q, want %q", err, srv.settings, want)
	}
}

// TestSideBySide: sinks of one process that write different settings of an app
// at once lose none of them.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	var all sync.WaitGroup
	for i := range 20 {
		c := config
		c.Setting = fmt.Sprintf("SECRET_%02d", i)
		s := open(t, c, sinktest.Handler{Handler: srv})
		all.Go(func() {
			if err := write(t, s); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(srv.settings) != 20+3 {
		t.Errorf("%d settings are left, want 23: %q", len(srv.settings), srv.settings)
	}
}

// TestReference: the app is made to resolve again, and its settings are left
// alone.
func TestReference(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.settings["AZURE_CLIENT_SECRET"] = reference
	before := maps.Clone(srv.settings)
	c := config
	c.Reference = true
	s := open(t, c, sinktest.Handler{Handler: srv})
	if err := write(t, s); err != nil {
		t.Fatal(err)
	}
	if held, err := s.Read(t.Context()); err != nil || !held.Exists || held.Value.Reveal() != "" || s.Abilities() != (sink.Abilities{}) {
		t.Errorf("Read = %+v, %v", held, err)
	}
	r := s.(sink.Reloader)
	for range 2 {
		if err := r.Reload(t.Context(), "rot-7"); err != nil {
			t.Fatal(err)
		}
	}
	if srv.refreshed != 1 || !maps.Equal(srv.settings, before) {
		t.Errorf("%d times, settings %v", srv.refreshed, srv.settings)
	}
	for state, want := range map[string]string{"Resolved": "true", "Initialized": "false", "AccessToKeyVaultDenied": "Key Vault Secrets User", "": "not one of Azure"} {
		srv.state = state
		done, err := r.Reloaded(t.Context(), "rot-7")
		if got := fmt.Sprint(done, err); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", state, got, want)
		}
	}
	for title, c := range map[string]struct{ held, want string }{
		"pinned by path":     {strings.Replace(reference, "billing)", "billing/0123456789abcdef0123456789abcdef)", 1), "leave the version out"},
		"pinned by name":     {"@Microsoft.KeyVault(VaultName=kv;SecretName=billing;SecretVersion=0123)", "leave the version out"},
		"by name":            {"@Microsoft.KeyVault(VaultName=kv;SecretName=billing)", ""},
		"a slash at the end": {strings.Replace(reference, "billing)", "billing/)", 1), ""},
		"a value":            {"x", "no Key Vault reference"},
	} {
		srv.settings["AZURE_CLIENT_SECRET"] = c.held
		err := s.Check(t.Context())
		if c.want == "" && err != nil || c.want != "" && (sink.KindOf(err) != sink.Invalid || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", title, err, c.want)
		}
	}
}

// TestRefusals drives what Resource Manager, or something in its place, may
// answer.
func TestRefusals(t *testing.T) {
	t.Parallel()
	on := func(prefix string, status int, header map[string]string, body string) func(*server) {
		return func(s *server) {
			s.fail = func(route string) (int, map[string]string, string) {
				if strings.HasPrefix(route, prefix) {
					return status, header, body
				}
				return 0, nil, ""
			}
		}
	}
	says := func(code string) string {
		return `{"error":{"code":"` + code + `","message":"cannot take ` + value + `"}}`
	}
	for title, c := range map[string]struct {
		setUp func(*server)
		kind  sink.Kind
		after time.Duration
		text  string
	}{
		"no role":          {on("", 403, nil, says("AuthorizationFailed")), sink.Denied, 0, `"AuthorizationFailed"; give the operator the role Website Contributor`},
		"other tenant":     {on("", 401, nil, says("InvalidAuthenticationTokenTenant")), sink.Denied, 0, "subscription of the operator's tenant"},
		"not found":        {on("", 404, nil, says("ResourceNotFound")), sink.Invalid, 0, "check subscription, resource group, name and slot"},
		"under way":        {on("PUT", 409, nil, says("Conflict")), sink.Unreachable, 0, "HTTP 409"},
		"locked":           {on("PUT", 400, nil, says("BadRequest")), sink.Invalid, 0, "HTTP 400"},
		"throttled":        {on("", 429, map[string]string{"Retry-After": "17"}, says("TooManyRequests")), sink.Throttled, 17 * time.Second, "HTTP 429"},
		"down":             {on("PUT", 500, nil, says("InternalServerError")), sink.Unreachable, 0, "HTTP 500"},
		"a proxy's page":   {on("", 403, map[string]string{"Content-Type": "text/html"}, "<html>"), sink.Unreachable, 0, "HTTP 403"},
		"moved":            {on("", 307, map[string]string{"Location": "https://elsewhere.example.com/"}, ""), sink.Unreachable, 0, "redirects to"},
		"a page":           {on("", 200, nil, "<html>"), sink.Unreachable, 0, "not one of Azure Resource Manager's"},
		"null":             {on("POST", 200, nil, "null"), sink.Unreachable, 0, "not one of Azure Resource Manager's"},
		"no settings":      {on("POST", 200, nil, `{"properties":null}`), sink.Unreachable, 0, "not one of Azure Resource Manager's"},
		"not text":         {func(s *server) { s.settings["AZURE_CLIENT_SECRET"] = 1 }, sink.Unreachable, 0, "not one of Azure Resource Manager's"},
		"a reference":      {func(s *server) { s.settings["AZURE_CLIENT_SECRET"] = reference }, sink.Invalid, 0, "bind the vault's secret with a keyvault sink"},
		"a strange answer": {on("PUT", 200, nil, "[]"), sink.Unreachable, 0, "not one of Azure Resource Manager's"},
		"accepted only":    {on("PUT", 202, nil, "{}"), sink.Unreachable, 0, "HTTP 202"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t)
			c.setUp(srv)
			err := write(t, open(t, config, sinktest.Handler{Handler: srv}))
			e, ok := errors.AsType[*sink.Error](err)
			if !ok || e.Kind != c.kind || e.After != c.after || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), value) {
				t.Fatalf("Write = %v (%+v), want %s with %q", err, e, c.kind, c.text)
			}
		})
	}
	s, err := appservice.New(config, operator{errors.New("secret words")}, wire.Wrap(sinktest.Handler{Handler: newServer(t)}))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); sink.KindOf(err) != sink.Unreachable || strings.Contains(err.Error(), "words") {
		t.Error(err)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*appservice.Config)
		want   string
	}{
		{func(c *appservice.Config) { c.Site = "" }, "site: is not the resource id"},
		{func(c *appservice.Config) { c.Site = "billing-api" }, "site: is not the resource id"},
		{func(c *appservice.Config) { c.Site += "/../other" }, "site: is not the resource id"},
		{func(c *appservice.Config) { c.Site += "?x=1" }, "site: is not the resource id"},
		{func(c *appservice.Config) { c.Setting = "" }, "setting: is missing"},
		{func(c *appservice.Config) { c.Setting = "A=B" }, "setting: is missing"},
		{func(c *appservice.Config) { c.ARM = "http://management.azure.com" }, "arm: is not an address"},
		{func(c *appservice.Config) { c.ARM = "https://management.azure.com/x" }, "arm: is not an address"},
	} {
		bad := config
		c.change(&bad)
		if _, err := appservice.New(bad, nil, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%+v) = %v, want %q", bad, err, c.want)
		}
	}
}
