//go:build unix

package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/canary"
)

// killedRuns is how often the lab is killed; the run's points follow the seed.
const killedRuns = 12

// labProcess is a lab in a process of its own.
type labProcess struct {
	cmd                *exec.Cmd
	Authority, Control string
	TenantID           string `json:"tenant_id"`
	client             *http.Client
}

func startLabProcess(t *testing.T, program, dir string) *labProcess {
	t.Helper()
	p := &labProcess{cmd: exec.Command(program, "lab", "--data", dir, "-o", "json", "--random-seed", "7"), client: &http.Client{Transport: &http.Transport{}}}
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(out).Decode(p); err != nil {
		p.kill()
		t.Fatalf("the lab does not say where it is: %v", err)
	}
	return p
}

func (p *labProcess) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
	p.client.CloseIdleConnections()
}

// post returns the answer to a command, "" when the lab died over it.
func (p *labProcess) post(path string, command map[string]any) string {
	body, _ := json.Marshal(command)
	resp, err := p.client.Post(p.Control+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		return ""
	}
	return string(answer) + " "
}

func (p *labProcess) get(t *testing.T, path string, into any) {
	t.Helper()
	resp, err := p.client.Get(p.Control + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

type labSaysState struct {
	Tenants []struct {
		Apps []struct {
			ObjectID    string `json:"object_id"`
			ClientID    string `json:"client_id"`
			DisplayName string `json:"display_name"`
			Credentials []struct {
				KeyID string `json:"key_id"`
			}
		}
	}
}

// TestKilledLab kills the lab at random points while it mints and removes: all
// it acknowledged must be there after a restart, and no more than one write
// that was on its way.
func TestKilledLab(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a dozen processes")
	}
	program := filepath.Join(t.TempDir(), "credsmith")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	dir := filepath.Join(t.TempDir(), "lab")
	random := rand.New(rand.NewPCG(1, 2))
	alive := map[string]string{} // acknowledged key ids, with values
	gone := map[string]bool{}
	var app, clientID string
	writes := 0
	held := clientHolds{rules: map[string]bool{}}
	for run := range killedRuns {
		p := startLabProcess(t, program, dir)
		var state labSaysState
		p.get(t, "/control/state", &state)
		first := state.Tenants[0].Apps[0]
		app, clientID = first.ObjectID, first.ClientID
		seen := map[string]bool{}
		for _, c := range first.Credentials {
			seen[c.KeyID] = true
		}
		for key := range alive {
			if !seen[key] {
				t.Errorf("run %d: secret %s was acknowledged and is lost", run, key)
			}
		}
		for key := range gone {
			if seen[key] {
				t.Errorf("run %d: the removal of %s was acknowledged and is lost", run, key)
			}
		}
		checkHistory(t, p, run, alive)
		for _, value := range alive {
			held.check(t, p, labClient(t, dir), url.Values{"client_id": {clientID}, "client_secret": {value}})
			break
		}
		timer := time.AfterFunc(time.Duration(random.IntN(120))*time.Millisecond, func() { p.cmd.Process.Kill() })
		for {
			if random.IntN(3) == 0 && len(alive) > 3 {
				removing := slices.Min(slices.Collect(maps.Keys(alive)))
				delete(alive, removing) // while it is on its way nobody can tell
				if p.post("/control/portal", map[string]any{"action": "delete-secret", "app": app, "key_id": removing}) == "" {
					break
				}
				gone[removing] = true
				writes++
				continue
			}
			answer := p.post("/control/portal", map[string]any{"action": "add-secret", "app": app})
			if answer == "" {
				break
			}
			var made struct{ KeyID, SecretText string }
			if err := json.Unmarshal([]byte(answer), &made); err != nil {
				t.Fatal(err)
			}
			alive[made.KeyID] = made.SecretText
			writes++
		}
		timer.Stop()
		p.kill()
		searchDir(t, dir, alive)
	}
	if writes < killedRuns {
		t.Errorf("only %d writes: the lab was killed too early to test anything", writes)
	}
	p := startLabProcess(t, program, dir)
	defer p.kill()
	store := labClient(t, dir)
	for _, value := range alive {
		resp, err := store.PostForm(p.Authority+"/"+p.TenantID+"/oauth2/v2.0/token", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {value}, "scope": {"https://graph.microsoft.com/.default"},
		})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("an acknowledged secret answers %d", resp.StatusCode)
		}
	}
	p.kill()
	db, err := sql.Open("sqlite", filepath.Join(dir, "lab.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity_check says %q, %v", verdict, err)
	}
	t.Logf("%d acknowledged writes over %d kills", writes, killedRuns)
}

// clientHolds is what a client got from labs that were killed since.
type clientHolds struct {
	refresh string
	rules   map[string]bool // of faults, by id
}

// check renews the refresh token, asks for the rules, and gets one of each more.
func (h *clientHolds) check(t *testing.T, p *labProcess, client *http.Client, app url.Values) {
	t.Helper()
	ask := func(path string, form url.Values) map[string]any {
		t.Helper()
		resp, err := client.PostForm(p.Authority+"/"+p.TenantID+"/oauth2/v2.0/"+path, form)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var answer map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %v, %v", path, resp.StatusCode, answer, err)
		}
		return answer
	}
	form := maps.Clone(app)
	if h.refresh == "" {
		if p.post("/control/sign-in", map[string]any{"user": "ada-example@contoso.lab.test"}) == "" {
			t.Fatal("nobody signs in")
		}
		code := ask("devicecode", url.Values{"client_id": app["client_id"], "scope": {"User.Read offline_access"}})
		form["grant_type"], form["device_code"] = []string{"urn:ietf:params:oauth:grant-type:device_code"}, []string{code["device_code"].(string)}
	} else {
		form["grant_type"], form["refresh_token"] = []string{"refresh_token"}, []string{h.refresh}
	}
	h.refresh = ask("token", form)["refresh_token"].(string)

	var rules []struct{ ID string }
	p.get(t, "/control/faults", &rules)
	if len(rules) != len(h.rules) {
		t.Errorf("%d rules of faults, want %d", len(rules), len(h.rules))
	}
	for _, r := range rules {
		if !h.rules[r.ID] {
			t.Errorf("the rule %s is new", r.ID)
		}
	}
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(p.post("/control/faults", map[string]any{"fault": "F8", "match": map[string]any{"path": "/nowhere"}})), &made); err != nil {
		t.Fatal(err)
	}
	h.rules[made.ID] = true
}

// checkHistory: no gap, and each acknowledged secret was minted in it.
func checkHistory(t *testing.T, p *labProcess, run int, alive map[string]string) {
	t.Helper()
	var events []entralab.Event
	p.get(t, "/control/history?after=0", &events)
	minted := map[string]bool{}
	for i, e := range events {
		if e.Seq != i+1 {
			t.Fatalf("run %d: event %d has the number %d", run, i+1, e.Seq)
		}
		if e.Write != nil && e.Write.Kind == "mint" {
			minted[e.Write.KeyID] = true
		}
	}
	for key := range alive {
		if !minted[key] {
			t.Errorf("run %d: the history does not tell of secret %s", run, key)
		}
	}
}

func searchDir(t *testing.T, dir string, values map[string]string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, value := range values {
			if bytes.Contains(data, []byte(value[:12])) {
				t.Errorf("%s holds a secret (%v)", path, canary.Find(data, value))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// labClient trusts the CA that the lab left in its directory.
func labClient(t *testing.T, dir string) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no CA in ca.pem")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
