package jobs_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/jobs"
	"github.com/credsmith/credsmith/internal/pgtest"
	"github.com/credsmith/credsmith/internal/rotate"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/store"
)

var manyApps = flag.Int("apps", 20, "how many apps TestThroughputAtAThrottle rotates")

func TestMain(m *testing.M) {
	code := m.Run()
	if err := pgtest.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
		code = 1
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

const day = 24 * time.Hour

// tenant is a directory and its token endpoint in memory. It admits so many
// writes a second, and refuses what is beyond.
type tenant struct {
	rotate.Directory // what nobody asks for
	mu               sync.Mutex
	allowed, tokens  float64 // writes a second, and those that may be done now
	last             time.Time
	apps             map[string]*entra.App
	values           map[string]string // by value: client id
	count            int

	first, final           time.Time // of the writes that were done
	writes, refused, mints int
	calls, most            int // under way, and the most of them
	onWrite                func()
}

const burst = 3

func newTenant(allowed float64, apps int) *tenant {
	t := &tenant{allowed: allowed, tokens: burst, last: time.Now(), apps: map[string]*entra.App{}, values: map[string]string{}, onWrite: func() {}}
	for i := range apps {
		t.apps[clientID(i)] = &entra.App{
			ClientID: clientID(i), ObjectID: "object of " + clientID(i), DisplayName: fmt.Sprint("app ", i),
			ServicePrincipal: &entra.ServicePrincipal{ObjectID: "principal of " + clientID(i), Enabled: true},
			Credentials:      []entra.Credential{{KeyID: oldKey(i), End: time.Now().Add(20 * day), On: entra.OnApplication}},
		}
	}
	return t
}

func clientID(i int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", i) }
func oldKey(i int) string   { return fmt.Sprintf("00000000-0000-4000-9000-%012d", i) }

// call is one request that takes its time.
func (t *tenant) call(ctx context.Context) error {
	t.mu.Lock()
	t.calls++
	t.most = max(t.most, t.calls)
	t.mu.Unlock()
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.calls--
	}()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// write admits one write, or refuses it. The caller has the lock.
func (t *tenant) write() error {
	now := time.Now()
	t.tokens = min(burst, t.tokens+now.Sub(t.last).Seconds()*t.allowed)
	t.last = now
	if t.tokens < 1 {
		t.refused++
		return &entra.Refusal{Kind: entra.RefusedThrottled, After: 10 * time.Second, Err: errors.New("HTTP 429")}
	}
	t.tokens--
	if t.writes++; t.writes == 1 {
		t.first = now
	}
	t.final = now
	t.onWrite()
	return nil
}

func (t *tenant) Snapshot(ctx context.Context, id string) (entra.Snapshot, error) {
	if err := t.call(ctx); err != nil {
		return entra.Snapshot{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	app := *t.apps[id]
	app.Credentials = append([]entra.Credential(nil), app.Credentials...)
	return entra.Snapshot{App: &app, Server: time.Now()}, nil
}

func (t *tenant) Mint(ctx context.Context, on entra.Holder, objectID, name string, end time.Time) (entra.Credential, secret.Value, error) {
	if err := t.call(ctx); err != nil {
		return entra.Credential{}, secret.Value{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.write(); err != nil {
		return entra.Credential{}, secret.Value{}, err
	}
	t.count++
	t.mints++
	app := t.apps[strings.TrimPrefix(objectID, "object of ")]
	c := entra.Credential{KeyID: fmt.Sprintf("00000000-0000-4000-a000-%012d", t.count), DisplayName: name, End: end, On: on}
	app.Credentials = append(app.Credentials, c)
	value := fmt.Sprintf("nEw~value.of-app_%d", t.count)
	t.values[value] = app.ClientID
	return c, secret.New(value), nil
}

func (t *tenant) Remove(ctx context.Context, _ entra.Holder, objectID, keyID string) error {
	if err := t.call(ctx); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.write(); err != nil {
		return err
	}
	app := t.apps[strings.TrimPrefix(objectID, "object of ")]
	var left []entra.Credential
	for _, c := range app.Credentials {
		if c.KeyID != keyID {
			left = append(left, c)
		}
	}
	app.Credentials = left
	return nil
}

func (t *tenant) Rules(context.Context, entra.App) (entra.Rules, error) { return entra.Rules{}, nil }
func (t *tenant) Operator(context.Context) (entra.Operator, error)      { return entra.Operator{}, nil }
func (t *tenant) Owns(context.Context, entra.App) (bool, error)         { return true, nil }

func (t *tenant) Token(ctx context.Context, r entra.TokenRequest) (entra.Answer, error) {
	if err := t.call(ctx); err != nil {
		return entra.Answer{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.values[r.Value.Reveal()] != r.ClientID {
		return entra.Answer{}, errors.New("a value that nobody knows")
	}
	return entra.Answer{Status: 200, Token: &entra.Token{}}, nil
}

// rotated reports whether every app has had its two writes.
func (t *tenant) rotated() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.writes >= 2*len(t.apps)
}

// box is a sink in memory.
type box struct {
	mu   sync.Mutex
	name string
	held sink.Held
}

func (b *box) Ref() string                 { return "box:" + b.name }
func (b *box) Abilities() sink.Abilities   { return sink.Abilities{ReadBack: true} }
func (b *box) Check(context.Context) error { return nil }

func (b *box) Read(context.Context) (sink.Held, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held, nil
}

func (b *box) Write(_ context.Context, d sink.Delivery) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = sink.Held{Exists: true, Value: d.Value}
	return "", nil
}

// plant is a tenant with apps, a journal, and what works on them.
type plant struct {
	*testing.T
	tenant  *tenant
	store   *store.Store
	engines map[string]*rotate.Engine
	boxes   []*box
	config  jobs.Config
	ids     []string
}

const tenantID = "7f1c0000-0000-4000-8000-000000000001"

func newPlant(t *testing.T, address string, tenant *tenant, rate float64) *plant {
	t.Helper()
	s, err := store.Open(t.Context(), address, store.Options{Holder: "one", KeyFile: filepath.Join(t.TempDir(), "key"), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	p := &plant{T: t, tenant: tenant, store: s, engines: map[string]*rotate.Engine{}}
	writes := jobs.NewWrites(rate, time.Now)
	for i := range tenant.apps {
		var sinks []sink.Sink
		for n := range 3 {
			b := &box{name: fmt.Sprint(i, "/", n)}
			p.boxes = append(p.boxes, b)
			sinks = append(sinks, b)
		}
		p.engines[i] = rotate.New(rotate.Config{
			Binding: rotate.Binding{
				Name: i, TenantID: tenantID, ClientID: i, Lifetime: 90 * day, Overlap: day, Retire: rotate.ByHand,
				Prove: rotate.Proving{Scope: "s", Times: 8, Over: time.Minute}, Sinks: sinks,
			},
			Directory: writes.Directory(tenantID, tenant), Tokens: tenant, Journal: s, Key: secret.NewKey(), Actor: "test", MayRetire: 1 << 30,
		})
	}
	p.config = jobs.Config{
		Journal: s, Writes: writes, Workers: 8, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Engine: func(binding string) *rotate.Engine { return p.engines[binding] },
	}
	return p
}

// begin begins the rotations of all apps.
func (p *plant) begin(retire bool) {
	p.Helper()
	for i := range len(p.tenant.apps) {
		o := rotate.Options{Emergency: true}
		if retire {
			o.Retire = []string{oldKey(i)}
		}
		r, err := p.engines[clientID(i)].Start(p.Context(), o, "")
		if err != nil {
			p.Fatal(err)
		}
		p.ids = append(p.ids, r.ID)
	}
}

// run works until a condition holds, which is looked at now and then.
func (p *plant) run(every time.Duration, done func() bool) {
	p.Helper()
	runner, err := jobs.New(p.Context(), p.config)
	if err != nil {
		p.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !done() {
		<-tick.C
	}
	cancel()
	if err := <-ended; err != nil {
		p.Error(err)
	}
}

func (p *plant) open() int {
	p.Helper()
	var n int
	if err := p.store.DB().QueryRowContext(p.Context(), "SELECT count(*) FROM rotation WHERE ended = 0").Scan(&n); err != nil {
		p.Fatal(err)
	}
	return n
}

// judge sees that every app has its new secret, everywhere.
func (p *plant) judge() {
	p.Helper()
	if p.tenant.mints != len(p.tenant.apps) {
		p.Errorf("%d secrets were made for %d apps", p.tenant.mints, len(p.tenant.apps))
	}
	for id, app := range p.tenant.apps {
		if len(app.Credentials) != 1 || !strings.HasPrefix(app.Credentials[0].DisplayName, "credsmith ") {
			p.Errorf("app %s has %+v", id, app.Credentials)
		}
	}
	for _, b := range p.boxes {
		if id, _, _ := strings.Cut(b.name, "/"); p.tenant.values[b.held.Value.Reveal()] != id {
			p.Errorf("%s does not hold a new value of its app", b.name)
		}
	}
	if _, err := p.store.VerifyAudit(p.Context()); err != nil {
		p.Error(err)
	}
}

// TestThroughputAtAThrottle rotates many apps of a tenant that admits few
// writes, in virtual time: what is allowed is used, and nothing is refused.
func TestThroughputAtAThrottle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const allowed = 2.0
		tenant := newTenant(allowed, *manyApps)
		p := newPlant(t, "sqlite:"+filepath.Join(t.TempDir(), "credsmith.db"), tenant, allowed)
		defer p.store.Close()
		p.config.SQLite, p.config.Clock = p.store.DB(), time.Now
		var heap []uint64
		tenant.onWrite = func() {
			if every := max(*manyApps/5, 1); tenant.writes%every == 0 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				heap = append(heap, m.HeapAlloc>>10)
			}
		}
		p.begin(true)
		p.run(time.Second, tenant.rotated)
		p.judge()
		took := tenant.final.Sub(tenant.first)
		rate := float64(tenant.writes-1) / took.Seconds()
		t.Logf("%d apps x 3 sinks: %d writes in %s, %.3f of the allowed rate, %d refused, at most %d calls at once, heap %v KiB",
			*manyApps, tenant.writes, took.Round(time.Second), rate/allowed, tenant.refused, tenant.most, heap)
		if tenant.writes >= 400 && rate < 0.95*allowed { // fewer are over before the first can be retired
			t.Errorf("%.3f of the allowed rate", rate/allowed)
		}
		if tenant.refused > 0 {
			t.Errorf("%d of %d writes were refused", tenant.refused, tenant.writes)
		}
		if tenant.most > p.config.Workers {
			t.Errorf("%d calls at once by %d workers", tenant.most, p.config.Workers)
		}
	})
}

// A queue that is longer than the last look before a removal may be old: the
// look is taken when the turn has come, else nobody would ever get to remove.
func TestLongQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const allowed = 0.1
		tenant := newTenant(allowed, 8)
		p := newPlant(t, "sqlite:"+filepath.Join(t.TempDir(), "credsmith.db"), tenant, allowed)
		defer p.store.Close()
		p.config.SQLite, p.config.Clock = p.store.DB(), time.Now
		p.begin(true)
		until := time.Now().Add(10 * time.Minute)
		p.run(time.Second, func() bool { return tenant.rotated() || time.Now().After(until) })
		p.judge()
		if took := tenant.final.Sub(tenant.first); tenant.writes != 16 || took > 160*time.Second {
			t.Errorf("%d writes in %s", tenant.writes, took)
		}
	})
}

// A tenant that admits less than we believe is asked again when it says, by
// all together: no storm.
func TestNoStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant := newTenant(1, 12)
		p := newPlant(t, "sqlite:"+filepath.Join(t.TempDir(), "credsmith.db"), tenant, 1.25)
		defer p.store.Close()
		p.config.SQLite, p.config.Clock = p.store.DB(), time.Now
		p.begin(true)
		p.run(time.Second, tenant.rotated)
		p.judge()
		t.Logf("%d writes, %d refused", tenant.writes, tenant.refused)
		if tenant.refused == 0 || tenant.refused > 2 {
			t.Errorf("%d writes were refused, %d done", tenant.refused, tenant.writes)
		}
	})
}

