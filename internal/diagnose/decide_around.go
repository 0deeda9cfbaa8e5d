package diagnose

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// maxSkew is how far a clock may be off before it is worth a word.
const maxSkew = 5 * time.Minute

// skew is how much this machine's clock is ahead of the authority's.
func (o *Observations) skew() (time.Duration, bool) {
	for _, d := range o.Discoveries {
		if d.Answer != nil && !d.Answer.Date.IsZero() && !d.Answer.Asked.IsZero() {
			return d.Answer.Asked.Sub(d.Answer.Date), true
		}
	}
	return 0, false
}

func isNoOperator(err error) bool { return errors.Is(err, errNoOperator) }

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04Z") }

func round(d time.Duration) time.Duration { return d.Round(time.Second) }

func inMinutes(d time.Duration) string { return fmt.Sprintf("%d minutes", int(d.Minutes())) }

// ruleOffline reads the setting and the error only: nothing is proven.
func ruleOffline(o *Observations) (finding, bool) {
	if !o.Case.Offline {
		return finding{}, false
	}
	f := finding{verdict: Inconclusive, confidence: Possible, summary: "Without the network nothing can be proven.", evidence: shapeEvidence(o)}
	f.unknown = []Unknown{{"secret-unknown", "nobody was asked", "run again without --no-network"}}
	suspect := func(c Cause, confidence Confidence) (finding, bool) {
		f.verdict, f.cause, f.confidence, f.summary = Broken, c, confidence, ""
		return f, true
	}
	s := o.Case.Setting
	switch entra.FormOfTenant(s.TenantID) {
	case entra.TenantPlaceholder:
		return suspect("tenant-placeholder", Likely)
	case entra.TenantMalformed:
		return suspect("tenant-malformed", Likely)
	case entra.TenantShared:
		return suspect("authority-common", Likely)
	}
	if !entra.IsGUID(s.ClientID) {
		return suspect("client-id-malformed", Likely)
	}
	shape := s.Value.Shape()
	if shape.Kind == secret.Placeholder {
		return suspect("secret-placeholder", Likely)
	}
	if corrections := s.Value.Corrections(); len(corrections) > 0 {
		return suspect(causeOfSlip(corrections[0].Slips[0]), Likely)
	}
	switch {
	case shape.Kind == secret.GUID:
		return suspect("secret-id-used", Likely)
	case shape.Kind == secret.EntraQ && !shape.Whole:
		return suspect("secret-truncated", Likely)
	}
	if o.Case.Seen != nil {
		causes := CausesOf(*o.Case.Seen)
		if len(causes) == 1 {
			return suspect(causes[0].Cause, Likely)
		}
		for _, info := range causes {
			f.also = append(f.also, Also{info.Cause, Possible})
		}
	}
	return f, true
}

// ruleCaptured: the same parameters work once the request is put right.
func ruleCaptured(o *Observations) (finding, bool) {
	a, ok := o.first(AsIs)
	if !ok || o.Case.Captured == nil || a.accepted() || len(o.Case.Captured.Faults) == 0 {
		return finding{}, false
	}
	faults := o.Case.Captured.Faults
	f := finding{cause: faults[0].Cause, confidence: Likely, summary: faults[0].Says, evidence: []Evidence{probed(a)}}
	for _, fault := range faults[1:] {
		f.also = append(f.also, Also{fault.Cause, Likely})
	}
	reshaped, sent := o.first(Reshaped)
	if !sent {
		return f, true
	}
	f.evidence = append(f.evidence, probed(reshaped))
	if !reshaped.accepted() {
		return finding{}, false // something else is wrong as well: let the other rules speak
	}
	f.confidence = Confirmed
	return f, true
}

// ruleAccepted: the setting works. Whether all is well depends on what the
// token may do and on the error that the user saw.
func ruleAccepted(o *Observations) (finding, bool) {
	a, ok := o.success(AsIs)
	if !ok {
		return finding{}, false
	}
	f := finding{verdict: Working, confidence: Confirmed, summary: "The setting signs in.", evidence: []Evidence{probed(a)}}
	if path := o.Case.AuthorityPath; path != "" {
		f.also = []Also{{"endpoint-wrong", Possible}}
		f.unknown = []Unknown{{"endpoint-wrong", "the login host is configured with the path " + path + ", which this sign-in left out; a library that takes a host adds tenant and endpoint to it", "set the host alone, such as " + o.Case.Setting.Authority}}
	}
	if hinted := o.hinted(); len(hinted) == 1 {
		f.evidence = append(f.evidence, keyEvidence(o, hinted[0]))
	}
	if r := o.Record; r != nil && len(r.Instead) > 0 && entra.SameGUID(r.ClientID, o.Case.Setting.ClientID) {
		f.summary = "The setting signs in, with a value that a rotation has replaced: it stops once its secret is retired."
		f.evidence = append(f.evidence, remembered(r))
		f = takeTheNewOne(o, f)
	}
	if o.Access != nil || o.AccessErr != nil {
		return accessed(o, f, *a.Answer.Token), true
	}
	if o.Case.Seen != nil {
		return seenElsewhere(o, f), true
	}
	if clue := o.Case.Clue; clue != nil {
		f.summary, f.steps = "The setting signs in. "+clue.Says, []Fix{{Do: clue.Do}}
		if strings.HasPrefix(o.Case.Setting.Value.Shape().Hint, "-") {
			f.evidence = append(f.evidence, Evidence{FromShape, "the value begins with a hyphen, which command lines take for an option", o.Case.Setting.Origin})
		}
	}
	return f, true
}

