package cli

import (
	"context"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/logscan"
)

type logsOptions struct {
	since, until     string
	zone             string
	apps, codes      []string
	include, exclude []string
	failOn           []string
	follow           bool
	changes          []string
	report           string
}

func (p *program) logs() *cobra.Command {
	var o logsOptions
	cmd := &cobra.Command{
		Use:   "logs [FILE|DIR|-]...",
		Short: "Find failed sign-ins in logs and group them into incidents",
		Long: `Reads logs of any size and rendering (text, JSON lines, logfmt, Docker, CRI, syslog;
gzip and zstd) and says which apps failed to sign in, with which codes, since
when, and what the pattern speaks for. Nothing is sent. A failure that is printed
several times counts once. Client secrets in the logs are reported by position and
fingerprint and never printed.

Exports of Entra sign-in logs, Log Analytics and Application Insights (JSON, CSV) are
read record by record.

Without an argument it reads standard input. Times without a zone are those of --zone.

Exit codes: 0 no incident and no secret, 1 some, 2 usage, 3 a log could not be read,
130 interrupted (with --follow, Ctrl-C is the usual end).`,
		Example: `credsmith logs app.log
credsmith logs /var/log/pods --include '*.log' --since 24h
kubectl logs deploy/billing | credsmith logs -o json
credsmith logs --follow /var/log/app.log
credsmith logs app.log --changes changes.json --report report.html`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return p.runLogs(cmd.Context(), args, o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.since, "since", "", "leave out failures before: a time (2026-01-02T15:04:05Z) or so long ago (24h)")
	flags.StringVar(&o.until, "until", "", "leave out failures from then on: a time or so long ago")
	flags.StringVar(&o.zone, "zone", "UTC", "the zone of times that name none, such as Europe/Berlin or +02:00")
	flags.StringSliceVar(&o.apps, "app", nil, "only these client ids")
	flags.StringSliceVar(&o.codes, "code", nil, "only these codes, such as 7000215")
	flags.StringSliceVar(&o.include, "include", nil, "in directories, only files that match, such as '*.log'")
	flags.StringSliceVar(&o.exclude, "exclude", nil, "in directories, no files that match")
	flags.BoolVarP(&o.follow, "follow", "f", false, "go on reading as the logs grow and are rotated; show incidents as they change; Ctrl-C ends with the summary")
	flags.StringSliceVar(&o.changes, "changes", nil, "files or directories that say what was changed: Entra audit export, Kubernetes events, git log, deployments; JSON or CSV with a time")
	flags.StringVar(&o.report, "report", "", "write the incidents to this HTML file as well")
	flags.StringSliceVar(&o.failOn, "fail-on", []string{"any"}, "what exits 1: any, none, secrets, or classes such as secret_expired")
	return cmd
}

// What is asked of the runtime while logs are read.
const (
	memoryWanted = 34 << 20 // bytes
	rarely       = 400      // percent of what is live, between two collections
)

func (p *program) runLogs(ctx context.Context, args []string, o logsOptions) error {
	options, err := p.logsScanOptions(o)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		if isTerminal(p.Stdin) {
			return usage("name a file or a directory, or pipe a log in", "no log to read")
		}
		args = []string{"-"}
	}
	// What is live is far less; this keeps the collector from letting it double.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryWanted))
	defer debug.SetGCPercent(debug.SetGCPercent(rarely)) // the limit is reached before
	reader := logReader{scan: logscan.New(options), include: o.include, exclude: o.exclude, stdin: p.Stdin}
	if err := p.readLogs(ctx, &reader, args, o.follow); err != nil {
		return err
	}
	result := reader.scan.Result()
	changes := reader.changes(ctx, o.changes, options.Now)
	own, err := ownRotations(p.journal(ctx).rotations, options.Now)
	if err != nil {
		return err
	}
	result.Explain(append(changes, own...))
	result.Errors = append(result.Errors, reader.errors...)
	if err := saveLogsReport(o.report, result); err != nil {
		return err
	}
	if err := p.showLogs(result, o.follow); err != nil {
		return err
	}
	switch {
	case logsFail(result, o.failOn):
		return found{exitProblem}
	case len(result.Errors) > 0:
		return found{exitCannotTell}
	}
	return nil
}

func (p *program) readLogs(ctx context.Context, reader *logReader, names []string, follow bool) error {
	if follow {
		if slices.Contains(names, "-") {
			return usage("leave out --follow: a pipe is read until it ends", "standard input cannot be followed")
		}
		return reader.follow(ctx, names, p.followed())
	}
	for _, name := range names {
		if err := reader.read(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) showLogs(r logscan.Result, follow bool) error {
	switch {
	case p.json && follow:
		return p.writeJSONLine(map[string]any{"event": "summary", "at": time.Now().UTC(), "result": r})
	case p.json:
		return p.writeJSON(r)
	}
	p.page().logs(r)
	return nil
}

func (p *program) logsScanOptions(o logsOptions) (logscan.Options, error) {
	zone, err := logsZone(o.zone)
	if err != nil {
		return logscan.Options{}, err
	}
	options := logscan.Options{Now: time.Now().In(zone)}
	if options.Since, err = logsTime(o.since, options.Now); err != nil {
		return options, err
	}
	if options.Until, err = logsTime(o.until, options.Now); err != nil {
		return options, err
	}
	for _, app := range o.apps {
		options.Apps = append(options.Apps, strings.ToLower(app))
	}
	for _, given := range o.codes {
		code, err := strconv.Atoi(strings.TrimPrefix(strings.ToUpper(given), "AADSTS"))
		if err != nil || code < 0 {
			return options, usage("give the number, as in --code 7000215", "--code %s is no code", given)
		}
		options.Codes = append(options.Codes, code)
	}
	for _, pattern := range slices.Concat(o.include, o.exclude) {
		if _, err := path.Match(pattern, ""); err != nil {
			return options, usage("* stands for any name, ? for one character", "%s is no pattern", pattern)
		}
	}
	known := logsClasses()
	for _, word := range o.failOn {
		if !slices.Contains(known, word) {
			return options, usage("use one of "+strings.Join(known, ", "), "--fail-on %s is not known", word)
		}
	}
	options.Key = p.fingerprints()
	return options, nil
}

// logsClasses are the words that --fail-on knows.
func logsClasses() []string {
	known := []string{"any", "none", "secrets"}
	for entry := range aadsts.All() {
		if !slices.Contains(known, string(entry.Category)) {
			known = append(known, string(entry.Category))
		}
	}
	return known
}

func logsFail(r logscan.Result, failOn []string) bool {
	if slices.Contains(failOn, "any") && len(r.Incidents)+len(r.Secrets) > 0 || slices.Contains(failOn, "secrets") && len(r.Secrets) > 0 {
		return true
	}
	return slices.ContainsFunc(r.Incidents, func(in logscan.Incident) bool { return slices.Contains(failOn, in.Class) })
}

func logsZone(given string) (*time.Location, error) {
	for _, layout := range []string{"-07:00", "-0700"} {
		if at, err := time.Parse(layout, given); err == nil {
			return at.Location(), nil
		}
	}
	zone, err := time.LoadLocation(given)
	if err != nil || given == "" {
		return nil, usage("use a name such as Europe/Berlin, or +02:00", "--zone %s is not known", given)
	}
	return zone, nil
}

func logsTime(given string, now time.Time) (time.Time, error) {
	if given == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(given); err == nil {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, given, now.Location()); err == nil {
			return at, nil
		}
	}
	return time.Time{}, usage("use 2026-01-02T15:04:05Z, 2026-01-02 or 24h", "%s is no time", given)
}
