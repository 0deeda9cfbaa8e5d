package entralab

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// managementPolicy restricts which secrets may be added. It holds the JSON
// that was sent, and what the lab enforces of it.
type managementPolicy struct {
	id                       guid
	displayName, description string
	enabled                  bool
	application, principal   policyRestrictions
}

// policyRestrictions are those for one kind of object.
type policyRestrictions struct {
	sent      json.RawMessage
	passwords []passwordRestriction
}

// passwordRestriction is the part of a restriction that is enforced.
type passwordRestriction struct {
	RestrictionType string      `json:"restrictionType"`
	State           *string     `json:"state"` // null counts as enabled (recalled)
	MaxLifetime     *string     `json:"maxLifetime"`
	CreatedAfter    *time.Time  `json:"restrictForAppsCreatedAfterDateTime"`
	ExcludeActors   *exemptions `json:"excludeActors"`
	lifetime        isoDuration
}

const noRestrictions = `{"passwordCredentials":[],"keyCredentials":[]}`

func newPolicy() *managementPolicy {
	none := policyRestrictions{sent: json.RawMessage(noRestrictions)}
	return &managementPolicy{application: none, principal: none}
}

// isoDuration is an ISO 8601 duration. Years and months count by the calendar.
type isoDuration struct {
	years, months, days int
	clock               time.Duration
}

// parseISODuration reads durations such as P90D, P1Y6M, P4DT12H30M5S and P2W.
func parseISODuration(s string) (d isoDuration, ok bool) {
	rest, ok := strings.CutPrefix(s, "P")
	if !ok || rest == "" {
		return d, false
	}
	units, inTime := "YMWD", false
	for rest != "" {
		if rest[0] == 'T' && !inTime {
			rest, units, inTime = rest[1:], "HMS", true
			if rest == "" {
				return d, false
			}
			continue
		}
		n, digits := 0, 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' && digits < 6 {
			n = n*10 + int(rest[digits]-'0')
			digits++
		}
		if digits == 0 || digits == len(rest) {
			return d, false
		}
		at := strings.IndexByte(units, rest[digits])
		if at < 0 {
			return d, false
		}
		d.add(n, units[at], inTime)
		units, rest = units[at+1:], rest[digits+1:] // each unit once, in order
	}
	return d, true
}

func (d *isoDuration) add(n int, unit byte, inTime bool) {
	switch {
	case unit == 'Y':
		d.years = n
	case unit == 'M' && !inTime:
		d.months = n
	case unit == 'W':
		d.days += 7 * n
	case unit == 'D':
		d.days += n
	case unit == 'H':
		d.clock += time.Duration(n) * time.Hour
	case unit == 'M':
		d.clock += time.Duration(n) * time.Minute
	case unit == 'S':
		d.clock += time.Duration(n) * time.Second
	}
}

// after is the end of the duration.
func (d isoDuration) after(t time.Time) time.Time {
	return t.AddDate(d.years, d.months, d.days).Add(d.clock)
}

// The restrictions on passwords (Graph's schema).
var passwordRestrictionTypes = []string{"passwordAddition", "passwordLifetime", "symmetricKeyAddition", "symmetricKeyLifetime", "customPasswordAddition"}

// parse reads restrictions as sent. It reports false when they are malformed.
func (r *policyRestrictions) parse(sent json.RawMessage) bool {
	var body struct {
		Passwords []passwordRestriction `json:"passwordCredentials"`
	}
	if !decode(sent, &body) || sent[0] != '{' || !shallow(sent) {
		return false
	}
	for i := range body.Passwords {
		p := &body.Passwords[i]
		if !slices.Contains(passwordRestrictionTypes, p.RestrictionType) || p.State != nil && *p.State != "enabled" && *p.State != "disabled" || !p.ExcludeActors.valid() {
			return false
		}
		if !strings.HasSuffix(p.RestrictionType, "Lifetime") {
			continue
		}
		var ok bool
		if p.MaxLifetime == nil {
			return false
		}
		if p.lifetime, ok = parseISODuration(*p.MaxLifetime); !ok {
			return false
		}
	}
	r.sent, r.passwords = slices.Clone(sent), body.Passwords
	return true
}

// refuse judges a secret that is to be added to an object of some age.
func (r policyRestrictions) refuse(policy guid, created time.Time, spec SecretSpec, by *servicePrincipal) *graphError {
	for _, p := range r.passwords {
		if p.State != nil && *p.State == "disabled" || p.CreatedAfter != nil && created.Before(*p.CreatedAfter) || p.ExcludeActors.exempts(by) {
			continue
		}
		switch {
		case p.RestrictionType == "passwordAddition":
			return badRequest("CredentialTypeNotAllowedAsPerAppPolicy", "Credential type not allowed as per assigned policy '"+policy.String()+"'.")
		case p.RestrictionType == "passwordLifetime" && spec.End.After(p.lifetime.after(spec.Start)):
			return badRequest("CredentialInvalidLifetimeAsPerAppPolicy", "Credential lifetime exceeds the max value allowed as per assigned policy '"+policy.String()+"'.")
		}
	}
	return nil
}

// refuseByPolicy judges a new secret of an application: its own policy
// replaces the tenant's (Microsoft documentation; texts recorded).
func (a *application) refuseByPolicy(spec SecretSpec, by *servicePrincipal) *graphError {
	policy := a.tenant.policy
	if a.policy != nil {
		policy = a.policy
	}
	if policy == nil || !policy.enabled {
		return nil
	}
	return policy.application.refuse(policy.id, a.created.time(), spec, by)
}

// refuseByPolicy judges a new secret of a service principal.
func (p *servicePrincipal) refuseByPolicy(spec SecretSpec, by *servicePrincipal) *graphError {
	policy := p.tenant.policy
	if policy == nil || !policy.enabled {
		return nil
	}
	return policy.principal.refuse(policy.id, p.created.time(), spec, by)
}
