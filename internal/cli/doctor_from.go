package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/credsmith/credsmith/internal/consumer"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/setting"
	"github.com/credsmith/credsmith/internal/token"
	"github.com/credsmith/credsmith/internal/wire"
)

// maxOpen is how many settings are diagnosed at once. Their reports are let go
// as soon as they are printed, so it bounds memory too.
const maxOpen = 16

// placed is the report on one place. Its JSON has the fields of a report and
// where in the file the setting stands.
type placed struct {
	viewed
	Found placeFacts `json:"found"`
}

// placeFacts is what the files say around a setting.
type placeFacts struct {
	Consumer    string   `json:"consumer"`
	Name        string   `json:"name"`
	Environment string   `json:"environment"`
	TenantIDAt  string   `json:"tenant_id_at"` // file:line:column; "" when it is missing
	ClientIDAt  string   `json:"client_id_at"`
	Notes       []string `json:"notes"`
}

func factsOf(f setting.Found) placeFacts {
	at := func(p setting.Part) string {
		if !p.Set {
			return ""
		}
		if p.Line == 0 {
			return p.File
		}
		return setting.At(p.File, p.Line, p.Column)
	}
	return placeFacts{f.Consumer, f.Name, f.Environment, at(f.Tenant), at(f.Client), append([]string{}, f.Notes...)}
}

// runDoctorFrom diagnoses every setting found in files.
func (p *program) runDoctorFrom(ctx context.Context, f doctorFlags, args []string) error {
	if err := f.fromConflict(args); err != nil {
		return err
	}
	fallback, err := p.authority(f.authority)
	if err != nil {
		return err
	}
	result, err := findSettings(ctx, f.from)
	if err != nil {
		return err
	}
	unread := len(result.Errors) > 0
	if f.stores {
		held, whole, err := p.storedSettings(ctx, result.Settings)
		if err != nil {
			return err
		}
		result.Settings, unread = append(result.Settings, held...), unread || !whole
	}
	client, err := wire.NewClient(p.get("SSL_CERT_FILE"))
	if err != nil {
		return usage("name a file with certificates in PEM", "%w", err)
	}
	defer client.CloseIdleConnections()
	run := &fromRun{program: p, flags: f, pace: newPacer(f.fast)}
	run.signIn = func(authority string) diagnose.SignIn { return token.New(authority, client) }
	run.key, run.journal = p.memory(ctx, &run.base)
	jobs, index := jobsOf(result.Settings, run.key, func(s entra.Setting) (string, error) { return trusted(s, f.authority, fallback) })
	run.known = neighboursOf(jobs)
	if run.seen, err = p.readSeen(f.seen); err != nil {
		return err
	}
	if strangers := run.seen.strangers(jobs); strangers != "" {
		fmt.Fprintln(p.Stderr, "credsmith: "+strangers)
	}
	if run.trial, err = p.trial(f, args, client); err != nil {
		return err
	}
	if err := run.tries(jobs); err != nil {
		return err
	}
	if run.directory, err = p.directory(ctx, f, client); err != nil {
		return err
	}
	run.known.tenants = append(run.directory.tenants(), run.known.tenants...)
	p.showUnread(result)
	run.announce(jobs)
	if p.json {
		err = run.showJSON(ctx, result.Settings, jobs, index)
	} else {
		err = run.showText(ctx, jobs)
	}
	if err != nil {
		return err
	}
	if len(result.Settings) == 0 {
		p.showNothingFound()
		run.open = true
	}
	return fromExit(run.broken, run.open || unread)
}

// fromConflict refuses flags that name another setting.
func (f doctorFlags) fromConflict(args []string) error {
	switch {
	case f.tenantSet || f.clientSet || f.secretEnv != "" || f.secretFile != "" || f.secretStdin:
		return usage("drop --from and --stores to diagnose one setting", "--from reads settings from files: flags for tenant, client id and secret do not go with it")
	case len(args) > 0 && f.try == "":
		return usage("write --from before each file or directory", "%q is one argument too many", args[0])
	}
	return f.check(args)
}

// fromRun is one run over many settings.
type fromRun struct {
	*program
	flags        doctorFlags
	known        neighbours
	pace         *pacer
	base         diagnose.Means
	directory    *directory
	key          secret.Key
	journal      journal
	signIn       func(authority string) diagnose.SignIn
	seen         seen // what --error brought
	trial        trial
	untried      map[string]bool // login hosts whose tokens are not for the trial's address
	says         sync.Mutex      // around standard error
	broken, open bool
}

func (r *fromRun) announce(jobs []*job) {
	n, apps := 0, map[string]bool{}
	for _, j := range jobs {
		if j.complete() {
			n++
			apps[appKey(j.setting)] = true
		}
	}
	if n > 0 && !r.flags.offline {
		fmt.Fprintf(r.Stderr, "sending at most %d token requests for each of %s of %s\n", r.flags.maxTries, count(n, "setting"), count(len(apps), "app"))
	}
}

