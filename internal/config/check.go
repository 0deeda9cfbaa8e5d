package config

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
)

// fill sets what the file leaves out.
func (c *Config) fill() {
	for i := range c.Tenants {
		if c.Tenants[i].Cloud.Name == "" {
			c.Tenants[i].Cloud.Cloud = entra.Clouds()[0]
		}
	}
	for i := range c.Bindings {
		b := &c.Bindings[i]
		if b.Tenant == "" && len(c.Tenants) == 1 {
			b.Tenant = c.Tenants[0].Name
		}
		if b.RenewBefore == 0 {
			b.RenewBefore = b.Lifetime / 3
		}
		if b.Overlap == 0 {
			b.Overlap = min(defaultOverlap, b.RenewBefore)
		}
		if b.Retire == "" {
			b.Retire = "evidence"
		}
		if b.Prove.Times == 0 {
			b.Prove.Times = defaultTimes
		}
		if b.Prove.Over == 0 {
			b.Prove.Over = defaultOver
		}
		if t, ok := c.Tenant(b.Tenant); ok && b.Prove.Scope == "" {
			b.Prove.Scope = t.Cloud.Graph + "/.default"
		}
	}
}

// check finds what is wrong between the parts of a file.
func (c *Config) check(src *source) Errors {
	var errs Errors
	say := func(at Position, format string, args ...any) {
		errs = append(errs, Error{at, fmt.Sprintf(format, args...)})
	}
	if len(c.Tenants) == 0 {
		say(Position{src.name, 1, 1}, "tenants is missing: name at least one")
	}
	var names []string
	ids := map[string]Tenant{}
	for _, t := range c.Tenants {
		names = append(names, t.Name)
		if other, again := ids[strings.ToLower(t.TenantID)]; again {
			say(t.At, "the tenants %s and %s have the same tenant_id", other.Name, t.Name)
		}
		ids[strings.ToLower(t.TenantID)] = t
		if says := t.Identity.wrong(); says != "" {
			say(t.Identity.At, "%s", says)
		}
	}
	if src.open && !c.Store.IsZero() && passwordIn(c.Store) {
		say(c.Store.at, "a password stands in a file that others can read: use ${env:NAME} or ${file:PATH}, or take the file from others with chmod 600")
	}
	places, apps := map[string]Position{}, map[string]Binding{}
	for _, b := range c.Bindings {
		switch _, known := c.Tenant(b.Tenant); {
		case b.Tenant == "":
			say(b.At, "tenant is missing: it is one of %s", list(names))
		case !known:
			errs = append(errs, Unknown(b.At, "tenant", b.Tenant, names))
		}
		app := strings.ToLower(b.Tenant + " " + b.App)
		if other, again := apps[app]; again {
			say(b.At, "the bindings %s and %s have the same app: put all its sinks into one", other.Name, b.Name)
		}
		apps[app] = b
		errs = append(errs, b.wrong()...)
		for _, s := range b.Sinks {
			if first, again := places[s.place()]; again {
				say(s.At, "this %s sink writes to the same place as the one in line %d", s.Kind, first.Line)
				continue
			}
			places[s.place()] = s.At
		}
	}
	return errs
}

// wrong returns what is wrong with an identity, "" if nothing is.
func (i Identity) wrong() string {
	if i.IsZero() {
		return ""
	}
	var ways []string
	for _, way := range []struct {
		name  string
		given bool
	}{{"certificate", i.Certificate != ""}, {"secret", !i.Secret.IsZero()}, {"managed_identity", i.ManagedIdentity}, {"workload_identity", i.WorkloadIdentity}} {
		if way.given {
			ways = append(ways, way.name)
		}
	}
	switch {
	case len(ways) == 0:
		return "the identity has nothing to sign in with: give certificate, secret, managed_identity or workload_identity"
	case len(ways) > 1:
		return "the identity has more than one way to sign in: keep one of " + list(ways)
	case i.ClientID == "" && ways[0] != "managed_identity": // AZURE_CLIENT_ID may be that of a broken setting
		return "client_id is missing: a " + ways[0] + " belongs to an app"
	case !i.CertificatePassword.IsZero() && ways[0] != "certificate":
		return "certificate_password is given without certificate"
	}
	return ""
}

func (b Binding) wrong() Errors {
	var errs Errors
	say := func(format string, args ...any) { errs = append(errs, Error{b.At, fmt.Sprintf(format, args...)}) }
	if b.RenewBefore >= b.Lifetime {
		say("renew_before (%s) is not shorter than lifetime (%s): a secret would be replaced as soon as it is made", formatDuration(b.RenewBefore), formatDuration(b.Lifetime))
	}
	if b.Overlap >= b.Lifetime {
		say("overlap (%s) is not shorter than lifetime (%s)", formatDuration(b.Overlap), formatDuration(b.Lifetime))
	}
	if len(b.Sinks) == 0 {
		say("sinks is empty: a secret that is delivered nowhere helps nobody")
	}
	return errs
}

// passwordIn reports whether an address holds a password of its own.
func passwordIn(t Text) bool {
	parts, _ := t.parts()
	if len(parts) == 0 || parts[0].kind != literal {
		return false
	}
	address := ""
	for _, p := range parts {
		if p.kind == literal {
			address += p.name
		}
	}
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return strings.Contains(address, "password=")
	}
	password, _ := u.User.Password()
	return password != "" || u.Query().Has("password")
}
