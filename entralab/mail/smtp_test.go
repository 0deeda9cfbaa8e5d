package mail_test

import (
	"errors"
	"fmt"
	"net/smtp"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"
)

// standardAuth is XOAUTH2 for net/smtp.
type standardAuth struct{ user, token string }

func (a standardAuth) Start(*smtp.ServerInfo) (string, []byte, error) {
	return "XOAUTH2", []byte(xoauth2(a.user, a.token)), nil
}

func (a standardAuth) Next([]byte, bool) ([]byte, error) { return nil, nil }

const note = "From: Billing <billing@contoso.lab.test>\r\nTo: ada@example.com\r\nSubject: Hello\r\n\r\nInvoice 7\r\n.dot\r\n"

// TestSubmission sends with the standard library's client.
func TestSubmission(t *testing.T) {
	t.Parallel()
	o := start(t)
	client := o.sender(t)
	for _, to := range []string{"ada@example.com", "Billing@Contoso.lab.test"} {
		if err := client.Rcpt(to); err != nil {
			t.Fatal(err)
		}
	}
	w, err := client.Data()
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(note))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := client.Quit(); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"ada@example.com", billing} {
		messages := o.server.Messages(address)
		if len(messages) != 1 {
			t.Fatalf("%s got %d messages", address, len(messages))
		}
		m := messages[0]
		if string(m.Data) != note || m.From != billing || len(m.To) != 2 || m.ClientID != o.app.ClientID || !m.At.Equal(o.lab.Now()) {
			t.Errorf("%s got %+v", address, m)
		}
	}
	if n := len(o.server.Messages("nobody@example.com")); n != 0 {
		t.Errorf("nobody got %d messages", n)
	}
}

// saslClient is XOAUTH2 for go-smtp and go-imap.
type saslClient struct{ user, token string }

func (c saslClient) Start() (string, []byte, error) {
	return "XOAUTH2", []byte(xoauth2(c.user, c.token)), nil
}

func (c saslClient) Next([]byte) ([]byte, error) { return nil, errors.New("unexpected challenge") }

var _ sasl.Client = saslClient{}

