package cli

import (
	"slices"
	"strings"

	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/setting"
)

// partial reports on a setting that cannot be tried: a part is missing or is a
// reference that only its consumer resolves. That is no fault by itself, so
// the verdict is open, unless a part that is there is certainly wrong.
func partial(j *job) diagnose.Report {
	f := j.places[0]
	shape := j.setting.Value.Shape()
	r := diagnose.Report{
		Schema: diagnose.Schema, Verdict: diagnose.Inconclusive, Confidence: diagnose.Possible,
		Setting: diagnose.SettingFacts{
			TenantID: f.TenantID, ClientID: f.ClientID, Origin: f.Origin,
			Value: diagnose.ValueFacts{Length: shape.Length, Shape: string(shape.Kind), Hint: shape.Hint, Fingerprint: j.print},
		},
		Evidence: []diagnose.Evidence{}, RuledOut: []diagnose.Exclusion{}, Also: []diagnose.Also{}, CannotTell: []diagnose.Unknown{}, Fix: []diagnose.Fix{},
	}
	for _, i := range shape.Invisible {
		r.Setting.Value.Invisible = append(r.Setting.Value.Invisible, i.String())
	}
	for _, note := range f.Notes {
		r.Evidence = append(r.Evidence, diagnose.Evidence{Kind: diagnose.FromFile, Says: note, Source: f.Origin})
	}
	if j.problem != nil {
		r.Summary = "The setting was not tried: " + j.problem.Error() + "."
		r.Evidence = append(r.Evidence, diagnose.Evidence{Kind: diagnose.FromFile, Says: j.problem.Error(), Source: partAt(f.Host, f)})
		r.Fix = append(r.Fix, diagnose.Fix{Do: "If the host is right, name it with --authority: a secret goes to no other host on a file's word."})
		return r
	}
	cause, verdict := partialCause(f)
	if r.Verdict = verdict; cause != "" {
		r.Cause = &cause
		info, _ := diagnose.Lookup(cause)
		r.Also, r.Fix = r.Also[:0], append(r.Fix, info.Fix...)
	}
	if verdict == diagnose.Broken {
		r.Confidence = diagnose.Confirmed
		info, _ := diagnose.Lookup(cause)
		r.Summary = info.Says
		return r
	}
	missing, references := gaps(f)
	var says []string
	if len(missing) > 0 {
		says = append(says, "no "+strings.Join(missing, ", no ")+" stands beside it")
	}
	if len(references) > 0 {
		says = append(says, "the "+strings.Join(references, " and the ")+" "+plural(len(references), "is a reference", "are references")+" that files do not resolve")
	}
	r.Summary = "The setting was not tried: " + strings.Join(says, "; ") + "."
	how := "run credsmith doctor where the consumer runs, with its environment, or give --from the files that hold the rest"
	if slices.ContainsFunc([]setting.Part{f.Tenant, f.Client, f.Secret}, leads) {
		how += "; --follow takes a variable from this environment, and a Key Vault's secret from the vault"
	}
	r.CannotTell = append(r.CannotTell, diagnose.Unknown{Cause: "secret-unknown", Because: strings.Join(says, "; "), ToFindOut: how})
	if cause == "" {
		r.Fix = append(r.Fix, diagnose.Fix{Do: "Give --from the files that hold the rest, or run credsmith doctor where the consumer runs.", Run: "credsmith doctor"})
	}
	return r
}

// partialCause names what can be said of a partial setting, and whether that
// breaks it for certain.
func partialCause(f setting.Found) (diagnose.Cause, diagnose.Verdict) {
	present := func(p setting.Part) bool { return p.Set && p.Unresolved == "" }
	switch {
	case present(f.Secret) && f.Value.IsEmpty() && f.Client.Set:
		return "secret-empty", diagnose.Broken
	case f.Secret.Unresolved != "":
		return "secret-placeholder", diagnose.Inconclusive
	case f.Tenant.Unresolved != "":
		return "tenant-placeholder", diagnose.Inconclusive
	case present(f.Tenant) && entra.FormOfTenant(f.TenantID) == entra.TenantPlaceholder:
		return "tenant-placeholder", diagnose.Broken
	}
	return "", diagnose.Inconclusive
}

// gaps names the parts that are missing and those that are references.
func gaps(f setting.Found) (missing, references []string) {
	for _, p := range []struct {
		name string
		part setting.Part
	}{{"tenant id", f.Tenant}, {"client id", f.Client}, {"secret", f.Secret}} {
		switch {
		case !p.part.Set:
			missing = append(missing, p.name)
		case p.part.Unresolved != "":
			references = append(references, p.name)
		}
	}
	return missing, references
}

func partAt(p setting.Part, f setting.Found) string {
	if !p.Set {
		return f.Origin
	}
	return setting.At(p.File, p.Line, p.Column)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
