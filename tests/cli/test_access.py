"""`canary access` as a pipeline runs it."""

import json
import re
import sys
from pathlib import Path

import pytest

from canary.access.scan import scan_paths
from canary.cli.main import main
from canary.errors import CanaryError, PermanentError, install_command

LEAK = "def renew(pool):\n    connection = pool.getconn()\n    connection.execute('')\n"
RIGHT = (
    "def renew(pool):\n    with pool.connection() as connection:\n        connection.execute('')\n"
)
NO_TIMEOUT = "import { Pool } from 'pg'\nexport const pool = new Pool()\n"


@pytest.fixture(autouse=True)
def in_a_small_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One leak, one right file, one warning, and an empty file."""
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "src/leak.py": LEAK,
        "src/right.py": RIGHT,
        "src/__init__.py": "",
        "web/pool.ts": NO_TIMEOUT,
        "docs/page.md": "# A page\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


def test_a_leak_is_shown_with_its_line_and_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    """A place to click on, the code, what to do, and how much was looked at; exit code 3."""
    assert main(["access"]) == 3
    shown = capsys.readouterr()
    place, code, *_ = shown.out.splitlines()
    assert place == (
        "src/leak.py:2:5: error: connection taken without a way back: an exception or an early return leaks it [python-connection]"
    )
    assert code == "    connection = pool.getconn()"
    assert "python-connection: Take it in a with statement" in shown.out
    assert shown.out.endswith("\n1 error and 1 warning in 3 files.\n")
    assert not shown.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(["src/right.py"], 0, id="right code passes"),
        pytest.param(["web"], 0, id="a warning alone passes"),
        pytest.param(["web", "--strict"], 3, id="unless warnings count"),
        pytest.param(["src", "web"], 3, id="several paths are looked at"),
        pytest.param(["src", "--exclude", "leak.py"], 0, id="what is left out"),
    ],
)
def test_the_exit_code_says_whether_the_pipeline_may_go_on(words: list[str], code: int) -> None:
    """0 or 3, as with every gate."""
    assert main(["access", *words]) == code


def test_a_place_can_be_silenced(capsys: pytest.CaptureFixture[str]) -> None:
    """By a comment in the line before that names the rule; another rule's name does nothing."""
    for name, code in {"python-connection": 0, "go-connection": 3}.items():
        silenced = LEAK.replace(
            "    connection = ", f"    # ast-grep-ignore: {name}\n    connection = "
        )
        Path("src/leak.py").write_text(silenced, "utf-8")
        assert main(["access", "src"]) == code
    assert "1 error in 2 files." in capsys.readouterr().out


def test_what_git_ignores_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Dependencies that lie beside the code are not ours to judge."""
    Path(".git").mkdir()
    Path(".gitignore").write_text("leak.py\n", "utf-8")
    assert main(["access", "src"]) == 0
    assert capsys.readouterr().out == "Nothing found in 1 file.\n"


def test_programs_get_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    """With a schema version; overlapping paths count once."""
    assert main(["access", "src", "src/leak.py", "-o", "json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert (found["schemaVersion"], found["valid"], found["files"]) == (1, False, 2)
    (one,) = found["findings"]
    assert (one["file"], one["line"], one["column"]) == ("src/leak.py", 2, 5)
    assert (one["level"], one["rule"]) == ("error", "python-connection")
    assert one["code"] == "connection = pool.getconn()"


def test_code_hosts_get_sarif(capsys: pytest.CaptureFixture[str]) -> None:
    """The finding with its place, the rule with what to do."""
    assert main(["access", "src", "-o", "sarif"]) == 3
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    (rule,), (result,) = run["tool"]["driver"]["rules"], run["results"]
    assert rule["shortDescription"]["text"].startswith("Take it in a with statement")
    assert result["ruleId"] == "python-connection"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "src/leak.py"
    assert place["region"] == {"startLine": 2, "startColumn": 5}


def test_a_file_that_is_not_text_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """It hides no finding, and it is not said to be fine."""
    Path("src/binary.py").write_bytes(b"\xff\xfe\x00x")
    assert main(["access", "src"]) == 3
    shown = capsys.readouterr()
    assert "1 error in 2 files." in shown.out
    assert shown.err == "canary: skipped src/binary.py: it is not UTF-8\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        pytest.param(["none"], "none: no such file or directory", id="no such path"),
        pytest.param(
            ["docs"],
            "docs: expected files in Python, Java, Go, JavaScript or TypeScript, found none",
            id="no language that has rules: silence is not a pass",
        ),
        pytest.param(
            ["src", "--exclude", "["],
            "--exclude: expected a glob as in .gitignore",
            id="a glob that is none",
        ),
    ],
)
def test_wrong_input_is_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    """Exit code 2, nothing on standard output."""
    assert main(["access", *words]) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert sentence in shown.err
    assert shown.err.count("\n") == 1


def test_without_ast_grep_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Exit code 1: nothing was looked at."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PermanentError, match=re.escape(install_command("access"))):
        scan_paths([tmp_path], programs=str(tmp_path))


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        pytest.param(
            "raise SystemExit('no rule today')", "failed: no rule today", id="it says why"
        ),
        pytest.param("", "failed: without a message", id="it says nothing, which is no pass"),
    ],
)
def test_an_ast_grep_that_breaks_is_no_pass(tmp_path: Path, script: str, sentence: str) -> None:
    """An error with its own words."""
    program = tmp_path / "ast-grep"
    program.write_text(f"#!{sys.executable}\n{script}\n", "utf-8")
    program.chmod(0o755)
    with pytest.raises(CanaryError, match=sentence):
        scan_paths([tmp_path], programs=str(tmp_path))
