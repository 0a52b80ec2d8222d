"""A stand-in for Azure on loopback: as much of Resource Manager, of the identity endpoint, of the
publishing service and of the deployed app as the scripts in infra/ ask for through the real `az`.

It keeps state: a deployment makes what Resource Manager's own engine, in Microsoft's compiler, makes
of the template and the parameters that arrive; a deleted group leaves a deleted vault behind, and an
app that is published answers as the handler does. What it does not know is a 404 that the caller
finds in `unknown`.
"""
import base64
import json
import re
import ssl
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TENANT = "00000000-0000-0000-0000-000000000002"
MASTER_KEY, FUNCTION_KEY, EVENT_KEY = "k3y-master", "k3y-function", "k3y-events=="


def certificate(folder):
    """A certificate of one's own, for the names that are asked."""
    names = "subjectAltName=DNS:localhost,DNS:*.azurewebsites.test"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=stand-in",
         "-addext", names, "-keyout", folder / "key.pem", "-out", folder / "ca.pem"],
        check=True, capture_output=True,
    )
    return folder / "ca.pem", folder / "key.pem"


def token():
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    claims = {"tid": TENANT, "oid": "o", "appid": "a", "exp": int(time.time()) + 3600}
    return f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(claims)}.c2lnbmF0dXJl"


def literal(value):
    """A JSON value as Bicep writes it."""
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    return "'" + re.sub(r"[\\']|\$(?={)", r"\\\g<0>", value) + "'"


