package file

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// mounted refuses a file that is a mount of its own, as containers have them:
// a rename cannot replace it. Kernels before 5.8 do not tell; the rename will.
func mounted(t *target) error {
	folder, err := t.root.Open(".")
	if err != nil {
		return err
	}
	defer folder.Close()
	var stat unix.Statx_t
	err = unix.Statx(int(folder.Fd()), t.base, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS, &stat)
	if err == nil && stat.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return fmt.Errorf("%s: %w", t.base, unix.EBUSY)
	}
	return nil
}

const acl = "system.posix_acl_access"

// keepAttributes copies the extended attributes and the access list. Without
// its access list a file is not the same for its consumers: that is an error.
// Other attributes are copied where the kernel lets us.
func keepAttributes(temp, old *os.File) error {
	size, err := unix.Flistxattr(int(old.Fd()), nil)
	if err != nil || size == 0 {
		return nil // the file system has none
	}
	names := make([]byte, size)
	size, err = unix.Flistxattr(int(old.Fd()), names)
	if err != nil {
		return fmt.Errorf("list the attributes: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:size]), "\x00"), "\x00") {
		if err := copyAttribute(temp, old, name); err != nil && name == acl {
			return fmt.Errorf("copy the access list: %w", err)
		}
	}
	return nil
}

func copyAttribute(temp, old *os.File, name string) error {
	size, err := unix.Fgetxattr(int(old.Fd()), name, nil)
	if err != nil {
		return err
	}
	value := make([]byte, size)
	if size, err = unix.Fgetxattr(int(old.Fd()), name, value); err != nil {
		return err
	}
	err = unix.Fsetxattr(int(temp.Fd()), name, value[:size], 0)
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}
