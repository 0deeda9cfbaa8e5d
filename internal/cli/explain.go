package cli

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/credsmith/credsmith/internal/consumer"
	"github.com/credsmith/credsmith/internal/explain"
	"github.com/credsmith/credsmith/internal/text"
)

func (p *program) explain() *cobra.Command {
	return &cobra.Command{
		Use:   "explain [TEXT|CODE|FILE|-]",
		Short: "Say what a sign-in error means and how its causes are told apart",
		Long: `Decodes an error text, code, answer body, URL or log into its failures: code,
meaning, likely causes, next step. Where the text shows which product or library
wrote it, it says where that keeps its secret and how it takes up a new one.
Nothing is sent; the text stays here.

Without an argument it reads standard input.

` + exitCodes,
		Example: `credsmith explain AADSTS7000215
credsmith explain 7000222
credsmith explain "invalid_client (AADSTS7000218: The request body must contain ...)"
credsmith explain app.log
kubectl logs deploy/billing | credsmith explain -o json`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error { return p.runExplain(args) },
	}
}

var codePattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)^(?:AADSTS)?([0-9]{4,8})$`) })

func (p *program) runExplain(args []string) error {
	explained, consumers, err := p.explainArgs(args)
	if err != nil {
		return err
	}
	if p.json {
		err = p.writeJSON(map[string]any{"failures": explained, "consumer": consumers})
	} else {
		p.showExplained(explained, consumers)
		p.page().consumer("written by", consumers)
	}
	if err == nil && !anyKnown(explained) {
		err = found{exitCannotTell}
	}
	return err
}

func anyKnown(explained []explain.Explained) bool {
	for _, e := range explained {
		if e.Known || e.OAuthError != nil {
			return true
		}
	}
	return false
}

// explainArgs explains what the command line names, and says whose error it is.
func (p *program) explainArgs(args []string) ([]explain.Explained, []consumer.Match, error) {
	read := func(data []byte, err error) ([]explain.Explained, []consumer.Match, error) {
		data = text.UTF8(data)
		return explain.Text(data), consumer.Recognize(string(data)), err
	}
	given := strings.Join(args, " ")
	switch {
	case len(args) == 0 && isTerminal(p.Stdin):
		return nil, nil, usage("paste the error in quotes, name a file, or pipe it in", "nothing to explain")
	case len(args) == 0 || given == "-":
		return read(p.readInput("-"))
	}
	if m := codePattern().FindStringSubmatch(given); m != nil {
		code, err := strconv.Atoi(m[1])
		return []explain.Explained{explain.Code(code)}, []consumer.Match{}, err
	}
	// A text may be too long for a file name, or hold a slash: only what opens
	// is a file.
	if len(args) == 1 {
		if info, err := os.Stat(given); err == nil {
			if info.IsDir() {
				return nil, nil, usage("name a file", "%s is a directory", given)
			}
			return read(p.readInput(given))
		}
	}
	return read([]byte(given), nil)
}

func (p *program) showExplained(explained []explain.Explained, consumers []consumer.Match) {
	page := p.page()
	if len(explained) == 0 && len(consumers) > 0 && consumers[0].CodeLost {
		page.line("%s is known to write errors of sign-in without the AADSTS code, and this text has none.", consumers[0].Name)
		page.line("next: credsmith doctor, with the setting it uses, sees the whole answer")
		return
	}
	if len(explained) == 0 {
		page.line("No AADSTS code, OAuth error or known sign-in failure is in this text.")
		page.line("next: give the whole answer of the token endpoint, or run credsmith doctor")
		return
	}
	for i, e := range explained {
		if i > 0 {
			page.line("")
		}
		page.explained(e)
	}
}

// consumer shows the likeliest of what may have written the text.
func (g page) consumer(title string, matches []consumer.Match) {
	if len(matches) == 0 {
		return
	}
	m := matches[0]
	g.section(title + " " + m.Name)
	g.row("secret", "%s", m.Secret)
	g.row("caches", "%s", m.Caches)
	g.row("reload", "%s", m.Reload)
	if m.HowSure == consumer.Recalled {
		g.row("", "(not verified: known from recollection only)")
	}
}

func (g page) explained(e explain.Explained) {
	head := "no code"
	if e.Code != nil {
		head = "AADSTS" + strconv.Itoa(*e.Code)
	}
	if e.OAuthError != nil {
		head += "  " + *e.OAuthError
	}
	g.line("%s  %s", g.bold(clean(head)), g.faint(e.Category))
	for _, id := range []struct {
		label string
		value *string
	}{{"app", e.AppID}, {"tenant", e.TenantID}, {"trace", e.TraceID}, {"correlation", e.CorrelationID}} {
		if id.value != nil {
			g.row(id.label, "%s", *id.value)
		}
	}
	if e.Timestamp != nil {
		g.row("at", "%s", e.Timestamp.UTC().Format("2006-01-02 15:04:05Z"))
	}
	if len(e.Codes) > 1 {
		var codes []string
		for _, c := range e.Codes {
			codes = append(codes, strconv.Itoa(c))
		}
		g.row("codes", "%s", strings.Join(codes, ", "))
	}
	g.row("means", "%s", e.Meaning)
	if !e.Verified && e.Known {
		g.row("", "(not verified: known from recollection only)")
	}
	g.row("do", "%s", e.Remedy)
	if e.Transient {
		g.row("passes", "it may pass by itself: try again with growing pauses")
	}
	if len(e.Likely) > 0 {
		g.section("likely causes, and how each shows")
		for _, l := range e.Likely {
			g.item("%s: %s", g.bold(string(l.Cause)), l.HowToTell)
		}
		g.line("\nnext: credsmith doctor names the one it is, with proof")
	}
}
