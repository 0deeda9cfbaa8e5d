package entralab

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// signIn is one request to the authorize endpoint.
type signIn struct {
	lab      *Lab
	x        exchange
	endpoint version
	params   url.Values
	tenant   *tenant
	app      *application

	// The next ones are known once the redirect URI is: from then on errors go
	// back to the app, before that to the person, on a page.
	redirectURI string
	platform    platform
	mode        string

	target        string
	names, openID []string

	session   session
	inSession bool // of the browser
}

func (l *Lab) serveAuthorize(w http.ResponseWriter, r *http.Request, segment string, endpoint version) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	out := &recorder{header: w.Header(), status: http.StatusOK}
	l.authorizeInto(out, r, segment, endpoint)
	if l.flush() != nil {
		writeStopped(w)
		return
	}
	w.WriteHeader(out.status)
	w.Write(out.body.Bytes())
}

// authorizeInto makes the answer under the lock; a slow browser must not hold
// it while it reads.
func (l *Lab) authorizeInto(w *recorder, r *http.Request, segment string, endpoint version) {
	s := &signIn{lab: l, x: l.newExchange(r, nil), endpoint: endpoint, mode: "query"}
	event := Event{Surface: surfaceToken, Method: r.Method, Path: r.URL.Path, Status: http.StatusOK, Outcome: outcomeAccepted}
	s.session, s.inSession = l.sessions.of(r, s.x.now)
	refused := errBadRequest.with()
	if r.ParseForm() == nil { // a broken body or query is a bad request
		s.params = r.Form
		l.mu.RLock()
		defer l.mu.RUnlock()
		refused = s.check(r.Method, segment)
	}
	var chosen *user
	if refused == nil {
		chosen, refused = s.choose()
	}
	if s.app != nil {
		event.AppID, event.ObjectID = s.app.clientID.String(), s.app.id.String()
	}
	if refused != nil {
		event.Outcome, event.Code, event.Status = outcomeRefused, refused.code, refused.status
	}
	l.history.add(s.x.now, event)
	switch {
	case refused != nil && s.redirectURI == "":
		s.errorPage(w, refused)
	case refused != nil:
		s.answer(w, s.failure(refused))
	case chosen == nil:
		s.chooserPage(w, r.URL.Path)
	default:
		if !s.inSession || s.session.user != chosen.id {
			l.sessions.start(w, session{s.tenant.id, chosen.id, s.x.now})
		}
		s.answer(w, url.Values{"code": {s.code(chosen)}, "session_state": {l.random.guid().String()}})
	}
}

// check walks the checks up to the person's choice. Call with l.mu held.
func (s *signIn) check(method, segment string) *refusal {
	if method != http.MethodGet && method != http.MethodPost {
		return errVerb.with("accepted", "GET, POST", "method", method)
	}
	if !shared(segment) {
		var refused *refusal
		if s.tenant, refused = s.lab.resolveTenant(segment); refused != nil {
			return refused
		}
	}
	clientID := s.params.Get("client_id")
	if clientID == "" {
		return errMissing.with("name", "client_id")
	}
	if refused := s.findApp(clientID, segment); refused != nil {
		return refused
	}
	if refused := s.checkRedirect(); refused != nil {
		return refused
	}
	switch mode := s.params.Get("response_mode"); mode {
	case "":
	case "query", "fragment", "form_post":
		s.mode = mode
	default:
		return errResponseMode.with()
	}
	if refused := s.checkResponseType(); refused != nil {
		return refused
	}
	if method := s.params.Get("code_challenge_method"); !slices.Contains([]string{"", "plain", "S256"}, method) {
		return errInput.with()
	}
	if prompt := s.params.Get("prompt"); !slices.Contains([]string{"", "none", "login", "select_account", "consent"}, prompt) {
		return errPrompt.with()
	}
	return s.checkTarget()
}

func (s *signIn) findApp(clientID, segment string) *refusal {
	id, _ := parseGUID(clientID)
	if s.tenant == nil {
		var refused *refusal
		if s.tenant, refused = s.lab.homeOf(id, clientID, segment); refused != nil {
			return refused
		}
	}
	a := s.tenant.appWithClientID(id)
	if a == nil {
		return errAppUnknown.with("appId", clientID, "tenantName", s.tenant.displayName)
	}
	s.app = a
	switch {
	case a.principal == nil:
		return errNoPrincipal.with("appId", clientID, "tenantId", s.tenant.id.String())
	case a.disabled || !a.principal.enabled:
		return errAppDisabled.with("appId", clientID, "appName", a.displayName)
	}
	return nil
}

// homeOf finds the tenant for a request to common or organizations: the app's
// own, if users of any tenant may sign in to it. Call with l.mu held.
func (l *Lab) homeOf(id guid, clientID, segment string) (*tenant, *refusal) {
	for _, t := range l.tenants {
		a := t.appWithClientID(id)
		switch {
		case a == nil:
			continue
		case strings.EqualFold(segment, "consumers") && (a.audience == audienceTenant || a.audience == audienceAny):
			return nil, errOnlyEntra.with("appId", clientID, "appName", a.displayName)
		case a.audience == audienceTenant:
			return nil, errSingleTenant.with("appId", clientID, "appName", a.displayName)
		}
		return t, nil
	}
	return nil, errAppUnknown.with("appId", clientID, "tenantName", segment)
}

