package entralab_test

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

// namesOf lists the display names of one page.
func namesOf(t *testing.T, page map[string]any) []string {
	t.Helper()
	names := []string{}
	for _, v := range page["value"].([]any) {
		names = append(names, v.(map[string]any)["displayName"].(string))
	}
	return names
}

// queryLab has apps named app-00 to app-11, made in another order, beside the
// two seeded ones.
func queryLab(t *testing.T) (lab *entralab.Lab, token string, apps map[string]entralab.App) {
	lab = start(t)
	apps = map[string]entralab.App{}
	for i := range 12 {
		name := fmt.Sprintf("app-%02d", i*5%12)
		apps[name] = addApp(t, lab, entralab.AppSpec{DisplayName: name, Secrets: []entralab.SecretSpec{}})
	}
	return lab, graphToken(t, lab, lab.Operator()), apps
}

func TestFilters(t *testing.T) {
	t.Parallel()
	lab, token, apps := queryLab(t)
	addApp(t, lab, entralab.AppSpec{DisplayName: "it's (odd)"})
	three := apps["app-03"]
	for filter, want := range map[string][]string{
		"appId eq '" + three.ClientID + "'":                                   {"app-03"},
		"appId eq '" + strings.ToUpper(three.ClientID) + "'":                  {"app-03"},
		"id eq '" + three.ObjectID + "'":                                      {"app-03"},
		"displayName eq 'APP-03'":                                             {"app-03"},
		"startswith(displayName,'app-1')":                                     {"app-10", "app-11"},
		" startswith( displayName , 'App-1' ) and displayName eq 'app-11' ":   {"app-11"},
		"displayName eq 'app-04' and appId eq '" + three.ClientID + "'":       {},
		"displayName eq 'it''s (odd)'":                                        {"it's (odd)"},
		"displayName eq ''":                                                   {},
		"appId eq 'not-a-guid'":                                               {},
		"id eq '" + three.ClientID + "'":                                      {},
		"appId eq '00000003-0000-0000-c000-000000000000'":                     {},
		"startswith(displayName,'app-0') and startswith(displayName,'app-1')": {},
	} {
		r := graph(t, lab, token, "GET", "applications?%24filter="+url.QueryEscape(filter)+"&$orderby=displayName&$count=true", "", "ConsistencyLevel", "eventual")
		if r.status != 200 {
			t.Errorf("%s: %s", filter, r.body)
			continue
		}
		page := r.object(t)
		if got := namesOf(t, page); !reflect.DeepEqual(got, want) || page["@odata.count"] != float64(len(want)) {
			t.Errorf("%s: %v of %v, want %v", filter, got, page["@odata.count"], want)
		}
		// The '$' is optional, so leaving it out must not lose the filter.
		if page := graph(t, lab, token, "GET", "applications?filter="+url.QueryEscape(filter), "").object(t); len(page["value"].([]any)) != len(want) {
			t.Errorf("without '$', %s: %v", filter, page["value"])
		}
	}
	if page := graph(t, lab, token, "GET", "servicePrincipals?$filter=displayName+eq+'Microsoft+Graph'", "").object(t); len(page["value"].([]any)) != 1 {
		t.Errorf("service principals: %v", page["value"])
	}
}

func TestRefusedQueries(t *testing.T) {
	t.Parallel()
	lab := start(t)
	token := graphToken(t, lab, lab.Operator())
	for _, filter := range []string{
		"", " ", "displayName", "displayName eq", "displayName eq x", "displayName eq 'x", "displayName eq 'x' and", "displayName eq 'x' and and displayName eq 'y'",
		"displayName eq 'x' or", "or displayName eq 'x'", "displayName ne 'x'", "displayName xx 'x'", "not displayName eq 'x'", "not", "displayName eq 'x')", "(displayName eq 'x'",
		"nothing eq 'x'", "notes eq 'x'", "passwordCredentials/any(c:c/keyId eq 'x')", "startswith(displayName,'x'", "startswith(appId,'x')", "startswith(displayName)",
		"endswith(displayName,'x')", "contains(displayName,'x')", "displayName eq 'x' 'y'", "owners/$count eq 0", "displayname eq 'x'", "any(t:t/id eq 'x')", "/any(t:t/id eq 'x')",
		"createdDateTime ge '2020-01-01T00:00:00Z'", "createdDateTime ge 2020-01-01", "displayName in ()", "displayName in ('x'", "displayName in ('x',)", "displayName in 'x'", "displayName eq null",
		"tags eq 'x'", "tags/any(t:t ne 'x')", "tags/any(t:u eq 'x')", "tags/any(t/x:t/x eq 'x')", "tags/any(t:t eq 'x' or t eq 'y')", "tags/all(t:t eq 'x')", "displayName/any(t:t eq 'x')",
		strings.Repeat("(", 30) + "displayName eq 'x'" + strings.Repeat(")", 30), strings.Repeat("displayName eq 'x' or ", 200) + "displayName eq 'x'",
	} {
		r := graph(t, lab, token, "GET", "applications?$filter="+url.QueryEscape(filter), "")
		if code, _ := graphErrorOf(t, r); r.status != 400 || code != "Request_UnsupportedQuery" {
			t.Errorf("%q: %d %s", filter, r.status, code)
		}
	}
	for _, query := range []string{
		"$top=0", "$top=1000", "$top=-1", "$top=x", "$top=", "$orderby=appId", "$orderby=displayName+up", "$orderby=", "$orderby=displayName", "$search=%22displayName:x%22", "$expand=extensionProperties", "$skip=1", "$apply=x",
		"$filter=displayName+eq+'x'&$orderby=displayName", "$filter=displayName+eq+'x'&$orderby=displayName&$count=true",
	} {
		r := graph(t, lab, token, "GET", "applications?"+query, "")
		if code, message := graphErrorOf(t, r); r.status != 400 || code != "Request_UnsupportedQuery" {
			t.Errorf("%q: %d %s %s", query, r.status, code, message)
		} else if query == "$top=1000" && message != "Invalid page size specified: '1000'. Must be between 1 and 999 inclusive." {
			t.Errorf("message %q", message)
		}
	}
	for query, want := range map[string]string{
		"$select=id,nothing": "BadRequest", "$select=": "BadRequest", "$skiptoken=x": "Directory_ExpiredPageToken", "$skiptoken=": "Directory_ExpiredPageToken",
		"$skiptoken=bGFiLXBhZ2U6LTU": "Directory_ExpiredPageToken",
	} {
		r := graph(t, lab, token, "GET", "applications?"+query, "")
		if code, _ := graphErrorOf(t, r); r.status != 400 || code != want {
			t.Errorf("%q: %d %s, want %s", query, r.status, code, want)
		}
	}
}

