"""The program as a whole: exit codes, messages, and what it leaves unsaid."""

import os
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from canary import __version__
from canary.cli import main as program
from canary.errors import (
    CanaryError,
    ConflictError,
    ExitCode,
    NotFoundError,
    PermanentError,
    TransientError,
    UsageError,
    install_command,
)

ROOT = Path(__file__).parents[2]
EXAMPLE = str(ROOT / "docs/examples/auth.yaml")


class UnrulyError(CanaryError):
    exit_code = ExitCode.FAILED


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch):
    """A program whose commands all end with the error that the test sets."""

    def install(error: BaseException) -> None:
        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(program, "build_app", lambda _commands: fail)

    return install


ERRORS = [
    pytest.param(
        CanaryError("no port is free"),
        1,
        "canary: no port is free\n",
        id="an error of ours is its own message",
    ),
    pytest.param(TransientError("later"), 1, "canary: later\n", id="an error that passes"),
    pytest.param(PermanentError("never"), 1, "canary: never\n", id="an error that stays"),
    pytest.param(
        ConflictError("somebody wrote"), 1, "canary: somebody wrote\n", id="a refused write"
    ),
    pytest.param(UsageError("no such flag"), 2, "canary: no such flag\n", id="wrong input"),
    pytest.param(
        NotFoundError("no release"), 7, "canary: no release\n", id="something that is not there"
    ),
    pytest.param(
        UnrulyError("bad canary"),
        3,
        "canary: bad canary\n",
        id="an error with an exit code of its own",
    ),
    pytest.param(KeyboardInterrupt(), 130, "", id="Ctrl-C needs no words"),
    pytest.param(SystemExit(5), 5, "", id="a command that chose its exit code"),
    pytest.param(SystemExit(), 0, "", id="a command that just ended"),
    pytest.param(
        ValueError("a\nb"),
        1,
        "canary: unexpected ValueError: a (run again with --debug for the traceback)\n",
        id="a bug is one line",
    ),
    pytest.param(
        KeyError(),
        1,
        "canary: unexpected KeyError (run again with --debug for the traceback)\n",
        id="a bug without words",
    ),
    pytest.param(
        ModuleNotFoundError("No module named 'psycopg'", name="psycopg"),
        1,
        f"canary: the Python module psycopg is missing: {install_command('demo')}\n",
        id="an extra that is not installed",
    ),
    pytest.param(
        OSError(28, "No space left on device", "/data/x"),
        1,
        "canary: No space left on device: /data/x (run again with --debug for the traceback)\n",
        id="a full disk",
    ),
]


@pytest.mark.parametrize(("error", "code", "said"), ERRORS)
def test_an_error_is_one_message_and_one_exit_code(
    error: BaseException, code: int, said: str, failing, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever happens inside, a person gets a sentence and a script gets a number."""
    failing(error)
    assert program.main(["lint"]) == code
    assert capsys.readouterr() == ("", said)


def test_debug_prints_the_traceback_and_keeps_the_exit_code(
    failing, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--debug` may stand after the command as well."""
    failing(NotFoundError("no release"))
    assert program.main(["lint", "--debug"]) == ExitCode.NOT_FOUND
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert said.endswith("canary: no release\n")


USAGE = [
    pytest.param(["bogus"], "No such command 'bogus'", id="an unknown command"),
    pytest.param(["--bogus"], "No such option: --bogus", id="an unknown option"),
    pytest.param(["lint"], "Missing argument 'FILE'", id="a missing argument"),
    pytest.param(
        ["lint", "-o", "xml", "-"], "'-o' / '--output': expected one of text, json", id="a choice"
    ),
    pytest.param(["lint", "-o", "xml", "-"], ", found 'xml'\n", id="the choice that was found"),
    pytest.param(
        ["operator", "--workers", "many"],
        "expected a whole number such as 10, found 'many'\n",
        id="no whole number",
    ),
    pytest.param(
        ["operator", "--workers", "0"],
        "expected a number of at least 1, found '0'\n",
        id="a number that is too small",
    ),
]


@pytest.mark.parametrize(("arguments", "said"), USAGE)
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Usage errors say what is wrong, on standard error."""
    assert program.main(arguments) == ExitCode.USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints name and version and nothing else."""
    assert program.main(["--version"]) == 0
    assert capsys.readouterr().out == f"canary {__version__}\n"


def test_the_list_of_commands_cuts_nothing_off() -> None:
    """Each command's line fits a terminal of 80 columns."""
    help_text = run("-m", "canary", "--help", COLUMNS="80").stdout
    lines = help_text.split("Commands:\n")[1].splitlines()
    assert len(lines) > 20
    assert [line for line in lines if line.endswith("...")] == []


def test_python_m_canary_is_the_program() -> None:
    """`python -m canary` does what `canary` does, and so does the name kubectl-canary."""
    done = run("-m", "canary", "--help")
    assert done.stdout.startswith("Usage: canary [OPTIONS] COMMAND")
    code = "import sys; sys.argv = ['/bin/kubectl-canary', '-h']; from canary.cli.main import run; run()"
    assert run("-c", code).stdout.startswith("Usage: kubectl canary [OPTIONS] COMMAND")


def test_help_imports_nothing_heavy() -> None:
    """Commands import their libraries when they run, so that help comes at once."""
    heavy = "{'pydantic', 'yaml', 'requests', 'numpy', 'plotly', 'aiohttp', 'psycopg', 'rich.live'}"
    code = f"""
import sys
from canary.cli.main import main
main(["--help"])
print("heavy:", sorted({heavy} & set(sys.modules)))
"""
    assert run("-c", code).stdout.endswith("heavy: []\n")


def test_a_reader_that_leaves_is_no_error() -> None:
    """With standard output closed by its reader, nothing is said and no traceback appears."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "canary", "lint", EXAMPLE],
        stdout=writing,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        check=False,
        timeout=60,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("command", [["lint", EXAMPLE], ["--help"], ["manifests", "crd"]])
def test_a_closed_standard_output_is_said(command: list[str]) -> None:
    """`>&-` is exit code 2 and a sentence, whatever the command."""
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "canary", *command]
    done = subprocess.run(shell, stderr=subprocess.PIPE, cwd=ROOT, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith(b"canary: standard output is closed")


def test_with_standard_error_closed_messages_stay_out_of_the_results() -> None:
    """`2>&-` loses what is said, and nothing else."""
    shell = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-m", "canary", "notify", "gone"]
    done = subprocess.run(shell, stdout=subprocess.PIPE, cwd=ROOT, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, b"")


def test_a_terminal_without_unicode_is_no_error() -> None:
    """Characters that the terminal does not have are replaced, never raised."""
    done = run("-m", "canary", "lint", "→.yaml", PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert done.returncode == 2
    assert done.stdout.startswith("?.yaml:1:1: error: file: expected a readable file")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, in this tree."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
        check=False,
        timeout=60,
    )


def test_every_exit_code_is_documented() -> None:
    """docs/exit-codes.md has a row for each code that the program knows."""
    page = (ROOT / "docs/exit-codes.md").read_text("utf-8")
    assert [code for code in ExitCode if f"\n| {code.value} | " not in page] == []


def test_a_wheel_has_every_file_that_the_program_reads() -> None:
    """What is not Python is only installed where package-data names it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = settings["tool"]["setuptools"]["package-data"]["canary"]
    package = ROOT / "canary"
    files = {
        str(path.relative_to(package))
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert files
    assert {file for file in files if not any(fnmatch(file, one) for one in named)} == set()
