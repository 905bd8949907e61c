"""Analyzes a connection pool: samples become readings, the detector folds them into a verdict."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from canary.api import Metric, MetricStatus, Reason, Verdict
from canary.api.analysis import Leak
from canary.api.judge_state import StoredPool
from canary.core.analysis.input import (
    AnalysisInput,
    MetricResult,
    explain_silence,
    select_verdict,
)
from canary.core.analysis.state import restore_pool, restore_quiet, store_pool
from canary.core.increments import Side, Tick
from canary.core.pools.detector import PoolPolicy, fold_samples
from canary.core.pools.samples import UNLIMITED, PoolSeries, build_pool_samples
from canary.core.pools.verdict import PoolAssessment, assess_pools
from canary.core.series import FoundSeries, MetricAnswer, Series, Unavailable
from canary.core.snapshot import PoolSamples, Samples


def build_pool_policy(metric: Metric, given: AnalysisInput) -> PoolPolicy:
    """Return the policy of one pool metric."""
    leak = metric.leak or Leak()
    return PoolPolicy(
        limit=metric.absolute_limit or 0.0,
        leak_connections=leak.connections,
        window=leak.window,
        warm_up=given.analysis.warm_up,
        false_positive_rate=given.analysis.false_positive_rate,
    )


def analyze_pool(
    metric: Metric,
    read: tuple[Samples, PoolSamples] | None,
    before: StoredPool | None,
    given: AnalysisInput,
    requests: Sequence[Tick],
) -> MetricResult:
    """Fold the samples since `before`; `requests` has those of the same intervals."""
    policy = build_pool_policy(metric, given)
    kept = before or StoredPool()
    if read is None:  # Most reconciles have no new sample.
        said = _assess_stored(kept, policy)
        return replace(
            build_pool_result(metric, said, given, restore_quiet(kept.quiet)), state=kept
        )
    samples, pool = read
    state, until, quiet = restore_pool(kept), kept.until, _explain_pool_silence(pool)
    if quiet is None:
        since = until if until is not None else samples.since
        fresh = build_pool_samples(_build_pool_series(pool), requests, samples.rounds, since)
        state = fold_samples(state, policy, fresh)
        until = samples.rounds.end
        if _is_unlimited(pool) and not isinstance(pool.hold, FoundSeries):
            quiet = Verdict.NO_DATA, f"the pool's maximum is {UNLIMITED}"
    result = build_pool_result(metric, assess_pools(state, policy), given, quiet)
    return replace(result, state=store_pool(state, until, quiet))


@lru_cache(maxsize=64)
def _assess_stored(kept: StoredPool, policy: PoolPolicy) -> PoolAssessment:
    """Return the assessment of a stored state, which several reconciles in a row ask for."""
    return assess_pools(restore_pool(kept), policy)


def build_pool_result(
    metric: Metric,
    said: PoolAssessment,
    given: AnalysisInput,
    quiet: tuple[Verdict, str] | None = None,
) -> MetricResult:
    """Return verdicts, figures and message of one pool; `quiet` is why it has no data now."""
    step, final, why = _decide_verdicts(said, quiet)
    status = _build_status(metric, said, select_verdict(given, step, final), why)
    return MetricResult(status, step, final, stable_unhealthy=said.stable_unhealthy)


def _explain_pool_silence(pool: PoolSamples) -> tuple[Verdict, str] | None:
    """Return why the pool has no data; a part that could not be read might contain the leak."""
    maximum = () if isinstance(pool.maximum, float | int) else (pool.maximum,)
    rest = (pool.waiting, pool.timeouts, pool.hold)
    down = tuple(answer for answer in rest if isinstance(answer, Unavailable))
    return explain_silence((pool.in_use, *maximum, *down))


def _is_unlimited(pool: PoolSamples) -> bool:
    """Return whether no pool of the canary has a maximum: 0 means unlimited.

    Leaks are still detected if hold times are exported.
    """
    if isinstance(pool.maximum, float | int):
        return False
    own = [one for one in _list_series(pool.maximum) if _is_canarys(pool, one)]
    return bool(own) and all(one.points[-1][1] == 0 for one in own)


def _is_canarys(pool: PoolSamples, series: Series) -> bool:
    return pool.side_of(series.labels.get(pool.label, "")) is Side.CANARY


def _build_pool_series(pool: PoolSamples) -> PoolSeries:
    maximum = pool.maximum
    return PoolSeries(
        _list_series(pool.in_use),
        maximum if isinstance(maximum, float | int) else _list_series(maximum),
        pool.label,
        pool.side_of,
        waiting=_list_series(pool.waiting),
        timeouts=_list_series(pool.timeouts),
        hold=_list_series(pool.hold),
        hold_unit=pool.hold_unit,
    )


def _list_series(answer: MetricAnswer | None) -> tuple[Series, ...]:
    return answer.series if isinstance(answer, FoundSeries) else ()


def _decide_verdicts(
    said: PoolAssessment, quiet: tuple[Verdict, str] | None
) -> tuple[Verdict, Verdict, str]:
    if said.failed:
        return Verdict.FAIL, Verdict.FAIL, said.sentence
    if quiet is not None:
        verdict = Verdict(quiet[0])
        return verdict, verdict, quiet[1]
    step = Verdict.PASS if said.step_pass else Verdict.CONTINUE
    final = Verdict.PASS if said.final_pass else Verdict.CONTINUE
    return step, final, said.sentence


def _build_status(metric: Metric, said: PoolAssessment, verdict: Verdict, why: str) -> MetricStatus:
    return MetricStatus(
        name=metric.name,
        verdict=verdict,
        reason=Reason(said.failure.reason) if said.failure is not None else None,
        evidence=max(said.leak_connections or 0.0, 0.0),
        threshold=(metric.leak or Leak()).connections,
        message=why,
    )
