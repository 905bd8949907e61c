"""Builds the samples of connection pools: one reading per pod and pool in each round.

Example: a pod is read at 0, 5 and 20 s (two scrapes failed), with 8 connections in use at 20 s and
a hold counter that rose by 105 s. The reading of 20 s covers 15 s, in which 105/15 = 7 connections
on average were returned. A hold counter that fell was reset by a restart, so its new value counts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from canary.core.duplicate_scrapes import SCRAPE_LABELS
from canary.core.increments import Labels, Side, SideOf, Tick
from canary.core.rounds import Rounds
from canary.core.series import Series

SCRAPE_ONLY = frozenset(SCRAPE_LABELS) - {"instance"}
"""Labels that do not distinguish pools.

`instance` does: two processes of one pod have different addresses, and a pool each.
"""


UNLIMITED = "0, which means unlimited, so utilization is undefined: set a maximum"


@dataclass(frozen=True, slots=True)
class PoolReading:
    """One pool of one pod at the end of one interval.

    `in_use`, `maximum` and `waiting` are gauges in connections (or callers); `held` is the time,
    in connection-seconds, of the connections that were returned in the interval; `timeouts` are
    callers that got none in it. None: the exporter has no such metric. `seconds` is the time since
    the last reading of the pool, which is longer than the interval after a gap.
    """

    pod: str
    side: Side
    seconds: float
    in_use: float
    maximum: float | None = None
    waiting: float | None = None
    held: float | None = None
    timeouts: float | None = None


@dataclass(frozen=True, slots=True)
class PoolSample:
    """One interval that ends at `time` (seconds), with the requests of both sides in it."""

    time: float
    readings: tuple[PoolReading, ...]
    canary_requests: float = 0.0
    stable_requests: float = 0.0


@dataclass(frozen=True, slots=True)
class PoolSeries:
    """Series of a pool at the ends of rounds; `hold` counts units of `hold_unit` seconds.

    `label` separates the sides. `maximum` is a number if the spec has one; series of a maximum
    without labels of the pools (one number for a whole server) apply to all of them.
    """

    in_use: Sequence[Series]
    maximum: Sequence[Series] | float
    label: str
    side_of: SideOf
    waiting: Sequence[Series] = ()
    timeouts: Sequence[Series] = ()
    hold: Sequence[Series] = ()
    hold_unit: float = 1.0


def find_distinguishing_labels(
    labels: Iterable[Mapping[str, str]], by: Sequence[str]
) -> tuple[str, ...]:
    """Return `by` and all other labels in which series with the same `by` differ.

    Pools that differ in any label are different pools: a full one of 10 connections beside an idle
    one of 90 is full. Labels of the scrape do not distinguish pools.

    >>> find_distinguishing_labels([{"pod": "a", "r": "rw"}, {"pod": "a", "r": "ro"}], ["pod"])
    ('pod', 'r')
    """
    values: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for one in labels:
        values.setdefault(tuple(one.get(name, "") for name in by), []).append(one)
    apart = {
        name
        for alike in values.values()
        for name in {name for one in alike for name in one} - SCRAPE_ONLY - set(by)
        if len({one.get(name, "") for one in alike}) > 1
    }
    return (*by, *sorted(apart))


def build_pool_samples(
    pools: PoolSeries, requests: Sequence[Tick], rounds: Rounds, since: float | None = None
) -> tuple[PoolSample, ...]:
    """Return one sample per round after `since`, with the requests of that round.

    A pool whose hold time is exported, but not at both ends of an interval, is left out of that
    sample: connections in use and connections returned must cover the same time.
    """
    begin = rounds.start if since is None else since
    by_time: dict[float, list[PoolReading]] = {t: [] for t in rounds.ends if t > begin}
    for time, reading in _read_pools(pools):
        if time in by_time:
            by_time[time].append(reading)
    # Rounds without readings are kept: a pool that is silent under traffic must not look as if
    # there had been no traffic either.
    ticks = {tick.end: tick for tick in requests}
    return tuple(
        PoolSample(
            time,
            tuple(readings),
            ticks[time].total(Side.CANARY) if time in ticks else 0.0,
            ticks[time].total(Side.STABLE) if time in ticks else 0.0,
        )
        for time, readings in by_time.items()
    )


def _read_pools(pools: PoolSeries) -> Iterator[tuple[float, PoolReading]]:
    held, timeouts = _count_increases(pools.hold), _count_increases(pools.timeouts)
    exported, waiting = _SeriesByLabels(pools.hold), _SeriesByLabels(pools.waiting)
    maximum = (
        pools.maximum if isinstance(pools.maximum, float | int) else _SeriesByLabels(pools.maximum)
    )
    for series in pools.in_use:
        labels = _label_key(series)
        # The combined hold time of several pools says nothing about one of them.
        hold = exported.find_series(series)
        alone = bool(pools.hold) and (hold is None or len(hold.labels) == len(labels))
        queue = _points_by_time(waiting.find_series(series))
        most = (
            maximum
            if isinstance(maximum, float | int)
            else _points_by_time(maximum.find_series(series))
        )
        side = pools.side_of(series.labels.get(pools.label, ""))
        last: float | None = None
        for time, in_use in series.points if side is not None else ():
            known = not alone or (labels, time) in held
            if last is not None and side is not None and known:
                yield (
                    time,
                    PoolReading(
                        pod="/".join(value for _, value in labels),
                        side=side,
                        seconds=time - last,
                        in_use=in_use,
                        # 0 means unlimited: no maximum.
                        maximum=(most.get(time) or None) if isinstance(most, dict) else most,
                        waiting=queue.get(time),
                        held=held[labels, time] * pools.hold_unit if alone else None,
                        timeouts=timeouts.get((labels, time)),
                    ),
                )
            last = time


class _SeriesByLabels:
    """Finds the series of a pool: the one with most of its labels, and no others.

    A series without labels of the pool (one number for a whole server) applies to it as well.
    """

    def __init__(self, every: Iterable[Series]) -> None:
        self._found: dict[tuple[str, ...], dict[Labels, Series]] = {}
        for one in every:
            self._found.setdefault(tuple(sorted(one.labels)), {})[_label_key(one)] = one

    def find_series(self, pool: Series) -> Series | None:
        # Labels with other values mean another pool. Fewer labels mean a number for several pools.
        own = [
            found
            for names, by_values in self._found.items()
            if all(name in pool.labels for name in names)
            and (found := by_values.get(tuple((name, pool.labels[name]) for name in names)))
        ]
        return max(own, key=lambda one: len(one.labels), default=None)


def _points_by_time(series: Series | None) -> dict[float, float]:
    return dict(series.points) if series else {}


def _count_increases(series: Sequence[Series]) -> dict[tuple[Labels, float], float]:
    # As Prometheus' `increase` does: after a restart the counter begins again at 0.
    return {
        (_label_key(one), time): value - before if value >= before else value
        for one in series
        for (_, before), (time, value) in pairwise(one.points)
    }


def _label_key(series: Series) -> Labels:
    return tuple(sorted(series.labels.items()))
