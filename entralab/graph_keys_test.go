package entralab_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// proof is a proof of possession for an object, with changes to its claims.
func (p pair) proof(t testing.TB, lab *entralab.Lab, objectID string, changes ...any) string {
	now := lab.Now().Unix()
	claims := map[string]any{"aud": "00000002-0000-0000-c000-000000000000", "iss": objectID, "nbf": now, "exp": now + 600}
	for i := 0; i < len(changes); i += 2 {
		claims[changes[i].(string)] = changes[i+1]
	}
	return p.sign(t, map[string]any{"alg": "RS256", "typ": "JWT"}, claims)
}

func (p pair) base64() string { return base64.StdEncoding.EncodeToString(p.certificate.Raw) }

func (p pair) addKey(proof string) string {
	return `{"keyCredential":{"type":"AsymmetricX509Cert","usage":"Verify","key":"` + p.base64() + `"},"passwordCredential":null,"proof":"` + proof + `"}`
}

func signsIn(t *testing.T, lab *entralab.Lab, app entralab.App, p pair) bool {
	t.Helper()
	return askToken(t, lab, lab.TenantID(), assertionForm(app.ClientID, p.assertion(t, lab, app))).status == 200
}

// TestRollKeys: an app without any permission adds a second key with a proof of
// the first, signs in with it, and removes the first.
func TestRollKeys(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	first, second := appPair(), otherPair()
	app := addApp(t, lab, entralab.AppSpec{Certificates: []*x509.Certificate{first.certificate}})
	token, operator := graphToken(t, lab, app), graphToken(t, lab, lab.Operator())
	for _, kind := range []struct{ path, id string }{{"applications/" + app.ObjectID, app.ObjectID}, {"servicePrincipals/" + app.ServicePrincipalID, app.ServicePrincipalID}} {
		if signsIn(t, lab, app, second) {
			t.Fatal("the second key works before it is there")
		}
		r := graph(t, lab, token, "POST", kind.path+"/addKey", second.addKey(first.proof(t, lab, kind.id)))
		if r.status != 200 {
			t.Fatalf("%s: %s", kind.path, r.body)
		}
		keyID := r.object(t)["keyId"].(string)
		name := func(at time.Time) string { return at.UTC().Format(time.RFC3339) }
		if want := `{"@odata.context":"https://graph.lab.test/v1.0/$metadata#microsoft.graph.keyCredential","customKeyIdentifier":"` + second.thumbprint() + `","displayName":"CN=app","endDateTime":"` + name(second.certificate.NotAfter) +
			`","key":null,"keyId":"` + keyID + `","startDateTime":"` + name(second.certificate.NotBefore) + `","type":"AsymmetricX509Cert","usage":"Verify"}`; r.body != want {
			t.Errorf("%s\nwant %s", r.body, want)
		}
		if !signsIn(t, lab, app, second) {
			t.Errorf("%s: the new key does not sign in", kind.path)
		}
		// The bytes come to who names them.
		for query, want := range map[string]any{"": nil, "?$select=keyCredentials": second.base64()} {
			keys := graph(t, lab, operator, "GET", kind.path+query, "").object(t)["keyCredentials"].([]any)
			if last := keys[len(keys)-1].(map[string]any); last["keyId"] != keyID || last["key"] != want {
				t.Errorf("%s%s: %v", kind.path, query, last)
			}
		}
		entries := auditsOf(t, lab, operator, "targetResources/any(t:t/id eq '"+kind.id+"')")
		if text := string(mustJSON(t, entries[0])); !strings.Contains(text, "KeyIdentifier="+keyID+",KeyType=AsymmetricX509Cert,KeyUsage=Verify,DisplayName=CN=app]") {
			t.Errorf("audit: %s", text)
		}
		remove := `{"keyId":"` + keyID + `","proof":"` + second.proof(t, lab, kind.id) + `"}`
		if r := graph(t, lab, token, "POST", kind.path+"/removeKey", remove); r.status != 204 || r.body != "" {
			t.Errorf("%s: removeKey: %d %s", kind.path, r.status, r.body)
		}
		if signsIn(t, lab, app, second) || !signsIn(t, lab, app, first) {
			t.Errorf("%s: after removeKey", kind.path)
		}
		// Its proof is no proof any more, and the key is not there any more.
		if code, _ := graphErrorOf(t, graph(t, lab, token, "POST", kind.path+"/removeKey", remove)); code != "Authentication_MissingOrMalformed" {
			t.Errorf("%s: an old proof: %s", kind.path, code)
		}
		if r := graph(t, lab, token, "POST", kind.path+"/removeKey", `{"keyId":"`+keyID+`","proof":"`+first.proof(t, lab, kind.id)+`"}`); r.status != 400 {
			t.Errorf("%s: an unknown key: %d", kind.path, r.status)
		}
	}
}

