package entralab

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestVaultFaults puts the faults in front of a handler that stands for a
// vault: it echoes the body.
func TestVaultFaults(t *testing.T) {
	t.Parallel()
	l, err := Start(context.Background(), Config{InProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	handler := l.withFaults(surfaceVault, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	for _, tc := range []struct {
		fault, kind, method string
		status              int
		want                string
	}{
		{"F39", "deleted", "PUT", 409, `{"error":{"code":"Conflict","message":"Secret billing is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged.","innererror":{"code":"ObjectIsDeletedButRecoverable"}}}`},
		{"F39", "recovering", "PUT", 409, "ObjectIsBeingRecovered"},
		{"F39", "conflict", "PUT", 409, `"code":"Conflict"`},
		{"F40", "firewall", "GET", 403, "ForbiddenByFirewall"},
		{"F40", "rbac", "GET", 403, "ForbiddenByRbac"},
		{"F40", "throttled", "PUT", 429, "Throttled"},
		{"F40", "disabled", "GET", 403, "Operation get is not allowed on a disabled secret."},
		{"F40", "late", "GET", 404, "A secret with (name/id) billing was not found"},
		{"F41", "too-large", "PUT", 400, "25 KB"},
		{"F41", "tags", "PUT", 400, "15 tags"},
		{"F41", "trimmed", "PUT", 200, `{"value":"abcdé"}`},
		{"F23", "", "GET", 403, "ForbiddenByRbac"},
		{"F6", "zero", "GET", 429, "Throttled"},
	} {
		rule := FaultRule{Match: FaultMatch{Surface: surfaceVault}, Fault: tc.fault}
		if tc.kind != "" {
			rule.Params = map[string]any{"kind": tc.kind}
		}
		if _, err := l.AddFault(rule); err != nil {
			t.Fatal(err)
		}
		before := len(l.History(0))
		out := httptest.NewRecorder()
		handler(out, httptest.NewRequest(tc.method, "/secrets/billing", strings.NewReader(`{"value":"abcdéf"}`)))
		if out.Code != tc.status || !strings.Contains(out.Body.String(), tc.want) {
			t.Errorf("%s %s: %d %s", tc.fault, tc.kind, out.Code, out.Body)
		}
		events := l.History(before)
		if len(events) != 1 || events[0].Fault != tc.fault || events[0].Outcome != "fault" || events[0].Status != tc.status || events[0].Surface != "vault" {
			t.Errorf("%s %s: %+v", tc.fault, tc.kind, events)
		}
		l.RemoveFaults()
	}
}

func TestWildcard(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern, text string
		want          bool
	}{
		{"*addpassword", "/v1.0/applications/x/addpassword", true}, {"*addpassword", "/addpassword/x", false},
		{"/a*b*c", "/axxbyyc", true}, {"/a*b*c", "/axxc", false}, {"*", "", true}, {"/a", "/a", true}, {"/a", "/ab", false},
		{"ab*ba", "aba", false}, {"**x", "x", true},
	} {
		if got := wildcard(tc.pattern, tc.text); got != tc.want {
			t.Errorf("%q of %q: %v", tc.pattern, tc.text, got)
		}
	}
}
