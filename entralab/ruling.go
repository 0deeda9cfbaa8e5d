package entralab

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// ruling is a refusal that a policy, an administrator or the state of the
// service decides, and nothing in the request.
type ruling struct {
	refusal
	early bool // told before the credential is looked at
	users bool // of tokens for users only
}

// rulings are those that [Lab.Refuse] knows. Texts are those of public threads
// and of Microsoft's error reference. Recalled, unverified: the statuses of
// 90033 and 1000031, the OAuth errors of 50196 and 1000031, and that 900382
// and 900432 come before the credential.
var rulings = map[int]ruling{
	50057:   {refusal: refusal{50057, "invalid_grant", 400, false, "The user account is disabled."}, users: true},
	50076:   {refusal: refusal{50076, "interaction_required", 400, false, "Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '{resource}'."}, users: true},
	50079:   {refusal: refusal{50079, "interaction_required", 400, false, "Due to a configuration change made by your administrator, or because you moved to a new location, you must enroll in multi-factor authentication to access '{resource}'."}, users: true},
	50158:   {refusal: refusal{50158, "interaction_required", 400, false, "External security challenge not satisfied. User will be redirected to another page or authentication provider to satisfy additional authentication challenges."}, users: true},
	50173:   {refusal: refusal{50173, "invalid_grant", 400, false, "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password. The grant was issued on '{issued}' and the TokensValidFrom date (before which tokens are not valid) for this user is '{now}'."}, users: true},
	50196:   {refusal: refusal{50196, "invalid_grant", 429, false, "The server terminated an operation because it encountered a client request loop. Please contact your app vendor."}},
	53003:   {refusal: refusal{53003, "interaction_required", 400, false, "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance."}},
	65001:   {refusal: refusal{65001, "invalid_grant", 400, false, "The user or administrator has not consented to use the application with ID '{appId}' named '{appName}'. Send an interactive authorization request for this user and resource."}, users: true},
	70043:   {refusal: refusal{70043, "invalid_grant", 400, false, "The refresh token has expired or is invalid due to sign-in frequency checks by conditional access. The token was issued on {issued} and the maximum allowed lifetime for this request is {seconds}."}, users: true},
	90033:   {refusal: refusal{90033, "temporarily_unavailable", 503, false, "A transient error has occurred. Please try again."}},
	900382:  {refusal: refusal{900382, "invalid_request", 400, false, crossCloud}, early: true},
	900432:  {refusal: refusal{900432, "invalid_request", 400, false, crossCloud}, early: true, users: true},
	1000031: {refusal: refusal{1000031, "unauthorized_client", 400, false, "Application {appName} cannot be accessed at this time. Contact your administrator."}},
}

const crossCloud = "Confidential Client is not supported in Cross Cloud request."

// Refuse makes the token service refuse an app, by its object id, with a code
// that does not depend on the request: 53003 as a Conditional Access policy for
// workload identities, 50196 as a loop was seen, 90033 as the service has a
// fault, 900382 as the app belongs to another cloud, 1000031 as an
// administrator blocked it; for tokens of users also 50057, 50076, 50079,
// 50158, 50173, 65001, 70043 (refresh tokens only) and 900432. 0 ends it.
func (l *Lab) Refuse(objectID string, code int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.refuse(objectID, code), l.save())
}

func (l *Lab) refuse(objectID string, code int) error {
	a := l.findApp(objectID)
	if a == nil {
		return fmt.Errorf("entralab: refuse: no app has the object id %q", objectID)
	}
	if _, ok := rulings[code]; !ok && code != 0 {
		var known []int
		for code := range rulings {
			known = append(known, code)
		}
		slices.Sort(known)
		return fmt.Errorf("entralab: refuse: code %d cannot be switched on; known are %v, and 0 to end it", code, known)
	}
	if l.ruled == nil {
		l.ruled = map[guid]int{}
	}
	l.touch(l)
	l.ruled[a.id] = code
	if code == 0 {
		delete(l.ruled, a.id)
	}
	return nil
}

// refusals is [Lab.Refuse] through the control origin.
func (c *controlCall) refusals() (any, *problem) {
	var sent struct {
		App  string
		Code int
	}
	if refused := c.read(&sent); refused != nil {
		return nil, refused
	}
	if err := c.lab.refuse(sent.App, sent.Code); err != nil {
		return nil, badCommand(err.Error())
	}
	c.event.Code, c.event.Write = sent.Code, &Write{Kind: "refusal"}
	return nil, nil
}

// ruledEarly answers before the credential is looked at.
func (c *tokenCall) ruledEarly() *refusal {
	r, ok := rulings[c.lab.ruled[c.app.id]]
	if !ok || !r.early || r.users && c.req.form["grant_type"] == grantClientCredentials {
		return nil
	}
	return r.with()
}

// ruledOut answers when all else is good. issued is when the grant was made,
// for tokens of users.
func (c *tokenCall) ruledOut(target resource, issued time.Time, user bool) *refusal {
	r, ok := rulings[c.lab.ruled[c.app.id]]
	if !ok || r.early || r.users && !user || r.code == 70043 && c.req.form["grant_type"] != "refresh_token" {
		return nil
	}
	const layout = "2006-01-02T15:04:05.0000000Z"
	return r.with("resource", target.audience, "appId", c.app.clientID.String(), "appName", c.app.displayName,
		"issued", issued.Format(layout), "now", c.now.Format(layout), "seconds", strconv.Itoa(int(tokenLifetime/time.Second)))
}
