// Package labstore keeps a lab in one SQLite file. Every record is sealed with
// a key in a file beside it, so that a copy of the database alone tells
// nothing.
package labstore

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/credsmith/credsmith/entralab"
)

// The files in the directory of a lab.
const (
	databaseFile = "lab.db" // and SQLite's lab.db-wal
	keyFile      = "key"
)

// schemaVersion is PRAGMA user_version.
const schemaVersion = 1

const schema = `CREATE TABLE record (
	kind TEXT NOT NULL,
	id   TEXT NOT NULL,
	data BLOB NOT NULL,
	PRIMARY KEY (kind, id)
)`

// Errors that name what to do next. All come wrapped with the file concerned.
var (
	ErrLocked  = errors.New("another lab uses it: stop that one, or name another directory")
	ErrKey     = errors.New("the key does not fit the database: put back the key file that belongs to it, or start with an empty directory")
	ErrNewer   = errors.New("it was made by a newer credsmith: use that one")
	ErrDamaged = errors.New("it is damaged: restore it from a copy, or start with an empty directory")
)

// Store is an [entralab.Store] on SQLite.
type Store struct {
	db   *sql.DB
	path string
	seal cipher.AEAD
}

// Open opens the lab in a directory, which it makes when it is missing. The
// database belongs to this process until [Store.Close], or until it ends.
func Open(ctx context.Context, dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the lab's directory: %w", err)
	}
	path := filepath.Join(dir, databaseFile)
	_, err := os.Stat(path)
	key, err := readKey(filepath.Join(dir, keyFile), errors.Is(err, fs.ErrNotExist))
	if err != nil {
		return nil, err
	}
	s := &Store{path: path}
	block, err := aes.NewCipher(key)
	if err == nil {
		s.seal, err = cipher.NewGCM(block)
	}
	if err != nil {
		return nil, fmt.Errorf("set up sealing: %w", err)
	}
	if s.db, err = sql.Open("sqlite", dataSource(path)); err != nil {
		return nil, s.failure("open", err)
	}
	s.db.SetMaxOpenConns(1) // the lock belongs to the connection
	s.db.SetMaxIdleConns(1)
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	return s, nil
}

// dataSource asks for a write-ahead log that survives the loss of power too,
// and for a lock that other processes notice at once and that ends with this
// one.
func dataSource(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		absolute = path
	}
	u := url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(filepath.ToSlash(absolute), "/")}
	pragmas := url.Values{"_pragma": {"locking_mode(EXCLUSIVE)", "journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(0)"}, "_txlock": {"immediate"}}
	return u.String() + "?" + pragmas.Encode()
}

// readKey reads the key that seals, or makes one for a new database.
func readKey(path string, isNew bool) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && isNew {
		return makeKey(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: %w", path, ErrKey)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key of the lab: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%s does not hold 64 hexadecimal digits: %w", path, ErrKey)
	}
	return key, nil
}

func makeKey(path string) ([]byte, error) {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the key of the lab: %w", err)
	}
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("make the key of the lab: %w", err)
	}
	return key, nil
}

// checkKind is of the one record that tells whether the key fits.
const checkKind = "check"

// prepare takes the lock, makes the table in a new file and checks the key.
func (s *Store) prepare(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil) // immediate: takes the lock
	if err != nil {
		return s.failure("open", err)
	}
	defer tx.Rollback()
	var version int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return s.failure("open", err)
	}
	switch {
	case version > schemaVersion:
		return fmt.Errorf("open %s: %w", s.path, ErrNewer)
	case version == 0:
		if _, err := tx.ExecContext(ctx, schema); err != nil {
			return s.failure("set up", err)
		}
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)); err != nil {
			return s.failure("set up", err)
		}
		check := entralab.Record{Kind: checkKind, ID: checkKind, Data: []byte(checkKind)}
		if err := s.write(ctx, tx, []entralab.Record{check}); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return s.failure("set up", err)
		}
		return os.Chmod(s.path, 0o600)
	}
	var data []byte
	err = tx.QueryRowContext(ctx, "SELECT data FROM record WHERE kind = ? AND id = ?", checkKind, checkKind).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("open %s: %w", s.path, ErrDamaged)
	}
	if err != nil {
		return s.failure("open", err)
	}
	if _, err := s.open(entralab.Record{Kind: checkKind, ID: checkKind, Data: data}); err != nil {
		return fmt.Errorf("open %s: %w", s.path, ErrKey)
	}
	return nil
}

