package entralab

import (
	"slices"
	"strconv"
	"strings"
)

// maxOwners is the most an object may have (Microsoft documentation).
const maxOwners = 100

// owned is an object with owners, and the names that the audit log has for
// changes to them.
type owned struct {
	owners      *[]guid
	add, remove activity
	note        func(activity, []change)
}

func (c *graphCall) ownersOfApp(a *application) owned {
	return owned{&a.owners, auditAddOwner, auditRemoveOwner, func(what activity, changes []change) {
		c.lab.auditApp(a, c.actor(), c.now, what, changes)
	}}
}

func (c *graphCall) ownersOfPrincipal(p *servicePrincipal) owned {
	return owned{&p.owners, auditAddPrincipalOwner, auditDropPrincipalOwner, func(what activity, changes []change) {
		c.lab.auditPrincipal(p, c.actor(), c.now, what, changes)
	}}
}

func (c *graphCall) listApplicationOwners() (any, *graphError) {
	a, refused := c.application()
	if refused != nil {
		return nil, refused
	}
	return c.listOwners(a.owners)
}

func (c *graphCall) listPrincipalOwners() (any, *graphError) {
	p, refused := c.principal()
	if refused != nil {
		return nil, refused
	}
	return c.listOwners(p.owners)
}

// listOwners answers in one page: an object has at most a hundred.
func (c *graphCall) listOwners(owners []guid) (any, *graphError) {
	if refused := c.refuseOptions("select", "top"); refused != nil {
		return nil, refused
	}
	return object{c.context("directoryObjects"), {"value", c.tenant.ownerObjects(owners)}}, nil
}

// ownerObjects are owners as Graph shows them. Those that were deleted are
// left out.
func (t *tenant) ownerObjects(owners []guid) []object {
	objects := []object{}
	for _, id := range owners {
		if u := t.userWithID(id); u != nil {
			objects = append(objects, append(object{{"@odata.type", "#microsoft.graph.user"}}, render(users, u, nil)...))
		} else if p := t.principal(id); p != nil {
			objects = append(objects, append(object{{"@odata.type", "#microsoft.graph.servicePrincipal"}}, render(principals, p, nil)...))
		}
	}
	return objects
}

func (c *graphCall) addApplicationOwner() (any, *graphError) {
	a, refused := c.ownApplication()
	if refused != nil {
		return nil, refused
	}
	return c.addOwner(c.ownersOfApp(a))
}

func (c *graphCall) addPrincipalOwner() (any, *graphError) {
	p, refused := c.ownPrincipal()
	if refused != nil {
		return nil, refused
	}
	return c.addOwner(c.ownersOfPrincipal(p))
}

// addOwner takes a user or a service principal by reference. Adding one twice
// is refused (text read in the Azure CLI's source).
func (c *graphCall) addOwner(o owned) (any, *graphError) {
	// Permissions reference: OwnedBy alone is not enough to name an owner.
	if !slices.Contains(c.caller.Roles, roleApplicationWrite) && !slices.Contains(c.caller.Roles, roleDirectoryRead) {
		return nil, errDenied
	}
	id, refused := c.reference()
	if refused != nil {
		return nil, refused
	}
	if c.tenant.userWithID(id) == nil && c.tenant.principal(id) == nil {
		return nil, notFound(id.String())
	}
	if slices.Contains(*o.owners, id) {
		return nil, badRequest("Request_BadRequest", "One or more added object references already exist for the following modified properties: 'owners'.")
	}
	if len(*o.owners) >= maxOwners {
		return nil, errTooManyValues
	}
	*o.owners = append(slices.Clone(*o.owners), id)
	o.note(o.add, []change{{"Owner.ObjectID", "", strconv.Quote(id.String())}})
	c.wrote("add-owner", "")
	return nil, nil
}

// reference reads the body of a POST to $ref. The id at the end counts,
// whatever the host: clients write the public one into it (seen).
func (c *graphCall) reference() (guid, *graphError) {
	var body struct {
		ID string `json:"@odata.id"`
	}
	if refused := c.read(&body); refused != nil {
		return guid{}, refused
	}
	last := body.ID[strings.LastIndexByte(body.ID, '/')+1:]
	if open := strings.IndexByte(last, '('); open >= 0 { // directoryObjects('…')
		last = strings.Trim(last[open:], "()'")
	}
	id, ok := parseGUID(last)
	if !ok { // recalled
		return guid{}, badRequest("Request_BadRequest", "Invalid URL format specified in @odata.id.")
	}
	return id, nil
}

func (c *graphCall) removeApplicationOwner() (any, *graphError) {
	a, refused := c.ownApplication()
	if refused != nil {
		return nil, refused
	}
	return c.removeOwner(c.ownersOfApp(a))
}

func (c *graphCall) removePrincipalOwner() (any, *graphError) {
	p, refused := c.ownPrincipal()
	if refused != nil {
		return nil, refused
	}
	return c.removeOwner(c.ownersOfPrincipal(p))
}

func (c *graphCall) removeOwner(o owned) (any, *graphError) {
	id, _ := parseGUID(c.keys[1])
	i := slices.Index(*o.owners, id)
	if i < 0 {
		return nil, notFound(c.keys[1])
	}
	*o.owners = slices.Delete(slices.Clone(*o.owners), i, i+1)
	o.note(o.remove, []change{{"Owner.ObjectID", strconv.Quote(id.String()), ""}})
	c.wrote("remove-owner", "")
	return nil, nil
}

// maxExpanded is how many objects an expanded relation shows (recalled).
const maxExpanded = 20

// expandOwners reads $expand, of which owners is all the lab knows.
func (c *graphCall) expandOwners() (bool, *graphError) {
	if !c.query.Has("expand") {
		return false, nil
	}
	if c.query.Get("expand") != "owners" {
		return false, unsupportedQuery("Invalid expand clause: '" + c.query.Get("expand") + "'.")
	}
	return true, nil
}

// ownersOf is what $expand=owners adds to an object.
func ownersOf(it any) member {
	var shown []object
	switch it := it.(type) {
	case *application:
		shown = it.tenant.ownerObjects(it.owners[:min(len(it.owners), maxExpanded)])
	case *servicePrincipal:
		shown = it.tenant.ownerObjects(it.owners[:min(len(it.owners), maxExpanded)])
	}
	return member{"owners", shown}
}
