package consumer

// The table. Signs with an address were published there; all others, and all
// that is not marked otherwise, are recalled and unverified.

const (
	msalNetIssue  = "https://github.com/AzureAD/microsoft-authentication-library-for-dotnet/issues/1709"
	msalJavaIssue = "https://github.com/AzureAD/microsoft-authentication-library-for-java/issues/787"
	restartIssue  = "https://github.com/OfficeDev/microsoft-teams-apps-icebreaker/issues/193"

	// msalCache is what MSAL does in every language: it caches by client id,
	// tenant and scope, not by secret.
	msalCache  = "tokens in memory, by client id, tenant and scope: a changed or wrong secret goes unnoticed until the token is near its end, about an hour"
	msalReload = "restart the process, or make a new client object with the new secret"
	tokenHour  = "its token, for about an hour"
	inCode     = "wherever the program takes it from: most often the environment or a settings file"
	envSDK     = "AZURE_CLIENT_SECRET in the environment, or wherever the program takes it from"
)

var table = []Consumer{
	{
		ID: "app-service", Name: "Azure App Service",
		Secret: "application settings, MICROSOFT_PROVIDER_AUTHENTICATION_SECRET for built-in sign-in, or a Key Vault reference in one of them",
		Caches: "a Key Vault reference up to 24 hours; the application its token, for about an hour",
		Reload: "change the setting, which restarts the app; for a reference restart the app", Source: restartIssue, HowSure: Published, CodeLost: true,
		signs: []sign{
			{"@Microsoft.KeyVault(", product, ""}, {"MICROSOFT_PROVIDER_AUTHENTICATION_SECRET", product, ""},
			{"WEBSITE_SITE_NAME", hint, ""}, {".azurewebsites.net/.auth/login/aad", product, ""},
		},
		files: []string{"appsettings.json", "appsettings.*.json"},
	},
	{
		ID: "functions", Name: "Azure Functions",
		Secret: "application settings; local.settings.json on a developer's machine", Caches: "a Key Vault reference up to 24 hours; " + tokenHour,
		Reload: "change the setting, which restarts the host", Source: recollection, HowSure: Recalled,
		signs: []sign{
			{"Microsoft.Azure.WebJobs", product, ""}, {"FUNCTIONS_WORKER_RUNTIME", product, ""},
			{"Exception while executing function: ", product, ""}, {"Executed 'Functions.", product, ""},
		},
		files: []string{"local.settings.json"},
	},
	{
		ID: "aks", Name: "AKS (service principal of the cluster)",
		Secret: "the cluster's service principal profile, on the nodes in /etc/kubernetes/azure.json", Caches: tokenHour,
		Reload: "az aks update-credentials --reset-service-principal, which renews the nodes", Source: recollection, HowSure: Recalled, CodeLost: true,
		signs: []sign{
			{"CreatingLoadBalancerFailed…adal: Refresh request failed", product, "https://github.com/Azure/AKS/issues/222"}, {"ListLoadBalancers…adal: Refresh request failed", product, "https://github.com/Azure/aks-engine/issues/784"},
			{"SyncLoadBalancerFailed…clientCredentialsToken", product, ""},
			{"/etc/kubernetes/azure.json", product, ""}, {"azure_credentials.go", product, ""}, {"aadClientSecret", product, ""},
		},
		files: []string{"kubernetes/azure.json"},
	},
	{
		ID: "github-actions", Name: "GitHub Actions (azure/login)",
		Secret: "a secret of the repository, environment or organization: AZURE_CREDENTIALS (JSON), or AZURE_CLIENT_SECRET", Caches: "nothing beyond the run",
		Reload: "set the secret, then start the workflow anew: a run that is under way keeps what it read", Source: recollection, HowSure: Recalled, CodeLost: true,
		signs: []sign{
			{"azure/login@", product, ""}, {"Azure/login@", product, ""}, {"##[error]…az login", hint, ""}, {"Login failed with Error: The process…/az", product, ""}, {"Login failed with Error: Using auth-type: SERVICE_PRINCIPAL", product, ""},
			{"Login failed with Error: ", hint, ""}, {"GITHUB_ACTIONS", hint, ""},
		},
		files: []string{"workflows/*.yml", "workflows/*.yaml"},
	},
	{
		ID: "azure-devops", Name: "Azure DevOps service connection",
		Secret: "the service connection, where nobody can read it back", Caches: "nothing beyond the job",
		Reload: "edit and save the service connection, then run the pipeline anew", Source: recollection, HowSure: Recalled, CodeLost: true,
		signs: []sign{
			{"Failed to obtain the Json Web Token(JWT) using service principal client ID", product, ""},
			{"Could not fetch access token for Azure", product, "https://github.com/microsoft/azure-pipelines-tasks/issues/10860"}, {"service connection…invalid_client", product, ""}, {"AzurePowerShell@", product, ""}, {"AzureCLI@", product, ""},
		},
		files: []string{"azure-pipelines.yml", "azure-pipelines.yaml", "azure-pipelines*.yml"},
	},
	{
		ID: "power-platform", Name: "Power Automate or Power Platform connection",
		Secret: "the connection, or an environment variable of type secret that names a vault", Caches: tokenHour,
		Reload: "edit the connection and sign in again; flows that use it follow", Source: recollection, HowSure: Recalled, CodeLost: true,
		signs: []sign{
			{"flow.microsoft.com", hint, ""}, {"make.powerautomate.com", product, ""}, {"shared_commondataservice", product, ""}, {"shared_sharepointonline", product, ""},
			{"The connection…is not authenticated", hint, ""}, {"InvokerConnectionOverrideFailed", product, ""},
		},
	},
	{
		ID: "data-factory", Name: "Azure Data Factory or Synapse pipeline",
		Secret: "servicePrincipalKey of a linked service, or a vault's secret that it names", Caches: tokenHour,
		Reload: "save and publish the linked service; with a vault's secret the next activity reads it", Source: recollection, HowSure: Recalled, CodeLost: true,
		signs: []sign{
			{"servicePrincipalKey", product, ""}, {"ErrorCode=AdlsGen2OperationFailed", product, ""}, {"Microsoft.DataTransfer.", product, ""},
			{"ErrorCode=ServicePrincipalInvalid", product, ""}, {"UserErrorLinkedServiceAuthenticationFailed", product, "https://metricsign.com/errors/adf-usererror-linkedserviceauthentication"}, {"linkedService", hint, ""},
		},
		files: []string{"linkedservice/*.json"},
	},
	{
		ID: "logic-apps", Name: "Logic Apps",
		Secret: "the HTTP action's authentication, an API connection, or application settings (Standard)", Caches: tokenHour,
		Reload: "save the workflow or the connection; Standard restarts when a setting changes", Source: recollection, HowSure: Recalled,
		signs: []sign{
			{"ActiveDirectoryOAuth", product, ""}, {"logic.azure.com", product, ""}, {"Microsoft.Logic/workflows", product, ""},
			{"InvalidTemplate. Unable to process template language expressions", hint, ""},
		},
		files: []string{"connections.json", "workflow.json"},
	},
	{
		ID: "exchange-smtp", Name: "Exchange Online by SMTP, IMAP or POP",
		Secret: "the mail client's settings", Caches: tokenHour + ", and the session after that",
		Reload: "restart the mail client", Source: recollection, HowSure: Recalled, CodeLost: true,
		signs: []sign{
			{"535 5.7.3 Authentication unsuccessful", product, "https://github.com/jstedfast/MailKit/issues/989"}, {"535 5.7.139", product, ""},
			{"SmtpClientAuthentication is disabled", product, ""}, {"AUTHENTICATE XOAUTH2", hint, ""}, {"NO AUTHENTICATE failed.", product, ""},
		},
	},
	{
		ID: "bot-framework", Name: "Bot Framework or Teams bot",
		Secret: "MicrosoftAppPassword in application settings", Caches: tokenHour,
		Reload: "change the setting and restart the app", Source: restartIssue, HowSure: Published,
		signs: []sign{
			{"MicrosoftAppPassword", product, ""}, {"Microsoft.Bot.Connector", product, ""}, {"MicrosoftAppCredentials", product, ""}, {"botframework-connector", product, ""},
			{"Failed to acquire token for client credentials.", library, restartIssue},
		},
	},
	{
		ID: "grafana", Name: "Grafana",
		Secret: "client_secret under [auth.azuread] in grafana.ini, GF_AUTH_AZUREAD_CLIENT_SECRET, or the settings page", Caches: "nothing of its own; users' sessions go on",
		Reload: "restart Grafana; what was saved on the settings page counts at once", Source: recollection, HowSure: Recalled, CodeLost: true,
		signs: []sign{
			{"login.OAuthLogin(NewTransportWithCode)", product, "https://github.com/grafana/grafana/issues/22609"}, {"GF_AUTH_AZUREAD", product, ""}, {"logger=authn.service", product, ""}, {"auth.azuread", product, ""},
			{"[auth.oauth.token.exchange]", product, "https://github.com/grafana/grafana/issues/101148"},
		},
		files: []string{"grafana.ini", "grafana/custom.ini"},
	},
	{
		ID: "argo-cd", Name: "Argo CD",
		Secret: "the Kubernetes Secret argocd-secret, which argocd-cm names ($oidc.azure.clientSecret), or Dex's configuration", Caches: "its settings, until the Secret changes",
		Reload: "change the Secret; Dex needs a restart of argocd-dex-server", Source: recollection, HowSure: Recalled, CodeLost: true,
		signs: []sign{
			{"argocd-server", product, ""}, {"argocd-cm", product, ""}, {"$oidc.azure.clientSecret", product, ""}, {"Failed to query provider", hint, "https://github.com/argoproj/argo-cd/issues/20738"}, {"failed to get token: oauth2:", product, "https://github.com/argoproj/argo-helm/issues/2244"}, {"argocd-dex", product, ""},
		},
		files: []string{"argocd-cm.yaml", "argocd-cm.yml", "argocd-secret.yaml"},
	},
	{
		ID: "keycloak", Name: "Keycloak (identity broker)",
		Secret: "the identity provider's settings in the realm, in its database", Caches: "its settings, which a change in the console renews",
		Reload: "save the identity provider; no restart", Source: recollection, HowSure: Recalled, CodeLost: true,
		signs: []sign{
			{"org.keycloak.broker.oidc", product, "https://github.com/keycloak/keycloak/issues/31294"}, {"identity_provider_login_failure", product, ""}, {"IDENTITY_PROVIDER_LOGIN_ERROR", product, ""},
		},
		files: []string{"realm-export.json", "*-realm.json"},
	},
	{
		ID: "spring", Name: "Spring Security or Spring Cloud Azure",
		Secret: "spring.security.oauth2.client.registration.*.client-secret or spring.cloud.azure.active-directory.credential.client-secret", Caches: "its token until it expires",
		Reload: "restart the application", Source: recollection, HowSure: Recalled, CodeLost: true,
		signs: []sign{
			{"org.springframework.security.oauth2", product, "https://github.com/Azure/azure-sdk-for-java/issues/17969"}, {"[invalid_token_response]", product, "https://github.com/Azure/azure-sdk-for-java/issues/17969"},
			{"401 Unauthorized: [no body]", product, "https://github.com/Azure/azure-sdk-for-java/issues/17969"}, {"401 [no body]", product, ""}, {"com.azure.spring.", product, ""},
		},
		files: []string{"application.properties", "application-*.properties", "application.yml", "application-*.yml", "application.yaml", "application-*.yaml"},
	},
	{
		ID: "next-auth", Name: "NextAuth or Auth.js",
		Secret: "AZURE_AD_CLIENT_SECRET or AUTH_MICROSOFT_ENTRA_ID_SECRET, most often in .env.local", Caches: "nothing of its own; users' sessions go on",
		Reload: "restart the server; a build that took the value in must be built again", Source: recollection, HowSure: Recalled, CodeLost: true,
		signs: []sign{
			{"OAuthCallbackError", product, "https://github.com/nextauthjs/next-auth/issues/13104"}, {"[next-auth][error]", product, ""}, {"[auth][error]", product, ""},
			{"OAUTH_CALLBACK_ERROR", product, ""}, {"AUTH_MICROSOFT_ENTRA_ID_SECRET", product, ""},
		},
		files: []string{".env.local", ".env.development.local", ".env.production.local"},
	},
	{
		ID: "openid-client", Name: "openid-client (Node.js)",
		Secret: inCode, Caches: "nothing", Reload: msalReload, Source: recollection, HowSure: Recalled,
		signs: []sign{
			{"OPError: invalid_client", library, ""}, {"OAUTH_RESPONSE_BODY_ERROR", library, ""}, {`"cause": {…"correlation_id"…"error": "invalid_client"`, library, "https://github.com/danny-avila/LibreChat/issues/8866"},
			{"invalid_client (AADSTS", library, "https://github.com/nextauthjs/next-auth/issues/11222"},
		},
	},
	{
		ID: "oauth2-proxy", Name: "oauth2-proxy",
		Secret: "client_secret in oauth2-proxy.cfg, OAUTH2_PROXY_CLIENT_SECRET, or client_secret_file", Caches: "nothing of its own; users' sessions go on",
		Reload: "restart oauth2-proxy", Source: recollection, HowSure: Recalled,
		signs: []sign{
			{"oauthproxy.go:", product, "https://github.com/oauth2-proxy/oauth2-proxy/issues/1390"}, {"OAUTH2_PROXY_", product, ""}, {"Error redeeming code during OAuth2 callback", product, "https://github.com/oauth2-proxy/oauth2-proxy/issues/1390"}, {"oauth2-proxy", product, ""},
		},
		files: []string{"oauth2-proxy.cfg", "oauth2_proxy.cfg"},
	},
	{
		ID: "terraform", Name: "Terraform (azurerm, azuread, Vault's azure provider)",
		Secret: "ARM_CLIENT_SECRET, client_secret of the provider block, or a variable", Caches: "nothing beyond the run",
		Reload: "set the variable and run again", Source: recollection, HowSure: Recalled,
		signs: []sign{
			{"* provider.azurerm:", product, "https://github.com/hashicorp/terraform-provider-azurerm/issues/2575"}, {"building account: getting authenticated object ID", product, "https://github.com/hashicorp/terraform-provider-azurerm/issues/16026"},
			{"building client: unable to obtain access token", product, "https://github.com/hashicorp/terraform-provider-vault/issues/2079"}, {"clientCredentialsToken: received HTTP status", product, "https://github.com/hashicorp/terraform-provider-vault/issues/2079"},
			{"ARM_CLIENT_SECRET", product, ""}, {"building AzureRM Client", product, ""}, {"Error building ARM Config", product, ""}, {`provider["registry.terraform.io/hashicorp/azure`, product, ""},
		},
		files: []string{"*.tf", "*.tfvars", "*.auto.tfvars", "*.tf.json"},
	},
	{
		ID: "az-cli", Name: "Azure CLI",
		Secret: "given at az login; kept in ~/.azure/service_principal_entries.json (encrypted on Windows)", Caches: "tokens in ~/.azure/msal_token_cache, for about an hour",
		Reload: "az login --service-principal again, with --password=VALUE: joined by =, a value that begins with a hyphen is not taken for an option", Source: "https://github.com/Azure/azure-cli/issues/30620", HowSure: Recalled, CodeLost: true,
		signs: []sign{
			{"argument --password/-p: expected one argument", product, "https://github.com/Azure/azure-cli/issues/30620"}, {"cli.azure.cli.core", product, "https://github.com/Azure/azure-cli/issues/31700"},
			{"Get Token request returned http error", library, "https://github.com/Azure/azure-cli/issues/17918"}, {"az login --service-principal", product, ""},
		},
		files: []string{".azure/service_principal_entries.json", ".azure/msal_token_cache.json", ".azure/azureprofile.json"},
	},
	{
		ID: "azidentity-go", Name: "azidentity (Go)",
		Secret: envSDK, Caches: msalCache, Reload: msalReload, Source: msalNetIssue, HowSure: Recalled,
		signs: []sign{
			{"authentication failed…POST https://…RESPONSE 401", library, "https://github.com/Azure/aztfexport/issues/512"}, {"github.com/Azure/azure-sdk-for-go/sdk/azidentity", library, ""},
			{"DefaultAzureCredential: failed to acquire a token", library, ""}, {"azsdk-go-azidentity/", library, ""},
		},
	},
	{
		ID: "msal-go", Name: "MSAL Go",
		Secret: inCode, Caches: msalCache, Reload: msalReload, Source: msalNetIssue, HowSure: Recalled,
		signs: []sign{{"http call(https://…)(POST) error: reply status code was", library, ""}, {"http call(https://…)(GET) error: reply status code was", library, "https://github.com/kubernetes-sigs/external-dns/pull/4418"}},
	},
	{
		ID: "go-autorest", Name: "go-autorest adal (Go, retired)",
		Secret: inCode, Caches: "its token, for about an hour", Reload: "restart the process", Source: recollection, HowSure: Recalled, CodeLost: true,
		signs: []sign{{"adal: Refresh request failed", library, "https://github.com/velero-io/velero-plugin-for-microsoft-azure/issues/46"}},
	},
	{
		ID: "golang-oauth2", Name: "golang.org/x/oauth2",
		Secret: inCode, Caches: "its token until shortly before it expires", Reload: "restart the process, or make a new token source", Source: recollection, HowSure: Recalled,
		signs: []sign{{"oauth2: cannot fetch token:", library, "https://github.com/databricks/databricks-sdk-go/issues/240"}, {`oauth2: "invalid_client"`, library, ""}},
	},
	{
		ID: "azure-identity-dotnet", Name: "Azure.Identity (.NET)",
		Secret: envSDK, Caches: msalCache, Reload: msalReload, Source: msalNetIssue, HowSure: Published,
		signs: []sign{{"Azure.Identity.AuthenticationFailedException", library, "https://github.com/microsoftgraph/msgraph-cli/issues/383"}, {"Azure.Identity.CredentialUnavailableException", library, ""}},
	},
	{
		ID: "msal-net", Name: "MSAL.NET",
		Secret: inCode, Caches: msalCache, Reload: msalReload, Source: msalNetIssue, HowSure: Published,
		signs: []sign{{"MsalServiceException", hint, "https://github.com/AzureAD/microsoft-authentication-library-for-dotnet/issues/1576"}, {"MSAL.NetCore.", library, "https://github.com/dotnet/docker-tools/pull/1310"}, {"MSAL.Desktop.", library, ""}, {"Microsoft.Identity.Client.", library, ""}},
	},
	{
		ID: "asp-net-core", Name: "ASP.NET Core sign-in",
		Secret: "AzureAd:ClientSecret in appsettings.json, user secrets or the environment (AzureAd__ClientSecret)", Caches: "its settings, until the process ends",
		Reload: "restart the application", Source: recollection, HowSure: Recalled,
		signs: []sign{
			{"OAuth token endpoint failure:", product, "https://github.com/dotnet/AspNetCore.Docs/issues/22325"}, {"Microsoft.AspNetCore.Authentication", product, ""}, {"Microsoft.Identity.Web", product, ""}, {"AzureAd__ClientSecret", product, ""},
		},
		files: []string{"appsettings.json", "appsettings.*.json", "secrets.json"},
	},
	{
		ID: "azure-identity-java", Name: "azure-identity (Java)",
		Secret: envSDK, Caches: msalCache, Reload: msalReload, Source: msalJavaIssue, HowSure: Recalled,
		signs: []sign{{"com.azure.identity.", library, ""}, {"com.azure.core.exception.ClientAuthenticationException", library, ""}},
	},
	{
		ID: "msal-java", Name: "MSAL Java",
		Secret: inCode, Caches: msalCache, Reload: msalReload, Source: msalJavaIssue, HowSure: Published,
		signs: []sign{{"com.microsoft.aad.msal4j.", library, "https://github.com/Azure-Samples/active-directory-dotnetcore-daemon-v2/issues/87"}},
	},
	{
		ID: "azure-identity-python", Name: "azure-identity (Python)",
		Secret: envSDK, Caches: msalCache, Reload: msalReload, Source: msalNetIssue, HowSure: Recalled,
		signs: []sign{{"azure.core.exceptions.ClientAuthenticationError", library, "https://github.com/Azure/azure-sdk-for-python/issues/26729"}, {"azure.identity.", library, ""}},
	},
	{
		ID: "msal-python", Name: "MSAL Python",
		Secret: inCode, Caches: msalCache, Reload: msalReload, Source: msalNetIssue, HowSure: Recalled,
		signs: []sign{{"OIDC Discovery endpoint rejects our request", library, "https://github.com/james-gould/azure-keyvault-emulator/issues/324"}, {"site-packages/msal/", library, ""}, {"AdalError: Get Token request returned http error", library, "https://github.com/Azure/azure-kusto-python/issues/89"}},
	},
	{
		ID: "azure-identity-js", Name: "@azure/identity (JavaScript)",
		Secret: envSDK, Caches: msalCache, Reload: msalReload, Source: msalNetIssue, HowSure: Recalled,
		signs: []sign{{"AggregateAuthenticationError", library, ""}, {"node_modules/@azure/identity", library, ""}, {"AuthenticationRequiredError", library, ""}},
	},
	{
		ID: "msal-node", Name: "MSAL Node",
		Secret: inCode, Caches: msalCache, Reload: msalReload, Source: msalNetIssue, HowSure: Recalled,
		signs: []sign{{"errorCode: 'invalid_client'…errorMessage:", library, "https://github.com/ahaenggli/AzureAD-LDAP-wrapper/issues/45"}, {"node_modules/@azure/msal-node", library, ""}, {"@azure/msal-node@", library, ""}},
	},
}
