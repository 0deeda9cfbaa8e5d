package mail

import (
	"net"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"github.com/emersion/go-sasl"
)

// imapSession is a connection. It reads INBOX and marks and expunges messages;
// what would make the store grow is refused.
type imapSession struct {
	server   *Server
	conn     net.Conn
	command  command // the one that is served
	login    login
	store    *imapmemserver.UserSession // nil until the client may use a mailbox
	readOnly bool
}

var (
	// errNotConnected is Exchange's answer to a client whose token is good but
	// whose app has no permission on the mailbox: AUTHENTICATE succeeds and
	// everything after it fails (many public reports).
	errNotConnected = &imap.Error{Type: imap.StatusResponseTypeBad, Text: "User is authenticated but not connected."}
	errNoChanges    = &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeCannot, Text: "The lab's mailboxes have an INBOX that mail arrives in, and nothing else."}
	errReadOnly     = &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeNoPerm, Text: "The mailbox is open for reading."}
)

func (s *Server) newIMAPSession(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	return &imapSession{server: s, conn: c.NetConn()}, nil, nil
}

// run serves a command with what goes wrong with it.
func (s *imapSession) run(name string, serve func() error) error {
	s.command = command{surface: "imap", name: name}
	return s.server.run(&s.command, s.conn, s.login, refuseIMAP, serve)
}

// refuseIMAP gives the answers of F7, as RFC 5530 and RFC 9051 have them.
func refuseIMAP(kind string) (status int, lastLine string, err error) {
	const text = "Temporary failure, try again later."
	if kind == "bye" {
		return 0, "* BYE " + text + "\r\n", errCut
	}
	return 0, "", &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeUnavailable, Text: text}
}

func (s *imapSession) Close() error { return s.store.Close() }

func (s *imapSession) AuthenticateMechanisms() []string { return []string{mechanism} }

func (s *imapSession) Authenticate(name string) (sasl.Server, error) {
	if name != mechanism {
		return nil, s.refuse("AUTHENTICATE")
	}
	return exchange(func(message string) error {
		s.login = s.server.check(message, "IMAP.AccessAsApp")
		return s.run("AUTHENTICATE", func() error { return s.open(s.login) })
	}), nil
}

// open gives the client its mailbox, if it may use it.
func (s *imapSession) open(l login) error {
	if !l.valid {
		s.server.record(&s.command, l, false, 0)
		return failed("AUTHENTICATE")
	}
	if l.granted {
		s.store = imapmemserver.NewUserSession(l.box.store)
	}
	s.server.record(&s.command, l, l.granted, 0)
	return nil
}

// Login refuses passwords, as all tenants do by now.
func (s *imapSession) Login(string, string) error { return s.refuse("LOGIN") }

func (s *imapSession) refuse(name string) error {
	s.command = command{surface: "imap", name: name}
	s.server.record(&s.command, login{}, false, 0)
	return failed(name)
}

func failed(name string) error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Text: name + " failed."}
}

func (s *imapSession) Select(name string, options *imap.SelectOptions) (data *imap.SelectData, err error) {
	err = s.run("SELECT", func() error {
		if s.store == nil {
			return errNotConnected
		}
		s.readOnly = options.ReadOnly
		data, err = s.store.Select(name, options)
		return err
	})
	return data, err
}

func (s *imapSession) Unselect() error { return s.store.Unselect() }

func (s *imapSession) List(w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions) error {
	return s.run("LIST", func() error {
		if s.store == nil {
			return errNotConnected
		}
		return s.store.List(w, ref, patterns, options)
	})
}

func (s *imapSession) Namespace() (*imap.NamespaceData, error) {
	if s.store == nil {
		return nil, errNotConnected
	}
	return s.store.Namespace()
}

func (s *imapSession) Status(name string, options *imap.StatusOptions) (*imap.StatusData, error) {
	if s.store == nil {
		return nil, errNotConnected
	}
	return s.store.Status(name, options)
}

func (s *imapSession) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if s.store == nil {
		return nil
	}
	return s.store.Poll(w, allowExpunge)
}

func (s *imapSession) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	if s.store == nil {
		return errNotConnected
	}
	return s.store.Idle(w, stop)
}

func (s *imapSession) Search(kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions) (data *imap.SearchData, err error) {
	err = s.run("SEARCH", func() error {
		data, err = s.store.Search(kind, criteria, options)
		return err
	})
	return data, err
}

func (s *imapSession) Fetch(w *imapserver.FetchWriter, set imap.NumSet, options *imap.FetchOptions) error {
	return s.run("FETCH", func() error { return s.store.Fetch(w, set, options) })
}

// systemFlags are those a message can carry: keywords of clients' own would
// pile up.
var systemFlags = []imap.Flag{imap.FlagSeen, imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagDraft}

func (s *imapSession) Store(w *imapserver.FetchWriter, set imap.NumSet, flags *imap.StoreFlags, options *imap.StoreOptions) error {
	if s.readOnly {
		return errReadOnly
	}
	if slices.ContainsFunc(flags.Flags, func(f imap.Flag) bool { return !slices.Contains(systemFlags, f) }) {
		return &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeCannot, Text: "Only the system flags can be set."}
	}
	return s.store.Store(w, set, flags, options)
}

// Expunge does nothing to a mailbox open for reading, since CLOSE ends here
// too.
func (s *imapSession) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	if s.readOnly {
		return nil
	}
	return s.store.Expunge(w, uids)
}

func (s *imapSession) changes() error {
	if s.store == nil {
		return errNotConnected
	}
	return errNoChanges
}

func (s *imapSession) Create(string, *imap.CreateOptions) error         { return s.changes() }
func (s *imapSession) Delete(string) error                              { return s.changes() }
func (s *imapSession) Rename(string, string, *imap.RenameOptions) error { return s.changes() }
func (s *imapSession) Subscribe(string) error                           { return s.changes() }
func (s *imapSession) Unsubscribe(string) error                         { return s.changes() }

func (s *imapSession) Append(string, imap.LiteralReader, *imap.AppendOptions) (*imap.AppendData, error) {
	return nil, s.changes()
}

func (s *imapSession) Copy(imap.NumSet, string) (*imap.CopyData, error) { return nil, s.changes() }

// AppendLimit keeps clients from sending what is not taken.
func (s *imapSession) AppendLimit() uint32 { return 4096 }
