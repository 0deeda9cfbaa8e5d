package vault_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/sinktest"
	"github.com/credsmith/credsmith/internal/sink/vault"
	"github.com/credsmith/credsmith/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const value = "aB38Q~vault-0123456789.abcdefghijk_lmnop"

var config = vault.Config{Address: "https://vault.example.com:8200", Namespace: "team", Mount: "kv/apps", Path: "billing/entra", Key: "client_secret"}

func open(t testing.TB, line http.RoundTripper) *vault.Sink {
	t.Helper()
	give := func(context.Context) (secret.Value, error) { return secret.New(token), nil }
	s, err := vault.New(config, give, wire.Wrap(line))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		srv := &server{t: t}
		line := &sinktest.Line{To: sinktest.Handler{Handler: srv}, Trouble: &sinktest.Trouble{}}
		return sinktest.Fixture{
			Open: func(t *testing.T) sink.Sink { return open(t, line) },
			Change: func(_ *testing.T, value string) {
				text, _ := json.Marshal(map[string]string{"client_secret": value})
				srv.write(string(text))
			},
			Deny: func(*testing.T) { srv.denied = true },
			Lose: func(*testing.T) { line.Lose() },
			Hang: func(*testing.T) { line.Hang() },
			Cut: func(t *testing.T, n int) (sink.Sink, func() bool) {
				cut, reached := line.Cut(n)
				return open(t, cut), reached
			},
		}
	})
}

func delivery(version string) sink.Delivery {
	return sink.Delivery{
		Value: secret.New(value), Version: version, Generation: 7, Rotation: "rot-7",
		ClientID: "0f1e2d3c-0000-4000-8000-0000000000c1", KeyID: "0f1e2d3c-0000-4000-8000-0000000000d1",
		Expires: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC),
	}
}

const label = "client_id=0f1e2d3c-0000-4000-8000-0000000000c1&expires=2027-03-01T00%3A00%3A00Z&generation=7&key_id=0f1e2d3c-0000-4000-8000-0000000000d1&rotation=rot-7"

// sentLabel is the label as it stands in JSON.
var sentLabel = strings.ReplaceAll(label, "&", `\u0026`)

// TestWire pins what is sent, and that the other keys stay to the letter.
func TestWire(t *testing.T) {
	t.Parallel()
	const get = "GET /v1/kv/apps/data/billing/entra"
	const put = "POST /v1/kv/apps/data/billing/entra application/json "
	const patch = `PATCH /v1/kv/apps/metadata/billing/entra application/merge-patch+json {"custom_metadata":{"credsmith/client_secret":"`
	describe := patch + sentLabel + `"}}`
	for title, c := range map[string]struct {
		before []string
		setUp  func(*server)
		want   []string
	}{
		"nothing there": {want: []string{get, "GET /v1/sys/internal/ui/mounts/kv/apps/billing/entra",
			put + `{"data":{"client_secret":"` + value + `"},"options":{"cas":0}}`, describe}},
		"other keys": {before: []string{`{"client_secret":"old","n":12345678901234567890.5,"nested":{"b":[1,null]}}`}, want: []string{get,
			put + `{"data":{"client_secret":"` + value + `","n":12345678901234567890.5,"nested":{"b":[1,null]}},"options":{"cas":1}}`, describe}},
		"the key is new": {before: []string{`{}`, `{"other":"x"}`}, want: []string{get,
			put + `{"data":{"client_secret":"` + value + `","other":"x"},"options":{"cas":2}}`, describe}},
		"deleted": {before: []string{`{"client_secret":"old"}`}, setUp: func(s *server) { s.deleted = true }, want: []string{get,
			put + `{"data":{"client_secret":"` + value + `"},"options":{"cas":1}}`, describe}},
		"died before the label": {before: []string{`{"client_secret":"` + value + `"}`}, want: []string{get, describe}},
		"written":               {before: []string{`{"client_secret":"` + value + `"}`}, setUp: func(s *server) { s.custom = map[string]string{"credsmith/client_secret": label} }, want: []string{get}},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			srv := &server{t: t, custom: map[string]string{"team": "billing"}}
			for _, data := range c.before {
				srv.write(data)
			}
			if c.setUp != nil {
				c.setUp(srv)
			}
			s := open(t, sinktest.Handler{Handler: srv})
			held, err := s.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			srv.sent = nil
			if _, err := s.Write(t.Context(), delivery(held.Version)); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(srv.sent, c.want) {
				t.Errorf("sent\n%s\nwant\n%s", strings.Join(srv.sent, "\n"), strings.Join(c.want, "\n"))
			}
			if len(c.want) > 2 && srv.custom["team"] != "billing" {
				t.Errorf("custom metadata: %v", srv.custom)
			}
			if held, err := s.Read(t.Context()); err != nil || held.Generation != 7 || held.Value.Reveal() != value {
				t.Errorf("Read = %+v, %v", held, err)
			}
		})
	}
}

