package entralab

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The portal is a few pages on the control origin for what a person would do
// in the real one: look at secrets and logs, add and delete, move the clock.
// The pages hold no script. What they change goes through the same commands as
// the JSON of the control origin, and into the history.

const (
	portalApps    = "/"
	portalSignIns = "/portal/sign-ins"
	portalAudit   = "/portal/audit"
	portalTime    = "/portal/time"
	portalAppPath = "/portal/apps/"

	portalPageSize = 100
)

func isPortal(path string) bool { return path == portalApps || strings.HasPrefix(path, "/portal/") }

// foreignPages refuses what another site's page sends. Programs that are no
// browsers pass: they reach /control as well.
var foreignPages = http.NewCrossOriginProtection()

// servePortal answers for the portal's pages and their forms.
func (l *Lab) servePortal(w http.ResponseWriter, r *http.Request) {
	if foreignPages.Check(r) != nil {
		l.portalProblem(w, &problem{http.StatusForbidden, "Requests from other sites' pages are refused."})
		return
	}
	id, action, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, portalAppPath), "/")
	ofApp := strings.HasPrefix(r.URL.Path, portalAppPath)
	switch {
	case r.Method == http.MethodPost && ofApp:
		l.portalAct(w, r, id, action)
	case r.Method == http.MethodPost && r.URL.Path == portalTime:
		l.portalSetTime(w, r)
	case r.Method == http.MethodPost && r.URL.Path == portalFaults:
		l.portalSetFaults(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		l.portalProblem(w, &problem{http.StatusMethodNotAllowed, "This page can only be read."})
	case ofApp && action == "":
		l.portalApp(w, id, nil)
	case r.URL.Path == portalApps:
		writePortal(w, http.StatusOK, "apps", l.appsView(r.URL.Query()))
	case r.URL.Path == portalSignIns:
		writePortal(w, http.StatusOK, "sign-ins", l.signInsView())
	case r.URL.Path == portalAudit:
		writePortal(w, http.StatusOK, "audit", l.auditView())
	case r.URL.Path == portalFaults:
		writePortal(w, http.StatusOK, "faults", l.faultsView())
	case r.URL.Path == portalTime:
		writePortal(w, http.StatusOK, "time", l.timeView())
	default:
		l.portalProblem(w, &problem{http.StatusNotFound, "There is no such page."})
	}
}

// portalFrame is what every page shows.
type portalFrame struct {
	Title, Here string
	Now         string
	Frozen      bool
}

func (l *Lab) portalFrame(title, here string) portalFrame {
	return portalFrame{title, here, portalDate(l.clock.now()), l.clock.isFrozen()}
}

