package diagnose

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/credsmith/credsmith/internal/entra"
)

// accessed says what the resource made of the token.
func accessed(o *Observations, f finding, token entra.Token) finding {
	f.summary, f.confidence = "", Confirmed
	if err := o.AccessErr; err != nil {
		f.verdict, f.confidence = Inconclusive, Possible
		f.summary = "The setting signs in; the resource could not be asked: " + err.Error()
		if u, ok := errors.AsType[*entra.Unreachable](err); ok {
			f.evidence = append(f.evidence, Evidence{FromNetwork, u.Because, u.Address})
			f.steps = []Fix{{Do: sentence(u.Hint)}}
		}
		return f
	}
	access := *o.Access
	f.evidence = append(f.evidence, answered(access))
	switch {
	case access.Withheld == entra.OtherAudience:
		return withheldAudience(o, f, access, token)
	case access.Withheld == entra.TrustsOther:
		f = trustsOther(f, access, token)
	case access.Service == entra.ServiceKeyVault:
		f = accessedVault(f, access, token)
	case access.Service == entra.ServiceARM:
		f = accessedARM(f, access, token)
	case access.Service == entra.ServiceSMTP, access.Service == entra.ServiceIMAP:
		f = accessedMailbox(o, f, access, token)
	default:
		return accessedGraph(f, access, token)
	}
	if len(f.steps) > 0 { // the cause's own are about permissions of APIs
		f.steps, f.stepsAlone = append(f.steps, proveOn(access)), true
	}
	return f
}

// proveOn is the same question once more.
func proveOn(a entra.Access) Fix {
	address := a.URL
	if scheme, host, ok := strings.Cut(a.URL, "://"); ok && a.Mailbox != "" {
		address = scheme + "://" + mailboxWord(a) + "@" + host
	}
	if strings.Trim(strings.ToLower(address), "abcdefghijklmnopqrstuvwxyz0123456789:/.-_@") != "" {
		address = "ADDRESS"
	}
	return Fix{Do: proveAccess.Do, Run: fmt.Sprintf("credsmith doctor --try %s %s", a.Service, address)}
}

// answered is what the resource said, as evidence.
func answered(a entra.Access) Evidence {
	says := "the token was not sent"
	switch {
	case a.Withheld != "":
	case a.Code == "" && (a.Status == 0 || a.Status < 300):
		says = "let in"
	default:
		says = strings.TrimSpace(a.Code + " " + a.Inner)
		if a.Message != "" {
			says += ": " + a.Message
		}
	}
	if a.Status != 0 && a.Withheld == "" {
		word := "HTTP"
		if a.Service == entra.ServiceSMTP {
			word = "reply"
		}
		says = strings.TrimSpace(fmt.Sprintf("%s %d %s", word, a.Status, says))
	}
	return Evidence{FromProbe, says, a.Method + " " + a.URL}
}

// letIn is the end of all that works.
func letIn(f finding, what string) finding {
	f.summary = "The setting signs in, and " + what + " lets it in."
	return f
}

// lacks names a permission as what is missing.
func lacks(f finding, summary string, evidence ...Evidence) finding {
	f.verdict, f.cause, f.summary = Broken, "permission-missing", summary
	f.evidence = append(f.evidence, evidence...)
	return f
}

// open leaves the question what the app may do.
func open(f finding, summary string, steps ...Fix) finding {
	f.verdict, f.confidence, f.summary, f.steps = Inconclusive, Possible, summary, steps
	return f
}

// other is for answers that are no matter of permission.
func other(f finding, a entra.Access, token entra.Token) finding {
	switch {
	case a.Status == 429:
		f.cause = "throttled"
		return open(f, "The setting signs in; the resource is too busy to answer (HTTP 429).", Fix{Do: "Try again later; one use of the token is all that is sent."})
	case a.Status >= 500:
		f.cause = "service-unavailable"
		return open(f, fmt.Sprintf("The setting signs in; the resource is in trouble (HTTP %d).", a.Status), Fix{Do: "Try again later; one use of the token is all that is sent."})
	case a.Status == 401:
		f.evidence = append(f.evidence, Evidence{FromProbe, fmt.Sprintf("the token is for %s and comes from tenant %s", orNothing(token.Audience), orNothing(token.TenantID)), "aud and tid claims of the token"})
		return open(f, fmt.Sprintf("The setting signs in; the resource does not accept the token (HTTP 401 %s).", a.Code))
	}
	return open(f, fmt.Sprintf("The setting signs in; the resource answers HTTP %d %s, which is not about permission.", a.Status, a.Code))
}

