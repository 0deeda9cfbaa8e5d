//go:build !windows

package command

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/internal/secret"
)

const value = "aB38Q~first-0123456789.abcdefghijk_lmno"

// TestMain is also the program that the tests run: "hook" is its first
// argument then, and what it does the second.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "hook" {
		os.Exit(hook(os.Args[2], os.Args[3:]))
	}
	_ = os.Chmod(os.Args[0], 0o755) // whatever the umask was
	goleak.VerifyTestMain(m)
}

func hook(does string, args []string) int {
	switch does {
	case "echo":
		_, _ = io.Copy(os.Stdout, os.Stdin)
	case "env":
		fmt.Println(strings.Join(os.Environ(), "\n"))
		dir, _ := os.Getwd()
		fmt.Println("dir=" + dir)
	case "fail":
		fmt.Fprintln(os.Stderr, "  no space on the device\nsecond line")
		return 3
	case "lazy":
	case "endless":
		signal.Ignore(syscall.SIGPIPE)
		for line := strings.Repeat("x", 4096); ; {
			fmt.Println(line)
		}
	case "hangs":
		time.Sleep(time.Hour)
	case "ignores TERM":
		signal.Ignore(syscall.SIGTERM)
		time.Sleep(time.Hour)
	case "forks", "forks and hangs":
		child := exec.Command(os.Args[0], "hook", "ignores TERM")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			return 4
		}
		if err := os.WriteFile(args[0], fmt.Append(nil, child.Process.Pid), 0o600); err != nil {
			return 4
		}
		fmt.Println("parent done")
		if does != "forks" {
			time.Sleep(time.Hour)
		}
	case "kills itself":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Hour)
	}
	return 0
}

func newCommand(t *testing.T, timeout time.Duration, args ...string) *Command {
	t.Helper()
	program, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(append([]string{program, "hook"}, args...), timeout)
	if err != nil {
		t.Fatal(err)
	}
	c.grace = 50 * time.Millisecond
	return c
}

