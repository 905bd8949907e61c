"""What many releases cost, at rest and in flight: `python -m bench.scale [--write]`.

Needs KUBECONFIG of a cluster with nodes that KWOK simulates (label type=kwok, and room for three
pods per release), kubectl and prometheus on PATH. The operator runs as a process beside the cluster
with the account and the rights of manifests/operator; its metrics page is scraped every 30 s.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from threading import Event

from bench.scale import fleet
from bench.scale.counters import Counters, Resources, read_resources
from bench.scale.environment import Environment, Operation, environment
from bench.scale.observer import Name, Observer, observing
from bench.scale.processes import MissingError, Operator, wait_until
from bench.scale.tables import AtRest, InFlight, render
from canary.clock import now

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
START, END = "<!-- bench-scale:start -->", "<!-- bench-scale:end -->"
INTERVAL = 10.0
_SETTLE, _SETTLES = 20.0, 3
"""Seconds until a measurement, and how many of them if changes (and their Events) are processed."""
_PATIENCE = 600.0
"""Seconds after which a stage has failed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; 1 if something that is needed is missing."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    rest, flight = [1, 100, 500, 1000, 2000], [10, 100, 500]
    parser.add_argument("--rest", type=int, nargs="*", default=rest, help="releases at rest")
    parser.add_argument("--flight", type=int, nargs="*", default=flight, help="and in flight")
    parser.add_argument("--seconds", type=float, default=120.0, help="of each measurement")
    parser.add_argument("--profile", type=Path, help="write profiles of the operator here")
    parser.add_argument("--logs", type=Path, help="keep the logs here")
    parser.add_argument("--write", action="store_true", help="rewrite docs/benchmarks.md")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended
    try:
        with environment(f"{INTERVAL:g}s", options.logs) as found:
            lines = Benchmark(found, options.seconds, _launcher(options.profile)).run(
                options.rest, options.flight
            )
    except MissingError as error:
        print(error)
        return 1
    print("\n".join(lines))
    if options.write:
        _write(lines)
    return 0


def _launcher(profile: Path | None) -> Callable[[list[str]], list[str]]:
    if profile is None:
        return lambda flags: [sys.executable, "-m", "canary", *flags]
    return lambda flags: [sys.executable, "-m", "bench.scale.profiled", str(profile), *flags]


