package diagnose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/credsmith/credsmith/internal/entra"
)

// Activity is what the directory tells of the app beyond its secrets: read last,
// once it is known that it matters.
type Activity struct {
	SignIns    *entra.SignIns // nil when the log could not be read
	SignInsErr error
	Last       map[string]time.Time // last sign-in by key id, of the daily report
	LastErr    error
	Policy     *entra.SecretPolicy
	PolicyErr  error
	Grants     []entra.Grant // application permissions
	GrantsErr  error
	Consents   []entra.Grant // delegated permissions, read when consent is the matter
	ConsentErr error
}

// logWindow is how far back the sign-in log is read: tenants without a licence
// for more keep seven days.
const logWindow = 7 * 24 * time.Hour

// askUse comes last: what the logs and policies say of the app, when a refused
// secret or a missing permission is the matter.
func askUse(o *Observations) (Experiment, bool) {
	return Experiment{Kind: Gather}, o.home() && o.Directory.App != nil && o.Directory.Activity == nil && (o.aboutSecret() || o.aboutPermission())
}

// aboutSecret reports whether the case is a secret that does not work, here or
// where the error was seen.
func (o *Observations) aboutSecret() bool {
	if o.accepted() {
		_, works := o.success(AsIs)
		return works && o.Case.Seen != nil && aboutSecret(*o.Case.Seen)
	}
	return o.valueRefused()
}

// aboutPermission reports whether the case is what the app may do.
func (o *Observations) aboutPermission() bool {
	if o.Access != nil && o.Access.Status == 403 {
		return true
	}
	a, _ := o.first(AsIs)
	return a.code() == 501051 || o.consentMissing()
}

func (o *Observations) consentMissing() bool {
	a, _ := o.first(AsIs)
	return a.code() == 65001
}

func (o *Observations) gather(ctx context.Context, r Reader) {
	u := &Activity{}
	o.Directory.Activity = u
	app := *o.Directory.App
	if o.aboutPermission() {
		u.Grants, u.GrantsErr = r.Grants(ctx, app)
		if o.consentMissing() {
			u.Consents, u.ConsentErr = r.Consents(ctx, app)
		}
		return
	}
	// What this diagnosis itself sent is no evidence.
	began := o.began()
	signIns, err := r.SignIns(ctx, app, began.Add(-logWindow), began)
	if u.SignInsErr = err; err == nil {
		u.SignIns = &signIns
	}
	u.Last, u.LastErr = r.LastUses(ctx, app)
	policy, err := r.SecretPolicy(ctx, app)
	if u.PolicyErr = err; err == nil {
		u.Policy = &policy
	}
}

// began is the authority's time when it was first asked.
func (o *Observations) began() time.Time {
	for _, d := range o.Discoveries {
		if d.Answer != nil && !d.Answer.Date.IsZero() {
			return d.Answer.Date
		}
	}
	return o.now()
}

// activity is what was gathered, nil when nothing was.
func (o *Observations) activity() *Activity {
	if !o.home() {
		return nil
	}
	return o.Directory.Activity
}

const (
	signInLog    = "sign-in log"
	policySource = "Microsoft Graph, app management policy"
)

// useEvidence says what was gathered, as far as it bears on the finding.
func useEvidence(o *Observations, f finding) []Evidence {
	u := o.activity()
	if u == nil {
		return nil
	}
	var found []Evidence
	if u.Policy != nil && f.cause != blocked {
		found = append(found, policyEvidence(*u.Policy)...)
	}
	for _, c := range o.ofInterest(f) {
		if e, ok := lastUse(u, c); ok {
			found = append(found, e)
		}
	}
	found = append(found, refusalEvidence(u)...)
	if o.aboutPermission() && u.GrantsErr == nil {
		found = append(found, grantEvidence("application", u.Grants))
	}
	if o.consentMissing() && u.ConsentErr == nil {
		found = append(found, grantEvidence("delegated", u.Consents))
	}
	for _, err := range []error{u.SignInsErr, u.LastErr, u.PolicyErr, u.GrantsErr, u.ConsentErr} {
		if err != nil {
			found = append(found, Evidence{FromGraph, err.Error(), "Microsoft Graph"})
		}
	}
	return found
}

// ofInterest are the credentials whose use bears on the finding: the one it is
// about, those with the value's hint, and the one removed last.
func (o *Observations) ofInterest(f finding) []entra.Credential {
	found := slices.Clone(o.hinted())
	if f.key.KeyID != "" {
		found = append(found, f.key)
	}
	if f.cause == "secret-deleted" && f.key.KeyID == "" {
		for _, change := range o.Directory.Changes {
			if len(change.Removed) > 0 {
				ref := change.Removed[0]
				found = append(found, entra.Credential{KeyID: ref.KeyID, DisplayName: ref.DisplayName})
				break
			}
		}
	}
	var once []entra.Credential
	for _, c := range found {
		if !slices.ContainsFunc(once, func(other entra.Credential) bool { return entra.SameGUID(other.KeyID, c.KeyID) }) {
			once = append(once, c)
		}
	}
	return once
}

