"""Builds an event from a notice: its kind, headline, and resolved incidents. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from canary.api import Intent, Phase, Reason, Result, Spec, Status, Verdict
from canary.api.notify import DEFAULT_GROUPS, Group, Notify
from canary.core.request_counts import BadRequests, count_bad_requests
from canary.interfaces import Change, Key, Notice
from canary.text.format import format_count
from canary.text.sanitize import strip_controls

NOT_ROLLBACKS = frozenset({Reason.TEMPLATE_CHANGED, Reason.REJECTED})
"""Reasons of a rollback phase in which the user only deployed another template."""


class EventKind(StrEnum):
    """Kind of an event."""

    ROLLBACK = "rollback"
    STUCK = "stuck"
    APPROVAL = "approval"
    PROMOTION = "promotion"
    START = "start"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Incident:
    """A problem that needs a person, until it is resolved.

    Its identity comes from the release's status, so it can be resolved after a restart.
    """

    key: Key
    template: str
    """Hash of the version's template."""
    reason: Reason
    kind: EventKind

    @property
    def id(self) -> str:
        """Identifier, the same when it is sent and resolved; at most 255 characters."""
        parts = (self.key.namespace, self.key.name, self.template, self.kind, self.reason)
        return f"canary/{sha256('/'.join(parts).encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class ReleaseEvent:
    """An event of a release that receivers are sent."""

    key: Key
    at: float
    """Seconds since the epoch."""
    kind: EventKind
    reason: Reason
    phase: Phase
    headline: str
    message: str
    """The evidence, in a sentence or two."""
    spec: Spec
    version: str
    """Hash of the new version's template; empty if there is none."""
    stable: str
    weight: int
    """Percent of traffic that the new version had."""
    began: float
    """Start of the release (seconds since the epoch); 0 without one."""
    served: BadRequests | None
    """Bad requests and all requests of the canary; None if they were not counted."""
    evidence: tuple[tuple[str, str], ...]
    """Name and state of each metric."""
    pods: tuple[str, ...]
    incident: Incident | None
    """The incident that this event opens."""
    resolved: tuple[Incident, ...]
    """Incidents that this event resolves."""

    @property
    def id(self) -> str:
        """Identifier, the same when the event is sent again."""
        step = (self.phase, str(self.weight)) if self.kind is EventKind.OTHER else ()
        parts = (self.key.namespace, self.key.name, self.version, repr(self.began))
        text = "/".join((*parts, self.kind, self.reason, *step))
        return sha256(text.encode()).hexdigest()[:32]


def event_from_notice(notice: Notice) -> ReleaseEvent | None:
    """Return the event of a notice; None for a notice without a change."""
    change = notice.change
    if change is None:
        return None
    kind, version = _event_kind(change), _template_of(change)
    weight = _weight_before(change)
    alarm = kind in {EventKind.ROLLBACK, EventKind.STUCK} and not notice.reason.info.by_person
    reason = _pause_reason(change.after) or notice.reason
    return ReleaseEvent(
        key=notice.key,
        at=notice.at,
        kind=kind,
        reason=notice.reason,
        phase=notice.phase,
        headline=_build_headline(notice, change, kind),
        message=strip_controls(notice.message),
        spec=change.spec,
        version=version,
        stable=change.before.stable_hash or "",
        weight=weight,
        began=_start_of(change),
        served=count_bad_requests(change.after.analysis, change.spec.analysis),
        evidence=tuple((one.name, strip_controls(one.message)) for one in change.after.analysis),
        pods=change.pods,
        incident=Incident(notice.key, version, reason, kind) if alarm else None,
        resolved=tuple(dict.fromkeys(_ended_incidents(notice.key, change, kind))),
    )


def is_subscribed(entry: Notify, kind: EventKind, reason: Reason) -> bool:
    """Return whether a receiver is subscribed to such events."""
    groups = entry.groups or (() if entry.reasons else DEFAULT_GROUPS)
    if reason in entry.reasons or Group.ALL in groups:
        return True
    return kind.value in groups or (
        Group.POOL in groups
        and kind in {EventKind.ROLLBACK, EventKind.STUCK}
        and reason.info.about_pool
    )


def _event_kind(change: Change) -> EventKind:
    before, after = change.before, change.after
    rolled_back = after.phase in {Phase.ROLLING_BACK, Phase.ROLLED_BACK}
    promoted = after.history[:1] != before.history[:1] and after.reason is Reason.PROMOTED
    if rolled_back and after.reason not in NOT_ROLLBACKS:
        kind = EventKind.ROLLBACK
    elif after.phase is Phase.PAUSED and _pause_reason(after) is not None:
        kind = EventKind.STUCK
    elif after.phase is Phase.WAITING_FOR_APPROVAL:
        kind = EventKind.APPROVAL
    elif promoted:
        kind = EventKind.PROMOTION
    elif before.release is None and after.release is not None:
        kind = EventKind.START
    else:
        kind = EventKind.OTHER
    return kind


