package secret_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mayReveal lists every function outside tests that calls Reveal, with the
// reason why it must hold the text. Anything else is a leak in the making.
var mayReveal = map[string]string{
	"internal/token/token.go request":                "sends the secret to the authority",
	"internal/token/token.go rawRequest":             "sends a captured body to the authority",
	"internal/try/use.go get":                        "sends the app's token to its resource",
	"internal/try/mail.go xoauth2":                   "sends the app's token to its mailbox",
	"internal/store/seal.go seal":                    "a value is sealed before it is stored",
	"internal/setting/dotenv.go With":                "writes the consumer's file",
	"internal/sink/exec/exec.go Write":               "hands the value to a program on its stdin",
	"internal/sink/github/github.go Write":           "seals the value to GitHub's key",
	"internal/sink/github/wire.go send":              "sends the token to GitHub",
	"internal/sink/gitlab/gitlab.go Write":           "writes the value to GitLab",
	"internal/sink/gitlab/gitlab.go send":            "sends the token to GitLab",
	"internal/sink/appservice/appservice.go Write":   "writes the value to App Service",
	"internal/sink/azuredevops/azuredevops.go Write": "writes the value to Azure DevOps",
	"internal/sink/azuredevops/wire.go AsPerson":     "sends the token to Azure DevOps",
	"internal/sink/command/command.go Shown":         "searches what a program printed",
	"internal/sink/keyvault/keyvault.go Write":       "writes the consumer's vault",
	"internal/sink/vault/vault.go Write":             "writes the consumer's path",
	"internal/sink/vault/wire.go send":               "shows the operator's token to the server",
	"internal/sink/kubernetes/kubernetes.go Write":   "writes the consumer's Secret",
	"internal/bytesview/view.go Of":                  "masks it",
	"internal/bytesview/readers.go OfRaw":            "compares lengths and positions",
	"internal/operator/operator.go Secret":           "signs in as the operator",
	"internal/operator/operator.go Certificate":      "opens the operator's PKCS#12 file",
	"internal/cli/rotate_sink.go withToken":          "takes the line break off a token that is shown to its server",
	"internal/cli/rotate.go storeAddress":            "opens the database, whose address may hold a password",
	"internal/config/text.go parts":                  "takes references from a text of the configuration",
	"internal/sink/file/file.go write":               "writes the consumer's file",

	// A test suite's own values.
	"internal/sink/sinktest/sinktest.go newPlace":    "compares with what was written",
	"internal/sink/sinktest/sinktest.go testPlain":   "compares with what was written",
	"internal/sink/sinktest/sinktest.go testHostile": "compares with what was written",

	// The lab's own values, which protect nothing.
	"entralab/graph_passwords.go mintedPassword": "answers addPassword",
	"entralab/vault_secrets.go bundle":           "answers get and set of a vault",
	"entralab/invariants.go vaultValues":         "compares with the hashes of minted values",
	"entralab/vault_backup.go backupSecret":      "seals a backup of a vault",
	"entralab/keep_vault.go storeVersion":        "the store keeps values, sealed",
	"entralab/restore.go known":                  "the seeded apps, for the lab's environment and its store",
	"entralab/load.go seeded":                    "compares with the hash",
	"internal/labtest/labtest.go Restrict":       "signs in to a lab, for tests",
	"internal/demo/demo.go open":                 "the lab's operator",
	"internal/demo/demo.go ownValue":             "writes the .env of the story",
	"internal/demo/scenes.go capture":            "writes the request of the story",
}

func TestRevealCallSites(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && rel != "." || rel == "internal/secret" || d.Name() == "node_modules" {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		calls, err := revealCalls(path)
		for _, function := range calls {
			found[rel+" "+function] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, site := range slices.Sorted(maps.Keys(found)) {
		if mayReveal[site] == "" {
			t.Errorf("%s calls Reveal: only adapters that must send the text may; if this one must, list it here with the reason", site)
		}
	}
	for site := range mayReveal {
		if !found[site] {
			t.Errorf("%s is listed but does not call Reveal any more", site)
		}
	}
}

// revealCalls returns the functions of a file that mention a Reveal method,
// called or taken as a value.
func revealCalls(path string) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", path, err)
	}
	var functions []string
	for _, decl := range file.Decls {
		name := "(package level)"
		if f, ok := decl.(*ast.FuncDecl); ok {
			name = f.Name.Name
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Reveal" {
				functions = append(functions, name)
			}
			return true
		})
	}
	return functions, nil
}
