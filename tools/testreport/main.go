// Testreport reads `go test -json` from standard input and prints what a
// person wants to see of it: one line a package, the whole output of what
// failed, and every skipped test with its reason. It exits 1 if anything
// failed, or if no test ran.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

type event struct {
	Action, Package, Test, Output, ImportPath string
}

type report struct {
	output                  map[string][]string // by package and test
	passed, failed, skipped int
	skips                   []string
}

func main() {
	r := report{output: map[string][]string{}}
	if err := r.read(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	r.print(os.Stdout)
	if r.failed > 0 || r.passed == 0 {
		os.Exit(1)
	}
}

func (r *report) read(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(out, lines.Text()) // what the go command itself says
			continue
		}
		r.add(e, out)
	}
	return lines.Err()
}

func (r *report) add(e event, out io.Writer) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		r.output[key] = append(r.output[key], e.Output)
	case "build-output":
		fmt.Fprint(out, e.Output)
	case "pass", "skip", "fail":
		if e.Test == "" {
			r.endPackage(e, key, out)
			break
		}
		switch e.Action {
		case "pass":
			r.passed++
		case "skip":
			r.skipped++
			r.skips = append(r.skips, key+": "+reason(r.output[key]))
		case "fail":
			r.failed++
			fmt.Fprint(out, strings.Join(r.output[key], ""))
		}
		delete(r.output, key)
	}
}

func (r *report) endPackage(e event, key string, out io.Writer) {
	text := strings.Join(r.output[key], "")
	if e.Action == "fail" {
		r.failed++
		fmt.Fprint(out, text)
		return
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "ok\t") {
			fmt.Fprint(out, line)
		}
	}
}

// reason is what the test printed last before it said that it is skipped.
func reason(output []string) string {
	why := "no reason given"
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			why = line
		}
	}
	return why
}

func (r *report) print(out io.Writer) {
	for _, skip := range r.skips {
		fmt.Fprintln(out, "skipped:", skip)
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
}
