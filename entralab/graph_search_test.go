package entralab_test

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// advancedLab has four apps made an hour apart, two of which have an owner,
// tags or identifier URIs.
func advancedLab(t *testing.T) (lab *entralab.Lab, token string, made time.Time) {
	t.Helper()
	lab = start(t)
	lab.Set(time.Date(2027, 3, 1, 10, 0, 0, 0, time.UTC))
	lab.Freeze(true)
	for i, body := range []string{
		`{"displayName":"OneVideo","description":"plays films","tags":["prod","red"]}`,
		`{"displayName":"video-portal","identifierUris":["api://video.lab.test"],"notes":"x"}`,
		`{"displayName":"billing batch 25","tags":["test"],"signInAudience":"AzureADMultipleOrgs"}`,
		`{"displayName":"it's","description":"films of accounts"}`,
	} {
		token = graphToken(t, lab, lab.Operator())
		r := graph(t, lab, token, "POST", "applications", body)
		if r.status != 201 {
			t.Fatal(r.body)
		}
		if i == 2 {
			continue // ownerless, like the seeded ones
		}
		owner := `{"@odata.id":"https://graph.microsoft.com/v1.0/directoryObjects/` + lab.Operator().ServicePrincipalID + `"}`
		if r := graph(t, lab, token, "POST", "applications/"+r.object(t)["id"].(string)+"/owners/$ref", owner); r.status != 204 {
			t.Fatal(r.body)
		}
		lab.Advance(time.Hour)
	}
	return lab, graphToken(t, lab, lab.Operator()), time.Date(2027, 3, 1, 10, 0, 0, 0, time.UTC)
}

