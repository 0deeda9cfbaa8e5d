package diagnose

import (
	"fmt"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
)

// ruleKnownRemoved: credsmith saw this very value accepted, knows which secret
// it was, and that secret is gone.
func ruleKnownRemoved(o *Observations) (finding, bool) {
	if o.Record == nil || !entra.SameGUID(o.Record.ClientID, o.Case.Setting.ClientID) {
		return finding{}, false
	}
	if !o.home() || o.Directory.App == nil {
		if f, ok := removedByRotation(o); ok {
			return f, true
		}
		return ruleRecorded(o)
	}
	if _, there := o.Directory.App.ByKeyID(o.Record.KeyID); there {
		return finding{}, false
	}
	f := finding{
		cause: "secret-deleted", confidence: Confirmed, key: entra.Credential{KeyID: o.Record.KeyID, Hint: o.Record.Hint},
		summary: fmt.Sprintf("The value belongs to secret %s, which has been removed from the app.", o.Record.KeyID),
		evidence: []Evidence{
			remembered(o.Record),
			{FromGraph, "the app has no secret with that Secret ID any more", "Microsoft Graph"},
		},
	}
	if e, ok := removal(o, o.Record.KeyID); ok {
		f.evidence = append(f.evidence, e)
	}
	return takeTheNewOne(o, f), true
}

// takeTheNewOne: a value that was replaced needs no new secret.
func takeTheNewOne(o *Observations, f finding) finding {
	if places := o.Record.Instead; len(places) > 0 {
		f.steps = []Fix{{Do: "Put the value here that the rotation wrote to " + strings.Join(places, ", ") + ", and add this place to the binding's sinks."}, prove}
		f.stepsAlone = true
	}
	return f
}

func remembered(r *entra.Record) Evidence {
	says := r.Story
	if says == "" {
		says = fmt.Sprintf("on %s this value was accepted and was secret %s", date(r.Seen), r.KeyID)
	}
	return Evidence{FromFile, says, "credsmith's own records"}
}

// removedByRotation needs no directory: credsmith removed the secret itself,
// saw it gone, and the token endpoint refuses the value.
func removedByRotation(o *Observations) (finding, bool) {
	a, sent := o.first(AsIs)
	if o.Record.Removed.IsZero() || !sent || !aboutValue(a.code()) {
		return finding{}, false
	}
	f := finding{
		cause: "secret-deleted", confidence: Confirmed, key: entra.Credential{KeyID: o.Record.KeyID, Hint: o.Record.Hint},
		summary:  fmt.Sprintf("The value belongs to secret %s, which a rotation has removed from the app.", o.Record.KeyID),
		evidence: []Evidence{remembered(o.Record)},
	}
	return takeTheNewOne(o, f), true
}

// ruleRecorded has no directory, but this value was once a secret of the app.
func ruleRecorded(o *Observations) (finding, bool) {
	a, sent := o.first(AsIs)
	if !sent || a.code() != 7000215 || !entra.SameGUID(o.Record.TenantID, o.tenant()) {
		return finding{}, false
	}
	key := entra.Credential{KeyID: o.Record.KeyID, Hint: o.Record.Hint}
	f := finding{cause: "secret-deleted", confidence: Likely, key: key, evidence: []Evidence{remembered(o.Record)}}
	f.summary = fmt.Sprintf("The value was secret %s of the app, and is refused now.", key.KeyID)
	f.unknown = []Unknown{{"secret-deleted", "without the directory it is not seen whether that secret is still there", needGraph}}
	if age := o.now().Sub(o.Record.Seen); o.Record.Minted && age < Young {
		f.cause, f.summary, f.also = "secret-propagating", "", []Also{{"secret-deleted", Possible}}
		f.evidence = append(f.evidence, Evidence{FromTime, fmt.Sprintf("the secret is %s old; under %s a refusal may pass", max(round(age), 0), inMinutes(Young)), "credsmith's own records"})
		return f, true
	}
	return takeTheNewOne(o, f), true
}

// Rotation is a rotation of the case's app that has not ended.
type Rotation struct {
	ID, Binding string
	Step        string
	Next        string   // what happens next, or what a person has to do
	Written     []string // the places that hold the new value
}

// openEvidence names the rotation that is under way where a secret is refused.
func openEvidence(o *Observations) []Evidence {
	r := o.Case.Rotation
	if r == nil || !o.valueRefused() {
		return nil
	}
	says := fmt.Sprintf("rotation %s of binding %s has not ended: it stands at %s", r.ID, r.Binding, r.Step)
	if r.Next != "" {
		says += "; " + r.Next
	}
	return []Evidence{{FromFile, says, "credsmith's own records"}}
}

// secretStep is the step that gets the app a new secret: the binding's own
// rotation where there is one, and no second secret where one was made.
func secretStep(o *Observations) Fix {
	r := o.Case.Rotation
	switch {
	case r == nil:
		return newSecret
	case len(r.Written) == 0:
		return Fix{Do: "Go on with rotation " + r.ID + ", which has not ended; add no other secret.", Run: "credsmith rotate resume " + r.Binding}
	}
	return Fix{Do: "Put the value here that rotation " + r.ID + " wrote to " + strings.Join(r.Written, ", ") + ", and add this place to the sinks of binding " + r.Binding + "; add no other secret."}
}
