package setting_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/internal/setting"
)

// deep is a depth at which a parser that calls itself fills its stack.
const deep = 100_000

// fileKind is one kind of file with a whole text and what is malformed in its
// own way.
type fileKind struct {
	file, good string
	bad        map[string]malformed
}

type malformed struct{ text, want string }

func fileKinds() []fileKind {
	yaml := map[string]malformed{
		"cut":         {"azure:\n  client-id: <C>\n  client-secret: \"<S>", "3:18: malformed YAML"},
		"deep":        {"client-id: " + strings.Repeat("[", deep), "1:1012: malformed YAML: nested too deeply"},
		"deep dashes": {"client-id:\n" + strings.Repeat("- ", deep), "2:8001: malformed YAML: nested too deeply"},
		"alias":       {"azure: &a\n  client-id: *a\n", "2:14: malformed YAML: an alias stands inside its own anchor"},
	}
	hcl := map[string]malformed{
		"cut":       {"client_id = \"<C>\"\nclient_secret = \"<S>", "2:17: malformed HCL: a string has no end on its line"},
		"block":     {"\n provider \"azurerm\" {\n  client_id = \"<C>\"\n", "2:21: malformed HCL: a block has no end"},
		"brace":     {"client_id = \"<C>\"\n}\n", "2:1: malformed HCL: a } closes nothing"},
		"equals":    {"client_secret \"<S>\"\n", "1:57: malformed HCL: = or { is expected here"},
		"value":     {"client_id = \nclient_secret = \"<S>\"\n", "1:13: malformed HCL: a value is expected here"},
		"two":       {"client_id = \"<C>\" client_secret = \"<S>\"\n", "1:66: malformed HCL: a new line is missing before this ="},
		"bracket":   {"a = [\n \"<S>\"\n", "1:5: malformed HCL: a bracket has no end"},
		"crossed":   {"a = f([\"<S>\")]\n", "1:50: malformed HCL: a closing bracket does not match the one it closes"},
		"heredoc":   {"a = <<EOT\n<S>\n", "1:5: malformed HCL: a heredoc has no end"},
		"escape":    {"a = \"<S>\\q\"\n", "1:46: malformed HCL: a backslash starts an escape that HCL does not know"},
		"comment":   {"a = 1\n/* <S>", "2:1: malformed HCL: a comment has no end"},
		"deep":      {strings.Repeat("a {\n", deep), "201:3: malformed HCL: nested too deeply"},
		"lists":     {"a = " + strings.Repeat("[", deep), "1:205: malformed HCL: nested too deeply"},
		"calls":     {"a = " + strings.Repeat("f(", deep), "1:406: malformed HCL: nested too deeply"},
		"templates": {"a = " + strings.Repeat("\"${", deep), "1:607: malformed HCL: nested too deeply"},
	}
	return []fileKind{
		{".env", "AZURE_TENANT_ID=<T>\nAZURE_CLIENT_ID=<C>\nAZURE_CLIENT_SECRET=<S>\n", map[string]malformed{
			"colon": {"AZURE_CLIENT_ID=<C>\nAZURE_CLIENT_SECRET: <S>\n", "2:1: malformed line: AZURE_CLIENT_SECRET has no = behind it"},
			"blank": {"export AZURE_CLIENT_SECRET <S>\n", "1:8: malformed line: AZURE_CLIENT_SECRET has no = behind it"},
		}},
		{"env.list", "AZURE_TENANT_ID=<T>\nAZURE_CLIENT_ID=<C>\nAZURE_CLIENT_SECRET=<S>\n", map[string]malformed{
			"colon": {"AZURE_CLIENT_SECRET: <S>\n", "1:1: malformed line: AZURE_CLIENT_SECRET has no = behind it"},
		}},
		{"appsettings.json", `{"AzureAd": {"TenantId": "<T>", "ClientId": "<C>", "ClientSecret": "<S>"}}`, map[string]malformed{
			"cut":    {"{\"AzureAd\": {\"ClientId\": \"<C>\",\n\"ClientSecret\": \"<S>", "2:17: malformed JSON: a string has no end"},
			"lists":  {`{"tenantId": ` + strings.Repeat("[", deep), "1:214: malformed JSON: nested too deeply"},
			"maps":   {strings.Repeat(`{"tenantId":`, deep), "1:2413: malformed JSON: nested too deeply"},
			"escape": {`{"clientSecret": "<S>\q"}`, "1:18: malformed JSON: a string holds an escape"},
		}},
		{"terraform.tfvars.json", `{"tenant_id": "<T>", "client_id": "<C>", "client_secret": "<S>"}`, map[string]malformed{
			"cut": {"{\"client_id\": \"<C>\",\n\"client_secret\": ", "2:18: malformed JSON: it ends too early"},
		}},
		{"application.yml", "azure:\n  tenant-id: <T>\n  client-id: <C>\n  client-secret: <S>\n", yaml},
		{"compose.yaml", "services:\n  a:\n    environment: {AZURE_TENANT_ID: <T>, AZURE_CLIENT_ID: <C>, AZURE_CLIENT_SECRET: <S>}\n", map[string]malformed{
			"cut":      {"services:\n  a:\n    environment: {AZURE_CLIENT_ID: <C>, AZURE_CLIENT_SECRET: <S>", "3:135: malformed YAML"},
			"deep":     yaml["deep"],
			"circle":   {"services:\n  a: {extends: b, environment: [AZURE_CLIENT_ID=<C>]}\n  b: {extends: {service: a}}\n", "2:16: extends goes round in a circle"},
			"itself":   {"services:\n  a: {environment: [AZURE_CLIENT_ID=<C>], extends: {service: a, file: compose.yaml}}\n", "2:85: extends goes round in a circle"},
			"env_file": {"services:\n  a: {env_file: gone, environment: [AZURE_CLIENT_ID=<C>]}\n", "2:17: env_file cannot be read"},
		}},
		{"k8s.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {AZURE_TENANT_ID: <T>, AZURE_CLIENT_ID: <C>, AZURE_CLIENT_SECRET: <S>}\n", map[string]malformed{
			"cut":    {"apiVersion: v1\nkind: Secret\nstringData: {AZURE_CLIENT_SECRET: '<S>", "3:35: malformed YAML"},
			"deep":   yaml["deep"],
			"base64": {"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata:\n  client-secret: <S>\n", "5:18: data of a Secret is not base64"},
		}},
		{"values.yaml", "azure: {tenantId: <T>, clientId: <C>, clientSecret: <S>}\n", yaml},
		{"ci.yml", "jobs: {a: {env: {AZURE_TENANT_ID: <T>, AZURE_CLIENT_ID: <C>, AZURE_CLIENT_SECRET: <S>}}}\n", yaml},
		{"application.properties", "azure.tenant-id=<T>\nazure.client-id=<C>\nazure.client-secret=<S>\n", map[string]malformed{
			"escape": {"azure.client-id=<C>\nazure.client-secret=<S>\\u00zz\n", `2:61: malformed properties: a \u without four hexadecimal digits`},
			"cut":    {"azure.client-id=<C>\nazure.client-secret=<S>\\u00", `2:61: malformed properties: a \u without four hexadecimal digits`},
		}},
		{"main.tf", "provider \"azurerm\" {\n  tenant_id = \"<T>\"\n  client_id = \"<C>\"\n  client_secret = \"<S>\"\n}\n", hcl},
		{"terraform.tfvars", "tenant_id = \"<T>\"\nclient_id = \"<C>\"\nclient_secret = \"<S>\"\n", hcl},
		{"web.config", "<a><add key='ida:TenantId' value='<T>'/><add key='ida:ClientId' value='<C>'/><add key='ida:ClientSecret' value='<S>'/></a>", map[string]malformed{
			"cut":   {"<a>\n<add key='ida:ClientSecret' value='<S>", "2:76: malformed XML"},
			"open":  {"<a>\n<add key='ida:ClientSecret' value='<S>'/>\n", "3:1: malformed XML"},
			"deep":  {"<!-- ida:ClientId -->" + strings.Repeat("<a>", deep), "1:622: malformed XML: nested too deeply"},
			"cross": {"<a>\n<add key='ida:ClientId' value='x'></b>", "2:"},
		}},
		{"run.sh", "export AZURE_TENANT_ID=<T>\nexport AZURE_CLIENT_ID=<C>\nexport AZURE_CLIENT_SECRET=\"<S>\"\n", map[string]malformed{
			"cut":    {"export AZURE_CLIENT_ID=<C>\nexport AZURE_CLIENT_SECRET=\"<S>\n", "2:28: malformed script: a quote has no end"},
			"single": {"AZURE_CLIENT_SECRET='<S>\n", "1:21: malformed script: a quote has no end"},
			"C":      {"AZURE_CLIENT_SECRET=$'<S>\n", "1:21: malformed script: a quote has no end"},
			"brace":  {"AZURE_CLIENT_SECRET=${X:-<S>\n", "1:22: malformed script: a bracket has no end"},
			"ticks":  {"AZURE_CLIENT_SECRET=`<S>\n", "1:21: malformed script: a quote has no end"},
			"deep":   {"AZURE_CLIENT_SECRET=" + strings.Repeat("$(", deep), "1:422: malformed script: nested too deeply"},
			"braces": {"AZURE_CLIENT_SECRET=" + strings.Repeat("${x:-", deep), "1:1022: malformed script: nested too deeply"},
		}},
		{"a.service", "[Service]\nEnvironment=AZURE_TENANT_ID=<T> AZURE_CLIENT_ID=<C>\nEnvironment=\"AZURE_CLIENT_SECRET=<S>\"\n", map[string]malformed{
			"quote":  {"[Service]\nEnvironment=AZURE_CLIENT_ID=<C> 'AZURE_CLIENT_SECRET=<S>\n", "2:66: malformed unit: a quote has no end; systemd ignores the line"},
			"escape": {"[Service]\nEnvironment=AZURE_CLIENT_SECRET=<S>\\q\n", "2:73: malformed unit: a backslash starts an escape that systemd does not know; it ignores the line"},
		}},
		{"grafana.ini", "[auth.azuread]\nclient_id = <C>\nclient_secret = <S>\nauth_url = https://login.microsoftonline.com/<T>/v2.0\n", map[string]malformed{
			"section": {"\n [auth.azuread\nclient_id = <C>\nclient_secret = <S>\n", "2:2: malformed line: the section has no ]"},
			"blank":   {"[auth.azuread]\nclient_id <C>\n", "2:1: malformed line: client_id has no = behind it"},
		}},
	}
}

