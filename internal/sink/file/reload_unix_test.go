//go:build unix

package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
)

// reloader is a file with a program of that script.
func reloader(t *testing.T, script string) (s sink.Sink, dir string) {
	t.Helper()
	dir = t.TempDir()
	name, program := filepath.Join(dir, "app.env"), filepath.Join(dir, "reload.sh")
	for file, text := range map[string]string{name: "AZURE_CLIENT_SECRET=first-value-7\n", program: "#!/bin/sh\n" + script} {
		if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s, err := New(Dotenv, Config{File: name, Key: "AZURE_CLIENT_SECRET", Reload: &Reload{Command: []string{program, dir}, Timeout: 20 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

// The program runs once for a rotation, after the value is in the file, and
// learns of the rotation by its environment alone.
func TestReload(t *testing.T) {
	t.Parallel()
	s, dir := reloader(t, `printf '%s %s %s\n' "$CREDSMITH_OP" "$CREDSMITH_ROTATION" "$(cat "$CREDSMITH_FILE")" >> "$1/seen"; env >> "$1/env"`)
	held, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(t.Context(), sink.Delivery{Value: secret.New("second-value-8"), Rotation: "r-1", Version: held.Version}); err != nil {
		t.Fatal(err)
	}
	r := s.(sink.Reloader)
	if done, err := r.Reloaded(t.Context(), "r-1"); done || err != nil {
		t.Errorf("before: %v, %v", done, err)
	}
	for range 2 {
		if err := r.Reload(t.Context(), "r-1"); err != nil {
			t.Fatal(err)
		}
	}
	if done, err := r.Reloaded(t.Context(), "r-1"); !done || err != nil {
		t.Errorf("after: %v, %v", done, err)
	}
	seen, err := os.ReadFile(filepath.Join(dir, "seen"))
	if err != nil || string(seen) != "reload r-1 AZURE_CLIENT_SECRET=second-value-8\n" {
		t.Errorf("%q, %v", seen, err)
	}
	env, err := os.ReadFile(filepath.Join(dir, "env"))
	if err != nil || strings.Contains(string(env), "second-value-8") {
		t.Errorf("the environment holds the value: %q, %v", env, err)
	}
}

// A program that fails is told of without what it must not have printed.
func TestReloadFails(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		`echo no such unit >&2; exit 5`:     `it ended with exit code 5 and wrote "no such unit"`,
		`cat "$CREDSMITH_FILE" >&2; exit 1`: `it ended with exit code 1 and wrote (its text holds a secret and is not shown)`,
		`kill -9 $$`:                        `a signal ended it`,
	} {
		s, _ := reloader(t, script)
		r := s.(sink.Reloader)
		err := r.Reload(t.Context(), "r-1")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "first-value-7") || sink.KindOf(err) != sink.Unreachable {
			t.Errorf("%s: %v", script, err)
		}
		if done, _ := r.Reloaded(t.Context(), "r-1"); done {
			t.Errorf("%s: it counts as reloaded", script)
		}
	}
}

// A program that others can write is not run, and the plan says so.
func TestReloadUnsafe(t *testing.T) {
	t.Parallel()
	s, dir := reloader(t, "exit 0")
	if err := os.Chmod(filepath.Join(dir, "reload.sh"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); sink.KindOf(err) != sink.Invalid {
		t.Error(err)
	}
	if _, err := New(Dotenv, Config{File: "/x/.env", Key: "A", Reload: &Reload{Command: []string{"systemctl"}}}); err == nil || err.Error() != `reload.command: "systemctl" is not an absolute path` {
		t.Error(err)
	}
}
