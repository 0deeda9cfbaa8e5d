package entralab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Types of Event Grid's events on secrets (Microsoft documentation).
const (
	eventNewVersion = "Microsoft.KeyVault.SecretNewVersionCreated"
	eventNearExpiry = "Microsoft.KeyVault.SecretNearExpiry"
	eventExpired    = "Microsoft.KeyVault.SecretExpired"
	eventValidation = "Microsoft.EventGrid.SubscriptionValidationEvent"
)

// nearExpiry is fixed (Microsoft documentation).
const nearExpiry = 30 * 24 * time.Hour

// webhook is a vault's subscription.
type webhook struct {
	url               string
	state             webhookState
	delivered, failed int
}

type webhookState string

const (
	webhookPending webhookState = "pending" // the handshake is under way
	webhookActive  webhookState = "active"
	webhookFailed  webhookState = "failed" // it gets nothing
)

// notice is an event on its way.
type notice struct {
	ordinal int // its record
	vault   *vault
	hook    *webhook
	kind    string
	body    []byte
	code    string // of a validation
}

// Bounds of delivery. The real service retries for a day.
const (
	maxNotices      = 10_000
	noticeAttempts  = 4
	noticeRetry     = 100 * time.Millisecond // doubles; in the system's time, not the lab's
	noticeTimeout   = 5 * time.Second
	maxNoticeAnswer = 64 << 10
)

// vaultEvents delivers events. Its goroutine starts with the first webhook, so
// that a lab without one has none.
type vaultEvents struct {
	signal chan struct{} // holds one: something may be due
	ctx    context.Context
	cancel context.CancelFunc

	once  sync.Once
	queue []notice // guarded by Lab.mu
	last  int      // ordinal of the newest notice, guarded too
}

func newVaultEvents() *vaultEvents {
	e := &vaultEvents{signal: make(chan struct{}, 1)}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

// wake has the goroutine look at the clock and the secrets again.
func (e *vaultEvents) wake() {
	select {
	case e.signal <- struct{}{}:
	default:
	}
}

func (e *vaultEvents) stop() { e.cancel() }

// SetVaultWebhook sends events on a vault's secrets to a loopback URL, in Event
// Grid's schema: new versions, and versions made from now on that are within 30
// days of their expiry, or past it, by the lab's clock. A validation event goes
// first; events follow once it is answered. An empty URL ends it.
func (l *Lab) SetVaultWebhook(vault, url string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, err := l.vaultNamed(vault)
	if err == nil {
		err = l.setWebhook(v, url)
	}
	if err != nil {
		return fmt.Errorf("entralab: set webhook: %w", err)
	}
	return l.noted(vaultEvent(v, "webhook"), nil)
}

// setWebhook checks and sets. Call with l.mu held.
func (l *Lab) setWebhook(v *vault, to string) error {
	if to == "" {
		v.webhook = nil
		return nil
	}
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return errors.New("webhook " + strconv.Quote(to) + ": must be an http or https URL without user name")
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("webhook " + strconv.Quote(to) + ": only loopback addresses (127.0.0.0/8, ::1, localhost) are allowed")
	}
	if l.events.ctx.Err() != nil {
		return errors.New("the lab is closed")
	}
	v.webhook = &webhook{url: to, state: webhookPending}
	code := l.random.guid().String()
	l.enqueue(v, notice{kind: eventValidation, code: code}, "", "2", object{{"validationCode", code}}, l.clock.now())
	l.events.once.Do(func() { l.running.Go(l.deliverEvents) })
	return nil
}

// announce queues an event on a version, if somebody wants it. Call with l.mu
// held.
func (l *Lab) announce(v *vault, s *vaultSecret, version *secretVersion, kind string, at time.Time) {
	if v.webhook == nil {
		return
	}
	data := object{
		{"Id", v.url + "/secrets/" + s.name + "/" + version.id}, {"VaultName", v.name}, {"ObjectType", "Secret"},
		{"ObjectName", s.name}, {"Version", version.id}, {"NBF", version.notBefore}, {"EXP", version.expires},
	}
	l.enqueue(v, notice{kind: kind}, s.name, "1", data, at)
}

// enqueue makes an event in Event Grid's schema. What there is no room for is
// lost, and counted. Call with l.mu held.
func (l *Lab) enqueue(v *vault, n notice, subject, dataVersion string, data object, at time.Time) {
	if len(l.events.queue) >= maxNotices {
		v.webhook.failed++
		return
	}
	n.vault, n.hook = v, v.webhook
	n.body = encodeJSON([]object{{
		{"id", l.random.guid().String()}, {"topic", v.resourceID(l)}, {"subject", subject}, {"eventType", n.kind},
		{"eventTime", at.Format("2006-01-02T15:04:05.0000000Z")}, {"data", data}, {"dataVersion", dataVersion}, {"metadataVersion", "1"},
	}})
	l.events.last++
	n.ordinal = l.events.last
	if n.kind != eventValidation { // a handshake starts again
		l.saver.noteNotice(n)
	}
	l.events.queue = append(l.events.queue, n)
	l.events.wake()
}

