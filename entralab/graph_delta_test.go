package entralab_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// follower walks delta queries as a client would.
type follower struct {
	t     *testing.T
	lab   *entralab.Lab
	token func() string
	link  string
	pages int // of the last round
}

func follow(t *testing.T, lab *entralab.Lab, path string) *follower {
	return &follower{t: t, lab: lab, link: lab.GraphURL() + "/v1.0/" + path, token: func() string { return graphToken(t, lab, lab.Operator()) }}
}

// round returns what one round tells: names of what lives by id, and "-reason"
// of what went.
func (f *follower) round() map[string]string {
	f.t.Helper()
	told := map[string]string{}
	for f.pages = 1; ; f.pages++ {
		r := do(f.t, f.lab, newRequest(f.t, "GET", f.link, "", "Authorization", "Bearer "+f.token()))
		if r.status != 200 {
			f.t.Fatalf("%s: %d %s", f.link, r.status, r.body)
		}
		page := r.object(f.t)
		for _, v := range page["value"].([]any) {
			o := v.(map[string]any)
			if gone, removed := o["@removed"].(map[string]any); removed {
				if len(o) != 2 {
					f.t.Errorf("a removed object says more: %v", o)
				}
				told[o["id"].(string)] = "-" + gone["reason"].(string)
				continue
			}
			told[o["id"].(string)] = fmt.Sprint(o["displayName"])
		}
		next, more := page["@odata.nextLink"].(string)
		done, last := page["@odata.deltaLink"].(string)
		if more == last {
			f.t.Fatalf("links %q and %q", next, done)
		}
		if last {
			f.link = done
			return told
		}
		f.link = next
	}
}

