package entralab_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

func openPage(t testing.TB, lab *entralab.Lab, path string) reply {
	t.Helper()
	return do(t, lab, newRequest(t, "GET", lab.ControlURL()+path, ""))
}

func postForm(t testing.TB, lab *entralab.Lab, path string, form url.Values, headers ...string) reply {
	t.Helper()
	headers = append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)
	return do(t, lab, newRequest(t, "POST", lab.ControlURL()+path, form.Encode(), headers...))
}

var shownValue = regexp.MustCompile(`<code id="value">([^<]+)</code>`)

// TestPortalSecret adds a secret by form, signs in with the value shown, and
// deletes it again.
func TestPortalSecret(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := addApp(t, lab, entralab.AppSpec{DisplayName: `<b>"billing" & co</b>`})
	path := "/portal/apps/" + app.ObjectID
	added := postForm(t, lab, path+"/add-secret", url.Values{"display_name": {"from the portal"}, "end": {"2190-01-31"}})
	shown := shownValue.FindStringSubmatch(added.body)
	if added.status != 200 || shown == nil {
		t.Fatalf("status %d, no value on the page\n%s", added.status, added.body)
	}
	text := html.UnescapeString(shown[1])
	if r := askToken(t, lab, lab.TenantID(), credentialsForm(app.ClientID, text)); r.status != 200 {
		t.Fatalf("the value on the page does not sign in: %s", r.body)
	}
	page := openPage(t, lab, path)
	if strings.Contains(page.body, text) || !strings.Contains(page.body, text[:3]+"***") || !strings.Contains(page.body, "2190-01-31") {
		t.Errorf("the page must show hint and date, never the value\n%s", page.body)
	}
	if strings.Contains(page.body, "<b>") || !strings.Contains(page.body, "&lt;b&gt;") {
		t.Error("the name of an app reaches the page as HTML")
	}
	key := regexp.MustCompile(`from the portal[\s\S]*?name="key_id" value="([^"]+)"`).FindStringSubmatch(page.body)
	if key == nil {
		t.Fatal("the new secret has no button to delete it")
	}
	if r := postForm(t, lab, path+"/delete-secret", url.Values{"key_id": {key[1]}}); r.status != http.StatusSeeOther || r.header.Get("Location") != path {
		t.Errorf("delete: status %d to %q", r.status, r.header.Get("Location"))
	}
	if r := askToken(t, lab, lab.TenantID(), credentialsForm(app.ClientID, text)); r.status != 401 {
		t.Errorf("a deleted secret answers %d", r.status)
	}
	logs := openPage(t, lab, "/portal/sign-ins").body
	if !strings.Contains(logs, "AADSTS7000215") || !strings.Contains(logs, key[1]) {
		t.Errorf("the sign-in log must show the refusal and the key that was accepted\n%s", logs)
	}
	if audit := openPage(t, lab, "/portal/audit").body; !strings.Contains(audit, "Certificates and secrets management") {
		t.Errorf("the audit log does not show the change\n%s", audit)
	}
	var writes []string
	for _, e := range lab.History(0) {
		if e.Path != "" && e.Write != nil {
			writes = append(writes, e.Write.Kind+" "+e.Path)
		}
	}
	if want := []string{"mint " + path + "/add-secret", "remove " + path + "/delete-secret"}; strings.Join(writes, "\n") != strings.Join(want, "\n") {
		t.Errorf("the history says %q, want %q", writes, want)
	}
}

