"""docs/examples/analyze: `canary analyze` inside Argo Rollouts, Kargo and Flagger; run on a cluster by e2e/."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from canary.cli.main import main
from canary.errors import ExitCode

EXAMPLES = Path(__file__).parents[2] / "docs/examples/analyze"
NOWHERE = "http://127.0.0.1:9"
"""Nobody answers here: exit code 1, and 2 only for options that are wrong."""
PLACEHOLDER = re.compile(r"\{\{ ?args\.([\w-]+) ?\}\}")


def documents(file: str) -> dict[str, Any]:
    """The objects of an example by their kind."""
    return {one["kind"]: one for one in yaml.safe_load_all((EXAMPLES / file).read_text("utf-8"))}


def container(template: dict[str, Any]) -> dict[str, Any]:
    """What the only metric of an AnalysisTemplate runs."""
    (metric,) = template["spec"]["metrics"]
    (found,) = metric["provider"]["job"]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def given(uses: list[dict[str, Any]]) -> set[str]:
    """The arguments that somebody passes."""
    return {argument["name"] for argument in uses}


@pytest.mark.parametrize("file", ["argo-rollouts.yaml", "kargo.yaml"])
def test_an_analysis_template_runs_a_valid_command(file: str, capsys: pytest.CaptureFixture[str]):
    """With its arguments filled in, every option is one that `canary analyze` has."""
    template = documents(file)["AnalysisTemplate"]
    values = {one["name"]: one.get("value", one["name"]) for one in template["spec"]["args"]}
    values |= {"prometheus": NOWHERE}
    words = [PLACEHOLDER.sub(lambda it: values[it[1]], one) for one in container(template)["args"]]
    assert main(words) == ExitCode.ERROR, capsys.readouterr().err
    assert "127.0.0.1:9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "kind", "uses"),
    [
        ("argo-rollouts.yaml", "Rollout", lambda spec: spec["strategy"]["canary"]["analysis"]),
        (
            "argo-rollouts.yaml",
            "Rollout",
            lambda spec: spec["strategy"]["canary"]["steps"][-1]["analysis"],
        ),
        ("kargo.yaml", "Stage", lambda spec: spec["verification"]),
    ],
    ids=["in the background", "as a step", "verification"],
)
def test_every_argument_without_a_value_is_passed(file: str, kind: str, uses: Any):
    """And none that the template does not declare, which both tools refuse."""
    found = documents(file)
    declared = found["AnalysisTemplate"]["spec"]["args"]
    passed = given(uses(found[kind]["spec"])["args"])
    assert passed <= given(declared)
    assert given([one for one in declared if "value" not in one]) <= passed
    used = set(PLACEHOLDER.findall(" ".join(container(found["AnalysisTemplate"])["args"])))
    assert used == given(declared)


def test_flaggers_webhooks_run_a_valid_command(capsys: pytest.CaptureFixture[str]):
    """Both of the same comparison; one turns its exit code into "roll back"."""
    found = documents("flagger.yaml")
    hooks = {one["type"]: one for one in found["Canary"]["spec"]["analysis"]["webhooks"]}
    commands = {kind: one["metadata"]["cmd"] for kind, one in hooks.items()}
    assert commands["rollback"] == commands["confirm-promotion"] + "[ $? -eq 3 ]\n"
    words = shlex.split(commands["confirm-promotion"].replace("\\\n", ""))
    words[words.index("--prometheus") + 1] = NOWHERE
    assert words.pop(0) == "canary"
    assert main(words) == ExitCode.ERROR, capsys.readouterr().err
    service = found["Service"]["metadata"]
    assert {one["url"] for one in hooks.values()} == {
        f"http://{service['name']}.{service['namespace']}/"
    }
