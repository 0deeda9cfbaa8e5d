package store_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/credsmith/credsmith/internal/store"
)

// nobody runs a function without root's right to write everywhere.
func nobody(t *testing.T, do func()) {
	t.Helper()
	if os.Getuid() == 0 {
		// For this thread's use of files alone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if _, err := unix.SetfsuidRetUid(65534); err != nil {
			t.Fatal(err)
		}
		defer unix.SetfsuidRetUid(0)
	}
	do()
}

func TestReadOnlyPlaces(t *testing.T) {
	t.Parallel()
	// A test's directory lies in another one, which is root's alone.
	place := func(t *testing.T) *database {
		t.Helper()
		d := sqliteDatabase(t)
		if err := os.Chmod(filepath.Dir(filepath.Dir(filepath.Dir(d.file))), 0o755); err != nil {
			t.Fatal(err)
		}
		return d
	}
	chmod := func(t *testing.T, mode os.FileMode, paths ...string) {
		t.Helper()
		for _, p := range paths {
			if os.Getuid() == 0 {
				if err := os.Chown(p, 65534, 65534); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(p, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Run("directory to be made", func(t *testing.T) {
		t.Parallel()
		d := place(t)
		chmod(t, 0o500, filepath.Dir(filepath.Dir(d.file)))
		nobody(t, func() {
			_, err := d.tryOpen(store.Options{Holder: "one"})
			wantErr(t, "open", err, store.ErrDenied, filepath.Dir(filepath.Dir(d.file)), "give this user the right")
		})
	})
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		d := place(t)
		if err := os.MkdirAll(filepath.Dir(d.file), 0o700); err != nil {
			t.Fatal(err)
		}
		chmod(t, 0o500, filepath.Dir(d.file))
		nobody(t, func() {
			_, err := d.tryOpen(store.Options{Holder: "one"})
			wantErr(t, "open", err, store.ErrDenied, d.file, "give this user the right")
		})
	})
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		d := place(t)
		full(d)
		all, err := filepath.Glob(d.file + "*")
		if err != nil {
			t.Fatal(err)
		}
		chmod(t, 0o700, filepath.Dir(d.file), filepath.Dir(filepath.Dir(d.file)))
		chmod(t, 0o600, all...)
		chmod(t, 0o400, d.file)
		nobody(t, func() {
			_, err := d.tryOpen(store.Options{Holder: "one"})
			wantErr(t, "open", err, store.ErrDenied, d.file, "give this user the right")
		})
	})
}
