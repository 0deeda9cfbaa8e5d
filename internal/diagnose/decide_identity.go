package diagnose

import (
	"fmt"
	"slices"

	"github.com/credsmith/credsmith/internal/entra"
)

// ruleTenant is for a tenant that public metadata already refuses.
func ruleTenant(o *Observations) (finding, bool) {
	if !o.reachable() || o.tenantKnown() || len(o.Attempts) > 0 && o.Attempts[0].Purpose == AsIs {
		return finding{}, false
	}
	tenant := o.Case.Setting.TenantID
	d, _ := o.discovery()
	refused := d.Answer.Failure
	f := finding{confidence: Confirmed}
	if refused != nil {
		f.evidence = []Evidence{{FromProbe, fmt.Sprintf("discovery of tenant %q: refused with AADSTS%d", tenant, refused.Code), "discovery document"}}
	}
	switch entra.FormOfTenant(tenant) {
	case entra.TenantPlaceholder:
		f.cause = "tenant-placeholder"
	case entra.TenantMalformed, entra.TenantShared:
		f.cause = "tenant-malformed"
		f.summary = fmt.Sprintf("The tenant %q is neither a GUID nor a domain.", tenant)
	default:
		f.cause = "tenant-unknown"
		f.summary = fmt.Sprintf("No tenant %q exists in this cloud.", tenant)
		if refused != nil && refused.Code == 900021 {
			f.cause, f.summary = "tenant-malformed", "The tenant is the all-zero GUID."
		}
	}
	if a, ok := o.success(CleanedID); ok {
		f.evidence = append(f.evidence, probed(a))
	}
	if a, ok := o.appElsewhere(); ok {
		f.evidence = append(f.evidence, probed(a))
		f.steps, f.stepsAlone = []Fix{{Do: "Set the tenant id to " + a.Request.TenantID + ", where the app lives."}, prove}, true
		if f.cause == "tenant-unknown" {
			f.also = []Also{{"tenant-wrong", Confirmed}}
		}
		f.also = append(f.also, behind(o, a, &f)...)
	}
	return f, true
}

// behind is the next fault once the tenant is right.
func behind(o *Observations, a Attempt, f *finding) []Also {
	if slip, ok := o.slipOf(); ok {
		f.evidence = append(f.evidence, probed(slip))
		var also []Also
		for _, s := range slip.Slips {
			if c := (Also{causeOfSlip(s), Confirmed}); !slices.Contains(also, c) {
				also = append(also, c)
			}
		}
		return append(also, nextFault(slip)...)
	}
	switch code := a.code(); {
	case a.accepted():
		return nil
	case code == 7000222:
		return []Also{{"secret-expired", Likely}}
	case aboutValue(code):
		return []Also{{"secret-unknown", Likely}}
	default:
		if c, ok := causeOfCode(code); ok {
			return []Also{{c, Confirmed}}
		}
	}
	return nil
}

func ruleCleanedID(o *Observations) (finding, bool) {
	a, ok := o.success(CleanedID)
	if !ok {
		return finding{}, false
	}
	f := finding{cause: "client-id-malformed", confidence: Confirmed, evidence: append(asIs(o), probed(a))}
	f.summary = "The client id carries blanks, quotes or braces that are not part of it."
	if a.Request.TenantID != o.Case.Setting.TenantID {
		f.cause, f.summary = "tenant-malformed", "The tenant id carries blanks, quotes or braces that are not part of it."
	}
	return f, true
}

func ruleTrueClientID(o *Observations) (finding, bool) {
	if !o.home() || o.Directory.ByObjectID == nil {
		return finding{}, false
	}
	app := *o.Directory.ByObjectID
	f := finding{
		cause: "client-id-is-object-id", confidence: Confirmed, app: app,
		summary:  fmt.Sprintf("The client id configured is the object id of '%s'; its client id is %s.", app.DisplayName, app.ClientID),
		evidence: append(asIs(o), Evidence{FromGraph, fmt.Sprintf("object id %s belongs to '%s'", o.Case.Setting.ClientID, app.DisplayName), "Microsoft Graph"}),
	}
	f.steps, f.stepsAlone = []Fix{{Do: "Set the client id to " + app.ClientID + "."}, prove}, true
	if a, ok := o.first(TrueClientID); ok {
		f.evidence = append(f.evidence, probed(a))
		if !a.accepted() && pastLookup(a.code()) {
			f.also = []Also{{"secret-unknown", Likely}}
		}
	}
	return f, true
}

func ruleElsewhere(o *Observations) (finding, bool) {
	a, ok := o.appElsewhere()
	if !ok {
		return finding{}, false
	}
	f := finding{
		cause: "tenant-wrong", confidence: Confirmed, evidence: append(asIs(o), probed(a)),
		summary: fmt.Sprintf("The app lives in tenant %s, not in %s.", a.Request.TenantID, o.Case.Setting.TenantID),
	}
	if entra.FormOfTenant(o.Case.Setting.TenantID) == entra.TenantShared {
		f.cause, f.summary = "authority-common", ""
	}
	f.steps, f.stepsAlone = []Fix{{Do: "Set the tenant id to " + a.Request.TenantID + "."}, prove}, true
	f.also = behind(o, a, &f)
	return f, true
}