def _template_of(change: Change) -> str:
    """Return the template of the release in flight, or of the one that just ended."""
    release = change.after.release or change.before.release
    if release is not None:
        return release.template
    return change.after.history[0].template if change.after.history else ""


def _start_of(change: Change) -> float:
    release = change.after.release or change.before.release
    if release is not None:
        return release.started_at
    return change.after.history[0].started_at if change.after.history else 0.0


def _weight_before(change: Change) -> int:
    """Return the weight before a rollback set it to 0."""
    peak = max(
        (one.peak_weight for one in (change.after.release, change.before.release) if one), default=0
    )
    last = change.after.history[0].peak_weight if change.after.history else 0
    rolled_back = change.after.phase in {Phase.ROLLING_BACK, Phase.ROLLED_BACK}
    if not rolled_back:
        return change.after.weight
    return change.before.weight or peak or (last if change.after.release is None else 0)


def _pause_reason(status: Status) -> Reason | None:
    """Return why a person is needed; None if none is, or if a person paused the release."""
    pause = status.release.pause if status.release is not None else None
    return None if pause is None or pause.reason.info.by_person else pause.reason


def _ended_incidents(key: Key, change: Change, kind: EventKind) -> Iterator[Incident]:
    """Yield earlier incidents that are resolved."""
    before, after = change.before, change.after
    paused = _pause_reason(before)
    if before.release is not None and paused is not None and paused != _pause_reason(after):
        yield Incident(key, before.release.template, paused, EventKind.STUCK)
    if kind is EventKind.PROMOTION or after.phase is Phase.TERMINATING:
        yield from _rollback_incidents(key, change)
    elif kind is EventKind.START:
        yield from (
            one for one in _rollback_incidents(key, change) if one.template == _template_of(change)
        )


def _rollback_incidents(key: Key, change: Change) -> Iterator[Incident]:
    """Yield the rollbacks since the last promotion, except the current one."""
    entries = change.after.history
    if change.after.history[:1] != change.before.history[:1]:
        entries = entries[1:]
    for entry in entries:
        if entry.result is Result.PROMOTED:
            return
        if entry.result is Result.ROLLED_BACK and not entry.reason.info.by_person:
            yield Incident(key, entry.template, entry.reason, EventKind.ROLLBACK)


def _build_headline(notice: Notice, change: Change, kind: EventKind) -> str:
    name = notice.key.name
    match kind:
        case EventKind.ROLLBACK:
            text = f"{name} rolled back {_describe_position(change)}: "
            text += f"{_describe_cause(notice, change)}{_describe_impact(change)}"
        case EventKind.STUCK:
            text = (
                f"{name} waits for a person at {change.after.weight} %: {_reason_sentence(notice)}"
            )
        case EventKind.APPROVAL:
            text = f"{name} waits for approval at {change.after.weight} %"
        case EventKind.PROMOTION:
            text = f"{name} promoted: the new version passed every step"
        case EventKind.START:
            text = f"{name}: a release begins"
        case EventKind.OTHER:
            text = f"{name}: {_reason_sentence(notice)}"
    return text


def _describe_position(change: Change) -> str:
    if change.before.intent is Intent.BAKE:
        return "after its promotion"
    weight = _weight_before(change)
    return f"at {weight} %" if weight else "before it got traffic"


def _describe_cause(notice: Notice, change: Change) -> str:
    """Return the sentence of the reason; for pools the metric's message, which says more.

    Such as `leaks 1 connection per 4,900 requests`.
    """
    if not notice.reason.info.about_pool:
        return _reason_sentence(notice)
    text = strip_controls(notice.message)
    for metric in change.after.analysis:
        if metric.verdict is Verdict.FAIL:
            text = text.removeprefix(f"{metric.name}: ")
    for pod in change.pods:
        text = text.removeprefix(f"{pod} ")
    return text.split(";")[0].rstrip(".")


def _describe_impact(change: Change) -> str:
    served = count_bad_requests(change.after.analysis, change.spec.analysis)
    if served is None or _never_served(change):
        return ""
    if not served.bad:
        return "; no user noticed"
    counts = f"{format_count(served.bad)} of its {format_count(served.total)} requests"
    return f"; {counts} {served.happened}"


def _never_served(change: Change) -> bool:
    return not _weight_before(change) and change.before.intent is not Intent.BAKE


def _reason_sentence(notice: Notice) -> str:
    words = notice.reason.info.sentence.rstrip(".")
    return words[:1].lower() + words[1:]
