"""From cumulative counters to what happened in each round of scrapes, per pod, and only once.

Increments are found series by series, before anything is summed: a sum falls when a pod goes, and
hides the restart of one pod among others.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from canary.core.counter import Counter, never_falls
from canary.core.duplicate_scrapes import merge_duplicate_scrapes
from canary.core.rounds import Rounds
from canary.core.series import NoData, Series


class Side(StrEnum):
    """Which version a group of series belongs to."""

    CANARY = "canary"
    STABLE = "stable"


Labels = tuple[tuple[str, str], ...]
SideOf = Callable[[str], Side | None]
"""Tells the side of a label's value; None means that it is somebody else's."""
IsBad = Callable[[Mapping[str, str]], bool]
"""Tells by its labels whether a series counts bad requests."""

_BURST = 10.0
_FEW = 50.0
"""What a series that appears has counted since the last scrape: at most ten times what a target
usually does, and fifty. A counter that is exported only now and then comes back with more."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Whole seconds `start, start + step, … ≤ end`.

    Prometheus' client rounds range times to whole seconds, so any other grid would silently be
    a different one. Raises ValueError for those, and for a step that is not positive.
    """

    start: float
    end: float
    step: float

    def __post_init__(self) -> None:
        if self.step <= 0 or any(v % 1 for v in (self.start, self.end, self.step)):
            raise ValueError(
                f"a grid needs whole seconds and a step above 0, got start={self.start}, "
                f"end={self.end}, step={self.step}"
            )

    def times(self) -> tuple[float, ...]:
        """All times of the grid, ascending, in seconds; none when the end is before the start."""
        count = int((self.end - self.start) // self.step) + 1
        return tuple(self.start + i * self.step for i in range(max(count, 0)))


class Increment(NamedTuple):
    """What one pod (or a router for one backend) counted in one round.

    `name` is the value of the label that separates the sides.
    """

    name: str
    side: Side
    total: float
    bad: float


@dataclass(frozen=True, slots=True)
class Tick:
    """One round of scrapes `(start, end]` in seconds, with the pods that were scraped in it.

    What a pod that was not scraped has counted meanwhile comes in the round in which it returns.
    """

    start: float
    end: float
    increments: tuple[Increment, ...]

    def total(self, side: Side) -> float:
        """Requests of one side."""
        return sum(i.total for i in self.increments if i.side is side)

    def bad(self, side: Side) -> float:
        """Bad requests of one side."""
        return sum(i.bad for i in self.increments if i.side is side)


@dataclass(frozen=True, slots=True)
class Counters:
    """A counter of requests, and how the bad ones among them are known.

    Every series by itself, with the times of its scrapes. Bad requests are those of the `total`
    series that `is_bad` tells, and of the series in `bad`; or, with `good`, all that are not among
    these. `label` is what separates the sides; `side_of` knows its values. `started` gives, per
    value of `label`, when it began to exist (seconds): a series that began after the range did was
    at zero then, so nothing of it is lost; the first value of any other is only the baseline.
    """

    total: Sequence[Series]
    label: str
    side_of: SideOf
    is_bad: IsBad | None = None
    bad: Sequence[Series] = ()
    good: Sequence[Series] | None = None
    started: Mapping[str, float] | None = None


def count_increments(counters: Counters, rounds: Rounds) -> tuple[Tick, ...] | NoData:
    """Increments per pod for every round; NoData where a counter is several in turn.

    Read from some time *before* the first round: series that were missing at its start then still
    have their baseline, and the sum does not depend on where a long range is cut.

    A router's counter for a backend appears with that backend's first request, and a counter of
    errors with the first error: where the same target was scraped before without it, it began at
    zero.
    """
    counts = _Counts(counters, rounds)
    total = merge_duplicate_scrapes(counters.total, counters.label)
    counts.add(total, counters.is_bad)
    if counters.bad:
        counts.add(merge_duplicate_scrapes(counters.bad, counters.label), None, column=1)
    if counters.good is not None:
        counts.add(merge_duplicate_scrapes(counters.good, counters.label), None, column=2)
    return counts.jumpy or counts.ticks()


class _Counts:
    """What was counted per round and pod: (all, bad, good) requests."""

    def __init__(self, counters: Counters, rounds: Rounds) -> None:
        self._counters = counters
        self._rounds = rounds
        self._first = _find_first_scrapes(counters.total)
        self._usual = _find_usual_increase(counters.total)
        self._found: list[dict[str, list[float]]] = [{} for _ in rounds.ends]
        self._side: dict[str, Side | None] = {}
        """Per name; asked for once, not for every round."""
        self.jumpy: NoData | None = None

    def add(self, series: Iterable[Series], is_bad: IsBad | None, column: int = 0) -> None:
        """Takes in all series of one kind."""
        counters = self._counters
        for one in series:
            name = one.labels.get(counters.label, "")
            if counters.side_of(name) is None or not one.points:
                continue
            self._side.setdefault(name, counters.side_of(name))
            bad = is_bad is not None and is_bad(one.labels)
            self._count(name, self._steps(one, name), column, bad=bad)

    def _count(
        self, name: str, steps: Iterable[tuple[float, float]], column: int, *, bad: bool
    ) -> None:
        """Puts (time, increase), ascending, into the rounds; a week has a million of them."""
        ends, start, found = self._rounds.ends, self._rounds.start, self._found
        index, last = 0, self._rounds.end
        for time, increase in steps:
            if time <= start:
                continue
            if time > last:
                break
            if time > ends[index]:
                index += 1
                if time > ends[index]:
                    index = bisect_left(ends, time, index)
            counts = found[index].get(name)
            if counts is None:
                counts = found[index][name] = [0.0, 0.0, 0.0]
            counts[column] += increase
            if bad:
                counts[1] += increase

    def _steps(self, series: Series, name: str) -> Iterable[tuple[float, float]]:
        points = series.points
        begun = points[:1] if self._from_zero(series, name) else ()
        if never_falls(points):  # nearly all are: only what is asked for is looked at
            first = max(bisect_right(points, self._rounds.start, key=_point_time) - 1, 0)
            known = points[first:]
            return (*begun, *[(now[0], now[1] - old[1]) for old, now in pairwise(known)])
        counter = Counter(*points[0])
        steps = [(time, counter.step(time, value)) for time, value in points[1:]]
        if counter.jumpy:
            self.jumpy = NoData(_JUMPY_COUNTER.format(name=name), partial=True)
        return (*begun, *steps)

    def _from_zero(self, series: Series, name: str) -> bool:
        """Whether it began within the range, after its target did or with it."""
        time, value = series.points[0]
        started = (self._counters.started or {}).get(name)
        if started is not None and started > self._rounds.start:
            return True
        first = self._first.get(_target_key(series.labels), time)
        return first < time and value <= _FEW + _BURST * self._usual

    def ticks(self) -> tuple[Tick, ...]:
        """The rounds, ascending."""
        times, by_good = self._rounds.times(), self._counters.good is not None
        return tuple(
            Tick(begin, end, tuple(_build_increments(found, self._side, by_good=by_good)))
            for begin, end, found in zip(times, times[1:], self._found, strict=False)
        )


_JUMPY_COUNTER = (
    "the counter of {name} falls again and again, and not to about zero: several processes "
    "answer at one address, or a Prometheus that goes backwards; give each process its own "
    "address (or one shared registry), and each Prometheus its own"
)


def _build_increments(
    found: Mapping[str, list[float]], side: Mapping[str, Side | None], *, by_good: bool
) -> Iterator[Increment]:
    for name, (total, bad, good) in found.items():
        mine = side[name]
        if mine is not None:
            wrong = max(total - good, 0.0) if by_good else min(bad, total)
            yield Increment(name, mine, total, wrong)


def _target_key(labels: Mapping[str, str]) -> Hashable:
    return labels.get("pod"), labels.get("instance")


def _find_first_scrapes(series: Iterable[Series]) -> dict[Hashable, float]:
    """When each target was first scraped in the range."""
    first: dict[Hashable, float] = {}
    for one in series:
        if one.points:
            target = _target_key(one.labels)
            first[target] = min(one.points[0][0], first.get(target, one.points[0][0]))
    return first


def _find_usual_increase(series: Iterable[Series]) -> float:
    """What the busiest target counts between two scrapes; its falls count as nothing."""
    counted: dict[Hashable, float] = {}
    for one in series:
        if len(one.points) > 1:
            target, increase = _target_key(one.labels), one.points[-1][1] - one.points[0][1]
            per_scrape = max(increase, 0.0) / (len(one.points) - 1)
            counted[target] = counted.get(target, 0.0) + per_scrape
    return max(counted.values(), default=0.0)


def _point_time(point: tuple[float, float]) -> float:
    return point[0]
