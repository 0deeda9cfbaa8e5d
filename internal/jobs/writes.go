package jobs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/rotate"
	"github.com/credsmith/credsmith/internal/secret"
)

// Writes paces the writes of this process to each tenant: no more than a
// number a second, in the order in which they were asked for, and none while
// the tenant wants to be left alone.
type Writes struct {
	every time.Duration
	now   func() time.Time

	mu      sync.Mutex
	tenants map[string]*pace
}

// pace is what is booked at one tenant.
type pace struct {
	every time.Duration        // between two writes
	next  time.Time            // the first moment that nobody has
	last  time.Time            // when a turn was used up
	slots map[string]time.Time // by rotation
}

// NewWrites allows so many writes a second at each tenant. now is time.Now
// unless set.
func NewWrites(perSecond float64, now func() time.Time) *Writes {
	if now == nil {
		now = time.Now
	}
	return &Writes{every: time.Duration(float64(time.Second) / perSecond), now: now, tenants: map[string]*pace{}}
}

func (w *Writes) tenant(id string) *pace {
	p := w.tenants[id]
	if p == nil {
		p = &pace{every: w.every, slots: map[string]time.Time{}}
		w.tenants[id] = p
	}
	return p
}

// reserve returns how long a rotation has to wait for its next write. It must
// ask again then: 0 uses its turn up.
func (w *Writes) reserve(tenantID, rotation string, now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.tenant(tenantID)
	slot, has := p.slots[rotation]
	if !has {
		slot = p.next
		if slot.Before(now) {
			slot = now
		}
		p.next = slot.Add(p.every)
	}
	// Those who come late do not come together.
	if free := p.last.Add(p.every); slot.Before(free) {
		slot = free
	}
	if slot.After(now) {
		p.slots[rotation] = slot
		return slot.Sub(now)
	}
	delete(p.slots, rotation)
	p.last = now
	p.every -= (p.every - w.every) / 100
	return 0
}

// forget drops the turn of a rotation that will not write.
func (w *Writes) forget(rotation string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.tenants {
		delete(p.slots, rotation)
	}
}

// hold moves all turns of a tenant back, and lets those after them follow more
// slowly: it admits less than we believed. The old pace comes back by and by.
func (w *Writes) hold(tenantID string, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.tenant(tenantID)
	for id, slot := range p.slots {
		p.slots[id] = slot.Add(d)
	}
	if now := w.now(); p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(d)
	p.every = min(p.every*5/4, 10*w.every)
}

// Directory wraps the directory of a tenant: an answer that asks for patience
// is obeyed by all rotations of the tenant, not only by the one that got it.
func (w *Writes) Directory(tenantID string, d rotate.Directory) rotate.Directory {
	return &paced{d, w, tenantID}
}

type paced struct {
	rotate.Directory
	writes   *Writes
	tenantID string
}

func (p *paced) Mint(ctx context.Context, holder entra.Holder, objectID, displayName string, end time.Time) (entra.Credential, secret.Value, error) {
	c, v, err := p.Directory.Mint(ctx, holder, objectID, displayName, end)
	p.obey(err)
	return c, v, err
}

func (p *paced) Remove(ctx context.Context, holder entra.Holder, objectID, keyID string) error {
	err := p.Directory.Remove(ctx, holder, objectID, keyID)
	p.obey(err)
	return err
}

// patience is how long all wait when the tenant does not say.
const patience = 10 * time.Second

func (p *paced) obey(err error) {
	refusal, ok := errors.AsType[*entra.Refusal](err)
	if !ok || refusal.Kind != entra.RefusedThrottled {
		return
	}
	after := refusal.After
	if after <= 0 {
		after = patience
	}
	p.writes.hold(p.tenantID, after)
}
