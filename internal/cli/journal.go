package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/credsmith/credsmith/internal/config"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/drift"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/logscan"
	"github.com/credsmith/credsmith/internal/rotate"
)

// journal is what the configuration and the record of rotations tell of apps.
type journal struct {
	config    *config.Config // nil for none
	rotations []*rotate.Rotation
}

// journal reads it for commands that gain from it and go on without: it is
// empty where there is no configuration or no store, and a warning says so
// where the record cannot be read.
func (p *program) journal(ctx context.Context) journal {
	c, err := p.configuration()
	if err != nil || c == nil {
		return journal{} // a configuration that is wrong is told of where it is needed
	}
	j := journal{config: c}
	if !c.Store.IsZero() {
		j.rotations = p.rotationsOf(ctx)
	}
	return j
}

// rotationsOf returns the rotations that the store knows, newest first.
func (p *program) rotationsOf(ctx context.Context) []*rotate.Rotation {
	r, err := p.records(ctx)
	if err == nil {
		defer r.close()
		var all []*rotate.Rotation
		if all, err = r.history(ctx, nil); err == nil {
			return all
		}
	}
	fmt.Fprintf(p.Stderr, "warning: the record of rotations was not read: %s\n", oneLine(err.Error()))
	return nil
}

// withJournal is credsmith's memory: what doctor saw, and what rotations did.
type withJournal struct {
	diagnose.Records
	journal
}

// about tells a case of the app's binding, and of its rotation that has not ended.
func (j journal) about(c *diagnose.Case) {
	clientID := entra.CleanIdentifier(c.Setting.ClientID)
	tenant := entra.CleanIdentifier(c.Setting.TenantID)
	ours := func(client, tenantID string) bool {
		return entra.SameGUID(client, clientID) && (!entra.IsGUID(tenant) || entra.SameGUID(tenantID, tenant))
	}
	if j.config == nil {
		return
	}
	for _, b := range j.config.Bindings {
		if t, _ := j.config.Tenant(b.Tenant); ours(b.App, t.TenantID) {
			c.Binding = b.Name
		}
	}
	for _, r := range j.rotations {
		if r.State.Ended() || r.Back || !ours(r.Plan.ClientID, r.Plan.TenantID) {
			continue
		}
		c.Binding = r.Binding
		c.Rotation = &diagnose.Rotation{ID: r.ID, Binding: r.Binding, Step: string(r.Step), Next: r.Next, Written: readBack(r)}
		return
	}
}

// readBack are the places that were seen to hold a rotation's value.
func readBack(r *rotate.Rotation) []string {
	var refs []string
	for _, s := range r.Sinks {
		if s.State == rotate.Verified || s.State == rotate.Adopted {
			refs = append(refs, s.Ref)
		}
	}
	return refs
}

// Known prefers the rotations: they know when a secret was made and removed.
func (w withJournal) Known(fingerprint string) (*entra.Record, error) {
	for _, r := range w.rotations {
		if record := recordOf(r, fingerprint); record != nil {
			return record, nil
		}
	}
	return w.Records.Known(fingerprint)
}

// recordOf is what a rotation knows of a value, nil for nothing.
func recordOf(r *rotate.Rotation, fingerprint string) *entra.Record {
	record := &entra.Record{Fingerprint: fingerprint, TenantID: r.Plan.TenantID, ClientID: r.Plan.ClientID}
	who := fmt.Sprintf("rotation %s of binding %s", r.ID, r.Binding)
	if n := r.New; n != nil && n.Fingerprint == fingerprint {
		record.KeyID, record.Hint, record.Seen = n.KeyID, n.Hint, n.At
		record.Minted = true
		record.Story = fmt.Sprintf("%s made this value on %s as secret %s", who, day(n.At), n.KeyID)
	} else if i := slices.IndexFunc(r.Plan.Sinks, func(k rotate.PlanSink) bool { return k.Prior == fingerprint && k.KeyID != "" }); i >= 0 {
		record.KeyID, record.Seen = r.Plan.Sinks[i].KeyID, r.Started
		record.Story = fmt.Sprintf("%s found this value in %s on %s as secret %s", who, r.Plan.Sinks[i].Ref, day(r.Started), record.KeyID)
		if n := r.New; n != nil && !r.Back {
			record.Story += fmt.Sprintf(", which secret %s replaced", n.KeyID)
			record.Instead = readBack(r)
		}
	} else {
		return nil
	}
	if slices.Contains(r.Removed, record.KeyID) {
		record.Removed = r.Updated
		record.Story += "; " + removal(r)
	}
	return record
}

// removal says when a rotation removed its old secret, and why.
func removal(r *rotate.Rotation) string {
	at := r.Checked // right before
	if at.IsZero() {
		at = r.Updated
	}
	because := ""
	switch {
	case r.Back:
		because = ", as it was rolled back"
	case r.Plan.Emergency:
		because = ", in an emergency"
	case r.Approved != "":
		because = ", as " + r.Approved + " approved"
	case r.Plan.Retire == rotate.OnExpiry:
		because = ", after its end"
	case !r.Overlap.From.IsZero():
		because = ", since nobody was seen to use it from " + minute(r.Overlap.From) + " on"
	}
	return "it removed that secret on " + minute(at) + because
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04Z") }

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// changesOf are the rotations as a comparison of settings sees them.
func changesOf(all []*rotate.Rotation) []drift.Change {
	var changes []drift.Change
	for _, r := range all {
		if r.New == nil || r.Back || r.State == rotate.RolledBack {
			continue
		}
		c := drift.Change{Rotation: r.ID, Binding: r.Binding, ClientID: r.Plan.ClientID, New: r.New.Fingerprint, At: r.New.At}
		if pending := func(s rotate.SinkProgress) bool { return s.State == rotate.Pending || s.State == rotate.Failed }; !r.State.Ended() && slices.ContainsFunc(r.Sinks, pending) {
			c.Open = string(r.Step)
		}
		for _, k := range r.Plan.Sinks {
			if k.Prior != "" && (k.KeyID == "" || slices.ContainsFunc(r.Plan.Old, func(s rotate.Secret) bool { return s.KeyID == k.KeyID })) {
				c.Replaced = append(c.Replaced, k.Prior)
			}
		}
		changes = append(changes, c)
	}
	return changes
}

// ownRotations are the rotations as changes that a log is held against.
func ownRotations(all []*rotate.Rotation, now time.Time) ([]logscan.Change, error) {
	var lines bytes.Buffer
	write := json.NewEncoder(&lines)
	for _, r := range all {
		one := rotationRecord{Rotation: r.ID, Binding: r.Binding, AppID: r.Plan.ClientID}
		if n := r.New; n != nil {
			one.At, one.State, one.New = n.At, r.ID, n.KeyID
			if err := write.Encode(one); err != nil {
				return nil, err
			}
		}
		if len(r.Removed) > 0 {
			one.At, one.State, one.New, one.Removed = r.Updated, r.ID, "", r.Removed
			if err := write.Encode(one); err != nil {
				return nil, err
			}
		}
	}
	return logscan.ReadChanges("credsmith's own record", &lines, now)
}

// rotationRecord is what the reader of changes knows as one of credsmith's own.
type rotationRecord struct {
	At       time.Time `json:"at"`
	Rotation string    `json:"rotation"`
	Binding  string    `json:"binding"`
	State    string    `json:"state"` // shown behind the binding
	AppID    string    `json:"app_id"`
	New      string    `json:"new_key_id,omitempty"`
	Removed  []string  `json:"removed_key_ids,omitempty"`
}
