"""The commands that a document shows: who runs them, and whether they can be typed as they stand."""
import re
import shlex
import sys

# Commands by their first words: the file that runs or judges them, with what stands in it; or why nothing does.
SHELL = "changes the reader's shell or files only"
COMMANDS = {
    "cargo run": ".ci/smoke: cargo run",
    "cargo run -- check": "tests/promises/an_app_is_checked_from_outside.rs: check",
    "cargo run -- dev-vault": "tests/clients/run: dev-vault",
    "cargo test": ".ci/run: cargo test",
    "cargo build": ".ci/smoke: cargo build",
    "cargo doc": ".ci/run: cargo doc",
    "cargo bench": "times the reader's machine; .ci/run lint compiles it",
    "cargo install": "writes into the reader's home",
    "cargo +nightly fuzz": "needs another compiler; .ci/run lint checks the targets",
    "target/release/examples/load": "times the reader's machine; .ci/run lint compiles it",
    "handler": ".ci/run: .ci/terminal dist/handler",
    "handler check": "tests/promises/an_app_is_checked_from_outside.rs: check",
    "handler dev-vault": "tests/clients/run: dev-vault",
    ".ci/": "is the gate itself",
    "just": "only calls what is in this list",
    "examples/call.sh": ".ci/smoke: examples/call.sh",
    "python3 examples/call.py": ".ci/smoke: examples/call.py",
    "node examples/call.mjs": ".ci/smoke: examples/call.mjs",
    "infra/check-package.sh": ".ci/run: infra/check-package.sh",
    "infra/sbom.sh": ".ci/run: infra/sbom.sh",
    "infra/package.sh": "infra/check-package.sh: infra/package.sh",
    "infra/deploy.sh": "tests/infra/deploy.bats: infra/deploy.sh",
    "infra/remove.sh": "tests/infra/remove.bats: infra/remove.sh",
    "infra/subscribe.sh": "tests/infra/subscribe.bats: infra/subscribe.sh",
    "infra/verify.sh": "tests/infra/verify.bats: infra/verify.sh",
    "tests/clients/run": ".ci/run: tests/clients/run",
    "tests/contract/run": ".ci/run: tests/contract/run",
    "tests/events/burst": ".ci/smoke: tests/events/burst",
    "tests/infra/template.py": ".ci/run: tests/infra/template.py",
    "tests/infra/diagram.py": ".ci/run: tests/infra/diagram.py",
    "bicep": "tests/infra/template.py: bicep",
    "az": "tests/infra/azure/az_lines.py: def of_document",
    "azd": "needs an account; tests/infra/test_azd.py reads what it is given",
    "func": "needs an account",
    "gh": "needs a repository on GitHub",
    "docker": "needs Docker",
    "git": SHELL,
    "curl": "asks a handler or a vault that the reader runs; .ci/smoke pastes those that cargo run prints",
    "open": "opens the reader's browser",
    "xdg-open": "opens the reader's browser",
    "jq": "reads what the command before it prints",
    **dict.fromkeys("cd cp export read printf echo unset mkdir rm install sha256sum source unzip".split(), SHELL),
}
CARGO = set("bench build check clippy deny doc fmt fuzz install run test".split())
CARGO_OPTIONS = set("""--all-features --all-targets --bench --bin --example --features --lib --locked --manifest-path
--no-default-features --no-deps --open --path --profile --quiet --release --target --test""".split())
TARGETS = {"bin": "src/bin", "bench": "benches", "example": "examples", "test": "tests"}
# Files that a page has its reader make.
MADE_BY_READERS = {"health/function.json", "src/functions/health.rs", "src/functions/vault_health.rs"}
# Stands for the rest of a command whose quotes do not close.
UNCLOSED = "\0"


def check(tree):
    helps = usages(tree)
    for document in tree.documents.values():
        made = set(MADE_BY_READERS)
        for start, language, lines in document.fences:
            if language == "console":
                lines = [line.lstrip()[2:] if line.lstrip().startswith("$ ") else "" for line in lines]
            elif language not in ("sh", "bash", "shell"):
                continue
            for offset, words in commands(lines):
                tree.count("commands")
                made |= {word.rstrip("/") for word in words[1:] if words[0] == "mkdir"}
                for why in [*unknown(tree, words), *wrong(tree, helps, words), *missing(tree, words, made)]:
                    tree.report("command", document, start + offset, f"{' '.join(words)[:60]}: {why}")
        for line, span in document.spans:
            if re.match(r"([A-Z_]+=\S* )*((cargo|handler|just)\b(?![-./])|\S+/\S+ )", span):
                tree.count("commands in the text")
                for _, words in commands([span]):
                    for why in [*wrong(tree, helps, words), *missing(tree, words, made)]:
                        tree.report("command", document, line, f"{span}: {why}")
            elif tree.is_ours(span) or re.fullmatch(r"[\w-]+\.(rs|sh|py|md|bicep|bats)", span):
                tree.count("paths")
                if not tree.exists(span) and span not in made | tree.names:
                    tree.report("path", document, line, f"{span} does not exist")


def usages(tree):
    """What `--help` says, by subcommand."""
    texts = [text for file in tree.source if file.startswith("src/cli/") for text in tree.literals(file)]
    helps = {found[1]: text for text in texts if (found := re.search(r"^Usage: handler ?([a-z-]*)", text, re.M))}
    return helps or sys.exit(".ci/prose: src/cli has no text with `Usage: handler`")


