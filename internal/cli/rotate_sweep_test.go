package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/rotate"
)

// TestRotateSweep tells of a secret that bears our name and leaves it alone.
func TestRotateSweep(t *testing.T) {
	t.Parallel()
	r := newRotateRig(t)
	if code, out, errs := r.run(nil, "rotate", "sweep", "--yes"); code != 0 || out != "no secret is without its rotation\n" {
		t.Error(code, out, errs)
	}
	app, err := r.lab.AddApp(entralab.AppSpec{DisplayName: "other", Secrets: []entralab.SecretSpec{{DisplayName: "credsmith r-nobodyknow abcdefghij g1"}}})
	if err != nil {
		t.Fatal(err)
	}
	r.yaml = strings.Replace(r.yaml, r.env["AZURE_CLIENT_ID"], app.ClientID, 1)
	code, out, errs := r.run(nil, "rotate", "sweep", "billing-api")
	if code != 1 || !strings.HasPrefix(out, "left     secret "+app.Secrets[0].KeyID+" (credsmith r-nobodyknow abcdefghij g1): this database knows no such rotation") {
		t.Error(code, out, errs)
	}
	code, out, errs = r.run(nil, "rotate", "sweep", "--yes", "-o", "json")
	var orphans []rotate.Orphan
	if err := json.Unmarshal([]byte(out), &orphans); err != nil || code != 1 || len(orphans) != 1 || orphans[0].Removable || orphans[0].Removed || orphans[0].KeyID != app.Secrets[0].KeyID {
		t.Error(code, out, errs, err)
	}
}
