"""Laws of the evidence for and against a leak."""

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.leaktest.evidence import (
    clean_evidence,
    clean_requests,
    record_evidence,
    still_rising,
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
