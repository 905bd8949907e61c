"""`canary loadtest` as its users call it: exit codes, what is printed, what is written."""

import json
import os
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from canary.cli.main import main
from canary.errors import install_command
from tests.http_server import serve_status

SHORT = ["--rate", "60", "--duration", "500ms", "--warm-up", "100ms"]


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch):
    """Whatever runs these tests writes no summary for them."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)


def test_a_target_that_holds_passes(capsys, tmp_path):
    """Exit code 0, the verdicts, and a case for each threshold in JUnit."""
    report = tmp_path / "load.xml"
    with serve_status() as server:
        options = ["--max-p99", "5s", "--min-rate-achieved", "90%", "--junit", str(report)]
        assert main(["loadtest", f"{server.url}/a?b=c", *SHORT, *options]) == 0
    assert {one.path for one in server.requests} == {"/a?b=c"}
    printed = capsys.readouterr()
    assert "passed: 30 requests, 60 good answers/s, 0.00% failed" in printed.out
    names = [case.get("name") for case in ET.parse(report).iter("testcase")]  # noqa: S314 - ours
    assert names == ["generator", "error ratio", "p99", "rate achieved"]


def test_a_target_that_fails_fails(capsys):
    """Exit code 3, and one JSON document on standard output."""
    with serve_status(lambda _: 500) as server:
        assert main(["loadtest", server.url, *SHORT, "-o", "json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert (document["schemaVersion"], document["exitCode"]) == (1, 3)
    assert document["facts"]["statuses"] == {"500": 30}
    assert document["facts"]["requests"][0]["name"] == "GET /"


def test_a_load_that_was_not_put_on_is_inconclusive(capsys):
    """Exit code 6, and what to do about it."""
    never = threading.Event()
    with serve_status(lambda _: never.wait(0.2) or 200) as server:
        assert main(["loadtest", server.url, *SHORT, "--max-in-flight", "1"]) == 6
    printed = capsys.readouterr().out
    assert "inconclusive, the load generator was the limit" in printed
    assert "→ too many requests had no answer: increase --max-in-flight" in printed


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["http://127.0.0.1:1"], 1, "cannot connect to 127.0.0.1:1", id="nobody there"),
        pytest.param(["http://example.com"], 2, "--allow-host example.com", id="not ours"),
        pytest.param(
            ["example"],
            2,
            "expected a URL such as http://127.0.0.1:8080, found 'example'",
            id="no URL",
        ),
        pytest.param(["http://[::1"], 2, "found 'http://[::1'", id="half an IPv6 address"),
        pytest.param(["http://a", "--timeout", "0s"], 2, "timeout must be above 0", id="no time"),
        pytest.param(["http://a", "--rate", "x"], 2, "found 'x'", id="no rate"),
        pytest.param(["http://a", "--max-p99", "10s"], 2, "shorter than", id="a vain threshold"),
        pytest.param(
            ["http://a", "--min-rate-achieved", "51"], 2, "at most", id="an impossible one"
        ),
        pytest.param(["http://a", "--min-rate-achieved", "x%"], 2, "found 'x%'", id="no share"),
        pytest.param(
            ["http://a", "--max-error-ratio", "2"], 2, "between 0 and 1", id="more than all"
        ),
        pytest.param(
            ["http://a", "--requests", "no.yaml"], 2, "no.yaml: cannot read", id="no file"
        ),
        pytest.param(
            ["http://a", "--ca-file", "no.pem"],
            2,
            "--ca-file: cannot read no.pem",
            id="no authority",
        ),
        pytest.param(
            ["http://a", "--k6", "a.js", "--rate", "9"], 2, "combined with --k6", id="both"
        ),
        pytest.param(["http://a", "--junit", "."], 2, "--junit", id="a directory for a file"),
    ],
)
def test_wrong_input_is_one_message(capsys, arguments, code, said):
    """On standard error, with the exit code of its kind, before anything is sent."""
    assert main(["loadtest", *arguments]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert "Traceback" not in printed.err


def test_without_the_extra_it_says_what_to_install(capsys, monkeypatch):
    """The base installation has the command, and no libcurl."""
    monkeypatch.setitem(sys.modules, "pycurl", None)
    assert main(["loadtest", "http://a"]) == 1
    assert install_command("load") in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupt_leaves_what_was_seen(tmp_path, number):
    """Exit code 130, the figures and the files."""
    started = threading.Event()
    summary = tmp_path / "summary.md"

    def answer(_: object) -> int:
        started.set()
        return 200

    with serve_status(answer) as server:
        command = [sys.executable, "-m", "canary", "loadtest", server.url, "--duration", "5m"]
        with subprocess.Popen(
            [*command, "--summary", str(summary)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            process_group=0,
        ) as process:
            assert started.wait(30)
            os.killpg(process.pid, number)
            said, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted: " in said
    assert "Traceback" not in errors
    assert summary.read_text("utf-8").startswith("## ")
