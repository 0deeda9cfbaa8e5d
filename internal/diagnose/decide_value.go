package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// causeOfSlip is the cause that a slip shows as.
func causeOfSlip(s secret.Slip) Cause {
	switch s {
	case secret.Padded, secret.Broken:
		return "secret-whitespace"
	case secret.InQuotes:
		return "secret-quoted"
	}
	return "secret-encoded"
}

// undone says in words what was done to a value.
func undone(slips []secret.Slip) string {
	words := map[secret.Slip]string{
		secret.Padded: "without the invisible characters around it", secret.Broken: "without the invisible characters inside",
		secret.InQuotes: "without quotes", secret.PercentEscaped: "percent-decoded", secret.HTMLEscaped: "HTML-unescaped",
		secret.JSONEscaped: "without escapes", secret.Base64Encoded: "base64-decoded",
	}
	var parts []string
	for _, s := range slips {
		parts = append(parts, words[s])
	}
	return strings.Join(parts, ", then ")
}

// ruleCorrected: the value works once a slip is undone. Nothing proves a slip better.
func ruleCorrected(o *Observations) (finding, bool) {
	a, ok := o.slipOf()
	if !ok {
		return finding{}, false
	}
	f := finding{cause: causeOfSlip(a.Slips[0]), confidence: Confirmed, evidence: append(shapeEvidence(o), asIs(o)...)}
	f.evidence = append(f.evidence, probed(a))
	for _, slip := range a.Slips[1:] {
		if c := causeOfSlip(slip); c != f.cause {
			f.also = append(f.also, Also{c, Confirmed})
		}
	}
	f.also = append(f.also, nextFault(a)...)
	return f, true
}

// nextFault is what stays wrong once a slip is undone.
func nextFault(a Attempt) []Also {
	switch a.code() {
	case 7000222:
		return []Also{{"secret-expired", Confirmed}} // the value as it is was not even known
	}
	if cause, ok := causeOfCode(a.code()); ok && (secretTaken(a.code()) || scopeRefused(a.code())) {
		return []Also{{cause, Confirmed}}
	}
	return nil
}

// shapeEvidence says what can be seen of the value without showing it.
func shapeEvidence(o *Observations) []Evidence {
	shape := o.Case.Setting.Value.Shape()
	source := o.Case.Setting.Origin
	found := []Evidence{{FromShape, fmt.Sprintf("the value has %d characters and looks like %s", shape.Length, inWords(shape.Kind)), source}}
	for _, i := range shape.Invisible {
		found = append(found, Evidence{FromShape, i.String(), source})
		if len(found) == 6 {
			break
		}
	}
	return found
}

func inWords(k secret.Kind) string {
	return map[secret.Kind]string{
		secret.Empty: "nothing", secret.EntraQ: "a client secret of today's form", secret.Placeholder: "a placeholder",
		secret.Quoted: "a value in quotes", secret.GUID: "a GUID", secret.PercentEncoded: "a percent-encoded value",
		secret.Base64: "base64 of readable text", secret.Legacy: "a client secret of an older form", secret.Unknown: "no known form of client secret",
	}[k]
}

func asIs(o *Observations) []Evidence {
	if a, ok := o.first(AsIs); ok {
		return []Evidence{probed(a)}
	}
	return nil
}

// ruleAgain: the same request was refused and then accepted.
func ruleAgain(o *Observations) (finding, bool) {
	a, ok := o.success(Again)
	if !ok {
		return finding{}, false
	}
	f := finding{
		cause: "secret-propagating", confidence: Confirmed, evidence: asIs(o),
		summary: fmt.Sprintf("The secret is new: it was refused, and %s later accepted. Sign-in servers learn of a secret one by one.", round(o.watched())),
	}
	f.evidence = append(f.evidence, Evidence{FromProbe, fmt.Sprintf("the same request %s later: %s", round(o.watched()), outcome(a)), "token endpoint"})
	if c, live := o.hintedLive(); live {
		f.key = c
		f.evidence = append(f.evidence, keyEvidence(o, c))
	}
	return f, true
}

// keyEvidence says what the directory knows of a credential.
func keyEvidence(o *Observations, c entra.Credential) Evidence {
	return Evidence{FromGraph, fmt.Sprintf("%s, hint %s, valid from %s to %s", name(c), c.Hint, date(c.Start), date(c.End)), "Microsoft Graph, " + string(c.On)}
}

func name(c entra.Credential) string {
	if c.DisplayName == "" {
		return "secret " + c.KeyID
	}
	return fmt.Sprintf("secret '%s' (%s)", c.DisplayName, c.KeyID)
}

