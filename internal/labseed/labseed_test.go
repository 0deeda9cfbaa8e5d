package labseed_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/labseed"
)

var now = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func lookup(name string) (string, bool) {
	return "Env8Q~value-of-the-environment", name == "BILLING_SECRET"
}

// example is the file that the documentation shows.
var example = filepath.Join("..", "..", "docs", "lab-seed.yaml")

func TestExample(t *testing.T) {
	t.Parallel()
	file, err := os.Open(example)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	seed, err := labseed.Read("lab-seed.yaml", file, lookup, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	lab, err := entralab.Start(t.Context(), entralab.Config{InProcess: true, Seed: seed.Seed})
	if err != nil {
		t.Fatal(seed.Locate(err))
	}
	defer lab.Close()
	doc := string(lab.Export())
	for _, want := range []string{"tailspin.lab.test", "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222", `"hint":"Env"`, "33333333-3333-4333-8333-333333333333", `"disabled":true`, "repo:tailspin"} {
		if !strings.Contains(doc, want) {
			t.Errorf("the lab lacks %s", want)
		}
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"apps:\n  - display_nam: x\n":                                                            "f:2:5: unknown key \"display_nam\"; the nearest known one is \"display_name\"",
		"apps:\n  - secrets:\n      - value: ${env:NONE}\n":                                      "f:3:16: apps[0].secrets[0].value: the environment variable \"NONE\" is not set",
		"apps:\n  - secrets:\n      - end: soon\n":                                               "f:3:14: apps[0].secrets[0].end: not a date",
		"delay: {accept: -8s}\n":                                                                 "f:1:17: delay.accept: not a duration",
		"apps:\n  - permissions: [User.Eat]\n":                                                   "apps[0]: unknown permission \"User.Eat\"",
		"apps:\n  - client_id: 1b7e\n":                                                           "apps[0]: the client id \"1b7e\" is not a GUID",
		"apps:\n  - tenant: nowhere.test\n":                                                      "apps[0]: no tenant",
		"tenants:\n  - {domain: contoso.lab.test}\n":                                             "tenants[0]: another tenant has this id or domain",
		"apps:\n  - {client_id: &a 11111111-1111-4111-8111-111111111111}\n  - {client_id: *a}\n": "apps[1]: the client id 11111111-1111-4111-8111-111111111111 is taken",
		"tenants:\n  - {domain: a.test, cloud: mars}\n":                                          "f:2:6: tenants[0]: no cloud \"mars\": \"china\" and \"usgov\" are known",
		"{}\n---\n{}\n":                          "more than one document",
		"apps: [\n":                              "f:",
		"apps:\n  - secrets: Can8Q~not-a-list\n": "f:2:14: ",
	} {
		seed, err := labseed.Read("f", strings.NewReader(text), lookup, now)
		if err == nil {
			var lab *entralab.Lab
			lab, err = entralab.Start(t.Context(), entralab.Config{InProcess: true, Seed: seed.Seed})
			if err == nil {
				lab.Close()
				err = errors.New("nothing")
			}
			err = seed.Locate(err)
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "not-a-list") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestDates(t *testing.T) {
	t.Parallel()
	seed, err := labseed.Read("f", strings.NewReader("apps:\n- secrets:\n  - {added: -30d, start: 2026-01-02, end: '2026-01-03T04:05:06Z'}\n"), lookup, now)
	if err != nil {
		t.Fatal(err)
	}
	got := seed.Apps[0].Secrets[0]
	if !got.At.Equal(now.AddDate(0, 0, -30)) || got.Start.Format(time.DateOnly) != "2026-01-02" || got.End.Hour() != 4 {
		t.Errorf("%v, %v, %v", got.At, got.Start, got.End)
	}
}

func FuzzRead(f *testing.F) {
	text, err := os.ReadFile(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("apps:\n- secrets:\n  - {added: -30d, start: 2026-01-02}\n")
	f.Fuzz(func(t *testing.T, text string) {
		if seed, err := labseed.Read("f", strings.NewReader(text), lookup, now); (seed == nil) == (err == nil) {
			t.Fatalf("%v, %v", seed, err)
		}
	})
}

// TestVaults: the app that the seed names can read its own value from the
// vault that the seed makes, and nothing else there.
func TestVaults(t *testing.T) {
	t.Parallel()
	const text = `
apps:
  - client_id: 11111111-1111-4111-8111-111111111111
    secrets: [{value: "${env:S}"}]
vaults:
  - name: kv-billing
    secrets: [{name: kept, value: "${env:S}"}, {name: other, value: x}]
    grants: [{app: 11111111-1111-4111-8111-111111111111, role: Key Vault Secrets User, secret: kept}]
  - name: kv-lab
    secrets: [{name: added, value: y}]
`
	value := "abc8Q~" + strings.Repeat("v", 34)
	seed, err := labseed.Read("seed.yaml", strings.NewReader(text), func(string) (string, bool) { return value, true }, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	lab, err := entralab.Start(t.Context(), entralab.Config{InProcess: true, Seed: seed.Seed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lab.Close() })
	resp, err := lab.Client().PostForm(lab.AuthorityURL()+"/"+lab.TenantID()+"/oauth2/v2.0/token", map[string][]string{
		"grant_type": {"client_credentials"}, "client_id": {"11111111-1111-4111-8111-111111111111"}, "client_secret": {value}, "scope": {"https://vault.azure.net/.default"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var granted struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&granted); err != nil || granted.AccessToken == "" {
		t.Fatalf("no token: %v", err)
	}
	resp.Body.Close()
	for name, want := range map[string]int{"kept": 200, "other": 403} {
		r, err := http.NewRequest("GET", "https://kv-billing.vault.azure.net/secrets/"+name+"?api-version=7.6", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+granted.AccessToken)
		resp, err := lab.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want || want == 200 && !strings.Contains(string(body), value) {
			t.Errorf("%s: %d, want %d: %s", name, resp.StatusCode, want, body)
		}
	}
	// What is wrong with a vault is named by its place.
	bad, err := labseed.Read("seed.yaml", strings.NewReader("vaults:\n  - name: kv-x\n    grants: [{app: 22222222-2222-4222-8222-222222222222, role: Key Vault Secrets User}]\n"), nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = entralab.Start(t.Context(), entralab.Config{InProcess: true, Seed: bad.Seed}); err == nil || !strings.HasPrefix(bad.Locate(err).Error(), "seed.yaml:2:5: vaults[0]: no app") {
		t.Errorf("%v", bad.Locate(err))
	}
}
