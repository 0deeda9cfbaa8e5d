// Package setting reads what a consumer holds to sign in, from where the
// consumer reads it, and keeps the place. Reading never changes anything.
package setting

import (
	"fmt"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// Missing says which parts of a setting are not set at all. A part that is
// set but empty is not missing: it is a finding.
type Missing struct{ Names []string }

func (m *Missing) Error() string {
	last := len(m.Names) - 1
	if last < 1 {
		return strings.Join(m.Names, "") + " not set"
	}
	return strings.Join(m.Names[:last], ", ") + " and " + m.Names[last] + " not set"
}

// Environment reads the variables of Azure's SDKs, or of Terraform where those
// are not set. The lookup is that of os.LookupEnv. Secret and ids may come from
// different families of names, as some tools mix them.
func Environment(lookup func(string) (string, bool)) (entra.Setting, error) {
	s := entra.Setting{Origin: "environment"}
	var missing []string
	read := func(names ...string) string {
		for _, name := range names {
			if v, ok := lookup(name); ok {
				return v
			}
		}
		missing = append(missing, names[0])
		return ""
	}
	s.TenantID = read("AZURE_TENANT_ID", "ARM_TENANT_ID")
	s.ClientID = read("AZURE_CLIENT_ID", "ARM_CLIENT_ID")
	s.Value = secret.New(read("AZURE_CLIENT_SECRET", "ARM_CLIENT_SECRET"))
	if len(missing) > 0 {
		return s, &Missing{missing}
	}
	return s, nil
}

// At names a place in a file.
func At(file string, line, column int) string { return fmt.Sprintf("%s:%d:%d", file, line, column) }
