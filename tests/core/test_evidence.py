"""The judge in sentences: what fails, what passes, and what is no reason for either."""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import pytest

from canary.core.evidence import (
    Assessment,
    EvidenceState,
    FailReason,
    Interval,
    Judge,
    PodCount,
    RatioPolicy,
    Stratum,
    assess_evidence,
    fold_intervals,
    start_after_promotion,
)
from canary.core.evidence.assessment import assess_judge

POLICY = RatioPolicy()
Rate = Callable[[float], float]


def release(  # noqa: PLR0913 — one number per property, most of them defaults
    canary: Rate | float,
    stable: Rate | float = 0.001,
    *,
    rps: float = 100.0,
    weight: float = 0.1,
    seconds: float = 3600.0,
    history: float = 3600.0,
    every: float = 15.0,
) -> Iterator[Interval]:
    """A release whose bad requests come as evenly as whole numbers can."""
    owed = [0.0, 0.5]
    at = -history
    while at < seconds:
        share = weight if at >= 0 else 0.0
        totals = (rps * every * share, rps * every * (1 - share))
        bad = []
        for side, rate in enumerate((canary, stable)):
            owed[side] += totals[side] * (rate(at) if callable(rate) else rate)
            bad.append(float(min(math.floor(owed[side]), totals[side])))
            owed[side] -= bad[-1]
        yield Interval(at, at + every, totals[0], bad[0], totals[1], bad[1])
        at += every


def said(intervals, policy=POLICY):
    """The assessment after these intervals."""
    return assess_evidence(fold_intervals(EvidenceState(), policy, intervals), policy)


def during(start: float, seconds: float, rate: float, otherwise: float = 0.001) -> Rate:
    """`rate` for a while."""
    return lambda t: rate if start <= t < start + seconds else otherwise


@pytest.mark.parametrize(
    ("intervals", "reason", "by"),
    [
        pytest.param(release(0.05), "WorseThanStable", 150, id="5 % beside 0.1 %: worse"),
        pytest.param(release(0.01), "WorseThanStable", 240, id="1 % beside 0.1 %: worse"),
        pytest.param(
            release(0.04, 0.02, weight=0.5), "WorseThanStable", 360, id="4 % beside 2 % at half"
        ),
        pytest.param(release(0.3), "AboveLimit", 150, id="30 %: above the limit as well"),
        pytest.param(release(1.0), "CanaryOutage", 30, id="nothing works: at once, in warm-up"),
        pytest.param(
            release(1.0, every=5.0), "CanaryOutage", 10, id="nothing works, 5 s samples: 10 s"
        ),
        pytest.param(
            release(lambda t: 0.001 if t < 600 else 1.0),
            "CanaryOutage",
            660,
            id="an outage of a proven canary: once it outlasts an incident",
        ),
        pytest.param(
            release(lambda t: 0.001 if t < 600 else 1.0, weight=0.5, every=5.0),
            "CanaryOutage",
            610,
            id="an outage of a proven canary with half of the traffic: at once",
        ),
        pytest.param(
            release(lambda t: 0.001 if t < 1800 else 0.01),
            "WorseThanStable",
            2100,
            id="1 % from minute 30 on: late faults are found as well",
        ),
    ],
)
def test_a_worse_canary_fails(intervals, reason, by):
    """The verdict is Fail, with its reason, in time."""
    assessment = said(intervals)
    assert assessment.failed
    assert assessment.reason == FailReason(reason)
    assert assessment.failed_at <= by
    assert not assessment.step_pass
    assert not assessment.final_pass


def shared(rate: Rate | float, **more) -> Iterator[Interval]:
    """Both versions alike."""
    return release(rate, rate, **more)


def strays() -> Iterator[Interval]:
    """A clean day, then two errors of the canary's."""
    yield Interval(-86400.0, 0.0, 0.0, 0.0, 8_640_000.0, 0.0)
    for i in range(240):
        yield Interval(i * 15.0, i * 15.0 + 15, 150.0, float(i in {20, 90}), 1350.0, 0.0)


