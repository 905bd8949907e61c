"""Builds events of a simulated release, to test receivers before the first incident. Pure."""

from dataclasses import replace

from canary.api import (
    HistoryEntry,
    Intent,
    MetricStatus,
    Pause,
    Phase,
    Reason,
    ReasonKind,
    Release,
    Result,
    Spec,
    Status,
    Verdict,
)
from canary.interfaces import Change, Key, Notice
from canary.notify.events import NOT_ROLLBACKS, ReleaseEvent, event_from_notice

ROLLBACK_REASONS = (
    frozenset(reason for reason in Reason if reason.info.kind is ReasonKind.ROLLBACK)
    - NOT_ROLLBACKS
)
STUCK_REASONS = frozenset(reason for reason in Reason if reason.info.needs_person)
DRY_RUN_REASONS = (
    ROLLBACK_REASONS | STUCK_REASONS | {Reason.APPROVAL_NEEDED, Reason.PROMOTED, Reason.STARTED}
)
"""Reasons that can be simulated."""
_POD = "canary-0"
_LEAK = "leaks 1 connection per 4,900 requests; the pool of 50 is empty in 68 min"
_VERSION, _STABLE = "rehearsal", "stable"


def build_dry_run(key: Key, spec: Spec, reason: Reason, now: float) -> ReleaseEvent:
    """Return an event with this reason for a release at its first step; `now` in seconds."""
    weight = spec.steps[0].weight
    before = Status(
        phase=Phase.PROGRESSING,
        reason=Reason.GATHERING_EVIDENCE,
        intent=Intent.ADVANCE,
        stable_hash=_STABLE,
        release=_build_release(now, weight),
        weight=weight,
    )
    message = _build_message(spec, reason)
    after = before.model_copy(update={"reason": reason, "message": message})
    after = after.model_copy(update=_status_change(spec, reason, before, now))
    if reason is Reason.STARTED:
        before = before.model_copy(update={"release": None, "phase": Phase.READY})
    change = Change(spec, before, after, (f"{spec.target.name}-{_POD}",))
    event = event_from_notice(Notice(key, now, after.phase, reason, message, after.weight, change))
    if event is None:
        raise LookupError("a notice with a change always yields an event")
    return replace(event, headline=f"Simulation, nothing happened: {event.headline}")


def _build_release(now: float, weight: int) -> Release:
    return Release(template=_VERSION, started_at=now, replicas=2, peak_weight=weight)


def _build_message(spec: Spec, reason: Reason) -> str:
    if reason is Reason.CONNECTION_LEAK:
        return f"{spec.target.name}-{_POD} {_LEAK}"
    return reason.info.sentence


def _status_change(spec: Spec, reason: Reason, before: Status, now: float) -> dict[str, object]:
    """Return the status fields that lead to this reason."""
    if reason.info.needs_person:
        pause = Pause(reason=reason, since=now)
        release = _build_release(now, before.weight).model_copy(update={"pause": pause})
        return {"phase": Phase.PAUSED, "release": release}
    match reason:
        case Reason.APPROVAL_NEEDED:
            return {"phase": Phase.WAITING_FOR_APPROVAL}
        case Reason.STARTED:
            return {"phase": Phase.PREPARING, "weight": 0}
        case Reason.PROMOTED:
            return {
                "phase": Phase.READY,
                "release": None,
                "weight": 0,
                "history": (_history_entry(now, before.weight),),
            }
        case _:
            return {
                "phase": Phase.ROLLING_BACK,
                "intent": Intent.ROLL_BACK,
                "weight": 0,
                "analysis": _build_analysis(spec, reason),
            }


def _history_entry(now: float, weight: int) -> HistoryEntry:
    return HistoryEntry(
        template=_VERSION,
        result=Result.PROMOTED,
        reason=Reason.PROMOTED,
        started_at=now,
        ended_at=now,
        peak_weight=weight,
    )


def _build_analysis(spec: Spec, reason: Reason) -> tuple[MetricStatus, ...]:
    """Return metrics without bad requests for pool reasons, else with some."""
    bad = 0.0 if reason.info.about_pool else 12.0
    return tuple(
        MetricStatus(
            name=metric.name,
            verdict=Verdict.CONTINUE,
            canary_total=4900.0,
            canary_bad=bad,
            message="simulated, nothing was measured",
        )
        for metric in spec.analysis.metrics
    )
