"""Builds the result of a gate: a case per metric, figures and next steps. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from canary.api import CheckStatus, MetricStatus, Reason, Status, Verdict
from canary.errors import CanaryError, ExitCode
from canary.gate.tracking import FinishedState, Observation, TrackedRelease
from canary.results.gate_result import Fact, GateResult, ResultCase
from canary.runbooks import runbook_url
from canary.text.format import format_timestamp

COMMAND: Final = "gate"
_RETRY_COMMANDS: Final = {ExitCode.FAILED: "retry", ExitCode.PAUSED: "resume"}


def build_result(
    ended: FinishedState, observed: Observation, tracked: TrackedRelease, seconds: float
) -> GateResult:
    """Return the result of a finished wait of so many seconds."""
    return GateResult(
        command=COMMAND,
        subject=f"{observed.resource.namespace}/{observed.resource.name}",
        code=ended.code,
        headline=ended.headline,
        cases=tuple(_build_cases(ended, observed.status, tracked)),
        seconds=seconds,
        facts=_build_facts(ended, observed.status, tracked),
        next_steps=tuple(_next_steps(ended, observed)),
    )


def error_result(subject: str, error: CanaryError) -> GateResult:
    """Return the result of a gate that failed with an error."""
    return GateResult(COMMAND, subject, error.exit_code, str(error))


def interrupted_result(
    observed: Observation, tracked: TrackedRelease, seconds: float
) -> GateResult:
    """Return the result of an interrupted wait; the release itself continues."""
    text = "the wait was interrupted; the release continues"
    return build_result(
        FinishedState(ExitCode.INTERRUPTED, text, observed.status.reason),
        observed,
        tracked,
        seconds,
    )


def _build_cases(
    ended: FinishedState, status: Status, tracked: TrackedRelease
) -> Iterator[ResultCase]:
    checks: Sequence[CheckStatus] = status.release.checks if status.release else ()
    if _is_about_tracked(status, tracked):
        yield from (ResultCase(f"check {one.name}", one.verdict, one.message) for one in checks)
        yield from (_build_case(metric) for metric in status.analysis)
    elif ended.entry is not None:
        yield from (_build_case(metric) for metric in ended.entry.analysis)


def _is_about_tracked(status: Status, tracked: TrackedRelease) -> bool:
    """Whether the metrics in the status are those of the tracked release."""
    last = status.history[0].template if status.history else None
    return tracked.template == (status.release.template if status.release else last)


def _build_case(metric: MetricStatus) -> ResultCase:
    facts: dict[str, Fact] = {**metric.figures}
    if metric.reason is not None:
        facts = {"reason": str(metric.reason), **facts}
    return ResultCase(
        metric.name,
        metric.verdict,
        metric.message or _describe_verdict(metric.verdict),
        facts=facts,
    )


def _describe_verdict(verdict: Verdict) -> str:
    match verdict:
        case Verdict.PASS:
            return "as good as stable"
        case Verdict.FAIL:
            return "worse than stable"
        case Verdict.CONTINUE:
            return "not enough evidence yet"
        case Verdict.NO_DATA:
            return "the query works but returns no series"
        case Verdict.UNAVAILABLE:
            return "the monitoring system could not be queried"


def _build_facts(
    ended: FinishedState, status: Status, tracked: TrackedRelease
) -> Mapping[str, Fact]:
    facts: dict[str, Fact] = {
        "reason": str(ended.reason) if ended.reason else None,
        "template": tracked.template,
        "phase": str(status.phase),
        "weight": status.weight,
    }
    if ended.entry is not None:
        entry = ended.entry
        facts |= {
            "result": str(entry.result),
            "peakWeight": entry.peak_weight,
            "errorsServed": entry.errors_served,
            "startedAt": format_timestamp(entry.started_at),
            "endedAt": format_timestamp(entry.ended_at),
        }
    return facts


def _next_steps(ended: FinishedState, observed: Observation) -> Iterator[str]:
    if ended.code in {ExitCode.OK, ExitCode.NOT_FOUND}:
        return
    where = f"{observed.resource.name} -n {observed.resource.namespace}"
    yield f"canary explain {where}"
    if ended.reason is Reason.APPROVAL_NEEDED:
        yield f"canary promote {where}"
    elif ended.reason is Reason.SUSPENDED:
        yield "set spec.suspend to false"
    elif ended.code in _RETRY_COMMANDS:
        yield f"canary {_RETRY_COMMANDS[ended.code]} {where}"
    if ended.code is ExitCode.FAILED and ended.reason is not None:
        yield runbook_url(ended.reason)
