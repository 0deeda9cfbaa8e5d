package diagnose_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing/fstest"

	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/setting"
	"github.com/credsmith/credsmith/internal/settingtest"
)

// throughFile writes the setting of a case in one kind of file, drawn from
// those that can hold it, and reads it back. It returns what was read, the
// kind, and what the reader made wrong.
func throughFile(ctx context.Context, draw *rand.Rand, c diagnose.Case) (found setting.Found, kind, wrong string) {
	kinds := settingtest.Kinds()
	parts := settingtest.Parts{Tenant: c.Setting.TenantID, Client: c.Setting.ClientID, Secret: c.Setting.Value.Reveal()}
	for range 1000 {
		k := kinds[draw.IntN(len(kinds))]
		files, ok := k.Write(draw, parts)
		if !ok {
			continue
		}
		fsys := fstest.MapFS{}
		for name, text := range files {
			fsys[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o600}
		}
		result, err := setting.Find(ctx, fsys, ".")
		if err != nil || len(result.Errors) > 0 || len(result.Settings) != 1 {
			return found, k.Name, fmt.Sprintf("%v, errors %v, %d settings", err, result.Errors, len(result.Settings))
		}
		found = result.Settings[0]
		for _, p := range []struct {
			name      string
			part      setting.Part
			got, want string
		}{{"tenant id", found.Tenant, found.TenantID, parts.Tenant}, {"client id", found.Client, found.ClientID, parts.Client}, {"value", found.Secret, found.Value.Reveal(), parts.Secret}} {
			if !p.part.Set || p.part.Unresolved == "" && p.got != p.want {
				wrong += fmt.Sprintf("the %s of %d bytes is read as %d bytes; ", p.name, len(p.want), len(p.got))
			}
		}
		return found, k.Name, wrong
	}
	return found, "none", "no kind of file can hold it"
}

// unread is the answer on a setting with a part that is a reference: nothing
// is sent, and the part is named. It is what doctor --from says.
func unread(f setting.Found) diagnose.Report {
	cause := diagnose.Cause("tenant-placeholder")
	switch {
	case f.Secret.Unresolved != "":
		cause = "secret-placeholder"
	case f.Tenant.Unresolved == "":
		cause = "client-id-malformed"
	}
	return diagnose.Report{Verdict: diagnose.Inconclusive, Cause: &cause, Confidence: diagnose.Possible}
}
