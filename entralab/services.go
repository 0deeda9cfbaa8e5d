package entralab

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What a service needs that runs beside the lab and takes its tokens, as
// package entralab/mail does.

// TokenInfo is what an access token of the lab says of its bearer.
type TokenInfo struct {
	TenantID    string
	ClientID    string    // of the app
	PrincipalID string    // object id of its service principal, or of the user
	Roles       []string  // app roles, nil if the app holds none and for users
	Expires     time.Time // lab time, UTC
}

// CheckToken verifies an access token as a resource does: signed by this lab,
// for the audience, and in force by the lab's clock. The audience is the
// resource's URI or app id; a slash at its end and letter case do not matter,
// and either name of one of Microsoft's services stands for the other. Errors
// say what is wrong and never quote the token.
func (l *Lab) CheckToken(token, audience string) (TokenInfo, error) {
	b, fault := l.readToken(token, l.clock.now())
	switch {
	case fault == tokenMalformed, fault == tokenForged:
		return TokenInfo{}, errors.New("entralab: check token: it is not a token of this lab")
	case !slices.Contains(resourceNames(audience), strings.TrimSuffix(strings.ToLower(b.Audience), "/")):
		return TokenInfo{}, fmt.Errorf("entralab: check token: it is for %q, not for %q", b.Audience, audience)
	case fault == tokenNotInForce:
		return TokenInfo{}, errors.New("entralab: check token: it has expired")
	}
	info := TokenInfo{
		TenantID: b.Tenant, ClientID: b.ClientID, PrincipalID: b.Principal,
		Roles: b.Roles, Expires: time.Unix(b.Expires, 0).UTC(),
	}
	if info.ClientID == "" {
		info.ClientID = b.Authorized
	}
	return info, nil
}

// resourceNames are all names of a resource, in lower case and without a slash
// at the end.
func resourceNames(audience string) []string {
	name := strings.ToLower(strings.TrimSuffix(audience, "/"))
	names := []string{name}
	if id, ok := wellKnownResources[name]; ok {
		for other, otherID := range wellKnownResources {
			if otherID == id && other != name {
				names = append(names, other)
			}
		}
	}
	return names
}

// Grant gives an application, by its object id, a permission by name as an
// administrator does in the portal. To give what it holds already is harmless.
func (l *Lab) Grant(objectID, permission string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, role := l.findApp(objectID), roleNamed(permission)
	switch {
	case a == nil:
		return fmt.Errorf("entralab: grant: no app with object id %q", objectID)
	case role == nil:
		return fmt.Errorf("entralab: grant: unknown permission %q", permission)
	case a.principal == nil:
		return fmt.Errorf("entralab: grant: app %q has no service principal", a.displayName)
	}
	now := l.clock.now()
	if l.grantRole(a.principal, a.tenant.portal(), now, role) {
		l.history.add(now, portalEvent(a.clientID.String(), a.id.String(), "grant", ""))
	}
	return l.save()
}

// Record adds an event to the history. The lab sets Seq and At, and ObjectID
// if it knows the app of AppID. The caller sees to it that the event holds no
// tokens, secrets or message text.
func (l *Lab) Record(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id, ok := parseGUID(e.AppID); ok && e.ObjectID == "" {
		e.ObjectID = l.objectOf(id)
	}
	l.history.add(l.clock.now(), e)
}

// ServerTLS is a configuration with the lab's certificate, which names
// localhost, *.lab.test and the lab's addresses. [Lab.CertPool] verifies it.
func (l *Lab) ServerTLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{l.certificates.server}, MinVersion: tls.VersionTLS12}
}
