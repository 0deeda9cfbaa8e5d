package mail

import (
	"slices"
	"strings"

	"github.com/emersion/go-sasl"

	"github.com/credsmith/credsmith/entralab"
)

const mechanism = "XOAUTH2"

// parseXOAUTH2 reads the client's only message, with ^A for the byte 1:
// user=ADDRESS^Aauth=Bearer TOKEN^A^A (Microsoft documentation).
func parseXOAUTH2(message string) (user, token string, ok bool) {
	message, ok = strings.CutPrefix(message, "user=")
	if !ok {
		return "", "", false
	}
	user, rest, _ := strings.Cut(message, "\x01")
	if rest, ok = strings.CutPrefix(rest, "auth=Bearer "); !ok {
		return "", "", false
	}
	token, ok = strings.CutSuffix(rest, "\x01\x01")
	if !ok || user == "" || token == "" || strings.ContainsFunc(user+token, isControl) {
		return "", "", false
	}
	return user, token, true
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// exchange is the server's side of XOAUTH2: one message of the client, which
// may come with the command, and no challenge after a refusal (Microsoft's
// examples have none; Google's servers send one).
type exchange func(message string) error

func (e exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	if response == nil {
		return nil, false, nil // the message comes next
	}
	if err := e(string(response)); err != nil {
		return nil, false, err
	}
	return nil, true, nil
}

var _ sasl.Server = exchange(nil)

// login is the outcome of a client's XOAUTH2 message.
type login struct {
	address string // of the mailbox in lower case, empty if there is none
	box     *mailbox
	client  string // client id, empty unless the token is good
	valid   bool   // the token is good, has the role, and the mailbox exists
	granted bool   // the app may use the mailbox
}

// check decides about a client's message: the token has to be of the lab's
// home tenant, for Exchange, in force, and hold the role.
func (s *Server) check(message, role string) login {
	user, token, ok := parseXOAUTH2(message)
	if !ok {
		return login{}
	}
	info, err := s.lab.CheckToken(token, "https://outlook.office365.com")
	s.mu.Lock()
	defer s.mu.Unlock()
	var l login
	if box := s.mailboxes[strings.ToLower(user)]; box != nil {
		l.address, l.box = strings.ToLower(user), box
	}
	if err != nil {
		return l
	}
	l.client = info.ClientID
	l.valid = l.box != nil && info.TenantID == s.lab.TenantID() && slices.Contains(info.Roles, role)
	l.granted = l.valid && l.box.granted[strings.ToLower(info.ClientID)]
	return l
}

// record writes to the lab's history. The path is the mailbox: names that are
// no mailbox stay out, since clients put tokens there by mistake.
func (s *Server) record(c *command, l login, accepted bool, status int) {
	outcome := "refused"
	if accepted {
		outcome = "accepted"
	}
	c.recorded = true
	s.lab.Record(entralab.Event{
		Surface: c.surface, Method: c.name, Path: l.address, AppID: l.client, Outcome: outcome, Fault: c.fault.Fault, Status: status,
	})
}
