"""Reads a secret, and again after a line on standard input, with the same client."""

import os
import sys

from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

vault = os.environ["KEY_VAULT_URL"]
client = SecretClient(vault, ManagedIdentityCredential(), verify_challenge_resource=False)
for _ in range(2):
    print(client.get_secret("ExternalApiKey").name, flush=True)
    sys.stdin.readline()
