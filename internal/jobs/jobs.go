// Package jobs works on many rotations at once, with River: one rotation is
// one job, which goes on until the rotation has to wait, and comes back then.
//
// A job holds nothing but the id of its rotation: what is done and what comes
// next stands in the journal, so a job that was lost, or run twice, does no
// harm. A sweep makes the jobs of rotations that have none.
package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/credsmith/credsmith/internal/rotate"
)

// Journal is what the jobs read of the journal.
type Journal interface {
	// Rotation reads a rotation without holding it.
	Rotation(ctx context.Context, id string) (*rotate.Rotation, error)
	// Open returns the rotations that have not ended.
	Open(ctx context.Context) ([]*rotate.Rotation, error)
}

// Config is what a [Runner] is made of.
type Config struct {
	// SQLite is the store's own connection, Postgres a pool of its own; one of
	// the two. A second connection to SQLite would meet the store's writes
	// with "database is locked".
	SQLite   *sql.DB
	Postgres *pgxpool.Pool

	Journal Journal
	// Engine returns the engine of a binding, nil for none.
	Engine func(binding string) *rotate.Engine
	// Writes paces the writes to the tenants.
	Writes *Writes
	// Workers bounds how many rotations are worked on at once; 0 for 10.
	Workers int
	// Log gets what a rotation cannot write down itself.
	Log *slog.Logger
	// Clock is time.Now unless set. Tests in virtual time set it: without it
	// River goes by the database's.
	Clock func() time.Time
}

const (
	defaultWorkers = 10
	sweepEvery     = time.Minute
	jobTimeout     = 2 * time.Minute
	rescueAfter    = 3 * time.Minute
	turn           = time.Minute      // until a rotation lets others have a go
	shortWait      = 2 * time.Second  // is waited for on the spot: River looks only so often
	heldPoll       = 5 * time.Second  // while another process holds it, or all is paused
	troublePoll    = 10 * time.Second // while the journal cannot be written
)

// client is River's for either database.
type client interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	InsertMany(ctx context.Context, params []river.InsertManyParams) ([]*rivertype.JobInsertResult, error)
}

// Runner works on rotations.
type Runner struct {
	Config
	now    func() time.Time
	client client
}

// New brings River's tables up to date and returns a runner that stands still.
func New(ctx context.Context, c Config) (*Runner, error) {
	r := &Runner{Config: c, now: c.Clock}
	if r.now == nil {
		r.now = time.Now
	}
	if r.Workers == 0 {
		r.Workers = defaultWorkers
	}
	var err error
	if c.SQLite != nil {
		r.client, err = open(ctx, r, riversqlite.New(c.SQLite))
	} else {
		r.client, err = open(ctx, r, riverpgxv5.New(c.Postgres))
	}
	if err != nil {
		return nil, fmt.Errorf("set up the jobs: %w", err)
	}
	return r, nil
}

func open[T any](ctx context.Context, r *Runner, driver riverdriver.Driver[T]) (client, error) {
	quiet := slog.New(slog.DiscardHandler)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet})
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &rotationWorker{runner: r})
	river.AddWorker(workers, &sweepWorker{runner: r})
	config := &river.Config{
		Logger: quiet, Workers: workers, JobTimeout: jobTimeout, RescueStuckJobsAfter: rescueAfter,
		PollOnly: r.SQLite != nil, FetchPollInterval: time.Second,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: r.Workers}, sweepQueue: {MaxWorkers: 1}},
		PeriodicJobs: []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(sweepEvery),
			func() (river.JobArgs, *river.InsertOpts) { return sweepArgs{}, nil }, &river.PeriodicJobOpts{RunOnStart: true})},
	}
	if r.Clock != nil {
		config.Test.Time = clock(r.Clock)
	}
	return river.NewClient(driver, config)
}

// Run works until the context ends, and then until every action under way has
// been done or called off.
func (r *Runner) Run(ctx context.Context) error {
	if err := r.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start the jobs: %w", err)
	}
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jobTimeout)
	defer cancel()
	if err := r.client.Stop(ctx); err != nil {
		return fmt.Errorf("stop the jobs: %w", err)
	}
	return nil
}

