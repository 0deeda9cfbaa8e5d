package file

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/internal/canary"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// empty are files of each format without the value, and with other content.
var empty = map[Format]string{
	Dotenv:     "# top\nOTHER=1\n",
	JSON:       "{\n  // c\n  \"AzureAd\": {\n    \"Other\": 1\n  }\n}\n",
	YAML:       "azure: # c\n  other: 1\n",
	Properties: "other = 1\n",
	INI:        "[azure]\n; c\nother = 1\n",
}

// faults makes steps fail. It stands for the process: one that died does
// nothing more.
type faults struct {
	mu    sync.Mutex
	count int
	at    int                 // the step that fails, from 1; 0 none
	dies  bool                // and all after it
	late  bool                // it is done and then fails
	err   error               // what it fails with
	named func(string) error  // fails steps by name
	seen  map[string]struct{} // names
}

func (f *faults) step(name string, do func() error) error {
	f.mu.Lock()
	f.count++
	hit := f.at > 0 && (f.count == f.at || f.dies && f.count > f.at)
	if f.seen != nil {
		f.seen[name] = struct{}{}
	}
	f.mu.Unlock()
	if f.named != nil {
		if err := f.named(name); err != nil {
			return err
		}
	}
	if !hit && strings.HasPrefix(name, "sync") {
		return nil // nobody pulls the plug here
	}
	if !hit {
		return do()
	}
	if name == "close" || f.late && f.count == f.at {
		_ = do() // the kernel closes what a dead process held
	}
	return f.err
}

func (f *faults) reached() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count >= f.at
}

func newSink(t testing.TB, format Format, name string) *Sink {
	t.Helper()
	s, err := New(format, Config{File: name, Key: keys[format]})
	if err != nil {
		t.Fatal(err)
	}
	return s.(*Sink)
}

// place makes a file in a folder of its own.
func place(t testing.TB, content string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "app")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "settings")
	write(t, name, content, 0o600)
	return name
}

func write(t testing.TB, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// alone fails when anything but the file itself is in its folder.
func alone(t *testing.T, name string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("the folder holds %v", entries)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, format := range Formats() {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			sinktest.Run(t, func(t *testing.T) sinktest.Fixture {
				name := place(t, empty[format])
				var denied bool
				return sinktest.Fixture{
					Open: func(t *testing.T) sink.Sink {
						s := newSink(t, format, name)
						s.step = (&faults{named: func(step string) error {
							if denied && (step == "create" || step == "access") {
								return &os.PathError{Op: "openat", Path: name, Err: syscall.EACCES}
							}
							return nil
						}}).step
						return s
					},
					Change: func(t *testing.T, value string) {
						data, err := format.patch([]byte(read(t, name)), keys[format], value)
						if err != nil {
							t.Fatal(err)
						}
						write(t, name, string(data), 0o600)
					},
					Deny: func(*testing.T) { denied = true },
					Lose: func(t *testing.T) {
						if err := os.RemoveAll(filepath.Dir(name)); err != nil {
							t.Fatal(err)
						}
					},
					Cut: func(t *testing.T, n int) (sink.Sink, func() bool) {
						s, f := newSink(t, format, name), &faults{at: n, dies: true, late: n%2 == 0, err: errors.New("the process died")}
						s.step = f.step
						return s, f.reached
					},
					Tidy: func(t *testing.T) { alone(t, name) },
				}
			})
		})
	}
}

func delivery(t testing.TB, s *Sink, text string) sink.Delivery {
	t.Helper()
	held, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return sink.Delivery{Value: secret.New(text), Version: held.Version}
}

// TestEveryFault fails each step of a write in turn, before it is done and
// after, with each error of a disk: old or new content, never a mixture, and
// nothing left lying about.
func TestEveryFault(t *testing.T) {
	t.Parallel()
	const old, wanted = "# top\r\nAZURE_CLIENT_SECRET=old8Q~0123456789\r\nB=1", "# top\r\nAZURE_CLIENT_SECRET=" + value + "\r\nB=1"
	kinds := map[syscall.Errno]sink.Kind{
		syscall.ENOSPC: sink.Unreachable, syscall.EIO: sink.Unreachable, syscall.ESTALE: sink.Unreachable,
		syscall.EROFS: sink.Denied, syscall.EACCES: sink.Denied, syscall.EXDEV: sink.Invalid, syscall.EBUSY: sink.Invalid,
	}
	for errno, kind := range kinds {
		for _, late := range []bool{false, true} {
			t.Run(errno.Error(), func(t *testing.T) {
				t.Parallel()
				name := place(t, old)
				s := newSink(t, Dotenv, name)
				for n := 1; ; n++ {
					write(t, name, old, 0o600)
					s.step = func(_ string, do func() error) error { return do() }
					d := delivery(t, s, value)
					f := &faults{at: n, late: late, err: &os.PathError{Op: "do", Path: name, Err: errno}}
					s.step = f.step
					_, err := s.Write(t.Context(), d)
					got := read(t, name)
					switch {
					case err == nil && got != wanted:
						t.Fatalf("step %d: the write passed and left %q", n, got)
					case err != nil && got != old && got != wanted:
						t.Fatalf("step %d: torn: %q", n, got)
					case err != nil && (len(canary.Find([]byte(err.Error()), value)) > 0 || !strings.Contains(err.Error(), name)):
						t.Fatalf("step %d: %v", n, err)
					case err != nil && sink.KindOf(err) != kind && !strings.Contains(err.Error(), errOwner.Error()):
						t.Fatalf("step %d: %s (%v), want %s", n, sink.KindOf(err), err, kind)
					}
					if !f.reached() {
						if n < 15 {
							t.Errorf("a write has %d steps", n-1)
						}
						break
					}
				}
				alone(t, name)
			})
		}
	}
}