// ruleExpired: the service itself says expired; the directory proves that it
// is this value's secret.
func ruleExpired(o *Observations) (finding, bool) {
	a, ok := o.first(AsIs)
	if !ok || a.code() != 7000222 {
		return finding{}, false
	}
	f := finding{cause: "secret-expired", confidence: Likely, evidence: []Evidence{probed(a)}}
	for _, c := range o.hinted() {
		if o.past(c) {
			f.confidence, f.key = Confirmed, c
			f.summary = fmt.Sprintf("The %s ended on %s.", name(c), date(c.End))
			f.evidence = append(f.evidence, keyEvidence(o, c))
			return f, true
		}
	}
	if !o.home() {
		f.unknown = append(f.unknown, Unknown{"secret-unknown", "the answer names no secret: a few reports have it for a wrong value while the app's other secrets are expired", needGraph})
		return f, true
	}
	f.also = append(f.also, Also{"secret-unknown", Possible})
	f.evidence = append(f.evidence, Evidence{FromGraph, "no expired secret of the app has the value's hint", "Microsoft Graph"})
	return f, true
}

const needGraph = "run again with --graph and an operator identity that has Application.Read.All and AuditLog.Read.All"

// ruleValue is for a value that stays refused after everything was tried.
func ruleValue(o *Observations) (finding, bool) {
	if !o.valueRefused() {
		return finding{}, false
	}
	for _, rule := range []func(*Observations) (finding, bool){
		ruleSecretID, rulePlaceholder, ruleCopy, ruleKnownRemoved, ruleHinted, ruleTruncated, ruleRemoved,
	} {
		if f, ok := rule(o); ok {
			f.evidence = append(append(shapeEvidence(o), asIs(o)...), f.evidence...)
			return f, true
		}
	}
	return ruleUnplaced(o), true
}

func ruleSecretID(o *Observations) (finding, bool) {
	if c, ok := o.secretID(); ok {
		return finding{
			cause: "secret-id-used", confidence: Confirmed, key: c,
			summary:  fmt.Sprintf("The value configured is the Secret ID of %s, not its value.", name(c)),
			evidence: []Evidence{{FromGraph, "the app has a secret with this Secret ID", "Microsoft Graph, " + string(c.On)}},
		}, true
	}
	if !o.looksLikeID() {
		return finding{}, false
	}
	f := finding{cause: "secret-id-used", confidence: Likely}
	switch {
	case holdsID(o.Case.Setting.Value, o.Case.Setting.ClientID):
		f.cause, f.confidence, f.summary = "secret-unknown", Likely, "The value configured is the client id, not a secret."
	case o.home():
		// It may be the id of a secret that is gone, or of another app's.
		f.confidence = Possible
		f.evidence = []Evidence{{FromGraph, "none of the app's secrets has this Secret ID", "Microsoft Graph"}}
	default:
		f.unknown = []Unknown{{"secret-id-used", "some old secrets are GUIDs too", needGraph}}
	}
	return f, true
}

func rulePlaceholder(o *Observations) (finding, bool) {
	return finding{cause: "secret-placeholder", confidence: Confirmed}, o.Case.Setting.Value.Shape().Kind == secret.Placeholder
}

// removal finds the audit entry that removed a credential; "" means any.
func removal(o *Observations, keyID string) (Evidence, bool) {
	for _, change := range o.Directory.Changes {
		for _, ref := range change.Removed {
			if keyID == "" || entra.SameGUID(ref.KeyID, keyID) {
				c := entra.Credential{KeyID: ref.KeyID, DisplayName: ref.DisplayName}
				by := ""
				if change.By != "" {
					by = " by " + change.By
				}
				return Evidence{FromAudit, fmt.Sprintf("%s was removed on %s%s", name(c), date(change.At), by), "directory audit log"}, true
			}
		}
	}
	return Evidence{}, false
}

