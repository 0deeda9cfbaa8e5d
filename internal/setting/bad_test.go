package setting_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/credsmith/credsmith/internal/setting"
)

func TestFindBadFiles(t *testing.T) {
	t.Parallel()
	bomb := "azure: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for i := range 8 {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", 'b'+i, 'b'+i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", 'a'+i), 10), ","))
	}
	tests := []struct{ file, text, want string }{
		{"a.json", "{\"tenantId\": \"" + canary + "\",\n  oops}", "a.json:2:3: malformed JSON: a name in double quotes is expected here"},
		{"a.json", strings.Repeat("[", 500) + "\"tenant\"", "a.json:1:202: malformed JSON: nested too deeply"},
		{"a.yaml", "clientSecret: \"" + canary + "\n", "a.yaml:1:15: malformed YAML"},
		{"a.yaml", "é: {ö: tenant, z: ]}\n", "a.yaml:1:21: malformed YAML"},
		{"a.yaml", "tenant: " + strings.Repeat("[", 5000), "a.yaml:1:1009: malformed YAML: nested too deeply"},
		{"bomb.yaml", bomb, "unfold to more than 100000 values"},
		{"latin.env", "A=1\nAZURE_CLIENT_SECRET=\xe9" + canary, "latin.env:2:21: is not UTF-8 (perhaps Latin-1 or Windows-1252): save it as UTF-8"},
		{"Web.config", "<a>\n<add key='ida:ClientId' value='x'></b>", "Web.config:2:"},
		{"big.json", strings.Repeat(" ", 10<<20+1), "big.json: is larger than 10 MiB and was not read"},
		{"s.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  client-secret: " + canary + "\n", "s.yaml:5:18: data of a Secret is not base64"},
		{"compose.yaml", "services:\n  a:\n    env_file: gone.env\n", "compose.yaml:3:15: env_file cannot be read"},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			files := tree(map[string]string{"ok.env": "AZURE_TENANT_ID=<T>\nAZURE_CLIENT_ID=<C>\nAZURE_CLIENT_SECRET=<S>\n"})
			files["bad/"+tt.file] = &fstest.MapFile{Data: []byte(tt.text), Mode: 0o600}
			result, err := setting.Find(context.Background(), files, ".")
			if err != nil || len(result.Errors) != 1 {
				t.Fatalf("Find: %v, errors %v, want one", err, result.Errors)
			}
			if got := result.Errors[0].Error(); !strings.Contains(got, tt.want) || !strings.HasPrefix(got, "bad/") || strings.Contains(got, canary) {
				t.Errorf("error %q, want %q", got, tt.want)
			}
			if len(result.Settings) != 1 || !result.Settings[0].Complete() {
				t.Errorf("the good file beside it gives %d settings", len(result.Settings))
			}
		})
	}
}

func TestFindWalk(t *testing.T) {
	t.Parallel()
	env := "AZURE_TENANT_ID=<T>\nAZURE_CLIENT_ID=<C>\nAZURE_CLIENT_SECRET=<S>\n"
	files := tree(map[string]string{"a/.env": env, "b/.env": env, ".git/.env": env, "a/node_modules/x/.env": env, "vendor/.env": env, "two/x.env": "AZURE_CLIENT_SECRET=<S>\n", "two/y.env": "AZURE_CLIENT_SECRET=<S>\n", "two/z.env": "AZURE_CLIENT_ID=<C>\n"})
	utf16 := []byte{0xff, 0xfe}
	for _, c := range fill(env) {
		utf16 = append(utf16, byte(c), 0)
	}
	files["c/.env"] = &fstest.MapFile{Data: utf16}
	result, err := setting.Find(context.Background(), files, "b", ".", "a")
	if err != nil || len(result.Errors) > 0 {
		t.Fatal(err, result.Errors)
	}
	var got []string
	for _, f := range result.Settings {
		got = append(got, fmt.Sprintf("%s %v", f.Origin, f.Complete()))
	}
	want := "b/.env:3:21 true a/.env:3:21 true c/.env:3:21 true two/x.env:1:21 false two/y.env:1:21 false two/z.env:1:17 false"
	if strings.Join(got, " ") != want {
		t.Errorf("got %s\nwant %s", strings.Join(got, " "), want)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := setting.Find(ended, files, "."); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
	if result, _ := setting.Find(context.Background(), files, "gone"); len(result.Errors) != 1 {
		t.Errorf("a root that is not there: %v", result.Errors)
	}
}

// FuzzFind reads any bytes as every kind of file: no panic, no value printed,
// and every place lies inside the file.
func FuzzFind(f *testing.F) {
	names := []string{".env", "a.json", "compose.yaml", "application.yml", "a.properties", "a.tf", "web.config", "a.ini", "env.list"}
	for i, seed := range []string{
		"AZURE_CLIENT_SECRET=${X}\n", `{"AzureAd":{"ClientSecret":"x",}} // c`, "services: {a: {environment: [AZURE_CLIENT_ID=${A:-b}]}}", "azure: &a {client-id: *a}\n<<: *a",
		"azure.client-id=\\u00e9\\\n x", "provider \"azuread\" {\n client_id = \"a${b}\"\n}", "<add key='ida:ClientId' value='&lt;'/>", "[auth.azuread]\nclient_id=`x`", "apiVersion: v1\nkind: Secret\ndata: {client-secret: YQ==}",
	} {
		f.Add(uint8(i), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		name := names[int(kind)%len(names)]
		result, err := setting.Find(context.Background(), fstest.MapFS{name: &fstest.MapFile{Data: data}}, ".")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range result.Settings {
			for _, p := range []setting.Part{s.Tenant, s.Client, s.Secret, s.Host} {
				if p.Set && (p.Line < 1 || p.Column < 1 || p.Start < 0 || p.End < p.Start || p.End > 2*len(data)) {
					t.Errorf("a place outside the file: %+v", p)
				}
			}
		}
	})
}

func BenchmarkFind(b *testing.B) {
	files := fstest.MapFS{}
	for i := range 10_000 {
		text := "key: value\n"
		if i%10 == 0 {
			text = fill("azure:\n  tenantId: <T>\n  clientId: <C>\n  clientSecret: <S>\n")
		}
		files[fmt.Sprintf("d%02d/app%04d/values.yaml", i/100, i)] = &fstest.MapFile{Data: []byte(text)}
	}
	for b.Loop() {
		result, err := setting.Find(context.Background(), files, ".")
		if err != nil || len(result.Settings) != 1000 {
			b.Fatal(err, len(result.Settings))
		}
	}
}
