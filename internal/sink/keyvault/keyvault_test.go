package keyvault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/operator"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/keyvault"
	"github.com/credsmith/credsmith/internal/sink/sinktest"
	"github.com/credsmith/credsmith/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	name      = "billing-client-secret"
	vaultName = "kv-billing"
	value     = "aB38Q~keyvault-0123456789.abcdefghijk_lm"
)

// bench is a lab with a vault of its own and what an operator does to it.
type bench struct {
	lab   *entralab.Lab
	vault entralab.Vault
	line  *sinktest.Line
}

func newBench(t testing.TB) *bench {
	t.Helper()
	lab, err := entralab.Start(context.Background(), entralab.Config{InProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lab.Close() })
	vault, err := lab.AddVault(entralab.VaultSpec{Name: vaultName})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{lab, vault, &sinktest.Line{To: lab.Transport(), Trouble: &sinktest.Trouble{}}}
}

func (b *bench) open(t testing.TB, line http.RoundTripper) *keyvault.Sink {
	t.Helper()
	who := b.lab.Operator()
	place := operator.Place{TenantID: who.TenantID, Authority: b.lab.AuthorityURL(), Graph: b.lab.GraphURL(), HTTP: wire.Wrap(b.lab.Transport())}
	identity, err := place.Secret(who.ClientID, secret.New(who.Secrets[0].Value.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	s, err := keyvault.New(keyvault.Config{Vault: b.vault.AzureURL, Secret: name}, identity.Credential, wire.Wrap(line))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (b *bench) deny(t *testing.T) {
	t.Helper()
	who := b.lab.Operator().ServicePrincipalID
	// Reading stays: whether one may write, no read tells.
	if err := b.lab.GrantVault(vaultName, "", who, entralab.RoleSecretsUser); err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{entralab.RoleVaultAdministrator, entralab.RoleSecretsOfficer} {
		if err := b.lab.RevokeVault(vaultName, "", who, role); err == nil {
			return
		}
	}
	t.Fatal("the operator has no role to revoke")
}

func TestConformance(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		b := newBench(t)
		return sinktest.Fixture{
			Open:  func(t *testing.T) sink.Sink { return b.open(t, b.line) },
			Deny:  b.deny,
			Blind: true,
			Lose:  func(*testing.T) { b.line.Lose() },
			Hang:  func(*testing.T) { b.line.Hang() },
			Cut: func(t *testing.T, n int) (sink.Sink, func() bool) {
				line, reached := b.line.Cut(n)
				return b.open(t, line), reached
			},
		}
	})
}

var expires = time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)

func delivery(version string) sink.Delivery {
	return sink.Delivery{
		Value: secret.New(value), Version: version, Generation: 7, Rotation: "rot-7",
		ClientID: "0f1e2d3c-0000-4000-8000-0000000000c1", KeyID: "0f1e2d3c-0000-4000-8000-0000000000d1", Expires: expires,
	}
}

// recorder keeps the requests that reach the vault, with their bodies.
type recorder struct {
	to   http.RoundTripper
	seen []string
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	line := req.Method + " " + req.URL.Path
	if req.Body != nil {
		body, _ := io.ReadAll(req.Body)
		req.Body = io.NopCloser(strings.NewReader(string(body)))
		if len(body) > 0 {
			line += " " + string(body)
		}
	}
	r.seen = append(r.seen, line)
	return r.to.RoundTrip(req)
}

