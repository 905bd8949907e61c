"""From a notice to news: what kind it is, what people should read first, what is over now. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from canary.api import Intent, Phase, Reason, Result, Spec, Status, Verdict
from canary.api.notify import DEFAULT_GROUPS, Group, Notify
from canary.interfaces import Change, Key, Notice
from canary.text.format import format_count
from canary.text.sanitize import strip_controls

NO_ROLLBACK = frozenset({Reason.TEMPLATE_CHANGED, Reason.REJECTED})
"""The phase is a rollback, but the user only deployed something newer, or nothing new."""


class Kind(StrEnum):
    """What happened."""

    ROLLBACK = "rollback"
    STUCK = "stuck"
    APPROVAL = "approval"
    PROMOTION = "promotion"
    START = "start"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that a person has to look at, from when it is told until it is over.

    What names it is in the release's own status, so after a restart it can still be resolved.
    """

    key: Key
    template: str
    """Our hash of the version's template."""
    reason: Reason
    kind: Kind

    @property
    def id(self) -> str:
        """The same whenever it is told or resolved; at most 255 characters."""
        parts = (self.key.namespace, self.key.name, self.template, self.kind, self.reason)
        return f"canary/{sha256('/'.join(parts).encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class News:
    """What people are told."""

    key: Key
    at: float
    """Seconds since the epoch."""
    kind: Kind
    reason: Reason
    phase: Phase
    headline: str
    message: str
    """The evidence, in a sentence or two."""
    spec: Spec
    version: str
    """Our hash of the new version's template; empty where there is none."""
    stable: str
    weight: int
    """Percent of traffic that the new version had."""
    began: float
    """When the release began (seconds since the epoch); 0 without one."""
    served: tuple[float, float] | None
    """Bad requests and all requests of the canary; None where nobody counted."""
    evidence: tuple[tuple[str, str], ...]
    """Name and standing of each metric."""
    pods: tuple[str, ...]
    incident: Incident | None
    """What is triggered by these news."""
    resolved: tuple[Incident, ...]
    """What is over."""

    @property
    def id(self) -> str:
        """The same news have the same, also when they are sent again."""
        step = (self.phase, str(self.weight)) if self.kind is Kind.OTHER else ()
        parts = (self.key.namespace, self.key.name, self.version, repr(self.began))
        text = "/".join((*parts, self.kind, self.reason, *step))
        return sha256(text.encode()).hexdigest()[:32]


def news_of(notice: Notice) -> News | None:
    """What to tell; None for a notice that does not say what changed."""
    change = notice.change
    if change is None:
        return None
    kind, version = _kind(change), _version(change)
    weight, served = _weight(change), _served(change)
    alarm = kind in {Kind.ROLLBACK, Kind.STUCK} and not notice.reason.info.by_person
    reason = _paused_for(change.after) or notice.reason
    return News(
        key=notice.key,
        at=notice.at,
        kind=kind,
        reason=notice.reason,
        phase=notice.phase,
        headline=_headline(notice, change, kind),
        message=strip_controls(notice.message),
        spec=change.spec,
        version=version,
        stable=change.before.stable_hash or "",
        weight=weight,
        began=_began(change),
        served=served,
        evidence=tuple((one.name, strip_controls(one.message)) for one in change.after.analysis),
        pods=change.pods,
        incident=Incident(notice.key, version, reason, kind) if alarm else None,
        resolved=tuple(dict.fromkeys(_over(notice.key, change, kind))),
    )


def wanted(entry: Notify, kind: Kind, reason: Reason) -> bool:
    """Whether a receiver is told of such news."""
    groups = entry.groups or (() if entry.reasons else DEFAULT_GROUPS)
    if reason in entry.reasons or Group.ALL in groups:
        return True
    return kind.value in groups or (
        Group.POOL in groups and kind in {Kind.ROLLBACK, Kind.STUCK} and reason.info.about_pool
    )


def _kind(change: Change) -> Kind:
    before, after = change.before, change.after
    rolled_back = after.phase in {Phase.ROLLING_BACK, Phase.ROLLED_BACK}
    promoted = after.history[:1] != before.history[:1] and after.reason is Reason.PROMOTED
    if rolled_back and after.reason not in NO_ROLLBACK:
        kind = Kind.ROLLBACK
    elif after.phase is Phase.PAUSED and _paused_for(after) is not None:
        kind = Kind.STUCK
    elif after.phase is Phase.WAITING_FOR_APPROVAL:
        kind = Kind.APPROVAL
    elif promoted:
        kind = Kind.PROMOTION
    elif before.release is None and after.release is not None:
        kind = Kind.START
    else:
        kind = Kind.OTHER
    return kind


