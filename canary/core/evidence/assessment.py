"""Describes the state of the evidence in figures and one message."""

import math

from canary.core.evidence.judge import EvidenceState, Judge
from canary.core.evidence.policy import Assessment, FailReason, RatioPolicy
from canary.text.format import format_percent, human_duration

_RECENT = 60.0
_GROUPS = 1.5
"""Size of clumps from which the number of requests that are needed grows noticeably."""


def assess_evidence(state: EvidenceState, policy: RatioPolicy) -> Assessment:
    """Return the assessment of a state. This changes nothing and decides nothing."""
    return assess_judge(Judge(policy, state), policy)


def assess_judge(judge: Judge, policy: RatioPolicy, *, bounds: bool = True) -> Assessment:
    """Return the assessment of a judge, for callers that already have one.

    Without `bounds`, which take nearly all of the time, the ratio has no bounds.
    """
    baseline = judge.baseline
    clump = baseline.clump_or(1.0)
    ratio = judge.ratio.estimate()
    low, high = judge.ratio.interval(clump, policy.false_positive_rate) if bounds else (None, None)
    at, reason = judge.failed or (None, None)
    now = baseline.latest()
    canary, canary_bad, stable, stable_bad = judge.totals
    excluded = judge.promotion.gross_damage_excluded(baseline, policy)
    step_pass = judge.failed is None and excluded
    return Assessment(
        failed=judge.failed is not None,
        failed_at=at,
        reason=reason,
        step_pass=step_pass,
        final_pass=judge.passing_since is not None,
        passing_since=judge.passing_since,
        stable_unhealthy=policy.limit is not None
        and not policy.alone
        and baseline.rate(now, _RECENT) >= policy.limit,
        better_than_broken=judge.failed is None and judge.replacement.is_better(baseline, policy),
        evidence=judge.evidence(),
        threshold=1.0 / policy.false_positive_rate,
        canary_total=canary,
        canary_bad=canary_bad,
        stable_total=stable,
        stable_bad=stable_bad,
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        sentence=_describe_outage(judge)
        if reason is FailReason.CANARY_OUTAGE
        else _describe_evidence(judge, ratio, low, high),
        step_missing="" if step_pass else _describe_missing(judge, policy, final=False),
        final_missing=""
        if judge.passing_since is not None
        else _describe_missing(judge, policy, final=True),
    )


def _describe_outage(judge: Judge) -> str:
    canary, canary_bad, stable, stable_bad = judge.totals
    counts = f"{canary_bad:,.0f} of {canary:,.0f} canary requests are bad"
    return f"{counts}; stable fails {stable_bad:,.0f} of {stable:,.0f}"


def _describe_evidence(
    judge: Judge, ratio: float | None, low: float | None, high: float | None
) -> str:
    canary, canary_bad, stable, stable_bad = judge.totals
    if judge.first is None:
        return "no request has reached the canary yet"
    counts = f"{canary_bad:,.0f} of {canary:,.0f}"
    if stable <= 0.0:
        return f"{counts} canary requests are bad; stable has none to compare with"
    counts += f" against {stable_bad:,.0f} of {stable:,.0f}"
    if not canary_bad and not stable_bad:
        return f"no request has failed on either side: {counts} are bad"
    if ratio is None and low is None:
        return f"nothing to compare yet: {counts} requests are bad"
    if ratio is None:
        return f"canary fails and stable does not: {counts}"
    between = f"between {low or 0.0:.1f}× and {high:.1f}×" if high is not None else "no bound yet"
    return f"canary fails {ratio:.1f}× as often as stable ({between}): {counts}"


def _describe_missing(judge: Judge, policy: RatioPolicy, *, final: bool) -> str:
    """Describe what the next step, or the promotion (`final`), still takes: requests and time."""
    if judge.first is None or judge.failed is not None:
        return ""
    baseline, promotion = judge.baseline, judge.promotion
    suspicious = final and judge.suspicious()
    requests = promotion.missing_requests(baseline, policy, final=final, suspicious=suspicious)
    if requests == math.inf:
        return "stable needs requests to compare with"
    parts = []
    if requests > 0.0:
        what = f"a regression of {format_percent(policy.smallest_regression)}"
        parts.append(
            f"{math.ceil(requests):,} more good canary requests to exclude "
            f"{what if final else 'severe damage'}{_explain_requests(judge, suspicious=suspicious)}"
        )
    left = policy.min_duration - promotion.seconds if final else 0.0
    if left > 0.0:
        parts.append(f"{human_duration(left)} more with traffic (minDuration)")
    return f"needs at least {' and '.join(parts)}" if parts else "the next requests decide"


def _explain_requests(judge: Judge, *, suspicious: bool) -> str:
    """Say why more requests are needed than without any bad one."""
    clump = judge.baseline.clump_for_promotion()
    if suspicious:
        return ", because its last bad requests are almost enough to fail it"
    if clump < _GROUPS:
        return ""
    return f", because stable's bad requests come in groups of {clump:.0f}"