// lastUse says when a credential was last seen to sign in. The logs lag: that
// they do not show a sign-in says nothing of what they do not show yet.
func lastUse(u *Activity, c entra.Credential) (Evidence, bool) {
	key := strings.ToLower(c.KeyID)
	last, source := u.Last[key], "report of credential use"
	if u.SignIns != nil && u.SignIns.Accepted[key].After(last) {
		last, source = u.SignIns.Accepted[key], signInLog
	}
	switch {
	case !last.IsZero():
		return Evidence{FromSignIn, fmt.Sprintf("%s last signed in on %s, as far as the logs show", name(c), date(last)), source}, true
	case u.SignIns == nil:
		return Evidence{}, false
	case u.SignIns.Newest.IsZero():
		return Evidence{FromSignIn, "the sign-in log shows no entry of any app yet: it tells nothing of " + name(c), signInLog}, true
	}
	return Evidence{FromSignIn, fmt.Sprintf("no sign-in with %s seen from %s up to %s, the newest entry that the log shows", name(c), date(u.SignIns.Since), date(u.SignIns.Newest)), signInLog}, true
}

// maxRefusals bounds how many addresses are listed.
const maxRefusals = 5

func refusalEvidence(u *Activity) []Evidence {
	if u.SignIns == nil {
		return nil
	}
	var found []Evidence
	left := 0
	for _, r := range u.SignIns.Refused {
		if !secretCode(r.Code) {
			continue
		}
		if len(found) == maxRefusals {
			left++
			continue
		}
		times := fmt.Sprintf("%d sign-ins", r.Count)
		when := fmt.Sprintf("from %s to %s", date(r.First), date(r.Last))
		if r.Count == 1 {
			times, when = "one sign-in", "on "+date(r.Last)
		}
		found = append(found, Evidence{FromSignIn, fmt.Sprintf("%s of the app failed with AADSTS%d at address %s, %s; a failure names no secret", times, r.Code, cmp.Or(r.Address, "(not told)"), when), signInLog})
	}
	if left > 0 {
		found = append(found, Evidence{FromSignIn, fmt.Sprintf("failures at %d more addresses", left), signInLog})
	}
	return found
}

func policyEvidence(p entra.SecretPolicy) []Evidence {
	var found []Evidence
	if p.ForbidsNew {
		found = append(found, Evidence{FromGraph, policyName(p) + " forbids new client secrets for this app" + exempt(p), policySource})
	}
	if p.MaxLifetime != "" && !p.ForbidsNew {
		found = append(found, Evidence{FromGraph, fmt.Sprintf("%s lets new client secrets live for %s at most", policyName(p), inDays(p.MaxLifetime)), policySource})
	}
	return found
}

func exempt(p entra.SecretPolicy) string {
	if p.Exempts {
		return ", but not for those whom it exempts"
	}
	return ""
}

func policyName(p entra.SecretPolicy) string {
	switch {
	case p.OfTenant:
		return "the tenant's app management policy"
	case p.Name != "":
		return fmt.Sprintf("the app management policy '%s' (%s)", p.Name, p.ID)
	}
	return "the app management policy " + p.ID
}

var plainDays = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^P([0-9]{1,4})D$`) })

// inDays writes the common kind of ISO 8601 duration in words.
func inDays(duration string) string {
	if m := plainDays().FindStringSubmatch(duration); m != nil {
		return m[1] + " days"
	}
	return duration + " (ISO 8601)"
}

func grantEvidence(kind string, grants []entra.Grant) Evidence {
	if len(grants) == 0 {
		return Evidence{FromGraph, "no " + kind + " permission was consented to", "Microsoft Graph"}
	}
	byResource := map[string][]string{}
	for _, g := range grants {
		byResource[g.Resource] = append(byResource[g.Resource], g.Permission)
	}
	var parts []string
	for _, resource := range slices.Sorted(maps.Keys(byResource)) {
		parts = append(parts, resource+": "+strings.Join(byResource[resource], ", "))
	}
	return Evidence{FromGraph, kind + " permissions consented to: " + strings.Join(parts, "; "), "Microsoft Graph"}
}

const blocked Cause = "secret-use-blocked"

// ruleBlocked: no secret of the app is valid and a policy forbids a new one.
// Entra has no sign-in code for it: policies bite when a secret is added.
func ruleBlocked(o *Observations, f finding) finding {
	u := o.activity()
	if u == nil || !o.valueRefused() || o.accepted() || slices.ContainsFunc(o.Directory.App.Credentials, func(c entra.Credential) bool { return !o.past(c) }) {
		return f
	}
	if u.Policy == nil {
		f.unknown = append(f.unknown, Unknown{blocked, whyUnseen(u.PolicyErr), "give the operator Policy.Read.All"})
		return f
	}
	if !u.Policy.ForbidsNew {
		return f
	}
	f.also = append([]Also{{f.cause, f.confidence}}, f.also...)
	f.evidence = append(f.evidence, policyEvidence(*u.Policy)...)
	f.evidence = append(f.evidence, Evidence{FromGraph, "no secret of the app is valid now", "Microsoft Graph"})
	f.cause, f.confidence = blocked, Confirmed
	f.summary = fmt.Sprintf("No client secret of the app is valid, and %s forbids new ones.", policyName(*u.Policy))
	if u.Policy.Exempts {
		f.confidence = Likely
		f.unknown = append(f.unknown, Unknown{blocked, "the policy exempts whoever has certain custom security attributes", "ask who manages the policy whether you are one of them"})
	}
	return f
}

func whyUnseen(err error) string {
	if u, ok := errors.AsType[*entra.Unseen](err); ok {
		return u.What + " cannot be seen: " + u.Because
	}
	return "the app management policies cannot be seen"
}
