package entralab_test

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/credsmith/credsmith/entralab"
	"golang.org/x/oauth2"
)

const (
	redirect   = "https://dash.example/auth/callback"
	adaExample = "ada-example@contoso.lab.test"
)

// signInLab is a lab whose users sign in by themselves, and a web app.
func signInLab(t testing.TB) (*entralab.Lab, entralab.App) {
	lab := startWith(t, entralab.Config{InProcess: true, AutoSignIn: adaExample})
	return lab, addApp(t, lab, entralab.AppSpec{DisplayName: "dash", RedirectURIs: []string{redirect}})
}

func authorizeQuery(app entralab.App) url.Values {
	return url.Values{
		"client_id": {app.ClientID}, "response_type": {"code"}, "redirect_uri": {redirect}, "scope": {"openid profile offline_access"}, "state": {"s&1"}, "nonce": {"n"},
	}
}

func authorize(t testing.TB, lab *entralab.Lab, tenant string, query url.Values) reply {
	t.Helper()
	return do(t, lab, newRequest(t, "GET", lab.AuthorityURL()+"/"+tenant+"/oauth2/v2.0/authorize?"+query.Encode(), ""))
}

// sentBack reads what the browser takes to the app.
func sentBack(t testing.TB, r reply) url.Values {
	t.Helper()
	_, query, ok := strings.Cut(r.header.Get("Location"), redirect+"?")
	values, err := url.ParseQuery(query)
	if r.status != 302 || !ok || err != nil {
		t.Fatalf("status %d, location %q, %s", r.status, r.header.Get("Location"), r.body)
	}
	return values
}

func codeForm(app entralab.App, code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {app.ClientID}, "client_secret": {value(app)}, "code": {code}, "redirect_uri": {redirect},
	}
}

// TestOIDCLogin is the login of a dashboard, with unchanged libraries over TLS.
func TestOIDCLogin(t *testing.T) {
	t.Parallel()
	lab := startWith(t, entralab.Config{AutoSignIn: adaExample})
	app := addApp(t, lab, entralab.AppSpec{RedirectURIs: []string{redirect}})
	ctx := oidc.ClientContext(context.Background(), lab.Client())
	provider, err := oidc.NewProvider(ctx, lab.AuthorityURL()+"/"+lab.TenantID()+"/v2.0")
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{
		ClientID: app.ClientID, ClientSecret: value(app), Endpoint: provider.Endpoint(), RedirectURL: redirect,
		Scopes: []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess},
	}
	verifier := oauth2.GenerateVerifier()
	r := do(t, lab, newRequest(t, "GET", config.AuthCodeURL("state", oidc.Nonce("nonce"), oauth2.S256ChallengeOption(verifier)), ""))
	back := sentBack(t, r)
	if back.Get("state") != "state" {
		t.Errorf("state %q", back.Get("state"))
	}
	token, err := config.Exchange(ctx, back.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: app.ClientID, Now: lab.Now}).Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Name  string `json:"preferred_username"`
		Email string `json:"email"`
		OID   string `json:"oid"`
		TID   string `json:"tid"`
		Ver   string `json:"ver"`
	}
	if err := id.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	if id.Nonce != "nonce" || claims.Name != adaExample || claims.Email != adaExample || claims.TID != lab.TenantID() || len(claims.OID) != 36 || id.Subject == claims.OID || claims.Ver != "2.0" {
		t.Errorf("nonce %q, subject %q, claims %+v", id.Nonce, id.Subject, claims)
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil || info.Email != adaExample {
		t.Errorf("userinfo %+v, %v", info, err)
	}
	renewed, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil || renewed.RefreshToken == token.RefreshToken || renewed.AccessToken == token.AccessToken {
		t.Errorf("renewed: %v", err)
	}
}

