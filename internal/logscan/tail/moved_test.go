package tail

import (
	"os"
	"path/filepath"
	"testing"
)

// A program that goes on with the log that was moved away is followed for as
// long as it has not begun with the new one.
func TestOldLogGoesOn(t *testing.T) {
	t.Parallel()
	w := newWriter(t, 4, filepath.Join(t.TempDir(), "app.log"))
	scan := newScan()
	f := New(scan)
	f.Add(w.path, nil)
	w.write()
	f.Poll()
	for range 2 { // the second log is moved away before it has a line
		w.finish()
		_ = os.Rename(w.path+".1", w.path+".2") // there is none at first
		w.must(os.Rename(w.path, w.path+".1"))
		w.old, w.f = w.f, w.create()
	}
	for range lookAfter + idle + idleGone {
		f.Poll()
	}
	w.write()
	w.finish()
	for range settle {
		f.Poll()
	}
	w.check(t, scan.Result(), f) // the end would look once more
	f.Close()
}

// A copy is seen before what it is a copy of was read, and before that is
// truncated.
func TestCopyIsSeenFirst(t *testing.T) {
	t.Parallel()
	w := newWriter(t, 5, filepath.Join(t.TempDir(), "app.log"))
	scan := newScan()
	f := New(scan)
	f.Add(w.path, nil)
	w.write()
	w.finish()
	f.Poll()
	w.must(os.Truncate(w.path, 0))
	f.Poll()
	for range 9 {
		w.write()
	}
	w.finish()
	data, err := os.ReadFile(w.path)
	w.must(err)
	w.must(os.WriteFile(w.path+".1", data, 0o600))
	f.look(f.targets[0])
	f.Poll()
	w.must(os.Truncate(w.path, 0))
	f.Poll()
	f.Close()
	w.check(t, scan.Result(), f)
}
