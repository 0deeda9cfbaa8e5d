package cli

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
)

// pacer keeps many diagnoses together from asking too often: each app gets one
// token request a second, and a tenant's public metadata is read once.
type pacer struct {
	every time.Duration
	mu    sync.Mutex
	next  map[string]time.Time // when the next request for an app may go out
	known map[string]entra.Answer
}

func newPacer(fast bool) *pacer {
	p := &pacer{every: time.Second, next: map[string]time.Time{}, known: map[string]entra.Answer{}}
	if fast {
		p.every = 0
	}
	return p
}

// of returns the token service of an authority under the pacer.
func (p *pacer) of(authority string, s diagnose.SignIn) diagnose.SignIn {
	return paced{p, authority, s}
}

type paced struct {
	*pacer
	authority string
	inner     diagnose.SignIn
}

// Discover asks again after an error, but not for an answer it has.
func (p paced) Discover(ctx context.Context, tenant string) (entra.Answer, error) {
	key := p.authority + "/" + strings.ToLower(tenant)
	p.mu.Lock()
	answer, ok := p.known[key]
	p.mu.Unlock()
	if ok {
		return answer, nil
	}
	answer, err := p.inner.Discover(ctx, tenant)
	if err == nil && answer.Status < 429 {
		p.mu.Lock()
		p.known[key] = answer
		p.mu.Unlock()
	}
	return answer, err
}

func (p paced) Token(ctx context.Context, r entra.TokenRequest) (entra.Answer, error) {
	if err := p.wait(ctx, p.authority+"/"+strings.ToLower(entra.CleanIdentifier(r.ClientID))); err != nil {
		return entra.Answer{}, err
	}
	return p.inner.Token(ctx, r)
}

func (p *pacer) wait(ctx context.Context, app string) error {
	if p.every == 0 {
		return ctx.Err()
	}
	p.mu.Lock()
	at := p.next[app]
	if now := time.Now(); at.Before(now) {
		at = now
	}
	p.next[app] = at.Add(p.every)
	p.mu.Unlock()
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
