package entralab

import (
	"strconv"
	"strings"
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
	auditAddOwner        = activity{"Add owner to application", "Assign"}
	auditRemoveOwner     = activity{"Remove owner from application", "Unassign"}
	auditGrant           = activity{"Add app role assignment to service principal", "Assign"}
	auditRevoke          = activity{"Remove app role assignment from service principal", "Unassign"}
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
	l.appendAudit(p.tenant, e)
	return e
}

func (l *Lab) appendAudit(t *tenant, e *audit) {
	e.ordinal = len(t.audits)
	e.correlation = l.random.guid()
	e.id = "Directory_" + e.correlation.String() + "_" + strconv.Itoa(e.ordinal)
	e.at = e.at.UTC().Truncate(tick)
	t.audits = append(t.audits, e)
}

// auditSecrets writes what a live tenant writes when a secret is added or
// removed: the whole set before and after, and two stubs that say only that
// the objects were updated (recorded 2026-04). Call with l.mu held.
func (l *Lab) auditSecrets(a *application, by actor, at time.Time, before []credential) {
	entry := l.auditApp(a, by, at, auditSecretsOfApp, []change{
		{"KeyDescription", keyDescription(before), keyDescription(a.secrets)},
		includes("KeyDescription"),
	})
	l.auditApp(a, by, at, auditUpdateApp, []change{includes()}).correlation = entry.correlation
	if a.principal != nil {
		l.auditPrincipal(a.principal, by, at, auditUpdatePrincipal, []change{includes()}).correlation = entry.correlation
	}
}

// keyDescription is a JSON list of texts that look like lists.
func keyDescription(secrets []credential) string {
	texts := make([]string, 0, len(secrets))
	for _, c := range secrets {
		texts = append(texts, "[KeyIdentifier="+c.keyID.String()+",KeyType=Password,KeyUsage=Verify,DisplayName="+c.displayName+"]")
	}
	return string(encodeJSON(texts))
}

const auditCategory = "ApplicationManagement"

// auditProperties is the shape of a directoryAudit (Graph's schema).
var auditProperties = []property[*audit]{
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
	modified := make([]object, 0, len(e.changes))
	for _, c := range e.changes {
		modified = append(modified, object{{"displayName", c.property}, {"oldValue", nullable(c.old)}, {"newValue", nullable(c.new)}})
	}
	return object{
		{"id", e.targetID.String()}, {"displayName", e.targetName}, {"type", e.targetType},
		{"userPrincipalName", nil}, {"groupType", nil}, {"modifiedProperties", modified},
	}
}
