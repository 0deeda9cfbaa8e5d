package entralab

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// sessionCookie and how long a session lasts are as recalled of the real
// service, unverified.
const (
	sessionCookie   = "ESTSAUTH"
	sessionLifetime = 24 * time.Hour
)

// session is a person who signed in with a browser.
type session struct {
	tenant, user guid
	last         time.Time // use
}

// sessions are those of all browsers, by the hash of their cookie. Like that
// of [delegations], the lock is taken with l.mu held, or without it.
type sessions struct {
	mu    sync.Mutex
	all   map[hash]session
	swept int // entries left by the last sweep
	saver *saver
}

// start begins a session in the browser that gets the answer.
func (s *sessions) start(w http.ResponseWriter, begun session) {
	text := opaque("1.A")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[hash]session{}
	}
	if len(s.all) >= 2*s.swept+1000 {
		sweep(s.saver, kindSession, s.all, func(old session) bool { return begun.last.Sub(old.last) >= sessionLifetime })
		s.swept = len(s.all)
	}
	key := sha256.Sum256([]byte(text))
	s.all[key] = begun
	s.saver.noteSession(key, begun)
	// SameSite=None: apps renew tokens with prompt=none in a frame.
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: text, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode})
}

// of finds the session of a request; each use prolongs it.
func (s *sessions) of(r *http.Request, now time.Time) (session, bool) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return session{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sha256.Sum256([]byte(cookie.Value))
	found, ok := s.all[key]
	if !ok || now.Sub(found.last) >= sessionLifetime {
		return session{}, false
	}
	found.last = now
	s.all[key] = found
	s.saver.noteSession(key, found)
	return found, true
}

// end forgets the session of a request, and has the browser forget it.
func (s *sessions) end(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sha256.Sum256([]byte(cookie.Value))
	if _, ok := s.all[key]; ok {
		delete(s.all, key)
		s.saver.note(kindSession, hashID(key), nil)
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode})
}

// sessionUser is the name of the person whose session counts for the request:
// not when the app wants the page, nor when it names somebody else.
func (s *signIn) sessionUser() string {
	if !s.inSession || s.session.tenant != s.tenant.id {
		return ""
	}
	if slices.Contains([]string{"login", "select_account", "consent"}, s.params.Get("prompt")) {
		return ""
	}
	u := s.tenant.userWithID(s.session.user)
	if hint := s.params.Get("login_hint"); u == nil || hint != "" && !strings.EqualFold(hint, u.name) {
		return ""
	}
	return u.name
}
