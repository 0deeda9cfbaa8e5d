// Package store is credsmith's database: SQLite in one file for one process,
// or PostgreSQL shared by several. One schema, one set of statements.
//
// Values are sealed before they come near the database, each with a key of its
// own, which is wrapped with a key that is kept outside. Destroying a value
// destroys its key.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/credsmith/credsmith/internal/audit"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Errors that name what to do next.
var (
	ErrLocked = errors.New("another credsmith is writing to it: let that one finish, or use PostgreSQL for several at once")
	ErrKey    = errors.New("the key does not fit the database: put back the key file that belongs to it")
	ErrNewer  = errors.New("it was made by a newer credsmith: use that one")
	ErrForged = errors.New("a row was changed by something else than credsmith: restore the database from a copy")
)

// Options say how a store is opened.
type Options struct {
	// KeyFile holds the key that wraps; made with a new database. Default: the
	// SQLite file's name and ".key". With PostgreSQL it must be named.
	KeyFile string
	// Holder names this process among all that share the store.
	Holder string
	// Now is the clock for holding; the database's own unless set.
	Now func() time.Time
	// ReadOnly opens the store for looking; it does not wait for a writer.
	ReadOnly bool
}

// Store is an open database.
type Store struct {
	db       *bun.DB
	place    string // for errors, without a password
	holder   string
	now      func() time.Time
	shared   bool // PostgreSQL: others may be at work
	keys     keyring
	chain    audit.Chain
	headFile string
	headErr  atomic.Bool // the head could not be noted last time
	lock     *fileLock
}

// Open opens the database at an address, "sqlite:FILE" or "postgres://…".
func Open(ctx context.Context, address string, o Options) (*Store, error) {
	s := &Store{holder: o.Holder, now: o.Now}
	var err error
	if file, isSQLite := strings.CutPrefix(address, "sqlite:"); isSQLite {
		err = s.openSQLite(file, &o)
	} else {
		err = s.openPostgres(address, o)
	}
	if err == nil {
		err = s.prepare(ctx, o)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) openSQLite(file string, o *Options) error {
	path, err := filepath.Abs(file)
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	s.place = path
	s.headFile = path + ".head"
	if o.KeyFile == "" {
		o.KeyFile = path + ".key"
	}
	if o.ReadOnly {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("open the store: %w", err)
		}
	} else {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("make the store's directory: %w", err)
		}
		if s.lock, err = lockFile(path + ".lock"); err != nil {
			return fmt.Errorf("open %s: %w", path, err)
		}
		// SQLite would make it readable to others.
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return fmt.Errorf("open the store: %w", err)
		}
		if err := f.Close(); err != nil {
			return fmt.Errorf("open the store: %w", err)
		}
	}
	s.db, err = open("sqlite", sqliteSource(path, o.ReadOnly), sqlitedialect.New())
	if err != nil {
		return err
	}
	s.db.SetMaxOpenConns(1)
	return nil
}

// sqliteSource asks for a log that survives the loss of power, and for deleted
// rows to be overwritten.
func sqliteSource(path string, readOnly bool) string {
	u := url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(filepath.ToSlash(path), "/")}
	q := url.Values{"_pragma": {"busy_timeout(10000)", "secure_delete(ON)"}}
	if readOnly {
		q.Add("_pragma", "query_only(ON)")
	} else {
		q["_pragma"] = append(q["_pragma"], "journal_mode(WAL)", "synchronous(FULL)")
		q.Set("_txlock", "immediate")
	}
	return u.String() + "?" + q.Encode()
}

func (s *Store) openPostgres(address string, o Options) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return fmt.Errorf("the store's address is neither sqlite:FILE nor postgres://…: correct `store`")
	}
	s.place, s.shared = u.Redacted(), true
	if o.KeyFile == "" {
		return fmt.Errorf("open %s: name the file of its key", s.place)
	}
	s.headFile = o.KeyFile + ".head"
	s.db, err = open("pgx", address, pgdialect.New())
	return err
}

func open(driver, source string, dialect schema.Dialect) (*bun.DB, error) {
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return bun.NewDB(db, dialect), nil
}

// prepare brings the schema up to date and checks that the key fits.
func (s *Store) prepare(ctx context.Context, o Options) error {
	isNew, err := s.migrate(ctx, o.ReadOnly)
	if err != nil {
		return err
	}
	if s.keys, err = openKeys(o.KeyFile, isNew && !o.ReadOnly); err != nil {
		return err
	}
	s.chain = audit.NewChain(s.keys.audit)
	check, err := s.setting(ctx, s.db, "check")
	if errors.Is(err, sql.ErrNoRows) && !o.ReadOnly {
		return s.setSetting(ctx, s.db, "check", s.keys.mac("check"))
	}
	if err != nil {
		return s.failure("read", err)
	}
	if check != s.keys.mac("check") {
		return fmt.Errorf("open %s with %s: %w", s.place, o.KeyFile, ErrKey)
	}
	return nil
}

// migrate reports whether the database was empty.
func (s *Store) migrate(ctx context.Context, readOnly bool) (isNew bool, err error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return false, err
	}
	dialect := goose.DialectSQLite3
	if s.shared {
		dialect = goose.DialectPostgres
	}
	p, err := goose.NewProvider(dialect, s.db.DB, files, goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return false, s.failure("set up", err)
	}
	sources := p.ListSources()
	newest := sources[len(sources)-1].Version
	var have int64
	if readOnly {
		err = s.db.NewRaw("SELECT max(version_id) FROM goose_db_version").Scan(ctx, &have)
	} else {
		have, err = p.GetDBVersion(ctx)
	}
	switch {
	case err != nil:
		return false, s.failure("read the version of", err)
	case have > newest:
		return false, fmt.Errorf("open %s (schema %d, this credsmith knows %d): %w", s.place, have, newest, ErrNewer)
	case readOnly && have < newest:
		return false, fmt.Errorf("open %s: it was made by an older credsmith: run a command that writes first", s.place)
	case have == newest:
		return false, nil
	}
	if _, err := p.Up(ctx); err != nil {
		return false, s.failure("set up", err)
	}
	return have == 0, nil
}

// Close ends the use of the database.
func (s *Store) Close() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.unlock())
	}
	return errors.Join(errs...)
}

func (s *Store) failure(did string, err error) error {
	return fmt.Errorf("%s the store %s: %w", did, s.place, err)
}

// clock is the time by which rotations are held, in milliseconds: the
// database's, which all who share it have in common.
func (s *Store) clock(ctx context.Context, tx bun.IDB) (int64, error) {
	switch {
	case s.now != nil:
		return s.now().UnixMilli(), nil
	case !s.shared:
		return time.Now().UnixMilli(), nil
	}
	var ms int64
	err := tx.NewRaw("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint").Scan(ctx, &ms)
	return ms, err
}

func (s *Store) setting(ctx context.Context, db bun.IDB, name string) (string, error) {
	var value string
	err := db.NewRaw("SELECT value FROM setting WHERE name = ?", name).Scan(ctx, &value)
	return value, err
}

func (s *Store) setSetting(ctx context.Context, db bun.IDB, name, value string) error {
	_, err := db.NewRaw("INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value).Exec(ctx)
	if err != nil {
		return s.failure("write to", err)
	}
	return nil
}
