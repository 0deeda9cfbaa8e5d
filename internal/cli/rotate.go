package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/credsmith/credsmith/internal/config"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/graph"
	"github.com/credsmith/credsmith/internal/operator"
	"github.com/credsmith/credsmith/internal/rotate"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/state"
	"github.com/credsmith/credsmith/internal/store"
	"github.com/credsmith/credsmith/internal/token"
	"github.com/credsmith/credsmith/internal/wire"
)

const rotateLong = `Gives an app a new client secret, carries it to every place that holds the old
one, proves it, and retires the old one once nobody uses it. docs/rotate.md tells
it from end to end.

A binding of the configuration file names the app and its places. The plan is
made first and is what is done; the record of each step is written before the
step, so that a run that was cut off is gone on with by rotate resume. Until the
old secret is retired, rotate rollback undoes it all.

`

func (p *program) rotate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace an app's secret everywhere, without an outage",
		Args:  cobra.NoArgs,
		Long:  rotateLong + exitCodes,
		Example: `credsmith rotate plan billing-api
credsmith rotate run billing-api
credsmith rotate status billing-api`,
	}
	cmd.AddCommand(p.rotatePlan(), p.rotateRun(), p.rotateStatus(), p.rotateHistory(), p.rotateResume(),
		p.rotateRollback(), p.rotateRetire(), p.rotatePause(), p.rotateSweep())
	return cmd
}

// rotations is what the commands about rotations work with.
type rotations struct {
	*program
	config *config.Config
	key    secret.Key // of fingerprints
	http   *http.Client
	dir    *directory
	store  *store.Store // nil for a plan
}

// rotations reads what all its commands need. It touches no server.
func (p *program) rotations(ctx context.Context) (*rotations, error) {
	c, err := p.configuration()
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, noConfiguration()
	}
	r := &rotations{program: p, config: c}
	dir := state.Dir(p.get)
	if dir == "" {
		return nil, usage("set CREDSMITH_STATE_DIR", "there is no place for the state: neither HOME nor CREDSMITH_STATE_DIR is set")
	}
	st, err := state.Open(dir)
	if err != nil {
		return nil, usage("make "+dir+" a directory that this user owns, or name another with CREDSMITH_STATE_DIR", "%w", err)
	}
	r.key = st.Key
	if r.http, err = wire.NewClient(p.get("SSL_CERT_FILE")); err != nil {
		return nil, usage("name a file with certificates in PEM", "%w", err)
	}
	r.dir, err = p.directory(ctx, doctorFlags{graphSet: true, graph: true, lazy: true}, r.http)
	return r, err
}

func noConfiguration() error {
	return usage("write one (docs/configuration.md), or name it with --config FILE", "there is no %s in this directory", config.DefaultFile)
}

// openStore opens the database; only to look where readOnly.
func (r *rotations) openStore(ctx context.Context, readOnly bool) error {
	address, err := r.storeAddress()
	if err != nil {
		return err
	}
	o := store.Options{Holder: holder(), ReadOnly: readOnly, KeyFile: r.config.Path(r.config.StoreKey)}
	if r.config.StoreKey == "" {
		o.KeyFile = ""
	}
	r.store, err = store.Open(ctx, address, o)
	return storeFailure(err)
}

func (r *rotations) storeAddress() (string, error) {
	if r.config.Store.IsZero() {
		return "", usage("add a line such as: store: sqlite:./state/credsmith.db", "%s names no store, where rotations are kept", r.config.File)
	}
	text, err := r.config.Store.Resolve()
	if err != nil {
		return "", usage("run credsmith config check", "%w", err)
	}
	// The address may hold a password: the store takes it apart and shows it
	// without.
	address := text.Reveal()
	if file, isFile := strings.CutPrefix(address, "sqlite:"); isFile {
		if file == "" {
			return "", usage("write it as sqlite:./state/credsmith.db", "%s: the store names no file", r.config.Store.At())
		}
		return "sqlite:" + r.config.Path(file), nil
	}
	return address, nil
}

