package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/credsmith/credsmith/internal/config"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/graph"
	"github.com/credsmith/credsmith/internal/operator"
	"github.com/credsmith/credsmith/internal/secret"
)

// directory is the tenants that credsmith may read, each as its operator sees
// it. No part of it ever comes from a setting under diagnosis.
type directory struct {
	*program
	client  *http.Client
	ways    []signIn // in the order of the configuration; empty: nobody is asked
	mu      sync.Mutex
	readers map[int]*graph.Client
	tokens  map[int]azcore.TokenCredential // of the same identities
}

// signIn is one tenant and the way to sign in to it.
type signIn struct {
	place operator.Place
	open  func(context.Context, operator.Place) (operator.Identity, error)
}

// directory finds the operator identity: who asked for one by --graph or
// --device-code gets it or an error that says what was tried; else it is used
// when one is given, and left aside with --graph=false.
func (p *program) directory(ctx context.Context, f doctorFlags, client *http.Client) (*directory, error) {
	d := &directory{program: p, client: client, readers: map[int]*graph.Client{}, tokens: map[int]azcore.TokenCredential{}}
	if f.offline || f.graphSet && !f.graph && !f.deviceCode {
		return d, nil
	}
	c, err := p.configuration()
	if err != nil {
		return nil, err
	}
	if c != nil {
		for _, t := range c.Tenants {
			place := operator.Place{TenantID: t.TenantID, Authority: t.Cloud.Authority, Graph: t.Cloud.Graph, HTTP: client}
			d.ways = append(d.ways, signIn{place, p.configured(c, t)})
		}
	}
	var fallback func(context.Context, operator.Place) (operator.Identity, error)
	switch {
	case f.deviceCode:
		for i := range d.ways {
			d.ways[i].open = p.deviceCode
		}
		fallback = p.deviceCode
	case p.get("CREDSMITH_OPERATOR_CLIENT_ID") != "":
		fallback = p.operatorSecret
	case f.graph:
		fallback = p.azureCLI
	}
	own, ownErr := p.operatorPlace(client)
	for i, w := range d.ways {
		// The secret of the environment is for its own tenant and login host.
		theirs := p.get("CREDSMITH_OPERATOR_CLIENT_ID") == "" || entra.SameGUID(w.place.TenantID, own.TenantID) && w.place.Authority == own.Authority
		if w.open == nil && theirs {
			d.ways[i].open = fallback
		}
	}
	d.ways = slices.DeleteFunc(d.ways, func(w signIn) bool { return w.open == nil })
	if len(d.ways) == 0 && fallback != nil {
		if ownErr != nil {
			return nil, ownErr
		}
		d.ways = []signIn{{own, fallback}}
	}
	if len(d.ways) > 0 && (f.graph || f.deviceCode) && !f.lazy {
		_, err = d.reader(ctx, d.ways[0].place.TenantID) // now rather than in the middle of a diagnosis
	}
	return d, err
}

