package entralab_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// manyApps is the spec of a large tenant's i-th app, made longer ago than the
// audit log goes back.
func manyApps(lab *entralab.Lab) func(i int) entralab.AppSpec {
	at := lab.Now().AddDate(-1, 0, 0)
	return func(i int) entralab.AppSpec {
		return entralab.AppSpec{
			DisplayName: fmt.Sprintf("app-%07d", i), At: at,
			Secrets: []entralab.SecretSpec{{DisplayName: "first"}, {DisplayName: "second"}},
		}
	}
}

// heap returns the bytes in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestManyAppsTakeLittleRoom is not parallel: it looks at the heap of all.
func TestManyAppsTakeLittleRoom(t *testing.T) {
	const n = 20_000
	lab := start(t)
	before := heap()
	if err := lab.AddApps(n, manyApps(lab)); err != nil {
		t.Fatal(err)
	}
	each := float64(heap()-before) / n
	t.Logf("%.0f bytes an app", each)
	if each > 1000 {
		t.Errorf("an app with its service principal and two secrets takes %.0f bytes", each)
	}
	runtime.KeepAlive(lab)
}

func TestAddApps(t *testing.T) {
	t.Parallel()
	lab := start(t)
	last := len(lab.History(0))
	at := lab.Now().AddDate(0, 0, -31)
	const known = "a value that the caller knows"
	err := lab.AddApps(3, func(i int) entralab.AppSpec {
		spec := entralab.AppSpec{DisplayName: fmt.Sprint("bulk ", i), At: at, Secrets: []entralab.SecretSpec{{DisplayName: "old"}}}
		if i == 1 {
			spec.Secrets[0].Value = known
		}
		if i == 2 {
			spec.At = lab.Now().Add(time.Hour)
		}
		return spec
	})
	if err == nil || err.Error() != "entralab: add app 2 of 3: an app must be added between 1970 and now" {
		t.Errorf("error %v", err)
	}
	events := lab.History(last)
	if len(events) != 1 || events[0].Write == nil || *events[0].Write != (entralab.Write{Kind: "create-apps", Count: 2}) {
		t.Errorf("events %+v", events)
	}

	token := graphToken(t, lab, lab.Operator())
	list := graph(t, lab, token, "GET", "applications?$filter=startswith(displayName,'bulk%20')", "").object(t)["value"].([]any)
	if len(list) != 2 {
		t.Fatalf("%d apps", len(list))
	}
	app := list[1].(map[string]any)
	credential := app["passwordCredentials"].([]any)[0].(map[string]any)
	if app["createdDateTime"] != at.Truncate(time.Second).Format(time.RFC3339) || credential["startDateTime"] != at.Format("2006-01-02T15:04:05.9999999Z") || credential["hint"] != "a v" {
		t.Errorf("app %v", app)
	}
	if got := code(t, lab, app["appId"].(string), known); got != 0 {
		t.Errorf("the known value is refused: %d", got)
	}
}

// TestAuditLogKeepsThirtyDays: nothing older shows, but what came before an
// entry about secrets is still in it.
func TestAuditLogKeepsThirtyDays(t *testing.T) {
	t.Parallel()
	lab := start(t)
	app := addApp(t, lab, entralab.AppSpec{At: lab.Now().AddDate(0, 0, -31), Secrets: []entralab.SecretSpec{{DisplayName: "old"}}})
	entries := func() []any {
		const list = "auditLogs/directoryAudits?$filter=targetResources/any(t:t/id%20eq%20'"
		return graph(t, lab, graphToken(t, lab, lab.Operator()), "GET", list+app.ObjectID+"')", "").object(t)["value"].([]any)
	}
	if seen := entries(); len(seen) != 0 {
		t.Errorf("an app of 31 days ago has %d entries", len(seen))
	}
	secret, err := lab.AddSecret(app.ObjectID, entralab.SecretSpec{DisplayName: "new"})
	if err != nil {
		t.Fatal(err)
	}
	seen := entries()
	if len(seen) != 2 {
		t.Fatalf("%d entries after adding a secret", len(seen))
	}
	key := func(s entralab.Secret) string {
		return `[KeyIdentifier=` + s.KeyID + `,KeyType=Password,KeyUsage=Verify,DisplayName=` + s.DisplayName + `]`
	}
	entry := seen[1].(map[string]any)["targetResources"].([]any)[0].(map[string]any)["modifiedProperties"].([]any)[0].(map[string]any)
	if entry["oldValue"] != `["`+key(app.Secrets[0])+`"]` || entry["newValue"] != `["`+key(app.Secrets[0])+`","`+key(secret)+`"]` {
		t.Errorf("entry %v", entry)
	}
	lab.Advance(30*24*time.Hour - time.Minute)
	if seen := entries(); len(seen) != 2 {
		t.Errorf("%d entries before 30 days", len(seen))
	}
	lab.Advance(2 * time.Minute)
	if seen := entries(); len(seen) != 0 {
		t.Errorf("%d entries after 30 days", len(seen))
	}
}
