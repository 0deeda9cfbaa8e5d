package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/internal/audit"
	"github.com/credsmith/credsmith/internal/canary"
	"github.com/credsmith/credsmith/internal/pgtest"
	"github.com/credsmith/credsmith/internal/rotate"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/store"
)

func TestKeyFile(t *testing.T) {
	both(t, func(d *database) {
		full(d)
		right, err := os.ReadFile(d.key)
		if err != nil {
			d.Fatal(err)
		}
		if info, err := os.Stat(d.key); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			d.Errorf("it was made with mode %v (%v)", info.Mode(), err)
		}
		other := append([]byte(nil), right...)
		if other[0] = '0'; right[0] == '0' {
			other[0] = '1'
		}
		for name, c := range map[string]struct {
			text []byte
			mode fs.FileMode
			want error
			says string
		}{
			"another key":     {other, 0o600, store.ErrKey, "open "},
			"half a key":      {right[:32], 0o600, store.ErrKey, "does not hold 64 hexadecimal digits"},
			"empty":           {nil, 0o600, store.ErrKey, "does not hold"},
			"no key":          {[]byte(strings.Repeat("zz", 32)), 0o600, store.ErrKey, "does not hold"},
			"for the group":   {right, 0o640, nil, "chmod 600"},
			"for all":         {right, 0o604, nil, "can be read by others (mode 0604): run chmod 600"},
			"writable by all": {right, 0o622, nil, "chmod 600"},
		} {
			if c.want == nil && runtime.GOOS == "windows" {
				continue
			}
			if err := errors.Join(os.WriteFile(d.key, c.text, 0o600), os.Chmod(d.key, c.mode)); err != nil {
				d.Fatal(err)
			}
			for _, readOnly := range []bool{false, true} {
				_, err := d.tryOpen(store.Options{Holder: "one", ReadOnly: readOnly})
				if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), d.key) {
					d.Errorf("%s: %v", name, err)
				}
				if err != nil && len(canary.Find([]byte(err.Error()), string(right[:64]))) > 0 {
					d.Errorf("%s: the error holds the key", name)
				}
			}
		}
		if err := os.Remove(d.key); err != nil {
			d.Fatal(err)
		}
		_, err = d.tryOpen(store.Options{Holder: "one"})
		wantErr(d, "no key file", err, store.ErrKey, d.key+" is missing")
		if _, err := os.Stat(d.key); !errors.Is(err, fs.ErrNotExist) {
			d.Errorf("a new key was made for an old database: %v", err)
		}
		if err := errors.Join(os.WriteFile(d.key, right, 0o600), os.Chmod(d.key, 0o400)); err != nil {
			d.Fatal(err)
		}
		if err := readAll(d); err != nil {
			d.Errorf("with the right one: %v", err)
		}
	})
}

