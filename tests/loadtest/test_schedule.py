"""Arrival times: fixed in advance, shared among workers, the same for a seed."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.errors import UsageError
from canary.loadtest.generator.schedule import (
    ArrivalSpacing,
    LoadSchedule,
    LoadStage,
    parse_schedule,
)


def times(plan: LoadSchedule, **how: int) -> list[float]:
    """When its requests are due."""
    return [arrival.at for arrival in plan.arrivals(**how)]


def test_a_constant_rate_is_evenly_spaced():
    """Ten requests a second are 100 ms apart, the first after half of that."""
    assert times(LoadSchedule((LoadStage(10, 10, 1),))) == pytest.approx(
        [0.05 + 0.1 * k for k in range(10)]
    )


def test_a_ramp_sends_as_many_as_its_mean_rate():
    """From 0 to 100/s in 10 s are 500 requests, a quarter of them in the first half."""
    ramp = times(LoadSchedule((LoadStage(0, 100, 10),)))
    assert len(ramp) == 500
    assert sum(at < 5 for at in ramp) == 125


def test_a_pause_sends_nothing():
    """A stage with rate 0 takes its time and no request is due in it."""
    plan = LoadSchedule((LoadStage(10, 10, 1), LoadStage(0, 0, 5), LoadStage(10, 10, 1)))
    assert len(times(plan)) == 20
    assert [at for at in times(plan) if 1 <= at < 6] == []
    assert {arrival.stage for arrival in plan.arrivals()} == {0, 2}


stages = st.builds(
    LoadStage,
    st.floats(0, 50),
    st.floats(0, 50),
    st.floats(0.1, 3),
)


@given(st.lists(stages, min_size=1, max_size=4), st.integers(1, 4))
def test_workers_together_send_what_one_would(parts, workers):
    """Law: the workers' requests are the schedule's, each once, in order and inside their stage."""
    try:
        plan = LoadSchedule(tuple(parts))
    except UsageError:
        return
    alone = list(plan.arrivals())
    shared = [list(plan.arrivals(k, workers)) for k in range(workers)]
    assert sorted((a for part in shared for a in part), key=lambda a: a.number) == alone
    for part in shared:
        assert all(a.at <= b.at for a, b in pairwise(part))
    begins = [math.fsum(one.seconds for one in parts[:k]) for k in range(len(parts) + 1)]
    for arrival in alone:
        assert begins[arrival.stage] <= arrival.at + 1e-9
        assert arrival.at <= begins[arrival.stage + 1] + 1e-9


def test_random_arrivals_are_those_of_their_seed():
    """The same seed gives the same times, another seed others; about as many as planned."""
    plan = LoadSchedule((LoadStage(100, 100, 20),), ArrivalSpacing.RANDOM)
    assert times(plan, seed=1) == times(plan, seed=1) != times(plan, seed=2)
    gaps = [b - a for a, b in pairwise(times(plan, seed=1))]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(0.01, rel=0.1)
    assert sum((gap - mean) ** 2 for gap in gaps) / len(gaps) == pytest.approx(mean**2, rel=0.2)


@pytest.mark.parametrize(
    ("rate", "duration", "warm_up", "expected"),
    [
        pytest.param("100", 10, 0, [(100, 100, 10, True)], id="one rate: one stage"),
        pytest.param("1..9", None, 0, [(1, 9, 30, True)], id="no duration: 30 s"),
        pytest.param(
            "1,2..3", 10, 0, [(1, 1, 5, True), (2, 3, 5, True)], id="parts share the duration"
        ),
        pytest.param(
            "5@1m,0@10s", None, 0, [(5, 5, 60, True), (0, 0, 10, True)], id="parts with times"
        ),
        pytest.param(
            "0..8", 4, 2, [(8, 8, 2, False), (0, 8, 4, True)], id="no warm-up at a rate of 0"
        ),
    ],
)
def test_a_profile_is_read(rate, duration, warm_up, expected):
    """What --rate may say."""
    found = parse_schedule(rate, duration, warm_up).stages
    assert [(one.start, one.end, one.seconds, one.measured) for one in found] == expected


@pytest.mark.parametrize(
    ("rate", "duration", "said"),
    [
        pytest.param("fast", None, "found 'fast'", id="a word"),
        pytest.param("-1", None, "found '-1'", id="a negative rate"),
        pytest.param("nan", None, "found 'nan'", id="no number"),
        pytest.param("1..", None, "found '1..'", id="a ramp to nowhere"),
        pytest.param("5@soon", None, "found 'soon'", id="a time that is none"),
        pytest.param("5@0s", None, "longer than 0 s", id="a time of nothing"),
        pytest.param("5@1s,6", None, "expected a duration", id="only some parts have a time"),
        pytest.param("5@1s", 9, "no --duration", id="two times"),
        pytest.param("0", None, "above 0", id="nothing at all"),
        pytest.param(",".join("1" * 101), None, "at most 100 parts", id="too many parts"),
    ],
)
def test_what_is_no_profile_is_refused(rate, duration, said):
    """With what was expected and what was found."""
    with pytest.raises(UsageError, match=said.replace(".", r"\.")):
        parse_schedule(rate, duration)
