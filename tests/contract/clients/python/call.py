"""Calls every route of a running handler with the client that openapi-python-client has made."""

import os

from keyvault_functions_client import AuthenticatedClient
from keyvault_functions_client.api.default import (
    certificates_metadata,
    config_check,
    expiring,
    keys_metadata,
    secrets_metadata,
)
from keyvault_functions_client.models import (
    CertificateMetadata,
    ConfigCheck,
    Expiring,
    KeyMetadata,
    ObjectKind,
    Problem,
    SecretMetadata,
    Status,
    UnhealthyConfigCheck,
    UnhealthyExpiring,
)

URL, KEY = os.environ["CONTRACT_URL"], os.environ["CONTRACT_KEY"]


def client(key: str) -> AuthenticatedClient:
    return AuthenticatedClient(base_url=URL, token=key, prefix="", auth_header_name="x-functions-key")


with client(KEY) as caller:
    check = config_check.sync(client=caller, freshness=True)
    assert isinstance(check, ConfigCheck), check
    statuses = {reference.setting: reference.status for reference in check.references}
    assert statuses["EXTERNAL_API_KEY"] is Status.RESOLVED, statuses

    # local.settings.json has one reference that cannot be resolved.
    strict = config_check.sync_detailed(client=caller, strict=True)
    assert strict.status_code == 503
    assert isinstance(strict.parsed, UnhealthyConfigCheck), strict
    assert len(strict.parsed.references) == len(check.references)

    secret = secrets_metadata.sync("ExternalApiKey", client=caller, refresh=True)
    assert isinstance(secret, SecretMetadata), secret
    assert secret.name == "ExternalApiKey" and isinstance(secret.version, str)
    same = secrets_metadata.sync("ExternalApiKey", client=caller, version=secret.version)
    assert same == secret, same

    key = keys_metadata.sync("SigningKey", client=caller)
    assert isinstance(key, KeyMetadata) and key.curve == "P-256", key
    certificate = certificates_metadata.sync("WebCertificate", client=caller)
    assert isinstance(certificate, CertificateMetadata) and certificate.subject == "CN=www.example.com", certificate

    soon = expiring.sync(client=caller, within="2w")
    assert isinstance(soon, Expiring), soon
    (item,) = soon.items
    assert (item.kind, item.name, item.used_by) == (ObjectKind.SECRET, "DatabasePassword", ["DATABASE_PASSWORD"])
    strict_soon = expiring.sync(client=caller, strict=True)
    assert isinstance(strict_soon, UnhealthyExpiring), strict_soon

    missing = secrets_metadata.sync("Missing", client=caller)
    assert isinstance(missing, Problem) and missing.code == "SecretNotFound", missing
    wrong = secrets_metadata.sync("ExternalApiKey", client=caller, version="x")
    assert isinstance(wrong, Problem) and wrong.code == "InvalidSecretVersion", wrong

with client("wrong") as stranger:
    assert config_check.sync_detailed(client=stranger).status_code == 401
    assert secrets_metadata.sync_detailed("ExternalApiKey", client=stranger).status_code == 401

print("Python: every route answered as the client expects")
