"""Weight 100 %: stable has no traffic, and its history has to do."""

from collections.abc import Iterator

import pytest

from canary.core.evidence import FailReason, Interval
from tests.core.test_evidence import Rate, during, release, said, shared


def stepped(last: float, first: float, rate: Rate) -> Iterator[Interval]:
    """Weight `first` and, from second 300 on, `last`; both versions fail alike, 5 s samples."""
    for now, weight in ((False, first), (True, last)):
        every = release(rate, rate, weight=weight, every=5.0, seconds=900.0)
        yield from (step for step in every if (step.start >= 300.0) is now)


def gap() -> Iterator[Interval]:
    """Nothing works for a while on both sides, and stable's counters come late meanwhile."""
    late = Interval(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    for step in shared(during(900, 25, 1.0), every=5.0, seconds=1200.0):
        if 900 <= step.start < 920:
            late = late._replace(
                stable_total=late.stable_total + step.stable_total,
                stable_bad=late.stable_bad + step.stable_bad,
            )
            yield step._replace(stable_total=0.0, stable_bad=0.0)
        else:
            total, bad = step.stable_total + late.stable_total, step.stable_bad + late.stable_bad
            late = late._replace(stable_total=0.0, stable_bad=0.0)
            yield step._replace(stable_total=total, stable_bad=bad)


@pytest.mark.parametrize(
    ("intervals", "by"),
    [
        pytest.param(
            release(1.0, weight=1.0, every=5.0),
            10,
            id="nothing works, and all traffic on the canary: stable's history is enough",
        ),
        pytest.param(
            release(1.0, weight=1.0, rps=1.0, every=5.0),
            10,
            id="nothing works at one request a second, all on the canary: ten bad requests",
        ),
        pytest.param(
            stepped(1.0, 0.1, lambda t: 1.0 if t >= 300 else 0.001),
            310,
            id="an outage right after the last step, stable without a request from then on",
        ),
    ],
)
def test_a_total_outage_fails_after_two_samples(intervals, by):
    """Ten bad requests, and a stable that was known to be well: users are being failed now."""
    assessment = said(intervals)
    assert assessment.reason is FailReason.CANARY_OUTAGE
    assert assessment.failed_at <= by


@pytest.mark.parametrize(
    "intervals",
    [
        pytest.param(
            release(1.0, 0.0, weight=1.0, history=0), id="nothing works, nothing known of stable"
        ),
        pytest.param(gap(), id="stable is not seen for 20 s of an outage that both share"),
        pytest.param(
            stepped(1.0, 0.5, during(280, 60, 1.0)),
            id="an outage that both share when the last step is taken",
        ),
    ],
)
def test_what_may_not_be_the_canarys_fault_is_no_outage(intervals):
    """Silence of stable's is no evidence by itself."""
    assert not said(intervals).failed
