package config

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/credsmith/credsmith/internal/entra"
)

// Cloud is where a tenant's services are. In the file it is the name of one of
// Microsoft's clouds or the addresses of another.
type Cloud struct{ entra.Cloud }

// privateCloud is a cloud given by its addresses.
type privateCloud struct {
	Authority   string `yaml:"authority" need:"yes" doc:"The login host, such as https://login.microsoftonline.com."`
	Graph       string `yaml:"graph" need:"yes" doc:"Microsoft Graph, such as https://graph.microsoft.com."`
	VaultSuffix string `yaml:"vault_suffix" doc:"What the host names of vaults end with, such as vault.azure.net."`
}

func (c *Cloud) fromNode(d *decoder, n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		var p privateCloud
		before := len(d.errs)
		d.into(n, &p)
		if len(d.errs) > before {
			return
		}
		c.Cloud = entra.Cloud{Name: "private", Vault: strings.TrimPrefix(p.VaultSuffix, ".")}
		for _, a := range []struct {
			key, address string
			into         *string
		}{{"authority", p.Authority, &c.Authority}, {"graph", p.Graph, &c.Graph}} {
			origin, err := entra.Origin(a.address)
			if err != nil {
				d.errorf(n, "%s: %s", a.key, err)
			}
			*a.into = origin
		}
		return
	}
	name, ok := d.scalar(n, "public, usgov, china or the addresses of another cloud")
	if !ok {
		return
	}
	for _, known := range entra.Clouds() {
		if known.Name == name {
			c.Cloud = known
			return
		}
	}
	d.errs = append(d.errs, Unknown(d.at(n), "cloud", name, cloudNames()))
}

func cloudNames() (names []string) {
	for _, c := range entra.Clouds() {
		names = append(names, c.Name)
	}
	return names
}

func (*Cloud) schema() map[string]any {
	return map[string]any{"oneOf": []any{map[string]any{"enum": cloudNames()}, schemaOf(typeOf[privateCloud]())}}
}
