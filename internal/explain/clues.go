package explain

import (
	"regexp"
	"sync"

	"github.com/credsmith/credsmith/aadsts"
	"github.com/credsmith/credsmith/internal/diagnose"
)

// clue is a text that speaks of a failed sign-in without any AADSTS code or
// OAuth error: what some client made of the answer, or died of before it asked.
type clue struct {
	pattern    string
	oauthError string // the answer that most likely lies behind it; "" if none was asked for
	category   string
	meaning    string
	remedy     string
}

var clueTable = []clue{
	{
		pattern:  `argument --password/-p: expected one argument`,
		category: "request_shape",
		meaning:  "The Azure CLI took the secret for an option, because it begins with a hyphen. No sign-in was tried.",
		remedy:   "Join option and value: az login --service-principal --username CLIENT_ID --password=VALUE --tenant TENANT",
	},
	{
		pattern:    `(?i)adal: Refresh request failed\. Status Code = '401'`,
		oauthError: "invalid_client", category: "secret_invalid",
		meaning: "The token endpoint answered 401, and the client (go-autorest) dropped the answer: most often a wrong, removed or expired secret.",
		remedy:  "Sign in with the same setting to see the code: credsmith doctor",
	},
	{
		pattern:    `(?i)invalid_token_response|OAuth 2\.0 Access Token Response: 401|\b401 (Unauthorized: )?\[no body\]`,
		oauthError: "invalid_client", category: "secret_invalid",
		meaning: "The token endpoint answered 401, and the client (Spring Security) could not read the answer: most often a wrong, removed or expired secret.",
		remedy:  "Sign in with the same setting to see the code: credsmith doctor",
	},
	{
		pattern:  `535 5\.7\.3 Authentication unsuccessful|NO AUTHENTICATE failed`,
		category: "other",
		meaning:  "Exchange refused the token; that says nothing of the secret. The token's audience, the permission (SMTP.SendAsApp) or the mailbox's access is wrong.",
		remedy:   "Use the app's token on the mailbox to see which: credsmith doctor --try smtp smtp://MAILBOX@smtp.office365.com:587",
	},
	{
		pattern:    `cannot fetch token: 401\b|Could not fetch access token for Azure\. (Verify|Status code: (401|invalid_client))|UserErrorLinkedServiceAuthenticationFailed`,
		oauthError: "invalid_client", category: "secret_invalid",
		meaning: "The sign-in of the app was refused, and the text lost the answer: most often a wrong, removed or expired secret.",
		remedy:  "Sign in with the same setting to see the code: credsmith doctor",
	},
	{
		pattern:  `login\.OAuthLogin\(NewTransportWithCode\)|OAuthCallbackError|OAUTH_CALLBACK_ERROR|identity_provider_login_failure`,
		category: "other",
		meaning:  "A user came back from the sign-in page, and the step after it failed: the secret may be wrong, or the answer could not be read. The text lost which.",
		remedy:   "See first whether the app gets a token at all: credsmith doctor",
	},
	{
		pattern:    `(?i)(login\.microsoftonline\.|oauth2/v2\.0/token|token endpoint|access token)[^\n]{0,200}\b401\b|\b401\b[^\n]{0,200}(login\.microsoftonline\.|oauth2/v2\.0/token|token endpoint)`,
		oauthError: "invalid_client", category: "secret_invalid",
		meaning: "The token endpoint answered 401 and the text lost the rest: most often a wrong, removed or expired secret.",
		remedy:  findCode,
	},
}

var cluePatterns = sync.OnceValue(func() []*regexp.Regexp {
	patterns := make([]*regexp.Regexp, len(clueTable))
	for i, c := range clueTable {
		patterns[i] = regexp.MustCompile(c.pattern)
	}
	return patterns
})

// clues reads a text that lost code and OAuth error.
func clues(text []byte) []Explained {
	for i, pattern := range cluePatterns() {
		if !pattern.Match(text) {
			continue
		}
		c := clueTable[i]
		e := Explained{OAuthError: orNull(c.oauthError), Category: c.category, Meaning: c.meaning, Remedy: c.remedy, Known: true, Verified: true, Likely: []Likely{}}
		for _, info := range diagnose.CausesOf(aadsts.Failure{OAuthError: c.oauthError}) {
			e.Likely = append(e.Likely, Likely{info.Cause, info.Tell})
		}
		return []Explained{e}
	}
	return nil
}
