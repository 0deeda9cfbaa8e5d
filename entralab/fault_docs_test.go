package entralab

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// faultRow is a fault's line in docs/lab.md.
func faultRow(k *faultKind) string {
	params := make([]string, 0, len(k.params))
	for _, p := range k.params {
		value := p.fallback
		if d, ok := value.(time.Duration); ok {
			value = d.String()
		}
		text := fmt.Sprintf("`%s` %v", p.name, value)
		if value == "" {
			text = fmt.Sprintf("`%s`", p.name)
		}
		if p.choices != nil {
			text = fmt.Sprintf("`%s`: %s", p.name, strings.Join(slices.DeleteFunc(slices.Clone(p.choices), func(s string) bool { return s == rotate }), ", "))
		}
		params = append(params, text)
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", k.id, k.name, strings.Join(k.surfaces, ", "), strings.Join(params, "; "))
}

// TestFaultsAreDocumented: every fault from F1 to F55 has its line, as the
// table in the code has it.
func TestFaultsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/lab.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for i := 1; i <= 55; i++ {
		id := fmt.Sprintf("F%d", i)
		if k := faultNamed(id, ""); k != nil {
			rows = append(rows, faultRow(k))
		} else {
			rows = append(rows, fmt.Sprintf("| %s | not by rule: %s | | |\n", id, elsewhere(id)))
		}
	}
	for _, k := range mailFaults() {
		rows = append(rows, faultRow(k))
	}
	for _, row := range rows {
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/lab.md lacks the line\n%s", row)
		}
	}
}
