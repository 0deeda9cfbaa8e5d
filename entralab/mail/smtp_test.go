package mail_test

import (
	"net/smtp"
	"testing"
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
	client, err := smtp.Dial(o.server.SMTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.StartTLS(o.trust()); err != nil {
		t.Fatal(err)
	}
	if err := client.Auth(standardAuth{billing, o.token(t, o.app, outlook)}); err != nil {
		t.Fatal(err)
	}
	if err := client.Mail(billing); err != nil {
		t.Fatal(err)
	}
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
