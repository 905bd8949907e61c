"""Whether a figure grows: the slope of a robust line, after the start. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from canary.core.statistics import theil_sen

Point = tuple[float, float]
"""Seconds, value."""
START_SHARE = 1 / 3
"""Share of the time that is left out at the start: caches and pools fill."""
_MOST = 300
"""Most points of a line: there are about `_MOST`² / 2 slopes between them."""


@dataclass(frozen=True, slots=True)
class Trend:
    """How a figure develops after the start."""

    first: float
    last: float
    """Values of the line at its two ends."""
    slope: float
    """Per hour: the median of the slopes between all pairs of points (Theil and Sen)."""
    bound: float
    """The largest slope, per hour, that counts as flat."""

    @property
    def flat(self) -> bool:
        """Whether the figure does not grow."""
        return self.slope <= self.bound


def find_trend(points: Sequence[Point], bound: float) -> Trend:
    """Return the trend of a figure, from samples in order of time.

    One odd sample in three does not move the slope. Raises ValueError for less than three samples
    after the start.
    """
    start = points[0][0] + (points[-1][0] - points[0][0]) * START_SHARE if points else 0.0
    late = [point for point in points if point[0] >= start]
    if len(late) < 3:
        raise ValueError(f"expected at least 3 samples after the start, found {len(late)}")
    late = late[:: len(late) // _MOST + 1]
    line = theil_sen([at for at, _ in late], [value for _, value in late])
    if line is None:
        raise ValueError("expected samples at different times")
    slope = line.value
    begin, end = late[0][0], late[-1][0]
    level = median(value - slope * (at - begin) for at, value in late)
    return Trend(level, level + slope * (end - begin), slope * 3600, bound)
