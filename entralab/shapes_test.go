package entralab_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/credsmith/credsmith/entralab"
)

// plain takes the shapes out of an answer: properties nobody knows, digits of
// dates and the order of lists of objects.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			switch text, isText := inner.(string); {
			case strings.HasPrefix(name, "labProperty"):
				delete(v, name)
			case isText && strings.HasSuffix(name, "DateTime"):
				at, err := time.Parse(time.RFC3339, text)
				if err != nil {
					return err
				}
				v[name] = at.Truncate(time.Second)
			default:
				v[name] = plain(inner)
			}
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
		slices.SortFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return v
}

// TestStrictSaysTheSame: a strict lab tells what a calm one tells, in another
// shape, and the same seed the same shape.
func TestStrictSaysTheSame(t *testing.T) {
	t.Parallel()
	answers := func(seed uint64, strict bool) (bodies []string) {
		synctest.Test(t, func(t *testing.T) {
			lab := startWith(t, entralab.Config{InProcess: true, RandomSeed: seed, Strict: strict})
			app := addApp(t, lab, entralab.AppSpec{DisplayName: "two secrets", Secrets: []entralab.SecretSpec{
				{Value: "first-value-of-the-app-0123456789", DisplayName: "one"}, {Value: "other-value-of-the-app-0123456789", DisplayName: "two"},
			}})
			time.Sleep(1234567 * time.Microsecond)
			token := graphToken(t, lab, lab.Operator())
			for _, path := range []string{
				"applications/" + app.ObjectID, "servicePrincipals?$filter=appId eq '" + app.ClientID + "'", "applications?$top=999&$select=id,displayName",
				"applications?$orderby=displayName&$count=true", "auditLogs/directoryAudits", "users", "no-such-thing", "organization",
			} {
				bodies = append(bodies, graph(t, lab, token, "GET", path, "", "ConsistencyLevel", "eventual").body)
			}
			batch := `{"requests":[{"id":"1","method":"GET","url":"/users"},{"id":"2","method":"GET","url":"/organization"}]}`
			bodies = append(bodies, graph(t, lab, token, "POST", "$batch", batch).body,
				do(t, lab, newRequest(t, "GET", lab.AuthorityURL()+"/"+lab.TenantID()+"/v2.0/.well-known/openid-configuration", "")).body)
		})
		return bodies
	}
	// Values are drawn apart from the seed, and the hints with them; each
	// request has ids of its own.
	volatile := regexp.MustCompile(`("hint":"[^"]*"|"[a-z-]*request-id":"[^"]*")`)
	differ := 0
	for seed := range uint64(12) {
		calm, strict := answers(seed+1, false), answers(seed+1, true)
		if again := answers(seed+1, true); volatile.ReplaceAllString(strings.Join(strict, "\n"), "") != volatile.ReplaceAllString(strings.Join(again, "\n"), "") {
			t.Errorf("seed %d has two shapes:\n%s\n%s", seed+1, strict, again)
		}
		for i := range calm {
			var a, b any
			if json.Unmarshal([]byte(calm[i]), &a) != nil || json.Unmarshal([]byte(strict[i]), &b) != nil {
				t.Fatalf("no JSON: %s\n%s", calm[i], strict[i])
			}
			_, paged := b.(map[string]any)["@odata.nextLink"]
			left, right := encode(t, plain(a)), encode(t, plain(b))
			if !paged && volatile.ReplaceAllString(left, "") != volatile.ReplaceAllString(right, "") {
				t.Errorf("seed %d, answer %d: calm\n%s\nstrict\n%s", seed+1, i, left, right)
			}
			if !strings.Contains(strict[i], `"labProperty`) || strings.Contains(calm[i], "labProperty") {
				t.Errorf("seed %d, answer %d: unknown properties: %s", seed+1, i, strict[i])
			}
			if volatile.ReplaceAllString(strict[i], "") != volatile.ReplaceAllString(calm[i], "") {
				differ++
			}
		}
	}
	if differ == 0 {
		t.Error("no answer has another shape")
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestStrictLists: pages have the lab's size, links say nothing, and a client
// that follows them sees each app once, in an order of the lab's own.
func TestStrictLists(t *testing.T) {
	t.Parallel()
	sizes, sorted := map[int]bool{}, 0
	for seed := range uint64(8) {
		lab := startWith(t, entralab.Config{InProcess: true, RandomSeed: seed + 1, Strict: true})
		const apps = 120
		for i := range apps {
			addApp(t, lab, entralab.AppSpec{DisplayName: fmt.Sprintf("app-%03d", i)})
		}
		token := graphToken(t, lab, lab.Operator())
		walk := func(path string) (names []string, sizes []int) {
			address := lab.GraphURL() + "/v1.0/" + path
			for address != "" {
				r := do(t, lab, newRequest(t, "GET", address, "", "Authorization", "Bearer "+token, "ConsistencyLevel", "eventual"))
				var page struct {
					Value []struct{ DisplayName string }
					Next  string `json:"@odata.nextLink"`
				}
				if err := json.Unmarshal([]byte(r.body), &page); err != nil || r.status != 200 {
					t.Fatalf("%d %s", r.status, r.body)
				}
				for _, app := range page.Value {
					names = append(names, app.DisplayName)
				}
				sizes = append(sizes, len(page.Value))
				if address = page.Next; address != "" && !regexp.MustCompile(`^https://graph\.lab\.test/v1\.0/lab-page-[\w-]+$`).MatchString(address) {
					t.Fatalf("the link tells: %s", address)
				}
			}
			return names, sizes
		}
		names, pages := walk("applications?$filter=startswith(displayName,'app-')&$select=displayName")
		for i, n := range pages {
			if n > 100 || i < len(pages)-1 && n != pages[0] {
				t.Errorf("seed %d: pages of %v", seed+1, pages)
			}
		}
		sizes[pages[0]] = true
		if slices.IsSorted(names) {
			sorted++
		}
		again, _ := walk("applications?$filter=startswith(displayName,'app-')&$select=displayName")
		if !slices.Equal(names, again) {
			t.Errorf("seed %d: the order changes from one request to the next", seed+1)
		}
		slices.Sort(names)
		if unique := slices.Compact(names); len(unique) != apps || len(again) != apps {
			t.Errorf("seed %d: %d apps, %d of them once", seed+1, len(again), len(unique))
		}
		ordered, _ := walk("applications?$filter=startswith(displayName,'app-')&$orderby=displayName&$count=true&$top=50")
		if len(ordered) != apps || !slices.IsSorted(ordered) {
			t.Errorf("seed %d: $orderby is not kept: %v", seed+1, ordered)
		}
		if _, asked := walk("applications?$top=7"); asked[0] != 7 {
			t.Errorf("seed %d: $top=7 gives %d", seed+1, asked[0])
		}
	}
	if len(sizes) < 5 || sorted > 0 {
		t.Errorf("pages of %v, %d lists in the order of creation", sizes, sorted)
	}
}

// TestStrictClients: SDKs and go-oidc, as published, take any shape.
func TestStrictClients(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		lab := startWith(t, entralab.Config{InProcess: true, RandomSeed: seed + 1, Strict: true})
		credential, err := azidentity.NewClientSecretCredential(lab.TenantID(), lab.Operator().ClientID, value(lab.Operator()), &azidentity.ClientSecretCredentialOptions{
			DisableInstanceDiscovery: true,
			ClientOptions: policy.ClientOptions{
				Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: lab.AuthorityURL()},
				Transport: lab.Client(), Retry: policy.RetryOptions{MaxRetries: -1},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		token, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{graphScope}})
		if err != nil {
			t.Fatalf("seed %d: %v", seed+1, err)
		}
		if r := graph(t, lab, token.Token, "GET", "applications", ""); r.status != 200 {
			t.Errorf("seed %d: %s", seed+1, r.body)
		}
		vault := addVault(t, lab, entralab.VaultSpec{Name: "kv-azure"})
		driveAzsecrets(t, secretsClient(t, lab, lab.Operator(), vault.AzureURL, false), vault.AzureURL)
		ctx := oidc.ClientContext(context.Background(), lab.Client())
		if _, err := oidc.NewProvider(ctx, lab.AuthorityURL()+"/"+lab.TenantID()+"/v2.0"); err != nil {
			t.Errorf("seed %d: %v", seed+1, err)
		}
	}
}

// FuzzStrict: whatever follows a hidden page's prefix is answered.
func FuzzStrict(f *testing.F) {
	lab := startWith(f, entralab.Config{InProcess: true, Strict: true})
	token := graphToken(f, lab, lab.Operator())
	for _, seed := range []string{
		"L3YxLjAvYXBwbGljYXRpb25zPyR0b3A9MQ", "", "x", "L3YxLjAvbGFiLXBhZ2UtTDNZeExqQXZZWEJ3YkdsallYUnBiMjV6", "aHR0cHM6Ly9ldmlsLnRlc3Q", "Lw", "Pw",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, hidden string) {
		r := newRequest(t, "GET", lab.GraphURL()+"/v1.0/", "", "Authorization", "Bearer "+token)
		r.URL.Path += "lab-page-" + hidden
		got := do(t, lab, r)
		checkFuzzed(t, got)
		if got.status >= 400 && got.object(t)["error"] == nil {
			t.Errorf("%q: %s", hidden, got.body)
		}
	})
}
