"""Pools with a past: series of the last quarter of an hour in a real Prometheus' own storage."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.manifests.promtool import run_promtool
from tests.metrics.real_prometheus import RealPrometheus

EVERY = 5
SPAN = 900
Rows = Mapping[str, Callable[[float], float]]
"""Series with their labels, and the value so many seconds after the start."""


def hikari_series(pod: str, maximum: int, leak: float, **others: float) -> Rows:
    """Five are at work; `leak` connections per second are lost; `others` are gauges that stay."""
    labels = f'{{namespace="prod",pod="{pod}",pool="main"}}'
    name = "hikaricp_connections"
    rows: dict[str, Callable[[float], float]] = {
        f"{name}_active{labels}": lambda t: 5 + round(leak * t),
        f"{name}_max{labels}": lambda _: maximum,
        f"{name}_usage_seconds_sum{labels}": lambda t: 5 * t,
    }
    for key, value in others.items():
        rows[f"{name}_{key}{labels}"] = lambda _, value=value: value
    return rows


def prometheus(home: Path, rows: Rows, end: float) -> RealPrometheus:
    """A server that scrapes nothing and has these rows up to `end`; the caller closes it."""
    text = home / "history.txt"
    with text.open("w", encoding="utf-8") as file:
        for series, value in rows.items():
            for seconds in range(0, SPAN + 1, EVERY):
                file.write(f"{series} {value(seconds)} {end - SPAN + seconds:.0f}\n")
        file.write("# EOF\n")
    (home / "data").mkdir()
    made = run_promtool("tsdb", "create-blocks-from", "openmetrics", str(text), str(home / "data"))
    assert made.returncode == 0, made.stderr
    return RealPrometheus(home, json.dumps({"scrape_configs": []}))
