"""Runs the operator's analysis on two groups of series: once, or over a history. Pure.

A history is evaluated step by step, as it would have been live, to find when the verdict changed.
The first pass takes long steps; if the verdict changes in one of them, that step is evaluated
again, interval by interval. For example, one day at an interval of 10 s is 8,640 intervals: 298
steps of 29 intervals, and 29 more evaluations for the step in which the canary failed. The results
are the same however the time is divided, so the second pass only makes the time exact.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import ceil, floor, inf

from canary.api import Analysis, Verdict
from canary.api.judge_state import JudgeState, UnreadableState
from canary.core.analysis import AnalysisInput, analyze
from canary.core.analysis.result import NOT_ANALYZED, AnalysisResult
from canary.core.increments import Grid, Side, Tick
from canary.core.rounds import Rounds
from canary.core.sampling import MetricSamples, PoolAnswers, RatioAnswers, RawAnswers, build_samples
from canary.core.series import FoundSeries, MetricAnswer, NoData, Series
from canary.core.snapshot import PoolSamples, RatioSamples, Samples

HISTORY = 3600.0
"""Seconds of stable's history before the comparison; the operator reads as much."""
LOOKBACK = 300.0
"""Seconds before each step in which a series that is missing at its start has a baseline."""
MAX_EVALUATIONS = 300
"""Maximum number of steps of the first pass over a history."""
_MAX_LATENESS = 3600.0

AnalysisState = JudgeState | UnreadableState


@dataclass(frozen=True, slots=True)
class AnalysisWindow:
    """The time range of an analysis, in whole steps; seconds since the epoch."""

    start: float
    end: float
    step: float
    alone_from: float | None = None
    """When stable ends; None if it runs to the end."""

    @classmethod
    def from_times(
        cls, start: float, end: float, step: float, alone_from: float | None = None
    ) -> "AnalysisWindow":
        """Round two times to whole steps."""
        alone = None if alone_from is None else floor(alone_from / step) * step
        return cls(floor(start / step) * step, floor(end / step) * step, step, alone)

    @property
    def grid(self) -> Grid:
        """The range to read: the window, stable's history and the lookback before it."""
        before = ceil((HISTORY + LOOKBACK) / self.step) * self.step
        return Grid(self.start - before, self.end, self.step)

    @property
    def since(self) -> float:
        """Start of stable's history."""
        return self.start - ceil(HISTORY / self.step) * self.step


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of the analysis at one time."""

    at: float
    judged: AnalysisResult


def evaluate(
    analysis: Analysis,
    span: AnalysisWindow,
    state: AnalysisState | None,
    samples: Samples | None,
    now: float,
) -> AnalysisResult:
    """Analyze the samples (None: no new ones), given the state after the samples before."""
    return analyze(_build_input(analysis, span, state, samples, now))


def _build_input(
    analysis: Analysis,
    span: AnalysisWindow,
    state: AnalysisState | None,
    samples: Samples | None,
    now: float,
) -> AnalysisInput:
    """Without stable the canary is compared with stable's history, as after a promotion."""
    alone = span.alone_from is not None and now > span.alone_from
    return AnalysisInput(analysis, now, span.start, samples=samples, state=state, alone=alone)


def evaluate_history(
    analysis: Analysis,
    span: AnalysisWindow,
    answers: Mapping[str, RawAnswers | MetricAnswer],
    decides: Callable[[Evaluation], bool],
) -> Iterator[Evaluation]:
    """Yield evaluations of a history in order of time, the last one at its end.

    Yields one per interval in the step in which the result of `decides` changes, else one per step.
    `answers` were read for `span.grid`.
    """
    fold = HistoryReplay(analysis, span, build_samples(answers, span.since, span.end, span.step))
    stretch = max(20, ceil((span.end - span.start) / span.step / MAX_EVALUATIONS)) * span.step
    at, decided = span.start, False
    state, _ = fold.advance_to(None, span.since, at)
    while at < span.end:
        end = min(at + stretch, span.end)
        if span.alone_from is not None and at < span.alone_from:
            end = min(end, span.alone_from)
        after, judged = fold.advance_to(state, at, end)
        turned = decides(Evaluation(end, judged))
        if turned is not decided:
            yield from fold.evaluate_each(state, at, end)
        else:
            yield Evaluation(end, judged)
        at, state, decided = end, after, turned


