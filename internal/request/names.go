package request

import (
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// Names of parameters that the rules speak of.
const (
	grantType     = "grant_type"
	clientID      = "client_id"
	clientSecret  = "client_secret"
	scope         = "scope"
	resource      = "resource"
	assertion     = "client_assertion"
	assertionType = "client_assertion_type"
)

// knownNames are the parameters clients send to the token endpoint.
var knownNames = set(`grant_type client_id client_secret scope resource client_assertion client_assertion_type
	assertion requested_token_use code redirect_uri code_verifier refresh_token username password device_code
	subject_token subject_token_type actor_token actor_token_type requested_token_type
	claims client_info api-version response_type response_mode state nonce audience tenant tenant_id login_hint
	domain_hint prompt max_age token_type req_cnf key_id return-client-request-id client-request-id client_version
	attributes fmi_path user_id user_federated_identity_credential brk_client_id brk_redirect_uri id_token_hint
	sso_reload slice dc p policy mkt windows_api_version amr_values`)

// secretNames are the parameters whose value is a credential.
var secretNames = set(`client_secret client_assertion assertion code code_verifier refresh_token password device_code
	subject_token actor_token`)

// ruledNames are the parameters that rules look at, by their letters.
var ruledNames = map[string]string{
	"granttype": grantType, "clientid": clientID, "clientsecret": clientSecret, "scope": scope, "resource": resource,
	"clientassertion": assertion, "clientassertiontype": assertionType,
}

// aliases are other spellings of a name without its punctuation.
var aliases = map[string]string{
	"appid": clientID, "applicationid": clientID, "clientidentifier": clientID,
	"secret": clientSecret, "appsecret": clientSecret, "clientsecretvalue": clientSecret, "clientpassword": clientSecret, "secretvalue": clientSecret,
	"granttypes": grantType, "scopes": scope, "resourceid": resource, "resourceuri": resource,
}

// set returns the words as a set.
func set(words string) map[string]bool {
	m := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		m[word] = true
	}
	return m
}

// isKnown reports whether clients send a parameter of that name.
func isKnown(name string) bool {
	return knownNames[name] || strings.HasPrefix(strings.ToLower(name), "x-")
}

// meantName returns the parameter the sender meant by name: name itself if it
// is known, else the one of the rules' names it is a slip of, else "".
func meantName(name string) string {
	if isKnown(name) {
		return name
	}
	flat := flatten(name)
	if flat == "" || len(flat) > 24 {
		return ""
	}
	if meant, ok := aliases[flat]; ok {
		return meant
	}
	for target, known := range ruledNames {
		limit := 1
		if len(target) > 8 {
			limit = 2
		}
		if isNear(flat, target, limit) {
			return known // no two of them are near each other
		}
	}
	return ""
}

// flatten returns the letters and digits of text, in lower case.
func flatten(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(text))
}

// isNear reports whether a and b are at most limit slips apart.
func isNear(a, b string, limit int) bool {
	return max(len(a), len(b))-min(len(a), len(b)) <= limit && distance(a, b) <= limit
}

// distance is the number of letters to insert, remove, replace or swap with
// their neighbour to get from a to b.
func distance(a, b string) int {
	var twoUp, up []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		twoUp, up, row = up, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(up[j]+1, row[j-1]+1, up[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], twoUp[j-2]+1)
			}
		}
	}
	return row[len(b)]
}

// isID reports whether text is a GUID that can be an id: plain, and not zero.
func isID(text string) bool { return entra.IsGUID(text) && !isZero(text) }

// isZero reports whether text is the zero GUID.
func isZero(text string) bool { return entra.IsGUID(text) && strings.Trim(text, "0-") == "" }

// isTemplate reports whether text is a placeholder for an id or a tenant.
func isTemplate(text string) bool {
	switch flatten(text) {
	case "clientid", "appid", "applicationid", "directoryid", "tenantname":
		return true
	}
	return strings.HasPrefix(text, ":") || secret.New(text).Shape().Kind == secret.Placeholder ||
		entra.FormOfTenant(text) == entra.TenantPlaceholder
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
