// Package layers keeps the arrows between packages pointing inwards.
package layers

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/credsmith/credsmith/"

// pkg is what `go list` tells of a package, tests left out.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// inside says which packages of the project each may import. A package that
// is not listed here fails the test: decide where it belongs.
var inside = map[string][]string{
	"aadsts":                   {},
	"entralab":                 {"internal/secret"},
	"entralab/clients/browser": {}, // tests only
	"entralab/clients/node":    {}, // tests only
	"entralab/mail":            {"entralab"},
	"internal/secret":          {},
	"internal/entra":           {"internal/secret", "aadsts"},
	"internal/diagnose":        {"internal/entra", "internal/secret", "aadsts"},
	"internal/drift":           {"internal/entra"},
	"internal/explain":         {"internal/diagnose", "aadsts"},
	"internal/logscan":         {"internal/consumer", "internal/diagnose", "internal/logscan/export", "internal/logscan/kernel", "internal/secret", "aadsts"},
	"internal/logscan/export":  {},
	"internal/logscan/kernel":  {},
	"internal/logscan/tail":    {"internal/logscan", "internal/logscan/unpack"},
	"internal/logscan/unpack":  {},
	"internal/request":         {"internal/entra", "internal/secret", "aadsts", "internal/text"},
	"internal/setting":         {"internal/entra", "internal/secret", "internal/text"},
	"internal/text":            {},
	"internal/wire":            {"internal/entra"},
	"internal/token":           {"internal/entra", "internal/secret", "aadsts", "internal/wire"},
	"internal/graph":           {"internal/entra", "internal/secret", "aadsts", "internal/wire"},
	"internal/state":           {"internal/entra", "internal/secret"},
	"internal/try":             {"internal/entra", "internal/wire"},
	"internal/canary":          {},
	"internal/labseed":         {"entralab"},
	"internal/labstore":        {"entralab"},
	"internal/layers":          {},
	"internal/demo":            {"*"},
	"internal/cli":             {"*"},
	"internal/gendocs":         {"internal/cli"},
	"cmd/credsmith":            {"internal/cli"},
	"internal/bytesview":       {"internal/secret"},
	"internal/standin":         {"internal/request"},
	"internal/consumer":        {},
	"internal/settingtest":     {},
	"internal/sink":            {"internal/secret"},
	"internal/audit":           {},
	"internal/rotate":          {"aadsts", "internal/audit", "internal/entra", "internal/secret", "internal/sink"},
	"internal/store":           {"internal/audit", "internal/rotate", "internal/secret"},
	"internal/labtest":         {"entralab"}, // for tests only
	"internal/jobs":            {"internal/entra", "internal/rotate", "internal/secret"},
	"internal/pgtest":          {}, // tests only
	"internal/operator":        {"internal/entra", "internal/secret"},
	"internal/config":          {"internal/entra", "internal/secret", "internal/text"},
	"internal/sink/web":        {"internal/entra", "internal/sink", "internal/wire"},
	"internal/sink/keyvault":   {"aadsts", "internal/secret", "internal/sink", "internal/sink/web"},
	"internal/sink/vault":      {"internal/secret", "internal/sink", "internal/sink/web", "internal/wire"},
	"internal/sink/kubernetes": {"internal/secret", "internal/sink", "internal/sink/web", "internal/wire"},
	"internal/sink/file":       {"internal/secret", "internal/sink", "internal/sink/command", "internal/text"},
	"internal/sink/exec":       {"internal/secret", "internal/sink", "internal/sink/command"},
	"internal/sink/github":     {"internal/secret", "internal/sink", "internal/sink/web", "internal/wire"},
	"internal/sink/gitlab":     {"internal/secret", "internal/sink", "internal/sink/web", "internal/wire"},
	"internal/sink/command":    {"internal/canary", "internal/secret"},
	"internal/sink/sinktest":   {"internal/canary", "internal/secret", "internal/sink"}, // tests only
}

// never lists what a package must not reach, directly or through others.
var never = map[string][]string{
	"aadsts":             {"net", "net/http", "os/exec", "database/sql"},
	"internal/secret":    {"net", "net/http", "os/exec", "database/sql"},
	"internal/entra":     {"net", "net/http", "os/exec", "database/sql"},
	"internal/diagnose":  {"net", "net/http", "os/exec", "database/sql"},
	"internal/drift":     {"net", "net/http", "os/exec", "database/sql"},
	"internal/explain":   {"net", "net/http", "os/exec", "database/sql"},
	"internal/request":   {"net/http", "os/exec", "database/sql"},
	"internal/setting":   {"net", "net/http", "os/exec", "database/sql"},
	"internal/logscan":   {"net", "net/http", "os/exec", "database/sql"},
	"internal/consumer":  {"net", "net/http", "os/exec", "database/sql"},
	"internal/bytesview": {"net", "net/http", "os/exec", "database/sql"},
	"internal/sink":      {"net", "net/http", "os/exec", "database/sql"},
	"internal/audit":     {"net", "net/http", "os/exec", "database/sql"},
	"internal/rotate":    {"net", "net/http", "os/exec", "database/sql"},
	"internal/config":    {"net", "net/http", "os/exec", "database/sql"},
}

// noIO lists packages that must not import "os" themselves.
var noIO = []string{"aadsts", "internal/secret", "internal/entra", "internal/diagnose", "internal/drift", "internal/explain", "internal/request", "internal/setting", "internal/text", "internal/bytesview", "internal/consumer", "internal/logscan", "internal/logscan/export", "internal/logscan/kernel", "internal/sink", "internal/audit", "internal/rotate"}

func TestArrows(t *testing.T) {
	t.Parallel()
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		allowed, listed := inside[name]
		if !listed {
			t.Errorf("%s is not in the list of packages: say what it may import", name)
			continue
		}
		for _, imported := range p.Imports {
			own, isOwn := strings.CutPrefix(imported, module)
			if isOwn && !slices.Contains(allowed, own) && !slices.Contains(allowed, "*") {
				t.Errorf("%s must not import %s", name, own)
			}
			if !isOwn && strings.Contains(imported, ".") && (name == "aadsts" || name == "entralab") {
				t.Errorf("%s is public and takes the standard library only, not %s", name, imported)
			}
			if imported == "os" && slices.Contains(noIO, name) {
				t.Errorf("%s must not import os", name)
			}
		}
		for _, bad := range never[name] {
			if slices.Contains(p.Deps, bad) {
				t.Errorf("%s must not reach %s", name, bad)
			}
		}
	}
}

// TestListIsLive fails when a listed package is gone.
func TestListIsLive(t *testing.T) {
	t.Parallel()
	var names []string
	for _, p := range list(t) {
		names = append(names, strings.TrimPrefix(p.ImportPath, module))
	}
	for name := range inside {
		if !slices.Contains(names, name) {
			t.Errorf("%s is listed but does not exist", name)
		}
	}
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps=false", "-json=ImportPath,Imports,Deps", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}
