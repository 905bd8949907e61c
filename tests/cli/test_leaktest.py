"""`canary leaktest` as its users call it: exit codes, what is printed, what is written."""

import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from canary.cli.main import main
from canary.errors import install_command
from tests.leaktest.leaky_service import LeakyService, serve_leaky

ROOT = Path(__file__).parents[2]
QUICK = ["--rate", "400", "--rule-out", "20", "--drain", "750ms", "--patience", "1s"]


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """Nothing of whatever runs these tests."""
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS", "CANARY_URL", "STABLE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("CANARY_POSTGRES", raising=False)


def quick():
    """Drains of 60 ms; a busy machine sends late."""
    return [*QUICK[:5], "60ms", "--patience", "100ms", "--min-offered", "0"]


def test_a_sound_version_passes(capsys, tmp_path):
    """Exit code 0; a line for each load on standard error, a case for each gauge in JUnit."""
    report = tmp_path / "leak.xml"
    with serve_leaky(LeakyService()) as leaky:
        assert main(["leaktest", leaky.url, *quick(), "--junit", str(report)]) == 0
    printed = capsys.readouterr()
    assert "no leak in " in printed.out
    assert "a leak of 1 in 20 is ruled out" in printed.out
    lines = printed.err.splitlines()
    assert lines[0].startswith("before         0 requests  at rest   0 of 50 in use")
    assert [line[:7] for line in lines[1:]] == [f"load {n:>2}" for n in range(1, len(lines))]
    names = [case.get("name") for case in ET.parse(report).iter("testcase")]  # noqa: S314 - ours
    assert names[0] == "connections"


def test_a_leak_fails(capsys, monkeypatch):
    """Exit code 3 and one JSON document; the URL may come from the environment of a check."""
    slow = ["--rate", "100", "--rule-out", "40", "--at-rate", "1", "-o", "json"]
    with serve_leaky(LeakyService(leak_every=20)) as leaky:
        monkeypatch.setenv("CANARY_URL", leaky.url)
        assert main(["leaktest", *quick(), *slow]) == 3
    found = json.loads(capsys.readouterr().out)
    assert (found["schemaVersion"], found["exitCode"]) == (1, 3)
    assert found["headline"].endswith("at 1 requests/s")
    assert found["facts"]["finding"] == "Leak"


def test_stable_is_loaded_only_when_it_is_named(monkeypatch):
    """The `before` checks of a release have its address; it is production, so that is not enough."""
    blind = LeakyService(page=lambda _: (404, b""))
    with serve_leaky(blind) as leaky, serve_leaky(LeakyService()) as stable:
        monkeypatch.setenv("STABLE_URL", stable.url)
        assert main(["leaktest", leaky.url, *quick()]) == 6
        assert stable.asked == 0
        assert main(["leaktest", leaky.url, *quick(), "--stable", stable.url]) == 6
        assert stable.asked > 0


