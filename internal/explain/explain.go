// Package explain says what a sign-in error means, from its text alone: which
// failures are in it, what they mean, and how their likely causes are told
// apart. It asks nobody.
package explain

import (
	"time"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/diagnose"
)

// Explained is one failure, explained. Its JSON shape is a contract.
type Explained struct {
	Code          *int       `json:"code"` // null when the text lost it
	Codes         []int      `json:"codes,omitempty"`
	AppID         *string    `json:"app_id"`
	TenantID      *string    `json:"tenant_id"` // as printed: a GUID, a domain, or what stood in their place
	TraceID       *string    `json:"trace_id"`
	CorrelationID *string    `json:"correlation_id"`
	Timestamp     *time.Time `json:"timestamp"`
	OAuthError    *string    `json:"oauth_error"`
	SubError      *string    `json:"suberror,omitempty"`
	Category      string     `json:"category"`
	Meaning       string     `json:"meaning"`
	Remedy        string     `json:"remedy"`
	Transient     bool       `json:"transient"`
	Known         bool       `json:"known"`    // it is in the catalogue
	Verified      bool       `json:"verified"` // its meaning has a public source
	Likely        []Likely   `json:"likely"`
}

// Likely is a cause the failure may have.
type Likely struct {
	Cause     diagnose.Cause `json:"cause"`
	HowToTell string         `json:"how_to_tell"`
}

// Text explains every failure in a text, each once however often it is
// printed. It is empty when the text holds none.
func Text(text []byte) []Explained {
	found := []Explained{}
	seen := map[identity]bool{}
	for f := range aadsts.Find(text) {
		id := identityOf(f)
		if seen[id] {
			continue
		}
		seen[id] = true
		found = append(found, failure(f))
	}
	if len(found) == 0 {
		found = append(found, clues(text)...)
	}
	return found
}

// Code explains a code without a text around it.
func Code(code int) Explained { return failure(aadsts.Failure{Code: code, Codes: []int{code}}) }

// identity tells failures apart: by their ids where they have some.
type identity struct {
	code                   int
	oauth, app, trace, cor string
	at                     time.Time
}

func identityOf(f aadsts.Failure) identity {
	if f.TraceID != "" {
		return identity{code: f.Code, trace: f.TraceID}
	}
	return identity{f.Code, f.OAuthError, f.AppID, "", f.CorrelationID, f.Timestamp}
}

func failure(f aadsts.Failure) Explained {
	e := Explained{
		AppID: orNull(f.AppID), TenantID: orNull(f.Tenant), TraceID: orNull(f.TraceID), CorrelationID: orNull(f.CorrelationID),
		OAuthError: orNull(f.OAuthError), SubError: orNull(f.SubError), Likely: []Likely{},
	}
	if !f.Timestamp.IsZero() {
		e.Timestamp = &f.Timestamp
	}
	if f.Code != 0 {
		e.Code = &f.Code
		e.Codes = f.Codes
	}
	e.describe(f)
	for _, info := range diagnose.CausesOf(f) {
		e.Likely = append(e.Likely, Likely{info.Cause, info.Tell})
	}
	return e
}

func (e *Explained) describe(f aadsts.Failure) {
	entry, ok := aadsts.Lookup(f.Code)
	switch {
	case ok:
		e.Known, e.Verified = true, entry.Verified
		e.Category, e.Meaning, e.Remedy, e.Transient = string(entry.Category), entry.Cause, entry.Remedy, entry.Transient
		if e.OAuthError == nil {
			e.OAuthError = orNull(entry.OAuthError)
		}
	case f.Code != 0:
		e.Category = "unknown"
		e.Meaning = "This code is not in the catalogue; the text beside it is what there is to go by."
		e.Remedy = "Search Microsoft's error reference for the code, and the sign-in log for the correlation id."
	default:
		lost := oauthErrors[f.OAuthError]
		e.Category, e.Meaning, e.Remedy = lost.category, lost.meaning, findCode
		if lost.category == "" {
			e.Category, e.Meaning = "unknown", "The text lost the AADSTS code that came with this OAuth error."
		}
	}
}

const findCode = "Find the whole answer of the token endpoint: the AADSTS code in its error_description says more."

// oauthErrors says what an OAuth error means when its code is lost.
var oauthErrors = map[string]struct{ category, meaning string }{
	"invalid_client":         {"secret_invalid", "The client was not authenticated: most often a wrong, removed or expired secret. The text lost the AADSTS code that tells which."},
	"unauthorized_client":    {"app_not_found", "The client may not do this, or is not known in the tenant. The text lost the AADSTS code."},
	"invalid_scope":          {"scope_resource", "The scope is malformed or unknown. The text lost the AADSTS code."},
	"invalid_resource":       {"scope_resource", "The resource is not known in the tenant. The text lost the AADSTS code."},
	"unsupported_grant_type": {"grant_type", "The grant_type does not exist. The text lost the AADSTS code."},
	"invalid_tenant":         {"tenant", "The tenant is not known. The text lost the AADSTS code."},
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