func TestMSALAuthCode(t *testing.T) {
	t.Parallel()
	lab := startWith(t, entralab.Config{AutoSignIn: adaExample})
	app := addApp(t, lab, entralab.AppSpec{RedirectURIs: []string{redirect}})
	credential, err := confidential.NewCredFromSecret(value(app))
	if err != nil {
		t.Fatal(err)
	}
	client, err := confidential.New(lab.AuthorityURL()+"/"+lab.TenantID(), app.ClientID, credential,
		confidential.WithHTTPClient(lab.Client()), confidential.WithInstanceDiscovery(false))
	if err != nil {
		t.Fatal(err)
	}
	address, err := client.AuthCodeURL(context.Background(), app.ClientID, redirect, []string{"User.Read"})
	if err != nil {
		t.Fatal(err)
	}
	code := sentBack(t, do(t, lab, newRequest(t, "GET", address, ""))).Get("code")
	result, err := client.AcquireTokenByAuthCode(context.Background(), code, redirect, []string{"User.Read"})
	if err != nil {
		t.Fatal(err)
	}
	if result.Account.PreferredUsername != adaExample || result.IDToken.TenantID != lab.TenantID() {
		t.Errorf("account %+v", result.Account)
	}
	if _, err := client.AcquireTokenSilent(context.Background(), []string{"Mail.Read"}, confidential.WithSilentAccount(result.Account)); err != nil {
		t.Errorf("silent: %v", err)
	}
}

// TestSignInPage clicks through the page, without JavaScript.
func TestSignInPage(t *testing.T) {
	t.Parallel()
	lab, app := signInLab(t)
	lab.SetAutoSignIn("")
	query := authorizeQuery(app)
	query.Set("response_mode", "form_post")
	query.Set("state", `"><script>`)
	page := authorize(t, lab, lab.TenantID(), query)
	if page.status != 200 || strings.Contains(page.body, "<script") || !strings.Contains(page.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("status %d, %v, %s", page.status, page.header, page.body)
	}
	fields := formFields(page.body)
	press := func(name, value string) reply {
		fields.Set(name, value)
		defer fields.Del(name)
		action := html.UnescapeString(regexp.MustCompile(`action="([^"]*)"`).FindStringSubmatch(page.body)[1])
		return do(t, lab, newRequest(t, "POST", lab.AuthorityURL()+action, fields.Encode(), "Content-Type", "application/x-www-form-urlencoded"))
	}
	posted := press("lab_user", adaExample)
	answer := formFields(posted.body)
	if !strings.Contains(posted.body, `action="`+redirect+`"`) || answer.Get("state") != `"><script>` {
		t.Errorf("posted %s", posted.body)
	}
	if r := askToken(t, lab, lab.TenantID(), codeForm(app, answer.Get("code"))); r.status != 200 {
		t.Errorf("redeeming: %s", r.body)
	}
	if got := formFields(press("lab_answer", "cancel").body); got.Get("error") != "access_denied" || !strings.HasPrefix(got.Get("error_description"), "AADSTS65004: User declined") {
		t.Errorf("cancelled: %v", got)
	}
	query.Set("prompt", "none")
	if got := formFields(authorize(t, lab, lab.TenantID(), query).body); got.Get("error") != "login_required" {
		t.Errorf("silent: %v", got)
	}
}

