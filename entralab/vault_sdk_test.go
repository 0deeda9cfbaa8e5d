package entralab_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/credsmith/credsmith/entralab"
)

// secretsClient is azsecrets as published, signed in as an app.
func secretsClient(t testing.TB, lab *entralab.Lab, app entralab.App, url string, unverified bool) *azsecrets.Client {
	t.Helper()
	options := policy.ClientOptions{
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: lab.AuthorityURL()},
		Transport: lab.Client(),
		Retry:     policy.RetryOptions{MaxRetries: -1},
	}
	credential, err := azidentity.NewClientSecretCredential(app.TenantID, app.ClientID, value(app), &azidentity.ClientSecretCredentialOptions{
		DisableInstanceDiscovery: true, ClientOptions: options,
	})
	if err != nil {
		t.Fatal(err)
	}
	client, err := azsecrets.NewClient(url, credential, &azsecrets.ClientOptions{
		ClientOptions: options, DisableChallengeResourceVerification: unverified,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestAzsecrets drives every operation of the SDK: at the loopback origin,
// where its check of the challenge must be off, and at hosts where it stays on.
func TestAzsecrets(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]entralab.Config{"in process": {InProcess: true}, "sockets": {}} {
		lab := startWith(t, cfg)
		azure, other := addVault(t, lab, entralab.VaultSpec{Name: "kv-azure"}), addVault(t, lab, entralab.VaultSpec{Name: "kv-other"})
		for _, at := range []struct {
			url        string
			unverified bool
		}{{lab.VaultURL(), true}, {azure.AzureURL, false}, {other.URL, false}} {
			t.Run(name+" "+at.url, func(t *testing.T) {
				driveAzsecrets(t, secretsClient(t, lab, lab.Operator(), at.url, at.unverified), at.url)
			})
		}
		// The check is real: at the loopback origin it refuses.
		if _, err := secretsClient(t, lab, lab.Operator(), lab.VaultURL(), false).GetSecret(t.Context(), "x", "", nil); err == nil || errors.As(err, new(*azcore.ResponseError)) {
			t.Errorf("%s: %v, want the SDK's refusal of the challenge", name, err)
		}
	}
}

func driveAzsecrets(t *testing.T, client *azsecrets.Client, url string) {
	ctx := context.Background()
	text := func(s string) *string { return &s }
	set := func(name, value string) azsecrets.Secret {
		t.Helper()
		r, err := client.SetSecret(ctx, name, azsecrets.SetSecretParameters{Value: &value, ContentType: text("text/plain"), Tags: map[string]*string{"keyId": text("k")}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r.Secret
	}
	first := set("app-secret", "one")
	second := set("app-secret", "two")
	if *first.Value != "one" || first.ID.Version() == second.ID.Version() || first.ID.Name() != "app-secret" || !*first.Attributes.Enabled || *first.Attributes.RecoverableDays != 90 {
		t.Errorf("set: %+v", first)
	}
	for version, want := range map[string]string{"": "two", first.ID.Version(): "one", second.ID.Version(): "two"} {
		got, err := client.GetSecret(ctx, "app-secret", version, nil)
		if err != nil || *got.Value != want || string(*got.ID)[:len(url)] != url {
			t.Fatalf("get %q: %+v, %v", version, got, err)
		}
	}
	off := false
	updated, err := client.UpdateSecretProperties(ctx, "app-secret", first.ID.Version(), azsecrets.UpdateSecretPropertiesParameters{SecretAttributes: &azsecrets.SecretAttributes{Enabled: &off}}, nil)
	if err != nil || updated.Value != nil || *updated.Attributes.Enabled || *updated.Tags["keyId"] != "k" {
		t.Errorf("update: %+v, %v", updated, err)
	}
	_, err = client.GetSecret(ctx, "app-secret", first.ID.Version(), nil)
	wantCode(t, "get disabled", 403, "Forbidden", err)
	_, err = client.GetSecret(ctx, "nothing", "", nil)
	wantCode(t, "get nothing", 404, "SecretNotFound", err)

	for i := range 60 {
		set(fmt.Sprintf("s-%03d", i), "v")
	}
	var names []string
	for pager := client.NewListSecretPropertiesPager(nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Value) > 25 {
			t.Errorf("a page of %d", len(page.Value))
		}
		for _, p := range page.Value {
			names = append(names, p.ID.Name())
			if p.ID.Version() != "" {
				t.Errorf("a list shows a version: %s", *p.ID)
			}
		}
	}
	if len(names) != 61 || !slices.Contains(names, "app-secret") || len(slices.Compact(names)) != 61 {
		t.Errorf("%d names: %v", len(names), names)
	}
	versions := map[string]bool{}
	for pager := client.NewListSecretPropertiesVersionsPager("app-secret", nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Value {
			versions[p.ID.Version()] = *p.Attributes.Enabled
		}
	}
	if on, ok := versions[first.ID.Version()]; len(versions) != 2 || !ok || on || !versions[second.ID.Version()] {
		t.Errorf("versions: %v", versions)
	}

	backup, err := client.BackupSecret(ctx, "app-secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	deleted, err := client.DeleteSecret(ctx, "app-secret", nil)
	if err != nil || deleted.DeletedDate == nil || deleted.ScheduledPurgeDate.Sub(*deleted.DeletedDate).Hours() != 90*24 || deleted.Value != nil {
		t.Fatalf("delete: %+v, %v", deleted, err)
	}
	_, err = client.SetSecret(ctx, "app-secret", azsecrets.SetSecretParameters{Value: text("x")}, nil)
	wantCode(t, "set while deleted", 409, "Conflict", err)
	if got, err := client.GetDeletedSecret(ctx, "app-secret", nil); err != nil || *got.RecoveryID != url+"/deletedsecrets/app-secret" {
		t.Errorf("get deleted: %+v, %v", got, err)
	}
	page, err := client.NewListDeletedSecretPropertiesPager(nil).NextPage(ctx)
	if err != nil || len(page.Value) != 1 || page.Value[0].ID.Name() != "app-secret" {
		t.Errorf("list deleted: %+v, %v", page, err)
	}
	if _, err := client.RecoverDeletedSecret(ctx, "app-secret", nil); err != nil {
		t.Fatal(err)
	}
	if got, err := client.GetSecret(ctx, "app-secret", "", nil); err != nil || *got.Value != "two" {
		t.Errorf("after recovery: %+v, %v", got, err)
	}
	_, err = client.RestoreSecret(ctx, azsecrets.RestoreSecretParameters{SecretBackup: backup.Value}, nil)
	wantCode(t, "restore over it", 409, "Conflict", err)
	if _, err := client.DeleteSecret(ctx, "app-secret", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PurgeDeletedSecret(ctx, "app-secret", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.RestoreSecret(ctx, azsecrets.RestoreSecretParameters{SecretBackup: backup.Value}, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := client.GetSecret(ctx, "app-secret", second.ID.Version(), nil); err != nil || *got.Value != "two" || *got.Tags["keyId"] != "k" {
		t.Errorf("after restoring: %+v, %v", got, err)
	}
	_, err = client.GetSecret(ctx, "app-secret", first.ID.Version(), nil)
	wantCode(t, "disabled before the backup", 403, "Forbidden", err)
}

// wantCode checks what the SDK makes of an error.
func wantCode(t *testing.T, what string, status int, code string, err error) {
	t.Helper()
	var refused *azcore.ResponseError
	if !errors.As(err, &refused) || refused.StatusCode != status || refused.ErrorCode != code {
		t.Errorf("%s: %v, want %d %s", what, err, status, code)
	}
}

// TestAzsecretsAsConsumer: the healthy app reads and does not write.
func TestAzsecretsAsConsumer(t *testing.T) {
	t.Parallel()
	lab := entralab.New(t)
	version, err := lab.SetVaultSecret(entralab.DefaultVault, "db", "hunter2")
	if err != nil {
		t.Fatal(err)
	}
	client := secretsClient(t, lab, lab.Healthy(), "https://kv-lab.vault.azure.net", false)
	got, err := client.GetSecret(t.Context(), "DB", "", nil)
	if err != nil || *got.Value != "hunter2" || got.ID.Version() != version {
		t.Fatalf("%+v, %v", got, err)
	}
	v := "x"
	_, err = client.SetSecret(t.Context(), "db", azsecrets.SetSecretParameters{Value: &v}, nil)
	var refused *azcore.ResponseError
	if !errors.As(err, &refused) || refused.StatusCode != http.StatusForbidden {
		t.Errorf("%v, want 403", err)
	}
}
