package mail_test

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/entralab/mail"
)

func TestStart(t *testing.T) {
	t.Parallel()
	inProcess, err := entralab.Start(context.Background(), entralab.Config{InProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	defer inProcess.Close()
	if _, err := mail.Start(context.Background(), inProcess, mail.Config{}); err == nil || err.Error() != "entralab/mail: start: the lab has no sockets; start it without InProcess" {
		t.Errorf("in process: %v", err)
	}

	o := start(t)
	_, taken, _ := net.SplitHostPort(o.server.SMTPAddr())
	port, _ := strconv.Atoi(taken)
	for _, cfg := range []mail.Config{{SMTPPort: port}, {IMAPPort: port}, {SMTPPort: -1}, {IMAPPort: 70000}} {
		server, err := mail.Start(context.Background(), o.lab, cfg)
		if err == nil {
			server.Close()
			t.Errorf("%+v started", cfg)
		} else if !strings.HasPrefix(err.Error(), "entralab/mail: ") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	for _, address := range []string{o.server.SMTPAddr(), o.server.IMAPAddr()} {
		if host, _, _ := net.SplitHostPort(address); host != "127.0.0.1" {
			t.Errorf("listens on %s", address)
		}
	}
}

// TestClose cuts connections in every state, and may be called twice.
func TestClose(t *testing.T) {
	t.Parallel()
	o := start(t)
	o.dial(t, o.server.SMTPAddr()) // silent
	o.dial(t, o.server.IMAPAddr()) // silent, in the handshake
	data := o.signedIn(t)
	data.send("MAIL FROM:<" + billing + ">\r\nRCPT TO:<ada@example.com>\r\nDATA")
	data.expect("250 2.0.0 Roger, accepting mail from <"+billing+">", "250 2.0.0 I'll make sure <ada@example.com> gets this",
		"354 Go ahead. End your data with <CR><LF>.<CR><LF>")
	chunk := o.signedIn(t)
	chunk.send("MAIL FROM:<" + billing + ">\r\nRCPT TO:<ada@example.com>\r\nBDAT 7\r\nhello")
	chunk.expect("250 2.0.0 Roger, accepting mail from <"+billing+">", "250 2.0.0 I'll make sure <ada@example.com> gets this", "250 2.0.0 Continue")
	idle := o.imap(t)
	idle.send("A AUTHENTICATE XOAUTH2 " + encode(xoauth2(billing, o.token(t, o.app, outlook))))
	idle.read()
	idle.send("B SELECT INBOX")
	for !strings.HasPrefix(idle.read(), "B OK") {
	}
	idle.send("C IDLE")
	idle.expect("+ idling")
	for range 2 {
		if err := o.server.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []*line{data, chunk, idle} {
		if text, err := c.in.ReadString('\n'); err == nil {
			t.Errorf("after Close: %q", text)
		}
	}
	if n := len(o.server.Messages("ada@example.com")); n != 0 {
		t.Errorf("%d messages of unfinished submissions", n)
	}
	if _, err := net.Dial("tcp", o.server.IMAPAddr()); err == nil {
		t.Error("still listening")
	}
}

// TestTLS: the certificate is the lab's, and nothing older than TLS 1.2 is
// spoken.
func TestTLS(t *testing.T) {
	t.Parallel()
	o := start(t)
	for _, config := range []*tls.Config{
		{ServerName: "127.0.0.1"},
		{RootCAs: o.lab.CertPool(), ServerName: "outlook.office365.com"},
		{RootCAs: o.lab.CertPool(), ServerName: "127.0.0.1", MaxVersion: tls.VersionTLS11},
	} {
		if conn, err := tls.Dial("tcp", o.server.IMAPAddr(), config); err == nil {
			conn.Close()
			t.Errorf("connected with %+v", config)
		}
	}
	conn, err := tls.Dial("tcp", o.server.IMAPAddr(), &tls.Config{RootCAs: o.lab.CertPool(), ServerName: "smtp.lab.test"})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// TestGarbage: whatever a client sends, the server goes on.
func TestGarbage(t *testing.T) {
	t.Parallel()
	o := start(t)
	long := strings.Repeat("x", 1<<20)
	for _, text := range []string{
		"\x16\x03\x01\x00\x05hello", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\n\r\n\r\n\r\n", "\x00\xff\xfe", long,
		"EHLO x\r\nAUTH XOAUTH2 " + long, "EHLO x\r\nBDAT 99999999999\r\n", "EHLO x\r\nBDAT 4294967295 LAST\r\n", "MAIL FROM:<" + long + ">\r\n",
		"A AUTHENTICATE XOAUTH2 " + long, "A LOGIN {4294967295}\r\n", "A LOGIN {9999999999999999999999}\r\n", "A LOGIN ((((((", "* * *\r\n",
	} {
		for _, tls := range []bool{false, true} {
			c := o.dial(t, o.server.SMTPAddr())
			if tls {
				c = o.dial(t, o.server.IMAPAddr()).secure(o)
			}
			c.conn.Write([]byte(text)) // may fail half way: the server hangs up
			if plain, ok := c.conn.(*net.TCPConn); ok {
				plain.CloseWrite()
			}
			c.conn.Close()
		}
	}
	o.submit(t, note)
	c := o.imap(t)
	c.send("A AUTHENTICATE XOAUTH2 " + encode(xoauth2(billing, o.token(t, o.app, outlook))))
	c.read()
	c.send("B STATUS INBOX (MESSAGES)")
	c.expect("* STATUS INBOX (MESSAGES 1)", "B OK STATUS completed")
}
