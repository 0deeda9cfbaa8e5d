package entralab

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// The kinds of records of what clients hold. The texts themselves are not kept:
// the ids are their hashes.
const (
	kindCode    = "code"
	kindRefresh = "refresh"
	kindDevice  = "device"
	kindSession = "session"
	kindForeign = "foreign" // one: the key of foreign issuers, once it was used
)

// note puts a change aside that the next save takes along. It needs no lock of
// the lab's, so that handlers that only read the tenants can use it; those call
// [Lab.flush] before they answer. Nil data delete.
func (s *saver) note(kind, id string, data []byte) {
	if s == nil {
		return
	}
	s.notedMu.Lock()
	s.noted = append(s.noted, Record{kind, id, data})
	s.notes++
	s.notedMu.Unlock()
	s.history.wake()
}

// takeNoted empties the list, and tells how many notes there ever were. Call
// with s.mu held, so that the order of saves is that of the notes.
func (s *saver) takeNoted() ([]Record, int) {
	s.notedMu.Lock()
	defer s.notedMu.Unlock()
	noted := s.noted
	s.noted = nil
	return noted, s.notes
}

// upToDate reports whether all notes are saved.
func (s *saver) upToDate() bool {
	s.notedMu.Lock()
	defer s.notedMu.Unlock()
	return s.notesSaved == s.notes
}

// flush saves what was noted, if there is something. A handler calls it before
// its answer goes out, so that a code or token that a client holds is kept.
func (l *Lab) flush() error {
	if l.saver == nil || l.saver.upToDate() {
		return nil
	}
	return l.saver.save(nil) // waits for a save that took the note along
}

type hash = [sha256.Size]byte

func hashID(h hash) string { return hex.EncodeToString(h[:]) }

func hashOfID(id string) (h hash, err error) {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != len(h) {
		return h, fmt.Errorf("%q is not a hash", clip(id))
	}
	return hash(raw), nil
}

type storedDelegation struct {
	Tenant   guid      `json:"tenant"`
	ClientID guid      `json:"client_id"`
	User     guid      `json:"user,omitzero"`
	Target   string    `json:"target"`
	Scopes   []string  `json:"scopes,omitzero"`
	OpenID   []string  `json:"openid,omitzero"`
	Nonce    string    `json:"nonce,omitzero"`
	Platform platform  `json:"platform"`
	SignedIn time.Time `json:"signed_in,omitzero"`
}

func (d delegation) snapshot() storedDelegation {
	return storedDelegation{d.tenant, d.clientID, d.user, d.target, d.scopes, d.openID, d.nonce, d.platform, d.signedIn}
}

func (s storedDelegation) delegation() delegation {
	return delegation{s.Tenant, s.ClientID, s.User, s.Target, s.Scopes, s.OpenID, s.Nonce, s.Platform, s.SignedIn}
}

type storedCode struct {
	storedDelegation
	RedirectURI string `json:"redirect_uri"`
	Challenge   string `json:"challenge,omitzero"`
	Method      string `json:"method,omitzero"`
	Redeemed    bool   `json:"redeemed,omitzero"`
}

type storedRefresh struct {
	storedDelegation
	Issued time.Time `json:"issued"`
}

type storedDevice struct {
	storedDelegation
	UserCode string      `json:"user_code"`
	Issued   time.Time   `json:"issued"`
	State    deviceState `json:"state"`
}

type storedSession struct {
	Tenant guid      `json:"tenant"`
	User   guid      `json:"user"`
	Last   time.Time `json:"last"`
}

type storedForeign struct {
	Certificate []byte `json:"certificate"` // as DER, the key as PKCS #8
	Key         []byte `json:"key"`
}

func (s *saver) noteCode(h hash, c authCode) {
	if s != nil {
		s.note(kindCode, hashID(h), encodeJSON(storedCode{c.delegation.snapshot(), c.redirectURI, c.challenge, c.method, c.redeemed}))
	}
}

func (s *saver) noteRefresh(h hash, r refreshToken) {
	if s != nil {
		s.note(kindRefresh, hashID(h), encodeJSON(storedRefresh{r.delegation.snapshot(), r.issued}))
	}
}

