#!/usr/bin/env python3
"""Draws what is deployed, from the snapshots of the template.

  diagram.py           compares the drawings in infra/README.md with the snapshots
  diagram.py --renew   writes them there

An arrow says that one resource names another one, or what an identity may do there. Where there is
a network, the drawing is of the network: the rest is in the other drawing.
"""
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "infra/README.md"
BLOCK = re.compile(r"(<!-- drawn from (\S+) -->\n```mermaid\n).*?(```\n)", re.S)
NODES = {
    "Microsoft.Web/sites": "Function App",
    "Microsoft.Web/serverfarms": "Flex Consumption plan",
    "Microsoft.ManagedIdentity/userAssignedIdentities": "user-assigned identity",
    "Microsoft.KeyVault/vaults": "Key Vault",
    "Microsoft.Storage/storageAccounts": "storage account",
    "Microsoft.Insights/components": "Application Insights",
    "Microsoft.Insights/actionGroups": "action group",
    "Microsoft.Insights/scheduledQueryRules": "alert rule",
    "Microsoft.OperationalInsights/workspaces": "Log Analytics workspace",
    "Microsoft.Network/virtualNetworks": "virtual network",
    "Microsoft.Network/privateEndpoints": "private endpoint",
    "Microsoft.Network/privateDnsZones": "private DNS zone",
}
ROLES = {
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "21090545-7ca7-4776-b22c-e363652d74d2": "Key Vault Reader",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
}
SAYS = {
    "serverFarmId": "runs on",
    "identity": "has",
    "virtualNetworkSubnetId": "sends through",
    "WorkspaceResourceId": "keeps logs in",
    "workspaceId": "audit log",
    "privateLinkServiceConnections": "gives an address to",
    "subnet": "is in",
    "virtualNetwork": "is linked to",
    "privateDnsZoneConfigs": "is named in",
    "EXTERNAL_API_KEY": "references",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "telemetry",
    "functionAppConfig": "package in",
}


def drawing(name):
    resources = json.loads((ROOT / f"tests/infra/snapshots/{name}.snapshot.json").read_text())["predictedResources"]
    nodes = {r["id"]: r for r in resources if r["type"] in NODES}
    keys = {id: f"n{number}" for number, id in enumerate(nodes)}

    def first(text):
        """The resource that a text names first; the longest, as one name may begin like another."""
        # The name of a zone depends on the cloud, so its children name it by the same expression.
        places = {id: max(text.find(id), text.find(nodes[id]["name"].strip("[]")) if id[0] == "[" else -1) for id in nodes}
        return min((id for id in nodes if places[id] >= 0), key=lambda id: (places[id], -len(id)), default=None)

    edges, people = [], set()
    for resource in resources:
        own = first(resource["id"])
        properties = resource.get("properties", {})
        if resource["type"] == "Microsoft.Authorization/roleAssignments":
            role = ROLES[properties["roleDefinitionId"].rsplit("/", 1)[1]]
            principal = first(properties["principalId"])
            who = keys[principal] if principal else "deployer" if "deployer()" in properties["principalId"] else "operators"
            people |= {who} - set(keys.values())
            edges.append((who, role, keys[own]))
            continue
        if own is None:
            raise SystemExit(f"diagram.py: {resource['type']} is of no resource that is drawn")
        for member, value in {"identity": resource.get("identity"), **properties}.items():
            if member == "functionAppConfig":
                value = value["deployment"]["storage"]["value"]
            other = first(json.dumps(value))
            if member in SAYS and other not in (None, own):
                edges.append((keys[own], SAYS[member], keys[other]))
    of_network = {keys[id] for id, resource in nodes.items() if resource["type"].startswith("Microsoft.Network/")}
    if of_network:
        edges = [edge for edge in edges if of_network & {edge[0], edge[2]}]
    ends = {end for edge in edges for end in (edge[0], edge[2])}
    lines = ["flowchart LR"]
    labels = {"deployer": "who deploys", "operators": "operatorObjectIds"}
    for id, resource in nodes.items():
        if keys[id] in ends:
            lines.append(f'  {keys[id]}["{NODES[resource["type"]]}<br>{label(resource["name"])}"]')
    lines += [f'  {who}(["{labels[who]}"])' for who in sorted(people & ends)]
    lines += [f'  {one} -->|"{says}"| {other}' for one, says, other in dict.fromkeys(edges)]
    return "\n".join(lines) + "\n"


def label(name):
    """Without what only Azure knows, and what is unique to a subscription."""
    if name.startswith("["):
        return "privatelink.vaultcore…" if "vaultcore" in name else "privatelink.blob…"
    return re.sub(r"(-|^st)[a-z2-7]{13}$", r"\1…", name)


def main():
    text = README.read_text()
    drawn = BLOCK.sub(lambda found: found[1] + drawing(found[2]) + found[3], text)
    if len(BLOCK.findall(text)) < 2:
        sys.exit("diagram.py: infra/README.md has no place for the drawings")
    if sys.argv[1:] == ["--renew"]:
        README.write_text(drawn)
    elif drawn != text:
        sys.exit("diagram.py: the drawings in infra/README.md are not of the template. Run: tests/infra/diagram.py --renew")
    else:
        print("the drawings are of the template")


if __name__ == "__main__":
    main()
