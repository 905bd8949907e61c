"""Laws of the evidence, and the slope against published and hand-made figures."""

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.leaktest.statistics import (
    clean_evidence,
    clean_requests,
    record_evidence,
    still_rising,
    theil_sen,
)

FLOORS = st.lists(st.integers(0, 4), min_size=6, max_size=6)


@given(FLOORS, st.lists(st.integers(1, 5000), min_size=4, max_size=4))
def test_evidence_is_never_expected_to_grow_when_the_order_is_chance(floors, loads):
    """Over all orders of the same floors its mean is at most 1: what Ville's inequality needs."""
    requests = [0.0, 0.0, *itertools.accumulate(map(float, loads))]
    orders = list(itertools.permutations(floors))
    mean = math.fsum(record_evidence(order, requests, 2, 2000) for order in orders) / len(orders)
    assert mean <= 1 + 1e-9


def test_floors_that_rise_every_time_are_soon_certain():
    """Five rises after eight quiet drains are more than a chance of 1 in 125."""
    floors = [0.0] * 8 + [2.0, 4.0, 5.0, 7.0]
    requests = [0.0] * 8 + [2000.0, 4000.0, 6000.0, 8000.0]
    assert record_evidence(floors, requests, 8, 2000) > 125


def test_loads_too_short_to_show_a_leak_cost_nothing():
    """No stake on 10 requests when the leak that matters is 1 in 2,000."""
    assert record_evidence([0.0] * 6, [0, 0, 10, 20, 30, 40], 2, 2000) == pytest.approx(1)


def test_a_pass_of_a_leaking_version_is_rare():
    """1 lost in 2,000 is ruled out by mistake in at most 1 % (2 % leaves room for 400 draws)."""
    passed = 0
    for seed in range(400):
        draw = random.Random(seed)  # noqa: S311 - reproducible, and no secret
        lost = done = 0
        while done < 60_000 and lost < 40:
            gap = draw.expovariate(1 / 2000)
            needed = clean_requests(lost, 2000, 0.01)
            if done + gap > needed > 0:
                passed += 1
                break
            done, lost = done + gap, lost + 1
    assert passed <= 8


def test_requests_that_rule_out_are_those_at_which_the_evidence_is_there():
    """Just enough, and more of them when some connections stayed away."""
    for lost in (0, 1, 3.5):
        needed = clean_requests(lost, 2000, 0.01)
        assert clean_evidence(lost, needed, 2000) >= 100 > clean_evidence(lost, needed - 2, 2000)
    assert clean_requests(0, 2000, 0.01) < clean_requests(1, 2000, 0.01)
    assert clean_requests(0, 2000, 0.01) == 10_201


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


@pytest.mark.parametrize(
    ("levels", "grows"),
    [
        pytest.param([10, 20, 28, 30, 30, 30], False, id="a pool that opened its connections"),
        pytest.param([10, 12, 14, 16, 18, 20], True, id="evenly: a leak"),
        pytest.param([20, 18, 16, 14], False, id="falling"),
    ],
)
def test_warming_up_slows_down(levels, grows):
    """What still grows at the end is no warm-up."""
    assert still_rising(levels) is grows
