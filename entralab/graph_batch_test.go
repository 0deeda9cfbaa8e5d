package entralab_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

func TestBatch(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := addApp(t, lab, entralab.AppSpec{Permissions: []string{"Application.ReadWrite.All"}})
	c := callAs(t, lab, app)
	mine := "/applications/" + app.ObjectID
	send := func(requests ...string) map[string]map[string]any {
		t.Helper()
		answers := map[string]map[string]any{}
		for _, v := range c.do("POST", "$batch", `{"requests":[`+strings.Join(requests, ",")+`]}`, 200).object(t)["responses"].([]any) {
			answer := v.(map[string]any)
			answers[answer["id"].(string)] = answer
		}
		return answers
	}
	answers := send(
		`{"id":"late","method":"GET","url":"`+mine+`?$select=notes","dependsOn":["patch"]}`,
		`{"id":"patch","method":"PATCH","url":"`+mine+`","headers":{"Content-Type":"application/json"},"body":{"notes":"batched"}}`,
		`{"id":"list","method":"get","url":"applications?$filter=displayName eq 'billing-api'"}`,
		`{"id":"users","method":"GET","url":"/users"}`,
		`{"id":"after users","method":"GET","url":"`+mine+`","dependsOn":["users"]}`,
		`{"id":"untyped","method":"PATCH","url":"`+mine+`","body":{"notes":"x"}}`,
		`{"id":"nested","method":"POST","url":"/$batch","headers":{"Content-Type":"application/json"},"body":{"requests":[]}}`,
	)
	for id, want := range map[string]float64{"late": 200, "patch": 204, "list": 200, "users": 403, "after users": 424, "untyped": 400, "nested": 400} {
		if got := answers[id]["status"]; got != want {
			t.Errorf("%s: %v, want status %v", id, answers[id], want)
		}
	}
	if notes := answers["late"]["body"].(map[string]any)["notes"]; notes != "batched" {
		t.Errorf("the dependent read saw %v", notes)
	}
	if list := answers["list"]["body"].(map[string]any)["value"].([]any); len(list) != 1 {
		t.Errorf("list %v", list)
	}
	if _, ok := answers["patch"]["body"]; ok {
		t.Errorf("patch answered %v", answers["patch"])
	}
	events := lab.History(0)
	statuses := map[int]int{}
	for _, e := range events[len(events)-8:] {
		statuses[e.Status]++
	}
	if statuses[403] != 1 || statuses[424] != 1 || statuses[204] != 1 || statuses[200] != 3 {
		t.Errorf("history %v", statuses)
	}
	many := make([]string, 21)
	for i := range many {
		many[i] = fmt.Sprintf(`{"id":"%d","method":"GET","url":"/applications"}`, i)
	}
	if got := send(many[:20]...); len(got) != 20 {
		t.Errorf("%d answers, want 20", len(got))
	}
	for _, requests := range []string{
		"", strings.Join(many, ","), many[0] + "," + many[0], `{"method":"GET","url":"/users"}`, `{"id":"1","url":"/users"}`, `{"id":"1","method":"GET"}`,
		`{"id":"1","method":"GET","url":"/users","dependsOn":["2"]}`, `{"id":"1","method":"GET","url":"/users","dependsOn":["1"]}`,
	} {
		c.do("POST", "$batch", `{"requests":[`+requests+`]}`, 400)
	}
	r := do(t, lab, newRequest(t, "POST", lab.GraphURL()+"/v1.0/$batch", `{"requests":[`+many[0]+`]}`, "Content-Type", "application/json"))
	if r.status != 401 {
		t.Errorf("without a token: %d", r.status)
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	lab := start(t)
	r := do(t, lab, newRequest(t, "GET", lab.GraphURL()+"/metadata/endpoints?api-version=2022-09-01", ""))
	if r.status != 200 {
		t.Fatal(r.body)
	}
	o := r.object(t)
	login := o["authentication"].(map[string]any)["loginEndpoint"]
	if o["microsoftGraphResourceId"] != lab.GraphURL()+"/" || login != lab.AuthorityURL() || o["name"] == "" || o["resourceManager"] == "" || o["suffixes"].(map[string]any)["keyVaultDns"] == "" {
		t.Errorf("metadata %s", r.body)
	}
	if r := do(t, lab, newRequest(t, "GET", lab.GraphURL()+"/metadata/endpoints?api-version=2015-01-01", "")); r.status != 400 {
		t.Errorf("another version: %d", r.status)
	}
}
