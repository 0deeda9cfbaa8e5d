// oauth4webapi: the strictest reader of discovery, tokens and errors.
import assert from "node:assert/strict";
import * as oauth from "oauth4webapi";
import { clientId, clientSecret, issuer, secretId } from "./env.mjs";

const url = new URL(issuer);
const server = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url));
const client = { client_id: clientId };
const ask = async (secret) =>
  oauth.processClientCredentialsResponse(
    server,
    client,
    await oauth.clientCredentialsGrantRequest(server, client, oauth.ClientSecretPost(secret), {
      scope: `${clientId}/.default`,
    }),
  );

const granted = await ask(clientSecret);
assert.equal(granted.token_type, "bearer");
await assert.rejects(ask(secretId), (error) => {
  assert.ok(error instanceof oauth.ResponseBodyError);
  assert.equal(error.error, "invalid_client");
  assert.equal(error.status, 401);
  return true;
});

// RFC 9068 asks for a type that Entra's tokens do not have, so this client
// takes none of them: the lab must not be kinder than the service.
await assert.rejects(
  oauth.validateJwtAccessToken(
    server,
    new Request("https://api.example", { headers: { authorization: `Bearer ${granted.access_token}` } }),
    clientId,
  ),
  (error) => error.code === "OAUTH_INVALID_RESPONSE" || error.code === "OAUTH_PARSE_ERROR",
);
