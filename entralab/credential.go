package entralab

import (
	"crypto/rand"
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

// credential is a secret's record. The value is not in it.
type credential struct {
	keyID       guid
	hint        string
	displayName string
	start, end  time.Time
	made        time.Time
	removed     time.Time // zero while the directory shows it
	accept      lag
	remove      lag // set on removal
	salt        [16]byte
	hash        [sha256.Size]byte
}

// matches compares in constant time. A fast hash is enough: a value has more
// than 200 random bits.
func (c *credential) matches(value string) bool {
	hash := hashValue(c.salt, value)
	return subtle.ConstantTimeCompare(hash[:], c.hash[:]) == 1
}

func hashValue(salt [16]byte, value string) [sha256.Size]byte {
	var buffer [128]byte // room for salt and value without an allocation
	return sha256.Sum256(append(append(buffer[:0], salt[:]...), value...))
}

// known reports whether the replica that pick names knows the credential.
func (c *credential) known(now time.Time, pick float64) bool {
	if now.Before(c.made.Add(c.accept.at(pick))) {
		return false
	}
	return c.removed.IsZero() || now.Before(c.removed.Add(c.remove.at(pick)))
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
	removed []credential // still accepted somewhere, see Delay
	log     []keyChange  // all additions and removals, for the audit log
}

func (s *credentialSet) set() *credentialSet { return s }

// secretHolder is an application or a service principal.
type secretHolder interface {
	set() *credentialSet
	auditSecrets(l *Lab, by actor, at time.Time, added bool)
	refuseByPolicy(spec SecretSpec) *graphError
}

// check finds the credential a value belongs to, among those of the
// application and then those of its service principal, which sign in as the
// same client (Microsoft documentation).
func (a *application) check(value string, now time.Time, pick float64) (*credential, verdict) {
	found, verdict := a.credentialSet.check(value, now, pick)
	if verdict == valueAccepted || a.principal == nil {
		return found, verdict
	}
	if other, better := a.principal.check(value, now, pick); better > verdict {
		return other, better
	}
	return found, verdict
}

// check finds the credential a value belongs to. A value whose start lies
// ahead counts as unknown: what the real service answers is not known.
func (s *credentialSet) check(value string, now time.Time, pick float64) (*credential, verdict) {
	var found *credential
	best := valueUnknown
	for _, list := range [2][]credential{s.secrets, s.removed} {
		for i := range list {
			c := &list[i]
			if !c.matches(value) || !c.known(now, pick) || now.Before(c.start) {
				continue
			}
			if now.Before(c.end) {
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
		start:       spec.Start.UTC().Truncate(tick),
		end:         spec.End.UTC().Truncate(tick),
		made:        spec.At.UTC().Truncate(tick),
		accept:      lag{l.delay.Accept, l.delay.Replicas},
	}
	rand.Read(c.salt[:]) // never fails
	c.hash = hashValue(c.salt, spec.Value)
	s := h.set()
	s.secrets = append(slices.Clip(s.secrets), c)
	s.log = append(s.log, keyChange{c.keyID, c.displayName, true})
	h.auditSecrets(l, by, c.made, true)
	return Secret{
		KeyID: c.keyID.String(), Value: newSecretText(spec.Value), Hint: c.hint,
		DisplayName: c.displayName, Start: c.start, End: c.end,
	}
}

// removeSecret takes a secret from the directory; the token endpoint follows
// after the delay in force. It reports whether the key id was there. Call with
// l.mu held.
func (l *Lab) removeSecret(h secretHolder, by actor, keyID guid) bool {
	s := h.set()
	i := slices.IndexFunc(s.secrets, func(c credential) bool { return c.keyID == keyID })
	if i < 0 {
		return false
	}
	now := l.clock.now()
	c := s.secrets[i]
	c.removed = now
	c.remove = lag{l.delay.Remove, l.delay.Replicas}
	s.secrets = slices.Delete(slices.Clone(s.secrets), i, i+1)
	s.removed = slices.DeleteFunc(s.removed, func(c credential) bool { return !now.Before(c.removed.Add(c.remove.total)) })
	if c.remove.total > 0 {
		s.removed = append(s.removed, c)
	}
	s.log = append(s.log, keyChange{c.keyID, c.displayName, false})
	h.auditSecrets(l, by, now, false)
	return true
}
