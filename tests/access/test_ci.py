"""docs/ci/access-*: each snippet by the schema of its CI system, and each command by this program."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from canary.cli.main import build_app

CI = Path(__file__).parents[2] / "docs" / "ci"
SNIPPETS = ("access-github-actions.yaml", "access-gitlab-ci.yaml")


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        pytest.param(SNIPPETS[0], ("vendor.github-workflows",), id="GitHub"),
        pytest.param(
            SNIPPETS[1], ("vendor.gitlab-ci", "--data-transform", "gitlab-ci"), id="GitLab"
        ),
    ],
)
def test_the_schema_of_the_ci_system_holds(file: str, schema: tuple[str, ...]):
    """The schemas are those that GitHub's and GitLab's own editors use."""
    words = ("-m", "check_jsonschema", "--builtin-schema", *schema, str(CI / file))
    done = subprocess.run((sys.executable, *words), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_finds_nothing():
    """Expressions, permissions and shell of the GitHub workflow."""
    found = shutil.which("actionlint") or shutil.which(
        "actionlint", path=str(Path.home() / "go" / "bin")
    )
    if found is None:
        pytest.skip("actionlint is not installed")
    words = (found, "-no-color", str(CI / SNIPPETS[0]))
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", SNIPPETS)
def test_every_command_is_one_that_exists(file: str):
    """Options and arguments are parsed by the program itself."""
    program = typer.main.get_group(build_app(["access"]))
    lines = re.findall(r"(?:- |run: )canary access ([^>|#\n]*)", (CI / file).read_text("utf-8"))
    assert len(lines) == 2
    for line in lines:
        program.commands["access"].make_context("access", shlex.split(line))