@pytest.mark.parametrize(
    "intervals",
    [
        pytest.param(shared(0.001), id="as good as stable"),
        pytest.param(shared(0.02), id="both at 2 %"),
        pytest.param(shared(0.06), id="both above the limit"),
        pytest.param(shared(during(900, 120, 0.3)), id="a burst that both share"),
        pytest.param(shared(lambda t: 0.001 if t < 900 else 1.0), id="everything breaks for good"),
        pytest.param(shared(0.02, rps=2.0), id="hardly any traffic, both at 2 %"),
        pytest.param(release(during(900, 20, 0.3), every=5.0), id="a hiccup of 20 s"),
        pytest.param(
            release(during(900, 20, 1.0), every=5.0), id="a hiccup in which nothing works"
        ),
        pytest.param(release(during(0, 60, 0.02)), id="a cold start"),
        pytest.param(strays(), id="two stray errors after a clean day"),
        pytest.param(release(0.0012), id="worse, but within the tolerance"),
        pytest.param(release(0.05, rps=0.2, seconds=600), id="fewer than five bad requests"),
        pytest.param(release(0.001, weight=0.99), id="nearly all traffic on the canary"),
        pytest.param(release(0.05, 0.0, weight=1.0, history=0), id="no stable at all: no verdict"),
    ],
)
def test_a_good_canary_does_not_fail(intervals):
    """None of these is the canary's fault."""
    assert not said(intervals).failed


def test_promotion_needs_the_minimum_under_traffic():
    """A good canary passes after warm-up and minimum, not before, and stays passed."""
    assessment = said(shared(0.001))
    assert assessment.final_pass
    assert assessment.passing_since == 60 + 1200
    assert not said(shared(0.001, seconds=1200)).final_pass


def test_promotion_needs_requests():
    """At 2 canary requests a minute the smallest regression cannot be ruled out in an hour."""
    assessment = said(shared(0.001, rps=1 / 3))
    assert not assessment.final_pass
    assert not assessment.failed


def test_a_shared_fault_is_stables_and_promotes_nobody():
    """Both at 6 %: stable is unhealthy; what it does meanwhile is left out of promotion."""
    assessment = said(shared(0.06))
    assert assessment.stable_unhealthy
    assert not assessment.final_pass


def test_pass_is_not_latched_and_fail_is():
    """A canary that passed and then fails is failed, and good behaviour does not undo it."""
    fault = list(release(during(2400, 300, 0.05), seconds=5400))
    before = [interval for interval in fault if interval.end <= 2400]
    assert said(before).final_pass
    state = fold_intervals(EvidenceState(), POLICY, fault)
    assert assess_evidence(state, POLICY).failed
    assert not assess_evidence(state, POLICY).final_pass


def test_the_next_step_needs_some_clean_requests():
    """Gross damage (5 %) is excluded soon after ln(100)/5 % = 92 requests, and not before."""
    policy = RatioPolicy(warm_up=0.0)

    def clean(requests: int) -> Iterator[Interval]:
        yield Interval(-600.0, 0.0, 0.0, 0.0, 6000.0, 0.0)
        for i in range(requests):
            yield Interval(i * 5.0, i * 5.0 + 5, 1.0, 0.0, 10.0, 0.0)

    assert not said(clean(92), policy).step_pass
    assert said(clean(115), policy).step_pass


QUICK = RatioPolicy(warm_up=0.0, min_duration=30.0, smallest_regression=0.02)


def clean_release(past: Mapping[int, float] = {}, blocks: int = 2000) -> Iterator[Interval]:
    """A canary without errors at half of 50 requests/s, after ten minutes of stable's `past`.

    `past` has the bad ones of 250 requests, by the block of 5 s in which they were.
    """
    for i in range(120):
        yield Interval(i * 5 - 600.0, i * 5 - 595.0, 0.0, 0.0, 250.0, past.get(i, 0.0))
    for i in range(blocks):
        yield Interval(i * 5.0, i * 5.0 + 5, 125.0, 0.0, 125.0, 0.0)


def time_to_pass(intervals: Iterable[Interval], policy: RatioPolicy) -> tuple[float, float]:
    """When the next step may start, and when promotion may follow; infinite if never."""
    judge, step = Judge(policy), math.inf
    for interval in intervals:
        judge.add_interval(interval)
        excluded = judge.promotion.gross_damage_excluded(judge.baseline, policy)
        step = min(step, interval.end) if excluded else step
        if judge.passing_since is not None:
            return step, judge.passing_since
    return step, math.inf


