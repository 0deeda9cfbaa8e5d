package aadsts

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
)

// A Category says which part of a sign-in a code complains about.
type Category string

// The categories of the catalogue.
const (
	SecretInvalid       Category = "secret_invalid"
	SecretExpired       Category = "secret_expired"
	SecretMissing       Category = "secret_missing"
	Certificate         Category = "certificate"
	FederatedCredential Category = "federated_credential"
	AppNotFound         Category = "app_not_found"
	AppDisabled         Category = "app_disabled"
	Tenant              Category = "tenant"
	ScopeResource       Category = "scope_resource"
	ConsentPermission   Category = "consent_permission"
	ConditionalAccess   Category = "policy_conditional_access"
	GrantType           Category = "grant_type"
	RequestShape        Category = "request_shape"
	UserSignIn          Category = "user_signin"
	Throttling          Category = "throttling_transient"
	Other               Category = "other"
)

// An Entry is what is known about one code.
type Entry struct {
	Code int `json:"code"`
	// Name is Microsoft's name for the code, such as
	// "InvalidClientSecretExpiredKeysProvided"; "" if it has none.
	Name string `json:"name"`
	// OAuthError is the `error` member that comes with the code, "" when it
	// is not known. A few codes come with more than one; this is the usual.
	OAuthError string `json:"oauth_error"`
	// HTTPStatus is the status seen with the code at the token endpoint.
	// 0 means never seen; then 401 is to be expected with invalid_client and
	// 400 with everything else.
	HTTPStatus int `json:"http_status"`
	// Message is the text after "AADSTS<code>: ", with holes like {appId} for
	// what varies; "" when the wording is not known. See Format.
	Message  string   `json:"message"`
	Category Category `json:"category"`
	// Cause says in a sentence or two what the code stands for.
	Cause string `json:"cause"`
	// Remedy says what to do about it.
	Remedy string `json:"remedy"`
	// Transient tells that the same request may succeed later.
	Transient bool `json:"transient"`
	// Sources are the public pages that the facts come from. An entry that
	// starts with "unverified: " is no page but says what nobody was seen to
	// confirm. The slice is shared: do not change it.
	Sources []string `json:"sources"`
	// Verified is false when no source confirms any of the facts.
	Verified bool `json:"-"`
}

// Format returns the message with its holes filled: {name} becomes
// holes["name"]. A hole that is not in the map stays as it is.
func (e Entry) Format(holes map[string]string) string {
	var b strings.Builder
	rest := e.Message
	for {
		before, after, found := strings.Cut(rest, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, tail, closed := strings.Cut(after, "}")
		value, known := holes[name]
		if !closed || !known {
			b.WriteByte('{')
			rest = after
			continue
		}
		b.WriteString(value)
		rest = tail
	}
}

// Lookup returns what is known about a code, and whether anything is.
func Lookup(code int) (Entry, bool) {
	entries := catalogue()
	i, found := slices.BinarySearchFunc(entries, code, func(e Entry, code int) int { return e.Code - code })
	if !found {
		return Entry{}, false
	}
	return entries[i], true
}

// All yields every entry of the catalogue, by ascending code.
func All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, e := range catalogue() {
			if !yield(e) {
				return
			}
		}
	}
}

//go:embed catalogue.json
var catalogueJSON []byte

const unverified = "unverified: "

// catalogue is sorted by code, as its file is.
var catalogue = sync.OnceValue(func() []Entry {
	var entries []Entry
	if err := json.Unmarshal(catalogueJSON, &entries); err != nil {
		panic(fmt.Sprintf("aadsts: catalogue.json: %v", err)) // a broken build, not a broken input
	}
	for i := range entries {
		e := &entries[i]
		e.Verified = slices.ContainsFunc(e.Sources, func(s string) bool { return !strings.HasPrefix(s, unverified) })
	}
	return entries
})
