package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/credsmith/credsmith/internal/audit"
	"github.com/credsmith/credsmith/internal/entra"
)

// Orphan is a secret whose name says that a rotation made it, and that no
// rotation accounts for.
type Orphan struct {
	KeyID     string       `json:"key_id"`
	Name      string       `json:"name"`
	On        entra.Holder `json:"on"`
	OnID      string       `json:"object_id"`
	Rotation  string       `json:"rotation"`
	Says      string       `json:"says"`
	Removable bool         `json:"removable"` // by the journal's own evidence
	Removed   bool         `json:"removed"`
}

// Orphans returns the orphans of the binding's app. One may go only if the
// journal knows the rotation that made it, that rotation is over and made
// another secret or none, nobody has signed in with it, and no place holds
// something that starts like it. Whatever else bears our name may be of another
// journal, or forged: it is told of and left alone.
func (e *Engine) Orphans(ctx context.Context) ([]Orphan, error) {
	s, err := e.directory.Snapshot(ctx, e.binding.ClientID)
	if err != nil {
		return nil, fmt.Errorf("read app %s: %w", e.binding.ClientID, err)
	}
	found := []Orphan{}
	if s.App == nil {
		return found, nil
	}
	var hints []string // of what the places hold
	for _, k := range e.binding.Sinks {
		if !k.Abilities().ReadBack {
			continue
		}
		held, err := k.Read(ctx)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", k.Ref(), err)
		}
		hints = append(hints, held.Value.Shape().Hint)
	}
	for _, c := range s.App.Credentials {
		m, ours := parseMark(c.DisplayName)
		if !ours {
			continue
		}
		o := Orphan{KeyID: keyID(c.KeyID), Name: c.DisplayName, On: c.On, OnID: objectOf(s.App, c.On), Rotation: m.rotation}
		known, err := e.account(ctx, &o, m)
		if err != nil {
			return nil, err
		}
		switch {
		case known:
			continue
		case o.Says != "":
		case slices.Contains(hints, c.Hint):
			o.Says = "a place holds a value that starts like it: it is left alone"
		case s.Server.Sub(c.Start) < absentOver:
			o.Says = "it was added just now: look again in " + absentOver.String()
		default:
			if err := e.unused(ctx, &o, s); err != nil {
				return nil, err
			}
		}
		found = append(found, o)
	}
	return found, nil
}

// account reports whether a rotation accounts for a secret, and says why a
// rotation does not.
func (e *Engine) account(ctx context.Context, o *Orphan, m mark) (known bool, err error) {
	r, err := e.journal.Rotation(ctx, m.rotation)
	switch {
	case errors.Is(err, ErrNone):
		o.Says = "this database knows no such rotation: another one made it, or somebody who wants it to look so; it is left alone"
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look rotation %s up: %w", m.rotation, err)
	case !entra.SameGUID(r.Plan.ClientID, e.binding.ClientID), !entra.SameGUID(r.Plan.TenantID, e.binding.TenantID), r.Generation != m.generation:
		o.Says = "that rotation was of another app, or has another number: the name is a copy; it is left alone"
		return false, nil
	}
	return !r.State.Ended() || r.State == Done && r.New != nil && r.New.KeyID == o.KeyID, nil
}

// unused asks the sign-in log about an orphan.
func (e *Engine) unused(ctx context.Context, o *Orphan, s entra.Snapshot) error {
	use, err := e.directory.SecretUse(ctx, e.binding.ClientID, s.Server.Add(-logKept))
	switch kind := entra.RefusedAs(err); {
	case kind == entra.RefusedLicence, kind == entra.RefusedPermission:
		o.Says = "nobody can see whether it is used: it is left alone until it expires"
	case err != nil:
		return err
	case !use.Last[o.KeyID].IsZero():
		o.Says = "somebody signed in with it on " + use.Last[o.KeyID].UTC().Format(time.RFC3339) + ": somebody has its value; it is left alone"
	case !use.Last[""].IsZero():
		o.Says = "the log does not tell of every sign-in which secret it used: it is left alone until it expires"
	default:
		o.Removable, o.Says = true, "its rotation is over and made another secret, or none: nobody has its value"
	}
	return nil
}

// Sweep removes the orphans that may go, each after one more look.
func (e *Engine) Sweep(ctx context.Context) ([]Orphan, error) {
	if err := e.notPaused(ctx); err != nil {
		return nil, err
	}
	found, err := e.Orphans(ctx)
	if err != nil {
		return nil, err
	}
	for i := range found {
		o := &found[i]
		if !o.Removable {
			continue
		}
		entry := audit.Entry{
			At: e.now(), Actor: e.actor, Action: audit.Remove, Outcome: audit.Intent, TenantID: e.binding.TenantID, ClientID: e.binding.ClientID,
			Rotation: o.Rotation, KeyID: o.KeyID, Detail: "orphan: " + o.Says,
		}
		if err := e.journal.Record(ctx, entry); err != nil {
			return found, err
		}
		err := e.call(ctx, "sweep", func(ctx context.Context) error { return e.directory.Remove(ctx, o.On, o.OnID, o.KeyID) })
		entry.At, entry.Outcome = e.now(), audit.Done
		if err != nil {
			entry.Outcome, entry.Detail = audit.Unknown, err.Error()
		}
		if saveErr := e.journal.Record(context.WithoutCancel(ctx), entry); saveErr != nil || err != nil {
			return found, errors.Join(err, saveErr)
		}
		o.Removed = true
	}
	return found, nil
}
