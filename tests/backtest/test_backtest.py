"""What a policy would have decided about a release of the past, and whether that was right."""

import pytest

from canary.analyze.evaluation import AnalysisWindow, evaluate_history
from canary.analyze.series import SeriesGroups, collect_answers
from canary.api import Verdict, load_release
from canary.backtest.judge import (
    ReplayDecision,
    build_result,
    decision_rule,
    render_table,
    replay_release,
)
from canary.backtest.releases import GroundTruth, PastRelease
from canary.errors import ExitCode
from tests.analyze.series_factory import METRIC, START, build_answers, build_counters

SPEC = load_release(
    """
apiVersion: canary-controller.dev/v1alpha1
kind: CanaryRelease
metadata: {name: auth}
spec:
  target: {name: auth}
  traffic: {replicas: {}}
  steps: [{weight: 10, duration: 10m}]
  analysis:
    interval: 15s
    minDuration: 5m
    metrics: [{name: errors, ratio: {preset: http}}]
""",
    "tests",
).spec


def release(rate: float, fate: GroundTruth, *, alone: float | None = None, seconds: float = 3600.0):
    """One replayed release whose canary fails at `rate`, stable at 0.1 %."""
    span = AnalysisWindow.from_times(START, START + seconds, 15.0, alone)
    end = 1e12 if alone is None else alone
    stable = [build_counters(f"stable/s-{n}", span.grid, 0.001, end=end) for n in range(3)]
    canary = build_counters("canary/c-0", span.grid, rate, start=START)
    groups = SeriesGroups((), ())
    by_metric = {"errors": collect_answers(METRIC, groups, build_answers([*stable, canary]))}
    past = PastRelease("v2", START, span.end, groups, alone, fate)
    seen = evaluate_history(SPEC.analysis, span, by_metric, decision_rule(SPEC, span))
    return replay_release(past, SPEC, span, seen)


def outcome(*every, strict: bool = False):
    """What is published."""
    return build_result("prod/auth", every, strict=strict, seconds=1.0, facts={})


def test_a_bad_release_is_rolled_back_with_what_users_had_seen_by_then():
    """Far fewer than in all, and the reason stands beside it."""
    again = release(0.05, GroundTruth.TAKEN_BACK)
    assert again.decision is ReplayDecision.ROLL_BACK
    assert again.at is not None
    assert again.at - START <= 180
    assert 5 <= again.bad_by_then < again.bad / 10
    (case,) = outcome(again).cases
    assert case.verdict is Verdict.PASS
    assert case.facts["reason"] == "WorseThanStable"


def test_a_good_release_is_promoted_when_the_holds_are_over():
    """Not before, however early the evidence is there."""
    again = release(0.001, GroundTruth.STAYED)
    assert (again.decision, again.at) == (ReplayDecision.PROMOTE, START + 600)


def test_a_release_that_stayed_and_would_have_been_rolled_back_is_a_false_rollback():
    """It is counted, and fails the backtest where that was asked for."""
    again = release(0.05, GroundTruth.STAYED)
    assert again.false_rollback
    said, strict = outcome(again), outcome(again, strict=True)
    assert (said.code, strict.code) == (ExitCode.OK, ExitCode.FAILED)
    assert said.facts["falseRollbacks"] == 1
    assert "false rollbacks: 1 of 1 good ones" in said.headline
    assert [one.cases[0].verdict for one in (said, strict)] == [Verdict.CONTINUE, Verdict.FAIL]


def test_a_bad_release_that_would_have_been_promoted_is_missed():
    """Somebody has to say that it was bad."""
    again = release(0.001, GroundTruth.BAD)
    assert again.missed
    assert outcome(again, strict=True).code is ExitCode.FAILED


def test_too_little_is_no_decision():
    """Neither right nor wrong."""
    again = release(0.001, GroundTruth.STAYED, seconds=240.0)
    assert (again.decision, again.at) == (ReplayDecision.NEITHER, None)
    assert outcome(again, strict=True).code is ExitCode.OK


def test_bad_requests_count_on_where_the_old_version_is_gone():
    """The judge begins anew there; what users saw does not."""
    whole = release(0.01, GroundTruth.STAYED)
    alone = release(0.01, GroundTruth.STAYED, alone=START + 60)
    assert alone.bad == pytest.approx(whole.bad, rel=0.02)
    assert alone.decision is ReplayDecision.ROLL_BACK


def test_the_table_has_a_line_per_release_and_marks_what_was_wrong():
    """Columns are as wide as what is in them."""
    lines = render_table([release(0.05, GroundTruth.STAYED), release(0.001, GroundTruth.STAYED)])
    assert " ".join(lines[0].split()) == "RELEASE START WAS DECISION AFTER BAD SEEN OF"
    assert "roll back (!)" in lines[1]
    assert "promote" in lines[2]
    assert len({len(line) for line in lines}) == 1
