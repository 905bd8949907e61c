"""Turns cumulative counters into the increments of each pod in each round of scrapes.

Increments are computed per series before they are summed: a sum falls when a pod goes, and it
hides the restart of one pod. Example, two pods, the second one restarts between the rounds:

    pod a  100 -> 160   increment 60
    pod b  500 ->  20   increment 20 (it counted 20 since its restart)
    sum    600 -> 180   would look like a restart, with an increment of 180 instead of 80
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from math import inf
from typing import NamedTuple

from canary.core.counter import Counter, never_falls
from canary.core.duplicate_scrapes import merge_duplicate_scrapes
from canary.core.rounds import Rounds
from canary.core.series import NoData, Series


class Side(StrEnum):
    """The version that a series belongs to."""

    CANARY = "canary"
    STABLE = "stable"


Labels = tuple[tuple[str, str], ...]
SideOf = Callable[[str], Side | None]
"""Maps a label value to its side; None for neither version."""
IsBad = Callable[[Mapping[str, str]], bool]
"""Returns from its labels whether a series counts bad requests."""

_BURST = 10.0
_FEW = 50.0
"""A series that appears has counted at most ten times the usual increase of a target, plus fifty.
A larger first value comes from a counter that is exported only from time to time."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Times `start, start + step, … ≤ end`, in whole seconds.

    The Prometheus client rounds times to whole seconds, so a grid of fractions would silently
    change. Raises ValueError for fractions and for a step that is not positive.
    """

    start: float
    end: float
    step: float

    def __post_init__(self) -> None:
        if self.step <= 0 or any(v % 1 for v in (self.start, self.end, self.step)):
            raise ValueError(
                f"expected whole seconds and a step above 0, found start={self.start}, "
                f"end={self.end}, step={self.step}"
            )

    def times(self) -> tuple[float, ...]:
        """Return the times of the grid (seconds), ascending; none if it ends before its start."""
        count = int((self.end - self.start) // self.step) + 1
        return tuple(self.start + i * self.step for i in range(max(count, 0)))


class Increment(NamedTuple):
    """The requests that one pod (or a router for one backend) counted in one round.

    `name` is the value of the label that separates the sides.
    """

    name: str
    side: Side
    total: float
    bad: float


@dataclass(frozen=True, slots=True)
class Tick:
    """One round of scrapes `(start, end]` in seconds, with the pods that were scraped in it.

    Requests of a pod that was not scraped count in the round in which it is scraped again.
    """

    start: float
    end: float
    increments: tuple[Increment, ...]

    def total(self, side: Side) -> float:
        """Return the number of requests of one side."""
        return sum(i.total for i in self.increments if i.side is side)

    def bad(self, side: Side) -> float:
        """Return the number of bad requests of one side."""
        return sum(i.bad for i in self.increments if i.side is side)


@dataclass(frozen=True, slots=True)
class Counters:
    """A counter of requests, and how to recognize the bad requests.

    Each series has the times of its scrapes. Bad requests are counted by the `total` series that
    `is_bad` selects and by the series in `bad`; or, with `good`, they are all other requests.
    `label` separates the sides, and `side_of` maps its values. `started` has the start of each
    value of `label` (seconds): a series that started within the range started at zero; for any
    other series the first value is only the baseline.
    """

    total: Sequence[Series]
    label: str
    side_of: SideOf
    is_bad: IsBad | None = None
    bad: Sequence[Series] = ()
    good: Sequence[Series] | None = None
    started: Mapping[str, float] | None = None


def count_increments(counters: Counters, rounds: Rounds) -> tuple[Tick, ...] | NoData:
    """Return the increments per pod for each round; NoData if a counter mixes several processes.

    Pass series that start some time *before* the first round: a series that is missing at its start
    then has a baseline, and the sum does not depend on where a long range is cut.

    A router's counter of a backend appears with the first request of that backend, and a counter of
    errors with the first error. If the target was scraped before without that series, the counter
    began at zero.
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
    """Counts (all, bad, good) requests per round and pod."""

    def __init__(self, counters: Counters, rounds: Rounds) -> None:
        self._counters = counters
        self._rounds = rounds
        self._first = _find_first_scrapes(counters.total)
        self._usual = _find_usual_increase(counters.total)
        self._found: list[dict[str, list[float]]] = [{} for _ in rounds.ends]
        self._side: dict[str, Side | None] = {}
        """Side per name; looked up once, not per round."""
        self.jumpy: NoData | None = None

    def add(self, series: Iterable[Series], is_bad: IsBad | None, column: int = 0) -> None:
        """Add all series of one kind: 0 all, 1 bad, 2 good requests."""
        counters = self._counters
        for one in series:
            name = one.labels.get(counters.label, "")
            if counters.side_of(name) is None or not one.points:
                continue
            self._side.setdefault(name, counters.side_of(name))
            bad = is_bad is not None and is_bad(one.labels)
            self._count_increases(name, self._list_increases(one, name), column, bad=bad)

    def _count_increases(
        self, name: str, steps: Iterable[tuple[float, float]], column: int, *, bad: bool
    ) -> None:
        """Add (time, increase), ascending, to their rounds; a week has a million of them."""
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

    def _list_increases(self, series: Series, name: str) -> Iterable[tuple[float, float]]:
        points = series.points
        begun = points[:1] if self._from_zero(series, name) else ()
        if never_falls(points):  # Nearly all do, so read only the rounds in question.
            first = max(bisect_right(points, (self._rounds.start, inf)) - 1, 0)
            known = points[first:]
            return (*begun, *[(now[0], now[1] - old[1]) for old, now in pairwise(known)])
        counter = Counter(*points[0])
        steps = [(time, counter.add_sample(time, value)) for time, value in points[1:]]
        if counter.jumpy:
            self.jumpy = NoData(_JUMPY_COUNTER.format(name=name), partial=True)
        return (*begun, *steps)

    def _from_zero(self, series: Series, name: str) -> bool:
        """Return whether the series began at zero within the range."""
        time, value = series.points[0]
        started = (self._counters.started or {}).get(name)
        if started is not None and started > self._rounds.start:
            return True
        first = self._first.get(_target_key(series.labels), time)
        return first < time and value <= _FEW + _BURST * self._usual

    def ticks(self) -> tuple[Tick, ...]:
        """Return the rounds, ascending."""
        times, by_good = self._rounds.times(), self._counters.good is not None
        return tuple(
            Tick(begin, end, tuple(_build_increments(found, self._side, by_good=by_good)))
            for begin, end, found in zip(times, times[1:], self._found, strict=False)
        )


_JUMPY_COUNTER = (
    "the counter of {name} decreases repeatedly, but not to about zero: several processes or "
    "several Prometheus servers share one address; give each its own, or let the processes share "
    "one registry"
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
    """Return the time of the first scrape of each target in the range."""
    first: dict[Hashable, float] = {}
    for one in series:
        if one.points:
            target = _target_key(one.labels)
            first[target] = min(one.points[0][0], first.get(target, one.points[0][0]))
    return first


def _find_usual_increase(series: Iterable[Series]) -> float:
    """Return the increase of the busiest target between two scrapes; falls count as zero."""
    counted: dict[Hashable, float] = {}
    for one in series:
        if len(one.points) > 1:
            target, increase = _target_key(one.labels), one.points[-1][1] - one.points[0][1]
            per_scrape = max(increase, 0.0) / (len(one.points) - 1)
            counted[target] = counted.get(target, 0.0) + per_scrape
    return max(counted.values(), default=0.0)
