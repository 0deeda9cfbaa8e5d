package entralab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

// memory is a store in memory.
type memory struct {
	mu      sync.Mutex
	records map[[2]string]entralab.Record
}

func (m *memory) Load(_ context.Context, kind string) iter.Seq2[entralab.Record, error] {
	return func(yield func(entralab.Record, error) bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		for key, r := range m.records {
			if key[0] == kind && !yield(r, nil) {
				return
			}
		}
	}
}

func (m *memory) Save(_ context.Context, changes []entralab.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range changes {
		switch {
		case r.Data != nil:
			m.records[[2]string{r.Kind, r.ID}] = r
		case r.ID != "":
			delete(m.records, [2]string{r.Kind, r.ID})
		default:
			maps.DeleteFunc(m.records, func(key [2]string, _ entralab.Record) bool { return key[0] == r.Kind })
		}
	}
	return nil
}

// TestEveryWriteIsKept makes each kind of write and compares the lab with the
// one its store brings back, after each.
func TestEveryWriteIsKept(t *testing.T) {
	t.Parallel()
	store := &memory{records: map[[2]string]entralab.Record{}}
	lab := startWith(t, entralab.Config{InProcess: true, Store: store})
	lab.Freeze(true)
	operator := addApp(t, lab, entralab.AppSpec{
		Permissions: []string{"Application.ReadWrite.All", "AppRoleAssignment.ReadWrite.All", "Policy.ReadWrite.ApplicationConfiguration", "Directory.Read.All"},
		Secrets:     []entralab.SecretSpec{{}},
	})
	bearer := tokenOf(t, lab, operator)
	ids := map[string]string{}
	fill := func(s string) string {
		for name, id := range ids {
			s = strings.ReplaceAll(s, "{"+name+"}", id)
		}
		return strings.ReplaceAll(s, "{graph}", lab.GraphURL()+"/v1.0")
	}
	steps := []struct{ name, method, path, body, keep string }{
		{"app", "POST", "/applications", `{"displayName":"<&>","identifierUris":["api://x"],"web":{"redirectUris":["https://x.test/"]}}`, "id"},
		{"", "PATCH", "/applications/{app}", `{"displayName":"renamed","api":{"requestedAccessTokenVersion":2}}`, ""},
		{"key", "POST", "/applications/{app}/addPassword", `{}`, "keyId"},
		{"", "POST", "/applications/{app}/removePassword", `{"keyId":"{key}"}`, ""},
		{"federated", "POST", "/applications/{app}/federatedIdentityCredentials", `{"name":"n","issuer":"https://i.test","subject":"s","audiences":["a"]}`, "id"},
		{"", "PATCH", "/applications/{app}/federatedIdentityCredentials/{federated}", `{"subject":"other"}`, ""},
		{"client", "GET", "/applications/{app}", ``, "appId"},
		{"sp", "POST", "/servicePrincipals", `{"appId":"{client}"}`, "id"},
		{"", "PATCH", "/servicePrincipals/{sp}", `{"accountEnabled":false,"tags":["x"]}`, ""},
		{"spkey", "POST", "/servicePrincipals/{sp}/addPassword", `{}`, "keyId"},
		{"", "POST", "/servicePrincipals/{sp}/removePassword", `{"keyId":"{spkey}"}`, ""},
		{"", "POST", "/applications/{app}/owners/$ref", `{"@odata.id":"{graph}/directoryObjects/{sp}"}`, ""},
		{"", "DELETE", "/applications/{app}/owners/{sp}/$ref", ``, ""},
		{"", "PATCH", "/policies/defaultAppManagementPolicy", `{"isEnabled":true,"applicationRestrictions":{"passwordCredentials":[{"restrictionType":"passwordLifetime","maxLifetime":"P4000D"}]}}`, ""},
		{"policy", "POST", "/policies/appManagementPolicies", `{"displayName":"p","restrictions":{"passwordCredentials":[]}}`, "id"},
		{"", "PATCH", "/policies/appManagementPolicies/{policy}", `{"description":"d"}`, ""},
		{"", "POST", "/applications/{app}/appManagementPolicies/$ref", `{"@odata.id":"{graph}/policies/appManagementPolicies/{policy}"}`, ""},
		{"", "DELETE", "/applications/{app}/appManagementPolicies/{policy}/$ref", ``, ""},
		{"", "POST", "/applications/{app}/appManagementPolicies/$ref", `{"@odata.id":"{graph}/policies/appManagementPolicies/{policy}"}`, ""},
		{"", "DELETE", "/policies/appManagementPolicies/{policy}", ``, ""},
		{"", "DELETE", "/servicePrincipals/{sp}", ``, ""},
		{"", "POST", "/directory/deletedItems/{sp}/restore", `{}`, ""},
		{"", "DELETE", "/applications/{app}", ``, ""},
		{"", "POST", "/directory/deletedItems/{app}/restore", `{}`, ""},
		{"", "DELETE", "/applications/{app}", ``, ""},
		{"", "DELETE", "/directory/deletedItems/{app}", ``, ""},
	}
	for _, step := range steps {
		r, err := http.NewRequest(step.method, lab.GraphURL()+"/v1.0"+fill(step.path), strings.NewReader(fill(step.body)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+bearer)
		r.Header.Set("Content-Type", "application/json")
		keptAfter(t, lab, store, step.method+" "+step.path, r, step.keep, func(id string) { ids[step.name] = id })
	}
	healthy := lab.Healthy().ObjectID
	for _, command := range [][2]string{
		{"portal", `{"action":"add-secret","app":"` + healthy + `","at":"-3d"}`},
		{"portal", `{"action":"disable-app","app":"` + healthy + `"}`},
		{"portal", `{"action":"rename","app":"` + healthy + `","display_name":"x"}`},
		{"portal", `{"action":"grant","app":"` + healthy + `","permission":"Directory.Read.All"}`},
		{"portal", `{"action":"revoke","app":"` + healthy + `","permission":"Directory.Read.All"}`},
		{"delay", `{"accept":"8s","remove":"30s","replicas":3,"signin_lag":"5m"}`},
		{"portal", `{"action":"add-secret","app":"` + healthy + `"}`},
		{"clock", `{"advance":"48h"}`},
		{"sign-in", `{"user":"login_hint"}`},
	} {
		r, err := http.NewRequest(http.MethodPost, lab.ControlURL()+"/control/"+command[0], strings.NewReader(command[1]))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		keptAfter(t, lab, store, command[1], r, "", nil)
	}
}

// keptAfter sends a write and compares the lab with its store.
func keptAfter(t *testing.T, lab *entralab.Lab, store *memory, what string, r *http.Request, keep string, take func(string)) {
	t.Helper()
	resp, err := lab.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%s: %d %s, %v", what, resp.StatusCode, body, err)
	}
	if keep != "" {
		var answer map[string]any
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatal(err)
		}
		take(answer[keep].(string))
	}
	store.mu.Lock()
	same := &memory{records: maps.Clone(store.records)}
	store.mu.Unlock()
	again := startWith(t, entralab.Config{InProcess: true, Store: same})
	if want, got := lab.Export(), again.Export(); !bytes.Equal(want, got) {
		t.Fatalf("after %s the store holds\n%s\nand the lab is\n%s", what, got, want)
	}
}

