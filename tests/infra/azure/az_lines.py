#!/usr/bin/env python3
"""Lets the real Azure CLI's own parser judge every `az` line that this project runs or prints: in
the scripts, their messages, the documents, the workflow and the handler's fixes.

Nothing is called: parsing stops before a command runs. Needs azure-cli in the same Python.
"""
import io
import re
import shlex
import sys
from collections import defaultdict
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import jmespath
from azure.cli.core import get_default_cli
from knack.events import EVENT_INVOKER_POST_PARSE_ARGS

ROOT = Path(__file__).resolve().parents[3]
FIXES = (
    "tests/promises/snapshots/promises__explanations_are_true_where_they_are_read__every_cause_in_every_place.snap",
    "tests/promises/snapshots/promises__the_network_path_is_told__each_cause_of_network_and_identity_has_its_words.snap",
)
DOCUMENTS = ("README.md", "SECURITY.md", "CONTRIBUTING.md", "infra/README.md", "docs/**/*.md")
# Commands of extensions, which az offers to install.
EXTENSIONS = ("monitor app-insights query",)
START = re.compile(r"(?<![\w./$-])az (?=[a-z])")
# What the parser wants of a value that only a run knows.
FILLED = {"--method": "get", "--expires": "2027-01-31T00:00:00Z", "--ids": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/s"}
# "az is missing", "az does not know" and the like.
PROSE = re.compile(r"az (?:is|may|warns|itself|does|has|works|cannot|or|from|goes|wrote)\b")


class Parsed(BaseException):
    """The parser is content."""


def command(text):
    """A command up to its end, without what a shell would put into it."""
    words, depth, quote, at = "", 0, "", 0
    while at < len(text):
        char, two = text[at], text[at : at + 2]
        if char == "\\" and quote != "'":
            words += two.replace("\\\n", " ")
            at += 2
            continue
        if quote != "'" and two in ("$(", "<("):
            depth, start = 1, at
            at += 2
            while depth and at < len(text):
                depth += {"(": 1, ")": -1}.get(text[at], 0)
                at += 1
            words += "X"
            continue
        if quote != "'" and two == "${":
            at = text.index("}", at) + 1
            # An array that may be empty.
            if text[at : at + 2] == '"}':
                at += 2
            words += "X" if quote else ""
            continue
        variable = re.match(r"\$\w+", text[at:]) if quote != "'" else None
        if variable:
            words += "X"
            at += variable.end()
            continue
        if char in "'\"":
            quote = "" if quote == char else quote or char
        elif not quote and (char in "\n;|&)`" or re.match(r"\s\d?(?:<(?!\()|>)", text[at:])):
            break
        words += char
        at += 1
    return words.strip()


def of_script(text):
    """The commands of a shell script and those in its messages, with their lines."""
    states, at = ["code"], 0
    while at < len(text):
        state, char = states[-1], text[at]
        found = START.match(text, at)
        if found and not PROSE.match(text, at):
            rest = text[at:]
            if state == "message":
                end = re.search(r'(?<!\\)"|\n', rest)
                rest = re.sub(r'\\(["$`\\])', r"\1", rest[: end.start()] if end else rest)
            yield at, command(rest)
        if char == "\\":
            at += 2
        elif state == "message":
            if char == '"':
                states.pop()
            elif text.startswith("$(", at):
                states.append("code")
                at += 1
            at += 1
        elif char == "'":
            at = text.index("'", at + 1) + 1
        elif char == '"':
            states.append("message")
            at += 1
        elif char == "#" and text[at - 1 : at] in ("", " ", "\n"):
            at = text.find("\n", at)
            at = len(text) if at < 0 else at
        elif char == "(":
            states.append("code")
            at += 1
        elif char == ")":
            # The end of a pattern of `case` closes nothing.
            if len(states) > 1:
                states.pop()
            at += 1
        elif text.startswith("<<'END'", at) or text.startswith("<<END", at):
            at = text.index("\nEND\n", at) + 1
        else:
            at += 1


def of_document(text):
    """The commands in the code of a Markdown document."""
    for block in re.finditer(r"```sh\n(.*?)```", text, re.S):
        for at, line in of_script(block[1]):
            yield block.start(1) + at, line
    prose = re.sub(r"```.*?```", lambda block: "\n" * block[0].count("\n"), text, flags=re.S)
    for span in re.finditer(r"`(az [^`]+)`", prose):
        line = command(span[1])
        # A command alone is a name, which must exist: --help stands for its options.
        yield text.find(span[0]), line if " -" in line else f"{line} --help"


def of_fixes(text):
    for found in re.finditer(r"^ +\$ (.*)$", text, re.M):
        for _, line in of_script(found[1]):
            yield found.start(1), line


def of_workflow(text):
    for found in re.finditer(r"^ +(?:- run: )?(az .*)$", text, re.M):
        yield found.start(1), command(found[1])


def lines():
    sources = defaultdict(list)
    kinds = [(path, of_script) for path in sorted(ROOT.glob("infra/*.sh"))]
    kinds += [(path, of_document) for pattern in DOCUMENTS for path in sorted(ROOT.glob(pattern))]
    kinds += [(ROOT / fixes, of_fixes) for fixes in FIXES]
    kinds += [(ROOT / ".github/workflows/gate.yml", of_workflow)]
    for path, kind in kinds:
        # What the reader fills in.
        text = re.sub(r"<[a-z][a-z-]*>", "X", path.read_text())
        found = list(kind(text))
        for at, line in found:
            sources[line].append(f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, max(at, 0)) + 1}")
    return sources


