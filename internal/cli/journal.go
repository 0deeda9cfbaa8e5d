package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/drift"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/logscan"
	"github.com/credsmith/credsmith/internal/rotate"
)

// journal returns the rotations that the configured store knows, newest first,
// for commands that gain from them and go on without: none where there is no
// configuration or no store, and a warning where it cannot be read.
func (p *program) journal(ctx context.Context) []*rotate.Rotation {
	if c, err := p.configuration(); err != nil || c == nil || c.Store.IsZero() {
		return nil // a configuration that is wrong is told of where it is needed
	}
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
	rotations []*rotate.Rotation
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
		record.Story = fmt.Sprintf("%s made this value on %s as secret %s", who, day(n.At), n.KeyID)
	} else if i := slices.IndexFunc(r.Plan.Sinks, func(k rotate.PlanSink) bool { return k.Prior == fingerprint && k.KeyID != "" }); i >= 0 {
		record.KeyID, record.Seen = r.Plan.Sinks[i].KeyID, r.Started
		record.Story = fmt.Sprintf("%s found this value in %s on %s as secret %s", who, r.Plan.Sinks[i].Ref, day(r.Started), record.KeyID)
		if n := r.New; n != nil && !r.Back {
			record.Story += fmt.Sprintf(", which secret %s replaced", n.KeyID)
			for _, s := range r.Sinks {
				if s.State == rotate.Verified || s.State == rotate.Adopted {
					record.Instead = append(record.Instead, s.Ref)
				}
			}
		}
	} else {
		return nil
	}
	if slices.Contains(r.Removed, record.KeyID) {
		record.Removed = r.Updated
		record.Story += fmt.Sprintf("; it removed that secret by %s", day(r.Updated))
	}
	return record
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// changesOf are the rotations as a comparison of settings sees them.
func changesOf(all []*rotate.Rotation) []drift.Change {
	var changes []drift.Change
	for _, r := range all {
		if r.New == nil || r.Back || r.State == rotate.RolledBack {
			continue
		}
		c := drift.Change{Rotation: r.ID, Binding: r.Binding, ClientID: r.Plan.ClientID, New: r.New.Fingerprint, At: r.New.At}
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
