"""Reduces the number of points of a line; keeps every peak, gap and step."""

import math
from collections.abc import Sequence

Point = tuple[float, float | None]
"""Time in seconds and a value; None is a gap."""


def thin_points(points: Sequence[Point], limit: int) -> list[Point]:
    """Return about `limit` of `points`: both ends, and each interval's lowest, highest and gap.

    This is min-max decimation, as in plotting tools; it keeps a spike of a single sample.
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
    """Return the corners of a step line: each change of value, and both ends."""
    return [
        point
        for index, point in enumerate(points)
        if index in {0, len(points) - 1} or point[1] != points[index - 1][1]
    ]
