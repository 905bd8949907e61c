"""Builds the GateResult of a comparison of two groups of series. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from canary.analyze.evaluation import AnalysisWindow, Evaluation
from canary.api import Analysis, MetricStatus, Verdict, format_duration
from canary.core.analysis import MetricResult
from canary.errors import ExitCode
from canary.results.gate_result import Fact, GateResult, ResultCase

EXIT_CODES = {
    Verdict.PASS: ExitCode.OK,
    Verdict.FAIL: ExitCode.FAILED,
    Verdict.CONTINUE: ExitCode.INCONCLUSIVE,
    Verdict.NO_DATA: ExitCode.INCONCLUSIVE,
    Verdict.UNAVAILABLE: ExitCode.ERROR,
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """The last evaluation of a comparison, and since when (seconds since the epoch) it holds."""

    analysis: Analysis
    span: AnalysisWindow
    last: Evaluation
    since: float
    asked: Mapping[str, str] = field(default_factory=dict)
    """PromQL that counts the requests of each metric, by metric name."""

    @property
    def verdict(self) -> Verdict:
        """The verdict over all metrics."""
        return self.last.judged.final


def build_result(subject: str, compared: Comparison) -> GateResult:
    """Return one case per metric; the exit code follows from the verdict."""
    judged, span = compared.last.judged, compared.span
    took = compared.since - span.start
    return GateResult(
        command="analyze",
        subject=subject,
        code=EXIT_CODES[compared.verdict],
        headline=_format_headline(compared, took),
        cases=tuple(_build_case(compared, one, took) for one in judged.by_metric),
        seconds=compared.last.at - span.start,
        facts={
            "verdict": str(compared.verdict),
            "reason": str(judged.reason) if judged.reason else None,
            "from": span.start,
            "to": compared.last.at,
            "step": span.step,
            "decidedAt": compared.since if compared.verdict in _FINAL else None,
            "stableUnhealthy": judged.stable_unhealthy,
        },
        next_steps=_next_steps(compared),
    )


_FINAL = {Verdict.PASS, Verdict.FAIL}


def _format_headline(compared: Comparison, took: float) -> str:
    message = compared.last.judged.message
    seconds = format_duration(max(took, 0.0))
    whole = format_duration(compared.last.at - compared.span.start)
    match compared.verdict:
        case Verdict.FAIL:
            return f"the canary is worse, detected after {seconds}: {message}"
        case Verdict.PASS:
            return f"the canary is as good as stable, shown after {seconds}"
        case Verdict.CONTINUE:
            return f"not enough evidence in {whole}: {message}"
        case Verdict.NO_DATA:
            return f"no data: {message}"
        case Verdict.UNAVAILABLE:
            return f"the monitoring system could not be queried: {message}"


def _build_case(compared: Comparison, one: MetricResult, took: float) -> ResultCase:
    status = one.status
    facts = metric_facts(status) | {"promql": compared.asked.get(status.name)}
    return ResultCase(status.name, one.final, status.message, max(took, 0.0), facts)


def metric_facts(status: MetricStatus) -> dict[str, Fact]:
    """Return the figures of one metric for JSON output."""
    facts: dict[str, Fact] = {**status.figures}
    if not (status.canary_total or status.stable_total):
        facts = {name: facts[name] for name in ("evidence", "threshold")}
    if status.reason is not None:
        facts["reason"] = str(status.reason)
    return facts


def _next_steps(compared: Comparison) -> tuple[str, ...]:
    if compared.verdict is Verdict.NO_DATA:
        return tuple(f"check which series exist: {text}" for text in compared.asked.values())
    if compared.verdict is not Verdict.CONTINUE:
        return ()
    analysis = compared.analysis
    least = format_duration(analysis.min_duration)
    step = (
        f"compare for longer: Pass needs {least} of traffic, and evidence that the canary's share "
        f"of bad requests exceeds stable's by less than {analysis.smallest_regression:g}"
    )
    return (step,)
