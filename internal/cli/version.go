package cli

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (p *program) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Args:    cobra.NoArgs,
		Example: "credsmith version\ncredsmith version -o json",
		RunE: func(*cobra.Command, []string) error {
			version, revision := "unknown", ""
			if info, ok := debug.ReadBuildInfo(); ok {
				version = info.Main.Version
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						revision = s.Value
					}
				}
			}
			if p.json {
				return p.writeJSON(map[string]string{"version": version, "revision": revision, "go": runtime.Version()})
			}
			p.page().line("credsmith %s %s (%s)", version, revision, runtime.Version())
			return nil
		},
	}
}
