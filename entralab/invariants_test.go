package entralab_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// try makes a request that may fail.
func try(lab *entralab.Lab, r *http.Request) (reply, error) {
	return tryWith(lab.Client(), r)
}

func tryWith(client *http.Client, r *http.Request) (reply, error) {
	resp, err := client.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(body)}, err
}

func invariants(t *testing.T, lab *entralab.Lab, query string) reply {
	t.Helper()
	return do(t, lab, newRequest(t, "GET", lab.ControlURL()+"/control/invariants"+query, ""))
}

const noInvariant = `{"orphans":{"count":0,"key_ids":[]},"double_mints":{"count":0,"key_ids":[]},"removed_while_used":{"count":0,"key_ids":[]},"refused_after_removal":0}`

func TestInvariants(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	app := addApp(t, lab, entralab.AppSpec{})
	token := graphToken(t, lab, lab.Operator())
	mint(t, lab, app, entralab.SecretSpec{DisplayName: "x"}) // a person's never count
	mint(t, lab, app, entralab.SecretSpec{DisplayName: "x"})
	first := graph(t, lab, token, "POST", "applications/"+app.ObjectID+"/addPassword", `{"passwordCredential":{"displayName":"x"}}`).object(t)
	lab.Advance(15 * time.Minute)
	if got := invariants(t, lab, ""); got.body != noInvariant {
		t.Errorf("at 15 minutes: %s", got.body)
	}
	lab.Advance(time.Second)
	id := first["keyId"].(string)
	if got := invariants(t, lab, ""); !strings.Contains(got.body, `"orphans":{"count":1,"key_ids":["`+id+`"]}`) {
		t.Errorf("after 15 minutes: %s", got.body)
	}
	if got := invariants(t, lab, "?older=1h"); got.body != noInvariant {
		t.Errorf("with an hour: %s", got.body)
	}
	vault, err := lab.AddVault(entralab.VaultSpec{Name: "kv-keeps"})
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range []struct{ value, want string }{{first["secretText"].(string), `"orphans":{"count":0`}, {"another", `"orphans":{"count":1`}} {
		if _, err := lab.SetVaultSecret(vault.Name, "s", kept.value); err != nil {
			t.Fatal(err)
		}
		if got := invariants(t, lab, ""); !strings.Contains(got.body, kept.want) {
			t.Errorf("want %s: %s", kept.want, got.body)
		}
	}
	if got := code(t, lab, app.ClientID, first["secretText"].(string)); got != 0 {
		t.Fatal(got)
	}
	if got := invariants(t, lab, ""); got.body != noInvariant {
		t.Errorf("once it is used: %s", got.body)
	}

	second := graph(t, lab, token, "POST", "applications/"+app.ObjectID+"/addPassword", `{"passwordCredential":{"displayName":"x"}}`).object(t)
	if got := lab.Invariants(entralab.InvariantOptions{}); len(got.DoubleMints) != 1 || got.DoubleMints[0] != second["keyId"] {
		t.Errorf("minted twice: %+v", got)
	}

	lab.Advance(time.Hour - time.Second)
	graph(t, lab, graphToken(t, lab, lab.Operator()), "POST", "applications/"+app.ObjectID+"/removePassword", `{"keyId":"`+id+`"}`)
	code(t, lab, app.ClientID, first["secretText"].(string))
	code(t, lab, app.ClientID, first["secretText"].(string))
	got := lab.Invariants(entralab.InvariantOptions{})
	if len(got.RemovedWhileUsed) != 1 || got.RemovedWhileUsed[0] != id || got.RefusedAfterRemoval != 2 {
		t.Errorf("removed while used: %+v", got)
	}
	if got := lab.Invariants(entralab.InvariantOptions{Window: time.Minute}); len(got.RemovedWhileUsed) != 0 || got.RefusedAfterRemoval != 0 {
		t.Errorf("with a minute: %+v", got)
	}
	for _, query := range []string{"?older=x", "?window=-1h", "?older=0s"} {
		if got := invariants(t, lab, query); got.status != 400 {
			t.Errorf("%s: %d", query, got.status)
		}
	}
}
