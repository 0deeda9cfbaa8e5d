// Package goazuresdk runs HashiCorp's published Graph SDK against the lab: the
// calls, in their order, with which Terraform's azuread provider makes an
// application with a service principal and secrets, and takes it down.
package goazuresdk

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
	betaapplication "github.com/hashicorp/go-azure-sdk/microsoft-graph/applications/beta/application"
	"github.com/hashicorp/go-azure-sdk/microsoft-graph/applications/stable/application"
	"github.com/hashicorp/go-azure-sdk/microsoft-graph/applications/stable/owner"
	"github.com/hashicorp/go-azure-sdk/microsoft-graph/common-types/beta"
	"github.com/hashicorp/go-azure-sdk/microsoft-graph/common-types/stable"
	"github.com/hashicorp/go-azure-sdk/microsoft-graph/serviceprincipals/stable/serviceprincipal"
	"github.com/hashicorp/go-azure-sdk/sdk/auth"
	"github.com/hashicorp/go-azure-sdk/sdk/environments"
	"github.com/hashicorp/go-azure-sdk/sdk/nullable"
	"github.com/hashicorp/go-azure-sdk/sdk/odata"
)

// lab is shared: the SDK has no way in for a CA but SSL_CERT_FILE, which Go
// reads once.
var lab *entralab.Lab

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	var err error
	if lab, err = entralab.Start(context.Background(), entralab.Config{}); err != nil {
		return 0, err
	}
	defer lab.Close()
	dir, err := os.MkdirTemp("", "goazuresdk-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, lab.CAPEM(), 0o600); err != nil {
		return 0, err
	}
	if err := os.Setenv("SSL_CERT_FILE", ca); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// connect loads the cloud from the lab's metadata and signs in as the operator.
func connect(t *testing.T, secret string) (*environments.Environment, auth.Authorizer) {
	t.Helper()
	cloud, err := environments.FromEndpoint(t.Context(), lab.GraphURL())
	if err != nil {
		t.Fatal(err)
	}
	operator := lab.Operator()
	signIn, err := auth.NewAuthorizerFromCredentials(t.Context(), auth.Credentials{
		Environment: *cloud, TenantID: lab.TenantID(), ClientID: operator.ClientID, ClientSecret: secret,
		EnableAuthenticatingUsingClientSecret: true,
	}, cloud.MicrosoftGraph)
	if err != nil {
		t.Fatal(err)
	}
	return cloud, signIn
}

