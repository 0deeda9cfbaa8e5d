package entralab_test

import (
	"crypto/x509"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// What the service does not do: it remembers no jti, and does not tell a
// client that polls too fast to slow down.

func TestAssertionsCanBeSentAgain(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := addApp(t, lab, entralab.AppSpec{Certificates: []*x509.Certificate{appPair().certificate}})
	form := assertionForm(app.ClientID, appPair().assertion(t, lab, app, "jti", "the same"))
	for range 2 {
		if r := askToken(t, lab, lab.TenantID(), form); r.status != http.StatusOK {
			t.Error(r.body)
		}
	}
}

func TestDeviceCodeNeverSlowsDown(t *testing.T) {
	t.Parallel()
	lab, app := deviceLab(t)
	form, _ := startDevice(t, lab, app)
	for range 50 {
		if oauth, code := errorOf(t, askToken(t, lab, lab.TenantID(), form)); oauth != "authorization_pending" || code != 70016 {
			t.Fatalf("%s %d", oauth, code)
		}
	}
}

// TestRefreshTokensOfSinglePages end 24 hours after the sign-in, used or not.
func TestRefreshTokensOfSinglePages(t *testing.T) {
	t.Parallel()
	lab, _ := signInLab(t)
	const page = "https://spa.example/"
	app := addApp(t, lab, entralab.AppSpec{})
	if r := graph(t, lab, graphToken(t, lab, lab.Operator()), "PATCH", "applications/"+app.ObjectID, `{"spa":{"redirectUris":["`+page+`"]}}`); r.status != 204 {
		t.Fatal(r.body)
	}
	query := authorizeQuery(app)
	query.Set("redirect_uri", page)
	query.Set("code_challenge", strings.Repeat("a", 43))
	back, err := url.Parse(authorize(t, lab, lab.TenantID(), query).header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	form := codeForm(app, back.Query().Get("code"))
	form.Del("client_secret")
	form.Set("redirect_uri", page)
	form.Set("code_verifier", strings.Repeat("a", 43))
	ask := func() reply {
		return do(t, lab, newRequest(t, "POST", tokenURL(lab, lab.TenantID()), form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Origin", "https://spa.example"))
	}
	first := ask()
	if first.status != http.StatusOK {
		t.Fatal(first.body)
	}
	form = url.Values{"grant_type": {"refresh_token"}, "client_id": {app.ClientID}, "refresh_token": {first.object(t)["refresh_token"].(string)}}
	lab.Advance(23 * time.Hour)
	second := ask()
	if second.status != http.StatusOK {
		t.Fatal(second.body)
	}
	form.Set("refresh_token", second.object(t)["refresh_token"].(string))
	lab.Advance(2 * time.Hour)
	if r := ask(); r.status != http.StatusBadRequest || !strings.Contains(r.body, "AADSTS700084") {
		t.Errorf("after 25 hours: %d %s", r.status, r.body)
	}
}
