package setting_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/credsmith/credsmith/internal/setting"
)

// TestFindTakesLinearTime reads long files of one small part again and again.
// Four times the length may take 16 times as long where the work is quadratic;
// the bound on the clock is far from both.
func TestFindTakesLinearTime(t *testing.T) {
	t.Parallel()
	tests := []struct{ file, head, part, tail string }{
		{"application.yml", "azure: client-id\n", "a: b\n", ""},
		{"application.yml", "azure: client-id\n", "a:\n", ""},
		{"application.yml", "azure: client-id\n", "é: 'x\n  y'\n", ""},
		{"application.yml", "azure: [", "é, ", "client-id]"},
		{"application.yml", "azure: [", "{a: b}, ", "client-id]"},
		{"application.yml", "azure: &a [client-id]\nb: [", "*a, ", "x]"},
		{"application.yml", "azure: &a {client-id: x}\nb:\n", "  <<: *a\n", ""},
		{"compose.yaml", "services: {a: {environment: {AZURE_CLIENT_ID: \"", "${A} ", "\"}}}"},
		{"compose.yaml", "services:\n  a:\n    environment:\n", "      - AZURE_A${A}=b\n", ""},
		{".env", "AZURE_CLIENT_ID=x\n", "A=${A}\n", ""},
		{".env", "AZURE_CLIENT_ID=x\n", "A=B\n", ""},
		{"a.properties", "azure.client-id=x", "\\\n  y", ""},
		{"a.tf", "provider \"azuread\" {\n", "a = \"${b}\"\n", "}"},
		{"a.json", "{\"azure\": [", "[],", "1]}"},
		{"a.ini", "[auth.azuread]\n", "a=b\n", ""},
		{"web.config", "<a>", "<add key='ida:ClientId' value='b'/>", "</a>"},
	}
	for _, tt := range tests {
		text := tt.head + strings.Repeat(tt.part, (1<<17)/len(tt.part)) + tt.tail
		done := make(chan error, 1)
		go func() {
			_, err := setting.Find(context.Background(), fstest.MapFS{tt.file: &fstest.MapFile{Data: []byte(text)}}, ".")
			done <- err
		}()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s of %q: %v", tt.file, tt.part, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s of %q takes more than 10 s for 128 KiB", tt.file, tt.part)
		}
	}
}

// TestReferences: a default counts where the reader of the format takes it,
// and what is said of a reference never repeats what may be a secret.
func TestReferences(t *testing.T) {
	t.Parallel()
	ids := "AZURE_TENANT_ID=<T>\nAZURE_CLIENT_ID=<C>\nAZURE_CLIENT_SECRET="
	json := func(value string) string {
		return `{"AzureAd":{"TenantId":"<T>","ClientId":"<C>","ClientSecret":"` + value + `"}}`
	}
	spring := func(value string) string {
		return "azure: {tenant-id: <T>, client-id: <C>, client-secret: '" + value + "'}\n"
	}
	tests := []struct{ file, text, want string }{
		{".env", ids + "${S}", "${S}"},
		{".env", ids + "${S:-<S>}", "read"},
		{".env", ids + "${S-<S>}", "read"},
		{".env", ids + "${S:<S>}", "${S}"},
		{"appsettings.json", json("${S:<S>}"), "${S}"},
		{"appsettings.json", json("${S:-<S>}"), "${S}"},
		{"application.yml", spring("${S:<S>}"), "read"},
		{"application.yml", spring("${S}"), "${S}"},
		{"values.yaml", spring("${S:<S>}"), "${S}"},
		{"values.yaml", "azure: {tenant-id: <T>, client-id: <C>, client-secret: {{ .Values.secret }}}\n", "a template"},
		{".env", ids + "$(az keyvault secret show <S>)", "a variable or command in $( )"},
		{".env", ids + "$(BILLING_SECRET)", "$(BILLING_SECRET)"},
		{".env", ids + "${<S>}", "a variable in ${ }"},
		{"grafana.ini", "[auth.azuread]\nclient_id=<C>\nauth_url=" + login + "/<T>/x\nclient_secret=$__file{/run/<S>}", "$__file{...}"},
		{"appsettings.json", json("${{ secrets.AZ }}"), "secrets.AZ"},
		{"appsettings.json", json("${{ <S> }}"), "an expression in ${{ }}"},
		{"appsettings.json", json("${{ secrets.a1b2c3d4e5f6a7b8 }}"), "an expression in ${{ }}"},
		{"appsettings.json", json("@Microsoft.KeyVault(VaultName=v;SecretName=s;SecretVersion=0a1b)"), "@Microsoft.KeyVault(...) pinned"},
		{"appsettings.json", json("@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s/0a1b/)"), "@Microsoft.KeyVault(...) pinned"},
		{"appsettings.json", json("@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s/)"), "@Microsoft.KeyVault(...)"},
		{"a.tf", "client_id = \"<C>\"\ntenant_id = \"<T>\"\nclient_secret = var.<S>", "an expression"},
	}
	for _, tt := range tests {
		result, err := setting.Find(context.Background(), tree(map[string]string{tt.file: tt.text}), ".")
		if err != nil || len(result.Settings) != 1 {
			t.Errorf("%s %q: %d settings, %v %v", tt.file, tt.text, len(result.Settings), err, result.Errors)
			continue
		}
		f := result.Settings[0]
		got := f.Secret.Unresolved
		if f.Secret.Pinned {
			got += " pinned"
		}
		if f.Complete() && f.Value.Reveal() == canary {
			got = "read"
		}
		if got != tt.want {
			t.Errorf("%s %q: %q, want %q", tt.file, tt.text, got, tt.want)
		}
		if text := fmt.Sprintf("%+v", f); strings.Contains(text, canary) {
			t.Errorf("%s %q: the setting prints the value: %s", tt.file, tt.text, text)
		}
	}
}

