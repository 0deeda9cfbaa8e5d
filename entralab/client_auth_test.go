package entralab_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
	"github.com/credsmith/credsmith/entralab"
)

// pair is a certificate with its key.
type pair struct {
	certificate *x509.Certificate
	key         *rsa.PrivateKey
}

func newPair() pair {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return pair{certificate, key}
}

// Two certificates for all tests: keys are slow to make.
var appPair, otherPair = sync.OnceValue(newPair), sync.OnceValue(newPair)

func (p pair) thumbprint() string {
	sum := sha1.Sum(p.certificate.Raw)
	return fmt.Sprintf("%X", sum)
}

// sign makes a client assertion. A claim or header of nil is left out.
func (p pair) sign(t testing.TB, header, claims map[string]any) string {
	t.Helper()
	part := func(m map[string]any) string {
		for name, v := range m {
			if v == nil {
				delete(m, name)
			}
		}
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	pss := header["alg"] == "PS256"
	text := part(header) + "." + part(claims)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, p.key, crypto.SHA256, digest[:])
	if pss {
		signature, err = rsa.SignPSS(rand.Reader, p.key, crypto.SHA256, digest[:], nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// assertion is a good one with changes; a name with "h." is of the header.
func (p pair) assertion(t testing.TB, lab *entralab.Lab, app entralab.App, changes ...any) string {
	now := lab.Now().Unix()
	short, long := sha1.Sum(p.certificate.Raw), sha256.Sum256(p.certificate.Raw)
	header := map[string]any{
		"alg": "RS256", "typ": "JWT", "x5t": base64.RawURLEncoding.EncodeToString(short[:]), "x5t#S256": base64.RawURLEncoding.EncodeToString(long[:]),
	}
	claims := map[string]any{
		"iss": app.ClientID, "sub": app.ClientID, "aud": tokenURL(lab, lab.TenantID()), "jti": "one", "nbf": now, "exp": now + 600,
	}
	for i := 0; i < len(changes); i += 2 {
		if name, ok := strings.CutPrefix(changes[i].(string), "h."); ok {
			header[name] = changes[i+1]
		} else {
			claims[name] = changes[i+1]
		}
	}
	return p.sign(t, header, claims)
}

// breakSignature changes one letter of a JWT's signature.
func breakSignature(token string) string {
	middle := strings.LastIndex(token, ".") + 20
	letter := "A"
	if token[middle] == 'A' {
		letter = "B"
	}
	return token[:middle] + letter + token[middle+1:]
}

func assertionForm(clientID, assertion string) url.Values {
	return url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "scope": {graphScope},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
	}
}

func TestCertificateAssertions(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := addApp(t, lab, entralab.AppSpec{Certificates: []*x509.Certificate{otherPair().certificate, appPair().certificate}})
	tenant, authority := lab.TenantID(), lab.AuthorityURL()
	good := func(changes ...any) string { return appPair().assertion(t, lab, app, changes...) }
	for name, text := range map[string]string{
		"both thumbprints":   good(),
		"SHA-1 only":         good("h.x5t#S256", nil),
		"SHA-256 only, PSS":  good("h.x5t", nil, "h.alg", "PS256"),
		"thumbprint in kid":  good("h.x5t", nil, "h.x5t#S256", nil, "h.kid", appPair().thumbprint()),
		"older endpoint":     good("aud", authority+"/contoso.lab.test/oauth2/token"),
		"issuer":             good("aud", authority+"/"+tenant+"/v2.0"),
		"issuer of v1":       good("aud", "https://sts.windows.net/"+tenant+"/"),
		"several audiences":  good("aud", []string{"x", tokenURL(lab, tenant)}),
		"no nbf, fractional": good("nbf", nil, "exp", float64(lab.Now().Unix())+60.5),
		"the other key":      otherPair().assertion(t, lab, app),
	} {
		r := askToken(t, lab, tenant, assertionForm(app.ClientID, text))
		if r.status != 200 {
			t.Errorf("%s: %s", name, r.body)
			continue
		}
		if acr := part(t, r.object(t)["access_token"], 1)["appidacr"]; acr != "2" {
			t.Errorf("%s: appidacr %v, want 2", name, acr)
		}
	}
	form := assertionForm(app.ClientID, good())
	form.Set("scope", app.ClientID+"/.default")
	form.Set("client_secret", "not looked at beside an assertion")
	if acr := part(t, askToken(t, lab, tenant, form).object(t)["access_token"], 1)["azpacr"]; acr != "2" {
		t.Errorf("azpacr %v, want 2", acr)
	}
	events := lab.History(0)
	if e := events[len(events)-1]; e.KeyID == "" || e.KeyID == app.Secrets[0].KeyID {
		t.Errorf("the history names the key %q", e.KeyID)
	}
}

func TestCertificateAssertionErrors(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	app := addApp(t, lab, entralab.AppSpec{Certificates: []*x509.Certificate{appPair().certificate}})
	bare := addApp(t, lab, entralab.AppSpec{})
	now := lab.Now()
	good := func(changes ...any) string { return appPair().assertion(t, lab, app, changes...) }
	form := func(text string) url.Values { return assertionForm(app.ClientID, text) }
	span := func(nbf, exp time.Time) string {
		const layout = "2006-01-02T15:04:05.0000000Z"
		return "Client assertion is not within its valid time range. Current time: " + now.Format(layout) + ", assertion valid from " + nbf.UTC().Truncate(time.Second).Format(layout) + ", expiry time of assertion " + exp.UTC().Truncate(time.Second).Format(layout) + ". Review the documentation at https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials ."
	}
	see := "Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id '" + app.ClientID + "'. Review the documentation at https://docs.microsoft.com/en-us/graph/deployments to determine the corresponding service endpoint and https://docs.microsoft.com/en-us/graph/api/application-get?view=graph-rest-1.0&tabs=http to build a query request URL, such as 'https://graph.microsoft.com/beta/applications/" + app.ClientID + "']."
	const stamp = "01/02/2006 15:04:05"
	found := "Thumbprint of key used by client: '%s', Found key 'Start=" + appPair().certificate.NotBefore.UTC().Format(stamp) + ", End=" + appPair().certificate.NotAfter.UTC().Format(stamp) + "', " + see
	sha := fmt.Sprintf("%X", sha256.Sum256(appPair().certificate.Raw))
	flipped := breakSignature(good())
	early, late := now.Add(-time.Hour), now.Add(time.Hour)
	for _, tc := range []refusedRequest{
		{name: "no type", form: with(form(good()), "client_assertion_type", ""), status: 400, oauth: "invalid_request", code: 900144, text: fmt.Sprintf(missing, "client_assertion_type"), uri: true},
		{name: "another type", form: with(form(good()), "client_assertion_type", "saml"), status: 400, oauth: "invalid_request", code: 90023, text: "Invalid STS request."},
		{name: "no JWT", form: form("x"), status: 401, oauth: "invalid_client", code: 50027, text: "JWT token is invalid or malformed."},
		{name: "no expiry", form: form(good("exp", nil)), status: 401, oauth: "invalid_client", code: 50027, text: "JWT token is invalid or malformed."},
		{name: "other subject", form: form(good("sub", bare.ClientID)), status: 401, oauth: "invalid_client", code: 50048, text: "Subject must match Issuer claim in the client assertion."},
		{name: "other app", form: form(good("sub", bare.ClientID, "iss", bare.ClientID)), status: 401, oauth: "invalid_client", code: 700021, text: "Client assertion application identifier doesn't match 'client_id' parameter."},
		{name: "audience", form: form(good("aud", "https://login.example/x")), status: 401, oauth: "invalid_client", code: 700023, text: "Client assertion audience claim does not match Realm issuer."},
		{name: "expired", form: form(good("nbf", early.Unix(), "exp", now.Add(-5*time.Minute).Unix())), status: 401, oauth: "invalid_client", code: 700024, text: span(early, now.Add(-5*time.Minute))},
		{name: "not yet", form: form(good("nbf", late.Unix(), "exp", late.Unix())), status: 401, oauth: "invalid_client", code: 700024, text: span(late, late)},
		{name: "no keys", form: assertionForm(bare.ClientID, appPair().assertion(t, lab, bare)), status: 401, oauth: "invalid_client", code: 700026, text: "Client application has no configured keys."},
		{name: "unknown key", form: form(otherPair().assertion(t, lab, app, "h.x5t#S256", nil)), status: 401, oauth: "invalid_client", code: 700027,
			text: "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found., Thumbprint of key used by client: '" + otherPair().thumbprint() + "', " + see},
		{name: "bad signature", form: form(flipped), status: 401, oauth: "invalid_client", code: 700027,
			text: "Client assertion failed signature validation. [Reason - Key was found, but use of the key to verify the signature failed., " + fmt.Sprintf(found, sha)},
		{name: "algorithm none", form: form(good("h.alg", "none")), status: 401, oauth: "invalid_client", code: 700027,
			text: "Client assertion failed signature validation. [Reason - Key was found, but use of the key to verify the signature failed., " + fmt.Sprintf(found, sha)},
		{name: "two apps", form: form(good()), header: []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(bare.ClientID+":x"))}, status: 400, oauth: "unauthorized_client", code: 7000110,
			text: "Request is ambiguous: multiple application identifiers found. Application identifiers: '" + app.ClientID + ", " + bare.ClientID + "'."},
		{name: "from a page", form: form(good()), header: []string{"Origin", "https://app.example"}, status: 400, oauth: "invalid_request", code: 9002326,
			text: "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type."},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.check(t, lab) })
	}
	lab.Set(appPair().certificate.NotAfter)
	refusedRequest{form: form(good()), status: 401, oauth: "invalid_client", code: 700027,
		text: "Client assertion failed signature validation. [Reason - The key used is expired., " + fmt.Sprintf(found, sha)}.check(t, lab)
	lab.RevokeCertificate(appPair().certificate)
	refusedRequest{form: form(good()), status: 401, oauth: "invalid_client", code: 7000214, text: "Certificate has been revoked."}.check(t, lab)
}

