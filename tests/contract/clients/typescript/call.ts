// Calls every route of a running handler with types that openapi-typescript has made.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./build/contract.js";

type Problem = components["schemas"]["Problem"];
type ConfigCheck = components["schemas"]["ConfigCheck"];
type Expiring = components["schemas"]["Expiring"];
type UnhealthyConfigCheck = components["schemas"]["UnhealthyConfigCheck"];

const baseUrl = process.env["CONTRACT_URL"];
const key = process.env["CONTRACT_KEY"];
assert(baseUrl && key);
const client = createClient<paths>({ baseUrl, headers: { "x-functions-key": key } });
const stranger = createClient<paths>({ baseUrl, headers: { "x-functions-key": "wrong" } });

const check = await client.GET("/api/config-check", { params: { query: { freshness: true } } });
assert.equal(check.response.status, 200);
const found = check.data as ConfigCheck;
const resolved = found.references.find((reference) => reference.setting === "EXTERNAL_API_KEY");
assert.equal(resolved?.status, "Resolved");

// local.settings.json has one reference that cannot be resolved.
const strict = await client.GET("/api/config-check", { params: { query: { strict: true } } });
assert.equal(strict.response.status, 503);
const unhealthy = strict.error as UnhealthyConfigCheck;
assert.equal(unhealthy.references.length, found.references.length);

const secret = (secret_name: string, query = {}) =>
  client.GET("/api/secrets/{secret_name}", { params: { path: { secret_name }, query } });

const known = await secret("ExternalApiKey", { refresh: true });
assert.equal(known.response.status, 200);
assert.equal(known.data?.name, "ExternalApiKey");
const same = await secret("ExternalApiKey", { version: known.data.version });
assert.deepEqual(same.data, known.data);

const signing = await client.GET("/api/keys/{key_name}", { params: { path: { key_name: "SigningKey" } } });
assert.equal(signing.data?.curve, "P-256");
const web = await client.GET("/api/certificates/{certificate_name}", {
  params: { path: { certificate_name: "WebCertificate" } },
});
assert.equal(web.data?.subject, "CN=www.example.com");
const soon = await client.GET("/api/expiring", { params: { query: { within: "2w" } } });
const { items } = soon.data as Expiring;
assert.deepEqual(items.map((item) => [item.name, item.used_by]), [
  ["DatabasePassword", ["DATABASE_PASSWORD"]],
]);
const strictly = await client.GET("/api/expiring", { params: { query: { strict: true } } });
assert.equal(strictly.response.status, 503);

for (const [answer, status, code] of [
  [await secret("Missing"), 404, "SecretNotFound"],
  [await secret("ExternalApiKey", { version: "x" }), 400, "InvalidSecretVersion"],
] as const) {
  assert.equal(answer.response.status, status);
  const problem: Problem | undefined = answer.error;
  assert.equal(problem?.code, code);
}

assert.equal((await stranger.GET("/api/config-check")).response.status, 401);
const refused = await stranger.GET("/api/secrets/{secret_name}", { params: { path: { secret_name: "x" } } });
assert.equal(refused.response.status, 401);

console.log("TypeScript: every route answered as the client expects");
