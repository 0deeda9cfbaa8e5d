package entralab

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

var (
	everywhere = []string{surfaceToken, surfaceGraph, surfaceVault}
	onToken    = []string{surfaceToken}
	onGraph    = []string{surfaceGraph}
	onVault    = []string{surfaceVault}
	onAPIs     = []string{surfaceGraph, surfaceVault}
)

func isWrite(q *faultRequest) bool {
	if q.surface == surfaceToken {
		return q.method == http.MethodPost
	}
	return q.method != http.MethodGet && q.method != http.MethodHead
}

func isRead(q *faultRequest) bool { return q.method == http.MethodGet }

// pathHas limits a fault to paths with one of these parts, in lower case.
func pathHas(parts ...string) func(*faultRequest) bool {
	return func(q *faultRequest) bool {
		path := strings.ToLower(q.path)
		for _, part := range parts {
			if strings.Contains(path, part) {
				return true
			}
		}
		return false
	}
}

func isTokenRequest(q *faultRequest) bool {
	return q.method == http.MethodPost && strings.HasSuffix(q.path, "/token")
}

var (
	faultTableOnce sync.Once
	faultTableMade []*faultKind
)

// faultTable holds what can be asked for, by number. It is made when a rule is
// first set: most programs never set one.
func faultTable() []*faultKind {
	faultTableOnce.Do(func() { faultTableMade = makeFaultTable() })
	return faultTableMade
}