func portalDate(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

func (l *Lab) portalProblem(w http.ResponseWriter, refused *problem) {
	writePortal(w, refused.status, "problem", struct {
		portalFrame
		Text string
	}{l.portalFrame("It was refused", ""), refused.text})
}

// appRow is one app registration in the list.
type appRow struct {
	Name, ClientID, Tenant, Link, Secrets string
}

type appsView struct {
	portalFrame
	Query string
	Apps  []appRow
	Next  string // the next page, empty on the last
}

// appsView lists living apps whose name or id holds the words asked for.
func (l *Lab) appsView(query url.Values) appsView {
	words := strings.ToLower(strings.TrimSpace(query.Get("q")))
	from, _ := strconv.Atoi(query.Get("from")) // what is no number starts at the top
	view := appsView{portalFrame: l.portalFrame("App registrations", portalApps), Query: words}
	l.mu.RLock()
	defer l.mu.RUnlock()
	at, now := 0, l.clock.now()
	for _, t := range l.tenants {
		for _, a := range t.apps {
			if !a.live() || words != "" && !strings.Contains(strings.ToLower(a.displayName), words) && a.clientID.String() != words && a.id.String() != words {
				continue
			}
			if at++; at <= from {
				continue
			}
			if len(view.Apps) == portalPageSize {
				view.Next = portalApps + "?" + url.Values{"q": {words}, "from": {strconv.Itoa(at - 1)}}.Encode()
				return view
			}
			view.Apps = append(view.Apps, appRow{a.displayName, a.clientID.String(), t.displayName, portalAppPath + a.id.String(), secretsSummary(a.secrets, now)})
		}
	}
	return view
}

// secretsSummary says at a glance whether an app can sign in by secret.
func secretsSummary(secrets []credential, now time.Time) string {
	valid := 0
	for _, c := range secrets {
		if secretStatus(c, now) == "valid" {
			valid++
		}
	}
	switch {
	case len(secrets) == 0:
		return "none"
	case valid == len(secrets):
		return strconv.Itoa(valid) + " valid"
	}
	return strconv.Itoa(valid) + " of " + strconv.Itoa(len(secrets)) + " valid"
}

func secretStatus(c credential, now time.Time) string {
	switch {
	case !now.Before(c.end.time()):
		return "expired"
	case now.Before(c.start.time()):
		return "not yet valid"
	}
	return "valid"
}

// secretRow shows of a value what the real portal shows: its first characters.
type secretRow struct {
	Description, Start, End, Status, Hint, KeyID string
}

type appView struct {
	portalFrame
	Name, ClientID, ObjectID, Tenant, TenantID, Audience, Path string
	Disabled, Deleted                                          bool
	Secrets                                                    []secretRow
	Owners, Permissions                                        []string
	Grantable                                                  []string
	Minted                                                     *mintedView
}

// mintedView is a new secret, whose value is shown once.
type mintedView struct{ Value, KeyID string }

// portalApp shows one app registration, deleted or not.
func (l *Lab) portalApp(w http.ResponseWriter, id string, minted *mintedView) {
	view, found := l.appView(id)
	if !found {
		l.portalProblem(w, &problem{http.StatusNotFound, "No app registration has the object id " + strconv.Quote(id) + "."})
		return
	}
	view.Minted = minted
	writePortal(w, http.StatusOK, "app", view)
}

func (l *Lab) appView(objectID string) (appView, bool) {
	frame := l.portalFrame("", portalApps)
	l.mu.RLock()
	defer l.mu.RUnlock()
	a := cmp.Or(l.findApp(objectID), l.findDeletedApp(objectID))
	if a == nil {
		return appView{}, false
	}
	now := l.clock.now()
	frame.Title = a.displayName
	view := appView{
		portalFrame: frame, Name: a.displayName, ClientID: a.clientID.String(), ObjectID: a.id.String(),
		Tenant: a.tenant.displayName, TenantID: a.tenant.id.String(), Audience: a.audience, Path: portalAppPath + a.id.String(),
		Disabled: a.disabled || a.principal != nil && !a.principal.enabled, Deleted: !a.live(),
	}
	for _, c := range a.secrets {
		view.Secrets = append(view.Secrets, secretRow{c.displayName, portalDate(c.start.time()), portalDate(c.end.time()), secretStatus(c, now), c.hint.String(), c.keyID.String()})
	}
	for _, owner := range a.owners {
		view.Owners = append(view.Owners, a.tenant.nameOf(owner))
	}
	if a.principal != nil {
		view.Permissions = a.principal.roleNames()
		for _, role := range appRoles {
			if !slices.Contains(view.Permissions, role.name) {
				view.Grantable = append(view.Grantable, role.name)
			}
		}
	}
	return view, true
}

// nameOf is how a person knows a user or service principal. Call with l.mu held.
func (t *tenant) nameOf(id guid) string {
	if u := t.userWithID(id); u != nil {
		return u.name
	}
	if p := t.principal(id); p != nil {
		return p.displayName()
	}
	return id.String()
}

// logRow is a line of the sign-in or audit log.
type logRow struct {
	At, What, Who, App, Link string
	Detail                   string
	Failed                   bool
}

type logView struct {
	portalFrame
	Rows []logRow
}

// signInsView shows the last token requests, newest first.
func (l *Lab) signInsView() logView {
	view := logView{portalFrame: l.portalFrame("Sign-in logs", portalSignIns)}
	events := l.history.after(0)
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, e := range slices.Backward(events) {
		if e.Surface != surfaceToken {
			continue
		}
		row := logRow{At: portalDate(e.At), What: "Success", App: cmp.Or(e.AppID, "unknown application"), Detail: e.KeyID}
		if e.Outcome != outcomeAccepted {
			row.What, row.Failed = "Failure", true
			if e.Code != 0 {
				row.What = "AADSTS" + codeText(e.Code)
			}
		}
		if a := l.findApp(e.ObjectID); a != nil {
			row.App, row.Link = a.displayName, portalAppPath+a.id.String()
		}
		if view.Rows = append(view.Rows, row); len(view.Rows) == portalPageSize {
			break
		}
	}
	return view
}

// auditView shows the last changes of every tenant, newest first.
func (l *Lab) auditView() logView {
	view := logView{portalFrame: l.portalFrame("Audit logs", portalAudit)}
	l.mu.RLock()
	defer l.mu.RUnlock()
	var last []*audit
	for _, t := range l.tenants {
		last = append(last, t.audits[max(0, len(t.audits)-portalPageSize):]...)
	}
	slices.SortStableFunc(last, func(a, b *audit) int { return b.at.Compare(a.at) })
	for _, e := range last[:min(len(last), portalPageSize)] {
		who := e.by.name
		if e.by.user != nil {
			who = e.by.user.name
		}
		view.Rows = append(view.Rows, logRow{At: portalDate(e.at), What: e.activity.name, Who: who, App: e.targetName, Detail: e.targetType})
	}
	return view
}

type timeView struct {
	portalFrame
	Delay delayBody
}

func (l *Lab) timeView() timeView {
	view := timeView{portalFrame: l.portalFrame("Clock and delay", portalTime)}
	l.mu.RLock()
	defer l.mu.RUnlock()
	view.Delay = l.delays()
	return view
}