def _version(change: Change) -> str:
    """Of the release under way, or of the one that has just ended."""
    release = change.after.release or change.before.release
    if release is not None:
        return release.template
    return change.after.history[0].template if change.after.history else ""


def _began(change: Change) -> float:
    release = change.after.release or change.before.release
    if release is not None:
        return release.started_at
    return change.after.history[0].started_at if change.after.history else 0.0


def _weight(change: Change) -> int:
    """Before the traffic was taken away, if it was."""
    peak = max(
        (one.peak_weight for one in (change.after.release, change.before.release) if one), default=0
    )
    last = change.after.history[0].peak_weight if change.after.history else 0
    rolled_back = change.after.phase in {Phase.ROLLING_BACK, Phase.ROLLED_BACK}
    if not rolled_back:
        return change.after.weight
    return change.before.weight or peak or (last if change.after.release is None else 0)


def _served(change: Change) -> tuple[float, float] | None:
    """By the ratio metric that counted most bad ones."""
    ratios = {metric.name for metric in change.spec.analysis.metrics if metric.is_request_share}
    counted = [
        (one.canary_bad, one.canary_total)
        for one in change.after.analysis
        if one.name in ratios and one.canary_total > 0
    ]
    return max(counted, default=None)


def _paused_for(status: Status) -> Reason | None:
    """Why a person is needed; None while none is, or where a person wanted it so."""
    pause = status.release.pause if status.release is not None else None
    return None if pause is None or pause.reason.info.by_person else pause.reason


def _over(key: Key, change: Change, kind: Kind) -> Iterator[Incident]:
    """What was triggered earlier and needs nobody any more."""
    before, after = change.before, change.after
    paused = _paused_for(before)
    if before.release is not None and paused is not None and paused != _paused_for(after):
        yield Incident(key, before.release.template, paused, Kind.STUCK)
    if kind is Kind.PROMOTION or after.phase is Phase.TERMINATING:
        yield from _rolled_back(key, change)
    elif kind is Kind.START:
        yield from (one for one in _rolled_back(key, change) if one.template == _version(change))


def _rolled_back(key: Key, change: Change) -> Iterator[Incident]:
    """Since the last promotion; this one does not count as such."""
    entries = change.after.history
    if change.after.history[:1] != change.before.history[:1]:
        entries = entries[1:]
    for entry in entries:
        if entry.result is Result.PROMOTED:
            return
        if entry.result is Result.ROLLED_BACK and not entry.reason.info.by_person:
            yield Incident(key, entry.template, entry.reason, Kind.ROLLBACK)


def _headline(notice: Notice, change: Change, kind: Kind) -> str:
    name = notice.key.name
    match kind:
        case Kind.ROLLBACK:
            told = f"{name} rolled back {_where(change)}: {_cause(notice, change)}{_felt(change)}"
        case Kind.STUCK:
            told = f"{name} waits for a person at {change.after.weight} %: {_sentence(notice)}"
        case Kind.APPROVAL:
            told = f"{name} waits for approval at {change.after.weight} %"
        case Kind.PROMOTION:
            told = f"{name} promoted: the new version passed every step"
        case Kind.START:
            told = f"{name}: a release begins"
        case Kind.OTHER:
            told = f"{name}: {_sentence(notice)}"
    return told


def _where(change: Change) -> str:
    if change.before.intent is Intent.BAKE:
        return "after its promotion"
    weight = _weight(change)
    return f"at {weight} %" if weight else "before it got traffic"


def _cause(notice: Notice, change: Change) -> str:
    """Of a pool its own words (`leaks 1 connection per 4,900 requests`), else the reason's."""
    if not notice.reason.info.about_pool:
        return _sentence(notice)
    text = strip_controls(notice.message)
    for metric in change.after.analysis:
        if metric.verdict is Verdict.FAIL:
            text = text.removeprefix(f"{metric.name}: ")
    for pod in change.pods:
        text = text.removeprefix(f"{pod} ")
    return text.split(";")[0].rstrip(".")


def _felt(change: Change) -> str:
    served = _served(change)
    if served is None or _never_served(change):
        return ""
    bad, total = served
    return (
        f"; {format_count(bad)} of its {format_count(total)} requests were bad"
        if bad
        else "; no user noticed"
    )


def _never_served(change: Change) -> bool:
    return not _weight(change) and change.before.intent is not Intent.BAKE


def _sentence(notice: Notice) -> str:
    words = notice.reason.info.sentence.rstrip(".")
    return words[:1].lower() + words[1:]