// Close ends the use of the file.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return s.failure("close", err)
	}
	return nil
}

// Load reads the records of a kind.
func (s *Store) Load(ctx context.Context, kind string) iter.Seq2[entralab.Record, error] {
	return func(yield func(entralab.Record, error) bool) {
		rows, err := s.db.QueryContext(ctx, "SELECT id, data FROM record WHERE kind = ?", kind)
		if err != nil {
			yield(entralab.Record{}, s.failure("read", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			r := entralab.Record{Kind: kind}
			err := rows.Scan(&r.ID, &r.Data)
			if err == nil {
				r, err = s.open(r)
			}
			if err != nil {
				yield(entralab.Record{}, s.failure("read", err))
				return
			}
			if !yield(r, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(entralab.Record{}, s.failure("read", err))
		}
	}
}

// Save makes all changes in one transaction.
func (s *Store) Save(ctx context.Context, changes []entralab.Record) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return s.failure("write", err)
	}
	defer tx.Rollback() // does nothing after Commit
	if err := s.write(ctx, tx, changes); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return s.failure("write", err)
	}
	return nil
}

func (s *Store) write(ctx context.Context, tx *sql.Tx, changes []entralab.Record) error {
	put, err := tx.PrepareContext(ctx, "INSERT INTO record (kind, id, data) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET data = excluded.data")
	if err != nil {
		return s.failure("write", err)
	}
	defer put.Close()
	for _, r := range changes {
		switch {
		case r.Data != nil:
			_, err = put.ExecContext(ctx, r.Kind, r.ID, s.sealed(r))
		case r.ID != "":
			_, err = tx.ExecContext(ctx, "DELETE FROM record WHERE kind = ? AND id = ?", r.Kind, r.ID)
		default:
			_, err = tx.ExecContext(ctx, "DELETE FROM record WHERE kind = ?", r.Kind)
		}
		if err != nil {
			return s.failure("write", err)
		}
	}
	return nil
}

// sealed binds the data to the name of the record, so that two records cannot
// change places.
func (s *Store) sealed(r entralab.Record) []byte {
	nonce := make([]byte, s.seal.NonceSize(), s.seal.NonceSize()+len(r.Data)+s.seal.Overhead())
	rand.Read(nonce) // never fails
	return s.seal.Seal(nonce, nonce, r.Data, name(r))
}

func (s *Store) open(r entralab.Record) (entralab.Record, error) {
	n := s.seal.NonceSize()
	if len(r.Data) < n {
		return r, fmt.Errorf("record %s %s: %w", r.Kind, r.ID, ErrDamaged)
	}
	data, err := s.seal.Open(nil, r.Data[:n], r.Data[n:], name(r))
	if err != nil {
		return r, fmt.Errorf("record %s %s: %w", r.Kind, r.ID, ErrDamaged)
	}
	r.Data = data
	return r, nil
}

func name(r entralab.Record) []byte { return []byte(r.Kind + "\x00" + r.ID) }

// failure says what SQLite's error means for the person who runs the lab.
func (s *Store) failure(doing string, err error) error {
	var code *sqlite.Error
	if errors.As(err, &code) {
		switch code.Code() & 0xff { // the rest of the code tells details
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return fmt.Errorf("%s %s: %w", doing, s.path, ErrLocked)
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return fmt.Errorf("%s %s: %w (%v)", doing, s.path, ErrDamaged, err)
		case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
			return fmt.Errorf("%s %s: the file or its directory cannot be written: change its permissions, or name another directory (%w)", doing, s.path, err)
		case sqlite3.SQLITE_FULL:
			return fmt.Errorf("%s %s: the disk is full: make room and start again (%w)", doing, s.path, err)
		}
	}
	return fmt.Errorf("%s %s: %w", doing, s.path, err)
}
