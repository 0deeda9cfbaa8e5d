package bytesview

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// drawn returns texts of a few signs each, in no order but that of the seed.
// No command that exists can be spelled with them.
func drawn(signs string, n int) []string {
	draw := rand.New(rand.NewPCG(20, 26))
	all := make([]string, n)
	for i := range all {
		var b strings.Builder
		if draw.IntN(3) == 0 { // quotes around all of it are too rare otherwise
			quote := `'"`[draw.IntN(2)]
			b.WriteByte(quote)
			for range draw.IntN(7) {
				b.WriteByte(signs[draw.IntN(len(signs))])
			}
			b.WriteByte(quote)
		} else {
			for range 1 + draw.IntN(8) {
				b.WriteByte(signs[draw.IntN(len(signs))])
			}
		}
		all[i] = b.String()
	}
	return all
}

// answer is what a real reader made of a text; nil if it refused it.
type answer *string

// agree compares a reader of the table with the real one, text by text.
func agree(t *testing.T, name string, texts []string, real []answer) {
	t.Helper()
	at := slices.IndexFunc(readers, func(r reader) bool { return r.name == name })
	if at < 0 || len(real) != len(texts) {
		t.Fatalf("no reader %s, or %d answers to %d texts", name, len(real), len(texts))
	}
	wrong, read := 0, 0
	for i, raw := range texts {
		got := readers[at].read(raw)
		if real[i] != nil {
			read++
		}
		if (got.refused != "") != (real[i] == nil) || real[i] != nil && got.text != *real[i] {
			wrong++
			want := refused
			if real[i] != nil {
				want = *real[i]
			}
			if wrong <= 10 {
				t.Errorf("%s: %q gives %q (%s), the program %q", name, raw, got.text, got.refused, want)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%s: %d of %d differ", name, wrong, len(texts))
	}
	if read < len(texts)/10 {
		t.Errorf("%s: the program read only %d of %d texts", name, read, len(texts))
	}
}

// ask runs a program that takes a JSON array of texts and answers with one of
// texts or null.
func ask(t *testing.T, texts []string, program string, args ...string) []answer {
	t.Helper()
	input, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, stderr.String())
	}
	var all []answer
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	return all
}

// has skips the test where a program, or a part of it, is not installed.
func has(t *testing.T, program string, args ...string) string {
	t.Helper()
	found, err := exec.LookPath(program)
	if err == nil && len(args) > 0 {
		err = exec.CommandContext(t.Context(), found, args...).Run()
	}
	if err != nil {
		t.Skipf("%s is not installed", strings.Join(append([]string{program}, args...), " "))
	}
	return found
}

// TestRealShell sources lines in sh and bash. Only what the table reads is
// run: what it refuses may be a command.
func TestRealShell(t *testing.T) {
	t.Parallel()
	texts := slices.DeleteFunc(append(drawn("ab'\"\\ #$A{}~=:-", 500), "${A}", "${A:-a b}", `"${A:-b}"`, "a${A-b}c", "'${A:-b}'", `\${A:-b}`), func(raw string) bool {
		return shell(raw).refused != ""
	})
	for _, program := range []string{"sh", "bash"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			path := has(t, program)
			real := make([]answer, len(texts))
			for i, raw := range texts {
				file := filepath.Join(t.TempDir(), "env")
				if err := os.WriteFile(file, []byte("export V="+raw+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				cmd := exec.CommandContext(t.Context(), path, "-c", `. "$0" && printf %s "$V"`, file)
				cmd.Env = []string{"PATH=/nonexistent"}
				if out, err := cmd.Output(); err == nil {
					real[i] = new(string(out))
				}
			}
			agree(t, "sh export", texts, real)
		})
	}
}

func TestRealNodeDotenv(t *testing.T) {
	t.Parallel()
	modules, err := filepath.Abs("../../entralab/clients/node/node_modules/dotenv")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(modules); err != nil {
		t.Skip("dotenv is not installed: run `npm ci` in entralab/clients/node")
	}
	texts := drawn("ab'\"`\\n #$A{}~=", 3000)
	real := ask(t, texts, has(t, "node"), "-e", `
const dotenv = require(process.argv[1])
const texts = JSON.parse(require('fs').readFileSync(0))
console.log(JSON.stringify(texts.map(t => { const v = dotenv.parse('V=' + t + '\n').V; return v === undefined ? null : v })))`, modules)
	agree(t, "dotenv (Node.js)", texts, real)
}

