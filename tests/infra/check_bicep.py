#!/usr/bin/env python3
"""Checks infra/main.bicep and its modules without Azure: syntax, types and what must hold.

The syntax is tree-sitter's, the types are Azure's own (`azmcp bicepschema`, which needs no network).
Not checked: functions' arguments, types behind member access, and whether Azure accepts it all.
"""
import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import version as version_of
from pathlib import Path

import tree_sitter_bicep
from tree_sitter import Language, Parser

ROOT = Path(__file__).resolve().parents[2]
PARSER = Parser(Language(tree_sitter_bicep.language()))
NAMESPACES = {"az", "sys"}
ROLES = {
    "Microsoft.KeyVault/vaults": "4633458b-17de-408a-b874-0445c86b69e6",
    "Microsoft.Storage/storageAccounts": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Microsoft.Insights/components": "3913510d-42f4-4e42-8a64-420c390055eb",
}
FORBIDDEN = re.compile(
    r"FUNCTIONS_(WORKER_|EXTENSION_VERSION|MAX_HTTP_CONCURRENCY)|WEBSITE_(RUN_FROM_PACKAGE|CONTENT|"
    r"SKIP_CONTENTSHARE_VALIDATION|MAX_DYNAMIC_APPLICATION_SCALE_OUT|MOUNT_ENABLED|VNET_ROUTE_ALL|"
    r"TIME_ZONE)|SCM_DO_BUILD_DURING_DEPLOYMENT$|ENABLE_ORYX_BUILD$|TZ$|AzureWebJobsStorage$|.*:"
)
SETTINGS = {
    "EXTERNAL_API_KEY", "DATABASE_PASSWORD", "KEY_VAULT_URL", "SECRET_CACHE_TTL_SECONDS",
    "SECRET_CACHE_MAX_STALE_SECONDS", "AzureWebJobsStorage__credential", "AZURE_CLIENT_ID",
    "AzureWebJobsStorage__blobServiceUri", "AzureWebJobsStorage__clientId",
    "APPLICATIONINSIGHTS_CONNECTION_STRING", "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
}
# For each file: the condition of each conditional resource, and values by symbol and path.
FIXED = (
    (
        {"userIdentity": "usesUserIdentity", "network": "restrictVaultNetwork"},
        {
            "usesUserIdentity": "identityType == 'UserAssigned'",
            "usesAccessPolicies": "vaultAccess == 'accessPolicies'",
            "packageContainer": "'app-package'",
            "identitySettings": "usesUserIdentity ? { AZURE_CLIENT_ID: userIdentity!.properties.clientId, AzureWebJobsStorage__clientId: userIdentity!.properties.clientId } : {}",
            "telemetryIdentity": "usesUserIdentity ? 'ClientId=${userIdentity!.properties.clientId};Authorization=AAD' : 'Authorization=AAD'",
            "storage.properties.supportsHttpsTrafficOnly": "true",
            "packages.name": "packageContainer",
            "packages.properties.publicAccess": "'None'",
            "vault.properties.publicNetworkAccess": "'Enabled'",
            "vault.properties.networkAcls.virtualNetworkRules": "restrictVaultNetwork ? [{ id: network!.outputs.appSubnetId }] : []",
            "externalApiKeySecret.name": "'ExternalApiKey'",
            "externalApiKeySecret.properties.value": "externalApiKey",
            "externalApiKeySecret.properties.attributes": "externalApiKeyExpires > 0 ? { enabled: true, exp: externalApiKeyExpires } : { enabled: true }",
            "databasePasswordSecret.name": "'DatabasePassword'",
            "databasePasswordSecret.properties.value": "databasePassword",
            "databasePasswordSecret.properties.attributes": "databasePasswordExpires > 0 ? { enabled: true, exp: databasePasswordExpires } : { enabled: true }",
            "plan.kind": "'functionapp'",
            "plan.properties.reserved": "true",
            "app.kind": "'functionapp,linux'",
            "app.identity": "usesUserIdentity ? { type: 'UserAssigned', userAssignedIdentities: { '${userIdentity.id}': {} } } : { type: 'SystemAssigned' }",
            "app.dependsOn": "[packages]",
            "app.properties.keyVaultReferenceIdentity": "usesUserIdentity ? userIdentity.id : 'SystemAssigned'",
            "app.properties.functionAppConfig.deployment.storage.type": "'blobContainer'",
            "app.properties.functionAppConfig.deployment.storage.value": "'${storage.properties.primaryEndpoints.blob}${packageContainer}'",
            "app.properties.functionAppConfig.deployment.storage.authentication": "usesUserIdentity ? { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: userIdentity.id } : { type: 'SystemAssignedIdentity' }",
            "ftpPublishing.properties.allow": "false",
            "scmPublishing.properties.allow": "false",
            "access.params.principalId": "usesUserIdentity ? userIdentity!.properties.principalId : app.identity.principalId",
            "access.params.usesAccessPolicies": "usesAccessPolicies",
            "access.params.vaultName": "vault.name",
        },
    ),
    (
        {},
        {
            "network.properties.subnets": "[ { name: 'app' properties: { addressPrefix: addressPrefix delegations: [{ name: 'flex-consumption', properties: { serviceName: 'Microsoft.App/environments' } }] serviceEndpoints: [{ service: 'Microsoft.KeyVault' }] } } ]",
        },
    ),
    (
        {"readsSecrets": "!usesAccessPolicies", "readsSecretsByPolicy": "usesAccessPolicies"},
        {
            "readsSecrets.properties.principalType": "'ServicePrincipal'",
            "ownsBlobs.properties.principalType": "'ServicePrincipal'",
            "publishesMetrics.properties.principalType": "'ServicePrincipal'",
            "readsSecretsByPolicy.parent": "vault",
            "readsSecretsByPolicy.name": "'add'",
            "readsSecretsByPolicy.properties.accessPolicies": "[ { tenantId: tenant().tenantId objectId: principalId permissions: { secrets: ['get', 'list'] } } ]",
        },
    ),
)
SETTING_VALUES = {
    "KEY_VAULT_URL": "vault.properties.vaultUri",
    "SECRET_CACHE_TTL_SECONDS": "string(secretCacheTtlSeconds)",
    "SECRET_CACHE_MAX_STALE_SECONDS": "string(secretCacheMaxStaleSeconds)",
    "AzureWebJobsStorage__blobServiceUri": "storage.properties.primaryEndpoints.blob",
    "AzureWebJobsStorage__credential": "'managedidentity'",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "insights.properties.ConnectionString",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "telemetryIdentity",
}
OUTPUTS = {
    "functionAppName": "app.name",
    "functionAppHostName": "app.properties.defaultHostName",
    "vaultName": "vault.name",
    "vaultUri": "vault.properties.vaultUri",
}
# azmcp does not know this type.
DIAGNOSTICS = {
    "": {"name": "string!", "scope": "any", "properties": "P"},
    "P": {"workspaceId": "string", "logs": "L[]", "metrics": "L[]"},
    "L": {"category": "string", "categoryGroup": "string", "enabled": "bool!"},
}


