package web_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/web"
)

// TestAlone: one at a place, whoever waits can be called off, and other places
// are free.
func TestAlone(t *testing.T) {
	t.Parallel()
	release, err := web.Alone(t.Context(), "Alone/A", "write")
	if err != nil {
		t.Fatal(err)
	}
	other, err := web.Alone(t.Context(), "alone/b", "write")
	if err != nil {
		t.Fatal(err)
	}
	other()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = web.Alone(ctx, "alone/a", "write setting x")
	e, ok := errors.AsType[*sink.Error](err)
	if !ok || e.Kind != sink.Unreachable || e.Op != "write setting x" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want a refusal that can be tried again", err)
	}
	release()
	if _, err := web.Alone(ctx, "alone/a", "write"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v after the end", err)
	}
	again, err := web.Alone(t.Context(), "ALONE/a", "write")
	if err != nil {
		t.Fatal(err)
	}
	again()
}