func (r *rotations) close() {
	if r.store == nil {
		return
	}
	if err := r.store.Close(); err != nil {
		fmt.Fprintf(r.Stderr, "warning: close the store: %s\n", oneLine(err.Error()))
	}
}

// storeFailure gives the store's errors their exit codes.
func storeFailure(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrLocked):
		return &failure{exitCannotTell, err, "wait for the other one, or see what it does: credsmith rotate status"}
	case errors.Is(err, store.ErrForged):
		return &failure{exitProblem, err, "see where it broke: credsmith audit verify"}
	}
	return usage("check `store` in the configuration", "%w", err)
}

// holder names this process among those that share a database.
func holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:8])
}

// actor is who the audit record names.
func (p *program) actor() string {
	name := p.get("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return oneLine("cli:" + name + "@" + host)
}

// binding finds a binding by name; without one, the only binding there is.
func (r *rotations) binding(args []string) (config.Binding, error) {
	var names []string
	for _, b := range r.config.Bindings {
		names = append(names, b.Name)
	}
	switch {
	case len(names) == 0:
		return config.Binding{}, usage("add one (docs/configuration.md)", "%s has no bindings", r.config.File)
	case len(args) == 0 && len(names) == 1:
		return r.config.Bindings[0], nil
	case len(args) == 0:
		return config.Binding{}, usage("name one of them: "+strings.Join(names, ", "), "which binding?")
	}
	if b, ok := r.config.Binding(args[0]); ok {
		return b, nil
	}
	err := config.Unknown(config.Position{}, "binding", args[0], names)
	return config.Binding{}, usage("the bindings of "+r.config.File+": "+strings.Join(names, ", "), "%s", err.Says)
}

// engine makes the engine of a binding. The operator's identity is opened, but
// signs in no sooner than it is needed.
func (r *rotations) engine(ctx context.Context, b config.Binding) (*rotate.Engine, error) {
	t, _ := r.config.Tenant(b.Tenant) // checked with the configuration
	reader, credential, err := r.dir.of(ctx, t)
	if err != nil {
		return nil, err
	}
	c := rotate.Config{
		Binding: rotate.Binding{
			Name: b.Name, TenantID: strings.ToLower(t.TenantID), ClientID: strings.ToLower(b.App),
			Lifetime: b.Lifetime, Overlap: b.Overlap, Retire: rotate.Retirement(b.Retire),
			Prove: rotate.Proving{Scope: b.Prove.Scope, Times: b.Prove.Times, Over: b.Prove.Over},
		},
		Directory: reader, Tokens: token.New(t.Cloud.Authority, r.http), Key: r.key, Actor: r.actor(), Authority: t.Cloud.Authority,
	}
	if r.store != nil {
		c.Journal = r.store
	}
	c.AsOperator = func(clientID string, v secret.Value) (rotate.Directory, error) {
		place := operator.Place{TenantID: t.TenantID, Authority: t.Cloud.Authority, Graph: t.Cloud.Graph, HTTP: r.http}
		identity, err := place.Secret(clientID, v)
		if err != nil {
			return nil, err
		}
		return graph.New(place.Graph, identity.TenantID, identity.Credential, r.http), nil
	}
	if c.Binding.Sinks, err = r.sinks(b, credential); err != nil {
		return nil, err
	}
	return rotate.New(c), nil
}

// sinks makes the adapters of a binding's places.
func (r *rotations) sinks(b config.Binding, as azcore.TokenCredential) ([]sink.Sink, error) {
	var all []sink.Sink
	for _, s := range b.Sinks {
		built, err := r.sink(s, as)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(k sink.Sink) bool { return k.Ref() == built.Ref() }) {
			return nil, usage("keep one of them", "%s: this sink writes to the same place as another one: %s", s.At, built.Ref())
		}
		all = append(all, built)
	}
	return all, nil
}