func TestApplicationLifeCycle(t *testing.T) {
	cloud, signIn := connect(t, lab.Operator().Secrets[0].Value.Reveal())
	ctx := withDeadline(t)
	apps, err := application.NewApplicationClientWithBaseURI(cloud.MicrosoftGraph)
	must(t, err)
	betaApps, err := betaapplication.NewApplicationClientWithBaseURI(cloud.MicrosoftGraph)
	must(t, err)
	owners, err := owner.NewOwnerClientWithBaseURI(cloud.MicrosoftGraph)
	must(t, err)
	principals, err := serviceprincipal.NewServicePrincipalClientWithBaseURI(cloud.MicrosoftGraph)
	must(t, err)
	apps.Client.SetAuthorizer(signIn)
	betaApps.Client.SetAuthorizer(signIn)
	owners.Client.SetAuthorizer(signIn)
	principals.Client.SetAuthorizer(signIn)

	created, err := apps.CreateApplication(ctx, stable.Application{DisplayName: nullable.Value("made by terraform")}, application.DefaultCreateApplicationOperationOptions())
	must(t, err)
	id := stable.NewApplicationID(*created.Model.Id)
	_, err = apps.UpdateApplication(ctx, id, stable.Application{Notes: nullable.Value("a note")}, application.DefaultUpdateApplicationOperationOptions())
	must(t, err)
	read, err := apps.GetApplication(ctx, id, application.DefaultGetApplicationOperationOptions())
	must(t, err)
	if got := read.Model.Notes.GetOrZero(); got != "a note" {
		t.Errorf("notes are %q", got)
	}
	options := betaapplication.DefaultGetApplicationOperationOptions()
	options.Select = &[]string{"oauth2RequirePostResponse"}
	_, err = betaApps.GetApplication(ctx, beta.NewApplicationID(*created.Model.Id), options)
	must(t, err)
	owned, err := owners.ListOwners(ctx, id, owner.DefaultListOwnersOperationOptions())
	must(t, err)
	if owned.Model == nil {
		t.Error("owners must be a list, if an empty one")
	}

	byAppID := serviceprincipal.DefaultListServicePrincipalsOperationOptions()
	filter := "appId eq '" + *created.Model.AppId.Get() + "'"
	byAppID.Filter = &filter
	found, err := principals.ListServicePrincipals(ctx, byAppID)
	must(t, err)
	if found.Model == nil || len(*found.Model) != 0 {
		t.Fatalf("an application made through Graph must have no service principal: %v", found.Model)
	}
	principal, err := principals.CreateServicePrincipal(ctx, stable.ServicePrincipal{AppId: created.Model.AppId}, serviceprincipal.DefaultCreateServicePrincipalOperationOptions())
	must(t, err)
	found, err = principals.ListServicePrincipals(ctx, byAppID)
	must(t, err)
	if found.Model == nil || len(*found.Model) != 1 {
		t.Fatalf("the service principal is not found by its client id: %v", found.Model)
	}

	var keys []string
	for _, name := range []string{"one", "two"} {
		minted, err := apps.AddPassword(ctx, id, application.AddPasswordRequest{
			PasswordCredential: &stable.PasswordCredential{DisplayName: nullable.Value(name)},
		}, application.DefaultAddPasswordOperationOptions())
		must(t, err)
		if minted.Model.SecretText.GetOrZero() == "" || minted.Model.KeyId.GetOrZero() == "" {
			t.Fatal("addPassword answered without value or key id")
		}
		keys = append(keys, minted.Model.KeyId.GetOrZero())
	}
	read, err = apps.GetApplication(ctx, id, application.DefaultGetApplicationOperationOptions())
	must(t, err)
	if read.Model.PasswordCredentials == nil || len(*read.Model.PasswordCredentials) != 2 {
		t.Fatalf("two secrets were added, the application shows %v", read.Model.PasswordCredentials)
	}
	for _, key := range keys {
		_, err = apps.RemovePassword(ctx, id, application.RemovePasswordRequest{KeyId: &key}, application.DefaultRemovePasswordOperationOptions())
		must(t, err)
	}
	_, err = principals.DeleteServicePrincipal(ctx, stable.NewServicePrincipalID(*principal.Model.Id), serviceprincipal.DefaultDeleteServicePrincipalOperationOptions())
	must(t, err)
	_, err = apps.DeleteApplication(ctx, id, application.DefaultDeleteApplicationOperationOptions())
	must(t, err)

	options2 := application.DefaultGetApplicationOperationOptions()
	options2.RetryFunc = func(*http.Response, *odata.OData) (bool, error) { return false, nil } // it takes a 404 for replication lag
	gone, err := apps.GetApplication(ctx, id, options2)
	if err == nil || gone.HttpResponse == nil || gone.HttpResponse.StatusCode != http.StatusNotFound {
		t.Errorf("a deleted application: %v, want 404", err)
	}
}

// TestEveryPage follows nextLinks until the list ends.
func TestEveryPage(t *testing.T) {
	cloud, signIn := connect(t, lab.Operator().Secrets[0].Value.Reveal())
	apps, err := application.NewApplicationClientWithBaseURI(cloud.MicrosoftGraph)
	must(t, err)
	apps.Client.SetAuthorizer(signIn)
	const n = 250 // more than two pages
	for i := range n {
		_, err := lab.AddApp(entralab.AppSpec{DisplayName: fmt.Sprintf("page-%03d", i)})
		must(t, err)
	}
	options := application.DefaultListApplicationsOperationOptions()
	filter := "startswith(displayName,'page-')"
	options.Filter = &filter
	all, err := apps.ListApplicationsComplete(withDeadline(t), options)
	must(t, err)
	if len(all.Items) != n {
		t.Errorf("%d applications of %d came back", len(all.Items), n)
	}
}

func TestWrongSecret(t *testing.T) {
	cloud, signIn := connect(t, lab.Operator().Secrets[0].KeyID)
	_, err := signIn.Token(t.Context(), nil)
	if err == nil {
		t.Fatalf("a Secret ID signed in at %s", cloud.Name)
	}
}

// withDeadline gives the time limit the SDK insists on.
func withDeadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
