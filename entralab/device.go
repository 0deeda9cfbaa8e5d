package entralab

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The names of the grant: the first is RFC 8628's, the second that of v1, which
// MSAL Go sends to v2 as well (seen).
const (
	grantDeviceCode   = "urn:ietf:params:oauth:grant-type:device_code"
	grantDeviceCodeV1 = "device_code"
)

const (
	deviceLifetime = 15 * time.Minute // Microsoft documentation, as the next one
	deviceInterval = 5                // seconds between polls
)

// The refusals of the device flow. 70016 and 70020 are as in public threads of
// 2022 and 2023; the texts of 70018 and of the user's refusal, and the code of
// the latter, are recalled, unverified.
var (
	errDevicePending  = refusal{70016, "authorization_pending", 400, false, "OAuth 2.0 device flow error. Authorization is pending. Continue polling."}
	errDeviceUnknown  = refusal{70018, "bad_verification_code", 400, false, "Invalid verification code due to User typing in wrong user code for device code flow. Authorization isn't approved."}
	errDeviceExpired  = refusal{70020, "expired_token", 400, false, "The provided value for the input parameter 'device_code' is not valid. This device code has expired."}
	errDeviceDeclined = refusal{65004, "authorization_declined", 400, false, "User declined to consent to access the app."}
)

// deviceState is how far a person has come.
type deviceState int

const (
	devicePending deviceState = iota
	deviceDeclined
	deviceApproved
	deviceRedeemed
)

// deviceGrant is a device code that waits for a person.
type deviceGrant struct {
	delegation // its user is known once state is deviceApproved
	userCode   string
	issued     time.Time
	state      deviceState
	hash       hash // of the device code
}

func (g *deviceGrant) expired(now time.Time) bool { return now.Sub(g.issued) >= deviceLifetime }

// deviceCodes are the device codes by their hash, and the codes that people
// type. Like that of [delegations], the lock is taken with l.mu held.
type deviceCodes struct {
	mu     sync.Mutex
	byCode map[hash]*deviceGrant
	byUser map[string]*deviceGrant
	swept  int // entries left by the last sweep
	saver  *saver
}

// add keeps a grant and returns its device code.
func (d *deviceCodes) add(g *deviceGrant) string {
	text := opaque("1.A")
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byCode == nil {
		d.byCode, d.byUser = map[hash]*deviceGrant{}, map[string]*deviceGrant{}
	}
	if len(d.byCode) >= 2*d.swept+1000 {
		sweep(d.saver, kindDevice, d.byCode, func(old *deviceGrant) bool { return g.issued.Sub(old.issued) > 24*time.Hour })
		maps.DeleteFunc(d.byUser, func(_ string, old *deviceGrant) bool { return old.expired(g.issued) })
		d.swept = len(d.byCode)
	}
	g.userCode = newUserCode()
	g.hash = sha256.Sum256([]byte(text))
	d.byCode[g.hash] = g
	d.byUser[g.userCode] = g
	d.saver.noteDevice(g.hash, g)
	return text
}

// newUserCode draws nine letters and digits, as many as the codes seen in
// public logs have, without those that people mistake for one another.
func newUserCode() string {
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789" // 32: a byte draws evenly
	b := make([]byte, 9)
	rand.Read(b)
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}

// ofUser finds a code that a person typed, while it waits for one.
func (d *deviceCodes) ofUser(typed string, now time.Time) (delegation, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.byUser[userCode(typed)]
	if g == nil || g.state != devicePending || g.expired(now) {
		return delegation{}, false
	}
	return g.delegation, true
}

func userCode(typed string) string { return strings.ToUpper(strings.TrimSpace(typed)) }

// settle writes down what a person said. Of two answers the first counts.
func (d *deviceCodes) settle(typed string, state deviceState, user guid, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g := d.byUser[userCode(typed)]; g != nil && g.state == devicePending {
		g.state, g.user, g.signedIn = state, user, now
		d.saver.noteDevice(g.hash, g)
	}
}

// redeem finds a code, runs the checks on it and marks it redeemed when all
// pass, so that it gives one token.
func (d *deviceCodes) redeem(text string, check func(deviceGrant) *refusal) (delegation, *refusal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.byCode[sha256.Sum256([]byte(text))]
	if g == nil {
		return delegation{}, errDeviceUnknown.with()
	}
	if refused := check(*g); refused != nil {
		return delegation{}, refused
	}
	g.state = deviceRedeemed
	d.saver.noteDevice(g.hash, g)
	return g.delegation, nil
}

// allowsPublicClient is the portal's "Allow public client flows".
func (a *application) allowsPublicClient() bool { return string(a.kept[publicClientName]) == "true" }

const publicClientName = "isFallbackPublicClient"

// allowPublicClient sets it. Call with l.mu held.
func (a *application) allowPublicClient() {
	a.kept = maps.Clone(a.kept)
	if a.kept == nil {
		a.kept = map[string]json.RawMessage{}
	}
	a.kept[publicClientName] = json.RawMessage("true")
}

