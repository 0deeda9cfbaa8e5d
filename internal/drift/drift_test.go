package drift_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/drift"
)

const (
	home  = "7f1c0000-0000-4000-8000-0000000000a1"
	other = "7f1c0000-0000-4000-8000-0000000000a2"
)

// places reads lines of origin, environment, tenant, client and fingerprint;
// - is empty, and a fingerprint "pin" is a pinned reference.
func places(text string) []drift.Place {
	var all []drift.Place
	for line := range strings.Lines(text) {
		f := strings.Fields(strings.ReplaceAll(line, "home", home))
		if len(f) != 5 {
			continue
		}
		for i := range f {
			f[i] = strings.TrimPrefix(f[i], "-")
		}
		p := drift.Place{Origin: f[0], Environment: f[1], TenantID: f[2], ClientID: f[3], Fingerprint: f[4], Pinned: f[4] == "pin"}
		if p.Pinned {
			p.Fingerprint = ""
		}
		all = append(all, p)
	}
	return all
}

func TestCompare(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, places, want string }{
		{"all alike", "a - home c1 v1\nb - home c1 v1", ""},
		{"one of three", "a - home c1 v1\nb - home c1 v2\nc - home c1 v1", "c1 one-place-missed b holds value v2 while a, c hold value v1: if one rotation was to reach all, it missed a place"},
		{"case and braces of ids do not count", "a - home C1 v1\nb - home {c1} v2", "c1 one-place-missed b holds value v2 while a holds value v1: if one rotation was to reach all, it missed a place"},
		{"each environment has its own", "a prod home c1 v1\nb staging home c1 v2\nc prod home c1 v1", ""},
		{"missed within production", "a prod home c1 v1\nb staging home c1 v2\nc prod home c1 v3\nd prod home c1 v3", "c1 one-place-missed a holds value v1 while c, d hold value v3: if one rotation was to reach all, it missed a place"},
		{"unknown environment against production", "a prod home c1 v1\nb - home c1 v2", "c1 one-place-missed b holds value v2 while a holds value v1: if one rotation was to reach all, it missed a place"},
		{"one value for all environments but one", "a test home c1 v1\nb staging home c1 v1\nc prod home c1 v2", "c1 one-place-missed c holds value v2 while a, b hold value v1: if one rotation was to reach all, it missed a place"},
		{"production and staging share", "a prod home c1 v1\nb staging home c1 v1", "c1 shared-value prod's value stands in b (staging) too: give each environment a secret of its own"},
		{"test and staging share", "a test home c1 v1\nb staging home c1 v1", ""},
		{"two apps share", "a - home c1 v1\nb - home c2 v1",
			"c1 shared-value a holds the value that stands with app c2 too: a secret belongs to one app, so the others cannot sign in with it\nc2 shared-value b holds the value that stands with app c1 too: a secret belongs to one app, so the others cannot sign in with it"},
		{"staging's value in production", "a prod home c1 v1\nb staging home c2 v1",
			"c1 shared-value a holds the value that stands with app c2 (staging) too: a secret belongs to one app, so the others cannot sign in with it\nc2 shared-value b holds the value that stands with app c1 (prod) too: a secret belongs to one app, so the others cannot sign in with it"},
		{"tenants", "a - home c1 v1\nb - " + other + " c1 v1", "c1 tenant-differs one app, different tenants: " + home + " in a; " + other + " in b"},
		{"domain and GUID cannot be compared", "a - home c1 v1\nb - contoso.com c1 v1", ""},
		{"a reference has no tenant", "a - home c1 v1\nb - - c1 v1", ""},
		{"pinned", "a - home c1 pin\nb - home c1 v1", "c1 pinned-version a names one version of a Key Vault secret: a new version does not reach it; leave the version out"},
		{"pinned without client id", "a - home - pin\nb - home - v1\nc - home - v2", " pinned-version a names one version of a Key Vault secret: a new version does not reach it; leave the version out"},
		{"nothing to compare", "a - home c1 -\nb - home c1 v1\nc - home c2 -", ""},
		{"many", "a - home c1 v1\nb - home c1 v1\nc - home c1 v1\nd - home c1 v1\ne - home c1 v1\nf - home c1 v2", "c1 one-place-missed f holds value v2 while a, b, c, d and 1 more hold value v1: if one rotation was to reach all, it missed a place"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			apps := drift.Compare(places(tt.places), nil)
			var got []string
			for _, app := range apps {
				for _, d := range app.Drift {
					got = append(got, fmt.Sprintf("%s %s %s", app.ClientID, d.Kind, d.Says))
				}
			}
			if text := strings.Join(got, "\n"); text != tt.want || drift.Found(apps) != (tt.want != "") {
				t.Errorf("got\n%s\nwant\n%s", text, tt.want)
			}
		})
	}
}

