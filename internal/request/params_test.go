package request

import (
	"fmt"
	"testing"

	"github.com/credsmith/credsmith/internal/secret"
)

// TestParams sends the same parameters in every shape: the meaning does not
// change, what the server reads does.
func TestParams(t *testing.T) {
	t.Parallel()
	const (
		graph = "https://graph.microsoft.com/.default"
		json  = `{"client_id":"` + testClient + `","client_secret":"` + testSecret + `","grant_type":"client_credentials","scope":"` + graph + `"}`
		plain = "grant_type=client_credentials&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default"
	)
	for name, test := range map[string]struct {
		input      string
		in, formIn string
	}{
		"form":      {post(form(testSecret)), "body", "body"},
		"json":      {"curl --json '" + json + "' " + testURL, "json", ""},
		"multipart": {"curl " + testURL + " -F client_id=" + testClient + " -F client_secret=" + testSecret + " -F grant_type=client_credentials -F scope=" + graph, "body", ""},
		"query":     {"curl -G -d '" + form(testSecret) + "' " + testURL, "query", ""},
		"basic":     {"curl -u " + testClient + ":" + testSecret + " -d '" + plain + "' " + testURL, "basic", "basic"},
		"url user":  {"curl -d '" + plain + "' https://" + testClient + ":" + testSecret + "@" + testURL[len("https://"):], "basic", "basic"},
		"header":    {"curl -H 'client_secret: " + testSecret + "' -d 'client_id=" + testClient + "&" + plain + "' " + testURL, "header", ""},
		"misspelt":  {"curl -d 'clientId=" + testClient + "&clientSecret=" + testSecret + "&" + plain + "' " + testURL, "body", ""},
	} {
		c := parseOne(t, test.input)
		p := c.Params()
		got := fmt.Sprint(p.Authority, p.Tenant, p.Endpoint, p.ClientID, p.GrantType, p.Scope, p.Resource, p.SecretIn, p.Assertion)
		want := fmt.Sprint("https://login.microsoftonline.com", testTenant, "v2", testClient, "client_credentials", graph, "", test.in, false)
		if got != want {
			t.Errorf("%s: Params = %s, want %s", name, got, want)
		}
		if !p.Secret.Equal(secret.New(testSecret)) {
			t.Errorf("%s: Params has another secret", name)
		}
		if f := c.Form(); f.SecretIn != test.formIn || f.Secret.IsEmpty() != (test.formIn == "") {
			t.Errorf("%s: Form has the secret in %q, want %q", name, f.SecretIn, test.formIn)
		}
	}
}

// TestSecretReadings compares what the server reads with what was meant.
func TestSecretReadings(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]struct{ server, meant string }{
		"a%2Bb":        {"a+b", "a+b"},
		"a+b":          {"a b", "a+b"},
		"a%7Eb+":       {"a~b ", "a~b "},
		"+ab":          {" ab", " ab"},
		"+a/b":         {" a/b", "+a/b"},
		"a/b+":         {"a/b ", "a/b "},
		"a%zz+":        {"a%zz ", "a%zz+"},
		"a%41b":        {"aAb", "a%41b"},
		"a%FFb":        {"a\xffb", "a%FFb"},
		"a%C3%A9b":     {"aéb", "aéb"},
		"a%0A":         {"a\n", "a\n"},
		"a&b":          {"a", "a&b"},
		"a&&b=c&x-y=1": {"a", "a&&b=c"},
		"a&":           {"a", "a"},
		"a%2526b":      {"a%26b", "a%26b"},
		"%22a%22":      {`"a"`, `"a"`},
	} {
		c := parseOne(t, post("client_secret="+raw+"&grant_type=client_credentials"))
		if got := c.Form().Secret; !got.Equal(secret.New(want.server)) {
			t.Errorf("%s: the server does not read %q (%+v)", raw, want.server, got.Shape())
		}
		if got := c.Params().Secret; !got.Equal(secret.New(want.meant)) {
			t.Errorf("%s: %q is not what was meant (%+v)", raw, want.meant, got.Shape())
		}
	}
}

func TestParamsOfOtherRequests(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		input string
		want  Params
	}{
		"v1": {"curl 'https://login.windows.net/contoso.com/oauth2/token' -d resource=https://vault.azure.net -d grant_type=client_credentials",
			Params{Authority: "https://login.windows.net", Tenant: "contoso.com", Endpoint: "v1", GrantType: "client_credentials", Resource: "https://vault.azure.net"}},
		"v1 parameters on v2": {"curl " + testURL + " -d resource=https://management.azure.com/ -d grant_type=client_credentials",
			Params{Authority: "https://login.microsoftonline.com", Tenant: testTenant, Endpoint: "v2", GrantType: "client_credentials", Scope: "https://management.azure.com//.default"}},
		"lab": {"curl http://127.0.0.1:8443/" + testTenant + "/oauth2/v2.0/token -d client_assertion=x.y.z",
			Params{Authority: "http://127.0.0.1:8443", Tenant: testTenant, Endpoint: "v2", GrantType: "client_credentials", Assertion: true}},
		"variables": {`curl "$HOST/$TENANT/oauth2/v2.0/token" -d "client_id=$ID&client_secret=$SECRET&scope=$SCOPE"`,
			Params{Endpoint: "v2", GrantType: "client_credentials", SecretIn: "body"}},
		"unknown path": {"curl https://login.microsoftonline.com/common/connect -d grant_type=refresh_token",
			Params{Authority: "https://login.microsoftonline.com", Tenant: "common", Endpoint: "unknown", GrantType: "refresh_token"}},
	} {
		got := parseOne(t, test.input).Params()
		got.Secret, test.want.Secret = secret.Value{}, secret.Value{}
		if got != test.want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, test.want)
		}
	}
}
