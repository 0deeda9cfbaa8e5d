// Package state is credsmith's memory on this machine: the key of its
// fingerprints, and which secret each value turned out to be. No value, and
// nothing a value could be guessed from without the key, is ever in it.
package state

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

const (
	keyFile     = "fingerprint.key"
	recordsFile = "seen.jsonl"
)

// Dir returns where the state is kept: CREDSMITH_STATE_DIR, else the
// platform's place for such files. It is empty when the platform names none
// (no HOME).
func Dir(getenv func(string) string) string {
	if dir := getenv("CREDSMITH_STATE_DIR"); dir != "" {
		return dir
	}
	base, home := getenv("XDG_STATE_HOME"), getenv("HOME")
	switch {
	case runtime.GOOS == "windows":
		base = getenv("LocalAppData")
	case base == "" && home != "" && runtime.GOOS == "darwin":
		base = filepath.Join(home, "Library", "Application Support")
	case base == "" && home != "":
		base = filepath.Join(home, ".local", "state")
	}
	if base == "" {
		return ""
	}
	return filepath.Join(base, "credsmith")
}

// State is an open state directory.
type State struct {
	dir string
	Key secret.Key
}

// Open opens a state directory, made on first use with mode 0700.
func Open(dir string) (*State, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	key, err := openKey(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, err
	}
	return &State{dir, key}, nil
}

func openKey(path string) (secret.Key, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path)
	}
	if err != nil {
		return secret.Key{}, fmt.Errorf("open the fingerprint key: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return secret.Key{}, fmt.Errorf("the fingerprint key %s can be read by others (mode %04o): run chmod 600 on it", path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return secret.Key{}, fmt.Errorf("read the fingerprint key: %w", err)
	}
	key, ok := secret.KeyFrom(b)
	if !ok {
		return secret.Key{}, fmt.Errorf("the fingerprint key %s is damaged: delete it, and new fingerprints will differ from old ones", path)
	}
	return key, nil
}

// makeKey writes the key whole or not at all; when two processes start at
// once, the first one's key holds.
func makeKey(path string) (secret.Key, error) {
	key := secret.NewKey()
	temp, err := os.CreateTemp(filepath.Dir(path), keyFile+".*") // mode 0600
	if err != nil {
		return key, fmt.Errorf("write the fingerprint key: %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(key.Bytes())
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Link(temp.Name(), path)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return openKey(path)
	case err != nil:
		return key, fmt.Errorf("write the fingerprint key: %w", err)
	}
	return key, nil
}

// Known returns what was last seen of a value with that fingerprint, nil if nothing.
func (s *State) Known(fingerprint string) (*entra.Record, error) {
	file, err := os.Open(filepath.Join(s.dir, recordsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was seen: %w", err)
	}
	defer file.Close()
	var found *entra.Record
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var r entra.Record
		// A line cut by a crash is passed over: the others still hold.
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.Fingerprint == fingerprint {
			found = &r
		}
	}
	return found, nil
}

// Remember adds a record unless the last one of this fingerprint says the same.
func (s *State) Remember(r entra.Record) error {
	last, err := s.Known(r.Fingerprint)
	if err != nil {
		return err
	}
	if last != nil && last.KeyID == r.KeyID && last.ClientID == r.ClientID && last.TenantID == r.TenantID {
		return nil
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("remember what was seen: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(s.dir, recordsFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("remember what was seen: %w", err)
	}
	// One write in append mode: two processes do not mix their lines. The line
	// break comes first too, in case a crash cut the last line short.
	_, err = file.Write(slices.Concat([]byte{'\n'}, line, []byte{'\n'}))
	return errors.Join(err, file.Close())
}
