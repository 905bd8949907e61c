"""A real Prometheus with a past: counters of pods that were never there, written as its blocks."""

import random
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.metrics.real_prometheus import RealPrometheus

STEP = 15


@dataclass(frozen=True)
class SimulatedLifetime:
    """One pod: from when to when (seconds) it served how many requests a second, how many bad."""

    pod: str
    start: float
    end: float
    rps: float = 20.0
    bad: Callable[[float], float] = lambda _: 0.001
    version: str = "v1"
    leak: float = 0.0
    """Connections a second that are never given back, of a pool of 50."""


def lines(lives: Iterable[SimulatedLifetime], seed: int = 1) -> Iterator[str]:
    """OpenMetrics: `http_requests_total` by code, and the gauges and counters of a HikariCP pool."""
    found: dict[str, list[str]] = {}
    for number, life in enumerate(lives):
        for name, line in _samples(life, f"{seed}-{number}"):
            found.setdefault(name, []).append(line)
    for name, rows in found.items():
        family = name.removesuffix("_total")
        yield f"# TYPE {family} {'counter' if name.endswith('_total') else 'gauge'}"
        yield from rows
    yield "# EOF\n"


def _samples(life: SimulatedLifetime, seed: str) -> Iterator[tuple[str, str]]:
    chance = random.Random(seed)  # noqa: S311 - simulated requests, no secrets
    labels = f'namespace="prod",pod="{life.pod}",instance="{life.pod}:80",version="{life.version}"'
    good = bad = 0
    for at in range(int(life.start), int(life.end) + 1, STEP):
        requests = max(0, round(chance.gauss(life.rps * STEP, (life.rps * STEP) ** 0.5)))
        failed = sum(chance.random() < life.bad(at) for _ in range(requests))
        good, bad = good + requests - failed, bad + failed
        for code, count in (("200", good), ("500", bad)):
            yield (
                "http_requests_total",
                f'http_requests_total{{{labels},code="{code}"}} {count} {at}',
            )
        if life.leak:
            lost = min(50, round(life.leak * (at - life.start)))
            yield from _pool(labels, lost, (at - life.start) * 2.0, at)


def _pool(labels: str, lost: int, held: float, at: int) -> Iterator[tuple[str, str]]:
    own = f'{labels},pool="main"'
    values = {"active": 2 + lost, "max": 60, "pending": 0, "usage_seconds_sum": held}
    for name, value in values.items():
        full = f"hikaricp_connections_{name}"
        yield full, f"{full}{{{own}}} {value} {at}"


class BackfilledSeries(RealPrometheus):
    """A Prometheus with this past, in OpenMetrics; skips the test where there is no `promtool`."""

    def __init__(self, home: Path, text: Iterable[str]) -> None:
        tool = shutil.which("promtool")
        if tool is None:
            pytest.skip("there is no `promtool` on PATH")
        file, data = home / "history.om", home / "data"
        file.write_text("\n".join(text))
        command = [tool, "tsdb", "create-blocks-from", "openmetrics", str(file), str(data)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        super().__init__(home, "{}")


class BackfilledPrometheus(BackfilledSeries):
    """That Prometheus with the past of these pods."""

    def __init__(self, home: Path, lives: Iterable[SimulatedLifetime]) -> None:
        super().__init__(home, lines(lives))
