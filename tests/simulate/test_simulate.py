"""Simulated releases: the operator's rules and judge, a made-up service, and what comes out."""

from random import Random

import pytest

from canary.analyze.evaluation import AnalysisWindow, evaluate
from canary.analyze.series import SeriesGroups, collect_answers
from canary.api import Reason, Verdict, load_release
from canary.core.increments import Side
from canary.core.sampling import build_samples
from canary.core.series import FoundSeries, Series
from canary.core.statistics import clopper_pearson
from canary.errors import ExitCode
from canary.simulate.judge import SimulatedJudge
from canary.simulate.release import (
    ReleaseEnd,
    SimulatedRelease,
    prepare_spec,
    simulate_release,
    simulate_weight,
)
from canary.simulate.scenario import FaultScenario, SimulatedService
from canary.simulate.summary import PolicyForecast, StepForecast, build_result
from tests.analyze.series_factory import METRIC, build_analysis

RELEASE = """
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: auth}
spec:
  target: {name: auth}
  traffic: {replicas: {}}
  checks: [{name: smoke, webhook: {url: 'http://smoke'}}]
  steps: [{weight: 10, duration: 2m, approval: true}, {weight: 50, duration: 2m}]
  deadline: 40m
  analysis:
    interval: 10s
    minDuration: 5m
    metrics:
    - {name: errors, ratio: {preset: http}}
    - {name: pool, pool: {preset: hikaricp}, leak: {connections: 3, window: 1m}}
    - {name: queue, query: depth, max: 3}
"""
WHOLE = load_release(RELEASE, "tests").spec
SPEC, LEFT = prepare_spec(WHOLE)
ERRORS = SPEC.model_copy(
    update={"analysis": SPEC.analysis.model_copy(update={"metrics": SPEC.analysis.metrics[:1]})}
)
BAD = FaultScenario(100.0, 0.001, 0.05)


def test_the_service_splits_its_requests_by_weight():
    """And fails the shares that it is told to."""
    service = SimulatedService(FaultScenario(1000.0, 0.01, 0.2), Random(1))  # noqa: S311 - as above
    counts = service.serve(100.0, 0.1, 2)
    assert counts.canary == pytest.approx(10_000, rel=0.05)
    assert counts.stable == pytest.approx(90_000, rel=0.05)
    assert counts.canary_bad == pytest.approx(2000, rel=0.1)
    assert counts.stable_bad == pytest.approx(900, rel=0.2)


def test_an_empty_pool_fails_every_request_of_its_pod():
    """Lost connections stay lost until there are none."""
    service = SimulatedService(FaultScenario(100.0, 0.0, 0.0, leak=0.1, pool=5), Random(1))  # noqa: S311 - as above
    first = service.serve(1.0, 0.5, 1)
    for _ in range(10):
        last = service.serve(1.0, 0.5, 1)
    assert first.canary_bad == 0
    assert last.canary_bad == last.canary > 0
    readings = service.readings(1.0, last, 1, holds=True)
    assert [one.in_use for one in readings if one.side is Side.CANARY] == [5.0]


def test_what_nobody_can_simulate_is_left_out_and_named():
    """Checks pass, people agree at once, and a user's own query is not made up."""
    assert LEFT == ("queue",)
    assert SPEC.checks == ()
    assert not any(step.approval for step in SPEC.steps)
    only = WHOLE.analysis.model_copy(update={"metrics": WHOLE.analysis.metrics[2:]})
    with pytest.raises(ValueError, match="cannot be simulated"):
        prepare_spec(WHOLE.model_copy(update={"analysis": only}))


def test_a_fault_is_rolled_back_at_an_early_step():
    """With the judge's reason, soon after the first traffic."""
    ended = [simulate_release(ERRORS, BAD, "errors", f"t-{number}") for number in range(5)]
    assert {one.end for one in ended} == {ReleaseEnd.ROLLED_BACK}
    assert {one.reason for one in ended} <= {Reason.WORSE_THAN_STABLE, Reason.ABOVE_LIMIT}
    assert all(one.at < 240 and one.weight == 10 and one.bad >= 5 for one in ended)


def test_a_good_release_goes_through_its_steps_and_is_promoted():
    """No earlier than holds and minimum allow, at the last step's weight."""
    ended = simulate_release(ERRORS, BAD.good, "errors", "t")
    assert (ended.end, ended.weight) == (ReleaseEnd.PROMOTED, 50)
    assert 300 <= ended.at <= 600


def test_a_leak_is_seen_in_the_pool_before_it_is_empty():
    """The reason is the pool's."""
    scenario = FaultScenario(100.0, 0.0, 0.0, leak=1 / 200, pool=50)
    ended = simulate_release(SPEC, scenario, "errors", "t")
    assert (ended.end, ended.reason, ended.bad) == (
        ReleaseEnd.ROLLED_BACK,
        Reason.CONNECTION_LEAK,
        0,
    )


def test_too_little_traffic_pauses_and_says_so():
    """Silence is never a Pass."""
    ended = simulate_release(ERRORS, FaultScenario(0.05, 0.0, 0.0), "errors", "t")
    assert ended.end is ReleaseEnd.PAUSED
    assert ended.reason in {Reason.NO_DATA, Reason.DEADLINE_EXCEEDED}


