// The other ways in: a client secret, and the Azure CLI that a program asks for a token.
// Takes everything from the environment that `handler dev-vault --az-out DIR` prints.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AzureCliCredential, EnvironmentCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

const value = async (credential) => {
  const options = { disableChallengeResourceVerification: true };
  const client = new SecretClient(process.env.KEY_VAULT_URL, credential, options);
  return (await client.getSecret("ExternalApiKey")).value;
};

test("a client secret", async () => {
  // The authority is no cloud's that Microsoft's discovery knows.
  const credential = new EnvironmentCredential({ disableInstanceDiscovery: true });
  assert.equal(await value(credential), "sk-abc123def456");
});

test("the stand-in for the Azure CLI", async () => {
  assert.equal(await value(new AzureCliCredential()), "sk-abc123def456");
});