// brokenFS lets one file fail.
type brokenFS struct {
	fs.FS
	name       string
	stat, open error
	read       error
}

func (b brokenFS) Stat(name string) (fs.FileInfo, error) {
	if name == b.name && b.stat != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: b.stat}
	}
	return fs.Stat(b.FS, name)
}

func (b brokenFS) Open(name string) (fs.File, error) {
	if name == b.name && b.open != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: b.open}
	}
	f, err := b.FS.Open(name)
	if name == b.name && b.read != nil && err == nil {
		f = brokenFile{f, b.read}
	}
	return f, err
}

type brokenFile struct {
	fs.File
	err error
}

func (f brokenFile) Read([]byte) (int, error) { return 0, f.err }

// TestMalformedFiles reads each kind of file in every way it can be broken:
// one error that names the file and where it can the place, nothing of a value
// in it, and the good file beside it is read.
func TestMalformedFiles(t *testing.T) {
	t.Parallel()
	utf16 := func(text, head string, high bool) string {
		out := []byte(head)
		for _, c := range []byte(text) {
			if high {
				out = append(out, 0, c)
			} else {
				out = append(out, c, 0)
			}
		}
		return string(out)
	}
	for _, kind := range fileKinds() {
		good := fill(kind.good)
		cases := map[string]malformed{
			"Latin-1":             {good + "\xe9", "is not UTF-8 (perhaps Latin-1 or Windows-1252): save it as UTF-8"},
			"zero byte":           {good + "\x00", "holds a zero byte"},
			"binary":              {"\x7fELF\x02\x01\x00\x00" + good + "\xff\xfe", "1:7: holds a zero byte"},
			"UTF-16, no mark":     {utf16(good, "", false), "1:2: holds a zero byte"},
			"UTF-16 BE, no mark":  {utf16(good, "", true), "1:1: holds a zero byte"},
			"UTF-16, cut":         {utf16(good, "\xff\xfe", false) + "x", "holds half a character of UTF-16"},
			"UTF-16, half a pair": {utf16("x", "\xff\xfe", false) + "\x00\xd8\x00\x00" + utf16(good, "", false), "1:2: holds half a character of UTF-16"},
		}
		for name, c := range kind.bad {
			cases["own: "+name] = c
		}
		for name, c := range cases {
			t.Run(kind.file+" "+name, func(t *testing.T) {
				t.Parallel()
				files := tree(map[string]string{"bad/" + kind.file: c.text})
				checkMalformed(t, files, kind.file, c.want)
			})
		}
		whole := tree(map[string]string{"bad/" + kind.file: kind.good})
		name := "bad/" + kind.file
		for _, b := range []struct {
			fsys brokenFS
			want string
		}{
			{brokenFS{whole, name, fs.ErrPermission, nil, nil}, ": stat: permission denied"},
			{brokenFS{whole, name, nil, fs.ErrPermission, nil}, ": open: permission denied"},
			{brokenFS{whole, name, fs.ErrNotExist, nil, nil}, ": stat: file does not exist"},
			{brokenFS{whole, name, nil, fs.ErrNotExist, nil}, ": open: file does not exist"},
			{brokenFS{whole, name, nil, nil, io.ErrUnexpectedEOF}, ": unexpected EOF"},
		} {
			t.Run(kind.file+b.want, func(t *testing.T) {
				t.Parallel()
				checkMalformed(t, b.fsys, kind.file, b.want)
			})
		}
		t.Run(kind.file+" whole", func(t *testing.T) {
			t.Parallel()
			result, err := setting.Find(t.Context(), whole, ".")
			if err != nil || len(result.Errors) > 0 || len(result.Settings) != 1 || !result.Settings[0].Complete() || result.Settings[0].Value.Reveal() != canary {
				t.Errorf("the text itself is not read: %v %v %d settings", err, result.Errors, len(result.Settings))
			}
		})
	}
}

