package logscan

import (
	"strings"
	"testing"
	"time"
)

// TestChangeFiles: what each source of changes is shown as.
func TestChangeFiles(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const key, old = "0f1e2d3c-0000-4000-8000-0000000000c2", "1f1e2d3c-0000-4000-8000-0000000000c3"
	for _, test := range []struct{ name, text, kind, what string }{
		{"a replaced secret", auditOf(at, "["+old+"]", "["+key+"]"), "credential",
			"Update application – Certificates and secrets management, billing-worker: secret added, key id " + key + ": secret removed, key id " + old + ", by rotator"},
		{"storage export", `{"time":"2026-01-02T03:04:05Z","category":"AuditLogs","operationName":"Consent to application","properties":{"targetResources":[{"displayName":"billing"}]}}`, "consent", "Consent to application, billing"},
		{"policy", `{"records":[{"time":"2026-01-02T03:04:05Z","operationName":"Update conditional access policy"}]}`, "policy", "Update conditional access policy"},
		{"Key Vault", `{"records":[{"time":"2026-01-02T03:04:05Z","category":"AuditEvent","operationName":"SecretSet","resourceId":"/X/VAULTS/KV"}]}`, "vault", "SecretSet, /X/VAULTS/KV"},
		{"kubectl", `{"items":[{"kind":"Event","metadata":{"creationTimestamp":"2026-01-02T03:00:00Z"},"lastTimestamp":"2026-01-02T03:04:05Z","reason":"Killing","message":"Stopping container app","involvedObject":{"kind":"Pod","name":"billing-7f9c-x1"}}]}`, "deployment", "Killing Pod: Stopping container app, billing-7f9c-x1"},
		{"GitHub deployments", `[{"created_at":"2026-01-02T03:04:05Z","task":"deploy","environment":"production","ref":"v1.2","description":null,"creator":{"login":"ada"}}]`, "deployment", "deploy, production, v1.2, by ada"},
		{"gh run list", `[{"createdAt":"2026-01-02T03:04:05Z","displayTitle":"Release 1.2","workflowName":"deploy","conclusion":"success"}]`, "deployment", "Release 1.2, deploy, success"},
		{"helm history", `[{"revision":3,"updated":"2026-01-02T03:04:05Z","status":"deployed","chart":"billing-1.2","description":"Upgrade complete"}]`, "deployment", "Upgrade complete, billing-1.2, deployed"},
		{"az monitor activity-log", `[{"eventTimestamp":"2026-01-02T03:04:05Z","operationName":{"localizedValue":"Update Web App Config","value":"Microsoft.Web/sites/config/write"},"caller":"ada@example.org"}]`, "other", "Update Web App Config, by ada@example.org"},
		{"Log Analytics", `{"tables":[{"columns":[{"name":"TimeGenerated"},{"name":"OperationName"},{"name":"TargetResources"}],"rows":[["2026-01-02T03:04:05Z","Delete application","[{\"displayName\":\"billing\"}]"]]}]}`, "app", "Delete application, billing"},
		{"fuller git log", "commit 0123456789abcdef\nAuthor: A <a@b>\nDate:   Fri Jan 2 05:04:05 2026 +0200\n\n    Rotate secret\n", "credential", "commit 0123456789 Rotate secret"},
		{"git log with %ad", "0123abc Fri Jan 2 05:04:05 2026 +0200 deploy billing", "deployment", "0123abc Fri Jan 2 05:04:05 2026 +0200 deploy billing"},
		{"git log with %ct", "1767323045 Scale\n", "other", "1767323045 Scale"},
		{"credsmith rotate history", `[{"rotation":"r1","binding":"billing-api","state":"done","old_key_id":"` + old + `","new_key_id":"` + key + `","at":"2026-01-02T03:04:05Z"}]`, "credential",
			"credsmith rotation of billing-api, done: secret added, key id " + key},
		{"CSV", "Date,Who,Summary\n2026-01-02T03:04:05Z,ada,restart\n", "deployment", "restart"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			changes, err := ReadChanges("changes", strings.NewReader(test.text), testNow)
			if err != nil || len(changes) != 1 {
				t.Fatalf("%+v, %v", changes, err)
			}
			if c := changes[0]; !c.At.Equal(at) || c.What != test.what || c.Kind != test.kind {
				t.Errorf("%v %s %q, want %s %q", c.At, c.Kind, c.What, test.kind, test.what)
			}
		})
	}
}

// TestRanking: what touches the incident and can break a sign-in goes before
// what is near.
func TestRanking(t *testing.T) {
	t.Parallel()
	started := time.Date(2026, 1, 9, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration, what string, ids ...string) Change {
		c := change(started.Add(-d), what, nil)
		c.ids = ids
		return c
	}
	const key = "0f1e2d3c-0000-4000-8000-0000000000c2"
	r := Result{Incidents: []Incident{{AppID: changedApp, Started: &started, Name: "billing-worker", Succeeded: &Succeeded{KeyIDs: []string{key}},
		Places: []Place{{File: "x", Pod: "checkout-7f9c6d5b8d-abcde"}}}}}
	r.Explain([]Change{ago(time.Minute, "lunch"), ago(3*time.Minute, "deploy search"), ago(2*time.Hour, "deploy checkout"), ago(4*24*time.Hour, "Update application – Certificates and secrets management", changedApp),
		ago(time.Hour, "SecretSet kv", key), ago(5*time.Minute, "Update billing-worker settings"), ago(2*time.Minute, "tea")})
	var got []string
	for _, c := range r.Incidents[0].Changes {
		got = append(got, c.What+"/"+strings.Join(c.Touches, "+"))
	}
	want := "SecretSet kv/key, Update application – Certificates and secrets management/app, Update billing-worker settings/name, deploy checkout/place, deploy search/"
	if strings.Join(got, ", ") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, ", "), want)
	}
	if r.Incidents[0].Changes[0].Before != 3600 {
		t.Errorf("before %v", r.Incidents[0].Changes[0].Before)
	}
}
