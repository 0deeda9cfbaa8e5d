package graph_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/internal/entra"
)

// FuzzChanges reads audit entries whose credential sets are anything.
func FuzzChanges(f *testing.F) {
	const one = `["[KeyIdentifier=0f1e2d3c-0000-4000-8000-0000000000c2,KeyType=Password,KeyUsage=Verify,DisplayName=a, b]]"]`
	f.Add("[]", one)
	f.Add(one, "null")
	f.Add("", `["[KeyIdentifier=`)
	r := newRig(f)
	f.Fuzz(func(t *testing.T, before, after string) {
		entry := map[string]any{"activityDateTime": "2026-11-22T07:43:07.0421Z", "targetResources": []any{map[string]any{"modifiedProperties": []any{
			map[string]string{"displayName": "KeyDescription", "oldValue": before, "newValue": after},
		}}}}
		body, err := json.Marshal(map[string]any{"value": []any{entry}})
		if err != nil {
			t.Fatal(err)
		}
		r.intercept = func(req *http.Request) *http.Response {
			if strings.HasSuffix(req.URL.Path, "/directoryAudits") {
				return reply(200, string(body))
			}
			return nil
		}
		changes, err := r.client.Changes(t.Context(), entra.App{ObjectID: "0f1e2d3c-0000-4000-8000-0000000000c2"})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			for _, ref := range append(c.Added, c.Removed...) {
				if len(ref.KeyID) != 36 {
					t.Errorf("key id %q", ref.KeyID)
				}
			}
		}
	})
}
