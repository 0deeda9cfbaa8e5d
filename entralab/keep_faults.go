package entralab

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kindFault is a rule of faults, by id. Those of the profile are not kept: each
// start says which profile it is.
const kindFault = "fault"

type storedFault struct {
	Match   FaultMatch     `json:"match"`
	Fault   string         `json:"fault"`
	Rate    float64        `json:"rate,omitzero"` // none beside nth
	Nth     int            `json:"nth,omitzero"`
	Times   int            `json:"times,omitzero"`
	Until   time.Time      `json:"until,omitzero"`
	Params  map[string]any `json:"params,omitzero"`
	Matched int            `json:"matched,omitzero"`
	Drawn   int            `json:"drawn,omitzero"`
	Fired   int            `json:"fired,omitzero"`
}

// faultIDPrefix begins the id of a rule, before its number.
const faultIDPrefix = "fault-"

func (r *faultRule) number() int {
	n, _ := strconv.Atoi(strings.TrimPrefix(r.id, faultIDPrefix)) // the lab made it
	return n
}

// counted notes that a rule's counters changed: the next save takes them along,
// as it does with the history. Call with faults.mu held.
func (f *faults) counted(r *faultRule) {
	if f.saver == nil || !r.keep {
		return
	}
	f.changed[r] = true
	f.saver.history.wake()
}

// take are the records of rules that changed.
func (f *faults) take() []Record {
	if f == nil { // while the lab starts
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var records []Record
	for r := range f.changed {
		if slices.Contains(f.rules(), r) {
			records = append(records, r.stored())
		}
	}
	clear(f.changed)
	return records
}

// stored is the record. Call with faults.mu held.
func (r *faultRule) stored() Record {
	s := storedFault{r.Match, r.Fault, r.Rate, r.Nth, r.Times, r.Until, r.shownParams(), r.matched, r.drawn, r.fired}
	if s.Nth > 0 {
		s.Rate = 0
	}
	return Record{kindFault, r.id, encodeJSON(s)}
}

func (r *restored) readFaults(ctx context.Context, store Store) error {
	err := each(ctx, store, kindFault, func(id string, s storedFault) error {
		rule := &faultRule{
			FaultRule: FaultRule{Match: s.Match, Fault: s.Fault, Rate: s.Rate, Nth: s.Nth, Times: s.Times, Until: s.Until, Params: s.Params},
			id:        id, keep: true, matched: s.Matched, drawn: s.Drawn, fired: s.Fired,
		}
		if rule.number() == 0 {
			return errors.New("a rule of faults has no number")
		}
		r.faults = append(r.faults, rule)
		return rule.check()
	})
	slices.SortFunc(r.faults, func(a, b *faultRule) int { return cmp.Compare(a.number(), b.number()) })
	return err
}

// takeFaults puts restored rules in force. Nobody else knows the lab yet.
func (f *faults) takeFaults(rules []*faultRule) {
	if len(rules) > 0 {
		f.active.Store(&rules)
		f.last = rules[len(rules)-1].number()
	}
}
