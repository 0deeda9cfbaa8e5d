package entralab_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/credsmith/credsmith/entralab"
)

// TestProfilesReachEveryRule: under real work, with a token that Graph takes,
// every rule of a profile comes to something.
func TestProfilesReachEveryRule(t *testing.T) {
	t.Parallel()
	for profile, rounds := range map[string]int{entralab.ProfileRude: 3000, entralab.ProfileHostile: 800} {
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
