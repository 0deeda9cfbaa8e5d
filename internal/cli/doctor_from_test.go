package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/setting"
)

const homeTenant = "7f1c0000-0000-4000-8000-0000000000a1"

// fakeSignIn takes every value that begins with "good" and counts.
type fakeSignIn struct {
	mu        sync.Mutex
	sent      map[string][]time.Time // by client id
	discovers int
	open, max int
	took      time.Duration
}

func (f *fakeSignIn) Discover(context.Context, string) (entra.Answer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.discovers++
	return entra.Answer{Status: 200, TenantID: homeTenant}, nil
}

func (f *fakeSignIn) Token(ctx context.Context, r entra.TokenRequest) (entra.Answer, error) {
	f.mu.Lock()
	f.sent[r.ClientID] = append(f.sent[r.ClientID], time.Now())
	f.open++
	f.max = max(f.max, f.open)
	f.mu.Unlock()
	if f.took > 0 {
		time.Sleep(f.took)
	}
	f.mu.Lock()
	f.open--
	f.mu.Unlock()
	if strings.HasPrefix(r.Value.Reveal(), "good") {
		return entra.Answer{Status: 200, Token: &entra.Token{}}, ctx.Err()
	}
	return entra.Answer{Status: 401, Failure: &aadsts.Failure{Code: 7000215, OAuthError: "invalid_client"}}, ctx.Err()
}

func decoderRest(d *json.Decoder) string {
	rest, _ := io.ReadAll(d.Buffered())
	return string(rest)
}

func clientID(n int) string { return fmt.Sprintf("1b7e0000-0000-4000-8000-%012d", n) }

// place is a setting as Find gives it, in file "f" and line n.
func place(n int, client, value string) setting.Found {
	f := setting.Found{Setting: entra.Setting{TenantID: homeTenant, ClientID: client, Value: secret.New(value), Origin: fmt.Sprintf("f:%d:1", n)}}
	for _, p := range []*setting.Part{&f.Tenant, &f.Client, &f.Secret} {
		*p = setting.Part{Set: true, File: "f", Line: n, Column: 1}
	}
	return f
}

func testRun(f *fakeSignIn, fast bool, out io.Writer) *fromRun {
	f.sent = map[string][]time.Time{}
	return &fromRun{
		program: &program{Env: Env{LookupEnv: func(string) (string, bool) { return "", false }, Stdout: out, Stderr: io.Discard}, json: true},
		flags:   doctorFlags{maxTries: 12}, pace: newPacer(fast), key: secret.NewKey(), directory: &directory{},
		signIn: func(string) diagnose.SignIn { return f },
	}
}

func atDefault(entra.Setting) (string, error) { return entra.DefaultAuthority, nil }

