package entralab_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/credsmith/credsmith/entralab"
)

func mint(t testing.TB, lab *entralab.Lab, app entralab.App, spec entralab.SecretSpec) entralab.Secret {
	t.Helper()
	secret, err := lab.AddSecret(app.ObjectID, spec)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := start(t)
		app := lab.Healthy()
		lab.SetDelay(entralab.Delay{Accept: 8 * time.Second, Remove: 30 * time.Second})
		secret := mint(t, lab, app, entralab.SecretSpec{})
		lab.SetDelay(entralab.Delay{Accept: time.Hour}) // too late for this one
		ask := func() int { return code(t, lab, app.ClientID, secret.Value.Reveal()) }

		time.Sleep(8*time.Second - time.Millisecond)
		if got := ask(); got != 7000215 {
			t.Errorf("just before acceptance: %d", got)
		}
		time.Sleep(time.Millisecond)
		if got := ask(); got != 0 {
			t.Errorf("at acceptance: %d", got)
		}

		lab.SetDelay(entralab.Delay{Remove: 30 * time.Second})
		if err := lab.RemoveSecret(app.ObjectID, secret.KeyID); err != nil {
			t.Fatal(err)
		}
		lab.SetDelay(entralab.Delay{})
		time.Sleep(30*time.Second - time.Millisecond)
		if got := ask(); got != 0 {
			t.Errorf("just before refusal: %d", got)
		}
		time.Sleep(time.Millisecond)
		if got := ask(); got != 7000215 {
			t.Errorf("at refusal: %d", got)
		}
		// Removing another secret sweeps up; the first must stay refused.
		if err := lab.RemoveSecret(app.ObjectID, app.Secrets[0].KeyID); err != nil {
			t.Fatal(err)
		}
		if got := ask(); got != 7000215 {
			t.Errorf("after the sweep: %d", got)
		}
	})
}

func TestDirectoryIsImmediate(t *testing.T) {
	t.Parallel()
	lab := start(t)
	token := graphToken(t, lab, lab.Operator())
	lab.SetDelay(entralab.Delay{Accept: time.Hour, Remove: time.Hour})
	app := lab.Healthy()
	path := "applications/" + app.ObjectID
	secret := mint(t, lab, app, entralab.SecretSpec{})
	count := func() int {
		return len(graph(t, lab, token, "GET", path, "").object(t)["passwordCredentials"].([]any))
	}
	if n := count(); n != 2 {
		t.Errorf("%d credentials after minting, want 2", n)
	}
	if err := lab.RemoveSecret(app.ObjectID, secret.KeyID); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 1 {
		t.Errorf("%d credentials after removing, want 1", n)
	}
}

func TestBackdatedSecretsHaveNoDelay(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := lab.Healthy()
	lab.SetDelay(entralab.Delay{Accept: time.Hour})
	old := mint(t, lab, app, entralab.SecretSpec{At: lab.Now().Add(-2 * time.Hour)})
	if got := code(t, lab, app.ClientID, old.Value.Reveal()); got != 0 {
		t.Errorf("a secret of two hours ago: %d", got)
	}
	young := mint(t, lab, app, entralab.SecretSpec{})
	if got := code(t, lab, app.ClientID, young.Value.Reveal()); got != 7000215 {
		t.Errorf("a secret of now: %d, want 7000215", got)
	}
	lab.Advance(time.Hour)
	if got := code(t, lab, app.ClientID, young.Value.Reveal()); got != 0 {
		t.Errorf("an hour later by the lab's clock: %d", got)
	}
}

// TestReplicas: with three replicas a third of the answers changes after each
// third of the delay.
func TestReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := startWith(t, entralab.Config{InProcess: true, RandomSeed: 7})
		app := lab.Healthy()
		lab.SetDelay(entralab.Delay{Accept: 30 * time.Second, Remove: 60 * time.Second, Replicas: 3})
		secret := mint(t, lab, app, entralab.SecretSpec{})
		accepted := func() int {
			n := 0
			for range 90 {
				if code(t, lab, app.ClientID, secret.Value.Reveal()) == 0 {
					n++
				}
			}
			return n
		}
		expect := func(when string, want int) {
			t.Helper()
			got := accepted()
			if want%90 == 0 && got != want || got < want-20 || got > want+20 {
				t.Errorf("%s: %d of 90 accepted, want about %d", when, got, want)
			}
		}
		expect("at once", 0)
		time.Sleep(11 * time.Second)
		expect("after a third", 30)
		time.Sleep(10 * time.Second)
		expect("after two thirds", 60)
		time.Sleep(10 * time.Second)
		expect("after the delay", 90)

		if err := lab.RemoveSecret(app.ObjectID, secret.KeyID); err != nil {
			t.Fatal(err)
		}
		expect("removed just now", 90)
		time.Sleep(21 * time.Second)
		expect("a third later", 60)
		time.Sleep(20 * time.Second)
		expect("two thirds later", 30)
		time.Sleep(20 * time.Second)
		expect("after the delay", 0)
	})
}

