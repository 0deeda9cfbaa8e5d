package logscan

import (
	"strings"
	"testing"
	"time"
)

const changedApp = "03146f14-24fa-4cde-8455-537c6ff06a55"

func TestReadChanges(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct{ name, text, what string }{
		{"audit from Graph", `{"value":[{"activityDateTime":"2026-01-02T03:04:05Z","activityDisplayName":"Update application – Certificates and secrets management","targetResources":[{"id":"` + changedApp + `"}]}]}`, "Update application – Certificates and secrets management"},
		{"audit export", `{"time":"2026-01-02T03:04:05.0000000Z","category":"AuditLogs","operationName":"Delete application","properties":{"id":"x"}}`, "Delete application"},
		{"Event Hub", `{"records":[{"time":"2026-01-02T03:04:05Z","operationName":"SecretSet"}]}`, "SecretSet"},
		{"kubectl get events", `{"kind":"List","items":[{"metadata":{"creationTimestamp":"2026-01-02T03:04:05Z"},"reason":"Killing","message":"Stopping container billing"}]}`, "Stopping container billing"},
		{"deployments", `[{"created_at":"2026-01-02T03:04:05Z","description":"deploy billing"}]`, "deploy billing"},
		{"epoch", `{"at":1767323045,"what":"deploy"}`, "deploy"},
		{"git log", "commit 0123456789abcdef0123456789abcdef01234567\nAuthor: A <a@example.org>\nDate:   Fri Jan 2 05:04:05 2026 +0200\n\n    Rotate secret\n", "commit 0123456789 Rotate secret"},
		{"git log, one a line", "2026-01-02T03:04:05+00:00 Rotate secret", "2026-01-02T03:04:05+00:00 Rotate secret"},
		{"CSV", "When,Time,What\nx,2026-01-02T03:04:05Z,\"deploy, billing\"\n", "deploy, billing"},
		{"a secret", `{"time":"2026-01-02T03:04:05Z","what":"set abc8Q~0123456789012345678901234567890123 in vault"}`, "set [secret] in vault"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			changes, err := ReadChanges("changes", strings.NewReader(test.text), testNow)
			if err != nil || len(changes) != 1 || !changes[0].At.Equal(want) || changes[0].What != test.what || changes[0].Source != "changes" {
				t.Errorf("%+v %v, want %s at %s", changes, err, test.what, want)
			}
		})
	}
	if _, err := ReadChanges("changes", strings.NewReader(`{"at":`), testNow); err == nil {
		t.Error("JSON that was cut short gives no error")
	}
}

func TestChangesBeforeAnIncident(t *testing.T) {
	t.Parallel()
	started := time.Date(2026, 1, 9, 12, 0, 0, 0, time.UTC)
	at := func(ago time.Duration, what string, ids ...string) Change {
		return Change{At: started.Add(-ago), What: what, ids: ids}
	}
	r := Result{Incidents: []Incident{{AppID: changedApp, Started: &started}, {AppID: "other"}}}
	r.Explain([]Change{at(-time.Hour, "after it"), at(time.Hour, "near"), at(48*time.Hour, "of the app", changedApp), at(2*time.Hour, "less near"), at(8*24*time.Hour, "long ago", changedApp)})
	var got []string
	for _, c := range r.Incidents[0].Changes {
		got = append(got, c.What)
	}
	if strings.Join(got, ", ") != "of the app, near, less near" || !r.Incidents[0].Changes[0].SameApp || r.Incidents[0].Changes[1].SameApp {
		t.Errorf("changes %q", got)
	}
	if len(r.Incidents[0].Evidence) != 1 || r.Incidents[1].Changes != nil {
		t.Errorf("evidence %q; an incident without a time has %v", r.Incidents[0].Evidence, r.Incidents[1].Changes)
	}
}

func FuzzReadChanges(f *testing.F) {
	for _, text := range []string{`{"value":[{"time":"2026-01-02T03:04:05Z"}]}`, "time,what\n2026-01-02 03:04:05,x", "commit a\nDate:   Fri Jan 2 05:04:05 2026 +0200\n\n x", "2026-01-02 03:04:05 x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		changes, _ := ReadChanges("changes", strings.NewReader(text), testNow)
		for _, c := range changes {
			if c.At.IsZero() || c.At.Location() != time.UTC || len(c.What) > maxWhat+len("…") || secretForm().MatchString(c.What) {
				t.Errorf("%+v", c)
			}
		}
	})
}
