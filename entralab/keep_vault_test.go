package entralab_test

import (
	"strconv"
	"strings"
	"sync/atomic"
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

// TestVaultEventsAreKept: events on their way when the lab dies are delivered
// by the next one, and a webhook is not asked to prove itself twice.
func TestVaultEventsAreKept(t *testing.T) {
	t.Parallel()
	store := &memory{records: map[[2]string]entralab.Record{}}
	lab := startWith(t, entralab.Config{InProcess: true, Store: store})
	var died atomic.Bool
	held, goOn := make(chan struct{}), make(chan struct{})
	url, events := receiver(t, func(e gridEvent, _ int) (int, string) {
		if e.kind() == "SubscriptionValidationEvent" || died.Load() {
			return 200, `{"validationResponse":"` + e.Data.ValidationCode + `"}`
		}
		held <- struct{}{}
		<-goOn
		return 400, ""
	})
	if err := lab.SetVaultWebhook(entralab.DefaultVault, url); err != nil {
		t.Fatal(err)
	}
	next(t, events)
	waitFor(t, lab, `"state":"active"`)
	exp := strconv.FormatInt(lab.Now().Add(20*24*time.Hour).Unix(), 10)
	operatorOf(lab).call(t, "PUT", "secrets/s", `{"value":"x","attributes":{"exp":`+exp+`}}`)
	<-held
	dead := store.copied()
	died.Store(true)
	close(goOn)
	next(t, events) // the answer that the dead lab never read
	if e := next(t, events); e.kind() != "SecretNearExpiry" {
		t.Fatal(e.raw)
	}
	waitFor(t, lab, `"delivered":1,"failed":1`)

	again := startWith(t, entralab.Config{InProcess: true, Store: dead})
	for _, want := range []string{"SecretNewVersionCreated", "SecretNearExpiry"} {
		if e := next(t, events); e.kind() != want || e.Subject != "s" {
			t.Errorf("%s, want %s", e.raw, want)
		}
	}
	waitFor(t, again, `"webhook":{"url":"`+url+`","state":"active","delivered":2,"failed":0}`)
	third := startWith(t, entralab.Config{InProcess: true, Store: dead.copied()})
	waitFor(t, third, `"state":"active","delivered":2,"failed":0}`)
	if len(events) != 0 {
		t.Errorf("once more: %s", next(t, events).raw)
	}
}