@dataclass(frozen=True, slots=True)
class HistoryReplay:
    """The analysis of a history that was read once, step by step from `span.since`."""

    analysis: Analysis
    span: AnalysisWindow
    samples: Samples
    ready_since: Mapping[str, float | None] = field(default_factory=dict)

    def advance_to(
        self, state: AnalysisState | None, at: float, end: float
    ) -> tuple[AnalysisState, AnalysisResult]:
        """Return the state and the result after the samples of `at … end`."""
        if end <= at:
            return state or JudgeState(), NOT_ANALYZED
        samples = self._select_samples(state, at, end)
        given = _build_input(self.analysis, self.span, state, samples, end)
        judged = analyze(replace(given, ready_since=self.ready_since))
        return judged.state or JudgeState(), judged

    def evaluate_each(self, state: AnalysisState, at: float, end: float) -> Iterator[Evaluation]:
        """Yield one evaluation per interval from `at` to `end`."""
        while at < end:
            after = at + self.span.step
            state, judged = self.advance_to(state, at, after)
            yield Evaluation(after, judged)
            at = after

    def _select_samples(self, state: AnalysisState | None, at: float, end: float) -> Samples:
        """Return the samples of `at … end`; earlier ones too for a metric that was late."""
        kept = state.metrics().values() if isinstance(state, JudgeState) else ()
        known = [one.until for one in kept if one.until is not None]
        begin = max(min([at, *known]), at - _MAX_LATENESS)
        ends = self.samples.rounds.ends
        rounds = Rounds(begin, ends[bisect_right(ends, begin) : bisect_right(ends, end)])
        parts = {
            name: _cut_samples(one, begin, end) for name, one in self.samples.by_metric.items()
        }
        return Samples(rounds, at, parts)


def first_canary_sample(
    answers: Mapping[str, RawAnswers | MetricAnswer], since: float
) -> float | None:
    """Return the time (seconds) of the canary's first sample after `since`, if any."""
    times = []
    for one in answers.values():
        if isinstance(one, RatioAnswers | PoolAnswers):
            answer = one.total if isinstance(one, RatioAnswers) else one.in_use
            series = answer.series if isinstance(answer, FoundSeries) else ()
            mine = [s for s in series if one.side_of(s.labels.get(one.label, "")) is Side.CANARY]
            times += [points[0][0] for s in mine if (points := _cut_points(s, since, inf))]
    return min(times, default=None)


def _cut_samples(whole: MetricSamples, begin: float, end: float) -> MetricSamples:
    start = begin - LOOKBACK
    match whole:
        case RatioSamples(ticks) if isinstance(ticks, tuple):
            return replace(whole, ticks=_cut_ticks(ticks, begin, end))
        case RatioSamples():
            return whole
        case PoolSamples(in_use, maximum, waiting, timeouts, hold):
            return replace(
                whole,
                in_use=_cut_answer(in_use, start, end),
                maximum=maximum if isinstance(maximum, float) else _cut_answer(maximum, start, end),
                waiting=waiting and _cut_answer(waiting, start, end),
                timeouts=timeouts and _cut_answer(timeouts, start, end),
                hold=hold and _cut_answer(hold, start, end),
            )
        case _:
            return _cut_answer(whole, start, end)


_NO_SAMPLES = NoData("there were no samples at that time")


def _cut_ticks(ticks: tuple[Tick, ...], begin: float, end: float) -> tuple[Tick, ...] | NoData:
    """Return the rounds after `begin`; none for five minutes is no data, as it would be live."""
    first, last = (bisect_right(ticks, at, key=lambda tick: tick.end) for at in (begin, end))
    if last == 0 or ticks[last - 1].end <= end - LOOKBACK:
        return _NO_SAMPLES
    return ticks[first:last]


def _cut_answer(answer: MetricAnswer, start: float, end: float) -> MetricAnswer:
    """Return the points from `start` to `end` (seconds); no point at all is no data."""
    if not isinstance(answer, FoundSeries):
        return answer
    cut = (replace(one, points=_cut_points(one, start, end)) for one in answer.series)
    series = tuple(one for one in cut if one.points)
    return FoundSeries(series) if series else _NO_SAMPLES


def _cut_points(series: Series, start: float, end: float) -> tuple[tuple[float, float], ...]:
    points = series.points
    first = bisect_left(points, start, key=_time_of)
    return points[first : bisect_right(points, end, lo=first, key=_time_of)]


def _time_of(point: tuple[float, float]) -> float:
    return point[0]


def has_failed(one: Evaluation) -> bool:
    """Whether the analysis has failed the canary."""
    return one.judged.step is Verdict.FAIL


def has_passed(one: Evaluation) -> bool:
    """Whether every metric allows the promotion."""
    return one.judged.final is Verdict.PASS
