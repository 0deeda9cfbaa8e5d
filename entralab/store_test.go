package entralab_test

import (
	"bytes"
	"context"
	"encoding/json"
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
