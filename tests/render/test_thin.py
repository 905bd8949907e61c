"""Fewer points, the same picture."""

from hypothesis import given
from hypothesis import strategies as st

from canary.render.chart_data import Point, step_corners, thin_points

values = st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=400)


@given(values, st.integers(5, 60))
def test_no_peak_no_gap_and_no_end_is_lost(series: list[float | None], limit: int) -> None:
    """Highest, lowest, whether there are gaps, first and last: all as before, in order."""
    points: list[Point] = [(float(index), value) for index, value in enumerate(series)]
    kept = thin_points(points, limit)
    assert len(kept) <= max(limit + 3, 5)
    assert kept == sorted(set(kept), key=lambda point: point[0])
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    before, after = ([v for _, v in each if v is not None] for each in (points, kept))
    assert (max(before, default=0), min(before, default=0)) == (
        max(after, default=0),
        min(after, default=0),
    )
    assert any(v is None for _, v in points) == any(v is None for _, v in kept)


def test_steps_are_corners_and_ends() -> None:
    """What lies on a straight line is not drawn."""
    assert step_corners([(0, 0), (1, 0), (2, 5), (3, 5), (4, 5)]) == [(0, 0), (2, 5), (4, 5)]
