"""Analyzes a release: a pure fold over the samples since the last analysis, and one verdict.

The same fold serves live analysis, the time after a restart or an outage, and recorded history: its
range starts where the last one ended. The operator, `analyze`, `backtest` and `report` call
`analyze`; `simulate` generates requests instead of samples and calls the functions below:
`build_ratio_result`, `build_pool_result` and `combine_metrics`.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace

from canary.api import Intent, Metric, Skip, Status, Verdict
from canary.api.judge_state import (
    JudgeState,
    QueryState,
    RatioState,
    Restarted,
    StoredPool,
    TrafficShareState,
    UnreadableState,
)
from canary.core.analysis.custom_query import analyze_custom_query
from canary.core.analysis.input import AnalysisInput, MetricResult
from canary.core.analysis.pool import analyze_pool
from canary.core.analysis.ratio import analyze_ratio
from canary.core.analysis.result import NOT_ANALYZED, AnalysisResult, combine_metrics
from canary.core.analysis.state import OptionalJudgeState
from canary.core.analysis.state_size import limit_state_size
from canary.core.analysis.traffic_share import TrafficShare
from canary.core.increments import Side, Tick
from canary.core.series import NoData, Unavailable
from canary.core.snapshot import PoolSamples, RatioSamples, Snapshot

CLOCKS_DIFFER = 60.0
"""Seconds by which the clocks of two operators and of Prometheus may differ."""

__all__ = ["AnalysisInput", "AnalysisResult", "MetricResult", "analyze", "analyze_release"]


def analyze_release(snap: Snapshot) -> AnalysisResult:
    """Return the analysis of the release in the snapshot."""
    given = build_input(snap)
    return NOT_ANALYZED if given is None else analyze(given)


def build_input(snap: Snapshot) -> AnalysisInput | None:
    """Return the input for the release in flight; None if there is nothing to analyze."""
    status, start = snap.resource.status, find_judging_start(snap.resource.status)
    if start is None:
        return None
    stable = snap.target.pods if snap.target else ()
    canary = snap.canary.pods if snap.canary else ()
    return AnalysisInput(
        analysis=snap.resource.spec.analysis,
        now=snap.now,
        judged_from=start,
        samples=snap.samples,
        state=read_judge_state(status, snap.now),
        alone=status.intent is Intent.BAKE,
        weight=snap.route.weight if snap.route else None,
        step_started_at=status.step_started_at,
        promotion_next=_is_promotion_next(snap),
        ready_since={pod.name: pod.ready_since for pod in (*stable, *canary)},
    )


def _is_promotion_next(snap: Snapshot) -> bool:
    """Return whether no other step follows the present one."""
    spec, status = snap.resource.spec, snap.resource.status
    override = None if status.release is None else status.release.override
    skipped = override is not None and override.skip is Skip.STEPS
    last = status.step + 1 >= len(spec.steps)
    return status.intent is Intent.ADVANCE and (last or skipped)


def find_judging_start(status: Status) -> float | None:
    """Return the time from which requests count (seconds); None if the canary has no traffic.

    A canary with traffic is analyzed even if the status has lost that time.
    """
    release = status.release
    if release is None:
        return None
    if release.judged_from is not None:
        return release.judged_from
    traffic = status.weight > 0 or status.intent is Intent.PROMOTE
    return release.started_at if traffic else None


def read_judge_state(status: Status, now: float) -> OptionalJudgeState:
    """Return the stored state; a missing one, or one from the future, is unreadable."""
    state, until = status.judge, status.judged_until
    if state is None and until is not None:
        return UnreadableState(unreadable="it is missing")
    if isinstance(state, JudgeState):
        times = [one.until for one in state.metrics().values() if one.until is not None]
        if max([until or 0.0, *times]) > now + CLOCKS_DIFFER:
            return UnreadableState(unreadable="it was analyzed up to a time in the future")
    return state


def analyze(given: AnalysisInput) -> AnalysisResult:
    """Return the verdicts of all metrics and the state for the next analysis."""
    before = _previous_state(given)
    found = _analyze_metrics(given, before)
    if given.samples is not None:  # Without new samples the states are the stored ones.
        found = limit_state_size(found)
    share, until = _count_traffic_share(given, before, found), _find_judged_until(found)
    restarted = before.restarted
    if restarted is not None and until is not None and until >= restarted.at:
        restarted = None
    states = [(one.status.name, one.state) for one in found]
    return replace(
        combine_metrics(given, found),
        not_shifted=share.contradicts,
        canary_busy=_is_canary_busy(found),
        until=until,
        state=JudgeState(
            ratios={name: one for name, one in states if isinstance(one, RatioState)},
            pools={name: one for name, one in states if isinstance(one, StoredPool)},
            queries={name: one for name, one in states if isinstance(one, QueryState)},
            traffic_share=TrafficShareState.model_validate(asdict(share)),
            restarted=restarted,
        ),
        catching_up="" if restarted is None else restarted.why,
    )


def _previous_state(given: AnalysisInput) -> JudgeState:
    """Return the last state, or an empty one with the reason if it could not be read."""
    if isinstance(given.state, UnreadableState):
        return JudgeState(restarted=Restarted(at=given.now, why=given.state.unreadable))
    return given.state or JudgeState()


def build_failed_analysis(snap: Snapshot, error: Exception) -> AnalysisResult:
    """Return the result of an analysis that raised `error`: no verdict on the canary.

    The state may be the cause, so the next analysis starts without it.
    """
    if find_judging_start(snap.resource.status) is None:
        return NOT_ANALYZED
    message = f"the metrics could not be analyzed ({type(error).__name__}: {error})"[:300]
    state = UnreadableState(unreadable=message)
    return AnalysisResult(
        Verdict.UNAVAILABLE,
        Verdict.UNAVAILABLE,
        Verdict.UNAVAILABLE,
        message=message,
        state=state,
        catching_up=message,
    )


def _analyze_metrics(given: AnalysisInput, before: JudgeState) -> list[MetricResult]:
    """Analyze ratios first, because pools need the number of requests."""
    found: dict[str, MetricResult] = {}
    requests: Sequence[Tick] = ()
    for metric in sorted(given.analysis.metrics, key=lambda metric: not metric.is_request_share):
        one = _analyze_metric(metric, given, before, requests)
        requests = requests or one.ticks
        found[metric.name] = one
    return [found[metric.name] for metric in given.analysis.metrics]


def _analyze_metric(
    metric: Metric, given: AnalysisInput, before: JudgeState, requests: Sequence[Tick]
) -> MetricResult:
    samples = given.samples
    mine = samples.by_metric.get(metric.name) if samples else None
    if metric.is_request_share:
        if isinstance(mine, NoData | Unavailable):
            mine = RatioSamples(mine)
        ratio = (samples, mine) if samples and isinstance(mine, RatioSamples) else None
        return analyze_ratio(metric, ratio, before.ratios.get(metric.name), given)
    if metric.pool is not None:
        if isinstance(mine, NoData | Unavailable):
            mine = PoolSamples(mine, mine, None, None, None, 1.0, "", _no_side)
        pool = (samples, mine) if samples and isinstance(mine, PoolSamples) else None
        return analyze_pool(metric, pool, before.pools.get(metric.name), given, requests)
    kept = before.queries.get(metric.name)
    if isinstance(mine, RatioSamples | PoolSamples) or samples is None or mine is None:
        return analyze_custom_query(metric, None, kept)
    return analyze_custom_query(metric, (samples, mine), kept)


def _no_side(_value: str) -> None:
    """Return None: a metric that could not be read has no series of either version."""


def _find_judged_until(found: Sequence[MetricResult]) -> float | None:
    """Return the time up to which all metrics are analyzed; None if one has no data so far."""
    times = [one.state.until for one in found if one.state is not None]
    known = [time for time in times if time is not None]
    return min(known) if known and len(known) == len(times) else None


def _count_traffic_share(
    given: AnalysisInput, before: JudgeState, found: Sequence[MetricResult]
) -> TrafficShare:
    """Count the requests of both sides since the router confirmed the present weight."""
    kept = before.traffic_share
    share = TrafficShare(kept.weight, kept.canary, kept.stable)
    started, weight = given.step_started_at, given.weight
    if started is None or weight is None:
        return TrafficShare()
    counted: Sequence[Tick] = next((one.ticks for one in found if one.ticks), ())
    for tick in counted:
        if tick.start >= started:
            share = share.add(weight, tick.total(Side.CANARY), tick.total(Side.STABLE))
    return share


def _is_canary_busy(found: Sequence[MetricResult]) -> bool:
    """Return whether requests reached the canary in the newest interval.

    Without data the answer is no: the propagation delay is over by then.
    """
    ratios = [one.state for one in found if isinstance(one.state, RatioState)]
    return any(
        one.seen is not None and one.quiet is None and one.seen >= (one.until or 0.0)
        for one in ratios
    )
