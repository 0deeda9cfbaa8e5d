package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/credsmith/credsmith/internal/consumer"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/setting"
	"github.com/credsmith/credsmith/internal/state"
	"github.com/credsmith/credsmith/internal/token"
	"github.com/credsmith/credsmith/internal/wire"
)

// doctorFlags is the command line of doctor.
type doctorFlags struct {
	tenant, clientID               string
	secretEnv, secretFile          string
	secretStdin                    bool
	authority, scope, seen, try    string
	graph, graphSet, offline, fast bool
	deviceCode                     bool
	lazy                           bool // the operator signs in when it is needed
	bytes                          bool
	maxTries                       int
	wait                           time.Duration
	tenantSet, clientSet           bool
	from                           []string
	stores                         bool
}

const doctorLong = `Diagnoses one setting: tenant id, client id and client secret. It signs in with
the setting, tries what the value may have been before a slip, asks the
directory when an operator identity is given, and names one cause with evidence,
what was ruled out, and what to do. It changes nothing.

The setting comes from AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET
(or ARM_…); flags go first. A secret is never taken from the command line. It
is taken byte for byte, but for one line break at the end of standard input.

The operator identity is what credsmith itself asks the directory with, never
the setting's: that of the configuration file, else CREDSMITH_OPERATOR_TENANT_ID,
_CLIENT_ID, _CLIENT_SECRET and _AUTHORITY_HOST; with --graph also the user of az
login; with --device-code a person with a browser. docs/operator.md says what
each permission adds. CREDSMITH_GRAPH_URL names another Graph.

With --error it also weighs the error that the app printed; without any setting
it reads the error alone.

With --from it diagnoses every setting found in files: .env, appsettings.json,
Spring, compose, Kubernetes, Terraform and others (docs/settings.md lists them).
Identical settings are tried once and reported at each place; what is partial,
or a reference to somewhere else, is reported as such. A file that cannot be
read is named on standard error and counts as "could not tell". A login host
named in a file is used when it is Microsoft's or this machine; others are tried
with --authority only. An error is held against the app that it names, or all
when it names none; --try is for each setting.

With --stores it also reads the places that the bindings of the configuration
name and that can be read back, as the operator, and diagnoses what they hold.

With --try the token is used once on a resource, which tells "wrong secret" from
"right secret, no permission". It is sent to hosts of the login host's own
cloud only; with a private login host, such as a lab, to this machine.

Failed sign-ins can raise your tenant's alarms: at most --max-tries token
requests are sent for a setting, at most one a second to one app.

`

func (p *program) doctor() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor [URL]",
		Short: "Name the one cause why a setting does not sign in, with proof",
		Long:  doctorLong + exitCodes,
		Example: `# the setting of this environment
credsmith doctor

# with the directory's evidence, as JSON
credsmith doctor --graph -o json

# as yourself: the user of az login, or signed in with a browser
credsmith doctor --graph
credsmith doctor --device-code

# a secret mounted as a file
credsmith doctor --secret-file /run/secrets/entra

# the sign-in works: does Graph let the app in?
credsmith doctor --try graph
credsmith doctor --try graph https://graph.microsoft.com/v1.0/users

# does the vault, Azure or the mailbox?
credsmith doctor --try keyvault https://kv-billing.vault.azure.net/secrets/db-password
credsmith doctor --try arm
credsmith doctor --try smtp smtp://app@contoso.com@smtp.office365.com:587
credsmith doctor --try imap imaps://app@contoso.com@outlook.office365.com:993

# the error that the app printed, against the setting it should have
credsmith doctor --error app.log

# every setting in this directory, and in one file elsewhere
credsmith doctor --from .
credsmith doctor --from deploy --from ~/.azure/app.env -o json

# and what the places of the configured bindings hold, such as a Key Vault
credsmith doctor --from . --stores

# which of these settings printed that error?
credsmith doctor --from . --error app.log

# only read the setting, ask nobody
credsmith doctor --no-network

# is there a newline, a quote, a byte order mark in the value?
credsmith doctor --bytes`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.graphSet = cmd.Flags().Changed("graph")
			f.tenantSet, f.clientSet = cmd.Flags().Changed("tenant"), cmd.Flags().Changed("client-id")
			if cmd.Flags().Changed("from") || f.stores {
				return p.runDoctorFrom(cmd.Context(), f, args)
			}
			return p.runDoctor(cmd.Context(), f, args)
		},
	}
	f.define(cmd.Flags())
	cmd.MarkFlagsMutuallyExclusive("secret-env", "secret-file", "secret-stdin")
	cmd.MarkFlagsMutuallyExclusive("device-code", "no-network")
	return cmd
}

