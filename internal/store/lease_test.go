package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/audit"
	"github.com/credsmith/credsmith/internal/rotate"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/store"
)

// paused tries all that a holder may do who was stopped for too long.
func paused(t *testing.T, s *store.Store, r *rotate.Rotation) {
	t.Helper()
	r.Next = "of the one that was stopped"
	values := map[string]secret.Value{"new": secret.New("of the one that was stopped")}
	wantErr(t, "save", s.Save(t.Context(), r, values, entry(r, audit.Mint, audit.Done)), rotate.ErrStale)
	wantErr(t, "shred", s.Shred(t.Context(), r, entry(r, audit.Shred, audit.Done)), rotate.ErrStale)
	if err := s.Release(t.Context(), r); err != nil {
		t.Errorf("release: %v", err)
	}
}

// On SQLite the lock tells that the one before has ended: nobody waits.
func TestTakeoverOnSQLite(t *testing.T) {
	t.Parallel()
	d := sqliteDatabase(t)
	s := d.open("one")
	r := take(t, s, begin(t, s, "r-1", appA).ID)
	save(t, s, r, map[string]secret.Value{"new": secret.New("v")}, entry(r, audit.Mint, audit.Done))
	d.close(s)
	s = d.open("two")
	mine := take(t, s, "r-1")
	if mine.Epoch != r.Epoch+1 {
		t.Errorf("epoch %d after %d", mine.Epoch, r.Epoch)
	}
	paused(t, s, r)
	d.close(s)
	s = d.open("one") // under the first one's name, even
	paused(t, s, r)
	if got := take(t, s, "r-1"); got.Epoch != r.Epoch+2 || got.Version != 2 {
		t.Errorf("epoch %d, version %d", got.Epoch, got.Version)
	}
	verify(t, s, 2)
}

func TestTakeover(t *testing.T) {
	t.Parallel()
	d := postgresDatabase(t)
	one, two, three := d.open("one"), d.open("two"), d.open("three")
	r := take(t, one, begin(t, one, "r-1", appA).ID)
	save(t, one, r, map[string]secret.Value{"new": secret.New("v")}, entry(r, audit.Mint, audit.Done))
	held := func(s *store.Store) {
		t.Helper()
		_, err := s.Take(t.Context(), "r-1", rotate.Hold)
		wantErr(t, "take", err, rotate.ErrHeld, "one, until 2026-03-01T12:01:20Z")
	}
	held(two)
	d.clock.advance(rotate.Hold + rotate.Grace - time.Millisecond)
	held(three)
	if took := rotate.Hold + rotate.Grace; took > 90*time.Second {
		t.Errorf("a takeover takes %s", took)
	}
	d.clock.advance(time.Millisecond)

	// Of two that see it free at once one gets it.
	type got struct {
		r   *rotate.Rotation
		err error
	}
	results := make(chan got, 2)
	for _, s := range []*store.Store{two, three} {
		go func() {
			r, err := s.Take(t.Context(), "r-1", rotate.Hold)
			results <- got{r, err}
		}()
	}
	a, b := <-results, <-results
	if a.err != nil {
		a, b = b, a
	}
	if a.err != nil || !errors.Is(b.err, rotate.ErrStale) && !errors.Is(b.err, rotate.ErrHeld) || a.r.Epoch != r.Epoch+1 {
		t.Fatalf("they took %+v and %+v", a, b)
	}
	paused(t, one, r)
	_, err := one.Take(t.Context(), "r-1", rotate.Hold)
	wantErr(t, "take back", err, rotate.ErrHeld)
	if all, err := two.History(t.Context(), ""); err != nil || all[0].Next != "look" || value(t, two, all[0], "new") != "v" {
		t.Errorf("the one that was stopped has written: %+v, %v", all, err)
	}
	verify(t, two, 2)
}

// A holder holds on with every sign of life, and lets go when asked to.
func TestHoldOnAndRelease(t *testing.T) {
	t.Parallel()
	d := postgresDatabase(t)
	one, two := d.open("one"), d.open("two")
	r := take(t, one, begin(t, one, "r-1", appA).ID)
	for range 3 {
		d.clock.advance(rotate.Hold + rotate.Grace - time.Second)
		save(t, one, r, nil)
		d.clock.advance(rotate.Hold + rotate.Grace - time.Second)
		r = take(t, one, "r-1")
	}
	_, err := two.Take(t.Context(), "r-1", rotate.Hold)
	wantErr(t, "take", err, rotate.ErrHeld)
	if r.Epoch != 1 || r.Version != 4 {
		t.Errorf("epoch %d, version %d", r.Epoch, r.Version)
	}
	r.Next = "not written, and so not kept"
	if err := one.Release(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	mine := take(t, two, "r-1")
	if mine.Epoch != 2 || mine.Next != "look" {
		t.Errorf("it was taken over as %+v", mine)
	}
	paused(t, one, r)
	save(t, two, mine, nil)
	verify(t, two, 1)
}

// Without a clock of its own every process goes by the database's.
func TestClockOfTheDatabase(t *testing.T) {
	t.Parallel()
	d := postgresDatabase(t)
	open := func(holder string) *store.Store {
		t.Helper()
		s, err := store.Open(t.Context(), d.address, store.Options{Holder: holder, KeyFile: d.key})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	one, two := open("one"), open("two")
	r := begin(t, one, "r-1", appA)
	var before, until, after int64
	db := d.raw()
	now := "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
	for _, err := range []error{
		db.QueryRowContext(t.Context(), now).Scan(&before),
		func() error { _, err := one.Take(t.Context(), r.ID, rotate.Hold); return err }(),
		db.QueryRowContext(t.Context(), now).Scan(&after),
		db.QueryRowContext(t.Context(), "SELECT held_until FROM rotation").Scan(&until),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if from := until - rotate.Hold.Milliseconds(); from < before || from > after {
		t.Errorf("it is held from %d, taken between %d and %d", from, before, after)
	}
	_, err := two.Take(t.Context(), r.ID, rotate.Hold)
	wantErr(t, "take", err, rotate.ErrHeld)
}
