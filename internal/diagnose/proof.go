package diagnose

// Proof is what speaks for a cause, and what tells it from the causes that
// look most like it.
type Proof struct {
	Confirms   string // the observation that proves it
	Suggests   string // what makes it likely and no more; empty if nothing does
	Neighbours []Neighbour
}

// Neighbour is a cause that looks alike.
type Neighbour struct {
	Cause Cause
	Apart string // what is seen with this neighbour and not with the cause
}

// ProofOf returns the proof of a cause of the table.
func ProofOf(c Cause) Proof { return proofs[c] }

func beside(c Cause, apart string) []Neighbour { return []Neighbour{{c, apart}} }

var proofs = map[Cause]Proof{
	"secret-id-used":         {"The value equals the Secret ID of a secret of the app.", "The value is a GUID.", beside("secret-unknown", "The directory has no such Secret ID, or the GUID is the client id.")},
	"secret-whitespace":      {"Refused as it is, accepted without the invisible characters.", "The value holds invisible characters.", beside("secret-quoted", "A visible quote stands at an end.")},
	"secret-deleted":         {"credsmith saw this value accepted as a secret that is gone from the app.", "No hint fits and the audit log shows a secret removed.", beside("secret-superseded", "Another copy of the setting works.")},
	"secret-of-other-app":    {"Accepted with another client id.", "", beside("client-id-of-other-app", "Another copy pairs the value with that client id.")},
	"secret-propagating":     {"The same request is refused, then accepted.", "The hint fits a secret under 15 minutes old.", beside("secret-typo", "The secret with that hint is older.")},
	"secret-typo":            {"The hint fits a live secret over 15 minutes old, or a copy one edit away is accepted.", "", beside("secret-propagating", "The secret is young, or a repetition is accepted.")},
	"secret-truncated":       {"A secret of the app has its hint and the value is too short.", "The value begins in today's form and is too short.", beside("secret-typo", "The length is whole.")},
	"secret-quoted":          {"Refused as it is, accepted or known as expired without quotes.", "The value has a quote at an end.", beside("secret-whitespace", "The characters around it are invisible.")},
	"secret-encoded":         {"Refused as it is, accepted once decoded.", "The value decodes to the form of a secret.", beside("secret-typo", "No layer comes off.")},
	"secret-placeholder":     {"The value reads as a reference.", "", beside("secret-empty", "Nothing is there at all.")},
	"secret-expired":         {"AADSTS7000222, and a secret with the hint is past its end.", "AADSTS7000222 alone.", beside("secret-deleted", "AADSTS7000215, and the secret is not listed.")},
	"secret-superseded":      {"Another copy signs in, and credsmith saw this value as a secret since removed.", "Another copy signs in and no live secret has this value's hint.", beside("secret-deleted", "No other copy is known to work.")},
	"secret-not-yet-valid":   {"The secret with the hint starts in the future.", "", beside("secret-propagating", "Its start is past.")},
	"secret-of-other-tenant": {"The same value and client id are accepted at another tenant.", "", beside("tenant-wrong", "The app is not in this tenant at all.")},
	"secret-empty":           {"The value holds no character.", "", beside("secret-missing", "The parameter does not arrive, though the value is set.")},
	"secret-unknown":         {"", "Nothing known fits.", beside("secret-deleted", "The audit log shows a secret removed.")},

	"client-id-unknown":         {"AADSTS700016, and neither living nor deleted apps have the id.", "AADSTS700016 alone.", beside("tenant-wrong", "Another known tenant has the app.")},
	"client-id-is-object-id":    {"The directory has an object with this id and another client id.", "", beside("client-id-unknown", "No object has this id.")},
	"client-id-malformed":       {"The client id is no GUID and the app is not found.", "", beside("client-id-unknown", "It is a GUID.")},
	"client-id-of-other-app":    {"Accepted with another client id, with which another copy pairs the value.", "", beside("secret-of-other-app", "No copy pairs them.")},
	"app-deleted":               {"The directory lists the app as deleted.", "", beside("client-id-unknown", "It is not among the deleted ones.")},
	"app-disabled":              {"AADSTS7000112.", "", beside("service-principal-missing", "AADSTS7000229: it is absent, not disabled.")},
	"service-principal-missing": {"AADSTS7000229.", "", beside("app-disabled", "AADSTS7000112: it is there, and disabled.")},
	"tenant-unknown":            {"Discovery refuses a tenant of good form.", "", beside("tenant-malformed", "The form is wrong already.")},
	"tenant-malformed":          {"Discovery refuses a tenant that is neither GUID nor domain.", "", beside("tenant-placeholder", "It reads as a reference.")},
	"tenant-wrong":              {"Another known tenant finds the app.", "", beside("tenant-unknown", "The tenant does not exist.")},
	"tenant-placeholder":        {"Discovery refuses it and it reads as a reference.", "", beside("tenant-malformed", "It is no reference.")},
	"authority-common":          {"AADSTS50059 at a shared tenant.", "", beside("tenant-malformed", "The word is not one of the shared tenants.")},
	"cloud-wrong":               {"A code that names a cross-cloud request.", "", beside("tenant-unknown", "AADSTS90002.")},

	"body-not-form":         {"The captured request is refused, its parameters as a form are accepted.", "A linter sees it.", beside("parameter-missing", "The body is a form that lacks one.")},
	"parameter-missing":     {"AADSTS900144 names it.", "", beside("body-not-form", "The body holds it, in another format.")},
	"grant-type-wrong":      {"AADSTS70003.", "", beside("parameter-missing", "No grant_type arrives.")},
	"scope-malformed":       {"AADSTS1002012 or 70011; or the token is for another resource than the one used.", "", beside("resource-unknown", "The form is right, the resource is not there.")},
	"resource-unknown":      {"AADSTS500011.", "", beside("scope-malformed", "The form is refused before the resource is looked up.")},
	"secret-not-encoded":    {"The captured request is refused, the same encoded is accepted.", "A linter sees raw + % or &.", beside("secret-encoded", "One encoding too many, not too few.")},
	"endpoint-wrong":        {"AADSTS900561, or the captured request works at the right address.", "A linter sees it.", beside("body-not-form", "Address and method are right.")},
	"secret-missing":        {"AADSTS7000216 or 7000218.", "", beside("secret-empty", "The setting itself is empty.")},
	"credential-kind-wrong": {"AADSTS700025 and the like.", "", beside("secret-missing", "No credential arrives.")},

	"permission-missing": {"A token is issued and the resource answers 403 to it, or the token lacks the one role that the resource needs.", "A mailbox refuses a token that has the role.", []Neighbour{
		{"assignment-required", "No token is issued."},
		{"tenant-wrong", "The resource names another tenant that it trusts."},
		{"scope-malformed", "The token is for another resource."}}},
	"consent-missing": {"AADSTS65001 and the like.", "The setting signs in, and the error given says so.", []Neighbour{
		{"permission-missing", "A token is issued, and the resource refuses it."},
		{"assignment-required", "The answer names a role that is not assigned."}}},
	"assignment-required": {"AADSTS501051 or 50105.", "The setting signs in for another resource, and the error given says so.", []Neighbour{
		{"consent-missing", "The answer names consent."},
		{"permission-missing", "A token is issued, and the resource refuses it."}}},
	"conditional-access": {"AADSTS53003 and the like.", "The setting signs in from here, and the error given says so.", []Neighbour{
		{"app-disabled", "AADSTS7000112."},
		{"assignment-required", "AADSTS501051: the code names a role."}}},
	"secret-use-blocked": {"The secret is refused, no secret of the app is valid, and the app management policy forbids a new one. Sign-in has no code of its own for it.", "The policy exempts some people.", beside("secret-expired", "The policy lets a new secret be added, or another secret is valid.")},

	"throttled":           {"HTTP 429 or AADSTS50196.", "", beside("service-unavailable", "HTTP 5xx.")},
	"service-unavailable": {"HTTP 5xx or a passing code.", "", beside("throttled", "HTTP 429.")},
	"network-dns":         {"The name does not resolve.", "", beside("network-refused", "It resolves, nothing answers.")},
	"network-tls":         {"The certificate is not trusted.", "", beside("network-proxy", "TLS stands, somebody else answers.")},
	"network-proxy":       {"HTTP 407.", "A redirect or a page in place of JSON.", beside("network-tls", "No trusted connection comes about.")},
	"network-refused":     {"The connection is refused or times out.", "", beside("network-dns", "No address is found.")},
	"clock-skew":          {"An answer about time, and this clock is off by over five minutes.", "An answer about time.", beside("service-unavailable", "The code is not about time.")},
	"stale-consumer":      {"The setting works, and its secret was valid long before the error was printed.", "The setting works and the error has no time.", beside("secret-propagating", "The error came within 15 minutes of the secret.")},
	"environment-drift":   {"The setting works, and the error names another app.", "", beside("stale-consumer", "The error names this app.")},
}