func formFields(page string) url.Values {
	values := url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(page, -1) {
		values.Add(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	return values
}

func TestAuthorizeErrors(t *testing.T) {
	t.Parallel()
	lab, app := signInLab(t)
	good := authorizeQuery(app)
	for _, tc := range []struct{ name, field, value, text string }{
		{"tenant", "tenant", "nobody.example", "AADSTS90002: Tenant &#39;nobody.example&#39; not found."},
		{"single tenant on common", "tenant", "common", "AADSTS50194: Application"},
		{"consumers", "tenant", "consumers", "AADSTS9002332: Application"},
		{"no client", "client_id", "", "AADSTS900144: The request body must contain the following parameter: &#39;client_id&#39;."},
		{"client", "client_id", unknownGUID, "AADSTS700016: Application with identifier"},
		{"redirect", "redirect_uri", redirect + "/", "AADSTS50011: The redirect URI &#39;" + redirect + "/&#39; specified in the request does not match"},
		{"relative", "redirect_uri", "/x", "AADSTS90102: &#39;redirect_uri&#39; value must be a valid absolute URI."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tenant := lab.TenantID()
			if tc.field == "tenant" {
				tenant = tc.value
			}
			r := authorize(t, lab, tenant, with(good, tc.field, tc.value))
			if r.status != 400 || !strings.Contains(r.body, tc.text) || !strings.Contains(r.body, "<dt>Request Id:</dt>") || !strings.Contains(r.body, "<dt>Timestamp:</dt>") || r.header.Get("Location") != "" {
				t.Errorf("status %d: %s", r.status, r.body)
			}
		})
	}
	for _, tc := range []struct{ field, value, oauth, text string }{
		{"response_type", "", "invalid_request", "AADSTS900144: The request body must contain the following parameter: 'response_type'."},
		{"response_type", "token", "unsupported_response_type", "AADSTS700051: response_type 'token' is not enabled for the application."},
		{"response_type", "code id_token", "unsupported_response_type", "AADSTS700054: response_type 'id_token' is not enabled for the application."},
		{"response_type", "x", "unsupported_response_type", "AADSTS70005: response_type 'x' is not enabled for the application"},
		{"response_mode", "x", "invalid_request", "AADSTS70007: The response_mode is not supported."},
		{"code_challenge_method", "x", "invalid_request", "AADSTS90013: Invalid input received from the user."},
		{"prompt", "x", "invalid_request", "AADSTS90023: Unsupported 'prompt' value."},
		{"scope", "", "invalid_request", "AADSTS900144: The request body must contain the following parameter: 'scope'."},
		{"scope", "a/b c/d", "invalid_scope", "AADSTS700022: The provided value for the input parameter scope is not valid because it contains more than one resource."},
		{"scope", "api://" + app.ClientID + "/x", "invalid_client", "AADSTS65005: The application 'dash' asked for scope 'x' that doesn't exist on the resource 'api://" + app.ClientID + "'."},
	} {
		got := sentBack(t, authorize(t, lab, lab.TenantID(), with(good, tc.field, tc.value)))
		if got.Get("error") != tc.oauth || !strings.HasPrefix(got.Get("error_description"), tc.text+" Trace ID: ") || got.Get("state") != "s&1" || got.Get("code") != "" {
			t.Errorf("%s %q: %v", tc.field, tc.value, got)
		}
	}
	if r := control(t, lab, "sign-in", `{"user":"login_hint"}`); r.status != 204 {
		t.Fatal(r.body)
	}
	got := sentBack(t, authorize(t, lab, lab.TenantID(), with(good, "login_hint", "x@y")))
	if !strings.HasPrefix(got.Get("error_description"), "AADSTS50034: The user account x@y does not exist in the Contoso (lab) directory.") {
		t.Errorf("unknown hint: %v", got)
	}
}

func TestCodeErrors(t *testing.T) {
	t.Parallel()
	lab, app := signInLab(t)
	lab.Freeze(true)
	thief := addApp(t, lab, entralab.AppSpec{RedirectURIs: []string{redirect}})
	newCode := func(pairs ...string) string {
		query := authorizeQuery(app)
		for i := 0; i < len(pairs); i += 2 {
			query.Set(pairs[i], pairs[i+1])
		}
		return sentBack(t, authorize(t, lab, lab.TenantID(), query)).Get("code")
	}
	good := codeForm(app, newCode())
	redeemed := codeForm(app, newCode())
	if r := askToken(t, lab, lab.TenantID(), redeemed); r.status != 200 || !strings.HasPrefix(r.body, `{"token_type":"Bearer","scope":"openid profile","expires_in":3599,"ext_expires_in":3599,"access_token":"`) {
		t.Fatal(r.body)
	}
	stolen := codeForm(thief, good.Get("code"))
	const differs = "The reply address '%s' does not match the reply address '%s' provided when requesting Authorization code."
	plain := codeForm(app, newCode("code_challenge", "abc"))
	const noMatch = "The Code_Verifier does not match the code_challenge supplied in the authorization request."
	for _, tc := range []refusedRequest{
		{name: "no code", form: with(good, "code", ""), status: 400, oauth: "invalid_request", code: 900144, text: strings.Replace(missing, "%s", "code", 1), uri: true},
		{name: "damaged", form: with(good, "code", "x"), status: 400, oauth: "invalid_grant", code: 9002313, text: "Invalid request. Request is malformed or invalid."},
		{name: "another app's", form: stolen, status: 400, oauth: "invalid_grant", code: 70000, text: "The provided access grant is invalid or malformed."},
		{name: "redirect", form: with(good, "redirect_uri", "https://x"), status: 401, oauth: "invalid_client", code: 500112, text: strings.Replace(strings.Replace(differs, "%s", "https://x", 1), "%s", redirect, 1)},
		{name: "no secret", form: with(good, "client_secret", ""), status: 401, oauth: "invalid_client", code: 7000218, text: "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."},
		{name: "redeemed", form: redeemed, status: 400, oauth: "invalid_grant", code: 54005, text: "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token."},
		{name: "no verifier", form: plain, status: 400, oauth: "invalid_request", code: 900144, text: strings.Replace(missing, "%s", "code_verifier", 1), uri: true},
		{name: "verifier", form: with(plain, "code_verifier", "abd"), status: 400, oauth: "invalid_grant", code: 501481, text: noMatch},
		{name: "verifier not hashed", form: with(codeForm(app, newCode("code_challenge", "abc", "code_challenge_method", "S256")), "code_verifier", "abc"), status: 400, oauth: "invalid_grant", code: 501481, text: noMatch},
		{name: "from a page", form: good, header: []string{"Origin", "https://dash.example"}, status: 400, oauth: "invalid_request", code: 9002326, text: "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type."},
		{name: "refresh token", form: url.Values{"grant_type": {"refresh_token"}, "client_id": {app.ClientID}, "refresh_token": {"x"}}, status: 400, oauth: "invalid_grant", code: 9002313, text: "Invalid request. Request is malformed or invalid."},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.check(t, lab) })
	}
	if r := askToken(t, lab, lab.TenantID(), with(plain, "code_verifier", "abc")); r.status != 200 {
		t.Errorf("plain verifier: %s", r.body)
	}
	lab.Advance(10 * time.Minute)
	refusedRequest{form: good, status: 400, oauth: "invalid_grant", code: 70008,
		text: "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource."}.check(t, lab)
}

