package rotate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/credsmith/credsmith/internal/graph"
	"github.com/credsmith/credsmith/internal/operator"
	"github.com/credsmith/credsmith/internal/pgtest"
	"github.com/credsmith/credsmith/internal/rotate"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/store"
	"github.com/credsmith/credsmith/internal/token"
	"github.com/credsmith/credsmith/internal/wire"
)

// The tests that kill start this test binary again: it is then one process of
// credsmith, which lives until it is done or dies where it was told to.

const childVariable = "CREDSMITH_KILL_CHILD"

// childJob is what such a process is to do. Everything is of a lab.
type childJob struct {
	Store, Holder           string
	KeyFile                 string
	Now                     time.Time
	Authority, Graph        string
	Control                 string // the lab's
	World                   string // of the parent: sinks, and calls that end in death
	CA                      string
	TenantID, ClientID      string
	OperatorID, OperatorKey string
	Key                     []byte // of fingerprints
	Point                   rotate.Point
	Rollback                bool // once the new value is proven
	Resume                  bool // as a person does
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		if err := runChild(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if err := pgtest.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// child is the process.
type child struct {
	childJob
	now  time.Time
	http *http.Client
	bare *http.Client
}

func runChild(text string) error {
	c := &child{}
	if err := json.Unmarshal([]byte(text), &c.childJob); err != nil {
		return err
	}
	c.now = c.Now
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	client, err := wire.NewClient(c.CA)
	if err != nil {
		return err
	}
	c.bare = http.DefaultClient
	c.http = wire.Wrap(deadly{c, client.Transport})
	engine, journal, err := c.engine(ctx)
	if err != nil {
		return err
	}
	defer journal.Close()
	r, err := c.work(ctx, engine, journal)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func (c *child) engine(ctx context.Context) (*rotate.Engine, *store.Store, error) {
	journal, err := store.Open(ctx, c.Store, store.Options{Holder: c.Holder, KeyFile: c.KeyFile, Now: func() time.Time { return c.now }})
	if err != nil {
		return nil, nil, err
	}
	key, _ := secret.KeyFrom(c.Key)
	var sinks []sink.Sink
	for i := range 3 {
		sinks = append(sinks, remoteSink{c, i + 1})
	}
	return rotate.New(rotate.Config{
		Binding: rotate.Binding{
			Name: "billing", TenantID: c.TenantID, ClientID: c.ClientID, Lifetime: 90 * day, Overlap: 2 * time.Hour, Retire: rotate.OnEvidence,
			Prove: rotate.Proving{Scope: "https://graph.microsoft.com/.default", Times: 8, Over: time.Minute}, Sinks: sinks,
		},
		Directory: graph.New(c.Graph, c.TenantID, &operatorTokens{child: c}, c.http),
		Tokens:    token.New(c.Authority, c.http),
		Journal:   journal, Key: key, Actor: "child", Now: func() time.Time { return c.now },
		At: func(p rotate.Point) {
			if p == c.Point {
				kill(os.Getpid())
			}
		},
	}), journal, nil
}

// operatorTokens signs in again by the lab's clock, which runs ahead of the one
// that azidentity reads.
type operatorTokens struct {
	child *child
	since time.Time
	azcore.TokenCredential
}

func (o *operatorTokens) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if c := o.child; c.now.Sub(o.since) > 50*time.Minute {
		identity, err := operator.Place{TenantID: c.TenantID, Authority: c.Authority, Graph: c.Graph, HTTP: c.http}.Secret(c.OperatorID, secret.New(c.OperatorKey))
		if err != nil {
			return azcore.AccessToken{}, err
		}
		o.since, o.TokenCredential = c.now, identity.Credential
	}
	return o.TokenCredential.GetToken(ctx, options)
}

// work goes on with the rotation that there is, or begins one.
func (c *child) work(ctx context.Context, e *rotate.Engine, journal *store.Store) (*rotate.Rotation, error) {
	all, err := journal.History(ctx, "billing")
	if err != nil {
		return nil, err
	}
	var id string
	if len(all) > 0 {
		id = all[0].ID
	}
	for tries := 0; id == ""; tries++ {
		r, err := e.Start(ctx, rotate.Options{}, "")
		if err == nil {
			id = r.ID
			break
		}
		if tries > 50 {
			return nil, err
		}
		if err := c.sleep(ctx, 10*time.Second); err != nil {
			return nil, err
		}
	}
	if c.Resume {
		if _, err := e.Resume(ctx, id); err != nil {
			return nil, err
		}
	}
	turned := false
	var last *rotate.Rotation
	for steps := 0; steps < 3000; steps++ {
		r, err := e.Advance(ctx, id)
		if errors.Is(err, rotate.ErrHeld) {
			if err := c.sleep(ctx, 5*time.Second); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		last = r
		if c.Rollback && r.Step == rotate.Reload && !turned {
			turned = true
			if r, err = e.Rollback(ctx, id, "the test says so"); err != nil {
				return nil, err
			}
		}
		if r.State.Ended() || r.State == rotate.NeedsPerson {
			return r, nil
		}
		if err := c.sleep(ctx, r.Wake.Sub(c.now)); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the rotation does not end: %s, at %s", told(last), c.now)
}

// sleep moves time on, the lab's and ours.
func (c *child) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	d = d.Truncate(time.Millisecond) + time.Millisecond // the lab tells its clock in coarser units
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Control+"/control/clock", strings.NewReader(fmt.Sprintf(`{"advance":%q}`, d)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.bare.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct{ Now time.Time }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Now.IsZero() {
		return fmt.Errorf("the lab's clock: HTTP %d: %w", resp.StatusCode, err)
	}
	c.now = answer.Now
	return nil
}

// deadly sends the request at which this process is to die to the parent,
// which plays the other side, and kills it.
type deadly struct {
	c    *child
	next http.RoundTripper
}

func (d deadly) RoundTrip(req *http.Request) (*http.Response, error) {
	call := rotate.CallOf(req.Context())
	how, armed := strings.CutPrefix(string(d.c.Point), call+"/")
	if call == "" || !armed || how != "r" && how != "a" || !d.c.means(call, req) {
		return d.next.RoundTrip(req)
	}
	body := []byte{}
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	out, err := http.NewRequestWithContext(req.Context(), req.Method, d.c.World+"/last-request", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Header = req.Header.Clone()
	out.Header.Set("X-Target", req.URL.String())
	out.Header.Set("X-Applied", how)
	out.Header.Set("X-Pid", fmt.Sprint(os.Getpid()))
	return d.c.bare.Do(out)
}

// means tells the request that a call is about from those that go before it,
// such as the operator's own sign-in.
func (c *child) means(call string, req *http.Request) bool {
	switch call {
	case "mint":
		return strings.HasSuffix(req.URL.Path, "/addPassword")
	case "retire":
		return strings.HasSuffix(req.URL.Path, "/removePassword")
	case "accept", "prove":
		return strings.HasPrefix(req.URL.String(), c.Authority)
	case "check", "adopt", "recheck", "gone":
		return strings.HasPrefix(req.URL.String(), c.Graph)
	}
	return true // a sink's
}

// remoteSink is a place that the parent keeps.
type remoteSink struct {
	c *child
	n int
}

func (s remoteSink) Ref() string { return fmt.Sprintf("world:%d", s.n) }
func (s remoteSink) Abilities() sink.Abilities {
	return sink.Abilities{ReadBack: true, Compare: true, Labels: true}
}
func (s remoteSink) Check(context.Context) error { return nil }

// place is what the parent keeps of a sink.
type place struct {
	Value      string
	Version    int
	Generation int64
	Reloaded   []string
}

func (s remoteSink) ask(ctx context.Context, method, what string, query url.Values, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("%s/%s/%d?%s", s.c.World, what, s.n, query.Encode()), nil)
	if err != nil {
		return err
	}
	resp, err := s.c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusConflict {
		return &sink.Error{Op: "write", Kind: sink.Changed, Err: errors.New("it has changed")}
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

func (s remoteSink) Read(ctx context.Context) (sink.Held, error) {
	var p place
	err := s.ask(ctx, http.MethodGet, "place", nil, &p)
	return sink.Held{Exists: true, Value: secret.New(p.Value), Version: fmt.Sprint(p.Version), Generation: p.Generation}, err
}

func (s remoteSink) Write(ctx context.Context, d sink.Delivery) (string, error) {
	var p place
	err := s.ask(ctx, http.MethodPut, "place", url.Values{"value": {d.Value.Reveal()}, "version": {d.Version}, "generation": {fmt.Sprint(d.Generation)}}, &p)
	return fmt.Sprint(p.Version), err
}

func (s remoteSink) Reload(ctx context.Context, rotation string) error {
	return s.ask(ctx, http.MethodPost, "reload", url.Values{"rotation": {rotation}}, &place{})
}

func (s remoteSink) Reloaded(ctx context.Context, rotation string) (bool, error) {
	var p place
	err := s.ask(ctx, http.MethodGet, "place", nil, &p)
	return strings.Contains(strings.Join(p.Reloaded, " "), rotation), err
}
