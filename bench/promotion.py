"""How long a Pass takes, and how often a regression is passed."""

import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from bench.measure import CHUNK, judge_release
from bench.simulate import Scenario, Second, Shape, simulate
from canary.core.evidence import RatioPolicy
from canary.core.statistics import clopper_pearson, quantile_of_trials

INTERVAL = 15
R1 = 0.005


@dataclass(frozen=True, slots=True)
class PromotionRow:
    """`most`: largest share that may ever be passed; None: a good release, timed."""

    name: str
    scenario: Scenario
    most: float | None
    minimum: float = 0.0
    reference: str = ""


def flickering(rate: float) -> Shape:
    """Faults of 20–60 s every 10–20 min, on the canary alone."""

    def shape(second: Second, rng: np.random.Generator) -> None:
        at = rng.uniform(60, 600)
        while at < second.time[-1]:
            length = rng.uniform(20, 60)
            second.canary[(second.time >= at) & (second.time < at + length)] = rate
            at += length + rng.uniform(600, 1200)

    return shape


def outage_before(second: Second, _rng: np.random.Generator) -> None:
    """Half a minute of total outage, half an hour before the release."""
    second.stable[(second.time >= -1800) & (second.time < -1770)] = 1.0


def _at(canary: float | None, clump: int = 1, stable: float = 0.001) -> Scenario:
    return Scenario(rps=50, stable=stable, canary=canary, clump=clump, length=3600)


def _unlimited(canary: float | None, stable: float) -> Scenario:
    """Client errors: only compared, so what must be ruled out is 1.5 times stable's rate."""
    policy = RatioPolicy(limit=None, tolerance=1.5)
    return replace(_at(canary, stable=stable), policy=policy)


ROWS = (
    PromotionRow("good, both at 0.1 %", _at(None), None, reference="315 s"),
    PromotionRow("good, both at 2 %", _at(None, stable=0.02), None, reference="33 min"),
    PromotionRow("good, both at 0.1 %, minimum 20 min", _at(None), None, minimum=1200.0),
    PromotionRow("worse by r1 exactly", _at(0.001 + R1), 0.01, reference="0.8 %"),
    PromotionRow("worse by r1, both at 2 %", _at(0.02 + R1, stable=0.02), 0.01, reference="1.9 %"),
    PromotionRow("worse by 2·r1", _at(0.001 + 2 * R1), 0.01, reference="0 %"),
    PromotionRow("worse by 5·r1", _at(0.001 + 5 * R1), 0.01, reference="0 %"),
    PromotionRow("no limit, both at 20 %", _unlimited(None, 0.2), None),
    PromotionRow("no limit, both at 5 %", _unlimited(None, 0.05), None),
    PromotionRow("no limit, both at 0.1 %", _unlimited(None, 0.001), None),
    PromotionRow("no limit, 30 % beside 20 %", _unlimited(0.3, 0.2), 0.01),
    PromotionRow("no limit, 7.5 % beside 5 %", _unlimited(0.075, 0.05), 0.01),
    PromotionRow("no limit, 0.6 % beside 0.1 %", _unlimited(0.006, 0.001), 0.01),
    PromotionRow("worse by r1, clumps of 3", _at(0.001 + R1, clump=3), 0.03, reference="2.6 %"),
    PromotionRow(
        "good, an outage of stable before", replace(_at(None), shapes=(outage_before,)), None
    ),
    PromotionRow(
        "worse by r1, an outage of stable before",
        replace(_at(0.001 + R1), shapes=(outage_before,)),
        0.01,
    ),
    PromotionRow(
        "faults of 20–60 s at 30 % every 10–20 min",
        Scenario(rps=50, length=7200, shapes=(flickering(0.3),)),
        0.01,
        minimum=1200.0,
        reference="0 %",
    ),
    PromotionRow(
        "1 % from minute 30 on: passing at the end",
        Scenario(rps=50, canary=0.01, onset=1800.0, length=3600),
        0.01,
        minimum=1200.0,
        reference="0 %",
    ),
)


@dataclass(frozen=True, slots=True)
class PromotionMeasured:
    """`passed`: releases that passed (at any time; at the end where there is a `minDuration`)."""

    row: PromotionRow
    trials: int
    passed: int
    median: float

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper–Pearson of the share passed, 95 %."""
        return clopper_pearson(self.passed, self.trials)

    @property
    def ok(self) -> bool:
        """No more passed than may be."""
        return self.row.most is None or self.passed <= self.row.most * self.trials


def _first_pass(row: PromotionRow, seed: Sequence[int]) -> float | None:
    """Seconds until the first Pass; with a minimum: of the run of Pass that lasts at the end."""
    policy = replace(
        row.scenario.policy, warm_up=0.0, min_duration=row.minimum, smallest_regression=R1
    )
    intervals = list(simulate(row.scenario, INTERVAL, np.random.default_rng(seed)))
    if row.minimum:
        return judge_release(intervals, policy, 0.0)[2].passing_since
    judge = judge_release((), policy, 0.0)[2]
    for interval in intervals:
        judge.add_interval(interval)
        if judge.passing_since is not None or judge.failed is not None:
            break
    return judge.passing_since


def _chunk(task: tuple[str, tuple[int, ...], int, int]) -> list[float | None]:
    name, seed, first, last = task
    row = next(row for row in ROWS if row.name == name)
    return [_first_pass(row, (*seed, n)) for n in range(first, last)]


def measure_promotion(
    pool: ProcessPoolExecutor, row: PromotionRow, releases: int, seed: int
) -> PromotionMeasured:
    """All releases of one row."""
    name = zlib.crc32(row.name.encode())
    starts = range(0, releases, CHUNK)
    tasks = [(row.name, (seed, name), first, min(first + CHUNK, releases)) for first in starts]
    times = [time for chunk in pool.map(_chunk, tasks) for time in chunk]
    passed = [time for time in times if time is not None]
    return PromotionMeasured(row, releases, len(passed), quantile_of_trials(passed, 0.5, releases))
