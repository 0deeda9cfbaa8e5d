package rotate_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/rotate"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
)

var manyRotations = flag.Int("rotations", 20, "how many rotations TestConsumersNeverFail runs")

// perLab is how many rotations one app goes through. A new lab after that
// keeps its history whole, and draws other faults.
const perLab = 10

// TestConsumersNeverFail rotates an app again and again while programs of every
// habit sign in, in a tenant that is rude. No sign-in may be refused: the lab's
// history says so, not the programs.
func TestConsumersNeverFail(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	rotations, signIns, busy := 0, 0, 0
	t.Run("labs", func(t *testing.T) {
		for seed := 0; seed*perLab < *manyRotations; seed++ {
			t.Run(fmt.Sprint(seed+1), func(t *testing.T) {
				inBubble(t, entralab.Config{Profile: entralab.ProfileRude, RandomSeed: uint64(seed + 1)}, func(r *rig) {
					r.binding.Overlap = day
					c := consumersOf(r)
					stop := c.start()
					for range min(perLab, *manyRotations-seed*perLab) {
						if rot := r.drive(r.start(rotate.Options{}).ID); rot.State != rotate.Done {
							r.Error(told(rot))
							break
						}
					}
					stop()
					s, b := c.judge()
					mu.Lock()
					defer mu.Unlock()
					rotations, signIns, busy = rotations+r.lastGeneration(), signIns+s, busy+b
				})
			})
		}
	})
	t.Logf("%d rotations, %d sign-ins of consumers, none refused; %d more met a busy service and were tried again", rotations, signIns, busy)
	if rotations < *manyRotations || signIns < 100*rotations { // or the programs stood still
		t.Errorf("%d rotations and %d sign-ins prove nothing", rotations, signIns)
	}
}

// consumers are the programs that sign in as the app. They name the tenant in
// capitals, so that the history tells them from credsmith's own probes.
type consumers struct {
	*rig
	tenant  string
	changed chan struct{}    // the file of the first box
	restart [2]chan struct{} // of the programs of the first two boxes
}

func consumersOf(r *rig) *consumers {
	c := &consumers{rig: r, tenant: strings.ToUpper(r.lab.TenantID()), changed: make(chan struct{}, 1)}
	r.boxes = append(r.boxes, newBox("4", r.old.Value.Reveal()))
	// Nobody can reload the consumers of the last two.
	r.binding.Sinks = []sink.Sink{nil, nil, r.boxes[2], r.boxes[3]}
	for i := range c.restart {
		c.restart[i] = make(chan struct{}, 1)
		r.binding.Sinks[i] = attended{fleet{r.boxes[i]}, c.restart[i], c.changed}
	}
	return c
}

// attended is a box whose consumers are told of a reload, and of a write.
type attended struct {
	fleet
	restart, changed chan struct{}
}

func (k attended) Write(ctx context.Context, d sink.Delivery) (string, error) {
	defer tell(k.changed)
	return k.fleet.Write(ctx, d)
}

func (k attended) Reload(ctx context.Context, rotation string) error {
	defer tell(k.restart)
	return k.fleet.Reload(ctx, rotation)
}

func tell(who chan struct{}) {
	select {
	case who <- struct{}{}:
	default:
	}
}

// start lets the programs run. What it returns stops them and waits.
func (c *consumers) start() (stop func()) {
	ctx, cancel := context.WithCancel(c.Context())
	var running sync.WaitGroup
	for _, program := range []func(context.Context){
		func(ctx context.Context) { c.watch(ctx, c.boxes[0], time.Hour, c.changed) },
		func(ctx context.Context) { c.watch(ctx, c.boxes[1], 5*time.Minute, nil) },
		func(ctx context.Context) { c.cached(ctx, c.boxes[0], 28*time.Hour, 0, c.restart[0]) }, // a token that lives long
		func(ctx context.Context) { c.cached(ctx, c.boxes[1], time.Hour, 0, c.restart[1]) },
		func(ctx context.Context) { c.cached(ctx, c.boxes[2], 2*time.Hour, 40*time.Hour, nil) },
		func(ctx context.Context) { c.cached(ctx, c.boxes[3], 28*time.Hour, 50*time.Hour, nil) },
		func(ctx context.Context) { c.hourly(ctx, c.boxes[3]) },
	} {
		running.Go(func() { program(ctx) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// watch looks at its place now and then, or when it has changed; it signs in at
// once with a new value, and anew when its token has expired.
func (c *consumers) watch(ctx context.Context, b *box, look time.Duration, changed <-chan struct{}) {
	last, until := "", time.Time{}
	for ctx.Err() == nil {
		if v := b.get(); v != last || time.Now().After(until) {
			last, until = v, time.Now().Add(2*time.Hour)
			c.signIn(ctx, v)
		}
		c.sleep(ctx, look, changed)
	}
}

// cached reads its place when it starts, and signs in with that value whenever
// its token has expired. It starts anew at a reload, and after its own time.
func (c *consumers) cached(ctx context.Context, b *box, life, deploy time.Duration, restart <-chan struct{}) {
	for ctx.Err() == nil {
		value, started := b.get(), time.Now()
		for again := true; again && (deploy == 0 || time.Since(started) < deploy); {
			c.signIn(ctx, value)
			again = c.sleep(ctx, life, restart)
		}
	}
}

// hourly is a job of cron: it reads, signs in, and ends.
func (c *consumers) hourly(ctx context.Context, b *box) {
	for c.sleep(ctx, time.Hour, nil) {
		c.signIn(ctx, b.get())
	}
}

// sleep reports whether the time went by, and nothing came sooner.
func (c *consumers) sleep(ctx context.Context, d time.Duration, sooner <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-sooner:
	case <-ctx.Done():
	}
	return false
}

// signIn asks for a token, and again where the service is busy, as the
// libraries do. What is refused is in the history.
func (c *consumers) signIn(ctx context.Context, value string) {
	for try := range 8 {
		answer, err := c.config.Tokens.Token(ctx, entra.TokenRequest{
			TenantID: c.tenant, ClientID: c.app.ClientID, Value: secret.New(value), Scope: "https://graph.microsoft.com/.default",
		})
		if ctx.Err() != nil || err == nil && (answer.Token != nil || answer.Failure != nil) {
			return
		}
		c.sleep(ctx, time.Second<<try, nil)
	}
	c.Error("a consumer met a busy service eight times in a row")
}

// judge reads the history: how many sign-ins of consumers there were, and how
// many requests the service was too busy for.
func (c *consumers) judge() (signIns, busy int) {
	c.Helper()
	history := c.lab.History(0)
	if len(history) == 0 || history[0].Seq != 1 {
		c.Error("the history is not whole")
	}
	for _, e := range history {
		if e.Surface != "token" || !strings.Contains(e.Path, c.tenant) {
			continue
		}
		switch {
		case e.Outcome == "accepted":
			signIns++
		case e.Outcome == "refused":
			c.Errorf("at %s a consumer was refused with AADSTS%d (secret %q)", e.At.Format(time.RFC3339), e.Code, e.KeyID)
		default:
			busy++
		}
	}
	return signIns, busy
}

// lastGeneration counts the rotations that were begun.
func (r *rig) lastGeneration() int {
	r.Helper()
	n, err := r.store.Generation(context.WithoutCancel(r.Context()), r.binding.TenantID, r.binding.ClientID)
	if err != nil && !errors.Is(err, context.Canceled) {
		r.Fatal(err)
	}
	return int(n)
}
