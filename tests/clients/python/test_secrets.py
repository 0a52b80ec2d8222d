"""The official client for Python does with the dev vault what it does with a Key Vault.

Takes everything from the environment that `handler dev-vault` prints.
"""

import os
import unittest
from datetime import datetime, timezone

import requests
from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

VAULT = os.environ["KEY_VAULT_URL"]
EXPIRES = datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def client(credential):
    # The host of a local vault cannot end in .vault.azure.net.
    return SecretClient(VAULT, credential, verify_challenge_resource=False)


class Secrets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = client(ManagedIdentityCredential())

    def test_set_get_and_versions(self):
        first = self.client.set_secret(
            "py-set", "one", content_type="text/plain", tags={"a": "b"}, expires_on=EXPIRES
        )
        second = self.client.set_secret("py-set", "")
        self.assertRegex(first.properties.version, "^[0-9a-f]{32}$")
        self.assertEqual(self.client.get_secret("PY-SET").value, "")
        got = self.client.get_secret("py-set", first.properties.version)
        self.assertEqual(got.value, "one")
        self.assertEqual(got.properties.content_type, "text/plain")
        self.assertEqual(got.properties.tags, {"a": "b"})
        self.assertEqual(got.properties.expires_on, EXPIRES)
        self.assertEqual(got.properties.recovery_level, "Recoverable+Purgeable")
        versions = self.client.list_properties_of_secret_versions("py-set")
        wanted = {first.properties.version, second.properties.version}
        self.assertEqual({item.version for item in versions}, wanted)

    def test_lists_come_in_pages(self):
        names = {f"py-page-{number}" for number in range(30)}
        for name in names:
            self.client.set_secret(name, "x")
        pages = list(self.client.list_properties_of_secrets(max_page_size=10).by_page())
        pages = [[item.name for item in page] for page in pages]
        self.assertGreaterEqual(len(pages), 4)
        self.assertTrue(all(len(page) <= 10 for page in pages), pages)
        listed = [name for page in pages for name in page]
        self.assertEqual(len(listed), len(set(listed)))
        self.assertLessEqual(names, set(listed))

    def test_update_and_disable(self):
        version = self.client.set_secret("py-update", "one", tags={"a": "b"}).properties.version
        updated = self.client.update_secret_properties("py-update", content_type="application/json")
        self.assertEqual((updated.content_type, updated.tags), ("application/json", {"a": "b"}))
        self.client.update_secret_properties("py-update", version, enabled=False)
        with self.assertRaises(HttpResponseError) as refused:
            self.client.get_secret("py-update")
        self.assertEqual(refused.exception.status_code, 403)
        self.assertIn("SecretDisabled", str(refused.exception))
        listed = {item.name: item for item in self.client.list_properties_of_secrets()}
        self.assertFalse(listed["py-update"].enabled)
        self.client.update_secret_properties("py-update", version, enabled=True)
        self.assertEqual(self.client.get_secret("py-update").value, "one")

    def test_delete_recover_and_purge(self):
        self.client.set_secret("py-delete", "one")
        deleted = self.client.begin_delete_secret("py-delete").result()
        days = deleted.scheduled_purge_date - deleted.deleted_date
        self.assertEqual(days.days, 90)
        with self.assertRaises(ResourceNotFoundError):
            self.client.get_secret("py-delete")
        with self.assertRaises(ResourceExistsError):
            self.client.set_secret("py-delete", "two")
        self.assertIn("py-delete", [item.name for item in self.client.list_deleted_secrets()])
        recovered = self.client.begin_recover_deleted_secret("py-delete").result()
        self.assertEqual(recovered.name, "py-delete")
        self.assertEqual(self.client.get_secret("py-delete").value, "one")
        self.client.begin_delete_secret("py-delete").wait()
        self.client.purge_deleted_secret("py-delete")
        with self.assertRaises(ResourceNotFoundError):
            self.client.get_deleted_secret("py-delete")

    def test_backup_and_restore(self):
        self.client.set_secret("py-backup", "one")
        backup = self.client.backup_secret("py-backup")
        self.assertIsInstance(backup, bytes)
        self.client.begin_delete_secret("py-backup").wait()
        self.client.purge_deleted_secret("py-backup")
        self.assertEqual(self.client.restore_secret_backup(backup).name, "py-backup")
        self.assertEqual(self.client.get_secret("py-backup").value, "one")
        with self.assertRaises(HttpResponseError) as refused:
            self.client.restore_secret_backup(b"none")
        self.assertEqual(refused.exception.status_code, 400)

    def test_not_found_and_bad_names(self):
        with self.assertRaises(ResourceNotFoundError) as missing:
            self.client.get_secret("py-none")
        self.assertEqual(missing.exception.error.code, "SecretNotFound")
        self.assertEqual(list(self.client.list_properties_of_secret_versions("py-none")), [])
        with self.assertRaises(HttpResponseError) as bad:
            self.client.get_secret("bad_name")
        self.assertEqual(bad.exception.error.code, "BadParameter")

    def test_every_request_is_challenged_first(self):
        for method, path in [("GET", "secrets/py-none"), ("PUT", "nowhere"), ("DELETE", "secrets")]:
            answer = requests.request(method, f"{VAULT}/{path}", timeout=30)
            self.assertEqual(answer.status_code, 401)
            challenge = answer.headers["WWW-Authenticate"]
            self.assertRegex(challenge, '^Bearer authorization="https://.*", resource="https://vault.azure.net"$')

    def test_a_token_for_another_service_is_refused(self):
        other = ManagedIdentityCredential().get_token("https://management.azure.com/.default")

        class Fixed:
            def get_token(self, *_scopes, **_options):
                return AccessToken(other.token, other.expires_on)

        with self.assertRaises(ClientAuthenticationError) as refused:
            client(Fixed()).get_secret("py-none")
        self.assertIn("AKV10022: Invalid audience", str(refused.exception))


if __name__ == "__main__":
    unittest.main()
