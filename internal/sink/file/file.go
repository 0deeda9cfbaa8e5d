// Package file writes a secret into a file that consumers read: dotenv, JSON,
// YAML, Java properties and ini.
//
// Of the file only the bytes of the value change. It is replaced whole: a
// reader sees the old file or the new one, also after a crash at any moment.
package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/command"
)

// maxFile is the largest file that is written, in bytes.
const maxFile = 16 << 20

// Config is the configuration of a sink of any [Format].
type Config struct {
	// File is an absolute path.
	File string `yaml:"file"`
	// Key is the name of the value: of a variable (dotenv) or property, the
	// names on the way to it with dots between them or as a JSON pointer (json,
	// yaml), or section.name (ini).
	Key string `yaml:"key"`
	// Reload is run when the value is written and proved; nil for nothing.
	Reload *Reload `yaml:"reload"`
}

// Reload is a program that makes the consumers read the file again, and ends
// with exit code 0 when they have.
type Reload struct {
	// Command is the absolute path of a program, and its arguments.
	Command []string `yaml:"command"`
	// Timeout bounds it; a minute if it is 0.
	Timeout time.Duration `yaml:"timeout"`
}

// Sink is one value in one file.
type Sink struct {
	format Format
	file   string
	key    string
	// step does one step to the outside. Tests put themselves in its place to
	// let one fail.
	step func(name string, do func() error) error
}

// New returns the sink of a configuration; with Reload it is a
// [sink.Reloader] too. Its errors name the field.
func New(format Format, c Config) (sink.Sink, error) {
	if format.parser() == nil {
		return nil, fmt.Errorf("there is no file format %q", format)
	}
	switch {
	case c.File == "":
		return nil, errors.New("file: is missing: the absolute path of the file")
	case !filepath.IsAbs(c.File):
		return nil, fmt.Errorf("file: %q is not an absolute path", c.File)
	case c.Key == "":
		return nil, errors.New("key: is missing: the name of the value in the file")
	}
	if err := checkKey(format, c.Key); err != nil {
		return nil, fmt.Errorf("key: %q %w", c.Key, err)
	}
	plain := func(_ string, do func() error) error { return do() }
	s := &Sink{format, filepath.Clean(c.File), c.Key, plain}
	if c.Reload == nil {
		return s, nil
	}
	cmd, err := command.New(c.Reload.Command, c.Reload.Timeout)
	if err != nil {
		return nil, fmt.Errorf("reload.%w", err)
	}
	return &reloading{Sink: s, command: cmd, done: map[string]bool{}}, nil
}

