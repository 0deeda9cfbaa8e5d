package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/credsmith/credsmith/internal/logscan"
)

// What fits a screen: a line for each of the first incidents, and the first
// few in full.
const (
	maxShown = 10
	maxFull  = 2
	maxLines = 3 // of evidence, of changes, of places
)

func (g page) logs(r logscan.Result) {
	g.line("%s in %d lines (%.1f MiB), printed %d times", counted(r.Failures, "failure", "failures"), r.Lines, float64(r.Bytes)/(1<<20), r.Occurrences)
	if len(r.Incidents) == 0 {
		g.line("No failed sign-in is in these logs.")
	}
	if len(r.Incidents) > 1 {
		g.incidents(r.Incidents)
	}
	full := min(len(r.Incidents), maxFull)
	for _, in := range r.Incidents[:full] {
		g.incident(in)
	}
	if rest := len(r.Incidents) - full; rest > 0 {
		g.line("\n%s not in full: see -o json or --report, or choose with --app, --code, --since", counted(int64(rest), "incident is", "incidents are"))
	}
	if len(r.Secrets) > 0 || r.MoreSecrets > 0 {
		g.section("client secrets in the logs: replace them")
		for i, s := range r.Secrets {
			if i == maxShown {
				g.line("%d more: see -o json", len(r.Secrets)-maxShown+int(r.MoreSecrets))
				break
			}
			g.item("%s at byte %d, %d characters, %d times, fingerprint %s", s.File, s.Offset, s.Length, s.Times, s.Fingerprint)
		}
	}
	if len(r.Errors) > 0 {
		g.section("not read, or not to the end")
		for _, e := range r.Errors {
			g.item("%s: %s", e.File, e.Error)
		}
	}
	if len(r.Incidents) > 0 {
		for i, note := range r.Notes {
			if i == 0 {
				g.line("")
			}
			g.line("%s", g.faint(clean(note)))
		}
	}
}

func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// incidents is the table of all of them.
func (g page) incidents(list []logscan.Incident) {
	const bars = 20
	g.line("\n%s", g.faint(fmt.Sprintf("%2s  %-36s  %-14s %8s  %-16s  %-20s  %s", "", "app", "class", "failures", "started", "rate", "pattern")))
	for i, in := range list {
		if i == maxShown {
			g.line("%2s  and %d more", "", len(list)-maxShown)
			return
		}
		started := "unknown"
		if in.Started != nil {
			started = in.Started.Format("2006-01-02 15:04")
		}
		g.line("%2d  %-36s  %-14s %8d  %-16s  %s  %s", i+1, clean(appOf(in)), in.Class, in.Failures, started, padded(sparkline(narrowed(in.Rate, bars)), bars), in.Pattern)
	}
}

func appOf(in logscan.Incident) string { return cmp.Or(in.AppID, in.Name, "(app not named)") }

// padded fills up with spaces: fmt would count the bytes of bars.
func padded(text string, width int) string {
	return text + strings.Repeat(" ", max(width-len([]rune(text)), 0))
}

// narrowed adds up neighbours until so many are left.
func narrowed(rate []uint32, parts int) []uint32 {
	if len(rate) <= parts {
		return rate
	}
	out := make([]uint32, parts)
	for i, n := range rate {
		out[i*parts/len(rate)] += n
	}
	return out
}

// incident shows one in full.
func (g page) incident(in logscan.Incident) {
	codes := make([]string, len(in.Codes))
	for i, code := range in.Codes {
		codes[i] = "AADSTS" + strconv.Itoa(code)
		if code <= 0 {
			codes[i] = "(code lost)"
		}
	}
	title := appOf(in)
	if in.Name != "" && in.Name != title {
		title += " " + in.Name
	}
	g.line("\n%s  %s  %s", g.bold(clean(title)), in.Class, g.faint(strings.Join(codes, " ")))
	g.row("failures", "%d, %s  %s", in.Failures, in.Pattern, sparkline(in.Rate))
	if in.First != nil {
		ongoing := ""
		if in.Ongoing {
			ongoing = ", to the end of the logs"
		}
		g.row("from", "%s to %s%s", in.First.Format(time.DateTime+"Z"), in.Last.Format(time.DateTime+"Z"), ongoing)
		g.row("started", "%s%s", in.Started.Format(time.DateTime+"Z"), errorBar(in.StartedWithin))
	}
	g.row("speaks for", "%s", in.Meaning)
	for _, evidence := range in.Evidence[:min(len(in.Evidence), maxLines)] {
		g.row("", "%s", evidence)
	}
	g.where(in)
	for _, c := range in.Changes[:min(len(in.Changes), maxLines)] {
		g.row("before it", "%s %s (%s%s)", c.At.Format(time.DateTime+"Z"), c.What, c.Source, whose(c))
	}
	if len(in.Likely) > 0 {
		g.row("likely", "%s", strings.Join(in.Likely, ", "))
	}
	for i, run := range in.Run[:min(len(in.Run), maxLines)] {
		label := ""
		if i == 0 {
			label = "to prove it"
		}
		g.row(label, "%s", run)
	}
}

func errorBar(within float64) string {
	switch {
	case within < 0:
		return " or before: the logs begin in it"
	case within == 0:
		return ""
	}
	return fmt.Sprintf(", or up to %s before", time.Duration(within*float64(time.Second)).Round(time.Second))
}

func whose(c logscan.Change) string {
	text := ""
	for _, touched := range c.Touches {
		text += ", this " + touched
	}
	return text
}

// where says what fails, what does not, and what signs in.
func (g page) where(in logscan.Incident) {
	var fails []string
	for _, p := range in.Places {
		name := placeName(p)
		if p.Failures > 0 && !slices.Contains(fails, name) {
			fails = append(fails, name)
		}
	}
	g.row("where", "%s", listed(fails))
	if len(in.QuietPlaces) > 0 {
		g.row("not in", "%s", listed(in.QuietPlaces))
	}
	if in.Succeeded != nil {
		g.row("let in", "%s of the app meanwhile, %d in all, with key id %s", counted(in.Succeeded.During, "sign-in", "sign-ins"), in.Succeeded.Times, listed(in.Succeeded.KeyIDs))
	}
	var clients []string
	for _, c := range in.Clients {
		clients = append(clients, c.Name)
	}
	if len(clients) > 0 {
		g.row("signs in", "%s", listed(clients))
	}
}

func placeName(p logscan.Place) string {
	var parts []string
	for _, part := range []string{p.Environment, p.Workload, p.Pod, p.Container, p.Host} {
		if part != "" && !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	if p.Pod == "" && p.Host == "" && p.Container == "" {
		return p.File
	}
	return strings.Join(parts, "/")
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	text := strings.Join(names[:min(len(names), maxLines)], ", ")
	if len(names) > maxLines {
		text += fmt.Sprintf(" and %d more", len(names)-maxLines)
	}
	return text
}

// sparkline draws counts as bars of eight heights.
func sparkline(rate []uint32) string {
	const bars = "▁▂▃▄▅▆▇█"
	most := uint32(1)
	for _, n := range rate {
		most = max(most, n)
	}
	var line strings.Builder
	for _, n := range rate {
		if n == 0 {
			line.WriteByte(' ')
			continue
		}
		line.WriteRune([]rune(bars)[(uint64(n)*8-1)/uint64(most)])
	}
	return strings.TrimRight(line.String(), " ")
}