// TestFromManySettings: 10,000 settings and 1,000 copies stay within the
// bounds, each distinct one is tried once, and the array keeps their order.
func TestFromManySettings(t *testing.T) {
	t.Parallel()
	const n = 10_000
	var all []setting.Found
	for i := range n {
		all = append(all, place(len(all)+1, clientID(i), fmt.Sprintf("good%036d", i)))
		if i%10 == 9 {
			all = append(all, place(len(all)+1, clientID(i/2), fmt.Sprintf("good%036d", i/2)))
		}
	}
	places := len(all)
	fake := &fakeSignIn{}
	reader, writer := io.Pipe()
	run := testRun(fake, true, writer)
	jobs, index := jobsOf(all, run.key, atDefault)
	if len(jobs) != n || len(index) != places {
		t.Fatalf("%d jobs for %d places, want %d for %d", len(jobs), len(index), n, places)
	}
	done := make(chan error, 1)
	go func() { done <- run.showJSON(t.Context(), all, jobs, index); writer.Close() }()

	// The reader takes the array as it comes: what is held meanwhile is little.
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	decoder, most := json.NewDecoder(reader), uint64(0)
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	for i := range places {
		var got placed
		if err := decoder.Decode(&got); err != nil || got.Verdict != diagnose.Working || got.Setting.Origin != all[i].Origin || got.Setting.ClientID != all[i].ClientID {
			t.Fatalf("element %d is %s at %s (%v), want working at %s", i, got.Verdict, got.Setting.Origin, err, all[i].Origin)
		}
		if i%4000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
	}
	if rest, err := io.ReadAll(reader); err != nil || strings.TrimSpace(decoderRest(decoder)+string(rest)) != "]" {
		t.Errorf("after the last element: %q, %v", rest, err)
	}
	if err := <-done; err != nil || run.broken || run.open {
		t.Fatalf("showJSON: %v, broken %v, open %v", err, run.broken, run.open)
	}
	if grown := int64(most) - int64(before.HeapAlloc); grown > 48<<20 {
		t.Errorf("%d MiB are held while the reports are printed", grown>>20)
	}
	if len(fake.sent) != n || fake.discovers > maxOpen {
		t.Errorf("%d apps asked, %d looks at one tenant's metadata", len(fake.sent), fake.discovers)
	}
	for id, times := range fake.sent {
		if len(times) != 1 {
			t.Fatalf("%d requests for %s, want one", len(times), id)
		}
	}
}

// TestFromGroupedByApp: however the files mix the apps, each is one group with
// all of its settings, and none of them passes its budget.
func TestFromGroupedByApp(t *testing.T) {
	t.Parallel()
	const apps, each = 40, 5
	var all []setting.Found
	for n := range each {
		for app := range apps {
			value := fmt.Sprintf("good%02d%034d", n, app)
			if n == each-1 {
				value = fmt.Sprintf("bad8Q~%034d", app)
			}
			all = append(all, place(len(all)+1, clientID(app), value))
		}
	}
	fake := &fakeSignIn{}
	var out bytes.Buffer
	run := testRun(fake, true, &out)
	run.json = false
	jobs, _ := jobsOf(all, run.key, atDefault)
	run.known = neighboursOf(jobs)
	if err := run.showText(t.Context(), jobs); err != nil {
		t.Fatal(err)
	}
	groups := strings.Split(out.String(), "app "+clientID(0)[:24])[1:]
	if len(groups) != apps {
		t.Fatalf("%d groups, want %d", len(groups), apps)
	}
	for i, group := range groups {
		if !strings.HasPrefix(group, clientID(i)[24:]) || !strings.Contains(group, "5 settings\n") || strings.Count(group, "\nworking") != each-1 || strings.Count(group, "\nbroken") != 1 {
			t.Fatalf("group %d:\n%s", i, group)
		}
		for n := range each {
			if !strings.Contains(group, fmt.Sprintf(" f:%d:1", n*apps+i+1)) {
				t.Errorf("group %d lacks the place f:%d:1", i, n*apps+i+1)
			}
		}
	}
	for id, times := range fake.sent {
		if most := each - 1 + run.flags.maxTries; len(times) > most {
			t.Errorf("%d requests for the %d settings of %s, more than %d", len(times), each, id, most)
		}
	}
	if fake.max > maxOpen {
		t.Errorf("%d requests at once", fake.max)
	}
}