var plainPath = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\w./+@~][\w./+@~-]*$`) })

// proveFrom names the file in a command that would else read the environment.
func proveFrom(run string, place setting.Found) string {
	rest, ok := strings.CutPrefix(run, "credsmith doctor")
	file := place.Secret.File
	switch {
	case ok && place.Consumer == inStore:
		return "credsmith doctor --stores" + rest
	case !ok || !plainPath().MatchString(file):
		return run
	}
	return "credsmith doctor --from " + file + rest
}

func count(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func (j *job) complete() bool { return j.problem == nil && j.places[0].Complete() }

// diagnose answers for one job.
func (r *fromRun) diagnose(ctx context.Context, j *job) (diagnose.Report, error) {
	if !j.complete() {
		return partial(j), ctx.Err()
	}
	c := diagnose.Case{
		Setting: j.setting, Fingerprint: j.print, Scope: scopeFor(r.flags.scope, j.setting.Authority),
		KnownTenants: r.known.tenantsFor(j.setting), Known: r.known.settingsFor(j),
		Watch: r.flags.wait, MaxTries: r.flags.maxTries, Fast: r.flags.fast, Offline: r.flags.offline,
	}
	means := r.base
	var err error
	if means.Reader, err = r.directory.reader(ctx, j.setting.TenantID); err != nil {
		return diagnose.Report{}, err
	}
	means.SignIn = r.pace.of(j.setting.Authority, r.signIn(j.setting.Authority))
	r.seen.among(&c)
	r.journal.about(&c)
	if !r.untried[j.setting.Authority] {
		if err := r.trial.on(&c, &means); err != nil {
			return diagnose.Report{}, err
		}
	}
	if r.verbose {
		means.Progress = func(e diagnose.Experiment) {
			r.says.Lock()
			defer r.says.Unlock()
			fmt.Fprintf(r.Stderr, "%s: %s\n", oneLine(j.setting.Origin), sayExperiment(e))
		}
	}
	report, err := diagnose.Run(ctx, c, means)
	if err != nil {
		return report, fmt.Errorf("diagnose %s: %w", j.setting.Origin, err)
	}
	for i := range report.Fix {
		report.Fix[i].Run = proveFrom(report.Fix[i].Run, j.places[0])
	}
	return report, nil
}

// tries checks where the tokens of these settings may be used. An address that
// belongs to none of their clouds is a mistake; where it belongs to some, the
// others are diagnosed without.
func (r *fromRun) tries(jobs []*job) error {
	if r.trial.service == "" {
		return nil
	}
	r.untried = map[string]bool{}
	var refused error
	var notes []string
	allowed := false
	for _, j := range jobs {
		authority := j.setting.Authority
		if _, known := r.untried[authority]; known || !j.complete() {
			continue
		}
		c := diagnose.Case{Setting: j.setting}
		err := r.trial.on(&c, &diagnose.Means{})
		if r.untried[authority] = err != nil; err != nil {
			refused = err
			notes = append(notes, fmt.Sprintf("credsmith: tokens of %s are not tried: %s", authority, oneLine(err.Error())))
			continue
		}
		allowed = true
	}
	if !allowed && refused != nil {
		return refused
	}
	for _, note := range notes {
		fmt.Fprintln(r.Stderr, note)
	}
	return nil
}

// each diagnoses jobs side by side and calls show for each in their order. No
// more than maxOpen are under way or wait to be shown.
func (r *fromRun) each(ctx context.Context, jobs []*job, show func(*job, diagnose.Report) error) error {
	ctx, cancel := context.WithCancel(ctx)
	type answer struct {
		report diagnose.Report
		err    error
	}
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	var open []chan answer
	next := 0
	for shown := range jobs {
		for next < len(jobs) && next-shown < maxOpen {
			j, done := jobs[next], make(chan answer, 1)
			running.Go(func() {
				report, err := r.diagnose(ctx, j)
				done <- answer{report, err}
			})
			open, next = append(open, done), next+1
		}
		a := <-open[0]
		open = open[1:]
		if a.err != nil {
			return a.err
		}
		r.broken = r.broken || a.report.Verdict == diagnose.Broken
		r.open = r.open || a.report.Verdict == diagnose.Inconclusive
		if err := show(jobs[shown], a.report); err != nil {
			return err
		}
	}
	return nil
}

// showJSON prints an array with one report for each place, in input order. A
// report is kept while places further on share it.
func (r *fromRun) showJSON(ctx context.Context, all []setting.Found, jobs []*job, index []int) error {
	kept, left := map[int]diagnose.Report{}, make([]int, len(jobs))
	for _, i := range index {
		left[i]++
	}
	shown, at := 0, 0
	fmt.Fprint(r.Stdout, "[")
	err := r.each(ctx, jobs, func(_ *job, report diagnose.Report) error {
		kept[shown] = report
		// Jobs are numbered by their first place.
		for shown++; at < len(index) && index[at] < shown; at++ {
			i := index[at]
			if err := r.showElement(at == 0, placed{viewed{reportAt(kept[i], all[at].Origin), r.flags.bytesAt(all[at]), readersOf(all[at])}, factsOf(all[at])}); err != nil {
				return err
			}
			if left[i]--; left[i] == 0 {
				delete(kept, i)
			}
		}
		return nil
	})
	if at > 0 {
		fmt.Fprintln(r.Stdout)
	}
	// The array is closed also when the run is cut short.
	fmt.Fprintln(r.Stdout, "]")
	return err
}

// showElement writes one element as writeJSON would have within its array.
func (r *fromRun) showElement(first bool, v placed) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("  ", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	before := ",\n  "
	if first {
		before = "\n  "
	}
	_, err := fmt.Fprintf(r.Stdout, "%s%s", before, secret.Veil(strings.TrimRight(text.String(), "\n")))
	return err
}

// reportAt is the report on one setting, told of another place that holds it.
func reportAt(report diagnose.Report, origin string) diagnose.Report {
	evidence := slices.Clone(report.Evidence)
	for i := range evidence {
		if evidence[i].Source == report.Setting.Origin {
			evidence[i].Source = origin
		}
	}
	report.Evidence, report.Setting.Origin = evidence, origin
	return report
}

// showText prints the reports app by app, each with all of its places.
func (r *fromRun) showText(ctx context.Context, jobs []*job) error {
	apps, first := map[string]int{}, map[string]int{}
	for i, j := range jobs {
		app := appKey(j.setting)
		if apps[app]++; apps[app] == 1 {
			first[app] = i
		}
	}
	jobs = slices.Clone(jobs)
	slices.SortStableFunc(jobs, func(a, b *job) int { return first[appKey(a.setting)] - first[appKey(b.setting)] })
	page, last := r.page(), -1
	return r.each(ctx, jobs, func(j *job, report diagnose.Report) error {
		app := appKey(j.setting)
		if last >= 0 {
			page.line("")
		}
		if first[app] != last {
			last = first[app]
			name := "app " + secret.Shown(j.setting.ClientID)
			if app == "" {
				name = "no client id"
			}
			page.line("%s  %s\n", page.bold(clean(name)), page.faint(count(apps[app], "setting")))
		}
		page.placed(j, report)
		page.bytes(r.flags.bytesAt(j.places[0]))
		return nil
	})
}

// placed prints the report on one setting: in short when it works.
func (g page) placed(j *job, r diagnose.Report) {
	g.headline(r)
	for i, f := range j.places {
		label := ""
		if i == 0 {
			label = "at"
		}
		where := f.Origin + "  " + f.Consumer
		if f.Environment != "" {
			where += ", " + f.Environment
		}
		g.row(label, "%s", where)
	}
	if r.Verdict == diagnose.Working {
		if len(r.Fix) > 0 {
			g.row("do", "%s", r.Fix[0].Do)
		}
		return
	}
	if r.Setting.TenantID != "" {
		g.row("tenant", "%s", r.Setting.TenantID)
	}
	if j.places[0].Secret.Set && j.places[0].Secret.Unresolved == "" {
		g.row("value", "%s", valueLine(r.Setting.Value))
	}
	if e := r.Error; e != nil {
		g.row("error", "%s", errorLine(*e))
	}
	g.details(r)
	if r.Verdict == diagnose.Broken {
		g.reload(j.places)
	}
}

// reload says how those who read the files take up a value that is mended.
func (g page) reload(places []setting.Found) {
	seen := map[string]bool{}
	for _, f := range places {
		for _, m := range readersOf(f) {
			if seen[m.ID] {
				continue
			}
			if len(seen) == 0 {
				g.section("then, for the program that reads it")
			}
			seen[m.ID] = true
			sure := ""
			if m.HowSure == consumer.Recalled {
				sure = " (not verified)"
			}
			g.item("%s: %s%s", g.bold(m.Name), m.Reload, g.faint(sure))
		}
	}
}

// readersOf are the products that read the file of a setting, by its name.
func readersOf(f setting.Found) []consumer.Match {
	part := f.Secret
	if !part.Set {
		part = f.Client
	}
	return consumer.ForFile(part.File)
}

func appKey(s entra.Setting) string { return strings.ToLower(entra.CleanIdentifier(s.ClientID)) }