func (f *follower) expect(what string, want map[string]string) {
	f.t.Helper()
	if got := f.round(); !reflect.DeepEqual(got, want) {
		f.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestDeltaRounds: three rounds with creations, changes, deletions and a
// restore, of applications and of service principals.
func TestDeltaRounds(t *testing.T) {
	t.Parallel()
	lab := start(t)
	kept, changed, doomed := addApp(t, lab, entralab.AppSpec{DisplayName: "kept"}), addApp(t, lab, entralab.AppSpec{DisplayName: "changed"}), addApp(t, lab, entralab.AppSpec{DisplayName: "doomed"})
	c := callAs(t, lab, lab.Operator())
	apps, sps := follow(t, lab, "applications/delta"), follow(t, lab, "servicePrincipals/delta()?$select=displayName,accountEnabled")
	healthy, operator := lab.Healthy(), lab.Operator()
	graphID := graph(t, lab, c.token, "GET", "servicePrincipals(appId='00000003-0000-0000-c000-000000000000')", "").object(t)["id"].(string)
	exchangeID := graph(t, lab, c.token, "GET", "servicePrincipals(appId='00000002-0000-0ff1-ce00-000000000000')", "").object(t)["id"].(string)

	apps.expect("all applications", map[string]string{healthy.ObjectID: "billing-api", operator.ObjectID: "credsmith-operator", kept.ObjectID: "kept", changed.ObjectID: "changed", doomed.ObjectID: "doomed"})
	sps.expect("all service principals", map[string]string{graphID: "Microsoft Graph", exchangeID: "Office 365 Exchange Online", healthy.ServicePrincipalID: "billing-api", operator.ServicePrincipalID: "credsmith-operator",
		kept.ServicePrincipalID: "kept", changed.ServicePrincipalID: "changed", doomed.ServicePrincipalID: "doomed"})
	apps.expect("nothing happened", map[string]string{})
	sps.expect("nothing happened", map[string]string{})

	// Second round.
	made := addApp(t, lab, entralab.AppSpec{DisplayName: "made"})
	short := addApp(t, lab, entralab.AppSpec{DisplayName: "short-lived", NoServicePrincipal: true})
	for _, path := range []string{doomed.ObjectID, short.ObjectID} {
		if r := graph(t, lab, c.token, "DELETE", "applications/"+path, ""); r.status != 204 {
			t.Fatal(r.body)
		}
	}
	if r := graph(t, lab, c.token, "PATCH", "applications/"+changed.ObjectID, `{"displayName":"changed-twice"}`); r.status != 204 {
		t.Fatal(r.body)
	}
	apps.expect("second round", map[string]string{changed.ObjectID: "changed-twice", doomed.ObjectID: "-changed", short.ObjectID: "-changed", made.ObjectID: "made"})
	sps.expect("second round", map[string]string{changed.ServicePrincipalID: "changed-twice", doomed.ServicePrincipalID: "-changed", made.ServicePrincipalID: "made"})

	// Third round.
	if r := graph(t, lab, c.token, "POST", "directory/deletedItems/"+doomed.ObjectID+"/restore", ""); r.status != 200 {
		t.Fatal(r.body)
	}
	if r := graph(t, lab, c.token, "DELETE", "directory/deletedItems/"+short.ObjectID, ""); r.status != 204 {
		t.Fatal(r.body)
	}
	if r := graph(t, lab, c.token, "POST", "applications/"+kept.ObjectID+"/addPassword", ""); r.status != 200 {
		t.Fatal(r.body)
	}
	if r := graph(t, lab, c.token, "DELETE", "servicePrincipals/"+changed.ServicePrincipalID, ""); r.status != 204 {
		t.Fatal(r.body)
	}
	apps.expect("third round", map[string]string{doomed.ObjectID: "doomed", short.ObjectID: "-deleted", kept.ObjectID: "kept"})
	sps.expect("third round", map[string]string{doomed.ServicePrincipalID: "doomed", changed.ServicePrincipalID: "-changed"})
	apps.expect("nothing after that", map[string]string{})
	sps.expect("nothing after that", map[string]string{})
}

// TestDeltaEndOfDeletedItems: thirty days after its deletion an object is told
// again, as gone for good.
func TestDeltaEndOfDeletedItems(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := addApp(t, lab, entralab.AppSpec{NoServicePrincipal: true})
	f := follow(t, lab, "applications/delta")
	f.round()
	if r := graph(t, lab, f.token(), "DELETE", "applications/"+app.ObjectID, ""); r.status != 204 {
		t.Fatal(r.body)
	}
	f.expect("deleted", map[string]string{app.ObjectID: "-changed"})
	for day := 6; day < 30; day += 6 {
		lab.Advance(6 * 24 * time.Hour)
		f.expect(fmt.Sprint("day ", day), map[string]string{})
	}
	lab.Advance(6 * 24 * time.Hour)
	f.expect("day 30", map[string]string{app.ObjectID: "-deleted"})
	f.expect("after it", map[string]string{})
}

// TestDeltaSelect: what is not selected is not followed.
func TestDeltaSelect(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := addApp(t, lab, entralab.AppSpec{DisplayName: "a"})
	other := addApp(t, lab, entralab.AppSpec{DisplayName: "b"})
	token := graphToken(t, lab, lab.Operator())
	names, secrets := follow(t, lab, "applications/delta?$select=displayName"), follow(t, lab, "applications/delta?$select=passwordCredentials")
	one := follow(t, lab, "applications/delta?$filter="+url.QueryEscape("id eq '"+app.ObjectID+"' or id eq '"+lab.Healthy().ObjectID+"'"))
	if got := slices.Sorted(maps.Values(names.round())); !reflect.DeepEqual(got, []string{"a", "b", "billing-api", "credsmith-operator"}) {
		t.Errorf("first round: %v", got)
	}
	secrets.round()
	one.expect("two ids", map[string]string{app.ObjectID: "a", lab.Healthy().ObjectID: "billing-api"})

	for _, id := range []string{app.ObjectID, other.ObjectID} {
		if r := graph(t, lab, token, "POST", "applications/"+id+"/addPassword", ""); r.status != 200 {
			t.Fatal(r.body)
		}
	}
	names.expect("names", map[string]string{})
	one.expect("one id", map[string]string{app.ObjectID: "a"})
	r := do(t, lab, newRequest(t, "GET", secrets.link, "", "Authorization", "Bearer "+token))
	values := r.object(t)["value"].([]any)
	if len(values) != 2 {
		t.Fatalf("secrets: %s", r.body)
	}
	if o := values[0].(map[string]any); len(o) != 2 || o["id"] != app.ObjectID || len(o["passwordCredentials"].([]any)) != 2 {
		t.Errorf("secrets: %v", o)
	}
	if context := r.object(t)["@odata.context"]; context != lab.GraphURL()+"/v1.0/$metadata#applications(id,passwordCredentials)" {
		t.Errorf("context %v", context)
	}
	// Owners are a relation, which is not followed.
	if r := graph(t, lab, token, "POST", "applications/"+app.ObjectID+"/owners/$ref", `{"@odata.id":"x/`+lab.Operator().ServicePrincipalID+`"}`); r.status != 204 {
		t.Fatal(r.body)
	}
	one.expect("an owner", map[string]string{})
}

// TestDeltaPages: a long round comes in pages, and misses nothing that happens
// between them.
func TestDeltaPages(t *testing.T) {
	t.Parallel()
	lab := start(t)
	for range 210 {
		addApp(t, lab, entralab.AppSpec{NoServicePrincipal: true, Secrets: []entralab.SecretSpec{}})
	}
	f := follow(t, lab, "applications/delta?$select=id,displayName")
	if told := f.round(); len(told) != 212 || f.pages != 3 {
		t.Errorf("%d applications on %d pages", len(told), f.pages)
	}
	// latest skips all that.
	latest := follow(t, lab, "applications/delta?$deltaToken=latest")
	latest.expect("latest", map[string]string{})

	f = follow(t, lab, "applications/delta")
	page := do(t, lab, newRequest(t, "GET", f.link, "", "Authorization", "Bearer "+f.token())).object(t)
	first := page["value"].([]any)[3].(map[string]any)["id"].(string)
	if r := graph(t, lab, f.token(), "DELETE", "applications/"+first, ""); r.status != 204 {
		t.Fatal(r.body)
	}
	f.link = page["@odata.nextLink"].(string)
	if told := f.round(); len(told) != 112 {
		t.Errorf("%d applications on the other pages", len(told))
	}
	f.expect("what went between the pages", map[string]string{first: "-changed"})
	latest.expect("latest, then", map[string]string{first: "-changed"})
}

func TestDeltaTokensEnd(t *testing.T) {
	t.Parallel()
	lab := start(t)
	f := follow(t, lab, "applications/delta?$select=displayName,appId")
	f.round()
	lab.Advance(7*24*time.Hour - time.Second)
	f.round()
	lab.Advance(7 * 24 * time.Hour)
	resync := func(r reply) {
		t.Helper()
		code, message := graphErrorOf(t, r)
		if r.status != 410 || code != "syncStateNotFound" || !strings.Contains(message, "full synchronization") {
			t.Errorf("%d %s %q", r.status, code, message)
		}
		if want := lab.GraphURL() + "/v1.0/applications/delta?$deltatoken=&$select=id%2CdisplayName%2CappId"; r.header.Get("Location") != want {
			t.Errorf("Location %q, want %q", r.header.Get("Location"), want)
		}
		again := &follower{t: t, lab: lab, link: r.header.Get("Location"), token: f.token}
		if got := again.round(); len(got) != 2 {
			t.Errorf("the full synchronization: %v", got)
		}
	}
	resync(do(t, lab, newRequest(t, "GET", f.link, "", "Authorization", "Bearer "+f.token())))
	// A token of another lab.
	other := start(t)
	foreign := follow(t, other, "applications/delta?$select=displayName,appId")
	foreign.round()
	_, token, _ := strings.Cut(foreign.link, "deltatoken=")
	resync(graph(t, lab, f.token(), "GET", "applications/delta?$deltatoken="+token, ""))
	// In a batch the header goes with its answer.
	batch := graph(t, lab, f.token(), "POST", "$batch", `{"requests":[{"id":"1","method":"GET","url":"/applications/delta?$deltatoken=`+token+`"}]}`)
	if !strings.Contains(batch.body, `"status":410,"headers":{"Cache-Control":"no-cache","X-Ms-Resource-Unit":"1","Location":"https://graph.lab.test/v1.0/applications/delta?$deltatoken=&$select=id%2CdisplayName%2CappId","Content-Type":"application/json"},"body":{"error":{"code":"syncStateNotFound"`) {
		t.Errorf("%s", batch.body)
	}
}

func TestDeltaRefusals(t *testing.T) {
	t.Parallel()
	lab := start(t)
	f := follow(t, lab, "applications/delta")
	f.round()
	_, token, _ := strings.Cut(f.link, "deltatoken=")
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4; i < len(raw); i += 7 { // behind the mark of the lab
		damaged := slices.Clone(raw)
		damaged[i] ^= 1
		r := graph(t, lab, f.token(), "GET", "applications/delta?$deltatoken="+base64.RawURLEncoding.EncodeToString(damaged), "")
		if code, message := graphErrorOf(t, r); r.status != 400 || code != "Request_BadRequest" || message != "Badly formed token." {
			t.Fatalf("byte %d changed: %d %s %q", i, r.status, code, message)
		}
	}
	good := "$deltatoken=" + token
	for query, want := range map[string]string{
		"applications/delta?$deltatoken=x": "Request_BadRequest", "applications/delta?$skiptoken=latest": "Request_BadRequest", "servicePrincipals/delta?" + good: "Request_BadRequest",
		"applications/delta?$skiptoken=" + token: "Request_BadRequest", "applications/delta?" + good + "&$skiptoken=" + token: "Request_BadRequest",
		"applications/delta?" + good + "&$filter=id+eq+'x'": "Request_BadRequest",
		"applications/delta?$top=5":                         "Request_UnsupportedQuery", "applications/delta?$orderby=displayName": "Request_UnsupportedQuery", "applications/delta?$expand=owners": "Request_UnsupportedQuery",
		"applications/delta?$filter=displayName+eq+'x'": "Request_UnsupportedQuery", "applications/delta?$filter=id+ne+'x'": "Request_UnsupportedQuery", "applications/delta?$filter=": "Request_UnsupportedQuery",
		"applications/delta?$select=nothing": "BadRequest",
	} {
		r := graph(t, lab, f.token(), "GET", query, "")
		if code, _ := graphErrorOf(t, r); r.status != 400 || code != want {
			t.Errorf("%s: %d %s, want %s", query, r.status, code, want)
		}
	}
	// What is followed can be changed with the token (Microsoft documentation).
	if r := graph(t, lab, f.token(), "GET", "applications/delta?"+good+"&$select=appId", ""); r.status != 200 {
		t.Errorf("another $select: %s", r.body)
	}
	foreign := addApp(t, lab, entralab.AppSpec{TenantID: lab.OtherTenantID(), Permissions: []string{"Application.Read.All"}})
	if r := graph(t, lab, graphToken(t, lab, foreign), "GET", "applications/delta?"+good, ""); r.status != 400 {
		t.Errorf("the token of another tenant: %d", r.status)
	}
	reader := addApp(t, lab, entralab.AppSpec{})
	if r := graph(t, lab, graphToken(t, lab, reader), "GET", "applications/delta", ""); r.status != 403 {
		t.Errorf("without a permission: %d", r.status)
	}
}

func FuzzDeltaToken(f *testing.F) {
	lab := start(f)
	access := graphToken(f, lab, lab.Operator())
	link := graph(f, lab, access, "GET", "applications/delta?$select=displayName", "").object(f)["@odata.deltaLink"].(string)
	_, token, _ := strings.Cut(link, "deltatoken=")
	f.Add(token)
	f.Add("latest")
	f.Add("")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`0123456789abcdef{"o":"applications","f":99999999999,"u":-5,"p":["x"]}`)))
	f.Fuzz(func(t *testing.T, token string) {
		for _, name := range []string{"$deltatoken", "$skiptoken"} {
			r := graph(t, lab, access, "GET", "applications/delta?"+name+"="+url.QueryEscape(token), "")
			checkFuzzed(t, r)
			if r.status != 200 && r.status != 400 && r.status != 410 {
				t.Errorf("%q: %d %s", token, r.status, r.body)
			}
		}
	})
}