// overFS adds a good setting to a tree.
type overFS struct {
	fs.FS
	good fs.FS
}

func (o overFS) Open(name string) (fs.File, error) {
	if strings.HasPrefix(name, "good") {
		return o.good.Open(name)
	}
	return o.FS.Open(name)
}

func (o overFS) Stat(name string) (fs.FileInfo, error) {
	if strings.HasPrefix(name, "good") {
		return fs.Stat(o.good, name)
	}
	return fs.Stat(o.FS, name)
}

func checkMalformed(t *testing.T, bad fs.FS, file, want string) {
	t.Helper()
	good := tree(map[string]string{"good/.env": "AZURE_TENANT_ID=<T>\nAZURE_CLIENT_ID=<C>\nAZURE_CLIENT_SECRET=<S>\n"})
	result, err := setting.Find(t.Context(), overFS{bad, good}, "bad", "good")
	if err != nil || len(result.Errors) != 1 {
		t.Fatalf("Find: %v, errors %v, want one", err, result.Errors)
	}
	got := result.Errors[0].Error()
	if !strings.HasPrefix(got, "bad/"+file+":") || !strings.Contains(got, want) || strings.Contains(got, canary) {
		t.Errorf("error %q, want one of bad/%s with %q", got, file, want)
	}
	last := len(result.Settings) - 1
	if last < 0 || result.Settings[last].Origin != "good/.env:3:21" || !result.Settings[last].Complete() {
		t.Errorf("the good file beside it is not read: %+v", result.Settings)
	}
}

