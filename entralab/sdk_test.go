package entralab_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/credsmith/credsmith/entralab"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// The clients below are as their makers published them. They go through the
// sockets and TLS.

func TestAzidentity(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	app := addApp(t, lab, entralab.AppSpec{Permissions: []string{"Application.Read.All"}})
	get := func(tenant, secret string) (string, error) {
		credential, err := azidentity.NewClientSecretCredential(tenant, app.ClientID, secret, &azidentity.ClientSecretCredentialOptions{
			DisableInstanceDiscovery: true,
			ClientOptions: policy.ClientOptions{
				Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: lab.AuthorityURL()},
				Transport: lab.Client(),
				Retry:     policy.RetryOptions{MaxRetries: -1},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		token, err := credential.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{graphScope}})
		return token.Token, err
	}

	token, err := get(lab.TenantID(), value(app))
	if err != nil {
		t.Fatal(err)
	}
	if r := graph(t, lab, token, "GET", "applications", ""); r.status != http.StatusOK {
		t.Errorf("Graph refused the token: %s", r.body)
	}

	_, err = get(lab.TenantID(), app.Secrets[0].KeyID)
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) || failed.RawResponse.StatusCode != http.StatusUnauthorized || !strings.Contains(err.Error(), "AADSTS7000215") {
		t.Errorf("with the secret's id: %v, want 401 with AADSTS7000215", err)
	}
	_, err = get("11111111-2222-4333-8444-555555555555", value(app))
	if err == nil || !strings.Contains(err.Error(), "AADSTS90002") {
		t.Errorf("with an unknown tenant: %v, want AADSTS90002", err)
	}
}

func TestMSAL(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	app := lab.Healthy()
	credential, err := confidential.NewCredFromSecret(value(app))
	if err != nil {
		t.Fatal(err)
	}
	client, err := confidential.New(lab.AuthorityURL()+"/"+lab.TenantID(), app.ClientID, credential,
		confidential.WithHTTPClient(lab.Client()), confidential.WithInstanceDiscovery(false))
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range []string{graphScope, lab.GraphURL() + "/.default", app.ClientID + "/.default"} {
		result, err := client.AcquireTokenByCredential(context.Background(), []string{scope})
		if err != nil {
			t.Errorf("%s: %v", scope, err)
		} else if result.AccessToken == "" {
			t.Errorf("%s: empty token", scope)
		}
	}
}

// TestOAuth2 tries both places for the secret with a value that a server that
// does not decode, or decodes twice, gets wrong.
func TestOAuth2(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	app := addApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{{Value: "a+b%2B&c=~ d:é"}}})
	for name, style := range map[string]oauth2.AuthStyle{
		"header": oauth2.AuthStyleInHeader, "params": oauth2.AuthStyleInParams, "auto": oauth2.AuthStyleAutoDetect,
	} {
		config := clientcredentials.Config{
			ClientID: app.ClientID, ClientSecret: value(app), TokenURL: tokenURL(lab, "contoso.lab.test"),
			Scopes: []string{graphScope}, AuthStyle: style,
		}
		ctx := context.WithValue(context.Background(), oauth2.HTTPClient, lab.Client())
		if _, err := config.Token(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		config.ClientSecret += "x"
		var refused *oauth2.RetrieveError
		if _, err := config.Token(ctx); !errors.As(err, &refused) || refused.ErrorCode != "invalid_client" || refused.Response.StatusCode != 401 {
			t.Errorf("%s with a wrong value: %v, want invalid_client", name, err)
		}
	}
}

func TestOIDC(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	app := lab.Healthy()
	ctx := oidc.ClientContext(context.Background(), lab.Client())
	issuer := lab.AuthorityURL() + "/" + lab.TenantID() + "/v2.0"
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		t.Fatal(err)
	}
	form := credentialsForm(app.ClientID, value(app))
	form.Set("scope", app.ClientID+"/.default")
	raw := askToken(t, lab, lab.TenantID(), form).object(t)["access_token"].(string)
	token, err := provider.Verifier(&oidc.Config{ClientID: app.ClientID, Now: lab.Now}).Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	if token.Subject != app.ServicePrincipalID || token.Issuer != issuer {
		t.Errorf("subject %s of issuer %s, want %s of %s", token.Subject, token.Issuer, app.ServicePrincipalID, issuer)
	}
	broken := []byte(raw)
	broken[len(broken)-10] ^= 1
	if _, err := provider.Verifier(&oidc.Config{ClientID: app.ClientID}).Verify(ctx, string(broken)); err == nil {
		t.Error("a token with a broken signature verifies")
	}
}