class Failed(Exception):
    """The template cannot be checked any further."""


def text(node):
    return node.text.decode()


def walk(node, kind=None):
    if kind is None or node.type == kind:
        yield node
    for child in node.named_children:
        yield from walk(child, kind)


def real(node):
    return [child for child in node.named_children if child.type != "comment"]


def literal(node):
    """The value of a string without interpolation."""
    if node is None or node.type != "string" or any(walk(node, "interpolation")):
        return None
    return text(node)[1:-1]


def properties(node):
    """The properties of an object by name."""
    found = {}
    for child in real(node) if node is not None and node.type == "object" else []:
        if child.type == "object_property":
            key, value = real(child)[0], real(child)[-1]
            found[text(key).strip("'")] = value
    return found


def at(node, path):
    for name in path.split("."):
        node = properties(node).get(name)
    return node


def names(node):
    """The symbols that an expression reads."""
    if node.type == "object_property":
        children = real(node)
        first = [] if children[0].type == "identifier" else [children[0]]
        children = first + children[1:]
    elif node.type == "for_statement":
        bound = text(real(node)[0])
        return {name for child in real(node)[1:] for name in names(child)} - {bound}
    elif node.type == "call_expression":
        children = [c for c in real(node) if not (c == node.child_by_field_name("function") and c.type == "identifier")]
    elif node.type == "identifier":
        return {text(node)}
    else:
        children = real(node)
    return {name for child in children for name in names(child)}


