package entralab

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// actor is who made a change: a person in the portal, or an app through Graph.
type actor struct {
	user        *user // nil for an app
	clientID    guid
	principalID guid
	name        string
	userAgent   string
}

// portal is the person who acts through the control origin and the Go API.
func (t *tenant) portal() actor { return actor{user: t.users[0]} }

// activity names one kind of audit entry.
type activity struct{ name, operation string }

// Names as Microsoft's list of audit activities has them. The dash and the
// blank at the end of the secrets one are as recorded from a live tenant in
// 2026-04.
var (
	auditAddApp          = activity{"Add application", "Add"}
	auditUpdateApp       = activity{"Update application", "Update"}
	auditDeleteApp       = activity{"Delete application", "Delete"}
	auditRestoreApp      = activity{"Restore application", "Update"}
	auditSecretsOfApp    = activity{"Update application – Certificates and secrets management ", "Update"}
	auditAddPrincipal    = activity{"Add service principal", "Add"}
	auditUpdatePrincipal = activity{"Update service principal", "Update"}
	auditDeletePrincipal = activity{"Remove service principal", "Delete"}
	auditAddOwner        = activity{"Add owner to application", "Assign"}
	auditRemoveOwner     = activity{"Remove owner from application", "Unassign"}
	auditGrant           = activity{"Add app role assignment to service principal", "Assign"}
	auditRevoke          = activity{"Remove app role assignment from service principal", "Unassign"}

	auditHardDeleteApp       = activity{"Hard Delete application", "Delete"}
	auditHardDeletePrincipal = activity{"Hard delete service principal", "Delete"}
	auditRestorePrincipal    = activity{"Restore service principal", "Update"} // recalled
	auditAddKeys             = activity{"Add service principal credentials", "Update"}
	auditRemoveKeys          = activity{"Remove service principal credentials", "Update"}
	auditAddPrincipalOwner   = activity{"Add owner to service principal", "Assign"}
	auditDropPrincipalOwner  = activity{"Remove owner from service principal", "Unassign"}
)

// audit is one entry of the directory's audit log.
type audit struct {
	ordinal     int // place in tenant.audits
	id          string
	correlation guid
	at          time.Time
	activity    activity
	by          actor
	targetID    guid
	targetName  string
	targetType  string
	clientID    guid
	changes     []change
	keys        keySets // of an entry about secrets
}

// change is one modified property. Values are JSON texts, as on the wire; ""
// stands for null.
type change struct{ property, old, new string }

// includes is the entry that names what an update touched.
func includes(properties ...string) change {
	return change{"Included Updated Properties", "", strconv.Quote(strings.Join(properties, ", "))}
}

// auditApp writes an entry about an application. Call with l.mu held.
func (l *Lab) auditApp(a *application, by actor, at time.Time, what activity, changes []change) *audit {
	e := &audit{
		at: at, activity: what, by: by,
		targetID: a.id, targetName: a.displayName, targetType: "Application",
		clientID: a.clientID, changes: changes,
	}
	l.touch(a)
	l.appendAudit(a.tenant, e)
	return e
}

// auditPrincipal writes an entry about a service principal. Call with l.mu held.
func (l *Lab) auditPrincipal(p *servicePrincipal, by actor, at time.Time, what activity, changes []change) *audit {
	e := &audit{
		at: at, activity: what, by: by,
		targetID: p.id, targetName: p.displayName(), targetType: "ServicePrincipal",
		clientID: p.clientID, changes: changes,
	}
	l.touch(p)
	l.appendAudit(p.tenant, e)
	return e
}

// auditRetention is how long the audit log keeps entries, with a P1 or P2
// licence (Microsoft documentation, 2026-01).
const auditRetention = 30 * 24 * time.Hour

// inAuditLog reports whether the log still shows an entry of that date.
func (l *Lab) inAuditLog(at stamp) bool {
	return at >= stampOf(l.clock.now().Add(-auditRetention))
}

// appendAudit adds an entry unless it is too old to be ever seen.
func (l *Lab) appendAudit(t *tenant, e *audit) {
	if !l.inAuditLog(stampOf(e.at)) {
		return
	}
	e.ordinal = len(t.audits)
	e.correlation = l.random.guid()
	e.id = "Directory_" + e.correlation.String() + "_" + strconv.Itoa(e.ordinal)
	e.at = e.at.UTC().Truncate(tick)
	t.audits = append(t.audits, e)
}

// keyChange is the addition or removal of one secret.
type keyChange struct {
	keyID       guid
	displayName string
	added       bool
}

// keySets tells which secrets there were before and after a change, without
// holding them: an entry for each change with two whole sets would take room
// by the square of the changes. They are replayed from the holder's log when
// the entry is read.
type keySets struct {
	of *credentialSet // nil for other entries
	n  int            // changes up to and with this one
}

