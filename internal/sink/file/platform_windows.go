package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// resolve follows links as the system does: making one takes a privilege.
func resolve(name string) (dir, base string, err error) {
	real, err := filepath.EvalSymlinks(name)
	if errors.Is(err, fs.ErrNotExist) {
		folder, err := filepath.EvalSymlinks(filepath.Dir(name))
		return folder, filepath.Base(name), err
	}
	return filepath.Dir(real), filepath.Base(real), err
}

// Who may write is in access lists here, which a mode does not show.
func safeFolder(string, fs.FileInfo) error { return nil }

func safeFile(t *target) error {
	switch {
	case !t.info.Mode().IsRegular():
		return &refusal{"it is no regular file", "name the file that the consumers read"}
	case t.info.Size() > maxFile:
		return tooLarge()
	}
	return nil
}

func inode(fs.FileInfo) uint64 { return 0 }

var errOwner = errors.New("the new file cannot be given to the owner of the old one")

// keepOwner does nothing: a new file has the owner and access of its folder.
func keepOwner(*os.File, fs.FileInfo, fs.FileInfo) error { return nil }

func mayReplace(*target) error { return nil }

// tryLock opens a file that nobody else can open meanwhile, and that is gone
// when it is closed, also by the end of the process. unlock is nil when
// somebody else has it.
func tryLock(dir string) (unlock func(), held bool, err error) {
	name, err := windows.UTF16PtrFromString(filepath.Join(dir, ".credsmith.lock"))
	if err != nil {
		return nil, false, err
	}
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, 0, nil, windows.OPEN_ALWAYS, windows.FILE_ATTRIBUTE_HIDDEN|windows.FILE_FLAG_DELETE_ON_CLOSE, 0)
	switch {
	case errors.Is(err, windows.ERROR_SHARING_VIOLATION), errors.Is(err, windows.ERROR_DELETE_PENDING):
		return nil, false, nil
	case err != nil:
		return nil, false, &fs.PathError{Op: "lock", Path: dir, Err: err}
	}
	return func() { _ = windows.CloseHandle(h) }, true, nil
}

// syncRead does nothing: what is open for reading cannot be flushed here.
func syncRead(*os.File) error { return nil }
