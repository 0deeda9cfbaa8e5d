package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/credsmith/credsmith/internal/cli"
)

func TestReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	for name, want := range cli.Reference() {
		got, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		if err != nil || string(got) != want {
			t.Errorf("docs/%s is not what the program says (%v): run make generate", name, err)
		}
	}
}