func orNothing(text string) string {
	if text == "" {
		return "nobody named"
	}
	return text
}

// withheldAudience: the scope asks for another resource than the one used.
func withheldAudience(o *Observations, f finding, a entra.Access, token entra.Token) finding {
	f.verdict, f.cause = Broken, "scope-malformed"
	f.evidence = append(f.evidence, Evidence{FromProbe, "the token is for " + orNothing(token.Audience), "aud claim of the token"})
	f.summary = fmt.Sprintf("The scope %s gives a token for %s; %s takes only its own.", o.Case.Scope, orNothing(token.Audience), a.URL)
	return f
}

// trustsOther: the resource belongs to another tenant than the setting.
func trustsOther(f finding, a entra.Access, token entra.Token) finding {
	f.verdict, f.cause = Broken, "tenant-wrong"
	f.summary = fmt.Sprintf("The setting signs in to tenant %s; the resource trusts tenant %s only.", orNothing(token.TenantID), a.TenantID)
	f.evidence = append(f.evidence, Evidence{FromProbe, "it names tenant " + a.TenantID, "answer of " + a.URL})
	f.steps = []Fix{{Do: "Sign in to tenant " + a.TenantID + " with an app of that tenant, or with this app once it has a service principal there."}}
	return f
}

// graphRoles are roles that open a part of Graph, the least first. Source:
// Graph's permission reference, recalled.
var graphRoles = []struct {
	path  string // the first parts of the path; * for one part
	roles []string
}{
	{"users/*/messages", []string{"Mail.Read", "Mail.ReadWrite"}},
	{"users/*/mailFolders", []string{"Mail.Read", "Mail.ReadWrite"}},
	{"users/*/sendMail", []string{"Mail.Send"}},
	{"users/*/events", []string{"Calendars.Read", "Calendars.ReadWrite"}},
	{"users/*/calendar", []string{"Calendars.Read", "Calendars.ReadWrite"}},
	{"users/*/contacts", []string{"Contacts.Read", "Contacts.ReadWrite"}},
	{"users/*/drive", []string{"Files.Read.All", "Files.ReadWrite.All", "Sites.Read.All", "Sites.ReadWrite.All"}},
	{"users", []string{"User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}},
	{"groups", []string{"Group.Read.All", "Group.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}},
	{"applications", []string{"Application.Read.All", "Application.ReadWrite.OwnedBy", "Application.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}},
	{"servicePrincipals", []string{"Application.Read.All", "Application.ReadWrite.OwnedBy", "Application.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}},
	{"auditLogs", []string{"AuditLog.Read.All"}},
	{"organization", []string{"Organization.Read.All", "Organization.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}},
	{"domains", []string{"Domain.Read.All", "Domain.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}},
	{"devices", []string{"Device.Read.All", "Device.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}},
	{"sites", []string{"Sites.Read.All", "Sites.ReadWrite.All", "Sites.Selected"}},
	{"policies", []string{"Policy.Read.All"}},
	{"identity/conditionalAccess", []string{"Policy.Read.All", "Policy.Read.ConditionalAccess"}},
	{"roleManagement/directory", []string{"RoleManagement.Read.Directory", "RoleManagement.ReadWrite.Directory", "RoleManagement.Read.All"}},
	{"reports", []string{"Reports.Read.All"}},
}

// rolesFor returns the roles that open a Graph address, nil if not known.
func rolesFor(address string) []string {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) < 2 { // the first is the version
		return nil
	}
	for _, known := range graphRoles {
		want := strings.Split(known.path, "/")
		matches := len(parts)-1 >= len(want)
		for i := 0; matches && i < len(want); i++ {
			matches = want[i] == "*" || strings.EqualFold(want[i], parts[i+1])
		}
		if matches {
			return known.roles
		}
	}
	return nil
}

func accessedGraph(f finding, a entra.Access, token entra.Token) finding {
	needs := rolesFor(a.URL)
	held := slices.ContainsFunc(needs, func(r string) bool { return slices.Contains(token.Roles, r) })
	switch {
	case a.Status < 300:
		return letIn(f, "the resource")
	case a.Status == 403 && held:
		// The role is there, so something narrower stands in the way.
		f = lacks(f, fmt.Sprintf("The token has a role that usually opens this part of Graph, and Graph still refuses (%s).", a.Code), roles(token))
		f.confidence = Likely
		f.unknown = []Unknown{{"permission-missing", "a rule narrower than the role stands in the way: an application access policy on mailboxes, Sites.Selected, an object that needs a directory role", "read the message of the answer above, and ask who administers the object"}}
		return f
	case a.Status == 403:
		f = lacks(f, "", roles(token))
		if len(needs) > 0 {
			f.summary = fmt.Sprintf("The sign-in works; the app lacks the Graph permission %s or a larger one.", needs[0])
			f.steps = []Fix{{Do: "Add the application permission " + needs[0] + " of Microsoft Graph and grant admin consent.", Az: addGraphRole(needs[0])}}
		}
		return f
	}
	return other(f, a, token)
}

// addGraphRole grants a Graph role by name with az, in two steps: the role's
// id has to be looked up.
func addGraphRole(role string) string {
	const graphApp = "00000003-0000-0000-c000-000000000000"
	return "az ad app permission add --id {client_id} --api " + graphApp + " --api-permissions " +
		"$(az ad sp show --id " + graphApp + " --query \"appRoles[?value=='" + role + "'].id\" -o tsv)=Role"
}

func roles(token entra.Token) Evidence {
	says := "the token carries no application permission at all"
	if len(token.Roles) > 0 {
		says = "the token carries only: " + strings.Join(token.Roles, ", ")
	}
	return Evidence{FromProbe, says, "roles claim of the token"}
}

// accessedVault reads Key Vault's answers: facts seen in public reports, the
// inner codes tell most.
func accessedVault(f finding, a entra.Access, token entra.Token) finding {
	vault := vaultOf(a.URL)
	switch {
	case a.Status < 300:
		return letIn(f, "the vault")
	case a.Inner == "ForbiddenByRbac":
		f = lacks(f, fmt.Sprintf("The sign-in works; the app has no role on the vault that allows %s.", actionOr(a, "reading secrets")))
		f.unknown = []Unknown{{"permission-missing", "a role assigned in the last minutes may not be known everywhere yet", "if you assigned it just now, try again in ten minutes"}}
		f.steps = []Fix{{
			Do: "Assign the role Key Vault Secrets User on the vault, or on the one secret, to the app's service principal.", Portal: "Key vaults > " + vault + " > Access control (IAM) > Add role assignment",
			Az:         `az role assignment create --assignee {client_id} --role "Key Vault Secrets User" --scope $(az keyvault show --name ` + vault + " --query id -o tsv)",
			PowerShell: `New-AzRoleAssignment -ApplicationId {client_id} -RoleDefinitionName "Key Vault Secrets User" -Scope (Get-AzKeyVault -VaultName ` + vault + ").ResourceId",
		}}
		return f
	case a.Inner == "AccessDenied":
		f = lacks(f, "The sign-in works; the vault uses access policies, and none gives the app this permission on secrets.")
		f.steps = []Fix{accessPolicy(vault, "Add an access policy with the secret permission Get (and List to list) for the app.")}
		return f
	case a.Inner == "ForbiddenByPolicy":
		f = lacks(f, "The sign-in works; the vault's access policy takes the app only on behalf of a user, not by itself.")
		f.steps = []Fix{accessPolicy(vault, "Make the access policy for the app itself: leave the field Authorized application empty.")}
		return f
	case a.Inner == "ForbiddenByFirewall", a.Inner == "ForbiddenByConnection":
		f = open(f, "The setting signs in; the vault's network rules refuse this machine before the app's permission is looked at.",
			Fix{Do: "Run this where the app runs, or let this machine's address in.", Portal: "Key vaults > " + vault + " > Networking"})
		f.unknown = []Unknown{{"permission-missing", "the vault looked at the address only", "run the same command on the machine or network of the app"}}
		return f
	case a.Inner == "SecretDisabled":
		return open(f, "The setting signs in and the vault lets it in; the newest version of the secret is disabled.",
			Fix{Do: "Enable the version, or write the value again: a vault does not fall back to an older version.", Portal: "Key vaults > " + vault + " > Secrets"})
	case a.Status == 404:
		return open(f, "The setting signs in and the vault lets it in; there is no secret of that name.",
			Fix{Do: "Check the secret's name. If it was deleted it can be recovered.", Portal: "Key vaults > " + vault + " > Secrets > Manage deleted secrets", Az: "az keyvault secret list --vault-name " + vault + " --query [].name"})
	case a.Status == 403:
		return lacks(f, "")
	}
	return other(f, a, token)
}

func accessPolicy(vault, do string) Fix {
	return Fix{
		Do: do, Portal: "Key vaults > " + vault + " > Access policies > Create",
		Az:         "az keyvault set-policy --name " + vault + " --spn {client_id} --secret-permissions get",
		PowerShell: "Set-AzKeyVaultAccessPolicy -VaultName " + vault + " -ServicePrincipalName {client_id} -PermissionsToSecrets get",
	}
}

func actionOr(a entra.Access, otherwise string) string {
	if a.Action != "" {
		return a.Action
	}
	return otherwise
}

// vaultOf is the vault's name, for a command line: nothing else may stand in a
// host's first label.
func vaultOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "<vault>"
	}
	name, domain, _ := strings.Cut(u.Hostname(), ".")
	if !strings.HasPrefix(domain, "vault.") || name == "" || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return "<vault>"
	}
	return name
}

// accessedARM reads Azure Resource Manager's answers, seen in public reports.
func accessedARM(f finding, a entra.Access, token entra.Token) finding {
	assign := Fix{
		Do: "Assign a role such as Reader to the app's service principal, on the subscription or on what it works with.", Portal: "Subscriptions > <subscription> > Access control (IAM) > Add role assignment",
		Az:         "az role assignment create --assignee {client_id} --role Reader --scope /subscriptions/<subscription-id>",
		PowerShell: "New-AzRoleAssignment -ApplicationId {client_id} -RoleDefinitionName Reader -Scope /subscriptions/<subscription-id>",
	}
	subscriptions := strings.HasSuffix(strings.TrimRight(a.URL, "/"), "/subscriptions")
	switch {
	case a.Status < 300 && a.Items == 0 && subscriptions:
		f = lacks(f, "The sign-in works; the app has no role on any subscription.", Evidence{FromProbe, "the list of subscriptions is empty", a.Method + " " + a.URL})
		f.steps = []Fix{assign}
		return f
	case a.Status < 300:
		return letIn(f, "Resource Manager")
	case a.Code == "InvalidAuthenticationTokenTenant" && a.TenantID != "":
		return trustsOther(f, a, token)
	case a.Code == "InvalidAuthenticationTokenTenant":
		f.verdict, f.cause, f.summary = Broken, "tenant-wrong", "The setting signs in to another tenant than that of the subscription."
		return f
	case a.Status == 403 && (a.Code == "AuthorizationFailed" || a.Code == "LinkedAuthorizationFailed"):
		f = lacks(f, fmt.Sprintf("The sign-in works; the app has no role that allows %s.", actionOr(a, "this action")))
		f.unknown = []Unknown{{"permission-missing", "Resource Manager answers the same for a scope that does not exist, and for a role assigned minutes ago", "check the ids in the address; if the role is new, try again in ten minutes"}}
		f.steps = []Fix{assign}
		return f
	case a.Code == "SubscriptionNotFound":
		return open(f, "The setting signs in; there is no such subscription, or the app has no role on it.", assign)
	case a.Status == 403:
		return lacks(f, "")
	}
	return other(f, a, token)
}
