package entralab

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// signingKey is the key of the token service. It is made while the lab starts,
// since that takes longer than all the rest.
type signingKey struct {
	done        chan struct{} // closed when the fields below are set
	private     *rsa.PrivateKey
	certificate []byte             // DER
	thumbprint  string             // kid and x5t
	header      map[version][]byte // base64url
}

func newSigningKey() *signingKey {
	return &signingKey{done: make(chan struct{})}
}

// generate makes the key. It panics on failure: key and certificate depend on
// nothing but the random source.
func (k *signingKey) generate() {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic("entralab: signing key: " + err.Error())
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "accounts.accesscontrol.lab.test"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(5, 0, 0),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		panic("entralab: signing certificate: " + err.Error())
	}
	k.use(private, certificate)
}

// use sets the key and what depends on it.
func (k *signingKey) use(private *rsa.PrivateKey, certificate []byte) {
	k.private, k.certificate = private, certificate
	sum := sha1.Sum(k.certificate)
	k.thumbprint = base64.RawURLEncoding.EncodeToString(sum[:])
	// Tokens of version 2 carry no x5t (recorded 2026-08).
	k.header = map[version][]byte{
		v1: base64url(`{"typ":"JWT","alg":"RS256","x5t":"` + k.thumbprint + `","kid":"` + k.thumbprint + `"}`),
		v2: base64url(`{"typ":"JWT","alg":"RS256","kid":"` + k.thumbprint + `"}`),
	}
	close(k.done)
}

func base64url(s string) []byte {
	return base64.RawURLEncoding.AppendEncode(nil, []byte(s))
}

// jwk is the public half.
func (k *signingKey) jwk() object {
	<-k.done
	return object{
		{"kty", "RSA"}, {"use", "sig"}, {"kid", k.thumbprint}, {"x5t", k.thumbprint},
		{"n", base64.RawURLEncoding.EncodeToString(k.private.N.Bytes())},
		{"e", base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.private.E)).Bytes())},
		{"x5c", []string{base64.StdEncoding.EncodeToString(k.certificate)}},
	}
}

// sign returns the access token.
func (l *Lab) sign(g *grantedToken, now time.Time) string {
	<-l.key.done // the header is made with the key
	return l.key.jwt(l.key.header[g.resource.version], l.claims(g, now))
}

// jwt signs a payload under a header that is base64url already.
func (k *signingKey) jwt(header, payload []byte) string {
	<-k.done
	token := make([]byte, 0, 2048)
	token = append(append(token, header...), '.')
	token = base64.RawURLEncoding.AppendEncode(token, payload)
	digest := sha256.Sum256(token)
	signature, err := rsa.SignPKCS1v15(nil, k.private, crypto.SHA256, digest[:])
	if err != nil {
		panic("entralab: sign: " + err.Error()) // only a key too short for the hash fails
	}
	token = append(token, '.')
	return string(base64.RawURLEncoding.AppendEncode(token, signature))
}

// issuer is a tenant's, in tokens of a version.
func (l *Lab) issuer(v version, tenant string) string {
	if v == v2 {
		return l.authorityURL + "/" + tenant + "/v2.0"
	}
	return "https://sts.windows.net/" + tenant + "/"
}

// claimSet is a JSON object under construction.
type claimSet []byte

func (c *claimSet) name(name string) {
	separator := byte(',')
	if len(*c) == 0 {
		separator = '{'
	}
	*c = append(*c, separator, '"')
	*c = append(*c, name...)
	*c = append(*c, '"', ':')
}

func (c *claimSet) text(name, value string) {
	c.name(name)
	*c = jsonString(*c, value)
}

func (c *claimSet) number(name string, value int64) {
	c.name(name)
	*c = strconv.AppendInt(*c, value, 10)
}

func (c *claimSet) texts(name string, values []string) {
	c.name(name)
	*c = append(*c, '[')
	for i, value := range values {
		if i > 0 {
			*c = append(*c, ',')
		}
		*c = jsonString(*c, value)
	}
	*c = append(*c, ']')
}

