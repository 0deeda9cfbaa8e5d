package entralab

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// clientAuth is how an app proved itself: the appidacr or azpacr of its tokens
// (Microsoft documentation).
type clientAuth string

const (
	authPublic clientAuth = "0"
	authSecret clientAuth = "1"
	authKey    clientAuth = "2" // a certificate or a federated credential
)

const assertionTypeJWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// authenticate checks the app's credential; missing is the answer when there
// is none. An assertion goes before a secret sent beside it: what the real
// service does then is not known.
func (c *tokenCall) authenticate(missing *refusal) (clientAuth, *refusal) {
	switch {
	case c.req.form["client_assertion"] != "":
		return authKey, c.checkAssertion(c.req.form["client_assertion"])
	case c.req.form["client_secret"] != "":
		return authSecret, c.checkSecret(c.req.form["client_secret"])
	}
	return authPublic, missing
}

func (c *tokenCall) checkSecret(value string) *refusal {
	found, verdict := c.app.check(value, c.now, c.lab.random.fraction())
	if found != nil {
		c.event.KeyID, c.event.signIn.credential = found.keyID.String(), kindSecret
	}
	switch verdict {
	case valueAccepted:
		return nil
	case valueExpired:
		return errSecretExpired.with("appId", c.app.clientID.String())
	}
	return errSecretUnknown.with("appId", c.app.clientID.String())
}

// checkAssertion tells the two kinds of assertion apart by the issuer: an app
// names itself by a GUID, a foreign issuer has a URL.
func (c *tokenCall) checkAssertion(text string) *refusal {
	switch kind := c.req.form["client_assertion_type"]; kind {
	case "":
		return errMissing.with("name", "client_assertion_type")
	case assertionTypeJWT:
	default:
		return errBadRequest.with()
	}
	a, ok := parseAssertion(text)
	if !ok {
		return errJWT.with()
	}
	if _, isID := parseGUID(a.claims.Issuer); isID {
		return c.checkCertificateAssertion(a)
	}
	return c.checkFederatedAssertion(a)
}

// assertion is a JWT that a client sent, taken apart and not yet believed.
type assertion struct {
	header struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		SHA1      string `json:"x5t"`
		SHA256    string `json:"x5t#S256"`
	}
	claims struct {
		Issuer    string      `json:"iss"`
		Subject   string      `json:"sub"`
		Audience  audience    `json:"aud"`
		Expires   numericDate `json:"exp"`
		NotBefore numericDate `json:"nbf"`
	}
	digest    [sha256.Size]byte
	signature []byte
}

// parseAssertion reads the parts that matter. jti is not among them: the real
// service takes an assertion more than once while it is in force (recalled,
// unverified).
func parseAssertion(text string) (assertion, bool) {
	a, ok := takeApart(text)
	return a, ok && a.claims.Issuer != "" && a.claims.Subject != "" && a.claims.Expires.set
}

// takeApart reads a JWT.
func takeApart(text string) (assertion, bool) {
	var a assertion
	head, rest, _ := strings.Cut(text, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok {
		return a, false
	}
	for part, into := range map[string]any{head: &a.header, payload: &a.claims} {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || json.Unmarshal(raw, into) != nil {
			return a, false
		}
	}
	var err error
	a.signature, err = base64.RawURLEncoding.DecodeString(signature)
	a.digest = sha256.Sum256([]byte(head + "." + payload))
	return a, err == nil
}

// signedBy checks the signature. RS256 and PS256 are what the service takes
// (Microsoft documentation).
func (a *assertion) signedBy(key *rsa.PublicKey) bool {
	switch a.header.Algorithm {
	case "RS256":
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, a.digest[:], a.signature) == nil
	case "PS256":
		return rsa.VerifyPSS(key, crypto.SHA256, a.digest[:], a.signature, nil) == nil
	}
	return false
}

// assertionSkew is how far the client's clock may be off (recalled, unverified).
const assertionSkew = 5 * time.Minute

