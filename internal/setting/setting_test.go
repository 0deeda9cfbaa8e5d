package setting_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/setting"
)

func env(pairs map[string]string) func(string) (string, bool) {
	return func(key string) (string, bool) {
		v, ok := pairs[key]
		return v, ok
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	s, err := setting.Environment(env(map[string]string{"AZURE_TENANT_ID": "t", "ARM_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "v\n"}))
	if err != nil || s.TenantID != "t" || s.ClientID != "c" || s.Value.Reveal() != "v\n" || s.Origin != "environment" {
		t.Errorf("Environment = %+v, %v", s, err)
	}
	_, err = setting.Environment(env(map[string]string{"AZURE_TENANT_ID": "t"}))
	if missing, ok := errors.AsType[*setting.Missing](err); !ok || err.Error() != "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET not set" {
		t.Errorf("error %v (%v), want the two names", err, missing)
	}
	if s, err = setting.Environment(env(map[string]string{"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": ""})); err != nil || !s.Value.IsEmpty() {
		t.Errorf("an empty secret: %v, want no error: it is a finding", err)
	}
}

func TestDotenv(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file string
		value      string
		origin     string
	}{
		{"plain", "AZURE_TENANT_ID=t\nAZURE_CLIENT_ID=c\nAZURE_CLIENT_SECRET=a8Q~b\n", "a8Q~b", "f:3:21"},
		{"quotes", "AZURE_TENANT_ID=t\nAZURE_CLIENT_ID=c\nAZURE_CLIENT_SECRET=\"a b\" # why\n", "a b", "f:3:21"},
		{"export, CRLF, comment", "# top\r\nexport AZURE_TENANT_ID=t\r\nAZURE_CLIENT_ID = c\r\n  AZURE_CLIENT_SECRET='a#b' # c\r\n", "a#b", "f:4:23"},
		{"last counts", "AZURE_CLIENT_SECRET=old\nAZURE_TENANT_ID=t\nAZURE_CLIENT_ID=c\nAZURE_CLIENT_SECRET=new", "new", "f:4:21"},
		{"hash inside", "AZURE_TENANT_ID=t\nAZURE_CLIENT_ID=c\nAZURE_CLIENT_SECRET=a#b # c\n", "a#b", "f:3:21"},
		{"open quote stays", "AZURE_TENANT_ID=t\nAZURE_CLIENT_ID=c\nAZURE_CLIENT_SECRET=\"ab\n", `"ab`, "f:3:21"},
		{"empty", "AZURE_TENANT_ID=t\nAZURE_CLIENT_ID=c\nAZURE_CLIENT_SECRET=\n", "", "f:3:21"},
		{"byte order mark", "\ufeffAZURE_CLIENT_SECRET=v\nAZURE_TENANT_ID=t\nAZURE_CLIENT_ID=c\n", "v", "f:1:24"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := setting.ParseDotenv([]byte(tt.file))
			s, err := d.Setting("f")
			if err != nil || s.Value.Reveal() != tt.value || s.Origin != tt.origin || s.TenantID != "t" || s.ClientID != "c" {
				t.Fatalf("Setting = %+v %q, %v; want value %q at %s", s, s.Value.Reveal(), err, tt.value, tt.origin)
			}
			changed, err := d.With("AZURE_CLIENT_SECRET", secret.New("Xy~.-_9"))
			if err != nil {
				t.Fatal(err)
			}
			again, err := setting.ParseDotenv(changed).Setting("f")
			if err != nil || again.Value.Reveal() != "Xy~.-_9" {
				t.Errorf("read back %q, %v", again.Value.Reveal(), err)
			}
		})
	}
}

func TestDotenvRefusesWhatReadersDisagreeOn(t *testing.T) {
	t.Parallel()
	d := setting.ParseDotenv([]byte("K=v\n"))
	for _, text := range []string{"", "a\nb", "a$b", "a'b", `a"b`, `a\b`, "a`b"} {
		if _, err := d.With("K", secret.New(text)); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("With(%q) error %v", text, err)
		}
	}
	if _, err := d.With("L", secret.New("v")); err == nil {
		t.Error("a missing key is written")
	}
}

func FuzzDotenv(f *testing.F) {
	f.Add([]byte("A=b\r\n export K = 'v' # c\nK=\"x"), "new~value")
	f.Fuzz(func(t *testing.T, file []byte, value string) {
		d := setting.ParseDotenv(file)
		changed, err := d.With("K", secret.New(value))
		if err != nil {
			return
		}
		// What is before and after the value is kept byte for byte.
		restored, err := setting.ParseDotenv(changed).With("K", secret.New("Z"))
		first, err2 := d.With("K", secret.New("Z"))
		if err != nil || err2 != nil {
			t.Fatalf("cannot write again: %v %v", err, err2)
		}
		if !bytes.Equal(bytes.ReplaceAll(restored, []byte("'"), nil), bytes.ReplaceAll(first, []byte("'"), nil)) {
			t.Errorf("other bytes changed: %q, %q", first, restored)
		}
	})
}
