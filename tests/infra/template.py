#!/usr/bin/env python3
"""Compares infra/*.bicep with what it must be, by Microsoft's own compiler.

  template.py            the compiler finds nothing, the layout is the compiler's, every snapshot
                         still fits, and each mutation of the template is refused
  template.py --renew    writes tests/infra/snapshots/*.snapshot.json again, after a change

A snapshot is what Resource Manager would make of the template and the parameters of the file
beside it. The order of the resources and the outputs are not in it: they are read from the
compiled template. Needs `bicep` on PATH (`az bicep install`), and no network.
"""
import json
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("infra", "tests/infra/snapshots")
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TENANT = "00000000-0000-0000-0000-000000000002"

# What must be there before what. An identity of the app's own exists only once the app does.
ORDER = {
    "databasePasswordSecret": {"externalApiKeySecret"},
    "accessOfUserIdentity": {"databasePasswordSecret", "vaultEndpoint"},
    "app": {"packages", "accessOfUserIdentity", "vaultEndpoint", "storageEndpoint"},
    "accessOfApp": {"app", "databasePasswordSecret"},
    "settings": {"accessOfUserIdentity", "accessOfApp", "databasePasswordSecret", "externalApiKeySecret"},
    "vaultEndpoint": {"databasePasswordSecret"},
    "refreshOfReferences": {"app"},
    "eventTopic": {"settings", "vault"},
}
OUTPUTS = {
    "functionAppName": "[parameters('appName')]",
    "functionAppHostName": "[reference('app').defaultHostName]",
    "vaultName": "[parameters('vaultName')]",
    "vaultUri": "[reference('vault').vaultUri]",
}