@pytest.mark.parametrize(
    "past",
    [
        pytest.param({20: 16.0}, id="16 errors at once"),
        pytest.param({20: 45.0}, id="45 errors at once"),
        pytest.param(dict.fromkeys(range(20, 26), 250.0), id="half a minute of total outage"),
        pytest.param({19: 5.0, 20: 14.0, 21: 3.0}, id="a burst over three blocks"),
    ],
)
def test_one_incident_in_stables_past_does_not_hold_a_clean_canary(past: Mapping[int, float]):
    """It says nothing about how the errors of another version would come: at most twice as long.

    16 errors held the release of the quick start until its deadline, 24 times as long.
    """
    step, final = time_to_pass(clean_release(), QUICK)
    held_step, held_final = time_to_pass(clean_release(past), QUICK)
    assert held_step <= 2 * step
    assert held_final <= 2 * final


def test_errors_that_keep_coming_in_groups_take_at_most_eight_times_the_requests():
    """However large the groups: a release that does not move for hours is overridden."""
    past, policy = dict.fromkeys(range(0, 120, 10), 200.0), replace(QUICK, min_duration=0.0)
    held, quick = time_to_pass(clean_release(past), policy), time_to_pass(clean_release(), policy)
    assert held[0] <= 4 * quick[0] + 5
    assert quick[1] < held[1] <= 8 * quick[1] + 5


def test_a_canary_with_all_of_the_traffic_is_promoted_by_stables_history():
    """One step of 100: stable has no requests any more, also after its last ten minutes."""

    def everything(rate: float) -> Iterator[Interval]:
        for i in range(120):
            yield Interval(i * 5 - 600.0, i * 5 - 595.0, 0.0, 0.0, 250.0, 0.0)
        for i in range(480):
            bad = float(i % 10 == 0) if rate else 0.0
            yield Interval(i * 5.0, i * 5.0 + 5, 250.0, bad, 0.0, 0.0)

    policy = RatioPolicy(warm_up=0.0)
    assert time_to_pass(everything(0.0), policy)[1] == 1200.0
    assert math.isinf(time_to_pass(everything(0.0), replace(policy, min_duration=2401.0))[1])
    without_history = (one for one in everything(0.0) if one.end > 0)
    assert math.isinf(time_to_pass(without_history, policy)[1])


def test_four_early_errors_do_not_hold_a_canary_for_ever():
    """Too few to fail, and evidence against the canary falls only with errors of stable."""

    def release_with(errors: Sequence[int]) -> Iterator[Interval]:
        for i in range(120):
            yield Interval(15.0 * i - 1800, 15.0 * i - 1785, 0.0, 0.0, 750.0, 0.0)
        for i in range(480):
            yield Interval(15.0 * i, 15.0 * i + 15, 38.0, float(i in errors), 712.0, 0.0)

    # One error in each of four adjacent windows of a pod.
    policy, errors = RatioPolicy(), (5, 7, 9, 11)
    judge = Judge(policy)
    for one in itertools.islice(release_with(errors), 120 + 40):
        judge.add_interval(one)
    assert judge.suspicious()
    assert judge.failed is None
    missing = assess_judge(judge, policy).final_missing
    assert "because its last bad requests are almost enough to fail it" in missing
    assert time_to_pass(release_with(errors), policy)[1] < 3600


@pytest.mark.parametrize("past", [{}, {20: 16.0}, dict.fromkeys(range(0, 120, 10), 20.0)])
@pytest.mark.parametrize("final", [False, True])
def test_the_number_of_missing_requests_is_right(past: Mapping[int, float], final: bool):  # noqa: FBT001
    """After so many more clean requests the verdict is Pass, and not after nine tenths of them."""
    policy = replace(QUICK, min_duration=0.0, smallest_regression=0.002)

    def assess(requests: float) -> Assessment:
        more = [Interval(5.0, 10.0, requests, 0.0, 125.0, 0.0)] if requests else []
        return said([*clean_release(past, blocks=1), *more], policy)

    before = assess(0)
    text = before.final_missing if final else before.step_missing
    found = re.search(r"at least ([0-9,]+) more good canary requests", text)
    if not final and not found:
        assert before.step_pass
        return
    missing = int(found[1].replace(",", ""))
    passed = [getattr(assess(missing * part), "final_pass" if final else "step_pass")
              for part in (0.9, 1.05)]  # fmt: skip
    assert passed == [False, True]
    if len(past) > 1:
        assert "because stable's bad requests come in groups of" in text


def test_without_a_limit_only_the_comparison_counts():
    """`limit` None: 30 % beside 0.1 % is worse than stable, and nothing else."""
    policy = RatioPolicy(limit=None)
    assessment = said(release(0.3), policy)
    assert assessment.reason is FailReason.WORSE_THAN_STABLE
    assert not assessment.stable_unhealthy


