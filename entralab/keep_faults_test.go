package entralab_test

import (
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

// TestFaultsAreKept: rules go on where they were, those of the profile start
// again, and no id is used twice.
func TestFaultsAreKept(t *testing.T) {
	t.Parallel()
	store := &memory{records: map[[2]string]entralab.Record{}}
	lab := startWith(t, entralab.Config{InProcess: true, Store: store})
	add := func(lab *entralab.Lab, rule string) string {
		t.Helper()
		r := control(t, lab, "faults", rule)
		if r.status != 200 {
			t.Fatal(r.body)
		}
		return r.object(t)["id"].(string)
	}
	list := func(lab *entralab.Lab) string {
		t.Helper()
		return do(t, lab, newRequest(t, "GET", lab.ControlURL()+"/control/faults", "")).body
	}
	app := lab.Healthy()
	secret := app.Secrets[0].Value.Reveal()
	add(lab, `{"fault":"F20","match":{"surface":"token","app":"`+app.ClientID+`"},"nth":2,"times":2,"until":"2190-01-01T00:00:00Z","params":{"code":7000222}}`)
	gone := add(lab, `{"fault":"F8","match":{"surface":"graph"},"rate":0.5}`)
	if got := code(t, lab, app.ClientID, secret); got != 0 {
		t.Fatalf("first: %d", got)
	}
	if got := code(t, lab, app.ClientID, secret); got != 7000222 {
		t.Fatalf("second: %d", got)
	}
	if r := do(t, lab, newRequest(t, "DELETE", lab.ControlURL()+"/control/faults/"+gone, "")); r.status != 204 {
		t.Fatal(r.body)
	}
	last := add(lab, `{"fault":"F21","match":{"surface":"token"},"params":{"min":"90s","max":"2m"}}`)
	before := list(lab)
	lab.Close() // the counters are saved within a moment, or here

	again := startWith(t, entralab.Config{InProcess: true, Store: store})
	if after := list(again); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	if got := code(t, again, app.ClientID, secret); got != 7000222 {
		t.Errorf("third: %d, want the fault once more", got)
	}
	if got := code(t, again, app.ClientID, secret); got != 0 {
		t.Errorf("fourth: %d, want no fault", got)
	}
	if id := add(again, `{"fault":"F8"}`); id == last || id == gone {
		t.Errorf("the id %s is used again", id)
	}
	again.Close()
	rude := startWith(t, entralab.Config{InProcess: true, Store: store, Profile: entralab.ProfileRude})
	n := len(list(rude))
	rude.Close()
	if twice := len(list(startWith(t, entralab.Config{InProcess: true, Store: store, Profile: entralab.ProfileRude}))); twice > n+10 {
		t.Errorf("the rules of the profile pile up: %d and %d bytes", n, twice)
	}
}
