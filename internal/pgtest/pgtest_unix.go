//go:build unix

// Package pgtest runs a PostgreSQL server for the tests of one package.
package pgtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Server is one that runs for as long as the test process lives.
type Server struct {
	dir   string
	stdin io.Closer
	cmd   *exec.Cmd
	admin *sql.DB
	count atomic.Int64
}

var (
	start   = sync.OnceValues(startServer)
	started atomic.Bool
)

// New returns the address of a new, empty database. Without PostgreSQL on the
// machine the test is skipped; ./test installs it.
func New(t testing.TB) string {
	t.Helper()
	started.Store(true)
	s, err := start()
	if errors.Is(err, errNone) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("t%d", s.count.Add(1))
	if _, err := s.admin.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return s.address(name)
}

// Admin returns a connection to the server itself, for what cannot be asked
// for from within a database. Call it after [New].
func Admin() *sql.DB {
	s, err := start()
	if err != nil {
		panic(err)
	}
	return s.admin
}

// Dir holds all files of the server, and its socket.
func Dir() string {
	s, err := start()
	if err != nil {
		panic(err)
	}
	return s.dir
}

// Socket is where the server listens.
func Socket() string { return filepath.Join(Dir(), ".s.PGSQL.5432") }

// Stop ends the server, if one was started. Call it in TestMain.
func Stop() error {
	if !started.Load() {
		return nil
	}
	s, err := start()
	if err != nil {
		return nil
	}
	return errors.Join(s.admin.Close(), s.stdin.Close(), s.cmd.Wait())
}

func (s *Server) address(name string) string {
	return "postgres:///" + name + "?user=postgres&host=" + s.dir
}

var errNone = errors.New("PostgreSQL is not installed: apt-get install postgresql")

func binary(name string) (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // where Debian keeps it
	if len(found) > 0 {
		return slices.Max(found), nil
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return "", errNone
}

// lowly makes a command run as the user postgres: PostgreSQL refuses root.
func lowly(cmd *exec.Cmd, dir string) error {
	cmd.Dir = dir
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return os.Chown(dir, int(uid), int(gid))
}

func startServer() (*Server, error) {
	initdb, err := binary("initdb")
	if err != nil {
		return nil, err
	}
	postgres, err := binary("postgres")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	cmd := exec.Command(initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions", "--wal-segsize=1")
	if err := lowly(cmd, dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w: %s", err, out), os.RemoveAll(dir))
	}
	// The shell outlives us: however we end, its input ends with us, and it
	// stops the server and tidies up.
	const script = `dir=$1; shift; "$@" >"$dir/log" 2>&1 & read -r _; kill -INT $!; wait; cd /; rm -rf "$dir"`
	cmd = exec.Command("sh", "-c", script, "sh", dir, postgres, "-D", data, "-k", dir,
		"-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=32MB", "-c", "max_wal_size=64MB", "-c", "autovacuum=off")
	if err := lowly(cmd, dir); err != nil {
		return nil, err
	}
	s := &Server{dir: dir, cmd: cmd}
	if s.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if s.admin, err = sql.Open("pgx", s.address("postgres")); err != nil {
		return nil, err
	}
	return s, s.ready()
}

// ready waits until the server answers.
func (s *Server) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.admin.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("PostgreSQL does not answer: %w: %s", err, log)
		case <-tick.C:
		}
	}
}