class Parser:
    def __init__(self):
        self.cli = get_default_cli()
        self.cli.register_event(EVENT_INVOKER_POST_PARSE_ARGS, self.stop)

    @staticmethod
    def stop(_, **arguments):
        # `az network` alone prints its help: a group is no command.
        if getattr(arguments["args"], "func", None) is None:
            raise SystemExit(2)
        raise Parsed

    def why_not(self, line):
        """What the CLI has against a line, or None."""
        words = [word.lstrip("@") for word in shlex.split(line)[1:]]
        words = [FILLED.get(option, word) if word.startswith("X") else word for option, word in zip(["", *words], words)]
        if " ".join(words).startswith(EXTENSIONS):
            return None
        if "--query" in words:
            try:
                jmespath.compile(words[words.index("--query") + 1])
            except (jmespath.exceptions.JMESPathError, IndexError) as error:
                return f"--query: {error}"
        said = io.StringIO()
        with redirect_stderr(said), redirect_stdout(io.StringIO()):
            try:
                code = self.cli.invoke(words, out_file=io.StringIO())
            except Parsed:
                return None
            except SystemExit as end:
                code = end.code
        # Help ends well, for a command that exists.
        if code == 0 and words[-1] == "--help":
            return None
        return said.getvalue().strip() or f"it ends with {code}"


# Each must be refused, or this program judges nothing.
MISTAKES = (
    "az keyvault recovr --name kv --location westeurope",
    "az keyvault recover --nane kv --location westeurope",
    "az keyvault show --name kv --query properties.[",
    "az role assignment create --role Reader",
    "az keyvault",
    "az keyvault recovr --help",
)
# Each is found where it stands, and refused.
PLACES = (
    (of_script, 'x=$(az group exists --output tsv) || fail "no"\n'),
    (of_script, 'fail "Not so. Run: az group show --name $group --qeury \\"a\\""\n'),
    (of_script, 'fail "as $(reason)\naz keyvualt list"\n'),
    (of_document, "```sh\naz group show -n a \\\n  --nmae b\n```\n"),
    (of_document, '```sh\nX="$(az resource list --query "[?a==\'b\'")"\n```\n'),
    (of_document, "Do not `az functionapp restart --name your-func`.\n"),
    (of_document, "`az webapp log tial` shows nothing.\n"),
    (of_fixes, '    $ az keyvault set-policy --name kv --object-id "$(az ad sp shwo --id x)" --secret-permissions get\n'),
    (of_workflow, '          az functionapp deployment source config-zip --name "$APP" --src dist.zip\n'),
)


def main():
    parser = Parser()
    for line in MISTAKES:
        if parser.why_not(line) is None:
            sys.exit(f"az_lines.py: the CLI takes {line!r}, which is wrong")
    for kind, text in PLACES:
        if not any(parser.why_not(line) for _, line in kind(text)):
            sys.exit(f"az_lines.py: nothing is found in {text!r}, which is wrong")
    found, wrong = lines(), 0
    for line, places in sorted(found.items()):
        why = parser.why_not(line)
        if why:
            wrong += 1
            print(f"{', '.join(places)}: {line}\n  {why}\n", file=sys.stderr)
    if len(found) < 60:
        sys.exit(f"az_lines.py: only {len(found)} lines were found")
    if wrong:
        sys.exit(f"az_lines.py: the CLI refuses {wrong} of {len(found)} lines")
    print(f"the CLI takes all {len(found)} az lines of the scripts, the documents and the fixes")


if __name__ == "__main__":
    main()
