package diagnose

// The order is that of likelihood for AADSTS7000215, which `explain` shows.
var valueCauses = []Info{
	{
		Cause: "secret-id-used", Family: ValueFamily, Codes: []int{7000215},
		Says: "The value configured is the Secret ID of a secret, not its value.",
		Tell: "The value is 36 characters in the form of a GUID and equals the Secret ID of one of the app's secrets. Values made today hold `Q~` and have 40 characters.",
		Fix:  []Fix{{Do: "Put the secret's value in place of its Secret ID. The portal shows a value only once, when the secret is made: if no copy is left, add a new secret."}, newSecret, prove},
	},
	{
		Cause: "secret-whitespace", Family: ValueFamily, Codes: []int{7000215},
		Says: "The value carries invisible characters that are not part of the secret.",
		Tell: "The value starts, ends or is broken by a space, newline, carriage return, tab, byte order mark, zero-width or no-break space, and signs in without it.",
		Fix:  []Fix{{Do: "Remove the invisible characters where the value is stored. Write it with printf '%s', not echo; save the file without a byte order mark."}, prove},
	},
	{
		Cause: "secret-deleted", Family: ValueFamily, Codes: []int{7000215},
		Says: "The value belongs to a secret that has been removed from the app.",
		Tell: "No secret of the app has the value's first three characters as its hint, and the audit log shows a secret removed. It signed in before.",
		Fix:  []Fix{newSecret, prove},
	},
	{
		Cause: "secret-of-other-app", Family: ValueFamily, Codes: []int{7000215},
		Says: "The value is the secret of another app.",
		Tell: "The same value signs in with another client id.",
		Fix:  []Fix{{Do: "Put the value of this app's own secret in place, or the client id that the value belongs to."}, hints, prove},
	},
	{
		Cause: "secret-propagating", Family: ValueFamily, Codes: []int{7000215, 7000222},
		Says: "The secret is so new that not every sign-in server knows it yet.",
		Tell: "The app's newest secret is under 15 minutes old and has the value's hint; answers change from refused to accepted without any change of the setting.",
		Fix:  []Fix{{Do: "Wait: it takes seconds to some minutes. Change nothing, and make no further secret.", Run: "credsmith doctor --wait 5m", Portal: hints.Portal, Az: hints.Az, PowerShell: hints.PowerShell}, {Do: "When rolling out secrets, wait for several acceptances in a row before consumers get the value."}},
	},
	{
		Cause: "secret-typo", Family: ValueFamily, Codes: []int{7000215},
		Says: "The value begins like a live secret of the app but differs from it further on.",
		Tell: "The hint fits a live secret that is older than 15 minutes, yet the value is refused and no known slip explains it.",
		Fix:  []Fix{{Do: "Copy the value again from where it was kept when the secret was made. If no copy is left, add a new secret."}, newSecret, prove},
	},
	{
		Cause: "secret-truncated", Family: ValueFamily, Codes: []int{7000215},
		Says: "The value is cut short.",
		Tell: "It has the form of today's secrets (three characters, a digit, Q~) but not their length of 40 (37 where the digit is 7).",
		Fix:  []Fix{{Do: "Copy the whole value: a double click in many tools stops at ~ . or -, and an unquoted # ends the line in .env and YAML."}, newSecret, prove},
	},
	{
		Cause: "secret-quoted", Family: ValueFamily, Codes: []int{7000215},
		Says: "Quotes around the value have become part of it.",
		Tell: "The value starts or ends with a quote and signs in without it. docker --env-file and systemd do not strip quotes.",
		Fix:  []Fix{{Do: "Remove the quotes where the value is stored."}, prove},
	},
	{
		Cause: "secret-encoded", Family: ValueFamily, Codes: []int{7000215},
		Says: "The value is encoded once too often.",
		Tell: "It holds %7E, &amp;, \\u007e or is base64 of readable text, and signs in once decoded.",
		Fix:  []Fix{{Do: "Store the value as the portal showed it. In Kubernetes, `stringData` takes it plain and `data` takes its base64, once."}, prove},
	},
	{
		Cause: "secret-placeholder", Family: ValueFamily, Codes: []int{7000215, 7000216},
		Says: "The value is a placeholder that nothing replaced.",
		Tell: "It reads ${VAR}, {{ … }}, <…>, changeme, ***, or @Microsoft.KeyVault(…).",
		Fix: []Fix{{Do: "Find out why the reference was not resolved (variable not set, pipeline secret not mapped, Key Vault reference refused), or put the value in its place.",
			Portal: "App Services > the app > Environment variables: a Key Vault reference shows whether it was resolved", Az: "az webapp config appsettings list --name <app-service> --resource-group <group> --query [].name", PowerShell: "(Get-AzWebApp -Name <app-service> -ResourceGroupName <group>).SiteConfig.AppSettings.Name"}, prove},
	},
	{
		Cause: "secret-expired", Family: ValueFamily, Codes: []int{7000222},
		Says: "The secret is past its end date.",
		Tell: "The app has a secret with the value's hint whose end date is past.",
		Fix:  []Fix{newSecret, prove, {Do: "Remove the expired secret once the new one is in use everywhere.", Portal: "App registrations > {app} > Certificates & secrets > Client secrets > {key_id} > Delete", Az: "az ad app credential delete --id {client_id} --key-id {key_id}", PowerShell: `Remove-MgApplicationPassword -ApplicationId (Get-MgApplication -Filter "appId eq '{client_id}'").Id -KeyId {key_id}`}},
	},
	{
		Cause: "secret-superseded", Family: ValueFamily, Codes: []int{7000215},
		Says: "The value is an older secret of the app, since removed; another place has the current one.",
		Tell: "Another copy of the setting signs in, and this value belonged to a secret of the same app.",
		Fix:  []Fix{{Do: "Bring this place to the value that the other places have.", Run: "credsmith drift ."}, hints, prove},
	},
	{
		Cause: "secret-not-yet-valid", Family: ValueFamily, Codes: []int{7000215},
		Says: "The secret's start date lies ahead.",
		Tell: "The app has a secret with the value's hint whose start date is in the future.",
		Fix:  []Fix{{Do: "Use another live secret until then, or add one that starts now."}, newSecret, prove},
	},
	{
		Cause: "secret-of-other-tenant", Family: ValueFamily, Codes: []int{7000215},
		Says: "The value belongs to the same app in another tenant.",
		Tell: "The same value and client id sign in at another tenant.",
		Fix:  []Fix{fixValue, ownTenant, prove},
	},
	{
		Cause: "secret-empty", Family: ValueFamily, Codes: []int{7000216, 7000218, 900144},
		Says: "The secret is set but empty.",
		Tell: "The variable exists and holds nothing, or only invisible characters.",
		Fix:  []Fix{{Do: "Set the secret's value. A pipeline that may not read the secret hands on an empty one."}, prove},
	},
	{
		Cause: "secret-unknown", Family: ValueFamily, Codes: []int{7000215},
		Says: "The value is refused and matches nothing known.",
		Tell: "No hint fits, no slip explains it, no other known app takes it.",
		Fix:  []Fix{hints, newSecret, prove},
	},
}
