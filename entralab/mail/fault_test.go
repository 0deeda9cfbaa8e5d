package mail_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/credsmith/credsmith/entralab"
)

// fault sets a rule over the control address, as a person does.
func (o *office) fault(t testing.TB, rule string) {
	t.Helper()
	resp, err := o.lab.Client().Post(o.lab.ControlURL()+"/control/faults", "application/json", strings.NewReader(rule))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var said struct{ Error string }
		json.NewDecoder(resp.Body).Decode(&said)
		t.Fatalf("%s: %s %s", rule, resp.Status, said.Error)
	}
}

// fired counts the hits of all rules.
func (o *office) fired(t testing.TB) (hits int) {
	t.Helper()
	resp, err := o.lab.Client().Get(o.lab.ControlURL() + "/control/faults")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var rules []struct{ Fired int }
	if err := json.NewDecoder(resp.Body).Decode(&rules); err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		hits += r.Fired
	}
	return hits
}

// ended reads to the end of the connection.
func (l *line) ended() (rest string) {
	l.t.Helper()
	for {
		text, err := l.in.ReadString('\n')
		rest += text
		if err != nil {
			if strings.Contains(err.Error(), "timeout") {
				l.t.Fatalf("after %q: %v", rest, err)
			}
			return rest
		}
	}
}

// happened are the faults that the history names since an event.
func (o *office) happened(after int) (events []entralab.Event) {
	for _, e := range o.lab.History(after) {
		if e.Fault != "" {
			e.Seq, e.At = 0, time.Time{}
			events = append(events, e)
		}
	}
	return events
}

func (o *office) expectEvent(t testing.TB, after int, want entralab.Event) {
	t.Helper()
	if got := o.happened(after); len(got) != 1 || got[0] != want {
		t.Errorf("history %+v, want %+v", got, want)
	}
}

// TestSMTPRefusesForAWhile: 451, 454 and 421 at each command, and the same
// command is taken once the rule is spent.
func TestSMTPRefusesForAWhile(t *testing.T) {
	t.Parallel()
	o := start(t)
	auth := "AUTH XOAUTH2 " + encode(xoauth2(billing, o.token(t, o.app, outlook)))
	commands := []struct{ name, send, want string }{
		{"AUTH", auth, "235 2.0.0 Authentication succeeded"},
		{"MAIL", "MAIL FROM:<" + billing + ">", "250 2.0.0 Roger, accepting mail from <" + billing + ">"},
		{"RCPT", "RCPT TO:<ada@example.com>", "250 2.0.0 I'll make sure <ada@example.com> gets this"},
		{"DATA", "DATA", "354 Go ahead. End your data with <CR><LF>.<CR><LF>"},
	}
	answers := map[string]string{
		"421": "421 4.3.2 Service not available, closing transmission channel ",
		"451": "451 4.7.0 Temporary server error. Please try again later. ",
		"454": "454 4.7.0 Temporary authentication failure ",
	}
	session := 0
	for kind, answer := range answers {
		for i, failing := range commands {
			if kind == "454" && failing.name != "AUTH" {
				continue
			}
			c := o.submission(t)
			session += 2
			for _, before := range commands[:i] {
				c.send(before.send)
				c.expect(before.want)
			}
			o.fault(t, `{"match":{"surface":"smtp","method":"`+failing.name+`"},"fault":"F7","times":1,"params":{"kind":"`+kind+`"}}`)
			after := len(o.lab.History(0))
			c.send(failing.send)
			if failing.name == "DATA" {
				c.expect(failing.want)
				c.send(note + ".")
			}
			c.expect(answer + o.diagnostic(session))
			status := map[string]int{"421": 421, "451": 451, "454": 454}[kind]
			o.expectEvent(t, after, entralab.Event{
				Surface: "smtp", Method: failing.name, Path: billing, AppID: o.app.ClientID, ObjectID: o.app.ObjectID, Outcome: "fault", Fault: "F7", Status: status,
			})
			if kind == "421" {
				if rest := c.ended(); rest != "" {
					t.Errorf("%s, after 421: %q", failing.name, rest)
				}
				continue
			}
			if failing.name != "DATA" { // after DATA the message starts anew
				c.send(failing.send)
				c.expect(failing.want)
			}
		}
	}
	if n := len(o.server.Messages("ada@example.com")); n != 0 {
		t.Errorf("%d messages were taken", n)
	}
	// 454 is for AUTH alone: a rule for all commands leaves the others be.
	o.lab.RemoveFaults()
	c := o.signedIn(t)
	o.fault(t, `{"match":{"surface":"smtp"},"fault":"F7","params":{"kind":"454"}}`)
	c.send(commands[1].send)
	c.expect(commands[1].want)
}

