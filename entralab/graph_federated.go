package entralab

import (
	"encoding/json"
	"maps"
	"slices"
)

// Limits of federated credentials: the number is reported by users, the
// lengths are Microsoft's documentation.
const (
	maxFederated     = 20
	maxFederatedName = 120
	maxFederatedText = 600
)

// shown is a federated credential as Graph shows it.
func (f federatedCredential) shown() object {
	return object{
		{"id", f.id.String()}, {"name", f.name}, {"issuer", f.issuer}, {"subject", f.subject},
		{"description", nullable(f.description)}, {"audiences", append([]string{}, f.audiences...)},
	}
}

func (c *graphCall) federatedContext(of *application, suffix string) member {
	return c.context("applications('" + of.id.String() + "')/federatedIdentityCredentials" + suffix)
}

func (c *graphCall) listFederated() (any, *graphError) {
	a, refused := c.application()
	if refused != nil {
		return nil, refused
	}
	if refused := c.refuseOptions("top"); refused != nil {
		return nil, refused
	}
	values := []object{}
	for _, f := range a.federated {
		values = append(values, f.shown())
	}
	return object{c.federatedContext(a, ""), {"value", values}}, nil
}

// federatedAt finds the credential a path names, by id or by name.
func (c *graphCall) federatedAt(a *application) (int, *graphError) {
	id, isID := parseGUID(c.keys[1])
	i := slices.IndexFunc(a.federated, func(f federatedCredential) bool { return isID && f.id == id || f.name == c.keys[1] })
	if i < 0 {
		return 0, notFound(c.keys[1])
	}
	return i, nil
}

// ownFederated finds it in an application that the caller may change.
func (c *graphCall) ownFederated() (*application, int, *graphError) {
	a, refused := c.ownApplication()
	if refused != nil {
		return nil, 0, refused
	}
	i, refused := c.federatedAt(a)
	return a, i, refused
}

func (c *graphCall) getFederated() (any, *graphError) {
	a, refused := c.application()
	if refused != nil {
		return nil, refused
	}
	i, refused := c.federatedAt(a)
	if refused != nil {
		return nil, refused
	}
	return append(object{c.federatedContext(a, "/$entity")}, a.federated[i].shown()...), nil
}

func (c *graphCall) addFederated() (any, *graphError) {
	a, refused := c.ownApplication()
	if refused != nil {
		return nil, refused
	}
	var f federatedCredential
	if refused := c.readFederated(&f, false); refused != nil {
		return nil, refused
	}
	if len(a.federated) >= maxFederated {
		return nil, errTooManyValues
	}
	if refused := uniqueFederated(a.federated, f); refused != nil {
		return nil, refused
	}
	f.id = c.lab.random.guid()
	a.federated = append(slices.Clone(a.federated), f)
	c.noteFederated(a)
	return append(object{c.federatedContext(a, "/$entity")}, f.shown()...), nil
}

func (c *graphCall) patchFederated() (any, *graphError) {
	a, i, refused := c.ownFederated()
	if refused != nil {
		return nil, refused
	}
	f := a.federated[i]
	if refused := c.readFederated(&f, true); refused != nil {
		return nil, refused
	}
	if refused := uniqueFederated(slices.Delete(slices.Clone(a.federated), i, i+1), f); refused != nil {
		return nil, refused
	}
	a.federated = slices.Clone(a.federated)
	a.federated[i] = f
	c.noteFederated(a)
	return nil, nil
}

func (c *graphCall) deleteFederated() (any, *graphError) {
	a, i, refused := c.ownFederated()
	if refused != nil {
		return nil, refused
	}
	a.federated = slices.Delete(slices.Clone(a.federated), i, i+1)
	c.noteFederated(a)
	return nil, nil
}

func (c *graphCall) noteFederated(a *application) {
	c.lab.auditApp(a, c.actor(), c.now, auditUpdateApp, []change{includes("FederatedIdentityCredentials")})
	c.wrote("update-federated", "")
}

// readFederated assigns the members of the body. A name cannot change
// (Microsoft documentation).
func (c *graphCall) readFederated(f *federatedCredential, existing bool) *graphError {
	var fields map[string]json.RawMessage
	if refused := c.read(&fields); refused != nil {
		return refused
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		ok, v := false, fields[name]
		switch name {
		case "@odata.type", "@odata.context":
			ok = true
		case "name":
			was := f.name
			ok = decode(v, &f.name) && len(f.name) <= maxFederatedName && (!existing || f.name == was)
		case "issuer":
			ok = decode(v, &f.issuer) && len(f.issuer) <= maxFederatedText
		case "subject":
			ok = decode(v, &f.subject) && len(f.subject) <= maxFederatedText
		case "audiences":
			f.audiences = nil
			// One audience, though it is a list (Microsoft documentation).
			ok = decode(v, &f.audiences) && len(f.audiences) == 1 && len(f.audiences[0]) <= maxFederatedText
		case "description":
			f.description = ""
			ok = (string(v) == "null" || decode(v, &f.description)) && len(f.description) <= maxFederatedText
		default: // recalled
			return badRequest("Request_BadRequest", "Invalid property '"+name+"'.")
		}
		if !ok { // recalled
			return badRequest("Request_BadRequest", "Invalid value specified for property '"+name+"' of resource 'FederatedIdentityCredential'.")
		}
	}
	for _, needed := range []struct {
		name    string
		missing bool
	}{{"name", f.name == ""}, {"issuer", f.issuer == ""}, {"subject", f.subject == ""}, {"audiences", len(f.audiences) == 0}} {
		if needed.missing { // recalled
			return badRequest("Request_BadRequest", "A value is required for property '"+needed.name+"' of resource 'FederatedIdentityCredential'.")
		}
	}
	return nil
}

// uniqueFederated refuses what another credential of the app has: its name, or
// its issuer and subject (Microsoft documentation; texts recalled).
func uniqueFederated(others []federatedCredential, f federatedCredential) *graphError {
	for _, other := range others {
		switch {
		case other.name == f.name:
			return keyTaken("name")
		case other.issuer == f.issuer && other.subject == f.subject:
			return badRequest("Request_BadRequest", "FederatedIdentityCredential with issuer and subject already exists on application.")
		}
	}
	return nil
}
