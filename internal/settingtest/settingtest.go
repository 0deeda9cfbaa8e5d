// Package settingtest writes settings as the files that consumers read, each
// kind with its own quotes and escapes. It is the other side of the readers in
// internal/setting, for tests.
package settingtest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Parts is what a consumer is to see.
type Parts struct{ Tenant, Client, Secret string }

// Kind is one kind of settings file.
type Kind struct {
	Name string
	// write returns the files below a directory; ok is false when the kind
	// cannot hold one of the parts.
	write func(draw *rand.Rand, p Parts) (files map[string]string, ok bool)
}

// Write returns the text of the files by name, with one of the kind's ways to
// quote. It is false when the kind cannot hold one of the parts.
func (k Kind) Write(draw *rand.Rand, p Parts) (map[string]string, bool) { return k.write(draw, p) }

// Kinds are all kinds.
func Kinds() []Kind {
	return []Kind{
		{".env", lines(".env", "%s=%s\n", dotenv)},
		{"docker --env-file", lines("env.list", "%s=%s\n", oneLine)},
		{"shell script", lines("run.sh", "export %s=%s\n", shell)},
		{"systemd unit", unit},
		{"systemd EnvironmentFile", unitFile},
		{"appsettings.json", nested("appsettings.json", `{"AzureAd": {"TenantId": %s, "ClientId": %s, "ClientSecret": %s}}`, quoteJSON)},
		{"user secrets", nested("secrets.json", `{"AzureAd:TenantId": %s, "AzureAd:ClientId": %s, "AzureAd:ClientSecret": %s}`, quoteJSON)},
		{"local.settings.json", nested("local.settings.json", `{"Values": {"AzureAd__TenantId": %s, "AzureAd__ClientId": %s, "AzureAd__ClientSecret": %s}}`, quoteJSON)},
		{"application.yml", nested("application.yml", "spring:\n  cloud:\n    azure:\n      profile:\n        tenant-id: %s\n      credential:\n        client-id: %s\n        client-secret: %s\n", quoteYAML)},
		{"application.properties", nested("application.properties", "azure.tenant-id=%s\nazure.client-id=%s\nazure.client-secret=%s\n", quoteProperties)},
		{"Spring configtree", configTree},
		{"compose environment", nested("compose.yaml", "services:\n  api:\n    environment:\n      AZURE_TENANT_ID: %s\n      AZURE_CLIENT_ID: %s\n      AZURE_CLIENT_SECRET: %s\n", quoteCompose)},
		{"compose env_file", envFile},
		{"Kubernetes data", manifest("data", func(_ *rand.Rand, v string) (string, bool) { return base64.StdEncoding.EncodeToString([]byte(v)), true })},
		{"Kubernetes stringData", manifest("stringData", quoteYAML)},
		{"Kubernetes env", nested("app.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: api}\nspec:\n  containers:\n  - name: api\n    env:\n    - name: AZURE_TENANT_ID\n      value: %s\n    - name: AZURE_CLIENT_ID\n      value: %s\n    - name: AZURE_CLIENT_SECRET\n      value: %s\n", quoteYAML)},
		{"Helm values", nested("values.yaml", "auth:\n  azure:\n    tenantId: %s\n    clientId: %s\n    clientSecret: %s\n", quoteYAML)},
		{"Helm overlay", overlay},
		{"GitHub workflow", workflow},
		{"Terraform provider", nested("main.tf", "provider \"azurerm\" {\n  features {}\n  tenant_id     = %s\n  client_id     = %s\n  client_secret = %s\n}\n", quoteHCL)},
		{"terraform.tfvars", nested("terraform.tfvars", "tenant_id = %s\nclient_id = %s\nclient_secret = %s\n", quoteHCL)},
		{"terraform.tfvars.json", nested("terraform.tfvars.json", `{"tenant_id": %s, "client_id": %s, "client_secret": %s}`, quoteJSON)},
		{"web.config", nested("web.config", "<configuration><appSettings>\n<add key=\"ida:TenantId\" value=%s/>\n<add key=\"ida:ClientId\" value=%s />\n<add value=%s key=\"ida:ClientSecret\"/>\n</appSettings></configuration>\n", quoteXML)},
		{"Grafana ini", nested("grafana.ini", "[auth.azuread]\ntenant_id = %s\nclient_id = %s\nclient_secret = %s\n", quoteINI)},
		{"oauth2-proxy TOML", nested("oauth2-proxy.toml", "azure_tenant_id = %s # of contoso\nazure_client_id = %s\nazure_client_secret = %s\n", quoteTOML)},
	}
}

// quote writes one part; false when it cannot.
type quote func(draw *rand.Rand, v string) (string, bool)

func nested(file, form string, q quote) func(*rand.Rand, Parts) (map[string]string, bool) {
	return func(draw *rand.Rand, p Parts) (map[string]string, bool) {
		quoted, ok := q.all(draw, p)
		return map[string]string{file: fmt.Sprintf(form, quoted.Tenant, quoted.Client, quoted.Secret)}, ok
	}
}

