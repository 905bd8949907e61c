"""A release that never was: what receivers would be told, tried before the first incident. Pure."""

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
from canary.notify.events import NO_ROLLBACK, News, news_of

ROLLED_BACK = (
    frozenset(reason for reason in Reason if reason.info.kind is ReasonKind.ROLLBACK) - NO_ROLLBACK
)
STUCK = frozenset(reason for reason in Reason if reason.info.needs_person)
REHEARSED = ROLLED_BACK | STUCK | {Reason.APPROVAL_NEEDED, Reason.PROMOTED, Reason.STARTED}
"""Reasons that make news of themselves."""
_POD = "canary-0"
_LEAK = "leaks 1 connection per 4,900 requests; the pool of 50 is empty in 68 min"
_VERSION, _STABLE = "rehearsal", "stable"


def rehearsed(key: Key, spec: Spec, reason: Reason, now: float) -> News:
    """News with this reason about a release at its first step; `now` in seconds."""
    weight = spec.steps[0].weight
    before = Status(
        phase=Phase.PROGRESSING,
        reason=Reason.GATHERING_EVIDENCE,
        intent=Intent.ADVANCE,
        stable_hash=_STABLE,
        release=_release(now, weight),
        weight=weight,
    )
    message = _message(spec, reason)
    after = before.model_copy(update={"reason": reason, "message": message})
    after = after.model_copy(update=_next(spec, reason, before, now))
    if reason is Reason.STARTED:
        before = before.model_copy(update={"release": None, "phase": Phase.READY})
    change = Change(spec, before, after, (f"{spec.target.name}-{_POD}",))
    news = news_of(Notice(key, now, after.phase, reason, message, after.weight, change))
    if news is None:
        raise LookupError("a notice that says what changed is news")
    return replace(news, headline=f"Rehearsal, nothing happened: {news.headline}")


def _release(now: float, weight: int) -> Release:
    return Release(template=_VERSION, started_at=now, replicas=2, peak_weight=weight)


def _message(spec: Spec, reason: Reason) -> str:
    if reason is Reason.CONNECTION_LEAK:
        return f"{spec.target.name}-{_POD} {_LEAK}"
    return reason.info.sentence


def _next(spec: Spec, reason: Reason, before: Status, now: float) -> dict[str, object]:
    """What the pass changes that tells this reason."""
    if reason.info.needs_person:
        pause = Pause(reason=reason, since=now)
        release = _release(now, before.weight).model_copy(update={"pause": pause})
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
                "history": (_ended(now, before.weight),),
            }
        case _:
            return {
                "phase": Phase.ROLLING_BACK,
                "intent": Intent.ROLL_BACK,
                "weight": 0,
                "analysis": _analysis(spec, reason),
            }


def _ended(now: float, weight: int) -> HistoryEntry:
    return HistoryEntry(
        template=_VERSION,
        result=Result.PROMOTED,
        reason=Reason.PROMOTED,
        started_at=now,
        ended_at=now,
        peak_weight=weight,
    )


def _analysis(spec: Spec, reason: Reason) -> tuple[MetricStatus, ...]:
    """Of pool reasons nobody has noticed anything; of the others some have."""
    bad = 0.0 if reason.info.about_pool else 12.0
    return tuple(
        MetricStatus(
            name=metric.name,
            verdict=Verdict.CONTINUE,
            canary_total=4900.0,
            canary_bad=bad,
            message="a rehearsal, nothing was measured",
        )
        for metric in spec.analysis.metrics
    )