def commands(lines):
    """Each simple command of a block as words, with the line that it begins in."""
    text, first = "", 0
    for offset, line in enumerate(lines):
        first = first if text else offset
        text += re.sub(r"(^|\s)#\s.*$", "", line)
        if text.endswith("\\"):
            text = text[:-1] + " "
            continue
        # What is put into a text is a command like one outside.
        bare = re.sub(r'"\$\(([^()]*)\)"', r"$( \1 )", re.sub(r"\$\{[^}]*\}", "$X", text))
        lexer = shlex.shlex(bare, posix=True, punctuation_chars=True)
        lexer.whitespace_split, lexer.commenters = True, ""
        try:
            tokens = list(lexer)
        except ValueError:
            text += "\n"
            continue
        yield from ((first, words) for words in simple(tokens))
        text = ""
    if text.strip():
        yield first, [text.split()[0], UNCLOSED]


def simple(tokens):
    """The commands between the operators, without redirections, assignments and keywords."""
    found, open_ones, words, skip = [], [], [], False
    for token in [*tokens, ";"]:
        is_operator = re.fullmatch(r"[();<>|&]+", token)
        if is_operator and (token[0] not in "<>" or "(" in token):
            for sign in token:
                if sign == "(":
                    open_ones.append(words)
                    words = []
                elif sign in ")|&;":
                    found.append(words)
                    words = open_ones.pop() if sign == ")" and open_ones else []
            skip = False
        elif is_operator or skip:
            skip = bool(is_operator)
        else:
            words.append(token)
    for words in found:
        while words and re.fullmatch(r"\w+=.*|while|do|done|if|then|fi|!|time|sudo|\$", words[0], re.S):
            words = words[1:]
        if words:
            yield words


def unknown(tree, words):
    """A command that nothing runs and of which nothing says why."""
    line = " ".join(words) + " "
    known = [prefix for prefix in COMMANDS if line.startswith(prefix if prefix.endswith("/") else prefix + " ")]
    if not known:
        return [f"nothing runs {words[0]}: add it to COMMANDS in .ci/prose_commands.py, with who does or why nobody can"]
    file, _, text = COMMANDS[max(known, key=len)].partition(": ")
    return [f"{file} does not run it any more, it has no {text!r}"] if text and text not in tree.read(file) else []


def wrong(tree, helps, words):
    """Subcommands, options and names that a program does not have."""
    program, arguments = words[0], words[1:]
    example = re.fullmatch(r"target/\w+/examples/(\w+)", program)
    if UNCLOSED in words:
        return ["its quotes do not close"]
    if program == "cargo":
        return cargo(tree, helps, [word for word in arguments if not word.startswith("+")])
    if program.rsplit("/")[-1] == "handler":
        command = arguments[0] if arguments and arguments[0][0] not in "-[" else ""
        if command not in helps:
            return [f"handler has no command {command}"]
        return lacking(arguments, helps[command], f"handler {command}".strip())
    if program == "just":
        recipes = re.findall(r"^([\w-]+)[^:=\n]*:(?!=)", tree.read("justfile"), re.M)
        return [f"the justfile has no recipe {name}" for name in arguments[:1] if name not in recipes]
    if example:
        program = f"examples/{example[1]}/main.rs"
    text = tree.read(program) if program in tree.files else ""
    found = lacking(arguments, text, program) if text else []
    if program == ".ci/run":
        stages = re.findall(r"^(\w+)\(\) \{", text, re.M)
        found += [f"the gate has no stage {stage}" for stage in arguments if stage.islower() and stage not in stages]
    for option, value in zip(arguments, arguments[1:]):
        name = value.partition("=")[0]
        if option == "--set" and not name.isupper() and f"param {name} " not in tree.read("infra/app.bicep"):
            found.append(f"infra/app.bicep has no parameter {name}")
    return found


def cargo(tree, helps, arguments):
    ours, theirs = arguments, []
    if "--" in arguments:
        ours, theirs = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    if not ours:
        return []
    command, rest = ours[0], ours[1:]
    if command not in CARGO:
        return [f"cargo has no command {command} here"]
    if command == "deny":
        return []
    if command == "fuzz":
        return [f"there is no fuzz target {name}" for name in rest[1:2] if not tree.exists(f"fuzz/fuzz_targets/{name}.rs")]
    given = dict(zip(rest, [*rest[1:], ""]))
    found = [f"cargo has no option {option}" for option in given if option.startswith("-") and option not in CARGO_OPTIONS]
    for kind, folder in TARGETS.items():
        name = given.get(f"--{kind}")
        is_named = f'[[{kind}]]\nname = "{name}"' in tree.read("Cargo.toml")
        if name and not is_named and not tree.exists(f"{folder}/{name}.rs") and not tree.exists(f"{folder}/{name}/main.rs"):
            found.append(f"there is no {kind} {name}")
    if command == "run":
        example = given.get("--example")
        found += wrong(tree, helps, [f"target/debug/examples/{example}" if example else "handler", *theirs])
    return found


def lacking(arguments, text, program):
    options = [word.strip("[]").partition("=")[0] for word in arguments if re.match(r"\[?--?[A-Za-z]", word)]
    return [f"{program} has no option {option}" for option in options if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text)]


def missing(tree, words, made):
    """Paths of this repository that are not there."""
    if words[0] in ("gh", "mkdir"):
        return []
    return [f"{word} does not exist" for word in words if tree.is_ours(word) and not tree.exists(word) and word not in made]
