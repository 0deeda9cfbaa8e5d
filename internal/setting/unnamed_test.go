package setting_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/credsmith/credsmith/internal/setting"
)

func TestRecognisedByContent(t *testing.T) {
	t.Parallel()
	env := "AZURE_TENANT_ID=<T>\nAZURE_CLIENT_ID=<C>\nAZURE_CLIENT_SECRET=<S>\n"
	checkRead(t, []readCase{
		{"variables", map[string]string{"etc/default/billing": env}, "dotenv []  etc/default/billing:1:17 etc/default/billing:2:17 etc/default/billing:3:21", "recognised by its content: it holds AZURE_CLIENT_ID and reads as dotenv"},
		{"script", map[string]string{"bin/start": "#!/usr/bin/env bash\nexport AZURE_TENANT_ID=<T> AZURE_CLIENT_ID=<C>\nAZURE_CLIENT_SECRET=$(cat x)\n"}, "shell []  bin/start:2:24 bin/start:2:77 bin/start:3:21=a variable or command in $( )", "reads as shell"},
		{"JSON", map[string]string{"settings.txt": "{\"AzureAd\": {\"TenantId\": \"<T>\", \"ClientId\": \"<C>\", \"ClientSecret\": \"<S>\"}}"}, "json []  settings.txt:1:26 settings.txt:1:78 settings.txt:1:134", "it holds AzureAd and reads as json"},
		{"YAML", map[string]string{"conf": "spring.cloud.azure:\n  tenant-id: <T>\n  client-id: <C>\n  client-secret: <S>\n"}, "spring []  conf:2:14 conf:3:14 conf:4:18", "reads as yaml"},
		{"manifest", map[string]string{"secret.yaml.bak": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {AZURE_CLIENT_ID: <C>, AZURE_TENANT_ID: <T>, AZURE_CLIENT_SECRET: <S>}\n"}, "kubernetes []  secret.yaml.bak:4:86 secret.yaml.bak:4:31 secret.yaml.bak:4:145", "reads as yaml"},
		{"XML", map[string]string{"app.settings": "<a><add key='ida:TenantId' value='<T>'/><add key='ida:ClientId' value='<C>'/><add key='ida:ClientSecret' value='<S>'/></a>"}, "dotnet-framework []  app.settings:1:34 app.settings:1:104 app.settings:1:178", "reads as xml"},
		{"ini", map[string]string{"grafana.ini.old": "[auth.azuread]\nclient_id=<C>\nclient_secret=<S>\ntenant_id=<T>\n"}, "grafana []  grafana.ini.old:4:11 grafana.ini.old:2:11 grafana.ini.old:3:15", "reads as ini"},
		{"a wrong client id with all the rest", map[string]string{"x": strings.ReplaceAll(env, "<C>", "billing")}, "dotenv []  x:1:17 x:2:17 x:3:21 read \"billing\"", ""},
		{"programs and documents", map[string]string{"a.go": env, "README.md": env, "app.log": env, "x.sample": env}, "", ""},
		{"text that names the keys", map[string]string{"notes": "Set AZURE_CLIENT_ID and AZURE_CLIENT_SECRET: see the wiki.\n", "Dockerfile": "FROM x\nENV AZURE_CLIENT_ID=$ID\n", "broken": "{\"AzureAd\": {"}, "", ""},
		{"keys behind the head", map[string]string{"x": strings.Repeat("#\n", 40_000) + env}, "", ""},
	})
	files := tree(map[string]string{"image": "\x00" + env, "data.bin": "\x7fELF\x00", "big": strings.Repeat(" ", 1<<20) + env, "empty": "", "a.go": "\x00", "latin": env + "\xe9"})
	result, err := setting.Find(t.Context(), files, ".")
	if err != nil || len(result.Settings) > 0 || result.Passed != (setting.Passed{Binary: 2, Large: 1}) {
		t.Errorf("%v, %d settings, passed %+v", err, len(result.Settings), result.Passed)
	}
	if len(result.Errors) != 1 || result.Errors[0].Error() != "latin:4:1: is not UTF-8 (perhaps Latin-1 or Windows-1252): save it as UTF-8" {
		t.Errorf("errors %v", result.Errors)
	}
}

func FuzzUnnamed(f *testing.F) {
	f.Add([]byte("AZURE_CLIENT_ID=x\n"))
	f.Add([]byte("#!/bin/sh\nAZURE_CLIENT_ID=\"x\n"))
	f.Add([]byte("{\"AzureAd\": {"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, root := range []string{".", "x"} {
			if _, err := setting.Find(t.Context(), fstest.MapFS{"x": {Data: data}}, root); err != nil {
				t.Fatal(err)
			}
		}
	})
}
