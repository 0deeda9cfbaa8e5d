package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/entralab/mail"
	"github.com/credsmith/credsmith/internal/labseed"
	"github.com/credsmith/credsmith/internal/labstore"
)

type labFlags struct {
	listen     string
	portBase   int
	randomSeed uint64
	envFile    string
	mail       bool
	profile    string
	strict     bool
	data       string
	seed       string
	caFile     string
	beyond     bool
	hostNames  []string
}

func (p *program) lab() *cobra.Command {
	var f labFlags
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Run an emulated Entra tenant on this machine",
		Long: `Runs an emulated tenant: token service, Microsoft Graph and Key Vault over TLS, and a
control address over plain HTTP. Unchanged Microsoft SDKs sign in to it.

It listens on loopback only, since whoever reaches it can mint credentials in it.
--i-know-this-is-a-lab allows another --listen address, for containers;
--host-name then says what clients call it. The control address stays on loopback
and Microsoft's names are refused even so.

Everything is in memory and ends with the lab, unless --data names a directory:
then tenants, apps, secrets, vaults, history and the CA are there again after a
restart, or a crash. The directory holds no secret in clear, but the key that
opens it.

--env-file writes what clients need to know, with mode 0600, once all addresses
answer.

` + exitCodes,
		Example: `credsmith lab
credsmith lab --env-file lab.env
credsmith lab --data lab.data --env-file lab.env
credsmith lab --seed lab-seed.yaml

# in another shell
set -a; . ./lab.env; set +a
credsmith doctor --graph`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.runLab(cmd.Context(), f) },
	}
	cmd.AddCommand(p.labEnv(), p.labTrust(), p.labExport(), p.labImport())
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1", "address to listen on")
	flags.BoolVar(&f.beyond, "i-know-this-is-a-lab", false, "allow --listen beyond loopback")
	flags.StringArrayVar(&f.hostNames, "host-name", nil, "further name the lab answers for; the first stands in its addresses")
	flags.StringVar(&f.seed, "seed", "", "YAML file of tenants, apps and secrets to begin with")
	flags.StringVar(&f.caFile, "ca-file", "", "file to write the CA certificate to (default beside --data, or temporary)")
	flags.IntVar(&f.portBase, "port-base", 0, "first of four ports in a row, six with --mail (default any free ports)")
	flags.Uint64Var(&f.randomSeed, "random-seed", 0, "seed of ids and order (default random)")
	flags.StringVar(&f.data, "data", "", "directory that keeps the lab between runs (default memory only)")
	flags.BoolVar(&f.mail, "mail", false, "serve SMTP submission and IMAP with XOAUTH2 too")
	flags.StringVar(&f.envFile, "env-file", "", "file to write the environment of clients to")
	flags.StringVar(&f.profile, "profile", entralab.ProfileCalm, "how much goes wrong: calm, rude (about 5 % of requests) or hostile (30 %)")
	flags.BoolVar(&f.strict, "strict", false, "answer in shapes that differ at each start where the services promise none")
	return cmd
}

