package entralab

import "net/http"

// deletedDate is null while an object lives.
func deletedDate(at stamp) any {
	if at.isZero() {
		return nil
	}
	return at.seconds().String()
}

func (c *graphCall) listDeletedApplications() (any, *graphError) {
	q, refused := parseList(c, applications)
	if refused != nil {
		return nil, refused
	}
	q.listed = func(a *application) bool { return a.restorable(c.now) }
	return page(c, applications, q, c.tenant.apps), nil
}

func (c *graphCall) listDeletedPrincipals() (any, *graphError) {
	q, refused := parseList(c, principals)
	if refused != nil {
		return nil, refused
	}
	q.listed = func(p *servicePrincipal) bool { return p.restorable(c.now) }
	return page(c, principals, q, c.tenant.principals), nil
}

// deletedItem finds what a path names among the deleted items. One of the
// results is nil.
func (c *graphCall) deletedItem() (*application, *servicePrincipal, *graphError) {
	id, ok := parseGUID(c.keys[0])
	if !ok { // recalled
		return nil, nil, badRequest("Request_BadRequest", "Invalid object identifier '"+c.keys[0]+"'.")
	}
	if a := c.tenant.appByID(id); a != nil && a.restorable(c.now) {
		c.about(a)
		return a, nil, nil
	}
	if p := c.tenant.principalByID(id); p != nil && p.restorable(c.now) {
		c.about(p.app)
		return nil, p, nil
	}
	return nil, nil, notFound(c.keys[0])
}

// ownDeletedItem is deletedItem for a caller that may change it.
func (c *graphCall) ownDeletedItem() (*application, *servicePrincipal, *graphError) {
	a, p, refused := c.deletedItem()
	if a != nil && !c.mayWrite(a.owners) || p != nil && !c.mayWrite(p.owners) {
		return nil, nil, errDenied
	}
	return a, p, refused
}

func (c *graphCall) getDeletedItem() (any, *graphError) {
	a, p, refused := c.deletedItem()
	switch {
	case refused != nil:
		return nil, refused
	case a != nil:
		return c.directoryObject(render(applications, a, nil), "application"), nil
	}
	return c.directoryObject(render(principals, p, nil), "servicePrincipal"), nil
}

// directoryObject is an object where any kind of them may stand.
func (c *graphCall) directoryObject(o object, kind string) object {
	return append(object{c.context("directoryObjects/$entity"), {"@odata.type", "#microsoft.graph." + kind}}, o...)
}

func (c *graphCall) restoreDeletedItem() (any, *graphError) {
	a, p, refused := c.ownDeletedItem()
	if refused != nil {
		return nil, refused
	}
	if a != nil {
		c.lab.restoreApp(a, c.actor(), c.now)
		c.wrote("restore-app", "")
		return c.directoryObject(render(applications, a, nil), "application"), nil
	}
	if !c.lab.restorePrincipal(p, c.actor(), c.now) { // recalled
		return nil, &graphError{http.StatusBadRequest, "Request_BadRequest", "The object cannot be restored: its application is missing or has another service principal."}
	}
	c.wrote("restore-service-principal", "")
	return c.directoryObject(render(principals, p, nil), "servicePrincipal"), nil
}

func (c *graphCall) purgeDeletedItem() (any, *graphError) {
	a, p, refused := c.ownDeletedItem()
	if refused != nil {
		return nil, refused
	}
	if a != nil {
		c.lab.purgeApp(a, c.actor(), c.now)
		c.wrote("purge-app", "")
	} else {
		c.lab.purgePrincipal(p, c.actor(), c.now)
		c.wrote("purge-service-principal", "")
	}
	return nil, nil
}
