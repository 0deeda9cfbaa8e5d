//go:build unix

package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/pgtest"
	"github.com/credsmith/credsmith/internal/rotate"
	"github.com/credsmith/credsmith/internal/secret"
)

var (
	strikes  = flag.Int("strikes", 1, "how often TestReplicas strikes in each case")
	realTime = flag.Bool("real-time", false, "run TestTakeoverInRealTime, which takes some minutes")
)

// TestReplicas lets two and three processes share a database and a tenant, and
// kills, stops or cuts off one that is at work, again and again. What happened
// is judged from the lab's history and the files of the consumers.
func TestReplicas(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"kill", "stop", "partition"} {
		for replicas := 2; replicas <= 3; replicas++ {
			t.Run(fmt.Sprintf("%s/%d", how, replicas), func(t *testing.T) {
				t.Parallel()
				f := newFleet(t, 100, 6)
				for range replicas {
					f.start()
				}
				for range *strikes {
					f.strike(how)
				}
				f.wait()
				f.judge()
			})
		}
	}
}

// TestTakeoverInRealTime measures a takeover by the clock on the wall, which
// is PostgreSQL's.
func TestTakeoverInRealTime(t *testing.T) {
	if !*realTime {
		t.Skip("-real-time is not set; ./test --full sets it")
	}
	t.Parallel()
	f := newFleet(t, 1, 2)
	f.start()
	f.start()
	if took := f.strike("kill"); took > 90*time.Second {
		t.Errorf("a takeover took %s", took)
	}
}

// fleet is a tenant and the replicas that work on it.
type fleet struct {
	*testing.T
	lab      *entralab.Lab
	job      replicaJob
	apps     []entralab.App
	db       *sql.DB
	replicas []*replica
	count    int
	struck   int
}

// replica is one process and its line to the database.
type replica struct {
	name  string
	cmd   *exec.Cmd
	errs  bytes.Buffer
	proxy *proxy
	dead  bool
}

func newFleet(t *testing.T, speed float64, apps int) *fleet {
	t.Helper()
	address := pgtest.New(t)
	lab, err := entralab.Start(t.Context(), entralab.Config{Profile: entralab.ProfileRude, RandomSeed: 7})
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{T: t, lab: lab}
	t.Cleanup(func() { lab.Close() })
	dir := t.TempDir()
	op := lab.Operator()
	f.job = replicaJob{
		Store: address, KeyFile: filepath.Join(dir, "store.key"), Holder: "parent", Authority: lab.AuthorityURL(), Graph: lab.GraphURL(), CA: filepath.Join(dir, "ca.pem"),
		TenantID: lab.TenantID(), OperatorID: op.ClientID, OperatorKey: op.Secrets[0].Value.Reveal(), Key: secret.NewKey().Bytes(),
	}
	if err := os.WriteFile(f.job.CA, lab.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range apps {
		app, err := lab.AddApp(entralab.AppSpec{DisplayName: fmt.Sprint("app ", i), At: lab.Now().Add(-60 * 24 * time.Hour), Secrets: []entralab.SecretSpec{
			{DisplayName: "prod", End: lab.Now().Add(20 * 24 * time.Hour)}, {DisplayName: "somebody else's", End: lab.Now().Add(300 * 24 * time.Hour)},
		}})
		if err != nil {
			t.Fatal(err)
		}
		env := filepath.Join(dir, fmt.Sprint(i, ".json"))
		text, err := json.Marshal(map[string]string{"CLIENT_SECRET": app.Secrets[0].Value.Reveal()})
		if err := errors.Join(err, os.WriteFile(env, text, 0o600)); err != nil {
			t.Fatal(err)
		}
		f.apps = append(f.apps, app)
		f.job.Apps = append(f.job.Apps, replicaApp{app.ClientID, env})
	}
	if f.db, err = sql.Open("pgx", address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.db.Close() })
	f.runClock(speed)
	f.begin()
	return f
}

// runClock lets the lab's time run as fast as the replicas'.
func (f *fleet) runClock(speed float64) {
	f.lab.Freeze(true)
	f.job.Time = fastTime{Zero: time.Now().Round(0), Start: f.lab.Now(), Speed: speed}
	ctx, cancel := context.WithCancel(f.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				f.lab.Advance(max(0, f.job.Time.now().Sub(f.lab.Now())))
			}
		}
	})
	f.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// begin begins the rotations; an emergency has no overlap to wait for.