func (q quote) all(draw *rand.Rand, p Parts) (Parts, bool) {
	tenant, ok1 := q(draw, p.Tenant)
	client, ok2 := q(draw, p.Client)
	secret, ok3 := q(draw, p.Secret)
	return Parts{tenant, client, secret}, ok1 && ok2 && ok3
}

var names = [3]string{"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"}

func lines(file, form string, q quote) func(*rand.Rand, Parts) (map[string]string, bool) {
	return func(draw *rand.Rand, p Parts) (map[string]string, bool) {
		quoted, ok := q.all(draw, p)
		text := ""
		for i, v := range []string{quoted.Tenant, quoted.Client, quoted.Secret} {
			text += fmt.Sprintf(form, names[i], v)
		}
		return map[string]string{file: text}, ok
	}
}

func pick(draw *rand.Rand, from []string) (string, bool) {
	if len(from) == 0 {
		return "", false
	}
	return from[draw.IntN(len(from))], true
}

// dotenv writes what the libraries read alike: a value as it is or in quotes
// that it does not hold.
func dotenv(draw *rand.Rand, v string) (string, bool) {
	if strings.ContainsAny(v, "\r\n") {
		return "", false
	}
	var ways []string
	for _, q := range []string{"'", `"`} {
		if !strings.Contains(v, q) {
			ways = append(ways, q+v+q)
		}
	}
	if strings.Trim(v, " \t") == v && !strings.Contains(v, "#") && strings.IndexAny(v, "'\"`") != 0 {
		ways = append(ways, v)
	}
	return pick(draw, ways)
}

// oneLine writes a value as it is, which docker run --env-file keeps.
func oneLine(_ *rand.Rand, v string) (string, bool) {
	return v, !strings.ContainsAny(v, "\r\n") && strings.TrimLeft(v, " \t") == v
}

func shell(draw *rand.Rand, v string) (string, bool) {
	ways := []string{"'" + strings.ReplaceAll(v, "'", `'\''`) + "'", `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(v) + `"`}
	if v != "" && !strings.ContainsFunc(v, func(r rune) bool {
		return r != '~' && r != '.' && r != '-' && r != '_' && r != '%' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	}) && v[0] != '~' {
		ways = append(ways, v)
	}
	return pick(draw, ways)
}

// unitWord quotes one word of Environment=.
func unitWord(draw *rand.Rand, word string) string {
	q := []string{`"`, "'"}[draw.IntN(2)]
	return q + strings.NewReplacer(`\`, `\\`, q, `\`+q, "\n", `\n`, "\r", `\r`, "\t", `\t`, "%", "%%").Replace(word) + q
}

func unit(draw *rand.Rand, p Parts) (map[string]string, bool) {
	text := "[Unit]\nDescription=api\n\n[Service]\nEnvironment="
	for i, v := range []string{p.Tenant, p.Client, p.Secret} {
		text += unitWord(draw, names[i]+"="+v) + []string{" ", " \\\n  ", "\nEnvironment="}[draw.IntN(3)]
	}
	return map[string]string{"api.service": text + "LANG=C\nExecStart=/bin/api\n"}, true
}

func systemd(draw *rand.Rand, v string) (string, bool) {
	ways := []string{`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(v) + `"`}
	if !strings.Contains(v, "'") {
		ways = append(ways, "'"+v+"'")
	}
	return pick(draw, ways)
}

func unitFile(draw *rand.Rand, p Parts) (map[string]string, bool) {
	files, ok := lines("etc/default/api", "%s=%s\n", systemd)(draw, p)
	files["etc/systemd/system/api.service"] = "[Service]\nEnvironmentFile=-/etc/default/api\n"
	return files, ok
}

func quoteJSON(draw *rand.Rand, v string) (string, bool) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(draw.IntN(2) == 0)
	err := encoder.Encode(v)
	return strings.TrimRight(b.String(), "\n"), err == nil
}

// quoteYAML writes a scalar in one of YAML's styles.
func quoteYAML(draw *rand.Rand, v string) (string, bool) {
	double, ok := quoteJSON(draw, strings.ReplaceAll(v, "\ufeff", "\x01"))
	ways := []string{strings.ReplaceAll(strings.ReplaceAll(double, `\u0001`, `\uFEFF`), "\u00a0", `\_`)}
	if !strings.ContainsAny(v, "\r\n\t\ufeff") {
		ways = append(ways, "'"+strings.ReplaceAll(v, "'", "''")+"'")
	}
	if isPlain(v) {
		ways = append(ways, v)
	}
	way, _ := pick(draw, ways)
	return way, ok
}

// isPlain is true of texts that no reader of YAML takes for anything else.
func isPlain(v string) bool {
	return v != "" && !strings.ContainsFunc(v, func(r rune) bool {
		return r != '~' && r != '.' && r != '-' && r != '_' && r != '%' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	}) && unicode.IsLetter(rune(v[0])) && strings.ContainsAny(v, "~-_.") && !strings.HasSuffix(v, "-")
}

