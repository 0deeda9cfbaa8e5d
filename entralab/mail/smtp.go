package mail

import (
	"bytes"
	"fmt"
	"io"
	netmail "net/mail"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// smtpSession is a connection from its first EHLO, or from the first one after
// STARTTLS.
type smtpSession struct {
	server *Server
	conn   *smtp.Conn
	number uint64
	tls    bool

	command command // the one that is served
	login   login
	authed  bool
	refused string // the last answer to AUTH, which Exchange repeats
	from    string
	to      []string
}

func (s *Server) newSMTPSession(c *smtp.Conn) (smtp.Session, error) {
	_, tls := c.TLSConnectionState()
	return &smtpSession{server: s, conn: c, number: s.sessions.Add(1), tls: tls}, nil
}

func (s *smtpSession) refusal(code int, enhanced smtp.EnhancedCode, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text + " " + s.server.diagnostic(s.number)}
}

// AuthMechanisms are Exchange's, seen in public logs.
func (s *smtpSession) AuthMechanisms() []string { return []string{"LOGIN", mechanism} }

// Auth starts an authentication. LOGIN is offered and never works, as in a
// tenant without basic authentication.
func (s *smtpSession) Auth(name string) (sasl.Server, error) {
	switch name {
	case mechanism:
		return exchange(s.authenticate), nil
	case "LOGIN":
		s.command = command{surface: "smtp", name: "AUTH"}
		return nil, s.refuseAuth(smtp.EnhancedCode{5, 7, 139}, "Authentication unsuccessful, basic authentication is disabled.")
	}
	return nil, s.refusal(504, smtp.EnhancedCode{5, 7, 4}, "Unrecognized authentication type")
}

func (s *smtpSession) authenticate(message string) error {
	s.login = s.server.check(message, "SMTP.SendAsApp")
	return s.run("AUTH", s.refuseForNow, func() error {
		switch {
		case !s.login.granted:
			return s.refuseAuth(smtp.EnhancedCode{5, 7, 3}, "Authentication unsuccessful")
		case s.server.smtpOff(s.login.box):
			return s.refuseAuth(smtp.EnhancedCode{5, 7, 139}, "Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information.")
		}
		s.authed, s.refused = true, ""
		s.server.record(&s.command, s.login, true, 235)
		return nil
	})
}

// run serves a command with what goes wrong with it.
func (s *smtpSession) run(name string, refuse func(string) (int, string, error), serve func() error) error {
	s.command = command{surface: "smtp", name: name}
	return s.server.run(&s.command, s.conn.Conn(), s.login, refuse, serve)
}

// refuseForNow gives the answers of F7; the texts are recalled.
func (s *smtpSession) refuseForNow(kind string) (status int, lastLine string, err error) {
	switch kind {
	case "421":
		return 421, "421 4.3.2 Service not available, closing transmission channel " + s.server.diagnostic(s.number) + "\r\n", errCut
	case "454":
		return 454, "", s.refusal(454, smtp.EnhancedCode{4, 7, 0}, "Temporary authentication failure")
	}
	return 451, "", s.refusal(451, smtp.EnhancedCode{4, 7, 0}, "Temporary server error. Please try again later.")
}

func (s *Server) smtpOff(box *mailbox) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return box.noSMTP
}

func (s *smtpSession) refuseAuth(enhanced smtp.EnhancedCode, text string) error {
	refusal := s.refusal(535, enhanced, text)
	s.refused = "535 " + dotted(enhanced) + " " + refusal.Message
	s.server.record(&s.command, s.login, false, 535)
	return refusal
}

// Mail answers clients that skip STARTTLS or AUTH as Exchange does. Who may
// send as whom shows at the end of the message, there and here.
func (s *smtpSession) Mail(from string, _ *smtp.MailOptions) error {
	return s.run("MAIL", s.refuseForNow, func() error { return s.mail(from) })
}

func (s *smtpSession) mail(from string) error {
	switch {
	case !s.tls:
		return s.refusal(451, smtp.EnhancedCode{5, 7, 3}, "STARTTLS is required to send mail") // recalled
	case !s.authed && s.refused != "":
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 57}, Message: "Client not authenticated to send mail. Error: " + s.refused}
	case !s.authed:
		return s.refusal(530, smtp.EnhancedCode{5, 7, 57}, "Client not authenticated to send mail.")
	}
	s.from = from
	return nil
}

// Rcpt takes any address.
func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	return s.run("RCPT", s.refuseForNow, func() error {
		s.to = append(s.to, to)
		return nil
	})
}

// Data takes the message if sender and From are the mailbox that signed in.
func (s *smtpSession) Data(r io.Reader) error {
	refuse := func(kind string) (int, string, error) {
		io.Copy(io.Discard, r) // a client that is still sending would miss the last line
		return s.refuseForNow(kind)
	}
	return s.run("DATA", refuse, func() error { return s.data(r) })
}

func (s *smtpSession) data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err // too large, or the client has gone
	}
	var refusal *smtp.SMTPError
	switch {
	case !s.mayBeFrom(data):
		refusal = s.refusal(554, smtp.EnhancedCode{5, 2, 0}, "STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message due to a permanent exception with message Cannot submit message.")
	case !s.server.deliver(Message{At: s.server.lab.Now(), ClientID: s.login.client, From: s.from, To: s.to, Data: data}):
		refusal = s.refusal(452, smtp.EnhancedCode{4, 3, 1}, "Insufficient system resources") // recalled
	default:
		s.server.record(&s.command, s.login, true, 250)
		return nil
	}
	s.server.record(&s.command, s.login, false, refusal.Code)
	return refusal
}

// mayBeFrom compares the envelope's sender and the From field, if there is one
// that can be read, with the mailbox.
func (s *smtpSession) mayBeFrom(data []byte) bool {
	if !strings.EqualFold(s.from, s.login.address) {
		return false
	}
	m, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return true
	}
	from, err := m.Header.AddressList("From")
	return err != nil || len(from) == 1 && strings.EqualFold(from[0].Address, s.login.address)
}

// Reset forgets the message, not the authentication.
func (s *smtpSession) Reset() { s.from, s.to = "", nil }

// Logout ends the session.
func (s *smtpSession) Logout() error { return nil }

func dotted(c smtp.EnhancedCode) string { return fmt.Sprintf("%d.%d.%d", c[0], c[1], c[2]) }