// TestPlatforms redeems codes as pages and installed programs do.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	lab, _ := signInLab(t)
	app := addApp(t, lab, entralab.AppSpec{})
	if r := graph(t, lab, graphToken(t, lab, lab.Operator()), "PATCH", "applications/"+app.ObjectID,
		`{"spa":{"redirectUris":["https://spa.example/"]},"publicClient":{"redirectUris":["http://localhost"]}}`); r.status != 204 {
		t.Fatal(r.body)
	}
	newForm := func(uri string, pairs ...string) url.Values {
		query := authorizeQuery(app)
		query.Set("redirect_uri", uri)
		for i := 0; i < len(pairs); i += 2 {
			query.Set(pairs[i], pairs[i+1])
		}
		back, err := url.Parse(authorize(t, lab, lab.TenantID(), query).header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		form := codeForm(app, back.Query().Get("code"))
		form.Set("redirect_uri", uri)
		form.Del("client_secret")
		return form
	}
	public := newForm("http://localhost:5123")
	refusedRequest{form: with(public, "client_secret", value(app)), status: 401, oauth: "invalid_client", code: 700025,
		text: "Client is public so neither 'client_assertion' nor 'client_secret' should be presented."}.check(t, lab)
	r := askToken(t, lab, lab.TenantID(), public)
	if r.status != 200 || part(t, r.object(t)["access_token"], 1)["appidacr"] != "0" {
		t.Errorf("public client: %s", r.body)
	}
	spa := newForm("https://spa.example/", "code_challenge", "abc")
	spa.Set("code_verifier", "abc")
	refusedRequest{form: spa, status: 400, oauth: "invalid_request", code: 9002327,
		text: "Tokens issued for the 'Single-Page Application' client-type may only be redeemed via cross-origin requests."}.check(t, lab)
	refusedRequest{form: newForm("https://spa.example/"), header: []string{"Origin", "https://spa.example"}, status: 400, oauth: "invalid_request", code: 9002325,
		text: "Proof Key for Code Exchange is required for cross-origin authorization code redemption."}.check(t, lab)
	r = askToken(t, lab, lab.TenantID(), spa, "Origin", "https://spa.example")
	if r.status != 200 || r.header.Get("Access-Control-Allow-Origin") != "https://spa.example" {
		t.Errorf("single-page app: %s", r.body)
	}
}

