package cli

import (
	"context"
	"time"

	"github.com/credsmith/credsmith/internal/logscan"
	"github.com/credsmith/credsmith/internal/logscan/tail"
)

const (
	followPoll = 250 * time.Millisecond
	followShow = time.Second // between two looks at what changed
)

// follow reads the logs as they grow, shows incidents as they change, and
// returns when ctx ends.
func (r *logReader) follow(ctx context.Context, names []string, show func(logscan.Result) error) error {
	follower := tail.New(r.scan)
	for _, name := range names {
		follower.Add(name, func(file string) bool { return r.chosen(name, file) })
	}
	ticker := time.NewTicker(followPoll)
	defer ticker.Stop()
	shown, failures := time.Time{}, int64(-1)
	for {
		follower.Poll()
		if now := time.Now(); now.Sub(shown) >= followShow && r.scan.Failures() != failures {
			shown, failures = now, r.scan.Failures()
			if err := show(r.scan.Result()); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			follower.Close()
			r.errors = append(r.errors, follower.Errors()...)
			return nil
		case <-ticker.C:
		}
	}
}

// incidentShown is what was said last of an incident.
type incidentShown struct {
	failures int64
	pattern  string
}

// followed shows the incidents that are new, have doubled or look different
// from before.
func (p *program) followed() func(logscan.Result) error {
	shown := map[[2]string]incidentShown{}
	return func(r logscan.Result) error {
		for _, in := range r.Incidents {
			key := [2]string{in.AppID, in.Class}
			before := shown[key]
			if before.pattern == in.Pattern && in.Failures < 2*before.failures {
				continue
			}
			shown[key] = incidentShown{in.Failures, in.Pattern}
			if p.json {
				if err := p.writeJSONLine(map[string]any{"event": "incident", "at": time.Now().UTC(), "incident": in}); err != nil {
					return err
				}
			} else if before.failures == 0 {
				p.page().incident(in)
			} else {
				p.page().line("%s  %s: %d failures, %s, last %s", clean(in.AppID), in.Class, in.Failures, in.Pattern, in.LastSeen())
			}
		}
		return nil
	}
}
