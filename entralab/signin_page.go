package entralab

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// The pages work without JavaScript and hold none.
var pages = sync.OnceValue(func() *template.Template { return template.Must(template.New("").Parse(pagesText)) })

// pageStyle is named by its hash in the pages' policy, which allows nothing else.
const pageStyle = `body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}` +
	`h1{font-size:1.5rem}button{font:inherit;padding:.5rem 1rem;width:100%;text-align:left;border:1px solid #8a8886;border-radius:4px;background:#fff;cursor:pointer}` +
	`button:hover,button:focus{background:#f3f2f1}dt{font-weight:600}dd{margin:0 0 .5rem;overflow-wrap:anywhere}`

const pagesText = `
{{define "head"}}<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>` + pageStyle + `</style>{{end}}
{{define "choose"}}{{template "head"}}<title>Sign in (lab)</title>
<h1>Sign in to {{.App}}</h1><p>This is an emulated tenant, not Microsoft. {{.App}} asks for: {{.Scopes}}</p>
<form method="post" action="{{.Action}}">{{range .Fields}}<input type="hidden" name="{{.Name}}" value="{{.Value}}">{{end}}
{{range .Users}}<p><button name="lab_user" value="{{.Value}}">Accept as {{.Name}} ({{.Value}})</button></p>{{end}}
<p><button name="lab_answer" value="cancel">Cancel</button></p></form></html>
{{end}}
{{define "error"}}{{template "head"}}<title>Sign in (lab)</title>
<h1>Sorry, but we’re having trouble signing you in.</h1><p>{{.Text}}</p><dl>
<dt>Request Id:</dt><dd>{{.Trace}}</dd><dt>Correlation Id:</dt><dd>{{.Correlation}}</dd>
<dt>Timestamp:</dt><dd>{{.Time}}</dd><dt>Message:</dt><dd>{{.Text}}</dd></dl></html>
{{end}}
{{define "post"}}{{template "head"}}<title>Working...</title>
<form method="post" action="{{.Action}}">{{range .Fields}}<input type="hidden" name="{{.Name}}" value="{{.Value}}">{{end}}
<button>Continue</button></form></html>
{{end}}
{{define "device"}}{{template "head"}}<title>Enter code (lab)</title>
<h1>Enter code</h1><p>This is an emulated tenant, not Microsoft. Enter the code that your device shows.</p>
<form method="post" action="{{.Action}}"><p><input name="{{.Field}}" aria-label="Code" autocomplete="off" required> <button>Next</button></p></form></html>
{{end}}
{{define "device-done"}}{{template "head"}}<title>Signed in (lab)</title><h1>{{.}}</h1><p>You have signed in to {{.}} on your device. You may now close this window.</p></html>
{{end}}
{{define "device-declined"}}{{template "head"}}<title>Declined (lab)</title><h1>{{.}}</h1><p>You have declined the sign-in on your device.</p></html>
{{end}}
{{define "out"}}{{template "head"}}<title>Signed out (lab)</title><h1>You signed out of your account</h1></html>
{{end}}`

var pageStyleHash = sync.OnceValue(func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
})

// field is a form's name and value.
type field struct{ Name, Value string }

func fieldsOf(values url.Values) []field {
	var fields []field
	for name, all := range values {
		for _, value := range all {
			if name != fieldUser && name != fieldAnswer {
				fields = append(fields, field{name, value})
			}
		}
	}
	return fields
}

// writePage sends a page. There is no form-action in the policy: browsers hold
// it against the redirect back to the app.
func writePage(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := pages().ExecuteTemplate(&b, name, data); err != nil {
		panic("entralab: " + err.Error()) // the templates are fixed
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store, no-cache")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src '"+pageStyleHash()+"'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(bytes.TrimSpace(b.Bytes()))
}

func (s *signIn) errorPage(w http.ResponseWriter, f *refusal) {
	writePage(w, f.status, "error", struct{ Text, Trace, Correlation, Time string }{
		"AADSTS" + codeText(f.code) + ": " + f.text, s.x.trace.String(), s.x.correlation.String(), s.x.now.Format("2006-01-02T15:04:05Z"),
	})
}

func (s *signIn) chooserPage(w http.ResponseWriter, action string) {
	var users []field
	for _, u := range s.tenant.users {
		users = append(users, field{u.displayName, u.name})
	}
	asked := strings.Join(append(append([]string(nil), s.openID...), s.names...), ", ")
	writePage(w, http.StatusOK, "choose", struct {
		App, Scopes, Action string
		Fields, Users       []field
	}{s.app.displayName, asked, action, fieldsOf(s.params), users})
}

// answer sends the browser back to the app.
func (s *signIn) answer(w http.ResponseWriter, values url.Values) {
	if state := s.params.Get("state"); state != "" {
		values.Set("state", state)
	}
	if s.mode == "form_post" {
		writePage(w, http.StatusOK, "post", struct {
			Action template.URL // registered for the app: its scheme may be any
			Fields []field
		}{template.URL(s.redirectURI), fieldsOf(values)})
		return
	}
	separator := "#"
	if s.mode == "query" {
		separator = "?"
		if strings.Contains(s.redirectURI, "?") {
			separator = "&"
		}
	}
	w.Header().Set("Location", s.redirectURI+separator+values.Encode())
	w.Header().Set("Cache-Control", "no-store, no-cache")
	w.WriteHeader(http.StatusFound)
}

// serveLogout ends the session of the browser. It goes back only to a redirect
// URI of some app of the tenant.
func (l *Lab) serveLogout(w http.ResponseWriter, r *http.Request, segment string) {
	l.sessions.end(w, r)
	if l.flush() != nil {
		writeStopped(w)
		return
	}
	back := r.URL.Query().Get("post_logout_redirect_uri")
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, t := range l.tenants {
		for _, a := range t.apps {
			if _, ok := a.platformOf(back); ok && a.live() && (shared(segment) || t == l.tenantNamed(segment)) {
				w.Header().Set("Location", back)
				w.WriteHeader(http.StatusFound)
				return
			}
		}
	}
	writePage(w, http.StatusOK, "out", nil)
}
