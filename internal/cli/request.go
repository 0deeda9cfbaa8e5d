package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/credsmith/credsmith/internal/request"
	"github.com/credsmith/credsmith/internal/standin"
)

type requestFlags struct {
	listen string
	count  int
}

func (p *program) request() *cobra.Command {
	var f requestFlags
	cmd := &cobra.Command{
		Use:   "request [FILE|-]",
		Short: "Find every fault of a captured token request",
		Long: `Reads captured requests to the token endpoint, names every fault of each at once
with its place (line:column), and prints the request as it should be with the
secret masked. Nothing is sent. It reads:

- raw HTTP, and .http or .rest files with variables and several requests
- curl as quoted for bash, PowerShell or cmd.exe
- Invoke-RestMethod and Invoke-WebRequest with what a script gives them
- HAR files and Postman collections (v2.1)
- logs: curl -v and --trace-ascii, Python's http.client and urllib3, azcore,
  .NET's HttpClient, fetch in Node.js. Most leave the body out: then only
  method, URL and headers are looked at (exit 3 if nothing is wrong with them).

With -o json the result is one object, or an array if the file holds several
requests. If a part of the file cannot be read, the rest is shown all the same
and the exit code is 2.

With --listen it stands in for the token endpoint on a loopback address: point
the application at http://ADDRESS/<tenant> and let it sign in. Each request is
linted on standard output (with -o json one object a line), and the application
gets an OAuth error that says what was found. Nothing is forwarded and no token
issued. It speaks plain HTTP only: a client that insists on https (MSAL and
azidentity do) cannot reach it; capture its request, or use credsmith lab. It
stops on Ctrl-C (exit 130) or after --count requests.

` + exitCodes,
		Example: `credsmith request captured.http
pbpaste | credsmith request -
credsmith request captured.http -o json

# an application signs in to http://127.0.0.1:8400/<tenant>
credsmith request --listen 127.0.0.1:8400`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.count < 0:
				return usage("give the number of requests to wait for, or 0 for no end", "--count %d is below 0", f.count)
			case f.listen != "" && len(args) > 0:
				return usage("leave one of them out", "both a file and --listen are given")
			case f.listen != "":
				return p.listenForRequests(cmd.Context(), f)
			case len(args) == 0:
				return usage("name a file, - for standard input, or --listen 127.0.0.1:8400", "no request is given")
			}
			return p.runRequest(args[0])
		},
	}
	cmd.Flags().StringVar(&f.listen, "listen", "", "loopback address to stand in for the token endpoint on")
	cmd.Flags().IntVar(&f.count, "count", 0, "with --listen: stop after this many requests (default no end)")
	return cmd
}

// listenForRequests lints what applications send until it is stopped.
func (p *program) listenForRequests(ctx context.Context, f requestFlags) error {
	server, err := standin.Listen(ctx, f.listen)
	if err != nil {
		return usage("choose a free port of a loopback address, such as 127.0.0.1:8400", "%w", err)
	}
	fmt.Fprintf(p.Stderr, "listening on %s (plain HTTP, loopback only); stop with Ctrl-C\n", server.URL())
	n, faults := 0, 0
	err = server.Serve(ctx, f.count, func(r request.Report) error {
		n, faults = n+1, faults+len(r.Faults)
		if p.json {
			return p.writeJSONLine(r)
		}
		page := p.page()
		page.line("%s", page.bold(fmt.Sprintf("request %d", n)))
		page.linted(r)
		return nil
	})
	if err == nil && faults > 0 {
		err = found{exitProblem}
	}
	return err
}

func (p *program) runRequest(file string) error {
	data, err := p.readInput(file)
	if err != nil {
		return err
	}
	captured, unread := request.Parse(data)
	if unread != nil {
		hint := "capture the POST to …/oauth2/v2.0/token with its headers and body"
		if e, ok := errors.AsType[*request.Error](unread); ok {
			unread, hint = e.Err, e.Next
		}
		unread = usage(hint, "read a request from %s: %w", nameOf(file), unread)
	}
	if len(captured) == 0 {
		return unread
	}
	reports := make([]request.Report, len(captured))
	faults, notes := 0, false
	for i, c := range captured {
		reports[i] = request.Lint(c)
		faults += len(reports[i].Faults)
		notes = notes || reports[i].Note != ""
	}
	switch {
	case p.json && len(reports) == 1:
		err = p.writeJSON(reports[0])
	case p.json:
		err = p.writeJSON(reports)
	default:
		p.showRequests(captured, reports)
	}
	if err == nil {
		err = unread // the rest was looked at all the same
	}
	switch {
	case err != nil:
	case faults > 0:
		err = found{exitProblem}
	case notes:
		err = found{exitCannotTell}
	}
	return err
}

func (p *program) showRequests(captured []request.Captured, reports []request.Report) {
	page := p.page()
	for i, r := range reports {
		if len(reports) > 1 {
			page.line("%s", page.bold("request at "+clean(captured[i].Place)))
		}
		page.linted(r)
	}
}

// linted shows what was found in one request.
func (g page) linted(r request.Report) {
	switch {
	case len(r.Faults) == 0 && r.Note != "":
		g.line("%s: nothing is wrong with what the capture shows", g.verdict("inconclusive"))
	case len(r.Faults) == 0:
		g.line("%s: the request is well formed", g.verdict("working"))
	}
	for _, f := range r.Faults {
		at := f.At
		if f.Line > 0 {
			at = fmt.Sprintf("%s, %d:%d", at, f.Line, f.Column)
		}
		g.line("%s (%s): %s", g.bold(f.Cause), clean(at), clean(f.Says))
	}
	if r.Note != "" {
		g.line("note: %s", r.Note)
	}
	if len(r.Faults) > 0 {
		g.line("\n%s\n\n%s", g.faint("as it should be:"), r.Corrected)
	}
}

// maxInput bounds a file that is read whole.
const maxInput = 64 << 20

// readInput reads a file, or standard input for "-".
func (p *program) readInput(file string) ([]byte, error) {
	in := p.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, usage("name a file that can be read, or - for standard input", "open %s: %w", file, reasonOf(err))
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	switch {
	case err != nil:
		return nil, usage("name a file that can be read, or - for standard input", "read %s: %w", nameOf(file), reasonOf(err))
	case len(data) > maxInput:
		return nil, usage("cut out the part that matters", "%s is larger than %d MiB", nameOf(file), maxInput>>20)
	}
	return data, nil
}

func nameOf(file string) string {
	if file == "-" {
		return "standard input"
	}
	return file
}

// reasonOf is an error of the file system without the path it repeats.
func reasonOf(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}