func (a *assertion) checkTime(now time.Time) *refusal {
	expires, starts := a.claims.Expires.at(), a.claims.NotBefore.at()
	if now.Before(expires.Add(assertionSkew)) && !now.Before(starts.Add(-assertionSkew)) {
		return nil
	}
	const layout = "2006-01-02T15:04:05.0000000Z" // seen
	return errAssertionTime.with("now", now.Format(layout), "nbf", starts.Format(layout), "exp", expires.Format(layout))
}

// checkCertificateAssertion checks an assertion that the app signed itself.
func (c *tokenCall) checkCertificateAssertion(a assertion) *refusal {
	appID := c.app.clientID.String()
	switch {
	case a.claims.Subject != a.claims.Issuer:
		return errAssertionSubject.with()
	case !strings.EqualFold(a.claims.Issuer, appID):
		return errAssertionApp.with()
	case !c.lab.ownAudience(c.tenant, c.req.segment, a.claims.Audience):
		return errAssertionAudience.with()
	}
	if refused := a.checkTime(c.now); refused != nil {
		return refused
	}
	keys := c.app.certificates()
	if len(keys) == 0 {
		return errNoKeys.with()
	}
	sent := a.thumbprint()
	for _, key := range keys {
		if sent != key.sha1 && sent != key.sha256 {
			continue
		}
		c.event.KeyID, c.event.signIn.credential = key.keyID.String(), kindCertificate
		const layout = "01/02/2006 15:04:05" // seen
		holes := []string{"thumbprint", strings.ToUpper(sent), "start", key.start.Format(layout), "end", key.end.Format(layout), "appId", appID}
		switch {
		case c.lab.revoked[key.sha256]:
			return errKeyRevoked.with()
		case !c.now.Before(key.end) || c.now.Before(key.start):
			return errKeyUse.with(append(holes, "reason", "The key used is expired.")...)
		case !a.signedBy(key.public):
			return errKeyUse.with(append(holes, "reason", "Key was found, but use of the key to verify the signature failed.")...)
		}
		return nil
	}
	return errKeyUnknown.with("thumbprint", strings.ToUpper(sent), "appId", appID)
}

// urlAlphabet turns the plain base64 of MSAL Go's thumbprints (seen on the
// wire) into that of RFC 7515.
var urlAlphabet = strings.NewReplacer("+", "-", "/", "_", "=", "")

// thumbprint is the certificate's as the header names it, in hex: x5t#S256,
// x5t, or either in kid.
func (a *assertion) thumbprint() string {
	for _, text := range []string{a.header.SHA256, a.header.SHA1, a.header.KeyID} {
		text = urlAlphabet.Replace(text)
		if raw, err := base64.RawURLEncoding.DecodeString(text); err == nil && (len(raw) == sha1.Size || len(raw) == sha256.Size) {
			return hex.EncodeToString(raw)
		}
		if raw, err := hex.DecodeString(text); err == nil && len(raw) == sha1.Size {
			return strings.ToLower(text)
		}
	}
	return ""
}

// ownAudience reports whether an assertion is addressed to the token service:
// either token endpoint or either issuer, by the tenant's id, its domain or
// the segment asked.
func (l *Lab) ownAudience(t *tenant, segment string, aud audience) bool {
	for _, name := range []string{t.id.String(), t.domain, segment} {
		for _, want := range []string{
			l.authorityURL + "/" + name + "/oauth2/v2.0/token", l.authorityURL + "/" + name + "/oauth2/token",
			l.authorityURL + "/" + name + "/v2.0", "https://sts.windows.net/" + name + "/",
		} {
			for _, got := range aud {
				if strings.EqualFold(got, want) {
					return true
				}
			}
		}
	}
	return false
}

// certificate is a key credential that can prove something.
type certificate struct {
	keyID        guid
	start, end   time.Time
	sha1, sha256 string // thumbprints in hex
	public       *rsa.PublicKey
	onApp        bool // the application holds it, not the service principal
}