// TestWire pins what is sent: one new version, with the owner's content type
// and tags, and nothing at all the second time.
func TestWire(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	rec := &recorder{to: b.lab.Transport()}
	s := b.open(t, rec)
	// The owner made the secret, with tags of their own.
	raw := rawVault(t, b)
	raw(http.MethodPut, `{"value":"by hand","contentType":"text/plain","tags":{"team":"billing"}}`)
	held, err := s.Read(t.Context())
	if err != nil || held.Value.Reveal() != "by hand" || held.Generation != 0 || held.ManagedBy != "" {
		t.Fatalf("Read = %+v, %v", held, err)
	}
	rec.seen = nil
	version, err := s.Write(t.Context(), delivery(held.Version))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"GET /secrets/" + name + "/",
		"PUT /secrets/" + name + ` {"attributes":{"exp":1803859200},"contentType":"text/plain","tags":{` +
			`"credsmith-client-id":"0f1e2d3c-0000-4000-8000-0000000000c1","credsmith-generation":"7",` +
			`"credsmith-key-id":"0f1e2d3c-0000-4000-8000-0000000000d1","credsmith-rotation":"rot-7","team":"billing"},"value":"` + value + `"}`,
	}
	if fmt.Sprint(rec.seen) != fmt.Sprint(want) {
		t.Errorf("sent\n%s\nwant\n%s", strings.Join(rec.seen, "\n"), strings.Join(want, "\n"))
	}
	rec.seen = nil
	again, err := s.Write(t.Context(), delivery(held.Version))
	if err != nil || again != version || len(rec.seen) != 1 {
		t.Errorf("Write again = %q, %v after %q; want %q and one GET", again, err, rec.seen, version)
	}
	// The same value of another rotation is labelled anew.
	d := delivery(version)
	d.Rotation, d.Generation = "rot-8", 8
	if relabelled, err := s.Write(t.Context(), d); err != nil || relabelled == version {
		t.Errorf("Write of the same value by another rotation = %q, %v", relabelled, err)
	}
	// What was there before the write is there still.
	if old := raw(http.MethodGet+" "+held.Version, ""); !strings.Contains(old, `"by hand"`) {
		t.Errorf("the version before is %s", old)
	}
}

// rawVault sends requests about the secret as its owner does, past the sink.
func rawVault(t *testing.T, b *bench) func(method, body string) string {
	who := b.lab.Operator()
	place := operator.Place{TenantID: who.TenantID, Authority: b.lab.AuthorityURL(), Graph: b.lab.GraphURL(), HTTP: wire.Wrap(b.lab.Transport())}
	identity, err := place.Secret(who.ClientID, secret.New(who.Secrets[0].Value.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	token, err := identity.Credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}})
	if err != nil {
		t.Fatal(err)
	}
	return func(method, body string) string {
		t.Helper()
		method, version, _ := strings.Cut(method, " ")
		path := "/secrets/" + name
		if version != "" {
			path += "/" + version
		}
		req, _ := http.NewRequestWithContext(t.Context(), method, b.vault.AzureURL+path+"?api-version=7.5", strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+token.Token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := b.lab.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, answer)
		}
		return string(answer)
	}
}

// TestRefusals drives the vault's troubles; each request is sent once.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for title, c := range map[string]struct {
		fault  entralab.FaultRule
		before func(*testing.T, func(string, string) string)
		kind   sink.Kind
		after  time.Duration
		text   string
	}{
		"throttled": {
			fault: entralab.FaultRule{Fault: "F6", Params: map[string]any{"seconds": 17}},
			kind:  sink.Throttled, after: 17 * time.Second, text: "HTTP 429",
		},
		"server error": {fault: entralab.FaultRule{Fault: "F7"}, kind: sink.Unreachable, text: "HTTP 50"},
		"denied":       {fault: entralab.FaultRule{Fault: "F23"}, kind: sink.Denied, text: "Key Vault Secrets Officer"},
		"malformed":    {fault: entralab.FaultRule{Fault: "F15"}, kind: sink.Unreachable, text: "not one of a key vault"},
		"redirected":   {fault: entralab.FaultRule{Fault: "F34"}, kind: sink.Unreachable, text: ""},
		"deleted": {
			before: func(_ *testing.T, raw func(string, string) string) {
				raw(http.MethodPut, `{"value":"old"}`)
				raw(http.MethodDelete, "")
			},
			kind: sink.Invalid, text: "az keyvault secret recover",
		},
		"disabled": {
			before: func(_ *testing.T, raw func(string, string) string) {
				raw(http.MethodPut, `{"value":"old","attributes":{"enabled":false}}`)
			},
			kind: sink.Denied, text: "enable the newest version",
		},
		"too many tags": {
			before: func(_ *testing.T, raw func(string, string) string) {
				tags := ""
				for i := range 12 {
					tags += fmt.Sprintf(`,"t%d":"x"`, i)
				}
				raw(http.MethodPut, `{"value":"old","tags":{`+tags[1:]+`}}`)
			},
			kind: sink.Invalid, text: "remove tags",
		},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			rec := &recorder{to: b.lab.Transport()}
			s := b.open(t, rec)
			version := ""
			if c.before != nil {
				c.before(t, rawVault(t, b))
			}
			if held, err := s.Read(t.Context()); err == nil {
				version = held.Version
			}
			if c.fault.Fault != "" {
				c.fault.Match.Surface = "vault"
				if _, err := b.lab.AddFault(c.fault); err != nil {
					t.Fatal(err)
				}
			}
			rec.seen = nil
			_, err := s.Write(t.Context(), delivery(version))
			e, ok := errors.AsType[*sink.Error](err)
			if !ok || e.Kind != c.kind || e.After != c.after || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), value) {
				t.Fatalf("Write = %v (%+v), want %s with %q", err, e, c.kind, c.text)
			}
			if seen := slices.Sorted(slices.Values(rec.seen)); len(slices.Compact(seen)) != len(rec.seen) {
				t.Errorf("sent %q, want each request once", rec.seen)
			}
			t.Log(err)
		})
	}
}

