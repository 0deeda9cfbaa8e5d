package entralab_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/credsmith/credsmith/entralab"
)

// keyIDsIn are the key ids of an answer as they are written there.
func keyIDsIn(body string) (ids []string) {
	for _, m := range regexp.MustCompile(`"keyId":"([^"]*)"`).FindAllStringSubmatch(body, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// TestKeyIDs: each kind of F17 changes the key ids and no other byte.
func TestKeyIDs(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	app := addApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{{}, {}, {}}})
	single := addApp(t, lab, entralab.AppSpec{})
	token := graphToken(t, lab, lab.Operator())
	read := func(app entralab.App) string {
		return graph(t, lab, token, "GET", "applications/"+app.ObjectID+"?$select=id,passwordCredentials", "").body
	}
	mint := func(app entralab.App) string {
		return graph(t, lab, token, "POST", "applications/"+app.ObjectID+"/addPassword", `{"passwordCredential":{}}`).body
	}
	first, last := app.Secrets[0].KeyID, app.Secrets[2].KeyID
	for kind, want := range map[string]func(string) string{
		"upper":  strings.ToUpper,
		"braces": func(id string) string { return "{" + id + "}" },
		"reused": func(id string) string { return strings.ReplaceAll(id, last, first) },
	} {
		before := read(app)
		addFault(t, lab, entralab.FaultRule{Fault: "F17", Params: params{"kind": kind}})
		expected := regexp.MustCompile(`("keyId":")([^"]*)`).ReplaceAllStringFunc(before, func(found string) string {
			return `"keyId":"` + want(strings.TrimPrefix(found, `"keyId":"`))
		})
		if got := read(app); got != expected || got == before {
			t.Errorf("%s: got\n%s\nwant\n%s", kind, got, expected)
		}
		if got, calm := read(single), single.Secrets[0].KeyID; kind == "reused" && keyIDsIn(got)[0] != calm {
			t.Errorf("reused: the only secret is written as %s", got)
		}
		minted := keyIDsIn(mint(single))
		lab.RemoveFaults()
		held := keyIDsIn(read(single))
		truth := held[len(held)-1]
		if kind == "reused" {
			truth = held[0]
		}
		if len(minted) != 1 || minted[0] != want(truth) {
			t.Errorf("%s: the answer to addPassword names %v, want %s", kind, minted, want(truth))
		}
		graph(t, lab, token, "POST", "applications/"+single.ObjectID+"/removePassword", `{"keyId":"`+held[len(held)-1]+`"}`)
	}
}

// entries are the items of a list, each as JSON in one order of members.
func entries(t *testing.T, r reply) (items []string) {
	t.Helper()
	if r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for _, item := range r.object(t)["value"].([]any) {
		items = append(items, encode(t, item))
	}
	return items
}

// TestSignInLogFaults: what each kind of F28 does to the log, and what it
// leaves alone.
func TestSignInLogFaults(t *testing.T) {
	t.Parallel()
	lab := startWith(t, entralab.Config{InProcess: true, RandomSeed: 5})
	lab.Freeze(true)
	app := addApp(t, lab, entralab.AppSpec{})
	token := graphToken(t, lab, lab.Operator())
	const signIns = 6
	for range signIns {
		code(t, lab, app.ClientID, value(app))
		lab.Advance(time.Minute)
	}
	filter := url.QueryEscape("appId eq '" + app.ClientID + "' and signInEventTypes/any(t: t eq 'servicePrincipal')")
	read := func() []string {
		return entries(t, do(t, lab, newRequest(t, "GET", lab.GraphURL()+"/beta/auditLogs/signIns?$filter="+filter, "", "Authorization", "Bearer "+token)))
	}
	calm := read() // newest first, one minute to six minutes old
	if len(calm) != signIns {
		t.Fatalf("%d entries", len(calm))
	}
	for _, tc := range []struct {
		params params
		check  func(got []string) bool
	}{
		{params{"kind": "late", "min": "3m", "max": "3m"}, func(got []string) bool { return slices.Equal(got, calm[2:]) }},
		{params{"kind": "late", "min": "6m1s", "max": "6m1s"}, func(got []string) bool { return len(got) == 0 }},
		{params{"kind": "disorder"}, func(got []string) bool {
			return !slices.Equal(got, calm) && slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(calm)))
		}},
		{params{"kind": "duplicate"}, func(got []string) bool { return slices.Equal(got, append(slices.Clone(calm), calm[0])) }},
		{params{"kind": "no-key-id"}, func(got []string) bool {
			for i := range calm {
				if strings.Replace(calm[i], `"servicePrincipalCredentialKeyId":"`+app.Secrets[0].KeyID+`"`, `"servicePrincipalCredentialKeyId":null`, 1) != got[i] || got[i] == calm[i] {
					return false
				}
			}
			return len(got) == len(calm)
		}},
	} {
		addFault(t, lab, entralab.FaultRule{Fault: "F28", Params: tc.params})
		if got := read(); !tc.check(got) {
			t.Errorf("%v: got\n%s\nwithout the fault\n%s", tc.params, strings.Join(got, "\n"), strings.Join(calm, "\n"))
		}
		lab.RemoveFaults()
	}
}