func tokenOf(t *testing.T, lab *entralab.Lab, app entralab.App) string {
	t.Helper()
	resp, err := lab.Client().PostForm(lab.AuthorityURL()+"/"+app.TenantID+"/oauth2/v2.0/token", map[string][]string{
		"grant_type": {"client_credentials"}, "client_id": {app.ClientID}, "client_secret": {app.Secrets[0].Value.Reveal()}, "scope": {graphScope},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatalf("no token: %d %v", resp.StatusCode, err)
	}
	return answer.Token
}

// TestExportTravels: a document makes another lab the same, but for its keys.
func TestExportTravels(t *testing.T) {
	t.Parallel()
	lab, other := start(t), start(t)
	app := addApp(t, lab, entralab.AppSpec{DisplayName: "a <b> & c", Secrets: []entralab.SecretSpec{{}}})
	lab.Freeze(true)
	doc := lab.Export()
	value := app.Secrets[0].Value.Reveal()
	if bytes.Contains(doc, []byte(value)) || bytes.Contains(doc, []byte(lab.Healthy().Secrets[0].Value.Reveal())) {
		t.Error("the document holds a value")
	}
	if err := other.Import(doc); err != nil {
		t.Fatal(err)
	}
	if got := other.Export(); !bytes.Equal(got, doc) {
		t.Errorf("exported again:\n%s\nwas\n%s", got, doc)
	}
	tokenOf(t, other, app)
	if env := strings.Join(other.Env(), "\n"); !strings.Contains(env, "AZURE_CLIENT_ID="+lab.Healthy().ClientID) || strings.Contains(env, "CLIENT_SECRET=") {
		t.Errorf("the environment tells what the lab cannot know:\n%s", env)
	}
	if err := lab.Import(doc); err != nil {
		t.Fatal(err)
	}
	tokenOf(t, lab, lab.Healthy()) // its own document: the values are known
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	lab := start(t)
	lab.Freeze(true)
	doc := string(lab.Export())
	home := lab.TenantID()
	for name, bad := range map[string]string{
		"another format":    strings.Replace(doc, "credsmith-lab/1", "credsmith-lab/9", 1),
		"unknown member":    strings.Replace(doc, `"settings"`, `"setting"`, 1),
		"an id twice":       strings.Replace(doc, home, lab.Healthy().ObjectID, 1),
		"unknown role":      strings.Replace(doc, `"User.Read.All"`, `"User.Eat.All"`, 1),
		"short salt":        strings.Replace(doc, `"salt":"`, `"salt":"AA==","x":"`, 1),
		"app without graph": strings.ReplaceAll(doc, "00000003-0000-0000-c000-000000000000", "00000004-0000-0000-c000-000000000000"),
		"nothing":           `{"format":"credsmith-lab/1","settings":{},"tenants":[]}`,
		"two documents":     doc + doc,
	} {
		if err := lab.Import([]byte(bad)); err == nil || bad == doc {
			t.Errorf("%s: imported", name)
		}
		if string(lab.Export()) != doc {
			t.Fatalf("%s changed the lab", name)
		}
	}
}

// FuzzImport: whatever is imported, the lab goes on.
func FuzzImport(f *testing.F) {
	lab := start(f)
	f.Add(lab.Export())
	f.Add([]byte(`{"format":"credsmith-lab/1","settings":{},"tenants":[]}`))
	again := start(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		if lab.Import(doc) != nil {
			return
		}
		if err := again.Import(lab.Export()); err != nil {
			t.Fatalf("an exported document is refused: %v", err)
		}
		lab.Env()
		for _, path := range []string{"/control/state", "/control/history"} {
			resp, err := lab.Client().Get(lab.ControlURL() + path)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: %v", path, err)
			}
		}
	})
}