// credential gives tokens that nobody checks.
type credential struct{}

func (credential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "t", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// TestForeignAnswers are those that no vault gives, and one that the lab does
// not: a secret that a certificate manages.
func TestForeignAnswers(t *testing.T) {
	t.Parallel()
	const good = `Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"`
	for title, c := range map[string]struct {
		challenge, body string
		text            string
		managed         string
	}{
		"no challenge":           {text: "not one of a key vault"},
		"challenge, no tenant":   {challenge: `Bearer authorization="https://login.microsoftonline.com", resource="https://vault.azure.net"`, text: "not one of a key vault"},
		"token of another place": {challenge: `Bearer authorization="https://login.microsoftonline.com/t", resource="https://graph.microsoft.com"`, text: "token of another service"},
		"no id":                  {challenge: good, body: `{"value":"x"}`, text: "not one of a key vault"},
		"null":                   {challenge: good, body: `null`, text: "not one of a key vault"},
		"huge":                   {challenge: good, body: `{"value":"` + strings.Repeat("x", 2<<20) + `"}`, text: "cannot be reached"},
		"certificate": {challenge: good, body: `{"value":"x","id":"https://kv.vault.azure.net/secrets/` + name + `/970f5c8e3ec342138943f435cdce1621","managed":true}`,
			managed: "Key Vault certificate/" + name},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			asked := false
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "" {
					w.Header().Set("WWW-Authenticate", c.challenge)
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				asked = true
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, c.body)
			})
			s, err := keyvault.New(keyvault.Config{Vault: "https://kv.vault.azure.net/", Secret: name}, credential{}, wire.Wrap(sinktest.Handler{Handler: handler}))
			if err != nil {
				t.Fatal(err)
			}
			held, err := s.Read(t.Context())
			if c.managed != "" {
				if err != nil || held.ManagedBy != c.managed {
					t.Fatalf("Read = %+v, %v", held, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.text) || len(err.Error()) > 500 {
				t.Errorf("Read = %v, want %q", err, c.text)
			}
			if asked != (c.body != "") {
				t.Errorf("a token was sent: %v", asked)
			}
		})
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ vault, secret, want string }{
		{"", "s", "vault: is missing"},
		{"http://kv.vault.azure.net", "s", "vault: is not an address"},
		{"https://kv.vault.azure.net/secrets/s", "s", "vault: is not an address"},
		{"https://u:p@kv.vault.azure.net", "s", "vault: is not an address"},
		{"https://kv.vault.azure.net", "", "secret: is missing"},
		{"https://kv.vault.azure.net", "a_b", "secret: \"a_b\" is no name"},
		{"https://kv.vault.azure.net", strings.Repeat("a", 128), "is no name"},
	} {
		_, err := keyvault.New(keyvault.Config{Vault: c.vault, Secret: c.secret}, credential{}, http.DefaultClient)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%q, %q) = %v, want %q", c.vault, c.secret, err, c.want)
		}
	}
	s, err := keyvault.New(keyvault.Config{Vault: "https://KV.vault.azure.net/", Secret: "Billing"}, credential{}, http.DefaultClient)
	if err != nil || s.Ref() != "keyvault:https://kv.vault.azure.net/secrets/billing" {
		t.Errorf("Ref() = %q, %v", s.Ref(), err)
	}
}
