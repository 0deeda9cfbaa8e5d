package diagnose

var identityCauses = []Info{
	{
		Cause: "client-id-unknown", Family: IdentityFamily, Codes: []int{700016, 70001},
		Says: "No app with this client id exists in the tenant.",
		Tell: "The tenant answers, and says that the application is not there.",
		Fix:  []Fix{clientID, prove},
	},
	{
		Cause: "client-id-is-object-id", Family: IdentityFamily, Codes: []int{700016},
		Says: "The client id configured is the app's object id.",
		Tell: "The directory has an application or service principal with this object id, and its client id is another one.",
		Fix:  []Fix{{Do: "Use the Application (client) ID, which stands above the Object ID.", Portal: "App registrations > {app} > Overview > Application (client) ID", Az: "az ad app show --id {client_id} --query appId -o tsv", PowerShell: `Get-MgApplication -Filter "appId eq '{client_id}'" | Select-Object AppId, Id`}, prove},
	},
	{
		Cause: "tenant-wrong", Family: IdentityFamily, Codes: []int{700016, 90002, 500011, 7000229},
		Says: "The app lives in another tenant.",
		Tell: "The same client id is known, or signs in, at another known tenant.",
		Fix:  []Fix{ownTenant, prove},
	},
	{
		Cause: "app-deleted", Family: IdentityFamily, Codes: []int{700016},
		Says: "The app registration has been deleted.",
		Tell: "The directory lists it among deleted applications.",
		Fix:  []Fix{{Do: "Restore it within 30 days of the deletion.", Portal: "App registrations > Deleted applications > Restore", Az: "az rest --method POST --url https://graph.microsoft.com/v1.0/directory/deletedItems/{object_id}/restore", PowerShell: "Restore-MgDirectoryDeletedItem -DirectoryObjectId {object_id}"}, prove},
	},
	{
		Cause: "client-id-malformed", Family: IdentityFamily, Codes: []int{700016},
		Says: "The client id is not a GUID.",
		Tell: "It is not of the form 8-4-4-4-12; often the display name, or quotes and blanks came along, or client id and secret are swapped.",
		Fix:  []Fix{clientID, prove},
	},
	{
		Cause: "client-id-of-other-app", Family: IdentityFamily, Codes: []int{7000215},
		Says: "The client id is that of another app than the one the value belongs to.",
		Tell: "Another copy of the setting pairs this value with another client id, and that pair signs in.",
		Fix:  []Fix{{Do: "Set the client id that belongs to the value.", Portal: clientID.Portal, Az: "az ad app show --id {client_id} --query displayName -o tsv", PowerShell: `Get-MgApplication -Filter "appId eq '{client_id}'" | Select-Object DisplayName, AppId`}, prove},
	},
	{
		Cause: "app-disabled", Family: IdentityFamily, Codes: []int{7000112},
		Says: "The app is disabled.",
		Tell: "The service principal has accountEnabled false, or the application is deactivated.",
		Fix:  []Fix{{Do: "Find out who disabled it and why, then enable it.", Portal: "Enterprise applications > {app} > Properties > Enabled for users to sign-in", Az: "az ad sp update --id {client_id} --set accountEnabled=true", PowerShell: `Update-MgServicePrincipal -ServicePrincipalId (Get-MgServicePrincipal -Filter "appId eq '{client_id}'").Id -AccountEnabled:$true`}, prove},
	},
	{
		Cause: "service-principal-missing", Family: IdentityFamily, Codes: []int{7000229},
		Says: "The app has no service principal in this tenant.",
		Tell: "The application object exists; its enterprise application does not.",
		Fix:  []Fix{{Do: "Create the service principal.", Portal: "App registrations > {app} > Overview > Managed application in local directory > Create Service Principal", Az: "az ad sp create --id {client_id}", PowerShell: "New-MgServicePrincipal -AppId {client_id}"}, prove},
	},
	{
		Cause: "tenant-unknown", Family: IdentityFamily, Codes: []int{90002},
		Says: "No such tenant exists in this cloud.",
		Tell: "Discovery refuses the tenant before any sign-in.",
		Fix:  []Fix{{Do: "Copy the tenant id again, and check that the login host is that of your cloud.", Portal: "Microsoft Entra ID > Overview > Tenant ID", Az: ownTenant.Az, PowerShell: ownTenant.PowerShell}, prove},
	},
	{
		Cause: "tenant-malformed", Family: IdentityFamily, Codes: []int{900023, 900021},
		Says: "The tenant is neither a GUID nor a domain.",
		Tell: "Its form shows it: blanks, quotes, a path word, a cut GUID.",
		Fix:  []Fix{{Do: "Set the tenant id, or a verified domain of the tenant.", Portal: "Microsoft Entra ID > Overview > Tenant ID", Az: ownTenant.Az, PowerShell: ownTenant.PowerShell}, prove},
	},
	{
		Cause: "tenant-placeholder", Family: IdentityFamily, Codes: []int{900023},
		Says: "The tenant is a placeholder that nothing replaced.",
		Tell: "It reads {tenant}, <your-tenant-id>, ${TENANT} or the like.",
		Fix:  []Fix{{Do: "Set the tenant id.", Portal: "Microsoft Entra ID > Overview > Tenant ID", Az: ownTenant.Az, PowerShell: ownTenant.PowerShell}, prove},
	},
	{
		Cause: "authority-common", Family: IdentityFamily, Codes: []int{50059},
		Says: "`common`, `organizations` or `consumers` stands where a tenant is needed.",
		Tell: "An app that signs in as itself has no user to tell the tenant by.",
		Fix:  []Fix{{Do: "Set the tenant id in its place.", Portal: "Microsoft Entra ID > Overview > Tenant ID", Az: ownTenant.Az, PowerShell: ownTenant.PowerShell}, prove},
	},
	{
		Cause: "cloud-wrong", Family: IdentityFamily, Codes: []int{900382, 900432, 900439, 90002},
		Says: "The login host belongs to another cloud than the app.",
		Tell: "The answer names a cross-cloud request, or the tenant is known at another cloud's host.",
		Fix: []Fix{{Do: "Set AZURE_AUTHORITY_HOST to the host of your cloud: login.microsoftonline.com, login.microsoftonline.us or login.partner.microsoftonline.cn.",
			Portal: "the portal's own address tells the cloud: entra.microsoft.com, entra.microsoft.us or entra.microsoftonline.cn", Az: "az cloud show --query endpoints.activeDirectory -o tsv", PowerShell: "Get-AzEnvironment | Select-Object Name, ActiveDirectoryAuthority"}, prove},
	},
}

