package cli

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/credsmith/credsmith/internal/config"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/setting"
	"github.com/credsmith/credsmith/internal/sink"
)

// inStore is what [setting.Found.Consumer] says of a place that a binding names.
const inStore = "store"

// storedSettings reads what the places of all bindings hold. whole is false
// where one could not be read, which is said on standard error. A place that
// cannot be read back, holds nothing, or is one of the files read already is
// left out.
func (p *program) storedSettings(ctx context.Context, known []setting.Found) (all []setting.Found, whole bool, err error) {
	r, err := p.rotations(ctx)
	if err != nil {
		return nil, false, err
	}
	whole = true
	for _, b := range r.config.Bindings {
		t, _ := r.config.Tenant(b.Tenant) // checked with the configuration
		_, operator, err := r.dir.of(ctx, t)
		if err != nil {
			return nil, false, err
		}
		sinks, err := r.sinks(b, operator)
		if err != nil {
			return nil, false, err
		}
		for _, s := range sinks {
			if !s.Abilities().ReadBack || slices.ContainsFunc(known, func(f setting.Found) bool { return isFile(s.Ref(), f.Secret.File) }) {
				continue
			}
			held, err := s.Read(ctx)
			if err != nil {
				fmt.Fprintf(p.Stderr, "warning: %s was not read: %s\n", oneLine(s.Ref()), oneLine(err.Error()))
				whole = false
				continue
			}
			if held.Exists {
				all = append(all, stored(t, b, s, held))
			}
		}
	}
	return all, whole, ctx.Err()
}

// isFile reports whether a place is that file: "dotenv:/srv/.env#KEY".
func isFile(ref, file string) bool {
	path, err := filepath.Abs(file)
	return err == nil && file != "" && strings.Contains(ref, ":"+path+"#")
}

func stored(t config.Tenant, b config.Binding, s sink.Sink, held sink.Held) setting.Found {
	at := setting.Part{Set: true, File: s.Ref()}
	return setting.Found{
		Setting:  entra.Setting{TenantID: t.TenantID, ClientID: b.App, Value: held.Value, Authority: t.Cloud.Authority, Origin: s.Ref()},
		Consumer: inStore, Name: b.Name, Environment: cmp.Or(setting.EnvironmentOf(b.Name), setting.EnvironmentOf(s.Ref())),
		Tenant: at, Client: at, Secret: at,
	}
}
