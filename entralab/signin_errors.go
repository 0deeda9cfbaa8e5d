package entralab

// The refusals of users' sign-ins and grants. Texts are those of Microsoft's
// error reference and public threads as far as known; 70007, 90013, 90023 and
// the statuses of 500112 and 65005 are recalled, unverified. No error_uri was
// seen.
var (
	errRedirectUnknown   = refusal{50011, "invalid_client", 400, false, "The redirect URI '{redirectUri}' specified in the request does not match the redirect URIs configured for the application '{appId}'. Make sure the redirect URI sent in the request matches one added to your application in the Azure portal. Navigate to https://aka.ms/redirectUriMismatchError to learn more about how to fix this."}
	errUserUnknown       = refusal{50034, "invalid_grant", 400, false, "The user account {user} does not exist in the {tenant} directory. To sign into this application, the account must be added to the directory."}
	errNoSession         = refusal{50058, "login_required", 400, false, "A silent sign-in request was sent but no user is signed in."}
	errUserNotAssigned   = refusal{50105, "interaction_required", 400, false, "The signed in user '{user}' is not assigned to a role for the application '{appId}'({appName})."}
	errSingleTenant      = refusal{50194, "invalid_request", 400, false, "Application '{appId}'({appName}) is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such applications created after '10/15/2018'. Use a tenant-specific endpoint or configure the application to be multi-tenant."}
	errCodeRedeemed      = refusal{54005, "invalid_grant", 400, false, "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token."}
	errDeclined          = refusal{65004, "access_denied", 400, false, "User declined to consent to access the app."}
	errScopeUnknown      = refusal{65005, "invalid_client", 400, false, "The application '{appName}' asked for scope '{scope}' that doesn't exist on the resource '{resource}'."}
	errGrantInvalid      = refusal{70000, "invalid_grant", 400, false, "The provided access grant is invalid or malformed."}
	errResponseType      = refusal{70005, "unsupported_response_type", 400, false, "response_type '{type}' is not enabled for the application"}
	errResponseMode      = refusal{70007, "invalid_request", 400, false, "The response_mode is not supported."}
	errCodeExpired       = refusal{70008, "invalid_grant", 400, false, "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource."}
	errInput             = refusal{90013, "invalid_request", 400, false, "Invalid input received from the user."}
	errPrompt            = refusal{90023, "invalid_request", 400, false, "Unsupported 'prompt' value."}
	errRedirectRelative  = refusal{90102, "invalid_request", 400, false, "'{name}' value must be a valid absolute URI."}
	errRedirectDiffers   = refusal{500112, "invalid_client", 401, false, "The reply address '{a}' does not match the reply address '{b}' provided when requesting Authorization code."}
	errNoRedirect        = refusal{500113, "invalid_request", 400, false, "No reply address is registered for the application."}
	errVerifier          = refusal{501481, "invalid_grant", 400, false, "The Code_Verifier does not match the code_challenge supplied in the authorization request."}
	errScopesOfMany      = refusal{700022, "invalid_scope", 400, false, "The provided value for the input parameter scope is not valid because it contains more than one resource."}
	errPublicClient      = refusal{700025, "invalid_client", 401, false, "Client is public so neither 'client_assertion' nor 'client_secret' should be presented."}
	errTypeToken         = refusal{700051, "unsupported_response_type", 400, false, "response_type 'token' is not enabled for the application."}
	errTypeIDToken       = refusal{700054, "unsupported_response_type", 400, false, "response_type 'id_token' is not enabled for the application."}
	errRefreshInactive   = refusal{700082, "invalid_grant", 400, false, "The refresh token has expired due to inactivity. The token was issued on {issueDate} and was inactive for {time}."}
	errRefreshSPA        = refusal{700084, "invalid_grant", 400, false, "The refresh token was issued to a single page app (SPA), and therefore has a fixed, limited lifetime of {time}, which cannot be extended. It is now expired and a new sign in request must be sent by the SPA to the sign in page. The token was issued on {issueDate}."}
	errCredentialMissing = refusal{7000218, "invalid_client", 401, false, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."}
	errGrantDamaged      = refusal{9002313, "invalid_grant", 400, false, "Invalid request. Request is malformed or invalid."}
	errNoPKCE            = refusal{9002325, "invalid_request", 400, false, "Proof Key for Code Exchange is required for cross-origin authorization code redemption."}
	errOnlySPA           = refusal{9002327, "invalid_request", 400, false, "Tokens issued for the 'Single-Page Application' client-type may only be redeemed via cross-origin requests."}
	errResourceParameter = refusal{901002, "invalid_request", 400, false, "The 'resource' request parameter is not supported."}
	errOnlyEntra         = refusal{9002332, "invalid_request", 400, false, "Application '{appId}'({appName}) is configured for use by Microsoft Entra users only. Please do not use the /consumers endpoint to serve this request."}

	errUserSignature    = refusal{50013, "invalid_grant", 400, false, "Assertion failed signature validation."}
	errUserJWT          = refusal{50027, "invalid_request", 400, false, "JWT token is invalid or malformed."}
	errAssertionIDToken = refusal{240002, "invalid_request", 400, false, "Input id_token cannot be used as 'urn:ietf:params:oauth:grant-type:jwt-bearer' grant."}
	errUserAudience     = refusal{500131, "invalid_grant", 400, false, "Assertion audience does not match the Client app presenting the assertion. The audience in the assertion was '{aud}' and the expected audience is '{expected}'."}
	errUserTime         = refusal{500133, "invalid_grant", 400, false, "Assertion is not within its valid time range. Ensure that the access token is not expired before using it for user assertion, or request a new token. Current time: {curTime}, expiry time of assertion {expTime}."}
	errAssertionAppOnly = refusal{7000114, "unauthorized_client", 400, false, "Application '{appId}' is not allowed to make application on-behalf-of calls."}
	errCredentialFor    = refusal{7000219, "invalid_client", 401, false, "'client_assertion' or 'client_secret' is required for the '{grantType}' grant type."}
)