// keyCredential is one as Graph keeps it.
type keyCredential struct {
	CustomKeyIdentifier *string    `json:"customKeyIdentifier"`
	DisplayName         *string    `json:"displayName"`
	EndDateTime         *time.Time `json:"endDateTime"`
	Key                 []byte     `json:"key"`
	KeyID               string     `json:"keyId"`
	StartDateTime       *time.Time `json:"startDateTime"`
	Type                string     `json:"type"`
	Usage               string     `json:"usage"`
}

const keyCredentialsName = "keyCredentials"

// certificates are the key credentials of the app and of its service principal,
// which sign in as the same client. Call with l.mu held.
func (a *application) certificates() []certificate {
	found := readCertificates(a.kept[keyCredentialsName], true)
	if a.principal != nil {
		found = append(found, readCertificates(a.principal.kept[keyCredentialsName], false)...)
	}
	return found
}

// readCertificates passes over what is no RSA certificate for verifying.
func readCertificates(sent json.RawMessage, onApp bool) []certificate {
	var kept []keyCredential
	if json.Unmarshal(sent, &kept) != nil {
		return nil
	}
	var found []certificate
	for _, k := range kept {
		parsed, err := x509.ParseCertificate(k.Key)
		if err != nil || !strings.EqualFold(k.Usage, "Verify") {
			continue
		}
		public, ok := parsed.PublicKey.(*rsa.PublicKey)
		if !ok {
			continue
		}
		short, long := sha1.Sum(k.Key), sha256.Sum256(k.Key)
		key := certificate{
			start: parsed.NotBefore.UTC(), end: parsed.NotAfter.UTC(), public: public, onApp: onApp,
			sha1: hex.EncodeToString(short[:]), sha256: hex.EncodeToString(long[:]),
		}
		key.keyID, _ = parseGUID(k.KeyID)
		if k.StartDateTime != nil {
			key.start = k.StartDateTime.UTC()
		}
		if k.EndDateTime != nil {
			key.end = k.EndDateTime.UTC()
		}
		found = append(found, key)
	}
	return found
}

// addCertificates registers certificates. Call with l.mu held.
func (l *Lab) addCertificates(a *application, certificates []*x509.Certificate) {
	if len(certificates) == 0 {
		return
	}
	var kept []keyCredential
	for _, c := range certificates {
		sum := sha1.Sum(c.Raw)
		kept = append(kept, keyCredential{
			CustomKeyIdentifier: new(strings.ToUpper(hex.EncodeToString(sum[:]))), DisplayName: new(c.Subject.String()),
			StartDateTime: new(c.NotBefore.UTC()), EndDateTime: new(c.NotAfter.UTC()),
			Key: c.Raw, KeyID: l.random.guid().String(), Type: "AsymmetricX509Cert", Usage: "Verify",
		})
	}
	a.kept = map[string]json.RawMessage{keyCredentialsName: encodeJSON(kept)}
}

// RevokeCertificate makes the token service refuse a certificate with 7000214,
// as if its issuer had revoked it.
func (l *Lab) RevokeCertificate(c *x509.Certificate) {
	sum := sha256.Sum256(c.Raw)
	l.changeSettings(func() { l.revoked[hex.EncodeToString(sum[:])] = true })
}

// audience is the aud claim: one text or several.
type audience []string

// UnmarshalJSON reads either form.
func (a *audience) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(a))
	}
	*a = audience{""}
	return json.Unmarshal(b, &(*a)[0])
}

func (a audience) String() string { return strings.Join(a, ", ") }

// numericDate is seconds since 1970, which RFC 7519 lets be a fraction.
type numericDate struct {
	seconds float64
	set     bool
}

// UnmarshalJSON reads a number.
func (d *numericDate) UnmarshalJSON(b []byte) error {
	d.set = string(b) != "null"
	return json.Unmarshal(b, &d.seconds)
}

// at is the date, kept within what a time can be added to.
func (d numericDate) at() time.Time {
	const last = 1 << 37 // beyond the year 6000
	return time.Unix(int64(min(max(d.seconds, 0), last)), 0).UTC()
}