// TestAuditLogFaults: what each kind of F29 does to the log.
func TestAuditLogFaults(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	token := graphToken(t, lab, lab.Operator())
	app := addApp(t, lab, entralab.AppSpec{})
	for range 4 {
		graph(t, lab, token, "POST", "applications/"+app.ObjectID+"/addPassword", `{"passwordCredential":{}}`)
		lab.Advance(time.Minute)
	}
	filter := url.QueryEscape("targetResources/any(t:t/id eq '" + app.ObjectID + "') and activityDisplayName eq 'Update application – Certificates and secrets management '")
	read := func() []string {
		return entries(t, graph(t, lab, token, "GET", "auditLogs/directoryAudits?$filter="+filter, ""))
	}
	calm := read()
	if len(calm) < 4 || !strings.Contains(calm[0], "application – Certificates") {
		t.Fatalf("%d entries: %s", len(calm), calm)
	}
	addFault(t, lab, entralab.FaultRule{Fault: "F29", Params: params{"kind": "hyphen"}})
	hyphened := slices.Clone(calm)
	for i := range hyphened {
		hyphened[i] = strings.ReplaceAll(hyphened[i], "–", "-")
	}
	if got := read(); !slices.Equal(got, hyphened) {
		t.Errorf("hyphen:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(hyphened, "\n"))
	}
	lab.RemoveFaults()
	addFault(t, lab, entralab.FaultRule{Fault: "F29", Params: params{"kind": "late", "min": "2m30s", "max": "2m30s"}})
	if got := read(); !slices.Equal(got, calm[2:]) {
		t.Errorf("late: %d entries, want the %d oldest", len(got), len(calm)-2)
	}
}

// TestUnusualValues: every kind of F16 at every length signs in, and looks as
// it should.
func TestUnusualValues(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := addApp(t, lab, entralab.AppSpec{})
	token := graphToken(t, lab, lab.Operator())
	mint := func() string {
		r := graph(t, lab, token, "POST", "applications/"+app.ObjectID+"/addPassword", `{"passwordCredential":{}}`)
		minted := r.object(t)
		if r.status != 200 || code(t, lab, app.ClientID, minted["secretText"].(string)) != 0 {
			t.Errorf("%d, %q does not sign in", r.status, minted["secretText"])
		}
		graph(t, lab, token, "POST", "applications/"+app.ObjectID+"/removePassword", `{"keyId":"`+minted["keyId"].(string)+`"}`)
		return minted["secretText"].(string)
	}
	kinds := []string{"symbols", "leading-dash", "newline", "space", "plain"}
	shape := map[string]*regexp.Regexp{
		"symbols": regexp.MustCompile(`^.~\._-\[\]@\+'"\\\$%[\w.~-]+$`), "leading-dash": regexp.MustCompile(`^-[\w.~-]+$`),
		"newline": regexp.MustCompile(`^[\w.~-]+\n$`), "space": regexp.MustCompile(`^[\w.~-]+ [\w.~-]+$`), "plain": regexp.MustCompile(`^[\w.~-]+$`),
	}
	for _, kind := range kinds {
		for length := 16; length <= 64; length++ {
			id := addFault(t, lab, entralab.FaultRule{Fault: "F16", Params: params{"kind": kind, "length": length}})
			if got := mint(); len(got) != length || !shape[kind].MatchString(got) {
				t.Errorf("%s of %d: %q", kind, length, got)
			}
			lab.RemoveFault(id)
		}
	}
	addFault(t, lab, entralab.FaultRule{Fault: "F16"})
	for i := range 15 { // in turn, of any length
		kind := kinds[i%len(kinds)]
		if got := mint(); len(got) < 16 || len(got) > 64 || !shape[kind].MatchString(got) {
			t.Errorf("turn %d: %q, want %s", i, got, kind)
		}
	}
}

// headerOf reads a token's header.
func headerOf(t *testing.T, token string) (header map[string]any) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(token[:strings.IndexByte(token, '.')])
	if err != nil || json.Unmarshal(raw, &header) != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return header
}

