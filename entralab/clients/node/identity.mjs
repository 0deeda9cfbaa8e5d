// @azure/identity: sign-in by secret, and the text of its errors.
import assert from "node:assert/strict";
import { ClientSecretCredential } from "@azure/identity";
import { authority, clientId, clientSecret, graphScope, secretId, tenant } from "./env.mjs";

const options = { authorityHost: authority, disableInstanceDiscovery: true, retryOptions: { maxRetries: 0 } };

const credential = new ClientSecretCredential(tenant, clientId, clientSecret, options);
const token = await credential.getToken(graphScope);
assert.equal(token.token.split(".").length, 3);
assert.ok(token.expiresOnTimestamp > Date.now());

await assert.rejects(
  new ClientSecretCredential(tenant, clientId, secretId, options).getToken(graphScope),
  /AADSTS7000215: Invalid client secret provided/,
);
await assert.rejects(
  new ClientSecretCredential(tenant, "11111111-2222-4333-8444-555555555555", clientSecret, options).getToken(graphScope),
  /AADSTS700016/,
);
await assert.rejects(
  new ClientSecretCredential("11111111-2222-4333-8444-555555555555", clientId, clientSecret, options).getToken(graphScope),
  /endpoints_resolution_error/,
);
