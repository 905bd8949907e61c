"""Analyzes a ratio: samples become intervals, the evidence of all intervals a verdict."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from canary.api import Metric, MetricStatus, Reason, Verdict, format_duration
from canary.api.judge_state import EvidenceParts, RatioState
from canary.core.analysis.input import (
    AnalysisInput,
    MetricResult,
    explain_silence,
    select_verdict,
)
from canary.core.analysis.state import restore_evidence, restore_quiet, store_evidence, store_quiet
from canary.core.evidence import (
    Assessment,
    EvidenceState,
    Interval,
    PodCount,
    RatioPolicy,
    assess_evidence,
    fold_intervals,
    start_after_promotion,
)
from canary.core.increments import Increment, Side, Tick
from canary.core.series import NoData, Unavailable
from canary.core.snapshot import RatioSamples, Samples
from canary.text.format import human_duration


def build_ratio_policy(metric: Metric, given: AnalysisInput) -> RatioPolicy:
    """Return the policy of one metric; several ratio metrics share the false positive rate."""
    analysis = given.analysis
    policy = RatioPolicy(
        tolerance=metric.allowed_ratio,
        limit=metric.absolute_limit,
        false_positive_rate=analysis.false_positive_rate / max(given.ratios, 1),
        smallest_regression=analysis.smallest_regression,
        tolerated_incident=analysis.tolerated_incident,
        warm_up=analysis.warm_up,
        min_duration=analysis.min_duration,
        floor=metric.floor,
    )
    return policy.after_promotion() if given.alone else policy


def analyze_ratio(
    metric: Metric,
    read: tuple[Samples, RatioSamples] | None,
    before: RatioState | None,
    given: AnalysisInput,
) -> MetricResult:
    """Fold the samples since `before` and return the result.

    Without data the state does not change. Once data is back, the missed range is read and folded,
    with the same result as live.
    """
    policy, kept = build_ratio_policy(metric, given), before or RatioState()
    if read is None and kept.alone is given.alone:  # Most reconciles have no new sample.
        return _describe_state(metric, given, kept, _assess_stored(kept.evidence, policy))
    state = _restore_state(kept, policy, given)
    until, seen, quiet = kept.until, kept.seen, restore_quiet(kept.quiet)
    ticks: tuple[Tick, ...] = ()
    if read is not None:
        samples, ratio = read
        quiet = None
        if isinstance(ratio.ticks, NoData | Unavailable):
            quiet = explain_silence((ratio.ticks,))
        else:
            since = until if until is not None else samples.since
            ticks = tuple(
                _without_earlier_canaries(tick, given) for tick in ratio.ticks if tick.end > since
            )
            state = fold_intervals(
                state, policy, (_build_warm_interval(tick, given) for tick in ticks)
            )
            until = samples.rounds.end
            seen = max((t.end for t in ticks if t.total(Side.CANARY)), default=seen)
    after = RatioState(
        until=until,
        quiet=store_quiet(quiet),
        seen=seen,
        alone=given.alone,
        bound=(read[1].bound if read else "") or kept.bound,
        evidence=store_evidence(state),
    )
    said = assess_evidence(state, policy)
    return replace(_describe_state(metric, given, after, said), ticks=ticks)


@lru_cache(maxsize=64)
def _assess_stored(evidence: EvidenceParts | None, policy: RatioPolicy) -> Assessment:
    """Return the assessment of a stored state, which several reconciles in a row ask for."""
    return assess_evidence(restore_evidence(evidence), policy)


def _describe_state(
    metric: Metric, given: AnalysisInput, state: RatioState, said: Assessment
) -> MetricResult:
    """Return the result of a state with its assessment; the message says what counts as bad."""
    if said.canary_total:
        said = replace(said, sentence=said.sentence + _describe_bad(metric, state.bound))
    result = build_ratio_result(metric, said, given, state.seen, restore_quiet(state.quiet))
    return replace(result, state=state)


def build_ratio_result(
    metric: Metric,
    said: Assessment,
    given: AnalysisInput,
    seen: float | None,
    quiet: tuple[Verdict, str] | None = None,
) -> MetricResult:
    """Return verdicts, figures and message of one metric.

    `seen` is when a request last reached the canary (seconds; None: never), `quiet` why the metric
    has no data now.
    """
    step, final, why = _decide_verdicts(said, quiet, seen, given)
    status = _build_status(metric, said, select_verdict(given, step, final), why)
    return MetricResult(
        status,
        step,
        final,
        stable_unhealthy=said.stable_unhealthy,
        better_than_broken=said.better_than_broken and quiet is None,
        bad=said.canary_bad,
    )


def _describe_bad(metric: Metric, bound: str) -> str:
    """Describe bad requests that are not server errors: client errors or slow requests."""
    if metric.client_errors is not None:
        return " (bad: answered with a client error, 4xx)"
    if metric.latency is None:
        return ""
    asked = format_duration(metric.latency.above)
    return f" (bad: slower than {bound or asked}, the histogram's bound nearest to {asked})"


def _restore_state(kept: RatioState, policy: RatioPolicy, given: AnalysisInput) -> EvidenceState:
    """Return the stored state; at the promotion a new one with stable's history."""
    state = restore_evidence(kept.evidence)
    return start_after_promotion(state, policy) if given.alone and not kept.alone else state


