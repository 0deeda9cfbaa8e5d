package entralab

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// refusal is one answer of the token service that is not a token.
type refusal struct {
	code    int
	oauth   string // the OAuth error, which decides before the code does
	status  int
	helpURI bool // whether error_uri is sent
	text    string
}

// The refusals the lab gives. Texts are as recorded in public threads, but for
// 50049, which is recalled. Where only the text was recorded (28000, 7000229)
// the status follows the rule seen everywhere else: invalid_client is 401, the
// rest 400. What a huge body really gets, here 9002313, is not known.
//
// error_uri: recorded 2026-08 as present for 7000215 and 500011 and absent
// for 70003; seen in public threads for 7000222, 90002 and 700016; recalled,
// unverified, for 900144, 900023, 7000216 and 7000112; left out elsewhere.
var (
	errManyResources    = refusal{28000, "invalid_request", 400, false, "Provided value for the input parameter scope is not valid because it contains more than one resource. Scope {scope} is not valid."}
	errInstance         = refusal{50049, "invalid_instance", 400, false, "Unknown or invalid instance."}
	errNoTenant         = refusal{50059, "invalid_request", 400, false, "No tenant-identifying information found in either the request or implied by any provided credentials."}
	errGrantType        = refusal{70003, "unsupported_grant_type", 400, false, "The app requested an unsupported grant type '{grantType}'."}
	errScopeMalformed   = refusal{70011, "invalid_scope", 400, false, "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid."}
	errTenantUnknown    = refusal{90002, "invalid_request", 400, true, "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant."}
	errResource         = refusal{500011, "invalid_resource", 400, true, "The resource principal named {resource} was not found in the tenant named {tenantName}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant."}
	errAppUnknown       = refusal{700016, "unauthorized_client", 400, true, "Application with identifier '{appId}' was not found in the directory '{tenantName}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant."}
	errTenantZero       = refusal{900021, "invalid_request", 400, false, "Requested tenant identifier '{tenant}' is not valid. Tenant identifiers may not be an empty GUID."}
	errTenantName       = refusal{900023, "invalid_request", 400, true, "Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain."}
	errMissing          = refusal{900144, "invalid_request", 400, true, "The request body must contain the following parameter: '{name}'."}
	errVerb             = refusal{900561, "invalid_request", 400, false, "The endpoint only accepts {accepted} requests. Received a {method} request."}
	errScopeNamed       = refusal{1002012, "invalid_scope", 400, false, "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."}
	errAppDisabled      = refusal{7000112, "unauthorized_client", 400, true, "Application '{appId}'({appName}) is disabled."}
	errSecretUnknown    = refusal{7000215, "invalid_client", 401, true, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{appId}'."}
	errSecretMissing    = refusal{7000216, "invalid_client", 401, true, "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type."}
	errSecretExpired    = refusal{7000222, "invalid_client", 401, true, "The provided client secret keys for app '{appId}' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds."}
	errNoPrincipal      = refusal{7000229, "invalid_client", 401, false, "The client application {appId} is missing service principal in the tenant {tenantId}. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119"}
	errAmbiguous        = refusal{7000110, "unauthorized_client", 400, false, "Request is ambiguous: multiple application identifiers found. Application identifiers: '{appId1}, {appId2}'."}
	errNotSPA           = refusal{9002326, "invalid_request", 400, false, "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type."}
	errNotAssigned      = refusal{501051, "invalid_grant", 400, false, "Application '{appId}'({appName}) is not assigned to a role for the application '{resourceId}'({resourceName})."}
	errResourceDisabled = refusal{500014, "invalid_resource", 400, false, "The service principal for resource '{resource}' is disabled. This indicate that a subscription within the tenant has lapsed, or that the administrator for this tenant has disabled the application, preventing tokens from being issued for it."}
	errTooLarge         = refusal{9002313, "invalid_request", 400, false, "Invalid request. Request is malformed or invalid."}
)

// The refusals of assertions. 700024, 700027, 50013 and the federated ones are
// as seen in public threads, up to their last sentence; 700021, 700023, 700026,
// 70025, 7000214 and 7000272 are recalled. So are 50027, 50048 and 900384, of
// which no wire text is known. No error_uri was seen.
const (
	seeKeys = "Thumbprint of key used by client: '{thumbprint}', {found}Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id '{appId}'. Review the documentation at https://docs.microsoft.com/en-us/graph/deployments to determine the corresponding service endpoint and https://docs.microsoft.com/en-us/graph/api/application-get?view=graph-rest-1.0&tabs=http to build a query request URL, such as 'https://graph.microsoft.com/beta/applications/{appId}']."
	noFIC   = "No matching federated identity record found for presented assertion"
)

var (
	errBadRequest        = refusal{90023, "invalid_request", 400, false, "Invalid STS request."}
	errJWT               = refusal{50027, "invalid_client", 401, false, "JWT token is invalid or malformed."}
	errAssertionSubject  = refusal{50048, "invalid_client", 401, false, "Subject must match Issuer claim in the client assertion."}
	errAssertionApp      = refusal{700021, "invalid_client", 401, false, "Client assertion application identifier doesn't match 'client_id' parameter."}
	errAssertionAudience = refusal{700023, "invalid_client", 401, false, "Client assertion audience claim does not match Realm issuer."}
	errAssertionTime     = refusal{700024, "invalid_client", 401, false, "Client assertion is not within its valid time range. Current time: {now}, assertion valid from {nbf}, expiry time of assertion {exp}. Review the documentation at https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials ."}
	errNoKeys            = refusal{700026, "invalid_client", 401, false, "Client application has no configured keys."}
	errKeyUnknown        = refusal{700027, "invalid_client", 401, false, "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found., " + strings.Replace(seeKeys, "{found}", "", 1)}
	errKeyUse            = refusal{700027, "invalid_client", 401, false, "Client assertion failed signature validation. [Reason - {reason}, " + strings.Replace(seeKeys, "{found}", "Found key 'Start={start}, End={end}', ", 1)}
	errKeyRevoked        = refusal{7000214, "invalid_client", 401, false, "Certificate has been revoked."}
	errFederatedMatch    = refusal{70021, "invalid_request", 400, false, noFIC + ". Assertion Issuer: '{issuer}'. Assertion Subject: '{subject}'. Assertion Audience: '{audience}'."}
	errFederatedNone     = refusal{70025, "invalid_client", 401, false, "The client '{appId}'({appName}) has no configured federated identity credentials."}
	errFederatedIssuer   = refusal{700211, "invalid_client", 401, false, noFIC + " issuer '{issuer}'."}
	errFederatedAudience = refusal{700212, "invalid_client", 401, false, noFIC + " audience '{audience}'."}
	errFederatedSubject  = refusal{700213, "invalid_client", 401, false, noFIC + " subject '{subject}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion."}
	errFederatedOwn      = refusal{700222, "invalid_request", 400, false, "AAD-issued tokens may not be used for federated identity flows."}
	errForeignSignature  = refusal{900384, "invalid_client", 401, false, "JWT token failed signature validation."}
	errFederatedKey      = refusal{7000272, "invalid_client", 401, false, "The certificate with identifier '{kid}' used to sign the federated credential could not be found in the metadata of identity provider '{issuer}'."}
	errFederatedCase     = refusal{7002138, "invalid_client", 401, false, noFIC + " subject '{subject}'."}
)

// with fills the holes of the text: pairs of name and value.
func (f refusal) with(pairs ...string) *refusal {
	filled := make([]string, len(pairs))
	for i, s := range pairs {
		if i%2 == 0 {
			s = "{" + s + "}"
		}
		filled[i] = s
	}
	f.text = strings.NewReplacer(filled...).Replace(f.text)
	return &f
}

// exchange is one request to the authority and what identifies it.
type exchange struct {
	now         time.Time
	trace       guid
	correlation guid
	echo        string // client-request-id to send back, "" if not asked for
}

// newExchange takes the ids of a request. MSAL Go sends them as headers, MSAL
// Node as form field and query key (seen on the wire).
func (l *Lab) newExchange(r *http.Request, form map[string]string) exchange {
	return l.exchangeWith(r, form, l.random.guid)
}

// exchangeWith takes new ids from a function.
func (l *Lab) exchangeWith(r *http.Request, form map[string]string, newID func() guid) exchange {
	sent := func(name string) string {
		if v := r.Header.Get(name); v != "" {
			return v
		}
		if v := form[name]; v != "" {
			return v
		}
		return r.URL.Query().Get(name)
	}
	x := exchange{now: l.clock.now(), trace: newID()}
	x.trace[15] = 0 // trace ids end in 00 since about 2017 (seen)
	id, ok := parseGUID(sent("client-request-id"))
	if !ok {
		id = newID()
	}
	x.correlation = id
	if strings.EqualFold(sent("return-client-request-id"), "true") {
		x.echo = id.String()
	}
	return x
}

// tokenErrorBody has its members in the order recorded 2026-08.
type tokenErrorBody struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	Timestamp     string `json:"timestamp"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`
	URI           string `json:"error_uri,omitempty"`
}

