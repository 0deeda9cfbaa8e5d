package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// disk puts a small disk of its own under a directory of the machine.
func (m *machine) disk(name, size string) {
	m.Helper()
	dir, kept := m.path(name), map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		m.Fatal(err)
	}
	for _, e := range entries {
		if kept[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			m.Fatal(err)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		m.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		m.Skip("no disk can be mounted: ", err)
	}
	m.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	for file, text := range kept {
		m.write(filepath.Join(name, file), string(text))
	}
}

// fill leaves no room on a disk.
func (m *machine) fill(name string) {
	m.Helper()
	f, err := os.Create(m.path(name + "/filler"))
	if err != nil {
		m.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		m.Fatal(err)
	}
}

func (m *machine) empty(name string) {
	m.Helper()
	if err := os.Remove(m.path(name + "/filler")); err != nil {
		m.Fatal(err)
	}
}

func (m *machine) remount(name string, flags uintptr) {
	m.Helper()
	if err := unix.Mount("", m.path(name), "", unix.MS_REMOUNT|flags, ""); err != nil {
		m.Fatal(err)
	}
}

// stopped does something to the machine while the process stands still at a line.
func stopped(at string, do func()) func(string, int) {
	done := false
	return func(line string, pid int) {
		if !done && strings.Contains(line, at) {
			done = true
			syscall.Kill(pid, syscall.SIGSTOP)
			do()
			syscall.Kill(pid, syscall.SIGCONT)
		}
	}
}

// TestHost: what a machine does to a rotation is said, with a code, and nothing
// is lost: mended, the rotation goes on to where it would have been.
func TestHost(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		before func(*machine)
		during func(*machine) func(string, int)
		code   int
		want   string // in what is said
		minted int    // by then
		mend   func(*machine)
	}{
		{name: "disk of the store full from the start", before: func(m *machine) { m.disk("store", "2m"); m.fill("store") },
			code: 2, want: "there is no room to write: free some, then go on", mend: func(m *machine) { m.empty("store") }},
		{name: "disk of the store full later", before: func(m *machine) { m.disk("store", "4m") },
			during: func(m *machine) func(string, int) { return stopped("running accept", func() { m.fill("store") }) },
			code:   3, want: "there is no room to write: free some, then go on", minted: 1, mend: func(m *machine) { m.empty("store") }},
		{name: "disk of the place full", before: func(m *machine) { m.disk("places", "64k"); m.fill("places") },
			code: 3, want: "no space left on device; make room on the disk", minted: 1, mend: func(m *machine) { m.empty("places") }},
		{name: "store read-only", before: func(m *machine) { m.disk("store", "4m"); m.remount("store", unix.MS_RDONLY) },
			code: 2, want: "read-only file system)", mend: func(m *machine) { m.remount("store", 0) }},
		{name: "place read-only", before: func(m *machine) { m.disk("places", "64k"); m.remount("places", unix.MS_RDONLY) },
			code: 1, want: "read-only file system; mount the file system writable", mend: func(m *machine) { m.remount("places", 0) }},
		{name: "no more files", before: func(m *machine) { m.under = "ulimit -n 10;" }, code: 2, want: "too many open files", mend: func(m *machine) { m.under = "" }},
		{name: "64 files", before: func(m *machine) { m.under = "ulimit -n 64;" }, minted: 1},
		{name: "a clock a day behind", before: func(m *machine) { m.lab.Advance(24 * time.Hour) }, code: 1, want: "this machine's clock and the directory's differ by", mend: func(m *machine) { m.lab.Set(time.Now()) }},
		{name: "a clock a day ahead", before: func(m *machine) { m.lab.Set(time.Now().Add(-24 * time.Hour)) }, code: 1, want: "this machine's clock and the directory's differ by", mend: func(m *machine) { m.lab.Set(time.Now()) }},
		{name: "a clock that jumps", during: func(m *machine) func(string, int) {
			return stopped("running prove", func() { m.lab.Advance(24 * time.Hour) })
		},
			code: 0, want: "trouble", minted: 1, mend: func(m *machine) { m.lab.Set(time.Now()) }},
		{name: "no home, no directory, odd zone and language", before: func(m *machine) {
			m.under = "mkdir gone; cd gone; rmdir ../gone; unset HOME;"
			m.env = append(m.env, "TZ=Nowhere/Nothing", "LC_ALL=tr_TR.UTF-8")
		}, minted: 1},
		{name: "nobody reads the output", before: func(m *machine) { m.under = "exec >&-;" }, minted: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			if tt.before != nil {
				tt.before(m)
			}
			var during func(string, int)
			if tt.during != nil {
				during = tt.during(m)
			}
			config := []string{"--config", m.path("credsmith.yaml")}
			r := m.run(during, append([]string{"rotate", "run", "billing-api", "--yes", "--wait", "3s"}, config...)...)
			minted, removed := m.secrets()
			if r.code != tt.code || !strings.Contains(r.stdout+r.stderr, tt.want) || minted != tt.minted || removed != 0 {
				t.Errorf("exit code %d, %d secrets added, %d removed\n%s%s", r.code, minted, removed, r.stdout, r.stderr)
			}
			if tt.mend != nil {
				tt.mend(m)
				again := []string{"rotate", "run", "billing-api", "--yes", "--wait", "10s"}
				if strings.Contains(r.stderr, "has begun") {
					again[1] = "resume"
				}
				r = m.run(nil, append(again, config...)...)
			}
			if minted, removed = m.secrets(); r.code != 0 || !strings.Contains(r.stdout, "overlap") && m.under != "exec >&-;" || minted != 1 || removed != 0 || m.held() == m.values["old"] {
				t.Errorf("it does not go on: exit code %d, %d secrets added, %d removed\n%s%s", r.code, minted, removed, r.stdout, r.stderr)
			}
			m.under = ""
			if r := m.run(nil, append([]string{"audit", "verify"}, config...)...); r.code != 0 {
				t.Error(r.stdout, r.stderr)
			}
		})
	}
}