// serveDeviceCode starts the device flow (RFC 8628).
func (l *Lab) serveDeviceCode(w http.ResponseWriter, r *http.Request, segment string, endpoint version) {
	req := readTokenRequest(r, segment, endpoint)
	x := l.newExchange(r, req.form)
	event := Event{Surface: surfaceToken, Method: r.Method, Path: r.URL.Path, Status: http.StatusOK, Outcome: outcomeAccepted}
	l.mu.RLock()
	grant, text, refused := l.startDevice(req, x.now, &event)
	if refused != nil {
		event.Outcome, event.Code, event.Status = outcomeRefused, refused.code, refused.status
	}
	l.note(r, x.now, event)
	l.mu.RUnlock()
	if refused != nil {
		x.refuse(w, r.Host, refused)
		return
	}
	if l.flush() != nil {
		writeStopped(w)
		return
	}
	x.write(w, http.StatusOK, l.deviceBody(grant.userCode, text, endpoint))
}

// startDevice checks the request and makes the codes. In the automatic mode
// the person has signed in before anybody asks. Call with l.mu held.
func (l *Lab) startDevice(req tokenRequest, now time.Time, event *Event) (*deviceGrant, string, *refusal) {
	c := &tokenCall{lab: l, req: req, now: now, event: event}
	if !shared(req.segment) {
		var refused *refusal
		if c.tenant, refused = l.resolveTenant(req.segment); refused != nil {
			return nil, "", refused
		}
	}
	if refused := req.checkPost(); refused != nil {
		return nil, "", refused
	}
	if refused := c.findApp(); refused != nil {
		return nil, "", refused
	}
	if refused := c.checkEnabled(); refused != nil {
		return nil, "", refused
	}
	g := &deviceGrant{delegation: delegation{tenant: c.tenant.id, clientID: c.app.clientID, platform: platformWeb}, issued: now}
	if c.app.allowsPublicClient() {
		g.platform = platformPublic
	}
	var refused *refusal
	if req.endpoint == v1 {
		g.target, g.scopes, g.openID = cmp.Or(req.form["resource"], graphResource), []string{".default"}, openIDScopes
	} else if g.target, g.scopes, g.openID, refused = splitScopes(req.form["scope"]); refused != nil {
		return nil, "", refused
	}
	if refused := l.checkScopes(c.tenant, c.app, g.target, g.scopes); refused != nil {
		return nil, "", refused
	}
	if u := c.tenant.userNamed(l.autoSignIn); u != nil && !c.app.principal.assignmentRequired {
		g.state, g.user, g.signedIn = deviceApproved, u.id, now
	}
	return g, l.devices.add(g), nil
}

// deviceBody is the answer. The names of v1, and its numbers as texts, are
// recalled, unverified.
func (l *Lab) deviceBody(userCode, deviceCode string, endpoint version) []byte {
	page := l.authorityURL + "/common/oauth2/deviceauth"
	message := "To sign in, use a web browser to open the page " + page + " and enter the code " + userCode + " to authenticate."
	seconds := int(deviceLifetime / time.Second)
	if endpoint == v1 {
		return encodeJSON(object{
			{"user_code", userCode}, {"device_code", deviceCode}, {"verification_url", page},
			{"expires_in", strconv.Itoa(seconds)}, {"interval", strconv.Itoa(deviceInterval)}, {"message", message},
		})
	}
	return encodeJSON(object{
		{"user_code", userCode}, {"device_code", deviceCode}, {"verification_uri", page},
		{"expires_in", seconds}, {"interval", deviceInterval}, {"message", message},
	})
}

// deviceCode answers a poll. That a client's credential is checked before the
// state of the code is unverified. No poll comes too early: the real service is
// not known to answer slow_down.
func (c *tokenCall) deviceCode() (*grantedToken, *refusal) {
	text := cmp.Or(c.req.form["device_code"], c.req.form["code"]) // v1 calls it code
	if text == "" {
		return nil, errMissing.with("name", "device_code")
	}
	var method clientAuth
	d, refused := c.lab.devices.redeem(text, func(g deviceGrant) (refused *refusal) {
		if g.clientID != c.app.clientID {
			return errGrantInvalid.with()
		}
		if method, refused = c.authenticateOn(g.platform); refused != nil {
			return refused
		}
		switch {
		case g.state == deviceRedeemed:
			return errCodeRedeemed.with()
		case g.state == deviceDeclined:
			return errDeviceDeclined.with()
		case g.expired(c.now):
			expired := errDeviceExpired.with()
			if c.req.endpoint == v1 {
				expired.oauth = "code_expired" // seen in 2017
			}
			return expired
		case g.state == devicePending:
			return errDevicePending.with()
		}
		return c.checkEnabled()
	})
	if refused != nil {
		return nil, refused
	}
	if refused := c.rescope(&d); refused != nil {
		return nil, refused
	}
	return c.delegated(method, d)
}
