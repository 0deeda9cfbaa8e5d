package entralab

import (
	"net/http"
	"strings"
	"time"
)

// faultBody is a [FaultRule] in JSON. A rate of 0 differs from none here.
type faultBody struct {
	Match  FaultMatch     `json:"match"`
	Fault  string         `json:"fault"`
	Rate   *float64       `json:"rate"`
	Nth    *int           `json:"nth"`
	Times  *int           `json:"times"`
	Until  *time.Time     `json:"until"`
	Params map[string]any `json:"params"`
}

// fault puts a rule in force.
func (c *controlCall) fault() (any, *problem) {
	var sent faultBody
	if refused := c.read(&sent); refused != nil {
		return nil, refused
	}
	rule := FaultRule{Match: sent.Match, Fault: sent.Fault, Params: sent.Params}
	if sent.Rate != nil {
		if rule.Rate = *sent.Rate; rule.Rate == 0 {
			return nil, badCommand("rate is 0; it must be above 0 and at most 1")
		}
	}
	for _, member := range []struct {
		name       string
		sent, into *int
	}{{"nth", sent.Nth, &rule.Nth}, {"times", sent.Times, &rule.Times}} {
		if member.sent == nil {
			continue
		}
		if *member.into = *member.sent; *member.sent < 1 {
			return nil, badCommand(member.name + " must be 1 or more")
		}
	}
	if sent.Until != nil {
		rule.Until = *sent.Until
	}
	id, err := c.lab.addFault(rule)
	if err != nil {
		return nil, badCommand(err.Error())
	}
	c.event.Write = &Write{Kind: "fault"}
	return object{{"id", id}}, nil
}

// serveFaults lists the rules and removes them.
func (l *Lab) serveFaults(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		writeJSON(w, http.StatusOK, l.faults.list())
		return
	}
	event := Event{Surface: surfaceControl, Method: r.Method, Path: r.URL.Path, Outcome: outcomeOK, Status: http.StatusNoContent, Write: &Write{Kind: "fault"}}
	id := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/control/faults"), "/")
	if id == "" {
		l.RemoveFaults()
	} else if !l.RemoveFault(id) {
		writeProblem(w, http.StatusNotFound, "no rule has this id; GET /control/faults lists them")
		return
	}
	l.mu.Lock()
	l.history.add(l.clock.now(), event)
	l.mu.Unlock()
	if l.saver != nil && l.saver.stopped() {
		writeStopped(w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// faultState is a rule as GET /control/faults shows it.
type faultState struct {
	ID      string         `json:"id"`
	Match   FaultMatch     `json:"match"`
	Fault   string         `json:"fault"`
	Rate    float64        `json:"rate"`
	Nth     int            `json:"nth,omitempty"`
	Times   int            `json:"times,omitempty"`
	Until   string         `json:"until,omitempty"`
	Params  map[string]any `json:"params"`
	Matched int            `json:"matched"` // requests that match
	Fired   int            `json:"fired"`   // those it did something to
}

func (f *faults) list() []faultState {
	f.mu.Lock()
	defer f.mu.Unlock()
	states := []faultState{}
	for _, r := range f.rules() {
		s := faultState{ID: r.id, Match: r.Match, Fault: r.Fault, Rate: r.Rate, Nth: r.Nth, Times: r.Times, Params: r.shownParams(), Matched: r.matched, Fired: r.fired}
		if !r.Until.IsZero() {
			s.Until = graphTime(r.Until)
		}
		states = append(states, s)
	}
	return states
}

// shownParams are the parameters as JSON takes them.
func (r *faultRule) shownParams() map[string]any {
	shown := map[string]any{}
	for name, value := range r.params {
		if d, ok := value.(time.Duration); ok {
			value = d.String()
		}
		shown[name] = value
	}
	return shown
}