func checkKey(format Format, key string) error {
	if strings.ContainsFunc(key, unprintable) {
		return errors.New("holds a character that cannot be seen")
	}
	switch format {
	case Dotenv:
		if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`).MatchString(key) {
			return errors.New("is no name of a variable: letters, digits and _")
		}
	case JSON, YAML:
		_, err := path(key)
		return err
	case INI:
		if strings.ContainsAny(key, "[]=:#;\"'") || strings.TrimSpace(key) != key || strings.HasSuffix(key, ".") {
			return errors.New("is no section.name: it holds a sign that ini files use themselves")
		}
	}
	return nil
}

// Ref returns "format:path#key".
func (s *Sink) Ref() string { return string(s.format) + ":" + filepath.ToSlash(s.file) + "#" + s.key }

// Abilities returns what every file can do.
func (s *Sink) Abilities() sink.Abilities { return sink.Abilities{ReadBack: true, Compare: true} }

// sample has the form of a secret that Entra makes today.
const sample = "abc8Q~~._-abcdefghijklmnopqrstuvwxyzABCD"

// Check reads the file as for a write and asks whether its folder may be
// written.
func (s *Sink) Check(ctx context.Context) error {
	return s.told("check", s.check(ctx))
}

func (s *Sink) check(ctx context.Context) error {
	t, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	if !t.exists {
		return errMissing
	}
	if _, err := s.format.patch(t.data, s.key, sample); err != nil {
		return err
	}
	return s.step("access", func() error { return mayReplace(t) })
}

// Read returns the value; the version is of the whole file, and empty while
// the value is not there.
func (s *Sink) Read(ctx context.Context) (sink.Held, error) {
	t, err := s.open(ctx)
	if err != nil {
		return sink.Held{}, s.told("read", err)
	}
	defer t.close()
	value, exists, err := s.format.lookup(t.data, s.key)
	if err != nil || !exists {
		return sink.Held{}, s.told("read", err)
	}
	return sink.Held{Exists: true, Value: secret.New(value), Version: t.version()}, nil
}

// Write replaces the file. Two processes take turns, as long as both are
// credsmith; anybody else's change between Read and Write gives
// [sink.Changed], but for the moment between the last look and the rename.
func (s *Sink) Write(ctx context.Context, d sink.Delivery) (string, error) {
	version, err := s.write(ctx, d)
	if err != nil {
		return "", s.told("write", err)
	}
	return version, nil
}

var (
	errMissing = &refusal{"there is no such file", "make it, empty, with the owner and mode that its consumers need"}
	errChanged = errors.New("the file was changed since it was read")
)

func (s *Sink) write(ctx context.Context, d sink.Delivery) (version string, err error) {
	dir, base, err := s.resolve(ctx)
	if err != nil {
		return "", err
	}
	unlock, held, err := s.lock(ctx, dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	t, err := s.openIn(ctx, dir, base)
	if err != nil {
		return "", err
	}
	defer t.close()
	s.sweep(t, held)
	_, exists, err := s.format.lookup(t.data, s.key)
	if err != nil {
		return "", err
	}
	data, err := s.format.patch(t.data, s.key, d.Value.Reveal())
	if err == nil && exists && bytes.Equal(data, t.data) {
		// A run before this one may have ended before it was on the disk.
		return t.version(), s.settle(t)
	}
	switch {
	case exists && d.Version != t.version(), !exists && d.Version != "":
		return "", errChanged
	case !t.exists:
		return "", errMissing
	case err != nil:
		return "", err
	}
	return s.replace(ctx, t, data)
}

// versionOf is a digest of a file's bytes and of its inode.
func versionOf(inode uint64, data []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d\n", inode)
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// told makes an error one that a rotation and a person can act on.
func (s *Sink) told(verb string, err error) error {
	if err == nil {
		return nil
	}
	e := &sink.Error{Op: fmt.Sprintf("%s %s in %s", verb, s.key, s.file), Kind: sink.Unreachable, Err: err}
	is := func(targets ...error) bool {
		return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		e.Kind, e.Next = sink.Invalid, r.next
		return e
	}
	switch {
	case is(context.Canceled, context.DeadlineExceeded):
	case is(errChanged):
		e.Kind = sink.Changed
	case is(errOwner):
		e.Kind, e.Next = sink.Denied, "run credsmith as the owner of the file, or as root"
	case is(syscall.EROFS):
		e.Kind, e.Next = sink.Denied, "mount the file system writable"
	case is(fs.ErrPermission):
		e.Kind, e.Next = sink.Denied, "let credsmith's user read the file and write its folder"
	case is(syscall.EBUSY, syscall.EXDEV):
		e.Kind, e.Next = sink.Invalid, "the file is mounted by itself, so it cannot be replaced: mount its folder"
	case is(syscall.ELOOP, syscall.ENOTDIR, syscall.EISDIR, syscall.ENAMETOOLONG):
		e.Kind, e.Next = sink.Invalid, "name the path of the file itself"
	case is(syscall.ENOSPC, syscall.EDQUOT):
		e.Next = "make room on the disk"
	case is(fs.ErrNotExist):
		e.Next = "mount or make the folder"
	}
	return e
}
