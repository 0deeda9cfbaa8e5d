package mail_test

import (
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// submit sends a message to the mailbox itself.
func (o *office) submit(t testing.TB, text string) {
	t.Helper()
	client := o.sender(t)
	if err := client.Rcpt(billing); err != nil {
		t.Fatal(err)
	}
	w, err := client.Data()
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(text))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReadInbox reads with go-imap's client what was sent with net/smtp.
func TestReadInbox(t *testing.T) {
	t.Parallel()
	o := start(t)
	o.submit(t, note)
	client, err := imapclient.DialTLS(o.server.IMAPAddr(), &imapclient.Options{TLSConfig: o.trust()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Authenticate(saslClient{billing, o.token(t, o.app, outlook)}); err != nil {
		t.Fatal(err)
	}
	selected, err := client.Select("INBOX", nil).Wait()
	if err != nil || selected.NumMessages != 1 {
		t.Fatalf("%+v, %v", selected, err)
	}
	o.submit(t, "Subject: second\r\n\r\n")
	if err := client.Noop().Wait(); err != nil { // tells of new mail
		t.Fatal(err)
	}
	found, err := client.Search(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: "hello"}}}, nil).Wait()
	if err != nil || len(found.AllSeqNums()) != 1 || found.AllSeqNums()[0] != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	whole := &imap.FetchItemBodySection{Peek: true}
	messages, err := client.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{InternalDate: true, Envelope: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	if err != nil || len(messages) != 1 {
		t.Fatalf("%+v, %v", messages, err)
	}
	m := messages[0]
	if got := string(m.FindBodySection(whole)); got != note || m.Envelope.Subject != "Hello" || !m.InternalDate.Equal(o.lab.Now()) {
		t.Errorf("got %q, %+v", got, m)
	}
	deleted := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := client.Store(imap.SeqSetNum(1), deleted, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if err := client.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	status, err := client.Status("INBOX", &imap.StatusOptions{NumMessages: true}).Wait()
	if err != nil || *status.NumMessages != 1 {
		t.Errorf("%+v, %v", status, err)
	}
	if n := len(o.server.Messages(billing)); n != 2 {
		t.Errorf("the server remembers %d messages, want 2", n)
	}
	if err := client.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestNotConnected: without permission on the mailbox AUTHENTICATE succeeds and
// nothing after it does.
func TestNotConnected(t *testing.T) {
	t.Parallel()
	o := start(t)
	o.server.GrantMailbox("someone-else", other)
	c := o.imap(t)
	c.send("A AUTHENTICATE XOAUTH2 " + encode(xoauth2(other, o.token(t, o.app, outlook))))
	if got := c.read(); !strings.HasPrefix(got, "A OK ") {
		t.Fatal(got)
	}
	for _, command := range []string{
		"SELECT INBOX", "EXAMINE INBOX", `LIST "" *`, "STATUS INBOX (MESSAGES)", "NAMESPACE", "CREATE x",
		"DELETE INBOX", "RENAME INBOX x", "SUBSCRIBE INBOX", "UNSUBSCRIBE INBOX", "APPEND INBOX {1+}\r\nx",
	} {
		c.send("B " + command)
		c.expect("B BAD User is authenticated but not connected.")
	}
	c.send("C IDLE")
	c.expect("+ idling")
	c.send("DONE")
	c.expect("C BAD User is authenticated but not connected.")
	c.send("D NOOP")
	c.expect("D OK NOOP completed")
	c.send("E LOGOUT")
	c.expect("* BYE Logging out", "E OK LOGOUT completed")
}

// TestIMAPCommands: what is refused, and a session by hand.
func TestIMAPCommands(t *testing.T) {
	t.Parallel()
	o := start(t)
	o.submit(t, note)
	c := o.imap(t)
	c.send("A LOGIN billing@contoso.lab.test password")
	c.expect("A NO LOGIN failed.")
	c.send("B AUTHENTICATE PLAIN AGEAYg==")
	c.expect("B NO AUTHENTICATE failed.")
	c.send("C SELECT INBOX")
	c.expect("C BAD [CLIENTBUG] This command is only valid in the authenticated state")
	c.send("D AUTHENTICATE XOAUTH2")
	c.expect("+ ")
	c.send(encode(xoauth2(billing, o.token(t, o.app, outlook))))
	if got := c.read(); !strings.HasPrefix(got, "D OK ") {
		t.Fatal(got)
	}
	c.send(`E LIST "" *`)
	c.expect(`* LIST () "/" INBOX`, "E OK LIST completed")
	const nothingElse = "NO [CANNOT] The lab's mailboxes have an INBOX that mail arrives in, and nothing else."
	for _, command := range []string{"CREATE x", "DELETE INBOX", "RENAME INBOX x", "SUBSCRIBE INBOX", "UNSUBSCRIBE INBOX", "APPEND INBOX {1+}\r\nx"} {
		c.send("F " + command)
		c.expect("F " + nothingElse)
	}
	c.send("G APPEND INBOX {4097}")
	c.expect("G NO [TOOBIG] Literals are limited to 4096 bytes for this command")
	c.send("H SELECT INBOX")
	c.expect("* 1 EXISTS", "* 0 RECENT", "* OK [UNSEEN 1] First unseen message", "* OK [UIDVALIDITY 1] UIDs valid",
		"* OK [UIDNEXT 2] Predicted next UID", `* FLAGS ()`, `* OK [PERMANENTFLAGS (\*)] Permanent flags`, "H OK [READ-WRITE] SELECT completed")
	c.send("I COPY 1 INBOX")
	c.expect("I " + nothingElse)
	c.send("J STORE 1 +FLAGS (my-keyword)")
	c.expect("J NO [CANNOT] Only the system flags can be set.")
	c.send(`K STORE 1 +FLAGS.SILENT (\Deleted)`)
	c.expect("K OK STORE completed")
	c.send("L EXAMINE INBOX")
	for c.read() != "L OK [READ-ONLY] EXAMINE completed" {
	}
	c.send(`M STORE 1 -FLAGS (\Deleted)`)
	c.expect("M NO [NOPERM] The mailbox is open for reading.")
	c.send("N EXPUNGE")
	c.expect("N OK EXPUNGE completed")
	c.send("O CLOSE")
	c.expect("O OK CLOSE completed")
	c.send("P STATUS INBOX (MESSAGES)")
	c.expect("* STATUS INBOX (MESSAGES 1)", "P OK STATUS completed")
	c.send("Q AUTHENTICATE XOAUTH2 =")
	c.expect("Q BAD [CLIENTBUG] This command is only valid in the not authenticated state")
}

// TestIMAPBadBase64: what go-imap answers, which clients take for a refusal.
func TestIMAPBadBase64(t *testing.T) {
	t.Parallel()
	o := start(t)
	c := o.imap(t)
	c.send("A AUTHENTICATE XOAUTH2 ***")
	c.expect("A NO [SERVERBUG] Internal server error")
	c.send("B AUTHENTICATE XOAUTH2")
	c.expect("+ ")
	c.send("***")
	c.expect("B BAD Malformed SASL response")
	c.send("C AUTHENTICATE XOAUTH2")
	c.expect("+ ")
	c.send("*")
	c.expect("C BAD AUTHENTICATE cancelled")
}