// tenants are those whose directories can be read, by GUID.
func (d *directory) tenants() []string {
	var ids []string
	for i, w := range d.ways {
		id := w.place.TenantID
		if r := d.readers[i]; r != nil {
			id = r.TenantID()
		}
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// reader returns the directory of a tenant; the first one for a tenant that
// the configuration does not name, nil if there is none at all.
func (d *directory) reader(ctx context.Context, tenant string) (diagnose.Reader, error) {
	if len(d.ways) == 0 {
		return nil, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	i := max(slices.IndexFunc(d.ways, func(w signIn) bool { return entra.SameGUID(w.place.TenantID, tenant) }), 0)
	if r := d.readers[i]; r != nil {
		return r, nil
	}
	place := d.ways[i].place
	identity, err := d.ways[i].open(ctx, place)
	if err != nil {
		return nil, err
	}
	if d.verbose {
		fmt.Fprintf(d.Stderr, "the directory of %s is read as %s\n", identity.TenantID, oneLine(identity.Name))
	}
	r := graph.New(place.Graph, identity.TenantID, identity.Credential, d.client)
	d.readers[i], d.tokens[i] = r, identity.Credential
	return r, nil
}

// configured is the identity that the configuration gives a tenant, nil for none.
func (p *program) configured(c *config.Config, t config.Tenant) func(context.Context, operator.Place) (operator.Identity, error) {
	id := t.Identity
	if id.IsZero() {
		return nil
	}
	return func(_ context.Context, place operator.Place) (operator.Identity, error) {
		identity, err := p.openConfigured(c, id, place)
		if err != nil {
			return identity, usage("check the identity of "+t.Name+" in "+c.File+", or run with --graph=false", "%w", err)
		}
		return identity, nil
	}
}

func (p *program) openConfigured(c *config.Config, id config.Identity, place operator.Place) (operator.Identity, error) {
	switch {
	case id.ManagedIdentity:
		return place.Managed(id.ClientID)
	case id.WorkloadIdentity:
		return place.Workload(id.ClientID, p.get("AZURE_FEDERATED_TOKEN_FILE"))
	case id.Certificate != "":
		file, err := os.ReadFile(c.Path(id.Certificate))
		if err != nil {
			return operator.Identity{}, fmt.Errorf("%s: read the certificate %s: %w", id.At, c.Path(id.Certificate), reasonOf(err))
		}
		var password secret.Value
		if !id.CertificatePassword.IsZero() {
			if password, err = id.CertificatePassword.Resolve(); err != nil {
				return operator.Identity{}, err
			}
		}
		return place.Certificate(id.ClientID, file, password)
	}
	value, err := id.Secret.Resolve()
	if err != nil {
		return operator.Identity{}, err
	}
	return place.Secret(id.ClientID, value)
}

// operatorPlace is where the identity of the environment, or a person, signs in.
func (p *program) operatorPlace(client *http.Client) (operator.Place, error) {
	host := p.get("CREDSMITH_OPERATOR_AUTHORITY_HOST")
	if host == "" {
		host = entra.DefaultAuthority
	}
	authority, err := entra.Origin(host)
	if err != nil {
		return operator.Place{}, usage("name a login host as https://login.microsoftonline.com", "CREDSMITH_OPERATOR_AUTHORITY_HOST: %w", err)
	}
	origin, err := p.graphOrigin(authority)
	return operator.Place{TenantID: p.get("CREDSMITH_OPERATOR_TENANT_ID"), Authority: authority, Graph: origin, HTTP: client}, err
}

// operatorSecret is the app that the environment names.
func (p *program) operatorSecret(_ context.Context, place operator.Place) (operator.Identity, error) {
	var missing []string
	read := func(name string) string {
		v := p.get(name)
		if v == "" {
			missing = append(missing, name)
		}
		return v
	}
	if place.TenantID == "" {
		place.TenantID = read("CREDSMITH_OPERATOR_TENANT_ID")
	}
	clientID, value := read("CREDSMITH_OPERATOR_CLIENT_ID"), secret.New(read("CREDSMITH_OPERATOR_CLIENT_SECRET"))
	if len(missing) > 0 {
		return operator.Identity{}, usage("set it, or run with --graph=false", "the operator identity is incomplete: %s not set", strings.Join(missing, " and "))
	}
	identity, err := place.Secret(clientID, value)
	if err != nil {
		return identity, usage("check CREDSMITH_OPERATOR_TENANT_ID and the others", "%w", err)
	}
	return identity, nil
}

// azureCLI is the last way: its error tells all that were tried.
func (p *program) azureCLI(ctx context.Context, place operator.Place) (operator.Identity, error) {
	tried := "no identity in a configuration file, CREDSMITH_OPERATOR_CLIENT_ID not set, "
	const hint = "run az login, add --device-code to sign in with a browser, or set CREDSMITH_OPERATOR_TENANT_ID, _CLIENT_ID and _CLIENT_SECRET; docs/operator.md"
	if _, err := exec.LookPath("az"); errors.Is(err, exec.ErrNotFound) {
		return operator.Identity{}, usage(hint, "no operator identity: %saz is not installed", tried)
	}
	identity, err := place.AzureCLI(ctx)
	switch {
	case context.Cause(ctx) != nil:
		return identity, context.Cause(ctx)
	case err != nil:
		return identity, usage(hint, "no operator identity: %s%w", tried, err)
	}
	return identity, p.sayPerson(identity)
}

// deviceCode is a person with a browser.
func (p *program) deviceCode(ctx context.Context, place operator.Place) (operator.Identity, error) {
	clientID := p.get("CREDSMITH_OPERATOR_CLIENT_ID")
	identity, err := place.DeviceCode(ctx, clientID, func(message string) { fmt.Fprintln(p.Stderr, oneLine(message)) })
	switch {
	case context.Cause(ctx) != nil:
		return identity, context.Cause(ctx)
	case err != nil:
		return identity, &failure{exitCannotTell, fmt.Errorf("no operator identity: %w", err), "try again, or use another way: docs/operator.md"}
	}
	return identity, p.sayPerson(identity)
}

// sayPerson names the person in whose name the directory is read.
func (p *program) sayPerson(identity operator.Identity) error {
	_, err := fmt.Fprintf(p.Stderr, "reading the directory as %s\n", oneLine(identity.Name))
	return err
}
