package entralab_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

func addVault(t testing.TB, lab *entralab.Lab, spec entralab.VaultSpec) entralab.Vault {
	t.Helper()
	v, err := lab.AddVault(spec)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// startAt starts a lab without sockets whose clock stands still.
func startAt(t testing.TB, at string) *entralab.Lab {
	t.Helper()
	lab := start(t)
	lab.Freeze(true)
	now, err := time.Parse(time.RFC3339, at)
	if err != nil {
		t.Fatal(err)
	}
	lab.Set(now)
	return lab
}

// vaultCaller calls a vault as an app.
type vaultCaller struct {
	lab *entralab.Lab
	app entralab.App
	url string
}

func operatorOf(lab *entralab.Lab) vaultCaller {
	return vaultCaller{lab, lab.Operator(), lab.VaultURL()}
}

func vaultToken(t testing.TB, lab *entralab.Lab, app entralab.App) string {
	t.Helper()
	form := credentialsForm(app.ClientID, value(app))
	form.Set("scope", "https://vault.azure.net/.default")
	r := askToken(t, lab, app.TenantID, form)
	if r.status != http.StatusOK {
		t.Fatalf("no token: %s", r.body)
	}
	return r.object(t)["access_token"].(string)
}

// call sends one request; a path without a query gets an api-version.
func (c vaultCaller) call(t testing.TB, method, path, body string) reply {
	t.Helper()
	if !strings.Contains(path, "?") {
		path += "?api-version=7.6"
	}
	headers := []string{"Authorization", "Bearer " + vaultToken(t, c.lab, c.app)}
	if body != "" {
		headers = append(headers, "Content-Type", "application/json")
	}
	return do(t, c.lab, newRequest(t, method, c.url+"/"+path, body, headers...))
}

// want sends one request and compares the whole answer. VERSION in the wanted
// body stands for any version id.
func (c vaultCaller) want(t testing.TB, method, path, body string, status int, want string) {
	t.Helper()
	r := c.call(t, method, path, body)
	if got := versionID.ReplaceAllString(r.body, "VERSION"); r.status != status || got != want {
		t.Errorf("%s %s %.200s:\n%d %s, want\n%d %s", method, path, body, r.status, got, status, want)
	}
}

var versionID = regexp.MustCompile(`[0-9a-f]{32}`)

const (
	notFoundTail = ` was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"}}`
	notFoundHead = `{"error":{"code":"SecretNotFound","message":"A secret with (name/id) `
	deletedTaken = `{"error":{"code":"Conflict","message":"Secret s is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged.","innererror":{"code":"ObjectIsDeletedButRecoverable"}}}`
	beingDeleted = `{"error":{"code":"Conflict","message":"Secret s is currently being deleted and cannot be re-created; retry later.","innererror":{"code":"ObjectIsBeingDeleted"}}}`
	attributes   = `"created":1796083200,"updated":1796083200,"recoveryLevel":"Recoverable+Purgeable","recoverableDays":90`
)

func TestVaultBodies(t *testing.T) {
	t.Parallel()
	lab := startAt(t, "2026-12-01T00:00:00Z")
	c := operatorOf(lab)
	id := `"id":"https://vault.lab.test/secrets/Billing/VERSION"`
	c.want(t, "PUT", "secrets/Billing", `{"value":"Qx8~<made&up>","contentType":"text/plain","attributes":{"enabled":true,"nbf":1795305600,"exp":1803081600},"tags":{"b":"2","a":"1"}}`, 200,
		`{"value":"Qx8~<made&up>","contentType":"text/plain",`+id+`,"attributes":{"enabled":true,"nbf":1795305600,"exp":1803081600,`+attributes+`},"tags":{"a":"1","b":"2"}}`)
	c.want(t, "PUT", "secrets/plain", `{"value":""}`, 200, `{"value":"","id":"https://vault.lab.test/secrets/plain/VERSION","attributes":{"enabled":true,`+attributes+`}}`)
	lab.Advance(time.Minute)
	later := strings.Replace(attributes, `"updated":1796083200`, `"updated":1796083260`, 1)
	c.want(t, "PATCH", "secrets/billing/", `{"attributes":{"enabled":null,"exp":1803081601,"created":1,"recoveryLevel":"x"},"tags":{}}`, 200,
		`{"contentType":"text/plain",`+id+`,"attributes":{"enabled":true,"nbf":1795305600,"exp":1803081601,`+later+`},"tags":{}}`)
	c.want(t, "GET", "secrets/BILLING/?api%2Dversion=2025-07-01", "", 200,
		`{"value":"Qx8~<made&up>","contentType":"text/plain",`+id+`,"attributes":{"enabled":true,"nbf":1795305600,"exp":1803081601,`+later+`},"tags":{}}`)
	c.want(t, "GET", "secrets", "", 200,
		`{"value":[{"contentType":"text/plain","id":"https://vault.lab.test/secrets/Billing","attributes":{"enabled":true,"nbf":1795305600,"exp":1803081601,`+later+`},"tags":{}},`+
			`{"id":"https://vault.lab.test/secrets/plain","attributes":{"enabled":true,`+attributes+`}}],"nextLink":null}`)
	c.want(t, "GET", "secrets?maxresults=1&api-version=7.6", "", 200,
		`{"value":[{"contentType":"text/plain","id":"https://vault.lab.test/secrets/Billing","attributes":{"enabled":true,"nbf":1795305600,"exp":1803081601,`+later+`},"tags":{}}],`+
			`"nextLink":"https://vault.lab.test/secrets?api-version=7.6&$skiptoken=bGFiLXZhdWx0LXBhZ2U6YmlsbGluZw&maxresults=1"}`)
	c.want(t, "GET", "secrets?api-version=7.6&$skiptoken=bGFiLXZhdWx0LXBhZ2U6YmlsbGluZw&maxresults=1", "", 200,
		`{"value":[{"id":"https://vault.lab.test/secrets/plain","attributes":{"enabled":true,`+attributes+`}}],"nextLink":null}`)
	c.want(t, "GET", "secrets/plain/versions", "", 200, `{"value":[{"id":"https://vault.lab.test/secrets/plain/VERSION","attributes":{"enabled":true,`+attributes+`}}],"nextLink":null}`)

	deleted := `"recoveryId":"https://vault.lab.test/deletedsecrets/plain","deletedDate":1796083260,"scheduledPurgeDate":1803859260,`
	c.want(t, "DELETE", "secrets/plain", "", 200, `{`+deleted+`"id":"https://vault.lab.test/secrets/plain/VERSION","attributes":{"enabled":true,`+attributes+`}}`)
	c.want(t, "GET", "deletedsecrets/plain", "", 200, `{`+deleted+`"id":"https://vault.lab.test/secrets/plain/VERSION","attributes":{"enabled":true,`+attributes+`}}`)
	c.want(t, "GET", "deletedsecrets", "", 200, `{"value":[{`+deleted+`"id":"https://vault.lab.test/secrets/plain","attributes":{"enabled":true,`+attributes+`}}],"nextLink":null}`)
	c.want(t, "POST", "deletedsecrets/plain/recover", "", 200, `{"id":"https://vault.lab.test/secrets/plain/VERSION","attributes":{"enabled":true,`+attributes+`}}`)
	c.want(t, "DELETE", "secrets/plain", "", 200, `{`+deleted+`"id":"https://vault.lab.test/secrets/plain/VERSION","attributes":{"enabled":true,`+attributes+`}}`)
	c.want(t, "DELETE", "deletedsecrets/plain", "", 204, "")

	r := c.call(t, "GET", "secrets/billing", "")
	for name, want := range map[string]string{
		"Content-Type": "application/json; charset=utf-8", "X-Ms-Keyvault-Region": "westeurope", "Date": "Tue, 01 Dec 2026 00:01:00 GMT",
		"X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "max-age=31536000;includeSubDomains", "Cache-Control": "no-cache", "Www-Authenticate": "",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestVaultErrors(t *testing.T) {
	t.Parallel()
	lab := startAt(t, "2026-12-01T00:00:00Z")
	c := operatorOf(lab)
	bad := func(message string) string { return `{"error":{"code":"BadParameter","message":"` + message + `"}}` }
	for range 2 {
		c.call(t, "PUT", "secrets/s", `{"value":"x"}`)
	}
	long := strings.Repeat("x", 513)
	tags := make([]string, 16)
	for i := range tags {
		tags[i] = fmt.Sprintf(`"t%d":"x"`, i)
	}
	unknown := strings.Repeat("0", 32)
	for _, step := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "secrets/s?x=1", "", 400, bad("The api-version query parameter is missing. Consider using the latest supported version (2026-04-01).")},
		{"GET", "secrets/s?api-version=8.0", "", 400, bad("The specified version (8.0) is not recognized. Consider using the latest supported version (2026-04-01).")},
		{"GET", "secrets/s?api-version=7.6&%zz", "", 400, bad("The query is not well formed.")},
		{"GET", "secrets/a_b", "", 400, bad("The request URI contains an invalid name: a_b")},
		{"PUT", "secrets/a%2Fb", `{"value":"x"}`, 400, bad("The request URI contains an invalid name: a/b")},
		{"PUT", "secrets/" + strings.Repeat("z", 128), `{"value":"x"}`, 400, bad("The request URI contains an invalid name: " + strings.Repeat("z", 128))},
		{"PUT", "secrets/n", `{}`, 400, bad("The property value is required.")},
		{"PUT", "secrets/n", `{"value":"x"`, 400, bad("The request body is not valid: unexpected EOF")},
		{"PUT", "secrets/n", `{"value":"x","kid":"y"}`, 400, bad(`The request body is not valid: json: unknown field \"kid\"`)},
		{"PUT", "secrets/n", `{"value":"` + strings.Repeat("é", 25*512) + `x"}`, 400, bad("The value has more than 25600 bytes.")},
		{"PUT", "secrets/n", `{"value":"x","contentType":"` + strings.Repeat("é", 256) + `"}`, 400, bad("The content type has more than 255 characters.")},
		{"PUT", "secrets/n", `{"value":"x","tags":{` + strings.Join(tags, ",") + `}}`, 400, bad("There are more than 15 tags.")},
		{"PUT", "secrets/n", `{"value":"x","tags":{"a":"` + long + `"}}`, 400, bad("A tag's name must have 1 to 512 characters, its value up to 512.")},
		{"PUT", "secrets/n", `{"value":"x","tags":{"` + long + `":"a"}}`, 400, bad("A tag's name must have 1 to 512 characters, its value up to 512.")},
		{"PUT", "secrets/n", `{"value":"x","attributes":{"nbf":2,"exp":1}}`, 400, bad("nbf must not be after exp.")},
		{"PUT", "secrets/n", `{"value":"x","attributes":{"exp":253402300800}}`, 400, bad("nbf and exp must be Unix seconds up to the year 9999.")},
		{"PATCH", "secrets/s", `{"attributes":{"nbf":-1}}`, 400, bad("nbf and exp must be Unix seconds up to the year 9999.")},
		{"GET", "secrets?api-version=7.6&maxresults=26", "", 400, bad("maxresults must be a number from 1 to 25.")},
		{"GET", "secrets?api-version=7.6&$skiptoken=eA", "", 400, bad("The skip token is not valid.")},
		{"GET", "secrets/n", "", 404, notFoundHead + "n" + notFoundTail},
		{"GET", "secrets/s/" + unknown, "", 404, notFoundHead + "s/VERSION" + notFoundTail},
		{"PATCH", "secrets/n/" + unknown, "{}", 404, notFoundHead + "n/VERSION" + notFoundTail},
		{"DELETE", "secrets/n", "", 404, notFoundHead + "n" + notFoundTail},
		{"GET", "secrets/n/versions", "", 404, notFoundHead + "n" + notFoundTail},
		{"POST", "secrets/n/backup", "", 404, notFoundHead + "n" + notFoundTail},
		{"GET", "deletedsecrets/s", "", 404, `{"error":{"code":"SecretNotFound","message":"Deleted Secret not found: s"}}`},
		{"DELETE", "deletedsecrets/s", "", 404, `{"error":{"code":"SecretNotFound","message":"Deleted Secret not found: s"}}`},
		{"POST", "deletedsecrets/s/recover", "", 404, `{"error":{"code":"SecretNotFound","message":"Deleted Secret not found: s"}}`},
		{"POST", "secrets/restore", `{"value":"AAAA"}`, 400, bad("The backup is not valid.")},
		{"POST", "secrets/s", `{}`, 405, `{"error":{"code":"MethodNotAllowed","message":"The HTTP method is not allowed for this resource."}}`},
		{"GET", "keys", "", 404, `{"error":{"code":"NotFound","message":"There is no such resource."}}`},
		{"PATCH", "secrets/s", `{"attributes":{"enabled":false}}`, 200, `{"id":"https://vault.lab.test/secrets/s/VERSION","attributes":{"enabled":false,` + attributes + `}}`},
		// The newest counts, though the one before it is enabled.
		{"GET", "secrets/s", "", 403, `{"error":{"code":"Forbidden","message":"Operation get is not allowed on a disabled secret.","innererror":{"code":"SecretDisabled"}}}`},
	} {
		c.want(t, step.method, step.path, step.body, step.status, step.want)
	}
	// At the limits.
	ok := c.call(t, "PUT", "secrets/"+strings.Repeat("a", 127), `{"value":"`+strings.Repeat("é", 25*512)+`","contentType":"`+strings.Repeat("é", 255)+
		`","tags":{`+strings.Join(tags[1:], ",")+`},"attributes":{"nbf":5,"exp":5}}`)
	if ok.status != 200 {
		t.Errorf("at the limits: %s", ok.body)
	}
	// Dates are for information.
	c.call(t, "PUT", "secrets/early", `{"value":"x","attributes":{"nbf":4000000000}}`)
	c.call(t, "PUT", "secrets/late", `{"value":"x","attributes":{"exp":1}}`)
	for _, name := range []string{"early", "late"} {
		if r := c.call(t, "GET", "secrets/"+name, ""); r.status != 200 {
			t.Errorf("%s: %s", name, r.body)
		}
	}
	big := do(t, lab, newRequest(t, "PUT", lab.VaultURL()+"/secrets/s?api-version=7.6", strings.Repeat("x", 1<<20+1), "Authorization", "Bearer "+vaultToken(t, lab, c.app), "Content-Type", "application/json"))
	if big.status != 413 || big.body != `{"error":{"code":"RequestEntityTooLarge","message":"The request body is larger than 1 MiB."}}` {
		t.Errorf("%d %s", big.status, big.body)
	}
	form := do(t, lab, newRequest(t, "PUT", lab.VaultURL()+"/secrets/s?api-version=7.6", "{}", "Authorization", "Bearer "+vaultToken(t, lab, c.app)))
	if form.status != 415 || form.body != `{"error":{"code":"UnsupportedMediaType","message":"The content type must be application/json."}}` {
		t.Errorf("%d %s", form.status, form.body)
	}
}

