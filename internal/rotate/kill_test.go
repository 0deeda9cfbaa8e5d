//go:build unix

package rotate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/pgtest"
	"github.com/credsmith/credsmith/internal/rotate"
	"github.com/credsmith/credsmith/internal/secret"
)

var (
	killOnly  = flag.String("kill", "", "only kill at points that begin so")
	killStore = flag.String("kill-store", "sqlite", "the store of the processes that are killed: sqlite or postgres")
)

// recoveries are the ways in which the work is taken up after a kill.
var recoveries = []struct {
	name  string
	after time.Duration
}{{"at once", 0}, {"after a minute", time.Minute}, {"a day later", 24 * time.Hour}}

// TestKillMatrix kills a process at every point of a rotation, with SIGKILL,
// and lets another one take the work up. What happened is judged from the
// lab's history and the sinks' own, never from what credsmith says.
func TestKillMatrix(t *testing.T) {
	t.Parallel()
	t.Run("forward", func(t *testing.T) { killMatrix(t, rotate.Points(3), childJob{}, rotate.Done, (*world).judge) })
	t.Run("back", func(t *testing.T) {
		killMatrix(t, rotate.PointsBack(3), childJob{Rollback: true}, rotate.RolledBack, (*world).judgeBack)
	})
}

func killMatrix(t *testing.T, points []rotate.Point, job childJob, want rotate.State, judge func(*world, int) error) {
	t.Parallel()
	var mu sync.Mutex
	fired := map[rotate.Point]int{}
	var g errgroup.Group
	g.SetLimit(10) // the processes wait much
	for i, p := range points {
		if !strings.HasPrefix(string(p), *killOnly) {
			continue
		}
		for j, how := range recoveries {
			g.Go(func() error {
				w, err := newWorld(t, uint64(i*len(recoveries)+j+1))
				if err != nil {
					return err
				}
				defer w.close()
				w.job.Rollback = job.Rollback
				err = w.killAt(p, how.after, want)
				if err == nil {
					err = judge(w, 1)
				}
				if err != nil {
					t.Errorf("killed at %s, gone on %s (seed %d): %v", p, how.name, w.lab.RandomSeed(), err)
				}
				mu.Lock()
				defer mu.Unlock()
				fired[p]++
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d points, each killed at %d times", len(fired), len(recoveries))
}

// world is a tenant, an app with three sinks, and everything they remember.
type world struct {
	t      *testing.T
	lab    *entralab.Lab
	app    entralab.App
	server *httptest.Server
	dir    string
	job    childJob

	mu     sync.Mutex
	places [3]place
	writes []sinkWrite
	died   int // of requests that the parent killed at

	killAfter time.Duration // of the next process; 0 for never
}

// sinkWrite is one value that a sink took.
type sinkWrite struct {
	at         time.Time
	sink       int
	value      string
	generation int64
}

func newWorld(t *testing.T, seed uint64) (*world, error) {
	w := &world{t: t, dir: t.TempDir()}
	var err error
	if w.lab, err = entralab.Start(t.Context(), entralab.Config{Profile: entralab.ProfileRude, RandomSeed: seed}); err != nil {
		return nil, err
	}
	w.lab.Freeze(true)
	w.app, err = w.lab.AddApp(entralab.AppSpec{DisplayName: "billing", At: w.lab.Now().Add(-60 * day), Secrets: []entralab.SecretSpec{
		{DisplayName: "prod", End: w.lab.Now().Add(20 * day)}, {DisplayName: "somebody else's", End: w.lab.Now().Add(300 * day)},
	}})
	if err != nil {
		return nil, err
	}
	for i := range w.places {
		w.places[i] = place{Value: w.app.Secrets[0].Value.Reveal(), Version: 1}
	}
	w.server = httptest.NewServer(w.mux())
	op := w.lab.Operator()
	ca := filepath.Join(w.dir, "ca.pem")
	if err := os.WriteFile(ca, w.lab.CAPEM(), 0o600); err != nil {
		return nil, err
	}
	address := "sqlite:" + filepath.Join(w.dir, "credsmith.db")
	if *killStore == "postgres" {
		address = pgtest.New(t)
	}
	w.job = childJob{
		Store: address, KeyFile: filepath.Join(w.dir, "store.key"), Authority: w.lab.AuthorityURL(), Graph: w.lab.GraphURL(), Control: w.lab.ControlURL(),
		World: w.server.URL, CA: ca, TenantID: w.lab.TenantID(), ClientID: w.app.ClientID,
		OperatorID: op.ClientID, OperatorKey: op.Secrets[0].Value.Reveal(), Key: secret.NewKey().Bytes(),
	}
	return w, nil
}

func (w *world) close() {
	w.server.Close()
	if err := w.lab.Close(); err != nil {
		w.t.Error(err)
	}
}

func (w *world) mux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /place/{n}", w.serve(func(p *place, _ *http.Request) int { return http.StatusOK }))
	mux.HandleFunc("PUT /place/{n}", w.serve(func(p *place, r *http.Request) int {
		q := r.URL.Query()
		if q.Get("version") != fmt.Sprint(p.Version) {
			return http.StatusConflict
		}
		p.Value = q.Get("value")
		p.Version++
		p.Generation, _ = strconv.ParseInt(q.Get("generation"), 10, 64)
		n, _ := strconv.Atoi(r.PathValue("n"))
		w.writes = append(w.writes, sinkWrite{w.lab.Now(), n, p.Value, p.Generation})
		return http.StatusOK
	}))
	mux.HandleFunc("POST /reload/{n}", w.serve(func(p *place, r *http.Request) int {
		p.Reloaded = append(p.Reloaded, r.URL.Query().Get("rotation"))
		return http.StatusOK
	}))
	mux.HandleFunc("/last-request", w.lastRequest)
	return mux
}

func (w *world) serve(do func(*place, *http.Request) int) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil || n < 1 || n > 3 {
			http.NotFound(rw, r)
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		status := do(&w.places[n-1], r)
		rw.WriteHeader(status)
		json.NewEncoder(rw).Encode(w.places[n-1])
	}
}

// lastRequest plays the other side of a call in which the process dies: what
// it asked for has been received, and is done or not.
func (w *world) lastRequest(rw http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Applied") == "a" {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		out, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, r.Header.Get("X-Target"), bytes.NewReader(body))
		if err != nil {
			return
		}
		out.Header = r.Header.Clone()
		client := w.lab.Client()
		if strings.HasPrefix(r.Header.Get("X-Target"), w.server.URL) {
			client = http.DefaultClient
		}
		if resp, err := client.Do(out); err == nil { // the tenant may be rude here, too
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	pid, err := strconv.Atoi(r.Header.Get("X-Pid"))
	if err != nil {
		return
	}
	w.mu.Lock()
	w.died++
	w.mu.Unlock()
	kill(pid)
}

// run starts a process and returns what it left behind.
func (w *world) run(job childJob) (*rotate.Rotation, error) {
	job.Now = w.lab.Now()
	text, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if w.killAfter > 0 {
		timer := time.AfterFunc(w.killAfter, func() { kill(cmd.Process.Pid) })
		defer timer.Stop()
	}
	if err := cmd.Wait(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
			return nil, errKilled
		}
		return nil, fmt.Errorf("%w: %s", err, errs.String())
	}
	r := &rotate.Rotation{}
	return r, json.Unmarshal(out.Bytes(), r)
}

var errKilled = errors.New("killed")

// killAt lets one process die at a point and another one go on.
func (w *world) killAt(p rotate.Point, after time.Duration, want rotate.State) error {
	job := w.job
	job.Holder, job.Point = "first", p
	if r, err := w.run(job); !errors.Is(err, errKilled) {
		return fmt.Errorf("the point was not reached: %s, %w", told(r), err)
	}
	if s := string(p); (strings.HasSuffix(s, "/r") || strings.HasSuffix(s, "/a")) != (w.died == 1) {
		return fmt.Errorf("it died elsewhere: %d requests ended in death", w.died)
	}
	w.lab.Advance(after)
	job.Holder, job.Point = "second", ""
	r, err := w.run(job)
	if err != nil {
		return err
	}
	if r.State != want {
		return fmt.Errorf("it did not end well: %s", told(r))
	}
	return nil
}

// judge reads what happened off the lab's history and the sinks' own, after so
// many kills.
func (w *world) judge(kills int) error {
	old := w.app.Secrets[0].KeyID
	minted, removed := map[string]time.Time{}, map[string]time.Time{}
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	history := w.lab.History(0)
	for _, e := range history {
		if e.Write == nil || e.ObjectID != w.app.ObjectID || e.Surface != "graph" {
			continue
		}
		switch e.Write.Kind {
		case "mint":
			for id := range minted {
				if _, gone := removed[id]; !gone {
					fail("secret %s was added while %s, which nobody knows, was still there", e.Write.KeyID, id)
				}
			}
			minted[e.Write.KeyID] = e.At
		case "remove":
			removed[e.Write.KeyID] = e.At
		}
	}
	var left []string
	for id := range minted {
		if _, gone := removed[id]; !gone {
			left = append(left, id)
		}
	}
	if len(left) != 1 || len(minted) > 2+kills { // each may have cost one, and the tenant is rude
		fail("%d secrets were added, and %d of them are left", len(minted), len(left))
	}
	for id := range removed {
		if _, ours := minted[id]; !ours && id != old {
			fail("secret %s was removed, which is nobody's business", id)
		}
	}
	if _, gone := removed[old]; !gone {
		fail("the old secret is still there")
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return w.judgeUse(history, left[0], removed[old])
}

// judgeUse sees that every value was taken by the token endpoint before a sink
// had it, and that the new one was proven after the last write and before the
// old one went.
func (w *world) judgeUse(history []entralab.Event, fresh string, retired time.Time) error {
	var errs []error
	var accepted []time.Time
	for _, e := range history {
		if e.Surface == "token" && e.KeyID == fresh && e.Outcome == "accepted" {
			accepted = append(accepted, e.At)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var last time.Time
	for _, write := range w.writes {
		before := slices.DeleteFunc(slices.Clone(accepted), func(at time.Time) bool { return at.After(write.at) })
		if len(before) < 8 || before[len(before)-1].Sub(before[0]) < time.Minute {
			errs = append(errs, fmt.Errorf("sink %d had the value after %d acceptances", write.sink, len(before)))
		}
		if write.at.After(last) {
			last = write.at
		}
	}
	for i, p := range w.places {
		if p.Value == w.app.Secrets[0].Value.Reveal() {
			errs = append(errs, fmt.Errorf("sink %d holds the old value", i+1))
		}
		if p.Value != w.places[0].Value {
			errs = append(errs, fmt.Errorf("sink %d holds another value than sink 1", i+1))
		}
		if p.Generation != 1 {
			errs = append(errs, fmt.Errorf("sink %d is of generation %d", i+1, p.Generation))
		}
		if len(p.Reloaded) == 0 {
			errs = append(errs, fmt.Errorf("the consumers of sink %d were not reloaded", i+1))
		}
	}
	proof := slices.DeleteFunc(accepted, func(at time.Time) bool { return !at.After(last) || at.After(retired) })
	if len(proof) < 8 || proof[len(proof)-1].Sub(proof[0]) < time.Minute {
		errs = append(errs, fmt.Errorf("the new value was proven %d times after the last write", len(proof)))
	}
	if retired.Before(last.Add(2 * time.Hour)) {
		errs = append(errs, fmt.Errorf("the old secret went %s after the last write", retired.Sub(last)))
	}
	return errors.Join(errs...)
}