func (p *program) runLab(ctx context.Context, f labFlags) (err error) {
	cfg := entralab.Config{Listen: f.listen, PortBase: f.portBase, RandomSeed: f.randomSeed, BeyondLoopback: f.beyond, HostNames: f.hostNames, Profile: f.profile, Strict: f.strict}
	if f.data != "" {
		store, err := labstore.Open(ctx, f.data)
		if err != nil {
			return usage("", "keep the lab in %s: %w", f.data, err)
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		cfg.Store = store
	}
	seed, err := p.readSeed(f)
	if err != nil {
		return err
	}
	if seed != nil {
		cfg.Seed = seed.Seed
	}
	err = p.serveLab(ctx, f, cfg)
	if e, ok := errors.AsType[*entralab.SeedError](err); ok && seed != nil {
		return usage("mend the seed file", "start the lab: %w", seed.Locate(e))
	}
	return err
}

func (p *program) readSeed(f labFlags) (*labseed.Seed, error) {
	if f.seed == "" {
		return nil, nil
	}
	file, err := os.Open(f.seed)
	if err != nil {
		return nil, usage("name a file that can be read", "read the seed: %w", err)
	}
	defer file.Close()
	seed, err := labseed.Read(f.seed, file, p.LookupEnv, time.Now())
	if err != nil {
		return nil, usage("docs/lab-seed.yaml shows the keys", "read the seed: %w", err)
	}
	return seed, nil
}

func (p *program) serveLab(ctx context.Context, f labFlags, cfg entralab.Config) (err error) {
	lab, err := entralab.Start(ctx, cfg)
	if err != nil {
		hint := "choose a free --port-base, and a loopback address for --listen, and calm, rude or hostile for --profile"
		if errors.Is(err, entralab.ErrDamaged) || errors.Is(err, labstore.ErrDamaged) {
			hint = ""
		}
		return usage(hint, "start the lab: %w", err)
	}
	defer func() {
		if closing := lab.Close(); closing != nil {
			err = errors.Join(err, usage("find out why --data cannot be written, and start the lab again: what it acknowledged is kept", "%w", closing))
		}
	}()
	var server *mail.Server
	if f.mail {
		if server, err = startMail(ctx, lab, f.portBase); err != nil {
			return usage("choose another --port-base", "start the lab's mail: %w", err)
		}
		defer func() { err = errors.Join(err, server.Close()) }()
	}
	dir := f.data
	if dir == "" {
		if dir, err = os.MkdirTemp("", "credsmith-lab-"); err != nil {
			return fmt.Errorf("make a directory for the lab's CA certificate: %w", err)
		}
		defer os.RemoveAll(dir)
	}
	if f.beyond {
		fmt.Fprintf(p.Stderr, "WARNING: this lab listens on %s: whoever reaches it can sign in and mint credentials in it.\nNothing in it is real. Never put a real secret into it. It does not answer for Microsoft's names.\n", f.listen)
	}
	if f.seed != "" && lab.Restored() {
		fmt.Fprintf(p.Stderr, "--seed is not used: %s holds a lab already\n", f.data)
	}
	ca := f.caFile
	if ca == "" {
		ca = filepath.Join(dir, "ca.pem")
	}
	if err := os.WriteFile(ca, lab.CAPEM(), 0o600); err != nil {
		return fmt.Errorf("write the lab's CA certificate: %w", err)
	}
	if f.envFile != "" {
		lines := append(lab.Env(), "SSL_CERT_FILE="+ca, "NODE_EXTRA_CA_CERTS="+ca)
		if server != nil {
			lines = append(lines, "CREDSMITH_LAB_SMTP="+server.SMTPAddr(), "CREDSMITH_LAB_IMAP="+server.IMAPAddr())
		}
		if err := writeFile(f.envFile, strings.Join(lines, "\n")+"\n"); err != nil {
			return usage("name a file in a directory that can be written", "write %s: %w", f.envFile, err)
		}
		defer os.Remove(f.envFile) // its secrets die with the lab
	}
	if p.json {
		started := map[string]any{
			"authority": lab.AuthorityURL(), "graph": lab.GraphURL(), "vault": lab.VaultURL(), "control": lab.ControlURL(),
			"tenant_id": lab.TenantID(), "ca_file": ca, "env_file": f.envFile, "random_seed": lab.RandomSeed(),
		}
		if server != nil {
			started["smtp"], started["imap"], started["mailbox"] = server.SMTPAddr(), server.IMAPAddr(), labMailbox
		}
		err = p.writeJSON(started)
	} else {
		p.page().labAddresses(lab, server, ca, f.envFile)
	}
	if err != nil {
		return err
	}
	_ = lab.Wait(ctx) // Close reports it
	return nil
}

// labMailbox is the one that the healthy app may use.
const labMailbox = "lab-mail@contoso.lab.test"

// startMail serves mail on the ports after the lab's four and gives the healthy
// app a mailbox.
func startMail(ctx context.Context, lab *entralab.Lab, portBase int) (*mail.Server, error) {
	var cfg mail.Config
	if portBase != 0 {
		cfg.SMTPPort, cfg.IMAPPort = portBase+4, portBase+5
	}
	server, err := mail.Start(ctx, lab, cfg)
	if err != nil {
		return nil, err
	}
	app := lab.Healthy()
	for _, permission := range []string{"SMTP.SendAsApp", "IMAP.AccessAsApp"} {
		if err := lab.Grant(app.ObjectID, permission); err != nil {
			return nil, errors.Join(err, server.Close())
		}
	}
	server.GrantMailbox(app.ClientID, labMailbox)
	return server, nil
}

func (g page) labAddresses(lab *entralab.Lab, server *mail.Server, ca, envFile string) {
	g.line("%s  an emulated tenant: nothing here is real", g.bold("credsmith lab"))
	g.row("authority", "%s", lab.AuthorityURL())
	g.row("graph", "%s", lab.GraphURL())
	g.row("vault", "%s", lab.VaultURL())
	g.row("control", "%s", lab.ControlURL())
	if server != nil {
		g.row("SMTP", "%s", server.SMTPAddr())
		g.row("IMAP", "%s", server.IMAPAddr())
		g.row("mailbox", "%s", labMailbox)
	}
	g.row("tenant", "%s", lab.TenantID())
	g.row("CA", "%s", ca)
	g.row("seed", "%d", lab.RandomSeed())
	if envFile != "" {
		g.row("env file", "%s", envFile)
	}
	g.line("stop with Ctrl-C")
}

// writeFile writes a file whole or not at all, with mode 0600.
func writeFile(path, text string) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return reasonOf(err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.WriteString(text)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