func (f *doctorFlags) define(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.from, "from", nil, "diagnose every setting in this file or directory; may be given again")
	flags.BoolVar(&f.stores, "stores", false, "diagnose what the places of the configured bindings hold, too")
	flags.StringVar(&f.tenant, "tenant", "", "tenant id or domain")
	flags.StringVar(&f.clientID, "client-id", "", "client id")
	flags.StringVar(&f.secretEnv, "secret-env", "", "environment variable that holds the secret")
	flags.StringVar(&f.secretFile, "secret-file", "", "file that holds the secret and nothing else")
	flags.BoolVar(&f.secretStdin, "secret-stdin", false, "read the secret from standard input")
	flags.StringVar(&f.authority, "authority", "", "login host (default AZURE_AUTHORITY_HOST, else "+entra.DefaultAuthority+")")
	flags.StringVar(&f.scope, "scope", "", "scope to ask for (default Graph's /.default)")
	flags.StringVar(&f.seen, "error", "", "file with the error that was seen, or - for standard input")
	flags.StringVar(&f.try, "try", "", "use the token once, on "+serviceList())
	flags.BoolVar(&f.graph, "graph", false, "require the directory's evidence; --graph=false does without (default: used when an operator identity is given)")
	flags.BoolVar(&f.deviceCode, "device-code", false, "ask the directory as a person who signs in with a browser")
	flags.BoolVar(&f.bytes, "bytes", false, "show the value as it will be sent, masked but for what is wrong with it")
	flags.BoolVar(&f.offline, "no-network", false, "ask nobody, only read the setting")
	flags.IntVar(&f.maxTries, "max-tries", diagnose.DefaultMaxTries, "token requests at most, for each setting")
	flags.BoolVar(&f.fast, "fast", false, "no pause between token requests")
	flags.DurationVar(&f.wait, "wait", 0, "how long to watch a secret that may be new (default 30s when the directory says that it is)")
}

func (p *program) runDoctor(ctx context.Context, f doctorFlags, args []string) error {
	c, consumers, err := p.doctorCase(f, args)
	if err != nil {
		return err
	}
	client, err := wire.NewClient(p.get("SSL_CERT_FILE"))
	if err != nil {
		return usage("name a file with certificates in PEM", "%w", err)
	}
	means := diagnose.Means{SignIn: token.New(c.Setting.Authority, client), Pace: time.Second}
	if f.fast {
		means.Pace = 0
	}
	f.offline = f.offline || c.Alone // with no setting there is nothing to look up
	dir, err := p.directory(ctx, f, client)
	if err != nil {
		return err
	}
	if means.Reader, err = dir.reader(ctx, c.Setting.TenantID); err != nil {
		return err
	}
	c.KnownTenants = dir.tenants()
	trial, err := p.trial(f, args, client)
	if err != nil {
		return err
	}
	if err := trial.on(&c, &means); err != nil {
		return err
	}
	key, journal := p.memory(ctx, &means)
	if !c.Alone {
		c.Fingerprint = key.Fingerprint(c.Setting.Value)
		journal.about(&c)
	}
	bar := p.progress()
	means.Progress = p.announcer(bar, c)
	report, err := diagnose.Run(ctx, c, means)
	bar.end()
	if err != nil {
		return fmt.Errorf("diagnose %s: %w", secret.Shown(c.Setting.ClientID), err)
	}
	return p.showReport(viewed{report, f.bytesOf(c.Setting.Value), consumers})
}

// doctorCase puts the question together from flags, environment and files, and
// says what may have written the error that was seen.
func (p *program) doctorCase(f doctorFlags, args []string) (diagnose.Case, []consumer.Match, error) {
	var c diagnose.Case
	if f.secretStdin && f.seen == "-" {
		return c, nil, usage("give one of them as a file", "--secret-stdin and --error - both read standard input")
	}
	if err := f.check(args); err != nil {
		return c, nil, err
	}
	s, err := p.doctorSetting(f)
	if missing, ok := errors.AsType[*setting.Missing](err); ok && f.seen != "" && f.try == "" && len(missing.Names) == 3 {
		seen, err := p.readSeen(f.seen) // the error is all there is
		seen.about(&c)
		if c.Alone = true; c.Seen != nil {
			c.Setting.ClientID, c.Setting.TenantID = c.Seen.AppID, c.Seen.Tenant
		}
		return c, seen.consumers, err
	}
	if err != nil {
		return c, nil, err
	}
	c = diagnose.Case{Setting: s, AuthorityPath: p.authorityPath(f.authority), Scope: scopeFor(f.scope, s.Authority), MaxTries: f.maxTries, Watch: f.wait, Fast: f.fast, Offline: f.offline}
	seen, err := p.readSeen(f.seen)
	seen.about(&c)
	return c, seen.consumers, err
}