def test_without_metrics_it_cannot_be_said(capsys):
    """Exit code 6, and where metrics may be had."""
    with serve_leaky(LeakyService(page=lambda _: (404, b""))) as leaky:
        assert main(["leaktest", leaky.url, *quick()]) == 6
    printed = capsys.readouterr().out
    assert "inconclusive, connections in use cannot be read" in printed
    assert "/metrics cannot be read: HTTP 404" in printed


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["http://127.0.0.1:1"], 1, "cannot connect to 127.0.0.1:1", id="nobody there"),
        pytest.param(["http://example.com"], 2, "--allow-host example.com", id="not ours"),
        pytest.param(["example"], 2, "a URL such as", id="no URL"),
        pytest.param(["http://a", "--rate", "0"], 2, "--rate: expected more than 0", id="no rate"),
        pytest.param(["http://a", "--rate", "5..9"], 2, "found '5..9'", id="a ramp"),
        pytest.param(
            ["http://a", "--rate", "nan"], 2, "--rate: expected more than 0", id="no number"
        ),
        pytest.param(
            ["http://a", "--duration", "5s"], 2, "--duration: expected at least", id="too short"
        ),
        pytest.param(["http://a", "--drain", "1ms"], 2, "--drain: ", id="no drain"),
        pytest.param(
            ["http://a", "--rule-out", "0"], 2, "--rule-out: expected more", id="every request"
        ),
        pytest.param(
            ["http://a", "--false-positive-rate", "2"],
            2,
            "expected a probability such as",
            id="no chance",
        ),
        pytest.param(["http://a", "--min-offered", "9"], 2, "--min-offered: expected", id="900 %"),
        pytest.param(["http://a", "--max", "0"], 2, "--max: expected more than 0", id="no pool"),
        pytest.param(["http://a", "--preset", "hikari"], 2, "'hikaricp'", id="a typo"),
        pytest.param(["http://a", "--metrics-url", "a"], 2, "expected a URL such as", id="no page"),
        pytest.param(
            ["http://a", "--requests", "no.yaml"], 2, "no.yaml: cannot read", id="no file"
        ),
        pytest.param(
            ["http://a", "--stable-metrics-url", "http://b"],
            2,
            "require --stable URL",
            id="no stable",
        ),
        pytest.param(
            ["http://a", "--postgres", "host=/nowhere"], 2, "--application-name", id="whose"
        ),
        pytest.param(
            ["http://a", "--postgres", "x", "--application-name", "a", "--preset", "rails"],
            2,
            "found both",
            id="two sources",
        ),
        pytest.param(
            ["http://a", "--postgres", "secret!", "--application-name", "a"],
            2,
            "expected a connection string",
            id="no connection string",
        ),
        pytest.param(
            [
                *("http://a", "--application-name", "a"),
                *("--postgres", "postgresql://u:secret@127.0.0.1:1/db"),
            ],
            1,
            "--postgres: cannot connect",
            id="no server",
        ),
    ],
)
def test_wrong_input_is_one_message(capsys, arguments, code, said):
    """On standard error, with the exit code of its kind, before anything is sent."""
    assert main(["leaktest", *arguments]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert "secret" not in printed.err
    assert "Traceback" not in printed.err


def test_without_the_extras_it_says_what_to_install(capsys, monkeypatch):
    """The client for any load, psycopg to ask PostgreSQL."""
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pycurl", None)
        assert main(["leaktest", "http://a"]) == 1
        assert install_command("load") in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert main(["leaktest", "http://a", "--postgres", "x", "--application-name", "a"]) == 1
    assert install_command("postgres") in capsys.readouterr().err


def test_an_interrupt_leaves_what_was_seen(tmp_path):
    """Exit code 130 and the files."""
    summary = tmp_path / "summary.md"
    with serve_leaky(LeakyService()) as leaky:
        command = [sys.executable, "-m", "canary", "leaktest", leaky.url, "--summary", str(summary)]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            process_group=0,
        ) as process:
            assert process.stderr is not None
            assert process.stderr.readline().startswith("before")
            os.killpg(process.pid, signal.SIGINT)
            said, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted after 0 requests" in said
    assert "Traceback" not in errors
    assert summary.read_text("utf-8").startswith("## ")


def test_the_example_is_a_check_that_a_release_can_run():
    """A suspended CronJob whose command this program understands."""
    text = (ROOT / "docs/examples/leaktest-cronjob.yaml").read_text("utf-8")
    (job,) = [one for one in yaml.safe_load_all(text) if one["kind"] == "CronJob"]
    assert job["spec"]["suspend"] is True
    template = job["spec"]["jobTemplate"]["spec"]
    assert template["backoffLimit"] == 0
    (container,) = template["template"]["spec"]["containers"]
    assert container["args"][0] == "leaktest"
    assert not [word for word in container["args"] if word.startswith("--stable")]
