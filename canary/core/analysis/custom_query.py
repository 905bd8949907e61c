"""A user's own query, judged by its bounds."""

from dataclasses import asdict

from canary.api import Metric, MetricStatus, Reason, Verdict
from canary.api.judge_state import QueryState
from canary.core.analysis.bounds import Bounds, BoundsState, fold_values
from canary.core.analysis.input import MetricResult, explain_silence
from canary.core.analysis.state import restore_quiet, store_quiet
from canary.core.series import FoundSeries, MetricAnswer
from canary.core.snapshot import Samples
from canary.text.format import human_duration


def analyze_custom_query(
    metric: Metric, read: tuple[Samples, MetricAnswer] | None, before: QueryState | None
) -> MetricResult:
    """The fold over what is new since `before`."""
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
