package cli

import (
	"net/http"
	"slices"
	"strings"

	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/try"
	"github.com/credsmith/credsmith/internal/wire"
)

// serviceList is "graph, keyvault, arm, smtp or imap".
func serviceList() string {
	var names []string
	for _, s := range entra.Services() {
		names = append(names, string(s))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// tryOn sets where the token is to be used, if anywhere, and the scope that
// goes with it unless one was asked for.
func (p *program) tryOn(f doctorFlags, args []string, client *http.Client, c *diagnose.Case, means *diagnose.Means) error {
	if f.try == "" {
		return nil
	}
	service := entra.Service(f.try)
	if !slices.Contains(entra.Services(), service) {
		return usage("use --try with "+serviceList(), "--try %s is not known", f.try)
	}
	if f.offline {
		return usage("drop one of them", "--try needs the network, --no-network forbids it")
	}
	target, err := p.target(service, args, c.Setting.Authority)
	if err != nil {
		return err
	}
	config, err := wire.TLS(p.get("SSL_CERT_FILE"))
	if err != nil {
		return usage("name a file with certificates in PEM", "%w", err)
	}
	if f.scope == "" {
		c.Scope = target.Scope()
	}
	c.Try, means.Resource = service, try.Resource{Target: target, HTTP: client, TLS: config}
	return nil
}

// target checks the address to use the token on, if one is given.
func (p *program) target(service entra.Service, args []string, authority string) (try.Target, error) {
	at := try.Place{Authority: authority}
	if address := p.get("CREDSMITH_GRAPH_URL"); address != "" {
		origin, err := entra.Origin(address)
		if err != nil {
			return try.Target{}, usage("name Graph as https://graph.microsoft.com", "CREDSMITH_GRAPH_URL: %w", err)
		}
		at.Graph = origin
	}
	address := ""
	if len(args) > 0 {
		address = args[0]
	}
	target, err := try.Parse(service, address, at)
	if err != nil {
		return target, usage("give an address such as "+try.Example(service), "%w", err)
	}
	return target, nil
}
