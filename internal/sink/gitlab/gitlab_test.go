package gitlab_test

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
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/gitlab"
	"github.com/credsmith/credsmith/internal/sink/sinktest"
	"github.com/credsmith/credsmith/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token   = "glpat-made-up-token"
	value   = "aB38Q~gitlab-0123456789.abcdefghijk_lmno"
	project = "/api/v4/projects/contoso%2Fbilling/variables"
)

var config = gitlab.Config{Project: "contoso/billing", Key: "AZURE_CLIENT_SECRET"}

// server is GitLab's API over the variables of one project or group, by scope.
type server struct {
	t    testing.TB
	base string
	mu   sync.Mutex

	vars   map[string]map[string]any
	denied bool
	self   string // what the token says of itself; "" for a 404
	fail   func(route string) (status int, header map[string]string, body string)
	sent   []string // method and path, body
}

func newServer(t testing.TB, base string) *server {
	return &server{t: t, base: base, vars: map[string]map[string]any{"other": {"key": "AZURE_CLIENT_SECRET", "value": "not ours", "environment_scope": "other"}}}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	route := r.Method + " " + r.URL.EscapedPath()
	s.sent = append(s.sent, strings.TrimSpace(fmt.Sprintf("%s?%s %s", route, r.URL.RawQuery, body)))
	if r.Header.Get("PRIVATE-TOKEN") != token || r.Header.Get("Accept") != "application/json" || (len(body) > 0) != (r.Header.Get("Content-Type") == "application/json") {
		s.t.Errorf("%s: headers %v", route, r.Header)
	}
	w.Header().Set("Content-Type", "application/json")
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
	scope := r.URL.Query().Get("filter[environment_scope]")
	held := s.vars[scope]
	if s.denied {
		answer(w, 403, map[string]string{"message": "403 Forbidden"})
		return
	}
	var sent map[string]any
	if len(body) > 0 && json.Unmarshal(body, &sent) != nil {
		s.t.Errorf("body %s", body)
	}
	switch route {
	case "GET " + s.base:
		answer(w, 200, []any{})
	case "GET /api/v4/personal_access_tokens/self":
		if s.self == "" {
			answer(w, 404, map[string]string{"message": "404 Not Found"})
			return
		}
		io.WriteString(w, s.self)
	case "GET " + s.base + "/AZURE_CLIENT_SECRET":
		if held == nil {
			answer(w, 404, map[string]string{"message": "404 Variable Not Found"})
			return
		}
		answer(w, 200, shown(held))
	case "PUT " + s.base + "/AZURE_CLIENT_SECRET":
		if held == nil {
			answer(w, 404, map[string]string{"message": "404 Variable Not Found"})
			return
		}
		if s.refuses(w, sent["value"], held["masked"]) {
			return
		}
		maps.Copy(held, sent)
		answer(w, 200, shown(held))
	case "POST " + s.base:
		if s.refuses(w, sent["value"], sent["masked"]) {
			return
		}
		scope, _ := sent["environment_scope"].(string)
		if sent["masked_and_hidden"] == true {
			delete(sent, "masked_and_hidden")
			sent["masked"], sent["hidden"] = true, true
		}
		s.vars[scope] = sent
		answer(w, 201, shown(sent))
	default:
		s.t.Errorf("%s is no request of GitLab's", route)
		answer(w, 404, map[string]string{"error": "404 Not Found"})
	}
}

// refuses is what GitLab says of a value that cannot be masked.
func (s *server) refuses(w http.ResponseWriter, value, masked any) bool {
	text, _ := value.(string)
	if masked != true || utf8.RuneCountInString(text) >= 8 && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return false
	}
	answer(w, 400, map[string]any{"message": map[string]any{"value": []string{"is invalid: " + text}}})
	return true
}

func shown(v map[string]any) map[string]any {
	v = maps.Clone(v)
	if v["hidden"] == true {
		v["value"] = nil
	}
	return v
}

func answer(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	text, _ := json.Marshal(body)
	w.Write(text)
}

func open(t testing.TB, c gitlab.Config, line http.RoundTripper) *gitlab.Sink {
	t.Helper()
	give := func(context.Context) (secret.Value, error) { return secret.New(token), nil }
	s, err := gitlab.New(c, give, wire.Wrap(line))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for title, hidden := range map[string]bool{"masked": false, "hidden": true} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			c := config
			c.Hidden = hidden
			sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
				srv := newServer(t, project)
				line := &sinktest.Line{To: sinktest.Handler{Handler: srv}, Trouble: &sinktest.Trouble{}}
				return sinktest.Fixture{
					Open: func(t *testing.T) sink.Sink { return open(t, c, line) },
					Holds: func(*testing.T) (string, bool) {
						srv.mu.Lock()
						defer srv.mu.Unlock()
						held, exists := srv.vars["*"]["value"].(string)
						return held, exists
					},
					Deny: func(*testing.T) { srv.denied = true },
					Lose: func(*testing.T) { line.Lose() },
					Hang: func(*testing.T) { line.Hang() },
					Cut: func(t *testing.T, n int) (sink.Sink, func() bool) {
						cut, reached := line.Cut(n)
						return open(t, c, cut), reached
					},
				}
			})
		})
	}
}