func (f *fleet) begin() {
	f.Helper()
	journal, err := f.job.open(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	defer journal.Close()
	engines, err := f.job.engines(journal)
	if err != nil {
		f.Fatal(err)
	}
	for _, app := range f.apps {
		for tries := 0; ; tries++ {
			_, err := engines[app.ClientID].Start(f.Context(), rotate.Options{Emergency: true}, "")
			if err == nil {
				break
			}
			if tries == 30 {
				f.Fatal(err)
			}
		}
	}
}

// start starts a replica.
func (f *fleet) start() {
	f.Helper()
	f.count++
	r := &replica{name: fmt.Sprint("replica-", f.count), proxy: newProxy(f.T)}
	job := f.job
	job.Holder = r.name
	name, _, _ := strings.Cut(strings.TrimPrefix(job.Store, "postgres:///"), "?")
	job.Store = fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", r.proxy.listener.Addr(), name)
	text, err := json.Marshal(job)
	if err != nil {
		f.Fatal(err)
	}
	r.cmd = exec.Command(os.Args[0], "-test.run=^$")
	r.cmd.Env = append(os.Environ(), replicaVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
	r.cmd.Stderr = &r.errs
	if err := r.cmd.Start(); err != nil {
		f.Fatal(err)
	}
	f.replicas = append(f.replicas, r)
	f.Cleanup(func() {
		if r.cmd.ProcessState == nil {
			r.cmd.Process.Kill()
			r.cmd.Wait()
		}
	})
}

// held returns the rotations that a replica holds, and until when.
func (f *fleet) held(by string) map[string]int64 {
	f.Helper()
	rows, err := f.db.QueryContext(f.Context(), "SELECT id, held_until FROM rotation WHERE holder = $1 AND ended = 0", by)
	if err != nil {
		f.Fatal(err)
	}
	defer rows.Close()
	held := map[string]int64{}
	for rows.Next() {
		var id string
		var until int64
		if err := rows.Scan(&id, &until); err != nil {
			f.Fatal(err)
		}
		held[id] = until
	}
	if err := rows.Err(); err != nil {
		f.Fatal(err)
	}
	return held
}

func (f *fleet) open() (n int) {
	f.Helper()
	if err := f.db.QueryRowContext(f.Context(), "SELECT count(*) FROM rotation WHERE ended = 0").Scan(&n); err != nil {
		f.Fatal(err)
	}
	return n
}

// until looks at the database again and again.
func (f *fleet) until(what string, limit time.Duration, is func() bool) {
	f.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !is(); <-tick.C {
		if time.Now().After(end) {
			for _, r := range f.replicas {
				f.Logf("%s: %s", r.name, r.errs.String())
			}
			f.Fatalf("it never happened that %s", what)
		}
	}
}

// strike hits the first replica that is seen at work, waits until others have
// taken over all it held, and lets it on. It returns how long that took, by
// the clock of the fleet.
func (f *fleet) strike(how string) time.Duration {
	f.Helper()
	var victim *replica
	f.until("a replica is at work", time.Minute, func() bool {
		for i := range f.replicas { // not the same one twice
			r := f.replicas[(i+f.struck)%len(f.replicas)]
			if !r.dead && len(f.held(r.name)) > 0 {
				victim = r
				return true
			}
		}
		return f.open() == 0
	})
	if victim == nil {
		f.Fatal("all was done before a strike")
	}
	f.struck++
	switch how {
	case "kill":
		victim.dead = true
		if err := victim.cmd.Process.Kill(); err != nil {
			f.Fatal(err)
		}
		victim.cmd.Wait()
	case "stop":
		f.signal(victim, syscall.SIGSTOP)
	case "partition":
		victim.proxy.cut(true)
	}
	struck := f.now()
	lost := f.held(victim.name)
	var early []string
	f.until("others take over", time.Duration(float64(5*time.Minute)/f.job.Time.Speed)+20*time.Second, func() bool {
		still := f.held(victim.name)
		for id, until := range lost {
			if now, held := still[id]; held {
				lost[id] = max(until, now) // a write that was under way
			} else if free := until + rotate.Grace.Milliseconds(); f.now().UnixMilli() < free && f.open() > 0 && f.ended(id) == 0 && f.holder(id) != "" {
				early = append(early, fmt.Sprintf("%s %dms early", id, free-f.now().UnixMilli()))
			} else {
				delete(lost, id)
			}
		}
		return len(lost) == 0 || len(early) > 0
	})
	took := f.now().Sub(struck)
	if len(early) > 0 {
		f.Errorf("taken over too early: %v", early)
	}
	f.Logf("%s: taken over after %s", how, took.Round(time.Second))
	switch how {
	case "kill":
		f.start()
	case "stop":
		f.signal(victim, syscall.SIGCONT)
	case "partition":
		victim.proxy.cut(false)
	}
	return took
}

func (f *fleet) now() time.Time { return f.job.Time.now() }

func (f *fleet) signal(r *replica, s syscall.Signal) {
	f.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		f.Fatal(err)
	}
}

func (f *fleet) ended(id string) (n int) {
	f.Helper()
	if err := f.db.QueryRowContext(f.Context(), "SELECT ended FROM rotation WHERE id = $1", id).Scan(&n); err != nil {
		f.Fatal(err)
	}
	return n
}

func (f *fleet) holder(id string) (holder string) {
	f.Helper()
	if err := f.db.QueryRowContext(f.Context(), "SELECT holder FROM rotation WHERE id = $1", id).Scan(&holder); err != nil {
		f.Fatal(err)
	}
	return holder
}

// wait waits until all is done.
func (f *fleet) wait() {
	f.Helper()
	for _, r := range f.replicas {
		if r.dead {
			continue
		}
		if err := r.cmd.Wait(); err != nil {
			f.Errorf("%s: %v: %s", r.name, err, r.errs.String())
		}
	}
}

// judge reads what happened off the lab's history.
func (f *fleet) judge() {
	f.Helper()
	journal, err := f.job.open(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	defer journal.Close()
	all, err := journal.History(f.Context(), "")
	if err != nil || len(all) != len(f.apps) {
		f.Fatalf("%d rotations, %v", len(all), err)
	}
	if _, err := journal.VerifyAudit(f.Context()); err != nil {
		f.Error(err)
	}
	attempts := map[string]int{}
	for _, r := range all {
		attempts[r.Plan.ClientID] = r.Attempt.Number
		if r.State != rotate.Done {
			f.Errorf("%s is %s at %s: %s", r.ID, r.State, r.Step, r.Trouble)
		}
	}
	history := f.lab.History(0)
	for i, app := range f.apps {
		live, minted, most := map[string]bool{}, 0, 0
		for _, e := range history {
			if e.Write == nil || e.ObjectID != app.ObjectID || e.Surface != "graph" {
				continue
			}
			switch e.Write.Kind {
			case "mint":
				minted++
				live[e.Write.KeyID] = true
			case "remove":
				if !live[e.Write.KeyID] && e.Write.KeyID != app.Secrets[0].KeyID {
					f.Errorf("secret %s was removed, which is nobody's business", e.Write.KeyID)
				}
				delete(live, e.Write.KeyID)
			}
			most = max(most, len(live))
		}
		// An attempt whose answer was lost is followed by another one; no
		// attempt makes two.
		if minted > attempts[app.ClientID] || most > 1 || len(live) != 1 {
			f.Errorf("app %d: %d secrets were added in %d attempts, %d at once, %d are left", i, minted, attempts[app.ClientID], most, len(live))
		}
		text, err := os.ReadFile(f.job.Apps[i].File)
		if err != nil || strings.Contains(string(text), app.Secrets[0].Value.Reveal()) {
			f.Errorf("app %d: the file holds the old value (%v)", i, err)
		}
	}
}

// proxy is a line to the database that can be cut: what is sent is lost, and
// nobody is told.
type proxy struct {
	listener net.Listener
	mu       sync.Mutex
	isCut    bool
	conns    []net.Conn
	wg       sync.WaitGroup
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l}
	p.wg.Go(p.serve)
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) cut(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut = on
}

func (p *proxy) cutNow() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isCut
}

func (p *proxy) serve() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("unix", pgtest.Socket())
		if err != nil {
			in.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		p.mu.Unlock()
		p.wg.Go(func() { p.carry(in, out) })
		p.wg.Go(func() { p.carry(out, in) })
	}
}

// carry copies until an end closes. What came while the line was cut is lost,
// and the connection is good for nothing afterwards.
func (p *proxy) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	lost := false
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if lost = lost || p.cutNow(); !lost && n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
