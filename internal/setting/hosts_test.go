package setting_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/credsmith/credsmith/internal/setting"
)

// readCase is files and the settings in them, one line each.
type readCase struct {
	name  string
	files map[string]string
	want  string
	notes string // one note, "" for any
}

func checkRead(t *testing.T, tests []readCase) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			result, err := setting.Find(t.Context(), tree(tt.files), ".")
			if err != nil || len(result.Errors) > 0 {
				t.Fatalf("%v %v", err, result.Errors)
			}
			var got, notes []string
			for _, f := range result.Settings {
				got, notes = append(got, line(f)), append(notes, f.Notes...)
			}
			if strings.Join(got, "\n") != tt.want {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), tt.want)
			}
			if all := strings.Join(notes, "\n"); !strings.Contains(all, tt.notes) || strings.Contains(all, canary) {
				t.Errorf("notes %q, want %q", all, tt.notes)
			}
		})
	}
}

func TestShellScripts(t *testing.T) {
	t.Parallel()
	ids := "export AZURE_TENANT_ID=<T> AZURE_CLIENT_ID='<C>'\n"
	script := func(text string) map[string]string { return map[string]string{"run.sh": ids + text} }
	read := "shell []  run.sh:1:24 run.sh:1:77 run.sh:2:"
	checkRead(t, []readCase{
		{"double quotes", script(`export AZURE_CLIENT_SECRET="<S>"`), read + "28", ""},
		{"single quotes", script(`AZURE_CLIENT_SECRET='<S>'; export AZURE_CLIENT_SECRET`), read + "21", ""},
		{"for one command", script("AZURE_CLIENT_SECRET=<S> ./run # \"\n"), read + "21", ""},
		{"in parts", script(`AZURE_CLIENT_SECRET=Cn4~canary."Reads-"'Files_0'123\4\
56789abcdefg # it's`), read + "21", ""},
		{"escaped quotes", script(`AZURE_CLIENT_SECRET="a\"b\\c\d\$e"`), read + `21 read "a\"b\\c\\d$e"`, ""},
		{"C escapes", script(`AZURE_CLIENT_SECRET=$'a\tb\'c'`), read + `21 read "a\tb'c"`, ""},
		{"a trailing line end in quotes", script("AZURE_CLIENT_SECRET=\"<S>\n\"\n"), read + "21 read \"" + canary + "\\n\"", ""},
		{"CRLF is part of the value", script("AZURE_CLIENT_SECRET=<S>\r\n"), read + "21 read \"" + canary + "\\r\"", ""},
		{"variable", script("AZURE_CLIENT_SECRET=\"${S}\"\n"), read + "21=${S}", ""},
		{"known variable", script("AZURE_CLIENT_SECRET=${S:-x}\nS=<S>\nexport AZURE_CLIENT_SECRET=$S\n"), "shell []  run.sh:1:24 run.sh:1:77 run.sh:4:28", ""},
		{"default", script("AZURE_CLIENT_SECRET=${S:-<S>}\n"), read + "21", ""},
		{"command", script("AZURE_CLIENT_SECRET=\"$(az keyvault secret show --name '<S>)' | tr -d '\"')\"\n"), read + "21=a variable or command in $( )", ""},
		{"backticks", script("AZURE_CLIENT_SECRET=`cat <S>`\n"), read + "21=a variable or command in $( )", ""},
		{"parameter", script("AZURE_CLIENT_SECRET=$1\n"), read + "21=a parameter of the script", ""},
		{"appended", script("AZURE_CLIENT_SECRET=Cn4~canary.\nAZURE_CLIENT_SECRET+=Reads-Files_0123456789abcdefg\n"), "shell []  run.sh:1:24 run.sh:1:77 run.sh:3:22", ""},
		{"not an assignment", script("echo AZURE_CLIENT_SECRET=x\n\"AZURE_CLIENT_SECRET=x\"\nif true; then AZURE_CLIENT_SECRET=<S>; fi\n"), "shell []  run.sh:1:24 run.sh:1:77 run.sh:4:35", ""},
		{"heredoc", script("cat > x <<-'EOF'\nAZURE_CLIENT_SECRET=it's\n\tEOF\nAZURE_CLIENT_SECRET=<S>\n"), "shell []  run.sh:1:24 run.sh:1:77 run.sh:5:21", ""},
		{"heredoc in a command", script("x=$(cat <<EOF\nit's\nEOF\n)\nAZURE_CLIENT_SECRET=<S>\n"), "shell []  run.sh:1:24 run.sh:1:77 run.sh:6:21", ""},
		{"operators in braces", script("y=${x//\\'/} z=\"${x%%'*}\"\nAZURE_CLIENT_SECRET=<S>\n"), "shell []  run.sh:1:24 run.sh:1:77 run.sh:3:21", ""},
		{"another script's faults are not ours", map[string]string{"run.sh": "# azure client id\necho \"\n"}, "", ""},
		{"direnv", map[string]string{".envrc": ids + "export AZURE_CLIENT_SECRET=<S>\n"}, "shell []  .envrc:1:24 .envrc:1:77 .envrc:2:28", ""},
	})
}

