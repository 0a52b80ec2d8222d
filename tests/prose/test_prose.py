"""Each check of .ci/prose finds what is wrong, and nothing in what is right."""
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = (".ci/prose", ".ci/prose_commands.py")
# A small repository without a finding.
GOOD = {
    "README.md": "# A product\n\nOne sentence.\n\n| setting | meaning |\n| --- | --- |\n| `KEY_VAULT_URL`, `TERM` | both |\n",
    "docs/page.md": "# Page\n\n## Two `words`, here\n\n## Again\n\n## Again\n",
    "docs/picture.png": "",
    "docs/openapi.json": '{"components": {"schemas": {\n  "UnhealthyCheck": {}}}}\n',
    "docs/architecture.md": "The rooms of the library.\n",
    "host.json": '{"extensions": {"http": {"routePrefix": "api"}}}\n',
    "secrets/function.json": '{"bindings": [{"route": "secrets/{secret_name}"}, {"name": "res"}]}\n',
    "check/function.json": '{"bindings": [{"route": "check"}]}\n',
    "local.settings.json": '{\n  "Values": {\n    "PAYMENT_API_KEY": ""\n  }\n}\n',
    "justfile": "_list:\n    @just --list\n\ntest *filter:\n    cargo test {{ filter }}\n",
    "Cargo.toml": '[[bench]]\nname = "speed"\n',
    "tests/promises/main.rs": "",
    "tests/promises/an_app_is_checked_from_outside.rs": 'handler(["check"])\n',
    "tests/infra/deploy.bats": "run infra/deploy.sh\n",
    "fuzz/fuzz_targets/envelope.rs": "",
    "infra/app.bicep": "param location string\nparam networkMode string\n",
    "infra/deploy.sh": "usage: infra/deploy.sh -g GROUP [--set NAME=VALUE]\n  [ $EXTERNAL_API_KEY_VALUE ]\n",
    ".ci/run": "cargo test --locked\nlint() {\n}\n.ci/terminal dist/handler\n",
    ".ci/smoke": "cargo run\n",
    "src/settings/names.rs": "\nnames! {\n    /// The vault.\n    KEY_VAULT_URL,\n    /// The terminal.\n    TERM,\n}\n",
    "src/lib.rs": "//! The rooms of the library.\n",
    "src/codes.rs": "enum Code { SecretNotFound }\n// OnlyInAComment\n",
    "src/cli/arguments.rs": (
        'const HELP: &str = "\\\nUsage: handler [--port PORT]\n\n  -h, --help  this";\n'
        'const CHECK: &str = "\\\nUsage: handler check [OPTIONS]\n\n  --by secret  each";\n'
    ),
}


def sh(command):
    return f"```sh\n{command}\n```\n"


