package state_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/state"
)

func TestKeyLasts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	// Processes that start at once agree on one key.
	var wg sync.WaitGroup
	fingerprints := make([]string, 8)
	for i := range fingerprints {
		wg.Go(func() {
			s, err := state.Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			fingerprints[i] = s.Key.Fingerprint(secret.New("v"))
		})
	}
	wg.Wait()
	for _, f := range fingerprints {
		if f == "" || f != fingerprints[0] {
			t.Fatalf("fingerprints differ: %v", fingerprints)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("files left: %v, %v", entries, err)
	}
}

func TestKeyOfOthers(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing on Windows")
	}
	dir := t.TempDir()
	if _, err := state.Open(dir); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "fingerprint.key")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: %v", err)
	}
	if err := os.WriteFile(key, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(dir); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged key: %v", err)
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := s.Known("f"); r != nil || err != nil {
		t.Errorf("Known before anything = %v, %v", r, err)
	}
	for _, r := range []entra.Record{{Fingerprint: "f", KeyID: "1"}, {Fingerprint: "g", KeyID: "2"}, {Fingerprint: "f", KeyID: "3"}, {Fingerprint: "f", KeyID: "3"}} {
		if err := s.Remember(r); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "seen.jsonl")
	data, err := os.ReadFile(path)
	if err != nil || strings.Count(string(data), "{") != 3 {
		t.Errorf("%q, %v: want three lines", data, err)
	}
	// A line that a crash cut short costs that line only.
	if err := os.WriteFile(path, append(data, `{"fingerprint":"f","key_`...), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Known("f"); err != nil || r == nil || r.KeyID != "3" {
		t.Errorf("Known = %+v, %v; want the last", r, err)
	}
	if err := s.Remember(entra.Record{Fingerprint: "f", KeyID: "4"}); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Known("f"); err != nil || r == nil || r.KeyID != "4" {
		t.Errorf("Known after a cut line = %+v, %v", r, err)
	}
}

func TestDir(t *testing.T) {
	t.Parallel()
	env := func(pairs map[string]string) func(string) string { return func(k string) string { return pairs[k] } }
	if got := state.Dir(env(map[string]string{"CREDSMITH_STATE_DIR": "/x", "HOME": "/h"})); got != "/x" {
		t.Errorf("Dir = %q", got)
	}
	if got := state.Dir(env(nil)); got != "" {
		t.Errorf("Dir without HOME = %q", got)
	}
}
