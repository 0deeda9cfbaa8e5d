package store_test

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/internal/audit"
	"github.com/credsmith/credsmith/internal/pgtest"
	"github.com/credsmith/credsmith/internal/rotate"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/store"
)

func TestMain(m *testing.M) {
	if runChild() {
		return
	}
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

// database is one that a test opens, closes and tampers with.
type database struct {
	*testing.T
	address string
	file    string // of SQLite, or ""
	key     string
	clock   clock
}

// clock is one that all who open the database go by.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func sqliteDatabase(t *testing.T) *database {
	file := filepath.Join(t.TempDir(), "state", "credsmith.db")
	return &database{T: t, address: "sqlite:" + file, file: file, key: file + ".key", clock: clock{now: epoch}}
}

func postgresDatabase(t *testing.T) *database {
	return &database{T: t, address: pgtest.New(t), key: filepath.Join(t.TempDir(), "store.key"), clock: clock{now: epoch}}
}

// both runs a test on SQLite and on PostgreSQL.
func both(t *testing.T, test func(*database)) {
	t.Helper()
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(sqliteDatabase(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(postgresDatabase(t))
	})
}

func (d *database) shared() bool { return d.file == "" }

// head is the file that the head of the audit record is noted in.
func (d *database) head() string { return cmp.Or(d.file, d.key) + ".head" }

func (d *database) tryOpen(o store.Options) (*store.Store, error) {
	o.Now = d.clock.Now
	o.KeyFile = cmp.Or(o.KeyFile, d.key)
	s, err := store.Open(d.Context(), d.address, o)
	if err == nil {
		d.Cleanup(func() { s.Close() })
	}
	return s, err
}

// open opens it as a process of that name.
func (d *database) open(holder string) *store.Store {
	d.Helper()
	s, err := d.tryOpen(store.Options{Holder: holder})
	if err != nil {
		d.Fatal(err)
	}
	return s
}

func (d *database) close(s *store.Store) {
	d.Helper()
	if err := s.Close(); err != nil {
		d.Fatal(err)
	}
}

// raw is a connection past the store, as an intruder has it.
func (d *database) raw() *sql.DB {
	d.Helper()
	driver, source := "pgx", d.address
	if !d.shared() {
		driver, source = "sqlite", d.file
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { db.Close() })
	return db
}

// exec tampers with it.
func (d *database) exec(statement string) {
	d.Helper()
	db := d.raw()
	defer db.Close()
	if _, err := db.ExecContext(d.Context(), statement); err != nil {
		d.Fatalf("%s: %v", statement, err)
	}
}

// snapshot copies it, and returns what puts the copy back. Nobody has it open
// at either time.
func (d *database) snapshot() (restore func()) {
	d.Helper()
	if !d.shared() {
		text, err := os.ReadFile(d.file)
		if err != nil {
			d.Fatal(err)
		}
		return func() {
			d.Helper()
			if err := os.WriteFile(d.file, text, 0o600); err != nil {
				d.Fatal(err)
			}
		}
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(d.address, "postgres:///"), "?")
	admin := func(statement string) {
		d.Helper()
		if _, err := pgtest.Admin().ExecContext(d.Context(), statement); err != nil {
			d.Fatalf("%s: %v", statement, err)
		}
	}
	admin("CREATE DATABASE " + name + "_copy TEMPLATE " + name)
	return func() {
		d.Helper()
		admin("DROP DATABASE " + name)
		admin("ALTER DATABASE " + name + "_copy RENAME TO " + name)
	}
}

// newRotation is one of an app, not yet begun.
func newRotation(id, clientID string) *rotate.Rotation {
	return &rotate.Rotation{
		ID: id, Binding: "app " + clientID, State: rotate.Running, Step: rotate.Check, Started: epoch, Updated: epoch, Next: "look",
		Plan: rotate.Plan{Binding: "app " + clientID, TenantID: "7f1c0000-0000-4000-8000-000000000001", ClientID: clientID, Hash: "abc"},
	}
}

func entry(r *rotate.Rotation, a audit.Action, o audit.Outcome) audit.Entry {
	return audit.Entry{At: epoch.Add(123456789), Actor: "test", Action: a, Outcome: o, TenantID: r.Plan.TenantID, ClientID: r.Plan.ClientID, Rotation: r.ID}
}

// begin begins a rotation.
func begin(t testing.TB, s *store.Store, id, clientID string) *rotate.Rotation {
	t.Helper()
	r := newRotation(id, clientID)
	if err := s.Begin(t.Context(), r, entry(r, audit.Start, audit.Done)); err != nil {
		t.Fatal(err)
	}
	return r
}

