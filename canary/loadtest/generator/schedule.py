"""When requests are due, fixed before the first answer: pure and reproducible."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

from canary.errors import UsageError


class ArrivalSpacing(StrEnum):
    """How arrivals of one rate follow each other."""

    EVEN = "even"
    """At equal distances."""
    RANDOM = "random"
    """Independently of each other, as users come (a Poisson process)."""


@dataclass(frozen=True, slots=True)
class LoadStage:
    """A stretch of time with one rate, or one that changes evenly; rates are requests/s."""

    start: float
    end: float
    seconds: float
    measured: bool = True
    """False for a warm-up: its requests are sent, and counted apart."""

    def __post_init__(self) -> None:
        """Raises UsageError for figures that cannot be."""
        for rate in (self.start, self.end):
            if not (math.isfinite(rate) and rate >= 0):
                raise UsageError(f"a rate of 0 requests/s or more is expected, found {rate:g}")
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise UsageError(f"a stage must last longer than 0 s, not {self.seconds:g} s")

    @property
    def count(self) -> float:
        """Requests due in all of it (the expected number where they come at random)."""
        return (self.start + self.end) / 2 * self.seconds

    def rate(self, at: float) -> float:
        """Requests per second, `at` seconds after its beginning."""
        return self.start + (self.end - self.start) * at / self.seconds

    def when(self, count: float) -> float:
        """Seconds from its beginning until `count` (0 < count ≤ self.count) requests were due.

        Solves start·t + (end − start)/(2·seconds)·t² = count in the form without cancellation.
        """
        slope = (self.end - self.start) / self.seconds
        root = math.sqrt(max(0.0, self.start**2 + 2 * slope * count))
        return min(2 * count / (self.start + root), self.seconds)

    def __str__(self) -> str:
        """`100/s` or `100–500/s`."""
        if self.start == self.end:
            return f"{self.start:g}/s"
        return f"{self.start:g}–{self.end:g}/s"


@dataclass(frozen=True, slots=True)
class ScheduledRequest:
    """One request, due `at` seconds after the start."""

    number: int
    """Counts from 0 and is nobody else's, in no other worker either."""
    at: float
    stage: int


@dataclass(frozen=True, slots=True)
class LoadSchedule:
    """Stages one after the other; a stage with rate 0 is a pause."""

    stages: tuple[LoadStage, ...]
    spacing: ArrivalSpacing = ArrivalSpacing.EVEN

    def __post_init__(self) -> None:
        """Raises UsageError when nothing would ever be sent."""
        if not any(stage.count for stage in self.stages if stage.measured):
            raise UsageError("a rate above 0 requests/s is expected, found none")

    @property
    def seconds(self) -> float:
        """Length of all stages."""
        return math.fsum(stage.seconds for stage in self.stages)

    @property
    def peak(self) -> float:
        """The highest rate, requests/s."""
        return max(max(stage.start, stage.end) for stage in self.stages)

    def rate(self, at: float) -> float:
        """Requests per second, `at` seconds after the start; 0 when it is over."""
        for stage in self.stages:
            if at < stage.seconds:
                return stage.rate(at)
            at -= stage.seconds
        return 0.0

    def arrivals(
        self, worker: int = 0, workers: int = 1, seed: int = 0
    ) -> Iterator[ScheduledRequest]:
        """What one of `workers` sends, ascending in time; all of them together are the schedule.

        A clock that ticks once per request, whatever the rate, is turned into time stage by stage.
        """
        clock = _draw_ticks(self.spacing, worker, workers, seed)
        begins = list(accumulate((stage.seconds for stage in self.stages), initial=0.0))
        index, before = 0, 0.0
        for turn, tick in enumerate(clock):
            while tick - before > self.stages[index].count:
                before += self.stages[index].count
                index += 1
                if index == len(self.stages):
                    return
            at = begins[index] + self.stages[index].when(tick - before)
            yield ScheduledRequest(turn * workers + worker, at, index)


def _draw_ticks(spacing: ArrivalSpacing, worker: int, workers: int, seed: int) -> Iterator[float]:
    if spacing is ArrivalSpacing.EVEN:
        number = worker
        while True:
            yield number + 0.5
            number += workers
    times = random.Random(f"times {seed} {worker}")  # noqa: S311 - reproducible, and no secret
    now = 0.0
    while True:
        now += times.expovariate(1 / workers)
        yield now