// TestForgedTokens: each kind of F48 changes what it is about in the ID token
// and nothing else, and all but a rolled key verify by the keys that are published.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	lab, app := signInLab(t)
	lab.Freeze(true)
	keys := oidc.NewRemoteKeySet(oidc.ClientContext(t.Context(), lab.Client()), lab.AuthorityURL()+"/"+lab.TenantID()+"/discovery/v2.0/keys")
	unknownKey := false
	signIn := func() (header, claims map[string]any) {
		code := sentBack(t, authorize(t, lab, lab.TenantID(), authorizeQuery(app))).Get("code")
		r := askToken(t, lab, lab.TenantID(), codeForm(app, code))
		if r.status != 200 {
			t.Fatal(r.body)
		}
		token := r.object(t)["id_token"].(string)
		_, err := keys.VerifySignature(t.Context(), token)
		if signed := err == nil; signed == unknownKey {
			t.Errorf("the signature of %v: %v", headerOf(t, token), err)
		}
		return headerOf(t, token), claimsOf(t, token)
	}
	calmHeader, calm := signIn()
	_, again := signIn()
	var volatile []string
	for name := range calm {
		if fmt.Sprint(calm[name]) != fmt.Sprint(again[name]) {
			volatile = append(volatile, name)
		}
	}
	otherGUID := func(name string) func(any) bool {
		return func(got any) bool { return got != calm[name] && len(got.(string)) == 36 }
	}
	later := func(name string) func(any) bool {
		return func(got any) bool { return got == calm[name].(float64)+360 }
	}
	for kind, want := range map[string]map[string]func(any) bool{
		"issuer": {"iss": func(got any) bool {
			return regexp.MustCompile(`^https://login\.elsewhere\.lab\.test/[0-9a-f-]{36}/v2\.0$`).MatchString(got.(string))
		}},
		"audience": {"aud": otherGUID("aud")},
		"tenant":   {"tid": otherGUID("tid")},
		"nonce":    {"nonce": func(got any) bool { return got == "not-the-one-sent" && calm["nonce"] == "n" }},
		"skew":     {"iat": later("iat"), "nbf": later("nbf"), "exp": later("exp")},
		"groups": {
			"_claim_names": func(got any) bool { return encode(t, got) == `{"groups":"src1"}` },
			"_claim_sources": func(got any) bool {
				return encode(t, got) == `{"src1":{"endpoint":"https://graph.lab.test/v1.0/users/me/getMemberObjects"}}`
			},
		},
		"rollover": {},
	} {
		id := addFault(t, lab, entralab.FaultRule{Fault: "F48", Match: entralab.FaultMatch{Path: "*/token"}, Params: params{"kind": kind}})
		unknownKey = kind == "rollover"
		header, claims := signIn()
		lab.RemoveFault(id)
		names := slices.Collect(maps.Keys(calm))
		for name := range claims {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		for _, name := range names {
			if check, changed := want[name]; changed && !check(claims[name]) {
				t.Errorf("%s: %s is %v, was %v", kind, name, claims[name], calm[name])
			} else if !changed && !slices.Contains(volatile, name) && fmt.Sprint(claims[name]) != fmt.Sprint(calm[name]) {
				t.Errorf("%s changes %s from %v to %v", kind, name, calm[name], claims[name])
			}
		}
		kid := calmHeader["kid"].(string)
		if kind == "rollover" {
			kid += "-next"
		}
		if header["kid"] != kid || header["alg"] != calmHeader["alg"] {
			t.Errorf("%s: header %v", kind, header)
		}
	}
}

// TestDelaysAreExact: F12 and F13 take the time they say, and deliver all.
func TestDelaysAreExact(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lab := start(t)
		token := graphToken(t, lab, lab.Operator())
		read := func() (reply, time.Duration) {
			begin := time.Now()
			return graph(t, lab, token, "GET", "applications?$select=id&$top=1", ""), time.Since(begin)
		}
		calm, took := read()
		if took != 0 {
			t.Errorf("without a fault: %v", took)
		}
		addFault(t, lab, entralab.FaultRule{Fault: "F12", Params: params{"min": "90s", "max": "90s"}})
		if got, took := read(); took != 90*time.Second || got.body != calm.body {
			t.Errorf("F12: %v, %s", took, got.body)
		}
		lab.RemoveFaults()
		addFault(t, lab, entralab.FaultRule{Fault: "F12", Params: params{"min": "2s", "max": "4s"}})
		spread := map[time.Duration]bool{}
		for range 50 {
			_, took := read()
			if took < 2*time.Second || took > 4*time.Second {
				t.Errorf("F12 from 2s to 4s: %v", took)
			}
			spread[took.Truncate(500*time.Millisecond)] = true
		}
		if len(spread) < 4 {
			t.Errorf("F12 from 2s to 4s takes %v", slices.Collect(maps.Keys(spread)))
		}
		for _, perSecond := range []int{1, 40} {
			lab.RemoveFaults()
			addFault(t, lab, entralab.FaultRule{Fault: "F13", Params: params{"bytes_per_second": perSecond}})
			want := time.Duration(len(calm.body)) * time.Second / time.Duration(perSecond)
			if got, took := read(); took != want || got.body != calm.body {
				t.Errorf("F13 at %d bytes a second: %v, want %v; %s", perSecond, took, want, got.body)
			}
		}
	})
}

