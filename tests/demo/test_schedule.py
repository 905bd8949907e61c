"""Arrivals: fixed beforehand, Poisson, with a peak at noon."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.demo.load.schedule import LoadProfile, RequestKind, generate_arrivals
from canary.errors import UsageError


def test_the_same_profile_gives_the_same_arrivals():
    """Nothing else decides: no clock, no answer of a server."""
    profile = LoadProfile(50, users=100, seed=7)
    assert list(generate_arrivals(profile, 10)) == list(generate_arrivals(profile, 10))


def test_another_seed_gives_other_arrivals():
    """Otherwise a seed would be decoration."""
    one, other = (list(generate_arrivals(LoadProfile(50, seed=seed), 10)) for seed in (1, 2))
    assert one != other


@given(
    rate=st.floats(1, 200),
    day=st.sampled_from([0.0, 5.0, 60.0]),
    users=st.integers(1, 50),
    seed=st.integers(0, 10**6),
)
def test_arrivals_ascend_and_stay_in_bounds(rate: float, day: float, users: int, seed: int):
    """In time, and in who arrives."""
    found = list(generate_arrivals(LoadProfile(rate, day, users, seed), 5))
    assert all(earlier.at < later.at for earlier, later in pairwise(found))
    assert all(0 < one.at < 5 and 1 <= one.user <= users for one in found)


def test_a_constant_rate_is_kept():
    """5,000 are expected, with a standard deviation of 71."""
    assert abs(sum(1 for _ in generate_arrivals(LoadProfile(50, seed=3), 100)) - 5000) < 4 * 71


def test_noon_is_the_peak_and_midnight_is_quiet():
    """The middle fifth sees about three times the traffic of the first and last tenth."""
    found = [one.at for one in generate_arrivals(LoadProfile(100, day=100, seed=3), 100)]
    noon = sum(1 for at in found if 40 <= at < 60)
    midnight = sum(1 for at in found if at < 10 or at >= 90)
    assert noon > 2.5 * midnight > 0


def test_most_want_to_log_in():
    """And some register or show their token."""
    kinds = [one.kind for one in generate_arrivals(LoadProfile(50, seed=3), 100)]
    assert kinds.count(RequestKind.LOGIN) > 0.8 * len(kinds)
    assert set(kinds) == set(RequestKind)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"rate": 0}, id="no arrivals at all"),
        pytest.param({"rate": float("nan")}, id="not a number"),
        pytest.param({"rate": float("inf")}, id="infinitely many"),
        pytest.param({"rate": 1, "day": -1}, id="a negative day"),
        pytest.param({"rate": 1, "users": 0}, id="nobody"),
    ],
)
def test_a_profile_that_cannot_be_is_refused(wrong: dict[str, float]):
    """With a sentence, as an error of usage."""
    with pytest.raises(UsageError, match=r"expected .*, found"):
        LoadProfile(**wrong)
