"""The result of an analysis: the verdict on a release from those of its metrics."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from canary.api import MetricStatus, Reason, Verdict
from canary.api.judge_state import JudgeState, UnreadableState
from canary.core.analysis.input import AnalysisInput, MetricResult, select_verdict
from canary.core.evidence import combine_evidence, find_worse_metrics

LEAST_BAD = 5.0
"""Minimum number of bad requests for several metrics together to fail a canary."""
WORST_FIRST = (
    Verdict.FAIL,
    Verdict.UNAVAILABLE,
    Verdict.NO_DATA,
    Verdict.CONTINUE,
    Verdict.PASS,
)


class ReplacementVerdict(StrEnum):
    """Whether the canary may replace a broken stable version."""

    NO = "No"
    """Stable is healthy, or the canary is not shown to be better."""
    BETTER = "Better"
    """The canary is better on every metric on which stable is broken, and worse on none."""
    MIXED = "Mixed"
    """The canary is better where stable is broken, and worse on another metric."""


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """`step` allows the next weight, `final` the promotion; a failure is Fail in both."""

    step: Verdict = Verdict.NO_DATA
    final: Verdict = Verdict.NO_DATA
    verdict: Verdict = Verdict.NO_DATA
    """The verdict on what comes next: another step, or the promotion."""
    reason: Reason | None = None
    """Reason of the failure."""
    message: str = ""
    """Message about the failure, or about what is missing."""
    stable_unhealthy: bool = False
    replacement: ReplacementVerdict = ReplacementVerdict.NO
    """Whether the canary may replace an unhealthy stable version."""
    not_shifted: bool = False
    """The canary's share of requests contradicts the weight in the route."""
    canary_busy: bool = False
    """The canary's request counter increased in the last interval."""
    until: float | None = None
    """Time up to which the release is judged (seconds since the epoch)."""
    by_metric: tuple[MetricResult, ...] = ()
    """Results of the metrics, in the order of the spec."""
    state: JudgeState | UnreadableState | None = None
    """State for the next analysis; None if unchanged."""
    catching_up: str = ""
    """Why the analysis started again. The weight may not rise until it has caught up."""

    @property
    def failed(self) -> bool:
        """Whether the canary failed."""
        return self.step is Verdict.FAIL

    @property
    def metrics(self) -> tuple[MetricStatus, ...]:
        """Figures and message per metric, for the status."""
        return tuple(one.status for one in self.by_metric)


NOT_ANALYZED = AnalysisResult()


def combine_metrics(given: AnalysisInput, found: Sequence[MetricResult]) -> AnalysisResult:
    """Return the verdict on the release from those of its metrics, in the order of the spec."""
    failed, reason, message = _find_failure(given, found)
    replacement = _decide_replacement(found, failed=failed)
    if replacement is ReplacementVerdict.MIXED:
        names = ", ".join(one.status.name for one in found if one.better_than_broken)
        message = f"better than a broken stable version on {names}, but worse on {message}"
    step, final = (_worst_verdict(found, failed=failed, final=final) for final in (False, True))
    return AnalysisResult(
        step=step,
        final=final,
        verdict=select_verdict(given, step, final),
        reason=reason,
        message=message or _describe_furthest_metric(found, final=step is Verdict.PASS),
        stable_unhealthy=any(one.stable_unhealthy for one in found),
        replacement=replacement,
        by_metric=tuple(found),
    )


def _find_failure(
    given: AnalysisInput, found: Sequence[MetricResult]
) -> tuple[bool, Reason | None, str]:
    """Return the failure of one metric, or of all ratio metrics together (e-BH then names them)."""
    for one in found:
        if one.step is Verdict.FAIL:
            return True, one.status.reason, f"{one.status.name}: {one.status.message}"
    counts = {metric.name for metric in given.analysis.metrics if metric.is_request_share}
    ratios = {one.status.name: one for one in found if one.status.name in counts}
    if len(ratios) < 2 or max(one.bad for one in ratios.values()) < LEAST_BAD:  # noqa: PLR2004 - several
        return False, None, ""
    evidence = {name: one.status.evidence for name, one in ratios.items()}
    alpha = given.analysis.false_positive_rate
    if combine_evidence(tuple(evidence.values())) < 1 / alpha:
        return False, None, ""
    names = find_worse_metrics(evidence, alpha) or (max(evidence, key=lambda name: evidence[name]),)
    worst = ratios[names[0]].status
    return True, Reason.WORSE_THAN_STABLE, f"{', '.join(names)}: {worst.message}"


def _decide_replacement(found: Sequence[MetricResult], *, failed: bool) -> ReplacementVerdict:
    broken = [one for one in found if one.stable_unhealthy or one.better_than_broken]
    if not broken or not all(one.better_than_broken for one in broken):
        return ReplacementVerdict.NO
    if failed:
        return ReplacementVerdict.MIXED
    silent = {Verdict.NO_DATA, Verdict.UNAVAILABLE}
    return (
        ReplacementVerdict.NO
        if any(one.step in silent for one in found)
        else ReplacementVerdict.BETTER
    )


def _worst_verdict(found: Sequence[MetricResult], *, failed: bool, final: bool) -> Verdict:
    if failed:
        return Verdict.FAIL
    verdicts = {one.final if final else one.step for one in found}
    return next(verdict for verdict in WORST_FIRST if verdict in verdicts)


def _describe_furthest_metric(found: Sequence[MetricResult], *, final: bool) -> str:
    """Return the message of the metric that is furthest from Pass."""
    last = max(found, key=lambda one: -WORST_FIRST.index(one.final if final else one.step))
    return f"{last.status.name}: {last.status.message}"
