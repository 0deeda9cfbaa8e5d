package entralab

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// portalCommand is what a person does in the portal. Which members count
// depends on the action; the others must be absent.
type portalCommand struct {
	Action      string     `json:"action"`
	App         string     `json:"app"` // object id
	DisplayName *string    `json:"display_name"`
	Start       *time.Time `json:"start"`
	End         *time.Time `json:"end"`
	At          *string    `json:"at"`
	KeyID       *string    `json:"key_id"`
	Owner       *string    `json:"owner"`
	Permission  *string    `json:"permission"`
}

// portalAction is one thing a person can do. It returns the answer, nil for
// none, and what the history says was written.
type portalAction struct {
	needs  []string
	allows []string
	handle func(l *Lab, a *application, sent portalCommand) (any, Write, *problem)
}

var portalActions = map[string]portalAction{
	"add-secret":    {allows: []string{"display_name", "start", "end", "at"}, handle: portalAddSecret},
	"delete-secret": {needs: []string{"key_id"}, handle: portalDeleteSecret},
	"disable-app":   {handle: portalDisable(true)},
	"enable-app":    {handle: portalDisable(false)},

	"deactivate-app": {handle: portalDeactivate(true)},
	"activate-app":   {handle: portalDeactivate(false)},

	"delete-app":   {handle: portalDelete},
	"restore-app":  {handle: portalRestore},
	"rename":       {needs: []string{"display_name"}, handle: portalRename},
	"add-owner":    {needs: []string{"owner"}, handle: portalAddOwner},
	"remove-owner": {needs: []string{"owner"}, handle: portalRemoveOwner},
	"grant":        {needs: []string{"permission"}, handle: portalGrant},
	"revoke":       {needs: []string{"permission"}, handle: portalRevoke},
}

func (c *controlCall) portal() (any, *problem) {
	var sent portalCommand
	if refused := c.read(&sent); refused != nil {
		return nil, refused
	}
	return c.act(sent)
}

// act does what a person in the portal asked for.
func (c *controlCall) act(sent portalCommand) (any, *problem) {
	action, ok := portalActions[sent.Action]
	if !ok {
		return nil, badCommand("unknown action " + strconv.Quote(sent.Action))
	}
	for _, member := range []struct {
		name string
		sent bool
	}{
		{"display_name", sent.DisplayName != nil}, {"start", sent.Start != nil}, {"end", sent.End != nil}, {"at", sent.At != nil},
		{"key_id", sent.KeyID != nil}, {"owner", sent.Owner != nil}, {"permission", sent.Permission != nil},
	} {
		needed := slices.Contains(action.needs, member.name)
		switch {
		case needed && !member.sent:
			return nil, badCommand(sent.Action + " needs " + member.name)
		case member.sent && !needed && !slices.Contains(action.allows, member.name):
			return nil, badCommand(sent.Action + " does not take " + member.name)
		}
	}
	a := c.lab.findApp(sent.App)
	if sent.Action == "restore-app" {
		a = c.lab.findDeletedApp(sent.App)
	}
	if a == nil {
		return nil, &problem{http.StatusNotFound, "no app has the object id " + strconv.Quote(sent.App)}
	}
	c.event.AppID, c.event.ObjectID = a.clientID.String(), a.id.String()
	answer, write, refused := action.handle(c.lab, a, sent)
	if refused != nil {
		return nil, refused
	}
	c.event.Write, c.event.KeyID = &write, write.KeyID
	return answer, nil
}

// findDeletedApp finds an application in the deleted items. Call with l.mu
// held.
func (l *Lab) findDeletedApp(objectID string) *application {
	id, _ := parseGUID(objectID)
	for _, t := range l.tenants {
		if a := t.appByID(id); a != nil && a.restorable(l.clock.now()) {
			return a
		}
	}
	return nil
}

// portalAddSecret answers as addPassword does.
func portalAddSecret(l *Lab, a *application, sent portalCommand) (any, Write, *problem) {
	var spec SecretSpec
	if sent.DisplayName != nil {
		spec.DisplayName = *sent.DisplayName
	}
	if sent.Start != nil {
		spec.Start = *sent.Start
	}
	if sent.End != nil {
		spec.End = *sent.End
	}
	if sent.At != nil {
		ago, err := parseDuration(*sent.At)
		if err != nil {
			return nil, Write{}, badCommand("at: " + err.Error())
		}
		spec.At = l.clock.now().Add(ago)
	}
	secret, err := l.addSecret(a, spec)
	if errors.Is(err, errSecretLimit) {
		return nil, Write{}, &problem{http.StatusConflict, err.Error()}
	}
	if err != nil {
		return nil, Write{}, badCommand(err.Error())
	}
	context := member{"@odata.context", l.graphURL + "/v1.0/$metadata#microsoft.graph.passwordCredential"}
	return mintedPassword(context, a, secret), Write{Kind: "mint", KeyID: secret.KeyID}, nil
}

func portalDeleteSecret(l *Lab, a *application, sent portalCommand) (any, Write, *problem) {
	id, ok := parseGUID(*sent.KeyID)
	if !ok || !l.removeSecret(a, a.tenant.portal(), id, l.delay.removal()) {
		return nil, Write{}, &problem{http.StatusNotFound, "the app has no secret with the key id " + strconv.Quote(*sent.KeyID)}
	}
	return nil, Write{Kind: "remove", KeyID: id.String()}, nil
}