// refuse writes the error. Its parts are joined by single blanks, as recorded
// since 2023-11 (before that by CRLF).
func (x exchange) refuse(w http.ResponseWriter, host string, f *refusal) {
	body := tokenErrorBody{
		Error:         f.oauth,
		Codes:         []int{f.code},
		Timestamp:     x.timestamp(),
		TraceID:       x.trace.String(),
		CorrelationID: x.correlation.String(),
	}
	body.Description = x.describe(f)
	if f.helpURI {
		body.URI = "https://" + host + "/error?code=" + codeText(f.code)
	}
	x.write(w, f.status, encodeJSON(body))
}

// describe is the text with the code before it and the ids after it.
func (x exchange) describe(f *refusal) string {
	return "AADSTS" + codeText(f.code) + ": " + f.text + " Trace ID: " + x.trace.String() +
		" Correlation ID: " + x.correlation.String() + " Timestamp: " + x.timestamp()
}

func (x exchange) timestamp() string { return x.now.Format("2006-01-02 15:04:05Z") }

func codeText(code int) string { return strconv.Itoa(code) }

// write sends a body with the headers the real service sends (read in a public
// log of a 7000215). There is no WWW-Authenticate: openid-client would hide
// the body behind it.
func (x exchange) write(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Cache-Control", "no-store, no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Expires", "-1")
	h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("P3P", `CP="DSP CUR OTPi IND OTRi ONL FIN"`)
	h.Set("X-Ms-Request-Id", x.trace.String())
	h.Set("X-Ms-Ests-Server", "2.1.11722.21 - LAB ProdSlices")
	h.Set("Date", x.now.Format(http.TimeFormat))
	h.Add("Set-Cookie", "fpc="+x.trace.String()+"; path=/; secure; HttpOnly; SameSite=None")
	h.Add("Set-Cookie", "x-ms-gateway-slice=estsfd; path=/; secure; HttpOnly")
	h.Add("Set-Cookie", "stsservicecookie=estsfd; path=/; secure; HttpOnly")
	if x.echo != "" {
		h.Set("Client-Request-Id", x.echo)
	}
	w.WriteHeader(status)
	w.Write(body)
}
