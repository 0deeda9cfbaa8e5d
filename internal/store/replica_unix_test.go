//go:build unix

package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/credsmith/credsmith/internal/graph"
	"github.com/credsmith/credsmith/internal/operator"
	"github.com/credsmith/credsmith/internal/rotate"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/file"
	"github.com/credsmith/credsmith/internal/store"
	"github.com/credsmith/credsmith/internal/token"
	"github.com/credsmith/credsmith/internal/wire"
)

// The tests of replicas start this test binary again: it is then one replica
// of credsmith, which takes up every rotation that is due until none is left.

const replicaVariable = "CREDSMITH_TEST_REPLICA"

// replicaJob is what such a process is to do. Everything is of a lab.
type replicaJob struct {
	Store, KeyFile, Holder  string
	Time                    fastTime
	Authority, Graph, CA    string
	TenantID                string
	Apps                    []replicaApp
	OperatorID, OperatorKey string
	Key                     []byte // of fingerprints
}

type replicaApp struct{ ClientID, File string }

// fastTime is a clock that all processes of a machine share, and that runs
// ahead of the machine's.
type fastTime struct {
	Zero  time.Time // by the machine
	Start time.Time // what it was then
	Speed float64
}

func (f fastTime) now() time.Time {
	return f.Start.Add(time.Duration(float64(time.Since(f.Zero)) * f.Speed))
}

func runChild() bool {
	text := os.Getenv(replicaVariable)
	if text == "" {
		return false
	}
	var job replicaJob
	err := json.Unmarshal([]byte(text), &job)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		err = job.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func (j replicaJob) open(ctx context.Context) (*store.Store, error) {
	return store.Open(ctx, j.Store, store.Options{Holder: j.Holder, KeyFile: j.KeyFile, Now: j.Time.now})
}

// engines returns one for each binding.
func (j replicaJob) engines(journal *store.Store) (map[string]*rotate.Engine, error) {
	client, err := wire.NewClient(j.CA)
	if err != nil {
		return nil, err
	}
	identity, err := operator.Place{TenantID: j.TenantID, Authority: j.Authority, Graph: j.Graph, HTTP: client}.Secret(j.OperatorID, secret.New(j.OperatorKey))
	if err != nil {
		return nil, err
	}
	key, ok := secret.KeyFrom(j.Key)
	if !ok {
		return nil, errors.New("the key of fingerprints is none")
	}
	all := map[string]*rotate.Engine{}
	for _, app := range j.Apps {
		place, err := file.New(file.JSON, file.Config{File: app.File, Key: "CLIENT_SECRET"})
		if err != nil {
			return nil, err
		}
		all[app.ClientID] = rotate.New(rotate.Config{
			Binding: rotate.Binding{
				Name: app.ClientID, TenantID: j.TenantID, ClientID: app.ClientID, Lifetime: 90 * 24 * time.Hour, Overlap: 2 * time.Hour, Retire: rotate.OnEvidence,
				Prove: rotate.Proving{Scope: "https://graph.microsoft.com/.default", Times: 8, Over: time.Minute}, Sinks: []sink.Sink{place},
			},
			Directory: graph.New(j.Graph, identity.TenantID, identity.Credential, client), Tokens: token.New(j.Authority, client),
			Journal: journal, Key: key, Actor: j.Holder, Now: j.Time.now, MayRetire: 100,
		})
	}
	return all, nil
}

// run is the work of a replica. What fails, fails; the next round tries again.
func (j replicaJob) run(ctx context.Context) error {
	journal, err := j.open(ctx)
	if err != nil {
		return err
	}
	defer journal.Close()
	engines, err := j.engines(journal)
	if err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		open, err := journal.Open(ctx)
		if err == nil && len(open) == 0 {
			return nil
		}
		for _, r := range open {
			if r.State == rotate.NeedsPerson {
				return fmt.Errorf("rotation %s at %s: %s", r.ID, r.Step, r.Trouble)
			}
			if j.Time.now().Before(r.Wake) {
				continue
			}
			_, err := engines[r.Binding].Advance(ctx, r.ID)
			if err != nil && !errors.Is(err, rotate.ErrHeld) && !errors.Is(err, rotate.ErrStale) {
				fmt.Fprintln(os.Stderr, err)
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