// TestSeedDecides: two labs of one seed have the same ids and flap alike, but
// other secrets.
func TestSeedDecides(t *testing.T) {
	t.Parallel()
	run := func() (ids []string, pattern []int, secret string) {
		lab := startWith(t, entralab.Config{InProcess: true, RandomSeed: 42})
		if lab.RandomSeed() != 42 {
			t.Errorf("seed %d", lab.RandomSeed())
		}
		app := lab.Healthy()
		lab.SetDelay(entralab.Delay{Accept: time.Hour, Replicas: 4})
		young := mint(t, lab, app, entralab.SecretSpec{})
		lab.Advance(31 * time.Minute)
		for range 16 {
			pattern = append(pattern, code(t, lab, app.ClientID, young.Value.Reveal()))
		}
		return []string{lab.TenantID(), app.ObjectID, app.ClientID, young.KeyID}, pattern, young.Value.Reveal()
	}
	ids, pattern, secret := run()
	ids2, pattern2, secret2 := run()
	for i := range ids {
		if ids[i] != ids2[i] {
			t.Errorf("id %d: %s and %s", i, ids[i], ids2[i])
		}
	}
	flaps := 0
	for i := range pattern {
		if pattern[i] != pattern2[i] {
			t.Errorf("answer %d: %d and %d", i, pattern[i], pattern2[i])
		}
		if i > 0 && pattern[i] != pattern[i-1] {
			flaps++
		}
	}
	if flaps == 0 {
		t.Error("the answers do not flap")
	}
	if secret == secret2 {
		t.Error("the seed, which is public, gives away the secret")
	}
}

// TestMonthInABubble lets an unchanged SDK live through the last month of a
// secret without a sleep.
func TestMonthInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := start(t)
		app := addApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{{End: time.Now().AddDate(0, 0, 30)}}})
		credential, err := azidentity.NewClientSecretCredential(lab.TenantID(), app.ClientID, value(app), &azidentity.ClientSecretCredentialOptions{
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
		begin := time.Now()
		for {
			if _, err = credential.GetToken(context.Background(), policy.TokenRequestOptions{Scopes: []string{graphScope}}); err != nil {
				break
			}
			time.Sleep(2 * time.Hour)
		}
		if lived := time.Since(begin); lived < 30*24*time.Hour || lived > 31*24*time.Hour {
			t.Errorf("the secret lived %v: %v", lived, err)
		}
	})
}

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := start(t)
		begin := lab.Now()
		if !begin.Equal(time.Now()) || begin.Location() != time.UTC {
			t.Errorf("the lab starts at %v, not now", begin)
		}
		check := func(step string, want time.Time) {
			t.Helper()
			if got := lab.Now(); !got.Equal(want) {
				t.Errorf("%s: %v, want %v", step, got, want)
			}
		}
		lab.Advance(48 * time.Hour)
		check("advance", begin.Add(48*time.Hour))
		time.Sleep(time.Second)
		check("running", begin.Add(48*time.Hour+time.Second))
		lab.Freeze(true)
		time.Sleep(time.Hour)
		check("frozen", begin.Add(48*time.Hour+time.Second))
		lab.Advance(-time.Second)
		check("back while frozen", begin.Add(48*time.Hour))
		lab.Freeze(true)
		lab.Freeze(false)
		time.Sleep(time.Minute)
		check("thawed", begin.Add(48*time.Hour+time.Minute))
		at := time.Date(2027, 1, 1, 0, 0, 0, 5, time.FixedZone("", 3600))
		lab.Set(at)
		check("set", at.Truncate(100*time.Nanosecond))
		lab.Set(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
		check("too late", time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC))
		lab.Set(time.Time{})
		check("too early", time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC))
		lab.Advance(-1 << 63)
		check("much too early", time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC))
	})
}

// TestRemovedAreRemembered: the bound on removed secrets drops none that is
// still accepted.
func TestRemovedAreRemembered(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	app := addApp(t, lab, entralab.AppSpec{})
	lab.SetDelay(entralab.Delay{Remove: time.Hour})
	if err := lab.RemoveSecret(app.ObjectID, app.Secrets[0].KeyID); err != nil {
		t.Fatal(err)
	}
	lab.SetDelay(entralab.Delay{})
	for range 150 {
		other := mint(t, lab, app, entralab.SecretSpec{})
		if err := lab.RemoveSecret(app.ObjectID, other.KeyID); err != nil {
			t.Fatal(err)
		}
	}
	if got := code(t, lab, app.ClientID, value(app)); got != 0 {
		t.Errorf("a secret that is still accepted somewhere is refused with %d", got)
	}
}