// TestRefreshTokensEnd waits ninety days.
func TestRefreshTokensEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab, app := signInLab(t)
		first := askToken(t, lab, lab.TenantID(), codeForm(app, sentBack(t, authorize(t, lab, lab.TenantID(), authorizeQuery(app))).Get("code"))).object(t)
		form := url.Values{"grant_type": {"refresh_token"}, "client_id": {app.ClientID}, "client_secret": {value(app)}, "refresh_token": {first["refresh_token"].(string)}}
		time.Sleep(90*24*time.Hour - time.Minute)
		r := askToken(t, lab, lab.TenantID(), form)
		if r.status != http.StatusOK || r.object(t)["refresh_token"] == first["refresh_token"] {
			t.Fatal(r.body)
		}
		time.Sleep(2 * time.Minute)
		if r := askToken(t, lab, lab.TenantID(), form); !strings.Contains(r.body, "AADSTS700082: The refresh token has expired due to inactivity.") {
			t.Errorf("the old one: %s", r.body)
		}
		form.Set("refresh_token", r.object(t)["refresh_token"].(string))
		if r := askToken(t, lab, lab.TenantID(), form); r.status != http.StatusOK {
			t.Errorf("the new one: %s", r.body)
		}
	})
}

// TestNoGrantLeaves searches history and state for a code and its tokens.
func TestNoGrantLeaves(t *testing.T) {
	t.Parallel()
	lab, app := signInLab(t)
	code := sentBack(t, authorize(t, lab, lab.TenantID(), authorizeQuery(app))).Get("code")
	tokens := askToken(t, lab, lab.TenantID(), codeForm(app, code)).object(t)
	for _, page := range []string{"state", "history"} {
		body := do(t, lab, newRequest(t, "GET", lab.ControlURL()+"/control/"+page, "")).body
		for _, secret := range []any{code, tokens["access_token"], tokens["refresh_token"], tokens["id_token"], value(app)} {
			if leaks(body, secret.(string)) {
				t.Errorf("%s shows a code or token", page)
			}
		}
	}
}

func FuzzAuthorize(f *testing.F) {
	lab, app := signInLab(f)
	f.Add("GET", authorizeQuery(app).Encode())
	f.Add("POST", authorizeQuery(app).Encode()+"&response_mode=form_post&code_challenge=x&code_challenge_method=S256")
	f.Add("GET", "client_id="+app.ClientID+"&redirect_uri=%zz&scope=/&prompt=none")
	f.Fuzz(func(t *testing.T, method, params string) {
		r, err := http.NewRequest(method, lab.AuthorityURL()+"/common/oauth2/v2.0/authorize", strings.NewReader(params))
		if err != nil {
			t.Skip("not a request")
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.URL.Path, r.URL.RawQuery = "/"+lab.TenantID()+"/oauth2/v2.0/authorize", params
		got := do(t, lab, r)
		to := got.header.Get("Location")
		if got.status >= 500 || to != "" && !strings.HasPrefix(to, redirect) || strings.Contains(got.body, "<script") {
			t.Errorf("status %d, location %q: %s", got.status, to, got.body)
		}
	})
}