// TestVaultDeletion: what a name answers while it is deleted, recovered and
// purged, and that the vault purges by itself in the end.
func TestVaultDeletion(t *testing.T) {
	t.Parallel()
	lab := startAt(t, "2026-12-01T00:00:00Z")
	vault := addVault(t, lab, entralab.VaultSpec{Name: "kv-short", RetentionDays: 7})
	c := vaultCaller{lab, lab.Operator(), vault.URL}
	if r := control(t, lab, "delay", `{"vault":"8s"}`); r.body != `{"accept":"0s","remove":"0s","replicas":1,"vault":"8s"}` {
		t.Fatal(r.body)
	}
	status := func(method, path, body string) int { return c.call(t, method, path, body).status }
	var got []int
	note := func() {
		got = append(got, status("GET", "secrets/s", ""), status("GET", "deletedsecrets/s", ""), status("PUT", "secrets/s", `{"value":"x"}`))
	}
	c.call(t, "PUT", "secrets/s", `{"value":"x"}`)
	c.call(t, "DELETE", "secrets/s", "")
	c.want(t, "PUT", "secrets/s", `{"value":"x"}`, 409, beingDeleted)
	note() // on its way
	lab.Advance(8 * time.Second)
	c.want(t, "PUT", "secrets/s", `{"value":"x"}`, 409, deletedTaken)
	note() // deleted
	c.call(t, "POST", "deletedsecrets/s/recover", "")
	note() // on its way back
	lab.Advance(8 * time.Second)
	note() // back: the last step writes
	c.call(t, "DELETE", "secrets/s", "")
	lab.Advance(8 * time.Second)
	c.want(t, "DELETE", "deletedsecrets/s", "", 204, "")
	c.want(t, "PUT", "secrets/s", `{"value":"x"}`, 409, beingDeleted)
	note() // purging
	lab.Advance(8 * time.Second)
	note() // purged, and written anew
	c.call(t, "DELETE", "secrets/s", "")
	lab.Advance(7*24*time.Hour - time.Second)
	note() // deleted
	lab.Advance(time.Second)
	note() // purged by the vault
	want := []int{404, 404, 409, 404, 200, 409, 404, 404, 409, 200, 404, 200, 404, 404, 409, 404, 404, 200, 404, 200, 409, 404, 404, 200}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("\n%v, want\n%v", got, want)
	}
	if n := strings.Count(c.call(t, "GET", "secrets/s/versions", "").body, `"id"`); n != 1 {
		t.Errorf("%d versions after purging, want 1", n)
	}
	if level := c.call(t, "GET", "secrets/s", "").object(t)["attributes"].(map[string]any)["recoveryLevel"]; level != "CustomizedRecoverable+Purgeable" {
		t.Errorf("level %v", level)
	}

	guarded := addVault(t, lab, entralab.VaultSpec{Name: "kv-guarded", PurgeProtection: true})
	c.url = guarded.URL
	lab.SetVaultDelay(entralab.VaultDelay{})
	c.call(t, "PUT", "secrets/s", `{"value":"x"}`)
	c.call(t, "DELETE", "secrets/s", "")
	c.want(t, "DELETE", "deletedsecrets/s", "", 403, `{"error":{"code":"Forbidden","message":"Operation \"purge\" is not allowed because purge protection is enabled for this vault. Key Vault service will automatically purge it after the retention period has passed.\r\nVault: kv-guarded;location=westeurope","innererror":{"code":"ForbiddenByPurgeProtection"}}}`)
}