class File:
    """A template's declarations."""

    def __init__(self, path):
        self.path, self.params, self.vars, self.outputs = path, {}, {}, {}
        self.resources, self.modules, self.secure, self.conditions = {}, {}, set(), {}
        self.root = PARSER.parse(path.read_bytes()).root_node
        if self.root.has_error:
            bad = next((n for n in self.all_nodes(self.root) if n.is_error or n.is_missing), self.root)
            raise Failed(f"{path.name}:{bad.start_point[0] + 1}: syntax error")
        decorators = ""
        for node in real(self.root):
            if node.type == "decorators":
                decorators += text(node)
                continue
            children = real(node)
            name = text(children[0])
            if node.type == "parameter_declaration":
                self.params[name] = (text(children[1]), len(children) > 2)
                if "@secure()" in decorators:
                    self.secure.add(name)
                    if len(children) > 2:
                        raise Failed(f"{path.name}:{node.start_point[0] + 1}: the secure parameter {name} has a default")
            elif node.type == "variable_declaration":
                self.vars[name] = children[-1]
            elif node.type == "output_declaration":
                self.outputs[name] = children[-1]
            elif node.type in ("resource_declaration", "module_declaration"):
                body = children[-1]
                if body.type == "if_statement":
                    self.conditions[name] = text(real(body)[0]).strip("()")
                if body.type in ("if_statement", "for_statement"):
                    body = real(body)[-1]
                existing = any(c.type == "existing" for c in node.children)
                kind = self.resources if node.type == "resource_declaration" else self.modules
                kind[name] = (literal(children[1]), body, existing or " existing " in text(node).split("{")[0], node)
            decorators = ""

    def all_nodes(self, node):
        yield node
        for child in node.children:
            yield from self.all_nodes(child)

    def closure(self, node):
        """The symbols that an expression reads, through variables."""
        found, todo = set(), list(names(node))
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                if name in self.vars:
                    todo.extend(names(self.vars[name]))
        return found

    def resolved(self, node):
        while node is not None and (node.type == "parenthesized_expression" or text(node) in self.vars):
            node = self.vars[text(node)] if text(node) in self.vars else real(node)[0]
        return node


@cache
def schema(kind):
    """The type's api version, its body and its other types, as azmcp knows them."""
    if kind == "Microsoft.Insights/diagnosticSettings":
        convert = lambda of: [
            {"name": n, "type": t.rstrip("!"), "flags": "Required" if t.endswith("!") else ""} for n, t in of.items()
        ]
        types = {n: {"name": n, "properties": convert(t)} for n, t in DIAGNOSTICS.items()}
        return "2021-05-01-preview", types[""], types
    program = next(Path(sys.prefix).glob("lib/python3*/site-packages/msmcp_azure/bin/azmcp"), None)
    if program is None:
        raise Failed("msmcp-azure is not installed: pip install -r tests/infra/requirements.txt")
    kept = ROOT / "target/bicep-schemas" / version_of("msmcp-azure") / f"{kind.replace('/', '_')}.json"
    if kept.exists():
        types = json.loads(kept.read_text())
    else:
        answer = subprocess.run(
            [program, "bicepschema", "get", "--resource-type", kind], capture_output=True, check=False,
            env={**os.environ, "AZURE_MCP_COLLECT_TELEMETRY": "false"}, timeout=120,
        )
        try:
            types = json.loads(answer.stdout)["results"]["BicepSchemaResult"]
        except (ValueError, KeyError, TypeError):
            raise Failed(f"unknown resource type {kind}") from None
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(types))
    for entry in types:
        if entry["$type"] == "Resource" and entry["name"].split("@")[0].lower() == kind.lower():
            return entry["name"].split("@")[1], entry["bodyType"], {t["name"]: t for t in types if t["$type"] != "Resource"}
    raise Failed(f"unknown resource type {kind}")


