"""The other ways in: a client secret, and the Azure CLI that a program asks for a token.

Takes everything from the environment that `handler dev-vault --az-out DIR` prints.
"""

import os
import unittest

from azure.core.exceptions import ClientAuthenticationError
from azure.identity import AzureCliCredential, ClientSecretCredential, EnvironmentCredential
from azure.keyvault.secrets import SecretClient

VAULT = os.environ["KEY_VAULT_URL"]


def value(credential):
    client = SecretClient(VAULT, credential, verify_challenge_resource=False)
    return client.get_secret("ExternalApiKey").value


class SignIns(unittest.TestCase):
    def test_a_client_secret(self):
        # The authority is no cloud's that Microsoft's discovery knows.
        credential = EnvironmentCredential(disable_instance_discovery=True)
        self.assertEqual(value(credential), "sk-abc123def456")

    def test_a_wrong_client_secret(self):
        credential = ClientSecretCredential(
            os.environ["AZURE_TENANT_ID"],
            os.environ["AZURE_CLIENT_ID"],
            "wrong",
            authority=os.environ["AZURE_AUTHORITY_HOST"],
            disable_instance_discovery=True,
        )
        with self.assertRaises(ClientAuthenticationError) as refused:
            value(credential)
        self.assertIn("AADSTS7000215", str(refused.exception))

    def test_the_stand_in_for_the_azure_cli(self):
        self.assertEqual(value(AzureCliCredential()), "sk-abc123def456")


if __name__ == "__main__":
    unittest.main()
