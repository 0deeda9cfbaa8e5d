package entralab

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Store keeps a lab's records between runs, see [Config.Store]. The lab calls
// it from one goroutine at a time.
type Store interface {
	// Load returns the records of a kind, in any order.
	Load(ctx context.Context, kind string) iter.Seq2[Record, error]
	// Save makes all changes or none. When it returns, they must survive the
	// end of the process.
	Save(ctx context.Context, changes []Record) error
}

// Record is one object of a lab. The data hold private keys, hashes and the
// values of the two seeded apps: a store keeps them where nobody else reads.
type Record struct {
	Kind, ID string // together they name the record
	Data     []byte // nil deletes the record, or all of its kind when ID is empty
}

// The kinds of records.
const (
	kindLab       = "lab"       // one: clock, delay, order of tenants
	kindKeys      = "keys"      // one: CA and signing key, values of the seeded apps
	kindTenant    = "tenant"    // by id
	kindApp       = "app"       // by object id
	kindPrincipal = "principal" // by object id
	kindAudits    = "audits"    // pieces of a tenant's log, by tenant and first ordinal
	kindVault     = "vault"     // by name, values included
	kindHistory   = "history"   // pieces of the history, by first sequence number
)

// storable is an object of the model that is one record. Whoever changes one
// calls touch in the same write section.
type storable interface{ stored() Record }

// touch notes what a write changes. Call with l.mu held for writing.
func (l *Lab) touch(changed ...storable) {
	if l.saver == nil {
		return
	}
	for _, s := range changed {
		l.changed[s] = true
	}
}

// errStopped is what a lab without a working store answers.
var errStopped = errors.New("the lab stopped: it cannot keep what is written")

// save keeps what was touched. It ends every write section, before the answer
// goes out, so that a write that was acknowledged is kept. When it fails the
// lab stops: what memory holds and the store does not must not be seen. Call
// with l.mu held for writing.
func (l *Lab) save() error {
	if l.saver == nil || len(l.changed) == 0 {
		return nil
	}
	changes := make([]Record, 0, len(l.changed)+len(l.tenants))
	if l.cleared {
		for _, kind := range []string{kindTenant, kindApp, kindPrincipal, kindAudits, kindVault} {
			changes = append(changes, Record{Kind: kind})
		}
		l.cleared = false
	}
	for s := range l.changed {
		changes = append(changes, s.stored())
	}
	clear(l.changed)
	for _, t := range l.tenants {
		changes = append(changes, t.newAudits()...)
	}
	return l.saver.save(changes)
}

// changeSettings is a write section of the Go API that cannot report an error;
// [Lab.Wait] does.
func (l *Lab) changeSettings(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	l.touch(l)
	_ = l.save() // reported by Wait
}

// saver hands changes to the store, and the history in order.
type saver struct {
	store   Store
	history *history
	faults  *faults
	quit    chan struct{}
	failed  chan struct{} // closed after err is set
	err     error

	mu     sync.Mutex // held while saving; taken after the lab's lock, never before
	pieces []piece    // of the history, oldest first

	notedMu           sync.Mutex // innermost
	noted             []Record   // see note
	notes, notesSaved int        // ever
}

// piece is a run of events in one record.
type piece struct{ first, last int }

// historyDelay is how long an event may wait for others before they are saved
// together: to commit for each token would be most of the work of granting it.
const historyDelay = 50 * time.Millisecond

func newSaver(store Store, h *history) *saver {
	h.grown = make(chan struct{}, 1)
	return &saver{store: store, history: h, quit: make(chan struct{}), failed: make(chan struct{})}
}

// save writes changes, and the events that wait.
func (s *saver) save(changes []Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped() {
		return errStopped
	}
	noted, notes := s.takeNoted()
	changes = append(changes, noted...)
	changes = append(changes, s.faults.take()...)
	events := s.history.take()
	if len(events) > 0 {
		p := piece{events[0].Seq, events[len(events)-1].Seq}
		s.pieces = append(s.pieces, p)
		changes = append(changes, Record{kindHistory, strconv.Itoa(p.first), storeEvents(events)})
		for s.pieces[0].last <= p.last-historySize {
			changes = append(changes, Record{Kind: kindHistory, ID: strconv.Itoa(s.pieces[0].first)})
			s.pieces = s.pieces[1:]
		}
	}
	if len(changes) == 0 {
		return nil
	}
	// A client that goes away must not undo half of the lab's bookkeeping.
	if err := s.store.Save(context.Background(), changes); err != nil {
		s.err = fmt.Errorf("entralab: %w: %w", errStopped, err)
		close(s.failed)
		return s.err
	}
	s.notedMu.Lock()
	s.notesSaved = notes
	s.notedMu.Unlock()
	return nil
}

// run saves events that no write took along.
func (s *saver) run() {
	for {
		select {
		case <-s.quit:
			_ = s.save(nil) // Close reports it
			return
		case <-s.history.grown:
		}
		timer := time.NewTimer(historyDelay)
		select {
		case <-s.quit:
		case <-timer.C:
		}
		timer.Stop()
		_ = s.save(nil) // a failure stops the lab
	}
}

func (s *saver) stopped() bool {
	select {
	case <-s.failed:
		return true
	default:
		return false
	}
}

// Wait returns nil when the context ends, or before that the error that made
// the lab stop: its store failed. A stopped lab answers 503 to everything.
func (l *Lab) Wait(ctx context.Context) error {
	if l.saver == nil {
		<-ctx.Done()
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-l.saver.failed:
		return l.saver.err
	}
}

// unlessStopped answers for a lab whose store failed.
func (l *Lab) unlessStopped(next http.Handler) http.Handler {
	if l.saver == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.saver.stopped() {
			writeStopped(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func writeStopped(w http.ResponseWriter) {
	writeProblem(w, http.StatusServiceUnavailable, errStopped.Error())
}