func TestVaultBackups(t *testing.T) {
	t.Parallel()
	lab := startAt(t, "2026-12-01T00:00:00Z")
	other := start(t)
	target := addVault(t, lab, entralab.VaultSpec{Name: "kv-target"})
	fabrikam := addVault(t, lab, entralab.VaultSpec{Name: "kv-fabrikam", TenantID: lab.OtherTenantID()})
	c := operatorOf(lab)
	first := c.call(t, "PUT", "secrets/s", `{"value":"canary-one","tags":{"k":"1"}}`).object(t)["id"].(string)
	c.call(t, "PUT", "secrets/s", `{"value":"canary-two","attributes":{"exp":1803081600}}`)
	backup := c.call(t, "POST", "secrets/s/backup", "")
	sealed := backup.object(t)["value"].(string)
	if leaks(backup.body, "canary-one") || !regexp.MustCompile(`^\{"value":"[0-9A-Za-z_-]+"\}$`).MatchString(backup.body) {
		t.Errorf("backup: %s", backup.body)
	}
	body := `{"value":"` + sealed + `"}`
	c.want(t, "POST", "secrets/restore", body, 409, `{"error":{"code":"Conflict","message":"There is a secret s already; a backup cannot be restored over it."}}`)
	operatorOf(other).want(t, "POST", "secrets/restore", body, 400, `{"error":{"code":"BadParameter","message":"The backup is not valid."}}`)
	c.call(t, "DELETE", "secrets/s", "")
	c.want(t, "POST", "secrets/restore", body, 409, deletedTaken)
	into := vaultCaller{lab, c.app, target.URL}
	into.want(t, "POST", "secrets/restore", `{"value":"`+sealed+`=="}`, 200, `{"id":"https://kv-target.vault.lab.test/secrets/s/VERSION","attributes":{"enabled":true,"exp":1803081600,`+attributes+`}}`)
	version := first[strings.LastIndex(first, "/")+1:]
	into.want(t, "GET", "secrets/s/"+version, "", 200, `{"value":"canary-one","id":"https://kv-target.vault.lab.test/secrets/s/VERSION","attributes":{"enabled":true,`+attributes+`},"tags":{"k":"1"}}`)

	reports := addApp(t, lab, entralab.AppSpec{TenantID: lab.OtherTenantID()})
	if err := lab.GrantVault("kv-fabrikam", "", reports.ServicePrincipalID, entralab.RoleSecretsOfficer); err != nil {
		t.Fatal(err)
	}
	vaultCaller{lab, reports, fabrikam.URL}.want(t, "POST", "secrets/restore", body, 400, `{"error":{"code":"BadParameter","message":"The backup is of a vault in another subscription."}}`)
}

