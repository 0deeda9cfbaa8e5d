package cli_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
)

// TestResumeAll goes on with several rotations at a time; one that is in
// trouble does not keep the others from it.
func TestResumeAll(t *testing.T) {
	t.Parallel()
	r := newRotateRig(t)
	apps := []string{r.env["AZURE_CLIENT_ID"]}
	for i := range 3 {
		app, err := r.lab.AddApp(entralab.AppSpec{DisplayName: fmt.Sprint("app ", i), Secrets: []entralab.SecretSpec{{DisplayName: "prod"}}})
		if err != nil {
			t.Fatal(err)
		}
		apps = append(apps, app.ClientID)
		file := fmt.Sprintf("app%d.env", i)
		r.write(file, "AZURE_CLIENT_SECRET="+app.Secrets[0].Value.Reveal()+"\n")
		r.yaml += fmt.Sprintf("  more-%d:\n    app: %s\n    lifetime: 90d\n    retire: manual\n    sinks:\n      - dotenv: {file: %q, key: AZURE_CLIENT_SECRET}\n    prove: {times: 1, over: 1s}\n",
			i, app.ClientID, filepath.ToSlash(r.path(file)))
	}
	for _, name := range []string{"billing-api", "more-0", "more-1", "more-2"} {
		if code, _, errs := r.run(nil, "rotate", "run", name, "--yes", "--wait", "0s"); code != 3 { // before anything is delivered
			t.Fatal(code, errs)
		}
	}
	r.yaml = strings.Replace(r.yaml, "  more-2:", "  renamed:", 1)
	code, out, errs := r.run(nil, "rotate", "resume", "--all", "--yes", "--wait", "10s", "-o", "json")
	if code != 2 {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if !strings.Contains(errs, `more-2: unknown binding "more-2"`) {
		t.Error(errs)
	}
	var views []struct{ Binding, State, Step string }
	if err := json.Unmarshal([]byte(out), &views); err != nil || len(views) != 4 {
		t.Fatal(err, out)
	}
	for _, v := range views {
		if want := "overlap"; v.Binding != "more-2" && (v.Step != want || v.State != "waiting") {
			t.Errorf("%+v", v)
		}
	}
	if first, last := r.signIns(apps[0]), r.signIns(apps[2]); last[0] > first[len(first)-1] {
		t.Error("one after the other")
	}
	if code, _, errs := r.run(nil, "audit", "verify"); code != 0 {
		t.Error(errs)
	}
}

// signIns returns the numbers of the events in which an app got a token with a
// secret that a rotation has made.
func (r *rotateRig) signIns(app string) []int {
	r.Helper()
	var seqs, minted = []int{}, []string{}
	for _, e := range r.lab.History(0) {
		if e.AppID != app {
			continue
		}
		if e.Write != nil && e.Write.Kind == "mint" {
			minted = append(minted, e.Write.KeyID)
		}
		if e.Surface == "token" && slices.Contains(minted, e.KeyID) {
			seqs = append(seqs, e.Seq)
		}
	}
	if len(seqs) < 3 {
		r.Fatalf("app %s signed in %d times", app, len(seqs))
	}
	return seqs
}