// TestFromPace: settings of one app share one request a second, other apps do
// not wait for it, and no setting passes its budget.
func TestFromPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeSignIn{took: 10 * time.Millisecond}
		run := testRun(fake, false, io.Discard)
		run.flags.maxTries = 2
		var all []setting.Found
		for i := range 3 {
			all = append(all, place(i+1, clientID(0), fmt.Sprintf(" wrong%035d ", i)))
		}
		for i := range 40 {
			all = append(all, place(10+i, clientID(1+i), fmt.Sprintf("good%036d", i)))
		}
		jobs, index := jobsOf(all, run.key, atDefault)
		start := time.Now()
		if err := run.showJSON(t.Context(), all, jobs, index); err != nil || !run.broken {
			t.Fatalf("showJSON: %v, broken %v", err, run.broken)
		}
		times := fake.sent[clientID(0)]
		if len(times) != 6 {
			t.Errorf("%d requests for the app with three wrong values, want 2 for each", len(times))
		}
		for i := 1; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); gap < time.Second {
				t.Errorf("request %d came %s after the one before", i, gap)
			}
		}
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("the run took %s: other apps waited", took)
		}
		if fake.max > maxOpen || fake.max < 2 {
			t.Errorf("%d requests at once, want 2 to %d", fake.max, maxOpen)
		}
	})
}

// TestFromInterrupted closes the array and leaves nothing running.
func TestFromInterrupted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var out bytes.Buffer
		run := testRun(&fakeSignIn{}, false, &out)
		var all []setting.Found
		for i := range 100 {
			all = append(all, place(i+1, clientID(0), fmt.Sprintf("good%036d", i)))
		}
		jobs, index := jobsOf(all, run.key, atDefault)
		time.AfterFunc(5500*time.Millisecond, stop)
		if err := run.showJSON(ctx, all, jobs, index); err == nil {
			t.Error("an interrupted run ends as if it were whole")
		}
		var reports []placed
		if err := json.Unmarshal(out.Bytes(), &reports); err != nil || len(reports) > 6 {
			t.Errorf("%d reports: %v in %s", len(reports), err, out.String())
		}
	})
}

func TestTrusted(t *testing.T) {
	t.Parallel()
	const env = "https://login.mine.example"
	tests := []struct{ named, flag, want string }{
		{"", "", env},
		{"https://login.microsoftonline.us/", "", "https://login.microsoftonline.us"},
		{"https://LOCALHOST:8443/x", "", "https://localhost:8443"},
		{"https://[::1]:8443", "", "https://[::1]:8443"},
		{env, "", env},
		{"https://evil.example", env, env},
		{"https://evil.example", "", ""},
		{"https://login.microsoftonline.com.evil.example", "", ""},
		{"https://localhost.evil.example", "", ""},
		{"https://127.0.0.1@evil.example", "", ""},
		{"http://login.microsoftonline.com", "", ""},
	}
	for _, tt := range tests {
		got, err := trusted(entra.Setting{Authority: tt.named}, tt.flag, env)
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("trusted(%q, %q) = %q, %v; want %q", tt.named, tt.flag, got, err, tt.want)
		}
	}
}

func TestNeighbours(t *testing.T) {
	t.Parallel()
	other, third := strings.Replace(homeTenant, "a1", "a2", 1), "contoso.com"
	mine, elsewhere, copied, noTenant := place(1, clientID(0), "x"), place(2, clientID(1), "x"), place(3, clientID(0), "y"), place(4, clientID(2), "z")
	elsewhere.TenantID, copied.TenantID, noTenant.TenantID = third, other, "<your tenant>"
	all := []setting.Found{mine, elsewhere, copied, noTenant}
	for i := range 100 {
		all = append(all, place(10+i, clientID(10+i), fmt.Sprintf("v%d", i)))
	}
	jobs, _ := jobsOf(all, secret.NewKey(), atDefault)
	n := neighboursOf(jobs)
	if got := n.tenantsFor(mine.Setting); strings.Join(got, " ") != other+" "+third {
		t.Errorf("tenants to try: %v, want that of the same app first", got)
	}
	var got []string
	for _, s := range n.settingsFor(jobs[0]) {
		got = append(got, s.Origin)
	}
	if len(got) < 3 || got[0] != "f:3:1" || got[1] != "f:2:1" || len(got) > 3*maxNeighbours || strings.Contains(strings.Join(got, " "), "f:1:1 ") {
		t.Errorf("settings to try: %v, want the copy, then who has the same value, then some of the tenant", got)
	}
}
