package github_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/github"
	"github.com/credsmith/credsmith/internal/sink/sinktest"
	"github.com/credsmith/credsmith/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	value = "aB38Q~github-0123456789.abcdefghijk_lmno"
	repo  = "/repos/contoso/billing/actions/secrets"
)

var config = github.Config{Repository: "contoso/billing", Secret: "azure_client_secret"}

func open(t testing.TB, c github.Config, line http.RoundTripper) *github.Sink {
	t.Helper()
	give := func(context.Context) (secret.Value, error) { return secret.New(token), nil }
	s, err := github.New(c, give, wire.Wrap(line))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func delivery() sink.Delivery {
	return sink.Delivery{Value: secret.New(value), Generation: 7, Rotation: "rot-7"}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		srv := newServer(t, repo)
		line := &sinktest.Line{To: sinktest.Handler{Handler: srv}, Trouble: &sinktest.Trouble{}}
		return sinktest.Fixture{
			Open: func(t *testing.T) sink.Sink { return open(t, config, line) },
			Holds: func(*testing.T) (string, bool) {
				srv.mu.Lock()
				defer srv.mu.Unlock()
				return srv.value, srv.exists
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

// TestPlaces pins the three kinds of place, and that a write changes the value
// alone: the repositories that may use it stay.
func TestPlaces(t *testing.T) {
	t.Parallel()
	many := make([]int64, 250)
	for i := range many {
		many[i] = int64(i + 1000)
	}
	for title, c := range map[string]struct {
		config     github.Config
		base, ref  string
		visibility string
		selected   []int64
		sent       string
	}{
		"repository": {config, repo, "github:contoso/billing#AZURE_CLIENT_SECRET", "", nil, "[GET /public-key PUT /AZURE_CLIENT_SECRET]"},
		"environment": {github.Config{Repository: "Contoso/Billing", Environment: "prod/eu west", Secret: "AZURE_CLIENT_SECRET"},
			"/repos/Contoso/Billing/environments/prod%2Feu%20west/secrets", "github:contoso/billing@prod/eu west#AZURE_CLIENT_SECRET", "", nil, "[GET /public-key PUT /AZURE_CLIENT_SECRET]"},
		"organization": {github.Config{Organization: "contoso", Secret: "AZURE_CLIENT_SECRET"},
			"/orgs/contoso/actions/secrets", "github:contoso#AZURE_CLIENT_SECRET", "private", nil, "[GET /AZURE_CLIENT_SECRET GET /public-key PUT /AZURE_CLIENT_SECRET]"},
		"organization, selected": {github.Config{Organization: "contoso", Secret: "AZURE_CLIENT_SECRET", API: "https://ghe.example.com/api/v3/"},
			"/api/v3/orgs/contoso/actions/secrets", "github:https://ghe.example.com/api/v3/contoso#AZURE_CLIENT_SECRET", "selected", many,
			"[GET /AZURE_CLIENT_SECRET GET /AZURE_CLIENT_SECRET/repositories GET /AZURE_CLIENT_SECRET/repositories GET /AZURE_CLIENT_SECRET/repositories GET /public-key PUT /AZURE_CLIENT_SECRET]"},
		"organization, selected, nobody": {github.Config{Organization: "contoso", Secret: "AZURE_CLIENT_SECRET"},
			"/orgs/contoso/actions/secrets", "github:contoso#AZURE_CLIENT_SECRET", "selected", []int64{},
			"[GET /AZURE_CLIENT_SECRET GET /AZURE_CLIENT_SECRET/repositories GET /public-key PUT /AZURE_CLIENT_SECRET]"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, c.base)
			srv.exists, srv.visibility, srv.selected = c.visibility != "", c.visibility, c.selected
			s := open(t, c.config, sinktest.Handler{Handler: srv})
			if s.Ref() != c.ref || s.Abilities() != (sink.Abilities{}) {
				t.Errorf("Ref %s, want %s; %+v", s.Ref(), c.ref, s.Abilities())
			}
			if _, err := s.Write(t.Context(), delivery()); err != nil {
				t.Fatal(err)
			}
			if srv.value != value || srv.visibility != c.visibility || !slices.Equal(srv.selected, c.selected) || c.selected != nil && srv.selected == nil {
				t.Errorf("%q, %s, %d repositories", srv.value, srv.visibility, len(srv.selected))
			}
			if got := srv.requests(); got != c.sent {
				t.Errorf("sent %s, want %s", got, c.sent)
			}
			if err := s.Check(t.Context()); err != nil {
				t.Error(err)
			}
			if held, err := s.Read(t.Context()); err != nil || !held.Exists || held.Value.Reveal() != "" {
				t.Errorf("Read = %+v, %v", held, err)
			}
		})
	}
}

// TestKeyRolls: a key that changed on the way is asked for once more, and no
// more often.
func TestKeyRolls(t *testing.T) {
	t.Parallel()
	for rolls, want := range []string{"[GET /public-key PUT /AZURE_CLIENT_SECRET]", "[GET /public-key PUT /AZURE_CLIENT_SECRET GET /public-key PUT /AZURE_CLIENT_SECRET]"} {
		srv := newServer(t, repo)
		srv.rolls = rolls
		if _, err := open(t, config, sinktest.Handler{Handler: srv}).Write(t.Context(), delivery()); err != nil || srv.value != value || srv.requests() != want {
			t.Errorf("%d: %v, sent %s", rolls, err, srv.requests())
		}
	}
	srv := newServer(t, repo)
	srv.rolls = 9
	if _, err := open(t, config, sinktest.Handler{Handler: srv}).Write(t.Context(), delivery()); sink.KindOf(err) != sink.Invalid || len(srv.sent) != 4 {
		t.Errorf("%v, sent %s", err, srv.requests())
	}
}

// TestRefusals drives what GitHub, or something in its place, may answer.
func TestRefusals(t *testing.T) {
	t.Parallel()
	org := github.Config{Organization: "contoso", Secret: "AZURE_CLIENT_SECRET"}
	all := func(status int, header map[string]string, body string) func(*server) {
		return func(s *server) {
			s.fail = func(string) (int, map[string]string, string) { return status, header, body }
		}
	}
	on := func(prefix string, status int, header map[string]string, body string) func(*server) {
		return func(s *server) {
			s.fail = func(route string) (int, map[string]string, string) {
				if strings.HasPrefix(strings.Replace(route, s.base, "", 1), prefix) {
					return status, header, body
				}
				return 0, nil, ""
			}
		}
	}
	const says = `{"message":"no"}`
	for title, c := range map[string]struct {
		config github.Config
		setUp  func(*server)
		kind   sink.Kind
		after  time.Duration
		text   string
	}{
		"not found":                  {config, all(404, nil, says), sink.Denied, 0, "check the names, and give the token the repository permission Secrets: write"},
		"bad token":                  {config, all(401, nil, says), sink.Denied, 0, "set GH_TOKEN"},
		"no permission":              {config, all(403, nil, says), sink.Denied, 0, "Secrets: write"},
		"no permission, environment": {github.Config{Repository: "contoso/billing", Environment: "prod", Secret: "AZURE_CLIENT_SECRET"}, all(403, nil, says), sink.Denied, 0, "Environments: write"},
		"no permission, org":         {org, all(403, nil, says), sink.Denied, 0, "organization permission Secrets: write"},
		"rate limit":                 {config, all(403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1795435330"}, says), sink.Throttled, 130 * time.Second, "HTTP 403"},
		"rate limit long past":       {config, all(403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, says), sink.Throttled, time.Second, "HTTP 403"},
		"rate limit, no time":        {config, all(429, nil, says), sink.Throttled, time.Minute, "HTTP 429"},
		"secondary rate limit":       {config, all(403, nil, `{"message":"You have exceeded a secondary rate limit."}`), sink.Throttled, time.Minute, "HTTP 403"},
		"retry after":                {config, all(403, map[string]string{"Retry-After": "17"}, says), sink.Throttled, 17 * time.Second, "HTTP 403"},
		"down":                       {config, all(502, nil, says), sink.Unreachable, 0, "HTTP 502"},
		"a proxy's page":             {config, all(403, nil, "<html>"), sink.Unreachable, 0, "HTTP 403"},
		"moved":                      {config, all(301, map[string]string{"Location": "https://api.github.com/repositories/1"}, says), sink.Unreachable, 0, "renamed or moved goes by its new name"},
		"a page":                     {config, all(200, nil, "<html>"), sink.Unreachable, 0, "not one of GitHub's"},
		"null":                       {config, all(200, nil, "null"), sink.Unreachable, 0, "not one of GitHub's"},
		"short key":                  {config, all(200, nil, `{"key_id":"1","key":"AAAA"}`), sink.Unreachable, 0, "not one of GitHub's"},
		"huge":                       {config, all(200, nil, strings.Repeat(" ", 9<<20)), sink.Unreachable, 0, "larger than"},
		"another status":             {config, on("PUT", 200, nil, `{}`), sink.Unreachable, 0, "HTTP 200"},
		"echo of the value":          {config, on("PUT", 400, nil, `{"message":"cannot take `+value+`"}`), sink.Invalid, 0, "HTTP 400"},
		"an organization without it": {org, func(s *server) { s.exists = false }, sink.Invalid, 0, "gh secret set AZURE_CLIENT_SECRET --org contoso"},
		"a visibility of its own":    {org, func(s *server) { s.visibility = "friends" }, sink.Unreachable, 0, "not one of GitHub's"},
		"repositories that end":      {org, on("GET /AZURE_CLIENT_SECRET/repositories", 200, nil, `{"total_count":3,"repositories":[]}`), sink.Unreachable, 0, "did not come whole"},
		"repositories, a list":       {org, on("GET /AZURE_CLIENT_SECRET/repositories", 200, nil, `[]`), sink.Unreachable, 0, "not one of GitHub's"},
		"repositories, refused":      {org, on("GET /AZURE_CLIENT_SECRET/repositories", 500, nil, says), sink.Unreachable, 0, "HTTP 500"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			base := repo
			if c.config.Organization != "" {
				base = "/orgs/contoso/actions/secrets"
			} else if c.config.Environment != "" {
				base = "/repos/contoso/billing/environments/prod/secrets"
			}
			srv := newServer(t, base)
			if c.config.Organization != "" {
				srv.exists, srv.visibility, srv.selected = true, "selected", []int64{1}
			}
			c.setUp(srv)
			_, err := open(t, c.config, sinktest.Handler{Handler: srv}).Write(t.Context(), delivery())
			e, ok := errors.AsType[*sink.Error](err)
			if !ok || e.Kind != c.kind || e.After != c.after || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), value) {
				t.Fatalf("Write = %v (%+v), want %s with %q", err, e, c.kind, c.text)
			}
			if srv.value != "" {
				t.Errorf("%q was written", srv.value)
			}
		})
	}
}

// TestScopes: a classic token that can never write is refused before anything
// is minted; what is not told passes.
func TestScopes(t *testing.T) {
	t.Parallel()
	org := github.Config{Organization: "contoso", Secret: "AZURE_CLIENT_SECRET"}
	for _, c := range []struct {
		config github.Config
		scopes string
		want   string // "" passes
	}{
		{config, "", ""}, {config, "repo", ""}, {config, "gist, public_repo", ""}, {org, "read:org, admin:org", ""}, {org, "", ""},
		{config, "gist, read:org", "the token has the scopes gist, read:org, and not repo; give the token the scope repo, or, if it is a fine-grained one, the repository permission Secrets: write"},
		{config, "repo:status", "and not repo;"},
		{org, "repo, write:org", "and not admin:org; give the token the scope admin:org, or, if it is a fine-grained one, the organization permission Secrets: write"},
	} {
		base, there := repo, ""
		if c.config.Organization != "" {
			base, there = "/orgs/contoso/actions/secrets", "all"
		}
		srv := newServer(t, base)
		srv.exists, srv.visibility, srv.scopes = there != "", there, c.scopes
		err := open(t, c.config, sinktest.Handler{Handler: srv}).Check(t.Context())
		if c.want == "" && err != nil || c.want != "" && (sink.KindOf(err) != sink.Denied || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("scopes %q: %v, want %q", c.scopes, err, c.want)
		}
	}
}

func TestNoToken(t *testing.T) {
	t.Parallel()
	give := func(context.Context) (secret.Value, error) { return secret.Value{}, errors.New("GH_TOKEN is not set") }
	s, err := github.New(config, give, wire.Wrap(sinktest.Handler{Handler: newServer(t, repo)}))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); sink.KindOf(err) != sink.Denied || !strings.Contains(err.Error(), "GH_TOKEN is not set; the token comes from GH_TOKEN") {
		t.Error(err)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*github.Config)
		want   string
	}{
		{func(c *github.Config) { c.Repository = "" }, "repository: name either"},
		{func(c *github.Config) { c.Organization = "contoso" }, "repository: name either"},
		{func(c *github.Config) { c.Repository = "billing" }, "repository: \"billing\" is not OWNER/NAME"},
		{func(c *github.Config) { c.Repository = "contoso/.." }, "is not OWNER/NAME"},
		{func(c *github.Config) { c.Repository = "contoso/a/b" }, "is not OWNER/NAME"},
		{func(c *github.Config) { c.Repository = "https://github.com/contoso/billing" }, "is not OWNER/NAME"},
		{func(c *github.Config) { c.Repository, c.Organization = "", "a/b" }, "organization: \"a/b\" is not"},
		{func(c *github.Config) { c.Repository, c.Organization, c.Environment = "", "contoso", "prod" }, "environment: an environment belongs to a repository"},
		{func(c *github.Config) { c.Environment = strings.Repeat("a", 256) }, "longer than 255 bytes"},
		{func(c *github.Config) { c.Environment = ".." }, "environment: is no name of one"},
		{func(c *github.Config) { c.Secret = "" }, "secret: \"\" is not a name"},
		{func(c *github.Config) { c.Secret = "1A" }, "secret: \"1A\" is not a name"},
		{func(c *github.Config) { c.Secret = "a-b" }, "secret: \"A-B\" is not a name"},
		{func(c *github.Config) { c.Secret = "github_token" }, "secret: names that begin with GITHUB_"},
		{func(c *github.Config) { c.API = "http://ghe.example.com" }, "api: plain http"},
		{func(c *github.Config) { c.API = "ghe.example.com" }, "api: is not an address"},
		{func(c *github.Config) { c.API = "https://user@ghe.example.com" }, "api: is not an address"},
	} {
		bad := config
		c.change(&bad)
		if _, err := github.New(bad, nil, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%+v) = %v, want %q", bad, err, c.want)
		}
	}
}
