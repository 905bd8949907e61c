"""A ratio metric from what was read: whose requests they are, and what is missing."""

from dataclasses import replace

import pytest

from canary.api import Metric, MetricStatus, Verdict
from canary.api.analysis import Analysis
from canary.api.judge_state import RatioState
from canary.core.analysis.input import AnalysisInput
from canary.core.analysis.pool import analyze_pool
from canary.core.analysis.ratio import analyze_ratio
from canary.core.analysis.state import store_pool
from canary.core.increments import Side
from canary.core.pools.detector import DetectorState
from canary.core.rounds import Rounds
from canary.core.sampling import RatioAnswers, sample_ratio
from canary.core.series import FoundSeries, MetricAnswer, NoData, Series, Unavailable
from canary.core.snapshot import Samples

START, REPLACED, END = 1000.0, 1600.0, 1700.0
ROUNDS = Rounds(START, tuple(float(time) for time in range(1010, 1710, 10)))
METRIC = Metric.model_validate({"name": "errors", "ratio": {"preset": "traefik"}})
ANALYSIS = Analysis.model_validate({"interval": "10s", "warmUp": "0s", "metrics": [METRIC]})


def counted(backend: str, *rates: tuple[float, float]) -> Series:
    """A counter that rises by `rate` per second from each given time on."""
    points, value = [], 0.0
    for time in range(int(START), int(END) + 10, 10):
        points.append((float(time), value))
        value += 10 * [rate for since, rate in rates if since <= time][-1]
    return Series({"service": backend}, tuple(points))


def test_requests_of_an_earlier_canary_are_not_held_against_this_one() -> None:
    """The one before failed completely, this one never: nothing bad is seen, and no Fail."""
    total = FoundSeries((counted("auth", (START, 45)), counted("auth-canary", (START, 5))))
    bad = FoundSeries((counted("auth-canary", (START, 5), (REPLACED, 0)),))
    sides = {"auth": Side.STABLE, "auth-canary": Side.CANARY}
    read = sample_ratio(RatioAnswers("hits", total, "service", sides.get, bad=bad), ROUNDS)
    given = AnalysisInput(ANALYSIS, END, REPLACED)
    samples = Samples(ROUNDS, START, {"errors": read})
    judged = analyze_ratio(METRIC, (samples, read), None, given)
    assert (judged.status.canary_total, judged.status.canary_bad) == (500, 0)
    assert judged.status.verdict is not Verdict.FAIL
    assert sum(tick.total(Side.STABLE) for tick in judged.ticks) == 45 * (END - START)


@pytest.mark.parametrize(
    ("bad", "verdict"),
    [
        pytest.param(NoData("no series matches"), Verdict.CONTINUE, id="no errors: judged on"),
        pytest.param(
            NoData("answered only in part", partial=True), Verdict.NO_DATA, id="half of the errors"
        ),
        pytest.param(Unavailable("no answer"), Verdict.UNAVAILABLE, id="monitoring is down"),
    ],
)
def test_errors_that_cannot_be_read_are_not_no_errors(bad: MetricAnswer, verdict: Verdict) -> None:
    """No error series at all is what a good version looks like; one that is missing is not."""
    total = FoundSeries((counted("auth", (START, 45)), counted("auth-canary", (START, 1))))
    sides = {"auth": Side.STABLE, "auth-canary": Side.CANARY}
    read = sample_ratio(RatioAnswers("hits", total, "service", sides.get, bad=bad), ROUNDS)
    given = AnalysisInput(ANALYSIS, END, START)
    samples = Samples(ROUNDS, START, {"errors": read})
    assert analyze_ratio(METRIC, (samples, read), None, given).final is verdict


