package entralab_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"
	"github.com/credsmith/credsmith/entralab"
)

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

func askForm(t testing.TB, lab *entralab.Lab, path string, form url.Values) reply {
	t.Helper()
	return do(t, lab, newRequest(t, "POST", lab.AuthorityURL()+path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded"))
}

// startDevice asks for a device code and returns the form of a poll and the
// code that the person types.
func startDevice(t testing.TB, lab *entralab.Lab, app entralab.App) (url.Values, string) {
	t.Helper()
	o := askForm(t, lab, "/"+app.TenantID+"/oauth2/v2.0/devicecode", url.Values{"client_id": {app.ClientID}, "scope": {"User.Read openid profile offline_access"}}).object(t)
	return url.Values{"grant_type": {deviceGrant}, "client_id": {app.ClientID}, "device_code": {o["device_code"].(string)}}, o["user_code"].(string)
}

func errorOf(t testing.TB, r reply) (string, int) {
	t.Helper()
	o := r.object(t)
	codes, _ := o["error_codes"].([]any)
	if len(codes) != 1 {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	return o["error"].(string), int(codes[0].(float64))
}

func deviceLab(t testing.TB) (*entralab.Lab, entralab.App) {
	t.Helper()
	lab := start(t)
	return lab, addApp(t, lab, entralab.AppSpec{DisplayName: "tv", PublicClient: true})
}

func TestDeviceCodeAnswers(t *testing.T) {
	t.Parallel()
	lab, app := deviceLab(t)
	form := url.Values{"client_id": {app.ClientID}, "scope": {"User.Read"}, "resource": {"https://graph.microsoft.com"}}
	for path, want := range map[string]string{
		"/oauth2/v2.0/devicecode": `^\{"user_code":"([A-Z2-9]{9})","device_code":"[\w.-]{100,}","verification_uri":"https://login\.lab\.test/common/oauth2/deviceauth","expires_in":900,"interval":5,"message":"To sign in, use a web browser to open the page https://login\.lab\.test/common/oauth2/deviceauth and enter the code [A-Z2-9]{9} to authenticate\."\}$`,
		"/oauth2/devicecode":      `^\{"user_code":"([A-Z2-9]{9})","device_code":"[\w.-]{100,}","verification_url":"https://login\.lab\.test/common/oauth2/deviceauth","expires_in":"900","interval":"5","message":"To sign in, .*"\}$`,
	} {
		r := askForm(t, lab, "/"+app.TenantID+path, form)
		if r.status != http.StatusOK || !regexp.MustCompile(want).MatchString(r.body) {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

func TestDeviceCodePage(t *testing.T) {
	t.Parallel()
	lab, app := deviceLab(t)
	const page = "/common/oauth2/deviceauth"
	if r := do(t, lab, newRequest(t, "GET", lab.AuthorityURL()+page, "")); r.status != 200 || !strings.Contains(r.body, `name="otc"`) {
		t.Fatalf("%d %s", r.status, r.body)
	}
	token := "/" + app.TenantID + "/oauth2/v2.0/token"

	poll, typed := startDevice(t, lab, app)
	if name, code := errorOf(t, askForm(t, lab, token, poll)); name != "authorization_pending" || code != 70016 {
		t.Errorf("before the sign-in: %s %d", name, code)
	}
	shown := askForm(t, lab, page, url.Values{"otc": {" " + strings.ToLower(typed)}})
	for _, want := range []string{"Sign in to tv", "User.Read", adaExample} {
		if !strings.Contains(shown.body, want) {
			t.Errorf("no %q in %s", want, shown.body)
		}
	}
	done := askForm(t, lab, page, url.Values{"otc": {typed}, "lab_user": {adaExample}})
	if done.status != 200 || !strings.Contains(done.body, "You have signed in to tv") {
		t.Fatalf("%d %s", done.status, done.body)
	}
	answer := askForm(t, lab, token, poll)
	o := answer.object(t)
	if answer.status != 200 || o["scope"] != "openid profile User.Read" || o["refresh_token"] == nil || o["id_token"] == nil {
		t.Fatalf("%d %s", answer.status, answer.body)
	}
	claims := part(t, o["access_token"], 1)
	if claims["upn"] != adaExample || claims["appidacr"] != "0" || claims["appid"] != app.ClientID {
		t.Errorf("claims %v", claims)
	}
	if name, code := errorOf(t, askForm(t, lab, token, poll)); name != "invalid_grant" || code != 54005 {
		t.Errorf("redeemed twice: %s %d", name, code)
	}
	again := url.Values{"grant_type": {"refresh_token"}, "client_id": {app.ClientID}, "refresh_token": {o["refresh_token"].(string)}}
	if r := askForm(t, lab, token, again); r.status != 200 {
		t.Errorf("refresh: %s", r.body)
	}
	if r := askForm(t, lab, page, url.Values{"otc": {typed}}); r.status != 400 || !strings.Contains(r.body, "AADSTS70018") {
		t.Errorf("a code typed twice: %d %s", r.status, r.body)
	}

	for _, path := range []string{"state", "history"} {
		body := do(t, lab, newRequest(t, "GET", lab.ControlURL()+"/control/"+path, "")).body
		if leaks(body, poll.Get("device_code")) || strings.Contains(body, typed) {
			t.Errorf("%s shows a code", path)
		}
	}

	poll, typed = startDevice(t, lab, app)
	if r := askForm(t, lab, page, url.Values{"otc": {typed}, "lab_answer": {"cancel"}}); r.status != 200 || !strings.Contains(r.body, "You have declined") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if name, code := errorOf(t, askForm(t, lab, token, poll)); name != "authorization_declined" || code != 65004 {
		t.Errorf("declined: %s %d", name, code)
	}
}

func TestDeviceCodeErrors(t *testing.T) {
	t.Parallel()
	lab, app := deviceLab(t)
	confidential := addApp(t, lab, entralab.AppSpec{})
	poll, _ := startDevice(t, lab, app)
	secretPoll, _ := startDevice(t, lab, confidential)
	expired, typed := startDevice(t, lab, app)
	tenant := "/" + app.TenantID
	for _, tc := range []struct {
		name, path string
		form       url.Values
		oauth      string
		code       int
	}{
		{"no client id", "/oauth2/v2.0/devicecode", url.Values{"scope": {"openid"}}, "invalid_request", 900144},
		{"unknown client id", "/oauth2/v2.0/devicecode", url.Values{"scope": {"openid"}, "client_id": {unknownGUID}}, "unauthorized_client", 700016},
		{"no scope", "/oauth2/v2.0/devicecode", url.Values{"client_id": {app.ClientID}}, "invalid_request", 900144},
		{"unknown resource", "/oauth2/devicecode", url.Values{"client_id": {app.ClientID}, "resource": {"api://x"}}, "invalid_resource", 500011},
		{"no device code", "/oauth2/v2.0/token", with(poll, "device_code", ""), "invalid_request", 900144},
		{"wrong device code", "/oauth2/v2.0/token", with(poll, "device_code", "x"), "bad_verification_code", 70018},
		{"another app's", "/oauth2/v2.0/token", with(poll, "client_id", confidential.ClientID), "invalid_grant", 70000},
		{"a secret for a public client", "/oauth2/v2.0/token", with(poll, "client_secret", value(app)), "invalid_client", 700025},
		{"no secret", "/oauth2/v2.0/token", secretPoll, "invalid_client", 7000218},
		{"wrong secret", "/oauth2/v2.0/token", with(secretPoll, "client_secret", "x"), "invalid_client", 7000215},
		{"secret", "/oauth2/v2.0/token", with(secretPoll, "client_secret", value(confidential)), "authorization_pending", 70016},
		{"v1", "/oauth2/token", url.Values{"grant_type": {"device_code"}, "client_id": {app.ClientID}, "code": poll["device_code"]}, "authorization_pending", 70016},
	} {
		if name, code := errorOf(t, askForm(t, lab, tenant+tc.path, tc.form)); name != tc.oauth || code != tc.code {
			t.Errorf("%s: %s %d, want %s %d", tc.name, name, code, tc.oauth, tc.code)
		}
	}
	if r := do(t, lab, newRequest(t, "GET", lab.AuthorityURL()+tenant+"/oauth2/v2.0/devicecode", "")); r.status != 400 || !strings.Contains(r.body, "AADSTS900561") {
		t.Errorf("GET: %d %s", r.status, r.body)
	}

	lab.Advance(15*time.Minute - 30*time.Second)
	if _, code := errorOf(t, askForm(t, lab, tenant+"/oauth2/v2.0/token", expired)); code != 70016 {
		t.Errorf("before the end: %d", code)
	}
	lab.Advance(time.Minute)
	for path, want := range map[string]string{"/oauth2/v2.0/token": "expired_token", "/oauth2/token": "code_expired"} {
		if name, code := errorOf(t, askForm(t, lab, tenant+path, expired)); name != want || code != 70020 {
			t.Errorf("%s after the end: %s %d", path, name, code)
		}
	}
	if r := askForm(t, lab, "/common/oauth2/deviceauth", url.Values{"otc": {typed}}); r.status != 400 || !strings.Contains(r.body, "AADSTS70018") {
		t.Errorf("page after the end: %d %s", r.status, r.body)
	}
}

// TestDeviceCodeClients: unchanged libraries, whose user opens the page. The
// waits between the polls take no time.
func TestDeviceCodeClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lab, app := deviceLab(t)
		ctx := context.Background()
		signIn := func(typed string) {
			if r := askForm(t, lab, "/common/oauth2/deviceauth", url.Values{"otc": {typed}, "lab_user": {adaExample}}); r.status != 200 {
				t.Errorf("page: %d %s", r.status, r.body)
			}
		}
		client, err := public.New(app.ClientID, public.WithAuthority(lab.AuthorityURL()+"/"+lab.TenantID()), public.WithHTTPClient(lab.Client()), public.WithInstanceDiscovery(false))
		if err != nil {
			t.Fatal(err)
		}
		device, err := client.AcquireTokenByDeviceCode(ctx, []string{"User.Read"})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Minute, func() { signIn(device.Result.UserCode) })
		result, err := device.AuthenticationResult(ctx)
		if err != nil || result.Account.PreferredUsername != adaExample {
			t.Fatalf("MSAL: %+v, %v", result.Account, err)
		}
		credential, err := azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{
			TenantID: lab.TenantID(), ClientID: app.ClientID, DisableInstanceDiscovery: true,
			ClientOptions: policy.ClientOptions{Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: lab.AuthorityURL()}, Transport: lab.Client()},
			UserPrompt: func(_ context.Context, m azidentity.DeviceCodeMessage) error {
				signIn(m.UserCode)
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/User.Read"}})
		if err != nil || part(t, token.Token, 1)["upn"] != adaExample {
			t.Fatalf("azidentity: %v", err)
		}
		lab.SetAutoSignIn(adaExample)
		device, err = client.AcquireTokenByDeviceCode(ctx, []string{"User.Read"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := device.AuthenticationResult(ctx); err != nil {
			t.Errorf("in the automatic mode: %v", err)
		}
	})
}
