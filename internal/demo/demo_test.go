package demo_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/internal/demo"
	"github.com/credsmith/credsmith/internal/diagnose"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quiet hears the story and says nothing; scene is told of each one.
func quiet(scene func(number int)) demo.Audience {
	return demo.Audience{
		Scene: func(number, _ int, _ string) { scene(number) }, Doing: func(string) {},
		Report: func(diagnose.Report) {}, Repair: func(string) {}, Proven: func(diagnose.Report) {},
	}
}

func emptyTemp(t *testing.T) (leftovers func() []os.DirEntry) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return func() []os.DirEntry {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
}

func TestStory(t *testing.T) {
	leftovers := emptyTemp(t)
	results, err := demo.Run(t.Context(), quiet(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	var causes []diagnose.Cause
	for _, r := range results {
		if r.Before.Verdict != diagnose.Broken || r.Before.Cause == nil || r.Before.Confidence != diagnose.Confirmed ||
			r.After.Verdict != diagnose.Working || r.After.Cause != nil || r.Repair == "" {
			t.Errorf("%s: %+v", r.Family, r)
			continue
		}
		causes = append(causes, *r.Before.Cause)
	}
	if want := []diagnose.Cause{"secret-expired", "secret-id-used", "client-id-is-object-id", "body-not-form", "secret-propagating"}; !slices.Equal(causes, want) {
		t.Errorf("causes %v, want %v", causes, want)
	}
	if left := leftovers(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestInterrupted stops the story in each scene: nothing stays behind.
func TestInterrupted(t *testing.T) {
	leftovers := emptyTemp(t)
	for stop := 1; stop <= 5; stop++ {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := demo.Run(ctx, quiet(func(number int) {
			if number == stop {
				cancel()
			}
		}))
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("stopped in scene %d: error %v", stop, err)
		}
		if left := leftovers(); len(left) != 0 {
			t.Errorf("stopped in scene %d, left behind: %v", stop, left)
		}
	}
}
