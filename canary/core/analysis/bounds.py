"""A user's own query: outside its bounds for long enough is a failure. A rule, not statistics."""

from collections.abc import Sequence
from dataclasses import dataclass

from canary.core.series import Series


@dataclass(frozen=True, slots=True)
class Bounds:
    """The allowed range and how long (seconds) it may be left."""

    low: float | None
    high: float | None
    tolerated: float


@dataclass(frozen=True, slots=True)
class BoundsState:
    """Since when the value is outside (seconds since the epoch), and whether that was too long."""

    outside_since: float | None = None
    failed_at: float | None = None
    last: float | None = None
    seen_at: float | None = None


def fold_values(
    state: BoundsState, bounds: Bounds, series: Sequence[Series], since: float
) -> BoundsState:
    """The state after the points later than `since`; with several series the worst one counts."""
    by_time: dict[float, list[float]] = {}
    for one in series:
        for time, value in one.points:
            if time > since:
                by_time.setdefault(time, []).append(value)
    for time, values in sorted(by_time.items()):
        state = _fold_time(state, bounds, time, values)
    return state


def _fold_time(state: BoundsState, bounds: Bounds, time: float, values: list[float]) -> BoundsState:
    outside = [value for value in values if _measure_excess(bounds, value) > 0]
    worst = max(values, key=lambda value: _measure_excess(bounds, value))
    since = (state.outside_since or time) if outside else None
    failed = state.failed_at
    if failed is None and since is not None and time - since >= bounds.tolerated:
        failed = time
    return BoundsState(since, failed, worst, time)


def _measure_excess(bounds: Bounds, value: float) -> float:
    above = value - bounds.high if bounds.high is not None else 0.0
    below = bounds.low - value if bounds.low is not None else 0.0
    return max(above, below)