// of returns the directory of a tenant as its operator sees it, and what signs
// the operator in. Unlike [directory.reader] it never takes another tenant's.
func (d *directory) of(ctx context.Context, t config.Tenant) (*graph.Client, azcore.TokenCredential, error) {
	i := slices.IndexFunc(d.ways, func(w signIn) bool { return entra.SameGUID(w.place.TenantID, t.TenantID) })
	if i < 0 {
		return nil, nil, usage("give it an identity in the configuration, set CREDSMITH_OPERATOR_TENANT_ID, _CLIENT_ID and _CLIENT_SECRET, or run az login; docs/operator.md",
			"there is no operator identity for tenant %s (%s)", t.Name, t.TenantID)
	}
	if _, err := d.reader(ctx, t.TenantID); err != nil {
		return nil, nil, err
	}
	return d.readers[i], d.tokens[i], nil
}

// outcome turns an engine's error into one with an exit code and a next step.
func outcome(err error, binding string) error {
	if err == nil {
		return nil
	}
	problem := func(hint string) error { return &failure{exitProblem, err, hint} }
	cannot := func(hint string) error { return &failure{exitCannotTell, err, hint} }
	if _, ok := errors.AsType[*failure](err); ok {
		return err
	}
	if _, ok := errors.AsType[*rotate.Blocked](err); ok {
		return problem("mend what is named, then plan again: credsmith rotate plan " + binding)
	}
	if _, ok := errors.AsType[*rotate.Older](err); ok {
		return problem("restore the newest copy of the database, or name the right one under `store`")
	}
	if _, ok := errors.AsType[*rotate.Refused](err); ok {
		return problem("")
	}
	if _, ok := errors.AsType[*rotate.Paused](err); ok {
		return problem("credsmith rotate pause --off")
	}
	switch {
	case errors.Is(err, rotate.ErrReplan):
		return problem("look at the new plan: credsmith rotate plan " + binding)
	case errors.Is(err, rotate.ErrBusy):
		return problem("see it with credsmith rotate status " + binding + ", go on with credsmith rotate resume " + binding)
	case errors.Is(err, rotate.ErrHeld), errors.Is(err, rotate.ErrStale):
		return cannot("see it with credsmith rotate status " + binding)
	case errors.Is(err, store.ErrForged):
		return problem("see where it broke: credsmith audit verify")
	}
	if u, ok := errors.AsType[*entra.Unreachable](err); ok {
		return cannot(u.Hint)
	}
	switch entra.RefusedAs(err) {
	case entra.RefusedAbsent, entra.RefusedPolicy, entra.RefusedLimit, entra.RefusedConflict:
		return problem("")
	case entra.RefusedPermission, entra.RefusedSignIn:
		return cannot("docs/rotate.md says which permissions the operator needs")
	}
	return cannot("try again; the record of what was done is kept: credsmith rotate status " + binding)
}

// ask has a person confirm on the terminal by typing a word.
func (p *program) ask(question, word string) error {
	fmt.Fprintf(p.Stderr, "%s Type %s to go on: ", clean(question), word)
	line, err := readLine(p.Stdin)
	if err != nil {
		return usage("", "read the answer: %w", err)
	}
	if strings.TrimSpace(line) != word {
		return &failure{exitProblem, errors.New("not confirmed: nothing was done"), ""}
	}
	return nil
}

// readLine reads to the end of a line and no further.
func readLine(r interface{ Read([]byte) (int, error) }) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < 1024; {
		n, err := r.Read(b)
		if n == 1 && b[0] == '\n' {
			break
		}
		line = append(line, b[:n]...)
		if err != nil {
			if len(line) > 0 {
				break
			}
			return "", err
		}
	}
	return string(line), nil
}

// confirm lets a run go on: with --yes, or by a person at a terminal.
func (p *program) confirm(yes bool, question string) error {
	switch {
	case yes:
		return nil
	case !isTerminal(p.Stdin):
		return usage("add --yes where nobody can be asked", "%s This is not a terminal", question)
	}
	return p.ask(question, "yes")
}
