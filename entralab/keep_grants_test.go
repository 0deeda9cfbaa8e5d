package entralab_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

// TestGrantsAreKept: what clients hold is good after a crash: the lab of before
// is not closed when its store is read.
func TestGrantsAreKept(t *testing.T) {
	t.Parallel()
	store := &memory{records: map[[2]string]entralab.Record{}}
	lab := startWith(t, entralab.Config{InProcess: true, Store: store, AutoSignIn: adaExample})
	app := addApp(t, lab, entralab.AppSpec{DisplayName: "dash", RedirectURIs: []string{redirect}, PublicClient: true})
	deploy := addApp(t, lab, entralab.AppSpec{FederatedCredentials: []entralab.FederatedCredentialSpec{{Name: "f", Issuer: "https://i.test", Subject: "s"}}})
	r := authorize(t, lab, lab.TenantID(), authorizeQuery(app))
	cookie, _, _ := strings.Cut(r.header.Get("Set-Cookie"), ";")
	first := sentBack(t, r).Get("code")
	second := sentBack(t, authorize(t, lab, lab.TenantID(), authorizeQuery(app))).Get("code")
	redeemed := askToken(t, lab, lab.TenantID(), codeForm(app, first)).object(t)
	lab.SetAutoSignIn("")
	poll, typed := startDevice(t, lab, app)
	done := askForm(t, lab, "/common/oauth2/deviceauth", url.Values{"otc": {typed}, "lab_user": {adaExample}})
	if done.status != http.StatusOK {
		t.Fatal(done.body)
	}
	_, waiting := startDevice(t, lab, app)
	assertion := lab.SignAssertion("https://i.test", "s", "api://AzureADTokenExchange")

	again := startWith(t, entralab.Config{InProcess: true, Store: store.copied()})
	if name, code := errorOf(t, askToken(t, again, lab.TenantID(), codeForm(app, first))); name != "invalid_grant" || code != 54005 {
		t.Errorf("a redeemed code: %s %d", name, code)
	}
	for name, form := range map[string]url.Values{
		"code":    codeForm(app, second),
		"refresh": {"grant_type": {"refresh_token"}, "client_id": {app.ClientID}, "client_secret": {value(app)}, "refresh_token": {redeemed["refresh_token"].(string)}},
		"device":  poll,
		"foreign": {"grant_type": {"client_credentials"}, "client_id": {deploy.ClientID}, "scope": {graphScope}, "client_assertion": {assertion}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}},
	} {
		if r := askToken(t, again, lab.TenantID(), form); r.status != http.StatusOK {
			t.Errorf("%s: %s", name, r.body)
		}
	}
	if r := askForm(t, again, "/common/oauth2/deviceauth", url.Values{"otc": {waiting}}); !strings.Contains(r.body, "Sign in to dash") {
		t.Errorf("a code to type: %s", r.body)
	}
	silent := newRequest(t, "GET", again.AuthorityURL()+"/"+lab.TenantID()+"/oauth2/v2.0/authorize?"+with(authorizeQuery(app), "prompt", "none").Encode(), "", "Cookie", cookie)
	if sentBack(t, do(t, again, silent)).Get("code") == "" {
		t.Error("the session is gone")
	}

	// Another tenant's people and apps are not those of before.
	if err := again.Import(start(t).Export()); err != nil {
		t.Fatal(err)
	}
	if r := askForm(t, again, "/common/oauth2/deviceauth", url.Values{"otc": {waiting}}); !strings.Contains(r.body, "70018") {
		t.Errorf("a code to type after an import: %s", r.body)
	}
	store.mu.Lock()
	defer store.mu.Unlock()
	for key, record := range store.records {
		for _, text := range []string{first, second, poll.Get("device_code"), strings.TrimPrefix(cookie, "ESTSAUTH=")} {
			if strings.Contains(key[1]+string(record.Data), text) {
				t.Errorf("%v holds a text of a client", key)
			}
		}
	}
}

// copied is what a crash leaves.
func (m *memory) copied() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memory{records: maps.Clone(m.records)}
}