func take(t testing.TB, s *store.Store, id string) *rotate.Rotation {
	t.Helper()
	r, err := s.Take(t.Context(), id, rotate.Hold)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func save(t testing.TB, s *store.Store, r *rotate.Rotation, values map[string]secret.Value, entries ...audit.Entry) {
	t.Helper()
	if err := s.Save(t.Context(), r, values, entries...); err != nil {
		t.Fatal(err)
	}
}

// finish ends a rotation.
func finish(t testing.TB, s *store.Store, r *rotate.Rotation) {
	t.Helper()
	r.State, r.Step = rotate.Done, rotate.Close
	save(t, s, r, nil, entry(r, audit.Close, audit.Done))
}

func value(t testing.TB, s *store.Store, r *rotate.Rotation, name string) string {
	t.Helper()
	v, err := s.Value(t.Context(), r, name)
	if err != nil {
		t.Fatal(err)
	}
	return v.Reveal()
}

func verify(t testing.TB, s *store.Store, entries int64) {
	t.Helper()
	head, err := s.VerifyAudit(t.Context())
	if err != nil || head.Seq != entries {
		t.Errorf("the audit record has %d entries, want %d: %v", head.Seq, entries, err)
	}
}

func wantErr(t testing.TB, what string, err, want error, says ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%s: %q does not say %q", what, err, s)
		}
	}
}

const (
	appA = "1b7e0000-0000-4000-8000-00000000000a"
	appB = "1b7e0000-0000-4000-8000-00000000000b"
)

func TestLifeOfARotation(t *testing.T) {
	both(t, func(d *database) {
		s := d.open("one")
		begin(d, s, "r-1", appA)
		r := take(d, s, "r-1")
		if r.Generation != 1 || r.Version != 1 || r.Epoch != 1 {
			d.Errorf("generation %d, version %d, epoch %d", r.Generation, r.Version, r.Epoch)
		}
		r.Step = rotate.Accept
		save(d, s, r, map[string]secret.Value{"new": secret.New("the new value"), "prior box": secret.New("the old value")}, entry(r, audit.Mint, audit.Done))
		d.close(s)

		s = d.open("two")
		d.clock.advance(time.Hour)
		r = take(d, s, "r-1")
		if r.Step != rotate.Accept || r.Version != 2 || r.Epoch != 2 || !r.Started.Equal(epoch) {
			d.Errorf("it was read as %+v", r)
		}
		if got := value(d, s, r, "new") + ", " + value(d, s, r, "prior box"); got != "the new value, the old value" {
			d.Errorf("the values are %q", got)
		}
		if got := value(d, s, r, "other"); got != "" {
			d.Errorf("a value that was never sealed is %q", got)
		}
		save(d, s, r, map[string]secret.Value{"new": secret.New("another one")})
		if got := value(d, s, r, "new"); got != "another one" {
			d.Errorf("the value is %q", got)
		}
		r.Step = rotate.Close
		if err := s.Shred(d.Context(), r, entry(r, audit.Shred, audit.Done)); err != nil {
			d.Fatal(err)
		}
		if got := value(d, s, r, "new") + value(d, s, r, "prior box"); got != "" {
			d.Errorf("after shredding, %q is there", got)
		}
		finish(d, s, r)
		verify(d, s, 4)
	})
}

func TestLists(t *testing.T) {
	both(t, func(d *database) {
		s := d.open("one")
		ctx := d.Context()
		for i, app := range []string{appA, appB, appA} {
			r := newRotation(fmt.Sprint("r-", i), app)
			r.Started = epoch.Add(time.Duration(i) * time.Hour)
			if err := s.Begin(ctx, r, entry(r, audit.Start, audit.Done)); err != nil {
				d.Fatal(err)
			}
			if i == 0 {
				finish(d, s, take(d, s, r.ID))
			}
		}
		ids := func(all []*rotate.Rotation, err error) string {
			d.Helper()
			if err != nil {
				d.Fatal(err)
			}
			var text []string
			for _, r := range all {
				text = append(text, fmt.Sprintf("%s g%d", r.ID, r.Generation))
			}
			return strings.Join(text, ", ")
		}
		if got := ids(s.Open(ctx)); got != "r-1 g1, r-2 g2" {
			d.Errorf("open: %s", got)
		}
		if got := ids(s.History(ctx, "")); got != "r-2 g2, r-1 g1, r-0 g1" {
			d.Errorf("history: %s", got)
		}
		if got := ids(s.History(ctx, "app "+appA)); got != "r-2 g2, r-0 g1" {
			d.Errorf("history of A: %s", got)
		}
		if got := ids(s.History(ctx, "nobody's")); got != "" {
			d.Errorf("history of nobody: %s", got)
		}
		for app, want := range map[string]int64{appA: 2, appB: 1, "other": 0} {
			if got, err := s.Generation(ctx, newRotation("", "").Plan.TenantID, app); got != want || err != nil {
				d.Errorf("generation of %s: %d, %v", app, got, err)
			}
		}
		_, err := s.Take(ctx, "r-9", rotate.Hold)
		wantErr(d, "take of none", err, rotate.ErrNone)
	})
}