func TestPortalForms(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := addApp(t, lab, entralab.AppSpec{DisplayName: "before"})
	path := "/portal/apps/" + app.ObjectID
	signIn := func(want int) {
		t.Helper()
		if r := askToken(t, lab, lab.TenantID(), credentialsForm(app.ClientID, value(app))); r.status != want {
			t.Errorf("sign-in: status %d, want %d", r.status, want)
		}
	}
	act := func(action string, form url.Values, location string) {
		t.Helper()
		if r := postForm(t, lab, path+"/"+action, form); r.status != http.StatusSeeOther || r.header.Get("Location") != location {
			t.Errorf("%s: status %d to %q\n%s", action, r.status, r.header.Get("Location"), r.body)
		}
	}
	act("rename", url.Values{"display_name": {"after"}}, path)
	act("grant", url.Values{"permission": {"Application.Read.All"}}, path)
	act("disable-app", nil, path)
	signIn(400)
	page := openPage(t, lab, path).body
	for _, part := range []string{"after", "disabled", "Enable sign-in", "Revoke Application.Read.All"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page does not say %q\n%s", part, page)
		}
	}
	act("enable-app", nil, path)
	signIn(200)
	act("delete-app", nil, "/")
	signIn(400)
	if page := openPage(t, lab, "/?q=after").body; !strings.Contains(page, "No app registration matches") {
		t.Errorf("a deleted app is listed\n%s", page)
	}
	act("restore-app", nil, path)
	signIn(200)
}

func TestPortalTime(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	before := lab.Now()
	for _, form := range []url.Values{{"do": {"advance"}, "advance": {"48h"}}, {"do": {"delay"}, "accept": {"8s"}, "remove": {"30s"}}, {"do": {"unfreeze"}}} {
		if r := postForm(t, lab, "/portal/time", form); r.status != http.StatusSeeOther {
			t.Errorf("%v: status %d\n%s", form, r.status, r.body)
		}
	}
	if moved := lab.Now().Sub(before); moved < 48*time.Hour || moved > 49*time.Hour {
		t.Errorf("the clock moved by %v", moved)
	}
	if page := openPage(t, lab, "/portal/time").body; !strings.Contains(page, `name="accept" value="8s"`) || !strings.Contains(page, `name="remove" value="30s"`) {
		t.Errorf("the delay is not shown\n%s", page)
	}
}

func TestPortalFaults(t *testing.T) {
	t.Parallel()
	lab := start(t)
	add := url.Values{"fault": {"F20"}, "surface": {"token"}, "times": {"1"}, "rate": {" "}, "app": {lab.Healthy().ClientID}}
	if r := postForm(t, lab, "/portal/faults", add); r.status != http.StatusSeeOther {
		t.Fatalf("status %d\n%s", r.status, r.body)
	}
	form := credentialsForm(lab.Healthy().ClientID, value(lab.Healthy()))
	if first, second := askToken(t, lab, lab.TenantID(), form).status, askToken(t, lab, lab.TenantID(), form).status; first != 401 || second != 200 {
		t.Errorf("the first sign-in answers %d and the next %d, want 401 and 200", first, second)
	}
	page := openPage(t, lab, "/portal/faults").body
	for _, part := range []string{"fault-1", "F20: an AADSTS refusal by script", "token app " + lab.Healthy().ClientID, "each, at most 1", "1 of 2"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page does not say %q\n%s", part, page)
		}
	}
	if r := postForm(t, lab, "/portal/faults", url.Values{"remove": {"fault-1"}}); r.status != http.StatusSeeOther {
		t.Errorf("remove: status %d", r.status)
	}
	if page := openPage(t, lab, "/portal/faults").body; !strings.Contains(page, "Nothing goes wrong.") {
		t.Errorf("a removed rule is shown\n%s", page)
	}
	for _, test := range []struct {
		form   url.Values
		status int
		says   string
	}{
		{url.Values{"fault": {"F99"}}, 400, "F99"},
		{url.Values{"fault": {"F8"}, "rate": {"often"}}, 400, "rate must be a number"},
		{url.Values{"fault": {"F8"}, "rate": {"Inf"}}, 400, "plain numbers"},
		{url.Values{"fault": {"F7"}, "kind": {"599"}}, 400, "503"},
		{url.Values{"fault": {"F37"}}, 400, "in process"},
		{url.Values{"remove": {"fault-1"}}, 404, "No rule"},
	} {
		if r := postForm(t, lab, "/portal/faults", test.form); r.status != test.status || !strings.Contains(r.body, test.says) {
			t.Errorf("%v: status %d, want %d with %q\n%s", test.form, r.status, test.status, test.says, r.body)
		}
	}
}

