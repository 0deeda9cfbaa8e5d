package cli

import (
	"crypto/tls"
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

// checkTry refuses what no setting can make right.
func (f doctorFlags) checkTry() error {
	switch {
	case f.try == "":
		return nil
	case !slices.Contains(entra.Services(), entra.Service(f.try)):
		return usage("use --try with "+serviceList(), "--try %s is not known", f.try)
	case f.offline:
		return usage("drop one of them", "--try needs the network, --no-network forbids it")
	}
	return nil
}

// trial is what --try asks for.
type trial struct {
	service  entra.Service // "" for nothing
	address  string        // "" for the service's own
	graph    string        // origin of CREDSMITH_GRAPH_URL
	ownScope bool          // --scope is given
	http     *http.Client
	tls      *tls.Config
}

func (p *program) trial(f doctorFlags, args []string, client *http.Client) (trial, error) {
	t := trial{service: entra.Service(f.try), ownScope: f.scope != "", http: client}
	if f.try == "" {
		return t, nil
	}
	if len(args) > 0 {
		t.address = args[0]
	}
	var err error
	if address := p.get("CREDSMITH_GRAPH_URL"); address != "" {
		if t.graph, err = entra.Origin(address); err != nil {
			return t, usage("name Graph as https://graph.microsoft.com", "CREDSMITH_GRAPH_URL: %w", err)
		}
	}
	if t.tls, err = wire.TLS(p.get("SSL_CERT_FILE")); err != nil {
		return t, usage("name a file with certificates in PEM", "%w", err)
	}
	return t, nil
}

// on sets where the token of a case is to be used, if anywhere, and the scope
// that goes with it unless one was asked for.
func (t trial) on(c *diagnose.Case, means *diagnose.Means) error {
	if t.service == "" {
		return nil
	}
	target, err := try.Parse(t.service, t.address, try.Place{Authority: c.Setting.Authority, Graph: t.graph})
	if err != nil {
		return usage("give an address such as "+try.Example(t.service), "%w", err)
	}
	if !t.ownScope {
		c.Scope = target.Scope()
	}
	c.Try, means.Resource = t.service, try.Resource{Target: target, HTTP: t.http, TLS: t.tls}
	return nil
}
