"""Fewer points for the same picture: no peak, no gap and no step is lost."""

import math
from collections.abc import Sequence

Point = tuple[float, float | None]
"""Seconds, and a value or a gap."""


def thin_points(points: Sequence[Point], limit: int) -> list[Point]:
    """At most about `limit` of `points`: lowest, highest and a gap of each stretch, and both ends.

    The min-max decimation of plotting tools; a spike of a single sample stays in the picture.
    """
    if len(points) <= limit:
        return list(points)
    stretches = max((limit - 2) // 3, 1)
    size = math.ceil(len(points) / stretches)
    kept = {0, len(points) - 1}
    for start in range(0, len(points), size):
        kept.update(_extremes(points, range(start, min(start + size, len(points)))))
    return [points[index] for index in sorted(kept)]


def _extremes(points: Sequence[Point], stretch: range) -> set[int]:
    values = [(value, index) for index in stretch if (value := points[index][1]) is not None]
    gap = next((index for index in stretch if points[index][1] is None), None)
    ends = {min(values)[1], max(values)[1]} if values else set()
    return ends if gap is None else ends | {gap}


def step_corners(points: Sequence[Point]) -> list[Point]:
    """A step line's corners: each change of value, and both ends."""
    return [
        point
        for index, point in enumerate(points)
        if index in {0, len(points) - 1} or point[1] != points[index - 1][1]
    ]
