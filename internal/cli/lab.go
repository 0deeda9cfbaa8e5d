package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/entralab/mail"
)

type labFlags struct {
	listen     string
	portBase   int
	randomSeed uint64
	envFile    string
	mail       bool
	profile    string
}

func (p *program) lab() *cobra.Command {
	var f labFlags
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Run an emulated Entra tenant on this machine",
		Long: `Runs an emulated tenant: token service, Microsoft Graph and Key Vault over TLS, and a
control address over plain HTTP. It listens on loopback only and keeps everything in
memory until it is stopped. Unchanged Microsoft SDKs sign in to it.

--env-file writes what clients need to know, with mode 0600, once all addresses
answer.

` + exitCodes,
		Example: `credsmith lab
credsmith lab --env-file lab.env

# in another shell
set -a; . ./lab.env; set +a
credsmith doctor --graph`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.runLab(cmd.Context(), f) },
	}
	cmd.AddCommand(p.labEnv(), p.labTrust())
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1", "loopback address to listen on")
	flags.IntVar(&f.portBase, "port-base", 0, "first of four ports in a row, six with --mail (default any free ports)")
	flags.Uint64Var(&f.randomSeed, "random-seed", 0, "seed of ids and order (default random)")
	flags.BoolVar(&f.mail, "mail", false, "serve SMTP submission and IMAP with XOAUTH2 too")
	flags.StringVar(&f.envFile, "env-file", "", "file to write the environment of clients to")
	flags.StringVar(&f.profile, "profile", entralab.ProfileCalm, "how much goes wrong: calm, rude (about 5 % of requests) or hostile (30 %)")
	return cmd
}

func (p *program) runLab(ctx context.Context, f labFlags) (err error) {
	lab, err := entralab.Start(ctx, entralab.Config{Listen: f.listen, PortBase: f.portBase, RandomSeed: f.randomSeed, Profile: f.profile})
	if err != nil {
		return usage("choose a free --port-base, a loopback address for --listen, and calm, rude or hostile for --profile", "start the lab: %w", err)
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	var server *mail.Server
	if f.mail {
		if server, err = startMail(ctx, lab, f.portBase); err != nil {
			return usage("choose another --port-base", "start the lab's mail: %w", err)
		}
		defer func() { err = errors.Join(err, server.Close()) }()
	}
	dir, err := os.MkdirTemp("", "credsmith-lab-")
	if err != nil {
		return fmt.Errorf("make a directory for the lab's CA certificate: %w", err)
	}
	defer os.RemoveAll(dir)
	ca := filepath.Join(dir, "ca.pem")
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
	<-ctx.Done()
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