// TestDateFault: F32 moves the Date header by what it says, on every surface,
// and neither the body nor the lab's own time.
func TestDateFault(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	token := graphToken(t, lab, lab.Operator())
	requests := map[string]func() reply{
		"graph": func() reply { return graph(t, lab, token, "GET", "applications", "") },
		"token": func() reply { return askToken(t, lab, lab.TenantID(), credentialsForm("", "")) },
		"vault": func() reply { return do(t, lab, newRequest(t, "GET", lab.VaultURL()+"/secrets?api-version=7.6", "")) },
	}
	for surface, send := range requests {
		for text, off := range map[string]time.Duration{"1h30m": 90 * time.Minute, "-10m": -10 * time.Minute, "240h": 240 * time.Hour} {
			calm := send()
			addFault(t, lab, entralab.FaultRule{Fault: "F32", Params: params{"min": text, "max": text}})
			got := send()
			lab.RemoveFaults()
			if want := lab.Now().Add(off).Format(http.TimeFormat); got.header.Get("Date") != want || got.status != calm.status || len(got.body) != len(calm.body) {
				t.Errorf("%s: Date %s, want %s; %d %s", surface, got.header.Get("Date"), want, got.status, got.body)
			}
		}
	}
	addFault(t, lab, entralab.FaultRule{Fault: "F32"})
	for range 50 {
		at, err := http.ParseTime(requests["graph"]().header.Get("Date"))
		if off := at.Sub(lab.Now()).Abs(); err != nil || off > 10*time.Minute+time.Second {
			t.Errorf("%v, %v off", err, off)
		}
	}
}

// TestVaultFaultsThroughSDK: what azsecrets makes of F39 to F41, and that the
// vault is as it was afterwards.
func TestVaultFaultsThroughSDK(t *testing.T) {
	t.Parallel()
	lab := start(t)
	client := secretsClient(t, lab, lab.Operator(), lab.VaultURL(), true)
	put := func(v string) error {
		_, err := client.SetSecret(t.Context(), "billing", azsecrets.SetSecretParameters{Value: &v}, nil)
		return err
	}
	get := func() (string, error) {
		r, err := client.GetSecret(t.Context(), "billing", "", nil)
		if err != nil {
			return "", err
		}
		return *r.Value, nil
	}
	if err := put("first"); err != nil { // takes the challenge too
		t.Fatal(err)
	}
	for _, tc := range []struct {
		fault, kind  string
		read         bool
		status       int
		code, inside string
	}{
		{"F39", "deleted", false, 409, "Conflict", "ObjectIsDeletedButRecoverable"},
		{"F39", "recovering", false, 409, "Conflict", "ObjectIsBeingRecovered"},
		{"F39", "conflict", false, 409, "Conflict", "retry later"},
		{"F40", "firewall", true, 403, "Forbidden", "ForbiddenByFirewall"},
		{"F40", "rbac", true, 403, "Forbidden", "ForbiddenByRbac"},
		{"F40", "throttled", true, 429, "Throttled", "too many requests"},
		{"F40", "disabled", true, 403, "Forbidden", "SecretDisabled"},
		{"F40", "late", true, 404, "SecretNotFound", "A secret with (name/id) billing was not found"},
		{"F41", "too-large", false, 400, "BadParameter", "25 KB"},
		{"F41", "tags", false, 400, "BadParameter", "15 tags"},
	} {
		addFault(t, lab, entralab.FaultRule{Match: entralab.FaultMatch{Surface: "vault"}, Fault: tc.fault, Params: params{"kind": tc.kind}})
		before := len(lab.History(0))
		var err error
		if tc.read {
			_, err = get()
		} else {
			err = put("not stored")
		}
		name := tc.fault + " " + tc.kind
		wantCode(t, name, tc.status, tc.code, err)
		if err != nil && !strings.Contains(err.Error(), tc.inside) {
			t.Errorf("%s: no %q in %v", name, tc.inside, err)
		}
		if events := lab.History(before); len(events) != 1 || events[0].Fault != tc.fault || events[0].Outcome != "fault" || events[0].Status != tc.status {
			t.Errorf("%s: history %+v", name, events)
		}
		lab.RemoveFaults()
		if got, err := get(); err != nil || got != "first" {
			t.Errorf("after %s: %q, %v", name, got, err)
		}
	}
	addFault(t, lab, entralab.FaultRule{Fault: "F41", Params: params{"kind": "trimmed"}})
	if err := put("second é"); err != nil {
		t.Errorf("trimmed: %v", err)
	}
	lab.RemoveFaults()
	if got, err := get(); err != nil || got != "second " {
		t.Errorf("trimmed: %q, %v", got, err)
	}
}
