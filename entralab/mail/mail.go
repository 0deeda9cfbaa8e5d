// Package mail gives a lab the mail protocols of Exchange Online for apps that
// sign in as themselves: SMTP submission with STARTTLS and IMAP over TLS, both
// by XOAUTH2 with a token of the lab.
//
// In a test:
//
//	lab := entralab.New(t)
//	app, err := lab.AddApp(entralab.AppSpec{
//		Permissions: []string{"SMTP.SendAsApp", "IMAP.AccessAsApp"},
//		Secrets:     []entralab.SecretSpec{{}},
//	})
//	...
//	server, err := mail.Start(t.Context(), lab, mail.Config{})
//	...
//	defer server.Close()
//	server.GrantMailbox(app.ClientID, "billing@contoso.lab.test")
//
// The code under test asks the lab for a token with the scope
// https://outlook.office365.com/.default, trusts [entralab.Lab.CertPool] and
// connects to [Server.SMTPAddr]; [Server.Messages] holds what it sent.
//
// The answers to AUTH and to unauthenticated clients are Exchange's, as far as
// they are known; FIDELITY.md of package entralab says from where. All others
// are those of the libraries go-smtp and go-imap.
package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-smtp"

	"github.com/credsmith/credsmith/entralab"
)

// Bounds of what clients can make the server keep.
const (
	maxMessageBytes = 4 << 20
	maxMessages     = 1000
	maxBytes        = 64 << 20 // of all messages and their copies
	maxRecipients   = 500
	maxConns        = 32 // for each protocol
	// maxLine is what RFC 4954 asks for: an access token does not fit into
	// the 2,000 that go-smtp allows.
	maxLine = 12288
	timeout = 30 * time.Second
)

// hostName stands where Exchange names its server. The lab's certificate
// covers it.
const hostName = "smtp.lab.test"

// Config is where a server listens: ports on the lab's address, 0 for any free
// one.
type Config struct {
	SMTPPort, IMAPPort int
}

// Message is mail that was submitted.
type Message struct {
	At       time.Time // lab time
	ClientID string    // of the app
	From     string    // of the envelope
	To       []string  // of the envelope, Bcc included
	Data     []byte    // header and body as sent
}

// Server is a running mail server. All its methods may be called at the same
// time.
type Server struct {
	lab        *entralab.Lab
	smtp, imap *listener
	serving    sync.WaitGroup
	closeOnce  sync.Once
	closeErr   error
	sessions   atomic.Uint64
	waiting    context.Context // of faults that wait; ends with the server
	stop       context.CancelFunc

	mu        sync.Mutex
	mailboxes map[string]*mailbox // by address in lower case
	messages  []Message
	bytes     int
}

// mailbox is an account. Its only folder is INBOX.
type mailbox struct {
	store   *imapmemserver.User
	granted map[string]bool // by client id in lower case
	noSMTP  bool
}

// Start serves the mail of a lab's home tenant until [Server.Close]. The lab
// needs sockets of its own. The context bounds the start only.
func Start(ctx context.Context, lab *entralab.Lab, cfg Config) (*Server, error) {
	origin, err := url.Parse(lab.AuthorityURL())
	if err != nil || origin.Port() == "" {
		return nil, errors.New("entralab/mail: start: the lab has no sockets; start it without InProcess")
	}
	s := &Server{lab: lab, mailboxes: map[string]*mailbox{}}
	s.waiting, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if s.smtp, err = listen(ctx, origin.Hostname(), cfg.SMTPPort); err != nil {
		s.stop()
		return nil, fmt.Errorf("entralab/mail: SMTP: %w", err)
	}
	if s.imap, err = listen(ctx, origin.Hostname(), cfg.IMAPPort); err != nil {
		s.smtp.Close()
		s.stop()
		return nil, fmt.Errorf("entralab/mail: IMAP: %w", err)
	}
	drip := func(b []byte, perSecond int, write func([]byte) (int, error)) (int, error) {
		return lab.Drip(s.waiting, b, perSecond, write)
	}
	s.smtp.drip, s.imap.drip = drip, drip
	quiet := log.New(io.Discard, "", 0) // what a client does wrong is its own test

	submission := smtp.NewServer(smtp.BackendFunc(s.newSMTPSession))
	submission.Domain = hostName
	submission.TLSConfig = lab.ServerTLS()
	submission.MaxMessageBytes = maxMessageBytes
	submission.MaxRecipients = maxRecipients
	submission.MaxLineLength = maxLine
	submission.ReadTimeout = timeout
	submission.WriteTimeout = timeout
	submission.ErrorLog = quiet
	s.serving.Go(func() { submission.Serve(s.smtp) })

	access := imapserver.New(&imapserver.Options{
		NewSession: s.newIMAPSession,
		Caps:       imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapUIDPlus: {}, imap.CapNamespace: {}},
		Logger:     quiet,
	})
	s.serving.Go(func() { access.Serve(tlsListener(s.imap, lab.ServerTLS())) })
	return s, nil
}

