package logscan

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/internal/logscan/export"
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

// FuzzResult: whatever a log or an export holds, the result prints no secret.
func FuzzResult(f *testing.F) {
	f.Add("host=abc8Q~0123456789012345678901234567890123 env=PROD pod=a-b ")
	f.Add("[pod/a/b] <34>1 2026-01-02T03:04:05Z h a - - __HOSTNAME=x\nMESSAGE=")
	f.Add("billing-1 | Jan  2 03:04:05 web1 app[1]: Tenant 'abc8Q~0123456789012345678901234567890123' not found client_secret=kP3x9vLmQ2ab47 ")
	f.Fuzz(func(t *testing.T, before string) {
		text, err := json.Marshal(before)
		if err != nil {
			t.Skip()
		}
		for _, log := range []string{
			before + fieldText + "\n" + before,
			`[{"timestamp":"2026-01-02T03:04:05Z","cloud_RoleInstance":` + string(text) + `,"message":"` + fieldText + `"},{"time":"2026-01-02T03:04:05Z","appId":"` + fieldApp + `","resultType":"7000215","servicePrincipalName":` + string(text) + `}]`,
		} {
			s := New(Options{Now: testNow, Key: testKey})
			if format := export.Sniff([]byte(log[:min(len(log), export.Enough)])); format != export.None {
				_ = s.Records(t.Context(), "log", strings.NewReader(log), format)
			} else if err := s.Reader(t.Context(), "log", strings.NewReader(log)); err != nil {
				t.Fatal(err)
			}
			// As it is: escapes would part or join what stands beside them.
			if shown := fmt.Sprintf("%+v", s.Result()); entraSecret.MatchString(shown) {
				t.Errorf("%s", shown)
			}
		}
	})
}

var entraSecret = regexp.MustCompile(`[A-Za-z0-9._~-]{3}[0-9]Q~[A-Za-z0-9._~-]{31}`)