// TestPaging follows next links verbatim, in every order, while the tenant
// changes between the pages.
func TestPaging(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, query string
		advanced    bool
	}{
		{"as created", "", false},
		{"by name", "&$orderby=displayName&$count=true", true},
		{"backwards", "&$orderby=displayName+desc&$count=true", true},
		{"filtered", "&$filter=startswith(displayName,'app-')", false},
		{"filtered and sorted", "&$filter=startswith(displayName,'app-')&$orderby=createdDateTime+desc&$count=true", true},
		{"counted", "&$count=true", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			lab, token, apps := queryLab(t)
			want := len(apps) + 2
			if strings.Contains(tc.query, "filter") {
				want -= 2
			}
			seen := map[string]int{}
			next := lab.GraphURL() + "/v1.0/applications?$top=5&$select=id,displayName" + tc.query
			consistency := "session"
			if tc.advanced {
				consistency = "eventual"
			}
			for pages := 0; next != ""; pages++ {
				if !strings.HasPrefix(next, lab.GraphURL()+"/v1.0/applications?$top=5&$select=id,displayName"+tc.query) {
					t.Fatalf("next link %s lost the query", next)
				}
				r := do(t, lab, newRequest(t, "GET", next, "", "Authorization", "Bearer "+token, "ConsistencyLevel", consistency))
				if r.status != 200 {
					t.Fatalf("page %d: %s", pages, r.body)
				}
				page := r.object(t)
				if context := page["@odata.context"]; context != lab.GraphURL()+"/v1.0/$metadata#applications(id,displayName)" {
					t.Errorf("context %v", context)
				}
				if count, counted := page["@odata.count"]; counted != strings.Contains(tc.query, "count") || counted && count.(float64) < float64(want-1) {
					t.Errorf("count %v", count)
				}
				items := page["value"].([]any)
				for _, v := range items {
					if o := v.(map[string]any); len(o) != 2 {
						t.Errorf("item %v, want two members", o)
					}
					seen[v.(map[string]any)["displayName"].(string)]++
				}
				next, _ = page["@odata.nextLink"].(string)
				if (next != "") && len(items) != 5 {
					t.Errorf("page %d has %d items and a next link", pages, len(items))
				}
				if pages == 0 { // the item that the page token names goes away
					last := items[4].(map[string]any)["id"].(string)
					if r := graph(t, lab, token, "DELETE", "applications/"+last, ""); r.status != 204 {
						t.Fatal(r.body)
					}
				}
			}
			for name, n := range seen {
				if n != 1 {
					t.Errorf("%s came %d times", name, n)
				}
			}
			if len(seen) != want {
				t.Errorf("%d apps came, want %d", len(seen), want)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	lab, token, _ := queryLab(t)
	get := func(query string) []string {
		return namesOf(t, graph(t, lab, token, "GET", "applications?$count=true&"+query, "", "ConsistencyLevel", "eventual").object(t))
	}
	up, down := get("$orderby=displayName"), get("$orderby=displayName%20desc")
	if up[0] != "app-00" || up[len(up)-1] != "credsmith-operator" {
		t.Errorf("by name: %v", up)
	}
	for i := range up {
		if up[i] != down[len(down)-1-i] {
			t.Fatalf("%v is not the reverse of %v", down, up)
		}
	}
	if made := get(""); made[0] != "billing-api" || made[2] != "app-00" || made[3] != "app-05" {
		t.Errorf("as created: %v", made)
	}
}

func TestDefaultPage(t *testing.T) {
	t.Parallel()
	lab := start(t)
	for range 99 {
		addApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{}})
	}
	page := graph(t, lab, graphToken(t, lab, lab.Operator()), "GET", "applications", "").object(t)
	if n := len(page["value"].([]any)); n != 100 || page["@odata.nextLink"] == nil {
		t.Errorf("%d of 101 apps, next link %v", n, page["@odata.nextLink"])
	}
}