// TestOneSettingOnce: a file that compose reads is no second setting, an
// example is none, and the order is that of the files.
func TestOneSettingOnce(t *testing.T) {
	t.Parallel()
	env := "AZURE_TENANT_ID=<T>\nAZURE_CLIENT_ID=<C>\nAZURE_CLIENT_SECRET=<S>\n"
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"env_file", map[string]string{"compose.yaml": "services: {a: {env_file: a.env}}", "a.env": env}, "compose a.env:3:21"},
		{".env beside", map[string]string{"compose.yaml": "services: {a: {environment: {AZURE_TENANT_ID: '${AZURE_TENANT_ID}', AZURE_CLIENT_ID: '${AZURE_CLIENT_ID}', AZURE_CLIENT_SECRET: '${AZURE_CLIENT_SECRET}'}}}", ".env": env}, "compose .env:3:21"},
		{".env beside, not used", map[string]string{"compose.yaml": "services: {a: {environment: {AZURE_CLIENT_ID: <C>}}}", ".env": env}, "dotenv .env:3:21\ncompose compose.yaml:1:47"},
		{"examples", map[string]string{".env.example": env, "sample.env": env, "appsettings.Template.json": "{}"}, ""},
		{"order", map[string]string{"a.env": env, "b/x.env": env, "c.env": env}, "dotenv a.env:3:21\ndotenv b/x.env:3:21\ndotenv c.env:3:21"},
	}
	for _, tt := range tests {
		result, err := setting.Find(context.Background(), tree(tt.files), ".")
		var got []string
		for _, f := range result.Settings {
			got = append(got, f.Consumer+" "+f.Origin)
		}
		if err != nil || strings.Join(got, "\n") != tt.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", tt.name, err, strings.Join(got, "\n"), tt.want)
		}
	}
	if result, _ := setting.Find(context.Background(), tree(map[string]string{".env.example": env}), ".env.example"); len(result.Settings) != 1 {
		t.Error("an example that is named is not read")
	}
}

// TestNamedFile: what a file that is named holds tells its kind.
func TestNamedFile(t *testing.T) {
	t.Parallel()
	for kind, text := range map[string]string{
		"json": "{\"AzureAd\": {\"TenantId\": \"<T>\", \"ClientId\": \"<C>\", \"ClientSecret\": \"<S>\"}}",
		"xml":  "<a><add key='ida:TenantId' value='<T>'/><add key='ida:ClientId' value='<C>'/><add key='ida:ClientSecret' value='<S>'/></a>",
		"ini":  "# x\n[auth.azuread]\nclient_id=<C>\nclient_secret=<S>\ntenant_id=<T>\n",
		"env":  "# x\nexport AZURE_TENANT_ID=<T>\nAZURE_CLIENT_ID=<C>\nAZURE_CLIENT_SECRET=<S>\n",
		"yaml": "azure:\n  tenant-id: <T>\n  client-id: <C>\n  client-secret: <S>\n",
	} {
		files := tree(map[string]string{"dir/settings": text})
		named, err := setting.Find(context.Background(), files, "dir/settings")
		if err != nil || len(named.Settings) != 1 || !named.Settings[0].Complete() || named.Settings[0].Value.Reveal() != canary {
			t.Errorf("%s: %d settings, %v %v", kind, len(named.Settings), err, named.Errors)
		}
	}
}

// fuzzFile reads any bytes as one kind of file, within five seconds.
func fuzzFile(f *testing.F, name string, seeds ...string) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		late := time.AfterFunc(5*time.Second, func() { fmt.Fprintf(os.Stderr, "too slow: %q\n", data); os.Exit(3) })
		defer late.Stop()
		if _, err := setting.Find(context.Background(), fstest.MapFS{name: &fstest.MapFile{Data: data}}, "."); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzYAML(f *testing.F) {
	fuzzFile(f, "application.yml", "azure: &a {client-id: *a}\n<<: *a", "azure:\n  client-id: {{ x }}\n  client-secret: \"b\"\n---\n- a: |\n    x\n", "azure: ${a:b}\n? [client-id]\n: !!x y")
}

func FuzzCompose(f *testing.F) {
	fuzzFile(f, "compose.yaml", "services: {a: {environment: [AZURE_CLIENT_ID=${A:-b}]}}", "services: {a: {env_file: [{path: compose.yaml}]}}")
}
