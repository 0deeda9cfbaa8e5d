package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
)

// accessedMailbox reads the answers of Exchange Online, which says 535 5.7.3
// or "AUTHENTICATE failed" to nearly everything: the token's own claims tell
// what it is not.
func accessedMailbox(o *Observations, f finding, a entra.Access, token entra.Token) finding {
	role := "SMTP.SendAsApp"
	if a.Service == entra.ServiceIMAP {
		role = "IMAP.AccessAsApp"
	}
	if a.Code == "" && (a.Status == 0 || a.Status < 300) {
		return letIn(f, "the mailbox "+a.Mailbox)
	}
	held := slices.Contains(token.Roles, role)
	if !held {
		f = lacks(f, fmt.Sprintf("The sign-in works; the app lacks the Exchange permission %s.", role), roles(token))
		f.steps = []Fix{{
			Do:     fmt.Sprintf("Add the application permission %s of Office 365 Exchange Online (not of Microsoft Graph) and grant admin consent.", role),
			Portal: "App registrations > {app} > API permissions > Add a permission > APIs my organization uses > Office 365 Exchange Online > Application permissions",
		}, mailboxGrant(a)}
		return f
	}
	f.evidence = append(f.evidence,
		Evidence{FromProbe, "the token is for Exchange: " + token.Audience, "aud claim of the token"},
		Evidence{FromProbe, "the token carries " + role, "roles claim of the token"})
	switch {
	case strings.Contains(a.Message, "SmtpClientAuthentication is disabled"):
		f = lacks(f, "The sign-in works; submission over SMTP is turned off for the mailbox or for the tenant.")
		f.steps = []Fix{{Do: "Turn authenticated SMTP on for the mailbox.", Portal: "Microsoft 365 admin center > Users > Active users > the user > Mail > Manage email apps > Authenticated SMTP", PowerShell: "Set-CASMailbox -Identity " + mailboxWord(a) + " -SmtpClientAuthenticationDisabled $false"}}
		return f
	case strings.Contains(a.Message, "authenticated but not connected"):
		f = lacks(f, fmt.Sprintf("The sign-in works and Exchange takes the token; the app has no permission on the mailbox %s.", a.Mailbox))
		f.steps = []Fix{mailboxGrant(a)}
		return f
	case a.Service == entra.ServiceSMTP && a.Status/100 == 4, a.Inner == "BYE":
		f.cause = "service-unavailable"
		return open(f, "The setting signs in; the mail server is busy.", Fix{Do: "Try again later; one use of the token is all that is sent."})
	case a.Service == entra.ServiceSMTP && a.Status != 535 && a.Status != 530 && a.Status != 550:
		return open(f, fmt.Sprintf("The setting signs in; the mail server answers %d, which is not about permission.", a.Status))
	}
	f = lacks(f, fmt.Sprintf("The sign-in works and the token has %s; Exchange does not let the app use the mailbox %s.", role, a.Mailbox))
	f.confidence = Likely
	f.unknown = []Unknown{{"permission-missing",
		"Exchange says the same when the app is not registered in it, when it is registered with the object id of the app registration in place of the enterprise application's, when it has no permission on the mailbox, and when there is no such mailbox",
		"Get-ServicePrincipal | Where-Object AppId -eq " + guidOr(o.Case.Setting.ClientID, "<client-id>") + "; Get-MailboxPermission -Identity " + mailboxWord(a)}}
	f.steps = []Fix{registerInExchange(token), mailboxGrant(a)}
	return f
}

// registerInExchange makes Exchange know the app. The object id is that of the
// service principal, which the token names.
func registerInExchange(token entra.Token) Fix {
	return Fix{
		Do:         "Register the app in Exchange Online with the object id of its enterprise application (not of the app registration).",
		Portal:     "Enterprise applications > {app} > Overview > Object ID; the registration itself has no page",
		PowerShell: "New-ServicePrincipal -AppId {client_id} -ObjectId " + guidOr(token.ObjectID, "<object-id of the enterprise application>"),
	}
}

func mailboxGrant(a entra.Access) Fix {
	return Fix{
		Do:         "Give the app's service principal full access to the mailbox.",
		PowerShell: "Add-MailboxPermission -Identity " + mailboxWord(a) + " -User (Get-ServicePrincipal | Where-Object AppId -eq {client_id}).Identity -AccessRights FullAccess",
	}
}

// mailboxWord is the mailbox for a command line: one in plain characters only.
func mailboxWord(a entra.Access) string {
	if a.Mailbox == "" || strings.Trim(strings.ToLower(a.Mailbox), "abcdefghijklmnopqrstuvwxyz0123456789.-_@") != "" {
		return "<mailbox>"
	}
	return a.Mailbox
}