// ruleOtherApp: the value signs in as another app.
func ruleOtherApp(o *Observations) (finding, bool) {
	a, ok := o.success(OtherClientID)
	if !ok {
		return finding{}, false
	}
	f := finding{
		cause: "secret-of-other-app", confidence: Confirmed,
		summary:  fmt.Sprintf("The value is a secret of '%s' (%s).", a.App.DisplayName, a.App.ClientID),
		evidence: append(asIs(o), probed(a)),
	}
	first, _ := o.first(AsIs)
	if appUnknown(first.code()) {
		f.steps, f.stepsAlone = []Fix{{Do: "Set the client id to " + a.App.ClientID + "; or, if another app is meant, its client id and the value of a secret of its own."}, prove}, true
	}
	switch {
	case appUnknown(first.code()) && !entra.IsGUID(o.Case.Setting.ClientID):
		f.cause, f.app = "client-id-malformed", a.App
		f.summary = fmt.Sprintf("The client id is not a GUID; the value belongs to '%s' (%s).", a.App.DisplayName, a.App.ClientID)
	case pairedElsewhere(o, a, &f):
	case appUnknown(first.code()):
		f.cause, f.app = "client-id-unknown", a.App
		f.summary = fmt.Sprintf("No app with this client id exists in the tenant; the value belongs to '%s' (%s).", a.App.DisplayName, a.App.ClientID)
	}
	return f, true
}

// pairedElsewhere: another copy holds the value with the client id that works,
// so it is the client id that is wrong here.
func pairedElsewhere(o *Observations, a Attempt, f *finding) bool {
	s, ok := o.pairing(a.App.ClientID)
	if !ok {
		return false
	}
	f.cause, f.app = "client-id-of-other-app", a.App
	f.steps, f.stepsAlone = []Fix{{Do: "Set the client id to " + a.App.ClientID + ", which belongs to the value."}, prove}, true
	f.summary = fmt.Sprintf("The client id is that of another app: %s holds this value with client id %s.", s.Origin, a.App.ClientID)
	f.evidence = append(f.evidence, Evidence{FromFile, "the same value stands with client id " + a.App.ClientID, s.Origin})
	return true
}

// ruleAppUnknown: the tenant is there, the app is not.
func ruleAppUnknown(o *Observations) (finding, bool) {
	a, ok := o.first(AsIs)
	if !ok || !appUnknown(a.code()) {
		return finding{}, false
	}
	clientID := o.Case.Setting.ClientID
	f := finding{cause: "client-id-unknown", confidence: Likely, evidence: []Evidence{probed(a)}}
	switch {
	case a.code() == 7000229:
		f.cause, f.confidence = "service-principal-missing", Confirmed
	case !entra.IsGUID(clientID):
		f.cause, f.confidence = "client-id-malformed", Confirmed
		f.evidence = append(f.evidence, Evidence{FromShape, fmt.Sprintf("the client id has %d characters and not the form of a GUID", len([]rune(clientID))), o.Case.Setting.Origin})
	case o.home() && o.Directory.Deleted != nil:
		deleted := *o.Directory.Deleted
		f.cause, f.confidence, f.app = "app-deleted", Confirmed, deleted
		f.summary = fmt.Sprintf("The app '%s' has been deleted.", deleted.DisplayName)
		f.evidence = append(f.evidence, Evidence{FromGraph, fmt.Sprintf("'%s' was deleted on %s and can be restored for 30 days", deleted.DisplayName, date(deleted.DeletedAt)), "Microsoft Graph, deleted items"})
	case o.home() && o.Directory.App == nil && o.Directory.DeletedErr != nil:
		f.also = []Also{{"app-deleted", Possible}}
		f.evidence = append(f.evidence, Evidence{FromGraph, "the tenant has no application and no service principal with this id", "Microsoft Graph"})
		f.unknown = []Unknown{{"app-deleted", "deleted apps could not be read: " + o.Directory.DeletedErr.Error(), "look under App registrations > Deleted applications"}}
	case o.home() && o.Directory.App == nil:
		f.confidence = Confirmed
		f.evidence = append(f.evidence, Evidence{FromGraph, "the tenant has no application and no service principal with this id, deleted ones included", "Microsoft Graph"})
		f.unknown = []Unknown{{"tenant-wrong", "other tenants cannot be searched", "compare the tenant id with the one the app was registered in"}}
	case o.home():
		f.confidence = Likely // seen seconds after an app was made
		f.summary = "The directory has this app, the sign-in service does not know it yet."
		f.evidence = append(f.evidence, Evidence{FromGraph, "the app exists since " + date(o.Directory.App.Created), "Microsoft Graph"})
	default:
		f.also = []Also{{"tenant-wrong", Possible}, {"client-id-is-object-id", Possible}, {"app-deleted", Possible}}
		for _, also := range f.also {
			f.unknown = append(f.unknown, Unknown{also.Cause, "without the directory nothing tells them apart", needGraph})
		}
	}
	return f, true
}

// ruleWord takes the service at its word: codes that have one cause.
func ruleWord(o *Observations) (finding, bool) {
	f := finding{verdict: Inconclusive, confidence: Possible, summary: "Nothing could be found out."}
	a, ok := o.first(AsIs)
	if !ok || a.Answer == nil {
		return f, true
	}
	f.evidence = []Evidence{probed(a)}
	if refused := a.Answer.Failure; refused != nil {
		said := o.Case.Setting.Value.Scrub(refused.Message) // a hostile host could echo it
		f.summary = said
		if cause, ok := causeOfCode(refused.Code); ok {
			f.verdict, f.cause, f.confidence, f.summary = Broken, cause, Confirmed, ""
			if cause == "parameter-missing" {
				f.summary = said // it names the parameter
			}
		}
	}
	return f, true
}
