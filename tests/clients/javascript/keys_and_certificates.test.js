// The official clients for JavaScript list the dev vault's keys and certificates, and get each.
// Takes everything from the environment that `handler dev-vault` prints; ../contents.json says what
// is there.
import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { ManagedIdentityCredential } from "@azure/identity";
import { CertificateClient } from "@azure/keyvault-certificates";
import { KeyClient } from "@azure/keyvault-keys";

const vault = process.env.KEY_VAULT_URL;
assert.ok(vault, "KEY_VAULT_URL is not set");

// The host of a local vault cannot end in .vault.azure.net.
const clientOf = (Client) =>
  new Client(vault, new ManagedIdentityCredential(), { disableChallengeResourceVerification: true });
const keys = clientOf(KeyClient);
const certificates = clientOf(CertificateClient);

const collect = async (items) => {
  const all = [];
  for await (const item of items) all.push(item);
  return all;
};

const daysLeft = (date) => (date.getTime() - Date.now()) / 86_400_000;

test("keys come in pages with their properties", async () => {
  const pages = await collect(keys.listPropertiesOfKeys().byPage({ maxPageSize: 10 }));
  assert.ok(pages.length >= 4, `${pages.length} pages`);
  const listed = new Map(pages.flat().map((item) => [item.name, item]));
  assert.ok(Math.abs(daysLeft(listed.get("Elliptic").expiresOn) - 40) < 0.1);
  assert.deepEqual({ ...listed.get("Elliptic").tags }, { team: "a" });
  assert.equal(listed.get("Disabled").enabled, false);
  assert.equal(listed.get("Web").managed, true);
});

test("a key has its public part and its versions", async () => {
  const elliptic = await keys.getKey("ELLIPTIC");
  assert.equal(elliptic.keyType, "EC");
  assert.equal(elliptic.key.x.length, 32);
  const rsa = await keys.getKey("Rsa");
  assert.equal(rsa.key.n.length, 256);
  const versions = await collect(keys.listPropertiesOfKeyVersions("Rsa"));
  assert.deepEqual(versions.map((item) => item.version), [rsa.properties.version]);
  await assert.rejects(keys.getKey("None"), { statusCode: 404, code: "KeyNotFound" });
});

test("a certificate is listed and got with its policy", async () => {
  const listed = await collect(certificates.listPropertiesOfCertificates());
  const web = listed.find((item) => item.name === "Web");
  assert.ok(Math.abs(daysLeft(web.expiresOn) - 20) < 0.1);
  const got = await certificates.getCertificate("Web");
  assert.equal(got.policy.issuerName, "Self");
  const certificate = new X509Certificate(got.cer);
  assert.equal(certificate.subject, "CN=www.example.com");
  const thumbprint = createHash("sha1").update(got.cer).digest();
  assert.deepEqual(Buffer.from(got.properties.x509Thumbprint), thumbprint);
  const { version } = got.properties;
  const again = await certificates.getCertificateVersion("Web", version);
  assert.equal(again.id, got.id);
  await assert.rejects(certificates.getCertificate("None"), { statusCode: 404, code: "CertificateNotFound" });
});