// TestManyShare: 20,000 apps that share one value are compared in the time of
// as many that do not.
func TestManyShare(t *testing.T) {
	t.Parallel()
	all := make([]drift.Place, 20_000)
	for i := range all {
		all[i] = drift.Place{Origin: "a", TenantID: home, ClientID: fmt.Sprint("c", i), Fingerprint: "v1"}
	}
	done := make(chan []drift.App, 1)
	go func() { done <- drift.Compare(all, nil) }()
	select {
	case apps := <-done:
		want := "a holds the value that stands with app c0, c1, c2, c3 and 19995 more too: a secret belongs to one app, so the others cannot sign in with it"
		if last := apps[len(apps)-1]; len(last.Drift) != 1 || last.Drift[0].Says != want {
			t.Errorf("%+v, want %q", last.Drift, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the comparison takes more than 10 s")
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a - home c1 v1":                 "",
		"a - home c1 v1\nb - home c1 v1": "a, b hold value v1: a rotation must reach each of them",
		"a prod home c1 v1\nb prod home c1 v2\nc prod home c1 v2": "b, c hold value v2: a rotation must reach each of them",
		"a - home - v1\nb - home - v1":                            "",
		"a - home c1 -\nb - home c1 -":                            "",
	} {
		if got := strings.Join(drift.Compare(places(text), nil)[0].Notes, "; "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestJSONShape(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(drift.Compare(places("a:1:2 staging home c1 v1"), nil))
	want := `[{"client_id":"c1","places":[{"origin":"a:1:2","environment":"staging","fingerprint":"v1","tenant_id":"` + home + `"}],"drift":[],"notes":[]}]`
	if err != nil || string(got) != want {
		t.Errorf("%s (%v), want %s", got, err, want)
	}
	if none, _ := json.Marshal(drift.Compare(nil, nil)); string(none) != "[]" {
		t.Errorf("no places give %s, want []", none)
	}
}

// TestReplaced: a rotation proves what comparing can only suggest.
func TestReplaced(t *testing.T) {
	t.Parallel()
	at := func(day int) time.Time { return time.Date(2026, 11, day, 12, 0, 0, 0, time.UTC) }
	one := drift.Change{Rotation: "r1", Binding: "billing", ClientID: "C1", New: "v2", Replaced: []string{"v1"}, At: at(3)}
	says := "c1 one-place-missed a holds value v1, which rotation r1 of binding billing replaced by value v2 on 2026-11-03: it did not reach this place, or somebody put the old value back"
	for _, c := range []struct {
		name, places string
		changes      []drift.Change
		want         string
	}{
		{"the only place", "a - home c1 v1", []drift.Change{one}, says},
		{"of an environment of its own", "a prod home c1 v1\nb dev home c1 v3", []drift.Change{one}, says},
		{"said once", "a - home c1 v1\nb - home c1 v2", []drift.Change{one}, says},
		{"the new value", "a - home c1 v2", []drift.Change{one}, ""},
		{"another app's", "a - home c2 v1", []drift.Change{one}, ""},
		{"written again with what it held", "a - home c1 v2", []drift.Change{{Rotation: "r1", ClientID: "c1", New: "v2", Replaced: []string{"v2"}, At: at(3)}}, ""},
		{"a value that came back", "a - home c1 v1", []drift.Change{one, {Rotation: "r2", Binding: "billing", ClientID: "c1", New: "v1", Replaced: []string{"v2"}, At: at(4)}}, ""},
		{"the last one speaks", "a - home c1 v1", []drift.Change{{Rotation: "r0", ClientID: "c1", New: "v9", Replaced: []string{"v1"}, At: at(1)}, one}, says},
		{"nothing known of the new one", "a - home c1 v1", []drift.Change{{Rotation: "r1", ClientID: "c1", Replaced: []string{"v1"}, At: at(3)}}, ""},
	} {
		var got []string
		for _, app := range drift.Compare(places(c.places), c.changes) {
			for _, d := range app.Drift {
				got = append(got, fmt.Sprintf("%s %s %s", app.ClientID, d.Kind, d.Says))
			}
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