// seenElsewhere: an error was seen, yet the setting works.
func seenElsewhere(o *Observations, f finding) finding {
	seen := o.Case.Seen
	if seen.AppID != "" && !entra.SameGUID(seen.AppID, o.Case.Setting.ClientID) {
		f.verdict, f.cause, f.confidence = Broken, "environment-drift", Confirmed
		f.summary = fmt.Sprintf("This setting works; the error comes from a process that signs in as %s.", seen.AppID)
		f.evidence = append(f.evidence, Evidence{FromFile, "the error names app " + seen.AppID, "the error given"})
		return f
	}
	if !aboutSecret(*seen) {
		return seenOtherwise(o, f)
	}
	if other, ok := o.otherValue(); ok {
		f.summary = "The setting signs in; the error names its app, for which " + other + " holds another value."
		f.also = []Also{{"environment-drift", Possible}, {"stale-consumer", Possible}}
		f.unknown = []Unknown{{"stale-consumer", "the error does not say which of the values the process sent", "look which of the files the process reads, and when it was started"}}
		return f
	}
	f.verdict, f.cause, f.confidence, f.summary = Broken, "stale-consumer", Likely, ""
	c, live := o.hintedLive()
	switch {
	case seen.Timestamp.IsZero() || !live:
		how := "give an error with its Timestamp"
		if !live {
			how += ", and " + needGraph
		}
		f.unknown = []Unknown{{"stale-consumer", "the error's time or the secret's start is not known, so the error may be older than the setting", how}}
	case seen.Timestamp.Before(c.Start):
		f.verdict, f.cause, f.confidence = Working, "", Confirmed
		f.summary = "The setting signs in; the error is older than its secret. If the app still fails, restart it."
		f.evidence = append(f.evidence, Evidence{FromTime, fmt.Sprintf("the error is of %s, the secret starts on %s", date(seen.Timestamp), date(c.Start)), "the error given"})
	case seen.Timestamp.Sub(c.Start) < Young:
		f.cause = "secret-propagating"
		f.evidence = append(f.evidence, Evidence{FromTime, fmt.Sprintf("the error came %s after the secret was made", round(seen.Timestamp.Sub(c.Start))), "the error given"})
		f.also = []Also{{"stale-consumer", Possible}}
	default:
		f.confidence = Confirmed
		f.evidence = append(f.evidence, Evidence{FromTime, fmt.Sprintf("when the error came (%s) this secret had been valid since %s: the process sent another value", date(seen.Timestamp), date(c.Start)), "the error given"})
	}
	return f
}

// aboutTenant knows the codes that name the tenant that was asked for.
func aboutTenant(code int) bool { return code == 90002 || code == 900023 || code == 900021 }

// namesTenant reports whether a text holds a tenant and not what somebody put
// in its place before showing it.
func namesTenant(text string) bool {
	lower := strings.ToLower(text)
	return text != "" && !strings.Contains(lower, "redacted") && strings.Trim(lower, "x*-.") != ""
}

// otherValue returns where the same app stands with another value in this run.
func (o *Observations) otherValue() (origin string, ok bool) {
	own := o.Case.Setting
	i := slices.IndexFunc(o.Case.Known, func(s entra.Setting) bool {
		return entra.SameGUID(s.ClientID, own.ClientID) && !s.Value.Equal(own.Value)
	})
	if i < 0 {
		return "", false
	}
	return o.Case.Known[i].Origin, true
}

// seenOtherwise: the error is not about the secret. What its code says of
// permission, policy or the request holds all the same: the app asks for
// another resource, for a user, or from another place than this sign-in.
func seenOtherwise(o *Observations, f finding) finding {
	seen := *o.Case.Seen
	if aboutTenant(seen.Code) && namesTenant(seen.Tenant) && !entra.SameGUID(seen.Tenant, o.Case.Setting.TenantID) && !entra.SameGUID(seen.Tenant, o.tenant()) {
		f.verdict, f.cause, f.confidence = Broken, "environment-drift", Likely
		f.summary = fmt.Sprintf("This setting works; the error comes from a process that signs in to tenant %q.", seen.Tenant)
		f.evidence = append(f.evidence, Evidence{FromFile, fmt.Sprintf("the error names tenant %q", seen.Tenant), "the error given"})
		return f
	}
	cause, named := causeOfCode(seen.Code)
	info, _ := Lookup(cause)
	if !named || info.Family != PermissionFamily && info.Family != RequestFamily {
		f.summary = "The setting signs in now; the error given is not about its secret."
		if entry, known := aadsts.Lookup(seen.Code); known {
			f.summary += " It means: " + entry.Cause
			f.steps = []Fix{{Do: entry.Remedy}}
		}
		return f
	}
	f.verdict, f.cause, f.confidence = Broken, cause, Likely
	f.summary = info.Says + " The setting itself signs in."
	f.evidence = append(f.evidence, Evidence{FromFile, fmt.Sprintf("the error given is AADSTS%d", seen.Code), "the error given"})
	f.unknown = []Unknown{{cause, "this sign-in asks for " + o.Case.Scope + " as the app itself, and is let in: the app that printed the error asks for another resource, for a user, or from another place", "name the app's own scope with --scope, or give its request to credsmith request"}}
	return f
}

// aboutSecret reports whether a failure is a refusal of the secret.
func aboutSecret(f aadsts.Failure) bool {
	return secretCode(f.Code) || f.Code == 0 && f.OAuthError == "invalid_client"
}

func secretCode(code int) bool {
	switch code {
	case 7000215, 7000222, 50012, 70002:
		return true
	}
	return false
}
