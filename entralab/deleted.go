package entralab

import "time"

// keepDeleted is how long deleted applications and service principals can be
// brought back (Microsoft documentation).
const keepDeleted = 30 * 24 * time.Hour

// restorable reports whether the deleted items show an application. It is
// worked out from the date, so that a clock that is turned back brings back
// what it had made to go.
func (a *application) restorable(now time.Time) bool {
	return !a.purged && !a.deleted.isZero() && stampOf(now) < a.deleted.add(keepDeleted)
}

// restorable reports whether the deleted items show a service principal that
// was deleted on its own.
func (p *servicePrincipal) restorable(now time.Time) bool {
	return !p.purged && !p.deleted.isZero() && stampOf(now) < p.deleted.add(keepDeleted)
}

// deleteApp moves an application to the deleted items. Call with l.mu held.
func (l *Lab) deleteApp(a *application, by actor, at time.Time) {
	a.deleted = stampOf(at)
	l.auditApp(a, by, at, auditDeleteApp, nil)
}

// restoreApp brings a deleted application back with all it had. Call with l.mu
// held.
func (l *Lab) restoreApp(a *application, by actor, at time.Time) {
	a.deleted = 0
	l.auditApp(a, by, at, auditRestoreApp, nil)
}

// purgeApp deletes a deleted application for good, and its service principal.
// It keeps its place in the list, which page tokens count on. Call with l.mu
// held.
func (l *Lab) purgeApp(a *application, by actor, at time.Time) {
	a.purged = true
	a.setURIs(nil)
	a.credentialSet = a.forget()
	if a.principal != nil {
		l.forgetPrincipal(a.principal)
		l.touch(a.principal)
	}
	l.auditApp(a, by, at, auditHardDeleteApp, nil)
}

// deletePrincipal moves a service principal to the deleted items; its
// application may get a new one. Call with l.mu held.
func (l *Lab) deletePrincipal(p *servicePrincipal, by actor, at time.Time) {
	p.deleted = stampOf(at)
	if p.app.principal == p {
		p.app.principal = nil
	}
	l.auditPrincipal(p, by, at, auditDeletePrincipal, nil)
}

// restorePrincipal brings a service principal back. It reports false when its
// application is gone or has another one by now. Call with l.mu held.
func (l *Lab) restorePrincipal(p *servicePrincipal, by actor, at time.Time) bool {
	if !p.app.live() || p.app.principal != nil {
		return false
	}
	p.deleted = 0
	p.app.principal = p
	l.auditPrincipal(p, by, at, auditRestorePrincipal, nil)
	return true
}

// purgePrincipal deletes a deleted service principal for good. Call with l.mu
// held.
func (l *Lab) purgePrincipal(p *servicePrincipal, by actor, at time.Time) {
	l.forgetPrincipal(p)
	l.auditPrincipal(p, by, at, auditHardDeletePrincipal, nil)
}

func (l *Lab) forgetPrincipal(p *servicePrincipal) {
	p.purged = true
	p.credentialSet = p.forget()
}
