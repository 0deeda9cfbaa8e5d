package mail_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/entralab/mail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	billing = "billing@contoso.lab.test"
	other   = "other@contoso.lab.test"
	outlook = "https://outlook.office365.com"
)

// office is a lab with a mail server and an app that may do everything with
// one mailbox.
type office struct {
	lab    *entralab.Lab
	server *mail.Server
	app    entralab.App
}

// start freezes the clock, so that answers can be compared whole.
func start(t testing.TB) *office {
	t.Helper()
	lab := entralab.New(t)
	lab.Freeze(true)
	lab.Set(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	server, err := mail.Start(context.Background(), lab, mail.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	o := &office{lab: lab, server: server}
	o.app = o.addApp(t, entralab.AppSpec{Permissions: []string{"SMTP.SendAsApp", "IMAP.AccessAsApp", "User.Read.All"}})
	server.GrantMailbox(o.app.ClientID, billing)
	return o
}

func (o *office) addApp(t testing.TB, spec entralab.AppSpec) entralab.App {
	t.Helper()
	spec.Secrets = []entralab.SecretSpec{{}}
	app, err := o.lab.AddApp(spec)
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// token asks the lab for an app-only token.
func (o *office) token(t testing.TB, app entralab.App, resource string) string {
	t.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {app.ClientID},
		"client_secret": {app.Secrets[0].Value.Reveal()}, "scope": {resource + "/.default"},
	}
	resp, err := o.lab.Client().Post(o.lab.AuthorityURL()+"/"+app.TenantID+"/oauth2/v2.0/token", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("token: %s, %v", resp.Status, err)
	}
	return answer.AccessToken
}

func (o *office) trust() *tls.Config {
	return &tls.Config{RootCAs: o.lab.CertPool(), ServerName: "127.0.0.1"}
}

func xoauth2(user, token string) string {
	return "user=" + user + "\x01auth=Bearer " + token + "\x01\x01"
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// line is a client that speaks the protocol by hand.
type line struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func (o *office) dial(t testing.TB, address string) *line {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &line{t, conn, bufio.NewReader(conn)}
}

func (l *line) secure(o *office) *line {
	conn := tls.Client(l.conn, o.trust())
	return &line{l.t, conn, bufio.NewReader(conn)}
}

func (l *line) send(text string) {
	l.t.Helper()
	if _, err := l.conn.Write([]byte(text + "\r\n")); err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) read() string {
	l.t.Helper()
	text, err := l.in.ReadString('\n')
	if err != nil {
		l.t.Fatalf("after %q: %v", text, err)
	}
	return strings.TrimSuffix(text, "\r\n")
}

// expect compares whole lines of an answer.
func (l *line) expect(want ...string) {
	l.t.Helper()
	for _, w := range want {
		if got := l.read(); got != w {
			l.t.Fatalf("answer:\n got %q\nwant %q", got, w)
		}
	}
}

// submission is a connection after STARTTLS, which makes it the second session
// of the server.
func (o *office) submission(t testing.TB) *line {
	t.Helper()
	c := o.dial(t, o.server.SMTPAddr())
	c.expect("220 smtp.lab.test ESMTP Service Ready")
	c.send("EHLO client.test")
	c.expect("250-Hello client.test", "250-PIPELINING", "250-8BITMIME", "250-ENHANCEDSTATUSCODES",
		"250-CHUNKING", "250-STARTTLS", "250-SIZE 4194304", "250 LIMITS RCPTMAX=500")
	c.send("STARTTLS")
	c.expect("220 2.0.0 Ready to start TLS")
	c = c.secure(o)
	c.send("EHLO client.test")
	c.expect("250-Hello client.test", "250-PIPELINING", "250-8BITMIME", "250-ENHANCEDSTATUSCODES",
		"250-CHUNKING", "250-AUTH LOGIN XOAUTH2", "250-SIZE 4194304", "250 LIMITS RCPTMAX=500")
	return c
}

// diagnostic is what refusals end with.
func (o *office) diagnostic(session int) string {
	return fmt.Sprintf("[smtp.lab.test %s %016X]", o.lab.Now().Format("2006-01-02T15:04:05.000Z"), session)
}

// signedIn is a submission of the mailbox.
func (o *office) signedIn(t testing.TB) *line {
	t.Helper()
	c := o.submission(t)
	c.send("AUTH XOAUTH2 " + encode(xoauth2(billing, o.token(t, o.app, outlook))))
	c.expect("235 2.0.0 Authentication succeeded")
	return c
}

func (o *office) imap(t testing.TB) *line {
	t.Helper()
	c := o.dial(t, o.server.IMAPAddr()).secure(o)
	c.expect("* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL- AUTH=XOAUTH2] IMAP server ready")
	return c
}