func TestRun(t *testing.T) {
	t.Parallel()
	r, err := newCommand(t, 0, "echo").Run(t.Context(), nil, []byte("in"))
	if err != nil || r.Exit != 0 || string(r.Stdout) != "in" {
		t.Errorf("echo: %+v, %v", r, err)
	}
	r, err = newCommand(t, 0, "fail").Run(t.Context(), nil, nil)
	if err != nil || r.Failure().Error() != `it ended with exit code 3 and wrote "no space on the device\nsecond line"` {
		t.Errorf("fail: %+v, %v, %v", r, r.Failure(), err)
	}
	r, err = newCommand(t, 0, "kills itself").Run(t.Context(), nil, nil)
	if err != nil || r.Exit != -1 || r.Failure().Error() != "a signal ended it" {
		t.Errorf("kills itself: %+v, %v, %v", r, r.Failure(), err)
	}
	// More than a pipe holds, for a program that does not read it.
	r, err = newCommand(t, 0, "lazy").Run(t.Context(), nil, make([]byte, 1<<20))
	if err != nil || r.Exit != 0 {
		t.Errorf("lazy: %+v, %v", r, err)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("CREDSMITH_OPERATOR_CLIENT_SECRET", value)
	t.Setenv("AZURE_CLIENT_SECRET", value)
	t.Setenv("LANG", "C.UTF-8")
	r, err := newCommand(t, 0, "env").Run(t.Context(), []string{"CREDSMITH_OP=write"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(r.Stdout)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "PATH", "HOME", "GOCOVERDIR":
		case "LANG", "CREDSMITH_OP":
		case "dir":
			if text != "/" {
				t.Errorf("it runs in %q", text)
			}
		default:
			t.Errorf("the program sees %s", name)
		}
	}
	if !strings.Contains(string(r.Stdout), "CREDSMITH_OP=write\n") || !strings.Contains(string(r.Stdout), "LANG=C.UTF-8\n") {
		t.Errorf("environment %q", r.Stdout)
	}
}

func TestStopped(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		does string
		want error
	}{
		{"hangs", ErrTimeout}, {"ignores TERM", ErrTimeout}, {"endless", ErrOutput},
	} {
		t.Run(tt.does, func(t *testing.T) {
			t.Parallel()
			timeout := time.Minute
			if errors.Is(tt.want, ErrTimeout) {
				timeout = 200 * time.Millisecond
			}
			begin := time.Now()
			r, err := newCommand(t, timeout, tt.does).Run(t.Context(), nil, nil)
			if !errors.Is(err, tt.want) || len(r.Stdout) > maxOutput || time.Since(begin) > 30*time.Second {
				t.Errorf("%v after %v, %d bytes; want %v", err, time.Since(begin), len(r.Stdout), tt.want)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := newCommand(t, time.Hour, "hangs").Run(ctx, nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run = %v", err)
	}
}

// TestChildren ends the children of a program with it, and does not wait for
// one that keeps the output open.
func TestChildren(t *testing.T) {
	t.Parallel()
	for _, does := range []string{"forks", "forks and hangs"} {
		t.Run(does, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "pid")
			r, err := newCommand(t, 5*time.Second, does, file).Run(t.Context(), nil, nil)
			if does == "forks" && (err != nil || r.Exit != 0 || string(r.Stdout) != "parent done\n") || does != "forks" && !errors.Is(err, ErrTimeout) {
				t.Errorf("Run = %+v, %v", r, err)
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var pid int
			if _, err := fmt.Sscan(string(data), &pid); err != nil {
				t.Fatal(err)
			}
			for range 200 {
				if gone(pid) {
					return
				}
				<-time.After(10 * time.Millisecond)
			}
			t.Errorf("child %d still runs", pid)
		})
	}
}

// gone reports whether a process ended; one that nobody has waited for counts.
func gone(pid int) bool {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func TestUnsafe(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		make func(program string) error
		says string
	}{
		{"group writes it", func(p string) error { return os.Chmod(p, 0o775) }, "other users can write"},
		{"all write it", func(p string) error { return os.Chmod(p, 0o757) }, "other users can write"},
		{"not executable", func(p string) error { return os.Chmod(p, 0o644) }, "is not executable"},
		{"all write its folder", func(p string) error { return os.Chmod(filepath.Dir(p), 0o777) }, "every user can write the folder"},
		{"a folder", func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o755)) }, "is no program"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			program := filepath.Join(t.TempDir(), "hook")
			if err := errors.Join(os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755), os.Chmod(program, 0o755)); err != nil {
				t.Fatal(err)
			}
			c, err := New([]string{program}, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Check(); err != nil {
				t.Fatalf("Check of a good program: %v", err)
			}
			if err := tt.make(program); err != nil {
				t.Fatal(err)
			}
			_, err = c.Run(t.Context(), nil, nil)
			if u, ok := errors.AsType[*Unsafe](err); !ok || !strings.Contains(err.Error(), tt.says) || u.Next == "" {
				t.Errorf("Run = %v, want %q", err, tt.says)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		argv    []string
		timeout time.Duration
		says    string
	}{
		{nil, 0, "command: is missing"}, {[]string{"sh", "-c"}, 0, `command: "sh" is not an absolute path`}, {[]string{"./x"}, 0, "not an absolute path"},
		{[]string{"/x", "a\x00b"}, 0, "zero byte"}, {[]string{"/x"}, -1, "timeout: -1ns"}, {[]string{"/x"}, 2 * time.Hour, "timeout: 2h0m0s"},
	} {
		if _, err := New(tt.argv, tt.timeout); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("New(%q, %v) = %v, want %q", tt.argv, tt.timeout, err, tt.says)
		}
	}
}

func TestShown(t *testing.T) {
	t.Parallel()
	v := secret.New(value)
	for _, text := range []string{value, "x" + value[5:20], base64.StdEncoding.EncodeToString([]byte("k=" + value)), fmt.Sprintf("%x", value), strings.Repeat("y", 5000) + value} {
		if got := Shown(text, secret.Value{}, v); got != "(its text holds a secret and is not shown)" {
			t.Errorf("Shown(%q) = %q", text, got)
		}
	}
	if got := Shown("abc", secret.New("abc")); !strings.Contains(got, "not shown") {
		t.Errorf("a short value: %q", got)
	}
	if got := Shown(strings.Repeat("y", 5000), v); len(got) > maxShown+10 {
		t.Errorf("%d bytes shown", len(got))
	}
	if got := Shown("\x1b[31mred\r\n", v); got != `"\x1b[31mred"` {
		t.Errorf("Shown = %s", got)
	}
}
