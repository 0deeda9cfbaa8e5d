package entralab

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

// federatedCredential lets tokens of a foreign issuer stand for an app.
type federatedCredential struct {
	id                    guid
	name, issuer, subject string
	audiences             []string
	description           string
}

// FederatedCredentialSpec is a federated credential to add.
type FederatedCredentialSpec struct {
	Name        string
	Issuer      string // a URL; a slash at its end counts
	Subject     string // compared letter by letter
	Audience    string // default "api://AzureADTokenExchange"
	Description string
}

// tokenExchangeAudience is what Microsoft's documentation recommends.
const tokenExchangeAudience = "api://AzureADTokenExchange"

func (s FederatedCredentialSpec) check() error {
	if s.Issuer == "" || s.Subject == "" {
		return errors.New("a federated credential needs an issuer and a subject")
	}
	return nil
}

func (s FederatedCredentialSpec) credential(id guid) federatedCredential {
	if s.Audience == "" {
		s.Audience = tokenExchangeAudience
	}
	return federatedCredential{id, s.Name, s.Issuer, s.Subject, []string{s.Audience}, s.Description}
}

// foreignIssuer is the key of every foreign issuer: the lab fetches nobody's
// keys and believes only what it signed itself.
type foreignIssuer struct {
	mu  sync.Mutex
	key *signingKey // nil until first used: most labs never do
}

// foreignLifetime is that of a GitHub token (recalled, unverified).
const foreignLifetime = 5 * time.Minute

// SignAssertion plays the foreign issuer of a federated credential: it returns
// a token for the client_assertion of a token request, issued now and good for
// five minutes. Tokens that others signed are refused with 7000272.
func (l *Lab) SignAssertion(issuer, subject, audience string) string {
	key := l.foreignKey(true)
	_ = l.flush() // reported by Wait
	now := l.clock.now()
	c := make(claimSet, 0, 512)
	c.text("iss", issuer)
	c.text("sub", subject)
	c.text("aud", audience)
	c.number("iat", now.Unix())
	c.number("nbf", now.Unix())
	c.number("exp", now.Add(foreignLifetime).Unix())
	c.text("jti", l.random.text(16))
	return key.jwt(key.header[v2], append(c, '}'))
}

// foreignKey returns the key, nil if it was never used and is not to be made.
func (l *Lab) foreignKey(make bool) *signingKey {
	l.foreign.mu.Lock()
	defer l.foreign.mu.Unlock()
	if l.foreign.key == nil && make {
		l.foreign.key = newSigningKey()
		l.foreign.key.generate()
		l.saver.noteForeign(l.foreign.key)
	}
	return l.foreign.key
}

// checkFederatedAssertion checks a token of a foreign issuer. The order of the
// checks, but for the issuer that comes first, is unverified. When only the
// issuer fits, the answer is the older 70021, which quotes all three claims.
func (c *tokenCall) checkFederatedAssertion(a assertion) *refusal {
	issuer, subject := a.claims.Issuer, a.claims.Subject
	if strings.HasPrefix(issuer, c.lab.authorityURL+"/") || strings.HasPrefix(issuer, "https://sts.windows.net/") {
		return errFederatedOwn.with()
	}
	if len(c.app.federated) == 0 {
		return errFederatedNone.with("appId", c.app.clientID.String(), "appName", c.app.displayName)
	}
	known := make([]federatedCredential, 0, len(c.app.federated))
	for _, f := range c.app.federated {
		if f.issuer == issuer {
			known = append(known, f)
		}
	}
	if len(known) == 0 {
		return errFederatedIssuer.with("issuer", issuer)
	}
	key := c.lab.foreignKey(false)
	if key == nil || a.header.KeyID != key.thumbprint {
		return errFederatedKey.with("kid", clip(a.header.KeyID), "issuer", issuer)
	}
	if !a.signedBy(&key.private.PublicKey) {
		return errForeignSignature.with()
	}
	if refused := a.checkTime(c.now); refused != nil {
		return refused
	}
	return c.matchFederated(known, a, subject)
}

// matchFederated finds the credential among those of the issuer, or says which
// part is to blame.
func (c *tokenCall) matchFederated(known []federatedCredential, a assertion, subject string) *refusal {
	var sameSubject, otherCase, sameAudience bool
	for _, f := range known {
		audienceFits := slices.ContainsFunc(f.audiences, func(want string) bool { return slices.Contains(a.claims.Audience, want) })
		if f.subject == subject && audienceFits {
			c.event.KeyID, c.event.signIn.credential = f.id.String(), kindFederated
			return nil
		}
		sameSubject = sameSubject || f.subject == subject
		otherCase = otherCase || audienceFits && strings.EqualFold(f.subject, subject)
		sameAudience = sameAudience || audienceFits
	}
	switch {
	case sameSubject:
		return errFederatedAudience.with("audience", a.claims.Audience.String())
	case otherCase:
		return errFederatedCase.with("subject", subject)
	case sameAudience:
		return errFederatedSubject.with("subject", subject)
	}
	return errFederatedMatch.with("issuer", a.claims.Issuer, "subject", subject, "audience", a.claims.Audience.String())
}

// clip bounds what an answer quotes of a key id.
func clip(s string) string {
	return s[:min(len(s), 100)]
}
