//go:build !windows

package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxLinks is how many links a path may lead through.
const maxLinks = 40

// resolve follows the links of a path. A link that somebody else could bend
// is followed only inside its folder: else they could have credsmith write a
// secret anywhere.
func resolve(name string) (dir, base string, err error) {
	dir = "/"
	links := 0
	for rest := splitPath(name); len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		if part == ".." {
			dir = filepath.Dir(dir)
			continue
		}
		next := filepath.Join(dir, part)
		info, err := os.Lstat(next)
		if errors.Is(err, fs.ErrNotExist) && len(rest) == 0 {
			return dir, part, nil
		}
		if err != nil {
			return "", "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			if len(rest) == 0 {
				return dir, part, nil
			}
			if info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
				return "", "", worldWritable(next)
			}
			dir = next
			continue
		}
		if links++; links > maxLinks {
			return "", "", &fs.PathError{Op: "follow", Path: name, Err: syscall.ELOOP}
		}
		to, err := os.Readlink(next)
		if err != nil {
			return "", "", err
		}
		if err := safeLink(dir, next, to); err != nil {
			return "", "", err
		}
		if filepath.IsAbs(to) {
			dir = "/"
		}
		rest = append(strings.FieldsFunc(to, func(r rune) bool { return r == '/' }), rest...)
		rest = slices.DeleteFunc(rest, func(part string) bool { return part == "." })
	}
	return "", "", &refusal{"the path leads to a folder", "name a file"}
}

func safeLink(dir, link, to string) error {
	folder, err := os.Stat(dir)
	if err != nil {
		return err
	}
	parts := strings.Split(strings.TrimPrefix(to, strings.TrimSuffix(dir, "/")+"/"), "/")
	inside := !filepath.IsAbs(to) || parts[0] != ""
	if inside && !slices.Contains(parts, "..") || !othersWrite(folder) {
		return nil
	}
	return &refusal{fmt.Sprintf("%s leads out of a folder that other users can write", link), "name the path of the file itself"}
}

// othersWrite reports whether anyone but root and us can change a folder.
func othersWrite(folder fs.FileInfo) bool {
	uid, _ := ownerOf(folder)
	return folder.Mode().Perm()&0o022 != 0 || uid != 0 && uid != os.Geteuid()
}

func worldWritable(dir string) error {
	return &refusal{fmt.Sprintf("every user can write the folder %s", dir), "run chmod o-w " + dir}
}

// safeFolder refuses a folder in which any user could put another file in the
// place of ours.
func safeFolder(name string, folder fs.FileInfo) error {
	if folder.Mode().Perm()&0o002 != 0 {
		return worldWritable(name)
	}
	return nil
}

// safeFile refuses what cannot be replaced, or what others could rewrite.
func safeFile(t *target) error {
	switch {
	case !t.info.Mode().IsRegular():
		return &refusal{"it is no regular file", "name the file that the consumers read"}
	case t.info.Size() > maxFile:
		return tooLarge()
	case t.info.Mode().Perm()&0o002 != 0:
		return &refusal{fmt.Sprintf("every user can write the file (mode %04o)", t.info.Mode().Perm()), "run chmod o-w on it"}
	case t.info.Sys().(*syscall.Stat_t).Nlink > 1:
		return &refusal{"the file has a second name (a hard link), which would keep the old value", "remove the other name, or make it a symbolic link"}
	}
	return mounted(t)
}

func ownerOf(info fs.FileInfo) (uid, gid int) {
	stat := info.Sys().(*syscall.Stat_t)
	return int(stat.Uid), int(stat.Gid)
}

func inode(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

var errOwner = errors.New("the new file cannot be given to the owner of the old one")

// keepOwner gives the new file to the owner of the old one.
func keepOwner(temp *os.File, info, old fs.FileInfo) error {
	uid, gid := ownerOf(old)
	if u, g := ownerOf(info); u == uid && g == gid {
		return nil
	}
	if err := temp.Chown(uid, gid); err != nil {
		return fmt.Errorf("%w: %w", errOwner, err)
	}
	return nil
}

// mayReplace asks for what replacing the file will need.
func mayReplace(t *target) error {
	folder, err := t.root.Open(".")
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := unix.Faccessat(int(folder.Fd()), ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return &fs.PathError{Op: "write in", Path: t.root.Name(), Err: err}
	}
	if os.Geteuid() == 0 {
		return nil
	}
	uid, gid := ownerOf(t.info)
	groups, err := os.Getgroups()
	if err != nil {
		return err
	}
	if uid != os.Geteuid() || gid != os.Getegid() && !slices.Contains(groups, gid) {
		return errOwner
	}
	return nil
}

// tryLock locks a folder; unlock is nil when somebody else has it, and held is
// false where there are no locks.
func tryLock(dir string) (unlock func(), held bool, err error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, false, err
	}
	err = unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
		return nil, false, folder.Close()
	}
	// NFS, for one, takes no lock on a folder.
	return func() { _ = folder.Close() }, err == nil, nil
}

func syncRead(f *os.File) error { return f.Sync() }
