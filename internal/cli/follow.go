package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/credsmith/credsmith/internal/config"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/setting"
	"github.com/credsmith/credsmith/internal/sink/keyvault"
)

// resolver takes what stands for a value elsewhere from there: a variable from
// this environment, a Key Vault reference from the vault, as the operator.
type resolver struct {
	*program
	directory *directory
	vaults    map[string]secret.Value // by address: many settings name one secret
}

var (
	variableForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\$[{(]([A-Za-z_][A-Za-z0-9_]*)[})]$`) })
	composeForm  = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*) of the shell that starts compose$`)
	})
)

// follow puts in place what it finds, and says on standard error what it does not.
func (f *resolver) follow(ctx context.Context, all []setting.Found) {
	for i := range all {
		s := &all[i]
		f.id(s, &s.Tenant, &s.TenantID)
		f.id(s, &s.Client, &s.ClientID)
		f.secret(ctx, s)
	}
}

// id takes an id from the environment.
func (f *resolver) id(s *setting.Found, part *setting.Part, to *string) {
	if name := variableOf(*part); name != "" {
		text, set := f.LookupEnv(name)
		if !set {
			f.leave(s, *part, errNotSet)
			return
		}
		*to = text
		follows(s, part, "this environment")
	}
}

func (f *resolver) secret(ctx context.Context, s *setting.Found) {
	part := &s.Secret
	name := variableOf(*part)
	text, set := f.LookupEnv(name)
	switch {
	case name != "" && set:
		s.Value = secret.New(text)
		follows(s, part, "this environment")
	case name != "":
		f.leave(s, *part, errNotSet)
	case part.Unresolved == "" || part.Vault == "":
	case part.Pinned:
		f.leave(s, *part, errPinned)
	default:
		value, known := f.vaults[part.Vault]
		if !known {
			var err error
			if value, err = f.read(ctx, part.Vault, s.TenantID); err != nil {
				f.leave(s, *part, err)
				return
			}
			f.vaults[part.Vault] = value
		}
		s.Value = value
		follows(s, part, part.Vault)
	}
}

var (
	errNotSet = errors.New("the variable is not set in this environment")
	errPinned = errors.New("it names one version of its secret, which no rotation reaches: leave the version out")
)

func (f *resolver) leave(s *setting.Found, part setting.Part, err error) {
	fmt.Fprintf(f.Stderr, "warning: %s: %s was not followed: %s\n", oneLine(s.Origin), oneLine(part.Unresolved), oneLine(err.Error()))
}

// follows notes where a part came from.
func follows(s *setting.Found, part *setting.Part, from string) {
	s.Notes = slices.DeleteFunc(s.Notes, func(note string) bool { return strings.HasSuffix(note, ": "+part.Unresolved) })
	s.Notes = append(s.Notes, part.Unresolved+" is taken from "+from)
	part.Unresolved = ""
}

// leads reports whether --follow knows what to do with a part.
func leads(part setting.Part) bool {
	return part.Unresolved != "" && (variableOf(part) != "" || part.Vault != "" && !part.Pinned)
}

// variableOf is the variable that a reference names, "" for another reference.
func variableOf(part setting.Part) string {
	for _, form := range []*regexp.Regexp{variableForm(), composeForm()} {
		if m := form.FindStringSubmatch(part.Unresolved); m != nil {
			return m[1]
		}
	}
	return ""
}

// read asks a vault of Microsoft's, or on this machine, and no other host.
func (f *resolver) read(ctx context.Context, address, tenant string) (secret.Value, error) {
	u, err := url.Parse(address)
	if err != nil {
		return secret.Value{}, err
	}
	origin := "https://" + strings.ToLower(u.Host)
	microsofts := slices.ContainsFunc(entra.Clouds(), func(c entra.Cloud) bool { return strings.HasSuffix(origin, "."+c.Vault) })
	if !microsofts && !onThisMachine(origin) {
		return secret.Value{}, fmt.Errorf("%s is no vault of Microsoft's", u.Host)
	}
	_, operator, err := f.directory.of(ctx, config.Tenant{Name: "of the setting", TenantID: tenant})
	if err != nil {
		return secret.Value{}, err
	}
	name := strings.TrimPrefix(u.Path, "/secrets/")
	vault, err := keyvault.New(keyvault.Config{Vault: origin, Secret: name}, operator, f.directory.client)
	if err != nil {
		return secret.Value{}, err
	}
	held, err := vault.Read(ctx)
	if err == nil && !held.Exists {
		err = fmt.Errorf("the vault has no enabled secret of that name")
	}
	return held.Value, err
}
