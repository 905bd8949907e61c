"""docs/ci: each snippet through the linter of its own CI system, and against this program.

Linters that are not on PyPI are used where they are installed: actionlint (`go install
github.com/rhysd/actionlint/cmd/actionlint@latest`) and npm-groovy-lint (`npm install -g
npm-groovy-lint`, which needs Java) and tekton-lint (`npm install -g @ibm/tekton-lint`). What
Tekton's controller would refuse is checked here as well.
"""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from canary.cli.main import COMMANDS, build_app
from canary.errors import ExitCode

CI = Path(__file__).parents[2] / "docs" / "ci"
SNIPPETS = ["github-actions.yaml", "gitlab-ci.yaml", "Jenkinsfile", "tekton.yaml"]


def program(name: str) -> str:
    """Where it is; skips the test where it is not installed."""
    found = shutil.which(name) or shutil.which(name, path=str(Path.home() / "go" / "bin"))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*words: str, within: float = 60.0) -> subprocess.CompletedProcess[str]:
    """A linter's answer."""
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=within)


def test_actionlint_finds_nothing():
    """Expressions, contexts, needs and outputs of the GitHub workflow."""
    done = run(program("actionlint"), "-no-color", str(CI / "github-actions.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("schema", "file", "more"),
    [
        pytest.param("vendor.github-workflows", "github-actions.yaml", (), id="GitHub"),
        pytest.param(
            "vendor.gitlab-ci", "gitlab-ci.yaml", ("--data-transform", "gitlab-ci"), id="GitLab"
        ),
    ],
)
def test_the_schema_of_the_ci_system_holds(schema, file, more):
    """The schemas are those that GitHub's and GitLab's own editors use."""
    words = ("-m", "check_jsonschema", "--builtin-schema", schema, *more)
    done = run(sys.executable, *words, str(CI / file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_groovy_lint_has_no_warning():
    """The Jenkinsfile is Groovy that parses and draws no warning by its rules for Jenkinsfiles."""
    words = ("--no-insight", "--failon", "warning", "--loglevel", "warning", "--noserver")
    done = run(program("npm-groovy-lint"), *words, str(CI / "Jenkinsfile"), within=180.0)
    assert done.returncode == 0, done.stdout + done.stderr


def test_tekton_lint_finds_nothing():
    """Parameters, results, names and references of the Task and the Pipeline."""
    done = run(program("tekton-lint"), str(CI / "tekton.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stdout.strip()


def tekton() -> dict[str, dict]:
    """The documents by kind."""
    return {one["kind"]: one for one in yaml.safe_load_all((CI / "tekton.yaml").read_text())}


def test_tekton_uses_only_what_is_declared():
    """Parameters, workspaces and results of the Task; what the Pipeline gives is what it takes."""
    task, pipeline = tekton()["Task"], tekton()["Pipeline"]
    assert {task["apiVersion"], pipeline["apiVersion"]} == {"tekton.dev/v1"}
    names = {
        part: {one["name"] for one in task["spec"][part]}
        for part in ("params", "workspaces", "results")
    }
    used = set(re.findall(r"\$\((\w+)\.([\w-]+)[.)]", yaml.safe_dump(task["spec"])))
    assert used == {(part, name) for part, known in names.items() for name in known}
    gate = next(one for one in pipeline["spec"]["tasks"] if one["name"] == "gate")
    assert gate["taskRef"]["name"] == task["metadata"]["name"]
    required = {one["name"] for one in task["spec"]["params"] if "default" not in one}
    assert required <= {one["name"] for one in gate["params"]} <= names["params"]
    assert {one["name"] for one in gate["workspaces"]} <= names["workspaces"]


def test_tekton_tasks_run_one_after_the_other():
    """Nothing refers to a task, a result or a workspace that is not there."""
    task, pipeline = tekton()["Task"], tekton()["Pipeline"]
    names = [one["name"] for one in pipeline["spec"]["tasks"]]
    for one in pipeline["spec"]["tasks"]:
        assert set(one.get("runAfter", ())) <= set(names[: names.index(one["name"])])
        assert ("taskRef" in one) != ("taskSpec" in one)
    declared = {one["name"] for one in task["spec"]["results"]}
    text = yaml.safe_dump(pipeline)
    assert set(re.findall(r"\$\(tasks\.gate\.results\.([\w-]+)\)", text)) <= declared
    workspaces = {one["name"] for one in pipeline["spec"]["workspaces"]}
    given = [use for one in pipeline["spec"]["tasks"] for use in one.get("workspaces", ())]
    assert {use["workspace"] for use in given} == workspaces


def test_the_shell_of_the_tekton_step_parses():
    """And no parameter is pasted into it: values are data."""
    (step,) = tekton()["Task"]["spec"]["steps"]
    assert run("sh", "-n", "-c", step["script"]).returncode == 0
    assert "$(params" not in step["script"]


def commands(text: str) -> list[list[str]]:
    """Every `canary …` in a snippet, its continuation lines joined."""
    joined = re.sub(r"\\\n\s*|\n\s+(?=--)", " ", text)
    lines = re.findall(
        r"^\s*(?:- (?:run: )?|sh ')?(canary (?:gate|promote) [^'|>\n]*)", joined, re.MULTILINE
    )
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("file", SNIPPETS)
def test_the_program_has_what_the_snippets_use(file):
    """Commands and options exist: a snippet does not outlive them."""
    known = typer.main.get_command(build_app(COMMANDS)).commands
    found = commands((CI / file).read_text())
    assert any(words[1] == "gate" for words in found)
    for _, name, *rest in found:
        if name not in known:
            pytest.skip(f"canary {name} is not there yet")
        options = {option for one in known[name].params for option in one.opts}
        assert {word for word in rest if word.startswith("-")} <= options, rest


@pytest.mark.parametrize("file", [*SNIPPETS, "README.md"])
def test_every_exit_code_is_spoken_of(file):
    """What the pipeline does on each of them is said in the snippet."""
    text = (CI / file).read_text()
    codes = {ExitCode.FAILED, ExitCode.TIMED_OUT, ExitCode.PAUSED, ExitCode.INCONCLUSIVE}
    missing = [code for code in codes if not re.search(rf"\b{int(code)}\b", text)]
    assert not missing
