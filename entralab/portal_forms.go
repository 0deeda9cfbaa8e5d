package entralab

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// readForm reads what a form of the portal sent.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *problem) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		return nil, badCommand("The form cannot be read.")
	}
	return r.PostForm, nil
}

// portalAct does one action with one app and shows the app again.
func (l *Lab) portalAct(w http.ResponseWriter, r *http.Request, id, action string) {
	form, refused := readForm(w, r)
	if refused != nil {
		l.portalProblem(w, refused)
		return
	}
	sent, refused := portalCommandOf(id, action, form)
	if refused != nil {
		l.portalProblem(w, refused)
		return
	}
	answer, refused := l.portalCall(r).run(func(c *controlCall) (any, *problem) { return c.act(sent) })
	switch minted, isMinted := answer.(object); {
	case refused != nil:
		l.portalProblem(w, refused)
	case isMinted: // no redirect: the value is in this answer or nowhere
		l.portalApp(w, id, &mintedView{minted.text("secretText"), minted.text("keyId")})
	case action == "delete-app":
		http.Redirect(w, r, portalApps, http.StatusSeeOther)
	default:
		http.Redirect(w, r, portalAppPath+id, http.StatusSeeOther)
	}
}

// portalCommandOf turns a form into a command. A field left empty is absent.
func portalCommandOf(id, action string, form url.Values) (portalCommand, *problem) {
	sent := portalCommand{Action: action, App: id}
	for _, field := range []struct {
		name string
		into **string
	}{
		{"display_name", &sent.DisplayName}, {"at", &sent.At}, {"key_id", &sent.KeyID}, {"owner", &sent.Owner}, {"permission", &sent.Permission},
	} {
		if text := strings.TrimSpace(form.Get(field.name)); text != "" {
			*field.into = &text
		}
	}
	for _, field := range []struct {
		name string
		into **time.Time
	}{{"start", &sent.Start}, {"end", &sent.End}} {
		text := form.Get(field.name)
		if text == "" {
			continue
		}
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return portalCommand{}, badCommand(field.name + " must be a date such as 2027-01-31.")
		}
		*field.into = &at
	}
	return sent, nil
}

// portalSetTime moves the clock or sets the delay: the form's button says which.
func (l *Lab) portalSetTime(w http.ResponseWriter, r *http.Request) {
	form, refused := readForm(w, r)
	if refused != nil {
		l.portalProblem(w, refused)
		return
	}
	c := l.portalCall(r)
	command := (*controlCall).clock
	switch form.Get("do") {
	case "advance":
		c.body = encodeJSON(map[string]string{"advance": form.Get("advance")})
	case "set":
		c.body = encodeJSON(map[string]string{"set": form.Get("set")})
	case "freeze", "unfreeze":
		c.body = encodeJSON(map[string]bool{"freeze": form.Get("do") == "freeze"})
	case "delay":
		command = (*controlCall).delay
		l.mu.RLock()
		kept := l.delays() // what the form does not show
		l.mu.RUnlock()
		kept.Accept, kept.Remove = form.Get("accept"), form.Get("remove")
		c.body = encodeJSON(kept)
	default:
		l.portalProblem(w, badCommand("Choose what to change."))
		return
	}
	if _, refused := c.run(command); refused != nil {
		l.portalProblem(w, refused)
		return
	}
	http.Redirect(w, r, portalTime, http.StatusSeeOther)
}

func (l *Lab) portalCall(r *http.Request) *controlCall {
	return &controlCall{lab: l, event: Event{Surface: surfaceControl, Method: r.Method, Path: r.URL.Path}}
}

// text is a member's text, empty when there is none.
func (o object) text(name string) string {
	for _, m := range o {
		if text, ok := m.value.(string); ok && m.name == name {
			return text
		}
	}
	return ""
}
