// The official client for JavaScript does with the dev vault what it does with a Key Vault.
// Takes everything from the environment that `handler dev-vault` prints.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManagedIdentityCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

const vault = process.env.KEY_VAULT_URL;
assert.ok(vault, "KEY_VAULT_URL is not set");

// The host of a local vault cannot end in .vault.azure.net.
const clientOf = (credential) =>
  new SecretClient(vault, credential, { disableChallengeResourceVerification: true });
const client = clientOf(new ManagedIdentityCredential());

const collect = async (items) => {
  const all = [];
  for await (const item of items) all.push(item);
  return all;
};

test("set, get and versions", async () => {
  const expiresOn = new Date("2030-01-02T03:04:05Z");
  const first = await client.setSecret("js-set", "one", {
    contentType: "text/plain",
    tags: { a: "b" },
    expiresOn,
  });
  const second = await client.setSecret("js-set", "two");
  assert.match(first.properties.version, /^[0-9a-f]{32}$/);
  assert.equal((await client.getSecret("JS-SET")).value, "two");
  const got = await client.getSecret("js-set", { version: first.properties.version });
  assert.equal(got.value, "one");
  assert.equal(got.properties.contentType, "text/plain");
  assert.deepEqual({ ...got.properties.tags }, { a: "b" });
  assert.deepEqual(got.properties.expiresOn, expiresOn);
  const versions = await collect(client.listPropertiesOfSecretVersions("js-set"));
  const wanted = [first, second].map((secret) => secret.properties.version).sort();
  assert.deepEqual(versions.map((item) => item.version).sort(), wanted);
});

test("lists come in pages", async () => {
  const names = Array.from({ length: 30 }, (_, number) => `js-page-${number}`);
  for (const name of names) await client.setSecret(name, "x");
  const pages = await collect(client.listPropertiesOfSecrets().byPage({ maxPageSize: 10 }));
  assert.ok(pages.length >= 4, `${pages.length} pages`);
  assert.ok(pages.every((page) => page.length <= 10));
  const listed = pages.flat().map((item) => item.name);
  assert.equal(listed.length, new Set(listed).size);
  assert.deepEqual(names.filter((name) => !listed.includes(name)), []);
});

test("update and disable", async () => {
  const { properties } = await client.setSecret("js-update", "one", { tags: { a: "b" } });
  const { version } = properties;
  const updated = await client.updateSecretProperties("js-update", version, {
    contentType: "application/json",
  });
  assert.equal(updated.contentType, "application/json");
  assert.deepEqual({ ...updated.tags }, { a: "b" });
  await client.updateSecretProperties("js-update", version, { enabled: false });
  await assert.rejects(client.getSecret("js-update"), { statusCode: 403, code: "Forbidden" });
  await client.updateSecretProperties("js-update", version, { enabled: true });
  assert.equal((await client.getSecret("js-update")).value, "one");
});

test("delete, recover and purge", async () => {
  await client.setSecret("js-delete", "one");
  const deleting = await client.beginDeleteSecret("js-delete", { intervalInMs: 10 });
  const deleted = await deleting.pollUntilDone();
  assert.equal(deleted.name, "js-delete");
  assert.ok(deleted.scheduledPurgeDate > deleted.deletedOn);
  await assert.rejects(client.getSecret("js-delete"), { statusCode: 404, code: "SecretNotFound" });
  await assert.rejects(client.setSecret("js-delete", "two"), { statusCode: 409, code: "Conflict" });
  const listed = await collect(client.listDeletedSecrets());
  assert.ok(listed.some((item) => item.name === "js-delete"));
  const recovering = await client.beginRecoverDeletedSecret("js-delete", { intervalInMs: 10 });
  assert.equal((await recovering.pollUntilDone()).name, "js-delete");
  assert.equal((await client.getSecret("js-delete")).value, "one");
  await (await client.beginDeleteSecret("js-delete", { intervalInMs: 10 })).pollUntilDone();
  await client.purgeDeletedSecret("js-delete");
  await assert.rejects(client.getDeletedSecret("js-delete"), { statusCode: 404 });
});

test("backup and restore", async () => {
  await client.setSecret("js-backup", "one");
  const backup = await client.backupSecret("js-backup");
  await (await client.beginDeleteSecret("js-backup", { intervalInMs: 10 })).pollUntilDone();
  await client.purgeDeletedSecret("js-backup");
  assert.equal((await client.restoreSecretBackup(backup)).name, "js-backup");
  assert.equal((await client.getSecret("js-backup")).value, "one");
  await assert.rejects(client.restoreSecretBackup(new Uint8Array(3)), { statusCode: 400 });
});

test("not found and bad names", async () => {
  await assert.rejects(client.getSecret("js-none"), { statusCode: 404, code: "SecretNotFound" });
  assert.deepEqual(await collect(client.listPropertiesOfSecretVersions("js-none")), []);
  await assert.rejects(client.getSecret("bad_name"), { statusCode: 400, code: "BadParameter" });
});

test("every request is challenged first", async () => {
  for (const [method, path] of [["GET", "secrets/js-none"], ["PUT", "nowhere"], ["DELETE", "secrets"]]) {
    const answer = await fetch(`${vault}/${path}`, { method });
    assert.equal(answer.status, 401);
    const challenge = answer.headers.get("www-authenticate");
    assert.match(challenge, /^Bearer authorization="https:.*", resource="https:\/\/vault.azure.net"$/);
  }
});

test("a token for another service is refused", async () => {
  const other = await new ManagedIdentityCredential().getToken("https://management.azure.com/.default");
  await assert.rejects(clientOf({ getToken: async () => other }).getSecret("js-none"), (error) => {
    assert.equal(error.statusCode, 401);
    assert.match(error.message, /AKV10022: Invalid audience/);
    return true;
  });
});
