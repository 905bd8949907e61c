"""The operator is killed before its k-th write, for every k of a whole release."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from threading import Lock

from canary.clock import now
from e2e.faults.broken_answers import StopAtWrite
from e2e.faults.context import FaultResult
from e2e.faults.environment import FaultEnvironment, LoadFailures
from e2e.faults.processes import OperatorProcess
from e2e.faults.proxy import Fault
from e2e.faults.releases import ReleaseUnderFault

ENDS_WITHIN = 900.0
"""Seconds that a release may take; on a busy machine every pod takes a minute to start."""
LANES = 4
"""Releases side by side, each with an operator of its own."""


@dataclass(frozen=True, slots=True)
class CrashCase:
    """A kind of release, killed at each of its writes."""

    name: str
    healthy: bool
    only: tuple[int, ...] = ()
    """Which writes; empty: all."""


CRASH_CASES = (
    CrashCase("killed before each write of a promotion", healthy=True),
    CrashCase("killed before each write of a rollback", healthy=False),
)


class _Numbers:
    """Hands out the writes to be killed at, until one release needed fewer."""

    def __init__(self) -> None:
        self._next, self._lock, self._over = count(1), Lock(), False
        self.done: list[int] = []

    def take(self) -> int | None:
        """Return the next number; None when there are no more."""
        with self._lock:
            return None if self._over else next(self._next)

    def finish(self) -> None:
        """No release writes so often."""
        with self._lock:
            self._over = True


def try_crashes(case: CrashCase, env: FaultEnvironment) -> FaultResult:
    """Kill the operator at each write of a release of its own, and check every invariant."""
    began, numbers = now(), _Numbers()
    kind = "good" if case.healthy else "bad"
    lanes = env.releases(*(f"kill-{kind}-{number}" for number in range(LANES)))
    with env.load(lanes) as failures, ThreadPoolExecutor(LANES) as pool:
        runs = pool.map(lambda lane: _run_lane(case, env, lane, numbers, failures), lanes)
        found = [one for run in runs for one in run]
    if found:
        env.operators.keep_logs(case.name)
    happened = (
        f"{len(numbers.done)} releases, killed before write 1 to {max(numbers.done, default=0)}"
    )
    return FaultResult(case.name, happened, tuple(found), now() - began)


def _run_lane(
    case: CrashCase,
    env: FaultEnvironment,
    lane: ReleaseUnderFault,
    numbers: _Numbers,
    failures: LoadFailures,
) -> list[str]:
    found: list[str] = []
    with env.operators.operator(lane.namespace, [lane.namespace]) as operator:
        operator.start()
        with operator.supervised():
            while (number := numbers.take()) is not None:
                try:
                    found += _kill_at(case, lane, operator, number, numbers, failures)
                except (TimeoutError, AssertionError, RuntimeError) as error:
                    found.append(f"killed before write {number}: {type(error).__name__}: {error}")
                    return found
        found += [f"log: {line}" for line in operator.crashes()]
    return found


def _kill_at(  # noqa: PLR0913, PLR0917 - one release
    case: CrashCase,
    lane: ReleaseUnderFault,
    operator: OperatorProcess,
    number: int,
    numbers: _Numbers,
    failures: LoadFailures,
) -> list[str]:
    lane.wait("it is at rest", 120, intent="Rest", phase=lane.resting_phase)

    def kill() -> None:
        operator.api.fault = Fault()
        operator.kill()

    fault = StopAtWrite(number, kill)
    operator.api.fault = fault
    lane.ship(healthy=case.healthy)
    lane.end(ENDS_WITHIN)
    found = lane.violations()
    operator.api.fault = Fault()
    if fault.stopped_at:
        numbers.done.append(number)
    else:
        numbers.finish()
    if lost := failures.lost(lane):
        found.append(f"{lost} requests lost")
    return [f"killed before write {number} ({fault.stopped_at}): {one}" for one in found]
