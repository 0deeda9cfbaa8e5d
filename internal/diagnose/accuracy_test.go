package diagnose_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/canary"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/secret"
)

var (
	scenarios    = flag.Int("scenarios", 300, "set-ups to break and diagnose")
	scenarioSeed = flag.Uint64("scenario-seed", 1, "seed of the set-ups")
	accuracyPage = flag.String("accuracy", "", "file to write the confusion matrix to")
)

// level is how much evidence a diagnosis may have; each holds the ones before.
type level int

const (
	nothing   level = iota // offline
	errorText              // and the error that was seen
	endpoint               // the token endpoint
	reading                // and the directory
)

var levelNames = []string{"none", "error text", "token endpoint", "directory"}

// fault is a way to break a set-up. From the level tells up the evidence
// suffices to name the cause.
type fault struct {
	cause diagnose.Cause // "" is a working setting
	code  int            // that the app would print
	tells level
	build func(b *bench, r *rand.Rand, c *diagnose.Case)
}

const never = reading + 1

func edited(edit func(r *rand.Rand, v string) string) func(*bench, *rand.Rand, *diagnose.Case) {
	return func(b *bench, r *rand.Rand, c *diagnose.Case) { c.Setting.Value = secret.New(edit(r, b.value())) }
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func fresh(b *bench, c *diagnose.Case, spec entralab.AppSpec) {
	app, err := b.lab.AddApp(spec)
	if err != nil {
		b.Fatal(err)
	}
	b.app = app
	c.Setting.ClientID = app.ClientID
	c.Setting.Value = secret.New(b.value())
}

// dated replaces the app by one whose secret has these bounds, in days from now.
func dated(start, end int) func(*bench, *rand.Rand, *diagnose.Case) {
	return func(b *bench, _ *rand.Rand, c *diagnose.Case) {
		now := b.lab.Now()
		fresh(b, c, entralab.AppSpec{Secrets: []entralab.SecretSpec{{At: now.Add(old), Start: now.AddDate(0, 0, start), End: now.AddDate(0, 0, end)}}})
	}
}

func young(b *bench, r *rand.Rand, c *diagnose.Case) {
	b.lab.SetDelay(entralab.Delay{Accept: pick(r, 8*time.Second, 10*time.Minute)})
	fresh(b, c, entralab.AppSpec{Secrets: []entralab.SecretSpec{{}}})
	b.lab.SetDelay(entralab.Delay{})
}

const nobody = "11111111-2222-4333-8444-555555555555"

var faults = []fault{
	{"", 0, endpoint, func(*bench, *rand.Rand, *diagnose.Case) {}},
	{"secret-whitespace", 7000215, nothing, edited(func(r *rand.Rand, v string) string { return pick(r, v+"\n", v+"\r\n", " "+v, v+"\u00a0", "\ufeff"+v) })},
	{"secret-quoted", 7000215, nothing, edited(func(r *rand.Rand, v string) string { return pick(r, `"`+v+`"`, "'"+v+"'") })},
	{"secret-encoded", 7000215, nothing, edited(func(r *rand.Rand, v string) string {
		return pick(r, strings.ReplaceAll(v, "~", "%7E"), base64.StdEncoding.EncodeToString([]byte(v)))
	})},
	{"secret-id-used", 7000215, nothing, func(b *bench, _ *rand.Rand, c *diagnose.Case) { c.Setting.Value = secret.New(b.app.Secrets[0].KeyID) }},
	{"secret-truncated", 7000215, nothing, edited(func(r *rand.Rand, v string) string { return v[:20+r.IntN(15)] })},
	{"secret-placeholder", 7000215, nothing, edited(func(r *rand.Rand, _ string) string { return pick(r, "${SECRET}", "<client-secret>", "changeme") })},
	{"secret-empty", 7000216, nothing, edited(func(*rand.Rand, string) string { return "" })},
	{"secret-typo", 7000215, reading, edited(func(_ *rand.Rand, v string) string { return typo(v) })},
	{"secret-typo", 7000215, never, func(b *bench, r *rand.Rand, c *diagnose.Case) { // as young as one that spreads
		young(b, r, c)
		c.Setting.Value = secret.New(typo(b.value()))
	}},
	{"secret-propagating", 7000215, reading, young},
	{"secret-expired", 7000222, endpoint, dated(-92, -2)},
	{"secret-not-yet-valid", 7000215, reading, dated(2, 90)},
	{"secret-deleted", 7000215, reading, func(b *bench, _ *rand.Rand, _ *diagnose.Case) {
		if err := b.lab.RemoveSecret(b.app.ObjectID, b.app.Secrets[0].KeyID); err != nil {
			b.Fatal(err)
		}
	}},
	{"secret-of-other-app", 7000215, reading, func(b *bench, _ *rand.Rand, c *diagnose.Case) {
		c.Setting.Value = secret.New(b.register("other", old).Secrets[0].Value.Reveal())
	}},
	{"client-id-unknown", 700016, reading, func(_ *bench, _ *rand.Rand, c *diagnose.Case) {
		c.Setting.ClientID, c.Setting.Value = nobody, secret.New("Zz!8Q~"+strings.Repeat("z", 34))
	}},
	{"client-id-is-object-id", 700016, reading, func(b *bench, r *rand.Rand, c *diagnose.Case) {
		c.Setting.ClientID = pick(r, b.app.ObjectID, b.app.ServicePrincipalID)
	}},
	{"client-id-malformed", 700016, nothing, func(_ *bench, r *rand.Rand, c *diagnose.Case) {
		c.Setting.ClientID = pick(r, "billing-api", c.Setting.ClientID+" ", `"`+c.Setting.ClientID+`"`)
	}},
	{"tenant-unknown", 90002, endpoint, func(_ *bench, _ *rand.Rand, c *diagnose.Case) { c.Setting.TenantID = nobody }},
	{"tenant-malformed", 900023, nothing, func(_ *bench, r *rand.Rand, c *diagnose.Case) {
		c.Setting.TenantID = pick(r, "contoso", `"`+c.Setting.TenantID+`"`)
	}},
	{"tenant-placeholder", 900023, nothing, func(_ *bench, _ *rand.Rand, c *diagnose.Case) { c.Setting.TenantID = "<your-tenant-id>" }},
	{"authority-common", 50059, nothing, func(_ *bench, _ *rand.Rand, c *diagnose.Case) { c.Setting.TenantID = "common" }},
	{"tenant-wrong", 700016, endpoint, func(b *bench, _ *rand.Rand, c *diagnose.Case) {
		c.Setting.TenantID, c.KnownTenants = b.lab.OtherTenantID(), []string{b.app.TenantID}
	}},
	{"scope-malformed", 70011, endpoint, func(_ *bench, _ *rand.Rand, c *diagnose.Case) { c.Scope = "https://graph.microsoft.com/User.Read" }},
	{"resource-unknown", 500011, endpoint, func(_ *bench, _ *rand.Rand, c *diagnose.Case) { c.Scope = "https://nowhere.example/.default" }},
	{"app-disabled", 7000112, endpoint, func(b *bench, _ *rand.Rand, _ *diagnose.Case) {
		b.portal(`{"action":"disable-app","app":"` + b.app.ObjectID + `"}`)
	}},
	{"app-deleted", 700016, reading, func(b *bench, _ *rand.Rand, _ *diagnose.Case) {
		b.portal(`{"action":"delete-app","app":"` + b.app.ObjectID + `"}`)
	}},
	{"service-principal-missing", 7000229, endpoint, func(b *bench, _ *rand.Rand, c *diagnose.Case) {
		fresh(b, c, entralab.AppSpec{NoServicePrincipal: true, Secrets: []entralab.SecretSpec{{}}})
	}},
}

// tally is what came of all set-ups.
type tally struct {
	told, right, wrongConfirmed, most int
	named                             map[string]int // "level | truth | named"
	perLevel                          [never][3]int  // set-ups, where evidence can tell, right among those
}

func TestAccuracy(t *testing.T) {
	const perLab = 25
	t.Logf("%d set-ups from seed %d", *scenarios, *scenarioSeed)
	sum := tally{named: map[string]int{}}
	began := time.Now()
	for from := 0; from < *scenarios; from += perLab {
		synctest.Test(t, func(t *testing.T) {
			lab, err := entralab.Start(t.Context(), entralab.Config{InProcess: true, RandomSeed: *scenarioSeed + uint64(from)})
			if err != nil {
				t.Fatal(err)
			}
			defer lab.Close()
			for i := from; i < min(from+perLab, *scenarios); i++ {
				sum.one(&bench{T: t, lab: lab, records: &memory{}}, i)
			}
		})
	}
	if sum.right*100 < sum.told*99 || sum.wrongConfirmed > 0 || sum.told == 0 {
		t.Errorf("right in %d of %d that evidence can tell, %d wrongly confirmed", sum.right, sum.told, sum.wrongConfirmed)
	}
	page := sum.page(time.Since(began))
	t.Log("\n" + page)
	if *accuracyPage != "" {
		if err := os.WriteFile(*accuracyPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// one breaks a set-up, diagnoses it, and counts.
func (sum *tally) one(b *bench, i int) {
	r := rand.New(rand.NewPCG(*scenarioSeed, uint64(i)))
	b.app = b.register("billing-api", old)
	f, at := faults[r.IntN(len(faults))], level(r.IntN(int(never)))
	c := b.ask(func(c *diagnose.Case) { f.build(b, r, c) })
	c.Offline = at < endpoint
	if at == errorText && f.code != 0 {
		c.Seen = &aadsts.Failure{Code: f.code, Codes: []int{f.code}, OAuthError: "invalid_client"}
	}
	report := b.run(c, at == reading)
	sum.most = max(sum.most, b.tokens)
	named := diagnose.Cause("")
	if report.Cause != nil {
		named = *report.Cause
	}
	sum.named[fmt.Sprintf("%s | %s | %s", levelNames[at], word(f.cause), word(named))]++
	sum.perLevel[at][0]++
	fail := func(why string) {
		b.Errorf("set-up %d of seed %d, %s, evidence %s: %s: %s %s %s: %s", i, *scenarioSeed, word(f.cause), levelNames[at], why, report.Verdict, word(named), report.Confidence, report.Summary)
	}
	if named != f.cause && report.Confidence == diagnose.Confirmed && report.Verdict != diagnose.Inconclusive {
		sum.wrongConfirmed++
		fail("wrongly confirmed")
	}
	switch {
	case at >= f.tells:
		sum.told++
		sum.perLevel[at][1]++
		if named == f.cause && (f.cause != "") == (report.Verdict == diagnose.Broken) {
			sum.right++
			sum.perLevel[at][2]++
		} else {
			b.Logf("set-up %d, %s, evidence %s: named %s", i, word(f.cause), levelNames[at], word(named))
		}
	case len(report.CannotTell) == 0 || report.CannotTell[0].ToFindOut == "":
		fail("it does not say how to find out")
	}
	out, err := json.Marshal(report)
	if err != nil {
		b.Fatal(err)
	}
	if leaks := canary.Find(out, b.value()); len(leaks) > 0 {
		fail(fmt.Sprintf("the report leaks the value: %v", leaks))
	}
}

func word(c diagnose.Cause) string {
	if c == "" {
		return "-"
	}
	return string(c)
}

func (sum *tally) page(took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- Generated by `make bench-doctor`; do not edit. -->\n\n# Accuracy of doctor\n\n")
	fmt.Fprintf(&b, "%d set-ups broken in the lab from seed %d, each diagnosed once. At most %d token requests a diagnosis, %d wrongly confirmed,\n%.1f ms a diagnosis on average (lab included, waits not).\n\n", *scenarios, *scenarioSeed, sum.most, sum.wrongConfirmed, float64(took.Milliseconds())/float64(*scenarios))
	b.WriteString("| evidence | set-ups | evidence can tell | right |\n|---|---|---|---|\n")
	for i, n := range sum.perLevel {
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", levelNames[i], n[0], n[1], n[2])
	}
	b.WriteString("\nA dash is no cause: the setting works, or nothing could be told.\n\n| evidence | broken by | named | times |\n|---|---|---|---|\n")
	for _, key := range slices.Sorted(maps.Keys(sum.named)) {
		fmt.Fprintf(&b, "| %s | %d |\n", key, sum.named[key])
	}
	return b.String()
}