def bicep(*arguments):
    """What the compiler prints; it ends with 0 although it warns."""
    done = subprocess.run(["bicep", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout), done.stderr


def compiler(root):
    """What the compiler says of the templates. Any word is a fault."""
    return bicep("lint", root / "infra/main.bicep")[1]


def layout(root):
    found = ""
    for path in sorted(root.glob("infra/**/*.bicep")):
        formatted, errors = bicep("format", "--stdout", path)
        if errors or formatted != path.read_text():
            found += f"{path.relative_to(root)} is not as `bicep format` writes it\n{errors}"
    return found


def snapshot(root, name, mode="validate"):
    parameters = root / f"tests/infra/snapshots/{name}.bicepparam"
    # The template of azd makes its group itself.
    group = [] if "infra/main.bicep" in parameters.read_text() else ["--resource-group", "rg"]
    said = bicep(
        "snapshot", parameters, "--mode", mode, "--subscription-id", SUBSCRIPTION, "--tenant-id", TENANT,
        "--location", "westeurope", *group,
    )
    return "".join(said)


def compiled(root):
    """The order of the resources, the outputs, and what the snapshots do not hold of parameters."""
    template, errors = bicep("build", "--stdout", root / "infra/app.bicep")
    if errors:
        return errors
    template = json.loads(template)
    found = ""
    for symbol, before in ORDER.items():
        missing = before - set(template["resources"][symbol].get("dependsOn", []))
        if missing:
            found += f"{symbol} does not wait for {', '.join(sorted(missing))}\n"
    for name in ("externalApiKey", "databasePassword"):
        if template["parameters"][name].get("minLength") != 1:
            found += f"{name} may be empty\n"
    outputs = {name: output["value"] for name, output in template["outputs"].items()}
    if outputs != OUTPUTS:
        found += f"the outputs are {outputs}\n"
    return found


# Who refuses each mutation, and a part of what it says.
APP, ACCESS, NETWORK, ENDPOINT = "app.bicep", "modules/access.bicep", "modules/network.bicep", "modules/private-endpoint.bicep"
REFRESH = "modules/refresh.bicep"
DEFAULT, CLOSED, PRIVATE, AZD = "default", "service-endpoint", "private-endpoint", "azd"
EVENTS, OTHERS = "rotation-events", "rotation-events-topic-of-others"
MUTATIONS = {
    "unknown property": (APP, "httpsOnly: true", "httpsOnlyy: true", compiler, "httpsOnlyy"),
    "wrong type": (APP, "httpsOnly: true", "httpsOnly: 'yes'", compiler, "BCP036"),
    "read-only property": (APP, "httpsOnly: true", "httpsOnly: true\n    defaultHostName: 'a'", compiler, "read-only"),
    "missing property": (APP, "    tenantId: tenant().tenantId\n    sku", "    sku", compiler, "tenantId"),
    "unknown api version": (APP, "vaults@2026-02-01", "vaults@2026-13-01", compiler, "2026-13-01"),
    "undefined symbol": (APP, "serverFarmId: plan.id", "serverFarmId: plam.id", compiler, "plam"),
    "wrong role": (ACCESS, "4633458b-17de-408a-b874-0445c86b69e6", "b86a8fe4-44ce-4948-aee5-eccb2c155cd7", DEFAULT, "b86a8fe4"),
    "a reader who writes": (ACCESS, "21090545-7ca7-4776-b22c-e363652d74d2", "a4417e6f-fecd-4de8-b567-7b0420556985", DEFAULT, "a4417e6f"),
    "a reader of policies": (ACCESS, "resource listsVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!usesAccessPolicies)", "resource listsVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (usesAccessPolicies)", CLOSED, "21090545-7ca7-4776-b22c-e363652d74d2"),
    "wrong scope": (ACCESS, "  scope: vault\n", "  scope: storage\n", DEFAULT, "storageAccounts"),
    "settings before access": (APP, "dependsOn: [accessOfUserIdentity, accessOfApp, databasePasswordSecret]", "dependsOn: [databasePasswordSecret]", compiled, "settings does not wait for accessOfApp, accessOfUserIdentity"),
    "an app before its access": (APP, "dependsOn: [packages, accessOfUserIdentity, vaultEndpoint, storageEndpoint]", "dependsOn: [packages, vaultEndpoint, storageEndpoint]", compiled, "app does not wait for accessOfUserIdentity"),
    "an app before its network": (APP, "dependsOn: [packages, accessOfUserIdentity, vaultEndpoint, storageEndpoint]", "dependsOn: [packages, accessOfUserIdentity]", compiled, "app does not wait for storageEndpoint, vaultEndpoint"),
    "two secrets at once": (APP, "  dependsOn: [externalApiKeySecret]\n", "", compiled, "databasePasswordSecret does not wait for externalApiKeySecret"),
    "a policy and a secret at once": (APP, "dependsOn: [databasePasswordSecret, vaultEndpoint]", "dependsOn: [vaultEndpoint]", compiled, "accessOfUserIdentity does not wait for databasePasswordSecret"),
    "misspelt reference": (APP, ";SecretName=", ";SecretNam=", DEFAULT, "DATABASE_PASSWORD"),
    "misspelt start": (APP, "@Microsoft.KeyVault(VaultName", "@Microsoft.KeyVualt(VaultName", DEFAULT, "DATABASE_PASSWORD"),
    "reference to no secret": (APP, "SecretName=DatabasePassword", "SecretName=DatabasePasword", DEFAULT, "DATABASE_PASSWORD"),
    "forbidden setting": (APP, "      KEY_VAULT_URL:", "      FUNCTIONS_WORKER_RUNTIME: 'custom'\n      KEY_VAULT_URL:", DEFAULT, "FUNCTIONS_WORKER_RUNTIME"),
    "siteConfig": (APP, "httpsOnly: true", "httpsOnly: true\n    siteConfig: {}", DEFAULT, "siteConfig"),
    "shared keys": (APP, "allowSharedKeyAccess: false", "allowSharedKeyAccess: true", DEFAULT, "allowSharedKeyAccess"),
    "a key": (APP, "'managedidentity'", "storage.listKeys().keys[0].value", DEFAULT, "AzureWebJobsStorage__credential"),
    "missing brace": (APP, "  properties: { reserved: true }\n}", "  properties: { reserved: true }\n", compiler, "Error"),
    "secret in an output": (APP, "output vaultName string = vault.name", "var copy = externalApiKey\noutput vaultName string = copy", compiler, "outputs-should-not-contain-secrets"),
    "secret in a setting": (APP, "KEY_VAULT_URL: vault.properties.vaultUri", "KEY_VAULT_URL: databasePassword", DEFAULT, "KEY_VAULT_URL"),
    "an open vault": (APP, "defaultAction: isPublic ? 'Allow' : 'Deny'", "defaultAction: 'Allow'", CLOSED, "defaultAction"),
    "an address too many": (APP, "ipRules: isPublic ? [] : ipRules", "ipRules: isPublic ? [] : [{ value: '0.0.0.0/0' }]", CLOSED, "ipRules"),
    "open storage": (APP, "publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'\n", "publicNetworkAccess: 'Enabled'\n", PRIVATE, "publicNetworkAccess"),
    "a vault in public": (APP, "isPrivate && empty(allowedIpRules) ? 'Disabled' : 'Enabled'", "'Enabled'", PRIVATE, "publicNetworkAccess"),
    "an app outside its network": (APP, "    virtualNetworkSubnetId: isPublic ? null : network!.outputs.appSubnetId\n", "", CLOSED, "virtualNetworkSubnetId"),
    "no private name": (ENDPOINT, "registrationEnabled: false", "registrationEnabled: true", PRIVATE, "registrationEnabled"),
    "another zone": (APP, "'.vault.', '.vaultcore.'", "'.vault.', '.vault.'", PRIVATE, "privateDnsZoneId"),
    "another service behind the address": (APP, "groupId: 'vault'", "groupId: 'blob'", PRIVATE, "blob"),
    "unknown delegation property": (NETWORK, "serviceName: 'Microsoft.App", "servicName: 'Microsoft.App", compiler, "servicName"),
    "access turned round": (ACCESS, "if (!usesAccessPolicies)", "if (usesAccessPolicies)", DEFAULT, "4633458b-17de-408a-b874-0445c86b69e6"),
    "no access": (APP, "if (usesUserIdentity) {\n  name: 'access-", "if (false) {\n  name: 'access-", DEFAULT, "4633458b-17de-408a-b874-0445c86b69e6"),
    "too much access": (ACCESS, "['get', 'list']", "['all']", CLOSED, "permissions"),
    "a key that signs": (ACCESS, "keys: ['get', 'list']", "keys: ['get', 'list', 'sign']", CLOSED, "sign"),
    "no list of certificates": (ACCESS, "certificates: ['get', 'list']", "certificates: ['get']", CLOSED, "certificates"),
    "access for another": (APP, "principalId: userIdentity!.properties.principalId", "principalId: userIdentity!.properties.clientId", DEFAULT, "clientId"),
    "a person's role": (ACCESS, "principalType: 'ServicePrincipal'", "principalType: 'User'", DEFAULT, "principalType"),
    "a deployer without rights": (APP, "!usesAccessPolicies && addsDeployer", "false", DEFAULT, "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"),
    "operators without rights": (APP, "usesAccessPolicies ? [] : operatorObjectIds", "usesAccessPolicies ? operatorObjectIds : []", PRIVATE, "00000000000a"),
    "another identity for references": (APP, "usesUserIdentity ? userIdentity.id : 'SystemAssigned'", "'SystemAssigned'", DEFAULT, "keyVaultReferenceIdentity"),
    "a package by key": (APP, ": { type: 'SystemAssignedIdentity' }", ": { type: 'StorageAccountConnectionString' }", CLOSED, "authentication"),
    "another container": (APP, "  name: packageContainer\n", "  name: 'packages'\n", DEFAULT, "containers/packages"),
    "a misspelt credential": (APP, "'managedidentity'", "'managedidentty'", DEFAULT, "AzureWebJobsStorage__credential"),
    "a misspelt member": (APP, "KEY_VAULT_URL: vault.properties.vaultUri", "KEY_VAULT_URL: vault.properties.vaultUrl", compiler, "vaultUrl"),
    "a cycle": (APP, "dependsOn: [packages, ", "dependsOn: [accessOfApp, packages, ", compiler, "cycle"),
    "an output too many": (APP, "output vaultName string = vault.name", "output vaultName string = vault.name\noutput key string = insights.properties.InstrumentationKey", compiled, "the outputs are"),
    "a secret by default": (APP, "param databasePassword string\n", "param databasePassword string = 'x'\n", compiler, "secure-parameter-default"),
    "an empty secret": (APP, "@minLength(1)\n@secure()\nparam databasePassword", "@secure()\nparam databasePassword", compiled, "databasePassword may be empty"),
    "an address of one cloud": (APP, "${environment().suffixes.storage}", "core.windows.net", compiler, "no-hardcoded-env-urls"),
    "swapped values": (APP, "value: externalApiKey\n", "value: databasePassword\n", compiler, "no-unused-params"),
    "a disabled secret": (APP, "exp: databasePasswordExpires } : { enabled: true }", "exp: databasePasswordExpires } : { enabled: false }", DEFAULT, "enabled"),
    "an expiry that is lost": (APP, "exp: externalApiKeyExpires }", "nbf: externalApiKeyExpires }", PRIVATE, "exp"),
    "publishing by password": (APP, "properties: { allow: false }", "properties: { allow: true }", DEFAULT, "allow"),
    "no Linux": (APP, "reserved: true", "reserved: false", DEFAULT, "reserved"),
    "no endpoint": (NETWORK, "[{ service: 'Microsoft.KeyVault' }, ", "[", CLOSED, "serviceEndpoints"),
    "another delegation": (NETWORK, "Microsoft.App/environments", "Microsoft.Web/serverFarms", CLOSED, "delegations"),
    "unknown module parameter": (APP, "    storageName: storage.name", "    storagName: storage.name", compiler, "storagName"),
    "logs without a cap": (APP, "    workspaceCapping: { dailyQuotaGb: logsDailyCapGb }\n", "", compiler, "logsDailyCapGb"),
    "a name that is too long": (APP, "length(appName) > 55", "length(appName) > 60", CLOSED, "plan-"),
    "an alert that nobody asked for": (APP, "scheduledQueryRules@2026-03-01' = if (!empty(alertEmail))", "scheduledQueryRules@2026-03-01' = if (empty(alertEmail))", DEFAULT, "scheduledQueryRules"),
    "an alert on another line": (APP, "SecretExpired\"", "SecretGone\"", PRIVATE, "query"),
    "an alert that waits to be resolved": (APP, "autoMitigate: false", "autoMitigate: true", PRIVATE, "autoMitigate"),
    "a mail each hour": (APP, "muteActionsDuration: 'P1D'", "muteActionsDuration: 'PT1H'", PRIVATE, "muteActionsDuration"),
    "an alert that asks a new component": (APP, "skipQueryValidation: true", "skipQueryValidation: false", PRIVATE, "skipQueryValidation"),
    "an alert without a mail": (APP, "    actions: { actionGroups: [mail.id] }\n", "", PRIVATE, "actions"),
    "an alert on all logs of the workspace": (APP, "scopes: [insights.id]", "scopes: [workspace.id]", PRIVATE, "scopes"),
    "an alert that stays": (APP, "  location: 'global'\n  tags: allTags\n", "  location: 'global'\n", PRIVATE, "tags"),
    "no alert by azd": ("main.bicep", "    alertEmail: alertEmail\n", "", compiler, "alertEmail"),
    "a right that nobody asked for": (APP, "'modules/refresh.bicep' = if (rotationEvents)", "'modules/refresh.bicep' = if (!rotationEvents)", DEFAULT, "de139f84-1756-47ae-9be6-808fbbe84772"),
    "a topic that nobody asked for": (APP, "if (rotationEvents && makesEventTopic)", "if (makesEventTopic)", DEFAULT, "systemTopics"),
    "a second topic": (APP, "if (rotationEvents && makesEventTopic)", "if (rotationEvents || makesEventTopic)", OTHERS, "systemTopics"),
    "a rotation that nobody asked for": (APP, "rotationEvents ? { ROTATION_REFRESH: 'on' } : {}", "{ ROTATION_REFRESH: 'on' }", DEFAULT, "ROTATION_REFRESH"),
    "a rotation that is off": (APP, "ROTATION_REFRESH: 'on'", "ROTATION_REFRESH: 'off'", EVENTS, "ROTATION_REFRESH"),
    "a right over the whole group": (REFRESH, "  scope: app\n", "", EVENTS, "de139f84-1756-47ae-9be6-808fbbe84772"),
    "a right over everything": (REFRESH, "'de139f84-1756-47ae-9be6-808fbbe84772'", "'b24988ac-6180-42a0-ab88-20f7382dd24c'", EVENTS, "b24988ac-6180-42a0-ab88-20f7382dd24c"),
    "a right for another identity": (APP, "usesUserIdentity ? userIdentity!.properties.principalId : app", "!usesUserIdentity ? userIdentity!.properties.principalId : app", OTHERS, "userAssignedIdentities"),
    "events of another resource": (APP, "source: vault.id", "source: storage.id", EVENTS, "source"),
    "events of another kind": (APP, "'Microsoft.KeyVault.vaults'", "'Microsoft.Storage.StorageAccounts'", EVENTS, "topicType"),
    "a topic that stays": (APP, "  tags: allTags\n  properties: { source", "  properties: { source", EVENTS, "tags"),
    "a topic before its vault is done": (APP, "  dependsOn: [settings]\n", "", compiled, "eventTopic does not wait for settings"),
    "no events by azd": ("main.bicep", "    rotationEvents: rotationEvents\n", "", compiler, "rotationEvents"),
    "no tag of azd": ("main.bicep", "var tags = { 'azd-env-name'", "var tags = { 'azd-env'", AZD, "azd-env-name"),
    "a name that is not unique": ("main.bicep", "'func-${uniqueString(subscription().id, environmentName, location)}'", "environmentName", AZD, "your-env"),
    "an instance too many": (APP, "alwaysReadyInstances > 0 ?", "alwaysReadyInstances >= 0 ?", DEFAULT, "alwaysReady"),
}


def why_accepted(name):
    """None if the mutation is refused for its own reason."""
    file, before, after, who, reason = MUTATIONS[name]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for each in FOLDERS:
            shutil.copytree(ROOT / each, root / each)
        path = root / "infra" / file
        content = path.read_text()
        if before not in content:
            return f"{file} has no {before!r}"
        path.write_text(content.replace(before, after, 1))
        said = snapshot(root, who) if isinstance(who, str) else who(root)
        return None if reason in said else f"it is accepted, or for another reason: {said or 'not a word'}"


def main():
    if shutil.which("bicep") is None:
        sys.exit("template.py: bicep is not on PATH. Install it: az bicep install, then add ~/.azure/bin to PATH")
    names = sorted(path.name.removesuffix(".bicepparam") for path in (ROOT / FOLDERS[1]).glob("*.bicepparam"))
    if sys.argv[1:] == ["--renew"]:
        for name in names:
            print(snapshot(ROOT, name, "overwrite") or f"wrote {name}.snapshot.json", end="\n")
        return
    with ThreadPoolExecutor(2) as pool:
        checks = {"the compiler": lambda: compiler(ROOT), "the layout": lambda: layout(ROOT), "the order": lambda: compiled(ROOT)}
        checks |= {f"the snapshot {name}": lambda name=name: snapshot(ROOT, name) for name in names}
        found = dict(zip(checks, pool.map(lambda check: check(), checks.values())))
        wrong = {what: said for what, said in found.items() if said}
        if not wrong:
            accepted = dict(zip(MUTATIONS, pool.map(why_accepted, MUTATIONS)))
            wrong = {f"the mutation {name!r}": why for name, why in accepted.items() if why}
    for what, said in wrong.items():
        print(f"{what}: {said}\n", file=sys.stderr)
    if wrong:
        sys.exit("After a change that is meant: tests/infra/template.py --renew")
    print(f"the template compiles without a word, fits {len(names)} snapshots, and each of {len(MUTATIONS)} mutations is refused")


if __name__ == "__main__":
    main()