func (f doctorFlags) check(args []string) error {
	if f.maxTries < 1 {
		return usage("give a number from 1 up", "--max-tries %d leaves nothing to try", f.maxTries)
	}
	if f.wait < 0 {
		return usage("give a time such as 2m", "--wait %s is negative", f.wait)
	}
	if len(args) > 0 && f.try == "" {
		return usage("add --try graph (or another service) to use the token on that address", "%q is one argument too many", args[0])
	}
	return f.checkTry()
}

// scopeFor is the scope of the flag, else that of the Graph beside the authority.
func scopeFor(flag, authority string) string {
	if flag != "" {
		return flag
	}
	if cloud, ok := entra.CloudOf(authority); ok {
		return cloud.Graph + "/.default"
	}
	return entra.Clouds()[0].Graph + "/.default"
}

func (p *program) doctorSetting(f doctorFlags) (entra.Setting, error) {
	value, origin, err := p.secretFlag(f)
	if err != nil {
		return entra.Setting{}, err
	}
	s, err := setting.Environment(func(name string) (string, bool) {
		switch {
		case name == "AZURE_TENANT_ID" && f.tenantSet:
			return f.tenant, true
		case name == "AZURE_CLIENT_ID" && f.clientSet:
			return f.clientID, true
		case name == "AZURE_CLIENT_SECRET" && origin != "":
			return "", true // taken from the flag below
		}
		return p.LookupEnv(name)
	})
	if err != nil {
		return s, usage("set the variable, or use --tenant, --client-id and --secret-env, --secret-file or --secret-stdin", "%w", err)
	}
	if origin != "" {
		s.Value, s.Origin = value, origin
	}
	s.Authority, err = p.authority(f.authority)
	return s, err
}

// authority is the login host of the flag, else of the environment.
func (p *program) authority(flag string) (string, error) {
	origin, err := entra.Origin(p.authorityAddress(flag))
	if err != nil {
		return "", usage("name the login host as https://login.microsoftonline.com", "the authority %w", err)
	}
	return origin, nil
}

// authorityAddress is the login host as it is configured.
func (p *program) authorityAddress(flag string) string {
	if flag != "" {
		return flag
	}
	return cmp.Or(p.get("AZURE_AUTHORITY_HOST"), entra.DefaultAuthority)
}

// authorityPath is what follows the host in it, which no login host has.
func (p *program) authorityPath(flag string) string {
	u, err := url.Parse(strings.TrimSpace(p.authorityAddress(flag)))
	if err != nil || u.Host == "" {
		return ""
	}
	return strings.Trim(u.Path, "/")
}

// secretFlag reads the secret from where a flag says; the origin is empty when
// no flag does.
func (p *program) secretFlag(f doctorFlags) (secret.Value, string, error) {
	switch {
	case f.secretEnv != "":
		v, ok := p.LookupEnv(f.secretEnv)
		if !ok {
			return secret.Value{}, "", usage("export the variable", "the variable %s, named by --secret-env, is not set", f.secretEnv)
		}
		return secret.New(v), "environment " + f.secretEnv, nil
	case f.secretFile != "":
		b, err := os.ReadFile(f.secretFile)
		if err != nil {
			return secret.Value{}, "", usage("name a file that can be read", "open the secret file %s: %w", f.secretFile, reasonOf(err))
		}
		if len(b) > maxSecretFile {
			return secret.Value{}, "", usage("the file must hold the secret and nothing else", "%s has %d bytes: that is no client secret", f.secretFile, len(b))
		}
		return secret.New(string(b)), f.secretFile, nil
	case f.secretStdin:
		v, err := p.readSecret()
		return v, "standard input", err
	}
	return secret.Value{}, "", nil
}

// maxSecretFile is far beyond any secret, in bytes.
const maxSecretFile = 64 << 10

