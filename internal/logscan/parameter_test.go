package logscan

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestParameters: a secret of any form in a form body or JSON near a failure.
func TestParameters(t *testing.T) {
	t.Parallel()
	const value = "kP3+x/9vLmQ2ab47="
	for text, want := range map[string]int{
		"POST client_id=a&client_secret=kP3%2Bx%2F9vLmQ2ab47%3D&scope=x": 1, `{"client_secret":"` + value + `"}`: 1, `{\"clientSecret\":\"` + value + `\"}`: 1, "client_secret: " + value: 1,
		"client_secret=***** x": 0, "client_secret=[redacted-12345678]": 0, "client_secret=${AZURE_SECRET_1}": 0, "client_secret is invalid12345": 0, "client_secret=short1": 0, "client_secret=abc8Q~0123456789012345678901234567890123": 1,
	} {
		log := strings.Repeat("2026-01-02T03:04:05Z INFO x\n", 20) + text + "\n2026-01-02T03:04:06Z ERROR " + fieldText + "\n"
		s := New(Options{Now: testNow, Key: testKey})
		readAny(t, s, "log", log)
		r := s.Result()
		if len(r.Secrets) != want {
			t.Errorf("%s: %+v", text, r.Secrets)
			continue
		}
		if want == 1 && (r.Secrets[0].Times != 1 || !strings.HasPrefix(log[r.Secrets[0].Offset:], "kP3") && !strings.HasPrefix(log[r.Secrets[0].Offset:], "abc8Q~")) {
			t.Errorf("%s: %+v", text, r.Secrets[0])
		}
		if shown, _ := json.Marshal(r); strings.Contains(string(shown), "kP3") {
			t.Errorf("the result prints it: %s", shown)
		}
	}
}
