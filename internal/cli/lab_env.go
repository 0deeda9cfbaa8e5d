package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// envPair is one line of a lab's env file.
type envPair struct{ name, value string }

// readEnvFile reads the KEY=VALUE lines that credsmith lab wrote.
func (p *program) readEnvFile(file string) ([]envPair, error) {
	data, err := p.readInput(file)
	if err != nil {
		return nil, err
	}
	var pairs []envPair
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		if !ok || name == "" || strings.ContainsAny(name, " \t'\"") || strings.ContainsAny(value, "'\x00") {
			return nil, usage("give the file that credsmith lab --env-file wrote", "%s is not an env file of the lab", nameOf(file))
		}
		pairs = append(pairs, envPair{name, value})
	}
	if len(pairs) == 0 {
		return nil, usage("give the file that credsmith lab --env-file wrote", "%s is empty", nameOf(file))
	}
	return pairs, nil
}

// shells is how each shell sets a variable. Values hold no single quote.
var shells = map[string]func(envPair) string{
	"sh":         func(e envPair) string { return "export " + e.name + "='" + e.value + "'" },
	"fish":       func(e envPair) string { return "set -gx " + e.name + " '" + e.value + "'" },
	"powershell": func(e envPair) string { return "$env:" + e.name + " = '" + e.value + "'" },
	"cmd":        func(e envPair) string { return `set "` + e.name + "=" + e.value + `"` },
}

func (p *program) labEnv() *cobra.Command {
	var shell string
	cmd := &cobra.Command{
		Use:   "env ENV-FILE",
		Short: "Print a lab's env file as a shell's commands",
		Long: `Prints the variables of a running lab as commands for a shell to evaluate. The
secrets in it are the lab's own and open nothing else.`,
		Example: `eval "$(credsmith lab env lab.env)"
credsmith lab env lab.env --shell powershell | Out-String | Invoke-Expression`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			write, known := shells[shell]
			if !known {
				return usage("use --shell sh, fish, powershell or cmd", "--shell %s is not known", shell)
			}
			pairs, err := p.readEnvFile(args[0])
			if err != nil {
				return err
			}
			page := p.page()
			for _, pair := range pairs {
				page.line("%s", write(pair))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&shell, "shell", "sh", "sh, fish, powershell or cmd")
	return cmd
}
