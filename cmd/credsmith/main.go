// Credsmith keeps applications that sign in to Microsoft Entra ID with client
// secrets working.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/credsmith/credsmith/internal/cli"
)

func main() { os.Exit(run()) }

func run() int {
	noDumps()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl+C ends what does not listen, such as the opening of a pipe that nobody writes
	return cli.Run(ctx, os.Args[1:], cli.Env{LookupEnv: os.LookupEnv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
}