// Every rotation is taken to its end, and its job with it.
func TestToTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPlant(t, "sqlite:"+filepath.Join(t.TempDir(), "credsmith.db"), newTenant(10, 2), 10)
		defer p.store.Close()
		p.config.SQLite, p.config.Clock = p.store.DB(), time.Now
		p.begin(false) // no quarter of an hour to see that old secrets are gone
		p.run(time.Second, func() bool { return p.open() == 0 })
		if p.tenant.mints != 2 {
			t.Errorf("%d secrets were made", p.tenant.mints)
		}
		var left int
		if err := p.store.DB().QueryRowContext(t.Context(), "SELECT count(*) FROM river_job WHERE kind = 'rotation' AND state <> 'completed'").Scan(&left); err != nil || left > 0 {
			t.Errorf("%d jobs are left, %v", left, err)
		}
	})
}

// TestPostgres is the same on PostgreSQL, for as long as a few writes take:
// its jobs go by the clock on the wall.
func TestPostgres(t *testing.T) {
	t.Parallel()
	address := pgtest.New(t)
	pool, err := pgxpool.New(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	tenant := newTenant(1000, 6)
	p := newPlant(t, address, tenant, 1000)
	defer p.store.Close()
	p.config.Postgres = pool
	p.begin(true)
	p.run(10*time.Millisecond, func() bool {
		tenant.mu.Lock()
		defer tenant.mu.Unlock()
		return tenant.mints == 6
	})
	if tenant.most > p.config.Workers {
		t.Errorf("%d calls at once by %d workers", tenant.most, p.config.Workers)
	}
	// One job for each, however often it is added.
	runner, err := jobs.New(t.Context(), p.config)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for _, id := range p.ids {
			if err := runner.Add(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
	}
	var n int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM river_job WHERE kind = 'rotation'").Scan(&n); err != nil || n != 6 {
		t.Errorf("%d jobs for 6 rotations, %v", n, err)
	}
}
