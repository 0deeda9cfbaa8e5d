package entralab

import "time"

// labState is the answer of GET /control/state: all there is, but no value of
// a secret.
type labState struct {
	Clock      clockState    `json:"clock"`
	Delay      delayBody     `json:"delay"`
	RandomSeed uint64        `json:"random_seed"`
	Tenants    []tenantState `json:"tenants"`
	Vaults     []vaultState  `json:"vaults"`
}

type clockState struct {
	Now    string `json:"now"`
	Frozen bool   `json:"frozen"`
}

type tenantState struct {
	ID                string           `json:"id"`
	DisplayName       string           `json:"display_name"`
	Domain            string           `json:"domain"`
	Users             []userState      `json:"users"`
	Apps              []appState       `json:"apps"`
	ServicePrincipals []principalState `json:"service_principals"`
}

type userState struct {
	ID          string `json:"id"`
	DisplayName string `json:"display_name"`
	Name        string `json:"user_principal_name"`
}

type appState struct {
	ObjectID           string            `json:"object_id"`
	ClientID           string            `json:"client_id"`
	ServicePrincipalID string            `json:"service_principal_id,omitempty"`
	DisplayName        string            `json:"display_name"`
	Created            string            `json:"created"`
	Deleted            string            `json:"deleted,omitempty"`
	SignInAudience     string            `json:"sign_in_audience"`
	IdentifierURIs     []string          `json:"identifier_uris"`
	Disabled           bool              `json:"disabled"`
	Owners             []string          `json:"owners"`
	Credentials        []credentialState `json:"credentials"`
}

// credentialState is a secret that the directory shows, or one that was
// removed and is still accepted somewhere.
type credentialState struct {
	KeyID       string `json:"key_id"`
	Hint        string `json:"hint"`
	DisplayName string `json:"display_name"`
	Start       string `json:"start"`
	End         string `json:"end"`
	Added       string `json:"added"`
	Removed     string `json:"removed,omitempty"`
}

type principalState struct {
	ID             string   `json:"id"`
	ClientID       string   `json:"client_id"`
	DisplayName    string   `json:"display_name"`
	AccountEnabled bool     `json:"account_enabled"`
	Owners         []string `json:"owners"`
	Permissions    []string `json:"permissions"`

	Credentials []credentialState `json:"credentials"`
}

// state copies the model.
func (l *Lab) state() labState {
	l.mu.RLock()
	defer l.mu.RUnlock()
	now := l.clock.now()
	s := labState{
		Clock:      clockState{graphTime(now), l.clock.isFrozen()},
		Delay:      l.delays(),
		RandomSeed: l.random.seed,
	}
	for _, t := range l.tenants {
		ts := tenantState{
			ID: t.id.String(), DisplayName: t.displayName, Domain: t.domain,
			Users: []userState{}, Apps: []appState{}, ServicePrincipals: []principalState{},
		}
		for _, u := range t.users {
			ts.Users = append(ts.Users, userState{u.id.String(), u.displayName, u.name})
		}
		for _, a := range t.apps {
			if !a.purged {
				ts.Apps = append(ts.Apps, a.state(now))
			}
		}
		for _, p := range t.principals {
			if p.live() {
				ts.ServicePrincipals = append(ts.ServicePrincipals, principalState{
					p.id.String(), p.clientID.String(), p.displayName(), p.enabled, guidTexts(p.owners), p.roleNames(),
					p.states(now),
				})
			}
		}
		s.Tenants = append(s.Tenants, ts)
	}
	s.Vaults = l.vaultStates(l.clock.now())
	return s
}

func (a *application) state(now time.Time) appState {
	s := appState{
		ObjectID: a.id.String(), ClientID: a.clientID.String(), DisplayName: a.displayName, Created: a.created.String(),
		SignInAudience: a.audience, IdentifierURIs: append([]string{}, a.identifierURIs...), Disabled: a.disabled,
		Owners: guidTexts(a.owners), Credentials: a.states(now),
	}
	if a.principal != nil {
		s.ServicePrincipalID = a.principal.id.String()
	}
	if !a.live() {
		s.Deleted = a.deleted.String()
	}
	return s
}

// states lists the secrets, those that are only still accepted somewhere last.
func (s *credentialSet) states(now time.Time) []credentialState {
	states := []credentialState{}
	for _, list := range [][]credential{s.secrets, s.removed()} {
		for _, c := range list {
			if !c.removed().isZero() && !c.accepted(now) {
				continue
			}
			cs := credentialState{
				KeyID: c.keyID.String(), Hint: c.hint.String(), DisplayName: c.displayName,
				Start: c.start.String(), End: c.end.String(), Added: c.made.String(),
			}
			if at := c.removed(); !at.isZero() {
				cs.Removed = at.String()
			}
			states = append(states, cs)
		}
	}
	return states
}
