package entralab

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// serveControl is the origin that only the lab's owner uses. It has no token;
// refusing requests with an Origin, and bodies that a form could send, keeps
// web pages from driving it. Its own pages have paths of their own.
func (l *Lab) serveControl(w http.ResponseWriter, r *http.Request) {
	if isPortal(r.URL.Path) {
		l.servePortal(w, r)
		return
	}
	if len(r.Header.Values("Origin")) > 0 {
		writeProblem(w, http.StatusForbidden, "requests from web pages are refused")
		return
	}
	for _, route := range controlRoutes {
		if route.method != r.Method || route.path != r.URL.Path && (!strings.HasSuffix(route.path, "/") || !strings.HasPrefix(r.URL.Path, route.path)) {
			continue
		}
		if route.command != nil {
			l.serveCommandUpTo(route.limit, w, r, route.command)
		} else {
			route.serve(l, w, r)
		}
		return
	}
	writeProblem(w, http.StatusNotFound, "there is no "+r.Method+" "+r.URL.Path)
}

// controlRoute is one operation of the control origin: a command, or anything
// else. A path with a slash at its end stands for all that begin so.
type controlRoute struct {
	method, path string
	limit        int64 // of a command's body
	command      func(*controlCall) (any, *problem)
	serve        func(*Lab, http.ResponseWriter, *http.Request)
}

var controlRoutes = []controlRoute{
	{method: "GET", path: "/control/state", serve: (*Lab).serveState},
	{method: "GET", path: "/control/export", serve: (*Lab).serveExport},
	{method: "GET", path: "/control/history", serve: (*Lab).serveHistory},
	{method: "GET", path: "/control/invariants", serve: (*Lab).serveInvariants},
	{method: "GET", path: "/control/faults", serve: (*Lab).serveFaults},
	{method: "DELETE", path: "/control/faults", serve: (*Lab).serveFaults},
	{method: "DELETE", path: "/control/faults/", serve: (*Lab).serveFaults},
	{"POST", "/control/import", maxImport, (*controlCall).importDocument, nil},
	{"POST", "/control/clock", maxBody, (*controlCall).clock, nil},
	{"POST", "/control/delay", maxBody, (*controlCall).delay, nil},
	{"POST", "/control/sign-in", maxBody, (*controlCall).signIn, nil},
	{"POST", "/control/refusals", maxBody, (*controlCall).refusals, nil},
	{"POST", "/control/licence", maxBody, (*controlCall).licence, nil},
	{"POST", "/control/throttle", maxBody, (*controlCall).throttling, nil},
	{"POST", "/control/portal", maxBody, (*controlCall).portal, nil},
	{"POST", "/control/vault", maxBody, (*controlCall).vault, nil},
	{"POST", "/control/faults", maxBody, (*controlCall).fault, nil},
}

func (l *Lab) serveState(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, l.state())
}

func (l *Lab) serveExport(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(l.Export())
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(encodeJSON(v))
}

func writeProblem(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, object{{"error", text}})
}

func (l *Lab) serveHistory(w http.ResponseWriter, r *http.Request) {
	after := 0
	if s := r.URL.Query().Get("after"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			writeProblem(w, http.StatusBadRequest, "after must be a sequence number")
			return
		}
		after = n
	}
	writeJSON(w, http.StatusOK, l.History(after))
}

// controlCall is one command to the control origin.
type controlCall struct {
	lab   *Lab
	body  []byte
	event Event
}

// problem is why a command was refused.
type problem struct {
	status int
	text   string
}

func badCommand(text string) *problem { return &problem{http.StatusBadRequest, text} }

// serveCommandUpTo runs a command whose body has at most so many bytes, and
// writes it into the history, refused or not. A command that answers nothing is
// 204.
func (l *Lab) serveCommandUpTo(limit int64, w http.ResponseWriter, r *http.Request, command func(*controlCall) (any, *problem)) {
	c := &controlCall{lab: l, event: Event{Surface: surfaceControl, Method: r.Method, Path: r.URL.Path}}
	var refused *problem
	if c.body, refused = readCommand(r, limit); refused != nil {
		writeProblem(w, refused.status, refused.text)
		return
	}
	answer, refused := c.run(command)
	switch {
	case refused != nil:
		writeProblem(w, refused.status, refused.text)
	case answer == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		writeJSON(w, http.StatusOK, answer)
	}
}

func (c *controlCall) run(command func(*controlCall) (any, *problem)) (any, *problem) {
	c.lab.mu.Lock()
	defer c.lab.mu.Unlock()
	answer, refused := command(c)
	c.event.Outcome, c.event.Status = outcomeOK, http.StatusOK
	switch {
	case refused != nil:
		c.event.Outcome, c.event.Status, c.event.Write = outcomeRefused, refused.status, nil
	case answer == nil:
		c.event.Status = http.StatusNoContent
	}
	c.lab.history.add(c.lab.clock.now(), c.event)
	c.lab.touch(c.lab)
	if c.lab.save() != nil {
		return nil, &problem{http.StatusServiceUnavailable, errStopped.Error()}
	}
	return answer, refused
}

