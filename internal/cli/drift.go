package cli

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/credsmith/credsmith/internal/drift"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/setting"
)

func (p *program) drift() *cobra.Command {
	var stores bool
	cmd := &cobra.Command{
		Use:   "drift PATH...",
		Short: "Compare settings across environments and files",
		Long: `Lays the settings found in files and directories side by side, app by app, and
says what has come apart:

  one-place-missed  comparable places of one app hold different values
  tenant-differs    one app is paired with different tenants
  shared-value      two apps, or production and another environment, hold one value
  pinned-version    a Key Vault reference names one version of its secret

Values are compared by fingerprints under a key that stays on this machine. The
record of credsmith's own rotations, where there is a configuration with a store,
proves a missed place. Nothing is sent, but with --stores the places that the
bindings name are read too, such as Key Vault and Kubernetes. docs/settings.md lists the files that are read.

Environments are guessed from file names, directories and profiles, under one
name each: production, prd and live are prod, stage, stg, uat and preprod are
staging, development is dev, qa is test. Two of them may hold different values of one app: that alone is no
drift. Exit code 3 when no drift is seen but a file could not be read, or nothing
was found.

` + exitCodes,
		Example: `credsmith drift .
credsmith drift deploy/staging deploy/prod -o json
credsmith drift . --stores`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && !stores {
				return usage("name files or directories, such as .", "nothing to compare")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return p.runDrift(cmd.Context(), stores, args) },
	}
	cmd.Flags().BoolVar(&stores, "stores", false, "read the places of the configured bindings too")
	return cmd
}

func (p *program) runDrift(ctx context.Context, stores bool, paths []string) error {
	result, err := findSettings(ctx, paths)
	if err != nil {
		return err
	}
	p.showUnread(result)
	unread := len(result.Errors) > 0
	if stores {
		held, whole, err := p.storedSettings(ctx, result.Settings)
		if err != nil {
			return err
		}
		result.Settings, unread = append(result.Settings, held...), unread || !whole
	}
	key := p.fingerprints()
	var places []drift.Place
	for _, f := range result.Settings {
		places = append(places, drift.Place{
			Origin: f.Origin, Environment: f.Environment, TenantID: secret.Shown(f.TenantID), ClientID: f.ClientID,
			Fingerprint: comparablePrint(key, f), Pinned: f.Secret.Pinned,
		})
	}
	apps := drift.Compare(places, changesOf(p.journal(ctx).rotations))
	for i := range apps {
		apps[i].ClientID = secret.Shown(apps[i].ClientID)
	}
	if p.json {
		err = p.writeJSON(map[string]any{"apps": apps})
	} else {
		p.page().drift(apps)
	}
	if err != nil {
		return err
	}
	if len(apps) == 0 {
		p.showNothingFound()
	}
	return fromExit(drift.Found(apps), len(apps) == 0 || unread)
}

// comparablePrint is the fingerprint of a value that can be compared: what is
// empty, or a placeholder such as changeme, says nothing about a secret.
func comparablePrint(key secret.Key, f setting.Found) string {
	if kind := f.Value.Shape().Kind; kind == secret.Empty || kind == secret.Placeholder {
		return ""
	}
	return key.Fingerprint(f.Value)
}

func (g page) drift(apps []drift.App) {
	for i, app := range apps {
		if i > 0 {
			g.line("")
		}
		name := "app " + app.ClientID
		if app.ClientID == "" {
			name = "no client id"
		}
		g.line("%s", g.bold(name))
		rows := [][]string{{"environment", "tenant", "value", "place"}}
		for _, p := range app.Places {
			print := p.Fingerprint
			rows = append(rows, []string{dash(p.Environment), dash(p.TenantID), dash(print[:min(8, len(print))]), p.Origin})
		}
		g.table(rows)
		for _, d := range app.Drift {
			g.item("%s: %s", g.bold(string(d.Kind)), clean(d.Says))
		}
		if len(app.Drift) == 0 {
			g.line("  no drift")
		}
		for _, note := range app.Notes {
			g.line("  %s", g.faint("note: "+clean(note)))
		}
	}
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// table prints rows in columns; the first row is the head.
func (g page) table(rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(clean(cell)))
		}
	}
	for n, row := range rows {
		line := ""
		for i, cell := range row {
			if i == len(row)-1 {
				line += clean(cell)
				break
			}
			line += fmt.Sprintf("%-*s  ", widths[i], clean(cell))
		}
		if n == 0 {
			line = g.faint(line)
		}
		g.line("  %s", line)
	}
}
