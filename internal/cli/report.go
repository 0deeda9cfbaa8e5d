package cli

import (
	"fmt"
	"strings"

	"github.com/credsmith/credsmith/internal/diagnose"
)

// report prints a diagnosis for people: the verdict first, the proof after.
func (g page) report(r diagnose.Report) {
	g.headline(r)
	g.line("")
	if r.Setting.Origin != "" {
		g.row("setting", "app %s in tenant %s, from %s", r.Setting.ClientID, r.Setting.TenantID, r.Setting.Origin)
		g.row("value", "%s", valueLine(r.Setting.Value))
	}
	if e := r.Error; e != nil {
		g.row("error", "%s", errorLine(*e))
	}
	g.details(r)
}

func valueLine(v diagnose.ValueFacts) string {
	value := fmt.Sprintf("%d characters, %s", v.Length, v.Shape)
	if v.Hint != "" {
		value += ", begins " + v.Hint
	}
	if v.Fingerprint != "" {
		value += ", fingerprint " + v.Fingerprint[:8]
	}
	return value
}

func (g page) headline(r diagnose.Report) {
	head := g.verdict(string(r.Verdict))
	if r.Cause != nil {
		head += "  " + g.bold(string(*r.Cause)) + "  " + g.faint("("+string(r.Confidence)+")")
	}
	g.line("%s", head)
	g.line("%s", clean(r.Summary))
}

func errorLine(e diagnose.ErrorFacts) string {
	parts := []string{}
	if e.Code != 0 {
		parts = append(parts, fmt.Sprintf("AADSTS%d", e.Code))
	}
	if e.OAuthError != "" {
		parts = append(parts, e.OAuthError)
	}
	if e.TraceID != "" {
		parts = append(parts, "trace "+e.TraceID)
	}
	if e.CorrelationID != "" {
		parts = append(parts, "correlation "+e.CorrelationID)
	}
	if e.Timestamp != nil {
		parts = append(parts, e.Timestamp.UTC().Format("2006-01-02 15:04:05Z"))
	}
	return strings.Join(parts, ", ")
}

func (g page) details(r diagnose.Report) {
	if len(r.Evidence) > 0 {
		g.section("evidence")
		for _, e := range r.Evidence {
			g.item("%s  %s", clean(e.Says), g.faint("["+clean(e.Source)+"]"))
		}
	}
	if len(r.Also) > 0 {
		g.section("also")
		for _, a := range r.Also {
			g.item("%s (%s)", a.Cause, a.Confidence)
		}
	}
	var unknown, excluded reasons
	for _, u := range r.CannotTell {
		unknown.add(u.Cause, u.Because+"; to find out, "+u.ToFindOut)
	}
	for _, e := range r.RuledOut {
		excluded.add(e.Cause, e.Because)
	}
	g.reasons("cannot tell", unknown)
	g.reasons("ruled out", excluded)
	if len(r.Fix) > 0 {
		g.section("fix")
		for i, f := range r.Fix {
			g.fix(i+1, f)
		}
	}
}

// reasons lists causes by the reason they share, in the order they came.
type reasons []struct{ causes, because string }

func (r *reasons) add(c diagnose.Cause, because string) {
	for i := range *r {
		if (*r)[i].because == because {
			(*r)[i].causes += ", " + string(c)
			return
		}
	}
	*r = append(*r, struct{ causes, because string }{string(c), because})
}

func (g page) reasons(title string, list reasons) {
	if len(list) > 0 {
		g.section(title)
	}
	for _, r := range list {
		g.item("%s: %s", r.causes, clean(r.because))
	}
}

func (g page) section(name string)             { g.line("\n%s", g.bold(name)) }
func (g page) item(format string, args ...any) { g.line("  - "+format, args...) }

func (g page) fix(number int, f diagnose.Fix) {
	g.line("  %d. %s", number, clean(f.Do))
	for _, way := range []struct{ label, text string }{
		{"run", f.Run}, {"portal", f.Portal}, {"az", f.Az}, {"powershell", f.PowerShell},
	} {
		if way.text != "" {
			g.line("     %s %s", g.faint(fmt.Sprintf("%-11s", way.label+":")), clean(way.text))
		}
	}
}