def judged_as(
    metric: Metric, stable_bad: float, canary_bad: float, bound: str = ""
) -> MetricStatus:
    """What is said after 700 s of 45 requests/s to stable and 5 to the canary, so many of them bad."""
    total = FoundSeries((counted("auth", (START, 45)), counted("auth-canary", (START, 5))))
    bad = FoundSeries(
        (counted("auth", (START, stable_bad)), counted("auth-canary", (START, canary_bad)))
    )
    sides = {"auth": Side.STABLE, "auth-canary": Side.CANARY}
    read = sample_ratio(RatioAnswers("hits", total, "service", sides.get, bad=bad), ROUNDS)
    read = replace(read, bound=bound)
    analysis = ANALYSIS.model_copy(update={"metrics": (metric,), "min_duration": 60.0})
    given = AnalysisInput(analysis, END, START)
    samples = Samples(ROUNDS, START, {metric.name: read})
    return analyze_ratio(metric, (samples, read), None, given).status


REFUSED = Metric.model_validate({"name": "refused", "clientErrors": {"preset": "traefik"}})
SLOW = Metric.model_validate({"name": "slow", "latency": {"preset": "http", "above": "400ms"}})


def test_p08_a_canary_that_refuses_everybody_fails() -> None:
    """401 to all, where stable refuses one request in 45."""
    status = judged_as(REFUSED, stable_bad=1, canary_bad=5)
    assert status.verdict is Verdict.FAIL
    assert status.message.endswith("(bad: answered with a client error, 4xx)")


@pytest.mark.parametrize("metric", [REFUSED, SLOW], ids=["client errors", "latency"])
def test_a_share_that_stable_has_as_well_has_no_absolute_limit(metric: Metric) -> None:
    """A service where 40 % of all requests end with 404, or are slow, is no broken one."""
    status = judged_as(metric, stable_bad=18, canary_bad=2)
    assert status.verdict is Verdict.PASS


def test_a_slow_canary_fails_and_the_bound_is_said() -> None:
    """Three times as many slow requests; which of the histogram's bounds was used is no secret."""
    status = judged_as(SLOW, stable_bad=4.5, canary_bad=1.5, bound="500 ms")
    assert status.verdict is Verdict.FAIL
    assert "(bad: slower than 500 ms, the histogram's bound nearest to 400ms)" in status.message


def test_without_new_samples_the_stored_state_is_assessed_by_the_present_spec() -> None:
    """The same result as when it was sampled; after an edit of the limit, the edited one's."""
    total = FoundSeries((counted("auth", (START, 45)), counted("auth-canary", (START, 5))))
    bad = FoundSeries((counted("auth", (START, 4)),))
    sides = {"auth": Side.STABLE, "auth-canary": Side.CANARY}
    read = sample_ratio(RatioAnswers("hits", total, "service", sides.get, bad=bad), ROUNDS)
    given = AnalysisInput(ANALYSIS, END, START)
    strict, lax = (METRIC.model_copy(update={"limit": limit}) for limit in (0.05, 0.5))
    sampled = analyze_ratio(strict, (Samples(ROUNDS, START, {"errors": read}), read), None, given)
    assert isinstance(sampled.state, RatioState)
    for _ in range(2):
        again = analyze_ratio(strict, None, sampled.state, given)
        assert again == replace(sampled, ticks=())
        assert again.stable_unhealthy
        assert not analyze_ratio(lax, None, sampled.state, given).stable_unhealthy


def test_without_new_samples_a_stored_pool_is_assessed_by_the_present_spec() -> None:
    """100 s under traffic rule out a leak in a window of 20 s, and not in one of 10 min."""
    stored = store_pool(DetectorState(covered=100.0), END, None)
    given = AnalysisInput(ANALYSIS, END, START)
    short, long = (
        Metric.model_validate(
            {"name": "pool", "pool": {"preset": "hikaricp"}, "leak": {"window": window}}
        )
        for window in ("20s", "10m")
    )
    for _ in range(2):
        assert analyze_pool(short, None, stored, given, ()).final is Verdict.PASS
        assert analyze_pool(long, None, stored, given, ()).final is Verdict.CONTINUE
