// Package cli is the command line: flags in, text or JSON out, an exit code.
// Each command has a file of its own name.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"charm.land/fang/v2"
	"github.com/spf13/cobra"

	"github.com/credsmith/credsmith/internal/config"
	"github.com/credsmith/credsmith/internal/entra"
)

// Env is what the program takes from the operating system.
type Env struct {
	LookupEnv      func(string) (string, bool)
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

func (e Env) get(name string) string {
	v, _ := e.LookupEnv(name)
	return v
}

// Exit codes, the same for every command.
const (
	exitFine        = 0
	exitProblem     = 1   // broken app, findings, a failed rotation
	exitUsage       = 2   // usage or configuration
	exitCannotTell  = 3   // unreachable, not permitted
	exitInterrupted = 130 // as shells have it
)

const exitCodes = `Exit codes: 0 fine, 1 a problem was found, 2 usage or configuration error,
3 could not tell (unreachable, not permitted), 130 interrupted.`

// failure ends a command with a code, one line and a hint.
type failure struct {
	code int
	err  error
	hint string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func usage(hint, format string, args ...any) error {
	return &failure{exitUsage, fmt.Errorf(format, args...), hint}
}

// found ends a command that has said all on standard output.
type found struct{ code int }

func (f found) Error() string { return fmt.Sprintf("exit %d", f.code) }

// program is one run of credsmith.
type program struct {
	Env
	json    bool
	noColor bool
	verbose bool
	config  configFlag
}

// Run runs one command line and returns the exit code.
func Run(ctx context.Context, args []string, env Env) int {
	p := &program{Env: env}
	root := p.root()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	var code int
	err := fang.Execute(ctx, root, fang.WithoutVersion(), fang.WithoutManpage(), fang.WithColorSchemeFunc(fang.AnsiColorScheme),
		fang.WithErrorHandler(func(_ io.Writer, _ fang.Styles, err error) { code = p.fail(ctx, err) }))
	if err == nil {
		return exitFine
	}
	return code
}

// fail prints an error the way all commands do and returns its exit code.
func (p *program) fail(ctx context.Context, err error) int {
	if f, ok := errors.AsType[found](err); ok {
		return f.code
	}
	if ctx.Err() != nil {
		fmt.Fprintln(p.Stderr, "credsmith: interrupted")
		return exitInterrupted
	}
	code, hint := exitUsage, "run the command with --help"
	if f, ok := errors.AsType[*failure](err); ok {
		code, hint = f.code, f.hint
	} else if u, ok := errors.AsType[*entra.Unreachable](err); ok {
		code, hint = exitCannotTell, u.Hint
	}
	fmt.Fprintln(p.Stderr, "credsmith: "+oneLine(err.Error()))
	if hint != "" {
		fmt.Fprintln(p.Stderr, "hint: "+hint)
	}
	return code
}

func oneLine(text string) string { return clean(strings.Join(strings.Fields(text), " ")) }

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "credsmith",
		Short: "Keep apps that sign in to Microsoft Entra ID with client secrets working",
		Long: `Credsmith names the one cause behind AADSTS7000215 (invalid client secret) and
its neighbours, and proves it.

` + exitCodes,
		Example: `# see it work on an emulated tenant
credsmith demo

# what does this error mean?
credsmith explain AADSTS7000215

# why does this app not sign in? (reads AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET)
credsmith doctor`,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			switch output, _ := cmd.Flags().GetString("output"); output {
			case "text":
			case "json":
				p.json = true
			default:
				return usage("use -o text or -o json", "-o %s is not an output format", output)
			}
			return nil
		},
	}
	root.PersistentFlags().StringP("output", "o", "text", "output format: text or json")
	root.PersistentFlags().BoolVar(&p.noColor, "no-color", false, "no colour, also on a terminal")
	root.PersistentFlags().BoolVarP(&p.verbose, "verbose", "v", false, "say on standard error what is being done")
	root.PersistentFlags().StringVar(&p.config.name, "config", "", "configuration file (default "+config.DefaultFile+" if there is one)")
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("run "+cmd.CommandPath()+" --help", "%w", err)
	})
	root.AddCommand(p.demo(), p.explain(), p.doctor(), p.drift(), p.request(), p.logs(), p.rotate(), p.audit(), p.lab(), p.configCommand(), p.version())
	return root
}