// portalDisable is "Enabled for users to sign-in?" of an enterprise application:
// accountEnabled of the service principal.
func portalDisable(disabled bool) func(*Lab, *application, portalCommand) (any, Write, *problem) {
	return func(l *Lab, a *application, sent portalCommand) (any, Write, *problem) {
		p := a.principal
		if p == nil {
			return nil, Write{}, &problem{http.StatusConflict, "the app has no service principal; deactivate-app stops the registration itself"}
		}
		l.auditPrincipal(p, a.tenant.portal(), l.clock.now(), auditUpdatePrincipal, []change{
			{"AccountEnabled", "[" + strconv.FormatBool(p.enabled) + "]", "[" + strconv.FormatBool(!disabled) + "]"}, includes("AccountEnabled"),
		})
		p.enabled = !disabled
		return nil, Write{Kind: sent.Action}, nil
	}
}

// portalDeactivate is "Deactivate" of an app registration: isDisabled of the
// application.
func portalDeactivate(disabled bool) func(*Lab, *application, portalCommand) (any, Write, *problem) {
	return func(l *Lab, a *application, sent portalCommand) (any, Write, *problem) {
		l.auditApp(a, a.tenant.portal(), l.clock.now(), auditUpdateApp, []change{
			{"IsDisabled", strconv.FormatBool(a.disabled), strconv.FormatBool(disabled)}, includes("IsDisabled"),
		})
		a.disabled = disabled
		return nil, Write{Kind: sent.Action}, nil
	}
}

func portalDelete(l *Lab, a *application, sent portalCommand) (any, Write, *problem) {
	l.deleteApp(a, a.tenant.portal(), l.clock.now())
	return nil, Write{Kind: sent.Action}, nil
}

func portalRestore(l *Lab, a *application, sent portalCommand) (any, Write, *problem) {
	l.restoreApp(a, a.tenant.portal(), l.clock.now())
	return nil, Write{Kind: sent.Action}, nil
}

func portalRename(l *Lab, a *application, sent portalCommand) (any, Write, *problem) {
	name := strings.TrimSpace(*sent.DisplayName)
	if name == "" || len(name) > maxName {
		return nil, Write{}, badCommand("display_name must have 1 to " + strconv.Itoa(maxName) + " characters")
	}
	changed := change{"DisplayName", string(encodeJSON(a.displayName)), string(encodeJSON(name))}
	a.displayName = name
	l.auditApp(a, a.tenant.portal(), l.clock.now(), auditUpdateApp, []change{changed, includes("DisplayName")})
	return nil, Write{Kind: sent.Action}, nil
}

// portalAddOwner takes a user or a service principal of the app's tenant.
func portalAddOwner(l *Lab, a *application, sent portalCommand) (any, Write, *problem) {
	id, _ := parseGUID(*sent.Owner)
	if a.tenant.userWithID(id) == nil && a.tenant.principal(id) == nil {
		return nil, Write{}, &problem{http.StatusNotFound, "no user or service principal has the id " + strconv.Quote(*sent.Owner)}
	}
	if slices.Contains(a.owners, id) {
		return nil, Write{}, &problem{http.StatusConflict, "the app has this owner already"}
	}
	a.owners = append(slices.Clone(a.owners), id)
	l.auditApp(a, a.tenant.portal(), l.clock.now(), auditAddOwner, []change{{"Owner.ObjectID", "", strconv.Quote(id.String())}})
	return nil, Write{Kind: sent.Action}, nil
}

func portalRemoveOwner(l *Lab, a *application, sent portalCommand) (any, Write, *problem) {
	id, _ := parseGUID(*sent.Owner)
	i := slices.Index(a.owners, id)
	if i < 0 {
		return nil, Write{}, &problem{http.StatusNotFound, "the app has no owner " + strconv.Quote(*sent.Owner)}
	}
	a.owners = slices.Delete(slices.Clone(a.owners), i, i+1)
	l.auditApp(a, a.tenant.portal(), l.clock.now(), auditRemoveOwner, []change{{"Owner.ObjectID", strconv.Quote(id.String()), ""}})
	return nil, Write{Kind: sent.Action}, nil
}

// holder finds what a permission is given to.
func holder(a *application, sent portalCommand) (*servicePrincipal, *appRole, *problem) {
	role := roleNamed(*sent.Permission)
	if role == nil {
		return nil, nil, badCommand("unknown permission " + strconv.Quote(*sent.Permission))
	}
	if a.principal == nil {
		return nil, nil, &problem{http.StatusConflict, "the app has no service principal"}
	}
	return a.principal, role, nil
}

func portalGrant(l *Lab, a *application, sent portalCommand) (any, Write, *problem) {
	p, role, refused := holder(a, sent)
	if refused != nil {
		return nil, Write{}, refused
	}
	if !l.grantRole(p, a.tenant.portal(), l.clock.now(), role) {
		return nil, Write{}, &problem{http.StatusConflict, "the app has this permission already"}
	}
	return nil, Write{Kind: sent.Action}, nil
}

func portalRevoke(l *Lab, a *application, sent portalCommand) (any, Write, *problem) {
	p, role, refused := holder(a, sent)
	if refused != nil {
		return nil, Write{}, refused
	}
	if !l.revokeRole(p, a.tenant.portal(), l.clock.now(), role) {
		return nil, Write{}, &problem{http.StatusNotFound, "the app does not have this permission"}
	}
	return nil, Write{Kind: sent.Action}, nil
}
