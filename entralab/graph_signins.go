package entralab

import (
	"sync"
	"time"
)

// loggedSignIn is one token request as the beta sign-in log shows it. The log is
// read from the history, so that it tells what really happened, for as long as
// the history remembers.
type loggedSignIn struct {
	event     Event
	app       *application
	principal *servicePrincipal
}

func (s *loggedSignIn) ord() int { return s.event.Seq }
func (*loggedSignIn) live() bool { return true }

// signIns have the fields of Graph's beta schema that a client of secrets
// reads. A failure names no key: the real records seen do not either.
var signIns = &collection[*loggedSignIn]{
	name: "auditLogs/signIns",
	kind: "SignIn",
	properties: sync.OnceValue(func() []property[*loggedSignIn] {
		return []property[*loggedSignIn]{
			{name: "id", get: func(s *loggedSignIn) any { return s.event.signIn.trace.String() }},
			{name: "createdDateTime", get: func(s *loggedSignIn) any { return graphTime(s.event.At.Truncate(time.Second)) }},
			{name: "appId", get: func(s *loggedSignIn) any { return s.app.clientID.String() }},
			{name: "appDisplayName", get: func(s *loggedSignIn) any { return s.app.displayName }},
			{name: "ipAddress", get: func(*loggedSignIn) any { return "127.0.0.1" }},
			{name: "servicePrincipalId", get: func(s *loggedSignIn) any { return s.principal.id.String() }},
			{name: "servicePrincipalName", get: func(s *loggedSignIn) any { return s.principal.displayName() }},
			{name: "servicePrincipalCredentialKeyId", get: func(s *loggedSignIn) any {
				if s.credential() == "none" || s.credential() == kindFederated {
					return nil
				}
				return nullable(s.event.KeyID)
			}},
			{name: "servicePrincipalCredentialThumbprint", get: func(*loggedSignIn) any { return nil }},
			{name: "federatedCredentialId", get: func(s *loggedSignIn) any {
				if s.credential() != kindFederated {
					return nil
				}
				return s.event.KeyID
			}},
			{name: "clientCredentialType", get: func(s *loggedSignIn) any { return s.credential() }},
			{name: "correlationId", get: func(s *loggedSignIn) any { return s.event.signIn.correlation.String() }},
			{name: "resourceDisplayName", get: func(s *loggedSignIn) any { return s.event.signIn.resourceName() }},
			{name: "resourceId", get: func(s *loggedSignIn) any { return s.event.signIn.resourceIDText() }},
			{name: "resourceServicePrincipalId", get: func(s *loggedSignIn) any { return s.event.signIn.resourcePrincipal() }},
			{name: "signInEventTypes", get: func(*loggedSignIn) any { return []string{servicePrincipalSignIn} }},
			{name: "status", get: func(s *loggedSignIn) any {
				return object{{"errorCode", s.event.Code}, {"failureReason", nil}, {"additionalDetails", nil}}
			}},
		}
	}),
	filters: []filter[*loggedSignIn]{
		{name: "createdDateTime", date: func(s *loggedSignIn) time.Time { return s.event.At }},
		{name: "appId", text: func(s *loggedSignIn) []string { return []string{s.app.clientID.String()} }},
		{name: "servicePrincipalId", text: func(s *loggedSignIn) []string { return []string{s.principal.id.String()} }},
		{name: "signInEventTypes", text: func(*loggedSignIn) []string { return []string{servicePrincipalSignIn} }, list: true},
	},
	order:    func(a, b *loggedSignIn) int { return b.event.Seq - a.event.Seq },
	pageSize: 1000,
	maxTop:   1000,
}

const servicePrincipalSignIn = "servicePrincipal"

// credential is its kind; failures say none, like the records seen.
func (s *loggedSignIn) credential() string {
	if s.event.Outcome != outcomeAccepted || s.event.signIn.credential == "" {
		return "none"
	}
	return s.event.signIn.credential
}

// listSignIns shows service principals only to who asks for them (Microsoft
// documentation); nobody else signs in. v1.0 has no such entries.
func (c *graphCall) listSignIns() (any, *graphError) {
	if refused := c.checkLicence(); refused != nil {
		return nil, refused
	}
	q, refused := parseList(c, signIns)
	if refused != nil {
		return nil, refused
	}
	asked := c.version == "beta" && q.keyed["signInEventTypes"] != ""
	until := c.now.Add(-c.lab.logLag.signIn)
	q.listed = func(s *loggedSignIn) bool { return asked && !s.event.At.After(until) }
	return page(c, signIns, q, c.tenant.signIns(c.lab.History(0))), nil
}

// signIns picks the token requests of the tenant's apps for themselves that
// got as far as a service principal. Users' sign-ins have a log of their own.
func (t *tenant) signIns(events []Event) []*loggedSignIn {
	var found []*loggedSignIn
	for _, e := range events {
		if !e.appOnly {
			continue
		}
		id, ok := parseGUID(e.ObjectID)
		if a := t.appByID(id); ok && a != nil && a.principal != nil {
			found = append(found, &loggedSignIn{e, a, a.principal})
		}
	}
	return found
}

// logLag is how long entries of the logs take to show, on the lab's clock.
type logLag struct{ audit, signIn, activity time.Duration }