// claims are those of an app-only token. Which set depends on the version that
// the resource asks for (Microsoft documentation). There is no scp.
func (l *Lab) claims(g *grantedToken, now time.Time) []byte {
	if g.user != nil {
		return l.userClaims(g, now)
	}
	tenant, client, principal := g.tenant.String(), g.clientID.String(), g.principal.String()
	issued, expires := now.Unix(), now.Add(g.lifetime).Unix()
	issuer := l.issuer(g.resource.version, tenant)
	c := make(claimSet, 0, 1024)
	c.text("aud", g.resource.audience)
	c.text("iss", issuer)
	c.number("iat", issued)
	c.number("nbf", issued)
	c.number("exp", expires)
	c.text("aio", l.random.text(30))
	if g.resource.graph {
		c.text("app_displayname", g.displayName)
	}
	if g.resource.version == v1 {
		c.text("appid", client)
		c.text("appidacr", string(g.method))
		c.text("idp", issuer)
		c.text("idtyp", "app")
	} else {
		c.text("azp", client)
		c.text("azpacr", string(g.method))
	}
	c.text("oid", principal)
	c.text("rh", "1."+l.random.text(24)+".")
	if len(g.roles) > 0 {
		c.texts("roles", g.roles)
	}
	c.text("sub", principal)
	c.text("tid", tenant)
	c.text("uti", l.random.text(16))
	c.text("ver", strconv.Itoa(int(g.resource.version))+".0")
	c.name("xms_lab") // lets a client that wants a real tenant refuse
	c = append(c, "true}"...)
	return c
}

// bearer is what an API reads from an access token.
type bearer struct {
	Audience    string   `json:"aud"`
	Expires     int64    `json:"exp"`
	NotBefore   int64    `json:"nbf"`
	Issuer      string   `json:"iss"`
	Tenant      string   `json:"tid"`
	ClientID    string   `json:"appid"`
	Authorized  string   `json:"azp"` // the client id in tokens of version 2
	DisplayName string   `json:"app_displayname"`
	Principal   string   `json:"oid"`
	Roles       []string `json:"roles"`
}

// tokenFault is why an API refuses an access token.
type tokenFault int

const (
	tokenFine tokenFault = iota
	tokenMalformed
	tokenForged
	tokenNotInForce
)

// readToken reads a token that the lab signed and that is in force. Whom it is
// for is left to the API: see [bearer.isFor].
func (l *Lab) readToken(token string, now time.Time) (bearer, tokenFault) {
	<-l.key.done
	head, rest, _ := strings.Cut(token, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok {
		return bearer{}, tokenMalformed
	}
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	digest := sha256.Sum256([]byte(head + "." + payload))
	if err != nil || rsa.VerifyPKCS1v15(&l.key.private.PublicKey, crypto.SHA256, digest[:], raw) != nil {
		return bearer{}, tokenForged
	}
	var b bearer
	claims, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil || json.Unmarshal(claims, &b) != nil {
		panic("entralab: the lab signed what it cannot read")
	}
	if now.Unix() >= b.Expires || now.Unix() < b.NotBefore {
		return b, tokenNotInForce
	}
	return b, tokenFine
}

// isFor reports whether a token's audience is one of Microsoft's services.
func (b bearer) isFor(appID guid) bool {
	named, ok := wellKnownResources[strings.TrimSuffix(strings.ToLower(b.Audience), "/")]
	return ok && named == appID
}

// verify checks that a token is one of the lab's, for Graph, and in force. The
// message about the lifetime is seen in public logs, the others are recalled.
func (l *Lab) verify(token string, now time.Time) (bearer, *graphError) {
	b, fault := l.readToken(token, now)
	switch {
	case fault == tokenMalformed:
		return bearer{}, unauthorized("IDX14100: JWT is not well formed, there are no dots (.).")
	case fault == tokenForged:
		return bearer{}, unauthorized("Access token validation failure. Invalid signature.")
	case !b.isFor(graphAppID):
		return bearer{}, unauthorized("Access token validation failure. Invalid audience.")
	case fault == tokenNotInForce:
		return bearer{}, unauthorized("Lifetime validation failed, the token is expired.")
	}
	return b, nil
}
