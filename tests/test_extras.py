"""What each extra brings is enough for what it is for: nothing is missing on a machine that has only it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))[
    "project"
]
MODULES = {
    "pycurl": "pycurl",
    "certifi": "certifi",
    "ast-grep-cli": "ast_grep_cli",
    "apprise": "apprise",
    "google-auth": "google.auth",
}
"""Modules of the distributions that only some extras have."""
IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[2].split(","):
    sys.modules[name] = None  # as if it were not installed
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def distributions(requirements: list[str]) -> set[str]:
    """The names in a list of requirements."""
    return {re.split(r"[\[><=~!]", one)[0] for one in requirements}


def test_the_demo_needs_nothing_but_its_extra():
    """`make demo` is the first thing that a new user runs, and installs this extra alone."""
    needed = distributions(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["demo"])
    absent = [module for name, module in MODULES.items() if name not in needed]
    assert "pycurl" in absent
    absent.remove("certifi")  # comes with requests
    command = [sys.executable, "-c", IMPORT_ALL, "canary.demo", ",".join(absent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
