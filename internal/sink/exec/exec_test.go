package exec_test

import (
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/exec"
	"github.com/credsmith/credsmith/internal/sink/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const value = "aB38Q~exec-0123456789.abcdefghijk_lmnopq"

// example is the program that docs/sinks.md shows.
func example(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "sinks.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```sh\n#!/bin/sh\n")
	text, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatal("docs/sinks.md shows no program")
	}
	return "#!/bin/sh\n" + text
}

// program writes a program that only its owner can write.
func program(t *testing.T, text string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the programs of this test are shell scripts")
	}
	path := filepath.Join(t.TempDir(), "push-secret")
	// Another test that forks now would keep a file open for writing that was
	// made here, and "text file busy" would come of it: sh makes it instead.
	cmd := osexec.Command("/bin/sh", "-c", `umask 077; cat > "$1"; chmod 700 "$1"`, "sh", path)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

func open(t *testing.T, c exec.Config) sink.Sink {
	t.Helper()
	s, err := exec.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestConformance runs the suite over the program of the documentation.
func TestConformance(t *testing.T) {
	t.Parallel()
	if lines := strings.Count(example(t), "\n"); lines > 20 {
		t.Errorf("the example has %d lines", lines)
	}
	sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
		dir := filepath.Join(t.TempDir(), "place")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "secret")
		text := example(t)
		// What is wrong with the place is told by files beside it.
		first := fmt.Sprintf(`if [ -e %[1]q/hang ]; then exec sleep 600; fi
if [ -e %[1]q/lost ]; then exit 75; fi
`, filepath.Dir(dir))
		text = strings.Replace(text, "set -eu\n", "set -eu\n"+first, 1)
		text = strings.Replace(text, "[ -w", fmt.Sprintf("[ ! -e %q/denied ] && [ -w", filepath.Dir(dir)), 1)
		text = strings.Replace(text, "'{\"op\":\"write\"'*) ", fmt.Sprintf("'{\"op\":\"write\"'*) [ ! -e %q/denied ] || refuse denied 'no permission'\n", filepath.Dir(dir)), 1)
		path := program(t, text)
		mark := func(name string) func(*testing.T) {
			return func(t *testing.T) {
				if err := os.WriteFile(filepath.Join(filepath.Dir(dir), name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		return sinktest.Fixture{
			Open: func(t *testing.T) sink.Sink {
				return open(t, exec.Config{Command: []string{path, file}, ReadBack: true, Timeout: 30 * time.Second})
			},
			Slow: true,
			Deny: mark("denied"), Lose: mark("lost"), Hang: mark("hang"),
			Tidy: func(t *testing.T) {
				entries, err := os.ReadDir(dir)
				if err != nil || len(entries) > 1 {
					t.Errorf("%v beside the secret, %v", entries, err)
				}
			},
		}
	})
}

func delivery() sink.Delivery {
	return sink.Delivery{
		Value: secret.New(value), Version: "v6", Generation: 7, Rotation: "rot-7", ClientID: "0f1e2d3c-0000-4000-8000-0000000000c1",
		KeyID: "0f1e2d3c-0000-4000-8000-0000000000d1", Expires: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC),
	}
}

// TestProtocol pins what a program is given, and that the value is nowhere but
// on stdin.
func TestProtocol(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := program(t, fmt.Sprintf(`#!/bin/sh
cat >> %[1]q/stdin
env >> %[1]q/env
tr '\0' ' ' < /proc/$$/cmdline >> %[1]q/argv
echo '{"done":true,"exists":true,"value":"held","version":"v7"}'
`, dir))
	s := open(t, exec.Config{Command: []string{path, "billing"}, ReadBack: true, Reload: true})
	if s.Ref() != "exec:"+path+" billing" || s.Abilities() != (sink.Abilities{ReadBack: true}) {
		t.Errorf("%s, %+v", s.Ref(), s.Abilities())
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held, err := s.Read(t.Context()); err != nil || !held.Exists || held.Value.Reveal() != "held" || held.Version != "v7" {
		t.Fatalf("Read = %+v, %v", held, err)
	}
	if v, err := s.Write(t.Context(), delivery()); err != nil || v != "v7" {
		t.Fatalf("Write = %q, %v", v, err)
	}
	r := s.(sink.Reloader)
	for range 2 { // the second is known to have begun
		if err := r.Reload(t.Context(), "rot-7"); err != nil {
			t.Fatal(err)
		}
	}
	if done, err := r.Reloaded(t.Context(), "rot-7"); !done || err != nil {
		t.Fatal(done, err)
	}
	want := `{"op":"check"}
{"op":"read"}
{"op":"write","rotation":"rot-7","generation":7,"client_id":"0f1e2d3c-0000-4000-8000-0000000000c1","key_id":"0f1e2d3c-0000-4000-8000-0000000000d1","expires":"2027-03-01T00:00:00Z","version":"v6","value":"` + value + `"}
{"op":"reload","rotation":"rot-7"}
{"op":"reloaded","rotation":"rot-7"}
`
	for name, check := range map[string]func(string) bool{
		"stdin": func(got string) bool { return got == want },
		"env":   func(got string) bool { return !strings.Contains(got, value) && strings.Contains(got, "PATH=") },
		"argv":  func(got string) bool { return !strings.Contains(got, value) && strings.Contains(got, "billing") },
	} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !check(string(got)) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

// TestRefusals drives what a program may do wrong.
func TestRefusals(t *testing.T) {
	t.Parallel()
	const known = `{"error":{"kind":"%s","message":"the store is closed"%s}}`
	for title, c := range map[string]struct {
		script string
		kind   sink.Kind
		after  time.Duration
		text   string
	}{
		"unreachable":               {"echo '" + fmt.Sprintf(known, "unreachable", "") + "'; exit 1", sink.Unreachable, 0, `it says "the store is closed"`},
		"throttled":                 {"echo '" + fmt.Sprintf(known, "throttled", `,"retry_after_seconds":17`) + "'; exit 1", sink.Throttled, 17 * time.Second, "the store is closed"},
		"throttled for ever":        {"echo '" + fmt.Sprintf(known, "throttled", `,"retry_after_seconds":9999999`) + "'; exit 1", sink.Throttled, 0, "the store is closed"},
		"changed":                   {"echo '" + fmt.Sprintf(known, "changed", "") + "'; exit 1", sink.Changed, 0, "the store is closed"},
		"denied":                    {"echo '" + fmt.Sprintf(known, "denied", "") + "'; exit 1", sink.Denied, 0, "give the program the permission it names"},
		"invalid":                   {"echo '" + fmt.Sprintf(known, "invalid", "") + "'; exit 1", sink.Invalid, 0, "the store is closed"},
		"an error with exit code 0": {"echo '" + fmt.Sprintf(known, "denied", "") + "'", sink.Denied, 0, "the store is closed"},
		"a kind of its own":         {"echo '" + fmt.Sprintf(known, "sad", "") + "'; exit 75", sink.Unreachable, 0, "the store is closed"},
		"exit code":                 {"echo no >&2; exit 3", sink.Invalid, 0, `it ended with exit code 3 and wrote "no"`},
		"try again":                 {"exit 75", sink.Unreachable, 0, "exit code 75"},
		"a signal":                  {"kill -KILL $$", sink.Unreachable, 0, "a signal ended it"},
		"no answer":                 {"cat > /dev/null", sink.Invalid, 0, "no JSON object"},
		"two answers":               {`echo '{"done":true}{"done":true}'`, sink.Invalid, 0, "no JSON object"},
		"a list":                    {"echo '[]'", sink.Invalid, 0, "no JSON object"},
		"not done":                  {"echo '{}'", sink.Invalid, 0, `let it answer {"done":true}`},
		"too much":                  {"cat /dev/zero", sink.Invalid, 0, "wrote more than 64 KiB"},
		"echo of the value":         {"cat >&2; exit 1", sink.Invalid, 0, "holds a secret and is not shown"},
		"value in a message":        {`v=$(cat | sed 's/.*"value":"//; s/".*//'); echo "{\"error\":{\"kind\":\"denied\",\"message\":\"cannot take $v\"}}"; exit 1`, sink.Denied, 0, "holds a secret and is not shown"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			s := open(t, exec.Config{Command: []string{program(t, "#!/bin/sh\n"+c.script+"\n")}, Timeout: 20 * time.Second})
			_, err := s.Write(t.Context(), delivery())
			e, ok := errors.AsType[*sink.Error](err)
			if !ok || e.Kind != c.kind || e.After != c.after || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), value) {
				t.Errorf("Write = %v (%+v), want %s with %q", err, e, c.kind, c.text)
			}
		})
	}
}

