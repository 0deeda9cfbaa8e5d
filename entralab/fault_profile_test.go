package entralab_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// TestProfilesReachEveryRule: under real work, with a token that Graph takes,
// every rule of a profile comes to something.
func TestProfilesReachEveryRule(t *testing.T) {
	t.Parallel()
	for profile, rounds := range map[string]int{entralab.ProfileRude: 5000, entralab.ProfileHostile: 800} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				lab := startWith(t, entralab.Config{InProcess: true, Profile: profile, RandomSeed: 3})
				work(t, lab, rounds)
				var rules []struct {
					ID, Fault      string
					Rate           float64
					Matched, Fired int
				}
				if err := json.Unmarshal([]byte(do(t, lab, newRequest(t, "GET", lab.ControlURL()+"/control/faults", "")).body), &rules); err != nil || len(rules) < 10 {
					t.Fatalf("%d rules: %v", len(rules), err)
				}
				for _, rule := range rules {
					if rule.Fired == 0 && !(rule.Rate > 0 && rule.Rate < 0.005) {
						t.Errorf("%s (rate %v) matched %d requests and came to nothing", rule.Fault, rule.Rate, rule.Matched)
					}
				}
			})
		})
	}
}

// work does what clients do: it signs in, mints, lists, reads and removes,
// whatever comes back.
func work(t *testing.T, lab *entralab.Lab, rounds int) {
	t.Helper()
	app := addApp(t, lab, entralab.AppSpec{DisplayName: "worked-on"})
	token, made := "", 0
	send := func(method, path, body string) (reply, bool) {
		headers := []string{"Authorization", "Bearer " + token}
		if body != "" {
			headers = append(headers, "Content-Type", "application/json")
		}
		r, err := try(lab, newRequest(t, method, lab.GraphURL()+"/v1.0/"+path, body, headers...))
		if r.status == http.StatusUnauthorized {
			token = ""
		}
		return r, err == nil
	}
	var keys []string
	for i := range rounds {
		for tries := 0; token == "" && tries < 50; tries++ {
			form := credentialsForm(lab.Operator().ClientID, value(lab.Operator()))
			r, err := try(lab, newRequest(t, "POST", tokenURL(lab, lab.TenantID()), form.Encode(), "Content-Type", "application/x-www-form-urlencoded"))
			var granted struct {
				AccessToken string `json:"access_token"`
			}
			if err == nil && json.Unmarshal([]byte(r.body), &granted) == nil {
				token = granted.AccessToken
			}
		}
		if i%20 == 0 {
			token = "" // sign in again
			continue
		}
		object := "applications/" + app.ObjectID
		switch i % 8 {
		case 0:
			if r, ok := send("POST", object+"/addPassword", `{"passwordCredential":{"displayName":"work"}}`); ok {
				var minted struct{ KeyID string }
				if json.Unmarshal([]byte(r.body), &minted) == nil && minted.KeyID != "" {
					keys = append(keys, strings.Trim(minted.KeyID, "{}"))
				}
			}
		case 1:
			if len(keys) > 2 {
				send("POST", object+"/removePassword", `{"keyId":"`+keys[0]+`"}`)
				keys = keys[1:]
			}
		case 2:
			if r, ok := send("GET", "applications?$top=2", ""); ok {
				var page struct {
					Next string `json:"@odata.nextLink"`
				}
				if json.Unmarshal([]byte(r.body), &page) == nil {
					if _, query, found := strings.Cut(page.Next, "/applications"); found {
						send("GET", "applications"+query, "")
					}
				}
			}
		case 3:
			send("GET", object, "")
		case 4:
			made++
			if r, ok := send("POST", "applications", fmt.Sprintf(`{"displayName":"made-%d"}`, made)); ok {
				var created struct{ ID string }
				if json.Unmarshal([]byte(r.body), &created) == nil && created.ID != "" {
					send("GET", "applications/"+created.ID, "")
				}
			}
		case 5:
			send("POST", "$batch", `{"requests":[{"id":"1","method":"GET","url":"/applications"},{"id":"2","method":"GET","url":"/organization"}]}`)
		case 6:
			send("GET", "applications/delta?$deltatoken=latest", "")
		case 7:
			send("GET", "auditLogs/directoryAudits?$top=3", "")
		}
	}
}

