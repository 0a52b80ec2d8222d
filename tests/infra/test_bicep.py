"""The template passes its checker, each mutation of it fails for its own reason, and what azd
reads fits the template."""
import json
import os
import shutil
import tempfile
import unittest
from pathlib import Path

from ruamel.yaml import YAML

import check_bicep

MAIN, ACCESS = "main.bicep", "modules/access.bicep"
MUTATIONS = {
    "unknown property": (MAIN, "httpsOnly: true", "httpsOnlyy: true", "unknown property httpsOnlyy"),
    "wrong type": (MAIN, "httpsOnly: true", "httpsOnly: 'yes'", "string where bool"),
    "read-only property": (MAIN, "httpsOnly: true", "httpsOnly: true\n    defaultHostName: 'a'", "is read-only"),
    "missing property": (MAIN, "    tenantId: tenant().tenantId\n", "", "tenantId is missing"),
    "unknown api version": (MAIN, "vaults@2024-11-01", "vaults@2024-13-01", "api version 2024-13-01"),
    "undefined symbol": (MAIN, "serverFarmId: plan.id", "serverFarmId: plam.id", "undefined: plam"),
    "wrong role": (ACCESS, "4633458b-17de-408a-b874-0445c86b69e6", "b86a8fe4-44ce-4948-aee5-eccb2c155cd7", "role b86a8fe4"),
    "wrong scope": (ACCESS, "  scope: vault\n", "  scope: storage\n", "on Microsoft.Storage"),
    "settings before access": (MAIN, "  dependsOn: [access, databasePasswordSecret]\n", "", "do not depend on access"),
    "misspelt reference": (MAIN, ";SecretName=", ";SecretNam=", "not the reference"),
    "misspelt start": (MAIN, "@Microsoft.KeyVault(VaultName", "@Microsoft.KeyVualt(VaultName", "not the reference"),
    "reference to no secret": (MAIN, "SecretName=DatabasePassword", "SecretName=DatabasePasword", "not the reference"),
    "forbidden setting": (MAIN, "    KEY_VAULT_URL:", "    FUNCTIONS_WORKER_RUNTIME: 'custom'\n    KEY_VAULT_URL:", "not allowed on Flex"),
    "siteConfig": (MAIN, "httpsOnly: true", "httpsOnly: true\n    siteConfig: {}", "siteConfig is not"),
    "shared keys": (MAIN, "allowSharedKeyAccess: false", "allowSharedKeyAccess: true", "allowSharedKeyAccess"),
    "a key": (MAIN, "'managedidentity'", "storage.listKeys().keys[0].value", "listKeys reads a key"),
    "missing brace": (MAIN, "  properties: { reserved: true }\n}", "  properties: { reserved: true }\n", "syntax error"),
    "secret in an output": (MAIN, "output vaultName string = vault.name", "var copy = externalApiKey\noutput vaultName string = copy", "output vaultName has a secret"),
    "secret in a setting": (MAIN, "KEY_VAULT_URL: vault.properties.vaultUri", "KEY_VAULT_URL: databasePassword", "outside a secret"),
    "an open vault": (MAIN, "restrictVaultNetwork ? 'Deny' : 'Allow'", "'Allow'", "networkAcls.defaultAction of vault"),
    "an app outside its network": (MAIN, "    virtualNetworkSubnetId: restrictVaultNetwork ? network!.outputs.appSubnetId : null\n", "", "virtualNetworkSubnetId of app"),
    "unknown delegation property": ("modules/network.bicep", "serviceName: 'Microsoft.App", "servicName: 'Microsoft.App", "unknown property servicName"),
    "access turned round": (ACCESS, "if (!usesAccessPolicies)", "if (usesAccessPolicies)", "the conditions of access.bicep"),
    "no access": (MAIN, "module access 'modules/access.bicep' = {", "module access 'modules/access.bicep' = if (false) {", "the conditions of main.bicep"),
    "too much access": (ACCESS, "['get', 'list']", "['all']", "readsSecretsByPolicy.properties.accessPolicies"),
    "access for another": (MAIN, "principalId: usesUserIdentity ? userIdentity!.properties.principalId", "principalId: usesUserIdentity ? userIdentity!.properties.clientId", "access.params.principalId"),
    "a person's role": (ACCESS, "principalType: 'ServicePrincipal'", "principalType: 'User'", "principalType"),
    "another identity for references": (MAIN, "usesUserIdentity ? userIdentity.id : 'SystemAssigned'", "'SystemAssigned'", "keyVaultReferenceIdentity"),
    "a package by key": (MAIN, ": { type: 'SystemAssignedIdentity' }", ": { type: 'StorageAccountConnectionString' }", "storage.authentication"),
    "another container": (MAIN, "  name: packageContainer\n", "  name: 'packages'\n", "packages.name"),
    "a misspelt credential": (MAIN, "'managedidentity'", "'managedidentty'", "AzureWebJobsStorage__credential"),
    "a misspelt member": (MAIN, "KEY_VAULT_URL: vault.properties.vaultUri", "KEY_VAULT_URL: vault.properties.vaultUrl", "the setting KEY_VAULT_URL"),
    "a cycle": (MAIN, "dependsOn: [packages]", "dependsOn: [packages, access]", "a cycle of access, app"),
    "an output too many": (MAIN, "output vaultName string = vault.name", "output vaultName string = vault.name\noutput key string = insights.properties.InstrumentationKey", "the outputs are"),
    "a secret by default": (MAIN, "param databasePassword string\n", "param databasePassword string = 'x'\n", "has a default"),
    "swapped values": (MAIN, "value: externalApiKey\n", "value: databasePassword\n", "externalApiKeySecret.properties.value"),
    "a disabled secret": (MAIN, "exp: databasePasswordExpires } : { enabled: true }", "exp: databasePasswordExpires } : { enabled: false }", "databasePasswordSecret.properties.attributes"),
    "publishing by password": (MAIN, "properties: { allow: false }", "properties: { allow: true }", "ftpPublishing.properties.allow"),
    "no Linux": (MAIN, "reserved: true", "reserved: false", "plan.properties.reserved"),
    "no endpoint": ("modules/network.bicep", "[{ service: 'Microsoft.KeyVault' }]", "[]", "network.properties.subnets"),
    "another delegation": ("modules/network.bicep", "Microsoft.App/environments", "Microsoft.Web/serverFarms", "network.properties.subnets"),
    "unknown module parameter": (MAIN, "    storageName: storage.name", "    storagName: storage.name", "unknown parameter storagName"),
}


