"""The scripts' JMESPath queries give the rows that the scripts read, from answers of Azure's shape."""
import re
import unittest
from pathlib import Path

import jmespath

INFRA = Path(__file__).resolve().parents[2] / "infra"
SITE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Web/sites/app"


def query(script, command):
    """The query of the only call of `command`, which may go on in the next line."""
    text = (INFRA / script).read_text().replace("\\\n", " ")
    found = [line for line in text.splitlines() if re.search(command, line)]
    queries = [m for line in found for m in re.findall(r'--query (?:"((?:[^"\\]|\\.)*)"|(\S+))', line)]
    assert len(queries) == 1, (command, queries)
    return (queries[0][0] or queries[0][1]).replace('\\"', '"').replace("$app", "app")


class Queries(unittest.TestCase):
    def rows(self, command, answer, script="verify.sh"):
        return jmespath.search(query(script, command), answer)

    def test_the_app_in_both_shapes(self):
        for answer in (
            {"id": SITE, "defaultHostName": "app.azurewebsites.net"},
            {"id": SITE, "properties": {"defaultHostName": "app.azurewebsites.net"}},
        ):
            self.assertEqual(self.rows("az functionapp show", answer), [[SITE, "app.azurewebsites.net"]])
            self.assertEqual(self.rows("az functionapp show", answer, "subscribe.sh"), [["app.azurewebsites.net", "-"]])
        closed = {"properties": {"defaultHostName": "a.net", "publicNetworkAccess": "Disabled"}}
        self.assertEqual(self.rows("az functionapp show", closed, "subscribe.sh"), [["a.net", "Disabled"]])

    def test_the_settings_that_look_like_references(self):
        settings = [
            {"name": "A", "value": "@Microsoft.KeyVault(VaultName=v;SecretName=n)"},
            {"name": "B", "value": "plain"},
            {"name": "C", "value": None},
            {"name": "D", "value": "@Microsoft.KeyVault(misspelt"},
        ]
        self.assertEqual(self.rows("named=.*az functionapp config appsettings list", settings), ["A", "D"])

    def test_whether_the_app_gets_events_of_which_vault(self):
        both = [{"name": "KEY_VAULT_URL", "value": "https://kv-a.vault.azure.net/"}, {"name": "ROTATION_REFRESH", "value": "on"}]
        for script in ("verify.sh", "subscribe.sh"):
            rows = lambda answer: self.rows("settings=.*az functionapp config appsettings list", answer, script)
            self.assertEqual(rows(both), [["on", "https://kv-a.vault.azure.net/"]])
            self.assertEqual(rows(both[:1]), [["-", "https://kv-a.vault.azure.net/"]])
            self.assertEqual(rows([]), [["-", "-"]])

    def test_the_key_for_event_grid(self):
        rows = lambda answer: self.rows("az functionapp function keys list", answer, "subscribe.sh")
        self.assertEqual([rows({"default": "d", "eventgrid": "e"}), rows({"default": "d"})], ["e", "-"])

    def test_the_topics_and_the_subscription(self):
        topics = [{"name": "t", "source": "/v", "tags": {"keyvault-functions": "app"}}, {"name": "u", "source": "/w", "tags": None}]
        list_of = "az eventgrid system-topic list --resource-group"
        self.assertEqual(self.rows(list_of, topics, "subscribe.sh"), [["t", "/v"], ["u", "/w"]])
        self.assertEqual(self.rows(list_of, topics, "deploy.sh"), [["t", "/v", "app"], ["u", "/w", "-"]])
        subscriptions = [{"name": name, "type": "t", "id": f"/{name}"} for name in ("kv-app", "kv-app-2")]
        self.assertEqual(self.rows("az eventgrid system-topic event-subscription list", subscriptions, "remove.sh"), [["t", "kv-app", "/kv-app"]])

    def test_the_keys(self):
        rows = lambda answer: self.rows("az functionapp keys list --resource-group .* --output", answer)
        self.assertEqual(rows({"masterKey": "m", "functionKeys": {"default": "f"}, "systemKeys": {}}), [["m", "f"]])
        self.assertEqual(rows({"masterKey": "m", "functionKeys": {"mine": "f"}}), [["m", "f"]])
        self.assertEqual(rows({"masterKey": None, "functionKeys": {}}), [["-", "-"]])

    def test_the_references(self):
        one = f"{SITE}/config/configreferences/appsettings/A"
        answer = {
            "value": [
                {"id": one, "properties": {"status": "Resolved", "vaultName": "v"}},
                {"id": one, "properties": {"status": "SecretNotFound", "details": "gone"}},
            ],
            "nextLink": "https://management.azure.com/next",
        }
        rows = lambda answer: self.rows("az rest --method", answer)
        self.assertEqual(rows(answer), [
            [one, "Resolved", "-"], [one, "SecretNotFound", "gone"], ["next", "https://management.azure.com/next", "-"],
        ])
        self.assertEqual(rows({"value": [], "nextLink": None}), [["next", "-", "-"]])

    def test_the_vault_that_is_there_and_the_one_that_was(self):
        tags = {"keyvault-functions": "app"}
        there = [
            {"name": "kv-a", "tags": tags, "properties": {"softDeleteRetentionInDays": 7, "enablePurgeProtection": None}},
            {"name": "kv-b", "tags": None, "properties": {"softDeleteRetentionInDays": 90, "enablePurgeProtection": True, "networkAcls": {"defaultAction": "Deny"}}},
        ]
        which = {"by tag": "[?tags.\"keyvault-functions\"=='app']", "by name": "[?name=='kv-b']"}
        self.assertEqual(self.vaults("az keyvault list --", which["by tag"], there), [["kv-a", 7, "false", "Allow", "app"]])
        self.assertEqual(self.vaults("az keyvault list --", which["by name"], there), [["kv-b", 90, True, "Deny", "-"]])
        gone = {"vaultId": "/v", "location": "westeurope", "scheduledPurgeDate": "2026-12-04", "tags": tags}
        deleted = [{"name": "kv-a", "properties": gone}, {"name": "kv-b", "properties": {**gone, "tags": None}}]
        which = "[?properties.tags.\"keyvault-functions\"=='app']"
        row = ["kv-a", "westeurope", "2026-12-04", "false", "/v"]
        self.assertEqual(self.vaults("az keyvault list-deleted --resource-type vault --output", which, deleted), [row])
        self.assertEqual(self.rows("az keyvault list-deleted --resource-type vault --output", deleted, "remove.sh"), [row])

    def vaults(self, command, which, answer):
        # The script chooses the filter.
        return jmespath.search(query("deploy.sh", command).replace("$which", which), answer)

    def test_the_resources_of_the_app(self):
        resources = [{"tags": {"keyvault-functions": "app"}, "type": "t", "name": "n", "id": "/i"}, {"tags": None, "type": "t", "name": "m", "id": "/j"}]
        self.assertEqual(self.rows('az resource list --resource-group "\\$group" --output', resources, "remove.sh"), [["app", "t", "n", "/i"], ["-", "t", "m", "/j"]])
        tag = lambda group: self.rows("of_group=.*az group show", group, "remove.sh")
        self.assertEqual([tag({"tags": {"keyvault-functions": "app"}}), tag({"tags": None})], ["app", "-"])

    def test_the_group(self):
        self.assertEqual(self.rows("az group show", {"location": "westeurope"}, "deploy.sh"), "westeurope")
        self.assertEqual(self.rows("az account show", {"name": "mine"}, "deploy.sh"), "mine")


if __name__ == "__main__":
    unittest.main()