func TestPause(t *testing.T) {
	both(t, func(d *database) {
		s, ctx := d.open("one"), d.Context()
		for _, why := range []string{"", "the tenant is on fire", "still", ""} {
			if why != "" {
				if err := s.Pause(ctx, why, "ada", epoch); err != nil {
					d.Fatal(err)
				}
			}
			if got, err := s.Paused(ctx); got != why || err != nil {
				d.Errorf("paused: %q, %v; want %q", got, err, why)
			}
			if why == "still" {
				if err := s.Pause(ctx, "", "ada", epoch); err != nil {
					d.Fatal(err)
				}
			}
		}
		verify(d, s, 3)
	})
}

func TestRetired(t *testing.T) {
	both(t, func(d *database) {
		s := d.open("one")
		r := begin(d, s, "r-1", appA)
		r = take(d, s, r.ID)
		for i := range 4 {
			e := entry(r, audit.Remove, audit.Done)
			e.At, e.Detail = epoch.Add(time.Duration(i)*time.Minute), rotate.OldSecret
			intent, stray := e, e
			intent.Outcome, stray.Detail = audit.Intent, "ours, its value lost"
			save(d, s, r, nil, intent, e, stray)
		}
		for since, want := range map[time.Duration]int{0: 4, time.Minute: 3, 3 * time.Minute: 1, time.Hour: 0} {
			if got, err := s.Retired(d.Context(), epoch.Add(since)); got != want || err != nil {
				d.Errorf("retired in the last %s: %d, %v; want %d", since, got, err, want)
			}
		}
	})
}

// One rotation of an app at a time, and no generation twice, whoever begins.
func TestBeginAtOnce(t *testing.T) {
	both(t, func(d *database) {
		stores := []*store.Store{d.open("one")}
		if d.shared() {
			stores = append(stores, d.open("two"), d.open("three"))
		}
		for round := range 3 {
			var wg sync.WaitGroup
			var mu sync.Mutex
			var won []*rotate.Rotation
			for i := range 12 {
				wg.Go(func() {
					s, r := stores[i%len(stores)], newRotation(fmt.Sprintf("r-%d-%d", round, i), appA)
					err := s.Begin(d.Context(), r, entry(r, audit.Start, audit.Done))
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						won = append(won, r)
					} else if !errors.Is(err, rotate.ErrBusy) {
						d.Errorf("begin: %v", err)
					}
				})
			}
			wg.Wait()
			if len(won) != 1 || won[0].Generation != int64(round)+1 {
				d.Fatalf("round %d: %d began: %+v", round, len(won), won)
			}
			finish(d, stores[0], take(d, stores[0], won[0].ID))
		}
		verify(d, stores[0], 6)
	})
}

// Of two that write the same version one wins, and the other one's values and
// entries are not there either.
func TestCompareAndSwap(t *testing.T) {
	both(t, func(d *database) {
		s := d.open("one")
		begin(d, s, "r-1", appA)
		first, second := take(d, s, "r-1"), take(d, s, "r-1")
		if first.Epoch != second.Epoch {
			d.Fatal("one process is two holders")
		}
		first.Next, second.Next = "first", "second"
		save(d, s, first, map[string]secret.Value{"new": secret.New("of the first")}, entry(first, audit.Mint, audit.Done))
		err := s.Save(d.Context(), second, map[string]secret.Value{"new": secret.New("of the second"), "more": secret.New("more")}, entry(second, audit.Mint, audit.Done))
		wantErr(d, "second write", err, rotate.ErrStale)
		wantErr(d, "second shred", s.Shred(d.Context(), second, entry(second, audit.Shred, audit.Done)), rotate.ErrStale)
		if second.Version != 1 {
			d.Errorf("a failed write counts as version %d", second.Version)
		}
		r := take(d, s, "r-1")
		if got := r.Next + ", " + value(d, s, r, "new") + ", " + value(d, s, r, "more"); got != "first, of the first, " {
			d.Errorf("it holds %q", got)
		}
		verify(d, s, 2)
	})
}

