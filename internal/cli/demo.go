package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/credsmith/credsmith/internal/demo"
	"github.com/credsmith/credsmith/internal/diagnose"
)

func (p *program) demo() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Break, diagnose, repair and prove five apps on an emulated tenant",
		Long: `Starts a private emulated tenant inside this process, breaks five apps in five
ways, names each cause with proof, repairs it as the cause demands, and proves
the repair. Nothing leaves this process, and nothing stays behind.

` + exitCodes,
		Example: "credsmith demo\ncredsmith demo -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			bar := p.progress()
			audience := demo.Audience{
				Scene: func(int, int, string) {}, Report: func(diagnose.Report) {}, Repair: func(string) {}, Proven: func(diagnose.Report) {},
				Doing: func(what string) { bar.say("%s", what) },
			}
			if !p.json {
				audience = p.page().audience(bar)
			}
			results, err := demo.Run(cmd.Context(), audience)
			bar.end()
			if err != nil {
				return &failure{exitProblem, fmt.Errorf("demo: %w", err), "the demo needs a temporary directory that can be written (TMPDIR), and nothing else"}
			}
			if p.json {
				return p.writeJSON(results)
			}
			p.page().line("\n%d apps were broken, %d diagnosed and repaired. Now your own: credsmith doctor", len(results), len(results))
			return nil
		},
	}
}

// audience prints the story scene by scene.
func (g page) audience(bar progress) demo.Audience {
	return demo.Audience{
		Doing: func(what string) { bar.say("%s", what) },
		Scene: func(number, of int, title string) {
			bar.end()
			if number > 1 {
				g.line("")
			}
			g.line("%s", g.bold(fmt.Sprintf("%d/%d  %s", number, of, title)))
		},
		Report: func(r diagnose.Report) {
			bar.end()
			g.headline(r)
			for _, e := range r.Evidence {
				g.item("%s", clean(e.Says))
			}
			for _, e := range r.RuledOut[:min(3, len(r.RuledOut))] {
				g.item("not %s: %s", e.Cause, clean(e.Because))
			}
		},
		Repair: func(what string) {
			bar.end()
			g.row("repair", "%s", what)
		},
		Proven: func(r diagnose.Report) {
			bar.end()
			g.line("%s  %s", g.verdict(string(r.Verdict)), clean(r.Summary))
		},
	}
}