// TestWire pins what is sent, and that a write changes value and raw alone.
func TestWire(t *testing.T) {
	t.Parallel()
	const filter = "?filter%5Benvironment_scope%5D="
	for title, c := range map[string]struct {
		config     gitlab.Config
		base, ref  string
		there      map[string]any
		sent, want string
	}{
		"new": {config, project, "gitlab:contoso/billing#AZURE_CLIENT_SECRET", nil,
			"GET " + project + "/AZURE_CLIENT_SECRET" + filter + "%2A GET " + project + "?per_page=1 POST " + project +
				`? {"environment_scope":"*","key":"AZURE_CLIENT_SECRET","masked":true,"raw":true,"value":"` + value + `"}`,
			`{"environment_scope":"*","key":"AZURE_CLIENT_SECRET","masked":true,"raw":true,"value":"` + value + `"}`},
		"new and hidden": {gitlab.Config{Group: "contoso", Key: "AZURE_CLIENT_SECRET", Hidden: true, Address: "https://gitlab.example.com/"}, "/api/v4/groups/contoso/variables",
			"gitlab:https://gitlab.example.com/groups/contoso#AZURE_CLIENT_SECRET", nil,
			"GET /api/v4/groups/contoso/variables/AZURE_CLIENT_SECRET" + filter + "%2A GET /api/v4/groups/contoso/variables?per_page=1 POST /api/v4/groups/contoso/variables" +
				`? {"environment_scope":"*","key":"AZURE_CLIENT_SECRET","masked_and_hidden":true,"raw":true,"value":"` + value + `"}`,
			`{"environment_scope":"*","hidden":true,"key":"AZURE_CLIENT_SECRET","masked":true,"raw":true,"value":"` + value + `"}`},
		"of a scope": {gitlab.Config{Project: "17", Key: "AZURE_CLIENT_SECRET", Scope: "prod/eu"}, "/api/v4/projects/17/variables", "gitlab:17@prod/eu#AZURE_CLIENT_SECRET",
			map[string]any{"key": "AZURE_CLIENT_SECRET", "value": "old", "environment_scope": "prod/eu", "protected": true, "masked": false, "raw": false, "description": "d", "variable_type": "file"},
			"GET /api/v4/projects/17/variables/AZURE_CLIENT_SECRET" + filter + "prod%2Feu PUT /api/v4/projects/17/variables/AZURE_CLIENT_SECRET" + filter + `prod%2Feu {"raw":true,"value":"` + value + `"}`,
			`{"description":"d","environment_scope":"prod/eu","key":"AZURE_CLIENT_SECRET","masked":false,"protected":true,"raw":true,"value":"` + value + `","variable_type":"file"}`},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, c.base)
			scope := "*"
			if c.there != nil {
				scope = c.config.Scope
				srv.vars[scope] = c.there
			}
			s := open(t, c.config, sinktest.Handler{Handler: srv})
			if s.Ref() != c.ref {
				t.Errorf("Ref %s, want %s", s.Ref(), c.ref)
			}
			if _, err := s.Write(t.Context(), sink.Delivery{Value: secret.New(value)}); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(srv.sent, " "); got != c.sent {
				t.Errorf("sent\n%s\nwant\n%s", got, c.sent)
			}
			if got, _ := json.Marshal(srv.vars[scope]); string(got) != c.want {
				t.Errorf("holds %s\nwant %s", got, c.want)
			}
			if srv.vars["other"]["value"] != "not ours" {
				t.Error("another scope was written")
			}
		})
	}
}