# What is right, what is wrong, and what is said of it: in a page.
PAGES = {
    "a file that is linked": ("[a](page.md) [b](../docs)", "[a](pages.md)", "link: pages.md does not exist"),
    "a link over two lines": ("[a\nb](page.md)", "[a\nb](pages.md)", "link: pages.md does not exist"),
    "a heading": ("[a](page.md#two-words-here)", "[a](page.md#two-words)", "link: page.md#two-words has no such heading in docs/page.md"),
    "a heading that is there twice": ("[a](page.md#again-1)", "[a](page.md#again-2)", "link: page.md#again-2 has no such"),
    "a heading of the page itself": ("## Here\n\n[a](#here)", "## Here\n\n[a](#there)", "link: #there has no such heading in {file}"),
    "a comment in a block is no heading": ("# Title\n\n[a](#title)", sh("# title") + "\n[a](#title)", "link: #title has no such"),
    "a link that leaves the repository": ("[a](../README.md)", "[a](../../README.md)", "link: ../../README.md leads out of"),
    "a link from the root": ("[a](../README.md)", "[a](/README.md)", "link: /README.md leads out of"),
    "https": ("[a](https://example.com)", "[a](http://example.com)", "link: http://example.com is not https"),
    "an address alone": ("<https://example.com>", "<http://example.com>", "link: http://example.com is not https"),
    "a link by its name": ("[a][b]\n\n[b]: page.md", "[a][b]\n\n[b]: pages.md", "link: pages.md does not exist"),
    "a link in code is none": ("`[a](pages.md)`", "`a` [a](pages.md)", "link: pages.md does not exist"),
    "an image": ("![a](picture.png)", "![a](pictures.png)", "link: pictures.png does not exist"),
    "an image in HTML": ('<img src="picture.png">', '<img src="pictures.png">', "link: pictures.png does not exist"),
    "a command that somebody runs": (sh("cargo test"), sh("sl -la"), "command: sl -la: nothing runs sl"),
    "a command that nobody runs any more": (sh("cargo run"), sh("cargo build"), "command: cargo build: .ci/smoke does not run it any more"),
    "a command in a console": ("```console\n$ cargo test\nsl\n```", "```console\n$ sl\ncargo test\n```", "command: sl: nothing runs sl"),
    "a command in another": (sh('cd "$(printf "%s" "x")"'), sh('cd "$(sl)"'), "command: sl: nothing runs sl"),
    "a command in a pipe": (sh("printf a | jq ."), sh("printf a | sl ."), "command: sl .: nothing runs sl"),
    "a command over lines": (sh("printf \\\n  a"), sh("printf \\\n  a && \\\n  sl"), "command: sl: nothing runs sl"),
    "a text over lines": (sh("printf 'a\nsl'"), sh("printf 'a\nsl"), "command: printf \0: its quotes do not close"),
    "a subcommand of cargo": ("`cargo test`", "`cargo tset`", "command: cargo tset: cargo has no command tset"),
    "an option of cargo": ("`cargo test --locked`", "`cargo test --lokced`", "command: cargo test --lokced: cargo has no option"),
    "a bench of cargo": ("`cargo bench --bench speed`", "`cargo bench --bench sped`", "command: cargo bench --bench sped: there is no bench sped"),
    "a test of cargo": ("`cargo test --test promises`", "`cargo test --test promise`", "command: cargo test --test promise: there is no test"),
    "a fuzz target": ("`cargo +nightly fuzz run envelope`", "`cargo +nightly fuzz run envelop`", "command: cargo +nightly fuzz run envelop: there is no"),
    "a command of the handler": (sh("handler check -"), sh("handler chekc -"), "command: handler chekc -: handler has no command chekc"),
    "an option of the handler": ("`handler check --by secret`", "`handler check --port 1`", "command: handler check --port 1: handler check has no"),
    "an option through cargo": (sh("cargo run -- --port 1"), sh("cargo run -- --prot 1"), "command: cargo run -- --prot 1: handler has no option --prot"),
    "an option after a setting": ("`TERM=c handler --port 1`", "`TERM=c handler --by secret`", "command: TERM=c handler --by secret: handler has no"),
    "an option of a script": (sh("infra/deploy.sh -g a"), sh("infra/deploy.sh -n a"), "command: infra/deploy.sh -n a: infra/deploy.sh has no option -n"),
    "a parameter of the template": ("`infra/deploy.sh --set location=x`", "`infra/deploy.sh --set place=x`", "command: infra/deploy.sh --set place=x: infra/app.bicep has no parameter place"),
    "a stage of the gate": ("`.ci/run lint`", "`.ci/run lnit`", "command: .ci/run lnit: the gate has no stage lnit"),
    "a recipe": ("`just test`", "`just tset`", "command: just tset: the justfile has no recipe tset"),
    "a path in a command": (sh("cd docs/page.md"), sh("cd docs/pages.md"), "command: cd docs/pages.md: docs/pages.md does not exist"),
    "a path that a command makes": (sh("mkdir docs/new\ncd docs/new"), sh("cd docs/new"), "command: cd docs/new: docs/new does not exist"),
    "a path": ("`tests/infra/*.bats`", "`tests/infra/*.bat`", "path: tests/infra/*.bat does not exist"),
    "a file by its name": ("`names.rs`", "`nmaes.rs`", "path: nmaes.rs does not exist"),
    "a setting": ("`KEY_VAULT_URL`", "`KEY_VAULT_ULR`", "name: KEY_VAULT_ULR is no setting"),
    "a setting in a block": (sh("export PAYMENT_API_KEY=a"), sh("export PAYMENT_API_KYE=a"), "name: PAYMENT_API_KYE is no setting"),
    "a variable of a script": ("EXTERNAL_API_KEY_VALUE", "EXTERNAL_API_KEY_VALEU", "name: EXTERNAL_API_KEY_VALEU is no setting"),
    "a variable of others": ("CKV_AZURE_15", "CKW_AZURE_15", "name: CKW_AZURE_15 is no setting"),
    "a code": ("`SecretNotFound`", "`SecretNotFuond`", "code: SecretNotFuond is nowhere in the code"),
    "a code in a comment only": ("`AuthorizationFailed`", "`OnlyInAComment`", "code: OnlyInAComment is nowhere in the code"),
    "a schema of the contract": ("`UnhealthyCheck`", "`UnhealthyChecks`", "code: UnhealthyChecks is nowhere in the code"),
    "a route": ("`GET /api/check?a=b`", "`GET /api/chekc?a=b`", "route: no function.json has the route chekc"),
    "a route with a parameter": ('"$URL/api/secrets/A"', '"$URL/api/secrets/A/B"', "route: no function.json has the route secrets/A/B"),
    "a route with a host": ("http://127.0.0.1:7071/api/check", "http://127.0.0.1:7071/api/secrets", "route: no function.json has the route secrets"),
    "a route without a prefix": ("`secrets/<name>`", "`secret/<name>`", "route: no function.json has the route secret/<name>"),
    "a route that the page adds": ('`/api/health` has `"route": "health"`', "`/api/health`", "route: no function.json has the route health"),
    "room": ("The headroom. There is room for two.", "Each room has a limit.", "word: 'room': say module"),
    "a word in code": ("`room`", "The `x` room.", "word: 'room': say module"),
    "a word in an address": ("[a](https://example.com/mended)", "[mended](page.md)", "word: 'mended': say fix"),
    "a phrase over two lines": ("A row in place of an index.", "It answers in the\nplace of another.", "word: 'in the place of': say instead of"),
    "mend": ("Run the command to fix it. The amended rule.", "The command mends it.", "word: 'mends': say fix"),
    "takes place": ("It takes the place.", "It takes place.", "word: 'takes place': say happens"),
    "no place": ("No place is free.", "A key has no place there.", "word: 'has no place': say"),
    "in its place": ("It is in place.", "It answers in its place.", "word: 'in its place': say instead"),
    "a status": ("the platform's own status", "the platform's own word", "word: \"platform's own word\": say the platform's status"),
    "a value": ("an unknown value", "an unknown word", "word: 'an unknown word': say an unknown value"),
    "into effect": ("It has an effect.", "It is put into effect.", "word: 'put into effect': say resolve"),
    "tried out": ("It is tried.", "Nothing is tried out.", "word: 'tried out': say try"),
    "TLS": ("It intercepts TLS.", "A proxy breaks TLS open.", "word: 'breaks TLS open': say intercepts TLS"),
    "is told that": ("The caller is told why.", "Who asks is told that it is done.", "word: 'is told that': say"),
    "the road": ("A broad path.", "The vault is down the road.", "word: 'the road': say the network path"),
    "a passport": ("The identity.", "The passport.", "word: 'passport': say the identity"),
    "a sentence's order": ("It is read. Read it.", "It works. Read are two forms.", "word: 'Read are': say the subject first"),
    "a cell's order": ("| All are told | a |", "| a | Told is what fails |", "word: 'Told is': say the subject first"),
}
# The same in a Rust file, where most of it is not read.
SOURCES = {
    "a doc comment": ("/// Fixes it.\nfn mends() {}\n", "/// Mends it, as it\n/// takes place.\n", "word: 'takes place': say happens"),
    "a module's comment": ("// A note that is mended.\n", "//! What is mended.\n", "word: 'mended': say fix"),
    "the start of a doc comment": ("/// What is read.\n", "/// Read are two.\n", "word: 'Read are': say the subject first"),
    "a text": ("const A: &str = 'm' \"ends\";\n", 'const A: &str = "say \\"it is \\\n    mended\\"";\n', "word: 'mended': say fix"),
    "a raw text": ('const A: &str = r"fix";\n', 'const A: &str = r#"a "mended" one"#;\n', "word: 'mended': say fix"),
    "a test": ('\n#[cfg(test)]\nmod tests {\n    const A: &str = "mended";\n}\n', '\nmod tests {\n    const A: &str = "mended";\n}\n', "word: 'mended': say fix"),
}


