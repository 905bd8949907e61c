"""What many releases cost, at rest and in flight: `python -m bench.scale [--write]`.

Needs KUBECONFIG of a cluster with nodes that KWOK simulates (label type=kwok, and room for three
pods per release), kubectl and prometheus on PATH. The operator runs as a process beside the cluster
with the account and the rights of manifests/operator; its metrics page is scraped every 30 s.
`--rest` and `--flight` choose the stages; `--write` writes the rows of each as soon as it has ended
and leaves those of other stages. With `--keep` the services stay for a later run of other stages.
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
from bench.scale.processes import MissingError, Operator
from bench.scale.tables import INTERVAL, AtRest, InFlight, add_rows
from bench.scale.waiting import wait_for_progress, wait_until
from canary.clock import now

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
START, END = "<!-- bench-scale:start -->\n", "<!-- bench-scale:end -->"
_MOST = 10_000
"""Services that an earlier run can have kept."""
_SETTLE, _SETTLES = 20.0, 15
"""Seconds without a write, such as of an Event, after which releases are at rest."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; 1 if something that is needed is missing or a stage does not end."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    rest, flight = [1, 100, 250, 500, 1000, 2000], [10, 100, 500]
    parser.add_argument("--rest", type=int, nargs="*", default=rest, help="releases at rest")
    parser.add_argument("--flight", type=int, nargs="*", default=flight, help="and in flight")
    parser.add_argument("--seconds", type=float, default=120.0, help="of each measurement")
    parser.add_argument("--profile", type=Path, help="write profiles of the operator here")
    parser.add_argument("--logs", type=Path, help="keep the logs here")
    parser.add_argument("--keep", action="store_true", help="keep the services for a later run")
    parser.add_argument("--write", action="store_true", help="write rows into docs/benchmarks.md")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended
    tables = ""
    try:
        with environment(f"{INTERVAL:g}s", options.logs) as found:
            benchmark = Benchmark(found, options.seconds, _launcher(options.profile))
            for stage in benchmark.run(options.rest, options.flight, keep=options.keep):
                print(stage, file=sys.stderr, flush=True)
                tables = add_rows(tables, stage.rows())
                if options.write:
                    _write(stage)
    except (MissingError, TimeoutError) as error:
        print(tables + str(error))
        return 1
    print(tables)
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

    def run(
        self, sizes: Sequence[int], flights: Sequence[int], *, keep: bool = False
    ) -> Iterator[AtRest | InFlight]:
        """Grow the fleet to each size, then ship to parts of it; yield each stage.

        Raises MissingError, and TimeoutError for a stage that does not go on.
        """
        client, interval = self.found.client, f"{INTERVAL:g}s"
        self.services = fleet.list_services(client, fleet.Fleet(_MOST, interval=interval))
        size = max([len(self.services), *sizes, *flights], default=1)
        whole = fleet.Fleet(size, interval=interval)
        operation = self.found.operator(self.launcher)
        if any(size < len(self.services) for size in sizes):
            raise MissingError(
                f"expected stages of at least {len(self.services)} releases at rest, as many as an "
                f"earlier run has kept, found {min(sizes)}: delete the namespaces "
                f"{whole.prefix}-0 and following, or choose other stages"
            )
        try:
            with observing(client, whole.prefix) as observer:
                for size in sizes:
                    yield self._rest(operation, observer, whole, size)
                for count in flights:
                    yield self._fly(operation, observer, whole, count)
        finally:
            if not keep:
                fleet.delete(client, whole)

    def _rest(
        self, operation: Operation, observer: Observer, whole: fleet.Fleet, size: int
    ) -> AtRest:
        """Grow to `size` releases, measure them at rest, and restart the operator."""
        with operation.start() as operator:
            new = self._grow(operator, observer, whole, size)
            adopted = _last(observer.at_rest, new) - _last(observer.ready, new)
            self._wait_for_rest(operator)
            used = self._measure(operator)
            resources = read_resources(operator.child.pid)
        ready, reconciled, started = self._restart(operation, size)
        return AtRest(
            size,
            len(new),
            adopted,
            used,
            self.seconds,
            resources,
            ready,
            reconciled,
            started,
            os.getloadavg()[0],
        )

    def _grow(
        self, operator: Operator, observer: Observer, whole: fleet.Fleet, size: int
    ) -> list[Name]:
        """Create services up to `size`; return the new ones once all releases are at rest."""
        wait_until("the operator to be ready", operator.ready, 300)
        fresh = whole.services()[len(self.services) : size]
        fleet.create(self.found.client, whole, fresh)
        self.services += fresh
        names = {(one.namespace, one.name) for one in self.services}
        wait_for_progress("pods to be ready", lambda: len(names - observer.ready.keys()))
        wait_for_progress("releases at rest", lambda: len(names - observer.at_rest.keys()))
        return [(one.namespace, one.name) for one in fresh]

    def _restart(self, operation: Operation, size: int) -> tuple[float, float, Resources]:
        """Start the operator over existing releases; return seconds until it is ready and done."""
        with operation.start() as operator:
            wait_until("the operator to be ready", operator.ready, 300, every=0.05)
            ready = now() - operator.started
            meter = self.found.meter
            wait_until("all reconciles", lambda: meter.passes(operator) >= size, 300, every=0.2)
            return ready, now() - operator.started, read_resources(operator.child.pid)

    def _fly(
        self, operation: Operation, observer: Observer, whole: fleet.Fleet, count: int
    ) -> InFlight:
        """Ship a version to `count` services at once; measure, then let all canaries fail."""
        client, monitoring = self.found.client, self.found.monitoring
        with operation.start() as operator, _healthy(monitoring.fail):
            self._grow(operator, observer, whole, count)
            services = self.services[:count]
            names = [(one.namespace, one.name) for one in services]
            observer.reset()
            began = now()
            fleet.deploy(client, services, f"v{began:.0f}")
            without = lambda: sum(not observer.weights.get(one, 0) for one in names)  # noqa: E731
            wait_for_progress("weights above 0", without)
            rise = now() - began
            self._wait_for_routine(operator)
            used = self._measure(operator)
            resources = read_resources(operator.child.pid)
            before = self.found.meter.read(operator)
            load, failed = os.getloadavg()[0], now()
            monitoring.fail(["/".join(one) for one in names])
            wait_for_progress("weights of 0", lambda: len(set(names) - observer.withdrawn.keys()))
            ended = self.found.meter.read(operator).minus(before)
            delays = sorted(self._delays(observer, names))
            reactions = sorted(observer.withdrawn[one] - failed for one in names)
            left = lambda: sum(observer.phases.get(one) != "RolledBack" for one in names)  # noqa: E731
            wait_for_progress("rollbacks to end", left)
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
            load,
        )

    def _wait_for_rest(self, operator: Operator) -> None:
        """Wait until nothing was written for `_SETTLE` seconds: Events follow the adoption.

        Reconciles do not end: each release has one every ten minutes.
        """
        meter, pause = self.found.meter, Event()
        before = meter.read(operator)
        for _ in range(_SETTLES):
            pause.wait(_SETTLE)
            earlier, before = before, meter.read(operator)
            if before.writes == earlier.writes:
                return
        raise TimeoutError(f"releases at rest were still written after {_SETTLE * _SETTLES:g} s")

    def _wait_for_routine(self, operator: Operator) -> None:
        """Wait until queries do not become fewer: a release sends many of its own at its start."""
        meter, pause = self.found.meter, Event()
        before, earlier = meter.read(operator).queries, float("inf")
        for _ in range(_SETTLES):
            pause.wait(_SETTLE)
            queries = meter.read(operator).queries
            if queries - before >= 0.9 * earlier:
                return
            before, earlier = queries, queries - before

    def _measure(self, operator: Operator) -> Counters:
        before = self.found.meter.read(operator)
        Event().wait(self.seconds)
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


def _write(stage: AtRest | InFlight) -> None:
    before, start, rest = DOCUMENT.read_text("utf-8").partition(START)
    block, end, after = rest.partition(END)
    DOCUMENT.write_text(before + start + add_rows(block, stage.rows()) + end + after, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
