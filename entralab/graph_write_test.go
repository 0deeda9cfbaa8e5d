package entralab

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"
)

// TestListsAreWrittenAsObjectsAre compares lists with what the encoder of the
// standard library makes of the same properties.
func TestListsAreWrittenAsObjectsAre(t *testing.T) {
	t.Parallel()
	l, err := Start(context.Background(), Config{InProcess: true, RandomSeed: 7})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	random := rand.New(rand.NewPCG(1, 2))
	names := []string{"billing", "<a&b>", "quo\"te\\", "tab\t", "é", "\u2028", "\xff", "\x7f", "日本"}
	pick := func() string { return names[random.IntN(len(names))] }
	at := l.Now()
	for range 200 {
		spec := AppSpec{DisplayName: pick(), At: at.Add(-time.Duration(random.Int64N(int64(5000 * time.Hour))))}
		for range random.IntN(4) {
			secret := SecretSpec{DisplayName: pick(), Value: pick() + pick() + "123456"}
			if random.IntN(2) == 0 {
				secret.DisplayName = ""
			}
			secret.Start = time.Date(1+random.IntN(9000), 1, 1, 0, 0, 0, random.IntN(1_000_000_000), time.UTC)
			spec.Secrets = append(spec.Secrets, secret)
		}
		app, err := l.AddApp(spec)
		if err != nil {
			t.Fatal(err)
		}
		a := l.findApp(app.ObjectID)
		if random.IntN(2) == 0 {
			a.identifierURIs, a.disabled, a.audience = []string{pick(), pick()}, true, audienceAny
			a.createdBy, a.owners = l.random.guid(), []guid{l.home.users[0].id}
			a.kept = map[string]json.RawMessage{"notes": json.RawMessage(`"<x>"`), "api": json.RawMessage("{ \"a\" : [1 , 2]}")}
			a.principal.kept = map[string]json.RawMessage{"tags": json.RawMessage(`[ "a" ]`)}
			a.principal.enabled, a.principal.deleted = false, stampOf(at)
			l.mint(a.principal, l.home.portal(), SecretSpec{DisplayName: pick()}.withDefaults(at))
		}
	}
	for _, expand := range []bool{false, true} {
		sameWriting(t, applications, l.home.apps, nil, expand)
		sameWriting(t, applications, l.home.apps, []string{"appId", "id", "passwordCredentials"}, expand)
		sameWriting(t, principals, l.home.principals, nil, expand)
		sameWriting(t, principals, l.home.principals, []string{"notes"}, expand)
		sameWriting(t, principals, nil, nil, expand)
	}
}

func sameWriting[T item](t *testing.T, col *collection[T], items []T, selected []string, expand bool) {
	t.Helper()
	want := []map[string]json.RawMessage{}
	order := [][]string{}
	for _, it := range items {
		o := render(col, it, selected)
		if expand {
			o = append(o, ownersOf(it))
		}
		members, names := map[string]json.RawMessage{}, []string{}
		for _, m := range o {
			members[m.name] = standardJSON(t, m.value)
			names = append(names, m.name)
		}
		want, order = append(want, members), append(order, names)
	}
	got := list[T]{col, items, selected, expand}.appendJSON(nil)
	text := []byte{'['}
	for i, members := range want {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, '{')
		for j, name := range order[i] {
			if j > 0 {
				text = append(text, ',')
			}
			text = append(append(append(append(text, '"'), name...), '"', ':'), members[name]...)
		}
		text = append(text, '}')
	}
	if text = append(text, ']'); !bytes.Equal(got, text) {
		i := 0
		for i < min(len(got), len(text)) && got[i] == text[i] {
			i++
		}
		t.Errorf("%s %v: got …%.80s, want …%.80s", col.name, selected, got[max(0, i-40):], text[max(0, i-40):])
	}
}

// standardJSON takes objects apart by hand, since they write themselves.
func standardJSON(t *testing.T, v any) []byte {
	t.Helper()
	if objects, ok := v.([]object); ok {
		text := []byte{'['}
		for i, o := range objects {
			if i > 0 {
				text = append(text, ',')
			}
			text = append(text, standardJSON(t, o)...)
		}
		return append(text, ']')
	}
	if o, ok := v.(object); ok {
		text := []byte{'{'}
		for i, m := range o {
			if i > 0 {
				text = append(text, ',')
			}
			text = append(append(append(text, standardJSON(t, m.name)...), ':'), standardJSON(t, m.value)...)
		}
		return append(text, '}')
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b.Bytes())
}
