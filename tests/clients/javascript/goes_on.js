// Reads a secret, and again after a line on standard input, with the same client.
import { createInterface } from "node:readline";
import { ManagedIdentityCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

const options = { disableChallengeResourceVerification: true };
const client = new SecretClient(process.env.KEY_VAULT_URL, new ManagedIdentityCredential(), options);
const reader = createInterface({ input: process.stdin });
const lines = reader[Symbol.asyncIterator]();
for (let number = 0; number < 2; number += 1) {
  console.log((await client.getSecret("ExternalApiKey")).name);
  await lines.next();
}
reader.close();
