"""The judge on two groups of series: what it says does not depend on how history is cut."""

import pytest

from canary.analyze.evaluation import (
    AnalysisWindow,
    evaluate,
    evaluate_history,
    has_failed,
    has_passed,
)
from canary.analyze.series import (
    SeriesGroups,
    build_own_queries,
    build_queries,
    collect_answers,
    side_of,
)
from canary.api import Verdict
from canary.core.increments import Side
from canary.core.sampling import RatioAnswers, build_samples
from canary.core.series import FoundSeries, Matcher, MatchOp, Unavailable
from canary.errors import UsageError
from canary.metrics.promql import range_selector
from tests.analyze.series_factory import (
    METRIC,
    START,
    build_analysis,
    build_answers,
    build_counters,
)

GROUPS = SeriesGroups(
    (Matcher("version", MatchOp.EQUAL, 'v"2'),), (Matcher("version", MatchOp.EQUAL, "v1"),)
)


def history(
    rate: float, seconds: float = 1800.0, **life: float
) -> tuple[AnalysisWindow, dict[str, object]]:
    """One canary pod beside three of stable, which fail 0.1 %."""
    span = AnalysisWindow.from_times(START, START + seconds, 15.0)
    stable = [build_counters(f"stable/s-{n}", span.grid, 0.001, **life) for n in range(3)]
    canary = build_counters("canary/c-0", span.grid, rate, start=START)
    return span, {"errors": collect_answers(METRIC, GROUPS, build_answers([*stable, canary]))}


def decided(one) -> bool:
    """A verdict, either way."""
    return has_failed(one) or has_passed(one)


@pytest.mark.parametrize(
    ("rate", "verdict"),
    [
        pytest.param(0.05, Verdict.FAIL, id="fifty times as bad"),
        pytest.param(0.001, Verdict.PASS, id="as good as stable"),
    ],
)
def test_a_history_ends_with_the_verdict_of_one_look_at_all_of_it(rate, verdict):
    """Cut into looks or not: the same verdict, evidence and counts."""
    span, by_metric = history(rate)
    last = list(evaluate_history(build_analysis(), span, by_metric, decided))[-1]
    whole = evaluate(
        build_analysis(),
        span,
        None,
        build_samples(by_metric, span.since, span.end, span.step),
        span.end,
    )
    assert last.judged.final is verdict
    assert last.judged.metrics == whole.metrics


def test_the_look_that_decides_is_found_to_the_interval():
    """Looks are coarse, and fine where the verdict falls: the first Fail comes after a Continue."""
    span, by_metric = history(0.05)
    seen = list(evaluate_history(build_analysis(), span, by_metric, decided))
    first = next(index for index, one in enumerate(seen) if has_failed(one))
    assert seen[first].at - seen[first - 1].at == span.step
    assert seen[first].at - START <= 180
    assert seen[-1].at == span.end


def test_where_stable_is_gone_the_canary_is_judged_by_its_past():
    """Three times as bad is tolerated then, twenty times is not."""
    for rate, fails in ((0.002, False), (0.05, True)):
        span, by_metric = history(rate, end=START + 60)
        alone = AnalysisWindow(span.start, span.end, span.step, START + 60)
        seen = list(evaluate_history(build_analysis(), alone, by_metric, decided))
        assert any(map(has_failed, seen)) is fails


def test_no_canary_is_no_data():
    """Silence is no verdict on the canary."""
    span, _ = history(0.001)
    stable = [build_counters("stable/s-0", span.grid, 0.001)]
    by_metric = {"errors": collect_answers(METRIC, GROUPS, build_answers(stable))}
    last = list(evaluate_history(build_analysis(), span, by_metric, decided))[-1]
    assert last.judged.final is Verdict.NO_DATA
    assert "no request has reached the canary" in last.judged.message


def test_each_side_comes_in_one_query_with_escaped_values():
    """A value is data: its quote ends nothing."""
    canary, stable = build_queries((METRIC,), GROUPS)
    assert range_selector(canary.selector, 60) == 'http_requests_total{version="v\\"2"}[60s]'
    assert range_selector(stable.selector, 60) == 'http_requests_total{version="v1"}[60s]'
    assert canary.raw


def test_pods_keep_their_names_and_sides():
    """A group says whose it is, and which pod; an instance stands in where there is no pod."""
    span, by_metric = history(0.001)
    samples = by_metric["errors"]
    assert isinstance(samples, RatioAnswers)
    assert isinstance(samples.total, FoundSeries)
    assert {one.labels["group"] for one in samples.total.series} >= {"canary/c-0"}
    assert side_of("canary/c-0") is Side.CANARY
    assert span.grid.start < START


def test_a_users_own_query_gets_the_pods_that_were_seen():
    """{{ canary_pods }} are those of the canary's series."""
    metric = METRIC.model_validate(
        {"name": "queue", "query": 'sum(queue{pod=~"{{ canary_pods }}"})', "max": 3.0}
    )
    span, _ = history(0.001)
    given = build_answers([build_counters("canary/c-0", span.grid, 0.0)])
    (query,) = build_own_queries((metric,), GROUPS, given)
    assert query.promql == 'sum(queue{pod=~"c-0"})'


def test_a_label_that_is_none_is_refused():
    """Before anything is asked, with the side."""
    odd = SeriesGroups((Matcher("a b", MatchOp.EQUAL, "x"),), GROUPS.stable)
    with pytest.raises(UsageError, match=r"query 'errors\.total\.canary'"):
        build_queries((METRIC,), odd)


def test_monitoring_that_is_down_is_unavailable():
    """Not NoData: nobody knows what is there."""
    span, _ = history(0.001)
    down = Unavailable("no answer")
    by_metric = {"errors": collect_answers(METRIC, GROUPS, {"errors.total.canary": down})}
    last = list(evaluate_history(build_analysis(), span, by_metric, decided))[-1]
    assert last.judged.final is Verdict.UNAVAILABLE
