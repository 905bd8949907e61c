"""Statistics against published figures: intervals, slopes, and drawn numbers."""

import math
from random import Random
from statistics import fmean, variance

import pytest

from canary.core.statistics import clopper_pearson, draw_poisson, theil_sen, wilson_interval

INTERVALS = [
    pytest.param(0, 100, (0.0, 0.0370), id="none bad"),
    pytest.param(50, 100, (0.4038, 0.5962), id="half"),
    pytest.param(100, 100, (0.9630, 1.0), id="all bad"),
    pytest.param(1, 29, (0.0061, 0.1718), id="one of 29, an example of Newcombe 1998 (Table I)"),
]


@pytest.mark.parametrize(("bad", "total", "wanted"), INTERVALS)
def test_wilson_intervals_agree_with_newcombe_1998(
    bad: float, total: float, wanted: tuple[float, float]
) -> None:
    """Wilson's at 95 %, within what a share can be."""
    assert wilson_interval(bad, total) == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 1000, 0.0, 0.003682), (10, 1000, 0.004806, 0.018315), (50, 50, 0.928878, 1.0)],
)
def test_clopper_pearson_agrees_with_tables(hits, trials, low, high):
    """Exact binomial intervals at 95 %."""
    assert clopper_pearson(hits, trials) == pytest.approx((low, high), abs=2e-6)


def test_the_slope_is_that_of_sen_1968():
    """His own example: seven points, median slope 4, 95 % from 26/10 to 40/8 or nearby."""
    x, y = [1, 2, 3, 4, 10, 12, 18], [9, 15, 19, 20, 45, 55, 78]
    slope = theil_sen(x, y, 0.93)
    assert slope is not None
    assert slope.value == pytest.approx(4.0)
    assert (slope.low, slope.high) == pytest.approx((26 / 7, 35 / 8), abs=0.3)


def test_one_wild_floor_does_not_move_the_slope():
    """A job that held thirty connections in one drain; a mean would call it a leak."""
    floors = [0, 1, 2, 33, 4, 5, 6, 7]
    slope = theil_sen(list(range(8)), floors)
    assert slope is not None
    assert slope.value == pytest.approx(1)
    assert slope.per_thousand == pytest.approx(1000)


@pytest.mark.parametrize(
    ("x", "y", "bounded"),
    [
        pytest.param([1, 1, 1], [1, 2, 3], None, id="no requests in between: no slope"),
        pytest.param([1, 2, 3], [1, 2, 3], False, id="three points: no interval"),
        pytest.param([0, 0, 0, *range(1, 9)], [0, 0, 0, *range(1, 9)], True, id="with ties"),
    ],
)
def test_too_little_is_said_to_be(x, y, bounded):
    """Infinite bounds rather than wrong ones."""
    slope = theil_sen(x, y)
    assert (None if slope is None else math.isfinite(slope.high - slope.low)) == bounded


@pytest.mark.parametrize("mean", [0.3, 5.0, 31.0, 400.0])
def test_poisson_numbers_have_their_mean_and_variance(mean):
    """Both ways of drawing them."""
    random = Random(1)  # noqa: S311 - simulated requests, no secrets
    drawn = [draw_poisson(mean, random) for _ in range(5000)]
    assert fmean(drawn) == pytest.approx(mean, rel=0.05)
    assert variance(drawn) == pytest.approx(mean, rel=0.1)
