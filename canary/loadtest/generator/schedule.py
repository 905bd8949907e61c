"""When requests are due, fixed before the first answer. Pure and reproducible."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

from canary.api import parse_duration
from canary.errors import UsageError


class ArrivalSpacing(StrEnum):
    """How arrivals at a constant rate are spaced."""

    EVEN = "even"
    """At equal intervals."""
    RANDOM = "random"
    """Independently of each other, as users arrive (a Poisson process)."""


@dataclass(frozen=True, slots=True)
class LoadStage:
    """A period with a constant or linearly changing rate, in requests per second."""

    start: float
    end: float
    seconds: float
    measured: bool = True
    """False for a warm-up: its requests are sent but excluded from the result."""

    def __post_init__(self) -> None:
        """Raise UsageError for an invalid rate or duration."""
        for rate in (self.start, self.end):
            if not (math.isfinite(rate) and rate >= 0):
                raise UsageError(f"expected a rate of 0 requests/s or more, found {rate:g}")
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise UsageError(f"expected a stage longer than 0 s, found {self.seconds:g} s")

    @property
    def count(self) -> float:
        """Requests due in the stage (their expected number if arrivals are random)."""
        return (self.start + self.end) / 2 * self.seconds

    def rate(self, at: float) -> float:
        """Return the requests per second `at` seconds after the stage begins."""
        return self.start + (self.end - self.start) * at / self.seconds

    def seconds_until(self, count: float) -> float:
        """Return the seconds from the stage's beginning until `count` requests are due.

        `count` is above 0 and at most `self.count`. Solves
        start·t + (end − start)/(2·seconds)·t² = count in the form that avoids cancellation.

        Example: from 0/s to 10/s in 10 s, half of the 50 requests are due after 7.07 s.
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
    """One request, due `at` seconds after the start of the load."""

    number: int
    """Number of the request from 0, unique among all workers."""
    at: float
    stage: int


@dataclass(frozen=True, slots=True)
class LoadSchedule:
    """Consecutive stages; a stage with rate 0 is a pause."""

    stages: tuple[LoadStage, ...]
    spacing: ArrivalSpacing = ArrivalSpacing.EVEN

    def __post_init__(self) -> None:
        """Raise UsageError if no request would be sent."""
        if not any(stage.count for stage in self.stages if stage.measured):
            raise UsageError("expected a rate above 0 requests/s, found none")

    @property
    def seconds(self) -> float:
        """Total length of all stages."""
        return math.fsum(stage.seconds for stage in self.stages)

    @property
    def peak(self) -> float:
        """The highest rate in requests per second."""
        return max(max(stage.start, stage.end) for stage in self.stages)

    def rate(self, at: float) -> float:
        """Return the requests per second `at` seconds after the start; 0 after the end."""
        for stage in self.stages:
            if at < stage.seconds:
                return stage.rate(at)
            at -= stage.seconds
        return 0.0

    def arrivals(
        self, worker: int = 0, workers: int = 1, seed: int = 0
    ) -> Iterator[ScheduledRequest]:
        """Yield the requests of one of `workers` in order of time.

        A clock ticks once per request, whatever the rate; each stage maps its ticks to seconds.
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
            at = begins[index] + self.stages[index].seconds_until(tick - before)
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


_EXPECTED = (
    "--rate: expected requests per second such as 100, a ramp 100..1000, steps 100,200,400, or "
    "parts with durations 50@30s,50..500@1m"
)
_MAX_STAGES = 100


def parse_schedule(
    rate: str,
    duration: float | None,
    warm_up: float = 0.0,
    spacing: ArrivalSpacing = ArrivalSpacing.EVEN,
) -> LoadSchedule:
    """Parse the stages of a profile, and prepend a warm-up at its initial rate.

    `duration` and `warm_up` are seconds. Parts without a duration share `duration` (30 s if it is
    None) equally.

    Raises:
        UsageError: the text is not a profile, or contradicts `duration`.
    """
    parts = [_parse_part(one) for one in rate.split(",")]
    if len(parts) > _MAX_STAGES:
        raise UsageError(f"--rate: expected at most {_MAX_STAGES} parts, found {len(parts)}")
    timed = [seconds for _, _, seconds in parts if seconds is not None]
    if timed and (len(timed) < len(parts) or duration is not None):
        raise UsageError(
            "--rate: expected a duration (@30s) in every part and no --duration, or in no part"
        )
    each = (30.0 if duration is None else duration) / len(parts)
    stages = [LoadStage(low, high, each if own is None else own) for low, high, own in parts]
    if warm_up:
        start = stages[0].start or stages[0].end
        stages.insert(0, LoadStage(start, start, warm_up, measured=False))
    return LoadSchedule(tuple(stages), spacing)


def _parse_part(text: str) -> tuple[float, float, float | None]:
    rates, at, time = text.strip().partition("@")
    low, dots, high = rates.partition("..")
    try:
        seconds = parse_duration(time) if at else None
    except ValueError as error:
        raise UsageError(f"--rate: {error}, found {time!r}") from error
    return _parse_rate(low, text), _parse_rate(high if dots else low, text), seconds


def _parse_rate(text: str, part: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise UsageError(f"{_EXPECTED}, found {part!r}") from error
    if not (math.isfinite(value) and value >= 0):
        raise UsageError(f"{_EXPECTED}, found {part!r}")
    return value