// TestSMTPCuts: the connection ends amid a command or its answer, and after a
// message was taken, which a client then sends twice.
func TestSMTPCuts(t *testing.T) {
	t.Parallel()
	o := start(t)
	envelope := func() *line {
		c := o.signedIn(t)
		c.send("MAIL FROM:<" + billing + ">\r\nRCPT TO:<ada@example.com>\r\nDATA")
		c.expect("250 2.0.0 Roger, accepting mail from <"+billing+">", "250 2.0.0 I'll make sure <ada@example.com> gets this",
			"354 Go ahead. End your data with <CR><LF>.<CR><LF>")
		return c
	}
	event := entralab.Event{Surface: "smtp", Path: billing, AppID: o.app.ClientID, ObjectID: o.app.ObjectID, Outcome: "fault", Fault: "F14"}

	c := o.signedIn(t)
	o.fault(t, `{"match":{"surface":"smtp","app":"`+o.app.ObjectID+`"},"fault":"F14","times":1,"params":{"kind":"answer"}}`)
	after := len(o.lab.History(0))
	c.send("MAIL FROM:<" + billing + ">")
	if rest := c.ended(); rest != "25" {
		t.Errorf("amid the answer: %q", rest)
	}
	event.Method = "MAIL"
	o.expectEvent(t, after, event)

	o.fault(t, `{"match":{"surface":"smtp","method":"DATA"},"fault":"F14","times":1,"params":{"kind":"command"}}`)
	after = len(o.lab.History(0))
	c = envelope()
	if rest := c.ended(); rest != "" {
		t.Errorf("amid the message: %q", rest)
	}
	event.Method = "DATA"
	o.expectEvent(t, after, event)
	if n := len(o.server.Messages("ada@example.com")); n != 0 {
		t.Fatalf("%d messages were taken", n)
	}

	o.fault(t, `{"match":{"surface":"smtp","method":"DATA","path":"BILLING@*"},"fault":"F8","times":1}`)
	after = len(o.lab.History(0))
	c = envelope()
	c.send(note + ".")
	if rest := c.ended(); rest != "" {
		t.Errorf("answer that is lost: %q", rest)
	}
	event.Outcome, event.Fault, event.Status = "accepted", "F8", 250
	o.expectEvent(t, after, event)
	c = envelope()
	c.send(note + ".")
	c.expect("250 2.0.0 OK: queued")
	if n := len(o.server.Messages("ada@example.com")); n != 2 {
		t.Errorf("%d messages, want the one whose answer was lost and its copy", n)
	}
}

// TestMailDrips: the answer comes a few bytes at a time, and whole.
func TestMailDrips(t *testing.T) {
	t.Parallel()
	o := start(t)
	c := o.signedIn(t)
	o.fault(t, `{"match":{"surface":"smtp","method":"MAIL"},"fault":"F13","params":{"bytes_per_second":400}}`)
	begin := time.Now()
	c.send("MAIL FROM:<" + billing + ">")
	c.expect("250 2.0.0 Roger, accepting mail from <" + billing + ">")
	if took := time.Since(begin); took < 100*time.Millisecond { // some 90 bytes with TLS
		t.Errorf("the answer took %v", took)
	}
	c.send("RCPT TO:<ada@example.com>") // at full speed again
	c.expect("250 2.0.0 I'll make sure <ada@example.com> gets this")
	o.lab.RemoveFaults()
	o.fault(t, `{"match":{"surface":"imap","method":"AUTHENTICATE"},"fault":"F12","params":{"min":"150ms","max":"150ms"}}`)
	access := o.imap(t)
	begin = time.Now()
	access.send("A AUTHENTICATE XOAUTH2 " + encode(xoauth2(billing, o.token(t, o.app, outlook))))
	if got := access.read(); !strings.HasPrefix(got, "A OK ") || time.Since(begin) < 150*time.Millisecond {
		t.Errorf("%q after %v", got, time.Since(begin))
	}
}

