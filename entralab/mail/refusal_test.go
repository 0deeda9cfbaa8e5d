package mail_test

import (
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// attempt is an XOAUTH2 message and what becomes of it.
type attempt struct {
	name    string
	message func(t testing.TB, o *office) string
	status  string // of SMTP, "235" or what follows 535
	imap    string
	path    string // what the history says of the mailbox
	known   bool   // the history names the app
}

const (
	unsuccessful = "5.7.3 Authentication unsuccessful"
	imapFailed   = "NO AUTHENTICATE failed."
	imapOK       = "OK"
)

// attempts are the reasons that Exchange answers alike.
var attempts = []attempt{
	{"good", func(t testing.TB, o *office) string {
		return xoauth2(billing, o.token(t, o.app, outlook))
	}, "235", imapOK, billing, true},
	{"letter case of the mailbox", func(t testing.TB, o *office) string {
		return xoauth2("Billing@CONTOSO.lab.test", o.token(t, o.app, outlook))
	}, "235", imapOK, billing, true},
	{"audience by app id", func(t testing.TB, o *office) string {
		return xoauth2(billing, o.token(t, o.app, "00000002-0000-0ff1-ce00-000000000000"))
	}, "235", imapOK, billing, true},
	{"no permission on the mailbox", func(t testing.TB, o *office) string {
		o.server.GrantMailbox("someone-else", other)
		return xoauth2(other, o.token(t, o.app, outlook))
	}, unsuccessful, imapOK, other, true},
	{"no such mailbox", func(t testing.TB, o *office) string {
		return xoauth2("nobody@contoso.lab.test", o.token(t, o.app, outlook))
	}, unsuccessful, imapFailed, "", true},
	{"expired token", func(t testing.TB, o *office) string {
		token := o.token(t, o.app, outlook)
		o.lab.Advance(time.Hour)
		return xoauth2(billing, token)
	}, unsuccessful, imapFailed, billing, false},
	{"token for Graph", func(t testing.TB, o *office) string {
		return xoauth2(billing, o.token(t, o.app, "https://graph.microsoft.com"))
	}, unsuccessful, imapFailed, billing, false},
	{"no role", func(t testing.TB, o *office) string {
		app := o.addApp(t, entralab.AppSpec{Permissions: []string{"POP.AccessAsApp", "Mail.Send"}})
		o.server.GrantMailbox(app.ClientID, billing)
		return xoauth2(billing, o.token(t, app, outlook))
	}, unsuccessful, imapFailed, billing, true},
	{"app of another tenant", func(t testing.TB, o *office) string {
		app := o.addApp(t, entralab.AppSpec{TenantID: o.lab.OtherTenantID(), Permissions: []string{"SMTP.SendAsApp", "IMAP.AccessAsApp"}})
		o.server.GrantMailbox(app.ClientID, billing)
		return xoauth2(billing, o.token(t, app, outlook))
	}, unsuccessful, imapFailed, billing, true},
	{"token cut short", func(t testing.TB, o *office) string {
		token := o.token(t, o.app, outlook)
		return xoauth2(billing, token[:len(token)-9])
	}, unsuccessful, imapFailed, billing, false},
	{"token in the place of the user", func(t testing.TB, o *office) string {
		return xoauth2(o.token(t, o.app, outlook), billing)
	}, unsuccessful, imapFailed, "", false},
	{"no ^A^A at the end", func(t testing.TB, o *office) string {
		return strings.TrimSuffix(xoauth2(billing, o.token(t, o.app, outlook)), "\x01")
	}, unsuccessful, imapFailed, "", false},
	{"no Bearer", func(t testing.TB, o *office) string {
		return strings.Replace(xoauth2(billing, o.token(t, o.app, outlook)), "Bearer ", "", 1)
	}, unsuccessful, imapFailed, "", false},
	{"empty", func(testing.TB, *office) string { return "" }, unsuccessful, imapFailed, "", false},
}

// initial writes an initial response; an empty one is "=".
func initial(message string) string {
	if message == "" {
		return "="
	}
	return encode(message)
}

// history is the only event of a surface, without what differs from run to
// run.
func (o *office) history(t *testing.T, surface string) []entralab.Event {
	t.Helper()
	var events []entralab.Event
	for _, e := range o.lab.History(0) {
		if e.Surface == surface {
			if !e.At.Equal(o.lab.Now()) {
				t.Errorf("event at %s, the lab's time is %s", e.At, o.lab.Now())
			}
			e.Seq, e.At = 0, time.Time{}
			events = append(events, e)
		}
	}
	return events
}

func TestSMTPAuth(t *testing.T) {
	t.Parallel()
	for _, test := range attempts {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := start(t)
			message := test.message(t, o)
			c := o.submission(t)
			c.send("AUTH XOAUTH2 " + initial(message))
			want := entralab.Event{Surface: "smtp", Method: "AUTH", Path: test.path, Outcome: "refused", Status: 535}
			if test.status == "235" {
				c.expect("235 2.0.0 Authentication succeeded")
				want.Outcome, want.Status = "accepted", 235
			} else {
				refusal := test.status + " " + o.diagnostic(2)
				c.expect("535 " + refusal)
				c.send("MAIL FROM:<" + billing + ">")
				c.expect("530 5.7.57 Client not authenticated to send mail. Error: 535 " + refusal)
			}
			got := o.history(t, "smtp")
			if test.known {
				want.AppID, want.ObjectID = got[0].AppID, got[0].ObjectID
				if want.AppID == "" || want.ObjectID == "" {
					t.Error("the history does not name the app")
				}
			}
			if len(got) != 1 || got[0] != want {
				t.Errorf("history:\n got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestIMAPAuth(t *testing.T) {
	t.Parallel()
	for _, test := range attempts {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := start(t)
			message := test.message(t, o)
			c := o.imap(t)
			c.send("A1 AUTHENTICATE XOAUTH2 " + initial(message))
			want := entralab.Event{Surface: "imap", Method: "AUTHENTICATE", Path: test.path, Outcome: "refused"}
			if test.imap == imapOK {
				c.expect("A1 OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL- UNSELECT ENABLE IDLE UTF8=ACCEPT NAMESPACE UIDPLUS APPENDLIMIT=4096] XOAUTH2 authentication successful")
			} else {
				c.expect("A1 " + test.imap)
			}
			got := o.history(t, "imap")
			if test.status == "235" {
				want.Outcome = "accepted"
			}
			if test.known {
				want.AppID, want.ObjectID = got[0].AppID, got[0].ObjectID
				if want.AppID == "" || want.ObjectID == "" {
					t.Error("the history does not name the app")
				}
			}
			if len(got) != 1 || got[0] != want {
				t.Errorf("history:\n got %+v\nwant %+v", got, want)
			}
		})
	}
}
