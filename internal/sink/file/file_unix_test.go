//go:build !windows

package file

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	const content = "AZURE_CLIENT_SECRET=old\n"
	tests := []struct {
		name string
		make func(t *testing.T, name string) // changes a file that is fine
		kind sink.Kind                       // "" for a write that passes
		says string
	}{
		{"as it should be", func(*testing.T, string) {}, "", ""},
		{"every user reads it", func(t *testing.T, name string) { must(t, os.Chmod(name, 0o644)) }, "", ""},
		{"every user writes it", func(t *testing.T, name string) { must(t, os.Chmod(name, 0o666)) }, sink.Invalid, "every user can write the file (mode 0666); run chmod o-w on it"},
		{"every user writes its folder", func(t *testing.T, name string) { must(t, os.Chmod(filepath.Dir(name), 0o777)) }, sink.Invalid, "run chmod o-w"},
		{"every user writes a folder above", func(t *testing.T, name string) { must(t, os.Chmod(filepath.Dir(filepath.Dir(name)), 0o777)) }, sink.Invalid, "every user can write the folder"},
		{"missing", func(t *testing.T, name string) { must(t, os.Remove(name)) }, sink.Invalid, "there is no such file; make it"},
		{"no folder", func(t *testing.T, name string) { must(t, os.RemoveAll(filepath.Dir(name))) }, sink.Unreachable, "no such file or directory; mount or make the folder"},
		{"a folder", func(t *testing.T, name string) { must(t, os.Remove(name)); must(t, os.Mkdir(name, 0o755)) }, sink.Invalid, "no regular file"},
		{"a pipe", func(t *testing.T, name string) { must(t, os.Remove(name)); must(t, unix.Mkfifo(name, 0o600)) }, sink.Invalid, "no regular file"},
		{"too large", func(t *testing.T, name string) { must(t, os.Truncate(name, maxFile+1)) }, sink.Invalid, "larger than 16 MiB"},
		{"hard link", func(t *testing.T, name string) { must(t, os.Link(name, name+".2")) }, sink.Invalid, "second name (a hard link)"},
		{"link beside it", func(t *testing.T, name string) {
			must(t, os.Rename(name, name+".prod"))
			must(t, os.Symlink("settings.prod", name))
		}, "", ""},
		{"link elsewhere", func(t *testing.T, name string) { move(t, name, filepath.Join(t.TempDir(), "other")) }, "", ""},
		{"link elsewhere, in a folder of others", func(t *testing.T, name string) {
			move(t, name, filepath.Join(t.TempDir(), "other"))
			must(t, os.Chmod(filepath.Dir(name), 0o775))
		}, sink.Invalid, "leads out of a folder that other users can write"},
		{"link up, in a folder of others", func(t *testing.T, name string) {
			must(t, os.Rename(name, filepath.Join(filepath.Dir(filepath.Dir(name)), "other")))
			must(t, os.Symlink("../other", name))
			must(t, os.Chmod(filepath.Dir(name), 0o775))
		}, sink.Invalid, "leads out of a folder"},
		{"link beside it, in a folder of others", func(t *testing.T, name string) {
			must(t, os.Rename(name, name+".prod"))
			must(t, os.Symlink(name+".prod", name))
			must(t, os.Chmod(filepath.Dir(name), 0o775))
		}, "", ""},
		{"link to itself", func(t *testing.T, name string) { must(t, os.Remove(name)); must(t, os.Symlink(name, name)) }, sink.Invalid, "too many levels of symbolic links"},
		{"link to nothing", func(t *testing.T, name string) { must(t, os.Remove(name)); must(t, os.Symlink("none", name)) }, sink.Invalid, "there is no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			name := place(t, content)
			s := newSink(t, Dotenv, name)
			d := delivery(t, s, value)
			tt.make(t, name)
			checkErr := s.Check(t.Context())
			if d2, err := s.Read(t.Context()); err == nil {
				d.Version = d2.Version
			}
			_, err := s.Write(t.Context(), d)
			if tt.kind == "" {
				if err != nil || checkErr != nil || read(t, name) != "AZURE_CLIENT_SECRET="+value+"\n" {
					t.Fatalf("Check: %v; Write: %v; file %q", checkErr, err, read(t, name))
				}
				return
			}
			for _, err := range []error{checkErr, err} {
				if err == nil || sink.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%v (%s), want %s with %q", err, sink.KindOf(err), tt.kind, tt.says)
				}
			}
		})
	}
}