// Close stops serving and waits until all connections have ended. It may be
// called more than once.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		s.stop()
		s.closeErr = errors.Join(s.smtp.Close(), s.imap.Close())
		s.serving.Wait() // no more connections from here on
		s.smtp.end()
		s.imap.end()
	})
	return s.closeErr
}

// SMTPAddr is the host and port of submission, plain text until STARTTLS.
func (s *Server) SMTPAddr() string { return s.smtp.Addr().String() }

// IMAPAddr is the host and port of IMAP over TLS.
func (s *Server) IMAPAddr() string { return s.imap.Addr().String() }

// GrantMailbox registers an app in Exchange and gives it full access to a
// mailbox, as New-ServicePrincipal and Add-MailboxPermission do. It makes the
// mailbox if it is new.
func (s *Server) GrantMailbox(clientID, address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mailbox(address).granted[strings.ToLower(clientID)] = true
}

// SetSMTPAuth turns submission by a mailbox on, as it is at first, or off, as
// Set-CASMailbox -SmtpClientAuthenticationDisabled does.
func (s *Server) SetSMTPAuth(address string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mailbox(address).noSMTP = !on
}

// mailbox finds a mailbox or makes it. Call with s.mu held.
func (s *Server) mailbox(address string) *mailbox {
	key := strings.ToLower(address)
	m := s.mailboxes[key]
	if m == nil {
		m = &mailbox{store: imapmemserver.NewUser(key, ""), granted: map[string]bool{}}
		if err := m.store.Create("INBOX", nil); err != nil {
			panic("entralab/mail: " + err.Error()) // a new store has no INBOX yet
		}
		s.mailboxes[key] = m
	}
	return m
}

// Messages are those submitted to an address, oldest first, whether it has a
// mailbox or not.
func (s *Server) Messages(address string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Message
	for _, m := range s.messages {
		if slices.ContainsFunc(m.To, func(to string) bool { return strings.EqualFold(to, address) }) {
			m.To, m.Data = slices.Clone(m.To), bytes.Clone(m.Data)
			found = append(found, m)
		}
	}
	return found
}

// deliver keeps a message and puts it into the INBOX of each recipient that
// has a mailbox. It reports false when there is no room.
func (s *Server) deliver(m Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var inboxes []*imapmemserver.User
	size := len(m.Data) + len(m.From)
	for _, to := range m.To {
		size += len(to)
		if box := s.mailboxes[strings.ToLower(to)]; box != nil && !slices.Contains(inboxes, box.store) {
			inboxes = append(inboxes, box.store)
			size += len(m.Data)
		}
	}
	if len(s.messages) >= maxMessages || s.bytes+size > maxBytes {
		return false
	}
	s.messages = append(s.messages, m)
	s.bytes += size
	for _, inbox := range inboxes {
		if _, err := inbox.Append("INBOX", bytes.NewReader(m.Data), &imap.AppendOptions{Time: m.At}); err != nil {
			panic("entralab/mail: " + err.Error()) // INBOX cannot be deleted
		}
	}
	return true
}

// diagnostic is what Exchange adds to a refusal: server, time and session.
func (s *Server) diagnostic(session uint64) string {
	return "[" + hostName + " " + s.lab.Now().Format("2006-01-02T15:04:05.000Z") + " " + fmt.Sprintf("%016X", session) + "]"
}

func listen(ctx context.Context, host string, port int) (*listener, error) {
	var config net.ListenConfig
	inner, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return &listener{Listener: inner, open: map[*conn]bool{}}, nil
}
