package rotate_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/graph"
	"github.com/credsmith/credsmith/internal/operator"
	"github.com/credsmith/credsmith/internal/rotate"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/store"
	"github.com/credsmith/credsmith/internal/token"
	"github.com/credsmith/credsmith/internal/wire"
)

const day = 24 * time.Hour

// box is a place in memory, with every ability.
type box struct {
	name string
	can  sink.Abilities

	mu         sync.Mutex
	value      string
	exists     bool
	version    int
	generation int64
	managed    string
	// trouble is asked before each request, and may refuse it.
	trouble func(op string) error
	seen    []string // every value it ever held
	reloads map[string]bool
}

func newBox(name, value string) *box {
	return &box{name: name, can: sink.Abilities{ReadBack: true, Compare: true, Labels: true}, value: value, exists: value != "", seen: []string{value}, reloads: map[string]bool{}}
}

func (b *box) Ref() string               { return "box:" + b.name }
func (b *box) Abilities() sink.Abilities { return b.can }

func (b *box) begin(op string) error {
	if b.trouble != nil {
		return b.trouble(op)
	}
	return nil
}

func (b *box) Check(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.begin("check")
}

func (b *box) Read(context.Context) (sink.Held, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.begin("read"); err != nil {
		return sink.Held{}, err
	}
	h := sink.Held{Exists: b.exists, Version: fmt.Sprint(b.version), Generation: b.generation, ManagedBy: b.managed}
	if b.can.ReadBack {
		h.Value = secret.New(b.value)
	}
	return h, nil
}

func (b *box) Write(_ context.Context, d sink.Delivery) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.begin("write"); err != nil {
		return "", err
	}
	if b.can.Compare && d.Version != fmt.Sprint(b.version) {
		return "", &sink.Error{Op: "write " + b.name, Kind: sink.Changed, Err: fmt.Errorf("version %d, not %s", b.version, d.Version)}
	}
	b.value, b.exists, b.generation = d.Value.Reveal(), true, d.Generation
	b.version++
	b.seen = append(b.seen, b.value)
	return fmt.Sprint(b.version), nil
}

func (b *box) set(value string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.value, b.exists = value, true
	b.version++
}

func (b *box) get() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.value
}

// fleet is a box with consumers that reload.
type fleet struct{ *box }

func (f fleet) Reload(_ context.Context, rotation string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.begin("reload"); err != nil {
		return err
	}
	f.reloads[rotation] = true
	return nil
}

func (f fleet) Reloaded(_ context.Context, rotation string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reloads[rotation], f.begin("reloaded")
}

// rig is a tenant with one app, its sinks, and a journal.
type rig struct {
	*testing.T
	lab     *entralab.Lab
	app     entralab.App
	old     entralab.Secret
	store   *store.Store
	file    string
	boxes   []*box
	binding rotate.Binding
	config  rotate.Config
}

// inBubble runs a test in virtual time on a rig.
func inBubble(t *testing.T, cfg entralab.Config, test func(*rig)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, cfg)
		defer r.close()
		test(r)
	})
}

func newRig(t *testing.T, cfg entralab.Config) *rig {
	t.Helper()
	cfg.InProcess = true
	lab, err := entralab.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, lab: lab, file: filepath.Join(t.TempDir(), "credsmith.db")}
	r.app, err = lab.AddApp(entralab.AppSpec{DisplayName: "billing", At: lab.Now().Add(-60 * day), Secrets: []entralab.SecretSpec{
		{DisplayName: "prod", End: lab.Now().Add(20 * day)}, {DisplayName: "somebody else's", End: lab.Now().Add(300 * day)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.old = r.app.Secrets[0]
	for i := range 3 {
		r.boxes = append(r.boxes, newBox(fmt.Sprint(i+1), r.old.Value.Reveal()))
	}
	r.binding = rotate.Binding{
		Name: "billing", TenantID: lab.TenantID(), ClientID: r.app.ClientID,
		Lifetime: 90 * day, Overlap: 7 * day, Retire: rotate.OnEvidence,
		Prove: rotate.Proving{Scope: "https://graph.microsoft.com/.default", Times: 8, Over: time.Minute},
	}
	for _, b := range r.boxes {
		r.binding.Sinks = append(r.binding.Sinks, fleet{b})
	}
	r.open()
	transport := lab.Transport()
	client := wire.Wrap(transport)
	op := lab.Operator()
	identity, err := operator.Place{TenantID: op.TenantID, Authority: lab.AuthorityURL(), Graph: lab.GraphURL(), HTTP: client}.Secret(op.ClientID, secret.New(op.Secrets[0].Value.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	r.config = rotate.Config{
		Directory: graph.New(lab.GraphURL(), identity.TenantID, identity.Credential, client),
		Tokens:    token.New(lab.AuthorityURL(), client),
		Key:       secret.NewKey(), Actor: "test",
	}
	return r
}

// open opens the journal, as a process that starts.
func (r *rig) open() {
	r.Helper()
	var err error
	if r.store, err = store.Open(r.Context(), "sqlite:"+r.file, store.Options{Holder: fmt.Sprint("process-", time.Now().UnixNano()), Now: time.Now}); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) close() {
	if err := r.store.Close(); err != nil {
		r.Error(err)
	}
	if err := r.lab.Close(); err != nil {
		r.Error(err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func (r *rig) engine() *rotate.Engine {
	c := r.config
	c.Binding, c.Journal = r.binding, r.store
	return rotate.New(c)
}

// start begins a rotation, with as many tries as a person would take.
func (r *rig) start(o rotate.Options) *rotate.Rotation {
	r.Helper()
	for range 20 {
		rot, err := r.engine().Start(r.Context(), o, "")
		if err == nil {
			return rot
		}
		r.Log("start:", err)
		time.Sleep(10 * time.Second)
	}
	r.Fatal("it does not start")
	return nil
}

// drive takes a rotation to where it needs somebody, in at most 100 days.
func (r *rig) drive(id string) *rotate.Rotation {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 100*day)
	defer cancel()
	rot, err := r.engine().Drive(ctx, id, 50*day, func(*rotate.Rotation) {})
	if err != nil {
		r.Fatalf("drive: %v (%+v)", err, rot)
	}
	return rot
}

// has asks the directory itself, with patience for its faults.
func (r *rig) has(keyID string) bool {
	r.Helper()
	for range 50 {
		s, err := r.config.Directory.Snapshot(r.Context(), r.app.ClientID)
		if err != nil {
			time.Sleep(10 * time.Second)
			continue
		}
		if s.App == nil {
			return false
		}
		_, there := s.App.ByKeyID(keyID)
		return there
	}
	r.Fatal("the directory does not answer")
	return false
}

// ours counts the app's secrets that a rotation has made.
func (r *rig) ours() int {
	r.Helper()
	for range 50 {
		s, err := r.config.Directory.Snapshot(r.Context(), r.app.ClientID)
		if err != nil {
			time.Sleep(10 * time.Second)
			continue
		}
		n := 0
		for _, c := range s.App.Credentials {
			if strings.HasPrefix(c.DisplayName, "credsmith ") {
				n++
			}
		}
		return n
	}
	r.Fatal("the directory does not answer")
	return 0
}

// told is a rotation in a line, for failures.
func told(r *rotate.Rotation) string {
	return fmt.Sprintf("%s at %s: %s (next: %s; attempt %d, removed %v, strays %v, overlap %+v)", r.State, r.Step, r.Trouble, r.Next, r.Attempt.Number, r.Removed, r.Strays, r.Overlap)
}