@dataclass
class Benchmark:
    """One run over all sizes."""

    found: Environment
    seconds: float
    launcher: Callable[[list[str]], list[str]]
    services: list[fleet.Service] = field(default_factory=list)

    def run(self, sizes: Sequence[int], flights: Sequence[int]) -> list[str]:
        """Grow the fleet to each size, then ship to parts of it; return the tables."""
        whole = fleet.Fleet(max([*sizes, *flights], default=1), interval=f"{INTERVAL:g}s")
        operation = self.found.operator(self.launcher)
        client = self.found.client
        resting: list[AtRest] = []
        flying: list[InFlight] = []
        try:
            with observing(client, whole.prefix) as observer:
                for size in sizes:
                    resting.append(self._rest(operation, observer, whole, size))
                    _progress(resting[-1])
                for count in flights:
                    flying.append(self._fly(operation, observer, count))
                    _progress(flying[-1])
        finally:
            fleet.delete(client, whole)
        load = os.getloadavg()
        return list(render(resting, flying, INTERVAL, load))

    def _rest(
        self, operation: Operation, observer: Observer, whole: fleet.Fleet, size: int
    ) -> AtRest:
        """Grow to `size` releases, measure them at rest, and restart the operator."""
        with operation.start() as operator:
            wait_until("the operator to be ready", operator.ready, 120)
            fresh = whole.services()[len(self.services) : size]
            fleet.create(self.found.client, whole, fresh)
            self.services += fresh
            names = {(one.namespace, one.name) for one in self.services}
            wait_until("pods to be ready", lambda: names <= observer.ready.keys(), _PATIENCE)
            wait_until("releases at rest", lambda: names <= observer.at_rest.keys(), _PATIENCE)
            new = [(one.namespace, one.name) for one in fresh]
            adopted = _last(observer.at_rest, new) - _last(observer.ready, new)
            used = self._measure(operator)
            resources = read_resources(operator.child.pid)
        ready, reconciled, started = self._restart(operation, size)
        return AtRest(
            size, len(new), adopted, used, self.seconds, resources, ready, reconciled, started
        )

    def _restart(self, operation: Operation, size: int) -> tuple[float, float, Resources]:
        """Start the operator over existing releases; return seconds until it is ready and done."""
        with operation.start() as operator:
            wait_until("the operator to be ready", operator.ready, 300, every=0.05)
            ready = now() - operator.started
            meter = self.found.meter
            wait_until("all reconciles", lambda: meter.passes(operator) >= size, 300, every=0.2)
            return ready, now() - operator.started, read_resources(operator.child.pid)

    def _fly(self, operation: Operation, observer: Observer, count: int) -> InFlight:
        """Ship a version to `count` services at once; measure, then let all canaries fail."""
        services = self.services[:count]
        names = [(one.namespace, one.name) for one in services]
        client, monitoring = self.found.client, self.found.monitoring
        with operation.start() as operator, _healthy(monitoring.fail):
            wait_until("the operator to be ready", operator.ready, 120)
            observer.reset()
            began = now()
            fleet.deploy(client, services, f"v{count}")
            weighted = lambda: all(observer.weights.get(one, 0) for one in names)  # noqa: E731
            wait_until("weights above 0", weighted, _PATIENCE)
            rise = now() - began
            used = self._measure(operator)
            resources = read_resources(operator.child.pid)
            before = self.found.meter.read(operator)
            failed = now()
            monitoring.fail(["/".join(one) for one in names])
            wait_until("weights of 0", lambda: observer.withdrawn.keys() >= set(names), _PATIENCE)
            ended = self.found.meter.read(operator).minus(before)
            delays = sorted(self._delays(observer, names))
            reactions = sorted(observer.withdrawn[one] - failed for one in names)
            over = lambda: all(observer.phases.get(one) == "RolledBack" for one in names)  # noqa: E731
            wait_until("rollbacks to end", over, _PATIENCE)
        return InFlight(
            count,
            len(self.services),
            rise,
            used,
            self.seconds,
            resources,
            ended,
            delays,
            reactions,
            tuple(sorted(set(observer.reasons.values()))),
        )

    def _measure(self, operator: Operator) -> Counters:
        pause, meter = Event(), self.found.meter
        before = meter.read(operator)
        for _ in range(_SETTLES):
            pause.wait(_SETTLE)
            earlier, before = before, meter.read(operator)
            if before.passes == earlier.passes and before.writes == earlier.writes:
                break
        pause.wait(self.seconds)
        return self.found.meter.read(operator).minus(before)

    def _delays(self, observer: Observer, names: Sequence[Name]) -> Iterator[float]:
        """Yield the seconds from the scrape that decided to weight 0."""
        for namespace, name in names:
            until = observer.judged_until.get((namespace, name))
            if not until:
                continue
            series = f'http_requests_total{{namespace="{namespace}",pod=~"{name}-canary-.*"}}'
            scraped = self.found.monitoring.query(f"max(timestamp({series}))", ceil(until))
            if scraped is not None:
                yield observer.withdrawn[namespace, name] - scraped


@contextmanager
def _healthy(fail: Callable[[Sequence[str]], None]) -> Iterator[None]:
    """No canary fails at the start and after the end of the block."""
    fail(())
    try:
        yield
    finally:
        fail(())


def _last(times: dict[Name, float], names: Sequence[Name]) -> float:
    return max((times[one] for one in names), default=0.0)


def _progress(row: AtRest | InFlight) -> None:
    print(row, file=sys.stderr, flush=True)


def _write(lines: list[str]) -> None:
    text = DOCUMENT.read_text("utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(before + "\n".join([START, *lines, END]) + after, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