class Checker:
    """Collects what is wrong."""

    def __init__(self, main):
        self.problems, self.files = [], [File(main)]
        for path, *_ in self.files[0].modules.values():
            self.files.append(File(main.parent / path))

    def expect(self, holds, message, node=None):
        if not holds:
            self.problems.append(f"line {node.start_point[0] + 1}: {message}" if node is not None else message)

    def check(self):
        kinds = {r[0].split("@")[0] for f in self.files for r in f.resources.values()}
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(schema, sorted(kinds)))
        for file in self.files:
            self.symbols(file)
            for kind, body, existing, node in file.resources.values():
                self.resource(file, kind, body, existing, node)
        self.module_parameters()
        self.facts()
        self.fixed()
        self.cycles()
        return self.problems

    def symbols(self, file):
        known = NAMESPACES | set(file.params) | set(file.vars) | set(file.resources) | set(file.modules)
        parts = [*file.vars.values(), *file.outputs.values()]
        parts += [r[1] for r in [*file.resources.values(), *file.modules.values()]]
        for part in parts:
            self.expect(names(part) <= known, f"undefined: {', '.join(names(part) - known)}", part)

    def resource(self, file, kind, body, existing, node):
        kind, _, version = kind.partition("@")
        known, body_type, types = schema(kind)
        self.expect(version == known, f"api version {version} of {kind} is not {known}", node)
        if existing:
            self.expect(set(properties(body)) <= {"name", "parent", "scope"}, "an existing resource has only a name", node)
            return
        if body_type.get("$type") == "DiscriminatedObject":
            key = body_type["discriminator"]
            chosen = literal(properties(body).get(key))
            fits = [e for e in body_type["elements"] for p in e["properties"] if p["name"] == key and p["type"] == chosen]
            if not fits:
                self.expect(False, f"{kind} has no {key} {chosen}", node)
                return
            body_type = fits[0]
        self.object(file, body, body_type, types, kind, {"parent", "scope", "dependsOn"}, True)

    def object(self, file, node, kind, types, path, extra=frozenset(), complete=True):
        declared = {p["name"]: p for p in kind.get("properties", [])}
        given = properties(node)
        for name, value in given.items():
            if name in extra:
                continue
            if name not in declared:
                other = kind.get("additionalPropertiesType")
                self.expect(other is not None, f"unknown property {name} of {path}", value)
                self.value(file, value, other or "any", types, f"{path}.{name}")
                continue
            self.expect("ReadOnly" not in (declared[name].get("flags") or ""), f"{path}.{name} is read-only", value)
            self.value(file, value, declared[name]["type"], types, f"{path}.{name}")
        for name, entry in declared.items():
            needed = complete and "Required" in (entry.get("flags") or "")
            self.expect(not needed or name in given, f"{path}.{name} is missing", node)

    def value(self, file, node, kind, types, path, complete=True):
        node, again = file.resolved(node), lambda n, c=complete: self.value(file, n, kind, types, path, c)
        if kind == "any" or node.type in ("null", "member_expression", "interpolation"):
            return
        if node.type == "ternary_expression":
            again(node.child_by_field_name("consequence"))
            again(node.child_by_field_name("alternative"))
        elif node.type == "call_expression":
            function = text(node.child_by_field_name("function"))
            if function == "union":
                for argument in real(node.child_by_field_name("arguments")):
                    again(argument, False)
            elif function in ("string", "guid", "uniqueString", "toLower", "take", "subscriptionResourceId"):
                self.scalar("string", kind, types, path, node)
        elif node.type == "object":
            of = types.get(kind)
            if of is None or of.get("$type") == "DiscriminatedObject":
                self.expect(of is not None or kind == "object", f"an object where {kind} is expected: {path}", node)
            else:
                self.object(file, node, of, types, path, complete=complete)
        elif node.type in ("array", "for_statement"):
            self.expect(kind.endswith("[]"), f"an array where {kind} is expected: {path}", node)
            elements = real(node) if node.type == "array" else [real(node)[-1]]
            for element in elements if node.type == "array" else []:
                self.value(file, element, re.sub(r"\[\]$", "", kind), types, path)
        elif text(node) in file.params:
            self.scalar(file.params[text(node)][0], kind, types, path, node)
        elif node.type == "string":
            options = kind.split(" | ")
            if literal(node) is not None and len(options) > 1 and "string" not in options:
                self.expect(literal(node) in options, f"{text(node)} is not one of {kind}: {path}", node)
            self.scalar("string", kind, types, path, node)
        elif node.type in ("number", "boolean"):
            self.scalar("int" if node.type == "number" else "bool", kind, types, path, node)
        elif node.type == "unary_expression" and text(node).startswith("!"):
            self.scalar("bool", kind, types, path, node)

    def scalar(self, actual, kind, types, path, node):
        scalar = kind in ("string", "int", "bool")
        fits = actual == kind if scalar else actual == "string" and kind not in types and not re.fullmatch(r"\w+\[\]", kind)
        self.expect(fits or actual not in ("string", "int", "bool"), f"{actual} where {kind} is expected: {path}", node)

    def module_parameters(self):
        main = self.files[0]
        for (_, body, *_), file in zip(main.modules.values(), self.files[1:]):
            given = properties(properties(body).get("params"))
            for name in set(given) - set(file.params):
                self.expect(False, f"unknown parameter {name} of {file.path.name}", body)
            for name, (_, optional) in file.params.items():
                self.expect(optional or name in given, f"parameter {name} of {file.path.name} is missing", body)
            for name, value in given.items():
                leaks = main.closure(value) & main.secure and name not in file.secure
                self.expect(not leaks, f"a secure parameter goes to {name}, which is not secure", body)

    def fixed(self):
        """What the types leave open and must be so."""
        for file, (conditions, values) in zip(self.files, FIXED, strict=True):
            self.expect(file.conditions == conditions, f"the conditions of {file.path.name} are {file.conditions}")
            for place, wanted in values.items():
                symbol, _, path = place.partition(".")
                if symbol in file.vars:
                    node = file.vars[symbol]
                else:
                    body = {**file.resources, **file.modules}.get(symbol, (None, None))[1]
                    node = at(body, path) if body is not None else None
                found = None if node is None else re.sub(r"\s+", " ", re.sub(r"//[^\n]*", "", text(node)))
                self.expect(found == wanted, f"{file.path.name}: {place} is not {wanted} but {found}", node)
        outputs = {name: text(value) for name, value in self.files[0].outputs.items()}
        self.expect(outputs == OUTPUTS, f"the outputs are {outputs}")

    def cycles(self):
        """What depends on itself: Bicep would refuse it."""
        for file in self.files:
            bodies = {name: body for name, (_, body, *_) in {**file.resources, **file.modules}.items()}
            reads = {name: file.closure(body) & set(bodies) for name, body in bodies.items()}
            while True:
                free = [name for name, of in reads.items() if not of & set(reads)]
                if not free:
                    break
                for name in free:
                    del reads[name]
            self.expect(not reads, f"{file.path.name}: a cycle of {', '.join(sorted(reads))}")

    def of_kind(self, kind):
        for f in self.files:
            for name, (full, body, existing, _) in f.resources.items():
                if full.split("@")[0] == kind and not existing:
                    yield f, name, body

    def facts(self):
        main, expect = self.files[0], self.expect
        expect(main.secure == {"externalApiKey", "databasePassword"}, f"the secure parameters are {main.secure}")
        seen = {}
        for file, _, body in self.of_kind("Microsoft.Authorization/roleAssignments"):
            scope = text(properties(body)["scope"]) if "scope" in properties(body) else ""
            kind = file.resources.get(scope, ("the resource group",))[0].split("@")[0]
            call = at(body, "properties.roleDefinitionId")
            role = literal(file.resolved(real(call.child_by_field_name("arguments"))[-1])) if call.type == "call_expression" else None
            expect(ROLES.get(kind) == role, f"role {role} on {kind}", body)
            expect("guid" in text(at(body, "name")) and "principalId" in names(at(body, "name")), "the assignment's name is not of its principal", body)
            expect(text(at(body, "properties.principalId")) == "principalId", "the role is for another principal", body)
            seen[kind] = role
        expect(seen == ROLES, f"the roles are {seen}")

        apps = list(self.of_kind("Microsoft.Web/sites"))
        settings = [b for _, _, b in self.of_kind("Microsoft.Web/sites/config") if literal(at(b, "name")) == "appsettings"]
        if len(apps) != 1 or len(settings) != 1:
            expect(False, "there must be one app and one appsettings")
            return
        app, body = apps[0][2], settings[0]
        expect(text(at(body, "parent")) == apps[0][1], "the settings are another app's", body)
        depends = names(at(body, "dependsOn")) if at(body, "dependsOn") is not None else set()
        expect({"access", "databasePasswordSecret"} <= depends, "the settings do not depend on access and the secret", body)
        runtime = at(app, "properties.functionAppConfig.runtime")
        expect(runtime is not None and [literal(at(runtime, k)) for k in ("name", "version")] == ["custom", "1.0"], "the runtime is not custom 1.0", app)
        expect(at(app, "properties.keyVaultReferenceIdentity") is not None, "no keyVaultReferenceIdentity", app)
        plans = [literal(at(b, "sku.name")) for _, _, b in self.of_kind("Microsoft.Web/serverfarms")]
        expect(plans == ["FC1"], f"the plan is {plans}")

        found, todo = {}, [at(body, "properties")]
        while todo:
            node = main.resolved(todo.pop())
            if node.type == "object":
                found |= properties(node)
            else:
                todo += [c for n in real(node) for c in (real(n) if n.type == "arguments" else [n]) if c.type in ("object", "identifier", "ternary_expression", "call_expression", "parenthesized_expression") and (c.type != "identifier" or text(c) in main.vars)]
        for name, value in found.items():
            expect(not FORBIDDEN.match(name), f"the setting {name} is not allowed on Flex Consumption", value)
        expect(set(found) == SETTINGS, f"settings too many or missing: {sorted(set(found) ^ SETTINGS)}", body)
        for name, start in (("EXTERNAL_API_KEY", "SecretUri=${externalApiKeySecret.properties.secretUriWithVersion}"), ("DATABASE_PASSWORD", "VaultName=${vault.name};SecretName=DatabasePassword")):
            expect(name in found and text(found[name]) == f"'@Microsoft.KeyVault({start})'", f"{name} is not the reference it should be", body)

        for name, wanted in SETTING_VALUES.items():
            expect(name in found and text(found[name]) == wanted, f"the setting {name} is not {wanted}", body)

        for kind, path, wanted in (
            ("Microsoft.Storage/storageAccounts", "properties.allowSharedKeyAccess", "false"),
            ("Microsoft.Storage/storageAccounts", "properties.allowBlobPublicAccess", "false"),
            ("Microsoft.Insights/components", "properties.DisableLocalAuth", "true"),
            ("Microsoft.OperationalInsights/workspaces", "properties.features.disableLocalAuth", "true"),
            ("Microsoft.KeyVault/vaults", "properties.networkAcls.bypass", "'AzureServices'"),
            ("Microsoft.KeyVault/vaults", "properties.networkAcls.defaultAction", "restrictVaultNetwork ? 'Deny' : 'Allow'"),
            ("Microsoft.Web/sites", "properties.virtualNetworkSubnetId", "restrictVaultNetwork ? network!.outputs.appSubnetId : null"),
            ("Microsoft.Web/sites", "properties.httpsOnly", "true"),
            ("Microsoft.KeyVault/vaults", "properties.enableRbacAuthorization", "!usesAccessPolicies"),
        ):
            for _, name, resource in self.of_kind(kind):
                value = at(resource, path)
                expect(value is not None and text(value) == wanted, f"{path} of {name} is not {wanted}", resource)
        for _, name, secret in self.of_kind("Microsoft.KeyVault/vaults/secrets"):
            value = at(secret, "properties.value")
            expect(value is not None and text(value) in main.secure, f"the value of {name} is not a secure parameter", secret)
            expect(at(secret, "properties.contentType") is not None, f"{name} has no content type", secret)

        for file in self.files:
            for node in walk(file.root, "call_expression"):
                function = text(node.child_by_field_name("function")).split(".")[-1]
                expect(not function.lower().startswith("list") and function != "getSecret", f"{function} reads a key", node)
            for node in walk(file.root, "object_property"):
                expect(text(real(node)[0]) != "siteConfig", "siteConfig is not for Flex Consumption", node)
            for name, value in file.outputs.items():
                leaks = file.closure(value) & file.secure
                secrets = any(r[0].startswith("Microsoft.KeyVault/vaults/secrets@") for s in file.closure(value) for r in [file.resources.get(s, ("",))])
                expect(not leaks and not secrets and "onnectionString" not in text(value), f"the output {name} has a secret", value)
            parts = [r[1] for r in file.resources.values() if not r[0].startswith("Microsoft.KeyVault/vaults/secrets@")]
            for part in parts:
                expect(not file.closure(part) & file.secure, "a secure parameter is used outside a secret", part)


def check(main):
    """What is wrong with a template, as lines."""
    try:
        return Checker(Path(main)).check()
    except Failed as failed:
        return [str(failed)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("template", nargs="?", type=Path, default=ROOT / "infra/main.bicep")
    template = parser.parse_args().template
    problems = check(template)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{template.name}: {len(problems) or 'no'} problems")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
