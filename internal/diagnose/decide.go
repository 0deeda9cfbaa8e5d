package diagnose

import (
	"errors"
	"fmt"
	"slices"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// finding is a verdict in the making.
type finding struct {
	verdict    Verdict // zero value means Broken
	cause      Cause
	confidence Confidence
	summary    string // in place of the cause's own sentence
	evidence   []Evidence
	also       []Also
	unknown    []Unknown
	app        entra.App        // the app to act on, when it is not the setting's
	key        entra.Credential // the credential it is about
	steps      []Fix            // before the cause's own
	stepsAlone bool             // or in their place
}

// Decide names the one cause that the observations speak for. It is pure.
func Decide(o *Observations) Report {
	var f finding
	for _, rule := range []func(*Observations) (finding, bool){
		ruleErrorAlone, ruleEmpty, ruleSecretAsTenant, ruleOffline, ruleUnreachable, ruleTenant, ruleSwapped, ruleCaptured, ruleAccepted, ruleScope,
		ruleCleanedID, ruleElsewhere, ruleCorrected, ruleTrueClientID, ruleOtherApp, ruleAbroad, ruleAgain,
		ruleBusy, ruleClock, ruleExpired, ruleValue, ruleAppUnknown, ruleWord,
	} {
		var ok bool
		if f, ok = rule(o); ok {
			break
		}
	}
	f = ruleBlocked(o, f)
	if f.verdict == "" {
		f.verdict = Broken
	}
	return report(o, f)
}

func report(o *Observations, f finding) Report {
	r := Report{
		Schema: Schema, Verdict: f.verdict, Confidence: f.confidence, Summary: f.summary,
		Setting: settingFacts(o.Case), Evidence: append([]Evidence{}, f.evidence...), RuledOut: exclusions(o, f),
		Also: append([]Also{}, f.also...), CannotTell: append([]Unknown{}, f.unknown...), Fix: fixes(o, f),
	}
	if f.cause != "" {
		r.Cause = &f.cause
		if r.Summary == "" {
			info, _ := Lookup(f.cause)
			r.Summary = info.Says
		}
	}
	if f.verdict != Working {
		status := 0
		if a, ok := o.first(AsIs); ok && a.Answer != nil {
			status = a.Answer.Status
		}
		r.Error = errorFacts(o.refusal(), status)
		if _, ok := o.success(AsIs); ok && o.Access == nil && o.AccessErr == nil {
			r.Error = errorFacts(o.Case.Seen, 0)
		}
	}
	r.Setting.TenantID, r.Setting.ClientID = secret.Shown(r.Setting.TenantID), secret.Shown(r.Setting.ClientID)
	r.Evidence = slices.Concat(r.Evidence, useEvidence(o, f), openEvidence(o), commonEvidence(o))
	return r
}

// commonEvidence is what every report of a question asked over the network holds.
func commonEvidence(o *Observations) []Evidence {
	var found []Evidence
	if skew, known := o.skew(); known && skew.Abs() >= maxSkew {
		found = append(found, Evidence{FromTime, fmt.Sprintf("this machine's clock differs from the authority's by %s", round(skew)), "Date header"})
	}
	if o.DirectoryErr != nil && !isNoOperator(o.DirectoryErr) {
		found = append(found, Evidence{FromGraph, "the directory could not be read: " + o.DirectoryErr.Error(), "Microsoft Graph"})
	}
	if o.Directory != nil && o.Directory.ChangesErr != nil {
		found = append(found, Evidence{FromAudit, o.Directory.ChangesErr.Error(), "Microsoft Graph"})
	}
	if len(o.Attempts) > 0 {
		found = append(found, Evidence{FromProbe, sent(o.requests()), o.Case.Setting.Authority})
	}
	return found
}

// ruleErrorAlone has no setting to look at: the error names a cause by its
// code, or leaves several open.
func ruleErrorAlone(o *Observations) (finding, bool) {
	if !o.Case.Alone {
		return finding{}, false
	}
	const source = "the error given"
	f := finding{verdict: Inconclusive, confidence: Possible}
	f.unknown = []Unknown{{"secret-unknown", "there is no setting to try", "run credsmith doctor where the app's setting is, or name it with --tenant, --client-id and --secret-file"}}
	if clue := o.Case.Clue; clue != nil {
		f.summary, f.steps = clue.Says, []Fix{{Do: clue.Do}}
	}
	seen := o.Case.Seen
	if seen == nil {
		return f, true
	}
	f.evidence = []Evidence{{FromFile, "it says " + failureName(*seen), source}}
	cause, named := causeOfCode(seen.Code)
	if seen.Code == 7000222 {
		cause, named = "secret-expired", true
	}
	if named {
		f.verdict, f.cause, f.confidence, f.unknown = Broken, cause, Likely, nil
		return f, true
	}
	for _, info := range CausesOf(*seen) {
		f.also = append(f.also, Also{info.Cause, Possible})
	}
	entry, known := aadsts.Lookup(seen.Code)
	switch {
	case f.summary != "":
	case len(f.also) > 1:
		f.summary = failureName(*seen) + " has several causes; the text alone does not tell which."
	case known:
		f.summary, f.steps = entry.Cause, []Fix{{Do: entry.Remedy}}
	default:
		f.summary = "The text alone tells no cause."
	}
	return f, true
}

// failureName is the code of a failure, or the OAuth error when it lost its code.
func failureName(f aadsts.Failure) string {
	if f.Code != 0 {
		return fmt.Sprintf("AADSTS%d", f.Code)
	}
	return f.OAuthError
}

// ruleEmpty needs no experiment: there is nothing to send.
func ruleEmpty(o *Observations) (finding, bool) {
	return finding{
		cause: "secret-empty", confidence: Confirmed,
		evidence: []Evidence{{FromShape, "the secret is set and holds no character", o.Case.Setting.Origin}},
	}, o.Case.Setting.Value.Shape().Length == 0
}

func ruleUnreachable(o *Observations) (finding, bool) {
	d, _ := o.discovery()
	err := d.Err
	if a, ok := o.first(AsIs); ok && a.Err != nil {
		err = a.Err
	}
	if err == nil {
		return finding{}, false
	}
	f := finding{verdict: Inconclusive, cause: "network-refused", confidence: Confirmed, summary: err.Error()}
	if u, ok := errors.AsType[*entra.Unreachable](err); ok {
		f.cause, f.confidence = causeOfObstacle(u.Obstacle)
		f.evidence = []Evidence{{FromNetwork, u.Because, u.Address}}
		f.steps = []Fix{{Do: sentence(u.Hint)}}
	}
	return f, true
}

func causeOfObstacle(obstacle entra.Obstacle) (Cause, Confidence) {
	switch obstacle {
	case entra.NoName:
		return "network-dns", Confirmed
	case entra.BadTLS:
		return "network-tls", Confirmed
	case entra.BadProxy:
		return "network-proxy", Confirmed
	case entra.Redirected, entra.NotEntra:
		return "network-proxy", Likely
	case entra.Refused, entra.TimedOut:
		return "network-refused", Confirmed
	}
	return "network-refused", Likely
}

// ruleBusy leaves the question open: a busy service says nothing of a secret.
func ruleBusy(o *Observations) (finding, bool) {
	d, _ := o.discovery()
	answer, said := d.Answer, Evidence{FromProbe, "discovery: " + heard(d.Answer), "discovery document"}
	if a, ok := o.first(AsIs); ok {
		answer, said = a.Answer, probed(a)
	}
	if answer == nil || !unheard(answer, nil) {
		return finding{}, false
	}
	f := finding{verdict: Inconclusive, cause: "service-unavailable", confidence: Confirmed, evidence: []Evidence{said}}
	if answer.Status == 429 || answer.Failure != nil && answer.Failure.Code == requestLoop {
		f.cause = "throttled"
	}
	if answer.RetryAfter > 0 {
		f.evidence = append(f.evidence, Evidence{FromProbe, fmt.Sprintf("the service asks to wait %s", answer.RetryAfter), "Retry-After header"})
	}
	f.unknown = []Unknown{{"secret-unknown", "the service did not look at the secret", "try again after the pause"}}
	return f, true
}

// heard is what an answer that says nothing looked like.
func heard(a *entra.Answer) string {
	if a == nil {
		return "no answer"
	}
	return fmt.Sprintf("HTTP %d", a.Status)
}

func sent(n int) string {
	if n == 1 {
		return "one token request was sent"
	}
	return fmt.Sprintf("%d token requests were sent", n)
}

func transient(code int) bool {
	entry, ok := aadsts.Lookup(code)
	return ok && entry.Transient
}

// probed says what came of an attempt.
func probed(a Attempt) Evidence {
	return Evidence{FromProbe, describe(a) + ": " + outcome(a), "token endpoint"}
}

func describe(a Attempt) string {
	switch a.Purpose {
	case AsIs:
		if a.Request.Raw != nil {
			return "the request as captured"
		}
		return "the setting as it is"
	case Again:
		return "the same once more"
	case Corrected:
		return "the value " + undone(a.Slips)
	case Swapped:
		return "client id and value exchanged"
	case CleanedID:
		return "the ids without blanks and quotes"
	case OtherTenant:
		return "the same at tenant " + a.Request.TenantID
	case OtherClientID, TrueClientID:
		return fmt.Sprintf("the value with client id %s (%s)", a.Request.ClientID, a.App.DisplayName)
	case OtherCopy:
		return "another copy of the setting"
	case ValueAbroad:
		return "the same value and client id at tenant " + a.Request.TenantID
	case Rescoped:
		return "the same with the scope " + a.Request.Scope
	case Reshaped:
		return "the same parameters sent as a proper form"
	}
	return string(a.Purpose)
}

func outcome(a Attempt) string {
	switch {
	case a.accepted():
		return "accepted, a token was issued"
	case a.Err != nil:
		return a.Err.Error()
	case a.code() != 0:
		return fmt.Sprintf("refused with AADSTS%d", a.code())
	case a.Answer.Failure != nil && a.Answer.Failure.OAuthError != "":
		return "refused with " + a.Answer.Failure.OAuthError
	}
	return fmt.Sprintf("HTTP %d", a.Answer.Status)
}
