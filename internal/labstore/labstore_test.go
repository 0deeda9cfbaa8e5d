package labstore_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/canary"
	"github.com/credsmith/credsmith/internal/labstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run starts a lab on a directory and returns what stops it.
func run(t *testing.T, dir string) (*entralab.Lab, func()) {
	t.Helper()
	store, err := labstore.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	lab, err := entralab.Start(t.Context(), entralab.Config{InProcess: true, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	return lab, func() {
		if err := errors.Join(lab.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	}
}

func signIn(t *testing.T, lab *entralab.Lab, app entralab.App, value string) int {
	t.Helper()
	resp, err := lab.Client().PostForm(lab.AuthorityURL()+"/"+app.TenantID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {app.ClientID}, "client_secret": {value}, "scope": {"https://graph.microsoft.com/.default"},
	})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestALabGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lab, stop := run(t, dir)
	app, err := lab.AddApp(entralab.AppSpec{DisplayName: "kept", Permissions: []string{"User.Read.All"}, Secrets: []entralab.SecretSpec{{}, {}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.RemoveSecret(app.ObjectID, app.Secrets[1].KeyID); err != nil {
		t.Fatal(err)
	}
	lab.Freeze(true)
	lab.Advance(48 * time.Hour)
	lab.SetDelay(entralab.Delay{Accept: time.Minute, Replicas: 3})
	signIn(t, lab, app, app.Secrets[0].Value.Reveal())
	env, doc, ca, now, history := lab.Env(), lab.Export(), lab.CAPEM(), lab.Now(), lab.History(0)
	stop()

	lab, stop = run(t, dir)
	defer stop()
	if got := lab.Export(); !bytes.Equal(got, doc) {
		t.Errorf("the tenant changed over the restart:\n%s\n%s", doc, got)
	}
	if !slices.Equal(lab.Env(), env) || !bytes.Equal(lab.CAPEM(), ca) || !lab.Now().Equal(now) {
		t.Errorf("environment, CA or clock changed: %v", lab.Now())
	}
	if got := lab.History(0); !slices.EqualFunc(got, history, func(a, b entralab.Event) bool {
		return a.Seq == b.Seq && a.Path == b.Path && a.Outcome == b.Outcome && a.KeyID == b.KeyID
	}) {
		t.Errorf("history: %v, was %v", got, history)
	}
	if got := signIn(t, lab, app, app.Secrets[0].Value.Reveal()); got != http.StatusOK {
		t.Errorf("the kept secret answers %d", got)
	}
	if got := signIn(t, lab, app, app.Secrets[1].Value.Reveal()); got != http.StatusUnauthorized {
		t.Errorf("the removed secret answers %d", got)
	}
	again, err := lab.AddApp(entralab.AppSpec{})
	if err != nil || again.ObjectID == app.ObjectID || strings.Contains(string(doc), again.ObjectID) {
		t.Errorf("an id was given twice: %s, %v", again.ObjectID, err)
	}
}

// TestNothingInClear searches all files for every value the lab ever gave.
func TestNothingInClear(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lab, stop := run(t, dir)
	var values []string
	for range 20 {
		app, err := lab.AddApp(entralab.AppSpec{DisplayName: "visible-name", Secrets: []entralab.SecretSpec{{}}})
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, app.Secrets[0].Value.Reveal())
	}
	for _, line := range lab.Env() {
		if name, value, _ := strings.Cut(line, "="); strings.HasSuffix(name, "CLIENT_SECRET") {
			values = append(values, value)
		}
	}
	search := func() {
		searched := 0
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			searched += len(data)
			for _, value := range values {
				if found := canary.Find(data, value); len(found) > 0 {
					t.Errorf("%s holds a secret (%v)", path, found)
				}
			}
			if bytes.Contains(data, []byte("visible-name")) || bytes.Contains(data, []byte("PRIVATE")) {
				t.Errorf("%s is not sealed", path)
			}
			return err
		})
		if err != nil || searched < 10_000 || len(values) != 22 {
			t.Errorf("%d bytes were searched for %d values, %v", searched, len(values), err)
		}
	}
	search() // with the write-ahead log
	stop()
	search()
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	database := func(dir string) string { return filepath.Join(dir, "lab.db") }
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  error
	}{
		{"no key", func(t *testing.T, dir string) { check(t, os.Remove(filepath.Join(dir, "key"))) }, labstore.ErrKey},
		{"another key", func(t *testing.T, dir string) {
			check(t, os.WriteFile(filepath.Join(dir, "key"), []byte(strings.Repeat("ab", 32)), 0o600))
		}, labstore.ErrKey},
		{"half a key", func(t *testing.T, dir string) {
			check(t, os.WriteFile(filepath.Join(dir, "key"), []byte("abcd"), 0o600))
		}, labstore.ErrKey},
		{"newer schema", func(t *testing.T, dir string) { execute(t, database(dir), "PRAGMA user_version = 99") }, labstore.ErrNewer},
		{"no database at all", func(t *testing.T, dir string) {
			check(t, os.WriteFile(database(dir), []byte("this is a text file, and long enough to be read as one\n"), 0o600))
		}, labstore.ErrDamaged},
		{"truncated", func(t *testing.T, dir string) { check(t, os.Truncate(database(dir), 8192)) }, labstore.ErrDamaged},
		{"a record that was changed", func(t *testing.T, dir string) {
			execute(t, database(dir), "UPDATE record SET data = zeroblob(length(data)) WHERE kind = 'app'")
		}, labstore.ErrDamaged},
		{"two records that changed places", func(t *testing.T, dir string) {
			execute(t, database(dir), "UPDATE record SET data = (SELECT data FROM record WHERE kind = 'keys') WHERE kind = 'lab'")
		}, labstore.ErrDamaged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			_, stop := run(t, dir)
			stop()
			tt.spoil(t, dir)
			store, err := labstore.Open(t.Context(), dir)
			if err == nil {
				_, err = entralab.Start(t.Context(), entralab.Config{InProcess: true, Store: store})
				store.Close()
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestOneLabAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, stop := run(t, dir)
	if _, err := labstore.Open(t.Context(), dir); !errors.Is(err, labstore.ErrLocked) {
		t.Errorf("a second lab got %v", err)
	}
	stop()
	_, stop = run(t, dir)
	stop()
}

// full fails after some saves.
type full struct {
	entralab.Store
	left int
}

var errFull = errors.New("no space left")

func (f *full) Save(ctx context.Context, changes []entralab.Record) error {
	if f.left--; f.left < 0 {
		return errFull
	}
	return f.Store.Save(ctx, changes)
}

// TestAFailingStoreStopsTheLab: what was not kept is never shown.
func TestAFailingStoreStopsTheLab(t *testing.T) {
	t.Parallel()
	store, err := labstore.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	lab, err := entralab.Start(t.Context(), entralab.Config{InProcess: true, Store: &full{store, 1}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lab.AddApp(entralab.AppSpec{}); !errors.Is(err, errFull) {
		t.Errorf("the write got %v", err)
	}
	resp, err := lab.Client().Get(lab.ControlURL() + "/control/state")
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a stopped lab answers %v, %v", resp.StatusCode, err)
	}
	if err := lab.Wait(t.Context()); !errors.Is(err, errFull) {
		t.Errorf("Wait says %v", err)
	}
	if err := lab.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close says %v", err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func execute(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	check(t, err)
	_, err = db.Exec(statement)
	check(t, errors.Join(err, db.Close()))
}
