"""Checks a custom query against its bounds: a rule, not statistics.

The metric fails once its value has been out of bounds without a break for `for`. Example, with
`max: 5` and `for: 60s`: 6 at 0 s and at 30 s is not a failure yet, 6 at 60 s is.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from canary.api import Metric, MetricStatus, Reason, Verdict
from canary.api.judge_state import QueryState
from canary.core.analysis.input import MetricResult, explain_silence
from canary.core.analysis.state import restore_quiet, store_quiet
from canary.core.series import FoundSeries, MetricAnswer, Series
from canary.core.snapshot import Samples
from canary.text.format import human_duration


@dataclass(frozen=True, slots=True)
class Bounds:
    """The allowed range, and how many seconds the value may be outside."""

    low: float | None
    high: float | None
    tolerated: float


@dataclass(frozen=True, slots=True)
class BoundsState:
    """Since when the value is outside (seconds since the epoch), and whether that was too long."""

    outside_since: float | None = None
    failed_at: float | None = None
    last: float | None = None
    seen_at: float | None = None


def fold_values(
    state: BoundsState, bounds: Bounds, series: Sequence[Series], since: float
) -> BoundsState:
    """The state after the points later than `since`; with several series the worst one counts."""
    by_time: dict[float, list[float]] = {}
    for one in series:
        for time, value in one.points:
            if time > since:
                by_time.setdefault(time, []).append(value)
    for time, values in sorted(by_time.items()):
        state = _fold_time(state, bounds, time, values)
    return state


def _fold_time(state: BoundsState, bounds: Bounds, time: float, values: list[float]) -> BoundsState:
    outside = [value for value in values if _measure_excess(bounds, value) > 0]
    worst = max(values, key=lambda value: _measure_excess(bounds, value))
    since = (state.outside_since or time) if outside else None
    failed = state.failed_at
    if failed is None and since is not None and time - since >= bounds.tolerated:
        failed = time
    return BoundsState(since, failed, worst, time)


def _measure_excess(bounds: Bounds, value: float) -> float:
    above = value - bounds.high if bounds.high is not None else 0.0
    below = bounds.low - value if bounds.low is not None else 0.0
    return max(above, below)


def analyze_custom_query(
    metric: Metric, read: tuple[Samples, MetricAnswer] | None, before: QueryState | None
) -> MetricResult:
    """Fold the samples since `before` and return the result."""
    kept = before or QueryState()
    state = BoundsState(kept.outside_since, kept.failed_at, kept.last, kept.seen_at)
    until, quiet = kept.until, restore_quiet(kept.quiet)
    if read is not None:
        samples, answer = read
        quiet = explain_silence((answer,))
        if isinstance(answer, FoundSeries):
            since = until if until is not None else samples.since
            bounds = Bounds(metric.min, metric.max, metric.for_)
            state = fold_values(state, bounds, answer.series, since)
            until = samples.rounds.end
    verdict, why = _decide_verdict(metric, state, quiet)
    status = MetricStatus(
        name=metric.name,
        verdict=verdict,
        reason=Reason.OUT_OF_BOUNDS if verdict is Verdict.FAIL else None,
        message=why,
    )
    after = QueryState(until=until, quiet=store_quiet(quiet), **asdict(state))
    return MetricResult(status, verdict, verdict, after)


def _decide_verdict(
    metric: Metric, state: BoundsState, quiet: tuple[Verdict, str] | None
) -> tuple[Verdict, str]:
    low = "" if metric.min is None else f" at least {metric.min:g}"
    high = "" if metric.max is None else f" at most {metric.max:g}"
    allowed = f"allowed:{low}{' and' if low and high else ''}{high}"
    if state.failed_at is not None:
        return Verdict.FAIL, f"was outside its bounds for {human_duration(metric.for_)} ({allowed})"
    if quiet is not None:
        return Verdict(quiet[0]), quiet[1]
    if state.last is None:
        return Verdict.NO_DATA, "no value yet"
    if state.outside_since is not None:
        return Verdict.CONTINUE, f"is {state.last:g} ({allowed})"
    return Verdict.PASS, f"is {state.last:g} ({allowed})"
