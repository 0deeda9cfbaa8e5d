// Package operator makes the identities that credsmith itself signs in with:
// an app with a secret or certificate, the identity of the machine it runs on,
// or a person. None of them is ever taken from the setting under diagnosis.
package operator

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
)

// Place is where an identity signs in.
type Place struct {
	TenantID  string // a GUID; may be empty for people, who have a home tenant
	Authority string // origin of the login host
	Graph     string // origin of Microsoft Graph
	HTTP      *http.Client
}

// Identity is a way to sign in to a tenant.
type Identity struct {
	TenantID   string // GUID
	Name       string // who it is, for people to read: "app 1b7e…", "ada@contoso.com (az login)"
	Credential azcore.TokenCredential
}

func (p Place) options() policy.ClientOptions {
	return policy.ClientOptions{Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: p.Authority}, Transport: p.HTTP}
}

// private reports whether Microsoft's hosts do not know the authority: asking
// them about it would fail, and tell them of it.
func (p Place) private() bool {
	_, known := entra.CloudOf(p.Authority)
	return !known
}

func (p Place) app(clientID string, credential azcore.TokenCredential, err error) (Identity, error) {
	if err != nil {
		return Identity{}, fmt.Errorf("use the operator identity %s: %s", clientID, plain(err))
	}
	return Identity{p.TenantID, "app " + clientID, credential}, nil
}

// Secret is an app with a client secret.
func (p Place) Secret(clientID string, value secret.Value) (Identity, error) {
	credential, err := azidentity.NewClientSecretCredential(p.TenantID, clientID, value.Reveal(), &azidentity.ClientSecretCredentialOptions{
		ClientOptions: p.options(), DisableInstanceDiscovery: p.private(),
	})
	return p.app(clientID, credential, err)
}

// Certificate is an app with a certificate and its private key, in PEM or
// PKCS#12; the password may be empty.
func (p Place) Certificate(clientID string, file []byte, password secret.Value) (Identity, error) {
	chain, key, err := azidentity.ParseCertificates(file, []byte(password.Reveal()))
	if err != nil {
		return Identity{}, fmt.Errorf("read the operator's certificate: not a certificate with an unencrypted private key in PEM, nor PKCS#12 that this password opens")
	}
	credential, err := azidentity.NewClientCertificateCredential(p.TenantID, clientID, chain, key, &azidentity.ClientCertificateCredentialOptions{
		ClientOptions: p.options(), DisableInstanceDiscovery: p.private(),
	})
	return p.app(clientID, credential, err)
}

// Managed is the managed identity of the machine; clientID names one of
// several and may be empty.
func (p Place) Managed(clientID string) (Identity, error) {
	options := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: p.options()}
	name := "the machine's managed identity"
	if clientID != "" {
		options.ID = azidentity.ClientID(clientID)
		name = "managed identity " + clientID
	}
	credential, err := azidentity.NewManagedIdentityCredential(options)
	if err != nil {
		return Identity{}, fmt.Errorf("use %s: %s", name, plain(err))
	}
	return Identity{p.TenantID, name, credential}, nil
}

// Workload is an app that trusts the token in a file, as Kubernetes mounts it.
func (p Place) Workload(clientID, tokenFile string) (Identity, error) {
	if tokenFile == "" {
		return Identity{}, errors.New("use the workload identity: AZURE_FEDERATED_TOKEN_FILE is not set")
	}
	credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: p.options(), DisableInstanceDiscovery: p.private(), TenantID: p.TenantID, ClientID: clientID, TokenFilePath: tokenFile,
	})
	return p.app(clientID, credential, err)
}

// AzureCLI is the user that az is signed in with. It starts az once.
func (p Place) AzureCLI(ctx context.Context) (Identity, error) {
	credential, err := azidentity.NewAzureCLICredential(&azidentity.AzureCLICredentialOptions{TenantID: p.TenantID})
	if err != nil {
		return Identity{}, fmt.Errorf("ask az: %s", plain(err))
	}
	return p.person(ctx, credential, "az login")
}

// DeviceCode is a person who signs in with a browser anywhere: prompt shows
// them where and with which code. clientID is that of a public client app;
// empty for the one of the Azure CLI.
func (p Place) DeviceCode(ctx context.Context, clientID string, prompt func(message string)) (Identity, error) {
	credential, err := azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{
		ClientOptions: p.options(), DisableInstanceDiscovery: p.private(), TenantID: p.TenantID, ClientID: clientID,
		UserPrompt: func(_ context.Context, m azidentity.DeviceCodeMessage) error { prompt(m.Message); return nil },
	})
	if err != nil {
		return Identity{}, fmt.Errorf("sign in with a device code: %s", plain(err))
	}
	return p.person(ctx, credential, "device code")
}

// person signs in now: the tenant is known only by the token.
func (p Place) person(ctx context.Context, credential azcore.TokenCredential, way string) (Identity, error) {
	token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{p.Graph + "/.default"}})
	if cause := context.Cause(ctx); cause != nil {
		return Identity{}, cause
	}
	if err != nil {
		return Identity{}, fmt.Errorf("%s: %s", way, plain(err))
	}
	tenant, user := holder(token.Token)
	if p.TenantID != "" {
		tenant = p.TenantID
	}
	if tenant == "" {
		return Identity{}, fmt.Errorf("%s: the token does not tell its tenant: name it with CREDSMITH_OPERATOR_TENANT_ID", way)
	}
	if user == "" {
		user = "you"
	}
	return Identity{tenant, user + " (" + way + ")", primed{credential, token}}, nil
}

// holder reads whose a token is: for messages and to find the directory, as
// the token itself is for Graph to check.
func holder(token string) (tenant, user string) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", ""
	}
	var claims struct {
		Tid, Upn          string
		PreferredUsername string `json:"preferred_username"`
	}
	if json.Unmarshal(payload, &claims) != nil || !entra.IsGUID(claims.Tid) {
		return "", ""
	}
	if user = claims.Upn; user == "" {
		user = claims.PreferredUsername
	}
	return strings.ToLower(claims.Tid), user
}

// primed hands out the token that is at hand: az takes a second for each.
type primed struct {
	azcore.TokenCredential
	token azcore.AccessToken
}

func (p primed) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if o.Claims == "" && time.Until(p.token.ExpiresOn) > 5*time.Minute {
		return p.token, nil
	}
	return p.TokenCredential.GetToken(ctx, o)
}

// plain is the first line of a library's error, without its own name and links.
func plain(err error) string {
	text := err.Error()
	for _, name := range []string{"AzureCLICredential", "DeviceCodeCredential", "ManagedIdentityCredential", "WorkloadIdentityCredential"} {
		text = strings.TrimPrefix(text, name+": ")
	}
	text, _, _ = strings.Cut(text, " To troubleshoot, visit")
	if code := strings.Index(text, "AADSTS"); code > 0 {
		text = text[code:]
	} else if e, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok && e.RawResponse != nil {
		return fmt.Sprintf("the login host refuses it (HTTP %d): the sign-in was declined, took too long, or is not allowed for this app", e.RawResponse.StatusCode)
	}
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimRight(strings.TrimPrefix(text, "ERROR: "), ". \r")
}