func (p *program) readSecret() (secret.Value, error) {
	if file, ok := p.Stdin.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		fmt.Fprint(p.Stderr, "client secret (not shown): ")
		b, err := term.ReadPassword(int(file.Fd()))
		fmt.Fprintln(p.Stderr)
		if err != nil {
			return secret.Value{}, usage("use --secret-file", "read the secret: %w", err)
		}
		return secret.New(string(b)), nil
	}
	b, err := io.ReadAll(io.LimitReader(p.Stdin, maxSecretFile))
	if err != nil {
		return secret.Value{}, usage("use --secret-file", "read the secret from standard input: %w", err)
	}
	// The line break that echo and Enter add is not the consumer's.
	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	return secret.New(text), nil
}

// graphOrigin is the Graph that belongs to an authority.
func (p *program) graphOrigin(authority string) (string, error) {
	if address := p.get("CREDSMITH_GRAPH_URL"); address != "" {
		origin, err := entra.Origin(address)
		if err != nil {
			return "", usage("name Graph as https://graph.microsoft.com", "CREDSMITH_GRAPH_URL: %w", err)
		}
		return origin, nil
	}
	if cloud, ok := entra.CloudOf(authority); ok {
		return cloud.Graph, nil
	}
	return "", usage("set CREDSMITH_GRAPH_URL", "no Graph is known for the login host %s", authority)
}

// memory opens what credsmith remembers, and returns the key of its
// fingerprints and what it did itself.
func (p *program) memory(ctx context.Context, m *diagnose.Means) (secret.Key, journal) {
	j, st := p.journal(ctx), p.state()
	if st == nil {
		return secret.NewKey(), j
	}
	m.Records = withJournal{st, j}
	return st.Key, j
}

// fingerprints is the key of fingerprints.
func (p *program) fingerprints() secret.Key {
	if st := p.state(); st != nil {
		return st.Key
	}
	return secret.NewKey()
}

// state opens the state directory. It is nil where there is no place to keep
// state: a key then lasts for one run.
func (p *program) state() *state.State {
	dir := state.Dir(p.get)
	if dir == "" {
		return nil
	}
	st, err := state.Open(dir)
	if err != nil {
		fmt.Fprintf(p.Stderr, "warning: %s; fingerprints of this run cannot be compared with others\n", oneLine(err.Error()))
		return nil
	}
	return st
}

// announcer says what is about to be sent, before the first secret goes out.
func (p *program) announcer(bar progress, c diagnose.Case) func(diagnose.Experiment) {
	announced := false
	return func(e diagnose.Experiment) {
		if e.Kind == diagnose.Send && !announced {
			announced = true
			bar.end()
			fmt.Fprintf(p.Stderr, "sending at most %d token requests for app %s to %s\n", c.MaxTries, oneLine(secret.Shown(c.Setting.ClientID)), c.Setting.Authority)
		}
		says := sayExperiment(e)
		if p.verbose {
			fmt.Fprintln(p.Stderr, says)
		}
		bar.say("%s", says)
	}
}

func sayExperiment(e diagnose.Experiment) string {
	switch e.Kind {
	case diagnose.Discover:
		return "looking at the tenant's metadata"
	case diagnose.Look:
		return "asking the directory"
	case diagnose.Search:
		return "searching the directory for the value's hint"
	case diagnose.Gather:
		return "reading the app's sign-ins and policies"
	case diagnose.Use:
		return "using the token"
	}
	if after := e.Attempt.After; after > 0 {
		return fmt.Sprintf("signing in: %s, after %s", e.Attempt.Purpose, after)
	}
	return "signing in: " + string(e.Attempt.Purpose)
}

func (p *program) showReport(v viewed) error {
	r := v.Report
	unreachable := r.Verdict == diagnose.Inconclusive && r.Cause != nil && strings.HasPrefix(string(*r.Cause), "network-")
	if p.json {
		if err := p.writeJSON(v); err != nil {
			return err
		}
	} else if !unreachable {
		p.page().report(r)
		p.page().bytes(v.Bytes)
		p.page().consumer("the error was written by", v.Consumers)
	}
	switch {
	case unreachable:
		hint := ""
		if len(r.Fix) > 0 {
			hint = r.Fix[0].Do
		}
		return &failure{exitCannotTell, errors.New(r.Summary), hint}
	case r.Verdict == diagnose.Working:
		return nil
	case r.Verdict == diagnose.Inconclusive:
		return found{exitCannotTell}
	}
	return found{exitProblem}
}
