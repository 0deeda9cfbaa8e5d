package try_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/entra"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/try"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// exchangeToken is one for Exchange, as far as it says itself.
var exchangeToken = entra.Token{Access: secret.New("header.claims.signature"), Audience: "https://outlook.office365.com", TenantID: "t"}

// script is a mail server: each step is a line to wait for, or with a > in
// front one to send; TLS starts where it says so.
func script(t *testing.T, secure bool, steps ...string) (address string, pool *tls.Config) {
	t.Helper()
	lab := entralab.New(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { conn.Close() }()
		start := func() { conn = tls.Server(conn, lab.ServerTLS()) }
		if secure {
			start()
		}
		in := bufio.NewReader(conn)
		for _, step := range steps {
			switch out, isOut := strings.CutPrefix(step, ">"); {
			case isOut:
				io.WriteString(conn, out+"\r\n")
			case step == "TLS":
				start()
				in = bufio.NewReader(conn)
			default:
				line, err := in.ReadString('\n')
				if err != nil || !strings.HasPrefix(line, step) {
					t.Errorf("got %q, %v, want %q", line, err, step)
					return
				}
			}
		}
		io.Copy(io.Discard, in) // until the client leaves
	}()
	return l.Addr().String(), &tls.Config{RootCAs: lab.CertPool()}
}

func use(t *testing.T, service entra.Service, scheme, host string, config *tls.Config) (entra.Access, error) {
	t.Helper()
	target, err := try.Parse(service, scheme+"://app@contoso.com@"+host, try.Place{Authority: lab})
	if err != nil {
		t.Fatal(err)
	}
	return try.Resource{Target: target, TLS: config}.Use(t.Context(), exchangeToken)
}

var message = base64.StdEncoding.EncodeToString([]byte("user=app@contoso.com\x01auth=Bearer header.claims.signature\x01\x01"))

// TestChallenge: a refusal may come with a JSON text in base64, which the
// client answers with an empty line.
func TestChallenge(t *testing.T) {
	t.Parallel()
	challenge := base64.StdEncoding.EncodeToString([]byte(`{"status":"400","schemes":"Bearer","scope":"https://outlook.office365.com/.default"}`))
	const says = "(the challenge says status 400, schemes Bearer, scope https://outlook.office365.com/.default)"

	host, config := script(t, false, ">220 hello", "EHLO", ">250-hello", ">250 STARTTLS", "STARTTLS", ">220 go", "TLS",
		"EHLO", ">250-hello", ">250 AUTH LOGIN XOAUTH2", "AUTH XOAUTH2 "+message, ">334 "+challenge, "\r\n", ">535 5.7.3 Authentication unsuccessful [x]", "*", ">501 5.5.4 no", "QUIT", ">221 bye")
	access, err := use(t, entra.ServiceSMTP, "smtp", host, config)
	if err != nil || access.Status != 535 || access.Code != "5.7.3" || access.Message != "5.7.3 Authentication unsuccessful [x] "+says {
		t.Errorf("%+v, %v", access, err)
	}

	host, config = script(t, true, ">* OK ready", "a0 CAPABILITY", ">* CAPABILITY IMAP4rev1 AUTH=XOAUTH2", ">a0 OK done",
		"a1 AUTHENTICATE XOAUTH2", ">+ ", message, ">+ "+challenge, "\r\n", ">a1 NO AUTHENTICATE failed.")
	access, err = use(t, entra.ServiceIMAP, "imaps", host, config)
	if err != nil || access.Code != "AUTHENTICATE" || access.Inner != "NO" || access.Message != "AUTHENTICATE failed. "+says {
		t.Errorf("%+v, %v", access, err)
	}
}

// TestNoTokenWithoutTLS: servers that are not what they should be get nothing.
func TestNoTokenWithoutTLS(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, scheme string
		service      entra.Service
		secure       bool
		steps        []string
		because      string
	}{
		{"no STARTTLS", "smtp", entra.ServiceSMTP, false, []string{">220 hello", "EHLO", ">250-hello", ">250 AUTH XOAUTH2"}, "no STARTTLS"},
		{"no XOAUTH2", "smtp", entra.ServiceSMTP, false, []string{">220 hello", "EHLO", ">250-hello", ">250 STARTTLS", "STARTTLS", ">220 go", "TLS", "EHLO", ">250-hello", ">250 AUTH LOGIN"}, "no XOAUTH2"},
		{"IMAP without XOAUTH2", "imaps", entra.ServiceIMAP, true, []string{">* OK ready", "a0 CAPABILITY", ">* CAPABILITY IMAP4rev1 AUTH=PLAIN", ">a0 OK done"}, "no XOAUTH2"},
		{"no IMAP", "imaps", entra.ServiceIMAP, true, []string{">220 smtp here"}, "does not greet"},
		{"endless line", "imaps", entra.ServiceIMAP, true, []string{">" + strings.Repeat("x", 9000)}, "does not end"},
		{"endless answer", "imaps", entra.ServiceIMAP, true, append([]string{">* OK ready", "a0"}, strings.Split(strings.Repeat(">* x\n", 120), "\n")[:120]...), "does not end"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			host, config := script(t, test.secure, test.steps...)
			access, err := use(t, test.service, test.scheme, host, config)
			u, ok := errors.AsType[*entra.Unreachable](err)
			if !ok || !strings.Contains(u.Because, test.because) || u.Hint == "" {
				t.Errorf("%+v, %v", access, err)
			}
		})
	}
	host, _ := script(t, true)
	_, err := use(t, entra.ServiceIMAP, "imaps", host, &tls.Config{})
	if u, ok := errors.AsType[*entra.Unreachable](err); !ok || u.Obstacle != entra.BadTLS {
		t.Errorf("a certificate of nobody: %v", err)
	}
}

// TestSMTPRefusesEarly: a reply before AUTH is an answer too.
func TestSMTPRefusesEarly(t *testing.T) {
	t.Parallel()
	host, config := script(t, false, ">421 4.3.2 Service not active")
	access, err := use(t, entra.ServiceSMTP, "smtp", host, config)
	if err != nil || access.Status != 421 || access.Code != "4.3.2" {
		t.Errorf("%+v, %v", access, err)
	}
}
