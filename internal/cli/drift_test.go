package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/internal/drift"
	"github.com/credsmith/credsmith/internal/settingtest"
)

const (
	otherTenant = "7f1c0000-0000-4000-8000-0000000000a2"
	vaultSecret = "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/billing/"
)

// driftPlace is a setting in a directory.
type driftPlace struct {
	dir                    string
	tenant, client, secret string
}

// TestDriftAcrossKinds: each kind of drift is seen, and none where there is
// none, whatever two kinds of file hold the settings.
func TestDriftAcrossKinds(t *testing.T) {
	t.Parallel()
	a, b := clientID(1), clientID(2)
	one, two := "aB38Q~0123456789abcdefghijklmnopqrs-._~X", "aB38Q~0123456789abcdefghijklmnopqrs-._~Y"
	tests := []struct {
		name   string
		places [2]driftPlace
		want   drift.Kind // "" for none
	}{
		{"one place missed", [2]driftPlace{{"prod/api", homeTenant, a, one}, {"prod/job", homeTenant, a, two}}, drift.OnePlaceMissed},
		{"one place missed, environments by other names", [2]driftPlace{{"live/api", homeTenant, a, one}, {"production/job", homeTenant, a, two}}, drift.OnePlaceMissed},
		{"one value in both", [2]driftPlace{{"prod/api", homeTenant, a, one}, {"prd/job", homeTenant, a, one}}, ""},
		{"each environment its own value", [2]driftPlace{{"uat/api", homeTenant, a, one}, {"prod/api", homeTenant, a, two}}, ""},
		{"tenants differ", [2]driftPlace{{"qa", homeTenant, a, one}, {"test", otherTenant, a, one}}, drift.TenantDiffers},
		{"tenants written in another way", [2]driftPlace{{"qa", homeTenant, a, one}, {"test", "{" + strings.ToUpper(homeTenant) + "}", a, one}}, ""},
		{"two apps, one value", [2]driftPlace{{"x", homeTenant, a, one}, {"y", homeTenant, b, one}}, drift.SharedValue},
		{"two apps, two values", [2]driftPlace{{"x", homeTenant, a, one}, {"y", homeTenant, b, two}}, ""},
		{"production shares with staging", [2]driftPlace{{"prd", homeTenant, a, one}, {"preprod", homeTenant, a, one}}, drift.SharedValue},
		{"staging shares with test", [2]driftPlace{{"stage", homeTenant, a, one}, {"qa", homeTenant, a, one}}, ""},
		{"a pinned version", [2]driftPlace{{"x", homeTenant, a, vaultSecret + "0123456789abcdef)"}, {"y", homeTenant, b, two}}, drift.PinnedVersion},
		{"a reference without a version", [2]driftPlace{{"x", homeTenant, a, vaultSecret + ")"}, {"y", homeTenant, b, two}}, ""},
		{"a placeholder is no shared value", [2]driftPlace{{"x", homeTenant, a, "changeme"}, {"y", homeTenant, b, "changeme"}}, ""},
	}
	// The names of these files tell their environment.
	kinds := slices.DeleteFunc(settingtest.Kinds(), func(k settingtest.Kind) bool { return k.Name == "Helm overlay" || k.Name == "local.settings.json" })
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for i := range kinds {
				first, second := kinds[i], kinds[(i+1)%len(kinds)]
				dir := t.TempDir()
				draw := rand.New(rand.NewPCG(uint64(i), 1))
				for n, p := range tt.places {
					writeKind(t, draw, []settingtest.Kind{first, second}[n], filepath.Join(dir, p.dir, fmt.Sprint(n)), p)
				}
				checkDrift(t, dir, first.Name+" and "+second.Name, tt.want)
			}
		})
	}
}

func writeKind(t *testing.T, draw *rand.Rand, kind settingtest.Kind, dir string, p driftPlace) {
	t.Helper()
	files, ok := kind.Write(draw, settingtest.Parts{Tenant: p.tenant, Client: p.client, Secret: p.secret})
	if !ok {
		t.Fatalf("%s cannot hold the setting", kind.Name)
	}
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func checkDrift(t *testing.T, dir, what string, want drift.Kind) {
	t.Helper()
	code, stdout, stderr := runProgram(t, "drift", dir, "-o", "json")
	var out struct{ Apps []drift.App }
	if err := json.Unmarshal([]byte(stdout), &out); err != nil || stderr != "" {
		t.Fatalf("%s: %v, %s", what, err, stderr)
	}
	got := map[drift.Kind]bool{}
	places := 0
	for _, app := range out.Apps {
		places += len(app.Places)
		for _, d := range app.Drift {
			got[d.Kind] = true
		}
		for _, p := range app.Places {
			if !strings.HasPrefix(p.Origin, dir) {
				t.Errorf("%s: the origin %s is not the path", what, p.Origin)
			}
		}
	}
	wantCode := exitFine
	if want != "" {
		wantCode = exitProblem
	}
	if places != 2 || code != wantCode || len(got) != wantCode || want != "" && !got[want] {
		t.Errorf("%s: %d places, exit %d, drift %v, want %q\n%s", what, places, code, got, want, stdout)
	}
}

func runProgram(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	home := t.TempDir()
	code = Run(t.Context(), args, Env{
		LookupEnv: func(name string) (string, bool) {
			if name == "HOME" || name == "XDG_STATE_HOME" {
				return home, true
			}
			return "", false
		},
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
	})
	return code, out.String(), errs.String()
}

func TestDriftExitCodes(t *testing.T) {
	t.Parallel()
	env := "AZURE_TENANT_ID=" + homeTenant + "\nAZURE_CLIENT_ID=" + clientID(1) + "\nAZURE_CLIENT_SECRET=aB38Q~0123456789abcdefghijklmnopqrs-._~"
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  int
	}{
		{"no drift", map[string]string{"a.env": env + "X", "b.env": env + "X"}, exitFine},
		{"drift", map[string]string{"a.env": env + "X", "b.env": env + "Y"}, exitProblem},
		{"a file that cannot be read", map[string]string{"a.env": env + "X", "b.tf": "client_id = \"\n"}, exitCannotTell},
		{"drift and a file that cannot be read", map[string]string{"a.env": env + "X", "b.env": env + "Y", "b.tf": "client_id = \"\n"}, exitProblem},
		{"nothing", map[string]string{"notes.txt": "x"}, exitCannotTell},
	} {
		dir := t.TempDir()
		for name, text := range tt.files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if code, stdout, stderr := runProgram(t, "drift", dir); code != tt.want {
			t.Errorf("%s: exit %d, want %d\n%s%s", tt.name, code, tt.want, stdout, stderr)
		}
	}
	for _, args := range [][]string{{"drift"}, {"drift", filepath.Join(t.TempDir(), "gone")}} {
		if code, _, stderr := runProgram(t, args...); code != exitUsage {
			t.Errorf("%q: exit %d, want %d: %s", args, code, exitUsage, stderr)
		}
	}
}