// TestCrowdedWrites: with `within`, F5 strikes writes to one app that follow
// another too soon by the lab's clock, and nothing else.
func TestCrowdedWrites(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	app, other := addApp(t, lab, entralab.AppSpec{}), addApp(t, lab, entralab.AppSpec{})
	token := graphToken(t, lab, lab.Operator())
	addFault(t, lab, entralab.FaultRule{Fault: "F5", Params: params{"within": "5s"}})
	patch := func(path string) reply {
		return graph(t, lab, token, "PATCH", path, `{"notes":"x"}`)
	}
	const tick = 100 * time.Nanosecond // the lab's shortest time
	byID, byClientID := "applications/"+app.ObjectID, "applications(appId='"+app.ClientID+"')"
	for i, step := range []struct {
		wait time.Duration
		path string
		want int
	}{
		{0, byID, 204}, {0, "applications/" + other.ObjectID, 204},
		{5 * time.Second, byID, 204}, {5*time.Second - tick, byClientID, 409}, {5*time.Second - tick, byID, 409}, {5 * time.Second, byClientID, 204},
	} {
		lab.Advance(step.wait)
		if got := patch(step.path); got.status != step.want {
			t.Errorf("step %d: %d %s, want %d", i, got.status, got.body, step.want)
		}
		if r := graph(t, lab, token, "GET", byID, ""); r.status != 200 {
			t.Errorf("step %d: a read: %d", i, r.status)
		}
	}
	refused := patch(byID)
	id, date := refused.header.Get("Request-Id"), lab.Now().Format("2006-01-02T15:04:05")
	want := `{"error":{"code":"Directory_ConcurrencyViolation","message":"Error due to concurrent requests being made to the tenant. Please wait briefly and retry.",` +
		`"innerError":{"date":"` + date + `","request-id":"` + id + `","client-request-id":"` + id + `"}}}`
	if refused.body != want {
		t.Errorf("got  %s\nwant %s", refused.body, want)
	}
}

// TestCrowdUnderProfiles: about 30 % of the writes that crowd an app are
// refused, and the same ones for the same seed.
func TestCrowdUnderProfiles(t *testing.T) {
	t.Parallel()
	refusals := func(profile string, seed uint64, pause time.Duration) (at []int) {
		synctest.Test(t, func(t *testing.T) {
			lab := startWith(t, entralab.Config{InProcess: true, RandomSeed: seed, Profile: profile})
			lab.Freeze(true)
			app := addApp(t, lab, entralab.AppSpec{})
			for i := range 1000 { // F5 alone of the profile is looked at, and needs no good token
				r, _ := faultCall(t, lab, "none", app, "patch")
				if r.status == http.StatusConflict {
					at = append(at, i)
				}
				lab.Advance(pause)
			}
		})
		return at
	}
	rude := refusals(entralab.ProfileRude, 4, 0)
	if n := len(rude); n < 260 || n > 380 {
		t.Errorf("rude refuses %d of 1000 crowded writes", n)
	}
	if n := len(refusals(entralab.ProfileRude, 4, 5*time.Second)); n < 5 || n > 40 {
		t.Errorf("rude refuses %d of 1000 writes five seconds apart", n)
	}
	if n := len(refusals(entralab.ProfileHostile, 4, 0)); n < 280 || n > 440 {
		t.Errorf("hostile refuses %d of 1000 crowded writes", n)
	}
	if again := refusals(entralab.ProfileRude, 4, 0); !slices.Equal(rude, again) {
		t.Error("the same seed refuses others")
	}
	if other := refusals(entralab.ProfileRude, 5, 0); slices.Equal(rude, other) {
		t.Error("another seed refuses the same")
	}
}
