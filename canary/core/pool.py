"""Connection pools as they are sampled: per pod and pool, aligned on one grid."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from canary.core.increments import Counters, Grid, Labels, Side, SideOf, Tick, increments
from canary.core.series import Series


@dataclass(frozen=True, slots=True)
class PoolReading:
    """One pool of one pod at the end of one interval.

    `in_use`, `maximum` and `waiting` are gauges in connections (or callers); `held` is the time,
    in connection-seconds, of the connections that were given back in the interval; `timeouts` are
    callers that got none in it. None: the exporter does not tell. `seconds` is the time since the
    pool's last reading: longer than the interval after a gap.
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
    """Series of a pool, as read on one grid; `hold` counts units of `hold_unit` seconds.

    `label` separates the sides. `maximum` is a number when the spec gives it; series of a maximum
    that lack labels of the pools (one number for a whole server) hold for all of them.
    """

    in_use: Sequence[Series]
    maximum: Sequence[Series] | float
    label: str
    side_of: SideOf
    waiting: Sequence[Series] = ()
    timeouts: Sequence[Series] = ()
    hold: Sequence[Series] = ()
    hold_unit: float = 1.0
    started: Mapping[str, float] = field(default_factory=dict)


def pool_samples(
    pools: PoolSeries, requests: Sequence[Tick], grid: Grid, since: float | None = None
) -> tuple[PoolSample, ...]:
    """One sample per grid time after `since`; read from some minutes before it, as `increments`.

    A pool whose hold time is exported, but not at both ends of an interval, is left out of that
    sample: what it held and what it gave back must cover the same time.
    """
    begin = grid.start if since is None else since
    by_time: dict[float, list[PoolReading]] = {t: [] for t in grid.times()[1:] if t > begin}
    for time, reading in _readings(pools, grid):
        if time in by_time:
            by_time[time].append(reading)
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


def _readings(pools: PoolSeries, grid: Grid) -> Iterator[tuple[float, PoolReading]]:
    held = _increments(pools, pools.hold, grid)
    timeouts = _increments(pools, pools.timeouts, grid)
    waiting = {_labels(s): dict(s.points) for s in pools.waiting}
    for series in pools.in_use:
        labels = _labels(series)
        side = pools.side_of(series.labels.get(pools.label, ""))
        maximum = _maximum(pools, labels)
        last: float | None = None
        for time, in_use in series.points if side is not None else ():
            known = not pools.hold or (labels, time) in held
            if last is not None and side is not None and known:
                yield (
                    time,
                    PoolReading(
                        pod="/".join(value for _, value in labels),
                        side=side,
                        seconds=time - last,
                        in_use=in_use,
                        maximum=maximum(time),
                        waiting=waiting.get(labels, {}).get(time),
                        held=held[labels, time] * pools.hold_unit if pools.hold else None,
                        timeouts=timeouts.get((labels, time)),
                    ),
                )
            last = time


def _increments(
    pools: PoolSeries, series: Sequence[Series], grid: Grid
) -> dict[tuple[Labels, float], float]:
    counters = Counters(series, (), pools.label, pools.side_of, pools.started)
    ticks = increments(counters, grid)
    return {(i.group, tick.end): i.total for tick in ticks for i in tick.increments}


def _maximum(pools: PoolSeries, labels: Labels) -> Callable[[float], float | None]:
    """By time; that of the series whose labels are all the pool's. 0 means unlimited: none."""
    if isinstance(pools.maximum, float | int):
        given = float(pools.maximum)
        return lambda _: given
    own = set(labels)
    points = next((dict(s.points) for s in pools.maximum if set(s.labels.items()) <= own), {})
    return lambda time: points.get(time) or None


def _labels(series: Series) -> Labels:
    return tuple(sorted(series.labels.items()))