func TestAdvancedFilters(t *testing.T) {
	t.Parallel()
	lab, token, _ := advancedLab(t)
	everything := []string{"billing-api", "credsmith-operator", "OneVideo", "video-portal", "billing batch 25", "it's"}
	ours := "createdDateTime ge 2027-03-01T10:00:00Z and "
	for _, tc := range []struct {
		filter   string
		advanced bool // refused without the advanced query parameters
		want     []string
	}{
		{"displayName eq 'onevideo' or displayName eq 'IT''S'", false, []string{"OneVideo", "it's"}},
		{"(displayName eq 'onevideo' or displayName eq 'it''s') and description eq 'plays films'", false, []string{"OneVideo"}},
		{"displayName eq 'onevideo' or displayName eq 'it''s' and description eq 'plays films'", false, []string{"OneVideo"}},
		{"displayName eq 'it''s' and description eq 'plays films' or displayName eq 'onevideo'", false, []string{"OneVideo"}},
		{"displayName in ('OneVideo', 'video-portal','nothing')", false, []string{"OneVideo", "video-portal"}},
		{ours + "startswith(displayName,'b')", false, []string{"billing batch 25"}},
		{ours + "displayName ge 'p'", false, []string{"video-portal"}},
		{ours + "displayName le 'c'", false, []string{"billing batch 25"}},
		{"createdDateTime gt 2027-03-01T11:00:00Z", false, []string{"billing batch 25", "it's"}},
		{"createdDateTime ge 2027-03-01T11:00:00Z", false, []string{"video-portal", "billing batch 25", "it's"}},
		{"createdDateTime ge 2027-03-01T10:00:00Z and createdDateTime lt 2027-03-01T11:00:00Z", false, []string{"OneVideo"}},
		{"createdDateTime ge 2027-03-01T10:00:00Z and createdDateTime le 2027-03-01T12:00:00+01:00", false, []string{"OneVideo", "video-portal"}},
		{"createdDateTime eq 2027-03-01T11:00:00Z", false, []string{"video-portal"}},
		{"createdDateTime in (2027-03-01T11:00:00Z,2027-03-01T10:00:00Z)", true, []string{"OneVideo", "video-portal"}},
		{ours + "createdDateTime ne 2027-03-01T12:00:00Z", true, []string{"OneVideo", "video-portal"}},
		{"tags/any(t:t eq 'RED')", false, []string{"OneVideo"}},
		{"tags/any(x: startswith(x,'te'))", false, []string{"billing batch 25"}},
		{"identifierUris/any(u:startswith(u,'api://v'))", false, []string{"video-portal"}},
		{ours + "NOT tags/any(t:t eq 'red')", true, []string{"video-portal", "billing batch 25", "it's"}},
		{ours + "not(displayName eq 'onevideo' or startswith(displayName,'vid'))", true, []string{"billing batch 25", "it's"}},
		{ours + "displayName ne 'onevideo'", true, []string{"video-portal", "billing batch 25", "it's"}},
		{ours + "signInAudience ne 'AzureADMyOrg'", true, []string{"billing batch 25"}},
		{"owners/$count eq 0", true, []string{"billing-api", "credsmith-operator", "billing batch 25"}},
		{"owners/$count ne 0", true, []string{"OneVideo", "video-portal", "it's"}},
		{"owners/$count eq 1", true, []string{"OneVideo", "video-portal", "it's"}},
		{ours + "description eq null", true, []string{"video-portal", "billing batch 25"}},
		{ours + "description ne null", true, []string{"OneVideo", "it's"}},
		{"deletedDateTime eq null", false, everything},
		{"not(not(displayName eq 'onevideo'))", true, []string{"OneVideo"}},
		{"publisherDomain eq 'contoso.lab.test'", false, everything},
	} {
		path := "applications?$select=displayName&$count=true&$filter=" + url.QueryEscape(tc.filter)
		r := graph(t, lab, token, "GET", path, "", "ConsistencyLevel", "Eventual")
		if r.status != 200 {
			t.Errorf("%s: %s", tc.filter, r.body)
			continue
		}
		page := r.object(t)
		if got := namesOf(t, page); !reflect.DeepEqual(got, tc.want) || page["@odata.count"] != float64(len(tc.want)) {
			t.Errorf("%s: %v of %v, want %v", tc.filter, got, page["@odata.count"], tc.want)
		}
		counted := graph(t, lab, token, "GET", "applications/$count?$filter="+url.QueryEscape(tc.filter), "", "ConsistencyLevel", "eventual")
		if counted.status != 200 || counted.body != fmt.Sprint(len(tc.want)) || counted.header.Get("Content-Type") != "text/plain" {
			t.Errorf("$count of %s: %d %q %s", tc.filter, counted.status, counted.body, counted.header.Get("Content-Type"))
		}
		for _, lacking := range []reply{
			graph(t, lab, token, "GET", path, ""),
			graph(t, lab, token, "GET", strings.Replace(path, "&$count=true", "", 1), "", "ConsistencyLevel", "eventual"),
		} {
			if !tc.advanced {
				if lacking.status != 200 || lacking.object(t)["@odata.count"] != nil || !reflect.DeepEqual(namesOf(t, lacking.object(t)), tc.want) {
					t.Errorf("%s without one parameter: %s", tc.filter, lacking.body)
				}
				continue
			}
			code, message := graphErrorOf(t, lacking)
			if lacking.status != 400 || code != "Request_UnsupportedQuery" || !strings.Contains(message, "' is not supported because the required parameters might be missing. Try adding $count=true query parameter and ConsistencyLevel:eventual header.") {
				t.Errorf("%s without one parameter: %d %s %q", tc.filter, lacking.status, code, message)
			}
		}
	}
	// What no parameter makes possible.
	for _, filter := range []string{
		"endsWith(displayName,'o')", "contains(displayName,'o')", "passwordCredentials/any(c:c/endDateTime lt 2030-01-01T00:00:00Z)", "owners/$count eq 2", "owners/$count ge 0", "notes eq 'x'", "owners/$count eq null",
	} {
		r := graph(t, lab, token, "GET", "applications?$count=true&$filter="+url.QueryEscape(filter), "", "ConsistencyLevel", "eventual")
		if code, message := graphErrorOf(t, r); r.status != 400 || code != "Request_UnsupportedQuery" || !strings.HasPrefix(message, "Unsupported or invalid query filter clause specified for property '") {
			t.Errorf("%s: %d %s %q", filter, r.status, code, message)
		}
	}
	// The documented answer, whole.
	r := graph(t, lab, token, "GET", "users?$filter=endsWith(userPrincipalName,'lab.test')", "")
	if _, message := graphErrorOf(t, r); message != "Operator 'endsWith' is not supported because the required parameters might be missing. Try adding $count=true query parameter and ConsistencyLevel:eventual header. Refer to https://aka.ms/graph-docs/advanced-queries for more information" {
		t.Errorf("%q", message)
	}
	if r := graph(t, lab, token, "GET", "users?$count=true&$filter=endsWith(userPrincipalName,'contoso.lab.test')", "", "ConsistencyLevel", "eventual"); r.status != 200 || len(r.object(t)["value"].([]any)) != 2 {
		t.Errorf("%s", r.body)
	}
}