// move puts a file elsewhere and a link in its place.
func move(t *testing.T, name, to string) {
	t.Helper()
	must(t, os.Rename(name, to))
	must(t, os.Symlink(to, name))
}

func TestKept(t *testing.T) {
	t.Parallel()
	name := place(t, "AZURE_CLIENT_SECRET=old\n")
	must(t, os.Chmod(name, 0o640))
	root := os.Geteuid() == 0
	if root {
		must(t, os.Chown(name, 1234, 2345))
	}
	attribute := unix.Setxattr(name, "user.note", []byte("kept"), 0) == nil
	link := name + ".link"
	must(t, os.Symlink("settings", link))
	s := newSink(t, Dotenv, link)
	if _, err := s.Write(t.Context(), delivery(t, s, value)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	must(t, err)
	if info.Mode() != 0o640 {
		t.Errorf("mode %v, want 0640", info.Mode())
	}
	if uid, gid := ownerOf(info); root && (uid != 1234 || gid != 2345) {
		t.Errorf("owner %d:%d, want 1234:2345", uid, gid)
	}
	if attribute {
		got := make([]byte, 10)
		if n, err := unix.Getxattr(name, "user.note", got); err != nil || string(got[:n]) != "kept" {
			t.Errorf("attribute %q, %v", got[:max(n, 0)], err)
		}
	}
	if to, err := os.Readlink(link); err != nil || to != "settings" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
}

// TestOwnerLost refuses to give a file to another owner in silence.
func TestOwnerLost(t *testing.T) {
	t.Parallel()
	const content = "AZURE_CLIENT_SECRET=old\n"
	name := place(t, content)
	s := newSink(t, Dotenv, name)
	d := delivery(t, s, value)
	s.step = (&faults{named: func(step string) error {
		if step == "owner" {
			return errors.Join(errOwner, syscall.EPERM)
		}
		return nil
	}}).step
	_, err := s.Write(t.Context(), d)
	if sink.KindOf(err) != sink.Denied || !strings.Contains(err.Error(), "run credsmith as the owner of the file, or as root") || read(t, name) != content {
		t.Errorf("Write = %v, file %q", err, read(t, name))
	}
	alone(t, name)
}

// TestOtherUser lets the kernel refuse: the test runs itself as nobody.
func TestOtherUser(t *testing.T) {
	t.Parallel()
	if name := os.Getenv("FILE_TEST_PLACE"); name != "" {
		s := newSink(t, Dotenv, name)
		d := delivery(t, s, value)
		_, writeErr := s.Write(t.Context(), d)
		for what, err := range map[string]error{"Check": s.Check(t.Context()), "Write": writeErr} {
			if sink.KindOf(err) != sink.Denied {
				t.Errorf("%s = %v", what, err)
			}
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for _, tt := range []struct {
		name   string
		folder os.FileMode
		owner  int // of the folder
	}{{"folder of another user", 0o755, 0}, {"file of another user", 0o755, 65534}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// A folder that nobody can reach.
			top, err := os.MkdirTemp("/tmp", "credsmith-test-")
			must(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(top) })
			must(t, os.Chmod(top, 0o755))
			dir := filepath.Join(top, "app")
			must(t, os.Mkdir(dir, tt.folder))
			must(t, os.Chown(dir, tt.owner, tt.owner))
			name := filepath.Join(dir, ".env")
			write(t, name, "AZURE_CLIENT_SECRET=old\n", 0o644)
			program := filepath.Join(top, "test")
			data, err := os.ReadFile(os.Args[0])
			must(t, err)
			must(t, os.WriteFile(program, data, 0o755))
			cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestOtherUser$", "-test.v")
			cmd.Env = []string{"FILE_TEST_PLACE=" + name, "TMPDIR=/tmp"}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestOtherUser") {
				t.Errorf("%v\n%s", err, out)
			}
			if got := read(t, name); got != "AZURE_CLIENT_SECRET=old\n" {
				t.Errorf("the file holds %q", got)
			}
		})
	}
}

