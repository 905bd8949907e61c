"""Whether the operator grows over time: `python -m bench.soak [--minutes 30] [--write]`.

Good, bad, changed and deleted releases run in a loop on the cluster of KUBECONFIG, as in
`bench.scale`. RSS, open files and threads of the operator and the watches that the API server
serves are sampled. Exit code 1 if one of them grows, 2 if something that is needed is missing.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event

from bench.scale import fleet
from bench.scale.counters import MIB, Counters, count_watches, read_resources
from bench.scale.environment import Environment, environment
from bench.scale.observer import observing
from bench.scale.processes import MissingError, Operator
from bench.scale.waiting import wait_until
from bench.soak.chart import Figure, draw
from bench.soak.churn import Churn
from bench.soak.trend import Point, find_trend
from canary.clock import now
from canary.errors import CanaryError

DOCUMENTS = Path(__file__).parents[2] / "docs"
PICTURE = DOCUMENTS / "pictures" / "soak.svg"
START, END = "<!-- bench-soak:start -->", "<!-- bench-soak:end -->"
BOUNDS = {"RSS (MiB)": 24.0, "open files": 6.0, "threads": 6.0, "watches": 6.0}
"""Largest growth per hour that counts as flat."""
_STEP, _SAMPLE = 1.0, 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; see the module for the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--services", type=int, default=12)
    parser.add_argument("--leak", action="store_true", help="leak on purpose, which must be found")
    parser.add_argument("--logs", type=Path, help="keep the logs here")
    parser.add_argument("--write", action="store_true", help="figures and picture go into docs/")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended
    try:
        with environment("5s", options.logs) as found:
            soak = Soak(found, options.services, leak=options.leak)
            soak.run(options.minutes * 60)
    except MissingError as error:
        print(error)
        return 2
    figures = soak.figures()
    lines = soak.report(figures)
    print("\n".join(lines))
    if options.write:
        PICTURE.write_text(draw(figures), "utf-8")
        _write(lines)
    return 0 if all(figure.trend.flat for figure in figures) else 1


class Soak:
    """One run."""

    def __init__(self, found: Environment, services: int, *, leak: bool) -> None:
        self._found = found
        self._whole = fleet.Fleet(
            services,
            prefix="soak",
            interval="5s",
            window="1m",
            steps=((20, "20s"), (50, "20s")),
            analysis=(("minDuration", "30s"),),
        )
        module = "bench.soak.leaking" if leak else "canary"
        namespaces = sorted({one.namespace for one in self._whole.services()})
        scope = [part for name in namespaces for part in ("--namespace", name)]
        self._operation = found.operator(
            lambda flags: [sys.executable, "-m", module, *flags],
            *(*scope, "--lease-name", "canary-soak", "--kubeconfig", os.environ["KUBECONFIG"]),
        )
        self._samples: dict[str, list[Point]] = {name: [] for name in BOUNDS}
        self._used: Counters | None = None
        self._ended: list[str] = []
        self._seconds = 0.0

    def run(self, seconds: float) -> None:
        """Run releases for so many seconds, and sample."""
        client = self._found.client
        try:
            with (
                observing(client, self._whole.prefix) as observer,
                self._operation.start() as operator,
            ):
                churn = Churn(client, self._whole, observer, self._found.monitoring.fail)
                churn.start()
                wait_until("the operator to be ready", operator.ready, 120)
                self._loop(churn, operator, seconds)
        finally:
            fleet.delete(client, self._whole)

    def _loop(self, churn: Churn, operator: Operator, seconds: float) -> None:
        began = sampled = now()
        before, pause = self._found.meter.read(operator), Event()
        while (at := now()) - began < seconds and operator.child.poll() is None:
            with suppress(OSError, CanaryError):  # a busy exporter or API server
                churn.step(at)
            if at >= sampled:
                self._sample(operator, at - began)
                sampled += _SAMPLE
                print(self._progress(churn, at - began), file=sys.stderr, flush=True)
            pause.wait(_STEP)
        if operator.child.poll() is not None:
            raise MissingError(f"the operator has ended with code {operator.child.returncode}")
        self._seconds = now() - began
        self._used = self._found.meter.read(operator).minus(before)
        self._ended = [f"{kind} {how} {n}" for (kind, how), n in sorted(churn.ended.items())]

    def _progress(self, churn: Churn, at: float) -> str:
        latest = ", ".join(f"{name} {points[-1][1]:.0f}" for name, points in self._samples.items())
        return f"{at / 60:5.1f} min: {latest}; {dict(churn.ended)}"

    def _sample(self, operator: Operator, at: float) -> None:
        found = read_resources(operator.child.pid)
        values = (found.rss / MIB, found.files, found.threads, count_watches())
        for name, value in zip(BOUNDS, values, strict=True):
            self._samples[name].append((at, value))

    def figures(self) -> list[Figure]:
        """Return the figures with their trends."""
        return [
            Figure(name, points, find_trend(points, BOUNDS[name]))
            for name, points in self._samples.items()
        ]

    def report(self, figures: Sequence[Figure]) -> list[str]:
        """Return the lines of the report."""
        used, minutes = self._used, self._seconds / 60
        if used is None:
            raise LookupError("expected a run that has ended")
        ended = ", ".join(self._ended)
        lines = [
            (
                f"{minutes:.0f} minutes, {len(self._whole.services())} services, load average "
                f"{os.getloadavg()[2]:.1f} (15 minutes). Releases that ended: {ended}. "
                f"CPU of the operator {used.cpu / self._seconds:.1%} of a core, "
                f"{used.passes / minutes:.0f} reconciles and {used.queries / minutes:.0f} queries "
                "per minute."
            )
        ]
        lines += [
            "",
            "| figure | after the start | at the end | slope per hour | flat: at most | |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for one in figures:
            trend = one.trend
            verdict = "flat" if trend.flat else "**grows**"
            lines.append(
                f"| {one.title} | {trend.first:.1f} | {trend.last:.1f} | {trend.slope:+.1f} | "
                f"{trend.bound:g} | {verdict} |"
            )
        return lines


def _write(lines: list[str]) -> None:
    document = DOCUMENTS / "benchmarks.md"
    text = document.read_text("utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    document.write_text(before + "\n".join([START, *lines, END]) + after, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
