"""Requests in the form that the official client for .NET is known to give them, as bytes over TLS:
no registry serves that client here, so it does not run itself. They are written by hand and not
recorded: the first one without a body, the slash behind a name, escaped signs, null members.
"""

import json
import os
import socket
import ssl
import unittest
import urllib.parse
import urllib.request

VAULT = urllib.parse.urlsplit(os.environ["KEY_VAULT_URL"])
AGENT = "azsdk-net-Security.KeyVault.Secrets/4.7.0 (.NET 8.0.14; Debian GNU/Linux 12)"
REQUEST_ID = "9a1f3c5e-0000-4000-8000-00000000c0de"


def token():
    """As ManagedIdentityCredential asks for one."""
    query = "?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net"
    request = urllib.request.Request(
        os.environ["IDENTITY_ENDPOINT"] + query,
        headers={"X-IDENTITY-HEADER": os.environ["IDENTITY_HEADER"]},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["access_token"]


class Connection:
    """One connection, on which requests follow each other."""

    def __init__(self):
        context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
        plain = socket.create_connection((VAULT.hostname, VAULT.port), timeout=30)
        self.socket = context.wrap_socket(plain, server_hostname=VAULT.hostname)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def ask(self, method, target, body=None, authorization=None):
        head = [
            f"{method} {target} HTTP/1.1",
            f"Host: {VAULT.netloc}",
            "Accept: application/json",
            f"x-ms-client-request-id: {REQUEST_ID}",
            "x-ms-return-client-request-id: true",
            f"User-Agent: {AGENT}",
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
        ]
        if authorization:
            head.append(f"Authorization: Bearer {authorization}")
        if body is not None:
            head.append("Content-Type: application/json")
        if body is not None or method in ("PUT", "POST", "PATCH"):
            head.append(f"Content-Length: {len(body or b'')}")
        self.socket.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + (body or b""))
        return self.answer()

    def answer(self):
        status = int(self.file.readline().split()[1])
        headers = {}
        while line := self.file.readline().strip():
            name, _, text = line.decode().partition(":")
            headers[name.lower()] = text.strip()
        body = self.file.read(int(headers.get("content-length", 0)))
        return status, headers, json.loads(body) if body else None


class DotNet(unittest.TestCase):
    def setUp(self):
        self.connection = Connection()
        self.addCleanup(self.connection.close)

    def test_a_secret_is_set_and_got(self):
        ask, secret = self.connection.ask, "/secrets/net-set"
        # The first request goes without its body, to be challenged.
        status, headers, _ = ask("PUT", f"{secret}?api-version=7.6")
        self.assertEqual((status, headers["x-ms-client-request-id"]), (401, REQUEST_ID))
        self.assertIn('resource="https://vault.azure.net"', headers["www-authenticate"])
        bearer = token()
        # Whatever is not ASCII is escaped, and so are some signs that are.
        body = rb'{"value":"\uD83D\uDD11 \u002B \u0026 caf\u00E9","contentType":null,"attributes":null,"tags":null}'
        status, headers, _ = ask("PUT", f"{secret}?api-version=7.6", body, bearer)
        self.assertEqual((status, headers["x-ms-client-request-id"]), (200, REQUEST_ID))
        # The latest version is got with a slash behind the name.
        status, _, got = ask("GET", f"{secret}/?api-version=7.6", authorization=bearer)
        self.assertEqual((status, got["value"]), (200, "\N{KEY} + & café"))
        attributes = rb'{"attributes":{"enabled":false}}'
        version = got["id"].rsplit("/", 1)[1]
        status, _, _ = ask("PATCH", f"{secret}/{version}?api-version=7.6", attributes, bearer)
        self.assertEqual(status, 200)
        status, _, refused = ask("GET", f"{secret}/?api-version=7.6", authorization=bearer)
        self.assertEqual((status, refused["error"]["innererror"]["code"]), (403, "SecretDisabled"))

    def test_the_longest_value_escaped(self):
        value = "\N{KEY}" * 6_400
        body = json.dumps({"value": value}).encode()
        self.assertGreater(len(body), 64 * 1024)
        status, _, set_ = self.connection.ask("PUT", "/secrets/net-long?api-version=7.6", body, token())
        self.assertEqual((status, set_["value"]), (200, value))

    def test_a_body_over_the_limit_is_read_to_its_end(self):
        ask, bearer = self.connection.ask, token()
        body = json.dumps({"value": "x" * 2_000_000}).encode()
        status, _, refused = ask("PUT", "/secrets/net-large?api-version=7.6", body, bearer)
        self.assertEqual((status, refused["error"]["code"]), (400, "BadParameter"))
        # Or the client would see a connection that breaks.
        status, _, _ = ask("GET", "/secrets?api-version=7.6", authorization=bearer)
        self.assertEqual(status, 200)

    def test_a_list_is_followed_to_its_end(self):
        bearer, names = token(), set()
        for number in range(30):
            target = f"/secrets/net-page-{number}?api-version=7.6"
            self.connection.ask("PUT", target, b'{"value":"x"}', bearer)
        target = "/secrets?api-version=7.6"
        while target:
            status, _, page = self.connection.ask("GET", target, authorization=bearer)
            self.assertEqual(status, 200)
            names |= {item["id"].rsplit("/", 1)[1] for item in page["value"]}
            # It is asked for as it came, the sign of the skip token and all.
            target = page["nextLink"] and page["nextLink"].split(VAULT.netloc, 1)[1]
        self.assertLessEqual({f"net-page-{number}" for number in range(30)}, names)

    def test_deleting_recovering_and_purging(self):
        ask, bearer = self.connection.ask, token()
        ask("PUT", "/secrets/net-delete?api-version=7.6", b'{"value":"x"}', bearer)
        for method, target, wanted in [
            ("DELETE", "/secrets/net-delete", 200),
            ("GET", "/deletedsecrets/net-delete", 200),
            ("POST", "/deletedsecrets/net-delete/recover", 200),
            ("GET", "/secrets/net-delete/", 200),
            ("DELETE", "/secrets/net-delete", 200),
            ("DELETE", "/deletedsecrets/net-delete", 204),
            ("GET", "/deletedsecrets/net-delete", 404),
        ]:
            status, headers, _ = ask(method, f"{target}?api-version=7.6", authorization=bearer)
            self.assertEqual(status, wanted, target)
            self.assertEqual("content-type" in headers, wanted != 204, target)


if __name__ == "__main__":
    unittest.main()
