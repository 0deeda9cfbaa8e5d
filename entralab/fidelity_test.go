package entralab_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFidelityHasWitnesses: every row of the tables names tests that exist.
func TestFidelityHasWitnesses(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range []string{"*_test.go", "mail/*_test.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	known := map[string]bool{}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+|Fuzz\w+)\(`).FindAllSubmatch(source, -1) {
			known[string(m[1])] = true
		}
	}
	table, err := os.ReadFile("FIDELITY.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(table)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.Contains(line, "| witness |") {
			continue
		}
		rows++
		if len(cells) != 4 {
			t.Errorf("%d cells instead of 4: %s", len(cells), line)
			continue
		}
		witness := strings.TrimSpace(cells[3])
		for name := range strings.SplitSeq(witness, ",") {
			if name = strings.TrimSpace(name); !known[name] {
				t.Errorf("no test is named %q: %s", name, line)
			}
		}
	}
	if rows == 0 {
		t.Error("the table is empty")
	}
}
