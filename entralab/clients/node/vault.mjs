// @azure/keyvault-secrets: the challenge, a secret's versions, soft delete and
// its pollers, and the errors a consumer meets.
import assert from "node:assert/strict";
import { ClientSecretCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";
import { authority, operatorId, operatorSecret, tenant, vault } from "./env.mjs";

const credential = new ClientSecretCredential(tenant, operatorId, operatorSecret, {
  authorityHost: authority,
  disableInstanceDiscovery: true,
});
const client = new SecretClient(vault, credential, { disableChallengeResourceVerification: true, retryOptions: { maxRetries: 0 } });

const first = await client.setSecret("billing", "one", { tags: { app: "billing" }, contentType: "text/plain" });
const second = await client.setSecret("billing", "two", { expiresOn: new Date("2037-01-01T00:00:00Z") });
assert.notEqual(first.properties.version, second.properties.version);
assert.equal((await client.getSecret("billing")).value, "two");
assert.equal((await client.getSecret("billing", { version: first.properties.version })).value, "one");

const versions = [];
for await (const properties of client.listPropertiesOfSecretVersions("billing")) versions.push(properties.version);
assert.deepEqual(versions.sort(), [first.properties.version, second.properties.version].sort());
for (let i = 0; i < 30; i++) await client.setSecret(`many-${i}`, "x");
let listed = 0;
for await (const properties of client.listPropertiesOfSecrets()) listed += properties.name.startsWith("many-") ? 1 : 0;
assert.equal(listed, 30); // more than one page of 25

await client.updateSecretProperties("billing", second.properties.version, { enabled: false });
await assert.rejects(client.getSecret("billing"), (error) => error.statusCode === 403);

await (await client.beginDeleteSecret("billing")).pollUntilDone();
await assert.rejects(client.getSecret("billing"), (error) => error.statusCode === 404 && error.code === "SecretNotFound");
await assert.rejects(client.setSecret("billing", "three"), (error) => error.statusCode === 409);
await (await client.beginRecoverDeletedSecret("billing")).pollUntilDone();
assert.equal((await client.getSecret("billing", { version: first.properties.version })).value, "one");