func TestPrincipalFilters(t *testing.T) {
	t.Parallel()
	lab := start(t)
	token := graphToken(t, lab, lab.Operator())
	off := addApp(t, lab, entralab.AppSpec{DisplayName: "switched-off"})
	if r := graph(t, lab, token, "PATCH", "servicePrincipals/"+off.ServicePrincipalID, `{"accountEnabled":false}`); r.status != 204 {
		t.Fatal(r.body)
	}
	all := []string{"Microsoft Graph", "Office 365 Exchange Online", "billing-api", "credsmith-operator", "switched-off"}
	for filter, want := range map[string][]string{
		"accountEnabled eq false":                                                            {"switched-off"},
		"accountEnabled ne false":                                                            all[:4],
		"accountEnabled in (true,false)":                                                     all,
		"servicePrincipalType eq 'Application'":                                              all,
		"appOwnerOrganizationId eq " + lab.TenantID():                                        all[2:],
		"servicePrincipalNames/any(n:n eq 'https://graph.microsoft.com')":                    all[:1],
		"startswith(appId,'00000003-')":                                                      all[:1],
		"appId eq '" + off.ClientID + "' or appId eq '00000003-0000-0000-c000-000000000000'": {"Microsoft Graph", "switched-off"},
	} {
		r := graph(t, lab, token, "GET", "servicePrincipals?$count=true&$filter="+url.QueryEscape(filter), "", "ConsistencyLevel", "eventual")
		if r.status != 200 {
			t.Errorf("%s: %s", filter, r.body)
		} else if got := namesOf(t, r.object(t)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", filter, got, want)
		}
	}
	if r := graph(t, lab, token, "GET", "servicePrincipals?$filter=accountEnabled+eq+'false'", ""); r.status != 400 {
		t.Errorf("a flag in quotes: %d", r.status)
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	lab, token, _ := advancedLab(t)
	for search, want := range map[string][]string{
		`"displayName:video"`:                                               {"OneVideo", "video-portal"},
		`"displayName:VIDEO por"`:                                           {"video-portal"},
		`"displayName:portal video"`:                                        {"video-portal"},
		`"displayName:ideo"`:                                                {},
		`"displayName:batch" OR "description:films"`:                        {"OneVideo", "billing batch 25", "it's"},
		`"displayName:video" AND "description:films"`:                       {"OneVideo"},
		`("displayName:it" OR "displayName:one") AND "description:account"`: {"it's"},
		`"displayName:batch25"`:                                             {"billing batch 25"},
		`"displayName:it\'s"`:                                               {"it's"},
		`"displayName:-"`:                                                   {},
	} {
		r := graph(t, lab, token, "GET", "applications?$search="+url.QueryEscape(search), "", "ConsistencyLevel", "eventual")
		if r.status != 200 {
			t.Errorf("%s: %s", search, r.body)
			continue
		}
		if got := namesOf(t, r.object(t)); !reflect.DeepEqual(got, want) || r.object(t)["@odata.count"] != nil {
			t.Errorf("%s: %v, want %v", search, got, want)
		}
	}
	for search, want := range map[string]string{
		`displayName:x`: "BadRequest", `"displayName:x`: "BadRequest", `"x"`: "BadRequest", `"displayName:"`: "BadRequest", ``: "BadRequest", `"displayName:x" or`: "BadRequest",
		`"displayName:x" "displayName:y"`: "BadRequest", `("displayName:x"`: "BadRequest", `"displayName:x\`: "BadRequest", `"notes:x"`: "Request_UnsupportedQuery",
	} {
		r := graph(t, lab, token, "GET", "applications?$search="+url.QueryEscape(search), "", "ConsistencyLevel", "eventual")
		if code, _ := graphErrorOf(t, r); r.status != 400 || code != want {
			t.Errorf("%s: %d %s, want %s", search, r.status, code, want)
		}
	}
	r := graph(t, lab, token, "GET", `applications?$search="displayName:video"&$count=true`, "")
	if code, message := graphErrorOf(t, r); code != "Request_UnsupportedQuery" || message != "Request with $search query parameter only works through MSGraph with a special request header: 'ConsistencyLevel: eventual'" {
		t.Errorf("without the header: %s %q", code, message)
	}
	r = graph(t, lab, token, "GET", `applications?$search="displayName:video"&$filter=tags/any(t:t+eq+'red')&$count=true&$orderby=displayName`, "", "ConsistencyLevel", "eventual")
	if got := namesOf(t, r.object(t)); !reflect.DeepEqual(got, []string{"OneVideo"}) || r.object(t)["@odata.count"] != 1.0 {
		t.Errorf("search, filter, count and order: %s", r.body)
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	lab, token, _ := advancedLab(t)
	app := graph(t, lab, token, "GET", "applications?$filter=displayName+eq+'OneVideo'", "").object(t)["value"].([]any)[0].(map[string]any)["id"].(string)
	for path, want := range map[string]string{
		"applications/$count": "6", "servicePrincipals/$count": "4", "users/$count": "2", "applications/" + app + "/owners/$count": "1",
		`applications/$count?$search="displayName:video"`: "2", "servicePrincipals/" + lab.Operator().ServicePrincipalID + "/owners/$count": "0",
	} {
		r := graph(t, lab, token, "GET", path, "", "ConsistencyLevel", "eventual")
		if r.status != 200 || r.body != want || r.header.Get("Content-Type") != "text/plain" {
			t.Errorf("%s: %d %q %s", path, r.status, r.body, r.header.Get("Content-Type"))
		}
		r = graph(t, lab, token, "GET", path, "")
		if code, message := graphErrorOf(t, r); r.status != http.StatusBadRequest || code != "Request_BadRequest" || message != "$count is not currently supported." {
			t.Errorf("%s without the header: %d %s %q", path, r.status, code, message)
		}
	}
	for _, path := range []string{"applications/$count?$top=1", "applications/$count?$filter=x", "applications/" + app + "/owners/$count?$filter=x", "applications/" + app + "/$count"} {
		if r := graph(t, lab, token, "GET", path, "", "ConsistencyLevel", "eventual"); r.status != 400 {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	if r := graph(t, lab, token, "GET", "applications?$expand=owners&$count=true", "", "ConsistencyLevel", "eventual"); r.status != 400 {
		t.Errorf("$expand in an advanced query: %d", r.status)
	}
	batch := graph(t, lab, token, "POST", "$batch", `{"requests":[{"id":"1","method":"GET","url":"/applications/$count","headers":{"ConsistencyLevel":"eventual"}}]}`)
	if want := `{"responses":[{"id":"1","status":200,"headers":{"Cache-Control":"no-cache","X-Ms-Resource-Unit":"1","Content-Type":"text/plain"},"body":"6"}]}`; batch.body != want {
		t.Errorf("in a batch: %s", batch.body)
	}
}

// FuzzQuery: whatever is asked, the answer is a page or a 400.
func FuzzQuery(f *testing.F) {
	lab := start(f)
	token := graphToken(f, lab, lab.Operator())
	for _, seed := range [][3]string{
		{"displayName eq 'x' or not (owners/$count eq 0 and createdDateTime ge 2020-01-01T00:00:00Z)", `"displayName:x" AND ("description:y")`, "displayName desc"},
		{"displayName in ('a','b''c')", "", ""},
		{"tags/any(t:startswith(t,'x')) and displayName ne null", `"displayName:a\"b"`, "createdDateTime"},
		{"endsWith(displayName,'x') or identifierUris/any(u:u/x eq 'y')", `"`, "displayName,id"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, filter, search, order string) {
		query := url.Values{"$count": {"true"}}
		for name, value := range map[string]string{"$filter": filter, "$search": search, "$orderby": order} {
			if value != "" {
				query.Set(name, value)
			}
		}
		for _, path := range []string{"applications", "servicePrincipals", "applications/$count", "auditLogs/directoryAudits", "applications/delta"} {
			r := graph(t, lab, token, "GET", path+"?"+query.Encode(), "", "ConsistencyLevel", "eventual")
			checkFuzzed(t, r)
			if r.status != 200 && r.status != 400 {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
		}
	})
}