func readCommand(r *http.Request, limit int64) ([]byte, *problem) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, &problem{http.StatusUnsupportedMediaType, "the content type must be application/json"}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil || int64(len(body)) > limit {
		return nil, badCommand("the body cannot be read, or is larger than " + strconv.FormatInt(limit>>20, 10) + " MiB")
	}
	return body, nil
}

// read decodes the command, which must be one JSON object of known members.
func (c *controlCall) read(into any) *problem {
	if err := decodeStrictly(c.body, into); err != nil {
		return badCommand(err.Error())
	}
	return nil
}

// maxImport bounds a document: some 30,000 apps. [Lab.Import] takes any size.
const maxImport = 64 << 20

// importDocument replaces the tenants.
func (c *controlCall) importDocument() (any, *problem) {
	d, tenants, err := readDocument(c.body)
	if err != nil {
		return nil, badCommand(err.Error())
	}
	c.lab.replace(d, tenants)
	c.event.Write = &Write{Kind: "import"}
	return nil, nil
}

// clock sets, advances or freezes.
func (c *controlCall) clock() (any, *problem) {
	var sent struct {
		Advance *string
		Set     *time.Time
		Freeze  *bool
	}
	if refused := c.read(&sent); refused != nil {
		return nil, refused
	}
	clock := &c.lab.clock
	switch {
	case sent.Advance != nil && sent.Set == nil && sent.Freeze == nil:
		d, err := parseDuration(*sent.Advance)
		if err != nil {
			return nil, badCommand("advance: " + err.Error())
		}
		clock.advance(d)
	case sent.Set != nil && sent.Advance == nil && sent.Freeze == nil:
		clock.set(*sent.Set)
	case sent.Freeze != nil && sent.Advance == nil && sent.Set == nil:
		clock.freeze(*sent.Freeze)
	default:
		return nil, badCommand("send one of advance, set and freeze")
	}
	c.lab.events.wake()
	c.lab.touch(c.lab)
	c.event.Write = &Write{Kind: "clock"}
	return object{{"now", graphTime(clock.now())}}, nil
}

// delayBody is a [Delay] in JSON. A member left out is zero.
type delayBody struct {
	Accept   string `json:"accept"`
	Remove   string `json:"remove"`
	Replicas int    `json:"replicas"`
	SignIn   string `json:"signin_lag,omitempty"` // until the sign-in log shows an entry
	Audit    string `json:"audit_lag,omitempty"`
	Activity string `json:"activity_lag,omitempty"` // until the report of credentials counts a sign-in
	Vault    string `json:"vault,omitempty"`        // until a secret is deleted, recovered or purged
	Access   string `json:"vault_access,omitempty"` // until a role on a vault counts
}

// delays is what is in force. Call with l.mu held.
func (l *Lab) delays() delayBody {
	d := delayBody{Accept: l.delay.Accept.String(), Remove: l.delay.Remove.String(), Replicas: l.delay.Replicas}
	if l.logLag.signIn > 0 {
		d.SignIn = l.logLag.signIn.String()
	}
	if l.logLag.audit > 0 {
		d.Audit = l.logLag.audit.String()
	}
	if l.logLag.activity > 0 {
		d.Activity = l.logLag.activity.String()
	}
	if l.vaultDelay.Delete > 0 {
		d.Vault = l.vaultDelay.Delete.String()
	}
	if l.vaultDelay.Access > 0 {
		d.Access = l.vaultDelay.Access.String()
	}
	return d
}

// delay replaces the delay for what is written from now on.
func (c *controlCall) delay() (any, *problem) {
	var sent delayBody
	if refused := c.read(&sent); refused != nil {
		return nil, refused
	}
	d := Delay{Replicas: sent.Replicas}
	var lags logLag
	var vaults VaultDelay
	for _, member := range []struct {
		name, text string
		into       *time.Duration
	}{
		{"accept", sent.Accept, &d.Accept}, {"remove", sent.Remove, &d.Remove},
		{"signin_lag", sent.SignIn, &lags.signIn}, {"audit_lag", sent.Audit, &lags.audit}, {"activity_lag", sent.Activity, &lags.activity},
		{"vault", sent.Vault, &vaults.Delete}, {"vault_access", sent.Access, &vaults.Access},
	} {
		if member.text == "" {
			continue
		}
		var err error
		if *member.into, err = parseDuration(member.text); err != nil || *member.into < 0 {
			return nil, badCommand(member.name + " must be a duration such as 8s or 2d")
		}
	}
	if d.Replicas < 0 {
		return nil, badCommand("replicas must not be negative")
	}
	c.lab.setDelay(d)
	c.lab.logLag = lags
	c.lab.vaultDelay = vaults
	c.lab.touch(c.lab)
	c.event.Write = &Write{Kind: "delay"}
	return c.lab.delays(), nil
}

// parseDuration reads Go's durations, and whole days such as "-30d".
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < -maxDays || n > maxDays {
			return 0, errors.New(strconv.Quote(s) + " is not a number of days up to " + strconv.Itoa(maxDays))
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, errors.New(strconv.Quote(s) + ` is not a duration such as "8s", "48h" or "-30d"`)
	}
	return d, nil
}

// maxDays is a century.
const maxDays = 36500
