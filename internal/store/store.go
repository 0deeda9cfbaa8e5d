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
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"modernc.org/sqlite" // and the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/credsmith/credsmith/internal/audit"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Errors that name what to do next.
var (
	ErrLocked = errors.New("another credsmith is writing to it: let that one finish, or use PostgreSQL for several at once")
	ErrKey    = errors.New("the key does not fit the database: put back the key file that belongs to it")
	ErrFiles  = errors.New("too many open files: raise the limit (ulimit -n)")
	ErrNewer  = errors.New("it was made by a newer credsmith: use that one")
	ErrForged = errors.New("a row was changed by something else than credsmith: restore the database from a copy")
	ErrOlder  = errors.New("it is an older copy than the one last written here: put the newest copy back, or only look at this one")
	ErrBroken = errors.New("it is damaged, or no database: restore it from a copy")
	ErrFull   = errors.New("there is no room to write: free some, then go on")
	ErrDenied = errors.New("it may not be written: give this user the right to write the file and its directory")
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
	headLock sync.Mutex  // of the head file
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
			return fmt.Errorf("make the store's directory: %w", named(err))
		}
		if s.lock, err = lockFile(path + ".lock"); err != nil {
			return s.failure("open", err)
		}
		// SQLite would make it readable to others.
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return s.failure("open", err)
		}
		if err := f.Close(); err != nil {
			return s.failure("open", err)
		}
	}
	db, err := sql.Open("sqlite", sqliteSource(path, o.ReadOnly))
	if err != nil {
		return s.failure("open", err)
	}
	s.db = bun.NewDB(db, sqlitedialect.New())
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
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return fmt.Errorf("open %s: %w", s.place, err)
	}
	// All writes meet at the head of the audit record: a process that was
	// stopped in the middle of one must not keep all others from it.
	config.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt(idleWithin.Milliseconds(), 10)
	s.db = bun.NewDB(stdlib.OpenDB(*config), pgdialect.New())
	s.db.SetMaxOpenConns(maxConns)
	return nil
}

// idleWithin is how long a transaction may wait for its own process.
const idleWithin = 5 * time.Second

// maxConns is one process's share of the 100 connections that PostgreSQL
// admits by default.
const maxConns = 10

// prepare brings the schema up to date, and checks that the key fits and that
// the database is not an old copy.
func (s *Store) prepare(ctx context.Context, o Options) error {
	if err := s.migrate(ctx, o.ReadOnly); err != nil {
		return err
	}
	check, err := s.check(ctx)
	if err != nil {
		return err
	}
	// Without the check nothing was ever sealed here.
	fresh := check == "" && !o.ReadOnly
	var made bool
	if s.keys, made, err = openKeys(o.KeyFile, fresh); err != nil {
		return err
	}
	s.chain = audit.NewChain(s.keys.audit)
	if fresh {
		// Of two that begin at once the first one's key stays.
		_, err := s.db.NewRaw("INSERT INTO setting (name, value, mac) VALUES ('check', ?, '') ON CONFLICT (name) DO NOTHING", s.keys.mac("check")).Exec(ctx)
		if err != nil {
			return s.failure("write to", err)
		}
		if check, err = s.check(ctx); err != nil {
			return err
		}
	}
	if check != s.keys.mac("check") {
		err := fmt.Errorf("open %s with %s: %w", s.place, o.KeyFile, ErrKey)
		if made {
			err = errors.Join(err, os.Remove(o.KeyFile))
		}
		return err
	}
	if o.ReadOnly {
		return nil
	}
	known, err := s.noted()
	if err != nil {
		return err
	}
	return s.holds(ctx, known)
}

// check returns what only the right key makes; "" in a new database.
func (s *Store) check(ctx context.Context) (string, error) {
	var check string
	err := s.db.NewRaw("SELECT value FROM setting WHERE name = 'check'").Scan(ctx, &check)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", s.failure("read", err)
	}
	return check, nil
}

func (s *Store) migrate(ctx context.Context, readOnly bool) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	dialect, options := goose.DialectSQLite3, []goose.ProviderOption{goose.WithLogger(goose.NopLogger())}
	if s.shared {
		// Several may start at once.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
		if err != nil {
			return s.failure("set up", err)
		}
		dialect, options = goose.DialectPostgres, append(options, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(dialect, s.db.DB, files, options...)
	if err != nil {
		return s.failure("set up", err)
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
		return s.failure("read the version of", err)
	case have > newest:
		return fmt.Errorf("open %s (schema %d, this credsmith knows %d): %w", s.place, have, newest, ErrNewer)
	case readOnly && have < newest:
		return fmt.Errorf("open %s: it was made by an older credsmith: run a command that writes first", s.place)
	case have == newest:
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return s.failure("set up", err)
	}
	return nil
}

// DB is the database itself, for tables beside the store's. On SQLite it has
// one connection, which all must share: the store's lock admits no second one.
func (s *Store) DB() *sql.DB { return s.db.DB }

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

// failure says what was tried and, where the database's own words do not, what
// to do next.
func (s *Store) failure(did string, err error) error {
	return fmt.Errorf("%s the store %s: %w", did, s.place, named(err))
}

func named(err error) error {
	code := 0
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		code = e.Code() & 0xff // without the extension
	}
	kind := error(nil)
	switch {
	case code == sqlite3.SQLITE_CORRUPT, code == sqlite3.SQLITE_NOTADB:
		kind = ErrBroken
	case code == sqlite3.SQLITE_FULL, errors.Is(err, syscall.ENOSPC):
		kind = ErrFull
	case errors.Is(err, syscall.EMFILE), code == sqlite3.SQLITE_CANTOPEN && noMoreFiles():
		kind = ErrFiles
	case code == sqlite3.SQLITE_READONLY, code == sqlite3.SQLITE_CANTOPEN, code == sqlite3.SQLITE_PERM,
		errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		kind = ErrDenied
	case code == sqlite3.SQLITE_BUSY, code == sqlite3.SQLITE_LOCKED:
		kind = ErrLocked
	}
	if kind == nil || errors.Is(err, kind) {
		return err
	}
	return fmt.Errorf("%w (%w)", kind, err)
}

// noMoreFiles reports whether this process may open no file at all: SQLite does
// not say why it cannot open one.
func noMoreFiles() bool {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return errors.Is(err, syscall.EMFILE)
	}
	return f.Close() != nil
}

// within bounds a statement or transaction: a database behind a dead line
// would keep its caller waiting for a quarter of an hour.
func within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, answerWithin, fmt.Errorf("the database has not answered within %s", answerWithin))
}

const answerWithin = 15 * time.Second

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

// setting returns a value; sql.ErrNoRows for none.
func (s *Store) setting(ctx context.Context, db bun.IDB, name, lock string) (string, error) {
	var value, mac string
	err := db.NewRaw("SELECT value, mac FROM setting WHERE name = ?"+lock, name).Scan(ctx, &value, &mac)
	if errors.Is(err, sql.ErrNoRows) {
		return "", err
	}
	if err != nil {
		return "", s.failure("read", err)
	}
	if mac != s.keys.mac("setting", name, value) {
		return "", fmt.Errorf("read %q of the store %s: %w", name, s.place, ErrForged)
	}
	return value, nil
}

func (s *Store) setSetting(ctx context.Context, db bun.IDB, name, value string) error {
	_, err := db.NewRaw("INSERT INTO setting (name, value, mac) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value, mac = excluded.mac",
		name, value, s.keys.mac("setting", name, value)).Exec(ctx)
	if err != nil {
		return s.failure("write to", err)
	}
	return nil
}
