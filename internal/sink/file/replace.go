package file

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// target is the file that a path leads to, in its open folder.
type target struct {
	root   *os.Root
	base   string
	exists bool
	file   *os.File // open for reading; nil if it does not exist
	info   fs.FileInfo
	data   []byte
}

func (t *target) version() string { return versionOf(inode(t.info), t.data) }

func (t *target) close() {
	if t.file != nil {
		_ = t.file.Close() // nothing was written to it
	}
	_ = t.root.Close()
}

// resolve returns the folder and name of the file itself, past all links.
func (s *Sink) resolve(ctx context.Context) (dir, base string, err error) {
	if err := ctx.Err(); err != nil {
		return "", "", err
	}
	err = s.step("resolve", func() error {
		dir, base, err = resolve(s.file)
		return err
	})
	return dir, base, err
}

func (s *Sink) open(ctx context.Context) (*target, error) {
	dir, base, err := s.resolve(ctx)
	if err != nil {
		return nil, err
	}
	return s.openIn(ctx, dir, base)
}

// openIn opens and reads a file. One that does not exist is no error.
func (s *Sink) openIn(ctx context.Context, dir, base string) (*target, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t := &target{base: base}
	err := s.step("open folder", func() (err error) {
		t.root, err = os.OpenRoot(dir)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := s.load(t); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (s *Sink) load(t *target) error {
	folder, err := t.root.Stat(".")
	if err != nil {
		return err
	}
	if err := safeFolder(t.root.Name(), folder); err != nil {
		return err
	}
	// Its kind is known before it is opened: a pipe would wait.
	t.info, err = t.root.Lstat(t.base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := safeFile(t); err != nil {
		return err
	}
	err = s.step("open", func() (err error) {
		// It may have become a pipe since: that would wait for a writer.
		t.file, err = t.root.OpenFile(t.base, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		return err
	})
	if err != nil {
		return err
	}
	if now, err := t.file.Stat(); err != nil || !os.SameFile(now, t.info) {
		return errors.Join(errChanged, err)
	}
	t.exists = true
	return s.step("read", func() (err error) {
		t.data, err = io.ReadAll(io.LimitReader(t.file, maxFile+1))
		if len(t.data) > maxFile {
			return tooLarge()
		}
		return err
	})
}

func tooLarge() error {
	return &refusal{fmt.Sprintf("the file is larger than %d MiB", maxFile>>20), "name a smaller file"}
}

// lockTime is how long a write waits for another one in the same folder.
const lockTime = 30 * time.Second

// lock makes writers of one folder take turns. It locks the folder itself: a
// lock on the file would end with the file that a rename replaces, and a file
// beside it would be left lying there. Where the file system has no locks held
// is false; the look before the rename remains.
func (s *Sink) lock(ctx context.Context, dir string) (unlock func(), held bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lockTime, fmt.Errorf("another process has been writing in %s for %v", dir, lockTime))
	defer cancel()
	for {
		err := s.step("lock", func() (err error) {
			unlock, held, err = tryLock(dir)
			return err
		})
		if err != nil || unlock != nil {
			return unlock, held, err
		}
		select {
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

const tempPrefix, tempSuffix = ".credsmith-", ".tmp"

// leftover tells the names that replace gives.
func leftover(name string) bool {
	name, prefix := strings.CutPrefix(name, tempPrefix)
	name, suffix := strings.CutSuffix(name, tempSuffix)
	return prefix && suffix && len(name) == len(rand.Text()) && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// sweep removes what killed processes left. With the lock held nobody else
// uses such a file; without it, only a file from an hour ago is surely one.
// What cannot be removed now is for the next time.
func (s *Sink) sweep(t *target, held bool) {
	_ = s.step("sweep", func() error {
		folder, err := t.root.Open(".")
		if err != nil {
			return err
		}
		defer folder.Close()
		entries, err := folder.ReadDir(-1)
		for _, e := range entries {
			info, infoErr := e.Info()
			if infoErr == nil && leftover(e.Name()) && info.Mode().IsRegular() && (held || time.Since(info.ModTime()) > time.Hour) {
				err = errors.Join(err, t.root.Remove(e.Name()))
			}
		}
		return err
	})
}

// replace puts data in the place of a file, with its owner and mode.
func (s *Sink) replace(ctx context.Context, t *target, data []byte) (version string, err error) {
	name := tempPrefix + rand.Text() + tempSuffix
	var temp *os.File
	err = s.step("create", func() (err error) {
		temp, err = t.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		return err
	})
	if err != nil {
		return "", err
	}
	info, err := s.fill(temp, t, data)
	if closeErr := s.step("close", temp.Close); err == nil {
		err = closeErr
	}
	if err == nil {
		err = s.swap(ctx, t, name)
	}
	if err != nil {
		return "", errors.Join(err, s.step("remove", func() error { return t.root.Remove(name) }))
	}
	return versionOf(inode(info), data), s.syncFolder(t)
}

// fill writes the new file and brings it to the disk.
func (s *Sink) fill(temp *os.File, t *target, data []byte) (fs.FileInfo, error) {
	info, err := temp.Stat()
	if err != nil {
		return nil, err
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"write", func() error { _, err := temp.Write(data); return err }},
		{"owner", func() error { return keepOwner(temp, info, t.info) }},
		{"mode", func() error { return temp.Chmod(t.info.Mode().Perm()) }},
		{"attributes", func() error { return keepAttributes(temp, t.file) }},
		{"sync", temp.Sync},
	} {
		if err := s.step(step.name, step.do); err != nil {
			return nil, err
		}
	}
	return info, nil
}

// swap renames the new file over the old one, unless that has changed.
func (s *Sink) swap(ctx context.Context, t *target, name string) error {
	now := &target{root: t.root, base: t.base}
	err := s.load(now)
	if now.file != nil {
		defer now.file.Close()
	}
	if err != nil {
		return err
	}
	if !now.exists || !os.SameFile(now.info, t.info) || !bytes.Equal(now.data, t.data) {
		return errChanged
	}
	// The last moment to turn back.
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.step("rename", func() error { return t.root.Rename(name, t.base) })
}

// settle makes sure that a file found as it should be is on the disk.
func (s *Sink) settle(t *target) error {
	if err := s.step("sync", func() error { return syncRead(t.file) }); err != nil {
		return err
	}
	return s.syncFolder(t)
}

func (s *Sink) syncFolder(t *target) error {
	return s.step("sync folder", func() error {
		folder, err := t.root.Open(".")
		if err != nil {
			return err
		}
		return errors.Join(syncRead(folder), folder.Close())
	})
}

// splitPath returns the parts of an absolute path under its root.
func splitPath(name string) []string {
	var parts []string
	for dir, base := filepath.Split(filepath.Clean(name)); base != ""; dir, base = filepath.Split(filepath.Clean(dir)) {
		parts = append([]string{base}, parts...)
	}
	return parts
}