def test_the_same_seed_gives_the_same_release():
    """And another seed another one."""
    first, again, other = (simulate_release(ERRORS, BAD, "errors", seed) for seed in "aab")
    assert first == again
    assert first != other


def test_a_release_that_stays_at_one_weight_is_seen_sooner_at_a_higher_one():
    """None where it is not seen within an hour."""
    scenario = FaultScenario(50.0, 0.001, 0.01)
    low, high = (simulate_weight(ERRORS, scenario, "errors", weight, "t") for weight in (2, 50))
    assert high is not None
    assert low is None or low.at > high.at
    assert simulate_weight(ERRORS, scenario.good, "errors", 10, "t") is None


@pytest.mark.parametrize("scenario", [BAD, BAD.good], ids=["bad", "good"])
def test_the_engines_say_what_the_judge_says_of_the_same_counters(scenario):
    """Fed with counts, or through a source's series: the same evidence and verdicts."""
    span = AnalysisWindow.from_times(1_500_000.0, 1_500_900.0, 15.0)
    shape = build_analysis()
    service = SimulatedService(scenario, Random(2))  # noqa: S311 - as above
    engines = SimulatedJudge.create(shape, "errors", {})
    sums = [0, 0, 0, 0]
    points: list[list[tuple[float, float]]] = [[], [], [], []]
    for end in span.grid.times():
        weight = 0.1 if end > span.start else 0.0
        counts = service.serve(15.0, weight, 1)
        each = (counts.canary, counts.canary_bad, counts.stable, counts.stable_bad)
        sums = [before + more for before, more in zip(sums, each, strict=True)]
        if end > span.since:
            engines.add_interval(end - 15.0, end, counts, service, 1)
        for row, number in zip(points, sums, strict=True):
            row.append((end, float(number)))
    raw = {}
    for side, (total, bad) in {"canary": points[:2], "stable": points[2:]}.items():
        good = [(t, every - wrong) for (t, every), (_, wrong) in zip(total, bad, strict=True)]
        raw[f"errors.total.{side}"] = FoundSeries(
            (
                Series({"pod": side, "code": "200"}, tuple(good)),
                Series({"pod": side, "code": "500"}, tuple(bad)),
            )
        )
    given = {"errors": collect_answers(METRIC, SeriesGroups((), ()), raw)}
    samples = build_samples(given, span.since, span.end, span.step)
    judged = evaluate(shape, span, None, samples, span.end)
    mine = engines.result(span.end, span.start)
    assert engines.judges["errors"][1].evidence() == judged.metrics[0].evidence
    assert (mine.step, mine.final, mine.reason) == (judged.step, judged.final, judged.reason)


def ended(end: ReleaseEnd, at: float, *, bad: int = 7, weight: int = 10) -> SimulatedRelease:
    """One ended release."""
    reason = Reason.WORSE_THAN_STABLE if end is ReleaseEnd.ROLLED_BACK else Reason.DEADLINE_EXCEEDED
    return SimulatedRelease(end, reason, at, weight, bad)


def test_a_forecast_says_how_sure_its_figures_are():
    """Shares with their intervals, delays over all releases, and that it is a simulation."""
    faulty = [ended(ReleaseEnd.ROLLED_BACK, 60.0 + n) for n in range(19)] + [
        ended(ReleaseEnd.PAUSED, 900.0)
    ]
    good = [ended(ReleaseEnd.PROMOTED, 1200.0)] * 20
    steps = [StepForecast(10, 120.0, (ended(ReleaseEnd.ROLLED_BACK, 60.0), None))]
    forecast = PolicyForecast(SPEC, BAD, faulty, good, steps, 200, LEFT)
    said = build_result("prod/auth", forecast, 1.0)
    low, high = clopper_pearson(19, 20)
    assert said.code is ExitCode.OK
    assert "simulated, not measured" in said.headline
    assert "stopped at the time limit" in said.headline
    fault, fine, step = said.cases
    assert f"detected in 95.0% of releases ({low:.1%}–{high:.1%}): median 1m9s" in fault.sentence
    assert "paused: 1 × DeadlineExceeded" in fault.sentence
    assert (fault.verdict, fine.verdict, step.verdict) == (
        Verdict.PASS,
        Verdict.PASS,
        Verdict.CONTINUE,
    )
    assert "rolled back in 0.0%" in fine.sentence
    assert (
        "at a constant weight: detected within the step's duration of 2m in 50%, within an hour in 50%"
        in step.sentence
    )
    assert "counted as passing: queue" in said.next_steps[1]


def test_a_policy_that_rolls_back_too_many_good_releases_fails():
    """The interval's lower end is above what the policy promises."""
    good = [ended(ReleaseEnd.ROLLED_BACK, 60.0)] * 5 + [ended(ReleaseEnd.PROMOTED, 1200.0)] * 15
    said = build_result("x", PolicyForecast(SPEC, BAD, good, good, (), 20), 1.0)
    assert said.cases[1].verdict is Verdict.FAIL