func makeFaultTable() []*faultKind {
	return []*faultKind{
		{id: "F1", name: "a new secret is accepted late", surfaces: onGraph, condition: true, only: pathHas("/addpassword"),
			params: append(span(0, 20*time.Second), number("replicas", 3, 1, 100))},
		{id: "F2", name: "a removed secret is refused late", surfaces: onGraph, condition: true, only: pathHas("/removepassword"),
			params: append(span(0, time.Minute), number("replicas", 3, 1, 100))},
		{id: "F3", name: "apps and their secrets read as they were", surfaces: onGraph, condition: true, only: isRead,
			params: append(span(0, 30*time.Second), number("replicas", 1, 1, 100),
				faultParam{name: "consistency", fallback: "ignored", choices: []string{"ignored", "honoured"}})},
		{id: "F4", name: "404 for what was just created", surfaces: onGraph, condition: true,
			params: []faultParam{{name: "within", fallback: time.Minute}}},
		{id: "F5", name: "409 concurrent requests; with `within`, for writes to an app so soon after another only", surfaces: onGraph,
			only: isWrite, when: crowded, instead: faultConcurrency, params: []faultParam{{name: "within", fallback: time.Duration(0)}}},
		{id: "F6", name: "429 with or without Retry-After", surfaces: everywhere, instead: faultThrottled,
			params: []faultParam{kinds("seconds", "date", "absent", "zero", "negative", "day", "garbage"), number("seconds", 10, 1, 86400)}},
		{id: "F7", name: "server error", surfaces: everywhere, instead: faultServerError, params: []faultParam{kinds("503", "500", "502", "504")}},
		{id: "F8", name: "applied, answer lost", surfaces: everywhere, only: isWrite,
			after: func(_ *faultCall, a *faultAnswer) bool { a.abort = true; return true }},
		{id: "F9", name: "applied, 500 answered", surfaces: everywhere, only: isWrite,
			after: func(c *faultCall, a *faultAnswer) bool { *a = *c.serverError("500"); return true }},
		{id: "F10", name: "200 answered, not applied", surfaces: onGraph, only: isWrite, instead: faultPhantom},
		{id: "F11", name: "applied twice", surfaces: everywhere, only: isWrite, after: func(*faultCall, *faultAnswer) bool { return true }},
		{id: "F12", name: "answer late, in real time", surfaces: everywhere, params: span(0, 3*time.Second),
			after: func(c *faultCall, a *faultAnswer) bool { a.wait = c.between(); return true }},
		{id: "F13", name: "body drips, in real time", surfaces: everywhere, params: []faultParam{number("bytes_per_second", 1, 1, 1<<20)},
			after: func(c *faultCall, a *faultAnswer) bool {
				a.perSecond = c.rule.params.number("bytes_per_second")
				return len(a.body) > 0
			}},
		{id: "F14", name: "body cut short", surfaces: everywhere, after: faultTruncated,
			params: []faultParam{number("at", -1, -1, maxBody), kinds("promised", "fitting")}},
		{id: "F15", name: "malformed JSON", surfaces: everywhere, after: faultMalformed, params: []faultParam{
			kinds("not-json", "wrong-type", "null", "missing", "empty", "duplicate"), {name: "member", fallback: ""}}},
		{id: "F16", name: "unusual secret values", surfaces: onGraph, condition: true, only: pathHas("/addpassword"), params: []faultParam{
			kinds("symbols", "leading-dash", "newline", "space", "plain"), number("length", 0, 0, 64)}},
		{id: "F17", name: "key ids written otherwise", surfaces: onGraph, after: faultKeyIDs, params: []faultParam{kinds("upper", "braces", "reused")}},
		{id: "F18", name: "paging goes wrong", surfaces: onAPIs, only: isRead, instead: faultPageRefused, after: faultPaging,
			params: []faultParam{kinds("empty-page", "repeated", "missing", "loop", "expired", "error")}},
		{id: "F19", name: "an app is renamed between pages", surfaces: onGraph, only: isRead, before: faultRename},
		{id: "F20", name: "an AADSTS refusal by script", surfaces: onToken, only: isTokenRequest, instead: faultRefusal,
			params: []faultParam{number("code", 7000215, 1, 999999999)}},
		{id: "F21", name: "token lifetime", surfaces: onToken, condition: true, only: isTokenRequest, params: span(time.Hour, 90*time.Minute)},
		{id: "F22", name: "claims challenge", surfaces: onAPIs, instead: faultClaims},
		{id: "F23", name: "permission gone", surfaces: onAPIs, instead: faultDenied},
		{id: "F24", name: "policy refuses a secret or shortens it", surfaces: onGraph, condition: true, only: pathHas("/addpassword"),
			params: []faultParam{kinds("refuse", "shorten"), {name: "lifetime", fallback: 7 * 24 * time.Hour}}},
		{id: "F25", name: "the app holds as many secrets as it may", surfaces: onGraph, condition: true, only: pathHas("/addpassword"),
			params: []faultParam{number("limit", 2, 0, 1000)}},
		{id: "F27", name: "logs refused or empty", surfaces: onGraph, only: pathHas("/auditlogs/"), instead: faultReports,
			params: []faultParam{kinds("quota", "forbidden", "missing", "empty")}},
		{id: "F28", name: "sign-in log late, disordered or thin", surfaces: onGraph, only: pathHas("/auditlogs/signins"), after: faultSignInLog,
			params: append(span(2*time.Minute, 15*time.Minute), kinds("late", "disorder", "duplicate", "no-key-id"))},
		{id: "F29", name: "audit log late or renamed", surfaces: onGraph, only: pathHas("/auditlogs/directoryaudits"), after: faultAuditLog,
			params: append(span(2*time.Minute, time.Hour), kinds("late", "hyphen"))},
		{id: "F32", name: "Date header off", surfaces: everywhere, params: span(-10*time.Minute, 10*time.Minute), after: faultDate},
		{id: "F33", name: "end date altered in the answer", surfaces: onGraph, after: faultEndDate, only: pathHas("/addpassword", "/applications", "/serviceprincipals"),
			params: []faultParam{kinds("rounded", "absent", "far", "past")}},
		{id: "F34", name: "redirect to another host", surfaces: everywhere, instead: faultRedirect, params: []faultParam{
			kinds("302", "307"), {name: "location", fallback: "https://elsewhere.lab.test/"}}},
		{id: "F35", name: "hostile encodings", surfaces: everywhere, after: faultEncoding, params: []faultParam{
			kinds("gzip-bomb", "wrong-encoding", "bom", "utf-16"), number("bytes", 10<<20, 1, 1<<30)}},
		{id: "F36", name: "huge headers, or connections that end: before the request is served, amid the answer, or after it (GOAWAY)", surfaces: everywhere, instead: faultReset, after: faultHeaders,
			params: []faultParam{kinds("huge", "many", "reset", "midway", "goaway"), number("bytes", 1<<20, 1, 8<<20), number("count", 10_000, 1, 100_000)}},
		{id: "F37", name: "TLS goes wrong", surfaces: everywhere, connection: true, params: []faultParam{
			kinds("expired", "wrong-host", "unknown-ca", "tls11", "stall", "swap"), {name: "stall", fallback: time.Minute}}},
		{id: "F38", name: "connections end, hang or crawl", surfaces: everywhere, connection: true, params: []faultParam{
			kinds("reset", "blackhole", "refused", "half-open", "slow"), {name: "hold", fallback: time.Minute}, number("answers", 1, 0, 1000),
			number("bytes_per_second", 1000, 1, 1<<20)}},
		{id: "F39", name: "vault: name not free", surfaces: onVault, only: isWrite, instead: faultVaultConflict,
			params: []faultParam{kinds("deleted", "recovering", "conflict")}},
		{id: "F40", name: "vault: refused", surfaces: onVault, instead: faultVaultRefused,
			params: []faultParam{kinds("firewall", "rbac", "throttled", "disabled", "late")}},
		{id: "F41", name: "vault: value trimmed or refused", surfaces: onVault, only: func(q *faultRequest) bool { return q.method == http.MethodPut },
			instead: faultVaultLimit, before: faultVaultTrim, params: []faultParam{kinds("trimmed", "too-large", "tags")}},
		{id: "F48", name: "tokens and keys of the identity provider", surfaces: onToken, instead: faultKeysDown, after: faultIdentity,
			params: []faultParam{kinds("issuer", "audience", "tenant", "nonce", "skew", "groups", "rollover", "keys-down"), {name: "skew", fallback: 6 * time.Minute}}},
		{id: "F49", name: "a batch fails in part", surfaces: onGraph, condition: true, only: pathHas("/$batch"),
			params: []faultParam{kinds("partial", "order", "throttled")}},
		{id: "F50", name: "410, delta token expired", surfaces: onGraph, only: pathHas("/delta"), instead: faultResync},
		{id: "F51", name: "beta is gone", surfaces: onGraph, only: pathHas("/beta/"), instead: faultBeta},
		{id: "F55", name: "request ids repeated or missing", surfaces: everywhere, after: faultIDs, params: []faultParam{kinds("same", "missing")}},
	}
}