// deliverEvents runs until the lab closes.
func (l *Lab) deliverEvents() {
	client := webhookClient()
	for {
		notices, next := l.dueNotices()
		for _, n := range notices {
			l.deliver(client, n)
		}
		var timer <-chan time.Time
		if next > 0 {
			timer = time.After(next)
		}
		select {
		case <-l.events.ctx.Done():
			return
		case <-l.events.signal:
		case <-timer:
		}
	}
}

// dueNotices empties the queue, together with what the clock has made due, and
// says how long it takes until the next is; 0 for never, or while the clock
// stands still.
func (l *Lab) dueNotices() (notices []notice, next time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.now()
	for _, v := range l.vaults {
		if v.webhook == nil {
			continue
		}
		for _, s := range v.secrets {
			if !s.is(secretLives, now) {
				continue
			}
			for _, version := range s.versions {
				if wait := l.announceExpiry(v, s, version, now); wait > 0 && (next == 0 || wait < next) {
					next = wait
				}
			}
		}
	}
	if l.clock.isFrozen() {
		next = 0
	}
	notices, l.events.queue = l.events.queue, nil
	_ = l.save() // a failure stops the lab
	return notices, next
}

// announceExpiry announces what is due of a version and returns how long until
// there is more, 0 for never. A version that is made within 30 days of its
// expiry is announced at once (unknown). Call with l.mu held.
func (l *Lab) announceExpiry(v *vault, s *vaultSecret, version *secretVersion, now time.Time) time.Duration {
	if !version.watched || version.expires == nil {
		return 0
	}
	end := time.Unix(*version.expires, 0).UTC()
	for _, step := range []struct {
		kind string
		at   time.Time
		said *bool
	}{{eventNearExpiry, end.Add(-nearExpiry), &version.saidNear}, {eventExpired, end, &version.saidOver}} {
		if *step.said {
			continue
		}
		if now.Before(step.at) {
			return step.at.Sub(now)
		}
		*step.said = true
		l.touch(v)
		l.announce(v, s, version, step.kind, now)
	}
	return 0
}

// deliver sends one event, a few times if need be. After a crash it may be sent
// once more, as Event Grid's may (Microsoft documentation).
func (l *Lab) deliver(client *http.Client, n notice) {
	l.mu.RLock()
	wanted := n.hook.state == webhookActive || n.kind == eventValidation && n.hook.state == webhookPending
	l.mu.RUnlock()
	delivered := false
	for attempt := 0; wanted && !delivered && attempt < noticeAttempts; attempt++ {
		if attempt > 0 {
			select {
			case <-l.events.ctx.Done():
				return
			case <-time.After(noticeRetry << (attempt - 1)):
			}
		}
		var again bool
		delivered, again = n.send(l.events.ctx, client, attempt)
		wanted = again
	}
	if l.events.ctx.Err() != nil && !delivered {
		return // the lab closes: a store keeps the event
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.vaults[n.vault.name] == n.vault { // no import took it away
		l.touch(n.vault)
	}
	if n.kind != eventValidation {
		l.saver.note(kindNotice, n.record(), nil)
	}
	defer l.save() // a failure stops the lab
	switch {
	case n.kind != eventValidation && delivered:
		n.hook.delivered++
	case n.kind != eventValidation:
		n.hook.failed++
	case delivered:
		n.hook.state = webhookActive
	default:
		n.hook.state = webhookFailed
	}
}

// send posts an event once. A validation counts when its code comes back.
func (n notice) send(ctx context.Context, client *http.Client, attempt int) (delivered, again bool) {
	ctx, cancel := context.WithTimeout(ctx, noticeTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.hook.url, bytes.NewReader(n.body))
	if err != nil {
		return false, false
	}
	kind := "Notification"
	if n.kind == eventValidation {
		kind = "SubscriptionValidation"
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("Aeg-Event-Type", kind)
	r.Header.Set("Aeg-Delivery-Count", strconv.Itoa(attempt))
	resp, err := client.Do(r)
	if err != nil {
		return false, true
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxNoticeAnswer))
	switch {
	case err != nil || resp.StatusCode >= 500 || resp.StatusCode == http.StatusRequestTimeout || resp.StatusCode == http.StatusTooManyRequests:
		return false, true
	case resp.StatusCode < 200 || resp.StatusCode > 299: // not retried (recalled)
		return false, false
	case n.kind != eventValidation:
		return true, false
	}
	var answer struct{ ValidationResponse string }
	return json.Unmarshal(body, &answer) == nil && answer.ValidationResponse == n.code, false
}

// webhookClient goes to loopback only, whatever a name resolves to.
func webhookClient() *http.Client {
	dialer := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		host, _, _ := net.SplitHostPort(address)
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			return errors.New("entralab: webhooks go to loopback addresses only, not to " + address)
		}
		return nil
	}}
	return &http.Client{
		Transport:     &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