def _without_earlier_canaries(tick: Tick, given: AnalysisInput) -> Tick:
    """Remove requests before this release: a router uses one name for every canary."""
    if tick.end > given.judged_from:
        return tick
    mine = (one for one in tick.increments if one.side is not Side.CANARY)
    return replace(tick, increments=tuple(mine))


def _build_warm_interval(tick: Tick, given: AnalysisInput) -> Interval:
    if not given.ready_since:  # Pods without a known start time are never in their warm-up.
        return build_interval(tick)
    warm = (one for one in tick.increments if not given.is_warming_up(one.name, tick.end))
    return build_interval(replace(tick, increments=tuple(warm)))


def build_interval(tick: Tick) -> Interval:
    """Return the interval of one round: the sums of both sides, and the counts per pod."""
    canary = [one for one in tick.increments if one.side is Side.CANARY]
    stable = [one for one in tick.increments if one.side is Side.STABLE]
    return Interval(
        tick.start,
        tick.end,
        *_sum_requests(canary),
        *_sum_requests(stable),
        pods=_count_per_pod(stable),
        canary_pods=_count_per_pod(canary),
    )


def _sum_requests(increments: Sequence[Increment]) -> tuple[float, float]:
    return sum(one.total for one in increments), sum(one.bad for one in increments)


def _count_per_pod(increments: Sequence[Increment]) -> tuple[PodCount, ...]:
    """Return the counts per pod; none for a router, whose metrics have only the sum."""
    if len(increments) == 1:
        return ()
    return tuple([PodCount(name, total, bad) for name, _, total, bad in increments])


def _decide_verdicts(
    said: Assessment,
    quiet: tuple[Verdict, str] | None,
    seen: float | None,
    given: AnalysisInput,
) -> tuple[Verdict, Verdict, str]:
    """Return both verdicts and the message: Fail before NoData, NoData before Pass."""
    if said.failed:
        return Verdict.FAIL, Verdict.FAIL, said.sentence
    if quiet is not None:
        verdict = Verdict(quiet[0])
        return verdict, verdict, quiet[1]
    unheard = given.now - (given.judged_from if seen is None else seen)
    if unheard > given.silence:
        why = f"no request has reached the canary for {human_duration(unheard)}"
        return Verdict.NO_DATA, Verdict.NO_DATA, why
    step = Verdict.PASS if said.step_pass else Verdict.CONTINUE
    final = Verdict.PASS if said.final_pass else Verdict.CONTINUE
    missing = said.step_missing
    if given.promotion_next:
        missing = said.final_missing or missing
    return step, final, "; ".join(filter(None, (said.sentence, missing)))


def _build_status(metric: Metric, said: Assessment, verdict: Verdict, why: str) -> MetricStatus:
    return MetricStatus(
        name=metric.name,
        verdict=verdict,
        reason=Reason(said.reason) if said.reason is not None else None,
        evidence=said.evidence,
        threshold=said.threshold,
        canary_total=said.canary_total,
        canary_bad=said.canary_bad,
        stable_total=said.stable_total,
        stable_bad=said.stable_bad,
        ratio=said.ratio,
        ratio_low=said.ratio_low,
        ratio_high=said.ratio_high,
        message=why,
    )
