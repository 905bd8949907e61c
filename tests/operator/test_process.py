"""The operator as a process: flags, logs, probes."""

import json
import logging
import platform
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from canary.api import Reason, Status
from canary.cli import main as program
from canary.errors import UsageError
from canary.interfaces import Key
from canary.kube.leases import LeaseName
from canary.operator.logs import ConsoleLines, JsonLines
from canary.operator.memory import MOST_ARENAS
from canary.operator.metrics import OperatorMetrics
from canary.operator.reconciler import current_release
from canary.operator.server import OperatorServer, parse_address
from canary.operator.settings import lease_name

WRONG = [
    pytest.param(["--metrics-address", "here"], "expected HOST:PORT", id="no address"),
    pytest.param(["--metrics-address", ":70000"], "expected HOST:PORT", id="no such port"),
    pytest.param(
        ["--prometheus-url", "prometheus:9090"], "--prometheus-url: expected http", id="no scheme"
    ),
    pytest.param(
        ["--router-metrics-url", "http://"], "--router-metrics-url: expected http", id="no host"
    ),
    pytest.param(["--prometheus-config", "/no/file"], "cannot read /no/file", id="no such file"),
    pytest.param(["--workers", "0"], "expected a number of at least 1, found '0'", id="no workers"),
    pytest.param(["--hold-mode", "never"], "found 'never'", id="no such mode"),
    pytest.param(["--kubeconfig", "/no/file"], "cannot load a configuration", id="no kubeconfig"),
]


@pytest.mark.parametrize(("flags", "words"), WRONG)
def test_wrong_flags(flags: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One message, exit code 2, no traceback."""
    assert program.main(["operator", *flags]) == 2
    said = capsys.readouterr().err
    assert words in " ".join(said.split())
    assert "Traceback" not in said


def test_flag_by_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each flag has an environment variable."""
    monkeypatch.setenv("CANARY_METRICS_ADDRESS", "nowhere")
    assert program.main(["operator"]) == 2
    assert "found 'nowhere'" in capsys.readouterr().err


@pytest.fixture
def unreachable(tmp_path: Path) -> str:
    """The kubeconfig of a server that is not there."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": {}}],
    }
    file = tmp_path / "config"
    file.write_text(json.dumps(config))
    return str(file)


def test_unreachable_server(
    unreachable: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An API server that is not there is one sentence and exit code 1."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    assert program.main(["operator", "--kubeconfig", unreachable, "--metrics-address", ":0"]) == 1
    said = capsys.readouterr().err
    assert "cannot reach the API server at http://127.0.0.1:9" in said
    assert "Traceback" not in said


MANY_THREADS = """
import ctypes, sys, threading
from canary.cli import main as program

assert program.main(["operator", "--kubeconfig", sys.argv[1], "--metrics-address", ":0"]) == 1
barrier = threading.Barrier(12)

def allocate() -> None:
    buffer = bytearray(100_000)
    barrier.wait()

threads = [threading.Thread(target=allocate) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
libc.malloc_info(0, ctypes.c_void_p(libc.fdopen(1, b"w")))
libc.fflush(None)
"""
"""Starts the operator, which ends at once, and then threads; prints the arenas of glibc's malloc."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no arenas")
def test_threads_of_the_operator_share_two_arenas(unreachable: str) -> None:
    """Each arena keeps freed memory: with eight per core the operator grew by 60 MiB per hour."""
    command = [sys.executable, "-c", MANY_THREADS, unreachable]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 1 <= ended.stdout.count("<heap nr=") <= MOST_ARENAS, ended.stdout


def _line(formatter: logging.Formatter, **extra: str) -> str:
    record = logging.LogRecord("canary.x", logging.INFO, "f", 1, "so %s", ("it is",), None)
    record.created = 1_800_000_000.5
    record.__dict__.update(extra)
    status = Status(step=2, weight=25, reason=Reason.HOLDING)
    token = current_release.set((Key("prod", "auth"), status))
    try:
        return formatter.format(record)
    finally:
        current_release.reset(token)


def test_json_lines() -> None:
    """Each line of a pass says which release, step and reason."""
    assert json.loads(_line(JsonLines())) == {
        "time": "2027-01-15T08:00:00.500Z",
        "level": "info",
        "logger": "canary.x",
        "message": "so it is",
        "namespace": "prod",
        "release": "auth",
        "step": 2,
        "weight": 25,
        "phase": "Pending",
        "reason": "Holding",
    }
    assert json.loads(_line(JsonLines(), reason="Promoted"))["reason"] == "Promoted"


def test_console_lines() -> None:
    """The same for people."""
    line = _line(ConsoleLines())
    assert line == "08:00:00.500 INFO prod/auth [step=2 weight=25 reason=Holding] so it is"


def test_probes_and_metrics() -> None:
    """A probe fails with the reason; metrics are what Prometheus reads."""
    wrong: list[str] = []
    telemetry = OperatorMetrics()
    server = OperatorServer(
        ("127.0.0.1", 0), {"/livez": list, "/readyz": lambda: wrong}, telemetry.registry
    )

    def get(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}") as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    assert get("/livez") == (200, "ok")
    assert get("/readyz?verbose") == (200, "ok")
    wrong.append("the caches are not filled yet")
    assert get("/readyz") == (503, "the caches are not filled yet")
    telemetry.rest.requested("GET", "h", "200", 0.1)
    telemetry.queue.added()
    code, text = get("/metrics")
    assert code == 200
    assert 'rest_client_requests_total{code="200",host="h",method="GET"} 1.0' in text
    assert 'workqueue_adds_total{name="canaryreleases"} 1.0' in text
    assert get("/")[0] == 404
    with pytest.raises(UsageError, match="cannot listen"):
        OperatorServer(("127.0.0.1", server.port), {}, telemetry.registry)
    server.stop()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("localhost:8080", ("localhost", 8080)),
        ("[::]:1", ("::", 1)),
    ],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    """As in other operators."""
    assert parse_address(text) == expected


def test_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease is that of the pod's namespace; two processes of one pod are not the same."""
    monkeypatch.setenv("POD_NAME", "canary-0")
    monkeypatch.setenv("POD_NAMESPACE", "canary-system")
    one, two = lease_name(None, "lease"), lease_name(None, "lease")
    assert (one.namespace, one.name) == ("canary-system", "lease")
    assert one.identity.startswith("canary-0_")
    assert one.identity != two.identity
    assert isinstance(one, LeaseName)
