package entralab_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/credsmith/credsmith/entralab"
)

const grantOnBehalfOf = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// userTokens signs a user in to an app, for an API.
func userTokens(t testing.TB, lab *entralab.Lab, app entralab.App, scope string) map[string]any {
	t.Helper()
	code := sentBack(t, authorize(t, lab, lab.TenantID(), with(authorizeQuery(app), "scope", scope))).Get("code")
	return askToken(t, lab, lab.TenantID(), codeForm(app, code)).object(t)
}

func TestAzidentityOnBehalfOf(t *testing.T) {
	t.Parallel()
	lab := startWith(t, entralab.Config{AutoSignIn: adaExample})
	app := addApp(t, lab, entralab.AppSpec{RedirectURIs: []string{redirect}})
	api := addApp(t, lab, entralab.AppSpec{})
	token := userTokens(t, lab, app, "api://"+api.ClientID+"/.default offline_access openid")
	if token["access_token"] == nil {
		t.Fatal(token)
	}
	if r := graph(t, lab, graphToken(t, lab, lab.Operator()), "PATCH", "applications/"+api.ObjectID, `{"api":{"oauth2PermissionScopes":[{"value":"do"}]}}`); r.status != 204 {
		t.Fatal(r.body)
	}
	token = userTokens(t, lab, app, "api://"+api.ClientID+"/do")
	credential, err := azidentity.NewOnBehalfOfCredentialWithSecret(lab.TenantID(), api.ClientID, token["access_token"].(string), value(api),
		&azidentity.OnBehalfOfCredentialOptions{DisableInstanceDiscovery: true, ClientOptions: labOptions(lab)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := credential.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/User.Read"}})
	if err != nil {
		t.Fatal(err)
	}
	claims := part(t, got.Token, 1)
	if claims["appid"] != api.ClientID || claims["appidacr"] != "1" || !strings.HasPrefix(claims["scp"].(string), "User.Read") || claims["upn"] != adaExample {
		t.Errorf("claims %v", claims)
	}
}

func TestOnBehalfOfErrors(t *testing.T) {
	t.Parallel()
	lab, app := signInLab(t)
	lab.Freeze(true)
	tokens := userTokens(t, lab, app, "openid "+app.ClientID+"/.default")
	id, forGraph := tokens["id_token"].(string), userTokens(t, lab, app, "User.Read")["access_token"].(string)
	if r := graph(t, lab, graphToken(t, lab, lab.Operator()), "PATCH", "applications/"+app.ObjectID, `{"api":{"oauth2PermissionScopes":[{"value":"do"}]}}`); r.status != 204 {
		t.Fatal(r.body)
	}
	user := userTokens(t, lab, app, app.ClientID+"/do")["access_token"].(string)
	own := with(credentialsForm(app.ClientID, value(app)), "scope", app.ClientID+"/.default")
	appOnly := askToken(t, lab, lab.TenantID(), own).object(t)["access_token"].(string)
	good := url.Values{
		"grant_type": {grantOnBehalfOf}, "requested_token_use": {"on_behalf_of"}, "client_id": {app.ClientID}, "client_secret": {value(app)},
		"scope": {"User.Read"}, "assertion": {user},
	}
	if r := askToken(t, lab, lab.TenantID(), good); r.status != 200 {
		t.Fatal(r.body)
	}
	for _, tc := range []refusedRequest{
		{name: "no assertion", form: with(good, "assertion", ""), status: 400, oauth: "invalid_request", code: 900144, text: strings.Replace(missing, "%s", "assertion", 1), uri: true},
		{name: "another use", form: with(good, "requested_token_use", "x"), status: 400, oauth: "invalid_request", code: 90023, text: "Invalid STS request."},
		{name: "no secret", form: with(good, "client_secret", ""), status: 401, oauth: "invalid_client", code: 7000219, text: "'client_assertion' or 'client_secret' is required for the '" + grantOnBehalfOf + "' grant type."},
		{name: "no JWT", form: with(good, "assertion", "x"), status: 400, oauth: "invalid_request", code: 50027, text: "JWT token is invalid or malformed."},
		{name: "signature", form: with(good, "assertion", breakSignature(user)), status: 400, oauth: "invalid_grant", code: 50013, text: "Assertion failed signature validation."},
		{name: "ID token", form: with(good, "assertion", id), status: 400, oauth: "invalid_request", code: 240002, text: "Input id_token cannot be used as '" + grantOnBehalfOf + "' grant."},
		{name: "app-only token", form: with(good, "assertion", appOnly), status: 400, oauth: "unauthorized_client", code: 7000114, text: "Application '" + app.ClientID + "' is not allowed to make application on-behalf-of calls."},
		{name: "token for Graph", form: with(good, "assertion", forGraph), status: 400, oauth: "invalid_grant", code: 500131,
			text: "Assertion audience does not match the Client app presenting the assertion. The audience in the assertion was 'https://graph.microsoft.com' and the expected audience is '" + app.ClientID + "'."},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.check(t, lab) })
	}
	now := lab.Now()
	lab.Advance(3599 * time.Second)
	const layout = "2006-01-02T15:04:05.0000000Z"
	expires := now.Truncate(time.Second).Add(3599 * time.Second).Format(layout)
	refusedRequest{form: good, status: 400, oauth: "invalid_grant", code: 500133,
		text: "Assertion is not within its valid time range. Ensure that the access token is not expired before using it for user assertion, or request a new token. Current time: " + lab.Now().Format(layout) + ", expiry time of assertion " + expires + "."}.check(t, lab)
}