// A process that died between the schema and the key leaves a database that
// can be used.
func TestNoKeyYet(t *testing.T) {
	both(t, func(d *database) {
		d.close(d.open("one"))
		d.exec("DELETE FROM setting")
		if err := os.Remove(d.key); err != nil {
			d.Fatal(err)
		}
		full(d)
		if err := readAll(d); err != nil {
			d.Error(err)
		}
	})
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for address, says := range map[string]string{
		"":                                 "neither sqlite:FILE nor postgres://",
		"mysql://u:pass-word-7@h/db":       "neither sqlite:FILE nor postgres://",
		"postgres://u:pass-word-7@h/db":    "name the file of its key",
		"postgres://u:pass-word-7@h:zz/db": "neither",
	} {
		_, err := store.Open(t.Context(), address, store.Options{})
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "pass-word-7") {
			t.Errorf("%q: %v", address, err)
		}
	}
	key := filepath.Join(t.TempDir(), "key")
	_, err := store.Open(t.Context(), "postgres://u:pass-word-7@127.0.0.1:1/db", store.Options{KeyFile: key})
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "pass-word-7") {
		t.Errorf("nobody listens: %v", err)
	}
	for _, name := range []string{"a?b.db", "a%20b.db", "a#b.db", "a b.db", "ä'\".db"} {
		d := sqliteDatabase(t)
		d.file = filepath.Join(filepath.Dir(d.file), name)
		d.address, d.key = "sqlite:"+d.file, d.file+".key"
		s := d.open("one")
		begin(t, s, "r-1", appA)
		d.close(s)
		if info, err := os.Stat(d.file); err != nil || info.Size() == 0 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecondWriter(t *testing.T) {
	t.Parallel()
	d := sqliteDatabase(t)
	s := d.open("one")
	begin(t, s, "r-1", appA)
	_, err := d.tryOpen(store.Options{Holder: "two"})
	wantErr(t, "second writer", err, store.ErrLocked, d.file, "let that one finish, or use PostgreSQL")
	// To look is allowed at any time.
	look, err := d.tryOpen(store.Options{Holder: "two", ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if all, err := look.Open(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%d rotations, %v", len(all), err)
	}
	if err := look.Pause(t.Context(), "why", "ada", epoch); err == nil {
		t.Error("one that only looks has written")
	}
	begin(t, s, "r-2", appB) // and does not stand in the way
	d.close(look)
	d.close(s)
	d.close(d.open("two"))
}

func TestLookAtNothing(t *testing.T) {
	t.Parallel()
	d := sqliteDatabase(t)
	_, err := d.tryOpen(store.Options{ReadOnly: true})
	wantErr(t, "look at a file that is not there", err, fs.ErrNotExist, d.file)
	if left, _ := filepath.Glob(d.file + "*"); len(left) > 0 {
		t.Errorf("it made %v", left)
	}
}

func TestNewerSchema(t *testing.T) {
	both(t, func(d *database) {
		full(d)
		is := "1"
		if d.shared() {
			is = "true"
		}
		d.exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, " + is + ")")
		for _, readOnly := range []bool{false, true} {
			_, err := d.tryOpen(store.Options{Holder: "one", ReadOnly: readOnly})
			wantErr(d, "open", err, store.ErrNewer, "schema 99, this credsmith knows 1")
		}
		d.exec("DELETE FROM goose_db_version WHERE version_id = 99")
		if err := readAll(d); err != nil {
			d.Error(err)
		}
	})
}

// Every page of the file in turn holds something else: what is read is right
// or refused, and nothing panics.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	d := sqliteDatabase(t)
	full(d)
	text, err := os.ReadFile(d.file)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	random := rand.NewChaCha8([32]byte{7})
	refused := 0
	for at := 0; at < len(text); at += page {
		for _, how := range []string{"zero", "random", "cut"} {
			bad := bytes.Clone(text)
			switch how {
			case "zero":
				clear(bad[at : at+page])
			case "random":
				random.Read(bad[at : at+page])
			case "cut":
				bad = bad[:at]
			}
			if err := os.WriteFile(d.file, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			err := readAll(d)
			if err != nil {
				refused++
			}
			if at == 0 && err == nil {
				t.Errorf("page 1 (%s): it was read", how)
			}
			if at == 0 && how == "random" {
				wantErr(t, "no database", err, store.ErrBroken, d.file, "restore it from a copy")
			}
		}
	}
	if refused < len(text)/page {
		t.Errorf("only %d of %d damages were noticed", refused, 3*len(text)/page)
	}
	if err := os.WriteFile(d.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := readAll(d); err != nil {
		t.Errorf("the file itself: %v", err)
	}
}

// A database that vanished is no new one.
func TestVanished(t *testing.T) {
	t.Parallel()
	d := sqliteDatabase(t)
	full(d)
	if err := os.Remove(d.file); err != nil {
		t.Fatal(err)
	}
	_, err := d.tryOpen(store.Options{Holder: "one"})
	wantErr(t, "open", err, store.ErrOlder, "entry 5")
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	d := sqliteDatabase(t)
	s := d.open("one")
	r := take(t, s, begin(t, s, "r-1", appA).ID)
	limit := func(pages int) {
		t.Helper()
		if _, err := s.DB().ExecContext(t.Context(), fmt.Sprint("PRAGMA max_page_count = ", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // no more than there are
	big := map[string]secret.Value{"new": secret.New(strings.Repeat("v", 100_000))}
	r.Next = "written"
	err := s.Save(t.Context(), r, big, entry(r, audit.Mint, audit.Done))
	wantErr(t, "save", err, store.ErrFull, "free some")
	if all, err := s.History(t.Context(), ""); err != nil || all[0].Next != "look" || r.Version != 1 {
		t.Errorf("something was written: %+v, %v", all, err)
	}
	verify(t, s, 1)
	limit(1 << 20)
	save(t, s, r, big, entry(r, audit.Mint, audit.Done))
	if got := value(t, s, r, "new"); len(got) != 100_000 {
		t.Errorf("%d bytes came back", len(got))
	}
	verify(t, s, 2)
}

func TestLockedFile(t *testing.T) {
	t.Parallel()
	d := sqliteDatabase(t)
	s := d.open("one")
	r := take(t, s, begin(t, s, "r-1", appA).ID)
	other, err := d.raw().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	exec := func(statement string) {
		t.Helper()
		if _, err := other.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("BEGIN IMMEDIATE")
	if _, err := s.DB().ExecContext(t.Context(), "PRAGMA busy_timeout = 1"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "save", s.Save(t.Context(), r, nil, entry(r, audit.Mint, audit.Done)), store.ErrLocked, d.file)
	exec("ROLLBACK")
	save(t, s, r, nil, entry(r, audit.Mint, audit.Done))
}

// Values stand nowhere on the disk, before and after they are shredded.
func TestCanary(t *testing.T) {
	both(t, func(d *database) {
		const clear, hidden = "rotation-that-is-written-in-clear", "CANARY~9fK2.q_Zx-7Lm4Wv8Rt1"
		s := d.open("one")
		r := take(d, s, begin(d, s, clear, appA).ID)
		for i := range 3 {
			save(d, s, r, map[string]secret.Value{"new": secret.New(hidden), fmt.Sprint("prior ", i): secret.New(hidden)}, entry(r, audit.Mint, audit.Done))
			search(d, clear, hidden)
		}
		if err := s.Shred(d.Context(), r, entry(r, audit.Shred, audit.Done)); err != nil {
			d.Fatal(err)
		}
		search(d, clear, hidden)
		finish(d, s, r)
		d.close(s)
		search(d, clear, hidden)
	})
}

// search looks through every file for what must be there and what must not.
func search(d *database, clear, hidden string) {
	d.Helper()
	dir := filepath.Dir(d.file)
	if d.shared() {
		dir = filepath.Join(pgtest.Dir(), "data")
		if _, err := pgtest.Admin().ExecContext(d.Context(), "CHECKPOINT"); err != nil {
			d.Fatal(err)
		}
	}
	found, files := false, 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && !e.Type().IsRegular() {
			return nil // the server's files come and go
		}
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		files++
		found = found || bytes.Contains(text, []byte(clear))
		if d.shared() && !bytes.Contains(text, []byte("9fK2.q_Z")) && !bytes.Contains(text, []byte(clear)) {
			return err // all forms are searched for where our rows are
		}
		if forms := canary.Find(text, hidden); len(forms) > 0 {
			d.Errorf("%s holds the value (%v)", path, forms)
		}
		return err
	})
	if err != nil || !found {
		d.Errorf("searched %d files, and did not even find what is there: %v", files, err)
	}
}

// What was sealed is destroyed with its key: the log keeps no copy either.
func TestShredded(t *testing.T) {
	t.Parallel()
	d := sqliteDatabase(t)
	s := d.open("one")
	r := take(t, s, begin(t, s, "r-1", appA).ID)
	save(t, s, r, map[string]secret.Value{"new": secret.New("v")})
	var wrapped string
	if err := s.DB().QueryRowContext(t.Context(), "SELECT data_key FROM sealed").Scan(&wrapped); err != nil {
		t.Fatal(err)
	}
	holds := func() (n int) {
		t.Helper()
		for _, name := range []string{d.file, d.file + "-wal"} {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			n += bytes.Count(text, []byte(wrapped))
		}
		return n
	}
	if holds() == 0 {
		t.Fatal("the search does not find a key that is there")
	}
	r.Step = rotate.Close
	if err := s.Shred(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if n := holds(); n > 0 {
		t.Errorf("%d copies of the wrapped key are left", n)
	}
}