func TestPortalPages(t *testing.T) {
	t.Parallel()
	lab := start(t)
	for range 230 {
		addApp(t, lab, entralab.AppSpec{DisplayName: "one of many"})
	}
	seen := 0
	for path, pages := "/?q=ONE+of", 0; path != "" && pages < 9; pages++ {
		r := openPage(t, lab, path)
		seen += strings.Count(r.body, "<td>Contoso")
		path = ""
		if next := regexp.MustCompile(`href="([^"]+)">Next page`).FindStringSubmatch(r.body); next != nil {
			path = html.UnescapeString(next[1])
		}
	}
	if seen != 230 {
		t.Errorf("paging shows %d apps of 230", seen)
	}
	r := openPage(t, lab, "/")
	policy := r.header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || !strings.Contains(policy, "frame-ancestors 'none'") || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", r.header)
	}
	if strings.Contains(r.body, "<script") {
		t.Error("the page holds a script")
	}
}

func TestPortalRefuses(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := addApp(t, lab, entralab.AppSpec{})
	path := "/portal/apps/" + app.ObjectID
	before := len(lab.History(0))
	for _, test := range []struct {
		path    string
		form    url.Values
		headers []string
		status  int
		says    string
	}{
		{path + "/delete-app", nil, []string{"Sec-Fetch-Site", "cross-site"}, 403, "other sites"},
		{path + "/delete-app", nil, []string{"Origin", "https://evil.example"}, 403, "other sites"},
		{path + "/delete-app", nil, []string{"Origin", "null"}, 403, "other sites"},
		{path + "/no-such", nil, nil, 400, "unknown action"},
		{path + "/add-secret", url.Values{"end": {"tomorrow"}}, nil, 400, "end must be a date"},
		{path + "/add-secret", url.Values{"key_id": {"x"}}, nil, 400, "does not take key_id"},
		{path + "/delete-secret", nil, nil, 400, "needs key_id"},
		{"/portal/apps/nobody/rename", url.Values{"display_name": {"x"}}, nil, 404, "no app has"},
		{path + "/rename", url.Values{"display_name": {strings.Repeat("x", 2<<20)}}, nil, 400, "cannot be read"},
		{"/portal/time", url.Values{"do": {"advance"}, "advance": {"soon"}}, nil, 400, "not a duration"},
		{"/portal/time", nil, nil, 400, "Choose"},
		{"/portal/audit", nil, nil, 405, "only be read"},
	} {
		r := postForm(t, lab, test.path, test.form, test.headers...)
		if r.status != test.status || !strings.Contains(r.body, test.says) {
			t.Errorf("%s %v: status %d, want %d with %q\n%s", test.path, test.headers, r.status, test.status, test.says, r.body)
		}
	}
	for _, e := range lab.History(0)[before:] {
		if e.Write != nil || e.Outcome != "refused" {
			t.Errorf("a refused form wrote %+v", e)
		}
	}
	for _, path := range []string{"/portal/nothing", "/portal/apps/nobody", "/portal/apps/" + lab.TenantID()} {
		if r := openPage(t, lab, path); r.status != 404 {
			t.Errorf("%s: status %d", path, r.status)
		}
	}
	// The JSON commands still refuse every page, the lab's own included.
	if r := postForm(t, lab, "/control/clock", nil, "Origin", lab.ControlURL()); r.status != 403 {
		t.Errorf("/control with an Origin: status %d", r.status)
	}
}

func FuzzPortalForm(f *testing.F) {
	lab := start(f)
	app := addApp(f, lab, entralab.AppSpec{})
	for _, seed := range [][2]string{
		{"apps/" + app.ObjectID + "/add-secret", "display_name=x&start=2026-01-01&end=2027-01-01&at=-30d"},
		{"apps/" + app.ObjectID + "/delete-secret", "key_id=%zz"}, {"time", "do=advance&advance=48h"}, {"time", "do=set&set=9999-99-99"},
		{"apps//rename", "display_name=%00"}, {"apps/x/grant", "permission=;&;"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, path, body string) {
		u := &url.URL{Scheme: "http", Host: "control.lab.test", Path: "/portal/" + path}
		r, err := http.NewRequest("POST", u.String(), strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if got := do(t, lab, r); got.status >= 500 {
			t.Errorf("%s %q: status %d", path, body, got.status)
		}
	})
}
