package entralab_test

import (
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// TestVaultsAreKept compares a lab's state, which has digests of all values,
// with that of the lab its store brings back.
func TestVaultsAreKept(t *testing.T) {
	t.Parallel()
	store := &memory{records: map[[2]string]entralab.Record{}}
	lab := startWith(t, entralab.Config{InProcess: true, Store: store})
	lab.Freeze(true)
	if _, err := lab.AddVault(entralab.VaultSpec{Name: "kv-two", RetentionDays: 7, PurgeProtection: true}); err != nil {
		t.Fatal(err)
	}
	lab.SetVaultDelay(entralab.VaultDelay{Delete: time.Second})
	for _, value := range []string{"one", "two"} {
		if _, err := lab.SetVaultSecret("kv-two", "Name", value); err != nil {
			t.Fatal(err)
		}
	}
	if err := lab.GrantVault("kv-two", "name", lab.Healthy().ServicePrincipalID, entralab.RoleSecretsUser); err != nil {
		t.Fatal(err)
	}
	if err := lab.SetVaultFirewall("kv-two", entralab.FirewallDeny); err != nil {
		t.Fatal(err)
	}
	if err := lab.Refuse(lab.Healthy().ObjectID, 53003); err != nil {
		t.Fatal(err)
	}
	before, digest := stateOf(t, lab), lab.Digest("two")
	if !strings.Contains(before, digest) {
		t.Fatalf("the state lacks the digest: %s", before)
	}
	again := startWith(t, entralab.Config{InProcess: true, Store: store})
	if after := stateOf(t, again); before != after {
		t.Errorf("before the restart\n%s\nafter\n%s", before, after)
	}
	if got := again.Digest("two"); got != digest {
		t.Errorf("the digest changed from %s to %s", digest, got)
	}
}