class Prose(unittest.TestCase):
    maxDiff = None

    def run_in(self, changes, *arguments):
        """The exit code and the lines in a small repository with these files changed."""
        with tempfile.TemporaryDirectory() as folder:
            files = GOOD | {name: (ROOT / name).read_text() for name in PROGRAMS} | changes
            for name, text in files.items():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / name).write_text(text)
            subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
            run = subprocess.run([sys.executable, ".ci/prose", *arguments], cwd=folder, capture_output=True, text=True)
        self.assertNotIn("Traceback", run.stderr)
        return run.returncode, run.stdout.splitlines(), run.stderr

    def test_a_good_repository_has_no_finding(self):
        code, lines, counts = self.run_in({})
        self.assertEqual((code, lines), (0, []), counts)

    def test_a_finding_fails_and_a_list_does_not(self):
        bad = {"docs/new.md": "\n\nIt is mended.\n"}
        finding = ["docs/new.md:3: word: 'mended': say fix"]
        self.assertEqual(self.run_in(bad)[:2], (1, finding))
        self.assertEqual(self.run_in(bad, "--list")[:2], (0, finding))
        code, lines, help_text = self.run_in(bad, "--lits")
        self.assertEqual((code, lines), (1, []))
        self.assertIn("--list", help_text)

    def test_a_page(self):
        self.check("docs/new-{}.md", PAGES)

    def test_what_is_read_of_the_code(self):
        self.check("src/new_{}.rs", SOURCES)

    def check(self, pattern, cases):
        """Every right text is in one repository, and every wrong one in another."""
        files = {pattern.format(number): case for number, case in enumerate(cases)}
        self.assertEqual(self.run_in({file: cases[case][0] + "\n" for file, case in files.items()})[1], [])
        _, lines, _ = self.run_in({file: cases[case][1] + "\n" for file, case in files.items()})
        for file, case in files.items():
            with self.subTest(case):
                found = [line for line in lines if line.startswith(f"{file}:")]
                self.assertEqual(len(found), 1, found)
                self.assertRegex(found[0], rf"^{re.escape(file)}:\d+: {re.escape(cases[case][2].replace('{file}', file))}")

    def test_each_setting_is_in_the_table(self):
        table = "| a |\n| --- |\n| `KEY_VAULT_URL` |\n"
        finding = ":1: setting: TERM is not in the table of settings"
        self.assertEqual(self.run_in({"README.md": table})[1], [f"README.md{finding}"])
        self.assertEqual(self.run_in({"docs/settings.md": table})[1], [f"docs/settings.md{finding}"])
        self.assertEqual(self.run_in({"docs/settings.md": GOOD["README.md"], "README.md": ""})[1], [])

    def test_the_readme_is_short(self):
        start = GOOD["README.md"]
        fits = start + "\n" + "word " * (899 - len(re.findall(r"\w+", start))) + "\n" + sh("printf " + "a " * 900) + "\n![" + "a " * 900 + "](docs/picture.png)\n"
        self.assertEqual(self.run_in({"README.md": fits})[1], [])
        self.assertEqual(self.run_in({"README.md": fits + "one\n"})[1], ["README.md:1: length: 900 words, allowed are 899"])

    def test_a_long_page_is_a_note(self):
        self.assertEqual(self.run_in({"docs/new.md": "word " * 1000})[:2], (0, []))
        self.assertEqual(self.run_in({"docs/new.md": "word " * 1001})[:2], (0, ["docs/new.md:1: note: 1001 words, more than 1000"]))

    def test_what_cannot_be_read_is_no_success(self):
        for changes in ({"src/settings/names.rs": ""}, {"src/cli/arguments.rs": ""}, {name: '{"bindings": []}' for name in GOOD if name.endswith("function.json")}):
            code, _, said = self.run_in(changes)
            self.assertEqual(code, 1)
            self.assertRegex(said, r"^\.ci/prose: ")

    def test_this_repository_is_looked_at(self):
        run = subprocess.run([ROOT / ".ci/prose", "--list"], cwd=ROOT, capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stderr)
        counts = {what: int(number) for number, what in re.findall(r"(\d+) ([a-z A-Z]+)", run.stderr)}
        for what in ("links", "commands", "paths", "names", "codes", "routes", "texts"):
            self.assertGreater(counts.get(what, 0), 20, what)


if __name__ == "__main__":
    unittest.main()
