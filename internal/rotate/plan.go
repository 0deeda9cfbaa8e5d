package rotate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/sink"
)

// Retirement says what makes an old secret go.
type Retirement string

// The retirements.
const (
	OnEvidence Retirement = "evidence" // once the sign-in log shows that nobody uses it
	OnExpiry   Retirement = "expire"   // after its own end
	ByHand     Retirement = "manual"   // when a person says so
)

// Binding is one app and all the places that hold its secret.
type Binding struct {
	Name     string
	TenantID string
	ClientID string
	Lifetime time.Duration
	Overlap  time.Duration // at least this long nobody must have used the old secret
	Retire   Retirement
	Prove    Proving
	Sinks    []sink.Sink
}

// Proving says what a proof takes: so many acceptances in a row, over so long.
type Proving struct {
	Scope string
	Times int
	Over  time.Duration
}

// Options are what a person chose for one rotation.
type Options struct {
	// Emergency: the old secret is known to others. It goes as soon as the new
	// one is proven, without an overlap.
	Emergency bool `json:"emergency,omitempty"`
	// Retire names the secrets to retire by key id, instead of those that the
	// sinks hold.
	Retire []string `json:"retire,omitempty"`
	// Self: the app is what credsmith itself signs in with.
	Self bool `json:"self,omitempty"`
}

// Plan is everything a rotation will do. What was approved is what is done:
// the hash covers it all.
type Plan struct {
	Binding   string       `json:"binding"`
	TenantID  string       `json:"tenant_id"`
	ClientID  string       `json:"client_id"`
	AppName   string       `json:"app_name"`
	Holder    entra.Holder `json:"holder"` // the object that gets the new secret
	HolderID  string       `json:"holder_id"`
	Lifetime  int64        `json:"lifetime_seconds"`
	Overlap   int64        `json:"overlap_seconds"`
	Retire    Retirement   `json:"retire"`
	Emergency bool         `json:"emergency,omitempty"`
	Self      bool         `json:"self,omitempty"`   // the operator's own secret
	Rights    []string     `json:"rights,omitempty"` // that the operator has, and must have with the new one
	Scope     string       `json:"scope"`
	Times     int          `json:"prove_times"`
	Over      int64        `json:"prove_over_seconds"`
	Old       []Secret     `json:"old"`  // to be retired
	Free      []Secret     `json:"free"` // expired ones that must go first, to make room
	Kept      []Secret     `json:"kept"` // every other secret of the app: left alone
	Sinks     []PlanSink   `json:"sinks"`
	Calls     []Call       `json:"calls"`
	Warnings  []string     `json:"warnings"`
	Blockers  []string     `json:"blockers"` // with one of these it cannot be run
	Hash      string       `json:"hash"`
}

// Secret is a secret of the app that a plan speaks of.
type Secret struct {
	KeyID       string       `json:"key_id"`
	DisplayName string       `json:"display_name,omitempty"`
	Hint        string       `json:"hint,omitempty"`
	On          entra.Holder `json:"on"`
	OnID        string       `json:"on_id"`
	End         time.Time    `json:"end"`
	Because     string       `json:"because"`
}

// PlanSink is a sink as the plan found it.
type PlanSink struct {
	Ref       string         `json:"sink"`
	Abilities sink.Abilities `json:"abilities"`
	Reloads   bool           `json:"reloads"`
	Holds     string         `json:"holds"`            // in words
	Prior     string         `json:"prior,omitempty"`  // fingerprint of the value
	KeyID     string         `json:"key_id,omitempty"` // of the secret that it is
}

// Call is one thing the rotation will do, in order.
type Call struct {
	Step   Step   `json:"step"`
	Does   string `json:"does"`
	Target string `json:"target"`
	Writes bool   `json:"writes"`
}

// seal sets the hash.
func (p *Plan) seal() {
	c := *p
	c.Hash, c.Warnings = "", nil
	text, err := json.Marshal(c)
	if err != nil {
		panic("rotate: a plan does not encode: " + err.Error())
	}
	sum := sha256.Sum256(text)
	p.Hash = hex.EncodeToString(sum[:8])
}