def test_after_promotion_the_past_is_the_yardstick():
    """Alone: 5 % is found within minutes; a slow drift and an outage of two minutes are not."""
    policy = POLICY.after_promotion()
    start = start_after_promotion(fold_intervals(EvidenceState(), POLICY, shared(0.001)), POLICY)

    def alone(rate: Rate | float):
        day = release(rate, 0.0, weight=1.0, history=0.0)
        later = [i._replace(start=i.start + 3600, end=i.end + 3600) for i in day]
        return assess_evidence(fold_intervals(start, policy, later), policy)

    assert alone(0.05).failed_at <= 3600 + 400
    assert not alone(lambda t: 0.001 + 0.002 * t / 3600).failed
    assert not alone(during(1800, 120, 1.0)).failed


@pytest.mark.parametrize("false_positive_rate", [0.001, 0.01, 0.1, 0.2])
def test_one_incident_never_decides_whatever_the_error_allowed(false_positive_rate):
    """A hiccup of 20 s fails nobody, a lasting fault does."""
    policy = replace(POLICY, false_positive_rate=false_positive_rate)
    hiccup = release(during(900, 20, 0.3), every=5.0, seconds=1500)
    assert not said(hiccup, policy).failed
    assert said(release(during(900, 120, 0.3), every=5.0, seconds=1500), policy).failed


def test_a_fault_of_every_request_at_half_of_the_traffic_is_told_from_one_pod_of_two():
    """One of two pods in a hiccup is half of the requests, and no outage of the canary."""

    def half(seconds: float) -> Rate:
        return during(900, seconds, 0.5)

    hiccup = release(half(20), weight=0.5, every=5.0, seconds=1500)
    assert not said(hiccup).failed
    lasting = said(release(half(300), weight=0.5, every=5.0, seconds=1500))
    assert lasting.failed
    assert lasting.failed_at <= 900 + 45


def test_noisy_pods_are_given_more_room():
    """Stable's pods differ by a factor of several: a canary at twice the mean is one of them."""

    def intervals(*, pods: bool) -> Iterator[Interval]:
        rates = [0.002, 0.005, 0.01, 0.04, 0.05]
        for i in range(-240, 240):
            each = tuple(PodCount(f"p{k}", 300.0, 300 * r) for k, r in enumerate(rates))
            bad = sum(pod.bad for pod in each)
            total = 300.0 if i >= 0 else 0.0
            row = Interval(i * 15.0, i * 15.0 + 15, total, total * 0.043, 1500.0, bad)
            yield row._replace(pods=each) if pods else row

    assert said(intervals(pods=False)).failed
    assert not said(intervals(pods=True)).failed


def test_another_mix_of_routes_is_no_fault():
    """The canary gets three times the share of a bad route: seen per route, all is well."""

    def intervals(*, routes: bool) -> Iterator[Interval]:
        for i in range(-240, 240):
            live = 1.0 if i >= 0 else 0.0
            parts = (
                Stratum("login", 140.0 * live, 0.14 * live, 1280.0, 1.28),
                Stratum("search", 30.0 * live, 0.9 * live, 70.0, 2.1),
            )
            sums = [sum(part[k] for part in parts) for k in range(1, 5)]
            row = Interval(i * 15.0, i * 15.0 + 15, *sums)
            yield row._replace(strata=parts) if routes else row

    assert said(intervals(routes=False)).failed
    assert not said(intervals(routes=True)).failed


def test_the_sentence_says_how_much_worse():
    """Numbers that a person can repeat: a ratio, its interval and both counts."""
    sentence = said(release(0.01, seconds=600)).sentence
    assert sentence.startswith("canary fails 9.9× as often as stable")
    assert "(between 4.5× and 22.3×)" in sentence
    assert "60 of 6,000 against 54 of 54,000" in sentence


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tolerance", 0.9),
        ("tolerance", math.nan),
        ("false_positive_rate", 0.0),
        ("false_positive_rate", 1.0),
        ("limit", 1.5),
        ("tolerated_incident", -1.0),
        ("smallest_regression", 0.0),
        ("warm_up", math.inf),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(field, value):
    """The message names the field and the value."""
    with pytest.raises(ValueError, match=f"{field}.*{value}"):
        replace(POLICY, **{field: value})
