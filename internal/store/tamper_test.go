package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/internal/audit"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/store"
)

// full is a database with something in every table.
func full(d *database) {
	d.Helper()
	s := d.open("one")
	for _, id := range []string{"r-1", "r-2"} {
		r := take(d, s, begin(d, s, id, "app of "+id).ID)
		save(d, s, r, map[string]secret.Value{"new": secret.New("value of " + id)}, entry(r, audit.Mint, audit.Done))
	}
	if err := s.Pause(d.Context(), "why", "ada", epoch); err != nil {
		d.Fatal(err)
	}
	d.close(s)
}

// readAll reads everything there is to read.
func readAll(d *database) (err error) {
	d.Helper()
	s, err := d.tryOpen(store.Options{Holder: "one"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	ctx := d.Context()
	all, err := s.History(ctx, "")
	if err != nil {
		return err
	}
	if _, err := s.Open(ctx); err != nil {
		return err
	}
	if _, err := s.Paused(ctx); err != nil {
		return err
	}
	for _, r := range all {
		v, err := s.Value(ctx, r, "new")
		if err != nil {
			return err
		}
		if v.IsEmpty() {
			return errors.New("the sealed value is gone: roll back") // as the engine does
		}
		if v.Reveal() != "value of "+r.ID {
			d.Errorf("%s holds the value %q", r.ID, v.Reveal())
		}
	}
	_, err = s.VerifyAudit(ctx)
	return err
}

// TestTamper changes every column of every table; each change is found.
func TestTamper(t *testing.T) {
	both(t, func(d *database) {
		full(d)
		if err := readAll(d); err != nil {
			d.Fatalf("before anything was changed: %v", err)
		}
		db, changes := d.raw(), 0
		for table, keys := range map[string][]any{"rotation": {"r-2"}, "sealed": {"r-2"}, "audit": {4, 5}, "setting": {"paused", "audit head"}} {
			for _, column := range columns(d, db, table) {
				for _, key := range keys {
					undo := tamper(d, db, table, column, key)
					changes++
					err := readAll(d)
					_, isBroken := errors.AsType[*audit.Broken](err)
					if err == nil {
						d.Errorf("%s.%s was changed (undone by %s), and nobody noticed", table, column, undo)
					} else if table == "audit" && !isBroken && !errors.Is(err, store.ErrOlder) {
						d.Errorf("%s.%s: %v", table, column, err)
					}
					if _, err := db.ExecContext(d.Context(), undo); err != nil {
						d.Fatalf("%s: %v", undo, err)
					}
				}
			}
		}
		if changes != 13+4+2*6+2*3 {
			d.Errorf("%d changes were made: has a table changed?", changes)
		}
		if err := readAll(d); err != nil {
			d.Errorf("after everything was put back: %v", err)
		}
	})
}

func columns(d *database, db *sql.DB, table string) []string {
	d.Helper()
	rows, err := db.QueryContext(d.Context(), "SELECT * FROM "+table+" LIMIT 0")
	if err != nil {
		d.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		d.Fatal(err)
	}
	return names
}

// tamper changes one column of one row, and returns what undoes it.
func tamper(d *database, db *sql.DB, table, column string, key any) (undo string) {
	d.Helper()
	by := map[string]string{"rotation": "id", "sealed": "rotation", "audit": "seq", "setting": "name"}[table]
	var was, to any
	if err := db.QueryRowContext(d.Context(), fmt.Sprintf("SELECT %s FROM %s WHERE %s = %s", column, table, by, literal(key))).Scan(&was); err != nil {
		d.Fatal(err)
	}
	switch v := was.(type) {
	case int64:
		to = v + 100
	case string:
		to = changed(v)
	default:
		d.Fatalf("%s.%s is a %T", table, column, was)
	}
	d.exec(fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s = %s", table, column, literal(to), by, literal(key)))
	if column == by {
		key = to
	}
	return fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s = %s", table, column, literal(was), by, literal(key))
}

// changed is a text with one character in its middle changed.
func changed(s string) string {
	if s == "" {
		return "x"
	}
	b := []byte(s)
	i := len(b) / 2
	if b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}

func literal(v any) string {
	if s, ok := v.(string); ok {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return fmt.Sprint(v)
}

// Rows that are taken out or moved are found, too.
func TestTamperWithRows(t *testing.T) {
	for name, statement := range map[string]string{
		"swap the sealed values":     "UPDATE sealed SET rotation = CASE rotation WHEN 'r-1' THEN 'r-2 ' ELSE 'r-1 ' END; UPDATE sealed SET rotation = trim(rotation)",
		"copy a sealed value":        "UPDATE sealed SET data_key = (SELECT data_key FROM sealed WHERE rotation = 'r-1'), sealed = (SELECT sealed FROM sealed WHERE rotation = 'r-1')",
		"take a sealed value out":    "DELETE FROM sealed WHERE rotation = 'r-2'",
		"take a rotation out":        "DELETE FROM rotation WHERE id = 'r-2'",
		"take the pause out":         "DELETE FROM setting WHERE name = 'paused'",
		"take the last entry out":    "DELETE FROM audit WHERE seq = 5",
		"take an entry out":          "DELETE FROM audit WHERE seq = 2",
		"take the first entry out":   "DELETE FROM audit WHERE seq = 1",
		"take all entries out":       "DELETE FROM audit",
		"swap two entries":           "UPDATE audit SET seq = 103 - seq WHERE seq IN (1, 2); UPDATE audit SET seq = seq - 100 WHERE seq > 100",
		"count one removal less":     "UPDATE audit SET detail = 'else' WHERE seq = 2",
		"end a rotation unseen":      "UPDATE rotation SET ended = 1 WHERE id = 'r-2'",
		"give a rotation to another": "UPDATE rotation SET holder = 'mallory', epoch = epoch + 1 WHERE id = 'r-2'",
		"put an older row back":      "UPDATE rotation SET version = 1 WHERE id = 'r-2'",
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(d *database) {
				full(d)
				for one := range strings.SplitSeq(statement, "; ") {
					d.exec(one)
				}
				if err := readAll(d); err == nil {
					d.Error("nobody noticed")
				} else {
					d.Log(err)
				}
			})
		})
	}
}

// A head that was set back stops all writing; it does not hang.
func TestHeadSetBack(t *testing.T) {
	both(t, func(d *database) {
		s := d.open("one")
		begin(d, s, "r-1", appA)
		r := take(d, s, "r-1")
		var text, mac string
		db := d.raw()
		defer db.Close()
		if err := db.QueryRowContext(d.Context(), "SELECT value, mac FROM setting WHERE name = 'audit head'").Scan(&text, &mac); err != nil {
			d.Fatal(err)
		}
		save(d, s, r, nil, entry(r, audit.Mint, audit.Intent))
		d.exec(fmt.Sprintf("UPDATE setting SET value = %s, mac = %s WHERE name = 'audit head'", literal(text), literal(mac)))
		wantErr(d, "write", s.Save(d.Context(), r, nil, entry(r, audit.Mint, audit.Done)), store.ErrForged, "audit record")
	})
}

// The record is chained to the file beside it: an end that was cut off
// together with the head in the database is found.
func TestCutRecord(t *testing.T) {
	both(t, func(d *database) {
		full(d)
		restore := d.snapshot()
		s := d.open("one")
		begin(d, s, "r-3", appA)
		d.close(s)
		restore()
		_, err := d.tryOpen(store.Options{Holder: "one"})
		wantErr(d, "open", err, store.ErrOlder, "entry 6", d.head(), "put the newest copy back")
		look, err := d.tryOpen(store.Options{Holder: "one", ReadOnly: true})
		if err != nil {
			d.Fatalf("an old copy may be looked at: %v", err)
		}
		if all, err := look.History(d.Context(), ""); err != nil || len(all) != 2 {
			d.Errorf("%d rotations, %v", len(all), err)
		}
		if _, err := look.VerifyAudit(d.Context()); err == nil || !strings.Contains(err.Error(), "entry 6 was written once") {
			d.Errorf("verify: %v", err)
		}
		d.close(look)

		// A person who knows what is lost takes the file away.
		if err := os.Remove(d.head()); err != nil {
			d.Fatal(err)
		}
		s = d.open("one")
		verify(d, s, 5)
		begin(d, s, "r-4", appB)
		verify(d, s, 6)
	})
}

// A database that was put back from an old copy while we run stops us.
func TestCutWhileRunning(t *testing.T) {
	both(t, func(d *database) {
		s := d.open("one")
		begin(d, s, "r-1", appA)
		r := take(d, s, "r-1")
		save(d, s, r, nil, entry(r, audit.Mint, audit.Intent), entry(r, audit.Mint, audit.Done))
		if err := os.WriteFile(d.head(), []byte(`{"seq":7,"hash":"of another world"}`), 0o600); err != nil {
			d.Fatal(err)
		}
		save(d, s, r, nil, entry(r, audit.Deliver, audit.Intent)) // done, and cannot be called off
		err := s.Save(d.Context(), r, nil, entry(r, audit.Deliver, audit.Done))
		wantErr(d, "the next write", err, store.ErrOlder)
		if r.Version != 3 {
			d.Errorf("version %d", r.Version)
		}
	})
}

func TestHeadFile(t *testing.T) {
	both(t, func(d *database) {
		full(d)
		write := func(text string) {
			d.Helper()
			if err := os.WriteFile(d.head(), []byte(text), 0o600); err != nil {
				d.Fatal(err)
			}
		}
		write("") // what a loss of power leaves
		d.close(d.open("one"))
		for _, bad := range []string{"{", "[]", "\x00\x00\x00", "null x"} {
			write(bad)
			if _, err := d.tryOpen(store.Options{Holder: "one"}); err == nil || !strings.Contains(err.Error(), "no head of an audit record: restore it") {
				d.Errorf("%q: %v", bad, err)
			}
		}
		// It may lag behind: the process died before it noted the last one.
		write(`{"seq":0,"hash":""}`)
		s := d.open("one")
		finish(d, s, take(d, s, "r-1"))
		verify(d, s, 6)
		if info, err := os.Stat(d.head()); err != nil || info.Mode().Perm() != 0o600 {
			d.Errorf("mode %v, %v", info.Mode(), err)
		}
	})
}
