package setting_test

import (
	"math/rand/v2"
	"testing"
	"testing/fstest"

	"github.com/credsmith/credsmith/internal/setting"
	"github.com/credsmith/credsmith/internal/settingtest"
)

// pieces are what values that break sign-in are made of.
var pieces = []string{
	"aB38Q~x.-_9", "a", "Z", "0", "~", " ", "\t", "\n", "\r\n", "\r", "\u00a0", "\ufeff", "\u200b", `"`, "'", "`", "“", "é", "🔑", "%7E", "&#126;", `\u007e`, `\`, `\n`,
	"$", "$$", "$x", "%", "%%", "%i", "#", " #", ";", "=", ":", ": ", "{", "}", "&", "<", ">", "|", "!", "*", "@", ",", "''", `""`, `"""`, "//", "/*", "]", "[",
}

// TestRoundTrip writes values in every kind of file, with the kind's own
// quotes, and reads them back.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, kind := range settingtest.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			written := 0
			for seed := range uint64(300) {
				draw := rand.New(rand.NewPCG(seed, 1))
				value := ""
				for range draw.IntN(6) {
					value += pieces[draw.IntN(len(pieces))]
				}
				files, ok := kind.Write(draw, settingtest.Parts{Tenant: tenantA, Client: clientA, Secret: value})
				if !ok {
					continue
				}
				written++
				fsys := fstest.MapFS{}
				for name, text := range files {
					fsys[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o600}
				}
				result, err := setting.Find(t.Context(), fsys, ".")
				if err != nil || len(result.Errors) > 0 || len(result.Settings) != 1 {
					t.Fatalf("%q in %q: %v %v, %d settings", value, files, err, result.Errors, len(result.Settings))
				}
				f := result.Settings[0]
				if got := f.Value.Reveal(); got != value || !f.Complete() || f.TenantID != tenantA || f.ClientID != clientA {
					t.Fatalf("%q in %q is read as %q %s %s %q", value, files, got, f.TenantID, f.ClientID, f.Secret.Unresolved)
				}
			}
			if written < 50 {
				t.Errorf("only %d values can be written", written)
			}
		})
	}
}
