"""The official clients for Python list the dev vault's keys and certificates, and get each.

Takes everything from the environment that `handler dev-vault` prints; `../contents.json` says what
is there.
"""

import os
import unittest
from datetime import datetime, timezone

from azure.core.exceptions import ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.keyvault.certificates import CertificateClient
from azure.keyvault.keys import KeyClient
from azure.keyvault.secrets import SecretClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

VAULT = os.environ["KEY_VAULT_URL"]


def client(kind):
    # The host of a local vault cannot end in .vault.azure.net.
    return kind(VAULT, ManagedIdentityCredential(), verify_challenge_resource=False)


def days_left(expires):
    return (expires - datetime.now(timezone.utc)).total_seconds() / 86400


class Keys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = client(KeyClient)

    def test_lists_come_in_pages_with_properties(self):
        listed = list(self.client.list_properties_of_keys(max_page_size=10))
        by_name = {item.name: item for item in listed}
        self.assertEqual(len(by_name), len(listed))
        self.assertLessEqual({f"page-{number:02}" for number in range(30)}, set(by_name))
        elliptic = by_name["Elliptic"]
        self.assertEqual(elliptic.tags, {"team": "a"})
        self.assertAlmostEqual(days_left(elliptic.expires_on), 40, delta=0.1)
        self.assertTrue(elliptic.enabled)
        self.assertFalse(elliptic.managed)
        self.assertFalse(by_name["Disabled"].enabled)
        self.assertTrue(by_name["Web"].managed)

    def test_a_key_has_its_public_part_and_its_versions(self):
        elliptic = self.client.get_key("ELLIPTIC")
        self.assertEqual((elliptic.key_type, elliptic.key.crv), ("EC", "P-256"))
        self.assertEqual([len(elliptic.key.x), len(elliptic.key.y)], [32, 32])
        rsa = self.client.get_key("Rsa")
        self.assertEqual((rsa.key_type, len(rsa.key.n)), ("RSA", 256))
        versions = list(self.client.list_properties_of_key_versions("Rsa"))
        self.assertEqual([item.version for item in versions], [rsa.properties.version])
        self.assertEqual(self.client.get_key("Rsa", rsa.properties.version).id, rsa.id)
        with self.assertRaises(ResourceNotFoundError) as missing:
            self.client.get_key("None")
        self.assertEqual(missing.exception.error.code, "KeyNotFound")


class Certificates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = client(CertificateClient)

    def test_a_certificate_is_listed_with_properties_and_got_with_its_policy(self):
        listed = {item.name: item for item in self.client.list_properties_of_certificates()}
        self.assertAlmostEqual(days_left(listed["Web"].expires_on), 20, delta=0.1)
        got = self.client.get_certificate("Web")
        self.assertEqual(got.policy.issuer_name, "Self")
        self.assertEqual(got.policy.subject, "CN=www.example.com")
        self.assertEqual(got.policy.san_dns_names, ["www.example.com", "example.com"])
        certificate = x509.load_der_x509_certificate(bytes(got.cer))
        self.assertEqual(certificate.fingerprint(hashes.SHA1()), got.properties.x509_thumbprint)
        self.assertEqual(certificate.not_valid_after_utc, got.properties.expires_on)
        version = got.properties.version
        self.assertEqual(self.client.get_certificate_version("Web", version).id, got.id)
        versions = list(self.client.list_properties_of_certificate_versions("Web"))
        self.assertEqual([item.version for item in versions], [version])
        self.assertEqual(self.client.get_certificate_policy("Web").key_type, "EC")
        with self.assertRaises(ResourceNotFoundError) as missing:
            self.client.get_certificate("None")
        self.assertEqual(missing.exception.error.code, "CertificateNotFound")

    def test_its_key_and_its_secret_are_of_the_same_version_and_managed(self):
        got = self.client.get_certificate("Web")
        key = client(KeyClient).get_key("Web")
        secret = client(SecretClient).get_secret("Web")
        self.assertEqual(got.key_id, key.id)
        self.assertEqual(got.secret_id, secret.id)
        self.assertTrue(key.properties.managed)
        self.assertEqual(secret.properties.content_type, "application/x-pem-file")
        private = serialization.load_pem_private_key(secret.value.encode(), None)
        certificate = x509.load_der_x509_certificate(bytes(got.cer))
        self.assertEqual(private.public_key(), certificate.public_key())


if __name__ == "__main__":
    unittest.main()
