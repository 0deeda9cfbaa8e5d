package request

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/credsmith/credsmith/internal/canary"
)

var update = flag.Bool("update", false, "write what Lint finds into testdata")

// TestVectors runs every file of testdata. Each holds a request, the faults
// found in it ("cause | place line:column | sentence", none for a correct request), the
// corrected request, and the secrets that must not come out.
func TestVectors(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d vectors, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			captured, err := Parse([]byte(section(archive, "request")))
			var faults, corrected strings.Builder
			switch want := section(archive, "error"); {
			case err != nil && (want != "" || *update):
				compare(t, archive, "error", err.Error()+"\n")
			case err != nil || want != "":
				t.Fatalf("Parse: %v, want %q", err, want)
			}
			for _, c := range captured {
				report := Lint(c)
				if len(captured) > 1 {
					fmt.Fprintf(&faults, "# %s\n", c.Place)
					fmt.Fprintf(&corrected, "# %s\n", c.Place)
				}
				for _, f := range report.Faults {
					fmt.Fprintf(&faults, "%s | %s %d:%d | %s\n", f.Cause, f.At, f.Line, f.Column, f.Says)
				}
				if report.Note != "" {
					fmt.Fprintf(&faults, "note | %s\n", report.Note)
				}
				corrected.WriteString(report.Corrected)
			}
			compare(t, archive, "faults", faults.String())
			compare(t, archive, "corrected", corrected.String())
			for value := range strings.FieldsSeq(section(archive, "secret")) {
				noLeak(t, faults.String()+corrected.String(), value)
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// hasError reports whether a part of a vector cannot be read.
func hasError(archive *txtar.Archive) bool { return section(archive, "error") != "" }

func section(archive *txtar.Archive, name string) string {
	for _, f := range archive.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

// compare checks one section of a vector, or replaces it under -update.
func compare(t *testing.T, archive *txtar.Archive, name, got string) {
	t.Helper()
	if !*update {
		if want := section(archive, name); got != want {
			t.Errorf("%s =\n%s\nwant\n%s", name, got, want)
		}
		return
	}
	for i := range archive.Files {
		if archive.Files[i].Name == name {
			archive.Files[i].Data = []byte(got)
			return
		}
	}
	archive.Files = append(archive.Files, txtar.File{Name: name, Data: []byte(got)})
}

// noLeak fails if text holds value, or a part of it, in any form.
func noLeak(t *testing.T, text, value string) {
	t.Helper()
	if found := canary.Find([]byte(text), value); len(found) > 0 {
		t.Errorf("the secret stands in the output as %v:\n%s", found, text)
	}
}
