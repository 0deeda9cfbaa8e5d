package labstore_test

import (
	"fmt"
	"testing"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/labstore"
)

// BenchmarkOpen opens a kept lab of so many apps with one secret each.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("apps=%d", n), func(b *testing.B) {
			dir := b.TempDir()
			open := func(seed entralab.Seed) {
				store, err := labstore.Open(b.Context(), dir)
				if err != nil {
					b.Fatal(err)
				}
				lab, err := entralab.Start(b.Context(), entralab.Config{InProcess: true, Store: store, Seed: seed})
				if err != nil {
					b.Fatal(err)
				}
				lab.Close()
				store.Close()
			}
			apps := make([]entralab.AppSpec, n)
			for i := range apps {
				apps[i] = entralab.AppSpec{DisplayName: fmt.Sprintf("app-%d", i), Secrets: []entralab.SecretSpec{{}}}
			}
			open(entralab.Seed{Apps: apps})
			for b.Loop() {
				open(entralab.Seed{})
			}
		})
	}
}

// BenchmarkWrite adds and removes a secret: two commits.
func BenchmarkWrite(b *testing.B) {
	store, err := labstore.Open(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	lab, err := entralab.Start(b.Context(), entralab.Config{InProcess: true, Store: store})
	if err != nil {
		b.Fatal(err)
	}
	defer lab.Close()
	app, err := lab.AddApp(entralab.AppSpec{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		secret, err := lab.AddSecret(app.ObjectID, entralab.SecretSpec{})
		if err != nil {
			b.Fatal(err)
		}
		if err := lab.RemoveSecret(app.ObjectID, secret.KeyID); err != nil {
			b.Fatal(err)
		}
	}
}