// TestLeftovers removes what a killed process left, and nothing else.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	name := place(t, "AZURE_CLIENT_SECRET=old\n")
	dir := filepath.Dir(name)
	gone := filepath.Join(dir, ".credsmith-ABCDEFGHIJKLMNOPQRSTUVWXYZ.tmp")
	stay := []string{".credsmith-ABC.tmp", ".credsmith-abcdefghijklmnopqrstuvwxyz.tmp", "credsmith-ABCDEFGHIJKLMNOPQRSTUVWXYZ.tmp", ".credsmith-ABCDEFGHIJKLMNOPQRSTUVWXYZ.tmp.bak"}
	write(t, gone, "half a val", 0o600)
	for _, other := range stay {
		write(t, filepath.Join(dir, other), "x", 0o600)
	}
	must(t, os.Symlink(name, filepath.Join(dir, ".credsmith-ZZZZZZZZZZZZZZZZZZZZZZZZZZ.tmp")))
	s := newSink(t, Dotenv, name)
	if _, err := s.Write(t.Context(), delivery(t, s, value)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(gone); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover is still there: %v", err)
	}
	for _, other := range append(stay, ".credsmith-ZZZZZZZZZZZZZZZZZZZZZZZZZZ.tmp") {
		if _, err := os.Lstat(filepath.Join(dir, other)); err != nil {
			t.Error(err)
		}
	}
}

// TestLocked waits for a writer of the same folder, no longer than the caller.
func TestLocked(t *testing.T) {
	t.Parallel()
	name := place(t, "AZURE_CLIENT_SECRET=old\n")
	s := newSink(t, Dotenv, name)
	d := delivery(t, s, value)
	unlock, held, err := tryLock(filepath.Dir(name))
	if err != nil || !held {
		t.Skipf("no locks here: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Write(ctx, d); sink.KindOf(err) != sink.Unreachable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Write of a locked place = %v", err)
	}
	done := make(chan error)
	go func() { _, err := s.Write(t.Context(), d); done <- err }()
	unlock()
	if err := <-done; err != nil || !strings.Contains(read(t, name), value) {
		t.Errorf("Write after the lock = %v, file %q", err, read(t, name))
	}
}

// TestChangedAtTheLastMoment lets an editor that knows no locks save the file
// while the new one is made.
func TestChangedAtTheLastMoment(t *testing.T) {
	t.Parallel()
	const edited = "AZURE_CLIENT_SECRET=old\nNEW=1\n"
	name := place(t, "AZURE_CLIENT_SECRET=old\n")
	s := newSink(t, Dotenv, name)
	d := delivery(t, s, value)
	s.step = func(step string, do func() error) error {
		if step == "mode" {
			write(t, name, edited, 0o600)
		}
		return do()
	}
	if _, err := s.Write(t.Context(), d); sink.KindOf(err) != sink.Changed || read(t, name) != edited {
		t.Errorf("Write = %v, file %q", err, read(t, name))
	}
	alone(t, name)
}

// TestNeverReadable looks at the new file before each step: nobody else can
// read it until it stands in the old one's place.
func TestNeverReadable(t *testing.T) {
	t.Parallel()
	name := place(t, "AZURE_CLIENT_SECRET=old\n")
	s := newSink(t, Dotenv, name)
	d := delivery(t, s, value)
	looked := 0
	s.step = func(step string, do func() error) error {
		temps, _ := filepath.Glob(filepath.Join(filepath.Dir(name), ".credsmith-*"))
		for _, temp := range temps {
			info, err := os.Lstat(temp)
			if looked++; err != nil || info.Mode() != 0o600 {
				t.Errorf("before %q the new file has mode %v, %v", step, info.Mode(), err)
			}
		}
		return do()
	}
	if _, err := s.Write(t.Context(), d); err != nil || looked < 5 {
		t.Errorf("Write = %v, looked %d times", err, looked)
	}
}

func TestMounted(t *testing.T) {
	t.Parallel()
	name := place(t, "AZURE_CLIENT_SECRET=old\n")
	source := place(t, "AZURE_CLIENT_SECRET=old\n")
	if err := bindMount(source, name); err != nil {
		t.Skipf("no mounts here: %v", err)
	}
	t.Cleanup(func() { unmount(name) })
	s := newSink(t, Dotenv, name)
	_, err := s.Write(t.Context(), sink.Delivery{Value: secret.New(value)})
	for what, err := range map[string]error{"Check": s.Check(t.Context()), "Write": err} {
		if sink.KindOf(err) != sink.Invalid || !strings.Contains(err.Error(), "mount its folder") {
			t.Errorf("%s = %v", what, err)
		}
	}
}