// TestUnfit: programs that are not run, and values that are not sent.
func TestUnfit(t *testing.T) {
	t.Parallel()
	good := program(t, "#!/bin/sh\necho '{\"done\":true}'\n")
	open(t, exec.Config{Command: []string{good}})
	for want, c := range map[string]exec.Config{
		"command: is missing":             {},
		"is not an absolute path":         {Command: []string{"push"}},
		"command: holds a zero byte":      {Command: []string{good, "a\x00b"}},
		"timeout: -1s is not between":     {Command: []string{good}, Timeout: -time.Second},
		"timeout: 24h0m0s is not between": {Command: []string{good}, Timeout: 24 * time.Hour},
	} {
		if _, err := exec.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%+v) = %v, want %q", c, err, want)
		}
	}
	others := program(t, "#!/bin/sh\necho '{\"done\":true}'\n")
	if err := os.Chmod(others, 0o722); err != nil {
		t.Fatal(err)
	}
	for want, path := range map[string]string{"can write": others, "no such file": good + "-gone"} {
		s := open(t, exec.Config{Command: []string{path}})
		for _, err := range []error{s.Check(t.Context()), func() error { _, err := s.Write(t.Context(), delivery()); return err }()} {
			if sink.KindOf(err) != sink.Invalid || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", path, err, want)
			}
		}
	}
	for _, text := range []string{"", "a\xff"} {
		d := delivery()
		d.Value = secret.New(text)
		if _, err := open(t, exec.Config{Command: []string{good}}).Write(t.Context(), d); sink.KindOf(err) != sink.Invalid {
			t.Errorf("Write(%q) = %v", text, err)
		}
	}
	// Without read_back the program is not asked.
	if held, err := open(t, exec.Config{Command: []string{good + "-gone"}}).Read(t.Context()); err != nil || held.Exists {
		t.Errorf("Read = %+v, %v", held, err)
	}
}