// TestCertificateByGraph registers the certificate as a deployment does.
func TestCertificateByGraph(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := addApp(t, lab, entralab.AppSpec{})
	body, err := json.Marshal(map[string]any{"keyCredentials": []map[string]any{
		{"type": "AsymmetricX509Cert", "usage": "Verify", "keyId": unknownGUID, "key": appPair().certificate.Raw, "endDateTime": lab.Now().Add(time.Hour)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if r := graph(t, lab, graphToken(t, lab, lab.Operator()), "PATCH", "applications/"+app.ObjectID, string(body)); r.status != 204 {
		t.Fatal(r.body)
	}
	if r := askToken(t, lab, lab.TenantID(), assertionForm(app.ClientID, appPair().assertion(t, lab, app))); r.status != 200 {
		t.Error(r.body)
	}
	lab.Advance(time.Hour)
	if r := askToken(t, lab, lab.TenantID(), assertionForm(app.ClientID, appPair().assertion(t, lab, app))); !strings.Contains(r.body, "The key used is expired.") {
		t.Errorf("after the credential's end: %s", r.body)
	}
}

func TestFederatedAssertions(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	const issuer, subject, audience = "https://token.actions.example", "repo:Org/app:environment:prod", "api://AzureADTokenExchange"
	app := addApp(t, lab, entralab.AppSpec{FederatedCredentials: []entralab.FederatedCredentialSpec{
		{Name: "ci", Issuer: issuer, Subject: subject}, {Issuer: "https://other.example", Subject: "other"},
	}})
	bare := addApp(t, lab, entralab.AppSpec{DisplayName: "bare"})
	sign := func(issuer, subject, audience string) url.Values {
		return assertionForm(app.ClientID, lab.SignAssertion(issuer, subject, audience))
	}
	strange := appPair().assertion(t, lab, app, "iss", issuer, "sub", subject, "aud", audience, "h.kid", "k1")
	refusedRequest{form: assertionForm(app.ClientID, strange), status: 401, oauth: "invalid_client", code: 7000272,
		text: "The certificate with identifier 'k1' used to sign the federated credential could not be found in the metadata of identity provider '" + issuer + "'."}.check(t, lab)
	good := sign(issuer, subject, audience)
	r := askToken(t, lab, lab.TenantID(), good)
	if r.status != 200 || part(t, r.object(t)["access_token"], 1)["appidacr"] != "2" {
		t.Fatal(r.body)
	}
	text := good.Get("client_assertion")
	flipped := breakSignature(text)
	const none = "No matching federated identity record found for presented assertion"
	refused := func(name string, form url.Values, code int, text string) refusedRequest {
		return refusedRequest{name: name, form: form, status: 401, oauth: "invalid_client", code: code, text: text}
	}
	for _, tc := range []refusedRequest{
		refused("issuer", sign(issuer+"/", subject, audience), 700211, none+" issuer '"+issuer+"/'."),
		refused("audience", sign(issuer, subject, "api://x"), 700212, none+" audience 'api://x'."),
		refused("subject", sign(issuer, "repo:x", audience), 700213, none+" subject 'repo:x'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion."),
		refused("case of the subject", sign(issuer, strings.ToLower(subject), audience), 7002138, none+" subject '"+strings.ToLower(subject)+"'."),
		refused("signature", assertionForm(app.ClientID, flipped), 900384, "JWT token failed signature validation."),
		refused("no credential", assertionForm(bare.ClientID, text), 70025, "The client '"+bare.ClientID+"'(bare) has no configured federated identity credentials."),
		{name: "only the issuer fits", form: sign(issuer, "other", "api://x"), status: 400, oauth: "invalid_request", code: 70021,
			text: none + ". Assertion Issuer: '" + issuer + "'. Assertion Subject: 'other'. Assertion Audience: 'api://x'."},
		{name: "own token", form: sign(lab.AuthorityURL()+"/"+lab.TenantID()+"/v2.0", subject, audience), status: 400, oauth: "invalid_request", code: 700222,
			text: "AAD-issued tokens may not be used for federated identity flows."},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.check(t, lab) })
	}
	lab.Advance(10 * time.Minute)
	if r := askToken(t, lab, lab.TenantID(), good); !strings.Contains(r.body, "AADSTS700024: ") {
		t.Errorf("after its time: %s", r.body)
	}
}

func TestResourcePrincipals(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := addApp(t, lab, entralab.AppSpec{DisplayName: "client"})
	api := addApp(t, lab, entralab.AppSpec{DisplayName: "api"})
	operator := graphToken(t, lab, lab.Operator())
	form := credentialsForm(app.ClientID, value(app))
	form.Set("scope", "api://"+api.ClientID+"/.default")
	patch := func(body string) {
		t.Helper()
		if r := graph(t, lab, operator, "PATCH", "servicePrincipals/"+api.ServicePrincipalID, body); r.status != 204 {
			t.Fatal(r.body)
		}
	}
	patch(`{"appRoleAssignmentRequired":true}`)
	refusedRequest{form: form, status: 400, oauth: "invalid_grant", code: 501051,
		text: "Application '" + app.ClientID + "'(client) is not assigned to a role for the application '" + api.ClientID + "'(api)."}.check(t, lab)
	patch(`{"accountEnabled":false}`)
	refusedRequest{form: form, status: 400, oauth: "invalid_resource", code: 500014,
		text: "The service principal for resource 'api://" + api.ClientID + "' is disabled. This indicate that a subscription within the tenant has lapsed, or that the administrator for this tenant has disabled the application, preventing tokens from being issued for it."}.check(t, lab)
}

func TestRandomLifetimes(t *testing.T) {
	t.Parallel()
	draw := func() (drawn [8]float64) {
		lab := startWith(t, entralab.Config{InProcess: true, RandomLifetimes: true, RandomSeed: 7})
		app := lab.Healthy()
		for i := range drawn {
			o := askToken(t, lab, lab.TenantID(), credentialsForm(app.ClientID, value(app))).object(t)
			drawn[i] = o["expires_in"].(float64)
			claims := part(t, o["access_token"], 1)
			if drawn[i] < 3600 || drawn[i] >= 5400 || claims["exp"].(float64)-claims["iat"].(float64) != drawn[i] {
				t.Errorf("expires_in %v, claims %v", drawn[i], claims)
			}
		}
		return drawn
	}
	one, two := draw(), draw()
	if one != two || one[0] == one[1] && one[1] == one[2] {
		t.Errorf("drawn %v and %v", one, two)
	}
}

// labOptions make azidentity use the lab.
func labOptions(lab *entralab.Lab) policy.ClientOptions {
	return policy.ClientOptions{
		Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: lab.AuthorityURL()}, Transport: lab.Client(), Retry: policy.RetryOptions{MaxRetries: -1},
	}
}

func TestAzidentityWithoutSecret(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	app := addApp(t, lab, entralab.AppSpec{
		Certificates:         []*x509.Certificate{appPair().certificate},
		FederatedCredentials: []entralab.FederatedCredentialSpec{{Issuer: "https://issuer.example", Subject: "workload"}},
	})
	byCertificate, err := azidentity.NewClientCertificateCredential(lab.TenantID(), app.ClientID, []*x509.Certificate{appPair().certificate}, appPair().key,
		&azidentity.ClientCertificateCredentialOptions{DisableInstanceDiscovery: true, ClientOptions: labOptions(lab)})
	if err != nil {
		t.Fatal(err)
	}
	byAssertion, err := azidentity.NewClientAssertionCredential(lab.TenantID(), app.ClientID, func(context.Context) (string, error) {
		return lab.SignAssertion("https://issuer.example", "workload", "api://AzureADTokenExchange"), nil
	}, &azidentity.ClientAssertionCredentialOptions{DisableInstanceDiscovery: true, ClientOptions: labOptions(lab)})
	if err != nil {
		t.Fatal(err)
	}
	ask := policy.TokenRequestOptions{Scopes: []string{graphScope}}
	if _, err := byCertificate.GetToken(context.Background(), ask); err != nil {
		t.Errorf("certificate: %v", err)
	}
	if _, err := byAssertion.GetToken(context.Background(), ask); err != nil {
		t.Errorf("assertion: %v", err)
	}
}

func TestMSALCertificate(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	app := addApp(t, lab, entralab.AppSpec{Certificates: []*x509.Certificate{appPair().certificate}})
	credential, err := confidential.NewCredFromCert([]*x509.Certificate{appPair().certificate}, appPair().key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := confidential.New(lab.AuthorityURL()+"/"+lab.TenantID(), app.ClientID, credential,
		confidential.WithHTTPClient(lab.Client()), confidential.WithInstanceDiscovery(false), confidential.WithX5C())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.AcquireTokenByCredential(context.Background(), []string{graphScope}); err != nil {
		t.Error(err)
	}
}

// FuzzAssertion sends anything as a client assertion, under a good signature
// or none.
func FuzzAssertion(f *testing.F) {
	lab := start(f)
	app := addApp(f, lab, entralab.AppSpec{
		Certificates:         []*x509.Certificate{appPair().certificate},
		FederatedCredentials: []entralab.FederatedCredentialSpec{{Issuer: "https://issuer.example", Subject: "s"}},
	})
	f.Add(`{"alg":"RS256","x5t":"AAAA"}`, `{"iss":"`+app.ClientID+`","sub":"`+app.ClientID+`","aud":["x"],"exp":1e308,"nbf":-1}`)
	f.Add(`{"alg":"none","kid":"x"}`, `{"iss":"https://issuer.example","sub":"s","aud":"api://AzureADTokenExchange","exp":4102444800}`)
	f.Add(`{}`, `{"iss":1}`)
	f.Fuzz(func(t *testing.T, header, claims string) {
		b64 := base64.RawURLEncoding.EncodeToString
		for _, text := range []string{b64([]byte(header)) + "." + b64([]byte(claims)) + ".AAAA", header + "." + claims, claims} {
			r := askToken(t, lab, lab.TenantID(), assertionForm(app.ClientID, text))
			checkFuzzed(t, r)
			if r.status == 200 {
				t.Errorf("a token for %s %s", header, claims)
			}
		}
	})
}