// TestVaultHistory: the history tells what a vault held over time, and no
// value.
func TestVaultHistory(t *testing.T) {
	t.Parallel()
	lab := startAt(t, "2026-12-01T00:00:00Z")
	c := operatorOf(lab)
	before := len(lab.History(0))
	c.call(t, "PUT", "secrets/S", `{"value":"canary-one"}`)
	c.call(t, "GET", "secrets/s", "")
	c.call(t, "PATCH", "secrets/s", `{"tags":{}}`)
	sealed := c.call(t, "POST", "secrets/s/backup", "").object(t)["value"].(string)
	c.call(t, "DELETE", "secrets/s", "")
	c.call(t, "PUT", "secrets/s", `{"value":"canary-two"}`)
	c.call(t, "POST", "deletedsecrets/s/recover", "")
	c.call(t, "DELETE", "secrets/s", "")
	c.call(t, "DELETE", "deletedsecrets/s", "")
	c.call(t, "POST", "secrets/restore", `{"value":"`+sealed+`"}`)
	if _, err := lab.SetVaultSecret("kv-lab", "s", "canary-two"); err != nil {
		t.Fatal(err)
	}
	one, two := lab.Digest("canary-one"), lab.Digest("canary-two")
	want := []string{
		"vault PUT /secrets/S S set-secret " + one + " ok 200", "vault GET /secrets/s S   ok 200", "vault PATCH /secrets/s S update-secret  ok 200",
		"vault POST /secrets/s/backup S   ok 200", "vault DELETE /secrets/s S delete-secret  ok 200", "vault PUT /secrets/s s   refused 409",
		"vault POST /deletedsecrets/s/recover S recover-secret  ok 200", "vault DELETE /secrets/s S delete-secret  ok 200",
		"vault DELETE /deletedsecrets/s S purge-secret  ok 204", "vault POST /secrets/restore S restore-secret " + one + " ok 200",
		"control   S set-secret " + two + " ok 0",
	}
	var got []string
	for _, e := range lab.History(before) {
		if e.Surface == "token" {
			continue
		}
		kind := ""
		if e.Write != nil {
			kind = e.Write.Kind
			if !versionID.MatchString(e.Version) {
				t.Errorf("%s without a version", kind)
			}
		}
		if e.Vault != "kv-lab" || e.Surface == "vault" && e.AppID != lab.Operator().ClientID {
			t.Errorf("vault %q, app %q", e.Vault, e.AppID)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s %s %s %s %d", e.Surface, e.Method, e.Path, e.Secret, kind, e.Digest, e.Outcome, e.Status))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	state := stateOf(t, lab)
	events, err := json.Marshal(lab.History(0))
	if err != nil {
		t.Fatal(err)
	}
	for _, canary := range []string{"canary-one", "canary-two"} {
		if leaks(state, canary) || leaks(string(events), canary) {
			t.Errorf("%s is shown", canary)
		}
	}
	if !strings.Contains(state, `"digest":"`+two+`"`) || !strings.Contains(state, `"vaults":[{"name":"kv-lab","url":"https://vault.lab.test",`) {
		t.Errorf("state: %s", state[strings.Index(state, `"vaults"`):])
	}
	if one == start(t).Digest("canary-one") {
		t.Error("two labs have the same digests")
	}
}

// TestVaultConcurrency: of writers side by side one is the newest, and none is
// lost.
func TestVaultConcurrency(t *testing.T) {
	t.Parallel()
	lab := start(t)
	token := vaultToken(t, lab, lab.Operator())
	const writers, each = 8, 25
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				r := do(t, lab, newRequest(t, "PUT", lab.VaultURL()+"/secrets/s?api-version=7.6", fmt.Sprintf(`{"value":"%d-%d"}`, w, i), "Authorization", "Bearer "+token, "Content-Type", "application/json"))
				if r.status != 200 {
					t.Error(r.body)
				}
				do(t, lab, newRequest(t, "GET", lab.VaultURL()+"/secrets?api-version=7.6", "", "Authorization", "Bearer "+token))
			}
		})
	}
	group.Wait()
	last := ""
	versions := map[string]bool{}
	for _, e := range lab.History(0) {
		if e.Write != nil && e.Write.Kind == "set-secret" {
			last, versions[e.Version] = e.Version, true
		}
	}
	r := operatorOf(lab).call(t, "GET", "secrets/s", "")
	if len(versions) != writers*each || !strings.Contains(r.body, "/secrets/s/"+last) {
		t.Errorf("%d versions, newest %s: %s", len(versions), last, r.body)
	}
}
