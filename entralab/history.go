package entralab

import (
	"sync"
	"time"
)

// Event is one entry of the lab's history: a token request, a request to Graph or
// Key Vault, a command to the control origin, or an app or secret written through the Go
// API. Members that say nothing are empty, and left out of the JSON.
//
// A request that was served keeps its own outcome, status and write whatever
// became of the answer: Fault then tells that the client did not see just
// that. One that a fault answered without serving it has the outcome "fault",
// and the status that was sent.
type Event struct {
	Seq      int       `json:"seq"` // from 1, without gaps
	At       time.Time `json:"at"`  // lab time
	Surface  string    `json:"surface"`
	Method   string    `json:"method,omitempty"`    // empty for the Go API
	Path     string    `json:"path,omitempty"`      // without the query
	AppID    string    `json:"app_id,omitempty"`    // client id of the app it is about
	ObjectID string    `json:"object_id,omitempty"` // object id of that app
	KeyID    string    `json:"key_id,omitempty"`    // the secret that matched, or that was written
	Outcome  string    `json:"outcome"`
	Fault    string    `json:"fault,omitempty"` // what went wrong with the request or its answer, such as "F8" or "F1,F9"
	Code     int       `json:"code,omitempty"`  // AADSTS code of a refused token request
	Status   int       `json:"status,omitempty"`
	Write    *Write    `json:"write,omitempty"` // nil when nothing was changed

	Vault   string `json:"vault,omitempty"` // the vault's name
	Secret  string `json:"secret,omitempty"`
	Version string `json:"version,omitempty"`
	Digest  string `json:"digest,omitempty"` // of the value that was set, see [Lab.Digest]

	appOnly bool          // a sign-in of the app itself, not of a user through it
	signIn  *signInDetail // of a token request
}

// Write says what an [Event] changed.
//
// Kinds: mint, remove (secrets); create-app, create-apps, update-app, delete-app,
// restore-app, purge-app, disable-app, enable-app,
// deactivate-app, activate-app, rename;
// create-service-principal, and the same with update, delete, restore and
// purge; add-owner, remove-owner, grant, revoke, update-federated,
// add-key, remove-key;
// create-policy, update-policy, delete-policy, assign-policy,
// unassign-policy; set-secret, update-secret, delete-secret, recover-secret,
// purge-secret, restore-secret; create-vault, grant-vault, revoke-vault,
// firewall, webhook; clock, delay, sign-in, licence, throttle, import.
type Write struct {
	Kind  string `json:"kind"`
	KeyID string `json:"key_id,omitempty"`
	Count int    `json:"count,omitempty"` // of apps, for create-apps
}

const (
	surfaceToken   = "token"
	surfaceGraph   = "graph"
	surfaceVault   = "vault"
	surfaceControl = "control"

	outcomeAccepted = "accepted" // token requests
	outcomeRefused  = "refused"  // everywhere
	outcomeOK       = "ok"       // everything but token requests
	outcomeFault    = "fault"    // a request that a fault kept from being served
)

// historySize bounds what is remembered: some 50 MB when full.
const historySize = 100_000

// maxEventPath clips paths, which a client may make as long as a header.
const maxEventPath = 200

// history is a ring: the event with sequence number s sits at (s-1)%historySize.
type history struct {
	mu     sync.Mutex
	events []Event
	last   int // sequence number

	// With a store: events not saved yet, and a signal that there are some.
	waiting []Event
	grown   chan struct{}
}

// add appends an event. Callers hold the lab's lock, so that the order of
// events is the order of what they tell of.
func (h *history) add(at time.Time, e Event) (seq int) {
	e.At = at
	e.Path = e.Path[:min(len(e.Path), maxEventPath)]
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	e.Seq = h.last
	if len(h.events) < historySize {
		h.events = append(h.events, e)
	} else {
		h.events[(e.Seq-1)%historySize] = e
	}
	if h.grown != nil {
		h.waiting = append(h.waiting, e)
		h.wake()
	}
	return e.Seq
}

// wake has the saver look for what waits.
func (h *history) wake() {
	select {
	case h.grown <- struct{}{}:
	default: // signalled already
	}
}

// blame names the faults at events that are still remembered.
func (h *history) blame(seqs []int, ids string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, seq := range seqs {
		if seq > h.last-len(h.events) {
			h.events[(seq-1)%historySize].Fault = ids
		}
		for i := range h.waiting {
			if h.waiting[i].Seq == seq {
				h.waiting[i].Fault = ids
			}
		}
	}
}

// after returns the remembered events with a higher sequence number.
func (h *history) after(seq int) []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := max(seq, h.last-len(h.events), 0) + 1
	events := make([]Event, 0, max(h.last-first+1, 0))
	for s := first; s <= h.last; s++ {
		events = append(events, h.events[(s-1)%historySize])
	}
	return events
}
