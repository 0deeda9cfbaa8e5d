package entralab

import (
	"net/http"
	"strings"
)

// fieldUserCode is the name of the code's field at the real service (recalled).
const fieldUserCode = "otc"

// serveDevicePage is where people type the code of their device.
func (l *Lab) serveDevicePage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	out := &recorder{header: w.Header(), status: http.StatusOK}
	l.devicePageInto(out, r)
	if l.flush() != nil {
		writeStopped(w)
		return
	}
	w.WriteHeader(out.status)
	w.Write(out.body.Bytes())
}

// devicePageInto makes the answer under the lock, as authorizeInto does.
func (l *Lab) devicePageInto(w *recorder, r *http.Request) {
	s := &signIn{lab: l, x: l.newExchange(r, nil)}
	event := Event{Surface: surfaceToken, Method: r.Method, Path: r.URL.Path, Status: http.StatusOK, Outcome: outcomeAccepted}
	refused := errBadRequest.with()
	var chosen *user
	if r.ParseForm() == nil {
		s.params = r.Form
		l.mu.RLock()
		defer l.mu.RUnlock()
		chosen, refused = s.onDevice(r.Method)
	}
	if s.app != nil {
		event.AppID, event.ObjectID = s.app.clientID.String(), s.app.id.String()
	}
	if refused != nil {
		event.Outcome, event.Code, event.Status = outcomeRefused, refused.code, refused.status
	}
	l.note(r, s.x.now, event)
	switch typed := s.params.Get(fieldUserCode); {
	case refused != nil && refused.code == errDeclined.code:
		l.devices.settle(typed, deviceDeclined, guid{}, s.x.now)
		writePage(w, http.StatusOK, "device-declined", s.app.displayName)
	case refused != nil:
		s.errorPage(w, refused)
	case s.app == nil:
		writePage(w, http.StatusOK, "device", struct{ Action, Field string }{r.URL.Path, fieldUserCode})
	case chosen == nil:
		s.chooserPage(w, r.URL.Path)
	default:
		l.devices.settle(typed, deviceApproved, chosen.id, s.x.now)
		writePage(w, http.StatusOK, "device-done", s.app.displayName)
	}
}

// onDevice finds what the code stands for and who signs in; without a code
// there is neither. Call with l.mu held.
func (s *signIn) onDevice(method string) (*user, *refusal) {
	if method != http.MethodGet && method != http.MethodPost {
		return nil, errVerb.with("accepted", "GET, POST", "method", method)
	}
	typed := s.params.Get(fieldUserCode)
	if strings.TrimSpace(typed) == "" {
		return nil, nil
	}
	d, ok := s.lab.devices.ofUser(typed, s.x.now)
	if !ok {
		return nil, errDeviceUnknown.with()
	}
	t := s.lab.tenantNamed(d.tenant.String())
	a := t.appWithClientID(d.clientID)
	if a == nil || a.principal == nil { // deleted since
		return nil, errAppUnknown.with("appId", d.clientID.String(), "tenantName", t.displayName)
	}
	s.tenant, s.app, s.names, s.openID = t, a, d.scopes, d.openID
	return s.choose()
}
