"""`canary lint` on files, standard input and what is no file at all."""

import io
import json
import sys
from pathlib import Path

import pytest

from canary.cli.main import main

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
        "none.yaml:1:1: file: a readable file is expected, found: No such file or directory",
        "bad.yaml:17:6: spec.steps[1].weight: a weight from 1 to 100 (percent) is expected, found 500",
        "folder:1:1: file: a readable file is expected, found: Is a directory",
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
        "version": 1,
        "valid": False,
        "files": [
            {
                "file": "good.yaml",
                "valid": [{"namespace": "prod", "name": "auth"}],
                "skipped": [],
                "problems": [],
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
                        "message": "a weight from 1 to 100 (percent) is expected, found 500",
                    }
                ],
            },
        ],
    }