// A rotation, its values and its entries are one transaction.
func TestAllOrNothing(t *testing.T) {
	both(t, func(d *database) {
		s := d.open("one")
		begin(d, s, "r-1", appA)
		r := take(d, s, "r-1")
		d.exec("ALTER TABLE audit RENAME TO elsewhere")
		r.Next = "written"
		if err := s.Save(d.Context(), r, map[string]secret.Value{"new": secret.New("v")}, entry(r, audit.Mint, audit.Done)); err == nil {
			d.Fatal("it was saved without an audit record")
		}
		other := newRotation("r-2", appB)
		if err := s.Begin(d.Context(), other, entry(other, audit.Start, audit.Done)); err == nil {
			d.Fatal("it was begun without an audit record")
		}
		if err := s.Pause(d.Context(), "why", "ada", epoch); err == nil {
			d.Fatal("it was paused without an audit record")
		}
		d.exec("ALTER TABLE elsewhere RENAME TO audit")
		all, err := s.History(d.Context(), "")
		if err != nil || len(all) != 1 || all[0].Next != "look" || all[0].Version != 1 {
			d.Errorf("something was written: %+v, %v", all, err)
		}
		if got := value(d, s, r, "new"); got != "" {
			d.Errorf("a value was written: %q", got)
		}
		if why, err := s.Paused(d.Context()); why != "" || err != nil {
			d.Errorf("paused: %q, %v", why, err)
		}
		save(d, s, r, nil, entry(r, audit.Mint, audit.Done))
		verify(d, s, 2)
	})
}

// Many rotations are saved at once, by one process or by several.
func TestManyAtOnce(t *testing.T) {
	both(t, func(d *database) {
		stores := []*store.Store{d.open("one")}
		if d.shared() {
			stores = append(stores, d.open("two"), d.open("three"))
		}
		const apps, writes = 9, 10
		var wg sync.WaitGroup
		for i := range apps {
			wg.Go(func() {
				s, id := stores[i%len(stores)], fmt.Sprint("r-", i)
				r := newRotation(id, fmt.Sprint("app-", i))
				err := s.Begin(d.Context(), r, entry(r, audit.Start, audit.Done))
				for n := 0; n < writes && err == nil; n++ {
					if r, err = s.Take(d.Context(), id, rotate.Hold); err == nil {
						err = s.Save(d.Context(), r, map[string]secret.Value{"new": secret.New(fmt.Sprint(i, n))}, entry(r, audit.Deliver, audit.Done))
					}
				}
				if err != nil {
					d.Error(err)
				}
			})
		}
		wg.Wait()
		verify(d, stores[0], apps*(writes+1))
		known, err := os.ReadFile(d.head())
		if want := fmt.Sprintf(`"seq":%d,`, apps*(writes+1)); err != nil || !strings.Contains(string(known), want) {
			d.Errorf("the head that was noted is %s (%v), want %s", known, err, want)
		}
		left, _ := filepath.Glob(d.head() + ".*")
		if len(left) > 0 {
			d.Errorf("left behind: %v", left)
		}
		all, err := stores[0].Open(d.Context())
		if err != nil || len(all) != apps {
			d.Fatalf("%d rotations, %v", len(all), err)
		}
		for _, r := range all {
			if r.Version != writes+1 {
				d.Errorf("%s has version %d", r.ID, r.Version)
			}
		}
	})
}

// All that start together on an empty database open the same one.
func TestOpenTogether(t *testing.T) {
	t.Parallel()
	d := postgresDatabase(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var opened []*store.Store
	for i := range 4 {
		wg.Go(func() {
			o := store.Options{Holder: fmt.Sprint(i)}
			if i == 3 { // with a key file of its own, which cannot be right
				o.KeyFile = filepath.Join(d.TempDir(), "other.key")
			}
			s, err := d.tryOpen(o)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				opened = append(opened, s)
			} else if !errors.Is(err, store.ErrKey) && !errors.Is(err, os.ErrExist) {
				d.Error(err)
			}
		})
	}
	wg.Wait()
	if len(opened) == 0 {
		t.Fatal("nobody could open it")
	}
	begin(t, opened[0], "r-1", appA)
	for _, s := range opened {
		if all, err := s.Open(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("%d rotations, %v", len(all), err)
		}
	}
}

// A database that does not answer keeps nobody waiting for ever.
func TestAnswerIsBounded(t *testing.T) {
	both(t, func(d *database) {
		s := d.open("one")
		begin(d, s, "r-1", appA)
		ctx, cancel := context.WithCancel(d.Context())
		cancel()
		if _, err := s.Take(ctx, "r-1", rotate.Hold); !errors.Is(err, context.Canceled) {
			d.Errorf("take: %v", err)
		}
		if _, err := s.History(ctx, ""); !errors.Is(err, context.Canceled) {
			d.Errorf("history: %v", err)
		}
		if r := take(d, s, "r-1"); r.Version != 1 { // and it is of use afterwards
			d.Errorf("version %d", r.Version)
		}
	})
}
