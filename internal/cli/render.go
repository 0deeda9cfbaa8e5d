package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"

	"github.com/credsmith/credsmith/internal/secret"
)

// writeJSON prints v as the command's one result.
func (p *program) writeJSON(v any) error {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return p.writeResult(&text, encoder.Encode(v))
}

// writeResult prints what was encoded, without secrets that stand where
// nobody looks for them.
func (p *program) writeResult(text *strings.Builder, err error) error {
	if err == nil {
		_, err = io.WriteString(p.Stdout, secret.Veil(text.String()))
	}
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// writeJSONLine prints v as one of many results, on one line.
func (p *program) writeJSONLine(v any) error {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	return p.writeResult(&text, encoder.Encode(v))
}

// isTerminal reports whether a stream is one a person watches.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// colour reports whether a stream gets colour: a terminal, unless the user or
// NO_COLOR says no.
func (p *program) colour(w io.Writer) bool {
	_, noColor := p.LookupEnv("NO_COLOR")
	return !p.noColor && !noColor && p.get("TERM") != "dumb" && isTerminal(w)
}

// page writes text for people.
type page struct {
	w      io.Writer
	colour bool
}

func (p *program) page() page { return page{p.Stdout, p.colour(p.Stdout)} }

func (g page) style(s lipgloss.Style, text string) string {
	if !g.colour {
		return text
	}
	return s.Render(text)
}

func (g page) bold(text string) string  { return g.style(lipgloss.NewStyle().Bold(true), text) }
func (g page) faint(text string) string { return g.style(lipgloss.NewStyle().Faint(true), text) }

// verdict colours a word by what it means.
func (g page) verdict(word string) string {
	colour := map[string]string{"working": "2", "broken": "1", "inconclusive": "3"}[word]
	return g.coloured(word, colour)
}

func (g page) coloured(word, colour string) string {
	return g.style(lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color(colour)), word)
}

func (g page) line(format string, args ...any) {
	fmt.Fprintln(g.w, secret.Veil(fmt.Sprintf(format, args...)))
}

// row prints a label and text that came from outside.
func (g page) row(label, format string, args ...any) {
	g.line("%s %s", g.faint(fmt.Sprintf("%-11s", label)), clean(fmt.Sprintf(format, args...)))
}

// clean takes from foreign text what could act on a terminal or forge a line:
// control characters, escape sequences, marks that turn the reading direction.
// A client secret that stands in it is hidden.
func clean(text string) string {
	text = secret.Veil(text)
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, text)
}

// progress is a line on a terminal that says what is being done, and goes.
type progress struct {
	w  io.Writer
	on bool
}

func (p *program) progress() progress { return progress{p.Stderr, isTerminal(p.Stderr)} }

func (g progress) say(format string, args ...any) {
	if g.on {
		fmt.Fprintf(g.w, "\r\033[K%s", clean(fmt.Sprintf(format, args...)))
	}
}

func (g progress) end() {
	if g.on {
		fmt.Fprint(g.w, "\r\033[K")
	}
}
