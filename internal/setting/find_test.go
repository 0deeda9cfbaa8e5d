package setting_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/credsmith/credsmith/internal/setting"
)

const (
	tenantA = "7f1c0000-0000-4000-8000-0000000000a1"
	clientA = "1b7e0000-0000-4000-8000-0000000000b2"
	canary  = "Cn4~canary.Reads-Files_0123456789abcdefg"
)

// fill puts the ids and the canary in place of T, C and S between marks.
func fill(text string) string {
	return strings.NewReplacer("<T>", tenantA, "<C>", clientA, "<S>", canary).Replace(text)
}

func tree(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(fill(text)), Mode: 0o600}
	}
	return fsys
}

func at(p setting.Part) string {
	if !p.Set {
		return "-"
	}
	if p.Unresolved != "" {
		return fmt.Sprintf("%s:%d:%d=%s", p.File, p.Line, p.Column, p.Unresolved)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// line is a setting in one line: consumer, environment, authority, and where
// tenant, client and secret are.
func line(f setting.Found) string {
	text := fmt.Sprintf("%s [%s] %s %s %s %s", f.Consumer, f.Environment, f.Authority, at(f.Tenant), at(f.Client), at(f.Secret))
	for _, wrong := range []struct {
		part      setting.Part
		got, want string
	}{{f.Tenant, f.TenantID, tenantA}, {f.Client, f.ClientID, clientA}, {f.Secret, f.Value.Reveal(), canary}} {
		if wrong.part.Set && wrong.part.Unresolved == "" && wrong.got != wrong.want {
			text += fmt.Sprintf(" read %q", wrong.got)
		}
	}
	return text
}

const login = "https://login.microsoftonline.com"

func TestFindKinds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"dotenv", map[string]string{"api/.env.production": "AZURE_TENANT_ID=<T>\nexport AZURE_CLIENT_ID=<C>\r\nAZURE_CLIENT_SECRET=\"<S>\" # x\nAZURE_AUTHORITY_HOST=" + login + "/\n"},
			[]string{"dotenv [prod] " + login + " api/.env.production:1:17 api/.env.production:2:24 api/.env.production:3:21"}},
		{"docker env-file keeps quotes", map[string]string{"env.list": "ARM_TENANT_ID=<T>\nARM_CLIENT_ID=<C>\nARM_CLIENT_SECRET=\"<S>\"\n"},
			[]string{"terraform []  env.list:1:15 env.list:2:15 env.list:3:19 read \"\\\"" + canary + "\\\"\""}},
		{"Auth.js", map[string]string{"web/.env.local": "AUTH_MICROSOFT_ENTRA_ID_ID=<C>\nAUTH_MICROSOFT_ENTRA_ID_SECRET=<S>\nAUTH_MICROSOFT_ENTRA_ID_ISSUER=" + login + "/<T>/v2.0\n"},
			[]string{"nextauth [local] " + login + " web/.env.local:3:32 web/.env.local:1:28 web/.env.local:2:32"}},
		{"NextAuth", map[string]string{".env": "AZURE_AD_CLIENT_ID=<C>\nAZURE_AD_CLIENT_SECRET=<S>\nAZURE_AD_TENANT_ID=<T>\nGITHUB_CLIENT_ID=other\nGITHUB_CLIENT_SECRET=other\n"},
			[]string{"nextauth []  .env:3:20 .env:1:20 .env:2:24"}},
		{"variable of the same file, and an unset one", map[string]string{".env": "S=<S>\nAZURE_TENANT_ID=<T>\nAZURE_CLIENT_ID=${APP}\nAZURE_CLIENT_SECRET=${S}\n"},
			[]string{"dotenv []  .env:2:17 .env:3:17=${APP} .env:4:21"}},
		{"appsettings", map[string]string{"appsettings.Staging.json": "\ufeff{\r\n  // sign-in\r\n  \"AzureAd\": {\"Instance\": \"" + login + "/\",\r\n    \"TenantId\": \"<T>\", \"ClientId\": \"<C>\",\r\n    \"ClientCredentials\": [{\"SourceType\": \"ClientSecret\", \"ClientSecret\": \"<S>\"},]\r\n  }\r\n}"},
			[]string{"dotnet [staging] " + login + " appsettings.Staging.json:4:17 appsettings.Staging.json:4:69 appsettings.Staging.json:5:74"}},
		{"appsettings and user secrets", map[string]string{"appsettings.json": `{"AzureAd":{"TenantId":"<T>","ClientId":"<C>"}}`, "secrets.json": `{"AzureAd:ClientSecret": "<S>"}`},
			[]string{"dotnet []  appsettings.json:1:24 appsettings.json:1:74 secrets.json:1:26"}},
		{"functions", map[string]string{"local.settings.json": "{\"Values\": {\n\"AzureAd__TenantId\": \"<T>\",\n\"AzureAd__ClientId\": \"<C>\",\n\"AzureAd__ClientSecret\": \"@Microsoft.KeyVault(SecretUri=https://kv/secrets/a)\"}}"},
			[]string{"functions [local]  local.settings.json:2:22 local.settings.json:3:22 local.settings.json:4:26=@Microsoft.KeyVault(...)"}},
		{"spring yaml with profiles", map[string]string{"application.yml": "spring:\n  cloud:\n    azure:\n      profile:\n        tenant-id: <T>\n      credential:\n        client-id: <C>\n        client-secret: '<S>'\n---\nspring:\n  config.activate.on-profile: prod\n  cloud.azure.profile.tenant-id: <T>\n  cloud.azure.credential:\n    client-id: <C>\n    client-secret: ${SECRET}\n"},
			[]string{"spring []  application.yml:5:20 application.yml:7:20 application.yml:8:24", "spring [prod]  application.yml:12:34 application.yml:14:16 application.yml:15:20=${SECRET}"}},
		{"spring oauth2 client", map[string]string{"application-dev.properties": "spring.security.oauth2.client.registration.azure.client-id=<C>\nspring.security.oauth2.client.registration.azure.client-secret : Cn4~canary.\\\n   Reads-Files_0123456789abcdefg\nspring.security.oauth2.client.provider.azure.issuer-uri=" + strings.ReplaceAll(login, ":", `\:`) + "/<T>/v2.0\n"},
			[]string{"spring [dev] " + login + " application-dev.properties:4:57 application-dev.properties:1:60 application-dev.properties:2:66"}},
		{"compose", map[string]string{"docker-compose.yml": "services:\n  api:\n    environment:\n      - AZURE_TENANT_ID=<T>\n      - AZURE_CLIENT_ID=${CID:-<C>}\n      - AZURE_CLIENT_SECRET=${PASS}\n  job:\n    env_file: [job.conf]\n    environment:\n      AZURE_CLIENT_SECRET: \"$${x}\"\n", "job.conf": "AZURE_TENANT_ID=<T>\nAZURE_CLIENT_ID=<C>\n", ".env": "PASS=<S>\n"},
			[]string{"compose []  docker-compose.yml:4:25 docker-compose.yml:5:25 .env:1:6", "compose []  job.conf:1:17 job.conf:2:17 docker-compose.yml:10:28 read \"${x}\""}},
		{"compose extends", map[string]string{
			"compose.yaml":    "services:\n  api:\n    extends: base\n    environment: {AZURE_CLIENT_SECRET: <S>}\n  base:\n    extends: {service: ids, file: more/common.yml}\n    environment: {AZURE_CLIENT_SECRET: old, AZURE_TENANT_ID: <T>}\n",
			"more/common.yml": "services: {ids: {environment: {AZURE_CLIENT_ID: <C>}}}\n"},
			[]string{"compose []  compose.yaml:7:62 more/common.yml:1:49 compose.yaml:4:40", "compose []  compose.yaml:7:62 more/common.yml:1:49 compose.yaml:7:40 read \"old\""}},
		{"kubernetes", map[string]string{"k8s/prod/app.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: entra}\ndata:\n  client-secret: Q240fmNhbmFyeS5SZWFkcy1GaWxlc18wMTIzNDU2Nzg5YWJjZGVmZw==\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: ids}\ndata:\n  AZURE_CLIENT_ID: <C>\n  AZURE_TENANT_ID: <T>\n",
			"k8s/prod/deploy.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec:\n  template:\n    spec:\n      containers:\n      - name: api\n        envFrom: [{configMapRef: {name: ids}}]\n        env:\n        - name: AZURE_CLIENT_SECRET\n          valueFrom: {secretKeyRef: {name: entra, key: client-secret}}\n"},
			[]string{"kubernetes [prod]  k8s/prod/app.yaml:12:20 k8s/prod/app.yaml:11:20 k8s/prod/app.yaml:5:18"}},
		{"a Secret that is not here", map[string]string{"cron.yaml": "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: n}\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{name: c, env: [{name: AZURE_TENANT_ID, value: <T>}, {name: AZURE_CLIENT_ID, value: <C>}, {name: AZURE_CLIENT_SECRET, valueFrom: {secretKeyRef: {name: s, key: k}}}]}]}}}}}\n"},
			[]string{"kubernetes []  cron.yaml:4:107 cron.yaml:4:177 cron.yaml:4:270=Secret s, key k"}},
		{"anchors and merge keys", map[string]string{"values.yaml": "a: &a {tenantId: wrong, clientId: <C>}\nb: &b {tenantId: <T>, clientId: wrong}\nazure:\n  clientSecret: !!str &s <S>\n  <<: [*b, *a]\n  clientId: <C>\n"},
			[]string{"helm []  values.yaml:1:18 values.yaml:1:35 - read \"wrong\"", "helm []  values.yaml:2:18 values.yaml:2:66 - read \"wrong\"", "helm []  values.yaml:2:18 values.yaml:6:13 values.yaml:4:26"}},
		{"helm values", map[string]string{"chart/values-prod.yaml": "auth:\n  azure:\n    tenantId: \"<T>\"\n    clientId: <C>\n    clientSecret: <S>\n"},
			[]string{"helm [prod]  chart/values-prod.yaml:3:15 chart/values-prod.yaml:4:15 chart/values-prod.yaml:5:19"}},
		{"terraform", map[string]string{"infra/main.tf": "provider \"azurerm\" {\n  features {}\n  tenant_id     = \"<T>\"\n  client_id     = \"<C>\"\n  client_secret = var.client_secret # later\n}\n", "vars/staging.tfvars": "tenant_id = \"<T>\"\nclient_id = \"<C>\"\nclient_secret = \"<S>\"\n"},
			[]string{"terraform []  infra/main.tf:3:19 infra/main.tf:4:19 infra/main.tf:5:19=var.client_secret", "terraform [staging]  vars/staging.tfvars:1:13 vars/staging.tfvars:2:13 vars/staging.tfvars:3:17"}},
		{"terraform variables", map[string]string{
			"a/main.tf":          "variable \"client_id\" {\n  default = \"<C>\"\n}\nvariable \"secret\" {\n  default = \"old\"\n}\nprovider \"azurerm\" {\n  tenant_id = var.tenant_id\n  client_id = var.client_id\n  client_secret = var.secret\n}\n",
			"a/terraform.tfvars": "tenant_id = \"<T>\"\n", "a/x.auto.tfvars": "secret = \"<S>\"\n",
			"b/main.tf":          "provider \"azurerm\" {\n  tenant_id = var.tenant_id\n  client_id = var.client_id\n  client_secret = var.client_secret\n}\n",
			"b/terraform.tfvars": "tenant_id = \"<T>\"\nclient_id = \"<C>\"\nclient_secret = \"<S>\"\n",
			"b/prod.tfvars":      "tenant_id = \"<T>\"\nclient_id = \"<C>\"\nclient_secret = \"<S>\"\n"},
			[]string{"terraform []  a/terraform.tfvars:1:13 a/main.tf:2:13 a/x.auto.tfvars:1:10", "terraform [prod]  b/prod.tfvars:1:13 b/prod.tfvars:2:13 b/prod.tfvars:3:17", "terraform []  b/terraform.tfvars:1:13 b/terraform.tfvars:2:13 b/terraform.tfvars:3:17"}},
		{"workflow", map[string]string{".github/workflows/ci.yml": "on: push\njobs:\n  a:\n    steps:\n    - uses: azure/login@v2\n      with:\n        client-id: ${{ secrets.AZ_ID }}\n        tenant-id: <T>\n  b:\n    steps:\n    - uses: azure/login@v1\n      with:\n        creds: '{\"clientId\":\"<C>\",\"clientSecret\":\"<S>\",\"tenantId\":\"<T>\"}'\n"},
			[]string{"azure-login []  .github/workflows/ci.yml:8:20 .github/workflows/ci.yml:7:20=secrets.AZ_ID -", "azure-login []  .github/workflows/ci.yml:13:16 .github/workflows/ci.yml:13:16 .github/workflows/ci.yml:13:16"}},
		{"grafana", map[string]string{"grafana.ini": "[auth.azuread]\nclient_id = <C>\nclient_secret = \"<S>\"\nauth_url = " + login + "/<T>/oauth2/v2.0/authorize\n[auth.github]\nclient_id = x\nclient_secret = y\n"},
			[]string{"grafana [] " + login + " grafana.ini:4:12 grafana.ini:2:13 grafana.ini:3:17"}},
		{"web.config", map[string]string{"Web.config": "<?xml version=\"1.0\"?>\n<configuration><appSettings>\n  <add key=\"ida:ClientId\" value=\"<C>\" />\n  <add value='<S>' key='ida:ClientSecret' />\n  <add key=\"ida:Tenant\" value=\"<T>\" />\n</appSettings></configuration>\n"},
			[]string{"dotnet-framework []  Web.config:5:31 Web.config:3:33 Web.config:4:14"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			result, err := setting.Find(context.Background(), tree(tt.files), ".")
			if err != nil || len(result.Errors) > 0 {
				t.Fatalf("Find: %v %v", err, result.Errors)
			}
			var got []string
			for _, f := range result.Settings {
				got = append(got, line(f))
				if text := fmt.Sprintf("%+v", f); strings.Contains(text, canary) {
					t.Errorf("a setting prints its value: %s", text)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}
