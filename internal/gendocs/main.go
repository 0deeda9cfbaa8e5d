// Gendocs writes the generated pages of docs/ into the directory it is given.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/credsmith/credsmith/internal/cli"
)

func main() {
	if err := write(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(1)
	}
}

func write(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("give the directory to write to, not %q", args)
	}
	for name, text := range cli.Reference() {
		if err := os.WriteFile(filepath.Join(args[0], name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
