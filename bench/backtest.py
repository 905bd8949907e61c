"""How long a backtest of a week takes: `python -m bench.backtest [--days 7] [--pods 10]`.

One release that stays beside the old version for the whole time, at 15 s: a real Prometheus holds
its past, all of it is read in slices of at most 11,000 points, and all of it is judged.
"""

import argparse
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import requests

from canary.analyze.evaluation import AnalysisWindow, evaluate_history
from canary.analyze.reader import check_available, read_metrics
from canary.analyze.series import SeriesGroups
from canary.api import load_release
from canary.backtest.judge import decision_rule, replay_release
from canary.backtest.releases import GroundTruth, PastRelease
from canary.core.series import Matcher, MatchOp
from canary.core.statistics import draw_poisson
from canary.metrics.prometheus import MAX_POINTS, Prometheus, PrometheusOptions

STEP = 15
DAY = 86_400
SPEC = load_release(
    """
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: auth}
spec:
  target: {name: auth}
  traffic: {replicas: {}}
  steps: [{weight: 10}]
  analysis:
    interval: 15s
    metrics: [{name: errors, ratio: {preset: http}}]
""",
    "bench",
).spec


def lines(start: int, end: int, pods: int, seed: int) -> Iterator[str]:
    """OpenMetrics: one canary pod and the others, 10 requests/s and 0.1 % bad each."""
    yield "# TYPE http_requests counter"
    for number in range(pods):
        chance = random.Random(f"{seed}-{number}")  # noqa: S311 - simulated requests, no secrets
        version = "v1" if number else "v2"
        labels = f'version="{version}",pod="auth-{number}",instance="10.0.0.{number}:80"'
        good = bad = 0
        for at in range(start, end + 1, STEP):
            good += draw_poisson(10 * STEP * 0.999, chance)
            bad += draw_poisson(10 * STEP * 0.001, chance)
            yield f'http_requests_total{{{labels},code="200"}} {good} {at}'
            yield f'http_requests_total{{{labels},code="500"}} {bad} {at}'
    yield "# EOF\n"


@contextmanager
def prometheus(start: int, end: int, pods: int, seed: int) -> Iterator[str]:
    """The address of a Prometheus with that past."""
    tool, server = shutil.which("promtool"), shutil.which("prometheus")
    if tool is None or server is None:
        raise SystemExit("prometheus and promtool are needed on PATH")
    with TemporaryDirectory() as folder:
        home = Path(folder)
        text, data = home / "past.om", home / "data"
        text.write_text("\n".join(lines(start, end, pods, seed)))
        command = [tool, "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - as above
        (home / "prometheus.yml").write_text("{}")
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        flags = {"config.file": home / "prometheus.yml", "storage.tsdb.path": data}
        arguments = [f"--{name}={value}" for name, value in flags.items()]
        process = subprocess.Popen(  # noqa: S603 - the user's own binary
            [server, *arguments, f"--web.listen-address={address}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _await(f"http://{address}")
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(30)


def _await(url: str) -> None:
    pause = Event()
    for _ in range(300):
        try:
            if requests.get(f"{url}/-/ready", timeout=2).ok:
                return
        except requests.ConnectionError:
            pass
        pause.wait(0.1)
    raise SystemExit("Prometheus did not start")


def measure(url: str, start: int, end: int) -> None:
    """Reads, judges, and prints what it took."""

    def version(value: str) -> tuple[Matcher, ...]:
        return (Matcher("version", MatchOp.EQUAL, value),)

    groups = SeriesGroups(version("v2"), version("v1"))
    span = AnalysisWindow.from_times(start, end, STEP)
    options = PrometheusOptions(url, read_timeout=60.0, max_bytes=256 << 20)
    began = time.perf_counter()
    with closing(Prometheus(options)) as source:
        by_metric = check_available(read_metrics(source, SPEC.analysis.metrics, groups, span.grid))
    there, busy = time.perf_counter(), time.process_time()
    past = PastRelease("v2", span.start, span.end, groups, None, GroundTruth.STAYED)
    seen = evaluate_history(SPEC.analysis, span, by_metric, decision_rule(SPEC, span))
    again = replay_release(past, SPEC, span, seen)
    done, busy = time.perf_counter(), time.process_time() - busy
    points = len(span.grid.times())
    print(f"{points:,} points a series, in slices of at most {MAX_POINTS:,} a query")
    print(
        f"read {there - began:.2f} s, folded {done - there:.2f} s, of which {busy:.2f} s were spent"
    )
    print("on a core (asked: at most 5 s; the rest went to other programs of this machine)")
    print(f"would have decided: {again.decision}, {again.bad:,.0f} bad canary requests in all")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.backtest", description=__doc__)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--pods", type=int, default=10, help="one of them is the canary")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    now = int(time.time())  # noqa: TID251 - Prometheus keeps no older past than two weeks
    end = now // STEP * STEP - STEP
    start = end - options.days * DAY
    with prometheus(start - DAY // 12, end, options.pods, options.seed) as url:
        measure(url, start, end)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