// keySets is the latest change. An entry that is too old for the log has none.
func (s *credentialSet) keySets() keySets {
	if s.past == nil {
		return keySets{}
	}
	return keySets{s, len(s.past.log)}
}

func (k keySets) change() change {
	return change{"KeyDescription", keyDescription(k.of.past.log[:k.n-1]), keyDescription(k.of.past.log[:k.n])}
}

// auditSecrets writes what a live tenant writes when a secret is added or
// removed: the whole set before and after, and two stubs that say only that
// the objects were updated (recorded 2026-04). Call with l.mu held.
func (a *application) auditSecrets(l *Lab, by actor, at time.Time, _ bool) {
	entry := l.auditApp(a, by, at, auditSecretsOfApp, []change{includes("KeyDescription")})
	entry.keys = a.keySets()
	l.auditApp(a, by, at, auditUpdateApp, []change{includes()}).correlation = entry.correlation
	if a.principal != nil {
		l.auditPrincipal(a.principal, by, at, auditUpdatePrincipal, []change{includes()}).correlation = entry.correlation
	}
}

// auditSecrets has names of its own for service principals (recorded 2026-04).
// Call with l.mu held.
func (p *servicePrincipal) auditSecrets(l *Lab, by actor, at time.Time, added bool) {
	what := auditRemoveKeys
	if added {
		what = auditAddKeys
	}
	l.auditPrincipal(p, by, at, what, []change{includes("KeyDescription")}).keys = p.keySets()
}

// keyDescription is a JSON list of texts that look like lists: the secrets
// that a log of changes leaves.
func keyDescription(log []keyChange) string {
	texts := make([]string, 0, len(log))
	gone := map[guid]bool{}
	for _, c := range slices.Backward(log) {
		switch {
		case !c.added:
			gone[c.keyID] = true
		case !gone[c.keyID]:
			texts = append(texts, "[KeyIdentifier="+c.keyID.String()+",KeyType=Password,KeyUsage=Verify,DisplayName="+c.displayName+"]")
		}
	}
	slices.Reverse(texts)
	return string(encodeJSON(texts))
}

const auditCategory = "ApplicationManagement"

// auditProperties is the shape of a directoryAudit (Graph's schema).
var auditProperties = sync.OnceValue(func() []property[*audit] {
	return []property[*audit]{
		{name: "id", get: func(e *audit) any { return e.id }},
		{name: "category", get: func(*audit) any { return auditCategory }},
		{name: "correlationId", get: func(e *audit) any { return e.correlation.String() }},
		{name: "result", get: func(*audit) any { return "success" }},
		{name: "resultReason", get: func(*audit) any { return "" }},
		{name: "activityDisplayName", get: func(e *audit) any { return e.activity.name }},
		{name: "activityDateTime", get: func(e *audit) any { return graphTime(e.at) }},
		{name: "loggedByService", get: func(*audit) any { return "Core Directory" }},
		{name: "operationType", get: func(e *audit) any { return e.activity.operation }},
		{name: "initiatedBy", get: func(e *audit) any { return initiatedBy(e.by) }},
		{name: "targetResources", get: func(e *audit) any { return []object{targetResource(e)} }},
		{name: "additionalDetails", get: func(e *audit) any {
			return []object{
				{{"key", "User-Agent"}, {"value", e.by.userAgent}},
				{{"key", "AppId"}, {"value", e.clientID.String()}},
			}
		}},
	}
})

// initiatedBy leaves an app's client id null, as recorded 2026-04: the service
// principal's id tells who it was.
func initiatedBy(by actor) object {
	if by.user != nil {
		return object{{"user", object{
			{"id", by.user.id.String()}, {"displayName", nil}, {"userPrincipalName", by.user.name}, {"ipAddress", "127.0.0.1"},
		}}, {"app", nil}}
	}
	return object{{"user", nil}, {"app", object{
		{"appId", nil}, {"displayName", by.name}, {"servicePrincipalId", by.principalID.String()}, {"servicePrincipalName", nil},
	}}}
}

func targetResource(e *audit) object {
	changes := e.changes
	if e.keys.of != nil {
		changes = slices.Insert(slices.Clone(changes), 0, e.keys.change())
	}
	modified := make([]object, 0, len(changes))
	for _, c := range changes {
		modified = append(modified, object{{"displayName", c.property}, {"oldValue", nullable(c.old)}, {"newValue", nullable(c.new)}})
	}
	return object{
		{"id", e.targetID.String()}, {"displayName", e.targetName}, {"type", e.targetType},
		{"userPrincipalName", nil}, {"groupType", nil}, {"modifiedProperties", modified},
	}
}
