"""analyze: a pure fold over what was sampled since the last analysis, and one verdict.

Live, after a restart, after an outage of the monitoring system and on history it is the same fold
over a range that starts where the last one ended. The operator, `analyze`, `backtest` and `report`
call `analyze`; `simulate`, which makes up requests instead of samples, calls what is below it:
`ratio.result_of`, `pool.result_of` and `combine`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any

from canary.api import Intent, Metric
from canary.core.analysis.custom_query import analyze_custom_query
from canary.core.analysis.input import AnalysisInput, MetricResult
from canary.core.analysis.pool import analyze_pool
from canary.core.analysis.ratio import analyze_ratio
from canary.core.analysis.result import NOT_ANALYZED, AnalysisResult, combine
from canary.core.analysis.traffic_share import Share
from canary.core.increments import Side, Tick
from canary.core.series import NoData, Unavailable
from canary.core.snapshot import PoolSamples, RatioSamples, Snapshot

__all__ = ["AnalysisInput", "AnalysisResult", "MetricResult", "analyze", "analyze_release"]


def analyze_release(snap: Snapshot) -> AnalysisResult:
    """What the metrics say of the operator's release now."""
    given = input_of(snap)
    return NOT_ANALYZED if given is None else analyze(given)


def input_of(snap: Snapshot) -> AnalysisInput | None:
    """What is known of a release under way; None while there is nothing to analyze."""
    status, release = snap.wish.status, snap.wish.status.release
    if release is None or release.judged_from is None:
        return None
    stable = snap.target.pods if snap.target else ()
    canary = snap.canary.pods if snap.canary else ()
    return AnalysisInput(
        analysis=snap.wish.spec.analysis,
        now=snap.now,
        judged_from=release.judged_from,
        samples=snap.samples,
        state=status.judge,
        alone=status.intent is Intent.BAKE,
        weight=snap.route.weight if snap.route else None,
        step_started_at=status.step_started_at,
        ready_since={pod.name: pod.ready_since for pod in (*stable, *canary)},
    )


def analyze(given: AnalysisInput) -> AnalysisResult:
    """What the metrics say, with the state for the next analysis."""
    kept: Mapping[str, Any] = given.state or {}
    found = _metrics(given, kept)
    share = _share(given, kept, found)
    return replace(
        combine(given, found),
        not_shifted=share.contradicts,
        canary_busy=_busy(found),
        until=_until(found),
        state={one.status.name: dict(one.state) for one in found} | {"": list(astuple(share))},
    )


def _metrics(given: AnalysisInput, kept: Mapping[str, Any]) -> list[MetricResult]:
    """Ratios first: pools are told how many requests there were."""
    found: dict[str, MetricResult] = {}
    requests: Sequence[Tick] = ()
    for metric in sorted(given.analysis.metrics, key=lambda metric: not metric.is_request_share):
        one = _one(metric, given, kept.get(metric.name, {}), requests)
        requests = requests or one.ticks
        found[metric.name] = one
    return [found[metric.name] for metric in given.analysis.metrics]


def _one(
    metric: Metric, given: AnalysisInput, before: Mapping[str, Any], requests: Sequence[Tick]
) -> MetricResult:
    samples = given.samples
    mine = samples.by_metric.get(metric.name) if samples else None
    if metric.is_request_share:
        if isinstance(mine, NoData | Unavailable):
            mine = RatioSamples(mine, mine, "", _nobody)
        ratio = (samples, mine) if samples and isinstance(mine, RatioSamples) else None
        return analyze_ratio(metric, ratio, before, given)
    if metric.pool is not None:
        if isinstance(mine, NoData | Unavailable):
            mine = PoolSamples(mine, mine, None, None, None, 1.0, "", _nobody)
        pool = (samples, mine) if samples and isinstance(mine, PoolSamples) else None
        return analyze_pool(metric, pool, before, given, requests)
    if isinstance(mine, RatioSamples | PoolSamples) or samples is None or mine is None:
        return analyze_custom_query(metric, None, before)
    return analyze_custom_query(metric, (samples, mine), before)


def _nobody(_value: str) -> None:
    """A metric that could not be asked for has no groups of either side."""


def _until(found: Sequence[MetricResult]) -> float | None:
    """Up to where every metric is judged: one that was silent so far keeps the whole range."""
    times = [one.state["until"] for one in found]
    return None if None in times else min(times)


def _share(given: AnalysisInput, kept: Mapping[str, Any], found: Sequence[MetricResult]) -> Share:
    """Counted while the router has confirmed the present weight for long enough."""
    share = Share(*kept.get("", ()))
    started, weight = given.step_started_at, given.weight
    if started is None or weight is None:
        return Share()
    counted: Sequence[Tick] = next((one.ticks for one in found if one.ticks), ())
    for tick in counted:
        if tick.start >= started:
            share = share.add(weight, tick.total(Side.CANARY), tick.total(Side.STABLE))
    return share


def _busy(found: Sequence[MetricResult]) -> bool:
    """Requests reached the canary in the last interval that was seen: until one is seen without.

    A monitoring system that is silent cannot be waited for; the settle time is over by then.
    """
    return any(
        one.state.get("seen") is not None
        and one.state["quiet"] is None
        and one.state["seen"] >= one.state["until"]
        for one in found
    )
