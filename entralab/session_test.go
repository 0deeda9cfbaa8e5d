package entralab_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSessions signs in on the page once and then without it.
func TestSessions(t *testing.T) {
	t.Parallel()
	lab, app := signInLab(t)
	lab.SetAutoSignIn("")
	path := lab.AuthorityURL() + "/" + lab.TenantID() + "/oauth2/v2.0/"
	ask := func(cookie, name, text string) reply {
		t.Helper()
		r := newRequest(t, "GET", path+"authorize?"+with(authorizeQuery(app), name, text).Encode(), "")
		if cookie != "" {
			r.Header.Set("Cookie", "ESTSAUTH="+cookie)
		}
		return do(t, lab, r)
	}
	cookieOf := func(r reply) *http.Cookie {
		t.Helper()
		for _, c := range (&http.Response{Header: r.header}).Cookies() {
			if c.Name == "ESTSAUTH" {
				return c
			}
		}
		return nil
	}
	refused := func(r reply) bool {
		return strings.HasPrefix(sentBack(t, r).Get("error_description"), "AADSTS50058: ")
	}
	if !refused(ask("", "prompt", "none")) {
		t.Error("a silent sign-in without a session")
	}
	cookie := cookieOf(ask("", "lab_user", adaExample))
	if cookie == nil || !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteNoneMode || cookie.Path != "/" || cookie.Domain != "" || cookie.MaxAge != 0 {
		t.Fatalf("cookie %+v", cookie)
	}
	for _, prompt := range []string{"none", ""} {
		r := ask(cookie.Value, "prompt", prompt)
		if sentBack(t, r).Get("code") == "" || cookieOf(r) != nil {
			t.Errorf("prompt %q: %v", prompt, r.header)
		}
	}
	for _, prompt := range []string{"login", "select_account", "consent"} {
		if r := ask(cookie.Value, "prompt", prompt); r.status != 200 || !strings.Contains(r.body, "Accept as") {
			t.Errorf("prompt %q: status %d", prompt, r.status)
		}
	}
	if r := ask(cookie.Value, "login_hint", "lab-admin@contoso.lab.test"); r.status != 200 {
		t.Errorf("another hint: status %d", r.status)
	}
	if !refused(ask(cookie.Value+"x", "prompt", "none")) {
		t.Error("a made-up cookie signs in")
	}
	lab.Advance(23 * time.Hour)
	if refused(ask(cookie.Value, "prompt", "none")) {
		t.Error("the session ended early")
	}
	lab.Advance(24 * time.Hour)
	if !refused(ask(cookie.Value, "prompt", "none")) {
		t.Error("the session does not end by itself")
	}

	cookie = cookieOf(ask("", "lab_user", adaExample))
	out := do(t, lab, newRequest(t, "GET", path+"logout", "", "Cookie", "ESTSAUTH="+cookie.Value))
	if gone := cookieOf(out); out.status != 200 || gone == nil || gone.MaxAge >= 0 {
		t.Errorf("logout: %d %v", out.status, out.header)
	}
	if !refused(ask(cookie.Value, "prompt", "none")) {
		t.Error("the session outlives the logout")
	}
}
