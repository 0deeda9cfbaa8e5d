// openid-client: strict discovery, both ways of sending the secret, sign-in
// with PKCE and nonce, userinfo.
import assert from "node:assert/strict";
import * as openid from "openid-client";
import { clientId, clientSecret, graphScope, issuer, redirectUri, secretId } from "./env.mjs";

for (const method of [openid.ClientSecretPost, openid.ClientSecretBasic]) {
  const config = await openid.discovery(new URL(issuer), clientId, undefined, method(clientSecret));
  const granted = await openid.clientCredentialsGrant(config, { scope: graphScope });
  assert.equal(granted.token_type, "bearer");
  assert.ok(granted.expires_in > 0);

  const refused = await openid.discovery(new URL(issuer), clientId, undefined, method(secretId));
  await assert.rejects(openid.clientCredentialsGrant(refused, { scope: graphScope }), (error) => {
    assert.equal(error.error, "invalid_client");
    assert.match(error.error_description, /AADSTS7000215/);
    return true;
  });
}

const config = await openid.discovery(new URL(issuer), clientId, undefined, openid.ClientSecretPost(clientSecret));
const verifier = openid.randomPKCECodeVerifier();
const nonce = openid.randomNonce();
const state = openid.randomState();
const page = openid.buildAuthorizationUrl(config, {
  redirect_uri: redirectUri,
  scope: "openid profile offline_access User.Read",
  code_challenge: await openid.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  nonce,
  state,
});
const answer = await fetch(page, { redirect: "manual" });
assert.equal(answer.status, 302, await answer.text());
const tokens = await openid.authorizationCodeGrant(config, new URL(answer.headers.get("location")), {
  pkceCodeVerifier: verifier,
  expectedNonce: nonce,
  expectedState: state,
});
assert.equal(tokens.claims().preferred_username, "ada-example@contoso.lab.test");
const refreshed = await openid.refreshTokenGrant(config, tokens.refresh_token);
assert.notEqual(refreshed.access_token, tokens.access_token);
