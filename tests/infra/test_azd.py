"""What azd reads fits the templates and the scripts."""
import json
import os
import re
import unittest
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
PARAMETER = re.compile(r"^param (\w+) \w+(?: = '?([^'\n]*)'?)?$", re.M)


def read(path):
    return (ROOT / path).read_text()


class Azd(unittest.TestCase):
    project = YAML(typ="safe").load(read("azure.yaml"))

    def test_it_gives_every_parameter_and_no_unknown_one(self):
        given = json.loads(read("infra/main.parameters.json"))["parameters"]
        self.assertEqual(set(given), {name for name, _ in PARAMETER.findall(read("infra/main.bicep"))})

    def test_its_defaults_are_those_of_the_app(self):
        defaults = dict(PARAMETER.findall(read("infra/app.bicep")))
        given = json.loads(read("infra/main.parameters.json"))["parameters"]
        for name, parameter in given.items():
            variable, _, default = parameter["value"].strip("${}").partition("=")
            self.assertTrue(re.fullmatch(r"[A-Z_]+", variable), variable)
            if default:
                self.assertEqual(default, defaults[name], name)

    def test_it_packs_what_the_script_makes_and_publishes_to_the_tagged_app(self):
        ((name, service),) = self.project["services"].items()
        self.assertIn(f"'azd-service-name': '{name}'", read("infra/app.bicep"))
        kept = {key: service[key] for key in ("project", "host", "language", "dist")}
        self.assertEqual(kept, {"project": ".", "host": "function", "language": "custom", "dist": "dist"})
        self.assertTrue((ROOT / self.project["infra"]["path"] / f"{self.project['infra']['module']}.bicep").exists())

    def test_every_hook_runs_on_both_kinds_of_system_and_names_what_is_there(self):
        outputs = re.findall(r"^output (\w+)", read("infra/main.bicep"), re.M)
        hooks = [*self.project["hooks"].values(), *self.project["services"]["api"]["hooks"].values()]
        self.assertEqual(len(hooks), 2)
        for hook in hooks:
            self.assertEqual(set(hook), {"posix", "windows"})
            for system in hook.values():
                scripts = re.findall(r"infra/\w+\.sh", system["run"])
                self.assertTrue(scripts)
                for script in scripts:
                    self.assertTrue(os.access(ROOT / script, os.X_OK), script)
                for variable in re.findall(r"AZURE_\w+", system["run"]):
                    self.assertIn(variable, outputs)


if __name__ == "__main__":
    unittest.main()
