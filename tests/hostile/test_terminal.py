"""What people see: no name, message or file of somebody else controls a terminal."""

import io
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from rich.text import Text

from canary.errors import UsageError
from canary.loadtest.external_tools import refuse_secret_header
from canary.metrics.options import options_of
from canary.render.console import SafeConsole
from canary.render.html_report import write_report
from canary.text.sanitize import sanitize_output

ROOT = Path(__file__).parents[2]
EVIL = "\x1b[2K\rOK: all is well\x9b1A\u202e\x07\x00\x7f"
PRINTERS = re.compile(r"typer\.echo\(|(?<!Safe)\bConsole\(|(?<![\w.])print\(")


def test_nothing_of_a_text_controls_the_terminal():
    """Line breaks and tabs are all that stays."""
    assert (
        sanitize_output(f"a\tb\n{EVIL}")
        == "a\tb\n\ufffd[2K\ufffdOK: all is well\ufffd1A" + "\ufffd" * 4
    )


def test_rich_writes_its_own_styles_and_none_of_a_texts():
    """A style of ours is an escape sequence as well; it stays."""
    stream = io.StringIO()
    SafeConsole(file=stream, force_terminal=True, color_system="standard", width=200).print(
        Text(EVIL, style="bold red"), markup=False
    )
    written = stream.getvalue()
    assert "\x1b[1;31m" in written
    assert "\x1b[2K" not in written
    assert not set("\r\x9b\x07\x00\x7f\u202e") & set(written)


def test_one_function_prints():
    """All but the demo, which prints what it has made itself."""
    found = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "canary").rglob("*.py")
        if "demo" not in str(file) and PRINTERS.search(file.read_text())
    }
    assert found == {"canary/render/terminal.py", "canary/cli/main.py"}


@pytest.mark.parametrize("place", ["kind", "name"])
def test_a_file_forges_no_line_of_lint(tmp_path: Path, place: str):
    """The kind and the name of an object that is not ours are shown."""
    file = tmp_path / "a.yaml"
    evil = r'"\e[2K\rOK\a"'
    kind, name = (evil, "a") if place == "kind" else ("ConfigMap", evil)
    file.write_text(f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}}}\n")
    done = subprocess.run(
        [sys.executable, "-m", "canary", "lint", str(file)], capture_output=True, check=False
    )
    shown = done.stdout + done.stderr
    assert shown
    assert b"\x1b" not in shown
    assert b"\r" not in shown
    assert b"\a" not in shown


def test_a_report_is_for_the_user_alone(tmp_path: Path):
    """It has names, times and messages of an incident."""
    path = tmp_path / "report.html"
    write_report(path, "<html>")
    write_report(path, "<html>")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://prometheus.monitoring:9090", True),
        ("https://prometheus.monitoring:9090", False),
        ("http://localhost:9090", False),
    ],
)
def test_a_token_that_is_sent_without_encryption_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, url: str, *, said: bool
):
    """Whoever listens on the way can use it."""
    file = tmp_path / "prometheus.yaml"
    file.write_text("authorization: {credentials: secret}")
    options_of(url, file)
    assert ("without encryption" in caplog.text) is said
    assert "secret" not in caplog.text


@pytest.mark.parametrize("header", ["Authorization: Bearer s3cret", "cookie: a=s3cret"])
def test_no_credentials_are_given_to_oha_on_its_command_line(header: str):
    """Whoever may list the processes of the machine would read them."""
    with pytest.raises(UsageError, match="list processes") as caught:
        refuse_secret_header(header)
    assert "s3cret" not in str(caught.value)
    refuse_secret_header("Accept: */*")
