package consumer_test

import (
	"strings"
	"testing"

	"github.com/credsmith/credsmith/internal/consumer"
)

// seen is an error as people paste it, with identifiers made up. The address
// is where a text of that form was published; "" if the form is recalled.
type seen struct {
	id, text, source string
	file             string // a file of that consumer; "" if it has none
	lost             bool   // no AADSTS code is in the text
}

const refused = "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '11111111-2222-4333-8444-555555555555'. Trace ID: 9c36a6d9-236e-4de0-8d86-000000000000 Correlation ID: 01c50447-2abf-48f0-b765-fe36a686d868 Timestamp: 2026-03-01 10:00:00Z"

const refusedJSON = `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.\r\nTrace ID: 9c36a6d9-236e-4de0-8d86-000000000000","error_codes":[7000215]}`

// named lists every consumer that the doctor promises to know.
func named() []seen {
	return []seen{
		{id: "app-service", text: "HTTP 401 https://billing.azurewebsites.net/.auth/login/aad/callback\nAuth module: " + refused, file: "src/appsettings.Production.json"},
		{id: "app-service", text: "HTTP 500 POST https://billing.azurewebsites.net/.auth/login/aad/callback: invalid_client", lost: true},
		{id: "functions", text: "[2026-03-01T10:00:00Z] Executed 'Functions.Nightly' (Failed, Id=1)\nMicrosoft.Azure.WebJobs.Host.FunctionInvocationException: Exception while executing function: Nightly\n ---> Azure.Identity.AuthenticationFailedException: ClientSecretCredential authentication failed: " + refused, file: "local.settings.json"},
		{id: "aks", text: "Warning  CreatingLoadBalancerFailed  3m  service-controller  Error creating load balancer (will retry): azure.BearerAuthorizer#WithAuthorization: Failed to refresh the Token for request to https://management.azure.com/x: StatusCode=0 -- Original Error: adal: Refresh request failed. Status Code = '401'", source: "https://github.com/Azure/AKS/issues/222", file: "/etc/kubernetes/azure.json", lost: true},
		{id: "aks", text: "Warning  ListLoadBalancers  27s  azure-cloud-provider  azure.BearerAuthorizer#WithAuthorization: Failed to refresh the Token for request to https://management.azure.com/x: StatusCode=401 -- Original Error: adal: Refresh request failed. Status Code = '401'. Response body: " + refusedJSON, source: "https://github.com/Azure/aks-engine/issues/784"},
		{id: "github-actions", text: "Run azure/login@v2\nError: " + refused, file: ".github/workflows/deploy.yml"},
		{id: "github-actions", text: "Error: Login failed with Error: The process '/usr/bin/az' failed with exit code 1. Double check if the 'auth-type' is correct.", lost: true},
		{id: "azure-devops", text: "##[error]Failed to fetch App Service 'billing' publishing credentials. Error: Could not fetch access token for Azure. Status code: invalid_client, status message: " + refused, source: "https://github.com/microsoft/azure-pipelines-tasks/issues/10860", file: "azure-pipelines.yml"},
		{id: "azure-devops", text: "##[error]Could not fetch access token for Azure. Verify if the Service Principal used is valid and not expired.", source: "https://github.com/microsoft/azure-pipelines-tasks/issues/10860", lost: true},
		{id: "power-platform", text: `{"error":{"code":401,"source":"unitedstates-002.azure-apim.net","message":"The API 'shared_commondataserviceforapps' returned an error: ` + refused + `"}}`},
		{id: "power-platform", text: `{"code":"InvokerConnectionOverrideFailed","message":"Failed to parse invoker connections from trigger 'manual' outputs."}`, lost: true},
		{id: "data-factory", text: "Operation on target Copy failed: ErrorCode=AdlsGen2OperationFailed,'Type=Microsoft.DataTransfer.Common.Shared.HybridDeliveryException,Message=" + refused, file: "linkedService/Lake.json"},
		{id: "data-factory", text: "ErrorCode=UserErrorLinkedServiceAuthenticationFailed: Failed to authenticate to the target service.", source: "https://metricsign.com/errors/adf-usererror-linkedserviceauthentication", lost: true},
		{id: "logic-apps", text: `{"code":"Unauthorized","message":"Failed to get a token for ActiveDirectoryOAuth authentication: ` + refused + `"}`, file: "billing/workflow.json"},
		{id: "exchange-smtp", text: "535 5.7.3 Authentication unsuccessful [AM0PR01CA0001.eurprd01.prod.exchangelabs.com 2026-03-01T10:00:00.000Z]", source: "https://github.com/jstedfast/MailKit/issues/989", lost: true},
		{id: "exchange-smtp", text: "A01 AUTHENTICATE XOAUTH2\r\nA01 NO AUTHENTICATE failed.", lost: true},
		{id: "bot-framework", text: "Microsoft.Bot.Connector.Authentication.MicrosoftAppCredentials: Failed to acquire token for client credentials. " + refused},
		{id: "bot-framework", text: "Failed to acquire token for client credentials. " + refused, source: "https://github.com/OfficeDev/microsoft-teams-apps-icebreaker/issues/193"},
		{id: "grafana", text: `t=2026-03-01T10:00:00+0000 lvl=eror msg=login.OAuthLogin(NewTransportWithCode) logger=context userId=0 error="oauth2: cannot fetch token: 401 Unauthorized"`, source: "https://github.com/grafana/grafana/issues/22609", file: "/etc/grafana/grafana.ini", lost: true},
		{id: "grafana", text: `msg="Failed to authenticate request" client=auth.client.azuread error="[auth.oauth.token.exchange] failed to exchange code to token: oauth2: \"invalid_client\" \"` + refused + `\""`, source: "https://github.com/grafana/grafana/issues/101148"},
		{id: "argo-cd", text: `failed to get token: oauth2: "invalid_client" "` + refused + `"`, source: "https://github.com/argoproj/argo-helm/issues/2244", file: "argocd-cm.yaml"},
		{id: "argo-cd", text: `failed to get token: oauth2: cannot fetch token: 401 Unauthorized`, source: "https://github.com/argoproj/argo-helm/issues/2244", lost: true},
		{id: "keycloak", text: `2026-03-01 10:00:00,000 ERROR [org.keycloak.broker.oidc.AbstractOAuth2IdentityProvider] (executor-thread-1) Unexpected response from token endpoint: ` + refusedJSON, source: "https://github.com/keycloak/keycloak/issues/31294", file: "realm-export.json"},
		{id: "keycloak", text: `type="IDENTITY_PROVIDER_LOGIN_ERROR", realmName="shop", error="identity_provider_login_failure"`, lost: true},
		{id: "spring", text: "[invalid_token_response] An error occurred while attempting to retrieve the OAuth 2.0 Access Token Response: 401 Unauthorized: [no body]", source: "https://github.com/Azure/azure-sdk-for-java/issues/17969", file: "src/main/resources/application-prod.yml", lost: true},
		{id: "spring", text: "org.springframework.security.oauth2.core.OAuth2AuthorizationException: [invalid_client] " + refused, source: "https://github.com/Azure/azure-sdk-for-java/issues/17969"},
		{id: "next-auth", text: `[auth][error] OAuthCallbackError: OAuth Provider returned an error. Read more at https://errors.authjs.dev`, source: "https://github.com/nextauthjs/next-auth/issues/13104", file: "web/.env.local", lost: true},
		{id: "next-auth", text: "[next-auth][error][OAUTH_CALLBACK_ERROR]\ninvalid_client (" + refused + ")"},
		{id: "oauth2-proxy", text: `[2026/03/01 18:21:38] [oauthproxy.go:748] Error redeeming code during OAuth2 callback: unexpected status "401": ` + refusedJSON, source: "https://github.com/oauth2-proxy/oauth2-proxy/issues/1390", file: "/etc/oauth2-proxy.cfg"},
		{id: "terraform", text: "Error: building account: getting authenticated object ID: listing Service Principals: ServicePrincipalsClient.BaseClient.Get(): clientCredentialsToken: received HTTP status 401 with response: " + refusedJSON, source: "https://github.com/hashicorp/terraform-provider-azurerm/issues/16026", file: "infra/main.tf"},
		{id: "terraform", text: "* provider.azurerm: Unable to list provider registration status: azure.BearerAuthorizer#WithAuthorization: Failed to refresh the Token: StatusCode=401 -- Original Error: adal: Refresh request failed. Status Code = '401'. Response body: " + refusedJSON, source: "https://github.com/hashicorp/terraform-provider-azurerm/issues/2575"},
		{id: "az-cli", text: "az: error: argument --password/-p: expected one argument", source: "https://github.com/Azure/azure-cli/issues/30620", file: "/home/me/.azure/service_principal_entries.json", lost: true},
		{id: "az-cli", text: "ERROR: cli.azure.cli.core.azclierror: " + refused, source: "https://github.com/Azure/azure-cli/issues/31700"},
		// plain SDKs
		{id: "azure-identity-dotnet", text: "Azure.Identity.AuthenticationFailedException: ClientSecretCredential authentication failed: " + refused, source: "https://github.com/microsoftgraph/msgraph-cli/issues/383"},
		{id: "azure-identity-python", text: "azure.core.exceptions.ClientAuthenticationError: Authentication failed: " + refused, source: "https://github.com/Azure/azure-sdk-for-python/issues/26729"},
		{id: "azure-identity-java", text: "com.azure.identity.CredentialUnavailableException: " + refused},
		{id: "azure-identity-js", text: "AggregateAuthenticationError: ChainedTokenCredential authentication failed.\n" + refused},
		{id: "azidentity-go", text: "ClientSecretCredential authentication failed\nPOST https://login.microsoftonline.com/x/oauth2/v2.0/token\n----\nRESPONSE 401 Unauthorized\n" + refusedJSON, source: "https://github.com/Azure/aztfexport/issues/512"},
		{id: "golang-oauth2", text: "oauth2: cannot fetch token: 401 Unauthorized\nResponse: " + refusedJSON, source: "https://github.com/databricks/databricks-sdk-go/issues/240"},
		{id: "msal-node", text: "errorCode: 'invalid_client',\n errorMessage: \"7000215 - " + refused + "\"", source: "https://github.com/ahaenggli/AzureAD-LDAP-wrapper/issues/45"},
	}
}

