package try

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"

	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/wire"
)

// xoauth2 is the only message of the client, with ^A for the byte 1:
// user=MAILBOX^Aauth=Bearer TOKEN^A^A (Microsoft, "Authenticate an IMAP, POP
// or SMTP connection using OAuth").
func xoauth2(mailbox string, token entra.Token) []byte {
	return []byte("user=" + mailbox + "\x01auth=Bearer " + token.Access.Reveal() + "\x01\x01")
}

// dial connects to a mail server, and ends the connection when ctx does.
func (r Resource) dial(ctx context.Context) (net.Conn, func(), error) {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", r.Target.dialAddress())
	if err != nil {
		return nil, nil, r.trouble(ctx, err)
	}
	conn.SetDeadline(time.Now().Add(wire.Timeout))
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return conn, func() { stop(); conn.Close() }, nil
}

// trouble says what stood in the way.
func (r Resource) trouble(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	u := wire.Unreachable(wire.Address(r.Target.url), err)
	u.Hint = "check host and port of the mail server, and the firewall"
	if u.Obstacle == entra.BadTLS {
		u.Hint = "if this is a lab, name its CA certificate in SSL_CERT_FILE; checking cannot be turned off"
	}
	return u
}

func (r Resource) odd(because string) error {
	u := wire.NotEntra(wire.Address(r.Target.url), because)
	u.Hint = "check that the address is that of the mail server, and the port that of its protocol"
	return u
}

func (r Resource) tlsConfig() *tls.Config {
	config := r.TLS.Clone()
	config.ServerName = r.Target.url.Hostname()
	return config
}

// smtp signs in to submission and leaves. Nothing is sent as mail.
func (r Resource) smtp(ctx context.Context, token entra.Token, access *entra.Access) error {
	conn, end, err := r.dial(ctx)
	if err != nil {
		return err
	}
	defer end()
	client, err := smtp.NewClient(conn, r.Target.url.Hostname())
	if err != nil {
		return r.replied(ctx, err, access)
	}
	if err := client.Hello("credsmith.invalid"); err != nil {
		return r.replied(ctx, err, access)
	}
	if ok, _ := client.Extension("STARTTLS"); !ok {
		return r.odd("the server offers no STARTTLS, and without TLS no token is sent")
	}
	if err := client.StartTLS(r.tlsConfig()); err != nil {
		return r.replied(ctx, err, access)
	}
	if ok, mechanisms := client.Extension("AUTH"); !ok || !hasWord(mechanisms, "XOAUTH2") {
		return r.odd("the server offers no XOAUTH2")
	}
	auth := &smtpAuth{message: xoauth2(r.Target.mailbox(), token)}
	err = client.Auth(auth)
	if err == nil {
		access.Status = 235
		_ = client.Quit() // the answer is in
		return nil
	}
	if err := r.replied(ctx, err, access); err != nil {
		return err
	}
	access.Message = withChallenge(access.Message, auth.challenge)
	return nil
}

// replied takes a refusal of the server's as its answer.
func (r Resource) replied(ctx context.Context, err error, access *entra.Access) error {
	reply, ok := errors.AsType[*textproto.Error](err)
	if !ok {
		return r.trouble(ctx, err)
	}
	access.Status, access.Message = reply.Code, reply.Msg
	access.Code, _, _ = strings.Cut(reply.Msg, " ") // the enhanced status code
	if strings.Trim(access.Code, "0123456789.") != "" {
		access.Code = ""
	}
	return nil
}

// smtpAuth is XOAUTH2 for net/smtp, which asks for it once TLS stands.
type smtpAuth struct{ message, challenge []byte }

func (a *smtpAuth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS {
		return "", nil, errors.New("no TLS")
	}
	return "XOAUTH2", a.message, nil
}

// Next answers the challenge that comes with a refusal, as XOAUTH2 wants, with
// nothing.
func (a *smtpAuth) Next(challenge []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	if a.challenge != nil {
		return nil, errors.New("the server asks twice")
	}
	a.challenge = challenge
	return []byte{}, nil
}