var requestCauses = []Info{
	{
		Cause: "body-not-form", Family: RequestFamily, Codes: []int{900144},
		Says: "The request's body is not a form.",
		Tell: "A JSON body, a missing Content-Type or parameters in the query all look like a missing grant_type.",
		Fix:  []Fix{{Do: "Send application/x-www-form-urlencoded parameters in the body.", Run: "credsmith request FILE"}},
	},
	{
		Cause: "parameter-missing", Family: RequestFamily, Codes: []int{900144, 90014, 28003},
		Says: "A required parameter is missing or empty.",
		Tell: "The answer names it.",
		Fix:  []Fix{{Do: "Send grant_type, client_id, client_secret and scope.", Run: "credsmith request FILE"}},
	},
	{
		Cause: "grant-type-wrong", Family: RequestFamily, Codes: []int{70003},
		Says: "The grant_type is not one that exists.",
		Tell: "The answer names the grant asked for.",
		Fix:  []Fix{{Do: "Send grant_type=client_credentials.", Run: "credsmith request FILE"}},
	},
	{
		Cause: "scope-malformed", Family: RequestFamily, Codes: []int{1002012, 70011, 28002, 28003, 90009},
		Says: "The scope is not one that client credentials can ask for.",
		Tell: "Client credentials take one {resource}/.default; named scopes are for users.",
		Fix: []Fix{{Do: "Ask for one resource's /.default, such as https://graph.microsoft.com/.default; the v1 endpoint takes the resource alone, as resource.", Run: "credsmith doctor --scope https://graph.microsoft.com/.default",
			Portal: "App registrations > the API > Expose an API > Application ID URI", Az: "az ad sp show --id <client-id of the API> --query servicePrincipalNames", PowerShell: `(Get-MgServicePrincipal -Filter "appId eq '<client-id of the API>'").ServicePrincipalNames`}},
	},
	{
		Cause: "resource-unknown", Family: RequestFamily, Codes: []int{500011, 50001, 500014},
		Says: "The resource asked for does not exist in the tenant.",
		Tell: "The answer names the resource; the secret was accepted.",
		Fix: []Fix{{Do: "Correct the resource's identifier, or have an administrator add it to the tenant.",
			Portal: "App registrations > the API > Expose an API > Application ID URI", Az: "az ad sp create --id <client-id of the API>", PowerShell: "New-MgServicePrincipal -AppId <client-id of the API>"}, {Do: "Prove it with the identifier that you found.", Run: "credsmith doctor --scope RESOURCE/.default"}},
	},
	{
		Cause: "secret-not-encoded", Family: RequestFamily, Codes: []int{7000215},
		Says: "The secret is sent raw although it holds characters that a form must escape.",
		Tell: "A + arrives as a space, a % starts an escape, a & ends the parameter.",
		Fix:  []Fix{{Do: "Form-encode the value (curl: --data-urlencode).", Run: "credsmith request FILE"}},
	},
	{
		Cause: "endpoint-wrong", Family: RequestFamily, Codes: []int{900561, 901002, 90002, 900023},
		Says: "The request goes to the wrong address or with the wrong method.",
		Tell: "The path is not /{tenant}/oauth2/v2.0/token, v1 and v2 are mixed, or it is a GET.",
		Fix:  []Fix{{Do: "POST to {authority}/{tenant}/oauth2/v2.0/token.", Run: "credsmith request FILE", Portal: "App registrations > Endpoints > OAuth 2.0 token endpoint (v2)"}},
	},
	{
		Cause: "secret-missing", Family: RequestFamily, Codes: []int{7000216, 7000218, 7000219},
		Says: "No credential arrives with the request.",
		Tell: "The answer asks for client_secret or client_assertion.",
		Fix:  []Fix{{Do: "Check that the variable is set in the process that signs in, and that the parameter is named client_secret.", Run: "credsmith request FILE"}},
	},
	{
		Cause: "credential-kind-wrong", Family: RequestFamily, Codes: []int{700025, 7000218, 700027, 700211, 700213, 7002138},
		Says: "The app wants another kind of credential than the one sent.",
		Tell: "A public client takes none; a certificate or federated credential needs an assertion.",
		Fix: []Fix{{Do: "Register the redirect address under the platform Web, or send the credential that the app is registered with.", Portal: "App registrations > {app} > Authentication",
			Az: `az ad app show --id {client_id} --query "{web:web.redirectUris,spa:spa.redirectUris,public:publicClient.redirectUris,certificates:keyCredentials[].displayName}"`, PowerShell: `Get-MgApplication -Filter "appId eq '{client_id}'" | Select-Object Web, Spa, PublicClient, KeyCredentials`}},
	},
}
