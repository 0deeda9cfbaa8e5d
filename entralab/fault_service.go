package entralab

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Faults of services that run beside the lab, as package entralab/mail does.

const (
	surfaceSMTP = "smtp"
	surfaceIMAP = "imap"
)

var (
	onSMTP = []string{surfaceSMTP}
	onMail = []string{surfaceSMTP, surfaceIMAP}
)

// mailFaults are what a rule whose surface is smtp or imap can ask for. They
// bear the numbers of what they are over HTTP.
var mailFaults = sync.OnceValue(func() []*faultKind {
	return []*faultKind{
		{id: "F7", name: "temporary refusal; 454 of AUTH only, 421 ends the connection", surfaces: onSMTP, when: temporary,
			params: []faultParam{kinds("421", "451", "454")}},
		{id: "F7", name: "temporary refusal; bye ends the connection", surfaces: []string{surfaceIMAP}, params: []faultParam{kinds("unavailable", "bye")}},
		{id: "F8", name: "applied, answer lost", surfaces: onMail},
		{id: "F12", name: "answer late, in real time", surfaces: onMail, params: span(0, 3*time.Second)},
		{id: "F13", name: "answer drips, in real time", surfaces: onMail, params: []faultParam{number("bytes_per_second", 1, 1, 1<<20)}},
		{id: "F14", name: "connection cut amid a command, or amid its answer", surfaces: onMail, params: []faultParam{kinds("command", "answer")}},
	}
})

// temporary keeps 454 to AUTH (RFC 4954).
func temporary(r *faultRule, q *faultRequest) bool {
	c := &faultCall{rule: r, turn: r.drawn}
	return c.kind() != "454" || q.method == "AUTH"
}

// ServiceFault is what a rule wants to go wrong with a command to a service.
// The zero ServiceFault is nothing.
type ServiceFault struct {
	Fault          string        // "F7"
	Kind           string        // the variant, empty where a fault has none
	Wait           time.Duration // before the answer, in real time, see [Lab.Pause]
	BytesPerSecond int           // of the answer, 0 for all at once
}

// ServiceFault decides by the rules in force what goes wrong with a command to
// a service beside the lab. The event names surface, command (as Method),
// mailbox (as Path) and app; the caller records it, see [Lab.Record].
func (l *Lab) ServiceFault(e Event) (f ServiceFault) {
	rules := l.faults.active.Load()
	if rules == nil {
		return f
	}
	q := &faultRequest{surface: e.Surface, method: e.Method, path: e.Path, now: l.clock.now()}
	if id, ok := parseGUID(e.AppID); ok {
		l.mu.RLock()
		q.apps = []string{e.AppID, l.objectOf(id)}
		l.mu.RUnlock()
	}
	chosen := l.faults.choose(*rules, q)
	if chosen == nil {
		return f
	}
	c := chosen.main
	c.use()
	f.Fault = c.rule.Fault
	switch f.Fault {
	case "F12":
		f.Wait = c.between()
	case "F13":
		f.BytesPerSecond = c.rule.params.number("bytes_per_second")
	case "F7", "F14":
		f.Kind = c.kind()
	}
	return f
}

// objectOf is the object id of the app with a client id, empty if there is
// none. Call with l.mu held.
func (l *Lab) objectOf(clientID guid) string {
	for _, t := range l.tenants {
		if a := t.appByClientID(clientID); a != nil {
			return a.id.String()
		}
	}
	return ""
}

// Pause waits in real time. It reports false when the context ended or the lab
// closed first.
func (l *Lab) Pause(ctx context.Context, d time.Duration) bool { return l.faults.sleep(ctx, d) }

// Drip writes so many bytes a second, in real time. It ends early with the
// context, the lab or the first error.
func (l *Lab) Drip(ctx context.Context, b []byte, perSecond int, write func([]byte) (int, error)) (sent int, err error) {
	return l.faults.drip(ctx, b, perSecond, write)
}

// isMail reports whether a surface has faults of its own.
func isMail(surface string) bool { return slices.Contains(onMail, surface) }