// TestIMAPFaults goes through go-imap's client where a connection survives.
func TestIMAPFaults(t *testing.T) {
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
	o.fault(t, `{"match":{"surface":"imap","method":"SELECT"},"fault":"F7","times":1,"params":{"kind":"unavailable"}}`)
	after := len(o.lab.History(0))
	_, err = client.Select("INBOX", nil).Wait()
	want := imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeUnavailable, Text: "Temporary failure, try again later."}
	if refused, ok := err.(*imap.Error); !ok || *refused != want {
		t.Errorf("got %v, want %v", err, want)
	}
	o.expectEvent(t, after, entralab.Event{
		Surface: "imap", Method: "SELECT", Path: billing, AppID: o.app.ClientID, ObjectID: o.app.ObjectID, Outcome: "fault", Fault: "F7",
	})
	if selected, err := client.Select("INBOX", nil).Wait(); err != nil || selected.NumMessages != 1 {
		t.Errorf("the second time: %+v, %v", selected, err)
	}

	signedIn := func() *line {
		c := o.imap(t)
		c.send("A AUTHENTICATE XOAUTH2 " + encode(xoauth2(billing, o.token(t, o.app, outlook))))
		if got := c.read(); !strings.HasPrefix(got, "A OK ") {
			t.Fatal(got)
		}
		return c
	}
	for _, tc := range []struct{ rule, command, rest string }{
		{`"fault":"F7","params":{"kind":"bye"}`, `LIST "" *`, "* BYE Temporary failure, try again later.\r\n"},
		{`"fault":"F14","params":{"kind":"command"}`, `LIST "" *`, ""},
		{`"fault":"F14","params":{"kind":"answer"}`, `LIST "" *`, "* OK [CAPABIL"},
		{`"fault":"F8"`, `LIST "" *`, "* LIST () \"/\" INBOX\r\n"}, // the data came, the end did not
	} {
		c := signedIn()
		o.fault(t, `{"match":{"surface":"imap","method":"LIST"},"times":1,`+tc.rule+`}`)
		c.send("B " + tc.command)
		if rest := c.ended(); rest != tc.rest {
			t.Errorf("%s: %q, want %q", tc.rule, rest, tc.rest)
		}
		o.lab.RemoveFaults()
	}
}

// TestMailFaultRules: what is no fault of mail is refused, and rules of other
// surfaces leave mail alone.
func TestMailFaultRules(t *testing.T) {
	t.Parallel()
	o := start(t)
	for surface, want := range map[string]string{
		"smtp": `entralab: add fault: match.surface is "smtp"; F15 lives on graph, token, vault`,
		"imap": `entralab: add fault: match.surface is "imap"; F15 lives on graph, token, vault`,
	} {
		if _, err := o.lab.AddFault(entralab.FaultRule{Match: entralab.FaultMatch{Surface: surface}, Fault: "F15"}); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	token := o.token(t, o.app, outlook)
	o.fault(t, `{"fault":"F7"}`)
	c := o.submission(t)
	c.send("AUTH XOAUTH2 " + encode(xoauth2(billing, token)))
	c.expect("235 2.0.0 Authentication succeeded")
}

// TestCloseEndsFaults: neither a drip nor a wait outlasts the server.
func TestCloseEndsFaults(t *testing.T) {
	t.Parallel()
	o := start(t)
	drips, waits := o.signedIn(t), o.signedIn(t)
	waits.send("MAIL FROM:<" + billing + ">")
	waits.expect("250 2.0.0 Roger, accepting mail from <" + billing + ">")
	o.fault(t, `{"match":{"surface":"smtp","method":"MAIL"},"fault":"F13"}`)
	o.fault(t, `{"match":{"surface":"smtp","method":"RCPT"},"fault":"F12","params":{"min":"1h","max":"1h"}}`)
	drips.send("MAIL FROM:<" + billing + ">")
	waits.send("RCPT TO:<ada@example.com>")
	for o.fired(t) < 2 {
		time.Sleep(time.Millisecond)
	}
	begin := time.Now()
	if err := o.server.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("closing took %v", took)
	}
	for _, c := range []*line{drips, waits} {
		if rest, err := bufio.NewReader(c.conn).ReadString('\n'); err == nil {
			t.Errorf("after Close: %q", rest)
		}
	}
}