func TestRealPythonDotenv(t *testing.T) {
	t.Parallel()
	path := has(t, "python3", "-c", "import dotenv")
	texts := append(drawn("ab'\"\\n #$A{}~=:-", 3000), "${A}", "a${A:-b}c", `"${A:-b}"`, "'${A:-b c}'", "${A-b}", "${A:b}")
	real := ask(t, texts, path, "-c", `
import json, sys, io, os, logging, dotenv
logging.disable(logging.CRITICAL)
os.environ.clear()
read = lambda t: dotenv.dotenv_values(stream=io.StringIO('V=' + t + '\n')).get('V')
print(json.dumps([read(t) for t in json.load(sys.stdin)]))`)
	agree(t, "python-dotenv", texts, real)
}

func TestRealYAML(t *testing.T) {
	t.Parallel()
	// What an anchor, a tag or a block says of the text behind it is not the
	// table's matter: it refuses such a value.
	texts := slices.DeleteFunc(drawn("ab'\"\\ #$A{}~=:@%-&*!|>[],", 3000), func(raw string) bool {
		raw = strings.TrimSpace(raw)
		return raw != "" && strings.IndexByte("&!|>", raw[0]) >= 0 || raw == "="
	})
	t.Run("Go", func(t *testing.T) {
		t.Parallel()
		real := make([]answer, len(texts))
		for i, raw := range texts {
			var document map[string]any
			if err := yaml.Unmarshal([]byte("V: "+raw+"\n"), &document); err != nil {
				continue
			}
			if text, ok := document["V"].(string); ok && len(document) == 1 {
				real[i] = &text
			}
		}
		agree(t, "YAML", texts, real)
	})
	t.Run("Python", func(t *testing.T) {
		t.Parallel()
		path := has(t, "python3", "-c", "import yaml")
		texts := slices.DeleteFunc(slices.Clone(texts), comment.MatchString)
		real := ask(t, texts, path, "-c", `
import json, sys, yaml
def read(t):
    try:
        d = yaml.safe_load('V: ' + t + '\n')
    except yaml.YAMLError:
        return None
    return d['V'] if isinstance(d, dict) and list(d) == ['V'] and isinstance(d['V'], str) else None
print(json.dumps([read(t) for t in json.load(sys.stdin)]))`)
		agree(t, "YAML", texts, real)
	})
}

// comment matches a # right behind a closing quote, which Python takes for a
// comment and the others refuse.
var comment = regexp.MustCompile(`^\s*(?:'(?:[^']|'')*'|"(?:[^"\\]|\\.)*")#`)

func TestRealJSON(t *testing.T) {
	t.Parallel()
	path := has(t, "python3")
	texts := drawn(`ab"\u0041n/`, 3000)
	for i := range texts {
		if !strings.HasPrefix(texts[i], `"`) {
			texts[i] = `"` + texts[i] + `"`
		}
	}
	real := ask(t, texts, path, "-c", `
import json, sys
def read(t):
    try:
        return json.loads('{"V": ' + t + '}')['V']
    except ValueError:
        return None
print(json.dumps([read(t) for t in json.load(sys.stdin)]))`)
	agree(t, "JSON", texts, real)
}

// TestRealProperties runs java.util.Properties where a JDK is installed.
func TestRealProperties(t *testing.T) {
	t.Parallel()
	path := has(t, "java", "--version")
	has(t, "javac", "--version")
	texts := drawn("ab'\"\\ \tu0041n#!=:$", 2000)
	file := filepath.Join(t.TempDir(), "P.java")
	// Java has no JSON reader: the texts go over as lines, and come back in hexadecimal digits.
	program := `
import java.io.*; import java.nio.charset.StandardCharsets; import java.util.*;
class P { public static void main(String[] a) throws Exception {
  var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)); var out = new StringBuilder();
  for (String t; (t = in.readLine()) != null; ) { var p = new Properties();
    try { p.load(new StringReader("V=" + t + "\n")); out.append("x").append(HexFormat.of().formatHex(p.getProperty("V").getBytes(StandardCharsets.UTF_8))); }
    catch (IllegalArgumentException e) { out.append("-"); }
    out.append("\n"); }
  System.out.print(out); } }`
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, file)
	cmd.Stdin = strings.NewReader(strings.Join(texts, "\n") + "\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	real := []answer{}
	for line := range strings.Lines(string(out)) {
		digits, ok := strings.CutPrefix(strings.TrimSpace(line), "x")
		if !ok {
			real = append(real, nil)
			continue
		}
		text, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatalf("java answers %q", line)
		}
		real = append(real, new(string(text)))
	}
	agree(t, "Java properties", texts, real)
}
