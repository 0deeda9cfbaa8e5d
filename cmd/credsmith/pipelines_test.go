package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/credsmith/credsmith/entralab"
)

var recipePattern = regexp.MustCompile("(?s)```(yaml|powershell)\n(.*?)```")

// TestPipelines runs the recipes of docs/pipelines.md against the lab: the
// shell commands of each YAML recipe, in order, and every credsmith command of
// the PowerShell ones.
func TestPipelines(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the recipes are for a POSIX shell")
	}
	sections := strings.Split(read(t, filepath.Join("..", "..", "docs", "pipelines.md")), "\n## ")[1:]
	if len(sections) != 4 {
		t.Fatalf("%d sections, want 4", len(sections))
	}
	for _, section := range sections {
		name, text, _ := strings.Cut(section, "\n")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var commands []string
			for _, recipe := range recipePattern.FindAllStringSubmatch(text, -1) {
				if recipe[1] == "powershell" {
					commands = append(commands, powershell(recipe[2])...)
					continue
				}
				var root yaml.Node
				if err := yaml.Unmarshal([]byte(recipe[2]), &root); err != nil {
					t.Fatalf("it is not YAML: %v", err)
				}
				commands = append(commands, shellOf(&root)...)
			}
			runRecipe(t, commands)
		})
	}
}

// TestPipelineExitCodes: a rotation that is not that far yet fails no
// pipeline, one that needs a person does.
func TestPipelineExitCodes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the recipes are for a POSIX shell")
	}
	dir := t.TempDir()
	stub := "#!/bin/sh\ncase \"$*\" in 'rotate resume '*) exit $CODE ;; esac\n"
	if err := os.WriteFile(filepath.Join(dir, "credsmith"), []byte(stub), 0o700); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, recipe := range recipePattern.FindAllStringSubmatch(read(t, filepath.Join("..", "..", "docs", "pipelines.md")), -1) {
		var root yaml.Node
		if recipe[1] != "yaml" || yaml.Unmarshal([]byte(recipe[2]), &root) != nil {
			continue
		}
		late := 0 // GitLab takes the code itself
		if strings.Contains(recipe[2], "exit_codes: [3]") {
			late = 3
		}
		for _, command := range shellOf(&root) {
			if !strings.Contains(command, "rotate resume") {
				continue
			}
			tried++
			for code, want := range map[int]int{0: 0, 1: 1, 2: 2, 3: late, 130: 130} {
				cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", command)
				cmd.Dir, cmd.Env = dir, []string{"PATH=" + dir + string(filepath.ListSeparator) + os.Getenv("PATH"), fmt.Sprint("CODE=", code)}
				if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != want {
					t.Errorf("credsmith exits %d, the step %d, want %d (%v)\n%s%s", code, cmd.ProcessState.ExitCode(), want, err, command, out)
				}
			}
		}
	}
	if tried != 3 {
		t.Errorf("%d recipes were tried, want 3", tried)
	}
}

// shellOf returns what the steps of a recipe run, in order.
func shellOf(n *yaml.Node) (commands []string) {
	if n.Kind != yaml.MappingNode {
		for _, child := range n.Content {
			commands = append(commands, shellOf(child)...)
		}
		return commands
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		switch {
		case (key == "run" || key == "bash") && value.Kind == yaml.ScalarNode:
			commands = append(commands, value.Value)
		case key == "script" && value.Kind == yaml.SequenceNode:
			lines := []string{}
			for _, line := range value.Content {
				lines = append(lines, line.Value)
			}
			commands = append(commands, strings.Join(lines, "\n"))
		default:
			commands = append(commands, shellOf(value)...)
		}
	}
	return commands
}

// powershell returns the calls of credsmith in a script, as a shell takes them.
func powershell(script string) (commands []string) {
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		line = strings.TrimPrefix(line, "$newest = ")
		if strings.HasPrefix(line, "credsmith ") {
			line, _, _ = strings.Cut(line, " | ")
			commands = append(commands, line)
		}
	}
	return commands
}

// runRecipe runs commands as a runner does: each in a shell that stops at the
// first error. Afterwards the app has a second secret, and the file holds it.
func runRecipe(t *testing.T, commands []string) {
	t.Helper()
	if len(commands) < 3 {
		t.Fatalf("%d commands: %q", len(commands), commands)
	}
	lab := entralab.New(t)
	dir := t.TempDir()
	env := []string{"PATH=" + scriptPath(t) + string(filepath.ListSeparator) + os.Getenv("PATH"), "HOME=" + dir, "NO_PROXY=*",
		"PIPELINE_WORKSPACE=" + dir, "CREDSMITH_STATE_DIR=" + filepath.Join(dir, "state"), "SSL_CERT_FILE=" + filepath.Join(dir, "ca.pem")}
	values := map[string]string{}
	for _, line := range lab.Env() {
		name, value, _ := strings.Cut(line, "=")
		values[name] = value
	}
	env = append(env, "OP_SECRET="+values["CREDSMITH_OPERATOR_CLIENT_SECRET"])
	old := "AZURE_CLIENT_SECRET=" + values["AZURE_CLIENT_SECRET"] + "\n"
	for name, text := range map[string]string{"ca.pem": string(lab.CAPEM()), "app.env": old, "credsmith.yaml": fmt.Sprintf(`tenants:
  lab:
    tenant_id: %s
    cloud: {authority: %q, graph: %q}
    identity: {client_id: %s, secret: "${env:OP_SECRET}"}
store: sqlite:./credsmith.db
bindings:
  billing-api:
    app: %s
    lifetime: 90d
    sinks:
      - dotenv: {file: %q, key: AZURE_CLIENT_SECRET}
    prove: {times: 1, over: 1s}
`, lab.TenantID(), values["AZURE_AUTHORITY_HOST"], values["CREDSMITH_GRAPH_URL"], values["CREDSMITH_OPERATOR_CLIENT_ID"], values["AZURE_CLIENT_ID"], filepath.Join(dir, "app.env"))} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(".", filepath.Join(dir, "plan")); err != nil { // an artifact of that name
		t.Fatal(err)
	}
	for _, command := range commands {
		cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", command)
		cmd.Dir, cmd.Env = dir, env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s\n%v\n%s", command, err, out)
		}
	}
	minted := 0
	for _, e := range lab.History(0) {
		if e.Write != nil && e.Method != "" && string(e.Write.Kind) == "mint" {
			minted++
		}
	}
	after, err := os.ReadFile(filepath.Join(dir, "app.env"))
	if err != nil || minted != 1 || string(after) == old {
		t.Errorf("%d secrets were minted, app.env was changed: %v, %v", minted, string(after) != old, err)
	}
}

// scriptPath is the directory with this program under the name credsmith.
func scriptPath(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("credsmith")
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(path)
}
