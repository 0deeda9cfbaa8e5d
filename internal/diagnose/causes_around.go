package diagnose

var permissionCauses = []Info{
	{
		Cause: "permission-missing", Family: PermissionFamily,
		Says: "The sign-in works; the app lacks the permission for what it then does.",
		Tell: "A token is issued, and the resource answers 403 to it, or does not find the role that it needs in it.",
		Fix: []Fix{{
			Do: "Add the application permission (not the delegated one) and grant admin consent; new tokens carry it.", Portal: "App registrations > {app} > API permissions > Add a permission > Application permissions, then Grant admin consent",
			Az: "az ad app permission admin-consent --id {client_id}", PowerShell: assignRole,
		}, proveAccess},
	},
	{
		Cause: "consent-missing", Family: PermissionFamily, Codes: []int{65001, 650052, 650057},
		Says: "Nobody has consented to what the app asks for.",
		Tell: "The answer says so; the secret was accepted. An app that signs in as itself gets a token all the same, without roles: the code comes with users.",
		Fix:  []Fix{consent, proveAccess},
	},
	{
		Cause: "assignment-required", Family: PermissionFamily, Codes: []int{501051, 50105},
		Says: "The resource takes only those who have one of its roles.",
		Tell: "The answer says that the app (501051) or the user (50105) is not assigned to a role; the secret was accepted.",
		Fix: []Fix{{
			Do: "Assign one of the resource's app roles: to the app's service principal, or to the user or a group of theirs.", Portal: "App registrations > {app} > API permissions > Add a permission > My APIs > Application permissions, then Grant admin consent; users: Enterprise applications > the API > Users and groups",
			Az: "az ad app permission add --id {client_id} --api <client-id of the API> --api-permissions <role-id>=Role && az ad app permission admin-consent --id {client_id}", PowerShell: assignRole,
		}, {Do: "Prove it with the API's own scope.", Run: "credsmith doctor --scope RESOURCE/.default"}},
	},
	{
		Cause: "conditional-access", Family: PermissionFamily, Codes: []int{53003, 53000, 530032},
		Says: "A Conditional Access policy blocks the sign-in.",
		Tell: "The answer comes after the credential was accepted: the secret is right.",
		Fix: []Fix{{
			Do: "Look the correlation id up in the sign-in log; it names the policy. Policies for apps go by place and by risk: the same setting may sign in from elsewhere.", Portal: "Microsoft Entra ID > Sign-in logs > Service principal sign-ins > the sign-in > Conditional Access",
			Az:         `az rest --method GET --url "https://graph.microsoft.com/beta/auditLogs/signIns?\$filter=appId eq '{client_id}' and signInEventTypes/any(t:t eq 'servicePrincipal')&\$top=5"`,
			PowerShell: `Get-MgBetaAuditLogSignIn -Filter "appId eq '{client_id}' and signInEventTypes/any(t:t eq 'servicePrincipal')" -Top 5 | Select-Object CreatedDateTime, CorrelationId, AppliedConditionalAccessPolicies`,
		}, prove},
	},
	{
		Cause: "secret-use-blocked", Family: PermissionFamily,
		Says: "A policy of the tenant forbids client secrets for this app.",
		Tell: "No secret of the app is valid, and the app management policy lets none be added.",
		Fix: []Fix{{Do: "Sign in with a certificate, a managed identity or a federated credential.",
			Portal: "Enterprise applications > Application policies", Az: "az rest --method GET --url https://graph.microsoft.com/v1.0/policies/defaultAppManagementPolicy", PowerShell: "Get-MgPolicyDefaultAppManagementPolicy"}},
	},
}

var aroundCauses = []Info{
	{
		Cause: "throttled", Family: AroundFamily, Codes: []int{50196},
		Says: "The sign-in service slows this client down.",
		Tell: "HTTP 429, or the code for a request loop.",
		Fix:  []Fix{{Do: "Cache tokens until they run out, and wait as long as Retry-After says."}},
	},
	{
		Cause: "service-unavailable", Family: AroundFamily, Codes: []int{90033, 90006, 40010},
		Says: "The sign-in service is not available for the moment.",
		Tell: "HTTP 5xx, or a code that Microsoft marks as passing.",
		Fix:  []Fix{{Do: "Try again with growing pauses; look at the Azure status page if it lasts.", Portal: "Service Health, or https://azure.status.microsoft"}},
	},
	{
		Cause: "network-dns", Family: AroundFamily,
		Says: "The name of the login host does not resolve.",
		Tell: "No address comes back, so nothing was sent.",
		Fix:  []Fix{{Do: "Check the spelling of the authority and the name server of the place that signs in.", Run: prove.Run}},
	},
	{
		Cause: "network-tls", Family: AroundFamily,
		Says: "No trusted TLS connection to the login host comes about.",
		Tell: "The certificate is not trusted, expired or of another host: often a proxy that opens TLS.",
		Fix:  []Fix{{Do: "Add your proxy's CA to the trust store of the place that signs in (SSL_CERT_FILE); do not turn checking off.", Run: prove.Run}},
	},
	{
		Cause: "network-proxy", Family: AroundFamily,
		Says: "A proxy stands between, and answers itself.",
		Tell: "HTTP 407, a redirect, or a page in place of JSON.",
		Fix:  []Fix{{Do: "Set HTTPS_PROXY and NO_PROXY for the place that signs in, and let the login host pass.", Run: prove.Run}},
	},
	{
		Cause: "network-refused", Family: AroundFamily,
		Says: "The login host cannot be reached.",
		Tell: "The connection is refused or times out.",
		Fix:  []Fix{{Do: "Open outgoing port 443 to the login host.", Run: prove.Run}},
	},
	{
		Cause: "clock-skew", Family: AroundFamily, Codes: []int{700024, 50013},
		Says: "The clock of the machine is wrong.",
		Tell: "The server's Date differs by more than five minutes. Secrets do not care; assertions and tokens do.",
		Fix:  []Fix{{Do: "Set the clock by NTP.", Run: prove.Run}},
	},
	{
		Cause: "stale-consumer", Family: AroundFamily, Codes: []int{7000215, 7000222},
		Says: "The setting works; the process that fails still uses another value.",
		Tell: "The setting signs in now, and the secret was already valid when the error was printed.",
		Fix: []Fix{{Do: "Restart the process, or redeploy it: environment variables and Key Vault references are read at start.",
			Portal: "App Services > the app > Restart", Az: "az webapp restart --name <app-service> --resource-group <group>", PowerShell: "Restart-AzWebApp -Name <app-service> -ResourceGroupName <group>"}},
	},
	{
		Cause: "environment-drift", Family: AroundFamily, Codes: []int{7000215},
		Says: "The process that fails runs with another setting than this one.",
		Tell: "The error names another app, or another environment's copy of the setting differs.",
		Fix:  []Fix{{Do: "Look at the setting of the environment that fails.", Run: "credsmith drift ."}},
	},
}
