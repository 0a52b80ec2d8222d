"""Lets the real Azure CLI parse every command that an explanation prints. Nothing is run or sent.

Usage: python parse.py, with azure-cli installed. The commands come from the snapshot of
tests/promises/explanations_are_true_where_they_are_read.rs.
"""

import re
import shlex
import sys
from pathlib import Path

from azure.cli.core import get_default_cli
from knack.events import EVENT_INVOKER_POST_PARSE_ARGS

SNAPSHOT = next(Path(__file__).resolve().parents[2].glob("promises/snapshots/*every_cause_in_every_place.snap"))

SUBNET = "/subscriptions/0/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/s"


class Parsed(BaseException):
    """The command line is right. Raised before the command would run."""


def stop(_, **__):
    raise Parsed


def commands(text: str) -> set[str]:
    """The commands, and those within `$(...)`, which is one word to the outer one."""
    found = set()
    for line in re.findall(r"^ +\$ (.*)$", text, re.M):
        while inner := re.search(r"\$\(((?:[^()\"]|\"[^\"]*\")*)\)", line):
            found.add(inner[1])
            line = line.replace(inner[0], "SUBSTITUTED")
        found.add(line)
    return found


def problem(command: str) -> str | None:
    # What a person fills in is some word.
    words = shlex.split(re.sub(r"<([a-z-]+)>", r"\1", command.replace("<subnet-id>", SUBNET)))
    if words[:3] == ["azd", "auth", "login"]:
        return None
    if words.pop(0) != "az":
        return "not a command of az"
    if words == ["login"]:
        return None
    cli = get_default_cli()
    cli.register_event(EVENT_INVOKER_POST_PARSE_ARGS, stop)
    invocation = cli.invocation_cls(
        cli_ctx=cli, parser_cls=cli.parser_cls, commands_loader_cls=cli.commands_loader_cls, help_cls=cli.help_cls
    )
    cli.invocation = invocation
    try:
        invocation.execute(words)
    except Parsed:
        return None
    except SystemExit as refused:
        return f"exit {refused.code}"
    return "not parsed"


def main() -> int:
    found = sorted(commands(SNAPSHOT.read_text()))
    if len(found) < 20 or problem("az keyvault secret list --no-such-option x") is None:
        print("this check cannot fail: it finds nothing, or accepts anything")
        return 1
    wrong = [(command, what) for command in found if (what := problem(command))]
    for command, what in wrong:
        print(f"{what}: {command}")
    print(f"{len(found) - len(wrong)} of {len(found)} commands are the Azure CLI's")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