func TestUnits(t *testing.T) {
	t.Parallel()
	unit := func(lines string) string {
		return "[Unit]\nDescription=azure\nEnvironment=AZURE_CLIENT_ID=no\n[Service]\n" + lines + "\n"
	}
	ids := "Environment=AZURE_TENANT_ID=<T> \"AZURE_CLIENT_ID=<C>\"\n"
	checkRead(t, []readCase{
		{"words", map[string]string{"a.service": unit(ids + "Environment='AZURE_CLIENT_SECRET=<S>' OTHER=x")},
			"systemd []  a.service:5:29 a.service:5:83 a.service:6:34", ""},
		{"continued, with comments between", map[string]string{"a.service": unit("Environment=AZURE_TENANT_ID=<T> \\\n# no\n  AZURE_CLIENT_ID=<C> \\\n  AZURE_CLIENT_SECRET=<S>")},
			"systemd []  a.service:5:29 a.service:7:19 a.service:8:23", ""},
		{"escapes and percent signs", map[string]string{"a.service": unit(ids + `Environment="AZURE_CLIENT_SECRET=a\"b\x7e\s%%%7E$x"`)},
			`systemd []  a.service:5:29 a.service:5:83 a.service:6:34 read "a\"b~ %%7E$x"`, ""},
		{"a specifier", map[string]string{"a.service": unit(ids + "Environment=AZURE_CLIENT_SECRET=%i")},
			"systemd []  a.service:5:29 a.service:5:83 a.service:6:33=a specifier of systemd such as %i", ""},
		{"reset", map[string]string{"a.service": unit("Environment=AZURE_CLIENT_SECRET=old\nEnvironment=\n" + ids + "Environment=AZURE_CLIENT_SECRET=<S>")},
			"systemd []  a.service:7:29 a.service:7:83 a.service:8:33", ""},
		{"drop-in", map[string]string{"a.service": unit(ids + "Environment=AZURE_CLIENT_SECRET=old"), "a.service.d/20.conf": "[Service]\nEnvironment=AZURE_CLIENT_SECRET=<S>\n", "a.service.d/10.conf": "[Service]\nEnvironment=AZURE_CLIENT_SECRET=older\n"},
			"systemd []  a.service:5:29 a.service:5:83 a.service.d/20.conf:2:33", ""},
		{"file beside", map[string]string{"a.service": unit(ids + "Environment=AZURE_CLIENT_SECRET=old\nEnvironmentFile=-/etc/billing/billing.env"), "billing.env": "AZURE_CLIENT_SECRET=<S>\n"},
			"systemd []  a.service:5:29 a.service:5:83 billing.env:1:21", ""},
		{"file in an image", map[string]string{"img/etc/systemd/system/a.service": unit(ids + "EnvironmentFile=/etc/default/*"), "img/etc/default/a": "# c\nAZURE_CLIENT_SECRET='<S>'\n"},
			"systemd []  img/etc/systemd/system/a.service:5:29 img/etc/systemd/system/a.service:5:83 img/etc/default/a:2:21", ""},
		{"file that is not there", map[string]string{"a.service": unit(ids + "EnvironmentFile=/etc/default/a")},
			"systemd []  a.service:5:29 a.service:5:83 -", "EnvironmentFile /etc/default/a is not in the tree"},
		{"unset", map[string]string{"a.service": unit(ids + "Environment=AZURE_CLIENT_SECRET=<S>\nUnsetEnvironment=AZURE_CLIENT_SECRET")},
			"systemd []  a.service:5:29 a.service:5:83 -", ""},
	})
	// What the file's own rules make of a value.
	for raw, want := range map[string]string{
		`<S>`: canary, `"<S>"`: canary, `'<S>'`: canary, `  <S>  `: canary, `a#b ;c # d`: "a#b ;c # d", `a"b"`: `a"b"`, `"a"'b'c`: "abc", `"a" b`: "ab",
		`a\ b\\c`: `a b\c`, `"a\"b\c\$d"`: `a"b\c$d`, `'a\b'`: `a\b`, "a\\\nb": "ab", "\"a\nb\"": "a\nb", `"a\`: `a`, `$X ${Y}`: "$X ${Y}", "a \\ ": "a  ", "": "",
	} {
		files := tree(map[string]string{"a.service": unit(ids + "EnvironmentFile=/x.env"), "x.env": "AZURE_CLIENT_SECRET=" + raw})
		result, err := setting.Find(t.Context(), files, ".")
		if err != nil || len(result.Errors) > 0 || len(result.Settings) != 1 || result.Settings[0].Value.Reveal() != want {
			t.Errorf("%q: %v %v, want %q, got %q", raw, err, result.Errors, want, result.Settings[0].Value.Reveal())
		}
	}
}

func TestSpringImports(t *testing.T) {
	t.Parallel()
	ids := "azure:\n  tenant-id: <T>\n  client-id: <C>\n"
	imports := func(what string) string { return ids + "spring.config.import: " + what + "\n" }
	checkRead(t, []readCase{
		{"properties beside", map[string]string{"application.yml": imports("optional:file:./more.properties"), "more.properties": "azure.client-secret=<S>\n"},
			"spring []  application.yml:2:14 application.yml:3:14 more.properties:1:21", ""},
		{"the root of the program", map[string]string{"src/main/resources/application.yml": imports("file:config/more.yml"), "config/more.yml": "azure: {client-secret: <S>}\n"},
			"spring []  src/main/resources/application.yml:2:14 src/main/resources/application.yml:3:14 config/more.yml:1:24", ""},
		{"it counts over the document", map[string]string{"application.yml": imports("more.yml") + "azure.client-secret: old\n", "more.yml": "azure: {client-secret: <S>}\n"},
			"spring []  application.yml:2:14 application.yml:3:14 more.yml:1:24", ""},
		{"the last counts", map[string]string{"application.yml": imports("[b.yml, a.yml]"), "a.yml": "azure: {client-secret: <S>}\n", "b.yml": "azure: {client-secret: old}\n"},
			"spring []  application.yml:2:14 application.yml:3:14 a.yml:1:24", ""},
		{".env with a hint at its kind", map[string]string{"application.yml": imports("\"optional:file:.env[.properties]\""), ".env": "azure.client-secret=<S>\n"},
			"spring []  application.yml:2:14 application.yml:3:14 .env:1:21", ""},
		{"in a circle", map[string]string{"application.yml": imports("a.yml"), "a.yml": "spring.config.import: application.yml\nazure: {client-secret: <S>}\n"},
			"spring []  application.yml:2:14 application.yml:3:14 a.yml:2:24", ""},
		{"configuration tree", map[string]string{"application.properties": "azure.tenant-id=<T>\nazure.client-id=<C>\nspring.config.import=optional:configtree:/run/secrets/\n", "run/secrets/azure/client-secret": "<S>\n", "run/secrets/..data/azure/client-secret": "old"},
			"spring []  application.properties:1:17 application.properties:2:17 run/secrets/azure/client-secret:1:1", ""},
		{"a placeholder for a key of the tree", map[string]string{"application.yml": imports("configtree:run/*/") + "azure.client-secret: ${entra-secret}\n", "run/secrets/entra-secret": "<S>"},
			"spring []  application.yml:2:14 application.yml:3:14 run/secrets/entra-secret:1:1", ""},
		{"a line end too many stays", map[string]string{"application.yml": imports("configtree:run/"), "run/azure.client-secret": "<S>\n\n"},
			"spring []  application.yml:2:14 application.yml:3:14 run/azure.client-secret:1:1 read \"" + canary + "\\n\\n\"", ""},
		{"not in the tree", map[string]string{"application.yml": imports("file:/etc/billing/more.yml")},
			"spring []  application.yml:2:14 application.yml:3:14 -", "/etc/billing/more.yml, which it imports, is not in the tree"},
		{"of a vault", map[string]string{"application.yml": imports("'optional:vault://, azure-keyvault:x'")},
			"spring []  application.yml:2:14 application.yml:3:14 -", ""},
		{"profile over base", map[string]string{"application.yml": ids, "application-prod.yml": "azure.client-secret: <S>\n"},
			"spring [prod]  application.yml:2:14 application.yml:3:14 application-prod.yml:1:22", "application-prod.yml is laid over the file that holds the rest"},
		{"two piles of other names", map[string]string{"a.properties": "azure.client-id=<C>\nazure.tenant-id=<T>\nazure.client-secret=<S>\n", "b.properties": "azure.client-id=<C>\nazure.tenant-id=<T>\nazure.client-secret=other\n"},
			"spring []  a.properties:2:17 a.properties:1:17 a.properties:3:21\nspring []  b.properties:2:17 b.properties:1:17 b.properties:3:21 read \"other\"", ""},
	})
	result, err := setting.Find(t.Context(), tree(map[string]string{"application.yml": imports("file:gone.yml")}), ".")
	if err != nil || len(result.Errors) != 1 || result.Errors[0].Error() != "application.yml:4:23: spring.config.import cannot be read: it does not exist in the tree" {
		t.Errorf("%v %v", err, result.Errors)
	}
}

func TestHelmOverlays(t *testing.T) {
	t.Parallel()
	base := "azure:\n  tenantId: <T>\n  clientId: <C>\n"
	checkRead(t, []readCase{
		{"beside", map[string]string{"c/values.yaml": base, "c/values-prod.yaml": "azure: {clientSecret: <S>}\n", "c/values.stg.yaml": "azure: {clientSecret: other}\n"},
			"helm [prod]  c/values.yaml:2:13 c/values.yaml:3:13 c/values-prod.yaml:1:23\nhelm [staging]  c/values.yaml:2:13 c/values.yaml:3:13 c/values.stg.yaml:1:23 read \"other\"", "values-prod.yaml is laid over the file that holds the rest"},
		{"a base that is whole stays", map[string]string{"values.yaml": base + "  clientSecret: other\n", "values-prod.yaml": "azure: {clientSecret: <S>}\n"},
			"helm [prod]  values.yaml:2:13 values.yaml:3:13 values-prod.yaml:1:23\nhelm []  values.yaml:2:13 values.yaml:3:13 values.yaml:4:17 read \"other\"", ""},
		{"directories of environments", map[string]string{"c/values.yaml": base, "c/env/prod/values.yaml": "azure: {clientSecret: <S>}\n"},
			"helm [prod]  c/values.yaml:2:13 c/values.yaml:3:13 c/env/prod/values.yaml:1:23", ""},
		{"a chart inside a chart has its own", map[string]string{"values.yaml": base, "charts/sub/values.yaml": "azure: {clientSecret: <S>}\n"},
			"helm []  - - charts/sub/values.yaml:1:23\nhelm []  values.yaml:2:13 values.yaml:3:13 -", ""},
		{"an overlay of other things", map[string]string{"values.yaml": base + "  clientSecret: <S>\n", "values-prod.yaml": "replicas: 3 # azure\n"},
			"helm []  values.yaml:2:13 values.yaml:3:13 values.yaml:4:17", ""},
	})
}

func FuzzShell(f *testing.F) {
	fuzzFile(f, "a.sh", "AZURE_CLIENT_ID=\"${a:-b}\"$'c\\t'`d`\n", "cat <<E\nAZURE_CLIENT_ID=\nE\nx=$(a \"$(b)\")", "case $AZURE_CLIENT_ID in a) b;; esac")
}

func FuzzUnit(f *testing.F) {
	for _, seed := range []string{"[Service]\nEnvironment=\"AZURE_CLIENT_ID=\\x41%i\" \\\n b", "AZURE_CLIENT_ID='a'\"b\\\"\"c\\\nd"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fsys := fstest.MapFS{"a.service": {Data: data}, "b.service": {Data: []byte("[Service]\nEnvironment=AZURE_CLIENT_ID=x\nEnvironmentFile=/x\n")}, "x": {Data: data}}
		if _, err := setting.Find(t.Context(), fsys, "."); err != nil {
			t.Fatal(err)
		}
	})
}