// withChallenge adds what a refusal's challenge says: {"status":"400",
// "schemes":"Bearer","scope":"…"}, the form that Google documents. What is not
// of that form stays out.
func withChallenge(message string, challenge []byte) string {
	var said struct{ Status, Schemes, Scope string }
	if len(challenge) == 0 || json.Unmarshal(challenge, &said) != nil || said.Status == "" {
		return message
	}
	return fmt.Sprintf("%s (the challenge says status %s, schemes %s, scope %s)", message, said.Status, said.Schemes, said.Scope)
}

func hasWord(text, word string) bool {
	for w := range strings.FieldsSeq(text) {
		if strings.EqualFold(w, word) {
			return true
		}
	}
	return false
}

// Limits of one IMAP conversation.
const (
	maxIMAPLine  = 8 << 10
	maxIMAPLines = 100 // in answer to one command
)

// imapConn speaks just enough IMAP (RFC 3501) to sign in and look at INBOX.
type imapConn struct {
	net.Conn
	in        *bufio.Reader
	challenge []byte
}

// imap signs in, asks for the number of messages in INBOX and leaves. Exchange
// lets an app with a good token sign in before it looks whether the app may
// use the mailbox.
func (r Resource) imap(ctx context.Context, token entra.Token, access *entra.Access) error {
	raw, end, err := r.dial(ctx)
	if err != nil {
		return err
	}
	defer end()
	secure := tls.Client(raw, r.tlsConfig())
	if err := secure.HandshakeContext(ctx); err != nil {
		return r.trouble(ctx, err)
	}
	c := &imapConn{Conn: secure, in: bufio.NewReaderSize(secure, maxIMAPLine)}
	if greeting, err := c.line(); err != nil {
		return r.trouble(ctx, err)
	} else if !strings.HasPrefix(greeting, "* OK") {
		return r.odd("the server does not greet as IMAP servers do")
	}
	steps := []struct{ name, command string }{
		{"CAPABILITY", "CAPABILITY"},
		{"AUTHENTICATE", "AUTHENTICATE XOAUTH2"},
		{"STATUS", "STATUS INBOX (MESSAGES)"},
	}
	for i, step := range steps {
		var message []byte
		if step.name == "AUTHENTICATE" {
			message = xoauth2(r.Target.mailbox(), token)
		}
		answer, lines, err := c.command(fmt.Sprintf("a%d", i), step.command, message)
		switch {
		case err != nil:
			return r.trouble(ctx, err)
		case step.name == "CAPABILITY" && !hasWord(strings.Join(lines, " "), "AUTH=XOAUTH2"):
			return r.odd("the server offers no XOAUTH2")
		}
		if word, text, _ := strings.Cut(answer, " "); !strings.EqualFold(word, "OK") {
			access.Code, access.Inner, access.Message = step.name, strings.ToUpper(word), withChallenge(text, c.challenge)
			return nil
		}
	}
	_, _, _ = c.command("a9", "LOGOUT", nil) // the answer is in
	return nil
}

// command sends one command and reads to its end. The message, if there is
// one, answers the first challenge; a second is answered with nothing.
func (c *imapConn) command(tag, command string, message []byte) (answer string, untagged []string, err error) {
	if _, err := c.Write([]byte(tag + " " + command + "\r\n")); err != nil {
		return "", nil, err
	}
	for range maxIMAPLines {
		line, err := c.line()
		if err != nil {
			return "", nil, err
		}
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			return rest, untagged, nil
		}
		challenge, ok := strings.CutPrefix(line, "+")
		if !ok {
			untagged = append(untagged, line)
			continue
		}
		reply := base64.StdEncoding.EncodeToString(message)
		if message == nil && c.challenge == nil {
			c.challenge, _ = base64.StdEncoding.DecodeString(strings.TrimSpace(challenge))
		}
		message = nil
		if _, err := c.Write([]byte(reply + "\r\n")); err != nil {
			return "", nil, err
		}
	}
	return "", nil, errors.New("the server's answer does not end")
}

func (c *imapConn) line() (string, error) {
	line, err := c.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", errors.New("the server's line does not end")
	}
	return strings.TrimRight(string(line), "\r\n"), err
}