// TestSparseFile: a file of 1 GiB costs no memory.
func TestSparseFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, kind := range fileKinds() {
		f, err := os.Create(filepath.Join(dir, kind.file))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(1<<30), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	result, err := setting.Find(context.Background(), os.DirFS(dir), ".")
	if err != nil || len(result.Errors) != len(fileKinds()) || len(result.Settings) > 0 {
		t.Fatalf("%v, %d errors, %d settings", err, len(result.Errors), len(result.Settings))
	}
	for _, e := range result.Errors {
		if e.File == "" || !strings.Contains(e.Error(), "is larger than 10 MiB") {
			t.Error(e)
		}
	}
}

// TestMalformedModule: a default is not taken while a file that may overrule
// it cannot be read.
func TestMalformedModule(t *testing.T) {
	t.Parallel()
	code := "variable \"s\" {\n default = \"<S>\"\n}\nprovider \"azurerm\" {\n tenant_id = \"<T>\"\n client_id = \"<C>\"\n client_secret = var.s\n}\n"
	for text, complete := range map[string]bool{"s = \"<S>\"\n": true, "s = \"<S>\n": false} {
		result, err := setting.Find(t.Context(), tree(map[string]string{"main.tf": code, "terraform.tfvars": text}), ".")
		if err != nil || len(result.Settings) != 1 || result.Settings[0].Complete() != complete || len(result.Errors) != b2i(!complete) {
			t.Errorf("%q: %v, %d settings, errors %v", text, err, len(result.Settings), result.Errors)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestHCL: what of the syntax can hold a value.
func TestHCL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{`client_secret = "<S>" # later`, canary},
		{"client_secret = <<EOT\n<S>\nEOT", canary + "\n"},
		{"client_secret = <<-EOT\n    <S>\n  EOT", canary + "\n"},
		{"client_secret = <<-EOT\n    a\n      b\n\n  EOT\n", "a\n  b\n\n"},
		{"client_secret = <<EOT\n${var.x}\nEOT", "a template"},
		{`client_secret = "a\u007e\U0000007e\t\"\\$${b}%%{c}"`, "a~~\t\"\\${b}%{c}"},
		{`client_secret = "a${"}"}b"`, "a template"},
		{`client_secret = var.secret`, "var.secret"},
		{`client_secret = "a" == "b" ? "c" : "d"`, "an expression"},
		{"client_secret = trimspace(file(\n\"x\"\n)) // later", "an expression"},
		{"client_secret = null\n", "an expression"},
		{"client_secret /* x */ = \"<S>\" /* y\n */\n", canary},
		{"\"client_secret\" = \"<S>\"\r\n", canary},
	} {
		text := "tenant_id = \"<T>\"\nclient_id = \"<C>\"\n" + tt.text + "\n"
		result, err := setting.Find(t.Context(), tree(map[string]string{"a.tfvars": text}), ".")
		if err != nil || len(result.Settings) != 1 || len(result.Errors) > 0 {
			t.Errorf("%s: %v %v, %d settings", tt.text, err, result.Errors, len(result.Settings))
			continue
		}
		f := result.Settings[0]
		got := f.Secret.Unresolved
		if got == "" {
			got = f.Value.Reveal()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.text, got, tt.want)
		}
	}
	nested := "module \"a\" {\n  providers = { x = y.z }\n  list = [for s in var.l : upper(s)]\n  app = {\n    \"tenant_id\" : \"<T>\",\n    client_id = \"<C>\", client_secret = \"<S>\" }\n}\nresource \"a\" \"b\" { count = 1 }\n"
	result, err := setting.Find(t.Context(), tree(map[string]string{"a.tf": nested}), ".")
	if err != nil || len(result.Errors) > 0 || len(result.Settings) != 1 || line(result.Settings[0]) != "terraform []  a.tf:5:19 a.tf:6:17 a.tf:6:73" {
		t.Errorf("%v %v %+v", err, result.Errors, result.Settings)
	}
}

func FuzzHCL(f *testing.F) {
	fuzzFile(f, "a.tf", "provider \"azuread\" {\n client_id = \"a${b}\"\n}", "a = <<-E\n x\n E\n", "a = [{b = c(\"d\"), \"e\" : 1}, for x in y : z]", "a b \"c\" { d = \"\\u0041\" }")
}
