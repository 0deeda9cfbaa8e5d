package diagnose

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/entra"
)

// Schema names the shape of a [Report] in JSON.
const Schema = "credsmith/v1"

// Verdict is the outcome of a diagnosis.
type Verdict string

// The verdicts.
const (
	Working      Verdict = "working"
	Broken       Verdict = "broken"
	Inconclusive Verdict = "inconclusive"
)

// Confidence says how sure a named cause is.
type Confidence string

// The confidences.
const (
	Confirmed Confidence = "confirmed" // an experiment or a fact of the directory proves it
	Likely    Confidence = "likely"
	Possible  Confidence = "possible"
)

// Report is what the doctor says. Its JSON shape is a contract: fields are
// added, never renamed.
type Report struct {
	Schema     string       `json:"schema"`
	Verdict    Verdict      `json:"verdict"`
	Cause      *Cause       `json:"cause"` // null when working
	Confidence Confidence   `json:"confidence"`
	Summary    string       `json:"summary"`
	Setting    SettingFacts `json:"setting"`
	Error      *ErrorFacts  `json:"error"` // null when nothing was refused
	Evidence   []Evidence   `json:"evidence"`
	RuledOut   []Exclusion  `json:"ruled_out"`
	Also       []Also       `json:"also"`
	CannotTell []Unknown    `json:"cannot_tell"`
	Fix        []Fix        `json:"fix"`
}

// SettingFacts is the setting without its value.
type SettingFacts struct {
	TenantID string     `json:"tenant_id"`
	ClientID string     `json:"client_id"`
	Origin   string     `json:"origin"`
	Value    ValueFacts `json:"value"`
}

// ValueFacts is what may be said of a value.
type ValueFacts struct {
	Length      int      `json:"length"` // characters
	Shape       string   `json:"shape"`
	Hint        string   `json:"hint"` // first three characters, for values of 16 or more
	Fingerprint string   `json:"fingerprint"`
	Invisible   []string `json:"invisible,omitempty"`
}

// ErrorFacts is the refusal the report is about.
type ErrorFacts struct {
	Code          int        `json:"code"`
	OAuthError    string     `json:"oauth_error"`
	HTTPStatus    int        `json:"http_status,omitempty"`
	TraceID       string     `json:"trace_id"`
	CorrelationID string     `json:"correlation_id"`
	Timestamp     *time.Time `json:"timestamp"`
}

// Evidence is one observation that speaks for the verdict.
type Evidence struct {
	Kind   EvidenceKind `json:"kind"`
	Says   string       `json:"says"`
	Source string       `json:"source"`
}

// EvidenceKind is where an observation comes from.
type EvidenceKind string

// The kinds of evidence.
const (
	FromProbe   EvidenceKind = "probe"
	FromShape   EvidenceKind = "shape"
	FromGraph   EvidenceKind = "graph"
	FromAudit   EvidenceKind = "audit"
	FromSignIn  EvidenceKind = "signin"
	FromFile    EvidenceKind = "file"
	FromTime    EvidenceKind = "time"
	FromNetwork EvidenceKind = "network"
)

// Exclusion is a cause that it is not, and why.
type Exclusion struct {
	Cause   Cause  `json:"cause"`
	Because string `json:"because"`
}

// Also is a cause beside the named one: a neighbour that cannot be told
// apart, or a second fault.
type Also struct {
	Cause      Cause      `json:"cause"`
	Confidence Confidence `json:"confidence"`
}

// Unknown is what could not be told, why, and how to find out.
type Unknown struct {
	Cause     Cause  `json:"cause"`
	Because   string `json:"because"`
	ToFindOut string `json:"to_find_out"`
}

func settingFacts(c Case) SettingFacts {
	shape := c.Setting.Value.Shape()
	facts := ValueFacts{Length: shape.Length, Shape: string(shape.Kind), Hint: shape.Hint, Fingerprint: c.Fingerprint}
	for _, i := range shape.Invisible {
		facts.Invisible = append(facts.Invisible, i.String())
	}
	return SettingFacts{c.Setting.TenantID, c.Setting.ClientID, c.Setting.Origin, facts}
}

func errorFacts(f *aadsts.Failure, status int) *ErrorFacts {
	if f == nil {
		return nil
	}
	facts := &ErrorFacts{Code: f.Code, OAuthError: f.OAuthError, HTTPStatus: status, TraceID: f.TraceID, CorrelationID: f.CorrelationID}
	if !f.Timestamp.IsZero() {
		facts.Timestamp = &f.Timestamp
	}
	return facts
}

// fixes fills the holes of a cause's steps. Ids go into command lines only
// when they are ids: a malformed one stays a placeholder.
func fixes(o *Observations, f finding) []Fix {
	info, _ := Lookup(f.cause) // without a cause the finding's own steps are all
	s := o.Case.Setting
	clientID, app, objectID := s.ClientID, "<app name>", f.app.ObjectID
	if f.app.ClientID != "" {
		clientID = f.app.ClientID
	}
	if o.Directory != nil && o.Directory.App != nil {
		app = o.Directory.App.DisplayName
	}
	if f.app.DisplayName != "" {
		app = f.app.DisplayName
	}
	holes := strings.NewReplacer(
		"{client_id}", guidOr(clientID, "<client-id>"), "{tenant}", s.TenantID, "{authority}", s.Authority,
		"{app}", quotable(app), "{object_id}", guidOr(objectID, "<object-id>"), "{key_id}", guidOr(f.key.KeyID, "<key-id>"),
		"{binding}", cmp.Or(o.Case.Binding, "<binding>"))
	steps := make([]Fix, 0, len(info.Fix)+len(f.steps))
	todo := slices.Clone(f.steps)
	if !f.stepsAlone {
		todo = append(todo, info.Fix...)
	}
	for _, also := range f.also { // the next faults of the chain
		// Where secrets are forbidden, what else is wrong with one is idle.
		if next, ok := Lookup(also.Cause); ok && also.Confidence == Confirmed && f.cause != blocked && also.Cause != "tenant-wrong" {
			todo = slices.DeleteFunc(append(todo[:len(todo):len(todo)], next.Fix...), func(s Fix) bool { return s == prove })
			todo = append(todo, prove)
		}
	}
	for _, step := range todo {
		if step == newSecret {
			step = secretStep(o)
		}
		steps = append(steps, step.fill(holes))
	}
	return steps
}

func guidOr(id, placeholder string) string {
	if id = entra.CleanIdentifier(id); entra.IsGUID(id) {
		return id
	}
	return placeholder
}

// quotable keeps a display name, which anybody may have chosen, from being
// more than a word in a command line.
func quotable(name string) string {
	return strconv.Quote(strings.Map(func(r rune) rune {
		if r < ' ' || r == '"' || r == '`' || r == '$' || r == '\\' {
			return -1
		}
		return r
	}, name))
}

// sentence begins a hint with a capital letter, as steps do.
func sentence(hint string) string {
	if hint == "" {
		return ""
	}
	return strings.ToUpper(hint[:1]) + hint[1:]
}