func quoteCompose(draw *rand.Rand, v string) (string, bool) {
	return quoteYAML(draw, strings.ReplaceAll(v, "$", "$$"))
}

func quoteProperties(_ *rand.Rand, v string) (string, bool) {
	var b strings.Builder
	for i, r := range v {
		switch {
		case r == '\\' || r == ' ' && i == 0:
			b.WriteString(`\` + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r > unicode.MaxASCII:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String(), true
}

func configTree(_ *rand.Rand, p Parts) (map[string]string, bool) {
	files := map[string]string{"application.properties": "spring.config.import=optional:configtree:secrets/\n"}
	for key, v := range map[string]string{"tenant-id": p.Tenant, "client-id": p.Client, "client-secret": p.Secret} {
		// One line end is taken off again; in more lines than one none is.
		if !strings.Contains(v, "\n") {
			v += "\n"
		} else if strings.Count(v, "\n") == 1 && strings.HasSuffix(v, "\n") {
			return nil, false
		}
		files["secrets/azure/"+key] = v
	}
	return files, !strings.HasPrefix(p.Secret, "\ufeff") && !strings.HasSuffix(p.Secret, "\r")
}

func envFile(draw *rand.Rand, p Parts) (map[string]string, bool) {
	files, ok := lines("api.env", "%s=%s\n", dotenv)(draw, p)
	files["compose.yaml"] = "services:\n  api:\n    env_file:\n      - api.env\n"
	return files, ok
}

func manifest(field string, q quote) func(*rand.Rand, Parts) (map[string]string, bool) {
	return func(draw *rand.Rand, p Parts) (map[string]string, bool) {
		files, ok := nested("secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: entra}\n"+field+":\n  AZURE_TENANT_ID: %s\n  AZURE_CLIENT_ID: %s\n  key: %s\n", q)(draw, p)
		files["app.yaml"] = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec:\n  template:\n    spec:\n      containers:\n      - name: api\n        envFrom:\n        - secretRef: {name: entra}\n        env:\n        - name: AZURE_CLIENT_SECRET\n          valueFrom: {secretKeyRef: {name: entra, key: key}}\n"
		return files, ok
	}
}

func overlay(draw *rand.Rand, p Parts) (map[string]string, bool) {
	quoted, ok := quote(quoteYAML).all(draw, p)
	return map[string]string{
		"values.yaml":      fmt.Sprintf("azure:\n  tenantId: %s\n  clientId: %s\n", quoted.Tenant, quoted.Client),
		"values-prod.yaml": fmt.Sprintf("azure:\n  clientSecret: %s\n", quoted.Secret),
	}, ok
}

func workflow(draw *rand.Rand, p Parts) (map[string]string, bool) {
	form, ok := nested("", `{"clientSecret": %[3]s, "clientId": %[2]s, "tenantId": %[1]s}`, quoteJSON)(draw, p)
	creds := "'" + strings.ReplaceAll(form[""], "'", "''") + "'"
	return map[string]string{"ci.yml": "on: push\njobs:\n  deploy:\n    steps:\n    - uses: azure/login@v2\n      with:\n        creds: " + creds + "\n"}, ok && !strings.ContainsAny(form[""], "\t\ufeff")
}

func quoteHCL(draw *rand.Rand, v string) (string, bool) {
	if line, one := strings.CutSuffix(v, "\n"); one && line != "" && !strings.ContainsAny(line, "\r\n$%") && draw.IntN(2) == 0 {
		return "<<EOT\n" + v + "EOT", true
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "${", "$${", "%{", "%%{").Replace(v) + `"`, true
}

func quoteXML(_ *rand.Rand, v string) (string, bool) {
	var b bytes.Buffer
	err := xml.EscapeText(&b, []byte(v))
	return `"` + b.String() + `"`, err == nil
}

// quoteINI writes a value that Grafana reads: what ends it elsewhere stands in
// three quotes.
func quoteINI(draw *rand.Rand, v string) (string, bool) {
	var ways []string
	if strings.ContainsAny(v, "\r\n") || strings.HasPrefix(v, `"`) || strings.HasSuffix(v, `"`) || strings.Contains(v, `"""`) {
		return "", false
	}
	if v != "" {
		ways = append(ways, `"""`+v+`"""`)
	}
	if strings.TrimSpace(v) == v && !strings.ContainsAny(v, "#;") && strings.IndexAny(v, "'\"`") != 0 {
		ways = append(ways, v)
	}
	return pick(draw, ways)
}

func quoteTOML(draw *rand.Rand, v string) (string, bool) {
	double, ok := quoteJSON(draw, v)
	ways := []string{double}
	if !strings.ContainsAny(v, "'\r\n") {
		ways = append(ways, "'"+v+"'")
	}
	way, _ := pick(draw, ways)
	return way, ok
}
