"""Runs rows on all releases and sums up what the judge said of each."""

import math
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from bench.baselines import FAILED_CHECKS, decided, minutes
from bench.scenarios import BAD, GOOD, SUDDEN, Row
from bench.simulate import Scenario, simulate
from bench.stats import fewest_seconds
from canary.core.evidence import Interval, Judge, RatioPolicy
from canary.core.statistics import clopper_pearson, quantile_of_trials

CHUNK = 10
# Worker processes look rows up: their shapes are functions that cannot be sent to them.
_ROWS = {row.name: row for row in (*GOOD, *BAD, *SUDDEN)}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One release: when each judge failed it (seconds after the fault began), users hit, Pass."""

    delay: float | None
    users: float
    passed: bool
    fixed: float | None
    breached: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """One row at one sampling interval."""

    row: Row
    interval: int
    trials: int
    found: int
    median: float
    late: float
    users: float
    inconclusive: float
    fixed: int
    fixed_median: float
    breached: int
    breached_median: float

    @property
    def asked(self) -> float | None:
        """The figure judge.md asks at this interval."""
        slow, quick = self.row.asked
        sudden = self.row.name.startswith("weight")
        return slow if self.interval == (5 if sudden else 15) else quick

    @property
    def ok(self) -> bool:
        """As good as asked."""
        if self.asked is None:
            return True
        if self.row.good:
            return self.found * 1000 <= self.asked * self.trials
        return self.median <= self.asked

    @property
    def interval_of_found(self) -> tuple[float, float]:
        """Clopper–Pearson, 95 %."""
        return clopper_pearson(self.found, self.trials)

    @property
    def to_bound(self) -> float:
        """Median delay over ln(1/α)/KL."""
        scenario = self.row.scenarios[0]
        bad = scenario.canary or scenario.stable
        return self.median / fewest_seconds(scenario.rps, scenario.weight, (scenario.stable, bad))


def judge_release(
    intervals: Iterable[Interval], policy: RatioPolicy, onset: float, *, stop: bool = True
) -> tuple[float | None, float, Judge]:
    """When it failed (seconds after `onset`), bad canary requests by then, and the judge."""
    judge = Judge(policy)
    users = 0.0
    for interval in intervals:
        judge.add_interval(interval)
        if interval.end > onset:
            users += interval.canary_bad
        if judge.failed is not None and stop:
            break
    delay = None if judge.failed is None else judge.failed[0] - onset
    return delay, users, judge


def _release(scenario: Scenario, interval: int, seed: Sequence[int], *, good: bool) -> Outcome:
    rng = np.random.default_rng(seed)
    intervals = list(simulate(scenario, interval, rng))
    # Delays of faults count from the first judged request, so bad rows have no warm-up.
    policy = scenario.policy if good else replace(scenario.policy, warm_up=0.0)
    delay, users, judge = judge_release(intervals, policy, scenario.onset)
    checks = minutes(i for i in intervals if i.start >= scenario.onset)
    return Outcome(
        delay,
        users,
        judge.passing_since is not None,
        decided(checks, FAILED_CHECKS),
        decided(checks, 1),
    )


def _chunk(task: tuple[str, int, int, tuple[int, ...], int, int]) -> list[Outcome]:
    name, which, interval, seed, first, last = task
    row = _ROWS[name]
    scenario = row.scenarios[which]
    seeds = ((*seed, interval, which, n) for n in range(first, last))
    return [_release(scenario, interval, each, good=row.good) for each in seeds]


def measure(
    pool: ProcessPoolExecutor, row: Row, interval: int, releases: int, seed: int
) -> Measured:
    """One row at one interval; several scenarios: the one with most false rollbacks."""
    trials = max(10, round(releases * row.releases))
    seeds = (seed, zlib.crc32(row.name.encode()))
    tasks = [
        (row.name, which, interval, seeds, first, min(first + CHUNK, trials))
        for which in range(len(row.scenarios))
        for first in range(0, trials, CHUNK)
    ]
    outcomes = [outcome for chunk in pool.map(_chunk, tasks) for outcome in chunk]
    parts = [outcomes[n * trials : (n + 1) * trials] for n in range(len(row.scenarios))]
    worst = max(parts, key=lambda part: sum(o.delay is not None for o in part))
    return _summed(row, interval, worst)


def _summed(row: Row, interval: int, outcomes: Sequence[Outcome]) -> Measured:
    trials = len(outcomes)
    delays = [o.delay for o in outcomes if o.delay is not None]
    fixed = [o.fixed for o in outcomes if o.fixed is not None]
    breached = [o.breached for o in outcomes if o.breached is not None]
    onset = row.scenarios[0].onset
    undecided = sum(o.delay is None and not o.passed for o in outcomes)
    return Measured(
        row=row,
        interval=interval,
        trials=trials,
        found=len(delays),
        median=quantile_of_trials(delays, 0.5, trials) if delays else math.inf,
        late=quantile_of_trials(delays, 0.95, trials) if delays else math.inf,
        users=quantile_of_trials([o.users for o in outcomes], 0.5, trials),
        inconclusive=undecided / trials,
        fixed=len(fixed),
        fixed_median=quantile_of_trials(fixed, 0.5, trials) - onset,
        breached=len(breached),
        breached_median=quantile_of_trials(breached, 0.5, trials) - onset,
    )