// TestRefusals drives what GitLab, or something in its place, may answer.
func TestRefusals(t *testing.T) {
	t.Parallel()
	all := func(status int, header map[string]string, body string) func(*server) {
		return func(s *server) {
			s.fail = func(string) (int, map[string]string, string) { return status, header, body }
		}
	}
	onWrite := func(status int, body string) func(*server) {
		return func(s *server) {
			s.fail = func(method string) (int, map[string]string, string) {
				if method == "POST" {
					return status, nil, body
				}
				return 0, nil, ""
			}
		}
	}
	const says = `{"message":"no"}`
	there := func(more map[string]any) func(*server) {
		return func(s *server) {
			s.vars["*"] = map[string]any{"key": "AZURE_CLIENT_SECRET", "value": "old", "environment_scope": "*"}
			maps.Copy(s.vars["*"], more)
		}
	}
	for title, c := range map[string]struct {
		setUp func(*server)
		kind  sink.Kind
		after time.Duration
		text  string
	}{
		"bad token":         {all(401, nil, says), sink.Denied, 0, "set GITLAB_TOKEN"},
		"no permission":     {all(403, nil, says), sink.Denied, 0, "role Maintainer of the project"},
		"not found":         {all(404, nil, says), sink.Denied, 0, "check the name, and give"},
		"throttled":         {all(429, map[string]string{"Retry-After": "17"}, says), sink.Throttled, 17 * time.Second, "HTTP 429"},
		"down":              {all(502, nil, says), sink.Unreachable, 0, "HTTP 502"},
		"a proxy's page":    {all(403, nil, "<html>"), sink.Unreachable, 0, "HTTP 403"},
		"sign-in page":      {all(302, map[string]string{"Location": "https://gitlab.com/users/sign_in"}, ""), sink.Unreachable, 0, "redirects to"},
		"a page":            {all(200, nil, "<html>"), sink.Unreachable, 0, "not one of GitLab's"},
		"null":              {all(200, nil, "null"), sink.Unreachable, 0, "not one of GitLab's"},
		"another scope":     {there(map[string]any{"environment_scope": "prod"}), sink.Unreachable, 0, "not one of GitLab's"},
		"another key":       {there(map[string]any{"key": "OTHER"}), sink.Unreachable, 0, "not one of GitLab's"},
		"hidden":            {there(map[string]any{"hidden": true}), sink.Invalid, 0, "write hidden: true in the configuration"},
		"at the same time":  {onWrite(409, says), sink.Unreachable, 0, "HTTP 409"},
		"cannot be masked":  {onWrite(400, `{"message":{"value":["`+value+` is invalid"]}}`), sink.Invalid, 0, "cannot mask every value"},
		"another status":    {onWrite(200, `{}`), sink.Unreachable, 0, "HTTP 200"},
		"another variable":  {onWrite(201, `{"key":"OTHER"}`), sink.Unreachable, 0, "not one of GitLab's"},
		"echo of the value": {onWrite(500, `{"message":"`+value+`"}`), sink.Unreachable, 0, "HTTP 500"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, project)
			c.setUp(srv)
			_, err := open(t, config, sinktest.Handler{Handler: srv}).Write(t.Context(), sink.Delivery{Value: secret.New(value)})
			e, ok := errors.AsType[*sink.Error](err)
			if !ok || e.Kind != c.kind || e.After != c.after || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), value) {
				t.Fatalf("Write = %v (%+v), want %s with %q", err, e, c.kind, c.text)
			}
		})
	}
	srv := newServer(t, project)
	there(nil)(srv)
	hidden := config
	hidden.Hidden = true
	if err := open(t, hidden, sinktest.Handler{Handler: srv}).Check(t.Context()); sink.KindOf(err) != sink.Invalid || !strings.Contains(err.Error(), "write hidden: false") {
		t.Errorf("a variable that is not hidden: %v", err)
	}
}

// TestScopes: a token that can never write is refused before anything is
// minted; what is not told passes.
func TestScopes(t *testing.T) {
	t.Parallel()
	for self, want := range map[string]string{
		"": "", "null": "", "<html>": "", `{"scopes":null}`: "", `{"scopes":["api"]}`: "", `{"scopes":["read_api","api"]}`: "", `{"scopes":["granular"]}`: "",
		`{"id":1,"scopes":["read_repository","read_api"],"active":true}`: "scope read_api, which lets it read and not write; give the token the scope api and the role Maintainer",
	} {
		srv := newServer(t, project)
		srv.self = self
		err := open(t, config, sinktest.Handler{Handler: srv}).Check(t.Context())
		if want == "" && err != nil || want != "" && (sink.KindOf(err) != sink.Denied || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", self, err, want)
		}
		if got := srv.sent[len(srv.sent)-1]; got != "GET /api/v4/personal_access_tokens/self?" {
			t.Errorf("asked last for %s", got)
		}
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*gitlab.Config)
		want   string
	}{
		{func(c *gitlab.Config) { c.Project = "" }, "project: name either"},
		{func(c *gitlab.Config) { c.Group = "contoso" }, "project: name either"},
		{func(c *gitlab.Config) { c.Project = "contoso//billing" }, "is not a path"},
		{func(c *gitlab.Config) { c.Project = "../billing" }, "is not a path"},
		{func(c *gitlab.Config) { c.Project = "https://gitlab.com/contoso" }, "is not a path"},
		{func(c *gitlab.Config) { c.Key = "a-b" }, "key: \"a-b\" is not a name"},
		{func(c *gitlab.Config) { c.Key = "" }, "key: \"\" is not a name"},
		{func(c *gitlab.Config) { c.Scope = strings.Repeat("a", 256) }, "environment_scope: is longer"},
		{func(c *gitlab.Config) { c.Address = "http://gitlab.example.com" }, "address: plain http"},
		{func(c *gitlab.Config) { c.Address = "gitlab.example.com" }, "address: is not an address"},
	} {
		bad := config
		c.change(&bad)
		if _, err := gitlab.New(bad, nil, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%+v) = %v, want %q", bad, err, c.want)
		}
	}
}
