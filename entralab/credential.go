package entralab

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"time"
)

// Delay says how long the token endpoint takes to notice a change that the
// directory shows at once. Both times count on the lab's clock.
//
// With more than one replica the change spreads: replica i of n (from 0)
// notices after (i+1)/n of the time, and every token request is served by a
// replica drawn by the seed, so in between the answers flap.
type Delay struct {
	Accept   time.Duration // from minting to acceptance
	Remove   time.Duration // from removal to refusal
	Replicas int           // below 1 counts as 1
}

func (d Delay) removal() lag { return lag{d.Remove, d.Replicas} }

// lag is one half of a Delay, bound to a secret when it is written.
type lag struct {
	total    time.Duration
	replicas int
}

// at returns the lag of the replica that a number in [0, 1) picks.
func (g lag) at(pick float64) time.Duration {
	n := max(g.replicas, 1)
	i := int(pick * float64(n))
	return time.Duration(float64(g.total) * float64(i+1) / float64(n))
}

// credential is a secret's record. The value is not in it. A large tenant
// holds millions, so what few have sits behind a pointer.
type credential struct {
	keyID       guid
	hint        hint
	displayName string
	start, end  stamp
	made        stamp
	spread      *spread // nil for a secret that is known at once and not removed
	hash        [sha256.Size]byte
}

// spread is how the news of a secret spreads, and what else few have. It is not
// changed once made.
type spread struct {
	accept   lag
	removed  stamp // zero while the directory shows the secret
	remove   lag   // set on removal
	mintedBy guid  // client id of the app that minted it, zero for a person
}

// mintedBy is the client id of the app that minted it, zero for a person.
func (c *credential) mintedBy() guid {
	if c.spread == nil {
		return guid{}
	}
	return c.spread.mintedBy
}

// salt makes the hashes of one tenant worthless elsewhere. With the key id it
// makes every hash differ, even of the same value.
type salt [16]byte

// matches compares in constant time. A fast hash is enough: a value has more
// than 200 random bits.
func (c *credential) matches(salt salt, value string) bool {
	hash := hashValue(salt, c.keyID, value)
	return subtle.ConstantTimeCompare(hash[:], c.hash[:]) == 1
}

func hashValue(salt salt, keyID guid, value string) [sha256.Size]byte {
	var buffer [128]byte // room for the common value without an allocation
	return sha256.Sum256(append(append(append(buffer[:0], salt[:]...), keyID[:]...), value...))
}

// known reports whether the replica that pick names knows the credential.
func (c *credential) known(now stamp, pick float64) bool {
	if c.spread == nil {
		return now >= c.made
	}
	at, s := now.time(), c.spread
	if at.Before(c.made.time().Add(s.accept.at(pick))) {
		return false
	}
	return s.removed.isZero() || at.Before(s.removed.time().Add(s.remove.at(pick)))
}

// removed is zero while the directory shows the secret.
func (c *credential) removed() stamp {
	if c.spread == nil {
		return 0
	}
	return c.spread.removed
}

// accepted reports whether a removed credential may still sign in somewhere.
func (c *credential) accepted(now time.Time) bool {
	return now.Before(c.removed().time().Add(c.spread.remove.total))
}

// verdict is the token endpoint's opinion of a value.
type verdict int

const (
	valueUnknown verdict = iota
	valueExpired
	valueAccepted
)

// credentialSet is the secrets of one application or service principal.
type credentialSet struct {
	secrets []credential
	past    *past // nil when nothing happened that anybody may ask for
}

// past is what happened to a set of secrets.
type past struct {
	removed []credential // still accepted somewhere, see Delay
	log     []keyChange  // all additions and removals, for the audit log
}

// history makes the past, which starts from the secrets at hand: those that
// were added before the audit log begins.
func (s *credentialSet) history() *past {
	if s.past == nil {
		s.past = &past{}
		for _, c := range s.secrets {
			s.past.log = append(s.past.log, keyChange{c.keyID, c.displayName, true})
		}
	}
	return s.past
}

// removed lists the secrets that are gone and still accepted somewhere.
func (s *credentialSet) removed() []credential {
	if s.past == nil {
		return nil
	}
	return s.past.removed
}

// forget leaves no secrets, but what the audit log tells of them.
func (s *credentialSet) forget() credentialSet {
	if s.past == nil {
		return credentialSet{}
	}
	return credentialSet{past: &past{log: s.past.log}}
}

func (s *credentialSet) set() *credentialSet { return s }

// secretHolder is an application or a service principal.
type secretHolder interface {
	set() *credentialSet
	home() *tenant
	auditSecrets(l *Lab, by actor, at time.Time, added bool)
	refuseByPolicy(spec SecretSpec, by *servicePrincipal) *graphError
}

