package entralab_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

// keyIDsIn are the key ids of an answer as they are written there.
func keyIDsIn(body string) (ids []string) {
	for _, m := range regexp.MustCompile(`"keyId":"([^"]*)"`).FindAllStringSubmatch(body, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// TestKeyIDs: each kind of F17 changes the key ids and no other byte.
func TestKeyIDs(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	app := addApp(t, lab, entralab.AppSpec{Secrets: []entralab.SecretSpec{{}, {}, {}}})
	single := addApp(t, lab, entralab.AppSpec{})
	token := graphToken(t, lab, lab.Operator())
	read := func(app entralab.App) string {
		return graph(t, lab, token, "GET", "applications/"+app.ObjectID+"?$select=id,passwordCredentials", "").body
	}
	mint := func(app entralab.App) string {
		return graph(t, lab, token, "POST", "applications/"+app.ObjectID+"/addPassword", `{"passwordCredential":{}}`).body
	}
	first, last := app.Secrets[0].KeyID, app.Secrets[2].KeyID
	for kind, want := range map[string]func(string) string{
		"upper":  strings.ToUpper,
		"braces": func(id string) string { return "{" + id + "}" },
		"reused": func(id string) string { return strings.ReplaceAll(id, last, first) },
	} {
		before := read(app)
		addFault(t, lab, entralab.FaultRule{Fault: "F17", Params: params{"kind": kind}})
		expected := regexp.MustCompile(`("keyId":")([^"]*)`).ReplaceAllStringFunc(before, func(found string) string {
			return `"keyId":"` + want(strings.TrimPrefix(found, `"keyId":"`))
		})
		if got := read(app); got != expected || got == before {
			t.Errorf("%s: got\n%s\nwant\n%s", kind, got, expected)
		}
		if got, calm := read(single), single.Secrets[0].KeyID; kind == "reused" && keyIDsIn(got)[0] != calm {
			t.Errorf("reused: the only secret is written as %s", got)
		}
		minted := keyIDsIn(mint(single))
		lab.RemoveFaults()
		held := keyIDsIn(read(single))
		truth := held[len(held)-1]
		if kind == "reused" {
			truth = held[0]
		}
		if len(minted) != 1 || minted[0] != want(truth) {
			t.Errorf("%s: the answer to addPassword names %v, want %s", kind, minted, want(truth))
		}
		graph(t, lab, token, "POST", "applications/"+single.ObjectID+"/removePassword", `{"keyId":"`+held[len(held)-1]+`"}`)
	}
}