def evaluate(template, given, group):
    """The resources that Resource Manager makes of a template and its parameters."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "main.json").write_text(json.dumps(template))
        file = Path(folder) / "main.bicepparam"
        file.write_text("using 'main.json'\n" + "".join(f"param {name} = {literal(value)}\n" for name, value in given.items()))
        place = {"subscription-id": SUBSCRIPTION, "tenant-id": TENANT, "resource-group": group["name"], "location": group["location"]}
        subprocess.run(
            ["bicep", "snapshot", file, "--mode", "overwrite", *(word for name, value in place.items() for word in (f"--{name}", value))],
            check=True, capture_output=True, timeout=120,
        )
        return json.loads((Path(folder) / "main.snapshot.json").read_text())["predictedResources"]


def known(name, value):
    """A setting. What only Azure knows is left as an expression, which names types of resources."""
    if not value.startswith("["):
        return value
    if name == "KEY_VAULT_URL":
        vault = re.search(r"/vaults/([^/']+)", value)[1]
        return f"https://{vault}.vault.test/"
    return "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/a/1)" if "@Microsoft.KeyVault(" in value else "known to Azure"


class Azure:
    def __init__(self, folder):
        self.lock = threading.Lock()
        self.groups, self.resources, self.deleted = {}, {}, {}
        self.published, self.refreshes, self.restarts, self.deployments = None, 0, 0, []
        # The role of an app's identity is new to its storage at the first publishing, and to the
        # vault until the first refresh after a deployment. An instance keeps what it started with.
        self.refusals, self.resolved, self.runs_resolved, self.settings = 1, False, False, {}
        self.event_keys, self.subscriptions, self.events = {}, {}, []
        self.requests, self.unknown = [], []
        chain, key = certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        azure = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(length)
                with azure.lock:
                    azure.requests.append(f"{self.command} {self.path}")
                    status, answer = azure.route(self.command, self.path, self.headers, body)
                data = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                if data:
                    self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.certificate = chain
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    # --- what is where -----------------------------------------------------------------------------

    ROUTES = []

    def route(self, method, target, headers, body):
        url = urlsplit(target)
        host = headers.get("host", "")
        if host.endswith(".azurewebsites.test"):
            return self.app(url.path, headers, body)
        path = url.path.rstrip("/").lower().removeprefix(f"/subscriptions/{SUBSCRIPTION}")
        query = {name.lower(): values[0] for name, values in parse_qs(url.query).items()}
        # As Resource Manager does. The identity endpoint has a header of its own, the host a key.
        if path not in ("/identity", "/admin/host/status") and not headers.get("authorization", "").startswith("Bearer "):
            return 401, error("AuthenticationFailed")
        for wanted, pattern, function in self.ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method == wanted:
                return function(self, *found.groups(), body=body, query=query)
        self.unknown.append(f"{method} {target}")
        return 404, error("NotFound")

    def app(self, path, headers, body):
        level = {MASTER_KEY: 2, FUNCTION_KEY: 1}.get(headers.get("x-functions-key"), 0)
        name = path.removeprefix("/api/secrets/")
        if self.published is None:
            return 503, None
        if path == "/api/config-check":
            return (200 if self.runs_resolved else 503, {"external_api_key_set": self.runs_resolved}) if level else (401, None)
        if path == "/api/events" and level:
            self.events += json.loads(body)
            return 200, {"accepted": 0, "ignored": 1, "malformed": 0, "duplicates": 0, "rotation": self.settings.get("ROTATION_REFRESH", "off")}
        if path == "/api/events":
            return 401, None
        if name != path:
            return (200, {"name": name, "enabled": True}) if level == 2 else (401, None)
        return 404, None


def error(code, message="stand-in"):
    return {"error": {"code": code, "message": message}}


def route(method, pattern):
    def register(function):
        Azure.ROUTES.append((method, pattern, function))
        return function

    return register


@route("GET", "/identity")
def identity(_, query, **__):
    return 200, {"access_token": token(), "expires_on": str(int(time.time()) + 3600), "resource": query["resource"], "token_type": "Bearer"}


@route("GET", "/subscriptions")
def subscriptions(*_, **__):
    return 200, {"value": [{
        "id": f"/subscriptions/{SUBSCRIPTION}", "subscriptionId": SUBSCRIPTION, "displayName": "stand-in",
        "state": "Enabled", "tenantId": TENANT,
    }]}


@route("GET", "/locations")
def locations(*_, **__):
    return 200, {"value": [{"name": name, "displayName": name, "metadata": {"regionType": "Physical"}} for name in ("westeurope", "eastus")]}


@route("GET", "/providers/microsoft.web/georegions")
def regions(_, query, **__):
    return 200, {"value": [{"name": "West Europe", "properties": {"name": "West Europe", "orgDomain": "FLEXCONSUMPTION"}}]}


@route("GET", r"/providers/([\w.]+)")
def provider(azure, namespace, **_):
    types = {resource["type"].split("/", 1)[1]: resource["apiVersion"] for resource in azure.resources.values() if resource["type"].lower().startswith(f"{namespace}/")}
    return 200, {"namespace": namespace, "registrationState": "Registered", "resourceTypes": [
        {"resourceType": name, "apiVersions": [version], "locations": ["westeurope"]} for name, version in types.items()
    ]}


# --- resource groups ---------------------------------------------------------------------------------


@route("HEAD", r"/resourcegroups/([^/]+)")
def group_exists(azure, name, **_):
    return (204 if name in azure.groups else 404), None


@route("GET", r"/resourcegroups/([^/]+)")
def group(azure, name, **_):
    return (200, azure.groups[name]) if name in azure.groups else (404, error("ResourceGroupNotFound"))


@route("PUT", r"/resourcegroups/([^/]+)")
def make_group(azure, name, body, **_):
    azure.groups[name] = {"id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}", "name": name, "properties": {"provisioningState": "Succeeded"}, **json.loads(body)}
    return 201, azure.groups[name]


@route("DELETE", r"/resourcegroups/([^/]+)")
def delete_group(azure, name, **_):
    for id in [id for id in azure.resources if f"/resourcegroups/{name}/" in id.lower()]:
        delete(azure, id)
    del azure.groups[name]
    return 200, None


def delete(azure, id):
    resource = azure.resources.pop(id)
    if resource["type"] == "Microsoft.KeyVault/vaults":
        azure.deleted[resource["name"]] = resource
    if resource["type"] == "Microsoft.Web/sites":
        azure.published, azure.resolved, azure.event_keys = None, False, {}
    if resource["type"] == "Microsoft.EventGrid/systemTopics":
        azure.subscriptions = {}


@route("GET", "/resources")
def resources(azure, query, **_):
    name = re.search(r"resourceGroup eq '([^']+)'", query["$filter"])[1]
    return 200, {"value": [resource for id, resource in azure.resources.items() if f"/resourcegroups/{name}/" in id.lower()]}


@route("DELETE", r"(/resourcegroups/[^/]+/providers/.+)")
def delete_resource(azure, path, **_):
    id = next(id for id in azure.resources if id.lower().endswith(path))
    # A plan is in use while its app is there.
    if azure.resources[id]["type"] == "Microsoft.Web/serverfarms" and any(r["type"] == "Microsoft.Web/sites" for r in azure.resources.values()):
        return 409, error("Conflict", "the plan has an app")
    delete(azure, id)
    return 200, None


# --- deployments -------------------------------------------------------------------------------------


@route("POST", r"/resourcegroups/([^/]+)/providers/microsoft.resources/deployments/([^/]+)/validate")
def validate(azure, *_, body, **__):
    return 200, {"properties": {"provisioningState": "Succeeded"}}


@route("PUT", r"/resourcegroups/([^/]+)/providers/microsoft.resources/deployments/([^/]+)")
def deploy(azure, in_group, name, body, **_):
    # az puts the template into the request as it is, after a name without quotes.
    sent = json.loads(body.replace(b", template:", b', "template":', 1))["properties"]
    given = {name: parameter["value"] for name, parameter in sent["parameters"].items()}
    azure.deployments.append(given)
    for resource in evaluate(sent["template"], given, azure.groups[in_group]):
        if resource["type"] == "Microsoft.Web/sites/config":
            azure.settings = {name: known(name, value) for name, value in resource["properties"].items()}
        # What a list of resources does not have.
        if "tags" not in resource:
            continue
        if resource["name"] in azure.deleted:
            return 409, error("ConflictError", "A vault with the same name already exists in deleted state.")
        if resource["type"] == "Microsoft.KeyVault/vaults":
            there = azure.resources.get(resource["id"])
            days = "softDeleteRetentionInDays"
            if there and there["properties"][days] != resource["properties"][days]:
                return 400, error("BadRequest", f"{days} has been set already and it can't be modified.")
        azure.resources[resource["id"]] = resource
    azure.resolved = azure.runs_resolved = False
    return 201, deployment(name)


def deployment(name):
    return {"id": f"/deployments/{name}", "name": name, "properties": {"provisioningState": "Succeeded", "outputs": {}}}


@route("GET", r"/resourcegroups/([^/]+)/providers/microsoft.resources/deployments/([^/]+)")
def show_deployment(_, __, name, **___):
    return 200, deployment(name)


@route("GET", r"/resourcegroups/([^/]+)/(?:providers/microsoft.resources/)?deployments/([^/]+)/operations")
def operations(*_, **__):
    return 200, {"value": []}


# --- vaults --------------------------------------------------------------------------------------------


def of_type(azure, kind):
    return [resource for resource in azure.resources.values() if resource["type"] == kind]


@route("GET", r"/resourcegroups/([^/]+)/providers/microsoft.keyvault/vaults")
def vaults(azure, _, **__):
    return 200, {"value": of_type(azure, "Microsoft.KeyVault/vaults")}


@route("GET", r"/resourcegroups/([^/]+)/providers/microsoft.keyvault/vaults/([^/]+)")
def vault(azure, _, name, **__):
    found = [vault for vault in of_type(azure, "Microsoft.KeyVault/vaults") if vault["name"] == name]
    return (200, found[0]) if found else (404, error("ResourceNotFound"))


@route("PUT", r"/resourcegroups/([^/]+)/providers/microsoft.keyvault/vaults/([^/]+)")
def recover(azure, _, name, body, **__):
    if json.loads(body)["properties"].get("createMode") != "recover" or name not in azure.deleted:
        return 400, error("BadRequest")
    vault = azure.deleted.pop(name)
    azure.resources[vault["id"]] = vault
    return 200, vault


def deleted_vault(vault):
    return {"id": f"/deleted/{vault['name']}", "name": vault["name"], "type": "Microsoft.KeyVault/deletedVaults", "properties": {
        "vaultId": vault["id"], "location": vault["location"], "tags": vault["tags"],
        "deletionDate": "2026-11-27T10:00:00Z", "scheduledPurgeDate": "2026-12-04T10:00:00Z",
    }}


@route("GET", "/providers/microsoft.keyvault/deletedvaults")
def deleted_vaults(azure, **_):
    return 200, {"value": [deleted_vault(vault) for vault in azure.deleted.values()]}


@route("GET", r"/providers/microsoft.keyvault/locations/([^/]+)/deletedvaults/([^/]+)")
def show_deleted_vault(azure, _, name, **__):
    return (200, deleted_vault(azure.deleted[name])) if name in azure.deleted else (404, error("NotFound"))


@route("POST", r"/providers/microsoft.keyvault/locations/([^/]+)/deletedvaults/([^/]+)/purge")
def purge(azure, _, name, **__):
    del azure.deleted[name]
    return 200, None


# --- the app -------------------------------------------------------------------------------------------

SITE = r"/resourcegroups/[^/]+/providers/microsoft.web/sites/([^/]+)"


@route("GET", SITE)
def site(azure, name, **_):
    found = [site for site in of_type(azure, "Microsoft.Web/sites") if site["name"] == name]
    if not found:
        return 404, error("ResourceNotFound")
    host = lambda kind: {"name": f"localhost:{azure.port}", "sslState": "Disabled", "hostType": kind}
    return 200, {**found[0], "properties": {
        **found[0]["properties"], "sku": "FlexConsumption", "reserved": True, "siteConfig": {}, "state": "Running",
        "defaultHostName": f"{name}.azurewebsites.test", "hostNameSslStates": [host("Standard"), host("Repository")],
    }}


@route("GET", r"/resourcegroups/[^/]+/providers/microsoft.web/serverfarms/([^/]+)")
def plan(azure, name, **_):
    return 200, of_type(azure, "Microsoft.Web/serverfarms")[0]


@route("GET", r"/providers/microsoft.web/locations/[^/]+/functionappstacks")
def stacks(*_, **__):
    return 200, {"value": []}


@route("POST", SITE + "/config/appsettings/list")
def settings(azure, _, **__):
    return 200, {"properties": azure.settings}


@route("GET", SITE + "/config/configreferences/appsettings")
def references(azure, name, query, **_):
    """One on each page, as Azure pages long lists."""
    names = sorted(name for name, value in azure.settings.items() if "@Microsoft.KeyVault(" in value)
    page, last = int(query.get("page", 0)), len(names) - 1
    site = next(site["id"] for site in of_type(azure, "Microsoft.Web/sites") if site["name"] == name)
    url = f"{site}/config/configreferences/appsettings"
    properties = {"status": "Resolved"} if azure.resolved else {"status": "AccessToKeyVaultDenied", "details": "A role is missing.\nOr it is new."}
    return 200, {
        "value": [{"id": f"{url}/{names[page]}", "name": names[page], "properties": {**properties, "identityType": "UserAssigned"}}],
        "nextLink": f"https://localhost:{azure.port}{url}?api-version=2025-03-01&page={page + 1}" if page < last else None,
    }


@route("POST", SITE + "/config/configreferences/appsettings/refresh")
def refresh(azure, name, query, **_):
    azure.refreshes += 1
    azure.resolved = True
    return references(azure, name, query=query)


@route("POST", SITE + "/host/default/listkeys")
def keys(*_, **__):
    return 200, {"masterKey": MASTER_KEY, "functionKeys": {"default": FUNCTION_KEY}, "systemKeys": {}}


@route("POST", SITE + "/restart")
def restart(azure, _, **__):
    azure.restarts += 1
    azure.runs_resolved = azure.resolved
    return 200, None


@route("POST", "/api/publish")
def publish(azure, body, query, **_):
    if azure.refusals:
        azure.refusals -= 1
        return 400, {"Message": "InaccessibleStorageException: Failed to access storage account for deployment"}
    azure.published = body
    return 202, "deployment-1"


@route("GET", "/api/deployments/latest")
def published(azure, **_):
    return 200, {"status": 4, "id": "deployment-1"}


@route("GET", "/admin/host/status")
def status(*_, **__):
    return 200, {"state": "Running"}


# --- the events ----------------------------------------------------------------------------------------

TOPICS = r"/resourcegroups/[^/]+/providers/microsoft.eventgrid/systemtopics"


@route("POST", SITE + "/functions/vault-events/listkeys")
def event_keys(azure, _, **__):
    return 200, {"default": "k3y-function-of-events", **azure.event_keys}


@route("PUT", SITE + "/functions/vault-events/keys/([^/]+)")
def make_event_key(azure, _, name, **__):
    azure.event_keys[name] = EVENT_KEY
    return 201, {"name": name, "properties": {"name": name, "value": EVENT_KEY}}


@route("GET", TOPICS)
def topics(azure, **_):
    return 200, {"value": of_type(azure, "Microsoft.EventGrid/systemTopics")}


@route("PUT", TOPICS + r"/([^/]+)/eventsubscriptions/([^/]+)")
def subscribe(azure, topic, name, body, **_):
    properties = json.loads(body)["properties"]
    destination = properties["destination"]["properties"]
    # Event Grid asks the app, which must run.
    if azure.published is None or parse_qs(urlsplit(destination["endpointUrl"]).query) != {"code": [EVENT_KEY]}:
        return 400, error("Url validation", f"Webhook validation handshake failed for {destination['endpointUrl']}.")
    azure.subscriptions[name] = properties
    kind = "Microsoft.EventGrid/systemTopics/eventSubscriptions"
    return 201, {"id": f"/{topic}/{name}", "name": name, "type": kind, "properties": {**properties, "provisioningState": "Succeeded"}}
