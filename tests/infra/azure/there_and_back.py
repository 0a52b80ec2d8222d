#!/usr/bin/env python3
"""Runs infra/deploy.sh, verify.sh and remove.sh with the real `az` against a stand-in for Azure:
there and back, twice, with the vault of before in the second round.

Needs azure-cli in the same Python, `bicep` and `curl` on PATH.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from resource_manager import Azure

ROOT = Path(__file__).resolve().parents[3]

VALUES = {"EXTERNAL_API_KEY_VALUE": 'val-one-"\\', "DATABASE_PASSWORD_VALUE": "val-two"}
SECRETS = ("val-one", "val-two", "k3y-master", "k3y-function", "k3y-events")
# The real az, whose command line is kept and whose waiting is shortened: a minute for each publishing.
AZ = """#!{python} -B
import os, sys, time
with open(os.environ["COMMAND_LINES"], "a") as file:
    print(sys.argv, file=file)
wait = time.sleep
time.sleep = lambda seconds: wait(min(seconds, 0.05))
import azure.cli.__main__
"""
# verify.sh calls curl without the user's settings, so what stands for DNS stands here.
CURL = """#!/bin/sh
printf '%s\\n' "curl $*" >>"$COMMAND_LINES"
exec {curl} "$@" --cacert {certificate} --connect-to ::127.0.0.1:{port}
"""
# Many times what a script takes, in seconds.
LIMIT = 300


class Run:
    def __init__(self, folder):
        self.azure = Azure(folder)
        tools = folder / "tools"
        tools.mkdir()
        (tools / "az").write_text(AZ.format(python=sys.executable))
        (tools / "curl").write_text(CURL.format(curl=shutil.which("curl"), certificate=self.azure.certificate, port=self.azure.port))
        for tool in tools.iterdir():
            tool.chmod(0o755)
        self.lines, self.temporary = folder / "command-lines", folder / "tmp"
        self.temporary.mkdir()
        self.environment = {
            "PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(folder), "TMPDIR": str(self.temporary),
            "COMMAND_LINES": str(self.lines),
            "AZURE_CONFIG_DIR": str(folder / "azure"), "AZURE_CORE_COLLECT_TELEMETRY": "false",
            "AZURE_CORE_ONLY_SHOW_ERRORS": "false", "REQUESTS_CA_BUNDLE": str(self.azure.certificate),
            "AZURE_BICEP_USE_BINARY_FROM_PATH": "true", "AZURE_BICEP_CHECK_VERSION": "false",
            "IDENTITY_ENDPOINT": f"https://localhost:{self.azure.port}/identity", "IDENTITY_HEADER": "h",
            "DEPLOY_RETRY_SECONDS": "1", "VERIFY_INTERVAL": "1",
        }
        self.package = folder / "my.zip"
        self.package.write_bytes(b"a package")

    def call(self, *command, fails=False, **environment):
        print("$", *(Path(str(word)).name if str(word).startswith("/") else word for word in command), flush=True)
        with subprocess.Popen(
            list(map(str, command)), env={**self.environment, **environment}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        ) as done:
            # What the script has started ends with it.
            limit = threading.Timer(LIMIT, os.killpg, (done.pid, signal.SIGKILL))
            limit.start()
            said = done.communicate()[0]
            limit.cancel()
        print(*(f"    {line}" for line in said.splitlines()), sep="\n", flush=True)
        expect((done.returncode != 0) == fails, f"{command[0]} ended with {done.returncode}; unknown to the stand-in: {self.azure.unknown}")
        expect(not any(secret in said for secret in SECRETS), "a secret was shown")
        return said

    def script(self, name, *arguments, **options):
        return self.call(ROOT / "infra" / name, "-g", "rg", "-n", "app-a", *arguments, **options)

    def deploy(self, *arguments, **options):
        return self.script("deploy.sh", "-l", "westeurope", "--zip", self.package, *arguments, **VALUES, **options)


def expect(holds, what):
    if not holds:
        sys.exit(f"there_and_back.py: {what}")


def main():
    if shutil.which("bicep") is None:
        print("skipped: the scripts were not run with the real az, because bicep is not on PATH (az bicep install)")
        return
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder))
        azure = run.azure
        here = f"https://localhost:{azure.port}"
        names = ("resourceManager", "management", "activeDirectory", "activeDirectoryResourceId", "activeDirectoryGraphResourceId", "appServiceResourceId")
        cloud = Path(folder) / "cloud.json"
        suffixes = {"storageEndpoint": "core.test", "keyvaultDns": ".vault.test"}
        cloud.write_text(json.dumps({"endpoints": dict.fromkeys(names, here), "suffixes": suffixes}))
        run.call("az", "cloud", "register", "--name", "standin", "--cloud-config", f"@{cloud}", "--skip-endpoint-discovery")
        run.call("az", "cloud", "set", "--name", "standin")
        run.call("az", "login", "--identity")

        run.deploy("--set", "softDeleteRetentionInDays=30", "--set", "alertEmail=operators@example.org")
        kinds = {resource["type"] for resource in azure.resources.values()}
        expect("Microsoft.Insights/scheduledQueryRules" in kinds, f"there is no alert in {kinds}")
        expect(azure.groups["rg"]["tags"] == {"keyvault-functions": "app-a"}, f"the group is {azure.groups}")
        expect(azure.deployments[0]["externalApiKey"] == VALUES["EXTERNAL_API_KEY_VALUE"], "the secret did not arrive")
        expect(azure.published == b"a package", "the package did not arrive")
        expect((azure.refreshes, azure.restarts) == (1, 1), f"{azure.refreshes} refreshes, {azure.restarts} restarts")
        run.script("verify.sh")
        expect((azure.refreshes, azure.restarts) == (1, 1), "an app that is well was refreshed or restarted")

        run.script("remove.sh", "--yes")
        expect(not azure.groups and not azure.resources and len(azure.deleted) == 1, "not all is gone but the vault")
        said = run.deploy(fails=True)
        expect("add --recover" in said, "the deleted vault is not told of")
        # A group that somebody else made stays.
        run.call("az", "group", "show", "--name", "rg", "--output", "none")
        azure.groups["rg"]["tags"] = {}
        run.deploy("--recover", "--set", "rotationEvents=true")
        run.script("subscribe.sh")
        expect(list(azure.subscriptions) == ["kv-app-a"], f"the subscriptions are {azure.subscriptions}")
        subscription = azure.subscriptions["kv-app-a"]
        expect(subscription["eventDeliverySchema"].lower() == "eventgridschema", f"the schema is {subscription}")
        expect(len(subscription["filter"]["includedEventTypes"]) == 7, f"the filter is {subscription}")
        vaults = {vault["id"].lower() for vault in azure.resources.values() if vault["type"] == "Microsoft.KeyVault/vaults"}
        expect({event["topic"].lower() for event in azure.events} == vaults, f"the events are {azure.events}")
        expect(azure.deployments[-1]["softDeleteRetentionInDays"] == 30, "the retention was not kept")
        run.script("remove.sh", "--yes", "--purge")
        expect(list(azure.groups) == ["rg"] and not azure.resources and not azure.deleted, "something is left")
        expect(not azure.subscriptions, "the subscription is left")

        expect(not azure.unknown, f"the stand-in does not know: {azure.unknown}")
        places = {"a URL": "\n".join(azure.requests), "a command line": run.lines.read_text()}
        places |= {str(file): file.read_text(errors="replace") for file in Path(folder, "azure").rglob("*") if file.is_file()}
        for place, text in places.items():
            expect(not any(secret in text for secret in SECRETS), f"a secret is in {place}")
        # The compiler has a folder of its own there.
        left = [file.name for file in run.temporary.iterdir() if file.name != ".bicep"]
        expect(not left, f"files are left: {left}")
        azure.close()
    print("there and back, twice, with the real az")


if __name__ == "__main__":
    main()