class Template(unittest.TestCase):
    def test_it_passes(self):
        self.assertEqual(check_bicep.check(check_bicep.ROOT / "infra/main.bicep"), [])

    def test_each_mutation_fails(self):
        for name, (file, before, after, reason) in MUTATIONS.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / "infra"
                shutil.copytree(check_bicep.ROOT / "infra", copy)
                content = (copy / file).read_text()
                self.assertIn(before, content)
                (copy / file).write_text(content.replace(before, after, 1))
                problems = "\n".join(check_bicep.check(copy / MAIN))
                self.assertIn(reason, problems)

    def test_azd_gives_every_required_parameter_and_no_unknown_one(self):
        declared = check_bicep.File(check_bicep.ROOT / "infra/main.bicep").params
        given = json.loads((check_bicep.ROOT / "infra/main.parameters.json").read_text())["parameters"]
        required = {name for name, (_, optional) in declared.items() if not optional}
        self.assertLessEqual(required, set(given))
        self.assertLessEqual(set(given), set(declared))

    def test_azd_packs_what_the_script_makes(self):
        azd = YAML(typ="safe").load(check_bicep.ROOT / "azure.yaml")
        (name, service), = azd["services"].items()
        self.assertIn(f"tags: {{ 'azd-service-name': '{name}' }}", (check_bicep.ROOT / "infra/main.bicep").read_text())
        self.assertEqual((service["project"], service["host"], service["language"], service["dist"]), (".", "function", "custom", "dist"))
        self.assertTrue(os.access(check_bicep.ROOT / service["hooks"]["prepackage"]["posix"]["run"], os.X_OK))
        self.assertTrue((check_bicep.ROOT / azd["infra"]["path"] / f"{azd['infra']['module']}.bicep").exists())


if __name__ == "__main__":
    unittest.main()
