package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/credsmith/credsmith/internal/config"
	"github.com/credsmith/credsmith/internal/entra"
)

// configFlag is the file that --config names.
type configFlag struct{ name string }

// configuration reads the file that --config names, else the default one. It
// returns nil when there is neither.
func (p *program) configuration() (*config.Config, error) {
	name := p.config.name
	if name == "" {
		if _, err := os.Stat(config.DefaultFile); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		name = config.DefaultFile
	}
	c, err := config.Load(name, p.LookupEnv)
	if err != nil {
		return nil, usage("run credsmith config check --config "+name, "%w", err)
	}
	if p.config.name == "" {
		return c, foreignHost(c)
	}
	return c, nil
}

// foreignHost refuses a file that lies in the directory by chance, or by
// somebody's intent, and names hosts that secrets would be sent to.
func foreignHost(c *config.Config) error {
	for _, t := range c.Tenants {
		for _, origin := range []string{t.Cloud.Authority, t.Cloud.Graph} {
			ours := slices.ContainsFunc(entra.Clouds(), func(known entra.Cloud) bool { return origin == known.Authority || origin == known.Graph })
			if !ours && !onThisMachine(origin) {
				return usage("if you trust the file, name it: --config "+c.File, "%s: the tenant %s names the host %s, which is not one of Microsoft's", t.At, t.Name, origin)
			}
		}
	}
	return nil
}

func (p *program) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check the configuration file, print its schema",
		Args:  cobra.NoArgs,
		Long: `Works on the configuration file: credsmith.yaml in this directory, or the one
that --config names. docs/configuration.md says what it holds.

` + exitCodes,
		Example: "credsmith config check\ncredsmith config schema",
	}
	cmd.AddCommand(p.configCheck(), p.configSchema())
	return cmd
}

func (p *program) configSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration file",
		Long: `Prints the JSON Schema (draft 2020-12) of the configuration file, for editors
that complete and check YAML. config check sees more than a schema can say.`,
		Example: "credsmith config schema > credsmith.schema.json",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return p.writeJSON(config.Schema()) },
	}
}

func (p *program) configCheck() *cobra.Command {
	var noReferences bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Tell all that is wrong with the configuration file",
		Long: `Reads the configuration file and tells all that is wrong with it, with line and
column. It looks up what ${env:NAME}, ${file:PATH} and certificate name, shows
nothing of it, and asks no server.

` + exitCodes,
		Example: `credsmith config check
credsmith config check --config deploy/credsmith.yaml

# in CI, where the secrets are not there
credsmith config check --no-references`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return p.checkConfig(!noReferences) },
	}
	cmd.Flags().BoolVar(&noReferences, "no-references", false, "do not look up ${env:NAME}, ${file:PATH} and certificates")
	return cmd
}

// configFault is one thing wrong with the file, in JSON.
type configFault struct {
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Says   string `json:"says"`
}

func (p *program) checkConfig(references bool) error {
	name := p.config.name
	if name == "" {
		name = config.DefaultFile
	}
	c, err := config.Load(name, p.LookupEnv)
	if err == nil && references {
		err = c.Resolve()
	}
	faults := []configFault{}
	all, listed := errors.AsType[config.Errors](err)
	if err != nil && !listed {
		return usage("name another file with --config", "%w", err)
	}
	for _, e := range all {
		faults = append(faults, configFault{e.At.Line, e.At.Column, e.Says})
	}
	if p.json {
		if err := p.writeJSON(map[string]any{"file": name, "faults": faults}); err != nil {
			return err
		}
	}
	if len(faults) > 0 {
		for _, e := range all {
			if !p.json {
				p.page().line("%s", clean(e.Error()))
			}
		}
		return found{exitUsage}
	}
	if !p.json {
		p.page().line("%s", clean(fmt.Sprintf("%s is fine: %d tenants, %d bindings", name, len(c.Tenants), len(c.Bindings))))
	}
	return nil
}
