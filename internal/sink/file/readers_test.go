package file

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/credsmith/credsmith/internal/setting"
)

// signs are all characters that a shell or format may take for more than
// themselves, at the start, inside and at the end of a value.
func signs() []string {
	values := []string{value, "-" + value, "a'b c\"d", "two  blanks inside it", "12345678901234567890", "0x12345678", "1e1000000", "2027-01-01", "12:30:45", "~root/x", "a:~root", "~/x"}
	for c := rune(' '); c < 0x7f; c++ {
		for _, form := range []string{"%cQ~bcdefghij", "abcQ~%cdefghi", "abcQ~defghi%c", "ab %cQ~defghi", "ab%c Q~defghi", "%c%[1]cQ~ab", "%c"} {
			values = append(values, fmt.Sprintf(form, c))
		}
	}
	return append(values, "äöü-Q~ß", "\U0001f511Q~abc")
}

// files are the forms a place can have before the value is written.
var files = map[Format][]string{
	Dotenv:     {"AZURE_CLIENT_SECRET=\n", "AZURE_CLIENT_SECRET='x'\n", "AZURE_CLIENT_SECRET=\"x\" # c\n", "export AZURE_CLIENT_SECRET=x # c\n"},
	Properties: {"azure.client-secret=\n", "azure.client-secret x\n", "azure.client-secret : x\n"},
	INI:        {"[azure]\nclient_secret = x\n", "[azure]\nclient_secret=\n"},
	JSON:       {`{"AzureAd":{"ClientSecret":"x","ClientId":"c","TenantId":"t"}}`},
	YAML:       {"azure:\n  client-secret: x # c\n", "azure:\n  client-secret: \"x\"\n", "azure:\n  client-secret: 'x'\n", "azure: {client-secret: x, client-id: c}\n"},
}

var keys = map[Format]string{Dotenv: "AZURE_CLIENT_SECRET", Properties: "azure.client-secret", INI: "azure.client_secret", JSON: "AzureAd.ClientSecret", YAML: "azure.client-secret"}

// written calls test with every file that a value can be written to; how many
// values each format holds is checked, so that it does not refuse them all.
func written(t *testing.T, format Format, test func(t *testing.T, data []byte, value string)) {
	t.Helper()
	held := 0
	for _, v := range signs() {
		for _, before := range files[format] {
			after, err := format.patch([]byte(before), keys[format], v)
			if err == nil {
				held++
				test(t, after, v)
			}
		}
	}
	all := len(signs()) * len(files[format])
	if held < all*80/100 {
		t.Errorf("%d of %d values were written", held, all)
	}
	t.Logf("%d of %d values were written", held, all)
}

func isBMP(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0xffff })
}

// TestOwnReaders reads the files back as doctor does.
func TestOwnReaders(t *testing.T) {
	t.Parallel()
	names := map[Format]string{Dotenv: ".env", Properties: "application.properties", INI: "grafana.ini", JSON: "appsettings.json", YAML: "application.yml"}
	for _, format := range Formats() {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			written(t, format, func(t *testing.T, data []byte, v string) {
				result, err := setting.Find(context.Background(), fstest.MapFS{names[format]: {Data: data}}, ".")
				if err != nil || len(result.Errors) > 0 || len(result.Settings) != 1 {
					t.Fatalf("%q: %v %v, %d settings", data, err, result.Errors, len(result.Settings))
				}
				if format == Properties && !isBMP(v) {
					return // doctor reads escaped surrogate pairs as two characters
				}
				if found := result.Settings[0]; found.Value.Reveal() != v && found.Secret.Unresolved == "" {
					t.Errorf("%q is read as %q, want %q", data, found.Value.Reveal(), v)
				}
			})
		})
	}
}

// TestForeignReaders reads all files back with the readers of other languages:
// each writes every value and a zero byte to its output.
func TestForeignReaders(t *testing.T) {
	t.Parallel()
	const python = `import sys,os
dir=sys.argv[1]
for name in sorted(os.listdir(dir)):
    sys.stdout.write(read(os.path.join(dir,name))); sys.stdout.write('\0')
`
	tests := []struct {
		name   string
		format Format
		probe  []string // tells that the reader is there
		run    []string // and the folder
	}{
		{"bash", Dotenv, []string{"bash", "-c", "exit"}, []string{"bash", "-c", `for f in "$0"/*; do (. "$f"; printf '%s\0' "$AZURE_CLIENT_SECRET"); done`}},
		{"dash", Dotenv, []string{"dash", "-c", "exit"}, []string{"dash", "-c", `for f in "$0"/*; do (. "$f"; printf '%s\0' "$AZURE_CLIENT_SECRET"); done`}},
		{"python-dotenv", Dotenv, []string{"python3", "-c", "import dotenv"}, []string{"python3", "-c", "import dotenv\nread=lambda p: dotenv.dotenv_values(p)['AZURE_CLIENT_SECRET']\n" + python}},
		{"node", Dotenv, []string{"node", "-e", "require('util').parseEnv('A=1')"}, []string{"node", "-e", `const fs=require('fs'),d=process.argv[1];for(const f of fs.readdirSync(d).sort())process.stdout.write(require('util').parseEnv(fs.readFileSync(d+'/'+f,'utf8')).AZURE_CLIENT_SECRET+'\0')`}},
		{"python json", JSON, []string{"python3", "-c", "import json"}, []string{"python3", "-c", "import json\nread=lambda p: json.load(open(p,encoding='utf-8'))['AzureAd']['ClientSecret']\n" + python}},
		{"pyyaml", YAML, []string{"python3", "-c", "import yaml"}, []string{"python3", "-c", "import yaml\nread=lambda p: yaml.safe_load(open(p,encoding='utf-8'))['azure']['client-secret']\n" + python}},
		{"configparser", INI, []string{"python3", "-c", "import configparser"}, []string{"python3", "-c", "import configparser\ndef read(p):\n    c=configparser.ConfigParser(); c.read(p,encoding='utf-8'); return c['azure']['client_secret']\n" + python}},
		{"java", Properties, []string{"java", "-version"}, []string{"java", "testdata/Read.java"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := exec.CommandContext(t.Context(), tt.probe[0], tt.probe[1:]...).Run(); err != nil {
				t.Skipf("no %s here: %v", tt.name, err)
			}
			dir := t.TempDir()
			var want []string
			written(t, tt.format, func(t *testing.T, data []byte, v string) {
				name := filepath.Join(dir, fmt.Sprintf("%05d", len(want)))
				if err := os.WriteFile(name, data, 0o600); err != nil {
					t.Fatal(err)
				}
				want = append(want, v)
			})
			cmd := exec.CommandContext(t.Context(), tt.run[0], append(slices.Clone(tt.run[1:]), dir)...)
			cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "PYTHONIOENCODING=utf-8")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, stderr.String())
			}
			got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
			if len(got) != len(want) {
				t.Fatalf("%d values read, %d written", len(got), len(want))
			}
			for i := range want {
				if got[i] != want[i] {
					data, _ := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%05d", i)))
					t.Errorf("%q is read as %q, want %q", data, got[i], want[i])
				}
			}
		})
	}
}
