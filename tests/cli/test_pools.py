"""`canary pools` as people run it, against a real Prometheus that has a past."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.cli.pool_history import hikari_series, prometheus
from tests.metrics.real_prometheus import RealPrometheus

LEAKS, CALM = "auth-canary-5b7d4f-k8w2q", "auth-6c9d8f7b5-x2k4p"
SHOP = '{namespace="shop",pod="shop-0"}'


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrometheus]:
    """A pool that leaks beside one that does not, and another team's."""
    rows = {
        **hikari_series(LEAKS, 50, 0.03),
        **hikari_series(CALM, 50, 0.0, pending=0),
        f"pool_size{SHOP}": lambda _: 8,
        f"pool_available{SHOP}": lambda _: 0,
        f"pool_max{SHOP}": lambda _: 8,
    }
    one = prometheus(tmp_path_factory.mktemp("pools"), rows, time.time())  # noqa: TID251 - its own clock
    yield one
    one.close()


def ran(*arguments: str, timeout: float | None = 60) -> subprocess.CompletedProcess[str]:
    """The command in a pipe."""
    return subprocess.run(
        [sys.executable, "-m", "canary", "pools", *arguments],
        capture_output=True, text=True, timeout=timeout, check=False,
        env={**os.environ, "CANARY_PROMETHEUS_URL": ""} | {"COLUMNS": "80"},
    )  # fmt: skip


def test_pools_of_all_exporters_are_listed_the_nearest_to_its_end_first(real) -> None:
    """A line each, with what is left; exit code 0 though one is empty."""
    done = ran("--prometheus", real.url)
    assert (done.returncode, done.stderr) == (0, "")
    heads, *lines = (line.split() for line in done.stdout.splitlines())
    assert heads[:4] == ["NAMESPACE", "SERVICE", "VERSION", "POD"]
    assert [line[3] for line in lines] == ["shop-0", LEAKS, CALM]
    assert lines[0][-1] == "0s"
    assert lines[1][1:3] == ["auth", "canary"]


def test_a_namespace_is_a_label_and_json_is_for_machines(real) -> None:
    """No cluster is asked."""
    done = ran("--prometheus", real.url, "-n", "prod", "-o", "json")
    pools = json.loads(done.stdout)["pools"]
    assert [one["pod"] for one in pools] == [LEAKS, CALM]
    assert pools[0]["held"] > 10
    assert 300 < pools[0]["secondsToExhaustion"] < 1200
    assert pools[1]["secondsToExhaustion"] is None


def test_watching_in_a_pipe_prints_lines_until_it_is_interrupted(real) -> None:
    """Each with its time; Ctrl-C is exit code 130."""
    with subprocess.Popen(
        [sys.executable, "-m", "canary", "pools", "--prometheus", real.url, "-w", "-n", "shop"],
        stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline().startswith("TIME")
        assert "shop-0" in child.stdout.readline()
        child.send_signal(2)
        assert child.wait(30) == 130


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(["-n", "nowhere"], 6, "no connection pool with namespace='nowhere'", id="no pool there"),
        pytest.param(["-n", "a", "-A"], 2, "cannot be combined with -A", id="one namespace and all"),
        pytest.param(["-w", "-o", "json"], 2, "cannot be combined with -o", id="watching for machines"),
        pytest.param(["-o", "wide"], 2, "json, yaml", id="a format that is none"),
        pytest.param(["-w", "--interval", "0"], 2, "at least 1s", id="no pause at all"),
        pytest.param(["--interval", "soon"], 2, "a duration", id="a pause that is none"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_said(real, arguments: list[str], code: int, words: str) -> None:
    """One message, the right exit code, nothing on standard output but an empty document."""
    done = ran("--prometheus", real.url, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words.partition(" or ")[0] in done.stderr
    assert "Traceback" not in done.stderr


def test_no_address_is_a_wrong_option_and_a_dead_one_an_error() -> None:
    """2 and 1."""
    without, dead = ran(), ran("--prometheus", "http://127.0.0.1:1")
    assert (without.returncode, dead.returncode) == (2, 1)
    assert "--prometheus" in without.stderr
    assert "cannot connect" in dead.stderr