// differs says in what another plan of the same binding is not this one.
func (p *Plan) differs(q *Plan) string {
	if len(q.Blockers) > 0 {
		return strings.Join(q.Blockers, "; ")
	}
	parts := []string{}
	for what, pair := range map[string][2]any{
		"the secrets to retire": {p.Old, q.Old}, "the other secrets": {p.Kept, q.Kept}, "the expired secrets": {p.Free, q.Free},
		"the sinks": {p.Sinks, q.Sinks}, "the lifetime": {p.Lifetime, q.Lifetime}, "the object": {p.HolderID, q.HolderID}, "the name": {p.AppName, q.AppName},
		"the operator's rights": {p.Rights, q.Rights},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			parts = append(parts, what)
		}
	}
	if len(parts) == 0 {
		return "the settings of the binding have changed"
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ") + " changed"
}

func (p *Plan) lifetime() time.Duration { return time.Duration(p.Lifetime) * time.Second }
func (p *Plan) overlap() time.Duration  { return time.Duration(p.Overlap) * time.Second }
func (p *Plan) over() time.Duration     { return time.Duration(p.Over) * time.Second }

// NoRollback returns the sinks that cannot be put back once written.
func (p *Plan) NoRollback() []string {
	var refs []string
	for _, s := range p.Sinks {
		if !s.Abilities.ReadBack {
			refs = append(refs, s.Ref)
		}
	}
	return refs
}

// list fills in the calls, in the order in which they will happen.
func (p *Plan) list() {
	app := fmt.Sprintf("%s %s", p.Holder, p.HolderID)
	token := "token endpoint of " + p.TenantID
	p.Calls = nil
	add := func(s Step, writes bool, target, does string) {
		p.Calls = append(p.Calls, Call{s, does, target, writes})
	}
	each := func(s Step, writes bool, does string, fits func(PlanSink) bool) {
		for _, k := range p.Sinks {
			if fits(k) {
				add(s, writes, k.Ref, does)
			}
		}
	}
	all := func(PlanSink) bool { return true }
	readable := func(k PlanSink) bool { return k.Abilities.ReadBack }
	add(Check, false, "app "+p.ClientID, "read the app, its secrets and its policy")
	each(Check, false, "read what it holds", all)
	for _, s := range p.Free {
		add(Mint, true, "secret "+s.KeyID, "remove this expired secret, to make room")
	}
	add(Mint, true, app, fmt.Sprintf("add a secret that lives %s, and seal its value", days(p.lifetime())))
	add(Accept, false, token, fmt.Sprintf("sign in with the new value until it is taken %d times in a row over %s", max(p.Times, acceptTimes), p.over()))
	each(Deliver, true, "write the new value", all)
	each(Verify, false, "read it back", readable)
	add(Prove, false, token, fmt.Sprintf("sign in with the new value %d times in a row over %s", p.Times, p.over()))
	each(Reload, true, "make consumers take it up", func(k PlanSink) bool { return k.Reloads })
	if len(p.Old) > 0 {
		if !p.Emergency {
			add(Adopt, false, "sign-in log", "see who signs in with which secret")
			add(Overlap, false, "sign-in log", p.waits())
		}
		add(Recheck, false, "app and sinks", "see that all of this still holds")
		if p.Self {
			add(Recheck, false, token, "sign in as the operator with the new secret, and see that it may still "+strings.Join(p.Rights, ", "))
		}
		for _, s := range p.Old {
			add(Retire, true, "secret "+s.KeyID, "remove it from the "+string(s.On))
		}
		add(Gone, false, "app "+p.ClientID, "see that it is gone")
	}
	add(Shred, true, "journal", "destroy the sealed values")
}

func (p *Plan) waits() string {
	switch p.Retire {
	case OnExpiry:
		return "wait until the old secret has expired"
	case ByHand:
		return "wait until a person retires the old secret: credsmith rotate retire " + p.Binding
	}
	return fmt.Sprintf("wait until nobody has used the old secret for %s", days(p.overlap()))
}

// days writes a duration the way the configuration does.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}

// Intact reports whether a plan that was kept elsewhere is as it was made.
func (p *Plan) Intact() bool {
	c := *p
	c.seal()
	return c.Hash == p.Hash
}