func (s *saver) noteDevice(h hash, g *deviceGrant) {
	if s != nil {
		s.note(kindDevice, hashID(h), encodeJSON(storedDevice{g.delegation.snapshot(), g.userCode, g.issued, g.state}))
	}
}

func (s *saver) noteSession(h hash, x session) {
	if s != nil {
		s.note(kindSession, hashID(h), encodeJSON(storedSession{x.tenant, x.user, x.last}))
	}
}

func (s *saver) noteForeign(k *signingKey) {
	if s != nil {
		s.note(kindForeign, kindForeign, encodeJSON(storedForeign{k.certificate, pkcs8(k.private)}))
	}
}

// grants are what clients hold, as a store brings it back.
type grants struct {
	codes    map[hash]authCode
	refresh  map[hash]refreshToken
	devices  map[hash]*deviceGrant
	sessions map[hash]session
	foreign  *signingKey
}

func (r *restored) readGrants(ctx context.Context, store Store) error {
	g := &r.grants
	*g = grants{codes: map[hash]authCode{}, refresh: map[hash]refreshToken{}, devices: map[hash]*deviceGrant{}, sessions: map[hash]session{}}
	return errors.Join(
		each(ctx, store, kindCode, func(id string, s storedCode) error {
			h, err := hashOfID(id)
			g.codes[h] = authCode{s.delegation(), s.RedirectURI, s.Challenge, s.Method, s.Redeemed}
			return err
		}),
		each(ctx, store, kindRefresh, func(id string, s storedRefresh) error {
			h, err := hashOfID(id)
			g.refresh[h] = refreshToken{s.delegation(), s.Issued}
			return err
		}),
		each(ctx, store, kindDevice, func(id string, s storedDevice) error {
			h, err := hashOfID(id)
			g.devices[h] = &deviceGrant{s.delegation(), s.UserCode, s.Issued, s.State, h}
			return err
		}),
		each(ctx, store, kindSession, func(id string, s storedSession) error {
			h, err := hashOfID(id)
			g.sessions[h] = session{s.Tenant, s.User, s.Last}
			return err
		}),
		each(ctx, store, kindForeign, func(_ string, s storedForeign) error {
			key, err := x509.ParsePKCS8PrivateKey(s.Key)
			private, ok := key.(*rsa.PrivateKey)
			if err != nil || !ok {
				return errors.New("the foreign issuer's key is of another kind")
			}
			g.foreign = newSigningKey()
			g.foreign.use(private, s.Certificate)
			return nil
		}),
	)
}

// takeGrants makes restored grants those of the lab. Nobody else knows the lab
// yet.
func (l *Lab) takeGrants(g grants) {
	l.delegations.codes, l.delegations.refresh = g.codes, g.refresh
	l.delegations.swept = len(g.codes) + len(g.refresh)
	l.sessions.all, l.sessions.swept = g.sessions, len(g.sessions)
	l.foreign.key = g.foreign
	l.devices.byCode, l.devices.byUser, l.devices.swept = g.devices, map[string]*deviceGrant{}, len(g.devices)
	for _, d := range g.devices {
		l.devices.byUser[d.userCode] = d
	}
}

// forgetGrants ends what clients hold: codes of all kinds, refresh tokens and
// sessions. Call with l.mu held.
func (l *Lab) forgetGrants() {
	l.delegations.mu.Lock()
	clear(l.delegations.codes)
	clear(l.delegations.refresh)
	for _, kind := range []string{kindCode, kindRefresh} {
		l.saver.note(kind, "", nil)
	}
	l.delegations.mu.Unlock()
	l.devices.mu.Lock()
	clear(l.devices.byCode)
	clear(l.devices.byUser)
	l.saver.note(kindDevice, "", nil)
	l.devices.mu.Unlock()
	l.sessions.mu.Lock()
	clear(l.sessions.all)
	l.saver.note(kindSession, "", nil)
	l.sessions.mu.Unlock()
}

// sweep forgets what is over, in a store too.
func sweep[T any](s *saver, kind string, all map[hash]T, over func(T) bool) {
	for h, v := range all {
		if over(v) {
			delete(all, h)
			s.note(kind, hashID(h), nil)
		}
	}
}
