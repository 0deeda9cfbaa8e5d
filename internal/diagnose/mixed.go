package diagnose

import (
	"fmt"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// Secrets that stand where an id belongs are neither printed nor sent as one:
// addresses and client ids end up in logs.

// secretAsTenant reports whether the tenant has the form of a client secret.
func (o *Observations) secretAsTenant() bool { return secret.Mistaken(o.Case.Setting.TenantID) }

func ruleSecretAsTenant(o *Observations) (finding, bool) {
	return finding{
		cause: "tenant-malformed", confidence: Confirmed,
		summary:  "What stands in place of the tenant has the form of a client secret; nothing was sent.",
		evidence: []Evidence{{FromShape, "the tenant is neither a GUID nor a domain, and has the form of a client secret", o.Case.Setting.Origin}},
		steps:    []Fix{burnt},
	}, o.secretAsTenant()
}

var burnt = Fix{Do: "If it is a live secret and the app has signed in this way, replace it: ids are written to logs."}

// swapped returns the setting with client id and value exchanged, if they look
// as if they were.
func (o *Observations) swapped() (entra.Setting, bool) {
	s := o.Case.Setting
	id, isID := s.Value.GUID()
	value := s.ClientID
	s.ClientID, s.Value = id, secret.New(value)
	return s, isID && secret.Mistaken(value) && o.Case.Captured == nil
}

// askSwapped comes in place of the setting as it is.
func askSwapped(o *Observations) (Experiment, bool) {
	s, ok := o.swapped()
	if !ok || !o.tenantKnown() || len(o.Attempts) > 0 {
		return Experiment{}, false
	}
	return send(attempt(Swapped, s, o.Case.Scope)), true
}

func ruleSwapped(o *Observations) (finding, bool) {
	s, ok := o.swapped()
	a, sent := o.first(Swapped)
	if !ok || !sent {
		return finding{}, false
	}
	f := finding{
		cause: "client-id-malformed", confidence: Confirmed, summary: "Client id and secret are swapped.",
		evidence: []Evidence{{FromShape, "the client id has the form of a client secret, and the value that of an id", o.Case.Setting.Origin}, probed(a)},
		steps:    []Fix{{Do: "Exchange client id and secret."}, burnt, prove}, stepsAlone: true,
	}
	switch {
	case a.accepted():
	case !pastLookup(a.code()):
		f.confidence, f.summary = Likely, "The client id has the form of a client secret, and the value that of an id: they may be swapped."
	default:
		f.summary = fmt.Sprintf("Client id and secret are swapped; once they are exchanged, the next fault shows (AADSTS%d).", a.code())
		f.also = behind(o, a, &f)
	}
	f.app.ClientID = s.ClientID
	return f, true
}
