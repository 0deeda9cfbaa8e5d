package consumer_test

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/credsmith/credsmith/internal/consumer"
)

// TestRenderings recognises the published error texts. Those of "" name no
// client: only the server's own words are in them.
func TestRenderings(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"aks-guard-log":                             "",
		"asp-net-core-oauth-handler":                "asp-net-core",
		"auth-js-code-lost":                         "next-auth",
		"az-cli-adal":                               "az-cli",
		"az-cli-argument-trap-no-aadsts-at-all":     "az-cli",
		"az-cli-msal":                               "az-cli",
		"azidentity-go":                             "azidentity-go",
		"azure-identity-msal-net":                   "azure-identity-dotnet",
		"azure-identity-python":                     "azure-identity-python",
		"azure-login":                               "",
		"error-field-only-suberror-kusto":           "az-cli",
		"go-autorest-adal-body-dropped-aks":         "go-autorest",
		"go-autorest-adal-velero":                   "go-autorest",
		"golang-org-x-oauth2-before-0-8-databricks": "golang-oauth2",
		"guzzle-nextcloud-mail-cut-at-120":          "",
		"keycloak-broker":                           "keycloak",
		"logic-app-telemetry":                       "bot-framework",
		"msal-go-discovery-external-dns-logrus":     "msal-go",
		"msal-java":                                 "msal-java",
		"msal-java-0-x":                             "msal-java",
		"msal-net-4-7-misleading-prefix":            "msal-net",
		"msal-node-1-x":                             "msal-node",
		"msal-python-discovery":                     "msal-python",
		"msal-python-web-app":                       "",
		"net-federated":                             "msal-net",
		"nextauth-4-openid-client-5":                "openid-client",
		"openid-client-6-librechat":                 "openid-client",
		"plain-crlf-lost":                           "",
		"spring-security-body-lost":                 "spring",
		"terraform-2018":                            "",
		"terraform-provider-redacted":               "terraform",
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "aadsts", "testdata", "renderings", "*.txtar"))
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d renderings, %v; want %d", len(files), err, len(want))
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		got := consumer.Recognize(string(archive.Files[0].Data))
		switch {
		case want[name] == "" && len(got) > 0:
			t.Errorf("%s is taken for %s by %q", name, got[0].ID, got[0].Sign)
		case want[name] != "" && (len(got) == 0 || got[0].ID != want[name]):
			t.Errorf("%s: %v, want %s", name, ids(got), want[name])
		case want[name] != "" && !strings.HasPrefix(got[0].SignSource, "https://"):
			t.Errorf("%s: the sign %q is published and names no source", name, got[0].Sign)
		}
	}
}

func ids(matches []consumer.Match) []string {
	var all []string
	for _, m := range matches {
		all = append(all, m.ID)
	}
	return all
}

func TestRecognize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`logger=context error="login.OAuthLogin(NewTransportWithCode)"`: "grafana",
		"401 [no body]": "spring",
		"az: error: argument --password/-p: expected one argument":                                      "az-cli",
		"535 5.7.3 Authentication unsuccessful [AM0PR01CA0001.eurprd01.prod.exchangelabs.com]":          "exchange-smtp",
		"Failed to obtain the Json Web Token(JWT) using service principal client ID. Exception: x":      "azure-devops",
		"oauthproxy.go:902: Error redeeming code during OAuth2 callback: token exchange failed":         "oauth2-proxy",
		"com.azure.spring.x: com.microsoft.aad.msal4j.MsalServiceException: AADSTS7000215":              "spring", // the product, not its library
		"Microsoft.Identity.Web: Microsoft.Identity.Client.MsalServiceException: AADSTS7000215":         "asp-net-core",
		"errorCode: 'invalid_client'" + strings.Repeat(" ", 1000) + "errorMessage: 'x'":                 "", // too far apart
		"DefaultAzureCredential authentication failed\n  POST https://x/y\n----\n  RESPONSE 401 Unauth": "azidentity-go",
		"all is well": "",
		"":            "",
	} {
		got := consumer.Recognize(text)
		if want == "" && (got == nil || len(got) > 0) || want != "" && (len(got) == 0 || got[0].ID != want) {
			t.Errorf("Recognize(%.60q) = %v, want %q first", text, ids(got), want)
		}
	}
	if got := consumer.Recognize(strings.Repeat("adal: ", 1<<20) + "argument --password/-p: expected one argument"); len(got) > 0 {
		t.Errorf("a sign behind 6 MiB of text is found: %v", ids(got))
	}
}

func TestForFile(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"/etc/grafana/grafana.ini":           "grafana",
		`C:\repo\local.settings.json`:        "functions",
		"src/main/resources/Application.yml": "spring",
		"application-prod.properties":        "spring",
		".github/workflows/deploy.yml":       "github-actions",
		"deploy.yml":                         "",
		"infra/main.tf":                      "terraform",
		"prod.auto.tfvars":                   "terraform",
		"web/.env.local":                     "next-auth",
		"/home/me/.azure/azureProfile.json":  "az-cli",
		"linkedService/AzureBlob.json":       "data-factory",
		"appsettings.Production.json":        "app-service asp-net-core",
		"notes.txt":                          "",
		"":                                   "",
		"/":                                  "",
		"[":                                  "",
	} {
		if got := strings.Join(ids(consumer.ForFile(file)), " "); got != want {
			t.Errorf("ForFile(%q) = %q, want %q", file, got, want)
		}
	}
}

// TestTable keeps every row whole: nothing is said without a source.
func TestTable(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("table.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	all := consumer.All()
	if len(all) < 30 {
		t.Fatalf("%d consumers", len(all))
	}
	for _, c := range all {
		if seen[c.ID] || c.ID == "" || c.Name == "" || c.Secret == "" || c.Caches == "" || c.Reload == "" || c.Source == "" {
			t.Errorf("%+v: twice, or not whole", c)
		}
		seen[c.ID] = true
		if published := strings.HasPrefix(c.Source, "https://"); c.HowSure != consumer.Recalled && !published {
			t.Errorf("%s is said to be %s, and its source is %q", c.ID, c.HowSure, c.Source)
		}
	}
	for line := range strings.Lines(string(source)) {
		_, list, ok := strings.Cut(line, "files: []string{")
		if !ok {
			continue
		}
		for pattern := range strings.SplitSeq(strings.Trim(list, "}, \n"), ", ") {
			pattern = strings.Trim(pattern, `"`)
			if _, err := path.Match(pattern, "x"); err != nil || pattern != strings.ToLower(pattern) {
				t.Errorf("the pattern %s of a file: %v; patterns are in lower case", pattern, err)
			}
		}
	}
}

func FuzzRecognize(f *testing.F) {
	for _, c := range consumer.All() {
		f.Add(c.Name + " POST https://x RESPONSE 401")
	}
	f.Add(strings.Repeat("errorCode: 'invalid_client'", 100))
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range append(consumer.Recognize(text), consumer.ForFile(text)...) {
			if m.ID == "" || m.Sign == "" || m.SignSource == "" {
				t.Errorf("%+v", m)
			}
		}
	})
}
