package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/credsmith/credsmith/internal/store"
)

// However many processes start at once, one key is made, and whole: whoever
// finds half of one could never open the database again.
func TestOneWholeKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := filepath.Join(dir, "store.key")
	var g errgroup.Group
	for i := range 6 {
		g.Go(func() error {
			s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(dir, fmt.Sprint(i), "credsmith.db"), store.Options{Holder: fmt.Sprint(i), KeyFile: key, Now: time.Now})
			if err != nil {
				return err
			}
			return s.Close()
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(key + "*")
	if err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	if text, err := os.ReadFile(key); err != nil || len(text) != 65 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