// faultNamed is a fault as it is on a surface; without one, over HTTP.
func faultNamed(id, surface string) *faultKind {
	table := faultTable()
	if isMail(surface) {
		table = mailFaults()
	}
	for _, k := range table {
		if k.id == id && (!isMail(surface) || slices.Contains(k.surfaces, surface)) {
			return k
		}
	}
	return nil
}

// surfacesOf are all surfaces of a fault.
func surfacesOf(id string) (surfaces []string) {
	for _, k := range slices.Concat(faultTable(), mailFaults()) {
		if k.id == id {
			surfaces = append(surfaces, k.surfaces...)
		}
	}
	slices.Sort(surfaces)
	return slices.Compact(surfaces)
}

// elsewhere says where a fault lives that the lab has no surface for, "" for
// one that it has.
func elsewhere(id string) string {
	return map[string]string{
		"F26": "write quotas are part of throttling: `POST /control/throttle`",
		"F30": "a person acts through POST /control/portal",
		"F31": "add a secret to the service principal with addPassword",
		"F42": "Kubernetes is no surface of the lab", "F43": "GitHub is no surface of the lab",
		"F44": "HashiCorp Vault is no surface of the lab", "F45": "files belong to the program under test",
		"F46": "hooks belong to the program under test", "F47": "webhook receivers are no surface of the lab",
		"F52": "databases are no surface of the lab", "F53": "key encryption keys are no surface of the lab",
		"F54": "replicas belong to the program under test",
	}[id]
}

// faultMissing says why there is no such fault, and which there are.
func faultMissing(id string) error {
	if why := elsewhere(id); why != "" {
		return fmt.Errorf("fault %s cannot be set by a rule: %s", id, why)
	}
	ids := make([]string, 0, len(faultTable()))
	for _, k := range faultTable() {
		ids = append(ids, k.id)
	}
	return fmt.Errorf("fault is %s; it must be one of %s", strconv.Quote(id[:min(len(id), 20)]), strings.Join(ids, ", "))
}
