"""`canary lint` on files, standard input and what is no file at all."""

import io
import json
import sys
from pathlib import Path

import pytest

from canary.cli.main import main
from tests.discovery.simulated_cluster import BASE, RELEASE, build_cluster
from tests.discovery.simulated_prometheus import FakePrometheus, gateway_series
from tests.http_server import HttpServer as MetricServer
from tests.kube.api_server import ApiServer

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
GOOD = (EXAMPLES / "auth.yaml").read_text("utf-8")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names in messages are as given on the command line."""
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text(GOOD, "utf-8")
    Path("bad.yaml").write_text(GOOD.replace("weight: 5,", "weight: 500,"), "utf-8")


def test_a_valid_file_is_said_to_be_valid(capsys: pytest.CaptureFixture[str]) -> None:
    """One line with the name of each release."""
    assert main(["lint", "good.yaml"]) == 0
    assert capsys.readouterr().out == "good.yaml: auth: valid\n"


def test_all_problems_of_all_files_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A file that cannot be read hides no problem of another, and places are clickable."""
    Path("folder").mkdir()
    assert main(["lint", "none.yaml", "bad.yaml", "folder", "good.yaml"]) == 2
    assert capsys.readouterr().out.splitlines() == [
        "none.yaml:1:1: error: file: expected a readable file, found: No such file or directory",
        "bad.yaml:17:6: error: spec.steps[1].weight: expected a weight from 1 to 100 (percent), found 500",
        "folder:1:1: error: file: expected a readable file, found: Is a directory",
        "good.yaml: auth: valid",
    ]


@pytest.mark.parametrize(
    ("right", "wrong", "sentence"),
    [
        pytest.param(
            "preset: traefik",
            "preset: trafik",
            "unknown ratio preset 'trafik'; did you mean traefik?",
            id="a misspelt ratio preset",
        ),
        pytest.param(
            "preset: hikaricp",
            "preset: traefik",
            "unknown pool preset 'traefik' (allowed: hikaricp, ",
            id="a ratio preset where a pool preset is meant",
        ),
    ],
)
def test_unknown_presets_are_problems(
    right: str, wrong: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A preset that does not exist never validates; those that exist are listed."""
    Path("x.yaml").write_text(GOOD.replace(right, wrong), "utf-8")
    assert main(["lint", "x.yaml"]) == 2
    assert sentence in capsys.readouterr().out


def test_standard_input_and_other_kinds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-` reads standard input; objects of other kinds are named and left alone."""
    text = f"{GOOD}---\napiVersion: v1\nkind: Service\nmetadata: {{name: auth}}\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["lint", "-"]) == 0
    assert capsys.readouterr().out == "stdin: auth: valid\nstdin: Service auth: skipped\n"


def test_json_says_the_same_as_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """One object with a version, for programs."""
    assert main(["lint", "-o", "json", "good.yaml", "bad.yaml"]) == 2
    assert json.loads(capsys.readouterr().out) == {
        "schemaVersion": 1,
        "valid": False,
        "files": [
            {
                "file": "good.yaml",
                "valid": [{"namespace": "prod", "name": "auth"}],
                "skipped": [],
                "problems": [],
                "risks": [],
            },
            {
                "file": "bad.yaml",
                "valid": [],
                "skipped": [],
                "problems": [
                    {
                        "line": 17,
                        "column": 6,
                        "path": "spec.steps[1].weight",
                        "message": "expected a weight from 1 to 100 (percent), found 500",
                    }
                ],
                "risks": [],
            },
        ],
    }


@pytest.fixture
def risky() -> str:
    """A valid file with one warning and one error."""
    text = GOOD.replace("bake: 30m", "bake: 0s").replace("preset: hikaricp", "preset: sqlalchemy")
    Path("risky.yaml").write_text(text, "utf-8")
    return "risky.yaml"


def test_risks_are_lines_with_place_rule_and_remedy(
    risky: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error among them makes exit code 2, a warning only with --strict."""
    assert main(["lint", risky]) == 2
    first, warning, error = capsys.readouterr().out.splitlines()
    assert first == "risky.yaml: auth: valid, 2 risks"
    assert warning == (
        "risky.yaml:20:3: warning: spec.bake: bake is 0s. "
        "Set bake: 30m, because leaks and slow faults can appear after the last step. [no-bake]"
    )
    assert error.endswith("[metric-impossible]")
    Path("mild.yaml").write_text(GOOD.replace("bake: 30m", "bake: 0s"), "utf-8")
    assert main(["lint", "mild.yaml"]) == 0
    assert main(["lint", "--strict", "mild.yaml"]) == 2


def test_risks_for_programs(risky: str, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON keeps message and remedy apart; SARIF names the rules."""
    main(["lint", "-o", "json", risky])
    found = json.loads(capsys.readouterr().out)
    assert found["valid"] is False
    warning, error = found["files"][0]["risks"]
    assert (warning["rule"], warning["level"], warning["line"]) == ("no-bake", "warning", 20)
    assert warning["remedy"].startswith("Set bake: 30m")
    assert error["level"] == "error"
    main(["lint", "-o", "sarif", risky, "bad.yaml"])
    run = json.loads(capsys.readouterr().out)["runs"][0]
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert rules == {"no-bake", "metric-impossible", "spec"}
    assert {result["level"] for result in run["results"]} == {"warning", "error"}


def test_a_cluster_and_prometheus_are_asked_when_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the file names is looked up in the namespace that it would be applied to."""
    unplaced = RELEASE.replace("name: auth, namespace: prod", "name: auth")
    Path("release.yaml").write_text(unplaced, "utf-8")
    prometheus = MetricServer()
    prometheus.answer = FakePrometheus(gateway_series(0.2))
    try:
        with ApiServer(build_cluster(*BASE)) as server:
            place = ("--kubeconfig", str(server.kubeconfig(tmp_path)))
            arguments = ["lint", "--cluster", "release.yaml", *place]
            assert main([*arguments, "-n", "prod"]) == 0
            assert capsys.readouterr().out == "release.yaml: auth: valid\n"
            assert main([*arguments, "-n", "test"]) == 2
            assert "there is no Deployment auth in namespace test" in capsys.readouterr().out
            assert main([*arguments, "-n", "prod", "--prometheus", prometheus.url]) == 0
            assert "at 0.2 requests/s a regression of 0.5 %" in capsys.readouterr().out
            server.refuse = {"get deployments": 403}
            assert main([*arguments, "-n", "prod"]) == 7
            server.refuse["*"] = 503
            assert main([*arguments, "-n", "prod"]) == 1
        assert main(["lint", "release.yaml", "--prometheus", "http://127.0.0.1:9"]) == 1
    finally:
        prometheus.close()
    for line in capsys.readouterr().err.splitlines():
        assert line.startswith("canary: ")
