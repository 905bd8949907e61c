"""A user's own query, judged by its bounds."""

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

from canary.api import Metric, MetricStatus, Reason, Verdict
from canary.core.analysis.bounds import Bounds, BoundsState, fold
from canary.core.analysis.input import MetricResult, silent
from canary.core.series import Found, MetricAnswer
from canary.core.snapshot import Samples


def analyze_custom_query(
    metric: Metric, read: tuple[Samples, MetricAnswer] | None, before: Mapping[str, Any]
) -> MetricResult:
    """The fold over what is new since `before`."""
    state = BoundsState(*before["fold"]) if "fold" in before else BoundsState()
    until, quiet = before.get("until"), before.get("quiet")
    if read is not None:
        samples, answer = read
        quiet = silent((answer,))
        if isinstance(answer, Found):
            since = until if until is not None else samples.since
            bounds = Bounds(metric.min, metric.max, metric.for_)
            state = fold(state, bounds, answer.series, since)
            until = samples.grid.end
    verdict, why = _verdict(metric, state, quiet)
    status = MetricStatus(
        name=metric.name,
        verdict=verdict,
        reason=Reason.OUT_OF_BOUNDS if verdict is Verdict.FAIL else None,
        message=why,
    )
    kept = {"until": until, "quiet": quiet, "fold": list(astuple(state))}
    return MetricResult(status, verdict, verdict, kept)


def _verdict(
    metric: Metric, state: BoundsState, quiet: tuple[Verdict, str] | None
) -> tuple[Verdict, str]:
    low = "" if metric.min is None else f" at least {metric.min:g}"
    high = "" if metric.max is None else f" at most {metric.max:g}"
    allowed = f"allowed:{low}{' and' if low and high else ''}{high}"
    if state.failed_at is not None:
        return Verdict.FAIL, f"was outside its bounds for {metric.for_:g} s ({allowed})"
    if quiet is not None:
        return Verdict(quiet[0]), quiet[1]
    if state.last is None:
        return Verdict.NO_DATA, "no value yet"
    if state.outside_since is not None:
        return Verdict.CONTINUE, f"is {state.last:g} ({allowed})"
    return Verdict.PASS, f"is {state.last:g} ({allowed})"