// TestSubmissionWithGoSMTP sends twice on one connection with go-smtp's
// client, and sees a refusal as a value.
func TestSubmissionWithGoSMTP(t *testing.T) {
	t.Parallel()
	o := start(t)
	client, err := gosmtp.DialStartTLS(o.server.SMTPAddr(), o.trust())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	err = client.Auth(saslClient{billing, "not.a.token"})
	var refusal *gosmtp.SMTPError
	if !errors.As(err, &refusal) {
		t.Fatal(err)
	}
	// The client says EHLO again after STARTTLS, so this is session 2.
	want := gosmtp.SMTPError{Code: 535, EnhancedCode: gosmtp.EnhancedCode{5, 7, 3}, Message: "Authentication unsuccessful " + o.diagnostic(2)}
	if *refusal != want {
		t.Errorf("got %+v, want %+v", *refusal, want)
	}
	if err := client.Auth(saslClient{billing, o.token(t, o.app, outlook)}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := client.SendMail(billing, []string{other}, strings.NewReader(note)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(o.server.Messages(other)); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
}

// TestSMTPOrder: what a client gets that skips a step, or takes it in another
// way.
func TestSMTPOrder(t *testing.T) {
	t.Parallel()
	o := start(t)
	plain := o.dial(t, o.server.SMTPAddr())
	plain.expect("220 smtp.lab.test ESMTP Service Ready")
	plain.send("MAIL FROM:<" + billing + ">")
	plain.expect("502 5.5.1 Please introduce yourself first.")
	plain.send("HELO client.test")
	plain.expect("250 2.0.0 Hello client.test")
	plain.send("MAIL FROM:<" + billing + ">")
	plain.expect("451 5.7.3 STARTTLS is required to send mail " + o.diagnostic(1))
	plain.send("AUTH XOAUTH2 " + encode(xoauth2(billing, "x")))
	plain.expect("523 5.7.10 TLS is required")
	plain.send("QUIT")
	plain.expect("221 2.0.0 Bye")

	c := o.submission(t) // sessions 2 and 3
	c.send("MAIL FROM:<" + billing + ">")
	c.expect("530 5.7.57 Client not authenticated to send mail. " + o.diagnostic(3))
	c.send("AUTH PLAIN AGEAYg==")
	c.expect("504 5.7.4 Unrecognized authentication type " + o.diagnostic(3))
	c.send("AUTH LOGIN")
	c.expect("535 5.7.139 Authentication unsuccessful, basic authentication is disabled. " + o.diagnostic(3))
	c.send("AUTH XOAUTH2 ***")
	c.expect("454 4.7.0 Invalid base64 data")
	c.send("AUTH XOAUTH2")
	c.expect("334 ")
	c.send("*")
	c.expect("501 5.0.0 Negotiation cancelled")
	c.send("AUTH XOAUTH2") // as in Microsoft's example
	c.expect("334 ")
	c.send(encode(xoauth2(billing, o.token(t, o.app, outlook))))
	c.expect("235 2.0.0 Authentication succeeded")
	c.send("AUTH XOAUTH2 " + encode(xoauth2(billing, "x")))
	c.expect("503 5.5.1 Already authenticated")
	c.send("DATA")
	c.expect("502 5.5.1 Missing RCPT TO command.")
}

// TestSMTPAuthDisabled: the token is good, the mailbox may not submit.
func TestSMTPAuthDisabled(t *testing.T) {
	t.Parallel()
	o := start(t)
	o.server.SetSMTPAuth("BILLING@contoso.lab.test", false)
	c := o.submission(t)
	message := "AUTH XOAUTH2 " + encode(xoauth2(billing, o.token(t, o.app, outlook)))
	c.send(message)
	const text = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information. "
	c.expect(text + o.diagnostic(2))
	c.send("MAIL FROM:<" + billing + ">")
	c.expect("530 5.7.57 Client not authenticated to send mail. Error: " + text + o.diagnostic(2))
	o.server.SetSMTPAuth(billing, true)
	c.send(message)
	c.expect("235 2.0.0 Authentication succeeded")
	c.send("MAIL FROM:<" + billing + ">")
	c.expect("250 2.0.0 Roger, accepting mail from <" + billing + ">")
}

// TestSendAs: envelope and From have to be the mailbox.
func TestSendAs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, envelope, from, want string }{
		{"both", billing, "From: " + billing, "250 2.0.0 OK: queued"},
		{"letter case", "Billing@contoso.lab.test", "From: BILLING@contoso.lab.test", "250 2.0.0 OK: queued"},
		{"no From", billing, "Subject: x", "250 2.0.0 OK: queued"},
		{"another envelope", other, "From: " + billing, ""},
		{"another From", billing, "From: Someone <" + other + ">", ""},
		{"two in From", billing, "From: " + billing + ", " + other, ""},
		{"empty envelope", "", "From: " + billing, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := start(t)
			c := o.signedIn(t)
			c.send("MAIL FROM:<" + test.envelope + ">")
			c.expect("250 2.0.0 Roger, accepting mail from <" + test.envelope + ">")
			c.send("RCPT TO:<ada@example.com>")
			c.expect("250 2.0.0 I'll make sure <ada@example.com> gets this")
			c.send("DATA")
			c.expect("354 Go ahead. End your data with <CR><LF>.<CR><LF>")
			c.send(test.from + "\r\n\r\nhello\r\n.")
			want, outcome := test.want, "accepted"
			if want == "" {
				outcome = "refused"
				want = "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message due to a permanent exception with message Cannot submit message. " + o.diagnostic(2)
			}
			c.expect(want)
			if n := len(o.server.Messages("ada@example.com")); n != strings.Count(want, "queued") {
				t.Errorf("%d messages", n)
			}
			events := o.history(t, "smtp")
			last := events[len(events)-1]
			if len(events) != 2 || last.Method != "DATA" || last.Outcome != outcome || last.Path != billing || last.AppID != o.app.ClientID {
				t.Errorf("history: %+v", events)
			}
		})
	}
}

