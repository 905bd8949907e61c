"""Following two groups of series while they grow: what is folded live is what history would say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from canary.analyze.evaluation import (
    AnalysisWindow,
    Evaluation,
    evaluate_history,
    has_failed,
    has_passed,
)
from canary.analyze.reader import (
    NoSeriesError,
    check_available,
    check_presets,
    detect_preset,
    follow_metrics,
    read_metrics,
)
from canary.analyze.series import SeriesGroups
from canary.api import Verdict
from canary.core.increments import Grid
from canary.core.series import (
    FoundSeries,
    Matcher,
    MatchOp,
    MetricAnswer,
    NoData,
    SeriesQuery,
    Unavailable,
)
from canary.errors import TransientError, UsageError
from tests.analyze.series_factory import (
    METRIC,
    START,
    build_analysis,
    build_answers,
    build_counters,
)

GROUPS = SeriesGroups((Matcher("v", MatchOp.EQUAL, "2"),), (Matcher("v", MatchOp.EQUAL, "1"),))
SPAN = AnalysisWindow.from_times(START, START + 900, 15.0)


@dataclass
class Past:
    """A source whose clock moves when somebody waits; what it says can be replaced for a while."""

    whole: Mapping[str, MetricAnswer]
    now: float = START
    down: tuple[float, float] = (0.0, 0.0)
    asked: list[Grid] = field(default_factory=list)

    def read(
        self, queries: Sequence[SeriesQuery], start: float, end: float, step: float
    ) -> Mapping[str, MetricAnswer]:
        self.asked.append(Grid(start, end, step))
        if self.down[0] <= self.now < self.down[1]:
            return {query.key: Unavailable("no answer") for query in queries}
        return {query.key: self._within(query.key, start, end) for query in queries}

    def final_until(self, now: float) -> float:
        return now - 2.0

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def _within(self, key: str, start: float, end: float) -> MetricAnswer:
        whole = self.whole.get(key, NoData("nothing"))
        if not isinstance(whole, FoundSeries):
            return whole
        series = [
            type(one)(one.labels, tuple(p for p in one.points if start <= p[0] <= end))
            for one in whole.series
        ]
        left = tuple(one for one in series if one.points)
        return FoundSeries(left) if left else NoData("nothing")


def past(rate: float, **more: object) -> Past:
    """Three pods of stable at 0.1 %, one canary at `rate`."""
    stable = [build_counters(f"stable/s-{n}", SPAN.grid, 0.001) for n in range(3)]
    canary = build_counters("canary/c-0", SPAN.grid, rate, start=START)
    return Past(build_answers([*stable, canary]), **more)  # type: ignore[arg-type]


def followed(source: Past) -> list[Evaluation]:
    """Every look until the end of the span."""
    return list(follow_metrics(source, build_analysis(), GROUPS, SPAN, (source.clock, source.wait)))


@pytest.mark.parametrize("rate", [0.001, 0.05])
def test_live_says_what_history_says(rate):
    """The same verdict, counts and evidence, one look per interval."""
    source = past(rate)
    live = followed(source)
    by_metric = check_available(read_metrics(source, build_analysis().metrics, GROUPS, SPAN.grid))
    later = list(
        evaluate_history(
            build_analysis(), SPAN, by_metric, lambda one: has_failed(one) or has_passed(one)
        )
    )
    assert live[-1].judged.metrics == later[-1].judged.metrics
    assert live[-1].at == SPAN.end
    assert [one.at for one in live[1:]] == [START + 15.0 * n for n in range(len(live) - 1)]


def test_stables_hour_before_is_read_once_and_then_only_what_is_new():
    """A look costs the lookback and one interval."""
    source = past(0.001)
    followed(source)
    assert source.asked[0].start <= START - 3600
    assert all(one.end - one.start <= 300 + 2 * 15 for one in source.asked[2:])


def test_an_outage_in_between_loses_nothing():
    """Unavailable while it lasts, and afterwards what an undisturbed comparison says."""
    source = past(0.001, down=(START + 100, START + 400))
    seen = followed(source)
    assert Verdict.UNAVAILABLE in {one.judged.final for one in seen}
    assert seen[-1].judged.metrics == followed(past(0.001))[-1].judged.metrics


def test_an_outage_at_the_start_ends_it():
    """A wrong address is no reason to wait for the end."""
    with pytest.raises(TransientError, match="no answer"):
        followed(past(0.001, down=(0.0, START + 60)))


def probed(code: str) -> Past:
    """One series per side with this label for bad requests."""
    pairs = [build_counters(f"{side}/p", SPAN.grid, 0.0) for side in ("canary", "stable")]
    series = tuple(
        type(one)(
            {"pod": "p", code: "200", "group": one.labels["side"]},
            one.points,
        )
        for one, _ in pairs
    )
    return Past({"http": FoundSeries(series), "http-status": FoundSeries(series)})


@pytest.mark.parametrize(("label", "name"), [("code", "http"), ("status", "http-status")])
def test_the_preset_that_fits_is_the_one_whose_label_is_there(label, name):
    """Both count http_requests_total; a wrong one would never see a bad request."""
    assert detect_preset(probed(label), GROUPS, START, SPAN.end) == name


def test_a_preset_whose_label_is_not_there_is_refused():
    """And one without any series is not: that is no data."""
    with pytest.raises(UsageError, match="none would ever count as bad"):
        check_presets(probed("status"), [METRIC], GROUPS, (START, SPAN.end))
    check_presets(Past({}), [METRIC], GROUPS, (START, SPAN.end))
    with pytest.raises(NoSeriesError, match="tried: istio"):
        detect_preset(Past({}), GROUPS, START, SPAN.end)