// Add makes the jobs of rotations, of those that have none.
func (r *Runner) Add(ctx context.Context, ids ...string) error {
	var all []river.InsertManyParams
	for _, id := range ids {
		all = append(all, river.InsertManyParams{Args: rotationArgs{id}})
	}
	if len(all) == 0 {
		return nil
	}
	if _, err := r.client.InsertMany(ctx, all); err != nil {
		return fmt.Errorf("make the jobs of rotations %s: %w", strings.Join(ids, ", "), err)
	}
	return nil
}

// rotationArgs is the job of one rotation.
type rotationArgs struct {
	Rotation string `json:"rotation"`
}

func (rotationArgs) Kind() string { return "rotation" }

func (rotationArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning, rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}}}
}

type rotationWorker struct {
	river.WorkerDefaults[rotationArgs]
	runner *Runner
}

// Work takes a rotation as far as it goes now.
func (w *rotationWorker) Work(ctx context.Context, job *river.Job[rotationArgs]) error {
	again, err := w.runner.work(ctx, job.Args.Rotation)
	switch {
	case errors.Is(err, rotate.ErrNone):
		return river.JobCancel(err)
	case err != nil:
		// A rotation is never given up: River would do so after some tries.
		w.runner.Log.ErrorContext(ctx, "a rotation does not go on", "rotation", job.Args.Rotation, "error", err)
		return river.JobSnooze(troublePoll)
	case again < 0:
		return nil
	}
	return river.JobSnooze(again)
}

// work returns when to come back; less than 0 for never.
func (r *Runner) work(ctx context.Context, id string) (time.Duration, error) {
	rot, err := r.Journal.Rotation(ctx, id)
	mayWrite := false // a turn at the tenant is ours, and not used up
	for began := r.now(); err == nil; {
		now := r.now()
		if rot.State.Ended() || rot.State == rotate.NeedsPerson {
			r.Writes.forget(id)
			return -1, nil
		}
		if wait := rot.Wake.Sub(now); wait > 0 {
			return wait, nil
		}
		if !mayWrite && now.Sub(began) > turn || ctx.Err() != nil {
			return 0, nil
		}
		engine := r.Engine(rot.Binding)
		if engine == nil {
			return 0, fmt.Errorf("binding %s is not in the configuration: put it back", rot.Binding)
		}
		step := rot.Step
		if writes(rot) && !mayWrite {
			if wait := r.Writes.reserve(rot.Plan.TenantID, id, now); wait > shortWait {
				return wait, nil
			} else if wait > 0 {
				sleep(ctx, wait)
				continue
			}
			mayWrite = true
		}
		if rot, err = engine.Advance(ctx, id); err == nil {
			mayWrite = mayWrite && (step == rotate.Recheck || rot.Step == rotate.Recheck)
		}
	}
	_, paused := errors.AsType[*rotate.Paused](err)
	if paused || errors.Is(err, rotate.ErrHeld) || errors.Is(err, rotate.ErrStale) {
		return heldPoll, nil
	}
	return 0, err
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// writes reports whether the next action of a rotation writes to its tenant. The
// last look before a removal counts as one with it: it must be fresh, so there
// is no waiting for a turn between the two.
func writes(r *rotate.Rotation) bool {
	switch r.Step {
	case rotate.Mint:
		return r.Attempt.Asked.IsZero()
	case rotate.Recheck, rotate.Retire, rotate.Unmint:
		return true
	}
	return false
}

const sweepQueue = "sweep"

// sweepArgs is the job that makes the jobs of rotations that have none.
type sweepArgs struct{}

func (sweepArgs) Kind() string { return "sweep" }

func (sweepArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: sweepQueue, MaxAttempts: 1}
}

type sweepWorker struct {
	river.WorkerDefaults[sweepArgs]
	runner *Runner
}

// Work makes them. A rotation that a person sent on again is found here, too.
func (w *sweepWorker) Work(ctx context.Context, _ *river.Job[sweepArgs]) error {
	open, err := w.runner.Journal.Open(ctx)
	if err != nil {
		w.runner.Log.ErrorContext(ctx, "the rotations cannot be read", "error", err)
		return err
	}
	var ids []string
	for _, r := range open {
		if r.State != rotate.NeedsPerson {
			ids = append(ids, r.ID)
		}
	}
	return w.runner.Add(ctx, ids...)
}

// clock is River's.
type clock func() time.Time

func (c clock) Now() time.Time { return c() }

func (c clock) NowOrNil() *time.Time { return new(c()) }
