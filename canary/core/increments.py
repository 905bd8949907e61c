"""From cumulative counters to what happened in each interval, per group, and only once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from canary.core.series import Series


class Side(StrEnum):
    """Which version a group of series belongs to."""

    CANARY = "canary"
    STABLE = "stable"


Labels = tuple[tuple[str, str], ...]
SideOf = Callable[[str], Side | None]
"""Tells the side of a label's value; None means that it is somebody else's."""


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


@dataclass(frozen=True, slots=True)
class Increment:
    """What one group (a pod, or a backend as one process saw it) counted in one interval.

    `group` is its labels, sorted; `name` is the value of the label that separates the sides.
    """

    group: Labels
    name: str
    side: Side
    total: float
    bad: float


@dataclass(frozen=True, slots=True)
class Tick:
    """One sampling interval `(start, end]` in seconds, with the groups that were seen at its end.

    A group that is missing at `end` is not among the increments: what it counted meanwhile comes
    in the interval in which it returns.
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
    """A counter of requests and the counter of the bad ones among them, as read on one grid.

    `label` is what separates the sides; `side_of` knows its values. `started` gives, per value of
    `label`, when it began to exist (seconds): a group that began after the grid did was at zero
    then, so nothing of it is lost; any other group's first value only is the baseline.
    """

    total: Sequence[Series]
    bad: Sequence[Series]
    label: str
    side_of: SideOf
    started: Mapping[str, float]


def increments(counters: Counters, grid: Grid, since: float | None = None) -> tuple[Tick, ...]:
    """Increments per group and interval for every grid time after `since` (default: the start).

    Read from some time *before* `since` (Prometheus' lookback of five minutes is plenty): groups
    that were missing at `since` itself then still have their baseline, and the sum does not depend
    on where a long range is cut.

    A router's counter for a backend appears with that backend's first request: where the same
    router was seen before without it, it began at zero.
    """
    times = grid.times()
    routers = _first_seen(counters, grid)
    bad = {_group(s): dict(s.points) for s in counters.bad}
    found: dict[float, list[Increment]] = {t: [] for t in times}
    for series in counters.total:
        name = series.labels.get(counters.label, "")
        if (side := counters.side_of(name)) is None:
            continue
        group = _group(series)
        pairs = _pairs(dict(series.points), bad.get(group, {}), times)
        appeared = series.points[0][0] if series.points else grid.start
        fresh = (
            counters.started.get(name, grid.start) > grid.start
            or routers.get(_router(series, counters.label), appeared) < appeared
        )
        for t, total, wrong in _deltas(pairs, from_zero=fresh):
            found[t].append(Increment(group, name, side, total, wrong))
    begin = grid.start if since is None else since
    return tuple(Tick(t - grid.step, t, tuple(found[t])) for t in times[1:] if t > begin)


def _first_seen(counters: Counters, grid: Grid) -> dict[Labels, float]:
    """When each router (what is left of a group's labels without the backend's) first answered."""
    seen: dict[Labels, float] = {}
    for series in counters.total:
        router = _router(series, counters.label)
        if router and series.points:
            first = max(series.points[0][0], grid.start)
            seen[router] = min(first, seen.get(router, first))
    return seen


def _router(series: Series, label: str) -> Labels:
    """Empty for pods: they have nothing in common that could tell that one is new."""
    return tuple(sorted((k, v) for k, v in series.labels.items() if k != label))


def _group(series: Series) -> Labels:
    return tuple(sorted(series.labels.items()))


def _pairs(
    total: Mapping[float, float], bad: Mapping[float, float], times: Sequence[float]
) -> Iterator[tuple[float, float, float | None]]:
    return ((t, total[t], bad.get(t)) for t in times if t in total)


def _deltas(
    pairs: Iterator[tuple[float, float, float | None]], *, from_zero: bool
) -> Iterator[tuple[float, float, float]]:
    """Yields (time, requests, bad requests) from cumulative (time, total, bad or absent).

    Both counters live in one process, so when either went down both began anew. An error series
    that is absent has not appeared yet, or is no longer exported: nothing new is bad.
    """
    last = (0.0, 0.0) if from_zero else None
    for t, total, seen in pairs:
        if last is None:
            last = (total, seen or 0.0)
            continue
        restarted = total < last[0] or (seen is not None and seen < last[1])
        base = (0.0, 0.0) if restarted else last
        bad = base[1] if seen is None else seen
        requests = total - base[0]
        yield t, requests, min(bad - base[1], requests)
        last = (total, bad)
