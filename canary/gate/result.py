"""How a wait ended, as an `Outcome`: cases of its metrics, figures, what to do now. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from canary.api import CheckStatus, MetricStatus, Reason, Status, Verdict
from canary.errors import CanaryError, ExitCode
from canary.gate.tracking import Ended, Quest, Sight
from canary.results.gate_result import Case, Fact, Outcome
from canary.runbooks import runbook_url
from canary.text.format import format_timestamp

COMMAND: Final = "gate"
_TRYING_AGAIN: Final = {ExitCode.FAILED: "retry", ExitCode.PAUSED: "resume"}


def outcome(ended: Ended, sight: Sight, quest: Quest, seconds: float) -> Outcome:
    """All that the gate knows; `seconds` is how long it waited."""
    return Outcome(
        command=COMMAND,
        subject=f"{sight.resource.namespace}/{sight.resource.name}",
        code=ended.code,
        headline=ended.headline,
        cases=tuple(_cases(ended, sight.status, quest)),
        seconds=seconds,
        facts=_facts(ended, sight.status, quest),
        next_steps=tuple(_steps(ended, sight)),
    )


def broken(subject: str, error: CanaryError) -> Outcome:
    """What kept the gate from finding out."""
    return Outcome(COMMAND, subject, error.exit_code, str(error))


def interrupted(sight: Sight, quest: Quest, seconds: float) -> Outcome:
    """The pipeline was cancelled; the release knows nothing of that."""
    text = "the wait was interrupted; the release goes on"
    return outcome(Ended(ExitCode.INTERRUPTED, text, sight.status.reason), sight, quest, seconds)


def _cases(ended: Ended, status: Status, quest: Quest) -> Iterator[Case]:
    checks: Sequence[CheckStatus] = status.release.checks if status.release else ()
    if _about(status, quest):
        yield from (Case(f"check {one.name}", one.verdict, one.message) for one in checks)
        yield from (_case(metric) for metric in status.analysis)
    elif ended.entry is not None:
        yield from (_case(metric) for metric in ended.entry.analysis)


def _about(status: Status, quest: Quest) -> bool:
    """Whether what the status says of metrics is about the release that was waited for."""
    last = status.history[0].template if status.history else None
    return quest.template == (status.release.template if status.release else last)


def _case(metric: MetricStatus) -> Case:
    facts: dict[str, Fact] = {**metric.figures}
    if metric.reason is not None:
        facts = {"reason": str(metric.reason), **facts}
    return Case(metric.name, metric.verdict, metric.message or _word(metric.verdict), facts=facts)


def _word(verdict: Verdict) -> str:
    match verdict:
        case Verdict.PASS:
            return "as good as stable"
        case Verdict.FAIL:
            return "worse than stable"
        case Verdict.CONTINUE:
            return "not enough evidence yet"
        case Verdict.NO_DATA:
            return "the query works and nothing is there"
        case Verdict.UNAVAILABLE:
            return "the monitoring could not be asked"


def _facts(ended: Ended, status: Status, quest: Quest) -> Mapping[str, Fact]:
    facts: dict[str, Fact] = {
        "reason": str(ended.reason) if ended.reason else None,
        "template": quest.template,
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


def _steps(ended: Ended, sight: Sight) -> Iterator[str]:
    if ended.code in {ExitCode.OK, ExitCode.NOT_FOUND}:
        return
    where = f"{sight.resource.name} -n {sight.resource.namespace}"
    yield f"canary explain {where}"
    if ended.reason is Reason.APPROVAL_NEEDED:
        yield f"canary promote {where}"
    elif ended.reason is Reason.SUSPENDED:
        yield "set spec.suspend to false"
    elif ended.code in _TRYING_AGAIN:
        yield f"canary {_TRYING_AGAIN[ended.code]} {where}"
    if ended.code is ExitCode.FAILED and ended.reason is not None:
        yield runbook_url(ended.reason)