// ruleHinted: a secret of the app begins like the value.
func ruleHinted(o *Observations) (finding, bool) {
	hinted := o.hinted()
	if len(hinted) == 0 {
		return finding{}, false
	}
	shape := o.Case.Setting.Value.Shape()
	c := hinted[0]
	if live, ok := o.hintedLive(); ok {
		c = live
	}
	f := finding{key: c, confidence: Confirmed, evidence: []Evidence{keyEvidence(o, c)}}
	short := shape.Kind == secret.EntraQ && !shape.Whole && shape.Length < 40
	switch {
	case o.ahead(c):
		f.cause = "secret-not-yet-valid"
		f.summary = fmt.Sprintf("The %s starts only on %s.", name(c), date(c.Start))
	case o.past(c):
		// An expired secret with the right text would have said 7000222.
		f.cause, f.confidence = "secret-typo", Likely
		f.also = []Also{{"secret-expired", Likely}}
	case short:
		f.cause = "secret-truncated"
		f.summary = fmt.Sprintf("The value begins like %s and has only %d characters.", name(c), shape.Length)
		if shape.Length >= almostWhole { // which one is missing, the last or another, cannot be seen
			f.confidence, f.also = Likely, []Also{{"secret-typo", Likely}}
		}
	case o.isYoung(c):
		f.cause, f.confidence = "secret-propagating", Likely
		f.also = []Also{{"secret-typo", Possible}}
		f.evidence = append(f.evidence, Evidence{FromTime, fmt.Sprintf("the secret is %s old; under %s a refusal may pass", max(round(o.now().Sub(c.Start)), 0), inMinutes(Young)), "Microsoft Graph"})
		f.unknown = []Unknown{{"secret-typo", "the secret is too young to blame the value", "run again with --wait 5m"}}
	default:
		f.cause = "secret-typo"
		f.summary = fmt.Sprintf("The value begins like %s but is not its value.", name(c))
	}
	if unheard := slices.IndexFunc(o.Attempts, func(a Attempt) bool { return a.Purpose == Corrected && a.busy() }); unheard >= 0 && f.confidence == Confirmed {
		f.confidence = Likely // that correction might have been the one
		f.unknown = append(f.unknown, Unknown{causeOfSlip(o.Attempts[unheard].Slips[0]), "the service did not look at the corrected value", "try again later"})
	}
	return f, true
}

func ruleTruncated(o *Observations) (finding, bool) {
	shape := o.Case.Setting.Value.Shape()
	if shape.Kind != secret.EntraQ || shape.Whole || shape.Length > 40 {
		return finding{}, false
	}
	f := finding{cause: "secret-truncated", confidence: Likely, summary: fmt.Sprintf("The value has the form of a client secret but only %d characters.", shape.Length)}
	if shape.Length >= almostWhole {
		f.also = []Also{{"secret-typo", Possible}}
	}
	if o.home() {
		f.evidence = []Evidence{{FromGraph, "no secret of the app has the value's hint", "Microsoft Graph"}}
		f.also = append(f.also, Also{"secret-unknown", Likely})
	}
	return f, true
}

// almostWhole is the length at which one character is missing: cut off, or
// dropped while typing.
const almostWhole = 39

// ruleRemoved: no secret of the app begins like the value, and the audit log
// shows one removed. The log holds no hint, so this is as sure as it gets.
func ruleRemoved(o *Observations) (finding, bool) {
	if !o.home() || o.Directory.App == nil || o.Case.Setting.Value.Shape().Hint == "" {
		return finding{}, false
	}
	e, ok := removal(o, "")
	if !ok {
		return finding{}, false
	}
	return finding{
		cause: "secret-deleted", confidence: Likely,
		evidence: []Evidence{{FromGraph, noHint(o), "Microsoft Graph"}, e},
		also:     []Also{{"secret-unknown", Possible}},
		unknown:  []Unknown{{"secret-deleted", "the audit log does not hold hints, so the removed secret may be another one", "let credsmith see settings while they work: it remembers which secret each value is"}},
	}, true
}

func noHint(o *Observations) string {
	return fmt.Sprintf("none of the app's %d secrets has the value's hint", len(o.Directory.App.Credentials))
}

// ruleUnplaced says unknown as unknown.
func ruleUnplaced(o *Observations) finding {
	f := finding{cause: "secret-unknown", confidence: Likely, evidence: append(shapeEvidence(o), asIs(o)...)}
	if o.home() && o.Directory.App != nil {
		f.evidence = append(f.evidence, Evidence{FromGraph, noHint(o), "Microsoft Graph"})
		f.unknown = []Unknown{{"secret-of-other-tenant", "apps of other tenants cannot be seen", "run again with that tenant's id and client id"}}
		return f
	}
	because := "without the directory nothing tells them apart"
	if o.DirectoryErr != nil && !isNoOperator(o.DirectoryErr) {
		because = "the directory could not be read: " + o.DirectoryErr.Error()
	}
	for _, c := range []Cause{"secret-deleted", "secret-of-other-app", "secret-typo", "secret-propagating"} {
		f.also = append(f.also, Also{c, Possible})
		f.unknown = append(f.unknown, Unknown{c, because, needGraph})
	}
	return f
}
