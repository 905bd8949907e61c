"""Which bucket bound of a histogram is used, and what is slower than it."""

import re

import pytest

from canary.core.buckets import NO_BUCKETS, SlowThreshold, find_nearest_bound
from canary.core.increments import Side
from canary.core.rounds import Rounds
from canary.core.sampling import RatioAnswers, sample_ratio
from canary.core.series import FoundSeries, MetricAnswer, NoData, Series

SIDES = {"auth-1": Side.STABLE, "auth-2": Side.STABLE, "auth-canary-1": Side.CANARY}


def bucket(pod: str, le: str, value: float = 0.0) -> Series:
    """One bucket at the time 10."""
    return Series({"pod": pod, "le": le}, ((10.0, value),))


def bound(above: float, unit: float = 1.0, **bounds: str):
    """The bound that is chosen among these of each pod."""
    series = [
        bucket(pod.replace("_", "-"), le) for pod, some in bounds.items() for le in some.split()
    ]
    return find_nearest_bound(series, "pod", SIDES.get, SlowThreshold(above, unit))


@pytest.mark.parametrize(
    ("above", "chosen"),
    [
        pytest.param(0.5, 0.5, id="the bound itself"),
        pytest.param(0.4, 0.5, id="the nearest above"),
        pytest.param(0.26, 0.25, id="the nearest below"),
        pytest.param(0.3535533905932738, 0.5, id="of two as near the larger"),
        pytest.param(9.0, 1.0, id="the largest; +Inf is no bound"),
    ],
)
def test_the_nearest_bound_is_chosen(above: float, chosen: float):
    """Nearest by factor: 250 ms is as far from 500 ms as 1 s is."""
    assert bound(above, auth_1="0.25 0.5 1.0 +Inf") == pytest.approx(chosen)


def test_bounds_are_numbers_not_texts():
    """A Java pod writes 1.0, a Go pod 1: one bound."""
    assert bound(1.0, auth_1="0.5 1", auth_2="0.50 1.0", auth_canary_1="1e+00") == 1.0


def test_milliseconds_are_said_in_the_units_of_people():
    """Istio's and Envoy's bounds are milliseconds."""
    slow = SlowThreshold(0.4, 0.001)
    assert bound(0.4, 0.001, auth_1="250 500 1000") == 500.0
    assert (slow.format_bound(500.0), slow.format_bound(2500.0)) == ("500 ms", "2.5 s")


def test_a_bound_that_one_pod_lacks_is_not_used():
    """Its requests would all count as slow."""
    assert bound(0.5, auth_1="0.25 0.5", auth_2="0.25") == 0.25


def test_a_canary_with_other_buckets_has_no_data():
    """What cannot be compared is neither good nor bad."""
    answer = bound(0.5, auth_1="0.25 0.5", auth_canary_1="0.3")
    assert isinstance(answer, NoData)
    assert answer.why.startswith("the canary's histogram has no bucket up to 500 ms")


@pytest.mark.parametrize("above", [0.0015, 0.04, 0.5, 1.0, 7.0, 500.0, 25_000.0])
def test_the_pattern_finds_every_bound_within_ten_times(above: float):
    """However it is written; never +Inf, and none that is a thousand times away."""
    pattern = re.compile(SlowThreshold(above).bound_pattern())
    for factor in (0.11, 0.5, 1.0, 2.0, 9.9):
        value = above * factor
        texts = {f"{value:.12f}".rstrip("0"), f"{float(f'{value:.0e}'):e}"}
        for text in texts:
            short = re.sub(r"[.]?0*e", "e", text) if "e" in text else text.rstrip(".")
            assert pattern.fullmatch(short), (above, short)
    assert not pattern.fullmatch("+Inf")
    assert not pattern.fullmatch(f"{above * 1000:f}")


def answers(good: MetricAnswer) -> RatioAnswers:
    """100 requests that ten seconds before were none."""
    total = FoundSeries((Series({"pod": "auth-1"}, ((0.0, 0.0), (10.0, 100.0))),))
    return RatioAnswers("hits", total, "pod", SIDES.get, good=good, slow=SlowThreshold(0.4))


def test_requests_slower_than_the_bound_are_counted():
    """100 requests, 97 of them within 500 ms."""
    buckets = [
        Series({"pod": "auth-1", "le": le}, ((0.0, 0.0), (10.0, value)))
        for le, value in (("0.25", 90.0), ("0.5", 97.0))
    ]
    read = sample_ratio(answers(FoundSeries(tuple(buckets))), Rounds(0.0, (10.0,)))
    assert read.bound == "500 ms"
    assert isinstance(read.ticks, tuple)
    assert (read.ticks[0].total(Side.STABLE), read.ticks[0].bad(Side.STABLE)) == (100.0, 3.0)


def test_a_histogram_without_buckets_is_not_a_fast_service():
    """That is said, and is no zero."""
    read = sample_ratio(answers(NoData("nothing")), Rounds(0.0, (10.0,)))
    assert read.ticks == NoData(NO_BUCKETS, partial=True)