func TestManagedBy(t *testing.T) {
	t.Parallel()
	srv := &server{t: t, custom: map[string]string{"managed-by": "external-secrets"}}
	srv.write(`{"client_secret":"x"}`)
	held, err := open(t, sinktest.Handler{Handler: srv}).Read(t.Context())
	if err != nil || held.ManagedBy != "External Secrets PushSecret" {
		t.Errorf("Read = %+v, %v", held, err)
	}
}

// TestRefusals drives what a server may answer; each request is sent once.
func TestRefusals(t *testing.T) {
	t.Parallel()
	answer := func(status int, header map[string]string, body string) func(*server) {
		return func(s *server) {
			s.fail = func(string) (int, map[string]string, string) { return status, header, body }
		}
	}
	onWrite := func(status int, body string) func(*server) {
		return func(s *server) {
			s.fail = func(route string) (int, map[string]string, string) {
				if strings.HasPrefix(route, "POST") {
					return status, nil, body
				}
				return 0, nil, ""
			}
		}
	}
	for title, c := range map[string]struct {
		setUp func(*server)
		kind  sink.Kind
		after time.Duration
		text  string
	}{
		"throttled":          {answer(429, map[string]string{"Retry-After": "17"}, `{"errors":["request path \"x\": rate limit quota exceeded"]}`), sink.Throttled, 17 * time.Second, "rate limit quota"},
		"sealed":             {answer(503, nil, `{"errors":["Vault is sealed"]}`), sink.Unreachable, 0, "Vault is sealed"},
		"behind":             {answer(412, nil, `{"errors":["required index state not present"]}`), sink.Unreachable, 0, "HTTP 412"},
		"invalid token":      {answer(403, nil, `{"errors":["permission denied"]}`), sink.Denied, 0, `capabilities = ["create", "read", "update"]`},
		"standby":            {answer(307, map[string]string{"Location": "https://other.example.com/"}, ""), sink.Unreachable, 0, "redirects to https://other.example.com"},
		"a proxy's page":     {answer(403, nil, `<html>`), sink.Unreachable, 0, "HTTP 403"},
		"no JSON":            {answer(200, nil, `<html>`), sink.Unreachable, 0, "KV engine"},
		"null":               {answer(200, nil, `null`), sink.Invalid, 0, "KV engine"},
		"version 1":          {func(s *server) { s.v1 = true }, sink.Invalid, 0, "not a KV engine, version 2"},
		"version 1, data":    {answer(200, nil, `{"data":{"data":{"client_secret":"x"},"options":{"cas":0}}}`), sink.Invalid, 0, "version 1 of the engine"},
		"no mount":           {answer(404, nil, `{"errors":["no handler for route \"kv/apps/data\". route entry not found."]}`), sink.Invalid, 0, "no handler for route"},
		"something else":     {func(s *server) { s.write(`{"client_secret":{"a":1}}`) }, sink.Invalid, 0, "something else than text"},
		"too large":          {onWrite(413, `{"errors":["http: request body too large"]}`), sink.Invalid, 0, "too large"},
		"echo of the value":  {onWrite(400, `{"errors":["cannot take `+value+`"]}`), sink.Invalid, 0, "HTTP 400"},
		"write answers junk": {onWrite(200, `{"data":{}}`), sink.Unreachable, 0, "KV engine"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			srv := &server{t: t}
			c.setUp(srv)
			_, err := open(t, sinktest.Handler{Handler: srv}).Write(t.Context(), delivery(""))
			e, ok := errors.AsType[*sink.Error](err)
			if !ok || e.Kind != c.kind || e.After != c.after || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), value) {
				t.Fatalf("Write = %v (%+v), want %s with %q", err, e, c.kind, c.text)
			}
			if sent := slices.Sorted(slices.Values(srv.sent)); len(slices.Compact(sent)) != len(srv.sent) {
				t.Errorf("sent %q, want each request once", srv.sent)
			}
		})
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*vault.Config)
		want   string
	}{
		{func(c *vault.Config) { c.Address = "" }, "address: is missing"},
		{func(c *vault.Config) { c.Address = "http://vault.example.com:8200" }, "plain http"},
		{func(c *vault.Config) { c.Address = "https://vault.example.com:8200/v1" }, "address: is not"},
		{func(c *vault.Config) { c.Mount = "/" }, "mount: is missing"},
		{func(c *vault.Config) { c.Path = "" }, "path: is missing"},
		{func(c *vault.Config) { c.Path = "a/../b" }, "path: "},
		{func(c *vault.Config) { c.Path = "a//b" }, "path: "},
		{func(c *vault.Config) { c.Key = "" }, "key: is missing"},
	} {
		bad := config
		c.change(&bad)
		if _, err := vault.New(bad, nil, http.DefaultClient); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%+v) = %v, want %q", bad, err, c.want)
		}
	}
	if got, want := open(t, nil).Ref(), "vault:https://vault.example.com:8200/team/kv/apps/billing/entra#client_secret"; got != want {
		t.Errorf("Ref() = %q, want %q", got, want)
	}
}