// check finds the credential a value belongs to, among those of the
// application and then those of its service principal, which sign in as the
// same client (Microsoft documentation).
func (a *application) check(value string, now time.Time, pick float64) (*credential, verdict) {
	found, verdict := a.credentialSet.check(a.tenant.salt, value, stampOf(now), pick)
	if verdict == valueAccepted || a.principal == nil {
		return found, verdict
	}
	if other, better := a.principal.check(a.tenant.salt, value, stampOf(now), pick); better > verdict || found == nil {
		return other, better
	}
	return found, verdict
}

// check finds the credential a value belongs to, also where that one is
// unknown to the replica, so that the history can name a removed secret. A
// value whose start lies ahead counts as unknown: what the real service
// answers is not known.
func (s *credentialSet) check(salt salt, value string, now stamp, pick float64) (*credential, verdict) {
	var found *credential
	best := valueUnknown
	for _, list := range [2][]credential{s.secrets, s.removed()} {
		for i := range list {
			c := &list[i]
			if !c.matches(salt, value) {
				continue
			}
			if !c.known(now, pick) || now < c.start {
				if found == nil {
					found = c
				}
				continue
			}
			if now < c.end {
				return c, valueAccepted
			}
			found, best = c, valueExpired
		}
	}
	return found, best
}

var errSecretLimit = errors.New("the app has as many secrets as it may have")

// withDefaults fills in what the spec leaves open.
func (s SecretSpec) withDefaults(now time.Time) SecretSpec {
	if s.At.IsZero() {
		s.At = now
	}
	if s.Start.IsZero() {
		s.Start = s.At
	}
	if s.End.IsZero() {
		s.End = s.Start.AddDate(2, 0, 0)
	}
	if s.Value == "" {
		s.Value = generateValue()
	}
	return s
}

// check says what is wrong with a complete spec.
func (s SecretSpec) check(now time.Time) error {
	switch {
	case s.At.After(now):
		return errors.New("a secret cannot be added in the future")
	case len(s.DisplayName) > maxName:
		return errors.New("a secret's display name is too long")
	case !s.End.After(s.Start):
		return errors.New("a secret must end after it starts")
	case s.Start.UTC().Year() < 1 || s.End.UTC().Year() > 9999:
		return errors.New("a secret's dates must lie in the years 1 to 9999")
	}
	return nil
}

// mint adds a secret by a complete spec. The value leaves with the result; the
// lab keeps a salted hash. Call with l.mu held.
func (l *Lab) mint(h secretHolder, by actor, spec SecretSpec) Secret {
	keyID, fixed := parseGUID(spec.KeyID)
	if !fixed {
		keyID = l.random.guid()
	}
	c := credential{
		keyID:       keyID,
		hint:        hintOf(spec.Value),
		displayName: spec.DisplayName,
		start:       stampOf(spec.Start),
		end:         stampOf(spec.End),
		made:        stampOf(spec.At),
	}
	if l.delay.Accept > 0 || by.clientID != (guid{}) {
		c.spread = &spread{accept: lag{l.delay.Accept, l.delay.Replicas}, mintedBy: by.clientID}
	}
	c.hash = hashValue(h.home().salt, c.keyID, spec.Value)
	s := h.set()
	if s.past != nil || l.inAuditLog(c.made) {
		past := s.history()
		past.log = append(past.log, keyChange{c.keyID, c.displayName, true})
	}
	s.secrets = append(slices.Clip(s.secrets), c)
	h.auditSecrets(l, by, c.made.time(), true)
	return Secret{
		KeyID: c.keyID.String(), Value: newSecretText(spec.Value), Hint: c.hint.String(),
		DisplayName: c.displayName, Start: c.start.time(), End: c.end.time(),
	}
}

// maxRemoved bounds the removed secrets that a holder remembers, beside those
// that are still accepted somewhere.
const maxRemoved = 100

// removeSecret takes a secret from the directory; the token endpoint follows
// after the lag. It reports whether the key id was there. Call with l.mu held.
func (l *Lab) removeSecret(h secretHolder, by actor, keyID guid, follows lag) bool {
	s := h.set()
	i := slices.IndexFunc(s.secrets, func(c credential) bool { return c.keyID == keyID })
	if i < 0 {
		return false
	}
	now := l.clock.now()
	c := s.secrets[i]
	gone := spread{removed: stampOf(now), remove: follows}
	if c.spread != nil {
		gone.accept, gone.mintedBy = c.spread.accept, c.spread.mintedBy
	}
	c.spread = &gone
	past := s.history() // before the secret goes
	s.secrets = slices.Delete(slices.Clone(s.secrets), i, i+1)
	// Checks look through these: the oldest go, unless they still sign in.
	spare := len(past.removed) + 1 - maxRemoved
	past.removed = slices.DeleteFunc(slices.Clone(past.removed), func(c credential) bool {
		spare--
		return spare >= 0 && !c.accepted(now)
	})
	past.removed = append(past.removed, c)
	past.log = append(past.log, keyChange{c.keyID, c.displayName, false})
	h.auditSecrets(l, by, now, false)
	return true
}
