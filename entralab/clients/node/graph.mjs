// @microsoft/microsoft-graph-client with @azure/identity: lists, pages, and a
// secret's whole life.
import assert from "node:assert/strict";
import { ClientSecretCredential } from "@azure/identity";
import { Client, PageIterator } from "@microsoft/microsoft-graph-client";
import { TokenCredentialAuthenticationProvider } from "@microsoft/microsoft-graph-client/authProviders/azureTokenCredentials/index.js";
import { authority, clientId, graph, graphScope, operatorId, operatorSecret, tenant } from "./env.mjs";

const credential = new ClientSecretCredential(tenant, operatorId, operatorSecret, {
  authorityHost: authority,
  disableInstanceDiscovery: true,
});
const client = Client.initWithMiddleware({
  authProvider: new TokenCredentialAuthenticationProvider(credential, { scopes: [graphScope] }),
  baseUrl: `${graph}/`,
  customHosts: new Set([new URL(graph).hostname]),
});

const made = [];
for (let i = 0; i < 7; i++) {
  made.push(await client.api("/applications").post({ displayName: `paged ${i}` }));
}
const names = [];
const page = await client.api("/applications").filter("startswith(displayName,'paged')").select("id,displayName").top(3).get();
assert.equal(page.value.length, 3);
await new PageIterator(client, page, (app) => names.push(app.displayName) > 0).iterate();
assert.deepEqual(names.sort(), made.map((app) => app.displayName));

const app = made[0];
const minted = await client.api(`/applications/${app.id}/addPassword`).post({ passwordCredential: { displayName: "node" } });
assert.equal(minted.hint, minted.secretText.slice(0, 3));
const read = await client.api(`/applications/${app.id}`).get();
assert.deepEqual(read.passwordCredentials.map((c) => [c.keyId, c.secretText]), [[minted.keyId, null]]);
await client.api(`/applications/${app.id}/removePassword`).post({ keyId: minted.keyId });
assert.deepEqual((await client.api(`/applications/${app.id}`).get()).passwordCredentials, []);

await client.api(`/applications(appId='${clientId}')`).get();
await assert.rejects(client.api("/applications/11111111-2222-4333-8444-555555555555").get(), (error) => {
  assert.equal(error.statusCode, 404);
  assert.equal(error.code, "Request_ResourceNotFound");
  return true;
});
