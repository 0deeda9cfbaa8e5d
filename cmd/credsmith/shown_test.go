package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestShownCommandsRun holds README and help to their word: each command they
// show stands behind a "#> " in a script, right before the command that runs it.
func TestShownCommandsRun(t *testing.T) {
	t.Parallel()
	run := map[string]bool{}
	scripts, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts {
		for line := range strings.Lines(read(t, script)) {
			if shown, ok := strings.CutPrefix(line, "#> "); ok {
				run[strings.TrimSpace(shown)] = true
			}
		}
	}
	root := filepath.Join("..", "..")
	for _, page := range []string{filepath.Join(root, "README.md"), filepath.Join(root, "docs", "commands.md"), filepath.Join(root, "docs", "configuration.md"), filepath.Join(root, "docs", "operator.md"), filepath.Join(root, "docs", "rotate.md")} {
		commands := shown(read(t, page))
		if len(commands) == 0 {
			t.Errorf("%s shows no command", page)
		}
		for _, command := range commands {
			if !run[command] {
				t.Errorf("%s shows %q, which no script runs", filepath.Base(page), command)
			}
		}
	}
}

var blockPattern = regexp.MustCompile("(?s)```sh\n(.*?)```")

// shown returns the lines of a page's shell blocks that call credsmith.
func shown(page string) []string {
	var commands []string
	for _, block := range blockPattern.FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(block[1]) {
			line, _, _ = strings.Cut(line, "  #") // a remark
			line = strings.TrimSpace(line)
			if strings.Contains(line, "credsmith") && !strings.HasPrefix(line, "#") {
				commands = append(commands, line)
			}
		}
	}
	return commands
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