func TestProofs(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	app, stranger := addApp(t, lab, entralab.AppSpec{Certificates: []*x509.Certificate{appPair().certificate}}), addApp(t, lab, entralab.AppSpec{})
	token := graphToken(t, lab, app)
	now := lab.Now().Unix()
	path := "applications/" + app.ObjectID + "/addKey"
	good := func(changes ...any) string { return appPair().proof(t, lab, app.ObjectID, changes...) }
	for name, proof := range map[string]string{
		"none": "", "no token": "x", "client id": good("iss", app.ClientID), "service principal": good("iss", app.ServicePrincipalID), "audience": good("aud", "https://graph.microsoft.com"),
		"two audiences": good("aud", []string{"00000002-0000-0000-c000-000000000000", "x"}), "no end": good("exp", nil), "no start": good("nbf", nil),
		"expired": good("nbf", now-1200, "exp", now-600), "ahead": good("nbf", now+600, "exp", now+900), "long": good("exp", now+601),
		"signature": breakSignature(good()), "another's key": otherPair().proof(t, lab, app.ObjectID), "padded": strings.Replace(good(), ".", "=.", 1),
	} {
		r := graph(t, lab, token, "POST", path, otherPair().addKey(proof))
		if code, message := graphErrorOf(t, r); r.status != 401 || code != "Authentication_MissingOrMalformed" || message != "Access Token missing or malformed." {
			t.Errorf("%s: %d %s %q", name, r.status, code, message)
		}
	}
	for name, body := range map[string]string{
		"no key": `{"proof":"` + good() + `"}`, "no certificate": strings.Replace(otherPair().addKey(good()), otherPair().base64(), "AAAA", 1), "key id": strings.Replace(otherPair().addKey(good()), `"usage"`, `"keyId":"`+unknownGUID+`","usage"`, 1),
		"usage": strings.Replace(otherPair().addKey(good()), `"Verify"`, `"Sign"`, 1), "type": strings.Replace(otherPair().addKey(good()), `"AsymmetricX509Cert"`, `"X509CertAndPassword"`, 1), "no object": `[]`,
		"password": strings.Replace(otherPair().addKey(good()), `"passwordCredential":null`, `"passwordCredential":{}`, 1), "member": strings.Replace(otherPair().addKey(good()), `"proof"`, `"x":1,"proof"`, 1),
	} {
		if r := graph(t, lab, token, "POST", path, body); r.status != 400 {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	if r := graph(t, lab, graphToken(t, lab, stranger), "POST", path, otherPair().addKey(good())); r.status != 403 {
		t.Errorf("another app: %d", r.status)
	}
	if r := graph(t, lab, graphToken(t, lab, lab.Operator()), "POST", path, otherPair().addKey(good())); r.status != 200 {
		t.Errorf("an administrator with a proof: %s", r.body)
	}
	// A key that has ended proves nothing.
	lab.Set(appPair().certificate.NotAfter.Add(time.Minute))
	if r := graph(t, lab, graphToken(t, lab, lab.Operator()), "POST", path, otherPair().addKey(good())); r.status != 401 {
		t.Errorf("an ended key: %d", r.status)
	}
}

// TestPatchKeys: a PATCH replaces the collection, and keeps a key that is sent
// back without its bytes.
func TestPatchKeys(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	app := addApp(t, lab, entralab.AppSpec{})
	token := graphToken(t, lab, lab.Operator())
	for _, path := range []string{"applications/" + app.ObjectID, "servicePrincipals/" + app.ServicePrincipalID} {
		patch := func(keys string) int {
			return graph(t, lab, token, "PATCH", path, `{"keyCredentials":`+keys+`}`).status
		}
		key := func(p pair) string {
			return `{"type":"AsymmetricX509Cert","usage":"Verify","displayName":"mine","key":"` + p.base64() + `"}`
		}
		shown := func() []any { return graph(t, lab, token, "GET", path, "").object(t)["keyCredentials"].([]any) }
		if got := patch("[" + key(appPair()) + "]"); got != 204 || !signsIn(t, lab, app, appPair()) {
			t.Fatalf("%s: %d", path, got)
		}
		before := shown()
		if len(before) != 1 || before[0].(map[string]any)["keyId"] == "" {
			t.Errorf("%s: %v", path, before)
		}
		again := string(mustJSON(t, before[0]))
		if got := patch("[" + again + "," + key(otherPair()) + "]"); got != 204 || !signsIn(t, lab, app, appPair()) || !signsIn(t, lab, app, otherPair()) {
			t.Errorf("%s: both: %d", path, got)
		}
		if after := shown(); len(after) != 2 || !reflect.DeepEqual(after[0], before[0]) {
			t.Errorf("%s: %v, before %v", path, after, before)
		}
		for _, bad := range []string{
			`{}`, `[{}]`, `[{"type":"AsymmetricX509Cert","usage":"Verify","key":"AAAA"}]`, `[` + strings.Replace(key(appPair()), "Verify", "Sign", 1) + `]`, `[` + strings.Replace(key(appPair()), "{", `{"keyId":"x",`, 1) + `]`,
			`[` + again + `,` + again + `]`, `[` + strings.Replace(again, `"key":null,"keyId":"`, `"keyId":"0`, 1) + `]`, `[` + strings.Replace(key(appPair()), "{", `{"endDateTime":"2199-01-01T00:00:00Z",`, 1) + `]`,
		} {
			if got := patch(bad); got != 400 {
				t.Errorf("%s: %.80s: %d", path, bad, got)
			}
		}
		if got := patch("[]"); got != 204 || len(shown()) != 0 || signsIn(t, lab, app, appPair()) {
			t.Errorf("%s: none: %d", path, got)
		}
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func FuzzProof(f *testing.F) {
	lab := start(f)
	app := addApp(f, lab, entralab.AppSpec{Certificates: []*x509.Certificate{appPair().certificate}})
	token := graphToken(f, lab, app)
	f.Add(appPair().proof(f, lab, app.ObjectID), "AAAA")
	f.Add("e30.e30.", "")
	f.Add("eyJhbGciOiJub25lIn0.eyJleHAiOjFlMzAwfQ.AA", "x")
	f.Fuzz(func(t *testing.T, proof, key string) {
		body := mustJSON(t, map[string]any{"proof": proof, "keyCredential": map[string]any{"type": "AsymmetricX509Cert", "usage": "Verify", "key": key}})
		r := graph(t, lab, token, "POST", "applications/"+app.ObjectID+"/addKey", string(body))
		checkFuzzed(t, r)
		if r.status != 400 && r.status != 401 {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
}