func (s *signIn) checkRedirect() *refusal {
	uri := s.params.Get("redirect_uri")
	if uri == "" {
		registered := slices.Concat(s.app.redirects(platformWeb), s.app.redirects(platformSPA), s.app.redirects(platformPublic))
		if len(registered) == 0 {
			return errNoRedirect.with()
		}
		uri = registered[0]
	}
	if parsed, err := url.Parse(uri); err != nil || !parsed.IsAbs() {
		return errRedirectRelative.with("name", "redirect_uri")
	}
	var ok bool
	if s.platform, ok = s.app.platformOf(uri); !ok {
		return errRedirectUnknown.with("redirectUri", uri, "appId", s.app.clientID.String())
	}
	s.redirectURI = uri
	return nil
}

// checkResponseType takes codes only: the lab has no implicit flow.
func (s *signIn) checkResponseType() *refusal {
	types := strings.Fields(s.params.Get("response_type"))
	switch {
	case len(types) == 0:
		return errMissing.with("name", "response_type")
	case slices.Equal(types, []string{"code"}):
		return nil
	case slices.Contains(types, "token"):
		return errTypeToken.with()
	case slices.Contains(types, "id_token"):
		return errTypeIDToken.with()
	}
	return errResponseType.with("type", s.params.Get("response_type"))
}

func (s *signIn) checkTarget() (refused *refusal) {
	if s.endpoint == v1 {
		s.target, s.names, s.openID = cmp.Or(s.params.Get("resource"), graphResource), []string{".default"}, openIDScopes
	} else if s.params.Get("resource") != "" {
		return errResourceParameter.with()
	} else if s.target, s.names, s.openID, refused = splitScopes(s.params.Get("scope")); refused != nil {
		return refused
	}
	return s.lab.checkScopes(s.tenant, s.app, s.target, s.names)
}

// The buttons of the page.
const (
	fieldUser   = "lab_user"
	fieldAnswer = "lab_answer"
)

// choose finds who signs in: the person of the page's form, the one of the
// automatic mode, or nobody yet.
func (s *signIn) choose() (*user, *refusal) {
	if s.params.Get(fieldAnswer) == "cancel" {
		return nil, errDeclined.with()
	}
	name := s.params.Get(fieldUser)
	if name == "" && s.lab.autoSignIn != "" {
		name = s.params.Get("login_hint")
		if s.lab.autoSignIn != AutoSignInHint && s.tenant.userNamed(name) == nil {
			name = s.lab.autoSignIn
		}
	}
	if name == "" {
		name = s.sessionUser()
	}
	if name == "" {
		if s.params.Get("prompt") == "none" {
			return nil, errNoSession.with()
		}
		return nil, nil
	}
	u := s.tenant.userNamed(name)
	if u == nil {
		return nil, errUserUnknown.with("user", name, "tenant", s.tenant.displayName)
	}
	if s.app.principal.assignmentRequired { // users have no assignments here
		return nil, errUserNotAssigned.with("user", u.name, "appId", s.app.clientID.String(), "appName", s.app.displayName)
	}
	return u, nil
}

func (t *tenant) userNamed(name string) *user {
	for _, u := range t.users {
		if strings.EqualFold(u.name, name) {
			return u
		}
	}
	return nil
}

func (s *signIn) code(u *user) string {
	method := s.params.Get("code_challenge_method")
	return s.lab.delegations.addCode(authCode{
		delegation: delegation{
			tenant: s.tenant.id, clientID: s.app.clientID, user: u.id, target: s.target, scopes: s.names, openID: s.openID,
			nonce: s.params.Get("nonce"), platform: s.platform, signedIn: s.x.now,
		},
		redirectURI: s.redirectURI, challenge: s.params.Get("code_challenge"), method: method,
	})
}

// failure is an error as the app gets it.
func (s *signIn) failure(f *refusal) url.Values {
	values := url.Values{"error": {f.oauth}, "error_description": {s.x.describe(f)}}
	if f.helpURI {
		values.Set("error_uri", s.lab.authorityURL+"/error?code="+codeText(f.code))
	}
	if f.code == errDeclined.code { // recalled, unverified
		values.Set("error_subcode", "cancel")
	}
	return values
}

// AutoSignInHint as [Config.AutoSignIn] signs in whom login_hint names.
const AutoSignInHint = "login_hint"

// SetAutoSignIn changes [Config.AutoSignIn].
func (l *Lab) SetAutoSignIn(user string) {
	l.changeSettings(func() { l.autoSignIn = user })
}

// signIn changes [Config.AutoSignIn] through the control origin.
func (c *controlCall) signIn() (any, *problem) {
	var sent struct{ User string }
	if refused := c.read(&sent); refused != nil {
		return nil, refused
	}
	c.lab.autoSignIn = sent.User
	c.lab.touch(c.lab)
	c.event.Write = &Write{Kind: "sign-in"}
	return nil, nil
}
