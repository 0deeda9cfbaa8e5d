package cli

import (
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/credsmith/credsmith/internal/request"
)

func (p *program) request() *cobra.Command {
	return &cobra.Command{
		Use:   "request FILE|-",
		Short: "Find every fault of a captured token request",
		Long: `Reads one captured request to the token endpoint (raw HTTP, a curl command line
or a HAR file), names every fault at once, and prints the request as it should
be with the secret masked. Nothing is sent.

With -o json the result is one object, or an array if the file holds several
requests.

` + exitCodes,
		Example: `credsmith request captured.http
pbpaste | credsmith request -
credsmith request captured.http -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return p.runRequest(args[0]) },
	}
}

func (p *program) runRequest(file string) error {
	data, err := p.readInput(file)
	if err != nil {
		return err
	}
	captured, err := request.Parse(data)
	if err != nil {
		hint := "capture the POST to …/oauth2/v2.0/token with its headers and body"
		if e, ok := errors.AsType[*request.Error](err); ok {
			err, hint = e.Err, e.Next
		}
		return usage(hint, "read a request from %s: %w", nameOf(file), err)
	}
	reports := make([]request.Report, len(captured))
	faults := 0
	for i, c := range captured {
		reports[i] = request.Lint(c)
		faults += len(reports[i].Faults)
	}
	switch {
	case p.json && len(reports) == 1:
		err = p.writeJSON(reports[0])
	case p.json:
		err = p.writeJSON(reports)
	default:
		p.showRequests(captured, reports)
	}
	if err == nil && faults > 0 {
		err = found{exitProblem}
	}
	return err
}

func (p *program) showRequests(captured []request.Captured, reports []request.Report) {
	page := p.page()
	for i, r := range reports {
		if len(reports) > 1 {
			page.line("%s", page.bold("request at "+clean(captured[i].Place)))
		}
		if len(r.Faults) == 0 {
			page.line("%s: the request is well formed", page.verdict("working"))
			continue
		}
		for _, f := range r.Faults {
			page.line("%s (%s): %s", page.bold(f.Cause), clean(f.At), clean(f.Says))
		}
		page.line("\n%s\n\n%s", page.faint("as it should be:"), r.Corrected)
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
