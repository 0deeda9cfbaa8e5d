// @azure/msal-node: the application's own token and its cache, a code from
// the sign-in page, a refresh.
import assert from "node:assert/strict";
import { ConfidentialClientApplication, CryptoProvider } from "@azure/msal-node";
import { authority, clientId, clientSecret, graphScope, redirectUri, secretId, tenant } from "./env.mjs";

const configure = (secret) =>
  new ConfidentialClientApplication({
    auth: {
      clientId,
      clientSecret: secret,
      authority: `${authority}/${tenant}`,
      knownAuthorities: [new URL(authority).host],
    },
  });

const client = configure(clientSecret);
const first = await client.acquireTokenByClientCredential({ scopes: [graphScope] });
assert.equal(first.fromCache, false);
const second = await client.acquireTokenByClientCredential({ scopes: [graphScope] });
assert.equal(second.fromCache, true);
assert.equal(second.accessToken, first.accessToken);

await assert.rejects(configure(secretId).acquireTokenByClientCredential({ scopes: [graphScope] }), (error) => {
  assert.equal(error.errorCode, "invalid_client");
  assert.match(error.errorMessage, /AADSTS7000215/);
  assert.ok(error.correlationId);
  return true;
});

const { challenge, verifier } = await new CryptoProvider().generatePkceCodes();
const scopes = ["User.Read"];
const page = await client.getAuthCodeUrl({ scopes, redirectUri, codeChallenge: challenge, codeChallengeMethod: "S256", state: "s1" });
const answer = await fetch(page, { redirect: "manual" });
assert.equal(answer.status, 302, await answer.text());
const back = new URL(answer.headers.get("location"));
assert.equal(back.searchParams.get("state"), "s1");
const signedIn = await client.acquireTokenByCode({ code: back.searchParams.get("code"), scopes, redirectUri, codeVerifier: verifier });
assert.equal(signedIn.account.username, "ada-example@contoso.lab.test");
assert.equal(signedIn.tenantId, tenant);
const silent = await client.acquireTokenSilent({ account: signedIn.account, scopes, forceRefresh: true });
assert.notEqual(silent.accessToken, signedIn.accessToken);