// TestSMTPBounds: messages, recipients and lines have limits.
func TestSMTPBounds(t *testing.T) {
	t.Parallel()
	o := start(t)
	c := o.signedIn(t)
	c.send("MAIL FROM:<" + billing + "> SIZE=4194305")
	c.expect("552 5.3.4 Max message size exceeded")

	send := func(body string) {
		c.send("MAIL FROM:<" + billing + ">")
		c.expect("250 2.0.0 Roger, accepting mail from <" + billing + ">")
		c.send("RCPT TO:<ada@example.com>")
		c.expect("250 2.0.0 I'll make sure <ada@example.com> gets this")
		c.send("DATA")
		c.expect("354 Go ahead. End your data with <CR><LF>.<CR><LF>")
		c.send(body + "\r\n.")
	}
	text := strings.Repeat(strings.Repeat("x", 78)+"\r\n", 4<<20/80) // 64 short of the limit
	send(text + strings.Repeat("x", 63))
	c.expect("552 5.3.4 Maximum message size exceeded")
	send(text)
	c.expect("250 2.0.0 OK: queued")

	c.send("MAIL FROM:<" + billing + ">")
	c.expect("250 2.0.0 Roger, accepting mail from <" + billing + ">")
	for i := range 500 {
		c.send(fmt.Sprintf("RCPT TO:<u%d@example.com>", i))
		c.expect(fmt.Sprintf("250 2.0.0 I'll make sure <u%d@example.com> gets this", i))
	}
	c.send("RCPT TO:<one-more@example.com>")
	c.expect("452 4.5.3 Maximum limit of 500 recipients reached")
	c.send("NOOP " + strings.Repeat("x", 12300))
	c.expect("500 5.4.0 Too long line, closing connection")
}

// TestStoreCounts: the number of messages is bounded too.
func TestStoreCounts(t *testing.T) {
	t.Parallel()
	o := start(t)
	c := o.signedIn(t)
	for i := range 1001 {
		c.send("MAIL FROM:<" + billing + ">\r\nRCPT TO:<ada@example.com>\r\nDATA")
		c.expect("250 2.0.0 Roger, accepting mail from <"+billing+">", "250 2.0.0 I'll make sure <ada@example.com> gets this",
			"354 Go ahead. End your data with <CR><LF>.<CR><LF>")
		c.send("\r\n.")
		if i < 1000 {
			c.expect("250 2.0.0 OK: queued")
		}
	}
	c.expect("452 4.3.1 Insufficient system resources " + o.diagnostic(2))
}

// TestBinarySubmission: BDAT is a second way for a message to come in.
func TestBinarySubmission(t *testing.T) {
	t.Parallel()
	o := start(t)
	c := o.signedIn(t)
	c.send("MAIL FROM:<" + billing + ">\r\nRCPT TO:<ada@example.com>")
	c.expect("250 2.0.0 Roger, accepting mail from <"+billing+">", "250 2.0.0 I'll make sure <ada@example.com> gets this")
	c.send("BDAT 7 LAST\r\nhello")
	c.expect("250 2.0.0 OK: queued")
	if m := o.server.Messages("ada@example.com"); len(m) != 1 || string(m[0].Data) != "hello\r\n" {
		t.Errorf("messages: %+v", m)
	}
}

// sender is net/smtp's client, signed in and about to send from the mailbox.
func (o *office) sender(t testing.TB) *smtp.Client {
	t.Helper()
	client, err := smtp.Dial(o.server.SMTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if err := client.StartTLS(o.trust()); err != nil {
		t.Fatal(err)
	}
	if err := client.Auth(standardAuth{billing, o.token(t, o.app, outlook)}); err != nil {
		t.Fatal(err)
	}
	if err := client.Mail(billing); err != nil {
		t.Fatal(err)
	}
	return client
}