// TestNamed recognises each consumer, says what it caches, where its secret
// lives and how it reloads, and knows which of their errors lose the code.
func TestNamed(t *testing.T) {
	t.Parallel()
	for _, tt := range named() {
		got := consumer.Recognize(tt.text)
		if len(got) == 0 || got[0].ID != tt.id {
			t.Errorf("%.60q: %v, want %s first", tt.text, ids(got), tt.id)
			continue
		}
		m := got[0]
		if want := tt.source; want != "" && m.SignSource != want {
			t.Errorf("%s: the sign %q has the source %s, want %s", tt.id, m.Sign, m.SignSource, want)
		}
		if m.Secret == "" || m.Caches == "" || m.Reload == "" {
			t.Errorf("%s: does not say all: %+v", tt.id, m.Consumer)
		}
		if tt.lost == strings.Contains(tt.text, "AADSTS") || tt.lost && !m.CodeLost {
			t.Errorf("%s: code lost %v in %.60q, the table says %v", tt.id, tt.lost, tt.text, m.CodeLost)
		}
		if tt.file != "" && !strings.Contains(strings.Join(ids(consumer.ForFile(tt.file)), " "), tt.id) {
			t.Errorf("%s is not known by %s: %v", tt.id, tt.file, ids(consumer.ForFile(tt.file)))
		}
	}
	known := map[string]bool{}
	for _, tt := range named() {
		known[tt.id] = true
	}
	for _, id := range []string{
		"app-service", "functions", "aks", "github-actions", "azure-devops", "power-platform", "data-factory", "logic-apps", "exchange-smtp", "bot-framework",
		"grafana", "argo-cd", "keycloak", "spring", "next-auth", "oauth2-proxy", "terraform", "az-cli",
	} {
		if !known[id] {
			t.Errorf("no error text of %s", id)
		}
	}
}
